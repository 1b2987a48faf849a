//! The limit under the load of coturn's client: grants whatever it is asked, forwards ChannelData by recvmmsg with sendmmsg.
#![allow(clippy::print_stderr, reason = "it is run by benches/coturn.sh")]

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use konsil::io::udp::{BoundSocket, UdpOptions, UdpPort, sleeper};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use stun_types::attribute::XorMappedAddress;
use stun_types::message::{Message, MessageClass, MessageWrite as _, MessageWriteExt as _, MessageWriteVec};
use turn_types::attribute::{ChannelNumber, Lifetime, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND};

/// How many packets one `sendmmsg` takes here.
const BATCH: usize = 64;
/// First of the relayed ports.
const FIRST: u16 = 49_152;

/// Who has which relayed port, what each channel leads to. The clients are trusted: this is no relay to be used.
#[derive(Default)]
struct Table {
    clients: Vec<SocketAddr>,
    /// By client and channel: the partner's port.
    channels: HashMap<(SocketAddr, u16), u16>,
    /// By client and partner's port: the channel.
    back: HashMap<(SocketAddr, u16), u16>,
    /// By client and channel: the partner and its channel.
    ways: HashMap<(SocketAddr, u16), (SocketAddr, u16)>,
}

impl Table {
    fn port(&mut self, client: SocketAddr) -> u16 {
        let at = self.clients.iter().position(|known| *known == client).unwrap_or_else(|| {
            self.clients.push(client);
            self.clients.len() - 1
        });
        FIRST + u16::try_from(at).unwrap_or(0)
    }

    fn bind(&mut self, client: SocketAddr, channel: u16, to: u16) {
        self.channels.insert((client, channel), to);
        self.back.insert((client, to), channel);
        let own = self.port(client);
        let Some(partner) = self.clients.get(usize::from(to.saturating_sub(FIRST))).copied() else { return };
        if let Some(back) = self.back.get(&(partner, own)) {
            self.ways.insert((client, channel), (partner, *back));
            self.ways.insert((partner, *back), (client, channel));
        }
    }
}

/// `floor ADDRESS:PORT THREADS` serves until it is killed.
fn main() -> io::Result<()> {
    let mut words = std::env::args().skip(1);
    let address = words.next().and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidInput)?;
    let threads = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
    let port = UdpPort::bind(address, threads, &UdpOptions::default())?;
    let table = RwLock::new(Table::default());
    thread::scope(|scope| {
        for socket in port.sockets {
            scope.spawn(|| serve(socket, address, &table).unwrap_or_else(|error| eprintln!("a thread of the floor ended: {error}")));
        }
    });
    Ok(())
}

fn serve(socket: BoundSocket, relay: SocketAddr, table: &RwLock<Table>) -> io::Result<()> {
    let mut socket = socket.open()?;
    let plain = UdpSocket::from(socket.as_fd().try_clone_to_owned()?);
    let (sleeper, _waker) = sleeper()?;
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    let (mut arena, mut packets, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        sleeper.wait(std::slice::from_ref(&socket), Some(Duration::from_millis(500)))?;
        arena.clear();
        packets.clear();
        let known = table.read().unwrap_or_else(PoisonError::into_inner);
        socket.recv(|datagram| match datagram.bytes {
            [a @ 0x40..=0x7f, b, rest @ ..] => {
                if let Some((partner, channel)) = known.ways.get(&(datagram.source, u16::from_be_bytes([*a, *b]))) {
                    let begin = arena.len();
                    arena.extend_from_slice(&channel.to_be_bytes());
                    arena.extend_from_slice(rest);
                    packets.push((*partner, begin..arena.len()));
                }
            }
            bytes => asked.push((datagram.source, bytes.to_vec())),
        })?;
        drop(known);
        for (source, request) in asked.drain(..) {
            let answer = answer(source, &request, relay, &mut table.write().unwrap_or_else(PoisonError::into_inner));
            if let Some(answer) = answer {
                plain.send_to(&answer, source)?;
            }
        }
        for batch in packets.chunks(BATCH) {
            let slices: Vec<_> = batch.iter().map(|(_, range)| [IoSlice::new(&arena[range.clone()])]).collect();
            let addresses: Vec<_> = batch.iter().map(|(address, _)| Some(SockaddrStorage::from(*address))).collect();
            sendmmsg(plain.as_raw_fd(), &mut headers, &slices, &addresses, [], MsgFlags::MSG_DONTWAIT)?.count();
        }
    }
}

/// Whatever is asked for is granted.
fn answer(source: SocketAddr, request: &[u8], relay: SocketAddr, table: &mut Table) -> Option<Vec<u8>> {
    let request = Message::from_bytes(request).ok().filter(|request| request.class() == MessageClass::Request)?;
    let transaction = request.transaction_id();
    let mut answer = Message::builder_success(&request, MessageWriteVec::new());
    answer.add_attribute(&XorMappedAddress::new(source, transaction)).ok()?;
    answer.add_attribute(&Lifetime::new(600)).ok()?;
    if request.has_method(ALLOCATE) {
        answer.add_attribute(&XorRelayedAddress::new(SocketAddr::new(relay.ip(), table.port(source)), transaction)).ok()?;
    } else if request.has_method(CHANNEL_BIND) {
        let peer = request.attribute::<XorPeerAddress>().ok()?.addr(transaction);
        table.bind(source, request.attribute::<ChannelNumber>().ok()?.channel(), peer.port());
    }
    Some(answer.finish())
}
