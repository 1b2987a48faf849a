//! What is kept for answering NACKs.

use std::time::Duration;

use str0m::Rtc;

use crate::model::media::MediaKind;
use crate::node::peer::{Leaving, OutSection, Peer};

use super::Worker;
use super::drain::is_probe;

/// Most packets that are kept of a stream of video.
pub const KEPT_MAX: usize = 300;
/// How long they are kept: what comes later than that is not waited for.
pub const KEPT_FOR: Duration = Duration::from_secs(1);
/// Most packets that a worker keeps of all streams together, each with its headers and, unless others keep it too, its payload:
/// up to 200 MB. Beyond 436 streams each has fewer.
pub const KEPT_TOTAL: usize = 131_072;
/// However many streams there are, each may keep this many: what a second of the smallest picture takes.
const KEPT_MIN: usize = 32;
/// str0m drops the queue of resends where they are a larger part of all that it sent in a second. It looks every 50 ms only, and
/// sends faster the more is asked for: that [`crate::sfu::resends`] bounds.
const RATIO_MAX: f32 = 0.15;
/// str0m pads to this by itself, in bit/s.
const PADDING: u64 = 50_000;

/// How many packets each of so many streams may keep. In steps, because a change empties what is kept.
fn share(streams: usize) -> usize {
    let mut each = KEPT_MAX;
    while each / 2 >= KEPT_MIN && each * streams > KEPT_TOTAL {
        each /= 2;
    }
    each
}

/// Sees that a section keeps so many packets.
pub(super) fn keep(rtc: &mut Rtc, section: &mut OutSection, packets: usize) {
    if section.kind != MediaKind::Video || section.kept == Some(packets) {
        return;
    }
    if let Some(stream) = rtc.direct_api().stream_tx_by_mid(section.mid, None) {
        let age = if packets == 0 { Duration::ZERO } else { KEPT_FOR };
        stream.set_rtx_cache(packets, age, Some(RATIO_MAX));
        section.kept = Some(packets);
    }
}

impl Worker {
    /// Divides what may be kept among the streams that there are.
    pub(super) fn share_kept(&mut self) {
        let sections = self.peers.iter().flatten().flat_map(|peer| &peer.sections);
        self.kept_each = share(sections.filter(|section| section.kept.is_some()).count());
    }
}

impl Peer {
    /// Notes what a datagram that leaves costs. Whoever asks for too much again gets nothing again for a while.
    pub(super) fn account(&mut self, leaving: Leaving, bytes: usize) {
        match leaving {
            Leaving::NoMedia => {}
            Leaving::Written => self.resends.media(bytes as u64),
            Leaving::Added if is_probe(self.rtc.last_timeout_reason()) => {}
            Leaving::Added => {
                self.resends.added(bytes as u64, self.bandwidth.least().max(PADDING), self.clock);
                if self.resends.stopped() {
                    // What str0m has queued to be sent again is dropped as it is not found any more.
                    self.sections.iter_mut().for_each(|section| keep(&mut self.rtc, section, 0));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_streams_together_keep_a_bounded_number() {
        assert_eq!((share(0), share(1), share(436), share(437)), (KEPT_MAX, KEPT_MAX, KEPT_MAX, KEPT_MAX / 2));
        for streams in 0..10_000 {
            let each = share(streams);
            assert!(each * streams <= KEPT_TOTAL.max(2 * KEPT_MIN * streams) && (KEPT_MIN..=KEPT_MAX).contains(&each));
        }
    }
}
