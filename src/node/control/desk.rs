//! The desks of rooms at the control core: who opens one, who may order what, what of it is written down.

use crate::model::audit::AuditEvent;
use crate::model::grants::Grants;
use crate::model::ids::{DeskId, Identity, RoomId, RoomKey, RoomName, SubjectRef};
use crate::model::record::{RoomMode, Write, Written};
use crate::model::role::Role;
use crate::model::time::Moment;
use crate::node::request::{ConnId, LobbyAction, Refusal, Reply};
use crate::room::desk::{Bye, Coming, DeskFault, DeskNotice, DeskSaid};
use crate::room::notice::{LeaveReason, Notice};
use crate::room::{Door, JoinError, Room};

use super::{Caller, Control, ControlOutput, Waiting, audit};

/// One desk, by its connection.
#[derive(Clone)]
pub(super) struct Desk {
    room: RoomKey,
    identity: Identity,
    grants: Grants,
}

/// Who waits to hear what became of an order.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// Who asked by HTTP.
    Caller(Caller),
    /// Whoever said it at the desk.
    Desk(ConnId),
}

impl Control {
    /// Somebody opens a desk.
    pub(super) fn open_desk(&mut self, caller: Caller, conn: ConnId, grants: Grants, now: Moment) {
        if let Err(refusal) = self.come_to_desk(caller, conn, grants, now) {
            self.out.push_back(ControlOutput::Reply(caller, Err(refusal)));
        }
    }

    fn come_to_desk(&mut self, caller: Caller, conn: ConnId, grants: Grants, now: Moment) -> Result<(), Refusal> {
        self.entitled(&grants, now)?;
        let name = self.may_join(&grants)?;
        let identity = grants.identity.clone().ok_or(Refusal::NotAllowed("an identity (sub)"))?;
        if self.desks.len() >= self.config.sessions_max {
            return Err(Refusal::LimitReached("desks"));
        }
        self.recall_admission(&grants, now);
        let key = match self.find(&grants, &name) {
            Some(key) => key,
            None => self.auto_create(RoomId { tenant: grants.tenant.clone(), name: name.clone() }, now)?,
        };
        let invited = self.rooms.get(&key).and_then(|entry| self.invited(entry.room.id(), &identity));
        let coming = Coming {
            desk: DeskId(conn.0),
            identity: identity.clone(),
            role: Role::shown(&grants, &name),
            moderates: grants.may_moderate(&name),
            expires_at: grants.expires_at,
            invited: invited.and_then(|invited| invited.view),
        };
        self.desks.insert(conn, Desk { room: key, identity: identity.clone(), grants });
        // First the reply, so that the notices find the connection open; taken back if the room refuses.
        let mark = self.out.len();
        self.out.push_back(ControlOutput::Reply(caller, Ok(Reply::Done)));
        let mut result = None;
        self.with_room(key, |room, _, out| result = Some(room.desk_open(coming, now, out)));
        match result {
            Some(Ok(begins_to_wait)) => {
                if begins_to_wait {
                    self.write_down(key, None, AuditEvent::LobbyEntered, Some(&identity), now);
                }
                Ok(())
            }
            refused => {
                self.out.truncate(mark);
                self.desks.remove(&conn);
                Err(refused.map_or(Refusal::Busy, |result| result.err().map_or(Refusal::Busy, |error| refusal_of(error, self.mode(key)))))
            }
        }
    }

    /// Who opened a desk by a token of this key.
    pub(super) fn desks_by(&self, issuer: &str) -> impl Iterator<Item = (RoomKey, Identity)> {
        self.desks.values().filter(move |desk| desk.grants.issuer == issuer).map(|desk| (desk.room, desk.identity.clone()))
    }

    /// The connections to a room's desk.
    pub(super) fn desks_at(&self, room: RoomKey) -> Vec<ConnId> {
        self.desks.iter().filter(|(_, desk)| desk.room == room).map(|(conn, _)| *conn).collect()
    }

    /// A desk's connection is gone. Returns whether it was one.
    pub(super) fn desk_closed(&mut self, conn: ConnId, now: Moment) -> bool {
        let Some(desk) = self.desks.remove(&conn) else { return false };
        self.with_room(desk.room, |room, _, out| room.desk_lost(DeskId(conn.0), now, out));
        true
    }

