//! The real binary on a folder of its own, for tests that use it as people do.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// A server on ports that the system chose. It dies with this value.
pub struct Server {
    pub dir: PathBuf,
    pub run: Value,
    child: Child,
}

impl Server {
    /// Starts one with these variables in the environment, and waits until it is ready.
    pub fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        let dir = folder(name);
        let log = fs::File::create(dir.join("log")).unwrap();
        let (child, run) = spawn(&dir, variables, log.into());
        Self { dir, run, child }
    }

    /// Kills it without a word, and starts it again on the same folder.
    pub fn restart(&mut self) {
        self.stop();
        (self.child, self.run) = spawn(&self.dir, &[], Stdio::null());
    }

    /// Kills it without a word.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// One of the addresses in its run file.
    pub fn address(&self, of: &str) -> SocketAddr {
        self.run[of].as_str().unwrap().parse().unwrap()
    }

    /// Runs a command on its folder.
    pub fn run(&self, line: &str) -> Output {
        konsil(&self.dir, line).output().unwrap()
    }

    /// Sends a request over TLS, by what `provider` offers, and reads until the end.
    pub fn send(&self, request: &str, provider: CryptoProvider) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.dir.join("state/tls/cert.pem")).unwrap()).unwrap();
        let versions: Vec<_> = [&rustls::version::TLS13, &rustls::version::TLS12]
            .into_iter()
            .filter(|version| provider.cipher_suites.iter().any(|suite| suite.version().version == version.version))
            .collect();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&versions).unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let socket = TcpStream::connect(self.address("https"))?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        // The end of a connection without close_notify is none of a test's, unless nothing came before it.
        match stream.read_to_end(&mut answer) {
            Err(fault) if answer.is_empty() => Err(fault),
            _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An empty folder of one test.
pub fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A command on the folder's state, in an empty environment.
pub fn konsil(dir: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_konsil"));
    command.args(line.split_whitespace()).args(["--state", "state"]).current_dir(dir).env_clear();
    command
}

/// `konsil serve` on free ports of loopback.
pub fn serve(dir: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = konsil(dir, "serve");
    let ports = ["KONSIL_HTTP_LISTEN", "KONSIL_MEDIA_UDP_LISTEN", "KONSIL_METRICS_LISTEN"];
    command.envs(ports.map(|port| (port, "127.0.0.1:0"))).env("KONSIL_LOG_LEVEL", "debug").envs(variables.iter().copied());
    command
}

fn spawn(dir: &Path, variables: &[(&str, &str)], log: Stdio) -> (Child, Value) {
    let mut child = serve(dir, variables).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let greeting = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert_eq!(greeting, "Konsil is ready.");
    let run = serde_json::from_slice(&fs::read(dir.join("state/run.json")).unwrap()).unwrap();
    (child, run)
}
