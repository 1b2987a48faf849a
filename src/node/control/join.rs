//! Joining over a signalling connection.

use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, RoomKey, RoomName, SessionId, WorkerIndex};
use crate::model::time::Moment;
use crate::node::request::{ConnId, Connect, Connected, Refusal};
use crate::room::command::{Joining, Layout, Signal};
use crate::turn::credentials::RelayUser;

use super::{Caller, Control, ControlOutput, desk, p2p};

impl Control {
    pub(super) fn connect(&mut self, caller: Caller, conn: ConnId, connect: Connect, now: Moment) {
        let resume = connect.resume.is_some();
        let result = if resume { self.resume(caller, conn, connect, now) } else { self.join(caller, conn, connect, now) };
        let label = match &result {
            Ok(()) if resume => "resumed",
            Ok(()) => "ok",
            Err(refusal) => refusal_label(refusal),
        };
        *self.stats.joins.entry(label).or_default() += 1;
        if let Err(refusal) = result {
            self.out.push_back(ControlOutput::Connected(caller, Err(refusal)));
        }
    }

    /// Whether these grants could join now.
    pub(super) fn may_join(&self, grants: &Grants) -> Result<RoomName, Refusal> {
        if self.shutting_down {
            return Err(Refusal::ShuttingDown);
        }
        let room = grants.room.clone().filter(|_| grants.room_join).ok_or(Refusal::NotAllowed("roomJoin for a room"))?;
        if grants.identity.is_none() {
            return Err(Refusal::NotAllowed("an identity (sub)"));
        }
        if self.find(grants, &room).is_none() && !self.config.auto_create {
            return Err(Refusal::RoomNotFound);
        }
        Ok(room)
    }

    pub(super) fn room_to_join(&mut self, grants: &Grants, layout: Layout, now: Moment) -> Result<RoomKey, Refusal> {
        let name = self.may_join(grants)?;
        self.recall_admission(grants, now);
        let room = self.entry(grants, &name).ok().map(|(_, room)| room);
        p2p::admits(room, grants, Some(layout))?;
        desk::passes(room, grants, now)?;
        if self.sessions.len() >= self.config.sessions_max {
            return Err(Refusal::LimitReached("sessions"));
        }
        match self.find(grants, &name) {
            Some(key) => Ok(key),
            None => self.auto_create(RoomId { tenant: grants.tenant.clone(), name }, now),
        }
    }

    fn join(&mut self, caller: Caller, conn: ConnId, connect: Connect, now: Moment) -> Result<(), Refusal> {
        let key = self.room_to_join(&connect.grants, connect.layout, now)?;
        let layout = connect.layout;
        let session = SessionId(self.next_id());
        self.attach(conn, session);
        let accepted = Connected { session, resumed: false, relay: self.relay_user(key, session, connect.grants.identity.as_ref()) };
        // First the reply, so that the notices find the connection open; taken back if the room refuses.
        let mark = self.out.len();
        self.out.push_back(ControlOutput::Connected(caller, Ok(accepted)));
        let joining = Joining {
            session,
            grants: connect.grants,
            layout: connect.layout,
            auto_subscribe: connect.auto_subscribe,
            only: None,
            protocol: connect.protocol,
        };
        if let Err(refusal) = self.enter(key, joining, now) {
            self.relayed.remove(&session);
            self.out.truncate(mark);
            self.detach(conn, session);
            return Err(refusal);
        }
        if layout != Layout::P2p {
            // Of a p2p room nobody tells the server when media stands.
            self.joining.insert(session, now.instant);
        }
        for add in connect.add_tracks {
            self.with_room(key, |room, chance, out| room.signal(session, Signal::AddTrack(add), now, chance, out));
        }
        if let Some((sdp, id)) = connect.offer {
            self.with_room(key, |room, chance, out| room.signal(session, Signal::Offer { sdp, id }, now, chance, out));
        }
        Ok(())
    }

    pub(super) fn enter(&mut self, key: RoomKey, joining: Joining, now: Moment) -> Result<(), Refusal> {
        let session = joining.session;
        let mut result = None;
        self.sessions.insert(session, key);
        self.with_room(key, |room, chance, out| result = Some(room.join(joining, now, chance, out)));
        let refusal = match result {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => desk::refusal_of(error, self.mode(key)),
            // The room has just broken.
            None => Refusal::Busy,
        };
        self.sessions.remove(&session);
        Err(refusal)
    }

    fn resume(&mut self, caller: Caller, conn: ConnId, connect: Connect, now: Moment) -> Result<(), Refusal> {
        let name = self.may_join(&connect.grants)?;
        let sid = connect.resume.ok_or(Refusal::NoSession)?;
        let (key, room) = self.entry(&connect.grants, &name).map_err(|_| Refusal::NoSession)?;
        p2p::admits(Some(room), &connect.grants, Some(connect.layout))?;
        let session = room.session_of_sid(&sid).ok_or(Refusal::NoSession)?;
        // A participant's public id is no secret: the token must be for the same identity.
        if room.identity_of(session) != connect.grants.identity.as_ref() {
            return Err(Refusal::NoSession);
        }
        if let Some(old) = self.connection_of.get(&session).copied() {
            self.detach(old, session);
            self.out.push_back(ControlOutput::HangUp(old));
        }
        self.attach(conn, session);
        let relay = self.relay_user(key, session, connect.grants.identity.as_ref());
        self.out.push_back(ControlOutput::Connected(caller, Ok(Connected { session, resumed: true, relay })));
        self.with_room(key, |room, _, out| {
            room.resume(session, now, out);
            if let Some(state) = &connect.sync {
                room.sync_state(session, state, out);
            }
        });
        Ok(())
    }

    /// Whom the relay knows a session as, from its beginning to its end.
    pub(super) fn relay_user(&mut self, key: RoomKey, session: SessionId, identity: Option<&Identity>) -> RelayUser {
        if let Some((user, _)) = self.relayed.get(&session) {
            return *user;
        }
        let secrets = &self.config.relay;
        let room = self.rooms.get(&key);
        let worker = room.map_or(WorkerIndex(0), |entry| entry.worker);
        let group = room.map_or(0, |entry| secrets.group(entry.room.id()));
        let guest = room.zip(identity).map_or(0, |(entry, identity)| secrets.person(entry.room.id(), identity.as_str()));
        let user = RelayUser::fresh(Some(worker), group, &mut self.chance);
        self.relayed.insert(session, (user, guest));
        user
    }

    fn attach(&mut self, conn: ConnId, session: SessionId) {
        self.connections.insert(conn, session);
        self.connection_of.insert(session, conn);
    }

    fn detach(&mut self, conn: ConnId, session: SessionId) {
        self.connections.remove(&conn);
        self.connection_of.remove(&session);
    }
}

fn refusal_label(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::RoomFull => "room_full",
        Refusal::RoomNotFound => "room_not_found",
        Refusal::NotAllowed(_) => "not_allowed",
        Refusal::LimitReached(_) => "limit",
        Refusal::NoSession => "no_session",
        Refusal::ShuttingDown => "shutting_down",
        Refusal::WrongMode(_) => "wrong_mode",
        Refusal::Waiting => "waiting",
        Refusal::Locked => "locked",
        _ => "refused",
    }
}
