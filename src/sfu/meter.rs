//! How much of something comes a second.

use std::time::{Duration, Instant};

/// How long is counted before a rate is told: with a keyframe in it or without, a second is what people feel.
pub const WINDOW: Duration = Duration::from_secs(1);
/// A rate rises at once and falls by this part of the difference a window.
const FALL: u64 = 3;

/// Counts over windows of [`WINDOW`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    since: Option<Instant>,
    sum: u64,
    rate: Option<u64>,
}

impl Meter {
    /// Counts so much at `now`.
    pub fn add(&mut self, amount: u64, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed >= WINDOW {
            // A window with a silence in it says nothing of what comes after: what came before says more.
            let newest = if passed < WINDOW * 2 { Some(per_second(self.sum, passed)) } else { self.rate.map(|_| 0) };
            self.rate = newest.map(|newest| self.rate.map_or(newest, |before| newest.max(before - before.saturating_sub(newest) / FALL)));
            (self.since, self.sum) = (Some(now), 0);
        }
        self.sum = self.sum.saturating_add(amount);
    }

    /// What came a second, by the last whole window; `None` before there was one.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        self.rate
    }
}

fn per_second(sum: u64, passed: Duration) -> u64 {
    let micros = passed.as_micros().max(1);
    u64::try_from(u128::from(sum) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::dice::epoch;
    use super::*;

    #[test]
    fn a_rate_rises_at_once_and_falls_slowly() {
        let (mut meter, mut now) = (Meter::default(), epoch());
        let mut run = |meter: &mut Meter, amount: u64, seconds: u32| {
            for _ in 0..seconds * 50 {
                now += Duration::from_millis(20);
                meter.add(amount, now);
            }
            meter.rate()
        };
        assert_eq!(run(&mut meter, 20, 1), None, "no window yet");
        assert_eq!(run(&mut meter, 20, 1), Some(1_000));
        assert_eq!(run(&mut meter, 40, 2), Some(2_000));
        let falling = run(&mut meter, 20, 2).unwrap_or(0);
        assert!((1_300..2_000).contains(&falling), "{falling}");
        assert!(run(&mut meter, 20, 20).is_some_and(|rate| rate < 1_010));
    }

    #[test]
    fn a_silence_is_no_low_rate() {
        let (mut meter, now) = (Meter::default(), epoch());
        meter.add(1_000, now);
        meter.add(900, now + WINDOW * 2);
        assert_eq!(meter.rate(), None, "nothing is known yet");
        meter.add(900, now + WINDOW * 3);
        assert_eq!(meter.rate(), Some(900));
        meter.add(900, now + WINDOW * 13);
        assert_eq!(meter.rate(), Some(600), "as before, or a little less");
        meter.add(900, now + WINDOW * 14);
        assert_eq!(meter.rate(), Some(900));
        for silence in 1..20 {
            meter.add(30, now + WINDOW * (14 + 5 * silence));
        }
        assert!(meter.rate().is_some_and(|rate| rate < 10), "in the end it is low after all");
    }
}
