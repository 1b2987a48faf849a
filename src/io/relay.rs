//! Sockets of the open relay: one for each relayed address.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Protocol, Socket, Type};

/// Sockets served in one turn; the others come in the next.
const SOCKETS_A_TURN: usize = 64;
/// Datagrams read from one socket in one turn.
const DATAGRAMS_A_TURN: usize = 16;
/// Longest datagram in bytes; what is longer is cut by the kernel, then dropped by the relay's own bound.
const DATAGRAM_MAX: usize = 2_048;

/// One thread's relay sockets. Waiting for [`AsFd`] waits for all of them.
#[derive(Debug)]
pub struct RelaySockets {
    epoll: Epoll,
    sockets: BTreeMap<SocketAddr, (u64, UdpSocket)>,
    addresses: BTreeMap<u64, SocketAddr>,
    last: u64,
    /// Datagrams that the kernel refused to send.
    pub refused: u64,
}

impl RelaySockets {
    /// No sockets yet.
    ///
    /// # Errors
    /// What the kernel answers to `epoll_create1`.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, sockets: BTreeMap::new(), addresses: BTreeMap::new(), last: 0, refused: 0 })
    }

    /// Opens the socket of a relayed address. An address that is not this machine's is one before a NAT: then the socket
    /// is bound to all addresses.
    ///
    /// # Errors
    /// The port is taken, or no more descriptors.
    pub fn open(&mut self, relayed: SocketAddr) -> io::Result<()> {
        let socket = match bind(relayed) {
            Err(fault) if fault.kind() == io::ErrorKind::AddrNotAvailable => {
                let any = if relayed.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
                bind(SocketAddr::new(any, relayed.port()))?
            }
            bound => bound?,
        };
        self.last += 1;
        self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, self.last))?;
        self.addresses.insert(self.last, relayed);
        self.sockets.insert(relayed, (self.last, socket));
        Ok(())
    }

    /// Closes the socket of a relayed address.
    pub fn close(&mut self, relayed: SocketAddr) {
        if let Some((token, socket)) = self.sockets.remove(&relayed) {
            self.addresses.remove(&token);
            // Closing the descriptor takes it out of the set as well.
            let _ = self.epoll.delete(&socket);
        }
    }

    /// Sends a datagram from a relayed address.
    pub fn send(&mut self, relayed: SocketAddr, peer: SocketAddr, bytes: &[u8]) {
        let sent = self.sockets.get(&relayed).map(|(_, socket)| socket.send_to(bytes, peer));
        self.refused += u64::from(!matches!(sent, Some(Ok(_))));
    }

    /// Reads what has come in, as (relayed address, peer, datagram).
    pub fn recv(&mut self, mut each: impl FnMut(SocketAddr, SocketAddr, &[u8])) {
        if self.sockets.is_empty() {
            return;
        }
        let mut events = [EpollEvent::empty(); SOCKETS_A_TURN];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let mut buffer = [0; DATAGRAM_MAX];
        for event in &events[..count] {
            let Some(relayed) = self.addresses.get(&event.data()) else { continue };
            let Some((_, socket)) = self.sockets.get(relayed) else { continue };
            for _ in 0..DATAGRAMS_A_TURN {
                // Errors of an earlier datagram, such as an ICMP message, come here too and end nothing.
                let Ok((len, peer)) = socket.recv_from(&mut buffer) else { break };
                each(*relayed, peer, &buffer[..len]);
            }
        }
    }
}

impl AsFd for RelaySockets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_with_both_addresses() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut relay = RelaySockets::new().unwrap();
        relay.open(free).unwrap();
        assert_eq!(relay.open(free).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        relay.send(free, peer.local_addr().unwrap(), b"out");
        let mut bytes = [0; 9];
        assert_eq!(peer.recv_from(&mut bytes).unwrap(), (3, free));
        // Over loopback a datagram is there when `send_to` returns.
        peer.send_to(b"in", free).unwrap();
        let mut heard = Vec::new();
        relay.recv(|relayed, from, bytes| heard.push((relayed, from, bytes.to_vec())));
        assert_eq!(heard, [(free, peer.local_addr().unwrap(), b"in".to_vec())]);
        relay.close(free);
        relay.send(free, peer.local_addr().unwrap(), b"gone");
        assert_eq!(relay.refused, 1);
    }
}
