//! Joining: over a signalling connection, by WHIP, by WHEP.

use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, RoomKey, RoomName, SessionId, Sid, WorkerIndex};
use crate::model::media::{Codec, Encryption, MediaKind, TrackSource};
use crate::model::time::Moment;
use crate::node::request::{ConnId, Connect, Connected, Refusal, Reply};
use crate::node::sdp;
use crate::room::JoinError;
use crate::room::command::{AddTrack, Joining, Layout, Signal};
use crate::room::notice::{LeaveReason, Outcome};
use crate::turn::credentials::RelayUser;

use super::{Caller, Control, ControlOutput, p2p};

impl Control {
    pub(super) fn connect(&mut self, caller: Caller, conn: ConnId, connect: Connect, now: Moment) {
        let resume = connect.resume.is_some();
        let result = if resume { self.resume(caller, conn, connect) } else { self.join(caller, conn, connect, now) };
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

    fn room_to_join(&mut self, grants: &Grants, layout: Layout, now: Moment) -> Result<RoomKey, Refusal> {
        let name = self.may_join(grants)?;
        p2p::admits(self.entry(grants, &name).ok().map(|(_, room)| room), grants, Some(layout))?;
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

    fn enter(&mut self, key: RoomKey, joining: Joining, now: Moment) -> Result<(), Refusal> {
        let session = joining.session;
        let mut result = None;
        self.sessions.insert(session, key);
        self.with_room(key, |room, chance, out| result = Some(room.join(joining, now, chance, out)));
        let refusal = match result {
            Some(Ok(())) => return Ok(()),
            Some(Err(JoinError::Full)) => Refusal::RoomFull,
            Some(Err(JoinError::WrongMode)) => Refusal::WrongMode(self.mode(key)),
            Some(Err(JoinError::NoIdentity)) => Refusal::NotAllowed("an identity (sub)"),
            // The room has just broken.
            None => Refusal::Busy,
        };
        self.sessions.remove(&session);
        Err(refusal)
    }

    fn resume(&mut self, caller: Caller, conn: ConnId, connect: Connect) -> Result<(), Refusal> {
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
            room.resume(session, out);
            if let Some(state) = &connect.sync {
                room.sync_state(session, state, out);
            }
        });
        Ok(())
    }

