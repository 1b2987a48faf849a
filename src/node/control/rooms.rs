//! A room's life: made, found, ended.

use std::time::Duration;

use crate::model::audit::AuditEvent;
use crate::model::grants::Grants;
use crate::model::ids::{RoomId, RoomKey, RoomName, Sid, TenantId, WorkerIndex};
use crate::model::record::{RoomMode, RoomRecord, Write, Written};
use crate::model::time::Moment;
use crate::node::request::{Refusal, Reply, RoomOrigin, RoomSpec};
use crate::room::notice::LeaveReason;
use crate::room::{DoorRules, PEOPLE, Room, RoomSettings};

use super::{Caller, Control, ControlOutput, Entry, Ticket, Waiting, audit, p2p};

/// Most participants that one room may have. A room lives on one thread; beyond this its fan-out would fill it.
pub const PARTICIPANTS_MAX: u32 = 500;
/// Longest time that a room may live while empty, in seconds: a day.
pub const EMPTY_TIMEOUT_MAX_S: u32 = 86_400;
/// Farthest beginning or end of a room from now in seconds: a leap year.
pub const AHEAD_MAX_S: u64 = 366 * 86_400;
/// Longest room metadata in bytes.
pub const METADATA_MAX: usize = 64 * 1024;

impl Control {
    pub(super) fn find(&self, grants: &Grants, name: &RoomName) -> Option<RoomKey> {
        let id = RoomId { tenant: grants.tenant.clone(), name: name.clone() };
        self.by_id.get(&id).copied()
    }

    pub(super) fn entry(&self, grants: &Grants, name: &RoomName) -> Result<(RoomKey, &Room), Refusal> {
        let key = self.find(grants, name).ok_or(Refusal::RoomNotFound)?;
        self.rooms.get(&key).map(|entry| (key, &entry.room)).ok_or(Refusal::RoomNotFound)
    }

    /// Makes the room that somebody joins, if rooms may be made so.
    pub(super) fn auto_create(&mut self, id: RoomId, now: Moment) -> Result<RoomKey, Refusal> {
        if !self.config.auto_create {
            return Err(Refusal::RoomNotFound);
        }
        self.check_room_limit(&id.tenant)?;
        let record = RoomRecord {
            id,
            sid: Sid::room(&mut self.chance),
            mode: RoomMode::Sfu,
            hide_addresses: false,
            e2ee_required: self.config.auto_require_encryption,
            max_participants: self.config.max_participants,
            empty_timeout_s: seconds(self.config.empty_timeout),
            created_at_ms: millis(now.wall),
            lobby: false,
            not_before: None,
            not_after: None,
        };
        self.note(audit::alone(AuditEvent::RoomMade, Some(record.id.tenant.clone()), Some(record.id.name.clone()), now));
        Ok(self.open(&record, String::new(), false, now))
    }

    fn check_room_limit(&self, tenant: &TenantId) -> Result<(), Refusal> {
        self.may_have_room(tenant)?;
        if self.rooms.len() + self.creating.len() >= self.config.rooms_max {
            return Err(Refusal::LimitReached("rooms"));
        }
        Ok(())
    }

    /// Checks a new room and writes it down; [`Self::persisted`] opens it.
    pub(super) fn create_room(&mut self, caller: Caller, grants: &Grants, spec: RoomSpec, now: Moment) -> Result<(), Refusal> {
        if !grants.room_create {
            return Err(Refusal::NotAllowed("roomCreate"));
        }
        let record = self.record(grants, &spec, now)?;
        if let Some(key) = self.by_id.get(&record.id) {
            let entry = self.rooms.get(key).ok_or(Refusal::RoomNotFound)?;
            return match spec.origin {
                RoomOrigin::LiveKit => {
                    let view = entry.room.view();
                    self.out.push_back(ControlOutput::Reply(caller, Ok(Reply::Room(view))));
                    Ok(())
                }
                RoomOrigin::Api => Err(Refusal::RoomExists),
            };
        }
        if self.creating.contains(&record.id) {
            return Err(Refusal::RoomExists);
        }
        self.check_room_limit(&grants.tenant)?;
        self.creating.insert(record.id.clone());
        let entry = audit::by(AuditEvent::RoomMade, grants, Some(&record.id.name), now);
        self.persist(vec![Write::PutRoom(record.clone()), entry], Waiting::Create(caller, record, spec.metadata));
        Ok(())
    }

