//! HTTP/1.1 or HTTP/2 on one connection, from its first request to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::sleep;
use tower_service::Service as _;

use super::Phase;
use super::admission::Refusal;

/// Largest head of a request in bytes: livekit-client puts its offer into the URL.
const HEAD_MAX: usize = 128 * 1024;
/// Most header fields of a request.
const FIELDS_MAX: usize = 100;
/// Most requests at a time on an HTTP/2 connection.
const STREAMS_MAX: u32 = 64;

/// Who sent the request: an extension of each request that the router sees. Never log it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Serves one connection.
pub(super) struct Service {
    router: Router,
    peer: PeerAddr,
    head: Duration,
    phase: watch::Receiver<Phase>,
}

impl Service {
    pub(super) fn new(router: Router, peer: PeerAddr, head: Duration, phase: watch::Receiver<Phase>) -> Self {
        Self { router, peer, head, phase }
    }

    pub(super) async fn http1<S>(self, stream: S) -> Result<(), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::new(AtomicBool::new(false));
        let service = service_fn(answer(self.router, self.peer, asked.clone()));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.head).max_headers(FIELDS_MAX).max_buf_size(HEAD_MAX);
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        run(pin!(connection), http1::UpgradeableConnection::graceful_shutdown, self.head, &asked, self.phase).await
    }

    pub(super) async fn http2<S>(self, stream: S) -> Result<(), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::new(AtomicBool::new(false));
        let service = service_fn(answer(self.router, self.peer, asked.clone()));
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(self.head).keep_alive_timeout(self.head);
        // The constant fits.
        #[expect(clippy::cast_possible_truncation)]
        builder.max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEAD_MAX as u32);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        run(pin!(connection), http2::Connection::graceful_shutdown, self.head, &asked, self.phase).await
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn answer(router: Router, peer: PeerAddr, asked: Arc<AtomicBool>) -> impl Fn(Request<Incoming>) -> Answer + Clone {
    move |mut request| {
        asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer);
        // A router without state is always ready, so `call` needs no `poll_ready` before it.
        let answer = router.clone().call(request);
        Box::pin(answer)
    }
}

/// Drives a connection; it is cut if no request came in time, and ends after its running requests when draining.
async fn run<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    end: impl Fn(Pin<&mut C>),
    head: Duration,
    asked: &AtomicBool,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), Refusal> {
    let mut first = pin!(sleep(head));
    let (mut waiting, mut open) = (true, true);
    loop {
        tokio::select! {
            done = connection.as_mut() => return done.map_err(|fault| refusal(&fault)).or_else(ended_by_peer),
            () = first.as_mut(), if waiting => {
                waiting = false;
                // hyper bounds the heads of HTTP/1.1, but waits for an HTTP/2 preface for ever.
                if !asked.load(Ordering::Relaxed) {
                    return Err(Refusal::Slow);
                }
            }
            _ = phase.wait_for(|phase| *phase != Phase::Open), if open => {
                open = false;
                end(connection.as_mut());
            }
        }
    }
}

fn refusal(fault: &hyper::Error) -> Option<Refusal> {
    if fault.is_timeout() {
        Some(Refusal::Slow)
    } else if fault.is_parse() {
        Some(Refusal::Http)
    } else {
        None
    }
}

/// A connection that the other side broke off is no refusal of ours.
fn ended_by_peer(refusal: Option<Refusal>) -> Result<(), Refusal> {
    refusal.map_or(Ok(()), Err)
}
