//! Connection quality from losses that str0m measures.

use std::collections::BTreeMap;

use str0m::bwe::Bitrate;
use str0m::media::{Mid, Rid};
use str0m::stats::PeerStats;

use crate::model::ids::{RoomKey, SessionId};
use crate::model::media::MediaKind;
use crate::model::stats::Direction;
use crate::node::peer::PeerIndex;
use crate::room::media::MediaEvent;
use crate::room::notice::QualityLevel;

use super::Worker;
use super::rooms::MediaTrack;

/// Share of packets lost from which a connection is only good, and from which it is poor: below 2 % recovery
/// leaves no trace, above 10 % sound suffers.
const GOOD_LOSS: f32 = 0.02;
/// See [`GOOD_LOSS`].
const POOR_LOSS: f32 = 0.10;

/// What an audio track with RED and headers takes, in bit/s.
const AUDIO_BITRATE: u64 = 120_000;
/// What a video track takes that announces nothing, in bit/s.
const VIDEO_BITRATE: u64 = 2_500_000;
/// The most that is looked for, in bit/s.
const DESIRED_MAX: u64 = 50_000_000;

fn track_bitrate(track: &MediaTrack) -> u64 {
    match track.spec.kind {
        MediaKind::Audio => AUDIO_BITRATE,
        MediaKind::Video => {
            let announced = track.spec.layers.iter().map(|layer| u64::from(layer.bitrate)).max();
            announced.filter(|bitrate| *bitrate > 0).unwrap_or(VIDEO_BITRATE)
        }
    }
}

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

    /// Tells str0m how much a client's tracks could use, so that it looks for that much.
    pub(super) fn set_desired_bitrate(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer(index) else { return };
        let Some(room) = self.room(peer.room) else { return };
        let carried = peer.sections.iter().filter_map(|section| room.track(section.carried.as_ref()?.0));
        let desired: u64 = carried.map(track_bitrate).sum();
        let Some(peer) = self.peer_mut(index) else { return };
        peer.rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::bps(desired.min(DESIRED_MAX)));
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
