//! Raw clients, polite or rude, against listeners on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::get;
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::config::Crypto;
use crate::io::tls::{Certificate, Pem, server_config};

/// Longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(150);

struct Bed {
    edge: Arc<Edge>,
    address: SocketAddr,
    pem: Pem,
    certificate: Arc<Certificate>,
    slow: Arc<Slow>,
    serving: JoinHandle<()>,
}

/// A request that has come, and that waits for its answer.
#[derive(Default)]
struct Slow {
    started: Notify,
    release: Notify,
}

fn router(slow: Arc<Slow>) -> Router {
    let slow = move || async move {
        slow.started.notify_one();
        slow.release.notified().await;
        "late"
    };
    let echo = |upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(message)) = socket.recv().await {
                let _ = socket.send(message).await;
            }
        })
    };
    Router::new()
        .route("/", get(|Extension(peer): Extension<PeerAddr>| async move { peer.0.to_string() }))
        .route("/slow", get(slow))
        .route("/echo", get(echo))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn limits() -> EdgeLimits {
    EdgeLimits { connections: 50, per_source: 50, first_bytes: PATIENCE, handshake: PATIENCE, head: PATIENCE }
}

fn bed(limits: EdgeLimits) -> Bed {
    bed_with(limits, Surroundings::default())
}

fn bed_with(limits: EdgeLimits, surroundings: Surroundings) -> Bed {
    let pem = Pem::self_signed(&[], now()).unwrap();
    let certificate = Certificate::new(&pem).unwrap();
    let listener = bind("[::]:0".parse().unwrap()).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
    let edge = Edge::new(limits, surroundings);
    let slow = Arc::new(Slow::default());
    let cover = Cover::Tls(server_config(certificate.clone(), Crypto::Default).unwrap());
    let serving = tokio::spawn(edge.clone().serve(listener, cover, router(slow.clone())));
    Bed { edge, address, pem, certificate, slow, serving }
}

async fn tls(address: SocketAddr, pem: &Pem, alpn: &str) -> io::Result<TlsStream<TcpStream>> {
    tls_over(TcpStream::connect(address).await?, pem, alpn).await
}

async fn tls_over(stream: TcpStream, pem: &Pem, alpn: &str) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem.cert).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Sends `text`, then reads until the other side closes.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, text: &[u8]) -> Vec<u8> {
    stream.write_all(text).await.unwrap();
    let mut answer = Vec::new();
    // A reset counts as the end here: what was read until then is what matters.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server did not close");
    answer
}

async fn refused(edge: &Edge, refusal: Refusal) -> u64 {
    edge.admission.open_is(0).await;
    edge.stats().refused[refusal as usize]
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn http1_over_tls_sees_its_peer_on_both_families() {
    let bed = bed(limits());
    for address in [bed.address, SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], bed.address.port()))] {
        let stream = tls(address, &bed.pem, "http/1.1").await.unwrap();
        let own = stream.get_ref().0.local_addr().unwrap().to_string();
        let answer = String::from_utf8(exchange(stream, &request("/")).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(&own), "{answer}");
    }
    bed.edge.admission.open_is(0).await;
    assert_eq!(bed.edge.stats(), EdgeStats { admitted: 2, ..EdgeStats::default() });
}

