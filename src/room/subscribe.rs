//! Subscribing: who receives which track.

use crate::model::ids::{SessionId, Sid};
use crate::model::media::{Codec, Quality, TrackSettings};

use super::command::{SubscriptionRules, SyncState};
use super::media::MediaCommand;
use super::notice::{Notice, StreamView};
use super::participant::Participant;
use super::rules::{Effect, Room};

/// Most tracks that one message may name.
pub const TRACKS_IN_MESSAGE_MAX: usize = 1024;

impl Room {
    fn publisher_of(&self, sid: &Sid) -> Option<&Participant> {
        self.participants.values().find(|participant| participant.tracks.get(sid).is_some_and(|track| track.live))
    }

    /// Brings what `subscriber` receives of one track in line with grants, rules and wishes.
    fn reconcile(&mut self, subscriber: SessionId, sid: &Sid, out: &mut Vec<Effect>) {
        let Some(receiver) = self.participants.get(&subscriber) else { return };
        let Some(publisher) = self.publisher_of(sid).filter(|publisher| publisher.session != subscriber) else { return };
        let publisher_sid = publisher.sid.clone();
        let should = receiver.permission.subscribe && publisher.allows(receiver, sid) && receiver.wants(publisher, sid);
        let Some(receiver) = self.participants.get_mut(&subscriber) else { return };
        if should == receiver.subscribed.contains(sid) {
            return;
        }
        out.push(Effect::Media(if should {
            receiver.subscribed.insert(sid.clone());
            MediaCommand::Subscribe { session: subscriber, track: sid.clone(), publisher: publisher_sid }
        } else {
            receiver.subscribed.remove(sid);
            MediaCommand::Unsubscribe { session: subscriber, track: sid.clone() }
        }));
    }

    /// Everything that one subscriber may now have.
    pub(super) fn reconcile_subscriber(&mut self, subscriber: SessionId, out: &mut Vec<Effect>) {
        let live: Vec<Sid> = self
            .participants
            .values()
            .flat_map(|participant| participant.tracks.values())
            .filter(|track| track.live)
            .map(|track| track.view.sid.clone())
            .collect();
        for sid in live {
            self.reconcile(subscriber, &sid, out);
        }
    }

    /// Everybody who may now have one track.
    pub(super) fn reconcile_track(&mut self, publisher: SessionId, sid: &Sid, out: &mut Vec<Effect>) {
        let others: Vec<SessionId> = self.participants.keys().copied().filter(|session| *session != publisher).collect();
        for subscriber in others {
            self.reconcile(subscriber, sid, out);
        }
    }

    /// A client asks for tracks or refuses them.
    pub(super) fn subscription(&mut self, session: SessionId, tracks: &[Sid], subscribe: bool, out: &mut Vec<Effect>) {
        for sid in tracks.iter().take(TRACKS_IN_MESSAGE_MAX) {
            // Only tracks that exist are remembered, so that the map is bounded by the room.
            if self.publisher_of(sid).is_none() {
                continue;
            }
            if let Some(participant) = self.participants.get_mut(&session) {
                participant.asked.insert(sid.clone(), subscribe);
            }
            self.reconcile(session, sid, out);
        }
    }

    /// A client says how it shows tracks.
    pub(super) fn settings(&self, session: SessionId, tracks: Vec<Sid>, settings: TrackSettings, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.get(&session) else { return };
        for track in tracks.into_iter().take(TRACKS_IN_MESSAGE_MAX).filter(|track| participant.subscribed.contains(track)) {
            out.push(Effect::Media(MediaCommand::Settings { session, track, settings }));
        }
    }

    /// A publisher says who may subscribe to its tracks.
    pub(super) fn subscription_rules(&mut self, session: SessionId, rules: SubscriptionRules, out: &mut Vec<Effect>) {
        let Some(publisher) = self.participants.get(&session) else { return };
        let publisher_sid = publisher.sid.clone();
        let tracks: Vec<Sid> = publisher.tracks.values().filter(|track| track.live).map(|track| track.view.sid.clone()).collect();
        let others: Vec<SessionId> = self.participants.keys().copied().filter(|other| *other != session).collect();
        let allowed = |room: &Self, other: &SessionId, track: &Sid| {
            room.participants
                .get(&session)
                .zip(room.participants.get(other))
                .is_some_and(|(publisher, other)| publisher.allows(other, track))
        };
        let before: Vec<bool> =
            others.iter().flat_map(|other| tracks.iter().map(move |track| (other, track))).map(|(o, t)| allowed(self, o, t)).collect();
        if let Some(publisher) = self.participants.get_mut(&session) {
            publisher.rules = Some(rules);
        }
        let mut was = before.into_iter();
        for other in &others {
            for track in &tracks {
                let now = allowed(self, other, track);
                if was.next() != Some(now) {
                    let notice = Notice::SubscriptionPermission { participant: publisher_sid.clone(), track: track.clone(), allowed: now };
                    self.tell(*other, notice, out);
                    self.reconcile(*other, track, out);
                }
            }
        }
        self.reconcile_data_from(session, out);
    }

    /// Tells a client which tracks its network carries no more, or again.
    pub(super) fn streams(&self, session: SessionId, states: Vec<(Sid, bool)>, out: &mut Vec<Effect>) {
        let view = |(track, paused): (Sid, bool)| {
            let participant = self.publisher_of(&track)?.sid.clone();
            Some(StreamView { participant, track, paused })
        };
        let views: Vec<_> = states.into_iter().filter_map(view).collect();
        if !views.is_empty() {
            self.tell(session, Notice::Streams(views), out);
        }
    }

    /// Tells a publisher which layers of its track somebody has a use for.
    pub(super) fn watched(&self, session: SessionId, track: Sid, best: Option<Quality>, codec: Option<Codec>, out: &mut Vec<Effect>) {
        let announced = self.participants.get(&session).and_then(|publisher| publisher.tracks.get(&track)?.view.codec);
        if let Some(codec) = codec.or(announced) {
            self.tell(session, Notice::Watched { track, codec, best }, out);
        }
    }

    /// What a client says it has after a resume. The room's own state wins, but for the client's wishes.
    pub fn sync_state(&mut self, session: SessionId, state: &SyncState, out: &mut Vec<Effect>) {
        self.subscription(session, &state.tracks, state.subscribe, out);
        let hidden = TrackSettings { disabled: true, ..TrackSettings::default() };
        self.settings(session, state.disabled.clone(), hidden, out);
    }
}
