//! The limit: a loop that receives, opens once, seals for each subscriber, sends, nothing else.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use konsil::io::udp::{UdpOptions, UdpPort, UdpSocket as BatchedSocket, sleeper};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};
use quinn_udp::{Transmit, UdpSocketState};

use crate::load::Load;
use crate::people::People;
use crate::srtp::{Cipher, HEADER, TAG, write_header};

/// How many packets one `sendmmsg` takes here.
const BATCH: usize = 64;
/// The most payload of one offloaded send.
const COALESCED: usize = 65_000;

/// How the bare loop sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// All packets in `sendmmsg` calls.
    Batched,
    /// One `sendmsg` with segmentation offload for equal neighbours to one destination.
    Offloaded,
    /// As Konsil's media threads send: `konsil::io::udp`.
    Queued,
}

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU time of the forwarding thread for each packet it sent, in microseconds.
    pub micros: f64,
    /// Packets in one sending system call.
    pub per_call: f64,
    /// Received by the load of what was sent, 0 to 1.
    pub delivered: f64,
}

/// Runs `load` for `span` through one bare loop on loopback.
pub fn run(load: Load, sending: Sending, span: Duration) -> io::Result<Cost> {
    let mut people = People::new(load)?;
    let addresses = people.addresses()?;
    let mut port = UdpPort::bind((Ipv4Addr::LOCALHOST, 0).into(), 1, &UdpOptions::default())?;
    let Some(bound) = port.sockets.pop() else { return Err(io::ErrorKind::NotFound.into()) };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| Loop::new(load, sending, bound.open()?, addresses)?.run(&over));
        let received = people.run(port.local, span, &over)?;
        let total = server.join().map_err(|_| io::Error::other("the bare loop panicked"))??;
        let sent = total.sent as f64;
        Ok(Cost { micros: total.cpu.as_secs_f64() * 1e6 / sent, per_call: sent / total.calls as f64, delivered: received as f64 / sent })
    })
}

/// What the forwarding thread did.
#[derive(Default)]
struct Spent {
    cpu: Duration,
    sent: u64,
    calls: u64,
}

/// A person as the loop sees them.
struct Peer {
    address: SocketAddr,
    cipher: Cipher,
    sequence: u16,
    receivers: Vec<usize>,
}

struct Loop {
    socket: BatchedSocket,
    sender: Sender,
    peers: Vec<Peer>,
    by_address: HashMap<SocketAddr, usize>,
    /// Opened packets of the current batch: who sent it, where it lies in `clear`.
    opened: Vec<(usize, Range<usize>)>,
    clear: Vec<u8>,
}

impl Loop {
    fn new(load: Load, sending: Sending, socket: BatchedSocket, addresses: Vec<SocketAddr>) -> io::Result<Self> {
        let by_address = addresses.iter().enumerate().map(|(number, address)| (*address, number)).collect();
        let peers = addresses
            .into_iter()
            .enumerate()
            .map(|(number, address)| Ok(Peer { address, cipher: Cipher::new(number)?, sequence: 0, receivers: load.receivers(number) }));
        let peers = peers.collect::<io::Result<_>>()?;
        let sender = Sender::new(sending, &socket)?;
        Ok(Self { socket, sender, peers, by_address, opened: Vec::new(), clear: Vec::new() })
    }

