//! How much data a participant may send.

use std::time::{Duration, Instant};

/// Bytes a second, with all that carries them.
pub const RATE: u64 = 2_000_000;
/// Bytes at once, for whoever was quiet before.
pub const BURST: u64 = 1024 * 1024;
/// Packets up to this length are let through somewhat longer: they are likely to acknowledge what the participant receives.
pub const SMALL: usize = 400;
/// By so many bytes small packets may overdraw the account.
const OVERDRAFT: u64 = 64 * 1024;
/// How long nothing large is taken after a receiver was found slow.
pub const HOLD: Duration = Duration::from_millis(200);

/// The account of one participant.
///
/// What is not admitted is dropped before it is acknowledged. For SCTP that is a loss: it slows down and sends reliable messages
/// again (RFC 9260 §7.2), so that none is missing; lossy ones are gone.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Bytes left, counted from the end of the overdraft.
    left: u64,
    at: Instant,
    held: Option<Instant>,
}

impl Quota {
    /// An account that is full.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { left: BURST + OVERDRAFT, at: now, held: None }
    }

    /// Whether a packet of `bytes` is taken.
    pub fn admits(&mut self, bytes: usize, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        let earned = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).saturating_mul(RATE) / 1_000_000;
        self.left = self.left.saturating_add(earned).min(BURST + OVERDRAFT);
        let held = self.held.is_some_and(|until| now < until);
        let small = bytes <= SMALL;
        let admitted = if small { self.left >= bytes as u64 } else { !held && self.left >= bytes as u64 + OVERDRAFT };
        if admitted {
            self.left -= bytes as u64;
        }
        admitted
    }

    /// Somebody does not keep up with what this participant sends.
    pub fn hold(&mut self, now: Instant) {
        self.held = Some(now + HOLD);
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::{Dice, epoch};
    use super::*;

    #[test]
    fn a_burst_then_a_rate_whatever_the_sizes() {
        let start = epoch();
        for longest in [100, 1_200] {
            let mut dice = Dice::new(8);
            let mut quota = Quota::new(start);
            let mut taken = 0;
            for tenth in 0..100_000_u32 {
                let bytes = 1 + dice.index(longest);
                if quota.admits(bytes, start + Duration::from_micros(100) * tenth) {
                    taken += bytes as u64;
                }
            }
            assert!(taken <= BURST + OVERDRAFT + 10 * RATE, "{taken}");
            let offered = 100_000 * u64::from(longest) / 2;
            assert!(taken >= (9 * RATE).min(offered * 9 / 10), "{taken} of {offered}");
        }
    }

    #[test]
    fn acknowledgements_pass_where_data_do_not() {
        let now = epoch();
        let mut quota = Quota::new(now);
        while quota.admits(SMALL + 1, now) {}
        assert!(quota.admits(SMALL, now));
        let mut held = Quota::new(now);
        held.hold(now);
        assert!(!held.admits(1_200, now) && held.admits(100, now));
        assert!(held.admits(1_200, now + HOLD));
    }
}
