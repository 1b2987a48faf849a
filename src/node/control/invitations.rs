//! Invitations from their making to their end; each change is on disk before anybody is told.

use crate::access::role::Role;
use crate::access::tan::{Admit, Tan};
use crate::access::throttle::OPEN_TANS_MAX;
use crate::model::audit::{AuditEntry, AuditEvent};
use crate::model::grants::Grants;
use crate::model::ids::{Identity, InvitationId, RoomId, RoomKey, RoomName, SubjectRef};
use crate::model::record::{InvitationRecord, InvitedBy, RevocationRecord, Write};
use crate::model::secret::Secret;
use crate::model::time::Moment;
use crate::node::invitation::{
    InvitationBy, InvitationMade, InvitationRefusal as No, InvitationReply, InvitationRequest, InvitationSpec, InvitationState,
    InvitationView, Redeemed, SEALED_MAX,
};
use crate::node::request::{Refusal, Reply};

use super::invitation_book::{Kept, Place};
use super::redeem::{TOKEN_LIFE_S, label};
use super::{Caller, Control, ControlOutput, Waiting};

/// Most invitations into one room, those that were used among them.
pub const PER_ROOM_MAX: usize = 100;
/// Most invitations of one tenant.
pub const PER_TENANT_MAX: usize = 10_000;
/// Most invitations of the whole server.
pub const ALL_MAX: usize = 100_000;
/// An invitation that is not confirmed dies after so many seconds.
pub const CONFIRM_S: u64 = 3_600;
/// So many failed key exchanges end an invitation.
pub const MISMATCHES_MAX: u8 = 3;
/// Most invitations that end in one write.
const SWEEP_MAX: usize = 256;
/// How often a TAN is made anew because there is such a one; a thousand open ones meet by one in a million.
const MAKE_MAX: usize = 8;
/// Letters of an id's or identity's random part: 71 bits.
pub(super) const RANDOM_LEN: usize = 12;

/// What happens when an invitation's change is written.
#[derive(Debug)]
pub(super) enum Then {
    /// It is good, and its maker is told.
    Made(Caller, Place, InvitationMade),
    /// It is confirmed.
    Confirmed(Caller, Place),
    /// The device may come in.
    Used(Caller, Place, Box<Redeemed>),
    /// They are gone, and whoever took one back is told.
    Ended(Option<Caller>, Vec<Place>),
    /// Somebody is refused.
    Refused(Caller, Refusal),
}

impl Control {
    pub(super) fn invitation(&mut self, caller: Caller, request: InvitationRequest, now: Moment) -> Result<Option<Reply>, Refusal> {
        match request {
            InvitationRequest::Make { grants, room, spec } => self.invite(caller, &grants, &room, spec, now).map(|()| None),
            InvitationRequest::List { grants, room } => self.list_invitations(&grants, &room, now).map(Some),
            InvitationRequest::Confirm { grants, room, id } => self.confirm(caller, &grants, &room, id, now),
            InvitationRequest::Revoke { grants, room, id } => self.take_back(caller, &grants, &room, id, now).map(|()| None),
            InvitationRequest::Redeem { by, address } => {
                let result = self.redeem(caller, by, address, now);
                match &result {
                    Ok(Some(_)) => self.count_try("ok"),
                    Err(refusal) => self.count_try(label(refusal)),
                    // Counted once it is written.
                    Ok(None) => {}
                }
                result
            }
        }
    }

    pub(super) fn write(&mut self, writes: Vec<Write>, then: Then) {
        self.persist(writes, Waiting::Invitation(Box::new(then)));
    }

