//! Rooms of two people at the control core: who gets in, what is passed on.

use crate::model::chance::Chance;
use crate::model::grants::Grants;
use crate::model::ids::{RoomKey, SessionId};
use crate::model::record::RoomMode;
use crate::model::time::Moment;
use crate::node::request::{Refusal, RoomSpec};
use crate::node::sdp::SdpFault;
use crate::room::command::{Layout, Signal};
use crate::room::notice::{Notice, Outcome};
use crate::room::{Effect, PEOPLE, Room};

use super::Control;

impl Control {
    pub(super) fn mode(&self, key: RoomKey) -> RoomMode {
        self.rooms.get(&key).map_or(RoomMode::Sfu, |entry| entry.room.view().mode)
    }

    /// Whether a session's partner must not learn its address.
    pub(super) fn hides_addresses(&self, session: SessionId) -> bool {
        let room = self.sessions.get(&session).and_then(|key| self.rooms.get(key));
        room.is_some_and(|entry| entry.room.hides_addresses())
    }
}

/// Whether a new p2p room can be as it is wanted.
pub(super) fn check(spec: &RoomSpec) -> Result<(), Refusal> {
    if spec.max_participants.is_some_and(|most| most != PEOPLE) {
        return Err(Refusal::Invalid("a room of mode p2p has exactly 2 participants"));
    }
    if spec.require_encryption == Some(false) {
        return Err(Refusal::Invalid("a room of mode p2p is always encrypted end to end"));
    }
    Ok(())
}

/// Whether the mode of a room lets these grants in, by this way if one is named. A room that does not exist yet would be
/// made as an SFU room.
pub(super) fn admits(room: Option<&Room>, grants: &Grants, layout: Option<Layout>) -> Result<(), Refusal> {
    let Some(room) = room else {
        return if layout == Some(Layout::P2p) { Err(Refusal::RoomNotFound) } else { Ok(()) };
    };
    if layout.is_some_and(|layout| !room.takes(layout)) {
        return Err(Refusal::WrongMode(room.view().mode));
    }
    // Nobody but the two would enforce it: the server is not on the media's way.
    if room.is_p2p() && !(grants.can_publish && grants.can_subscribe && !grants.hidden) {
        return Err(Refusal::NotAllowed("canPublish with canSubscribe, without hidden, as a room of mode p2p needs"));
    }
    Ok(())
}

/// Hands what may pass of a client's message to its room.
pub(super) fn signal(
    room: &mut Room,
    session: SessionId,
    signal: Result<Option<Signal>, SdpFault>,
    now: Moment,
    chance: &mut Chance,
    out: &mut Vec<Effect>,
) {
    match signal {
        Ok(Some(signal)) => room.signal(session, signal, now, chance, out),
        Ok(None) => {}
        Err(_) => out.push(Effect::Tell(session, Notice::Response { request_id: 0, outcome: Outcome::LimitExceeded })),
    }
}

#[cfg(test)]
#[path = "p2p_tests.rs"]
mod tests;