#[tokio::test]
async fn http2_over_tls_answers() {
    let bed = bed(limits());
    let mut stream = tls(bed.address, &bed.pem, "h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // Preface, empty SETTINGS, and HEADERS of stream 1 with END_STREAM and END_HEADERS (RFC 9113 §3.4, §6.2):
    // :method GET, :path /, :scheme https from HPACK's static table, :authority as a literal (RFC 7541).
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    stream.write_all(&[0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x87, 0x41, 1, b'x']).await.unwrap();
    loop {
        let mut head = [0; 9];
        timeout(PATIENCE, stream.read_exact(&mut head)).await.unwrap().unwrap();
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        stream.read_exact(&mut body).await.unwrap();
        if head[3] == 1 {
            // :status 200 is entry 8 of the static table.
            assert_eq!(body[0], 0x88);
            break;
        }
    }
}

#[tokio::test]
async fn clear_http_is_told_to_use_https() {
    let bed = bed(limits());
    let mut text = request("/");
    text.extend([b'x'; 5000]);
    let mut stream = TcpStream::connect(bed.address).await.unwrap();
    stream.write_all(&text).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\nThis port speaks HTTPS.\r\n"), "{answer}");
    drop(stream);
    assert_eq!(refused(&bed.edge, Refusal::ClearHttp).await, 1);
}

#[tokio::test]
async fn strangers_are_closed_and_counted() {
    let bed = bed(limits());
    let stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl";
    for bytes in [&stun[..], b"SSH-2.0-x\r\n".to_ascii_lowercase().as_slice(), b"\x16\x02\x00"] {
        assert!(exchange(TcpStream::connect(bed.address).await.unwrap(), bytes).await.is_empty());
    }
    assert_eq!(refused(&bed.edge, Refusal::Unknown).await, 3);
    exchange(tls(bed.address, &bed.pem, "http/1.1").await.unwrap(), stun).await;
    assert_eq!(refused(&bed.edge, Refusal::Unknown).await, 4);
    // A record that begins as TLS and goes on as noise.
    exchange(TcpStream::connect(bed.address).await.unwrap(), b"\x16\x03\x01\x00\x05hello").await;
    assert_eq!(refused(&bed.edge, Refusal::Handshake).await, 1);
    // Broken HTTP gets an answer.
    let answer = exchange(tls(bed.address, &bed.pem, "http/1.1").await.unwrap(), b"NO\x00NSENSE\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 400"));
    assert_eq!(refused(&bed.edge, Refusal::Http).await, 1);
    let answer = exchange(tls(bed.address, &bed.pem, "http/1.1").await.unwrap(), &request("/")).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn silent_clients_are_cut_at_each_step() {
    let silent_first = bed(EdgeLimits { first_bytes: SHORT, ..limits() });
    exchange(TcpStream::connect(silent_first.address).await.unwrap(), b"").await;
    assert_eq!(refused(&silent_first.edge, Refusal::Slow).await, 1);
    // It could become STUN.
    exchange(TcpStream::connect(silent_first.address).await.unwrap(), b"\x00\x01").await;
    assert_eq!(refused(&silent_first.edge, Refusal::Slow).await, 2);

    let silent_handshake = bed(EdgeLimits { handshake: SHORT, ..limits() });
    exchange(TcpStream::connect(silent_handshake.address).await.unwrap(), b"\x16\x03\x01\x02\x00").await;
    assert_eq!(refused(&silent_handshake.edge, Refusal::Slow).await, 1);

    let silent_inside = bed(EdgeLimits { head: SHORT, ..limits() });
    for (alpn, text) in [("http/1.1", &b""[..]), ("http/1.1", b"GET / HTTP/1.1\r\nHost: l"), ("h2", b""), ("h2", b"PRI * HT")] {
        exchange(tls(silent_inside.address, &silent_inside.pem, alpn).await.unwrap(), text).await;
    }
    assert_eq!(refused(&silent_inside.edge, Refusal::Slow).await, 4);
}

#[tokio::test]
async fn one_source_cannot_take_all_connections() {
    let bed = bed(EdgeLimits { per_source: 2, ..limits() });
    let one = tls(bed.address, &bed.pem, "http/1.1").await.unwrap();
    let two = tls(bed.address, &bed.pem, "http/1.1").await.unwrap();
    assert!(tls(bed.address, &bed.pem, "http/1.1").await.is_err());
    assert_eq!(bed.edge.stats().refused[Refusal::SourceFull as usize], 1);
    drop((one, two));
    bed.edge.admission.open_is(0).await;
    assert!(tls(bed.address, &bed.pem, "http/1.1").await.is_ok());
}

#[tokio::test]
async fn websockets_count_until_they_close() {
    let bed = bed(limits());
    let stream = tls(bed.address, &bed.pem, "http/1.1").await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/echo", stream).await.unwrap();
    socket.send("hello".into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), "hello");
    assert_eq!(bed.edge.stats().open, 1);
    socket.close(None).await.unwrap();
    drop(socket);
    timeout(PATIENCE, bed.edge.admission.open_is(0)).await.unwrap();
}

