//! The way from one client's socket to the server, or back.

use std::time::{Duration, Instant};

use fastrand::Rng;
use str0m_netem::{Bitrate, DataSize, GilbertElliot, Input, LossModel, Netem, NetemConfig, Output, Probability, RandomLoss};

use crate::client::tunnel::payload;
use crate::pipe::{Pipe, Way};
use crate::time::on_grid;

/// A datagram with its two ends.
#[derive(Clone, Debug)]
pub struct Datagram {
    pub bytes: Vec<u8>,
    /// The far end: the server's address on the way up, the client's on the way down.
    pub to: std::net::SocketAddr,
    /// What the bottleneck is told of the length.
    billed: usize,
    /// When it was sent.
    sent: Option<Instant>,
}

/// One datagram's trip over a link that is watched.
#[derive(Clone, Copy, Debug)]
pub struct Trip {
    pub arrived: Instant,
    /// What the trip took beyond the link's delay.
    pub waited: Duration,
}

impl Datagram {
    pub fn new(bytes: Vec<u8>, to: std::net::SocketAddr) -> Self {
        // ECDSA signatures in DTLS vary in length from run to run, so those records are billed by a round size.
        let inner = payload(&bytes).unwrap_or(&bytes);
        let dtls = inner.first().is_some_and(|first| (20..64).contains(first));
        let billed = if dtls { bytes.len().next_multiple_of(256) } else { bytes.len() };
        Self { bytes, to, billed, sent: None }
    }
}

/// Lets netem bill a datagram without copying it.
#[derive(Clone)]
struct Billed(Datagram);

impl AsRef<[u8]> for Billed {
    fn as_ref(&self) -> &[u8] {
        const BILL: [u8; 4096] = [0; 4096];
        &BILL[..self.0.billed.min(BILL.len())]
    }
}

/// One direction.
pub struct Link {
    netem: Netem<Billed>,
    /// What was under way when the way last changed.
    draining: Netem<Billed>,
    config: NetemConfig,
    healed: NetemConfig,
    /// The connection that carries it all, where nothing else gets out.
    pipe: Option<Pipe>,
    /// The delay that every datagram has.
    delay: Duration,
    /// The trips so far, if they are watched.
    pub trips: Option<Vec<Trip>>,
}

impl Link {
    /// A way as good or as bad as the dice say.
    pub fn new(dice: &mut Rng) -> Self {
        let seed = dice.u64(..);
        let healed = NetemConfig::new().latency(Duration::from_millis(dice.u64(5..60))).seed(seed);
        let config = if dice.u8(..10) < 3 { healed } else { lossy(healed, dice) };
        Self { netem: Netem::new(config), draining: Netem::new(healed), config, healed, pipe: None, delay: Duration::ZERO, trips: None }
    }

    pub fn send(&mut self, datagram: Datagram, now: Instant) {
        if let Some(pipe) = &mut self.pipe {
            return pipe.send(datagram.bytes, datagram.to, now);
        }
        let datagram = Datagram { sent: Some(now), ..datagram };
        self.netem.handle_input(Input::Packet(now, Billed(datagram)));
    }

    /// What arrives now.
    pub fn arrivals(&mut self, now: Instant) -> Vec<Datagram> {
        let messages = self.pipe.iter_mut().flat_map(|pipe| pipe.arrivals(now));
        let mut arrived: Vec<Datagram> = messages.map(|(bytes, to)| Datagram::new(bytes, to)).collect();
        for netem in [&mut self.draining, &mut self.netem] {
            while due(netem).is_some_and(|due| due <= now) {
                netem.handle_input(Input::Timeout(now));
                if let Some(Output::Packet(Billed(datagram))) = netem.poll_output() {
                    if let (Some(trips), Some(sent)) = (&mut self.trips, datagram.sent) {
                        let waited = now.saturating_duration_since(sent).saturating_sub(self.delay);
                        trips.push(Trip { arrived: now, waited });
                    }
                    arrived.push(datagram);
                }
            }
        }
        arrived
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let pipe = self.pipe.as_ref().and_then(Pipe::next_timeout);
        [&self.draining, &self.netem].into_iter().filter_map(due).chain(pipe).min()
    }

    /// From now on everything goes through one connection.
    pub fn be_tcp(&mut self, way: Way, seed: u64) {
        self.delay = way.delay;
        match &mut self.pipe {
            Some(pipe) => pipe.become_like(way),
            None => self.pipe = Some(Pipe::new(way, seed)),
        }
    }

    /// From now on it is like this, with this delay.
    pub fn be(&mut self, config: NetemConfig, delay: Duration) {
        self.delay = delay;
        self.become_like(config.latency(delay));
    }

    /// Nothing gets through.
    pub fn cut(&mut self) {
        self.become_like(self.config.loss(RandomLoss::new(Probability::new(1.0))));
    }

    /// From now on it is like this. Netem mixes up its order when its own settings change, so a fresh one begins.
    fn become_like(&mut self, config: NetemConfig) {
        self.draining = std::mem::replace(&mut self.netem, Netem::new(config));
    }

    /// As it was made.
    pub fn restore(&mut self) {
        self.become_like(self.config);
    }

    /// Everything gets through, with the delay alone.
    pub fn heal(&mut self) {
        self.config = self.healed;
        self.restore();
    }
}

fn due(netem: &Netem<Billed>) -> Option<Instant> {
    (netem.queue_len() > 0).then(|| on_grid(netem.poll_timeout()))
}

fn lossy(healed: NetemConfig, dice: &mut Rng) -> NetemConfig {
    let loss: LossModel =
        if dice.bool() { RandomLoss::new(Probability::new(dice.f32() * 0.08)).into() } else { GilbertElliot::wifi_lossy().into() };
    let mut config = healed.jitter(Duration::from_millis(dice.u64(0..8))).loss(loss);
    if dice.bool() {
        config = config.duplicate(Probability::new(0.01));
    }
    if dice.bool() {
        config = config.reorder_gap(dice.u32(5..60));
    }
    if dice.u8(..4) == 0 {
        config = config.link(Bitrate::kbps(dice.u64(800..4_000)), DataSize::kbytes(dice.i64(20..80)));
    }
    config
}
