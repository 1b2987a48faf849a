//! Sessions that requests begin, change or end: WHIP, WHEP.

use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomKey, RoomName, SessionId, Sid};
use crate::model::media::{Codec, Encryption, MediaKind, TrackSource};
use crate::model::time::Moment;
use crate::node::fragment::{self, CANDIDATES_MAX, Credentials, Fragment};
use crate::node::request::{Condition, Refusal, Reply};
use crate::node::sdp;
use crate::room::Effect;
use crate::room::command::{AddTrack, Joining, Layout, Leg, Only, Signal};
use crate::room::media::MediaCommand;
use crate::room::notice::{LeaveReason, Outcome};

use super::{Caller, Control, ControlOutput, desk, p2p};

/// What is known of a session that a request began.
pub(super) struct Requested {
    /// Whose tracks it receives, if it does (WHEP).
    of: Option<Identity>,
    /// ICE sessions that it has had before.
    restarts: u64,
    /// The client's credentials in the ICE session that stands.
    credentials: Option<Credentials>,
    /// Candidates of that ICE session that came after the offer.
    candidates: usize,
    /// Who waits for the worker to restart ICE, with what counts from then on.
    restarting: Option<(Caller, Credentials, usize)>,
}

impl Requested {
    fn new(of: Option<Identity>, offer: &str) -> Self {
        Self { of, restarts: 0, credentials: fragment::credentials(offer), candidates: 0, restarting: None }
    }

    /// Names the ICE session that stands: unique in its resource, with nothing of ICE in it (RFC 9725 §4.3.1).
    fn tag(&self) -> String {
        format!("ice-{}", self.restarts)
    }
}

