//! A second opinion on who may have what, made from what clients say, not from what the server decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use konsil::model::ids::{Identity, RoomKey, SessionId, Sid};
use konsil::model::media::{MediaKind, TrackSettings};
use konsil::room::command::{Layout, Signal, SubscriptionRules, SyncState};
use konsil::room::media::TrackSpec;

use crate::client::{ClientId, Plan};

/// Somebody in a room.
#[derive(Debug)]
pub struct Member {
    pub client: ClientId,
    key: RoomKey,
    pub room: usize,
    pub identity: Identity,
    pub sid: Sid,
    /// When it came.
    pub since: Instant,
    subscribe: bool,
    auto: bool,
    only: Option<Identity>,
    rules: Option<SubscriptionRules>,
    asked: BTreeMap<Sid, bool>,
    settings: BTreeMap<Sid, TrackSettings>,
}

/// A published track.
#[derive(Debug)]
pub struct Track {
    pub client: ClientId,
    pub session: SessionId,
    pub kind: MediaKind,
    /// It has its media section.
    pub live: bool,
    pub muted: bool,
}

/// Whether a client may have a track, and when it last might.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub open: bool,
    /// Since when it is open or closed.
    pub since: Instant,
    /// When it was open last.
    pub last: Instant,
}

/// The model.
#[derive(Debug, Default)]
pub struct Oracle {
    pub members: BTreeMap<SessionId, Member>,
    pub tracks: BTreeMap<Sid, Track>,
    /// Sids of the hidden, also of those that are gone.
    pub hidden: BTreeMap<Sid, ClientId>,
    windows: BTreeMap<(ClientId, Sid), Window>,
    /// Every track that there ever was, by client and the ids that the client gave it.
    named: BTreeMap<(ClientId, String), Sid>,
    subscribed: BTreeSet<(ClientId, Sid)>,
}

impl Oracle {
    pub fn joined(&mut self, session: SessionId, key: RoomKey, client: ClientId, plan: &Plan, sid: &Sid, now: Instant) {
        if plan.grants.hidden {
            self.hidden.insert(sid.clone(), client);
        }
        let member = Member {
            client,
            key,
            room: plan.room,
            identity: plan.identity(),
            sid: sid.clone(),
            since: now,
            subscribe: plan.grants.can_subscribe && plan.layout != Layout::Whip,
            auto: plan.auto_subscribe || !plan.signals(),
            only: plan.only.clone(),
            rules: None,
            asked: BTreeMap::new(),
            settings: BTreeMap::new(),
        };
        self.members.insert(session, member);
        self.refresh(now);
    }

    pub fn left(&mut self, session: SessionId, now: Instant) {
        self.members.remove(&session);
        let gone: Vec<Sid> = self.tracks.iter().filter(|(_, track)| track.session == session).map(|(sid, _)| sid.clone()).collect();
        for sid in &gone {
            self.forget(sid);
        }
        self.refresh(now);
    }

    /// A room is over for all.
    pub fn closed(&mut self, key: RoomKey, now: Instant) {
        let sessions: Vec<SessionId> = self.members.iter().filter(|(_, member)| member.key == key).map(|(session, _)| *session).collect();
        for session in sessions {
            self.left(session, now);
        }
    }

    pub fn announced(&mut self, session: SessionId, spec: &TrackSpec, now: Instant) {
        let Some(client) = self.members.get(&session).map(|member| member.client) else { return };
        for cid in &spec.cids {
            self.named.insert((client, cid.clone()), spec.sid.clone());
        }
        let track = Track { client, session, kind: spec.kind, live: false, muted: spec.muted };
        self.tracks.insert(spec.sid.clone(), track);
        self.refresh(now);
    }

    pub fn bound(&mut self, sid: &Sid, now: Instant) {
        if let Some(track) = self.tracks.get_mut(sid) {
            track.live = true;
            self.refresh(now);
        }
    }

    pub fn unpublished(&mut self, sid: &Sid, now: Instant) {
        self.forget(sid);
        self.refresh(now);
    }

    fn forget(&mut self, sid: &Sid) {
        self.tracks.remove(sid);
        for member in self.members.values_mut() {
            member.asked.remove(sid);
            member.settings.remove(sid);
        }
    }

    /// A client's message, when the server takes it.
    pub fn said(&mut self, client: ClientId, signal: &Signal, now: Instant) {
        let Some(session) = self.session_of(client) else { return };
        match signal {
            Signal::Mute { track, muted } => {
                if let Some(track) = self.tracks.get_mut(track).filter(|track| track.session == session) {
                    track.muted = *muted;
                }
            }
            Signal::Subscription { tracks, subscribe } => self.asked(session, tracks, *subscribe),
            Signal::Settings { tracks, settings } => self.set(session, tracks, *settings),
            Signal::SubscriptionPermission(rules) => {
                if let Some(member) = self.members.get_mut(&session) {
                    member.rules = Some(rules.clone());
                }
            }
            _ => return,
        }
        self.refresh(now);
    }

