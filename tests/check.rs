//! `konsil check` against a running server, a stopped one, one behind TLS inspection.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test's own steps may fail loudly

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use konsil::config::Crypto;
use konsil::io::tls::{Certificate, Pem, server_config};

/// All rungs, in order.
const LADDER: [&str; 9] = ["dns", "certificate", "https", "websocket", "stun-udp", "turn-udp", "turn-tcp", "turn-tls", "relay-loop"];

/// A server in a folder of its own, on ports that the system chose. It dies with this value.
struct Server {
    dir: PathBuf,
    child: Child,
    run: Value,
}

impl Server {
    fn start(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_konsil"));
        command.args(["serve", "--state", "state"]).current_dir(&dir).env_clear();
        command.envs([
            ("KONSIL_HTTP_LISTEN", "127.0.0.1:0"),
            ("KONSIL_MEDIA_UDP_LISTEN", "127.0.0.1:0"),
            ("KONSIL_METRICS_LISTEN", "127.0.0.1:0"),
        ]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let greeting = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        assert_eq!(greeting, "Konsil is ready.");
        let run = serde_json::from_slice(&fs::read(dir.join("state/run.json")).unwrap()).unwrap();
        Self { dir, child, run }
    }

    fn https(&self) -> SocketAddr {
        self.run["https"].as_str().unwrap().parse().unwrap()
    }

    fn page(&self) -> String {
        format!("https://localhost:{}", self.https().port())
    }

    fn link(&self) -> &str {
        self.run["host_link"].as_str().unwrap()
    }

    /// On the server itself.
    fn check(&self) -> Checked {
        checked(&self.dir, &["--state", "state"], &[])
    }

    /// From a client's machine, which has no state folder.
    fn check_as_client(&self, arguments: &[&str]) -> Checked {
        checked(&self.dir, arguments, &[])
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a check said.
struct Checked {
    code: i32,
    steps: Vec<Value>,
    all: String,
}

impl Checked {
    fn of(output: &Output) -> Self {
        let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{all}"));
        let steps = json["steps"].as_array().unwrap().clone();
        for step in &steps {
            let fields: Vec<&str> = step.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, ["advice", "ms", "name", "ok"]);
        }
        Self { code: output.status.code().unwrap(), steps, all }
    }

    fn names(&self) -> Vec<&str> {
        self.steps.iter().map(|step| step["name"].as_str().unwrap()).collect()
    }

    fn step(&self, name: &str) -> (bool, &str) {
        let step = self.steps.iter().find(|step| step["name"] == name).unwrap();
        (step["ok"].as_bool().unwrap(), step["advice"].as_str().unwrap())
    }

    fn bad(&self) -> Vec<&str> {
        self.names().into_iter().filter(|name| !self.step(name).0).collect()
    }
}

fn checked(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Checked {
    let mut command = Command::new(env!("CARGO_BIN_EXE_konsil"));
    command.args(["check", "--json"]).args(arguments).current_dir(dir).env_clear().envs(variables.iter().copied());
    Checked::of(&command.output().unwrap())
}

#[test]
fn on_the_server_all_is_well() {
    let server = Server::start("check-server");
    let checked = server.check();
    assert_eq!((checked.code, checked.bad()), (0, vec![]), "{}", checked.all);
    assert_eq!(checked.names(), LADDER);
    assert!(checked.step("certificate").1.contains("The server's own"), "{}", checked.all);
    assert!(checked.step("relay-loop").1.contains("0 of 50 packets lost, round trip "), "{}", checked.all);
}

#[test]
fn a_client_needs_a_token_with_trust_for_everything() {
    let server = Server::start("check-client");
    // What browsers warn of is told.
    let linked = server.check_as_client(&[server.link()]);
    assert_eq!((linked.code, linked.bad()), (1, vec!["certificate"]), "{}", linked.all);
    let sha = linked.step("certificate").1.rsplit(' ').next().unwrap().to_owned();
    let compared = server.check_as_client(&[server.link(), "--fingerprint", &sha]);
    assert_eq!((compared.code, compared.bad()), (0, vec![]), "{}", compared.all);
    let token = server.link().split_once("#t=").unwrap().1.split('&').next().unwrap();
    for checked in [&linked, &compared] {
        assert!(!checked.all.contains(token) && !checked.all.contains("ey"), "{}", checked.all);
    }
    // Its UDP port is not the usual one, which nobody told the client without a token.
    let bare = server.check_as_client(&[&server.page()]);
    assert_eq!(bare.code, 1, "{}", bare.all);
    assert!(bare.step("turn-tls").0 && bare.step("turn-tls").1.contains("without a token"), "{}", bare.all);
    assert!(bare.step("stun-udp").1.contains("let 3478/udp out"), "{}", bare.all);
    let wrong = server.check_as_client(&[&server.page(), "--token", "wrong"]);
    assert_eq!(wrong.code, 2, "{}", wrong.all);
    assert!(wrong.step("websocket").1.contains("refuses the token (401)"), "{}", wrong.all);
}

#[test]
fn who_is_not_there_is_told_apart_from_who_never_was() {
    let mut server = Server::start("check-stopped");
    let link = server.link().to_owned();
    server.stop();
    // Its run.json is still there, as after a crash.
    let crashed = server.check();
    assert_eq!(crashed.code, 2);
    assert!(crashed.step("certificate").1.contains("start it again"), "{}", crashed.all);
    let away = server.check_as_client(&[&link]);
    assert_eq!(away.code, 2);
    let port = server.https().port();
    assert!(away.step("certificate").1.contains(&format!("let {port}/tcp out")), "{}", away.all);
    assert!(away.step("websocket").1.starts_with("Skipped"), "{}", away.all);
    let never = checked(&server.dir, &["--state", "nothing"], &[]);
    assert_eq!((never.code, never.names()), (2, vec!["server"]));
    assert!(never.step("server").1.contains("konsil serve"), "{}", never.all);
    let unresolved = checked(&server.dir, &["https://konsil.invalid"], &[]);
    assert_eq!((unresolved.code, unresolved.step("dns").0), (2, false), "{}", unresolved.all);
}

#[test]
fn the_key_of_one_server_does_not_open_another() {
    let (one, other) = (Server::start("check-one"), Server::start("check-other"));
    let checked = one.check_as_client(&[&other.page(), "--state", "state"]);
    assert_eq!(checked.code, 2, "{}", checked.all);
    assert!(checked.step("websocket").1.contains("key of the state folder here (401)"), "{}", checked.all);
}

#[test]
fn a_text_that_is_no_url_is_misuse_and_not_repeated() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_konsil"));
    let output = command.args(["check", "http://a.example/#t=hush"]).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("https://HOST") && !told.contains("hush"), "{told}");
}

#[test]
fn inspection_is_named_though_its_root_is_trusted() {
    let server = Server::start("check-inspected");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let foreign = Pem::self_signed(&[], now).unwrap();
    let own = fs::read(server.dir.join("state/tls/cert.pem")).unwrap();
    let roots = server.dir.join("roots.pem");
    fs::write(&roots, &foreign.cert).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let port = runtime.block_on(inspect(server.https(), &own, &foreign, 0));
    let page = server.page();
    let link = server.link().replace(&page, &format!("https://localhost:{port}"));
    // A hospital's machines trust its inspection.
    let trusted = checked(&server.dir, &[&link], &[("SSL_CERT_FILE", roots.to_str().unwrap())]);
    assert_eq!(trusted.code, 1, "{}", trusted.all);
    assert!(trusted.step("certificate").1.starts_with("TLS inspection"), "{}", trusted.all);
    assert!(trusted.step("certificate").1.contains(&format!("exempt localhost:{port}")), "{}", trusted.all);
    assert!(trusted.step("websocket").0 && trusted.step("turn-udp").0, "{}", trusted.all);
    // Whoever is not trusted does not get the token.
    let stranger = checked(&server.dir, &[&link], &[]);
    assert_eq!(stranger.code, 2, "{}", stranger.all);
    assert!(stranger.step("certificate").1.contains("does not trust it"), "{}", stranger.all);
    assert!(stranger.step("websocket").1.starts_with("Skipped: whoever opens TLS"), "{}", stranger.all);
}

#[test]
fn who_opens_later_connections_does_not_get_the_token() {
    let server = Server::start("check-later");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let foreign = Pem::self_signed(&[], now).unwrap();
    let own = fs::read(server.dir.join("state/tls/cert.pem")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // The connection that shows the certificate is the server's own, the next is not.
    let port = runtime.block_on(inspect(server.https(), &own, &foreign, 1));
    let linked = server.check_as_client(&[server.link()]);
    let sha = linked.step("certificate").1.rsplit(' ').next().unwrap().to_owned();
    let link = server.link().replace(&server.page(), &format!("https://localhost:{port}"));
    let checked = server.check_as_client(&[&link, "--fingerprint", &sha]);
    assert!(checked.step("certificate").0 && checked.step("https").0, "{}", checked.all);
    assert!(!checked.step("websocket").0 && checked.step("websocket").1.contains("another certificate"), "{}", checked.all);
}

/// Opens TLS between a client and the server, but for so many connections at first; its port.
async fn inspect(server: SocketAddr, own: &[u8], foreign: &Pem, untouched: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(server_config(Certificate::new(foreign).unwrap(), Crypto::Default).unwrap());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(own).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    tokio::spawn(async move {
        let mut accepted = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            accepted += 1;
            if accepted <= untouched {
                tokio::spawn(async move {
                    let mut inner = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
                });
                continue;
            }
            let (acceptor, connector) = (acceptor.clone(), connector.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let inner = TcpStream::connect(server).await.unwrap();
                let mut inside = connector.connect(ServerName::try_from("localhost").unwrap(), inner).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut inside).await;
            });
        }
    });
    port
}
