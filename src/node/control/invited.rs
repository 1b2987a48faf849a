//! What invitations add to the desk: whom they brought, whether they were admitted before.

use crate::model::audit::AuditEvent;
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, RoomKey, SubjectRef};
use crate::model::record::{InvitedBy, Write};
use crate::model::time::Moment;
use crate::room::desk::{Bye, DeskFault, Invited};
use crate::room::lobby::MISMATCHES_MAX;

use super::Control;

/// What is known of somebody by an invitation.
pub(super) struct ByInvitation {
    /// What moderators see of it.
    pub view: Option<Invited>,
    /// Whether a moderator has admitted it, before this start maybe.
    pub admitted: bool,
    /// The person by the caller's opaque reference.
    pub subject: Option<SubjectRef>,
}

impl Control {
    /// The invitation by which somebody came into a room.
    pub(super) fn invited(&self, room: &RoomId, identity: &Identity) -> Option<ByInvitation> {
        let record = self.invitation_of(room, identity)?;
        let view = match &record.by {
            InvitedBy::Tan { sealed, secret, .. } => {
                Some(Invited { id: record.id.clone(), sealed: sealed.clone(), secret: secret.clone() })
            }
            InvitedBy::Link => None,
        };
        Some(ByInvitation { view, admitted: record.admitted, subject: record.subject.clone() })
    }

    /// What must be written with an admission, or with its end.
    pub(super) fn admission_writes(&self, room: &RoomId, identity: &Identity, admitted: bool) -> Vec<Write> {
        self.invitation_admitted(room, identity, admitted).into_iter().collect()
    }

    /// The invitation remembers an admission, or its end.
    pub(super) fn note_admission(&mut self, key: RoomKey, identity: &Identity, admitted: bool, now: Moment) {
        if let Some(room) = self.rooms.get(&key).map(|entry| entry.room.id().clone()) {
            self.note_admitted(&room, identity, admitted, now);
        }
    }

    /// Lets the room know of an admission that only the invitation remembers.
    pub(super) fn recall_admission(&mut self, grants: &Grants, _now: Moment) {
        let Some((name, identity)) = grants.room.as_ref().zip(grants.identity.as_ref()) else { return };
        let Some(key) = self.find(grants, name) else { return };
        let room = RoomId { tenant: grants.tenant.clone(), name: name.clone() };
        if self.invited(&room, identity).is_some_and(|invited| invited.admitted) {
            self.with_room(key, |room, _, _| room.remember_admitted(identity));
        }
    }

    /// The key exchange with a guest failed. Three of them end the guest's stay, with the invitation.
    pub(super) fn mismatched(&mut self, key: RoomKey, by: &Grants, identity: &Identity, now: Moment) -> Result<(), DeskFault> {
        let mut result = Err(DeskFault::NoSuchPerson);
        self.with_room(key, |room, _, out| result = room.mismatched(identity, now, out));
        let often = result? >= MISMATCHES_MAX;
        let Some(room) = self.rooms.get(&key).map(|entry| entry.room.id().clone()) else { return Ok(()) };
        let came_by_one = self.invitation_of(&room, identity).is_some();
        // The invitation remembers those before a restart, too.
        let over = self.invitation_mismatched(&room, identity, now);
        if over && !often {
            self.with_room(key, |room, _, out| room.send_away(identity, Bye::Refused, now, out));
        }
        if often && !came_by_one {
            self.write_down(key, Some(by), AuditEvent::InvitationMismatched, Some(identity), now);
        }
        Ok(())
    }
}
