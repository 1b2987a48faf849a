//! The traffic of the benchmark: who sends what when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use konsil::model::media::MediaKind;

/// Payload bytes of a video packet.
pub const VIDEO: usize = 1100;
/// Payload bytes of an Opus packet.
pub const AUDIO: usize = 80;
/// Video frames in a second; the packets of a frame leave together.
pub const FRAMES: u32 = 30;
/// Opus packets in a second.
pub const AUDIO_RATE: u32 = 50;

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
/// Whose estimates and allotments are measured: each gets eight or nine pictures.
pub const SHARED: [Load; 2] = [
    Load { name: "9 subscribers, all send", people: 9, publishers: 9, ..WARD },
    Load { name: "50 subscribers, 9 send", people: 50, publishers: 9, ..WARD },
];
const WARD: Load = Load { name: "", rooms: 1, people: 9, publishers: 9, rate: 120, in_step: false };
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

/// What one person sends at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// When.
    pub due: Instant,
    /// Who.
    pub number: usize,
    /// An Opus packet or a video frame.
    pub kind: MediaKind,
    /// How many packets.
    pub packets: u32,
}

/// The bursts of a load in their order, without end.
pub struct Schedule {
    load: Load,
    due: BinaryHeap<Reverse<(Instant, usize, MediaKind)>>,
    /// Packets that each person owes to the current frame, in thirtieths, so that any rate comes out even.
    owed: Vec<u32>,
}

impl Schedule {
    /// The traffic of `load` from `start` on.
    pub fn new(load: Load, start: Instant) -> Self {
        let due = (0..load.total())
            .filter(|number| load.publishes(*number))
            .flat_map(|number| {
                // Phases spread like the multiples of the golden section: nobody sends in step.
                let turn = if load.in_step { 0.0 } else { (number as f64 * 0.618_034).fract() };
                let phase = Duration::from_secs(1).mul_f64(turn);
                [
                    Reverse((start + phase / FRAMES, number, MediaKind::Video)),
                    Reverse((start + phase / AUDIO_RATE, number, MediaKind::Audio)),
                ]
            })
            .collect();
        Self { load, due, owed: vec![0; load.total()] }
    }
}

impl Iterator for Schedule {
    type Item = Burst;

    fn next(&mut self) -> Option<Burst> {
        let Reverse((due, number, kind)) = self.due.pop()?;
        let (packets, rate) = match kind {
            MediaKind::Audio => (1, AUDIO_RATE),
            MediaKind::Video => {
                let owed = self.owed[number] + self.load.rate - AUDIO_RATE;
                self.owed[number] = owed % FRAMES;
                (owed / FRAMES, FRAMES)
            }
        };
        self.due.push(Reverse((due + Duration::from_secs(1) / rate, number, kind)));
        Some(Burst { due, number, kind, packets })
    }
}