    /// Takes what somebody says at the desk.
    pub(super) fn desk_said(&mut self, conn: ConnId, said: DeskSaid, now: Moment) {
        let Some(desk) = self.desks.get(&conn).cloned() else { return };
        let result = match said {
            DeskSaid::Message { to, body } => {
                self.with_room(desk.room, |room, _, out| room.desk_say(&desk.identity, &to, body, now, out));
                Ok(())
            }
            DeskSaid::Leave => {
                self.with_room(desk.room, |room, _, out| room.send_away(&desk.identity, Bye::Left, now, out));
                let room = self.rooms.get(&desk.room).map(|entry| entry.room.id().clone());
                let writes = room.map(|room| self.invitation_admitted(&room, &desk.identity, false, now)).unwrap_or_default();
                if !writes.is_empty() {
                    self.persist(writes, Waiting::Forget);
                }
                Ok(())
            }
            order if self.rooms.get(&desk.room).is_some_and(|entry| desk.grants.may_moderate(&entry.room.id().name)) => {
                self.order(desk.room, &desk.grants, &order, Answer::Desk(conn), now)
            }
            _ => Err(DeskFault::NotModerator),
        };
        if let Err(fault) = result {
            self.out.push_back(ControlOutput::Notice(conn, Notice::Desk(DeskNotice::Refused(fault))));
        }
    }

    /// Carries a moderator's order out; an admission only once it is written down.
    fn order(&mut self, key: RoomKey, by: &Grants, order: &DeskSaid, answer: Answer, now: Moment) -> Result<(), DeskFault> {
        let (event, whom) = match order {
            DeskSaid::Admit(identity) => return self.ask_admission(key, by, identity, answer, now),
            DeskSaid::End => return self.end_room(key, by, now),
            DeskSaid::Mismatch(identity) => return self.mismatched(key, by, identity, now),
            DeskSaid::Lock(locked) => {
                let mut changed = false;
                self.with_room(key, |room, _, out| changed = room.lock(*locked, out));
                if changed {
                    let event = if *locked { AuditEvent::RoomLocked } else { AuditEvent::RoomUnlocked };
                    self.write_down(key, Some(by), event, None, now);
                }
                return Ok(());
            }
            DeskSaid::Refuse(identity) => (AuditEvent::LobbyRefused, identity),
            DeskSaid::PutBack(identity) => (AuditEvent::LobbyPutBack, identity),
            DeskSaid::Remove(identity) => (AuditEvent::Removed, identity),
            DeskSaid::Mute(identity) => (AuditEvent::Muted, identity),
            DeskSaid::Message { .. } | DeskSaid::Leave => return Ok(()),
        };
        let mut result = Err(DeskFault::NoSuchPerson);
        self.with_room(key, |room, _, out| {
            result = match order {
                DeskSaid::Refuse(_) => room.refuse(whom, now, out),
                DeskSaid::PutBack(_) => room.put_back(whom, now, out),
                DeskSaid::Remove(_) => room.turn_away(whom, Bye::Removed, now, out),
                _ => room.mute_all(whom, out),
            };
        });
        result?;
        self.write_down(key, Some(by), event, Some(whom), now);
        Ok(())
    }

    fn ask_admission(&mut self, key: RoomKey, by: &Grants, identity: &Identity, answer: Answer, now: Moment) -> Result<(), DeskFault> {
        let entry = self.rooms.get(&key).ok_or(DeskFault::NoSuchPerson)?;
        entry.room.can_admit(identity)?;
        let mut writes: Vec<Write> = self.admission_writes(entry.room.id(), identity).into_iter().collect();
        writes.extend(self.audit(key, Some(by), AuditEvent::LobbyAdmitted, Some(identity), now));
        self.persist(writes, Waiting::Admit(answer, key, identity.clone()));
        Ok(())
    }

    /// An admission is written down, or could not be.
    pub(super) fn admission_written(&mut self, answer: Answer, key: RoomKey, identity: &Identity, written: Written, now: Moment) {
        let mut result = Err(DeskFault::NotStored);
        if written == Written::Durably {
            result = Err(DeskFault::NoSuchPerson);
            self.with_room(key, |room, _, out| result = room.admit(identity, now, out));
            if let (true, Some(id)) = (result.is_ok(), self.rooms.get(&key).map(|entry| entry.room.id().clone())) {
                // It is written already.
                let _ = self.invitation_admitted(&id, identity, true, now);
            }
        }
        match (answer, result) {
            (Answer::Caller(caller), result) => {
                let reply = result.map(|()| Reply::Done).map_err(refusal_of_fault);
                self.out.push_back(ControlOutput::Reply(caller, reply));
            }
            (Answer::Desk(conn), Err(fault)) => {
                self.out.push_back(ControlOutput::Notice(conn, Notice::Desk(DeskNotice::Refused(fault))));
            }
            (Answer::Desk(_), Ok(())) => {}
        }
    }

    fn end_room(&mut self, key: RoomKey, by: &Grants, now: Moment) -> Result<(), DeskFault> {
        let entry = self.rooms.get(&key).ok_or(DeskFault::NoSuchPerson)?;
        let id = entry.room.id().clone();
        let mut writes: Vec<Write> = entry.stored.then(|| Write::DeleteRoom(id.clone())).into_iter().collect();
        writes.extend(self.audit(key, Some(by), AuditEvent::RoomEnded, None, now));
        self.persist(writes, Waiting::Forget);
        self.close_room(key, LeaveReason::RoomDeleted);
        self.invitations_ended(&id, now);
        Ok(())
    }

