//! How many connections may be open, in all or from one source.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::model::network::subscriber;

/// Why a connection was closed by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All connections are taken.
    Full,
    /// All connections of its source are taken.
    SourceFull,
    /// First bytes, handshake or request took too long.
    Slow,
    /// TLS could not agree.
    Handshake,
    /// HTTP in clear on the TLS port.
    ClearHttp,
    /// Neither TLS nor HTTP.
    Unknown,
    /// HTTP that is broken.
    Http,
    /// A load balancer that does not say for whom it connects.
    NoProxyHeader,
}

impl Refusal {
    /// All of them, in the order of [`EdgeStats::refused`].
    pub const ALL: [Self; 8] =
        [Self::Full, Self::SourceFull, Self::Slow, Self::Handshake, Self::ClearHttp, Self::Unknown, Self::Http, Self::NoProxyHeader];

    /// A name for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::SourceFull => "source_full",
            Self::Slow => "slow",
            Self::Handshake => "handshake",
            Self::ClearHttp => "clear_http",
            Self::Unknown => "unknown",
            Self::Http => "http",
            Self::NoProxyHeader => "no_proxy_header",
        }
    }
}

/// Counters since the start, and what is open now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeStats {
    /// Connections open now, those of a WebSocket included.
    pub open: usize,
    /// Connections that were let in.
    pub admitted: u64,
    /// Connections closed by us, in the order of [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
}

/// How many connections are open.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    all: usize,
    /// Those of them that carry media.
    media: usize,
}

/// Counts connections; addresses stay in memory, and only while a connection is open.
#[derive(Debug)]
pub(super) struct Admission {
    most: usize,
    most_per_source: usize,
    sources: Mutex<BTreeMap<IpAddr, usize>>,
    open: watch::Sender<Open>,
    admitted: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Admission {
    pub(super) fn new(most: usize, most_per_source: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_source,
            sources: Mutex::default(),
            open: watch::Sender::default(),
            admitted: AtomicU64::new(0),
            refused: Default::default(),
        })
    }

    /// Lets a connection in, or counts why not. A load balancer's connections are its clients': only their number in all
    /// is bounded, until [`Permit::belongs_to`] says whose they are.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, balancer: bool) -> Option<Permit> {
        let source = subscriber(address);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that listeners side by side do not let in one too many.
        if self.open() >= self.most {
            self.count(Refusal::Full);
            return None;
        }
        let count = sources.entry(source).or_default();
        if *count >= self.most_per_source && !balancer {
            self.count(Refusal::SourceFull);
            return None;
        }
        *count += 1;
        self.open.send_modify(|open| open.all += 1);
        self.admitted.fetch_add(1, Ordering::Relaxed);
        Some(Permit { admission: self.clone(), source, media: false })
    }

    pub(super) fn count(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn open(&self) -> usize {
        self.open.borrow().all
    }

    /// Connections that carry no media.
    pub(super) fn asking(&self) -> usize {
        let Open { all, media } = *self.open.borrow();
        all - media
    }

    /// Waits until so many connections are open.
    #[cfg(test)]
    pub(super) async fn open_is(&self, count: usize) {
        let _ = self.open.subscribe().wait_for(|open| open.all == count).await;
    }

    /// Waits until the open connections, if any, carry media.
    pub(super) async fn none_asks(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.open.subscribe().wait_for(|open| open.all == open.media).await;
    }

    pub(super) fn stats(&self) -> EdgeStats {
        let refused = std::array::from_fn(|at| self.refused[at].load(Ordering::Relaxed));
        EdgeStats { open: self.open(), admitted: self.admitted.load(Ordering::Relaxed), refused }
    }
}

/// The right of one connection to be open; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    source: IpAddr,
    media: bool,
}

impl Permit {
    fn carries_media(&mut self) {
        if !std::mem::replace(&mut self.media, true) {
            self.admission.open.send_modify(|open| open.media += 1);
        }
    }

    /// Counts the connection as this client's. `false` if all of the client's are taken.
    fn belongs_to(&mut self, client: IpAddr) -> bool {
        let client = subscriber(client);
        let mut sources = self.admission.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sources.entry(client).or_default();
        if *count >= self.admission.most_per_source {
            return false;
        }
        *count += 1;
        leave(&mut sources, self.source);
        self.source = client;
        true
    }
}

fn leave(sources: &mut BTreeMap<IpAddr, usize>, source: IpAddr) {
    if let Some(count) = sources.get_mut(&source) {
        *count -= 1;
        if *count == 0 {
            sources.remove(&source);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        leave(&mut self.admission.sources.lock().unwrap_or_else(PoisonError::into_inner), self.source);
        self.admission.open.send_modify(|open| {
            open.all -= 1;
            open.media -= usize::from(self.media);
        });
    }
}

/// A stream that holds its permit, so that it counts for as long as it is open, also after an upgrade.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    permit: Permit,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, permit: Permit) -> Self {
        Self { stream, permit }
    }

    /// Counts the connection as this client's. `false` if all of the client's are taken.
    pub(super) fn belongs_to(&mut self, client: IpAddr) -> bool {
        self.permit.belongs_to(client)
    }

    /// Counts the connection as one that carries media.
    pub(super) fn carries_media(&mut self) {
        self.permit.carries_media();
    }

    pub(super) fn get(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(admission: &Arc<Admission>, address: &str) -> Option<Permit> {
        admission.admit(address.parse().unwrap(), false)
    }

    #[test]
    fn sources_are_bounded_and_forgotten() {
        let admission = Admission::new(10, 2);
        let permits = [admit(&admission, "192.0.2.1"), admit(&admission, "::ffff:192.0.2.1")];
        assert!(permits.iter().all(Option::is_some));
        assert!(admit(&admission, "192.0.2.1").is_none());
        let other = admit(&admission, "192.0.2.2");
        assert!(other.is_some());
        drop((permits, other));
        assert!(admission.sources.lock().unwrap().is_empty());
        assert!(admit(&admission, "192.0.2.1").is_some());
        assert_eq!(admission.stats().refused[Refusal::SourceFull as usize], 1);
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let admission = Admission::new(10, 1);
        let _one = admit(&admission, "2001:db8:0:1::1").unwrap();
        assert!(admit(&admission, "2001:db8:0:1:ffff::2").is_none());
        assert!(admit(&admission, "2001:db8:0:2::1").is_some());
    }

    #[test]
    fn all_connections_are_bounded() {
        let admission = Admission::new(2, 2);
        let _permits = [admit(&admission, "192.0.2.1").unwrap(), admit(&admission, "192.0.2.2").unwrap()];
        assert!(admit(&admission, "192.0.2.3").is_none());
        let stats = admission.stats();
        assert_eq!((stats.open, stats.admitted, stats.refused[Refusal::Full as usize]), (2, 2, 1));
        assert_eq!(admission.sources.lock().unwrap().len(), 2);
    }

    #[test]
    fn refusals_stand_where_they_are_counted() {
        for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, at);
        }
    }
}
