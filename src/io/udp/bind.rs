//! Binding one UDP port for several threads.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as Socket};

use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::UdpSocketState;
use socket2::{Domain, Protocol, SockAddr, Type};

use super::UdpSocket;

/// How the sockets of a port are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Wanted size of each socket's receive buffer in bytes; the kernel gives at most
    /// `net.core.rmem_max`.
    pub receive_buffer: usize,
    /// Wanted size of each socket's send buffer in bytes; the kernel gives at most
    /// `net.core.wmem_max`.
    pub send_buffer: usize,
    /// Differentiated services code point of what is sent (RFC 2474 §3), 0 to 63; 0 is best effort.
    pub dscp: u8,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { receive_buffer: 8 << 20, send_buffer: 4 << 20, dscp: 0 }
    }
}

/// One UDP port, bound for a number of threads.
#[derive(Debug)]
pub struct UdpPort {
    /// The address bound, with the port the kernel chose where 0 was asked for.
    pub local: SocketAddr,
    /// The smallest receive buffer that a socket got, in bytes.
    pub receive_buffer: usize,
    /// The smallest send buffer that a socket got, in bytes.
    pub send_buffer: usize,
    /// One socket for each thread. The kernel picks the socket by a flow's addresses and ports.
    pub sockets: Vec<BoundSocket>,
}

/// A bound socket on its way to its thread.
#[derive(Debug)]
pub struct BoundSocket {
    socket: Socket,
    state: UdpSocketState,
}

impl BoundSocket {
    /// Allocates the buffers, on the thread that will use the socket.
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers to `getsockname`.
    pub fn open(self) -> io::Result<UdpSocket> {
        UdpSocket::new(self.socket, self.state)
    }
}

impl UdpPort {
    /// Binds `threads` sockets to `address`. `[::]` takes IPv4 too, and where the machine has no
    /// IPv6 it means `0.0.0.0`.
    ///
    /// # Errors
    ///
    /// `AddrInUse` where any process holds the port, a second server of the same user included;
    /// `InvalidInput` for 0 threads or a DSCP above 63; else what the kernel answers.
    pub fn bind(address: SocketAddr, threads: usize, options: &UdpOptions) -> io::Result<Self> {
        if threads == 0 || options.dscp > 63 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a UDP port needs a thread and a DSCP of at most 63"));
        }
        // The first socket binds without SO_REUSEPORT, or a second server would join the group and
        // take half of the flows. The option is set afterwards, so there is no moment at which the
        // port is free for another process between a probe and the real socket.
        let (first, local) = first_socket(address).map_err(|error| explain(error, address))?;
        first.set_reuse_port(true)?;
        let mut sockets = vec![first];
        for _ in 1..threads {
            let next = socket(local)?;
            next.set_reuse_port(true)?;
            next.bind(&SockAddr::from(local)).map_err(|error| explain(error, local))?;
            sockets.push(next);
        }
        let mut port = Self { local, receive_buffer: usize::MAX, send_buffer: usize::MAX, sockets: Vec::with_capacity(threads) };
        for socket in sockets {
            port.configure(socket, options)?;
        }
        Ok(port)
    }

    fn configure(&mut self, socket: socket2::Socket, options: &UdpOptions) -> io::Result<()> {
        socket.set_recv_buffer_size(options.receive_buffer)?;
        socket.set_send_buffer_size(options.send_buffer)?;
        // The kernel reports twice what it granted (socket(7)): the other half is its bookkeeping.
        self.receive_buffer = self.receive_buffer.min(socket.recv_buffer_size()? / 2);
        self.send_buffer = self.send_buffer.min(socket.send_buffer_size()? / 2);
        let traffic_class = u32::from(options.dscp) << 2;
        socket.set_tos_v4(traffic_class)?;
        if self.local.is_ipv6() {
            socket.set_tclass_v6(traffic_class)?;
        }
        // Sets don't-fragment, GRO, PKTINFO and non-blocking.
        let state = UdpSocketState::new((&socket).into())?;
        // It also asks for ECN bits and time stamps with every datagram, which nobody reads here.
        setsockopt(&socket, sockopt::ReceiveTimestampns, &false)?;
        setsockopt(&socket, sockopt::IpRecvTos, &false)?;
        if self.local.is_ipv6() {
            setsockopt(&socket, sockopt::Ipv6RecvTClass, &false)?;
        }
        self.sockets.push(BoundSocket { socket: socket.into(), state });
        Ok(())
    }
}

fn first_socket(address: SocketAddr) -> io::Result<(socket2::Socket, SocketAddr)> {
    let bound = match bind_alone(address) {
        Err(error) => bind_alone(without_ipv6(address, &error).ok_or(error)?)?,
        Ok(socket) => socket,
    };
    let local = bound.local_addr()?.as_socket().ok_or_else(|| io::Error::other("a UDP socket without an address"))?;
    Ok((bound, local))
}

fn bind_alone(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket(address)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn socket(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // A specific IPv6 address can receive no IPv4, but sharing one setting does no harm.
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

/// What to bind instead where `[::]` failed because the machine has no IPv6.
fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let missing = matches!(error.raw_os_error(), Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL));
    let any = address.is_ipv6() && address.ip().is_unspecified();
    (missing && any).then(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
}

/// Says which port is taken: the one mistake that every operator makes once.
fn explain(error: io::Error, address: SocketAddr) -> io::Error {
    if error.kind() == io::ErrorKind::AddrInUse {
        return io::Error::new(error.kind(), format!("UDP port {} is held by another process", address.port()));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_listens_on_ipv4() {
        let missing = io::Error::from_raw_os_error(nix::libc::EAFNOSUPPORT);
        let any: SocketAddr = "[::]:3478".parse().unwrap();
        assert_eq!(without_ipv6(any, &missing), Some("0.0.0.0:3478".parse().unwrap()));
        assert_eq!(without_ipv6("[::1]:3478".parse().unwrap(), &missing), None);
        assert_eq!(without_ipv6(any, &io::Error::from_raw_os_error(nix::libc::EADDRINUSE)), None);
    }

    #[test]
    fn impossible_options_are_refused() {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        for (threads, dscp) in [(0, 0), (1, 64)] {
            let error = UdpPort::bind(local, threads, &UdpOptions { dscp, ..UdpOptions::default() }).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