#[tokio::test]
async fn draining_lets_requests_end() {
    let bed = bed(limits());
    let mut asking = tls(bed.address, &bed.pem, "http/1.1").await.unwrap();
    asking.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let idle = tls(bed.address, &bed.pem, "h2").await.unwrap();
    timeout(PATIENCE, bed.slow.started.notified()).await.unwrap();
    let edge = bed.edge.clone();
    let draining = tokio::spawn(async move { edge.drain(PATIENCE).await });
    timeout(PATIENCE, bed.serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(bed.address).await.is_err());
    bed.slow.release.notify_one();
    let answer = exchange(asking, b"").await;
    assert!(answer.ends_with(b"late"));
    drop(idle);
    assert_eq!(timeout(PATIENCE, draining).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn draining_cuts_what_does_not_end() {
    let bed = bed(limits());
    let mut asking = tls(bed.address, &bed.pem, "http/1.1").await.unwrap();
    asking.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let silent = TcpStream::connect(bed.address).await.unwrap();
    bed.edge.admission.open_is(2).await;
    timeout(PATIENCE, bed.slow.started.notified()).await.unwrap();
    assert_eq!(bed.edge.drain(SHORT).await, 1);
    timeout(PATIENCE, bed.edge.admission.open_is(0)).await.unwrap();
    drop(silent);
}

#[tokio::test]
async fn draining_does_not_wait_for_media() {
    let media = Some(MediaHandle::without_workers());
    let bed = bed_with(limits(), Surroundings { media, ..Surroundings::default() });
    // A TURN Allocate request without attributes, in clear and in TLS.
    let allocate = [&[0, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let mut clear = TcpStream::connect(bed.address).await.unwrap();
    let mut covered = tls(bed.address, &bed.pem, "stun.turn").await.unwrap();
    clear.write_all(&allocate).await.unwrap();
    covered.write_all(&allocate).await.unwrap();
    bed.edge.admission.open_is(2).await;
    timeout(PATIENCE, bed.edge.admission.none_asks()).await.unwrap();
    // Longer than the test may take.
    assert_eq!(timeout(PATIENCE, bed.edge.drain(PATIENCE * 2)).await.unwrap(), 0);
    timeout(PATIENCE, bed.edge.admission.open_is(0)).await.unwrap();
    assert_eq!(exchange(clear, b"").await, b"");
}

#[tokio::test]
async fn new_certificates_are_shown_to_new_connections() {
    let bed = bed(limits());
    let fresh = Pem::self_signed(&[], now()).unwrap();
    assert!(tls(bed.address, &fresh, "http/1.1").await.is_err());
    bed.certificate.replace(&fresh).unwrap();
    assert!(tls(bed.address, &fresh, "http/1.1").await.is_ok());
    assert!(tls(bed.address, &bed.pem, "http/1.1").await.is_err());
}

#[tokio::test]
async fn clear_listener_serves_http1() {
    let edge = Edge::new(limits(), Surroundings::default());
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(edge.serve(listener, Cover::Clear, router(Arc::default())));
    let answer = exchange(TcpStream::connect(address).await.unwrap(), &request("/")).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_taken_port_is_refused() {
    let listener = bind("[::]:0".parse().unwrap()).unwrap();
    assert!(bind(listener.local_addr().unwrap()).is_err());
    let v4 = SocketAddr::from(([0, 0, 0, 0], listener.local_addr().unwrap().port()));
    assert!(bind(v4).is_err());
}

#[tokio::test]
async fn listed_balancers_say_who_the_client_is_and_nobody_else_may() {
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x0a\x00\x00\x01\x9c\x40\x01\xbb";
    let behind = |trusted: &str, per_source| {
        let trusted_proxies = vec![trusted.parse().unwrap()];
        bed_with(EdgeLimits { per_source, ..limits() }, Surroundings { trusted_proxies, ..Surroundings::default() })
    };
    let bed = behind("127.0.0.0/8", 1);
    let ask = async || {
        let mut stream = TcpStream::connect(bed.address).await.unwrap();
        stream.write_all(header).await.unwrap();
        let stream = tls_over(stream, &bed.pem, "http/1.1").await?;
        Ok::<_, io::Error>(String::from_utf8(exchange(stream, &request("/")).await).unwrap())
    };
    assert!(ask().await.unwrap().ends_with("203.0.113.9:40000"));
    // The bound of a source is the client's, not the balancer's.
    let mut other = TcpStream::connect(bed.address).await.unwrap();
    other.write_all(&header[..20]).await.unwrap();
    assert!(ask().await.unwrap().ends_with("203.0.113.9:40000"));
    drop(other);
    exchange(TcpStream::connect(bed.address).await.unwrap(), b"\x16\x03\x01\x00\x05hello, this is no header").await;
    assert_eq!(refused(&bed.edge, Refusal::NoProxyHeader).await, 1);

    let stranger = behind("10.0.0.0/8", 50);
    assert!(exchange(TcpStream::connect(stranger.address).await.unwrap(), header).await.is_empty());
    assert_eq!(refused(&stranger.edge, Refusal::Unknown).await, 1);
}
