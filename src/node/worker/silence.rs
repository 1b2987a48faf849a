//! Clients that fall silent in mid-call: a firewall or a change of network may have cut their way.

use std::time::{Duration, Instant};

use crate::node::peer::{LIVELY, Peer, PeerIndex};
use crate::room::media::MediaEvent;

use super::Worker;

/// A client that should be heard and is not for so long is told to look for another way.
pub const SILENCE: Duration = Duration::from_secs(2);
/// A client that media was written to so recently answers with reports.
const ANSWERS: Duration = Duration::from_secs(1);

impl Worker {
    /// Tells sessions that fell silent.
    pub(super) fn listen_for_silence(&mut self) {
        let silent: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.signalled)
            .flat_map(|(id, session)| [session.publisher, session.subscriber].map(|leg| (*id, leg)))
            .filter(|(_, leg)| self.is_silent(*leg))
            .collect();
        for (session, leg) in silent {
            let Some(peer) = self.peer_mut(leg) else { continue };
            // The single layout has one leg, which came twice.
            if !std::mem::replace(&mut peer.silent, true) {
                self.event(MediaEvent::Silent { session });
            }
        }
    }

    fn is_silent(&self, leg: PeerIndex) -> bool {
        let now = self.now;
        // Who paused before, such as a page in the background, is not missed.
        let lively = |peer: &&Peer| peer.connected && !peer.silent && peer.in_a_row >= LIVELY;
        let overdue = |peer: &&Peer| lively(peer) && now.saturating_duration_since(peer.received) >= SILENCE;
        self.peer(leg).filter(overdue).is_some_and(|peer| self.sends(leg, peer) || answers(peer, now))
    }

    /// Whether the client sends media by this leg all the time.
    fn sends(&self, leg: PeerIndex, peer: &Peer) -> bool {
        let Some(room) = self.room(peer.room) else { return false };
        let mut own = room.tracks_of(peer.session).filter(|(_, track)| track.peer == leg);
        own.any(|(_, track)| track.mid.is_some() && !track.spec.muted)
    }
}

/// Whether the client gets media by this leg, which it answers with reports several times a second
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
fn answers(peer: &Peer, now: Instant) -> bool {
    peer.wrote.is_some_and(|wrote| now.saturating_duration_since(wrote) <= ANSWERS)
}
