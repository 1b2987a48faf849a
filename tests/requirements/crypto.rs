//! `crypto = "bsi"`: what is outside of the profile is refused by the real binary, in TLS.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::real::{Server, folder, serve};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};

const REFUSED: &str = r#"konsil_refused_connections_total{reason="handshake"}"#;

const BSI: (&str, &str) = ("KONSIL_CRYPTO", "bsi");

/// A server with the profile.
struct Strict(Server);

impl Strict {
    fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.0.address("metrics")).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// A request over TLS with these suites and groups; the answer.
    fn get(&self, suites: &[SupportedCipherSuite], groups: &[&'static dyn SupportedKxGroup]) -> Result<String, String> {
        let provider = CryptoProvider { cipher_suites: suites.to_vec(), kx_groups: groups.to_vec(), ..default_provider() };
        let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        self.0.send(request, provider).map_err(|fault| fault.to_string())
    }
}

#[test]
fn tls_is_gcm_with_p256_or_p384() {
    let server = Strict(Server::start("crypto-tls", &[BSI]));
    let (tls13, tls12) = (cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384);
    for suite in [tls13, cipher_suite::TLS13_AES_256_GCM_SHA384, tls12, cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256] {
        for group in [kx_group::SECP256R1, kx_group::SECP384R1] {
            let answer = server.get(&[suite], &[group]);
            assert!(answer.as_ref().is_ok_and(|line| line.starts_with("HTTP/1.1 200")), "{suite:?} {group:?}: {answer:?}");
        }
    }
    // What browsers offer first is passed over.
    let all = default_provider();
    assert!(server.get(&all.cipher_suites, &all.kx_groups).is_ok());
    assert_eq!(server.metric(REFUSED), 0);
    let logged = fs::read_to_string(server.0.dir.join("log")).unwrap();

    let chacha = [cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256];
    let refused = [
        server.get(&chacha, &[kx_group::SECP256R1]),
        server.get(&chacha[1..], &[kx_group::SECP256R1]),
        server.get(&[tls13], &[kx_group::X25519]),
        server.get(&[tls12], &[kx_group::X25519]),
        server.get(&[tls13], &[kx_group::X25519MLKEM768]),
    ];
    for (at, answer) in refused.iter().enumerate() {
        assert!(answer.as_ref().is_err_and(|fault| fault.contains("HandshakeFailure")), "{at}: {answer:?}");
    }
    for cipher in ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-CHACHA20-POLY1305"] {
        assert!(!openssl(&server, &["-tls1_2", "-cipher", cipher]), "{cipher}");
    }
    assert!(!openssl(&server, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]), "TLS 1.1");
    assert!(openssl(&server, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", "-groups", "P-256"]));
    assert_eq!(server.metric(REFUSED), 9);
    assert_eq!(fs::read_to_string(server.0.dir.join("log")).unwrap(), logged, "refusals are counted, not logged");
}

/// Whether OpenSSL comes to terms with the server.
fn openssl(server: &Strict, arguments: &[&str]) -> bool {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &server.0.address("https").to_string()]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

/// A self-signed certificate of RSA, and its key.
fn rsa(dir: &Path, size: RsaKeySize) -> [(&'static str, String); 2] {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (dir.join("cert.pem"), dir.join("key.pem"));
    fs::write(&cert_file, cert.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    [("KONSIL_HTTP_CERT", cert_file.display().to_string()), ("KONSIL_HTTP_KEY", key_file.display().to_string())]
}

#[test]
fn a_certificate_outside_of_the_profile_is_refused_at_the_start() {
    let dir = folder("crypto-certificate");
    let weak = rsa(&dir, RsaKeySize::_2048);
    let variables: Vec<(&str, &str)> = weak.iter().map(|(name, value)| (*name, value.as_str())).chain([BSI]).collect();
    let output = serve(&dir, &variables).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("http.cert = ") && told.contains("certificate 1 of the chain"), "{told}");
    assert!(told.contains("P-256, P-384 or RSA from 3000 bits on"), "{told}");
    assert!(!dir.join("state/run.json").exists());

    let strong = rsa(&dir, RsaKeySize::_3072);
    let variables: Vec<(&str, &str)> = strong.iter().map(|(name, value)| (*name, value.as_str())).chain([BSI]).collect();
    let mut child = serve(&dir, &variables).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let greeting = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(greeting, "Konsil is ready.");
}
