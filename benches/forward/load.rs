//! The traffic of the benchmark: rooms of people who send SRTP to each other over loopback.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use konsil::io::udp::sleeper;

use crate::srtp::{Cipher, HEADER, write_header};

/// Payload bytes of a video packet.
pub const VIDEO: usize = 1100;
/// Payload bytes of an Opus packet.
pub const AUDIO: usize = 80;
/// Video frames in a second; the packets of a frame leave together.
const FRAMES: u32 = 30;
/// Opus packets in a second.
const AUDIO_RATE: u32 = 50;
/// How often the receiving sockets are emptied. They are not waited for: a wake-up of the load
/// would be charged to the thread that sends to it.
const DRAIN: Duration = Duration::from_millis(2);

/// Rooms of one shape.
#[derive(Clone, Copy)]
pub struct Load {
    /// What the table calls it.
    pub name: &'static str,
    /// How many rooms of this shape there are.
    pub rooms: usize,
    /// People in each room.
    pub people: usize,
    /// How many of them send.
    pub publishers: usize,
    /// Packets in a second from each who sends, 50 of them Opus.
    pub rate: u32,
    /// Whether all send at the same instants, as load generators do. Else their phases are spread,
    /// as people's are, and a server that wakes up for each finds no batches.
    pub in_step: bool,
}

/// The three loads, a lecture, small groups, consultations; those with several publishers both ways.
pub const LOADS: [Load; 5] = [
    Load { name: "1 x 50, 300 packets/s", rooms: 1, people: 51, publishers: 1, rate: 300, in_step: true },
    Load { name: "8 rooms of 4, 120 packets/s", in_step: false, ..GROUPS },
    Load { name: "8 rooms of 4, in step", ..GROUPS },
    Load { name: "10 rooms of 2, 120 packets/s", in_step: false, ..CONSULTATIONS },
    Load { name: "10 rooms of 2, in step", ..CONSULTATIONS },
];
const GROUPS: Load = Load { name: "", rooms: 8, people: 4, publishers: 4, rate: 120, in_step: true };
const CONSULTATIONS: Load = Load { name: "", rooms: 10, people: 2, publishers: 2, rate: 120, in_step: true };

impl Load {
    /// How many people there are; number `n` sits in room `n / people`.
    pub fn total(&self) -> usize {
        self.rooms * self.people
    }

    /// Whether person `number` sends.
    pub fn publishes(&self, number: usize) -> bool {
        number % self.people < self.publishers
    }

    /// Who receives what person `number` sends.
    pub fn receivers(&self, number: usize) -> Vec<usize> {
        let first = number - number % self.people;
        (first..first + self.people).filter(|other| *other != number).collect()
    }
}

/// One person's socket and counters.
struct Person {
    socket: UdpSocket,
    cipher: Cipher,
    sequence: u16,
    /// Packets owed to the current frame, in thirtieths, so that any rate comes out even.
    owed: u32,
    received: u64,
    checked: u64,
}

/// All the people of a load.
pub struct People {
    load: Load,
    people: Vec<Person>,
}

/// What a frame or an Opus packet is due for.
type Event = Reverse<(Instant, usize, bool)>;

impl People {
    /// Opens one socket for each person of `load`.
    pub fn new(load: Load) -> io::Result<Self> {
        let people = (0..load.total())
            .map(|number| {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.set_nonblocking(true)?;
                socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
                Ok(Person { socket, cipher: Cipher::new(number)?, sequence: 0, owed: 0, received: 0, checked: 0 })
            })
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
        let mut events: BinaryHeap<Event> = (0..self.people.len())
            .filter(|number| self.load.publishes(*number))
            .flat_map(|number| {
                // Phases spread like the multiples of the golden section: nobody sends in step.
                let turn = if self.load.in_step { 0.0 } else { (number as f64 * 0.618_034).fract() };
                let phase = Duration::from_secs(1).mul_f64(turn);
                [Reverse((start + phase / FRAMES, number, true)), Reverse((start + phase / AUDIO_RATE, number, false))]
            })
            .collect();
        let mut drain = start + DRAIN;
        while let Some(Reverse((due, number, video))) = events.pop() {
            if due > start + span {
                break;
            }
            while Instant::now() < due {
                if Instant::now() >= drain {
                    self.drain()?;
                    drain = Instant::now() + DRAIN;
                }
                clock.wait(&[], Some(due.min(drain).saturating_duration_since(Instant::now())))?;
            }
            let person = &mut self.people[number];
            if video {
                person.owed += self.load.rate - AUDIO_RATE;
                for _ in 0..person.owed / FRAMES {
                    person.publish(server, VIDEO)?;
                }
                person.owed %= FRAMES;
            } else {
                person.publish(server, AUDIO)?;
            }
            events.push(Reverse((due + Duration::from_secs(1) / if video { FRAMES } else { AUDIO_RATE }, number, video)));
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
