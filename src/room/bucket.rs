//! How many messages somebody may send.

use std::time::Instant;

/// Messages a second.
pub const RATE: u32 = 50;
/// Messages at once, after a while of silence.
pub const BURST: u32 = 100;
const MESSAGE: u64 = 1_000_000;

/// An account of messages.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// What is left, in millionths of a message.
    left: u64,
    at: Instant,
}

impl Bucket {
    /// A full account.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { left: u64::from(BURST) * MESSAGE, at: now }
    }

    /// Takes one message off. Returns whether it was there.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed = u64::try_from(now.saturating_duration_since(self.at).as_micros()).unwrap_or(u64::MAX);
        self.at = self.at.max(now);
        self.left = self.left.saturating_add(passed.saturating_mul(u64::from(RATE))).min(u64::from(BURST) * MESSAGE);
        let there = self.left >= MESSAGE;
        if there {
            self.left -= MESSAGE;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_passes_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert_eq!((0..500).filter(|_| bucket.take(start)).count(), 100);
        assert_eq!((0..500).filter(|_| bucket.take(start + Duration::from_secs(1))).count(), 50);
        assert_eq!((0..500).filter(|_| bucket.take(start + Duration::from_hours(1))).count(), 100);
        assert!(!bucket.take(start), "a clock that stands still gives nothing");
    }
}