    /// Checks a new invitation and writes it down.
    fn invite(&mut self, caller: Caller, grants: &Grants, name: &RoomName, spec: InvitationSpec, now: Moment) -> Result<(), Refusal> {
        let (key, room) = self.moderated(grants, name)?;
        let (room, mode) = (room.id().clone(), room.view().mode);
        if self.is_ending(&room) {
            return Err(Refusal::RoomNotFound);
        }
        let room_ends = self.rooms.get(&key).and_then(|entry| entry.record.not_after).unwrap_or(u64::MAX);
        self.check_bounds(&room, &spec)?;
        let confirm_by = match spec.by {
            InvitationBy::Tan { pending: true, .. } => Some(now.unix_seconds().saturating_add(CONFIRM_S)),
            _ => None,
        };
        let (by, tan) = self.recognised_by(&room, spec.by)?;
        let record = InvitationRecord {
            room: room.clone(),
            id: InvitationId::new(&format!("IV_{}", self.chance.text(RANDOM_LEN))).map_err(|_| Refusal::Busy)?,
            role: spec.role.as_str().to_owned(),
            by,
            not_before: spec.not_before,
            // It is good for nothing once the room is over.
            not_after: spec.not_after.min(room_ends),
            confirm_by,
            subject: spec.subject,
            device: None,
            identity: None,
            admitted: false,
            mismatches: 0,
        };
        let expires_at = record.not_after.min(confirm_by.unwrap_or(u64::MAX));
        let made = InvitationMade { id: record.id.clone(), mode, tan, expires_at };
        // A room that somebody is invited to outlives a restart.
        let unstored = self.rooms.get(&key).filter(|entry| !entry.stored).map(|entry| Write::PutRoom(entry.record.clone()));
        let audit = audit(AuditEvent::InvitationMade, &record, Some(grants), now);
        let writes = unstored.into_iter().chain([Write::PutInvitation(record.clone()), audit]).collect();
        let place = (room, record.id.clone());
        self.invitations.put(Kept { record, made: false, writing: true, over: None }, now);
        self.write(writes, Then::Made(caller, place, made));
        Ok(())
    }

    fn check_bounds(&self, room: &RoomId, spec: &InvitationSpec) -> Result<(), Refusal> {
        let counts = self.invitations.counts(&room.tenant);
        let tan = matches!(spec.by, InvitationBy::Tan { .. });
        if tan && !matches!(spec.role, Role::Guest | Role::Observer) {
            return Err(Refusal::Invalid("a TAN is too short for whoever moderates: invite host or reception by link"));
        }
        match &spec.by {
            InvitationBy::Tan { admit: None, sealed: Some(_), .. } => return Err(Refusal::Invalid("sealed needs admit")),
            InvitationBy::Tan { sealed: Some(sealed), .. } if sealed.expose().len() > SEALED_MAX => {
                return Err(Refusal::Invalid("sealed must have at most 256 bytes"));
            }
            _ => {}
        }
        if self.invitations.of_room(room).count() >= PER_ROOM_MAX {
            return Err(No::TooMany("invitations into this room").into());
        }
        if counts.all >= PER_TENANT_MAX {
            return Err(No::TooMany("invitations of this organisation").into());
        }
        if tan && counts.open_tans >= OPEN_TANS_MAX {
            return Err(No::TooMany("open TANs of this organisation").into());
        }
        if self.invitations.size() >= ALL_MAX { Err(Refusal::LimitReached("invitations")) } else { Ok(()) }
    }

    /// How a new invitation will be recognised, and the TAN if it is made here.
    fn recognised_by(&mut self, room: &RoomId, by: InvitationBy) -> Result<(InvitedBy, Option<Secret>), Refusal> {
        let (admit, sealed) = match by {
            InvitationBy::Link => return Ok((InvitedBy::Link, None)),
            InvitationBy::Tan { admit, sealed, .. } => (admit, sealed),
        };
        let hash = |control: &Self, admit: &Admit| {
            let hash = control.config.invitation_key.admit(&room.tenant, admit);
            control.invitations.by_hash(&hash).is_none().then_some(hash)
        };
        if let Some(admit) = admit {
            let hash = hash(self, &admit).ok_or(No::Taken)?;
            return Ok((InvitedBy::Tan { hash, sealed, secret: None }, None));
        }
        for _ in 0..MAKE_MAX {
            let tan = Tan::make(&mut self.chance);
            if let Some(hash) = hash(self, &tan.admit()) {
                return Ok((InvitedBy::Tan { hash, sealed: None, secret: Some(tan.secret()) }, Some(tan.letter())));
            }
        }
        Err(Refusal::Busy)
    }

