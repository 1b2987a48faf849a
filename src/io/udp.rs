//! The UDP port of the media threads: datagrams in batches from the kernel to the kernel.

mod bind;
mod queue;
mod receive;
mod send;
mod stats;
#[cfg(test)]
mod tests;
mod wait;

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket as Socket};
use std::os::fd::{AsFd, BorrowedFd};

use quinn_udp::UdpSocketState;

pub use self::bind::{BoundSocket, UdpOptions, UdpPort};
pub use self::stats::{BATCH_BOUNDS, UdpStats};
pub use self::wait::{MAX_PORTS, Ready, Sleeper, Waker, sleeper};

use self::queue::SendQueue;
use self::receive::Receiver;
use self::send::Transmitter;

/// The largest datagram taken in or sent, in bytes. Media, STUN and DTLS stay within a path's MTU
/// of about 1500; anything above this is no traffic of ours.
pub const MAX_DATAGRAM: usize = 2048;

/// One received datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Who sent it; an IPv4 address even where it came through a dual-stack socket.
    pub source: SocketAddr,
    /// The address it was sent to, from which answers must leave.
    pub local_ip: Option<IpAddr>,
    /// The payload: 1 to [`MAX_DATAGRAM`] bytes.
    pub bytes: &'a [u8],
}

/// One media thread's socket, with its buffers and its queue of outgoing datagrams.
///
/// It stays on the thread that opened it; what may travel is [`BoundSocket`].
pub struct UdpSocket {
    socket: Socket,
    state: UdpSocketState,
    receiver: Receiver,
    queue: SendQueue,
    transmitter: Transmitter,
    stats: UdpStats,
}

impl UdpSocket {
    fn new(socket: Socket, state: UdpSocketState) -> io::Result<Self> {
        let dual_stack = socket.local_addr()?.is_ipv6();
        let transmitter = Transmitter::new(dual_stack, state.max_gso_segments());
        Ok(Self { socket, state, receiver: Receiver::new(), queue: SendQueue::new(), transmitter, stats: UdpStats::default() })
    }

    /// The address bound, with the port the kernel chose where 0 was asked for.
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers to `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Reads one batch and hands out each datagram of it, in the order of arrival.
    ///
    /// Returns how many were handed out: 0 where nothing waits. Empty and oversized datagrams and
    /// those without a source port are dropped and counted.
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers to `recvmmsg`, except that nothing is there.
    pub fn recv(&mut self, each: impl FnMut(Datagram<'_>)) -> io::Result<usize> {
        self.receiver.recv((&self.state, &self.socket), &mut self.stats, each)
    }

    /// Queues a copy of `bytes` for `destination`, to leave from `local_ip`.
    ///
    /// A full queue is flushed first. Where the kernel takes nothing, the datagram is dropped and
    /// counted: a media thread never blocks. One that cannot be sent at all (port 0, empty, larger
    /// than [`MAX_DATAGRAM`]) is dropped and counted too.
    pub fn send(&mut self, destination: SocketAddr, local_ip: Option<IpAddr>, bytes: &[u8]) {
        if destination.port() == 0 || destination.ip().is_unspecified() || bytes.is_empty() {
            self.stats.dropped_invalid += 1;
            return;
        }
        if bytes.len() > MAX_DATAGRAM {
            self.stats.dropped_oversized += 1;
            return;
        }
        if self.queue.push(destination, local_ip, bytes).is_ok() {
            return;
        }
        self.flush();
        if self.queue.push(destination, local_ip, bytes).is_err() {
            self.stats.dropped_blocked += 1;
        }
    }

    /// Sends what is queued. Returns how many datagrams the kernel would not take yet; they stay
    /// queued, and [`Sleeper::wait`] wakes up when there is room again.
    ///
    /// Datagrams to one destination keep their order. An error of one destination drops the
    /// datagram, which is counted, and does not touch the others.
    pub fn flush(&mut self) -> usize {
        self.transmitter.flush(&self.socket, &mut self.queue, &mut self.stats);
        self.queue.len()
    }

    /// How many datagrams wait to be sent.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// What happened so far.
    pub fn stats(&self) -> UdpStats {
        self.stats
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The IPv4 address inside a v4-mapped one (RFC 4291 §2.5.5.2), else the address itself without
/// its flow label, so that one peer is one key.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
    }
}
