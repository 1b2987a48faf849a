//! One room: who is in it, who joins, who goes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::model::chance::Chance;
use crate::model::ids::{DeskId, Identity, RoomId, RoomKey, SessionId, Sid};
use crate::model::record::RoomMode;
use crate::model::time::Moment;

use super::command::Joining;
use super::departed::Departed;
use super::desk::DeskNotice;
use super::lobby::{Door, DoorRules, Lobby};
use super::media::{MediaCommand, MediaEvent};
use super::notice::{
    Description, Joined, LeaveAction, LeaveReason, Notice, ParticipantState, ParticipantView, QualityView, RoomView, SpeakerView, TrackView,
};
use super::participant::Participant;

/// How long a participant may be without signalling before it is reaped; its client resumes within seconds.
pub const RESUME_WINDOW: Duration = Duration::from_secs(20);

/// What is fixed when a room is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSettings {
    /// How media travels.
    pub mode: RoomMode,
    /// Whether the server keeps the two people of a p2p room from learning each other's address.
    pub hide_addresses: bool,
    /// Whether every media frame must be encrypted end to end.
    pub require_encryption: bool,
    /// Most participants at a time.
    pub max_participants: u32,
    /// How long it lives while empty.
    pub empty_timeout: Duration,
    /// Who may come when.
    pub door: DoorRules,
    /// Opaque text for applications.
    pub metadata: String,
    /// When it was made, in milliseconds since 1970: before this start, if it was stored.
    pub created_at_ms: u64,
}

/// What a room wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell a client.
    Tell(SessionId, Notice),
    /// Tell the worker.
    Media(MediaCommand),
    /// Cut a client's signalling connection but keep its session.
    HangUp(SessionId),
    /// A session is over; its signalling connection closes after what was told.
    End(SessionId),
    /// Tell somebody at the desk.
    Desk(DeskId, DeskNotice),
    /// A desk is over; its connection closes after what was told.
    EndDesk(DeskId),
}

/// Why somebody cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// As many participants as the room may have.
    #[error("the room is full")]
    Full,
    /// The token names nobody.
    #[error("the token has no identity")]
    NoIdentity,
    /// The client speaks the protocol of rooms of the other mode.
    #[error("the room is of another mode")]
    WrongMode,
    /// A moderator must admit them first.
    #[error("a moderator must admit this person first")]
    Waiting,
    /// Nobody new may come.
    #[error("the room is locked")]
    Locked,
    /// The room is not open yet.
    #[error("the room is not open yet")]
    Early,
    /// A moderator refused or removed them.
    #[error("a moderator has refused or removed this person")]
    TurnedAway,
}

/// A room with its participants.
#[derive(Debug)]
pub struct Room {
    pub(super) key: RoomKey,
    id: RoomId,
    sid: Sid,
    pub(super) settings: RoomSettings,
    pub(super) participants: BTreeMap<SessionId, Participant>,
    identities: BTreeMap<Identity, SessionId>,
    pub(super) speaking: BTreeSet<SessionId>,
    pub(super) departed: Departed,
    /// What moderators have said of late, the oldest first.
    pub(super) nonces: VecDeque<[u8; 16]>,
    pub(super) lobby: Lobby,
    empty_since: Option<Instant>,
}

impl Room {
    /// An empty room, and the worker's order to open it.
    #[must_use]
    pub fn open(key: RoomKey, id: RoomId, sid: Sid, settings: RoomSettings, now: Moment, out: &mut Vec<Effect>) -> Self {
        if settings.mode == RoomMode::Sfu {
            out.push(Effect::Media(MediaCommand::OpenRoom { room: key, require_encryption: settings.require_encryption }));
        }
        let door = settings.door;
        Self {
            key,
            id,
            sid,
            settings,
            participants: BTreeMap::new(),
            identities: BTreeMap::new(),
            speaking: BTreeSet::new(),
            departed: Departed::default(),
            nonces: VecDeque::new(),
            lobby: Lobby::new(door, now),
            empty_since: Some(now.instant),
        }
    }

    /// Its full id.
    #[must_use]
    pub fn id(&self) -> &RoomId {
        &self.id
    }

