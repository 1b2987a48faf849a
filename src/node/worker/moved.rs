//! Clients that come back by another way: a NAT forgot them, or a firewall or another network took the old one.

use std::time::Duration;

use crate::model::media::MediaKind;
use crate::node::peer::{Peer, PeerIndex};

use super::Worker;
use super::resends::keep;

/// By then the client has reported what was lost on the old way.
const REPORTED: Duration = Duration::from_millis(500);

impl Worker {
    /// Begins anew on the way that a client's media came by after a pause in which all was lost.
    pub(super) fn moved(&mut self, index: PeerIndex) {
        let now = self.now;
        let Some(peer) = self.peer_mut(index).filter(|peer| peer.connected) else { return };
        peer.moved = Some(now);
        begin_pictures_anew(peer);
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
        peer.bandwidth.begin_anew(&mut peer.rtc, now);
        self.allot_anew(index);
        self.mark(index);
    }

    /// Of all that the client sends and gets. What was lost is more than can be sent again, and decoders wait seconds for it
    /// before they ask themselves.
    fn ask_for_keyframes(&mut self, index: PeerIndex) {
        let now = self.now;
        let Some(peer) = self.peer(index) else { return };
        let Some(room) = self.room(peer.room) else { return };
        let received = peer.sections.iter().filter_map(|section| {
            let (at, _) = section.carried.as_ref()?;
            let layers = [section.selector.current(), section.selector.wants_keyframe(&room.track(*at)?.layers, now)];
            Some(layers.into_iter().flatten().map(|quality| (*at, quality)))
        });
        let sent = peer.streams.iter().filter_map(|stream| Some((stream.track?, stream.quality)));
        let mut wanted: Vec<_> = received.flatten().chain(sent).collect();
        wanted.retain(|(at, _)| room.track(*at).is_some_and(|track| track.spec.kind == MediaKind::Video));
        let room = peer.room;
        for (track, quality) in wanted {
            self.request_keyframe(room, track, quality);
        }
    }
}

/// What the client lost on its old way is not sent again on the new one, ahead of the keyframes that come anyway, nor is
/// anything sent that only continues it.
fn begin_pictures_anew(peer: &mut Peer) {
    for section in peer.sections.iter_mut().filter(|section| section.kind == MediaKind::Video) {
        section.pause();
        keep(&mut peer.rtc, section, 0);
    }
}