    /// What a client says when it resumes.
    pub fn resumed(&mut self, client: ClientId, sync: &SyncState, now: Instant) {
        let Some(session) = self.session_of(client) else { return };
        self.asked(session, &sync.tracks, sync.subscribe);
        self.refresh(now);
        self.set(session, &sync.disabled, TrackSettings { disabled: true, ..TrackSettings::default() });
        self.refresh(now);
    }

    /// Somebody with the right mutes all that a person publishes.
    pub fn muted(&mut self, room: usize, identity: &Identity, now: Instant) {
        let whose: BTreeSet<SessionId> =
            self.members.iter().filter(|(_, member)| member.room == room && member.identity == *identity).map(|(id, _)| *id).collect();
        for track in self.tracks.values_mut().filter(|track| track.live && whose.contains(&track.session)) {
            track.muted = true;
        }
        self.refresh(now);
    }

    fn asked(&mut self, session: SessionId, tracks: &[Sid], subscribe: bool) {
        for sid in tracks.iter().filter(|sid| self.tracks.get(*sid).is_some_and(|track| track.live)) {
            if let Some(member) = self.members.get_mut(&session) {
                member.asked.insert(sid.clone(), subscribe);
            }
        }
    }

    fn set(&mut self, session: SessionId, tracks: &[Sid], settings: TrackSettings) {
        let Some(member) = self.members.get_mut(&session) else { return };
        for sid in tracks.iter().filter(|sid| self.subscribed.contains(&(member.client, (*sid).clone()))) {
            member.settings.insert(sid.clone(), settings);
        }
    }

    pub fn session_of(&self, client: ClientId) -> Option<SessionId> {
        self.members.iter().find(|(_, member)| member.client == client).map(|(session, _)| *session)
    }

    pub fn member_of(&self, client: ClientId) -> Option<&Member> {
        self.members.values().find(|member| member.client == client)
    }

    /// The track that a client named so.
    pub fn named(&self, client: ClientId, cid: &str) -> Option<&Sid> {
        self.named.get(&(client, cid.to_owned()))
    }

    /// Whether a client may have a track, and since when.
    pub fn window(&self, client: ClientId, sid: &Sid) -> Option<Window> {
        self.windows.get(&(client, sid.clone())).copied()
    }

    /// How a client wants to see a track.
    pub fn settings(&self, client: ClientId, sid: &Sid) -> TrackSettings {
        self.member_of(client).and_then(|member| member.settings.get(sid)).copied().unwrap_or_default()
    }

    /// Everything that may flow now.
    pub fn open(&self) -> impl Iterator<Item = (ClientId, &Sid, Window)> {
        self.windows.iter().filter(|(_, window)| window.open).map(|((client, sid), window)| (*client, sid, *window))
    }

    fn subscribes(&self, receiver: &Member, sid: &Sid, track: &Track) -> bool {
        let Some(publisher) = self.members.get(&track.session) else { return false };
        let allowed = publisher.rules.as_ref().is_none_or(|rules| {
            rules.all
                || rules.rules.iter().any(|rule| {
                    let meant = rule.participant.as_ref() == Some(&receiver.sid) || rule.identity.as_ref() == Some(&receiver.identity);
                    meant && (rule.all_tracks || rule.tracks.contains(sid))
                })
        });
        let wanted = receiver.only.as_ref().is_none_or(|only| *only == publisher.identity)
            && receiver.asked.get(sid).copied().unwrap_or(receiver.auto);
        track.live && publisher.room == receiver.room && publisher.client != receiver.client && receiver.subscribe && allowed && wanted
    }

    /// Draws the conclusions after any change.
    fn refresh(&mut self, now: Instant) {
        let mut subscribed = BTreeSet::new();
        let mut flowing = BTreeSet::new();
        for receiver in self.members.values() {
            for (sid, track) in self.tracks.iter().filter(|(sid, track)| self.subscribes(receiver, sid, track)) {
                let key = (receiver.client, sid.clone());
                let disabled = receiver.settings.get(sid).is_some_and(|settings| settings.disabled);
                if !disabled && !track.muted {
                    flowing.insert(key.clone());
                }
                subscribed.insert(key);
            }
        }
        for member in self.members.values_mut() {
            // Who subscribes anew begins anew.
            member.settings.retain(|sid, _| subscribed.contains(&(member.client, sid.clone())));
        }
        for (key, window) in &mut self.windows {
            if window.open {
                window.last = now;
            }
            if window.open != flowing.contains(key) {
                *window = Window { open: !window.open, since: now, last: now };
            }
        }
        for key in flowing {
            self.windows.entry(key).or_insert(Window { open: true, since: now, last: now });
        }
        self.subscribed = subscribed;
    }
}