    fn run(mut self, over: &AtomicBool) -> io::Result<Spent> {
        let (sleeper, _waker) = sleeper()?;
        let start = Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?);
        while !over.load(Ordering::Acquire) {
            sleeper.wait(std::slice::from_ref(&self.socket), Some(Duration::from_millis(50)))?;
            self.receive()?;
            self.forward()?;
        }
        let cpu = Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?).saturating_sub(start);
        let stats = self.socket.stats();
        Ok(Spent { cpu, sent: self.sender.sent + stats.sent, calls: self.sender.calls + stats.send_calls })
    }

    fn receive(&mut self) -> io::Result<()> {
        let Self { socket, peers, by_address, opened, clear, .. } = self;
        opened.clear();
        clear.clear();
        let mut failed = None;
        socket.recv(|datagram| {
            let Some(number) = by_address.get(&datagram.source) else { return };
            let start = clear.len();
            clear.extend_from_slice(datagram.bytes);
            match peers[*number].cipher.open(&mut clear[start..]) {
                Ok(()) => opened.push((*number, start..clear.len() - TAG)),
                Err(error) => failed = Some(error),
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Seals what one person sent in a row for one subscriber after the other.
    fn forward(&mut self) -> io::Result<()> {
        for row in self.opened.chunk_by(|a, b| a.0 == b.0) {
            let Some((publisher, _)) = row.first() else { continue };
            for index in 0..self.peers[*publisher].receivers.len() {
                let receiver = self.peers[*publisher].receivers[index];
                let peer = &mut self.peers[receiver];
                for (_, clear) in row {
                    peer.sequence = peer.sequence.wrapping_add(1);
                    let start = self.sender.arena.len();
                    self.sender.arena.extend_from_slice(&self.clear[clear.clone()]);
                    write_header(&mut self.sender.arena[start..start + HEADER], peer.sequence, 0x2000);
                    peer.cipher.seal(&mut self.sender.arena, start)?;
                    self.sender.packets.push((peer.address, start..self.sender.arena.len()));
                }
            }
        }
        self.sender.send(&mut self.socket)
    }
}

/// The packets to send, and the ways to send them.
struct Sender {
    sending: Sending,
    arena: Vec<u8>,
    packets: Vec<(SocketAddr, Range<usize>)>,
    headers: MultiHeaders<SockaddrStorage>,
    offload: (UdpSocket, UdpSocketState),
    sent: u64,
    calls: u64,
}

impl Sender {
    fn new(sending: Sending, socket: &BatchedSocket) -> io::Result<Self> {
        let plain = UdpSocket::from(std::os::fd::AsFd::as_fd(socket).try_clone_to_owned()?);
        let state = UdpSocketState::new((&plain).into())?;
        // It has just asked for more with each received datagram than io::udp does.
        setsockopt(&plain, sockopt::ReceiveTimestampns, &false)?;
        setsockopt(&plain, sockopt::IpRecvTos, &false)?;
        let headers = MultiHeaders::preallocate(BATCH, None);
        Ok(Self { sending, arena: Vec::new(), packets: Vec::new(), headers, offload: (plain, state), sent: 0, calls: 0 })
    }

    fn send(&mut self, socket: &mut BatchedSocket) -> io::Result<()> {
        match self.sending {
            Sending::Batched => self.send_batched()?,
            Sending::Offloaded => self.send_offloaded()?,
            Sending::Queued => {
                for (address, range) in &self.packets {
                    socket.send(*address, Some(Ipv4Addr::LOCALHOST.into()), &self.arena[range.clone()]);
                }
                socket.flush();
            }
        }
        self.packets.clear();
        self.arena.clear();
        Ok(())
    }

    fn send_batched(&mut self) -> io::Result<()> {
        for batch in self.packets.chunks(BATCH) {
            let slices: Vec<_> = batch.iter().map(|(_, range)| [IoSlice::new(&self.arena[range.clone()])]).collect();
            let addresses: Vec<_> = batch.iter().map(|(address, _)| Some(SockaddrStorage::from(*address))).collect();
            let fd = self.offload.0.as_raw_fd();
            self.sent += sendmmsg(fd, &mut self.headers, &slices, &addresses, [], MsgFlags::MSG_DONTWAIT)?.count() as u64;
            self.calls += 1;
        }
        Ok(())
    }

    fn send_offloaded(&mut self) -> io::Result<()> {
        let (socket, state) = &self.offload;
        let mut rest = &self.packets[..];
        while let Some((destination, first)) = rest.first() {
            let limit = state.max_gso_segments().min(COALESCED / first.len());
            let run = rest.iter().take(limit).take_while(|(to, range)| to == destination && range.len() == first.len()).count();
            let contents = &self.arena[first.start..rest[run - 1].1.end];
            let transmit = Transmit { destination: *destination, ecn: None, contents, segment_size: Some(first.len()), src_ip: None };
            state.try_send(socket.into(), &transmit)?;
            self.sent += run as u64;
            self.calls += 1;
            rest = &rest[run..];
        }
        Ok(())
    }
}
