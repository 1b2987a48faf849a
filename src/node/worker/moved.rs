//! Clients that come back by another way: a NAT forgot them, or a firewall or another network took the old one.

use std::time::Duration;

use crate::model::media::{MediaKind, Quality};
use crate::node::peer::{FIRST_ESTIMATE, PeerIndex};

use super::Worker;

/// By then the client has reported what was lost on the old way.
const REPORTED: Duration = Duration::from_millis(500);

impl Worker {
    /// Begins anew on the way that a client's media came by after a pause in which all was lost.
    pub(super) fn moved(&mut self, index: PeerIndex) {
        let now = self.now;
        let Some(peer) = self.peer_mut(index).filter(|peer| peer.connected) else { return };
        peer.moved = Some(now);
        self.estimate_anew(index);
        self.ask_for_keyframes(index);
    }

    /// Forgets once more what the client reported meanwhile: it tells of the old way, not of the new one.
    pub(super) fn settle_moved(&mut self) {
        let now = self.now;
        let moved = |leg: &PeerIndex| {
            let moved = self.peer(*leg).and_then(|peer| peer.moved);
            moved.is_some_and(|moved| now.saturating_duration_since(moved) >= REPORTED)
        };
        let legs = self.sessions.values().flat_map(|session| [session.publisher, session.subscriber]);
        for leg in legs.filter(moved).collect::<Vec<_>>() {
            let Some(peer) = self.peer_mut(leg) else { continue };
            if peer.moved.take().is_some() {
                self.estimate_anew(leg);
            }
        }
    }

    fn estimate_anew(&mut self, index: PeerIndex) {
        let now = self.now;
        let Some(peer) = self.peer_mut(index) else { return };
        peer.bandwidth.begin_anew(&mut peer.rtc, FIRST_ESTIMATE, now);
        self.allot_anew(index);
        self.mark(index);
    }

    /// Of all that the client sends and gets. What was lost is more than can be sent again, and decoders wait seconds for it
    /// before they ask themselves.
    fn ask_for_keyframes(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer(index) else { return };
        let room = peer.room;
        let received = peer.sections.iter().filter_map(|section| {
            let (track, _) = section.carried.as_ref()?;
            Some((*track, section.selector.current().unwrap_or(Quality::High)))
        });
        let sent = peer.streams.iter().filter_map(|stream| Some((stream.track?, stream.quality)));
        let wanted: Vec<_> = received.chain(sent).collect();
        for (track, quality) in wanted {
            if self.room(room).and_then(|room| room.track(track)).is_some_and(|track| track.spec.kind == MediaKind::Video) {
                self.request_keyframe(room, track, quality);
            }
        }
    }
}
