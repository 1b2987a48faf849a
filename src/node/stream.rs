//! A stream that a client sends.

use std::time::{Duration, Instant};

use str0m::rtp::{Ssrc, StreamRx};

use crate::model::media::Quality;
use crate::sfu::descriptor::Templates;

use super::peer::TrackIndex;

/// A stream that was silent for so long …
const OUTAGE: Duration = Duration::from_millis(500);
/// … while more packets than these were lost had an outage: a keyframe costs less than sending all of them again.
const OUTAGE_PACKETS: u64 = 8;
/// Numbers as far as this from where 16 bits wrap tell without doubt how often they have.
const NO_WRAP: std::ops::Range<u64> = 0x1000..0xf000;

/// A stream that the client sends.
pub(super) struct InStream {
    pub ssrc: Ssrc,
    pub track: Option<TrackIndex>,
    pub quality: Quality,
    /// Which of its frames are of which spatial layer, for streams with dependency descriptors.
    pub templates: Option<Box<Templates>>,
    /// The highest number (RFC 3550 §5.1, extended) that was forwarded.
    newest: u64,
    newest_at: Instant,
}

/// When a packet of a stream comes, beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// No later one has come yet.
    InTime,
    /// A later packet came before it.
    Late,
    /// After an outage.
    Back,
}

impl InStream {
    /// A stream whose first packet is the one with `number`.
    pub fn new(ssrc: Ssrc, track: TrackIndex, quality: Quality, number: u64, now: Instant) -> Self {
        Self { ssrc, track: Some(track), quality, templates: None, newest: number, newest_at: now }
    }

    /// Notes a packet's number.
    pub fn note(&mut self, number: u64, now: Instant) -> Arrival {
        if number < self.newest {
            return Arrival::Late;
        }
        let back = now.saturating_duration_since(self.newest_at) >= OUTAGE && number - self.newest > OUTAGE_PACKETS;
        (self.newest, self.newest_at) = (number, now);
        if back { Arrival::Back } else { Arrival::InTime }
    }

    /// After an outage what was lost in it is not asked for again. Its publisher would send that before anything new, and
    /// whoever waits for the picture would have to wait for what is no longer of use.
    pub fn write_off(&self, stream: &mut StreamRx) {
        if NO_WRAP.contains(&(self.newest & 0xffff)) {
            stream.reset_roc(self.newest >> 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(now: Instant) -> InStream {
        InStream::new(1.into(), TrackIndex(0), Quality::High, 7, now)
    }

    #[test]
    fn what_comes_after_a_later_packet_is_late() {
        let now = Instant::now();
        let mut stream = stream(now);
        let (next, late) = (Arrival::InTime, Arrival::Late);
        assert_eq!([8, 8, 11, 9, 10, 12].map(|number| stream.note(number, now)), [next, next, next, late, late, next]);
    }

    #[test]
    fn a_pause_in_which_much_was_lost_is_an_outage() {
        let now = Instant::now();
        for (number, pause, arrival) in [
            (8, OUTAGE * 9, Arrival::InTime),
            (7 + OUTAGE_PACKETS, OUTAGE, Arrival::InTime),
            (8 + OUTAGE_PACKETS, OUTAGE, Arrival::Back),
            (999, OUTAGE.mul_f64(0.99), Arrival::InTime),
        ] {
            assert_eq!(stream(now).note(number, now + pause), arrival, "{number} after {pause:?}");
        }
    }
}
