//! What the control core orders: sessions, tracks, subscriptions.

use crate::model::ids::{Identity, RoomKey, SessionId, Sid};
use crate::model::media::{MediaKind, TrackSettings};
use crate::node::fragment::Credentials;
use crate::node::peer::{Peer, PeerIndex, PeerSpec, RoomIndex, TrackIndex, Want};
use crate::node::route::ice_credentials;
use crate::node::sdp::Carried;
use crate::room::command::{Layout, Leg};
use crate::room::media::{MediaCommand, MediaEvent, MediaRights, TrackSpec};
use crate::sfu::keyframes::KeyframeThrottle;
use crate::sfu::layers::Layers;
use crate::sfu::sealed::SealProbe;
use crate::turn::credentials::RelayUser;

use super::rooms::MediaTrack;
use super::watched::Watch;
use super::{Session, Worker};

impl Worker {
    pub(super) fn order(&mut self, command: MediaCommand) {
        let room = self.room_concerned(&command);
        match room {
            Some(room) => self.guard_room(room, |worker| worker.carry_out(command)),
            None => self.carry_out(command),
        }
    }

    fn room_concerned(&self, command: &MediaCommand) -> Option<RoomIndex> {
        let session = match command {
            MediaCommand::OpenRoom { .. } | MediaCommand::CloseRoom { .. } | MediaCommand::EndRelay { .. } => return None,
            MediaCommand::AddSession { room, .. } | MediaCommand::SendData { room, .. } => return self.by_key.get(room).copied(),
            MediaCommand::RemoveSession { session }
            | MediaCommand::SetRights { session, .. }
            | MediaCommand::Offer { session, .. }
            | MediaCommand::Answer { session, .. }
            | MediaCommand::Trickle { session, .. }
            | MediaCommand::Resumed { session }
            | MediaCommand::Restart { session, .. }
            | MediaCommand::AddTrack { session, .. }
            | MediaCommand::RemoveTrack { session, .. }
            | MediaCommand::SetMuted { session, .. }
            | MediaCommand::Subscribe { session, .. }
            | MediaCommand::Unsubscribe { session, .. }
            | MediaCommand::AddDataTrack { session, .. }
            | MediaCommand::RemoveDataTrack { session, .. }
            | MediaCommand::SubscribeData { session, .. }
            | MediaCommand::UnsubscribeData { session, .. }
            | MediaCommand::Settings { session, .. } => session,
        };
        self.sessions.get(session).map(|session| session.room)
    }