    /// How callers see it.
    #[must_use]
    pub fn view(&self) -> RoomView {
        let visible = || self.participants.values().filter(|participant| !participant.permission.hidden);
        RoomView {
            sid: self.sid.clone(),
            name: self.id.name.clone(),
            mode: self.settings.mode,
            hide_addresses: self.settings.hide_addresses,
            require_encryption: self.settings.require_encryption,
            max_participants: self.settings.max_participants,
            empty_timeout_s: u32::try_from(self.settings.empty_timeout.as_secs()).unwrap_or(u32::MAX),
            created_at_ms: self.settings.created_at_ms,
            metadata: self.settings.metadata.clone(),
            door: self.settings.door,
            locked: self.lobby.locked,
            participants: count(visible()),
            publishers: count(visible().filter(|participant| participant.is_publisher())),
        }
    }

    /// Everybody in it, hidden ones included: this is for callers with the right to moderate.
    #[must_use]
    pub fn participants(&self) -> Vec<ParticipantView> {
        self.participants.values().map(Participant::view).collect()
    }

    /// Published tracks.
    #[must_use]
    pub fn track_count(&self) -> usize {
        self.participants.values().flat_map(|participant| participant.tracks.values()).filter(|track| track.live).count()
    }

    /// The session of an identity.
    #[must_use]
    pub fn session_of(&self, identity: &Identity) -> Option<SessionId> {
        self.identities.get(identity).copied()
    }

    /// The session with this public participant id.
    #[must_use]
    pub fn session_of_sid(&self, sid: &Sid) -> Option<SessionId> {
        self.participants.values().find(|participant| participant.sid == *sid).map(|participant| participant.session)
    }

    /// Whose session it is.
    #[must_use]
    pub fn identity_of(&self, session: SessionId) -> Option<&Identity> {
        self.participants.get(&session).map(|participant| &participant.identity)
    }

    /// The public id of a session.
    #[must_use]
    pub fn sid_of(&self, session: SessionId) -> Option<&Sid> {
        self.participants.get(&session).map(|participant| &participant.sid)
    }

    /// Whether this identity would find no place; if it is in the room already it takes its own.
    #[must_use]
    pub fn is_full_for(&self, identity: &Identity) -> bool {
        let others = self.participants.len() - usize::from(self.identities.contains_key(identity));
        others >= self.settings.max_participants as usize
    }

    /// Lets somebody in; the same identity replaces its older session.
    ///
    /// # Errors
    /// [`JoinError`] says why not; then nothing has changed.
    pub fn join(&mut self, joining: Joining, now: Moment, chance: &mut Chance, out: &mut Vec<Effect>) -> Result<(), JoinError> {
        let identity = joining.grants.identity.clone().ok_or(JoinError::NoIdentity)?;
        if !self.takes(joining.layout) {
            return Err(JoinError::WrongMode);
        }
        if self.door(&identity, joining.grants.may_moderate(&self.id.name), now)? == Door::Lobby {
            return Err(JoinError::Waiting);
        }
        if self.is_full_for(&identity) {
            return Err(JoinError::Full);
        }
        if let Some(old) = self.session_of(&identity) {
            self.remove(old, LeaveReason::DuplicateIdentity, now, out);
        }
        let session = joining.session;
        let participant = Participant::new(joining, identity.clone(), Sid::participant(chance), millis(now.wall));
        if !self.is_p2p() {
            out.push(Effect::Media(MediaCommand::AddSession {
                session,
                room: self.key,
                sid: participant.sid.clone(),
                identity: identity.clone(),
                layout: participant.layout,
                rights: participant.rights(),
            }));
        }
        self.identities.insert(identity, session);
        self.participants.insert(session, participant);
        self.note_emptiness(now);
        self.await_token(session, now);
        if self.is_p2p() {
            self.tell_partners(out);
            return Ok(());
        }
        self.welcome(session, out);
        self.announce(session, out);
        self.tell_room(out);
        self.reconcile_subscriber(session, out);
        Ok(())
    }

