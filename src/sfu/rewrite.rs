//! Numbers of one outgoing stream that stay continuous whatever source feeds it.

use std::time::{Duration, Instant};

use str0m::rtp::Vp8Patch;

use super::frame::Glance;
use super::numbers::{Bits, Line};
use super::pictures::{Frames, Pictures, Place};

/// How many packets a late one may be behind the newest and still be placed: 1 s at 8 Mbit/s. A source that jumps
/// further ahead has no gap kept, because nobody could fill it.
pub const REORDER_WINDOW: u64 = SEQ_WORDS as u64 * 64;
/// The least distance of two frames over a switch, in frames per second: one short frame in either kind.
const SHORTEST_FRAME_RATE: u32 = 50;
/// The longest pause that timestamps show, far from the 2^31 ticks (6.6 h at 90 kHz) where they seem to run back.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// First sequence numbers are 1 to this: a receiver assumes a rollover counter of 0 (RFC 3711 §3.3.1), and far
/// below 2^15 no loss of the first packets makes it guess otherwise.
pub const START_MAX: u16 = 10_000;

/// Words of bits that make the window of sequence numbers.
const SEQ_WORDS: usize = 16;

/// Where an outgoing stream begins. Draw both from seeded chance.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The first sequence number; brought into 1..=[`START_MAX`].
    pub seq: u16,
    /// The first VP8 picture id; its low 7 bits serve sources with short ids.
    pub picture: u16,
}

/// The new numbers of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Out {
    /// The extended sequence number, from below 2^15 on.
    pub seq: u64,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// What to change in a VP8 payload descriptor.
    pub vp8: Option<Vp8Patch>,
    /// The frame number for the dependency descriptor.
    pub number: Option<u16>,
}

/// Renumbers one outgoing stream: a subscriber's m-section, whichever track or layer it shows.
///
/// One call per packet, without allocation. Packets of one source may come late within [`REORDER_WINDOW`].
#[derive(Clone, Debug)]
pub struct Rewriter {
    /// The next packet begins another source.
    pending: bool,
    seqs: Line<SEQ_WORDS>,
    seen: Bits<SEQ_WORDS>,
    clock: Clock,
    pictures: Pictures,
    frames: Frames,
}

impl Rewriter {
    /// A stream that has sent nothing.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Self {
            pending: true,
            seqs: Line::new(u64::from(start.seq.clamp(1, START_MAX))),
            seen: Bits([0; SEQ_WORDS]),
            clock: Clock::default(),
            pictures: Pictures::new(start.picture),
            frames: Frames::default(),
        }
    }

    /// Says that the next packet comes from another source, or from the same after a pause. Its number is the
    /// point before which nothing of that source is sent; the caller passes no more packets of the old one.
    pub fn switch(&mut self) {
        self.pending = true;
    }

    /// The numbers of a packet to forward, `None` if it must not be sent: a duplicate, older than the switch or
    /// than the window, or left out before.
    ///
    /// `seq` is the source's extended sequence number, `arrival` when it came in, or better when its content was taken, `clock_rate` in Hz.
    pub fn rewrite(&mut self, seq: u64, timestamp: u32, arrival: Instant, glance: &Glance, clock_rate: u32) -> Option<Out> {
        if self.pending {
            self.pending = false;
            self.seen = Bits([0; SEQ_WORDS]);
            self.seen.set(seq);
            self.clock.begin(timestamp, arrival, clock_rate);
            let vp8 = self.pictures.rewrite(glance, Place::Source).ok()?;
            let number = glance.number.map(|number| self.frames.begin(number));
            return Some(Out { seq: self.seqs.begin(seq), timestamp: self.clock.rewrite(timestamp, arrival), vp8, number });
        }
        let newest = seq > self.seqs.newest;
        let out = if newest {
            self.advance_seen(seq);
            self.seqs.advance(seq)
        } else {
            let out = self.seqs.find(seq).filter(|_| !self.seen.get(seq))?;
            self.seen.set(seq);
            out
        };
        let place = if newest { Place::Newest } else { Place::Late };
        let vp8 = self.pictures.rewrite(glance, place).ok()?;
        let number = glance.number.map(|number| self.frames.rewrite(number));
        Some(Out { seq: out, timestamp: self.clock.rewrite(timestamp, arrival), vp8, number })
    }

    /// Says that a packet of the current source is left out on purpose, such as one of a temporal layer that this
    /// subscriber does not get; it leaves no gap. All packets of such a picture must be left out.
    ///
    /// A packet that comes late cannot lose its number any more, since later ones are sent: its gap stays.
    pub fn skip(&mut self, seq: u64, glance: &Glance) {
        // Before a source's first packet nothing is numbered, so nothing can be left out.
        if self.pending {
            return;
        }
        if seq > self.seqs.newest {
            self.advance_seen(seq);
            self.seqs.leave_out(seq);
            if let Some(info) = glance.vp8 {
                self.pictures.leave_out(&info);
            }
        } else if self.seqs.find(seq).is_some() {
            self.seen.set(seq);
        }
    }

    fn advance_seen(&mut self, seq: u64) {
        if seq - self.seqs.newest > REORDER_WINDOW {
            self.seen = Bits([0; SEQ_WORDS]);
        } else {
            for number in self.seqs.newest + 1..seq {
                self.seen.clear(number);
            }
        }
        self.seen.set(seq);
    }
}

