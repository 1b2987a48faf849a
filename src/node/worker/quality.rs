//! Connection quality from losses that str0m measures.

use std::collections::BTreeMap;

use str0m::media::{Mid, Rid};
use str0m::stats::PeerStats;

use crate::model::ids::{RoomKey, SessionId};
use crate::model::stats::Direction;
use crate::node::peer::PeerIndex;
use crate::room::media::MediaEvent;
use crate::room::notice::QualityLevel;

use super::Worker;

/// Share of packets lost from which a connection is only good, and from which it is poor: below 2 % recovery
/// leaves no trace, above 10 % sound suffers.
const GOOD_LOSS: f32 = 0.02;
/// See [`GOOD_LOSS`].
const POOR_LOSS: f32 = 0.10;

fn level(loss: f32) -> (QualityLevel, f32) {
    if loss < GOOD_LOSS {
        (QualityLevel::Excellent, 5.0)
    } else if loss < POOR_LOSS {
        (QualityLevel::Good, 4.0)
    } else {
        (QualityLevel::Poor, 2.0)
    }
}

impl Worker {
    pub(super) fn peer_stats(&mut self, index: PeerIndex, stats: &PeerStats) {
        let Some(peer) = self.peer_mut(index) else { return };
        let worst = stats.egress_loss_fraction.unwrap_or(0.0).max(stats.ingress_loss_fraction.unwrap_or(0.0));
        peer.loss = worst;
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
            let legs = [session.publisher, session.subscriber];
            let losses = legs.iter().filter_map(|leg| self.peer(*leg)).filter(|peer| peer.connected).map(|peer| peer.loss);
            let Some(loss) = losses.reduce(f32::max) else { continue };
            let (level, score) = level(loss);
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
    fn losses_make_levels() {
        assert_eq!(level(0.0).0, QualityLevel::Excellent);
        assert_eq!(level(0.05).0, QualityLevel::Good);
        assert_eq!(level(0.5).0, QualityLevel::Poor);
    }
}
