//! What the core puts on record.

use crate::model::audit::{AuditEntry, AuditEvent};
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, RoomName, SubjectRef, TenantId};
use crate::model::record::Write;
use crate::model::role::Role;
use crate::model::time::Moment;

use super::rooms::millis;
use super::{Control, Waiting};

impl Control {
    /// Puts something on record that nobody waits for.
    pub(super) fn note(&mut self, write: Write) {
        self.persist(vec![write], Waiting::Forget);
    }
}

/// What a caller did, or was refused.
pub(super) fn by(event: AuditEvent, grants: &Grants, room: Option<&RoomName>, now: Moment) -> Write {
    let room = room.or(grants.room.as_ref()).cloned();
    entry(AuditEntry { at_ms: millis(now.wall), tenant: Some(grants.tenant.clone()), actor: actor(grants), event, room, subject: None })
}

/// What happened in a room, by whom if somebody ordered it, to a person of whom the caller gave a reference.
pub(super) fn within(event: AuditEvent, room: &RoomId, by: Option<&Grants>, subject: Option<SubjectRef>, now: Moment) -> Write {
    let (tenant, name) = (room.tenant.clone(), room.name.clone());
    let actor = by.and_then(actor);
    entry(AuditEntry { at_ms: millis(now.wall), tenant: Some(tenant), actor, event, room: Some(name), subject })
}

/// What happened without a caller.
pub(super) fn alone(event: AuditEvent, tenant: Option<TenantId>, room: Option<RoomName>, now: Moment) -> Write {
    entry(AuditEntry { at_ms: millis(now.wall), tenant, actor: None, event, room, subject: None })
}

fn entry(entry: AuditEntry) -> Write {
    Write::Audit(entry)
}

/// Whom an entry names: who moderates, or the key of a token for nobody. Guests are not named.
fn actor(grants: &Grants) -> Option<Identity> {
    let named = grants.room_admin || matches!(Role::of(grants), Some(Role::Host | Role::Reception));
    match &grants.identity {
        Some(identity) => named.then(|| identity.clone()),
        None => Identity::new(&grants.issuer).ok(),
    }
}