    /// Whom the relay knows a session as, from its beginning to its end.
    fn relay_user(&mut self, key: RoomKey, session: SessionId, identity: Option<&Identity>) -> RelayUser {
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

    pub(super) fn whip(&mut self, caller: Caller, grants: Grants, room: &RoomName, text: String, now: Moment) -> Result<(), Refusal> {
        check_room(&grants, room)?;
        if !grants.can_publish || grants.hidden {
            return Err(Refusal::NotAllowed("canPublish without hidden"));
        }
        let sections = sdp::read(&text).map_err(Refusal::BadSdp)?;
        let key = self.room_to_join(&grants, Layout::Whip, now)?;
        if self.rooms.get(&key).is_some_and(|entry| entry.room.view().require_encryption) {
            return Err(Refusal::EncryptionRequired);
        }
        let session = self.enter_silently(key, grants, Layout::Whip, None, now)?;
        for section in sections.iter().filter(|section| section.way.sends()) {
            let Some(kind) = section.kind else { continue };
            let mut outcome = Ok(());
            self.with_room(key, |room, chance, out| outcome = room.add_track(session, track_of(section, kind), chance, out));
            if let Err(outcome) = outcome {
                self.with_room(key, |room, _, out| room.remove(session, LeaveReason::JoinFailure, now, out));
                return Err(match outcome {
                    Outcome::NotAllowed => Refusal::NotAllowed("canPublishSources for camera and microphone"),
                    _ => Refusal::BadSdp("it has too many media sections to publish"),
                });
            }
        }
        self.offer_for(caller, key, session, text, now);
        Ok(())
    }

    pub(super) fn whep(
        &mut self,
        caller: Caller,
        grants: Grants,
        room: &RoomName,
        identity: Identity,
        text: String,
        now: Moment,
    ) -> Result<(), Refusal> {
        check_room(&grants, room)?;
        if !grants.can_subscribe {
            return Err(Refusal::NotAllowed("canSubscribe"));
        }
        sdp::read(&text).map_err(Refusal::BadSdp)?;
        let (_, entry) = self.entry(&grants, room)?;
        p2p::admits(Some(entry), &grants, Some(Layout::Whep))?;
        entry.session_of(&identity).ok_or(Refusal::ParticipantNotFound)?;
        let key = self.room_to_join(&grants, Layout::Whep, now)?;
        let session = self.enter_silently(key, grants, Layout::Whep, Some(identity), now)?;
        self.offer_for(caller, key, session, text, now);
        Ok(())
    }

    fn enter_silently(
        &mut self,
        key: RoomKey,
        grants: Grants,
        layout: Layout,
        only: Option<Identity>,
        now: Moment,
    ) -> Result<SessionId, Refusal> {
        let session = SessionId(self.next_id());
        let joining = Joining { session, grants, layout, auto_subscribe: true, only, protocol: 0 };
        self.enter(key, joining, now)?;
        self.joining.insert(session, now.instant);
        Ok(session)
    }

    fn offer_for(&mut self, caller: Caller, key: RoomKey, session: SessionId, sdp: String, now: Moment) {
        self.awaiting.insert(session, caller);
        self.with_room(key, |room, chance, out| room.signal(session, Signal::Offer { sdp, id: 0 }, now, chance, out));
    }

    /// The worker answered a WHIP or WHEP offer.
    pub(super) fn answered(&mut self, session: SessionId, sdp: String) {
        let Some(caller) = self.awaiting.remove(&session) else { return };
        let room = self.sessions.get(&session).and_then(|key| self.rooms.get(key));
        let resource = room.and_then(|entry| entry.room.sid_of(session)).cloned();
        let reply = resource.map(|resource| Reply::Media { resource, sdp }).ok_or(Refusal::ResourceNotFound);
        self.out.push_back(ControlOutput::Reply(caller, reply));
    }

    pub(super) fn not_answered(&mut self, session: SessionId, why: &'static str) {
        if let Some(caller) = self.awaiting.remove(&session) {
            self.out.push_back(ControlOutput::Reply(caller, Err(Refusal::BadSdp(why))));
        }
    }

    pub(super) fn end_media(&mut self, grants: &Grants, room: &RoomName, resource: &Sid, now: Moment) -> Result<Reply, Refusal> {
        let (key, entry) = self.entry(grants, room).map_err(|_| Refusal::ResourceNotFound)?;
        let session = entry.session_of_sid(resource).ok_or(Refusal::ResourceNotFound)?;
        let own = entry.identity_of(session) == grants.identity.as_ref();
        if !own && !grants.may_moderate(room) {
            return Err(Refusal::ResourceNotFound);
        }
        self.with_room(key, |room, _, out| room.remove(session, LeaveReason::ClientInitiated, now, out));
        Ok(Reply::Done)
    }
}

fn check_room(grants: &Grants, room: &RoomName) -> Result<(), Refusal> {
    if grants.room.as_ref() == Some(room) { Ok(()) } else { Err(Refusal::NotAllowed("roomJoin for this room")) }
}

/// What a section of a WHIP offer publishes.
fn track_of(section: &sdp::Section, kind: MediaKind) -> AddTrack {
    let (source, codec) = match kind {
        MediaKind::Audio => (TrackSource::Microphone, Some(Codec::Opus)),
        MediaKind::Video => (TrackSource::Camera, None),
    };
    AddTrack {
        cid: format!("mid:{}", section.mid),
        kind,
        name: String::new(),
        source,
        width: 0,
        height: 0,
        muted: false,
        layers: Vec::new(),
        codecs: vec![(codec, String::new())],
        encryption: Encryption::None,
        stream: String::new(),
        disable_red: false,
        disable_dtx: false,
        stereo: false,
        audio_features: Vec::new(),
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
        _ => "refused",
    }
}