    /// Who waits.
    pub(super) fn lobby(&self, grants: &Grants, name: &RoomName) -> Result<Reply, Refusal> {
        self.moderated(grants, name).map(|(_, room)| Reply::Lobby(room.waiting()))
    }

    /// Admits, refuses or puts back, asked by HTTP. No answer now means that it follows.
    pub(super) fn admission(
        &mut self,
        caller: Caller,
        grants: &Grants,
        name: &RoomName,
        (identity, action): (Identity, LobbyAction),
        now: Moment,
    ) -> Result<Option<Reply>, Refusal> {
        let (key, _) = self.moderated(grants, name)?;
        let order = match action {
            LobbyAction::Admit => DeskSaid::Admit(identity),
            LobbyAction::Refuse => DeskSaid::Refuse(identity),
            LobbyAction::PutBack => DeskSaid::PutBack(identity),
        };
        self.order(key, grants, &order, Answer::Caller(caller), now).map_err(refusal_of_fault)?;
        Ok((action != LobbyAction::Admit).then_some(Reply::Done))
    }

    /// Locks a room, or opens it again, asked by HTTP.
    pub(super) fn lock(&mut self, caller: Caller, grants: &Grants, name: &RoomName, locked: bool, now: Moment) -> Result<Reply, Refusal> {
        let (key, _) = self.moderated(grants, name)?;
        self.order(key, grants, &DeskSaid::Lock(locked), Answer::Caller(caller), now).map_err(refusal_of_fault)?;
        Ok(Reply::Done)
    }

    /// Writes down what happened, without waiting for it.
    pub(super) fn write_down(&mut self, key: RoomKey, by: Option<&Grants>, event: AuditEvent, whom: Option<&Identity>, now: Moment) {
        let writes = self.entries(key, by, event, whom, now);
        if !writes.is_empty() {
            self.persist(writes, Waiting::Forget);
        }
    }

    /// What is to be written of what happened.
    pub(super) fn entries(
        &mut self,
        key: RoomKey,
        by: Option<&Grants>,
        event: AuditEvent,
        whom: Option<&Identity>,
        now: Moment,
    ) -> Vec<Write> {
        let mut writes: Vec<Write> = self.audit(key, by, event, whom, now).into_iter().collect();
        let ends_admission = matches!(event, AuditEvent::LobbyRefused | AuditEvent::LobbyPutBack | AuditEvent::Removed);
        let id = self.rooms.get(&key).map(|entry| entry.room.id().clone());
        if let Some((id, identity)) = id.zip(whom).filter(|_| ends_admission) {
            writes.extend(self.invitation_admitted(&id, identity, false, now));
        }
        writes
    }

    fn audit(&self, key: RoomKey, by: Option<&Grants>, event: AuditEvent, whom: Option<&Identity>, now: Moment) -> Option<Write> {
        let room = self.rooms.get(&key)?.room.id();
        let subject: Option<SubjectRef> = whom.and_then(|whom| self.invited(room, whom)).and_then(|invited| invited.subject);
        Some(audit::within(event, room, by, subject, now))
    }
}

/// Where somebody gets in a room, which if it does not exist has no rules.
pub(super) fn door(room: Option<&Room>, grants: &Grants, now: Moment) -> Result<Door, Refusal> {
    let Some((room, identity)) = room.zip(grants.identity.as_ref()) else { return Ok(Door::Room) };
    let mode = room.view().mode;
    room.door(identity, grants.may_moderate(&room.id().name), now).map_err(|error| refusal_of(error, mode))
}

/// Lets nobody pass who has to wait.
pub(super) fn passes(room: Option<&Room>, grants: &Grants, now: Moment) -> Result<(), Refusal> {
    if door(room, grants, now)? == Door::Lobby { Err(Refusal::Waiting) } else { Ok(()) }
}

pub(super) fn refusal_of(error: JoinError, mode: RoomMode) -> Refusal {
    match error {
        JoinError::Full => Refusal::RoomFull,
        JoinError::NoIdentity => Refusal::NotAllowed("an identity (sub)"),
        JoinError::WrongMode => Refusal::WrongMode(mode),
        JoinError::Waiting => Refusal::Waiting,
        JoinError::Locked => Refusal::Locked,
        JoinError::Early => Refusal::TooEarly,
        JoinError::TurnedAway => Refusal::TurnedAway,
    }
}

fn refusal_of_fault(fault: DeskFault) -> Refusal {
    match fault {
        DeskFault::NotModerator => Refusal::NotAllowed("roomAdmin for this room"),
        DeskFault::NoSuchPerson => Refusal::ParticipantNotFound,
        DeskFault::NotWaiting => Refusal::Invalid("this person does not wait"),
        DeskFault::CannotWait => Refusal::Invalid("hosts and reception never wait, nor does anybody in a room without lobby"),
        DeskFault::Full => Refusal::RoomFull,
        DeskFault::TooMany => Refusal::Busy,
        DeskFault::NotStored => Refusal::NotStored,
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
