//! The TCP side: our own accept loop, which looks at the first bytes before it decides what they are.

mod admission;
mod first;
mod proxy;
mod requests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use admission::{Admission, Guarded};
pub use admission::{EdgeStats, Refusal};
use first::First;
pub use proxy::parse as proxied_client;
pub use requests::PeerAddr;

use super::media::MediaHandle;
use super::stream;
use crate::model::ids::StreamId;
use crate::model::network::Network;
use crate::turn::Flow;
use crate::turn::framing::Framing;

/// Connections that the kernel queues for us.
const BACKLOG: i32 = 1024;
/// A pause when the system has no more file descriptors, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// An unanswered packet ends a connection after this time: as long as ICE consent lasts (RFC 7675 §5.1).
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Bytes that the kernel holds beyond what is on its way.
const UNSENT_MAX: u32 = 8 * 1024;

/// Bounds of all listeners of one [`Edge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Open connections, those of a WebSocket included.
    pub connections: usize,
    /// Open connections from one IPv4 address or IPv6 /64.
    pub per_source: usize,
    /// Time for the first bytes of a connection.
    pub first_bytes: Duration,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for the first bytes inside TLS, for a request's whole head, and for an idle HTTP/1 connection.
    pub head: Duration,
}

impl EdgeLimits {
    /// The usual times with these counts.
    #[must_use]
    pub fn new(connections: usize, per_source: usize) -> Self {
        let time = Duration::from_secs(10);
        Self { connections, per_source, first_bytes: time, handshake: time, head: Duration::from_secs(20) }
    }
}

/// How a listener is covered.
#[derive(Clone)]
pub enum Cover {
    /// TLS; HTTP in clear gets an answer that says so.
    Tls(Arc<ServerConfig>),
    /// HTTP/1.1 in clear, for loopback and metrics.
    Clear,
}

/// What an edge has behind and before it.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// Who takes media, if anybody does.
    pub media: Option<MediaHandle>,
    /// Networks of load balancers, which must say by the PROXY protocol for whom they connect. Nobody else is believed.
    pub trusted_proxies: Vec<Network>,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Closed,
}

/// The listeners' common bounds, counters and end.
pub struct Edge {
    limits: EdgeLimits,
    admission: Arc<Admission>,
    phase: watch::Sender<Phase>,
    surroundings: Surroundings,
    last_stream: AtomicU64,
}