    fn welcome(&self, session: SessionId, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.get(&session) else { return };
        let joined =
            Joined { room: self.view(), participant: participant.view(), others: self.others(session), layout: participant.layout };
        self.tell(session, Notice::Joined(Box::new(joined)), out);
    }

    fn others(&self, session: SessionId) -> Vec<ParticipantView> {
        self.participants.values().filter(|other| other.session != session && !other.permission.hidden).map(Participant::view).collect()
    }

    /// A client comes back with a new signalling connection.
    pub fn resume(&mut self, session: SessionId, now: Moment, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.get_mut(&session) else { return };
        participant.detached_since = None;
        if self.is_p2p() {
            // What was said meanwhile is lost, so both look again.
            return self.tell_partners(out);
        }
        self.tell(session, Notice::Reconnected, out);
        self.tell(session, Notice::Participants(self.missed(session)), out);
        self.tell(session, Notice::Room(self.view()), out);
        self.tell_handles(session, |_| true, out);
        // The newest one may be lost.
        self.refresh_token(session, now, out);
        out.push(Effect::Media(MediaCommand::Resumed { session }));
    }

    /// All that a client may have missed: who left and did not come back, then everybody else.
    fn missed(&self, session: SessionId) -> Vec<ParticipantView> {
        let shown = |identity| {
            self.session_of(identity).and_then(|session| self.participants.get(&session)).is_some_and(|one| !one.permission.hidden)
        };
        let gone = self.departed.iter().filter(|view| !shown(&view.identity)).cloned();
        gone.chain(self.others(session)).collect()
    }

    /// A client's signalling connection is gone; it may resume for [`RESUME_WINDOW`].
    pub fn detach(&mut self, session: SessionId, now: Moment) {
        if let Some(participant) = self.participants.get_mut(&session) {
            participant.detached_since = Some(now.instant);
        }
    }

    /// Removes a participant and tells everybody.
    pub fn remove(&mut self, session: SessionId, reason: LeaveReason, now: Moment, out: &mut Vec<Effect>) {
        let action = match reason {
            LeaveReason::SignalClosed | LeaveReason::MediaFailure | LeaveReason::StateMismatch => LeaveAction::Reconnect,
            _ => LeaveAction::Disconnect,
        };
        self.remove_with(session, reason, action, now, out);
    }

    pub(super) fn remove_with(&mut self, session: SessionId, reason: LeaveReason, action: LeaveAction, now: Moment, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.remove(&session) else { return };
        if participant.has_signalling() {
            out.push(Effect::Tell(session, Notice::Leave { reason, action }));
        }
        self.identities.remove(&participant.identity);
        self.speaking.remove(&session);
        for track in participant.tracks.keys() {
            self.forget_track(track);
        }
        for track in participant.data_tracks.values() {
            self.forget_data_track(&track.sid);
        }
        if !self.is_p2p() {
            out.push(Effect::Media(MediaCommand::RemoveSession { session }));
        }
        out.push(Effect::End(session));
        if !self.is_p2p() && !participant.permission.hidden {
            let farewell = participant.farewell(reason);
            self.tell_others(session, |_| Notice::Participants(vec![farewell.clone()]), out);
            self.departed.push(farewell, now.instant);
        }
        if self.participants.is_empty() {
            self.departed.clear();
        }
        self.note_emptiness(now);
        if self.is_p2p() {
            self.tell_partners(out);
        } else {
            self.tell_room(out);
        }
    }

    /// A room where nobody is in the call, nor at the desk, has its time.
    pub(super) fn note_emptiness(&mut self, now: Moment) {
        let empty = self.participants.is_empty() && !self.has_desks();
        self.empty_since = empty.then(|| self.empty_since.unwrap_or(now.instant));
    }

    /// Ends the room for all.
    pub fn close(&mut self, reason: LeaveReason, out: &mut Vec<Effect>) {
        for (session, participant) in std::mem::take(&mut self.participants) {
            if participant.has_signalling() {
                // A full reconnect is right where the room itself is not over: the clients come back to a fresh one.
                let fresh = matches!(reason, LeaveReason::MediaFailure | LeaveReason::ServerShutdown);
                let action = if fresh { LeaveAction::Reconnect } else { LeaveAction::Disconnect };
                out.push(Effect::Tell(session, Notice::Leave { reason, action }));
            }
            out.push(Effect::End(session));
        }
        self.identities.clear();
        self.speaking.clear();
        self.departed.clear();
        self.close_desks(reason, out);
        if !self.is_p2p() {
            out.push(Effect::Media(MediaCommand::CloseRoom { room: self.key }));
        }
    }

