//! Connection quality from losses, round trips, jitter that str0m measures.

use std::collections::BTreeMap;
use std::time::Duration;

use str0m::media::{Mid, Rid};
use str0m::stats::PeerStats;

use crate::model::ids::{RoomKey, SessionId};
use crate::model::stats::Direction;
use crate::node::peer::PeerIndex;
use crate::room::media::MediaEvent;
use crate::room::notice::QualityLevel;
use crate::sfu::quality::Measured;

use super::Worker;

/// Opus (RFC 7587 §4.1), by whose clock its jitter is counted.
const SOUND_CLOCK: u32 = 48_000;
/// The score from which a connection is excellent: what is lost leaves no trace.
const EXCELLENT: f32 = 4.15;
/// And from which it is good: people notice, but understand each other.
const GOOD: f32 = 3.2;

fn level(score: f32) -> QualityLevel {
    if score >= EXCELLENT {
        QualityLevel::Excellent
    } else if score >= GOOD {
        QualityLevel::Good
    } else {
        QualityLevel::Poor
    }
}

impl Worker {
    pub(super) fn peer_stats(&mut self, index: PeerIndex, stats: &PeerStats) {
        let Some(peer) = self.peer_mut(index) else { return };
        let loss = stats.egress_loss_fraction.unwrap_or(0.0).max(stats.ingress_loss_fraction.unwrap_or(0.0));
        // That of each stream follows.
        peer.measured = Measured { loss, round_trip: stats.rtt.unwrap_or_default(), jitter: Duration::ZERO };
    }

    /// Notes the jitter of a stream of sound, in units of its clock. That of pictures tells of their size.
    pub(super) fn jitter(&mut self, index: PeerIndex, mid: Mid, jitter: u32) {
        let Some(peer) = self.peer_mut(index) else { return };
        if peer.rtc.media(mid).is_some_and(|media| media.kind().is_audio()) {
            let jitter = Duration::from_secs(1) * jitter / SOUND_CLOCK;
            peer.measured.jitter = peer.measured.jitter.max(jitter);
        }
    }

    /// Counts NACKs, of which str0m tells the sum of each stream.
    pub(super) fn nack_stats(&mut self, index: PeerIndex, direction: Direction, stream: (Mid, Option<Rid>), sum: u64) {
        let Some(peer) = self.peer_mut(index) else { return };
        let at = peer.nacks.iter().position(|known| (known.0, known.1) == (direction, stream)).unwrap_or_else(|| {
            peer.nacks.push((direction, stream, 0));
            peer.nacks.len() - 1
        });
        let known = &mut peer.nacks[at];
        let new = sum.saturating_sub(known.2);
        known.2 = sum;
        self.stats.nacks.add(direction, new);
    }

    pub(super) fn tell_quality(&mut self) {
        let mut rooms: BTreeMap<RoomKey, Vec<(SessionId, QualityLevel, f32)>> = BTreeMap::new();
        for (id, session) in &self.sessions {
            let Some(room) = self.rooms.get(session.room.0 as usize).and_then(Option::as_ref) else { continue };
            let legs = || [session.publisher, session.subscriber].into_iter().filter_map(|leg| self.peer(leg));
            let measured = legs().filter(|peer| peer.connected).map(|peer| peer.measured);
            let Some(path) = measured.reduce(Measured::worse) else { continue };
            let silent = legs().any(|peer| peer.silent);
            let (level, score) = if silent { (QualityLevel::Lost, 1.0) } else { (level(path.score()), path.score()) };
            rooms.entry(room.key).or_default().push((*id, level, score));
        }
        for (room, levels) in rooms {
            self.event(MediaEvent::Quality { room, levels });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_makes_levels() {
        let at = |loss, round_trip, jitter| {
            let [round_trip, jitter] = [round_trip, jitter].map(Duration::from_millis);
            level(Measured { loss, round_trip, jitter }.score())
        };
        assert_eq!([at(0.0, 20, 0), at(0.01, 100, 10)], [QualityLevel::Excellent; 2]);
        assert_eq!([at(0.05, 50, 10), at(0.0, 500, 10), at(0.0, 100, 100)], [QualityLevel::Good; 3]);
        assert_eq!([at(0.15, 50, 10), at(0.0, 1_200, 10), at(0.05, 500, 100)], [QualityLevel::Poor; 3]);
    }
}
