//! The people who load the bare loop: sockets with nothing but a cipher.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use konsil::io::udp::sleeper;
use konsil::model::media::MediaKind;

use crate::load::{AUDIO, Load, Schedule, VIDEO};
use crate::srtp::{Cipher, HEADER, write_header};

/// How often the receiving sockets are emptied. They are not waited for: a wake-up of the load
/// would be charged to the thread that sends to it.
pub const DRAIN: Duration = Duration::from_millis(2);

/// A person's socket on loopback.
pub fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
    Ok(socket)
}

/// One person's socket and counters.
struct Person {
    socket: UdpSocket,
    cipher: Cipher,
    sequence: u16,
    received: u64,
    checked: u64,
}

/// All the people of a load.
pub struct People {
    load: Load,
    people: Vec<Person>,
}

impl People {
    /// Opens one socket for each person of `load`.
    pub fn new(load: Load) -> io::Result<Self> {
        let people = (0..load.total())
            .map(|number| Ok(Person { socket: socket()?, cipher: Cipher::new(number)?, sequence: 0, received: 0, checked: 0 }))
            .collect::<io::Result<_>>()?;
        Ok(Self { load, people })
    }

    /// Everybody's address, by number.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.people.iter().map(|person| person.socket.local_addr()).collect()
    }

    /// Sends to `server` for `span` and drains what comes back; `over` is set at the end. Returns
    /// how many packets were received; each person has opened the first ones.
    pub fn run(&mut self, server: SocketAddr, span: Duration, over: &AtomicBool) -> io::Result<u64> {
        let (clock, _waker) = sleeper()?;
        let start = Instant::now();
        let mut drain = start + DRAIN;
        for burst in Schedule::new(self.load, start).take_while(|burst| burst.due <= start + span) {
            while Instant::now() < burst.due {
                if Instant::now() >= drain {
                    self.drain()?;
                    drain = Instant::now() + DRAIN;
                }
                clock.wait(&[], Some(burst.due.min(drain).saturating_duration_since(Instant::now())))?;
            }
            let payload = if burst.kind == MediaKind::Video { VIDEO } else { AUDIO };
            for _ in 0..burst.packets {
                self.people[burst.number].publish(server, payload)?;
            }
        }
        over.store(true, Ordering::Release);
        clock.wait(&[], Some(DRAIN * 10))?;
        self.drain()?;
        Ok(self.people.iter().map(|person| person.received).sum())
    }

    fn drain(&mut self) -> io::Result<()> {
        self.people.iter_mut().try_for_each(Person::drain)
    }
}

impl Person {
    fn publish(&mut self, server: SocketAddr, payload: usize) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = vec![0x5A; HEADER + payload];
        write_header(&mut packet, self.sequence, 0x1000);
        self.cipher.seal(&mut packet, 0)?;
        self.socket.send_to(&packet, server).map(|_| ())
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(len) => {
                    self.received += 1;
                    if self.checked < 10 {
                        self.cipher.open(&mut buffer[..len])?;
                        self.checked += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
