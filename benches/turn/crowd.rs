//! The pairs that load a relay: sockets that send ChannelData on a beat.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use konsil::io::udp::sleeper;

use crate::Load;

/// Payload of a packet in bytes.
const PAYLOAD: u16 = 1_100;
/// The channel that everybody uses.
pub const CHANNEL: u16 = 0x4001;
/// How often the receiving sockets are emptied. They are not waited for: a wake-up of the load would be charged to the
/// thread that sends to it.
const DRAIN: Duration = Duration::from_millis(2);

/// All the sockets of a load: 2n and 2n + 1 are a pair.
pub struct Crowd {
    pub sockets: Vec<UdpSocket>,
    packet: Vec<u8>,
    sent: u64,
    received: u64,
}

impl Crowd {
    pub fn new(load: Load) -> io::Result<Self> {
        let socket = |_| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket2::SockRef::from(&socket).set_recv_buffer_size(1 << 20)?;
            Ok(socket)
        };
        let sockets = (0..2 * load.pairs).map(socket).collect::<io::Result<_>>()?;
        let mut packet = CHANNEL.to_be_bytes().to_vec();
        packet.extend(PAYLOAD.to_be_bytes());
        packet.resize(packet.len() + usize::from(PAYLOAD), 7);
        Ok(Self { sockets, packet, sent: 0, received: 0 })
    }

    /// Sends to `server` for `span`, everybody at moments of their own. Returns what was sent and received.
    pub fn play(&mut self, load: Load, server: SocketAddr, span: Duration) -> io::Result<(u64, u64)> {
        let (clock, _waker) = sleeper()?;
        for socket in &self.sockets {
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
        }
        let (count, beat) = (u32::try_from(self.sockets.len()).expect("few sockets"), Duration::from_secs(1) / load.rate);
        let step = beat / count;
        let (start, mut drain) = (Instant::now(), Instant::now());
        (self.sent, self.received) = (0, 0);
        for number in 0_u32.. {
            let due = start + step * number;
            if due >= start + span {
                break;
            }
            while Instant::now() < due {
                if Instant::now() >= drain {
                    self.drain()?;
                    drain = Instant::now() + DRAIN;
                }
                clock.wait(&[], Some(due.min(drain).saturating_duration_since(Instant::now())))?;
            }
            // The kernel may have no room for a packet, as in life.
            let sent = self.sockets[(number % count) as usize].send(&self.packet);
            self.sent += u64::from(sent.is_ok());
        }
        let end = Instant::now() + 10 * DRAIN;
        while Instant::now() < end {
            self.drain()?;
            clock.wait(&[], Some(DRAIN))?;
        }
        Ok((self.sent, self.received))
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 2048];
        for socket in &self.sockets {
            loop {
                match socket.recv(&mut buffer) {
                    Ok(len) => self.received += u64::from(len == self.packet.len()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
