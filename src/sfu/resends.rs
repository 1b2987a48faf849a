//! How much a subscriber is sent again, whatever it asks for.

use std::time::{Duration, Instant};

/// Resends take at most so many percent of what else is sent, over time.
pub const SHARE_PERCENT: u64 = 18;
/// So many bytes may be sent again at once: half a second of losses of a tenth, at 5 Mbit/s.
pub const BURST: u64 = 32 * 1024;
/// An account that is full, in hundredths of a byte.
const FULL: i64 = (BURST * 100).cast_signed();
/// Once nothing is sent again, it stays so until this much has been earned.
const AGAIN: i64 = FULL / 2;
/// Padding that was not sent in time is not made up for: str0m's pacer keeps account of as long a time.
const PADDING_MEMORY: Duration = Duration::from_millis(500);

/// The account of one subscriber. What it is sent earns resends, which are paid for when they have left.
///
/// Resends and padding look alike from outside, so what str0m is told to pad is earned by time.
#[derive(Clone, Copy, Debug)]
pub struct Resends {
    /// Bytes that may be sent again, in hundredths; below 0 by what the last packet took too much.
    earned: i64,
    /// Bytes of padding that may be sent; below 0 by what media have filled up already.
    padding: i64,
    /// Its bounds on either side of 0.
    padding_max: i64,
    /// Since when padding is to be earned.
    since: Instant,
    stopped: bool,
}

impl Resends {
    /// An account that allows one burst.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { earned: FULL, padding: 0, padding_max: 0, since: now, stopped: false }
    }

    /// A packet of media left, of `bytes`.
    pub fn media(&mut self, bytes: u64) {
        self.earned = (self.earned + (bytes * SHARE_PERCENT).cast_signed()).min(FULL);
        // Padding fills up: where media flow there is none.
        self.padding = (self.padding - bytes.cast_signed()).max(-self.padding_max);
        if self.earned >= AGAIN {
            self.stopped = false;
        }
    }

    /// A resend or padding of `bytes` left. Padding is sent up to `least` bit/s.
    pub fn added(&mut self, bytes: u64, least: u64, now: Instant) {
        let passed = now.saturating_duration_since(self.since).min(PADDING_MEMORY);
        self.since = now;
        // Half a second in microseconds, times a rate of tens of Mbit/s.
        let earned = u64::try_from(passed.as_micros()).unwrap_or(0).saturating_mul(least) / 8_000_000;
        self.padding_max = (least / 16).cast_signed();
        self.padding = (self.padding + earned.cast_signed()).min(self.padding_max);
        let padding = bytes.cast_signed().min(self.padding.max(0));
        self.padding -= padding;
        self.earned -= (bytes.cast_signed() - padding) * 100;
        self.stopped |= self.earned < 0;
    }

    /// Nothing may be sent again for now.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::{Dice, epoch};
    use super::*;

    #[test]
    fn a_burst_then_a_share() {
        let now = epoch();
        let mut resends = Resends::new(now);
        resends.added(BURST, 0, now);
        assert!(!resends.stopped(), "as much as there was");
        resends.added(1, 0, now);
        assert!(resends.stopped());
        let needed = AGAIN.unsigned_abs() / SHARE_PERCENT;
        resends.media(needed - 100);
        assert!(resends.stopped());
        resends.media(300);
        assert!(!resends.stopped());
    }

    #[test]
    fn padding_is_no_resend_where_media_leave_room_for_it() {
        let start = epoch();
        let mut resends = Resends::new(start);
        for ms in 1..2_000 {
            // 800 kbit/s of padding
            resends.added(100, 800_000, start + Duration::from_millis(ms));
        }
        assert_eq!(resends.earned, FULL);
        let later = start + Duration::from_mins(1);
        resends.added(0, 800_000, later);
        resends.media(50_000);
        resends.added(100, 800_000, later);
        assert!(resends.earned < FULL, "the media filled the room");
    }

    #[test]
    fn resends_are_a_share_of_any_traffic() {
        let mut dice = Dice::new(7);
        let now = epoch();
        let (mut resends, mut media, mut again) = (Resends::new(now), 0, 0);
        for _ in 0..100_000 {
            let bytes = dice.below(1_300);
            if dice.percent(40) && !resends.stopped() {
                resends.added(bytes, 0, now);
                again += bytes;
            } else {
                resends.media(bytes);
                media += bytes;
            }
        }
        // The packet that overdraws the account is not taken back, but paid for.
        assert!(again <= BURST + media * SHARE_PERCENT / 100 + 1_300, "{again} beside {media}");
        assert!(again > media / 10);
    }
}