    fn list_invitations(&self, grants: &Grants, name: &RoomName, now: Moment) -> Result<Reply, Refusal> {
        let (_, room) = self.moderated(grants, name)?;
        let there = |kept: &&Kept| kept.made && (kept.record.device.is_some() || kept.is_open(now)) && kept.over.is_none();
        let views = self.invitations.of_room(room.id()).filter(there).map(|kept| view(&kept.record)).collect();
        Ok(Reply::Invitation(InvitationReply::List(views)))
    }

    /// One that the caller may change, if nobody changes it just now.
    fn changeable(&self, grants: &Grants, name: &RoomName, id: InvitationId, now: Moment) -> Result<(Place, &Kept), Refusal> {
        let (_, room) = self.moderated(grants, name)?;
        let place = (room.id().clone(), id);
        let kept = self.invitations.get(&place).filter(|kept| kept.made && kept.over.is_none()).ok_or(No::NotFound)?;
        if kept.writing {
            return Err(Refusal::Busy);
        }
        if kept.record.device.is_none() && !kept.is_open(now) {
            return Err(No::NotFound.into());
        }
        Ok((place, kept))
    }

    fn confirm(
        &mut self,
        caller: Caller,
        grants: &Grants,
        name: &RoomName,
        id: InvitationId,
        now: Moment,
    ) -> Result<Option<Reply>, Refusal> {
        let (place, kept) = self.changeable(grants, name, id, now)?;
        if kept.record.confirm_by.is_none() {
            return Ok(Some(Reply::Done));
        }
        let record = InvitationRecord { confirm_by: None, ..kept.record.clone() };
        let audit = audit(AuditEvent::InvitationConfirmed, &record, Some(grants), now);
        self.begin(&place, now);
        self.write(vec![Write::PutInvitation(record), audit], Then::Confirmed(caller, place));
        Ok(None)
    }

    fn take_back(&mut self, caller: Caller, grants: &Grants, name: &RoomName, id: InvitationId, now: Moment) -> Result<(), Refusal> {
        let (place, kept) = self.changeable(grants, name, id, now)?;
        let audit = audit(AuditEvent::InvitationRevoked, &kept.record, Some(grants), now);
        let delete = Write::DeleteInvitation(place.0.clone(), place.1.clone());
        let writes = [delete, audit].into_iter().chain(void(&kept.record, now)).collect();
        self.begin(&place, now);
        self.write(writes, Then::Ended(Some(caller), vec![place]));
        Ok(())
    }

    /// A change of it is being written from now on.
    pub(super) fn begin(&mut self, place: &Place, now: Moment) {
        self.invitations.change(place, now, |kept| kept.writing = true);
    }

    /// A change is written, or could not be.
    pub(super) fn invitation_written(&mut self, then: Then, done: bool, now: Moment) {
        let (caller, reply) = match then {
            Then::Refused(caller, refusal) => {
                self.count_try(label(&refusal));
                (caller, Err(refusal))
            }
            Then::Made(caller, place, made) => (caller, self.made(&place, made, done, now)),
            Then::Confirmed(caller, place) => {
                self.settle(&place, now, |kept| kept.record.confirm_by = kept.record.confirm_by.filter(|_| !done));
                (caller, if done { Ok(Reply::Done) } else { Err(Refusal::NotStored) })
            }
            Then::Used(caller, place, redeemed) => {
                let reply = self.used(&place, *redeemed, done, now);
                self.count_try(reply.as_ref().map_or_else(label, |_| "ok"));
                (caller, reply)
            }
            Then::Ended(caller, places) => {
                places.iter().for_each(|place| self.gone(place, done, now));
                let Some(caller) = caller else { return };
                (caller, if done { Ok(Reply::Done) } else { Err(Refusal::NotStored) })
            }
        };
        self.out.push_back(ControlOutput::Reply(caller, reply));
    }