/// The timestamps of one outgoing stream.
#[derive(Clone, Debug, Default)]
struct Clock {
    offset: u32,
    /// The newest timestamp sent, with the arrival of the first packet that had it.
    newest: Option<(u32, Instant)>,
}

impl Clock {
    /// Sets the offset so that `timestamp` follows the last one by the time that passed.
    fn begin(&mut self, timestamp: u32, arrival: Instant, clock_rate: u32) {
        let Some((newest, at)) = self.newest else { return };
        let passed = arrival.saturating_duration_since(at).min(LONGEST_PAUSE);
        let ticks = passed.as_micros() * u128::from(clock_rate) / 1_000_000;
        // An hour at 192 kHz is below 2^30; a faster clock is nobody's, and only wraps.
        #[allow(clippy::cast_possible_truncation)]
        let ticks = (ticks as u32).max(clock_rate / SHORTEST_FRAME_RATE).max(1);
        self.offset = newest.wrapping_add(ticks).wrapping_sub(timestamp);
    }

    fn rewrite(&mut self, timestamp: u32, arrival: Instant) -> u32 {
        let out = timestamp.wrapping_add(self.offset);
        if self.newest.is_none_or(|(newest, _)| is_after(out, newest)) {
            self.newest = Some((out, arrival));
        }
        out
    }
}

