//! What invitations add to the desk: whom they brought, whether they were admitted before.

use crate::model::audit::AuditEvent;
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, RoomKey, SubjectRef};
use crate::model::record::{InvitationRecord, InvitedBy, Write};
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
            InvitedBy::Link => None,
            InvitedBy::Tan { sealed, secret, .. } => {
                Some(Invited { id: record.id.clone(), sealed: sealed.clone(), secret: secret.clone() })
            }
        };
        Some(ByInvitation { view, admitted: record.admitted, subject: record.subject.clone() })
    }

    /// What must be written before an admission counts.
    pub(super) fn admission_writes(&self, room: &RoomId, identity: &Identity) -> Option<Write> {
        let record = self.invitation_of(room, identity)?;
        Some(Write::PutInvitation(InvitationRecord { admitted: true, ..record.clone() }))
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
        let room = self.rooms.get(&key).map(|entry| entry.room.id().clone()).ok_or(DeskFault::NoSuchPerson)?;
        let mut result = Err(DeskFault::NoSuchPerson);
        self.with_room(key, |room, _, out| result = room.mismatched(identity, now, out));
        let count = result?;
        if self.invitation_of(&room, identity).is_none() {
            if count >= MISMATCHES_MAX {
                self.write_down(key, Some(by), AuditEvent::InvitationMismatched, Some(identity), now);
            }
            return Ok(());
        }
        // The invitation remembers what was before this start, and puts its own end on record.
        if self.invitation_mismatched(&room, identity, now) && count < MISMATCHES_MAX {
            self.with_room(key, |room, _, out| result = room.turn_away(identity, Bye::Refused, now, out).map(|()| count));
        }
        Ok(())
    }
}
