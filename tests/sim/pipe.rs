//! TCP, as far as media in it feel it: all of it arrives in order, late after a loss.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use konsil::io::stream::StreamQueue;
use konsil::turn::framing::{Frame, Framing};

use crate::time::on_grid;

/// Bytes of a segment (Ethernet, with TCP's timestamps).
const SEGMENT: usize = 1_448;
/// Segments that are under way at first (RFC 6928).
const FIRST_WINDOW: usize = 10;
/// Bytes under way at most: what the receiver keeps.
const WINDOW_MAX: usize = 256 * 1024;
/// What else a sender waits for before it takes a segment for lost: another one that was sent later (RFC 8985).
const LATER_ONE: Duration = Duration::from_millis(20);
/// A segment that was lost twice is sent again after this time (RFC 6298, as Linux has it).
const TIMEOUT: Duration = Duration::from_millis(200);
/// A segment that was lost so often arrives.
const LOSSES_MAX: u32 = 6;

/// What the way is like.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// From one end to the other.
    pub delay: Duration,
    /// Each segment by itself, from 0 to 1.
    pub loss: f32,
    /// In kbit/s.
    pub capacity: Option<u64>,
}

/// Segments that are under way.
struct Flying {
    acknowledged: Instant,
    len: usize,
    lost: bool,
}

/// One direction of a connection.
pub struct Pipe {
    way: Way,
    dice: Rng,
    /// Bytes that may be under way (RFC 5681).
    window: usize,
    flying: VecDeque<Flying>,
    /// When the bottleneck is free.
    free: Option<Instant>,
    arriving: VecDeque<(Instant, Vec<u8>)>,
    queue: StreamQueue,
    received: Vec<u8>,
    /// The far end, as datagrams name it.
    to: Option<SocketAddr>,
}

impl Pipe {
    pub fn new(way: Way, seed: u64) -> Self {
        Self {
            way,
            dice: Rng::with_seed(seed),
            window: FIRST_WINDOW * SEGMENT,
            flying: VecDeque::new(),
            free: None,
            arriving: VecDeque::new(),
            queue: StreamQueue::default(),
            received: Vec::new(),
            to: None,
        }
    }

    /// The way is another from now on.
    pub fn become_like(&mut self, way: Way) {
        self.way = way;
    }

    /// Queues a message as the server does for a slow connection.
    pub fn send(&mut self, bytes: Vec<u8>, to: SocketAddr, now: Instant) {
        self.to = Some(to);
        self.queue.push(bytes, now);
        self.write(now);
    }

    /// Writes what there is room for.
    fn write(&mut self, now: Instant) {
        while let Some(flying) = self.flying.pop_front_if(|flying| flying.acknowledged <= now) {
            let more = SEGMENT * flying.len / self.window.max(1);
            self.window = if flying.lost { self.window / 2 } else { self.window + more }.clamp(2 * SEGMENT, WINDOW_MAX);
        }
        let mut out = Vec::new();
        while self.flying.iter().map(|flying| flying.len).sum::<usize>() < self.window {
            self.queue.take(Framing::Turn, now, &mut out);
            if out.is_empty() {
                return;
            }
            out.chunks(SEGMENT).for_each(|segment| self.launch(segment, now));
            out.clear();
        }
    }

    fn launch(&mut self, segment: &[u8], now: Instant) {
        let bits = segment.len() as u64 * 8;
        let takes = self.way.capacity.map_or(Duration::ZERO, |capacity| Duration::from_micros(bits * 1_000 / capacity));
        let leaves = self.free.map_or(now, |free| free.max(now)) + takes;
        self.free = Some(leaves);
        let losses = (0..LOSSES_MAX).take_while(|_| self.dice.f32() < self.way.loss).count();
        let mut late = Duration::ZERO;
        for loss in 0..losses {
            late += if loss == 0 { self.way.delay * 5 / 2 + LATER_ONE } else { TIMEOUT.max(self.way.delay * 4) };
        }
        // Nothing overtakes what is sent again.
        let before = self.arriving.back().map_or(now, |(at, _)| *at);
        let arrives = on_grid((leaves + self.way.delay + late).max(before));
        self.arriving.push_back((arrives, segment.to_vec()));
        self.flying.push_back(Flying { acknowledged: on_grid(arrives + self.way.delay), len: segment.len(), lost: losses > 0 });
    }

    /// The messages that are whole now, with where they go.
    pub fn arrivals(&mut self, now: Instant) -> Vec<(Vec<u8>, SocketAddr)> {
        self.write(now);
        while let Some((_, segment)) = self.arriving.pop_front_if(|(at, _)| *at <= now) {
            self.received.extend(segment);
        }
        let (mut messages, mut begin) = (Vec::new(), 0);
        while let Frame::Whole { start, end, next } = Framing::Turn.next(&self.received[begin..]) {
            messages.extend(self.to.map(|to| (self.received[begin + start..begin + end].to_vec(), to)));
            begin += next;
        }
        self.received.drain(..begin);
        messages
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let arrival = self.arriving.front().map(|(at, _)| *at);
        let room = self.flying.front().map(|flying| flying.acknowledged);
        arrival.into_iter().chain(room).min()
    }
}

#[test]
fn everything_arrives_in_order_and_late_after_a_loss() {
    let way = Way { delay: Duration::from_millis(30), loss: 0.1, capacity: Some(1_000) };
    let (mut pipe, start) = (Pipe::new(way, 1), crate::time::epoch());
    let (mut sent, mut came, mut slow) = (0_u32, 0_u32, 0);
    let message = |number: u32| [&[0x40, 0, 0, 8][..], &number.to_be_bytes(), &[0; 4]].concat();
    let mut took = Vec::new();
    for ms in 0..4_000 {
        let now = start + Duration::from_millis(ms);
        if ms % 20 == 0 && ms < 3_000 {
            pipe.send(message(sent), "10.0.0.1:443".parse().expect("an address"), now);
            sent += 1;
        }
        for (bytes, _) in pipe.arrivals(now) {
            assert_eq!(bytes, message(came));
            let waited = Duration::from_millis(ms).saturating_sub(Duration::from_millis(20) * came);
            slow += u32::from(waited > Duration::from_millis(60));
            took.push(waited);
            came += 1;
        }
    }
    assert_eq!((came, sent), (150, 150));
    assert!(took.iter().all(|took| *took >= way.delay) && (15..120).contains(&slow), "{slow} were late");
}