/// Whether `a` comes after `b` on a counter that wraps at 2^32.
fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::dice::Dice;
    use super::super::dice::epoch;
    use super::super::frame::glance;
    use super::*;
    use crate::model::media::Codec;

    const RATE: u32 = 90_000;

    fn rewriter() -> Rewriter {
        Rewriter::new(Start { seq: 100, picture: 50 })
    }

    fn seq(r: &mut Rewriter, seq: u64) -> Option<u64> {
        r.rewrite(seq, 0, epoch(), &Glance::default(), RATE).map(|out| out.seq)
    }

    /// A VP8 packet with a 15-bit picture id, a base layer index and a keyframe index.
    fn vp8(id: u16, tl0: u8, key: u8) -> Vec<u8> {
        let [high, low] = id.to_be_bytes();
        vec![0x90, 0xf0, 0x80 | high, low, tl0, key & 0x1f, 0x01]
    }

    /// The picture id, base layer index and keyframe index that a subscriber would get.
    fn sent(r: &mut Rewriter, seq: u64, payload: &[u8]) -> (u16, u8, u8) {
        let seen = glance(Codec::Vp8, payload, true);
        let out = r.rewrite(seq, 0, epoch(), &seen, RATE).unwrap();
        // A patch does not tell its bytes, so build the expected ones: equal patches have equal bytes.
        for id in 0..=u16::from(u8::MAX) {
            for index in 0..=u8::MAX {
                for key in 0..32 {
                    let patch = seen.vp8.unwrap().descriptor.patch().picture_id(id).tl0_pic_idx(index).key_idx(key);
                    if out.vp8 == patch.build().ok() {
                        return (id, index, key);
                    }
                }
            }
        }
        panic!("no ids below 256");
    }

    #[test]
    fn starts_stay_far_below_a_rollover() {
        for (wanted, first) in [(0, 1), (77, 77), (u16::MAX, u64::from(START_MAX))] {
            let mut r = Rewriter::new(Start { seq: wanted, picture: 0 });
            assert_eq!(seq(&mut r, 1 << 20), Some(first));
        }
    }

    #[test]
    fn losses_leave_gaps_that_late_packets_fill() {
        let mut r = rewriter();
        assert_eq!([7, 8, 11, 9, 9, 11, 10].map(|n| seq(&mut r, n)), [Some(100), Some(101), Some(104), Some(102), None, None, Some(103)]);
        assert_eq!(seq(&mut r, 6), None, "before the first");
    }

    #[test]
    fn skipped_packets_leave_no_gap() {
        let mut r = rewriter();
        assert_eq!(seq(&mut r, 1), Some(100));
        r.skip(2, &Glance::default());
        r.skip(4, &Glance::default());
        assert_eq!([5, 3, 2, 4].map(|n| seq(&mut r, n)), [Some(102), Some(101), None, None]);
        r.skip(8, &Glance::default());
        r.skip(7, &Glance::default());
        assert_eq!([9, 7, 6].map(|n| seq(&mut r, n)), [Some(105), None, Some(103)], "a late skip cannot close its gap");
    }

    #[test]
    fn the_window_is_bounded() {
        let mut r = rewriter();
        assert_eq!(seq(&mut r, 1), Some(100));
        assert_eq!(seq(&mut r, 1 + REORDER_WINDOW), Some(100 + REORDER_WINDOW));
        assert_eq!(seq(&mut r, 1), None);
        assert_eq!(seq(&mut r, 2), Some(101), "the oldest place in the window");
        let next = 2 + REORDER_WINDOW + REORDER_WINDOW;
        assert_eq!(seq(&mut r, next), Some(101 + REORDER_WINDOW), "too far ahead for a gap");
        assert_eq!(seq(&mut r, next - 1), None);
    }

    #[test]
    fn a_switch_continues_both_numbers() {
        let (mut r, start) = (rewriter(), epoch());
        let ms = Duration::from_millis;
        let send = |r: &mut Rewriter, seq, time, at| {
            let out = r.rewrite(seq, time, start + at, &Glance::default(), RATE);
            out.map(|out| (out.seq, out.timestamp))
        };
        assert_eq!(send(&mut r, 5, 3_000, ms(0)), Some((100, 3_000)));
        assert_eq!(send(&mut r, 6, 3_000, ms(5)), Some((101, 3_000)));
        r.switch();
        assert_eq!(send(&mut r, 9_000, 500, ms(40)), Some((102, 6_600)));
        assert_eq!(send(&mut r, 9_001, 3_500, ms(70)), Some((103, 9_600)));
        assert_eq!(send(&mut r, 8_999, 500, ms(70)), None, "before the switch");
        r.switch();
        assert_eq!(send(&mut r, 2, u32::MAX, ms(71)), Some((104, 9_600 + 1_800)), "at least a frame");
        r.switch();
        assert_eq!(send(&mut r, 3, 0, ms(100_000_000)), Some((105, 11_400 + RATE * 3_600)), "no longer than the longest pause");
    }

    #[test]
    fn vp8_ids_continue_over_switches_and_left_out_pictures() {
        let mut r = rewriter();
        assert_eq!(sent(&mut r, 1, &vp8(0x7fff, 255, 31)), (50, 255, 31));
        assert_eq!(sent(&mut r, 2, &vp8(0, 0, 31)), (51, 0, 31), "the source wraps");
        r.skip(3, &glance(Codec::Vp8, &vp8(1, 0, 31), true));
        r.skip(4, &glance(Codec::Vp8, &vp8(1, 0, 31), true));
        assert_eq!(sent(&mut r, 6, &vp8(3, 1, 31)), (53, 1, 31), "a lost picture keeps its place");
        assert_eq!(sent(&mut r, 5, &vp8(2, 1, 31)), (52, 1, 31));
        r.switch();
        assert_eq!(sent(&mut r, 900, &vp8(7_000, 90, 4)), (54, 2, 0));
        assert_eq!(sent(&mut r, 901, &vp8(7_000, 90, 4)), (54, 2, 0), "same picture");
        assert_eq!(sent(&mut r, 902, &vp8(7_001, 91, 4)), (55, 3, 0));
        assert_eq!(sent(&mut r, 903, &vp8(100, 91, 4)), (56, 3, 0), "an encoder that counts anew");
    }

    #[test]
    fn frame_numbers_continue_over_switches() {
        let mut r = rewriter();
        let send = |r: &mut Rewriter, seq, number| {
            let seen = Glance { number: Some(number), ..Glance::default() };
            r.rewrite(seq, 0, epoch(), &seen, RATE).and_then(|out| out.number)
        };
        assert_eq!(
            [(1, 0xfffe), (2, 0xfffe), (4, 0), (3, 0xffff)].map(|(seq, number)| send(&mut r, seq, number)),
            [0xfffe, 0xfffe, 0, 0xffff].map(Some)
        );
        r.switch();
        assert_eq!([(70, 500), (71, 501)].map(|(seq, number)| send(&mut r, seq, number)), [1, 2].map(Some));
    }

    #[test]
    fn short_picture_ids_stay_short() {
        let mut r = Rewriter::new(Start { seq: 1, picture: 127 });
        let narrow = |id: u8| glance(Codec::Vp8, &[0x90, 0x80, id, 0x01], true);
        let mut ids = Vec::new();
        for (number, id) in [(1, 126), (2, 127), (3, 0), (4, 1)] {
            let seen = narrow(id);
            let out = r.rewrite(number, 0, epoch(), &seen, RATE).unwrap().vp8.unwrap();
            ids.push((0..128).find(|&id| seen.vp8.unwrap().descriptor.patch().picture_id(id).build() == Ok(out)).unwrap());
        }
        assert_eq!(ids, [127, 0, 1, 2]);
    }

    /// A source as a publisher makes it: three packets a frame, in an order that the network chose.
    fn source(dice: &mut Dice) -> Vec<(u64, u32)> {
        let (first, clock) = (10_000 + dice.below(1 << 20), dice.below(1 << 32));
        let mut packets = Vec::new();
        for n in 0..300 {
            // The cast wraps as the source's clock does.
            #[allow(clippy::cast_possible_truncation)]
            let time = (clock + n / 3 * 3_000) as u32;
            match dice.below(10) {
                0 => {}
                1 => packets.extend([(first + n, time); 2]),
                2 => packets.insert(packets.len().saturating_sub(dice.index(40)), (first + n, time)),
                _ => packets.push((first + n, time)),
            }
        }
        packets
    }

    #[test]
    fn any_journey_leaves_unique_numbers_and_growing_timestamps() {
        for seed in 0..100 {
            let mut dice = Dice::new(seed);
            let mut r = Rewriter::new(Start { seq: 10 * u16::from(seed), picture: 0 });
            let (mut now, mut sent) = (epoch(), BTreeMap::new());
            let (mut lowest, mut given) = (u64::MAX, 0);
            for _ in 0..6 {
                r.switch();
                for (seq, time) in source(&mut dice) {
                    now += Duration::from_millis(dice.below(12));
                    if dice.percent(5) {
                        r.skip(seq, &Glance::default());
                    } else if let Some(out) = r.rewrite(seq, time, now, &Glance::default(), RATE) {
                        assert!(sent.insert(out.seq, out.timestamp).is_none(), "seed {seed}: {} twice", out.seq);
                        (lowest, given) = (lowest.min(out.seq), given + 1);
                    }
                }
            }
            let times: Vec<u32> = sent.values().copied().collect();
            assert!(times.is_sorted_by(|a, b| a == b || is_after(*b, *a)), "seed {seed}: time runs back");
            assert!(given > 1_000 && sent.len() as u64 == given);
            assert!(lowest < 1 << 15, "seed {seed}");
            let span = sent.last_key_value().map_or(0, |(last, _)| last - lowest);
            assert!(span < 6 * 300, "seed {seed}: gaps beyond what was lost");
        }
    }

    #[test]
    fn any_packets_are_taken_without_a_double_number() {
        let mut dice = Dice::new(9);
        let (mut r, mut sent) = (rewriter(), BTreeMap::new());
        for round in 0..20_000 {
            let seq = match dice.below(100) {
                0 => u64::MAX - dice.below(3),
                1 => dice.below(1 << 40),
                _ => 1_000_000 + dice.below(2_000),
            };
            let seen = glance(Codec::Vp8, &dice.bytes(12), dice.percent(50));
            if dice.percent(2) {
                r.switch();
            }
            if dice.percent(10) {
                r.skip(seq, &seen);
            } else if let Some(out) = r.rewrite(seq, 0, epoch(), &seen, RATE) {
                assert_eq!(sent.insert(out.seq, round), None);
            }
        }
        assert!(sent.len() > 1_000);
    }
}
