//! One worker in memory, on virtual time: nothing but the core's own work is counted.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use konsil::model::chance::Chance;
use konsil::model::ids::WorkerIndex;
use konsil::model::time::Moment;
use konsil::node::worker::{Worker, WorkerConfig, WorkerInput, WorkerOutput};
use konsil::room::media::MediaEvent;
use konsil::turn::TurnConfig;
use konsil::turn::credentials::RelaySecrets;
use nix::time::{ClockId, clock_gettime};

use crate::client::Client;
use crate::load::{Load, Schedule};
use crate::rooms::orders;

/// How long every datagram travels.
const DELAY: Duration = Duration::from_millis(10);
/// Handshakes, first keyframes and the first steps of the bandwidth estimates are not counted.
const WARM_UP: Duration = Duration::from_secs(5);

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU time in the worker for each packet that a client received, in microseconds.
    pub micros: f64,
    /// Packets received for each turn of the worker.
    pub per_turn: f64,
    /// Received by the clients of what was published for them, 0 to 1.
    pub delivered: f64,
    /// CPU time for each person in a second, in microseconds: for their reports and feedback, and for the looks that divide what
    /// their networks carry.
    pub estimation: f64,
    pub allocation: f64,
    /// Both, of all the worker's time, 0 to 1.
    pub share: f64,
}

/// A datagram on its way: when it arrives, whose it is, what it says.
type Travelling = VecDeque<(Instant, usize, Vec<u8>)>;

/// The worker with its clients.
struct World {
    worker: Worker,
    clients: Vec<Client>,
    by_address: HashMap<SocketAddr, usize>,
    local: SocketAddr,
    to_worker: Travelling,
    to_clients: Travelling,
    outputs: Vec<WorkerOutput>,
    spent: Duration,
    /// Of that, for RTCP and for looks.
    feedback: Duration,
    looks: Duration,
    turns: u64,
    /// How often the clock was asked.
    asked: u64,
}

/// Runs `load` for `span` of virtual time after the warm-up.
pub fn run(load: Load, span: Duration) -> io::Result<Cost> {
    let start = Instant::now();
    let mut world = World::new(load, start)?;
    world.negotiate(load, start)?;
    let begin = start + WARM_UP;
    let mut schedule = Schedule::new(load, start + Duration::from_secs(1)).peekable();
    let mut expected = 0;
    let mut now = start;
    let mut counted: Option<u64> = None;
    // Those on their way at the end were published before it, as many as were on their way at the beginning.
    while now < begin + span {
        if now >= begin && counted.is_none() {
            counted = Some(world.received());
            (world.spent, world.feedback, world.looks) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
            (world.turns, world.asked, expected) = (0, 0, 0);
        }
        while let Some(burst) = schedule.next_if(|burst| burst.due <= now) {
            let World { clients, to_worker, .. } = &mut world;
            expected += u64::from(burst.packets) * load.receivers(burst.number).len() as u64;
            clients[burst.number].publish(burst, now, |bytes| to_worker.push_back((now + DELAY, burst.number, bytes.to_vec())));
        }
        world.step(now)?;
        let next = world.next();
        now = schedule.peek().map_or(next, |burst| next.min(burst.due)).max(now + Duration::from_micros(1));
    }
    let received = world.received() - counted.unwrap_or_default();
    let spent = world.spent.saturating_sub(clock_cost()? * u32::try_from(world.asked).unwrap_or(u32::MAX));
    let each = |time: Duration| time.as_secs_f64() * 1e6 / span.as_secs_f64() / load.total() as f64;
    Ok(Cost {
        micros: spent.as_secs_f64() * 1e6 / received as f64,
        per_turn: received as f64 / world.turns as f64,
        delivered: received as f64 / expected as f64,
        estimation: each(world.feedback),
        allocation: each(world.looks),
        share: (world.feedback + world.looks).as_secs_f64() / spent.as_secs_f64(),
    })
}

fn cpu() -> io::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?))
}

/// What asking the clock adds to each measured turn.
fn clock_cost() -> io::Result<Duration> {
    const ASKED: u32 = 10_000;
    let start = cpu()?;
    for _ in 1..ASKED {
        cpu()?;
    }
    Ok(cpu()?.saturating_sub(start) / ASKED)
}