    fn record(&mut self, grants: &Grants, spec: &RoomSpec, now: Moment) -> Result<RoomRecord, Refusal> {
        let mode = spec.mode.unwrap_or(match (spec.origin, spec.max_participants) {
            (RoomOrigin::Api, Some(2)) => RoomMode::P2p,
            _ => RoomMode::Sfu,
        });
        let p2p = mode == RoomMode::P2p;
        if p2p {
            p2p::check(spec)?;
        }
        if !p2p && spec.hide_addresses.is_some() {
            return Err(Refusal::Invalid("hide_addresses is for rooms of mode p2p"));
        }
        let max_participants = if p2p { PEOPLE } else { spec.max_participants.unwrap_or(self.config.max_participants) };
        if !(1..=PARTICIPANTS_MAX).contains(&max_participants) {
            return Err(Refusal::Invalid("max_participants must be between 1 and 500"));
        }
        let empty_timeout_s = spec.empty_timeout_s.unwrap_or(seconds(self.config.empty_timeout));
        if !(1..=EMPTY_TIMEOUT_MAX_S).contains(&empty_timeout_s) {
            return Err(Refusal::Invalid("empty_timeout_s must be between 1 and 86400"));
        }
        if spec.metadata.len() > METADATA_MAX {
            return Err(Refusal::Invalid("metadata must have at most 65536 bytes"));
        }
        check_door(spec.door, now)?;
        let by_origin = match spec.origin {
            RoomOrigin::Api => true,
            RoomOrigin::LiveKit => self.config.auto_require_encryption,
        };
        let name = match &spec.name {
            Some(name) => name.clone(),
            None => RoomName::new(&self.chance.text(16)).map_err(|_| Refusal::Invalid("the room needs a name"))?,
        };
        Ok(RoomRecord {
            id: RoomId { tenant: grants.tenant.clone(), name },
            sid: Sid::room(&mut self.chance),
            mode,
            hide_addresses: p2p && spec.hide_addresses.unwrap_or(true),
            e2ee_required: p2p || spec.require_encryption.unwrap_or(by_origin),
            max_participants,
            empty_timeout_s,
            created_at_ms: millis(now.wall),
            lobby: spec.door.lobby,
            not_before: spec.door.not_before,
            not_after: spec.door.not_after,
        })
    }

    pub(super) fn persist(&mut self, what: Vec<Write>, then: Waiting) {
        let ticket = Ticket(self.next_id());
        self.writes.insert(ticket, then);
        self.out.push_back(ControlOutput::Persist(ticket, what));
    }

    pub(super) fn persisted(&mut self, ticket: Ticket, written: Written, now: Moment) {
        let done = written == Written::Durably;
        let refusal = if written == Written::Full { Refusal::Full } else { Refusal::NotStored };
        let (caller, reply) = match self.writes.remove(&ticket) {
            None | Some(Waiting::Forget) => return,
            Some(Waiting::Join(caller, conn, connect)) => {
                return if done { self.join_granted(caller, conn, *connect, now) } else { self.refuse_join(caller, refusal) };
            }
            Some(Waiting::Enter(caller, request)) => {
                let result = if done { self.enter_granted(caller, *request, now) } else { Err(refusal) };
                return if let Err(refusal) = result {
                    self.out.push_back(ControlOutput::Reply(caller, Err(refusal)));
                };
            }
            // It was done before it was put on record, and is no less done where that failed.
            Some(Waiting::Answer(caller, reply)) => (caller, Some(reply)),
            Some(Waiting::Admit(answer, key, identity)) => return self.admission_written(answer, key, &identity, written, now),
            Some(Waiting::Invitation(then)) => return self.invitation_written(*then, done, now),
            Some(Waiting::Create(caller, record, metadata)) => {
                self.creating.remove(&record.id);
                let opened = done.then(|| self.open(&record, metadata, true, now));
                let view = opened.and_then(|key| self.rooms.get(&key)).map(|entry| entry.room.view());
                (caller, view.map(Reply::Room))
            }
            Some(Waiting::Delete(caller, id)) => {
                if let Some(key) = self.by_id.get(&id).copied().filter(|_| done) {
                    self.close_room(key, LeaveReason::RoomDeleted);
                    self.invitations_ended(&id, now);
                }
                (caller, done.then_some(Reply::Done))
            }
            Some(of_directory) => {
                let caller = of_directory.caller();
                let reply = if done { self.directory_written(of_directory, now) } else { None };
                let Some(caller) = caller else { return };
                (caller, reply.map(|(_, reply)| reply))
            }
        };
        self.out.push_back(ControlOutput::Reply(caller, reply.ok_or(refusal)));
    }

