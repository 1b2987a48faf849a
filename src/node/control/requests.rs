//! What callers ask for, checked against the caller's grants.

use crate::model::audit::AuditEvent;
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, RoomKey, RoomName, SessionId, Sid};
use crate::model::record::{RoomMode, Write};
use crate::model::time::Moment;
use crate::node::request::{Refusal, Reply, Request, TenantChange};
use crate::room::command::{Layout, Only};
use crate::room::desk::Bye;
use crate::room::{Door, Room};

use super::{Caller, Control, ControlOutput, Waiting, audit, desk, p2p};

impl Control {
    pub(super) fn request(&mut self, caller: Caller, request: Request, now: Moment) {
        let result = match self.entitled_to(&request, now) {
            Ok(()) => self.granted(caller, request, now),
            Err(refusal) => Err(refusal),
        };
        match result {
            Ok(Some(reply)) => self.out.push_back(ControlOutput::Reply(caller, Ok(reply))),
            // The answer follows when the write or the worker is done.
            Ok(None) => {}
            Err(refusal) => self.out.push_back(ControlOutput::Reply(caller, Err(refusal))),
        }
    }

    fn granted(&mut self, caller: Caller, request: Request, now: Moment) -> Result<Option<Reply>, Refusal> {
        match request {
            Request::Operate(order) => self.operate(caller, order, now),
            Request::CreateRoom { grants, spec } => self.create_room(caller, &grants, spec, now).map(|()| None),
            Request::DeleteRoom { grants, room } => self.delete_room(caller, &grants, &room, now),
            Request::Revoke { grants, room, identity } => self.revoke(caller, &grants, &room, identity, now).map(|()| None),
            Request::Retention { grants, days } => {
                let change = TenantChange { retention_days: Some(days), ..TenantChange::default() };
                administers(&grants)?;
                self.change_tenant(caller, &grants.tenant, &change, now).map(|()| None)
            }
            Request::Invitation(request) => self.invitation(caller, request, now),
            Request::Admission { grants, room, identity, action } => self.admission(caller, &grants, &room, (identity, action), now),
            Request::Lock { grants, room, locked } => self.lock(caller, &grants, &room, locked, now).map(Some),
            Request::Whip { .. } | Request::Whep { .. } => self.enter_by_request(caller, request, now).map(|()| None),
            Request::RemoveParticipant { grants, room, identity } => {
                self.remove_participant(caller, &grants, &room, &identity, now).map(|()| None)
            }
            Request::Mute { grants, room, identity, track, muted } => {
                self.mute(caller, &grants, &room, &identity, (track.as_ref(), muted), now).map(|()| None)
            }
            Request::ChangeMedia { grants, room, of, resource, condition, fragment } => {
                let session = self.own_media(&grants, &room, of.as_ref(), &resource);
                session.and_then(|(key, session)| self.change_media(caller, key, session, &condition, fragment, now))
            }
            other => self.at_once(other, now).map(Some),
        }
    }

    /// Whether what the caller's token allows holds still.
    fn entitled_to(&self, request: &Request, now: Moment) -> Result<(), Refusal> {
        request.grants().map_or(Ok(()), |grants| self.entitled(grants, now))
    }

    /// Somebody wants in by WHIP or WHEP: that it may goes on record first.
    fn enter_by_request(&mut self, caller: Caller, request: Request, now: Moment) -> Result<(), Refusal> {
        let Some(grants) = request.grants() else { return Err(Refusal::Invalid("nobody asks")) };
        if let Err(refusal) = self.may_join(grants) {
            self.note(audit::by(AuditEvent::JoinRefused, grants, None, now));
            return Err(refusal);
        }
        let entry = audit::by(AuditEvent::JoinGranted, grants, None, now);
        self.persist(vec![entry], Waiting::Enter(caller, Box::new(request)));
        Ok(())
    }

