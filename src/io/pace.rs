//! When a media thread stops waking up for single packets: in bursts it looks on a beat.

use std::time::{Duration, Instant};

/// How long a thread in a burst sleeps between two looks: what comes in meanwhile is read, relayed and sent together.
/// It is what a packet may lose by it, far below what a receiver's jitter buffer evens out.
pub const BEAT: Duration = Duration::from_millis(1);
/// So many wake-ups for packets in a row, each soon after the one before, are a burst.
const BURST: u8 = 3;
/// A wake-up so soon after the one before belongs to the same burst.
const SOON: Duration = Duration::from_micros(750);
/// So many looks in vain end a burst.
const IN_VAIN: u8 = 2;

/// One thread's pace. A wake-up costs more than relaying a packet, so that packets should come in company.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
    in_a_row: u8,
    in_vain: u8,
    on_beat: bool,
}

impl Pace {
    /// Notes a turn that began at `began` and found so many packets. Returns until when to sleep without being woken;
    /// `None` is to wait for the next packet.
    pub fn turn(&mut self, began: Instant, packets: usize) -> Option<Instant> {
        if packets == 0 {
            // A timer or an order: it neither makes a burst nor, off the beat, ends one.
            self.in_vain = self.in_vain.saturating_add(1);
            if self.on_beat && self.in_vain >= IN_VAIN {
                *self = Self::default();
            }
        } else {
            let soon = self.last.is_some_and(|last| began.saturating_duration_since(last) <= SOON.max(BEAT * u32::from(self.on_beat) * 2));
            self.in_a_row = if soon { self.in_a_row.saturating_add(1) } else { 1 };
            self.in_vain = 0;
            self.last = Some(began);
            self.on_beat |= self.in_a_row >= BURST;
        }
        self.on_beat.then(|| began + BEAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_read_on_the_beat_until_they_end() {
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        let mut pace = Pace::default();
        assert_eq!([0, 100, 200].map(|micros| pace.turn(at(micros), 1)), [None, None, Some(at(1_200))]);
        assert_eq!(pace.turn(at(1_300), 9), Some(at(2_300)));
        assert_eq!(pace.turn(at(2_300), 0), Some(at(3_300)), "one look in vain is no end");
        assert_eq!(pace.turn(at(3_300), 2), Some(at(4_300)));
        assert_eq!(pace.turn(at(4_300), 0), Some(at(5_300)));
        assert_eq!(pace.turn(at(5_300), 0), None);
        assert_eq!(pace.turn(at(5_400), 1), None, "the next packet is waited for");
    }

    #[test]
    fn single_packets_are_never_delayed() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for n in 0..1_000 {
            assert_eq!(pace.turn(start + Duration::from_millis(2) * n, 1), None);
            assert_eq!(pace.turn(start + Duration::from_millis(2) * n + Duration::from_micros(300), 0), None, "a timer");
        }
    }
}
