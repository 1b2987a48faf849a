//! Named conditions of a network, as `tests/sim/networks/` describes them.

use std::time::Duration;

use serde::Deserialize;
use str0m_netem::{Bitrate, DataSize, GilbertElliot, NetemConfig, Probability, RandomLoss};

use crate::pipe::Way;

/// A file of the book.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// What it is like, in words.
    pub about: String,
    /// How long it lasts.
    pub seconds: u64,
    /// What it is like from when on. The first begins at 0.
    pub phase: Vec<Phase>,
    /// What must hold at least or at most.
    pub bounds: Bounds,
}

/// The network from some second on, both ways alike but for the capacity.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Phase {
    pub from: u64,
    /// There and back, in ms.
    pub round_trip: u64,
    /// In ms.
    pub jitter: u64,
    /// Each packet by itself, in percent.
    pub loss: f32,
    /// Losses in bursts (Gilbert-Elliott): packets that a good and a bad time last, of the bad a half is lost.
    pub bursts: Option<[f32; 2]>,
    /// In percent.
    pub duplicates: f32,
    /// One in so many comes out of order.
    pub reordered: Option<u32>,
    /// To the client, in kbit/s.
    pub down: Option<u64>,
    /// From the client, in kbit/s.
    pub up: Option<u64>,
    /// What waits in front of the bottleneck at most, in ms.
    pub buffer: u64,
    /// Nothing gets out but TCP to the relay: losses are delays.
    pub tcp: bool,
    /// The client's address changes at the beginning.
    pub moves: bool,
}

impl Default for Phase {
    fn default() -> Self {
        Self {
            from: 0,
            round_trip: 20,
            jitter: 0,
            loss: 0.0,
            bursts: None,
            duplicates: 0.0,
            reordered: None,
            down: None,
            up: None,
            buffer: 200,
            tcp: false,
            moves: false,
        }
    }
}

/// What is asserted, over the time after the first ten seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Sound that comes within 200 ms, in percent, at least.
    pub sound: Option<f64>,
    /// That comes within 400 ms.
    pub sound_in_400: Option<f64>,
    /// Of what would fit best, from ten seconds after each step on, in percent, at least.
    pub link_use: Option<f64>,
    /// 95 of 100 packets wait no longer in front of the bottleneck, in ms.
    pub queue: Option<u64>,
    /// From subscribing, in ms, at most.
    pub first_frame: Option<u64>,
    /// From the beginning of the last phase until a picture moves, in ms, at most.
    pub recovery: Option<u64>,
    /// And until all do.
    pub all_back: Option<u64>,
    /// Of each track, at most.
    pub switches_a_minute: Option<f64>,
    /// Pictures that stand still, in percent of the time, at most.
    pub frozen: Option<f64>,
    /// Its own sound that comes to the others within 200 ms, in percent, at least.
    pub heard: Option<f64>,
    /// Its own picture there, standing still, in percent of the time, at most.
    pub stood_there: Option<f64>,
}

impl Network {
    pub fn read(text: &str) -> Self {
        toml::from_str(text).expect("a network")
    }

    /// When the last phase begins.
    pub fn last_change(&self) -> Duration {
        Duration::from_secs(self.phase.last().map_or(0, |phase| phase.from))
    }
}

impl Phase {
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.round_trip / 2)
    }

    /// A connection over it.
    pub fn way(&self, capacity: Option<u64>) -> Way {
        let bursts = self.bursts.map_or(0.0, |[good, bad]| bad / (good + bad) / 2.0);
        Way { delay: self.delay(), loss: self.loss / 100.0 + bursts, capacity }
    }

    pub fn link(&self, capacity: Option<u64>, seed: u64) -> NetemConfig {
        let share = |percent: f32| Probability::new(percent / 100.0);
        let mut config = NetemConfig::new().jitter(Duration::from_millis(self.jitter)).duplicate(share(self.duplicates)).seed(seed);
        config = match self.bursts {
            Some([good, bad]) => config.loss(GilbertElliot::new().good_duration(good).bad_duration(bad).loss_in_bad(Probability::new(0.5))),
            None => config.loss(RandomLoss::new(share(self.loss))),
        };
        if let Some(gap) = self.reordered {
            config = config.reorder_gap(gap);
        }
        if let Some(kilobits) = capacity {
            let waits = i64::try_from(kilobits * self.buffer / 8).expect("a small buffer");
            config = config.link(Bitrate::kbps(kilobits), DataSize::bytes(waits));
        }
        config
    }
}