impl Control {
    pub(super) fn whip(&mut self, caller: Caller, grants: Grants, room: &RoomName, text: String, now: Moment) -> Result<(), Refusal> {
        check_room(&grants, room)?;
        if !grants.can_publish || grants.hidden {
            return Err(Refusal::NotAllowed("canPublish without hidden"));
        }
        let sections = sdp::read(&text).map_err(Refusal::BadSdp)?;
        let sent: Vec<_> =
            sections.iter().filter(|section| section.way.sends()).filter_map(|section| Some((section, section.kind?))).collect();
        if sent.is_empty() {
            return Err(Refusal::BadSdp("it offers to send nothing"));
        }
        let key = self.room_to_join(&grants, Layout::Whip, now)?;
        if self.rooms.get(&key).is_some_and(|entry| entry.room.view().require_encryption) {
            return Err(Refusal::EncryptionRequired);
        }
        let session = self.enter_silently(key, grants, Layout::Whip, None, &text, now)?;
        for (section, kind) in sent {
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
        only: Only,
        text: String,
        now: Moment,
    ) -> Result<(), Refusal> {
        check_room(&grants, room)?;
        if !grants.can_subscribe {
            return Err(Refusal::NotAllowed("canSubscribe"));
        }
        self.recall_admission(&grants, now);
        // Whoever waits does not even learn who is there.
        desk::passes(self.entry(&grants, room).ok().map(|(_, room)| room), &grants, now)?;
        let sections = sdp::read(&text).map_err(Refusal::BadSdp)?;
        if !sections.iter().any(|section| section.way.receives() && section.kind.is_some()) {
            return Err(Refusal::BadSdp("it offers to receive nothing"));
        }
        let (_, entry) = self.entry(&grants, room)?;
        p2p::admits(Some(entry), &grants, Some(Layout::Whep))?;
        let publisher = entry.session_of(&only.publisher).ok_or(Refusal::ParticipantNotFound)?;
        if only.track.as_ref().is_some_and(|wanted| !entry.tracks_of(publisher).iter().any(|track| track.sid == *wanted)) {
            return Err(Refusal::TrackNotFound);
        }
        let key = self.room_to_join(&grants, Layout::Whep, now)?;
        let session = self.enter_silently(key, grants, Layout::Whep, Some(only), &text, now)?;
        self.offer_for(caller, key, session, text, now);
        Ok(())
    }

    fn enter_silently(
        &mut self,
        key: RoomKey,
        grants: Grants,
        layout: Layout,
        only: Option<Only>,
        offer: &str,
        now: Moment,
    ) -> Result<SessionId, Refusal> {
        let session = SessionId(self.next_id());
        let requested = Requested::new(only.as_ref().map(|only| only.publisher.clone()), offer);
        let joining = Joining { session, grants, layout, auto_subscribe: true, only, protocol: 0 };
        self.enter(key, joining, now)?;
        self.requested.insert(session, requested);
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
        let reply = self.begun(session, sdp).ok_or(Refusal::ResourceNotFound);
        self.out.push_back(ControlOutput::Reply(caller, reply));
    }

    fn begun(&mut self, session: SessionId, sdp: String) -> Option<Reply> {
        let key = self.sessions.get(&session).copied()?;
        let room = &self.rooms.get(&key)?.room;
        let (resource, identity) = (room.sid_of(session)?.clone(), room.identity_of(session)?.clone());
        let tag = self.requested.get(&session)?.tag();
        let relay = self.relay_user(key, session, Some(&identity));
        Some(Reply::Media { resource, tag, relay, sdp })
    }

    pub(super) fn not_answered(&mut self, session: SessionId, why: &'static str) {
        if let Some(caller) = self.awaiting.remove(&session) {
            self.out.push_back(ControlOutput::Reply(caller, Err(Refusal::BadSdp(why))));
        }
    }

    /// The session of a resource, if the caller may change or end it.
    ///
    /// # Errors
    /// To others it does not exist.
    pub(super) fn own_media(
        &self,
        grants: &Grants,
        room: &RoomName,
        of: Option<&Identity>,
        resource: &Sid,
    ) -> Result<(RoomKey, SessionId), Refusal> {
        let (key, entry) = self.entry(grants, room).map_err(|_| Refusal::ResourceNotFound)?;
        let session = entry.session_of_sid(resource).ok_or(Refusal::ResourceNotFound)?;
        let own = entry.identity_of(session) == grants.identity.as_ref();
        let requested = self.requested.get(&session).is_some_and(|requested| requested.of.as_ref() == of);
        if requested && (own || grants.may_moderate(room)) { Ok((key, session)) } else { Err(Refusal::ResourceNotFound) }
    }

    /// Takes candidates, or restarts ICE if the client's credentials are new ones (RFC 9725 §4.3.3).
    pub(super) fn change_media(
        &mut self,
        caller: Caller,
        key: RoomKey,
        session: SessionId,
        condition: &Condition,
        fragment: Fragment,
        now: Moment,
    ) -> Result<Option<Reply>, Refusal> {
        let known = self.requested.get_mut(&session).ok_or(Refusal::ResourceNotFound)?;
        if !condition.is_met(&known.tag()) {
            return Err(Refusal::NotCurrent);
        }
        let fresh = fragment.credentials.filter(|fresh| known.credentials.as_ref() != Some(fresh));
        let before = if fresh.is_some() { 0 } else { known.candidates };
        let candidates = before + fragment.candidates.len();
        if candidates > CANDIDATES_MAX {
            return Err(Refusal::TooManyCandidates);
        }
        if let Some(fresh) = &fresh {
            let half = |old: &Credentials| old.ufrag == fresh.ufrag || old.password == fresh.password;
            if known.credentials.as_ref().is_some_and(half) {
                return Err(Refusal::Invalid("a restart of ICE changes both ice-ufrag and ice-pwd (RFC 8839 §4.4.1.1.1)"));
            }
            // The worker needs no time: whoever asks twice meanwhile may ask again.
            if known.restarting.is_some() {
                return Err(Refusal::Busy);
            }
            known.restarting = Some((caller, fresh.clone(), candidates));
        } else {
            known.candidates = candidates;
        }
        let restarts = fresh.is_some();
        self.with_room(key, |room, chance, out| {
            if let Some(Credentials { ufrag, password }) = fresh {
                out.push(Effect::Media(MediaCommand::Restart { session, ufrag, password }));
            }
            for candidate in fragment.candidates {
                room.signal(session, Signal::Trickle { leg: Leg::Publisher, candidate }, now, chance, out);
            }
        });
        Ok(if restarts { None } else { Some(Reply::Done) })
    }

    /// The worker restarted ICE, or could not: then ICE stays as it was (RFC 9725 §4.3.3).
    pub(super) fn restarted(&mut self, session: SessionId, fragment: Option<String>) {
        let Some(known) = self.requested.get_mut(&session) else { return };
        let Some((caller, fresh, candidates)) = known.restarting.take() else { return };
        let reply = match fragment {
            Some(fragment) => {
                known.restarts += 1;
                (known.credentials, known.candidates) = (Some(fresh), candidates);
                Ok(Reply::Restarted { tag: known.tag(), fragment })
            }
            None => Err(Refusal::Invalid("ICE could not be restarted; the session goes on as it was")),
        };
        self.out.push_back(ControlOutput::Reply(caller, reply));
    }

    /// A session is over.
    pub(super) fn not_restarted(&mut self, session: SessionId) {
        if let Some((caller, ..)) = self.requested.remove(&session).and_then(|known| known.restarting) {
            self.out.push_back(ControlOutput::Reply(caller, Err(Refusal::ResourceNotFound)));
        }
    }

    pub(super) fn end_media(
        &mut self,
        grants: &Grants,
        room: &RoomName,
        of: Option<&Identity>,
        resource: &Sid,
        now: Moment,
    ) -> Result<Reply, Refusal> {
        let (key, session) = self.own_media(grants, room, of, resource)?;
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