    pub(super) fn settle(&mut self, place: &Place, now: Moment, change: impl FnOnce(&mut Kept)) {
        self.invitations.change(place, now, |kept| {
            kept.writing = false;
            change(kept);
        });
    }

    fn made(&mut self, place: &Place, made: InvitationMade, done: bool, now: Moment) -> Result<Reply, Refusal> {
        let Some(key) = self.by_id.get(&place.0).copied().filter(|_| self.invitations.get(place).is_some()) else {
            // The room ended meanwhile: nothing may be left of it.
            self.persist(vec![Write::DeleteRoom(place.0.clone())], Waiting::Forget);
            return Err(Refusal::RoomNotFound);
        };
        if !done {
            self.invitations.remove(place, now);
            return Err(Refusal::NotStored);
        }
        self.settle(place, now, |kept| kept.made = true);
        if let Some(entry) = self.rooms.get_mut(&key) {
            entry.stored = true;
        }
        Ok(Reply::Invitation(InvitationReply::Made(made)))
    }

    fn gone(&mut self, place: &Place, done: bool, now: Moment) {
        if !done {
            // What is over is tried again at the next look.
            return self.settle(place, now, |_| {});
        }
        let came = self.invitations.get(place).and_then(|kept| revocation(&kept.record, now));
        self.invitations.remove(place, now);
        if let Some(record) = came {
            // Whoever came by it leaves; tokens that they were given are void.
            self.make_void(record, now);
        }
    }

    /// Ends what is over by the clock.
    pub(super) fn sweep_invitations(&mut self, now: Moment) {
        let ended = self.invitations.ended(now, SWEEP_MAX);
        let mut writes = Vec::new();
        for (place, event) in &ended {
            let Some(kept) = self.invitations.get(place) else { continue };
            writes.push(Write::DeleteInvitation(place.0.clone(), place.1.clone()));
            writes.push(audit(*event, &kept.record, None, now));
            writes.extend(void(&kept.record, now));
        }
        ended.iter().for_each(|(place, _)| self.begin(place, now));
        self.invitations.arm(now);
        if !writes.is_empty() {
            self.write(writes, Then::Ended(None, ended.into_iter().map(|(place, _)| place).collect()));
        }
    }

    /// Whether an empty room must stay because somebody is invited; then it waits for as long again.
    pub(super) fn awaits_somebody(&mut self, key: RoomKey, now: Moment) -> bool {
        let Some(entry) = self.rooms.get(&key) else { return false };
        let over = entry.record.not_after.is_some_and(|end| now.unix_seconds() >= end);
        let awaits = !over && self.invitations.of_room(entry.room.id()).any(|kept| kept.is_open(now) || !kept.made);
        if awaits {
            self.with_room(key, |room, _, _| room.wait_on(now));
        }
        awaits
    }

    /// A room is over, and its invitations with it. The store deletes them with the room.
    pub(super) fn invitations_ended(&mut self, room: &RoomId, now: Moment) {
        self.invitations.remove_room(room, now);
        self.invitations.arm(now);
    }

    fn is_ending(&self, room: &RoomId) -> bool {
        self.writes.values().any(|waiting| matches!(waiting, Waiting::Delete(_, ending) if ending == room))
    }