    fn carry_out(&mut self, command: MediaCommand) {
        match command {
            MediaCommand::OpenRoom { room, require_encryption } => self.open_room(room, require_encryption),
            MediaCommand::CloseRoom { room } => self.close_room(room),
            MediaCommand::AddSession { session, room, sid, identity, layout, rights } => {
                self.add_session(session, room, &sid, identity, layout, rights);
            }
            MediaCommand::SetRights { session, rights } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.rights = rights;
                }
            }
            MediaCommand::SendData { room, message } => self.send_data(room, &message),
            MediaCommand::RemoveSession { session } => self.remove_session(session),
            MediaCommand::EndRelay { group, person, may_return } => {
                let moment = self.moment();
                self.turn.revoke(RelayUser { worker: None, group, person }, may_return, moment);
            }
            MediaCommand::Offer { session, sdp, id } => self.offer(session, &sdp, id),
            MediaCommand::Answer { session, sdp, id } => self.answer(session, &sdp, id),
            MediaCommand::Trickle { session, leg, candidate } => self.trickle(session, leg, &candidate),
            MediaCommand::Resumed { session } => self.resumed(session),
            MediaCommand::Restart { session, ufrag, password } => self.restart(session, &Credentials { ufrag, password }),
            MediaCommand::AddTrack { session, track } => self.add_track(session, track),
            MediaCommand::RemoveTrack { session, track } => self.remove_track(session, &track),
            MediaCommand::SetMuted { session, track, muted } => self.set_muted(session, &track, muted),
            MediaCommand::Subscribe { session, track, publisher } => self.subscribe(session, &track, publisher),
            MediaCommand::Unsubscribe { session, track } => self.unsubscribe(session, &track),
            MediaCommand::AddDataTrack { session, track, handle } => self.add_data_track(session, track, handle),
            MediaCommand::RemoveDataTrack { session, track } => self.remove_data_track(session, &track),
            MediaCommand::SubscribeData { session, track, handle } => self.subscribe_data(session, &track, handle),
            MediaCommand::UnsubscribeData { session, track } => self.unsubscribe_data(session, &track),
            MediaCommand::Settings { session, track, settings } => self.settings(session, &track, settings),
        }
    }

    fn add_session(&mut self, id: SessionId, room: RoomKey, sid: &Sid, identity: Identity, layout: Layout, rights: MediaRights) {
        let Some(room) = self.by_key.get(&room).copied() else { return };
        let publisher = self.add_peer(id, sid, room, Leg::Publisher);
        let subscriber = if layout == Layout::Dual { self.add_peer(id, sid, room, Leg::Subscriber) } else { publisher };
        let signalled = matches!(layout, Layout::Single | Layout::Dual);
        self.sessions.insert(id, Session { room, signalled, rights, identity, publisher, subscriber });
        self.begin_to_look();
        if let Some(room) = self.room_mut(room) {
            room.sessions.push(id);
        }
        if layout == Layout::Dual {
            self.sync_subscriber(subscriber);
        }
    }

    #[allow(clippy::cast_possible_truncation)] // as many peers as sessions times two, far below 2^32
    fn add_peer(&mut self, session: SessionId, sid: &Sid, room: RoomIndex, leg: Leg) -> PeerIndex {
        let creds = ice_credentials(self.config.index, &mut self.chance);
        let index = self.free_peers.pop().unwrap_or_else(|| {
            self.peers.push(None);
            PeerIndex(self.peers.len() as u32 - 1)
        });
        self.by_ufrag.insert(creds.ufrag.clone().into_bytes(), index);
        let spec = PeerSpec { session, sid: sid.clone(), room, leg, creds };
        self.peers[index.0 as usize] = Some(Box::new(Peer::new(spec, &self.config, self.now)));
        index
    }

    pub(super) fn remove_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        let tracks: Vec<Sid> =
            self.room(session.room).map(|room| room.tracks_of(id).map(|(_, track)| track.spec.sid.clone()).collect()).unwrap_or_default();
        for track in tracks {
            self.remove_track(id, &track);
        }
        self.leave_receivers(session.room, &[session.publisher, session.subscriber]);
        if let Some(room) = self.room_mut(session.room) {
            room.sessions.retain(|other| *other != id);
            room.forget_data(id);
            room.speakers.remove(id.0);
        }
        self.remove_peer(session.publisher);
        if session.subscriber != session.publisher {
            self.remove_peer(session.subscriber);
        }
    }

    fn leave_receivers(&mut self, room: RoomIndex, peers: &[PeerIndex]) {
        let Some(room) = self.room_mut(room) else { return };
        for track in room.tracks.iter_mut().flatten() {
            track.receivers.retain(|(peer, _)| !peers.contains(peer));
        }
    }

    fn remove_peer(&mut self, index: PeerIndex) {
        let Some(mut peer) = self.peers.get_mut(index.0 as usize).and_then(Option::take) else { return };
        // A last word to the client (RTCP BYE, DTLS close_notify), then the peer is gone.
        if peer.connected && peer.rtc.close().is_ok() {
            self.say_goodbye(&mut peer);
        }
        // A restart that was never answered has left a second user name.
        for creds in [Some(&peer.creds), peer.next_creds.as_ref()].into_iter().flatten() {
            self.by_ufrag.remove(creds.ufrag.as_bytes());
        }
        for path in peer.paths.iter() {
            self.forget_path(index, path);
        }
        self.ready.retain(|ready| *ready != index);
        self.free_peers.push(index);
    }

    fn add_track(&mut self, session: SessionId, spec: TrackSpec) {
        let Some(owner) = self.sessions.get(&session).filter(|session| session.rights.publish) else { return };
        let (index, peer) = (owner.room, owner.publisher);
        let layers = Layers::new(&spec.layers);
        let keyframes = [(); 3].map(|()| KeyframeThrottle::default());
        let track = MediaTrack {
            spec,
            session,
            peer,
            mid: None,
            codec: None,
            layers,
            keyframes,
            probe: SealProbe::default(),
            unsealed: false,
            watch: Watch::default(),
            receivers: Vec::new(),
        };
        let Some(room) = self.room_mut(index) else { return };
        room.insert(track);
        // The offer may have come before the announcement.
        self.bind_tracks(session, false);
    }

    pub(super) fn remove_track(&mut self, session: SessionId, sid: &Sid) {
        let Some(index) = self.sessions.get(&session).map(|owner| owner.room).or_else(|| self.room_with(sid)) else { return };
        let Some(room) = self.room_mut(index) else { return };
        let Some(at) = room.find(sid) else { return };
        let Some(track) = room.tracks[at.0 as usize].take() else { return };
        if track.spec.kind == MediaKind::Audio {
            room.speakers.remove(session.0);
        }
        if let Some(peer) = self.peer_mut(track.peer) {
            for stream in peer.streams.iter_mut().filter(|stream| stream.track == Some(at)) {
                stream.track = None;
            }
        }
        let concerned: Vec<PeerIndex> = self.wanting(index, at).chain(track.receivers.iter().map(|(peer, _)| *peer)).collect();
        for peer in concerned {
            self.stop_carrying(peer, at);
        }
    }

    fn room_with(&self, sid: &Sid) -> Option<RoomIndex> {
        self.by_key.values().copied().find(|index| self.room(*index).is_some_and(|room| room.find(sid).is_some()))
    }

    /// Peers that wait for a section for this track.
    fn wanting(&self, room: RoomIndex, track: TrackIndex) -> impl Iterator<Item = PeerIndex> {
        let peers = self.sessions.values().filter(move |session| session.room == room).map(|session| session.subscriber);
        peers.filter(move |peer| self.peer(*peer).is_some_and(|peer| peer.wants.iter().any(|want| want.track == track)))
    }

    /// Frees what a peer has of a track, and sees that its client learns it.
    pub(super) fn stop_carrying(&mut self, index: PeerIndex, track: TrackIndex) {
        let Some(peer) = self.peer_mut(index) else { return };
        peer.wants.retain(|want| want.track != track);
        let mut freed = false;
        for section in &mut peer.sections {
            if section.carried.as_ref().is_some_and(|(carried, _)| *carried == track) {
                section.carried = None;
                freed = true;
            }
        }
        if freed {
            self.renegotiate(index);
        }
    }

    fn set_muted(&mut self, session: SessionId, sid: &Sid, muted: bool) {
        let Some(owner) = self.sessions.get(&session) else { return };
        let Some(room) = self.rooms.get_mut(owner.room.0 as usize).and_then(Option::as_mut) else { return };
        let Some(track) = room.find(sid).and_then(|at| room.track_mut(at)) else { return };
        track.spec.muted = muted;
        // The pause must show in the timestamps, and pictures begin with a keyframe.
        for (peer, section) in track.receivers.clone() {
            if let Some(section) = self.peer_mut(peer).and_then(|peer| peer.sections.get_mut(section)) {
                section.pause();
            }
        }
    }

    fn subscribe(&mut self, session: SessionId, sid: &Sid, publisher: Sid) {
        let Some(receiver) = self.sessions.get(&session).filter(|session| session.rights.subscribe) else { return };
        let (room, index) = (receiver.room, receiver.subscriber);
        let Some((track, kind, encrypted)) = self.room(room).and_then(|room| {
            let at = room.find(sid)?;
            let spec = &room.track(at)?.spec;
            Some((at, spec.kind, spec.encrypted))
        }) else {
            return;
        };
        let Some(peer) = self.peer_mut(index) else { return };
        let carried = |section: &crate::node::peer::OutSection| section.carried.as_ref().is_some_and(|(carried, _)| *carried == track);
        if peer.wants.iter().any(|want| want.track == track) || peer.sections.iter().any(carried) {
            return;
        }
        let carried = Carried { publisher, track: sid.clone() };
        let want = Want { track, carried, kind, encrypted, settings: TrackSettings::default() };
        if self.give_back(index, &want) {
            return;
        }
        if let Some(peer) = self.peer_mut(index) {
            peer.wants.push(want);
        }
        self.renegotiate(index);
    }

    fn unsubscribe(&mut self, session: SessionId, sid: &Sid) {
        let Some(receiver) = self.sessions.get(&session) else { return };
        let index = receiver.subscriber;
        let Some(room) = self.rooms.get_mut(receiver.room.0 as usize).and_then(Option::as_mut) else { return };
        let Some(track) = room.find(sid) else { return };
        if let Some(track) = room.track_mut(track) {
            track.receivers.retain(|(peer, _)| *peer != index);
        }
        self.stop_carrying(index, track);
    }

    fn settings(&mut self, session: SessionId, sid: &Sid, settings: TrackSettings) {
        let Some(receiver) = self.sessions.get(&session) else { return };
        let (room, index) = (receiver.room, receiver.subscriber);
        let Some(track) = self.room(room).and_then(|room| room.find(sid)) else { return };
        let Some(peer) = self.peer_mut(index) else { return };
        for section in &mut peer.sections {
            if section.carried.as_ref().is_some_and(|(carried, _)| *carried == track) {
                section.set(settings);
            }
        }
        // It may not have a section yet.
        for want in peer.wants.iter_mut().filter(|want| want.track == track) {
            want.settings = settings;
        }
        self.allot_anew(index);
        self.look_who_watches(room);
    }

    /// The session's connection to the leg that a candidate or description is for.
    pub(super) fn leg_of(&self, session: SessionId, leg: Leg) -> Option<PeerIndex> {
        let session = self.sessions.get(&session)?;
        Some(match leg {
            Leg::Publisher => session.publisher,
            Leg::Subscriber => session.subscriber,
        })
    }

    fn trickle(&mut self, session: SessionId, leg: Leg, candidate: &str) {
        let Some(index) = self.leg_of(session, leg) else { return };
        let Some(peer) = self.peer_mut(index) else { return };
        // Candidates that str0m cannot read (mDNS names, other transports) are of no use to a lite agent anyway.
        if let Ok(candidate) = str0m::Candidate::from_sdp_string(candidate) {
            peer.rtc.add_remote_candidate(candidate);
            self.mark(index);
        }
    }

    pub(super) fn refuse(&mut self, session: SessionId, why: &'static str) {
        self.event(MediaEvent::Refused { session, why });
    }
}
