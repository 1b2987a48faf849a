//! One participant of a room with its tracks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::model::grants::Grants;
use crate::model::ids::{Identity, SessionId, Sid};
use crate::model::media::TrackSource;
use crate::model::role::Role;

use super::command::{Joining, Layout, Only, SubscriptionRules};
use super::media::MediaRights;
use super::notice::{DataTrackView, LeaveReason, ParticipantState, ParticipantView, Permission, TrackView};

/// A track from its announcement to its end.
#[derive(Debug)]
pub(super) struct Track {
    pub view: TrackView,
    /// Whether it has its media section; before that nobody else hears of it.
    pub live: bool,
    /// Whether its publisher was told that somebody subscribed.
    pub heard: bool,
}

#[derive(Debug)]
pub(super) struct Participant {
    /// What its token said; its descriptions and what changed since are in the other fields.
    grants: Grants,
    /// The role that its token names; no later permission goes beyond it.
    role: Option<Role>,
    pub session: SessionId,
    pub sid: Sid,
    pub identity: Identity,
    pub name: String,
    pub metadata: String,
    pub attributes: BTreeMap<String, String>,
    pub permission: Permission,
    pub layout: Layout,
    pub auto_subscribe: bool,
    pub only: Option<Only>,
    pub joined_at_ms: u64,
    pub version: u32,
    pub state: ParticipantState,
    pub tracks: BTreeMap<Sid, Track>,
    /// Tracks that this participant asked for or refused, against `auto_subscribe`.
    pub asked: BTreeMap<Sid, bool>,
    /// Tracks that the worker forwards to it.
    pub subscribed: BTreeSet<Sid>,
    /// Its data tracks by its own numbers for them.
    pub data_tracks: BTreeMap<u16, DataTrackView>,
    /// Data tracks that it asked for.
    pub data_asked: BTreeSet<Sid>,
    /// Data tracks that the worker forwards to it, with the numbers that it knows them by.
    pub data_handles: BTreeMap<Sid, u16>,
    /// The last number that was given.
    pub last_handle: u16,
    /// Who may subscribe to its tracks; everybody while it has not said.
    pub rules: Option<SubscriptionRules>,
    /// Since when its signalling connection is gone.
    pub detached_since: Option<Instant>,
    /// When its client needs a fresh token.
    pub token_due: Option<Instant>,
}

impl Participant {
    pub fn new(joining: Joining, identity: Identity, sid: Sid, joined_at_ms: u64) -> Self {
        let mut grants = joining.grants;
        let role = Role::of(&grants);
        Self {
            session: joining.session,
            sid,
            identity,
            name: std::mem::take(&mut grants.name),
            metadata: std::mem::take(&mut grants.metadata),
            attributes: std::mem::take(&mut grants.attributes),
            permission: permission(&grants, joining.layout, role),
            role,
            grants,
            layout: joining.layout,
            auto_subscribe: joining.auto_subscribe,
            only: joining.only,
            joined_at_ms,
            version: 1,
            state: ParticipantState::Joined,
            tracks: BTreeMap::new(),
            asked: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            data_tracks: BTreeMap::new(),
            data_asked: BTreeSet::new(),
            data_handles: BTreeMap::new(),
            last_handle: 0,
            rules: None,
            detached_since: None,
            token_due: None,
        }
    }

    /// What a fresh token for it says that is good until `expires_at` in seconds since 1970, or longer if its first one is.
    pub fn token(&self, expires_at: u64) -> Grants {
        Grants {
            name: self.name.clone(),
            metadata: self.metadata.clone(),
            attributes: self.attributes.clone(),
            expires_at: self.grants.expires_at.max(expires_at),
            ..self.grants.clone()
        }
    }

    /// When its own token ends, in seconds since 1970.
    pub fn expires_at(&self) -> u64 {
        self.grants.expires_at
    }

