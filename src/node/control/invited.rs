//! What invitations add to the desk: whom they brought, whether they were admitted before.

use crate::model::audit::AuditEvent;
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, RoomKey, SubjectRef};
use crate::model::record::Write;
use crate::model::time::Moment;
use crate::room::desk::{DeskFault, Invited};

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
    pub(super) fn invited(&self, _room: &RoomId, _identity: &Identity) -> Option<ByInvitation> {
        None
    }

    /// What must be written with an admission, or with its end.
    pub(super) fn admission_writes(&self, _room: &RoomId, _identity: &Identity, _admitted: bool) -> Vec<Write> {
        Vec::new()
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
        if result? >= crate::room::lobby::MISMATCHES_MAX {
            self.write_down(key, Some(by), AuditEvent::InvitationMismatched, Some(identity), now);
        }
        Ok(())
    }
}