    /// Somebody enters by WHIP or WHEP, which is on record.
    pub(super) fn enter_granted(&mut self, caller: Caller, request: Request, now: Moment) -> Result<(), Refusal> {
        let refused = request.grants().map(|grants| audit::by(AuditEvent::JoinRefused, grants, None, now));
        let result = match request {
            Request::Whip { grants, room, sdp } => self.whip(caller, grants, &room, sdp, now),
            Request::Whep { grants, room, identity, track, sdp } => {
                let only = Only { publisher: identity, track };
                self.whep(caller, grants, &room, only, sdp, now)
            }
            _ => Err(Refusal::Invalid("nobody enters by this request")),
        };
        if result.is_err() {
            refused.into_iter().for_each(|entry| self.note(entry));
        }
        result
    }

    /// Requests that need neither disk nor worker.
    fn at_once(&mut self, request: Request, now: Moment) -> Result<Reply, Refusal> {
        match request {
            Request::Validate { grants, layout } => self.validate(&grants, layout, now),
            Request::ListRooms { grants, names } => self.list_rooms(&grants, &names),
            Request::Room { grants, room } => self.visible(&grants, &room).map(|(_, room)| Reply::Room(room.view())),
            Request::Participants { grants, room } => {
                self.moderated(&grants, &room).map(|(_, room)| Reply::Participants(room.participants()))
            }
            Request::Participant { grants, room, identity } => self.participant(&grants, &room, &identity),
            Request::UpdateParticipant { grants, room, identity, profile, permission } => {
                self.update_participant(&grants, &room, &identity, (profile, permission.as_ref()), now)
            }
            Request::UpdateSubscriptions { grants, room, identity, tracks, subscribe } => {
                self.update_subscriptions(&grants, &room, &identity, &tracks, subscribe)
            }
            Request::SendData { grants, room, message } => self.send_data(&grants, &room, message),
            Request::UpdateRoom { grants, room, metadata } => self.update_room(&grants, &room, metadata),
            Request::Lobby { grants, room } => self.lobby(&grants, &room),
            Request::Invite { grants, room } => self.moderated(&grants, &room).map(|(_, room)| Reply::Room(room.view())),
            Request::EndMedia { grants, room, of, resource } => self.end_media(&grants, &room, of.as_ref(), &resource, now),
            Request::Tenant { grants } => {
                administers(&grants)?;
                self.own_tenant(&grants)
            }
            Request::CreateRoom { .. }
            | Request::DeleteRoom { .. }
            | Request::Revoke { .. }
            | Request::Retention { .. }
            | Request::Operate(_)
            | Request::RemoveParticipant { .. }
            | Request::Mute { .. }
            | Request::Invitation(_)
            | Request::Whip { .. }
            | Request::Whep { .. }
            | Request::ChangeMedia { .. }
            | Request::Admission { .. }
            | Request::Lock { .. } => Err(Refusal::Invalid("this request is answered later")),
        }
    }

    /// Whether a client with these grants would get in now.
    pub(super) fn validate(&mut self, grants: &Grants, layout: Option<Layout>, now: Moment) -> Result<Reply, Refusal> {
        let name = self.may_join(grants)?;
        self.recall_admission(grants, now);
        let room = self.find(grants, &name).and_then(|key| self.rooms.get(&key)).map(|entry| &entry.room);
        p2p::admits(room, grants, layout)?;
        let full = room.zip(grants.identity.as_ref()).is_some_and(|(room, identity)| room.is_full_for(identity));
        let mode = room.map_or(RoomMode::Sfu, |room| room.view().mode);
        match desk::door(room, grants, now)? {
            Door::Lobby if layout.is_none() => Ok(Reply::Waiting(mode)),
            Door::Lobby => Err(Refusal::Waiting),
            Door::Room if full => Err(Refusal::RoomFull),
            Door::Room => Ok(Reply::Mode(mode)),
        }
    }

    /// A room that the caller may see. A foreign tenant's room does not exist for it.
    fn visible(&self, grants: &Grants, name: &RoomName) -> Result<(RoomKey, &Room), Refusal> {
        if !grants.room_list && !grants.may_moderate(name) {
            return Err(Refusal::NotAllowed("roomList, or roomAdmin for this room"));
        }
        self.entry(grants, name)
    }

    /// A room that the caller may moderate.
    pub(super) fn moderated(&self, grants: &Grants, name: &RoomName) -> Result<(RoomKey, &Room), Refusal> {
        if !grants.may_moderate(name) {
            return Err(Refusal::NotAllowed("roomAdmin for this room"));
        }
        self.entry(grants, name)
    }