/// Binds a TCP listener; an unspecified IPv6 address takes IPv4 as well.
///
/// # Errors
/// What the system answers, such as an address in use. It must be called inside a tokio runtime.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restart must not wait for connections of the process before (TIME_WAIT).
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl Edge {
    /// An edge without listeners.
    #[must_use]
    pub fn new(limits: EdgeLimits, surroundings: Surroundings) -> Arc<Self> {
        let admission = Admission::new(limits.connections, limits.per_source);
        Arc::new(Self { limits, admission, phase: watch::Sender::new(Phase::Open), surroundings, last_stream: AtomicU64::new(0) })
    }

    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> EdgeStats {
        self.admission.stats()
    }

    /// Accepts connections for `router` until [`Edge::drain`], then closes the port.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, cover: Cover, router: Router) {
        let mut phase = self.phase.subscribe();
        loop {
            let accepted = tokio::select! {
                _ = phase.wait_for(|phase| *phase != Phase::Open) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, &cover, &router),
                Err(fault) if is_of_one_connection(&fault) => {}
                Err(fault) => {
                    tracing::warn!(error = %fault.kind(), "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Stops accepting, closes connections that have asked nothing yet, lets running requests end at most until `deadline`, then cuts all.
    ///
    /// Upgraded connections (WebSocket) are their handlers' to close; they are waited for, but not cut. Those that carry media
    /// end with the server: to wait for them would only keep their clients from the next one.
    /// It returns how many connections were left at the deadline, those with media not among them.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.phase.send_replace(Phase::Draining);
        let left = if timeout(deadline, self.admission.none_asks()).await.is_ok() { 0 } else { self.admission.asking() };
        self.phase.send_replace(Phase::Closed);
        left
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, cover: &Cover, router: &Router) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let balancer = self.surroundings.trusted_proxies.iter().any(|network| network.contains(peer.ip()));
        let Some(permit) = self.admission.admit(peer.ip(), balancer) else { return };
        if prepare(&stream).is_err() {
            return;
        }
        let (edge, cover, router) = (self.clone(), cover.clone(), router.clone());
        tokio::spawn(async move {
            let mut phase = edge.phase.subscribe();
            let stream = Guarded::new(stream, permit);
            let closed = phase.wait_for(|phase| *phase == Phase::Closed);
            tokio::select! {
                _ = closed => {}
                refusal = edge.behind(balancer, stream, peer, cover, router) => {
                    if let Err(refusal) = refusal {
                        edge.admission.count(refusal);
                    }
                }
            }
        });
    }

    /// Serves a connection, which a balancer may have made for somebody else.
    async fn behind(
        &self,
        balancer: bool,
        mut stream: Guarded<TcpStream>,
        peer: SocketAddr,
        cover: Cover,
        router: Router,
    ) -> Result<(), Refusal> {
        if !balancer {
            return self.connection(stream, peer, cover, router).await;
        }
        let header = timeout(self.limits.first_bytes, proxy::client(&mut stream)).await.map_err(|_| Refusal::Slow)?;
        match header {
            Ok(Some(client)) if stream.belongs_to(client.ip()) => self.connection(stream, client, cover, router).await,
            Ok(Some(_)) => Err(Refusal::SourceFull),
            Ok(None) => self.connection(stream, peer, cover, router).await,
            Err(fault) if fault.kind() == io::ErrorKind::InvalidData => Err(Refusal::NoProxyHeader),
            // A health check that says nothing.
            Err(_) => Ok(()),
        }
    }

    async fn connection(&self, stream: Guarded<TcpStream>, peer: SocketAddr, cover: Cover, router: Router) -> Result<(), Refusal> {
        let mut phase = self.phase.subscribe();
        let service = requests::Service::new(router, PeerAddr(peer), self.limits.head, phase.clone());
        let Cover::Tls(config) = cover else { return service.http1(stream).await };
        let stream = tokio::select! {
            // Who has not asked anything yet loses nothing.
            _ = phase.wait_for(|phase| *phase != Phase::Open) => return Ok(()),
            stream = self.uncover(stream, config) => stream?,
        };
        match stream {
            Some(Found::Http(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => service.http2(stream).await,
            Some(Found::Http(stream)) => service.http1(stream).await,
            Some(Found::MediaInTls(mut stream)) => {
                stream.get_mut().0.carries_media();
                let local = stream.get_ref().0.get().local_addr();
                self.carry(stream, local, peer, Framing::Turn).await
            }
            Some(Found::Media(mut stream, framing)) => {
                stream.carries_media();
                let local = stream.get().local_addr();
                self.carry(stream, local, peer, framing).await
            }
            None => Ok(()),
        }
    }

    /// Carries media until one side ends it. When the server goes down, calls go on until the end.
    async fn carry<S>(&self, stream: S, local: io::Result<SocketAddr>, remote: SocketAddr, framing: Framing) -> Result<(), Refusal>
    where
        S: AsyncRead + AsyncWrite + Send,
    {
        let (Some(media), Ok(local)) = (self.surroundings.media.clone(), local) else { return Err(Refusal::Unknown) };
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let id = StreamId(self.last_stream.fetch_add(1, Ordering::Relaxed) + 1);
        let kept = stream::serve(stream, Flow { remote, local, stream: Some(id) }, framing, media).await;
        if kept { Ok(()) } else { Err(Refusal::Unknown) }
    }

    /// Takes a connection from its first bytes to what it carries; `None` if the other side went away.
    async fn uncover(&self, stream: Guarded<TcpStream>, config: Arc<ServerConfig>) -> Result<Option<Found>, Refusal> {
        match timeout(self.limits.first_bytes, first::look(stream.get())).await.map_err(|_| Refusal::Slow)? {
            Ok(First::Tls) => {}
            Ok(First::Http) => {
                // Whether the answer arrives is the client's business.
                let _ = timeout(self.limits.first_bytes, first::refuse_clear_http(stream)).await;
                return Err(Refusal::ClearHttp);
            }
            Ok(First::Media(framing)) => return Ok(Some(Found::Media(stream, framing))),
            Ok(First::Other | First::Unsure) => return Err(Refusal::Unknown),
            Ok(First::Nothing) | Err(_) => return Ok(None),
        }
        let handshake = timeout(self.limits.handshake, TlsAcceptor::from(config).accept(stream));
        let mut stream = handshake.await.map_err(|_| Refusal::Slow)?.map_err(|_| Refusal::Handshake)?;
        match timeout(self.limits.head, first::look_inside(&mut stream)).await.map_err(|_| Refusal::Slow)? {
            Ok(First::Http) => Ok(Some(Found::Http(stream))),
            Ok(First::Media(_)) => Ok(Some(Found::MediaInTls(stream))),
            Ok(First::Nothing) | Err(_) => Ok(None),
            Ok(First::Tls | First::Other | First::Unsure) => Err(Refusal::Unknown),
        }
    }
}

/// What a connection turned out to be.
enum Found {
    /// HTTP inside TLS.
    Http(Inside),
    /// TURN inside TLS.
    MediaInTls(Inside),
    /// TURN or ICE in clear: what they carry is encrypted.
    Media(Guarded<TcpStream>, Framing),
}

/// What is inside TLS.
type Inside = TlsStream<Guarded<TcpStream>>;

/// Small messages leave at once, and a peer that vanished is noticed.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // What the kernel holds cannot be dropped when it is late.
    socket.set_tcp_notsent_lowat(UNSENT_MAX)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE_MAX).with_interval(SILENCE_MAX / 3))?;
    socket.set_tcp_user_timeout(Some(SILENCE_MAX))
}

/// Faults that accept(2) passes on from a connection that ended before it was accepted.
fn is_of_one_connection(fault: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(fault.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