    /// Lets it do what a moderator says in place of what its token said.
    pub fn permit(&mut self, wanted: &Permission) {
        self.grants.can_subscribe = wanted.subscribe;
        self.grants.can_publish = wanted.publish;
        self.grants.can_publish_data = wanted.publish_data;
        self.grants.can_publish_sources.clone_from(&wanted.sources);
        self.grants.hidden = wanted.hidden;
        self.grants.can_update_own_metadata = wanted.update_metadata;
        self.permission = permission(&self.grants, self.layout, self.role);
    }

    pub fn rights(&self) -> MediaRights {
        MediaRights {
            publish: self.permission.publish,
            subscribe: self.permission.subscribe,
            data: self.permission.publish_data,
            hidden: self.permission.hidden,
        }
    }

    /// Whether a signalling connection can carry notices to it.
    pub fn has_signalling(&self) -> bool {
        matches!(self.layout, Layout::Single | Layout::Dual | Layout::P2p)
    }

    /// Whether its token allows it to moderate.
    pub fn moderates(&self) -> bool {
        self.grants.room_admin
    }

    pub fn is_publisher(&self) -> bool {
        !self.data_tracks.is_empty() || self.tracks.values().any(|track| track.live)
    }

    pub fn view(&self) -> ParticipantView {
        ParticipantView {
            sid: self.sid.clone(),
            identity: self.identity.clone(),
            name: self.name.clone(),
            state: self.state,
            left: None,
            tracks: self.tracks.values().filter(|track| track.live).map(|track| track.view.clone()).collect(),
            data_tracks: self.data_tracks.values().cloned().collect(),
            metadata: self.metadata.clone(),
            attributes: self.attributes.clone(),
            joined_at_ms: self.joined_at_ms,
            version: self.version,
            permission: self.permission.clone(),
            is_publisher: self.is_publisher(),
        }
    }

    /// The last view that others get.
    pub fn farewell(mut self, reason: LeaveReason) -> ParticipantView {
        self.version += 1;
        self.state = ParticipantState::Disconnected;
        self.tracks.clear();
        self.data_tracks.clear();
        ParticipantView { left: Some(reason), ..self.view() }
    }

    pub fn may_publish(&self, source: TrackSource) -> bool {
        let sources = &self.permission.sources;
        self.permission.publish && (sources.is_empty() || sources.contains(&source))
    }

    /// Whether `subscriber` may have `track` by this publisher's own rules.
    pub fn allows(&self, subscriber: &Self, track: &Sid) -> bool {
        let Some(rules) = &self.rules else { return true };
        rules.all
            || rules.rules.iter().any(|rule| {
                let named = rule.participant.as_ref() == Some(&subscriber.sid) || rule.identity.as_ref() == Some(&subscriber.identity);
                named && (rule.all_tracks || rule.tracks.contains(track))
            })
    }

    /// Whether this participant wants `track` of `publisher`, by default or because it said so.
    pub fn wants(&self, publisher: &Self, track: &Sid) -> bool {
        let other = |only: &Only| only.publisher != publisher.identity || only.track.as_ref().is_some_and(|only| only != track);
        if self.only.as_ref().is_some_and(other) {
            return false;
        }
        self.asked.get(track).copied().unwrap_or(self.auto_subscribe)
    }
}

/// What grants allow, by this way in, in this role: reception organises without hearing a word, an observer is seen by all and
/// says nothing, whatever a token or a moderator allows them.
fn permission(grants: &Grants, layout: Layout, role: Option<Role>) -> Permission {
    let (reception, observer) = (role == Some(Role::Reception), role == Some(Role::Observer));
    let hidden = grants.hidden && !reception && !observer;
    Permission {
        // WHIP only sends, WHEP only receives, whatever their tokens would allow.
        subscribe: grants.can_subscribe && layout != Layout::Whip && !reception,
        // A track names its publisher to all who receive it, so whoever is not shown has none.
        publish: grants.can_publish && !hidden && layout != Layout::Whep && !reception && !observer,
        publish_data: grants.can_publish_data && !reception && !observer,
        sources: grants.can_publish_sources.clone(),
        hidden,
        update_metadata: grants.can_update_own_metadata,
    }
}