    /// Invitations that were stored before this start, after their rooms.
    pub(super) fn restore_invitations(&mut self, records: Vec<InvitationRecord>, now: Moment) {
        let (kept, strays): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| self.by_id.contains_key(&record.room));
        for record in kept {
            self.invitations.put(Kept { record, made: true, writing: false, over: None }, now);
        }
        if !strays.is_empty() {
            let deletes = strays.into_iter().map(|record| Write::DeleteInvitation(record.room, record.id)).collect();
            self.persist(deletes, Waiting::Forget);
        }
    }

    /// The invitation by which somebody came into a room.
    #[must_use]
    pub fn invitation_of(&self, room: &RoomId, identity: &Identity) -> Option<&InvitationRecord> {
        self.invitations.of_person(room, identity).map(|kept| &kept.record)
    }

    /// A moderator has admitted somebody, or put it back; what must be written with that.
    pub fn invitation_admitted(&mut self, room: &RoomId, identity: &Identity, admitted: bool, now: Moment) -> Vec<Write> {
        let Some(record) = self.invitation_of(room, identity) else { return Vec::new() };
        let record = InvitationRecord { admitted, ..record.clone() };
        self.invitations.change(&(record.room.clone(), record.id.clone()), now, |kept| kept.record.admitted = admitted);
        vec![Write::PutInvitation(record)]
    }

    /// The key exchange with somebody failed. Returns whether that was once too often: its invitation is over then.
    pub fn invitation_mismatched(&mut self, room: &RoomId, identity: &Identity, now: Moment) -> bool {
        let Some(record) = self.invitation_of(room, identity) else { return false };
        let record = InvitationRecord { mismatches: record.mismatches.saturating_add(1), ..record.clone() };
        let place = (record.room.clone(), record.id.clone());
        let over = record.mismatches >= MISMATCHES_MAX;
        self.invitations.change(&place, now, |kept| {
            kept.record.mismatches = record.mismatches;
            kept.over = over.then_some(AuditEvent::InvitationMismatched);
        });
        if over {
            self.sweep_invitations(now);
        } else {
            self.persist(vec![Write::PutInvitation(record)], Waiting::Forget);
        }
        over
    }
}

fn view(record: &InvitationRecord) -> InvitationView {
    let (tan, sealed) = match &record.by {
        InvitedBy::Link => (false, None),
        InvitedBy::Tan { sealed, .. } => (true, sealed.clone()),
    };
    let state = match (record.device, record.confirm_by) {
        (Some(_), _) => InvitationState::Used,
        (None, Some(_)) => InvitationState::Pending,
        (None, None) => InvitationState::Open,
    };
    let InvitationRecord { id, role, not_before, not_after, .. } = record.clone();
    InvitationView { id, tan, role, state, not_before, not_after, sealed }
}

/// An entry about an invitation. Whoever acts by a key without a name is known by the key's id; guests are not named.
pub(super) fn audit(event: AuditEvent, record: &InvitationRecord, by: Option<&Grants>, now: Moment) -> Write {
    let actor = |grants: &Grants| grants.identity.clone().or_else(|| Identity::new(&grants.issuer).ok());
    let subject: Option<SubjectRef> = record.subject.clone();
    Write::Audit(AuditEntry {
        at_ms: millis(now),
        tenant: Some(record.room.tenant.clone()),
        actor: by.and_then(actor),
        event,
        room: Some(record.room.name.clone()),
        subject,
    })
}

pub(super) fn millis(now: Moment) -> u64 {
    u64::try_from(now.wall.as_millis()).unwrap_or(u64::MAX)
}

/// Makes tokens void that somebody was given who came by an invitation.
fn revocation(record: &InvitationRecord, now: Moment) -> Option<RevocationRecord> {
    let until = now.unix_seconds().saturating_add(TOKEN_LIFE_S);
    record.identity.clone().map(|identity| RevocationRecord { room: record.room.clone(), identity, until })
}

fn void(record: &InvitationRecord, now: Moment) -> Option<Write> {
    revocation(record, now).map(Write::PutRevocation)
}

#[cfg(test)]
#[path = "invitations_tests.rs"]
mod tests;