impl World {
    fn new(load: Load, now: Instant) -> io::Result<Self> {
        let local = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 3478));
        let relay = TurnConfig::closed(RelaySecrets::new(&[], "secret"), [5; 32], Moment { instant: now, wall: Duration::ZERO });
        let config = WorkerConfig { index: WorkerIndex(0), workers: 1, candidates: vec![local], tcp_candidates: Vec::new(), relay };
        let mut worker = Worker::new(config, Chance::new([2; 32]), now);
        for command in orders(load)? {
            worker.handle(WorkerInput::Command(command), now);
        }
        let addresses: Vec<_> = (0..load.total()).zip(2..).map(|(_, port)| SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), port))).collect();
        let clients = addresses.iter().enumerate().map(|(number, address)| Client::new(number, *address, local, now)).collect();
        let by_address = addresses.into_iter().enumerate().map(|(number, address)| (address, number)).collect();
        let (to_worker, to_clients, outputs) = (VecDeque::new(), VecDeque::new(), Vec::new());
        let (spent, feedback, looks) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        Ok(Self { worker, clients, by_address, local, to_worker, to_clients, outputs, spent, feedback, looks, turns: 0, asked: 0 })
    }

    fn negotiate(&mut self, load: Load, now: Instant) -> io::Result<()> {
        for number in 0..load.total() {
            let Some(offer) = self.clients[number].offer(load) else { continue };
            self.worker.handle(WorkerInput::Command(offer), now);
            let mut answered = false;
            while let Some(output) = self.worker.poll() {
                if let WorkerOutput::Event(MediaEvent::Answer { sdp, .. }) = output {
                    self.clients[number].accept(&sdp);
                    answered = true;
                }
            }
            if !answered {
                return Err(io::Error::other("the worker gave no answer"));
            }
            let World { clients, to_worker, .. } = self;
            clients[number].timeout(now, |bytes| to_worker.push_back((now, number, bytes.to_vec())));
        }
        Ok(())
    }

    fn received(&self) -> u64 {
        self.clients.iter().map(|client| client.received).sum()
    }

    /// When something happens next.
    fn next(&self) -> Instant {
        let travelling = self.to_worker.front().into_iter().chain(self.to_clients.front()).map(|(due, ..)| *due);
        let clients = self.clients.iter().map(|client| client.due);
        travelling.chain(clients).chain([self.worker.next_timeout().0]).min().unwrap_or_else(Instant::now)
    }

    fn step(&mut self, now: Instant) -> io::Result<()> {
        let World { clients, to_worker, to_clients, .. } = self;
        while let Some((_, number, bytes)) = to_clients.pop_front_if(|(due, ..)| *due <= now) {
            clients[number].receive(&bytes, now, |bytes| to_worker.push_back((now + DELAY, number, bytes.to_vec())));
        }
        for (number, client) in clients.iter_mut().enumerate().filter(|(_, client)| client.due <= now) {
            client.timeout(now, |bytes| to_worker.push_back((now + DELAY, number, bytes.to_vec())));
        }
        let arrived = to_worker.front().is_some_and(|(due, ..)| *due <= now);
        if arrived || self.worker.next_timeout().0 <= now {
            self.turn(now)?;
        }
        Ok(())
    }

    /// The CPU time of one input, if it is wanted.
    fn timed(worker: &mut Worker, input: WorkerInput<'_>, now: Instant, wanted: bool, asked: &mut u64) -> io::Result<Duration> {
        if !wanted {
            worker.handle(input, now);
            return Ok(Duration::ZERO);
        }
        let start = cpu()?;
        worker.handle(input, now);
        // The rest of what it measures is the clock's, once.
        *asked += 2;
        Ok(cpu()?.saturating_sub(start))
    }

    /// One turn of the worker, as a media thread takes it; this is what is measured.
    fn turn(&mut self, now: Instant) -> io::Result<()> {
        let arrived = self.to_worker.partition_point(|(due, ..)| *due <= now);
        let batch: Vec<_> = self.to_worker.drain(..arrived).map(|(_, number, bytes)| (self.clients[number].address(), bytes)).collect();
        let start = cpu()?;
        for (source, bytes) in &batch {
            let input = WorkerInput::Datagram { source: *source, local: self.local, bytes };
            // SR to XR are 200 to 207 (RFC 5761 §4).
            let rtcp = matches!(bytes[..], [0x80..=0xbf, 200..=207, ..]);
            self.feedback += Self::timed(&mut self.worker, input, now, rtcp, &mut self.asked)?;
        }
        let (due, name) = self.worker.next_timeout();
        if due <= now {
            self.looks += Self::timed(&mut self.worker, WorkerInput::Timeout, now, name == "look", &mut self.asked)?;
        }
        while let Some(output) = self.worker.poll() {
            self.outputs.push(output);
        }
        std::hint::black_box(self.worker.next_timeout());
        self.spent += cpu()?.saturating_sub(start);
        self.turns += 1;
        self.asked += 1;
        for output in self.outputs.drain(..) {
            if let WorkerOutput::Transmit { destination, bytes, .. } = output
                && let Some(number) = self.by_address.get(&destination)
            {
                self.to_clients.push_back((now + DELAY, *number, bytes));
            }
        }
        Ok(())
    }
}
