//! A room for tests of its rules, with people who come by token.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::model::chance::Chance;
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, RoomKey, RoomName, SessionId, Sid, TenantId};
use crate::model::media::{Encryption, MediaKind, TrackSource};
use crate::model::record::RoomMode;
use crate::model::time::Moment;

use super::command::{AddTrack, Joining, Layout, Signal};
use super::media::MediaEvent;
use super::notice::Notice;
use super::{Effect, Room, RoomSettings};

/// What the wall clock says at first, in seconds since 1970.
pub const NOW: u64 = 1_700_000_000;

/// A room at its time.
pub struct Scene {
    pub room: Room,
    pub now: Moment,
    pub chance: Chance,
}

impl Scene {
    pub fn new(require_encryption: bool) -> Self {
        let now = Moment { instant: Instant::now(), wall: Duration::from_secs(NOW) };
        let id = RoomId { tenant: TenantId::new("clinic").unwrap(), name: RoomName::new("r").unwrap() };
        let settings = RoomSettings {
            mode: RoomMode::Sfu,
            hide_addresses: false,
            require_encryption,
            max_participants: 9,
            empty_timeout: Duration::from_mins(5),
            door: super::DoorRules::default(),
            metadata: String::new(),
            created_at_ms: 0,
        };
        let room = Room::open(RoomKey(1), id, Sid::from_client("RM_1"), settings, now, &mut Vec::new());
        Self { room, now, chance: Chance::new([5; 32]) }
    }

    /// What the room wants done after some work.
    pub fn effects(&mut self, work: impl FnOnce(&mut Room, Moment, &mut Chance, &mut Vec<Effect>)) -> Vec<Effect> {
        let mut out = Vec::new();
        work(&mut self.room, self.now, &mut self.chance, &mut out);
        out
    }

    pub fn join(&mut self, number: u64, grants: Grants) -> SessionId {
        self.join_as(number, Layout::Single, grants)
    }

    pub fn join_as(&mut self, number: u64, layout: Layout, grants: Grants) -> SessionId {
        let session = SessionId(number);
        let joining = Joining { session, grants, layout, auto_subscribe: true, only: None, protocol: 16 };
        self.effects(|room, now, chance, out| room.join(joining, now, chance, out).unwrap());
        session
    }

    pub fn say(&mut self, session: SessionId, signal: Signal) -> Vec<Effect> {
        self.effects(|room, now, chance, out| room.signal(session, signal, now, chance, out))
    }

    /// Publishes, with a media section at once.
    pub fn publish(&mut self, session: SessionId, source: TrackSource) -> Sid {
        let effects = self.say(session, Signal::AddTrack(track(source)));
        let track = told(&effects, session).find_map(|notice| match notice {
            Notice::TrackPublished { track, .. } => Some(track.sid.clone()),
            _ => None,
        });
        let track = track.unwrap();
        let bound = MediaEvent::Bound { session, track: track.clone(), mid: "0".to_owned(), codec: None };
        self.effects(|room, now, _, out| room.media(bound, now, out));
        track
    }

    pub fn pass(&mut self, time: Duration) -> Vec<Effect> {
        self.now = self.now.after(time);
        self.effects(|room, now, _, out| room.handle_timeout(now, out))
    }
}

/// What one client is told.
pub fn told(effects: &[Effect], session: SessionId) -> impl Iterator<Item = &Notice> {
    effects.iter().filter_map(move |effect| match effect {
        Effect::Tell(to, notice) if *to == session => Some(notice),
        _ => None,
    })
}

/// A guest's grants that end in an hour.
pub fn guest(identity: &str) -> Grants {
    Grants {
        tenant: TenantId::new("clinic").unwrap(),
        issuer: "key".to_owned(),
        identity: Identity::new(identity).ok(),
        name: String::new(),
        room: RoomName::new("r").ok(),
        room_join: true,
        room_admin: false,
        room_create: false,
        room_list: false,
        can_publish: true,
        can_subscribe: true,
        can_publish_data: true,
        can_publish_sources: Vec::new(),
        can_update_own_metadata: true,
        hidden: false,
        metadata: String::new(),
        attributes: BTreeMap::new(),
        expires_at: NOW + 3600,
    }
}

/// A track as a client announces it.
pub fn track(source: TrackSource) -> AddTrack {
    let sound = matches!(source, TrackSource::Microphone | TrackSource::ScreenShareAudio);
    AddTrack {
        cid: format!("{source:?}"),
        kind: if sound { MediaKind::Audio } else { MediaKind::Video },
        name: String::new(),
        source,
        width: 0,
        height: 0,
        muted: false,
        layers: Vec::new(),
        codecs: Vec::new(),
        encryption: Encryption::Gcm,
        stream: String::new(),
        disable_red: false,
        disable_dtx: false,
        stereo: false,
        audio_features: Vec::new(),
    }
}
