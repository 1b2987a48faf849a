//! What moderators change in rooms, checked against their grants.

use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomName, Sid};
use crate::model::role::Role;
use crate::model::time::Moment;
use crate::node::request::{Refusal, Reply};
use crate::room::Room;
use crate::room::media::DataMessage;
use crate::room::moderate::{Profile, Unfit};
use crate::room::notice::Permission;
use crate::sfu::data::DESTINATIONS_MAX;

use super::Control;

/// Longest message of a moderator in bytes: with its topic it fits into one data packet.
pub const DATA_MAX: usize = 60 * 1024;
/// Longest topic of a message in bytes.
pub const TOPIC_MAX: usize = 256;
/// Most tracks that one request may subscribe.
pub const TRACKS_MAX: usize = 1024;

impl Control {
    /// Describes a participant anew, and says what it may do from now on.
    pub(super) fn update_participant(
        &mut self,
        grants: &Grants,
        name: &RoomName,
        identity: &Identity,
        (profile, permission): (Profile, Option<&Permission>),
        now: Moment,
    ) -> Result<Reply, Refusal> {
        let (key, room, session) = self.someone(grants, name, identity)?;
        if permission.is_some() {
            through_server(room)?;
        }
        let mut result = None;
        self.with_room(key, |room, _, out| result = Some(room.update_participant(session, profile, permission, now, out)));
        taken(result)?;
        self.participant(grants, name, identity)
    }

    /// Subscribes a participant to tracks, or unsubscribes it.
    pub(super) fn update_subscriptions(
        &mut self,
        grants: &Grants,
        name: &RoomName,
        identity: &Identity,
        tracks: &[Sid],
        subscribe: bool,
    ) -> Result<Reply, Refusal> {
        let (key, room, session) = self.someone(grants, name, identity)?;
        through_server(room)?;
        if tracks.len() > TRACKS_MAX {
            return Err(Refusal::Invalid("a request may name at most 1024 tracks"));
        }
        self.with_room(key, |room, _, out| room.update_subscriptions(session, tracks, subscribe, out));
        Ok(Reply::Done)
    }

    /// Says something in a room.
    pub(super) fn send_data(&mut self, grants: &Grants, name: &RoomName, message: DataMessage) -> Result<Reply, Refusal> {
        let (key, room) = self.moderated(grants, name)?;
        through_server(room)?;
        if Role::of(grants) == Some(Role::Reception) {
            return Err(Refusal::NotAllowed("a role that may publish"));
        }
        if message.payload.len() > DATA_MAX {
            return Err(Refusal::Invalid("data must have at most 61440 bytes"));
        }
        if message.topic.as_ref().is_some_and(|topic| topic.len() > TOPIC_MAX) {
            return Err(Refusal::Invalid("topic must have at most 256 bytes"));
        }
        if message.identities.len() + message.sids.len() > DESTINATIONS_MAX {
            return Err(Refusal::Invalid("at most 256 destinations are possible; name none to reach everybody"));
        }
        self.with_room(key, |room, _, out| room.send_data(message, out));
        Ok(Reply::Done)
    }

    /// Gives a room other metadata.
    pub(super) fn update_room(&mut self, grants: &Grants, name: &RoomName, metadata: String) -> Result<Reply, Refusal> {
        let (key, _) = self.moderated(grants, name)?;
        let mut result = None;
        self.with_room(key, |room, _, out| result = Some(room.set_metadata(metadata, out)));
        taken(result)?;
        self.moderated(grants, name).map(|(_, room)| Reply::Room(room.view()))
    }
}

/// Tracks and data that do not pass the server are not its to steer.
fn through_server(room: &Room) -> Result<(), Refusal> {
    if room.is_p2p() { Err(Refusal::WrongMode(room.view().mode)) } else { Ok(()) }
}

/// What came of the room's work; nothing if the room has just broken.
fn taken(result: Option<Result<(), Unfit>>) -> Result<(), Refusal> {
    result.ok_or(Refusal::Busy)?.map_err(|unfit| Refusal::Invalid(unfit.words()))
}

#[cfg(test)]
#[path = "moderate_tests.rs"]
mod tests;