    /// When something must happen without being asked, and what.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        let detached = self.participants.values().filter_map(|participant| participant.detached_since).min();
        let reap = detached.map(|since| (since + RESUME_WINDOW, "resume window"));
        let end = self.lobby.end_due(self.empty_since, self.settings.empty_timeout);
        let farewell = self.departed.next_timeout().map(|due| (due, "farewell"));
        let token = self.next_token().map(|due| (due, "token"));
        [reap, end, farewell, token, self.lobby.next_timeout()].into_iter().flatten().min()
    }

    /// Whether its end has come, or it has been empty for its empty timeout.
    #[must_use]
    pub fn is_over(&self, now: Moment) -> bool {
        self.lobby.is_over(self.empty_since, self.settings.empty_timeout, now)
    }

    /// Somebody is still expected: it is empty for its empty timeout once more.
    pub fn wait_on(&mut self, now: Moment) {
        self.empty_since = self.empty_since.map(|_| now.instant);
    }

    /// Reaps participants that did not resume, forgets who left, sends tokens that are due.
    pub fn handle_timeout(&mut self, now: Moment, out: &mut Vec<Effect>) {
        self.departed.handle_timeout(now.instant);
        let late = |participant: &&Participant| participant.detached_since.is_some_and(|since| now.instant >= since + RESUME_WINDOW);
        let gone: Vec<_> = self.participants.values().filter(late).map(|participant| participant.session).collect();
        for session in gone {
            self.remove(session, LeaveReason::SignalClosed, now, out);
        }
        self.refresh_tokens(now, out);
        self.desk_timeout(now, out);
    }

    /// Takes news from the worker.
    pub fn media(&mut self, event: MediaEvent, now: Moment, out: &mut Vec<Effect>) {
        match event {
            MediaEvent::Answer { session, sdp, id, mids } => self.tell(session, Notice::Answer(Description { sdp, id, mids }), out),
            MediaEvent::Offer { session, sdp, id, mids } => self.tell(session, Notice::Offer(Description { sdp, id, mids }), out),
            MediaEvent::MediaSections { session, audios, videos } => self.tell(session, Notice::MediaSections { audios, videos }, out),
            MediaEvent::Bound { session, track, mid, codec } => self.track_live(session, &track, mid, codec, out),
            MediaEvent::Unbound { session, track } | MediaEvent::Unsealed { session, track } => self.unpublish(session, &track, out),
            MediaEvent::Subscribed { track, .. } => self.track_heard(&track, out),
            MediaEvent::Connected { session } => self.active(session, out),
            MediaEvent::Refused { session, .. } => self.remove(session, LeaveReason::JoinFailure, now, out),
            MediaEvent::Exhausted { session } => {
                self.remove_with(session, LeaveReason::StateMismatch, LeaveAction::Reconnect, now, out);
            }
            MediaEvent::Silent { session } => {
                // LiveKit's clients wait some 15 s for ICE to fail by itself.
                self.tell(session, Notice::Leave { reason: LeaveReason::StateMismatch, action: LeaveAction::Resume }, out);
            }
            MediaEvent::Lost { session } => self.remove(session, LeaveReason::MediaFailure, now, out),
            MediaEvent::Speakers { speakers, .. } => self.speakers(&speakers, out),
            MediaEvent::Quality { levels, .. } => {
                let view = |(session, level, score): &(SessionId, _, f32)| {
                    let participant = self.participants.get(session).filter(|participant| !participant.permission.hidden)?;
                    Some(QualityView { participant: participant.sid.clone(), level: *level, score: *score })
                };
                let views: Vec<_> = levels.iter().filter_map(view).collect();
                self.tell_all(|_| Notice::Quality(views.clone()), out);
            }
            MediaEvent::Streams { session, states } => self.streams(session, states, out),
            MediaEvent::Watched { session, track, best, codec } => self.watched(session, track, best, codec, out),
            // Whoever asked for it waits at the control core.
            MediaEvent::Restarted { .. } => {}
            MediaEvent::RoomFault { .. } => self.close(LeaveReason::MediaFailure, out),
        }
    }

    fn active(&mut self, session: SessionId, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.get_mut(&session) else { return };
        if participant.state != ParticipantState::Active {
            participant.state = ParticipantState::Active;
            self.changed(session, out);
        }
    }

    fn speakers(&mut self, now_speaking: &[(SessionId, f32)], out: &mut Vec<Effect>) {
        let visible = |session: &SessionId| self.participants.get(session).filter(|participant| !participant.permission.hidden);
        let mut views = Vec::new();
        for (session, level) in now_speaking {
            let Some(participant) = visible(session) else { continue };
            views.push(SpeakerView { participant: participant.sid.clone(), level: *level, active: true });
        }
        for session in &self.speaking {
            let silent = !now_speaking.iter().any(|(speaker, _)| speaker == session);
            if let Some(participant) = visible(session).filter(|_| silent) {
                views.push(SpeakerView { participant: participant.sid.clone(), level: 0.0, active: false });
            }
        }
        self.speaking = now_speaking.iter().map(|(session, _)| *session).collect();
        if !views.is_empty() {
            self.tell_all(|_| Notice::Speakers(views.clone()), out);
        }
    }

    /// Counts a change of a participant and tells those who may see it, itself included.
    pub(super) fn changed(&mut self, session: SessionId, out: &mut Vec<Effect>) {
        if let Some(participant) = self.participants.get_mut(&session) {
            participant.version += 1;
        }
        let Some(participant) = self.participants.get(&session) else { return };
        self.tell(session, Notice::Participants(vec![participant.view()]), out);
        self.announce(session, out);
    }

    fn announce(&self, session: SessionId, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.get(&session).filter(|participant| !participant.permission.hidden) else { return };
        let view = participant.view();
        self.tell_others(session, |_| Notice::Participants(vec![view.clone()]), out);
    }

    pub(super) fn tell_room(&self, out: &mut Vec<Effect>) {
        let view = self.view();
        self.tell_all(|_| Notice::Room(view.clone()), out);
    }

    pub(super) fn tell(&self, session: SessionId, notice: Notice, out: &mut Vec<Effect>) {
        if self.participants.get(&session).is_some_and(Participant::has_signalling) {
            out.push(Effect::Tell(session, notice));
        }
    }

    fn tell_all(&self, notice: impl Fn(&Participant) -> Notice, out: &mut Vec<Effect>) {
        for participant in self.participants.values().filter(|participant| participant.has_signalling()) {
            out.push(Effect::Tell(participant.session, notice(participant)));
        }
    }

    pub(super) fn tell_others(&self, session: SessionId, notice: impl Fn(&Participant) -> Notice, out: &mut Vec<Effect>) {
        for other in self.participants.values().filter(|other| other.session != session && other.has_signalling()) {
            out.push(Effect::Tell(other.session, notice(other)));
        }
    }

    fn forget_track(&mut self, track: &Sid) {
        for participant in self.participants.values_mut() {
            participant.subscribed.remove(track);
            participant.asked.remove(track);
        }
    }

    /// Takes a track down that its publisher, its token or the room's rules no longer carry.
    pub(super) fn unpublish(&mut self, session: SessionId, track: &Sid, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.get_mut(&session) else { return };
        let Some(removed) = participant.tracks.remove(track) else { return };
        out.push(Effect::Media(MediaCommand::RemoveTrack { session, track: track.clone() }));
        self.tell(session, Notice::TrackUnpublished { track: track.clone() }, out);
        if removed.live {
            self.forget_track(track);
            self.changed(session, out);
        }
    }

    /// The published tracks of a participant.
    #[must_use]
    pub fn tracks_of(&self, session: SessionId) -> Vec<TrackView> {
        self.participants.get(&session).map(|participant| participant.view().tracks).unwrap_or_default()
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

fn millis(wall: Duration) -> u64 {
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}