    pub(super) fn someone(&self, grants: &Grants, name: &RoomName, identity: &Identity) -> Result<(RoomKey, &Room, SessionId), Refusal> {
        let (key, room) = self.moderated(grants, name)?;
        let session = room.session_of(identity).ok_or(Refusal::ParticipantNotFound)?;
        Ok((key, room, session))
    }

    fn list_rooms(&self, grants: &Grants, names: &[RoomName]) -> Result<Reply, Refusal> {
        if !grants.room_list {
            return Err(Refusal::NotAllowed("roomList"));
        }
        let own = |id: &RoomId| id.tenant == grants.tenant && (names.is_empty() || names.contains(&id.name));
        let rooms = self.rooms.values().map(|entry| &entry.room).filter(|room| own(room.id())).map(Room::view);
        Ok(Reply::Rooms(rooms.collect()))
    }

    fn delete_room(&mut self, caller: Caller, grants: &Grants, name: &RoomName, now: Moment) -> Result<Option<Reply>, Refusal> {
        if !grants.room_create {
            return Err(Refusal::NotAllowed("roomCreate"));
        }
        let key = self.find(grants, name).ok_or(Refusal::RoomNotFound)?;
        let entry = self.rooms.get(&key).ok_or(Refusal::RoomNotFound)?;
        let id = entry.room.id().clone();
        let deleted = entry.stored.then(|| Write::DeleteRoom(id.clone()));
        let ended = audit::by(AuditEvent::RoomEnded, grants, Some(name), now);
        self.persist(deleted.into_iter().chain([ended]).collect(), Waiting::Delete(caller, id));
        Ok(None)
    }

    fn own_tenant(&self, grants: &Grants) -> Result<Reply, Refusal> {
        self.directory.view_of(&grants.tenant).map(|view| Reply::Tenants(vec![view])).ok_or(Refusal::TenantNotFound)
    }

    pub(super) fn participant(&self, grants: &Grants, name: &RoomName, identity: &Identity) -> Result<Reply, Refusal> {
        let (_, room, _) = self.someone(grants, name, identity)?;
        let found = room.participants().into_iter().find(|participant| participant.identity == *identity);
        found.map(|participant| Reply::Participants(vec![participant])).ok_or(Refusal::ParticipantNotFound)
    }

    fn remove_participant(
        &mut self,
        caller: Caller,
        grants: &Grants,
        name: &RoomName,
        identity: &Identity,
        now: Moment,
    ) -> Result<(), Refusal> {
        let (key, room) = self.moderated(grants, name)?;
        if !room.is_there(identity) {
            return Err(Refusal::ParticipantNotFound);
        }
        self.with_room(key, |room, _, out| room.send_away(identity, Bye::Removed, now, out));
        let writes = self.entries(key, Some(grants), AuditEvent::Removed, Some(identity), now);
        self.persist(writes, Waiting::Answer(caller, Reply::Done));
        Ok(())
    }

    fn mute(
        &mut self,
        caller: Caller,
        grants: &Grants,
        name: &RoomName,
        identity: &Identity,
        (track, muted): (Option<&Sid>, bool),
        now: Moment,
    ) -> Result<(), Refusal> {
        let (key, _, session) = self.someone(grants, name, identity)?;
        if !muted {
            // Nobody opens another person's microphone or camera, least of all in a consultation.
            return Err(Refusal::Invalid("only the participant can unmute; others can mute"));
        }
        let mut tracks = Vec::new();
        self.with_room(key, |room, _, out| tracks = room.mute(session, track, muted, out));
        if track.is_some() && tracks.is_empty() {
            return Err(Refusal::TrackNotFound);
        }
        let writes = self.entries(key, Some(grants), AuditEvent::Muted, Some(identity), now);
        self.persist(writes, Waiting::Answer(caller, Reply::Tracks(tracks)));
        Ok(())
    }
}

/// Whether the caller speaks for its organisation.
fn administers(grants: &Grants) -> Result<(), Refusal> {
    let all = grants.room_create && grants.room_list && grants.room_admin && grants.room.is_none();
    if all { Ok(()) } else { Err(Refusal::NotAllowed("roomCreate, roomList with roomAdmin for no room")) }
}
