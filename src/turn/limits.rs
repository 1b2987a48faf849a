//! How much anybody may ask for: counts in a window of time, bytes by a bucket.

use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::model::map::{Seeded, SeededMap};

/// Most keys that one [`Throttle`] remembers; beyond it strangers wait for the next window.
pub const KEYS_MAX: usize = 65_536;

/// Allows each key so many events in each window of time.
#[derive(Debug)]
pub struct Throttle<K> {
    most: u32,
    window: Duration,
    ends: Instant,
    counts: SeededMap<K, u32>,
}

impl<K: Eq + Hash> Throttle<K> {
    /// At most `most` events of a key in each `window`.
    #[must_use]
    pub fn new(most: u32, window: Duration, seed: Seeded, now: Instant) -> Self {
        Self { most, window, ends: now + window, counts: seed.map() }
    }

    /// Counts an event. Returns whether it is within the bound.
    pub fn take(&mut self, key: K, now: Instant) -> bool {
        self.turn(now);
        if self.counts.len() >= KEYS_MAX && !self.counts.contains_key(&key) {
            return false;
        }
        let count = self.counts.entry(key).or_default();
        *count = count.saturating_add(1);
        *count <= self.most
    }

    /// Whether a key has used up its events.
    pub fn is_spent(&mut self, key: &K, now: Instant) -> bool {
        self.turn(now);
        self.counts.get(key).is_some_and(|count| *count >= self.most)
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn turn(&mut self, now: Instant) {
        if now >= self.ends {
            self.ends = now + self.window;
            self.counts.clear();
        }
    }
}

/// A token bucket for bytes. It holds a quarter of a second's worth, or two full packets.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    bytes_per_s: u64,
    level: u64,
    filled: Instant,
}

/// A bucket holds at least two packets of this size, in bytes.
const PACKET: u64 = 1_500;

impl Bucket {
    /// A full bucket for `bits_per_s`.
    #[must_use]
    pub fn new(bits_per_s: u64, now: Instant) -> Self {
        let bytes_per_s = bits_per_s / 8;
        let mut bucket = Self { bytes_per_s, level: 0, filled: now };
        bucket.level = bucket.depth();
        bucket
    }

    /// Takes so many bytes if they are there.
    pub fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let enough = self.spare(now) >= bytes as u64;
        if enough {
            self.level -= bytes as u64;
        }
        enough
    }

    /// How many bytes are there now.
    pub fn spare(&mut self, now: Instant) -> u64 {
        let micros = now.saturating_duration_since(self.filled).as_micros().min(1_000_000);
        // At most a second's worth, so it fits.
        #[allow(clippy::cast_possible_truncation)]
        let gained = self.bytes_per_s * micros as u64 / 1_000_000;
        if gained > 0 {
            self.level = (self.level + gained).min(self.depth());
            self.filled = now;
        }
        self.level
    }

    /// How many bytes it holds at most.
    #[must_use]
    pub fn depth(&self) -> u64 {
        (self.bytes_per_s / 4).max(2 * PACKET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_own_bound_in_each_window() {
        let now = Instant::now();
        let mut throttle = Throttle::new(2, Duration::from_secs(1), Seeded::new(1), now);
        assert_eq!([1, 1, 1, 2].map(|key| throttle.take(key, now)), [true, true, false, true]);
        assert!(throttle.is_spent(&1, now) && !throttle.is_spent(&2, now));
        let later = now + Duration::from_secs(1);
        assert!(!throttle.is_spent(&1, later) && throttle.take(1, later) && throttle.len() == 1);
    }

    #[test]
    fn a_flood_of_keys_is_bounded() {
        let now = Instant::now();
        let mut throttle = Throttle::new(2, Duration::from_secs(1), Seeded::new(1), now);
        let taken = (0..KEYS_MAX + 100).filter(|key| throttle.take(*key, now)).count();
        assert_eq!((taken, throttle.len()), (KEYS_MAX, KEYS_MAX));
        assert!(throttle.take(0, now), "who was there before the flood goes on");
    }

    #[test]
    fn buckets_give_their_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(8_000_000, start);
        let sent = (0..10_000).filter(|n| bucket.take(1_000, start + Duration::from_micros(200) * *n)).count();
        // Two seconds at 1,000 packets a second, and what the bucket held.
        assert!((2_240..=2_260).contains(&sent), "{sent}");
        let mut slow = Bucket::new(1, start);
        assert!(slow.take(1_500, start) && slow.take(1_500, start) && !slow.take(1_500, start));
    }
}