    pub(super) fn open(&mut self, record: &RoomRecord, metadata: String, stored: bool, now: Moment) -> RoomKey {
        let key = RoomKey(self.next_id());
        let settings = RoomSettings {
            mode: record.mode,
            hide_addresses: record.hide_addresses,
            require_encryption: record.e2ee_required,
            max_participants: record.max_participants,
            empty_timeout: Duration::from_secs(u64::from(record.empty_timeout_s)),
            door: DoorRules { lobby: record.lobby, not_before: record.not_before, not_after: record.not_after },
            metadata,
            created_at_ms: record.created_at_ms,
        };
        let mut effects = Vec::new();
        let room = Room::open(key, record.id.clone(), record.sid.clone(), settings, now, &mut effects);
        let worker = self.least_loaded();
        self.rooms.insert(key, Entry { room, record: record.clone(), worker, stored });
        self.by_id.insert(record.id.clone(), key);
        self.carry_out(worker, effects);
        key
    }

    /// The worker with the fewest sessions, then the fewest rooms: a room stays where it is put.
    fn least_loaded(&self) -> WorkerIndex {
        let mut load = vec![(0_usize, 0_usize); self.config.workers.max(1)];
        for entry in self.rooms.values() {
            if let Some(load) = load.get_mut(usize::from(entry.worker.0)) {
                load.0 += entry.room.participants().len();
                load.1 += 1;
            }
        }
        let best = load.iter().enumerate().min_by_key(|(_, load)| **load).map_or(0, |(index, _)| index);
        WorkerIndex(u8::try_from(best).unwrap_or(0))
    }

    /// An empty room's time is over.
    pub(super) fn room_over(&mut self, key: RoomKey, now: Moment) {
        let Some(entry) = self.rooms.get(&key) else { return };
        let id = entry.room.id().clone();
        let ended = audit::alone(AuditEvent::RoomEnded, Some(id.tenant.clone()), Some(id.name.clone()), now);
        let deleted = entry.stored.then(|| Write::DeleteRoom(id.clone()));
        self.persist(deleted.into_iter().chain([ended]).collect(), Waiting::Forget);
        self.close_room(key, LeaveReason::RoomDeleted);
        self.invitations_ended(&id, now);
    }

    pub(super) fn close_room(&mut self, key: RoomKey, reason: LeaveReason) {
        let Some(mut entry) = self.rooms.remove(&key) else { return };
        self.by_id.remove(entry.room.id());
        let mut effects = Vec::new();
        entry.room.close(reason, &mut effects);
        self.carry_out(entry.worker, effects);
    }
}

/// Whether a new room can be open when it is wanted.
fn check_door(door: DoorRules, now: Moment) -> Result<(), Refusal> {
    let (begin, end) = (door.not_before.unwrap_or(0), door.not_after);
    let now = now.unix_seconds();
    if end.is_some_and(|end| end <= now || end <= begin) {
        return Err(Refusal::Invalid("not_after must lie in the future and after not_before"));
    }
    if begin.max(end.unwrap_or(0)) > now.saturating_add(AHEAD_MAX_S) {
        return Err(Refusal::Invalid("not_before and not_after must lie within 366 days from now"));
    }
    Ok(())
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
