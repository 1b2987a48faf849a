//! The worker's rooms: tracks, who receives them, who speaks.

use std::cmp::Reverse;
use std::time::Instant;

use str0m::media::Mid;

use crate::model::ids::{RoomKey, SessionId, Sid};
use crate::model::media::{Codec, Quality};
use crate::node::peer::{PeerIndex, RoomIndex, TrackIndex};
use crate::room::media::{MediaEvent, TrackSpec};
use crate::sfu::keyframes::KeyframeThrottle;
use crate::sfu::layers::Layers;
use crate::sfu::sealed::SealProbe;
use crate::sfu::speaker::SpeakerWatch;

use super::watched::Watch;
use super::{Alarm, Worker};

/// A published or announced track.
pub(super) struct MediaTrack {
    pub spec: TrackSpec,
    pub session: SessionId,
    /// The PeerConnection that sends it.
    pub peer: PeerIndex,
    /// Its media section there, once the client has offered one.
    pub mid: Option<Mid>,
    /// Its codec, once it has sent.
    pub codec: Option<Codec>,
    pub layers: Layers,
    pub keyframes: [KeyframeThrottle; 3],
    pub probe: SealProbe,
    /// Readable frames were seen where encryption is required: nothing of it is forwarded any more.
    pub unsealed: bool,
    pub watch: Watch,
    /// Who receives it: the peer, and the place of the section among the peer's.
    pub receivers: Vec<(PeerIndex, usize)>,
}

/// A published data track.
pub(super) struct DataTrack {
    pub sid: Sid,
    pub session: SessionId,
    /// The number that its packets bear when they come.
    pub handle: u16,
    /// Who receives it, and under which number.
    pub receivers: Vec<(SessionId, u16)>,
}

/// A room while it lives.
pub(super) struct MediaRoom {
    pub key: RoomKey,
    pub require_encryption: bool,
    pub sessions: Vec<SessionId>,
    pub tracks: Vec<Option<MediaTrack>>,
    pub data_tracks: Vec<DataTrack>,
    pub speakers: SpeakerWatch,
    /// Who spoke last.
    pub foremost: Option<SessionId>,
    /// The earliest entry in the worker's heap of deadlines.
    queued: Option<Instant>,
}

impl MediaRoom {
    pub fn new(key: RoomKey, require_encryption: bool) -> Self {
        Self {
            key,
            require_encryption,
            sessions: Vec::new(),
            tracks: Vec::new(),
            data_tracks: Vec::new(),
            speakers: SpeakerWatch::default(),
            foremost: None,
            queued: None,
        }
    }

    pub fn track(&self, index: TrackIndex) -> Option<&MediaTrack> {
        self.tracks.get(index.0 as usize)?.as_ref()
    }

    pub fn track_mut(&mut self, index: TrackIndex) -> Option<&mut MediaTrack> {
        self.tracks.get_mut(index.0 as usize)?.as_mut()
    }

    pub fn find(&self, sid: &Sid) -> Option<TrackIndex> {
        self.tracks.iter().position(|track| track.as_ref().is_some_and(|track| track.spec.sid == *sid)).map(index)
    }

    /// Tracks of one session with their places.
    pub fn tracks_of(&self, session: SessionId) -> impl Iterator<Item = (TrackIndex, &MediaTrack)> {
        let placed = self.tracks.iter().enumerate().filter_map(|(at, track)| Some((index(at), track.as_ref()?)));
        placed.filter(move |(_, track)| track.session == session)
    }

    /// Puts a track into the first free place.
    pub fn insert(&mut self, track: MediaTrack) -> TrackIndex {
        let free = self.tracks.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.tracks.push(None);
            self.tracks.len() - 1
        });
        self.tracks[at] = Some(track);
        index(at)
    }

    /// When speakers or delayed keyframe requests are due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let throttles = self.tracks.iter().flatten().flat_map(|track| &track.keyframes).filter_map(KeyframeThrottle::next_timeout);
        throttles.chain(self.speakers.next_timeout()).min()
    }
}

// A room has at most a few thousand tracks (participants times tracks each), so the casts keep the value.
#[allow(clippy::cast_possible_truncation)]
fn index(at: usize) -> TrackIndex {
    TrackIndex(at as u32)
}

impl Worker {
    pub(super) fn room(&self, index: RoomIndex) -> Option<&MediaRoom> {
        self.rooms.get(index.0 as usize)?.as_ref()
    }

    pub(super) fn room_mut(&mut self, index: RoomIndex) -> Option<&mut MediaRoom> {
        self.rooms.get_mut(index.0 as usize)?.as_mut()
    }

    #[allow(clippy::cast_possible_truncation)] // as many rooms as sessions at most, far below 2^32
    pub(super) fn open_room(&mut self, key: RoomKey, require_encryption: bool) {
        let free = self.rooms.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.rooms.push(None);
            self.rooms.len() - 1
        });
        self.rooms[at] = Some(MediaRoom::new(key, require_encryption));
        self.by_key.insert(key, RoomIndex(at as u32));
    }

    pub(super) fn close_room(&mut self, key: RoomKey) {
        let Some(index) = self.by_key.remove(&key) else { return };
        // Taken out first: sessions of a room that is gone leave without touching it.
        let Some(room) = self.rooms.get_mut(index.0 as usize).and_then(Option::take) else { return };
        for session in room.sessions {
            self.remove_session(session);
        }
    }

    /// Sees that a room's timeout is served at `due` or before.
    pub(super) fn queue_room(&mut self, index: RoomIndex, due: Instant) {
        let Some(room) = self.rooms.get_mut(index.0 as usize).and_then(Option::as_mut) else { return };
        if room.queued.is_none_or(|queued| due < queued) {
            room.queued = Some(due);
            self.alarms.push(Reverse((due, Alarm::Room(index))));
        }
    }

    /// What a room has waiting: speakers to tell, keyframe requests that were held back.
    pub(super) fn room_alarm(&mut self, index: RoomIndex, due: Instant) {
        let now = self.now;
        let Some(room) = self.room_mut(index) else { return };
        if room.queued == Some(due) {
            room.queued = None;
        }
        if room.next_timeout().is_some_and(|due| due <= now) {
            self.guard_room(index, |worker| worker.room_timeout(index));
        }
        if let Some(due) = self.room(index).and_then(MediaRoom::next_timeout) {
            self.queue_room(index, due);
        }
    }

    /// Whoever speaks stays foremost until somebody else does.
    fn put_foremost(&mut self, index: RoomIndex, loudest: Option<SessionId>) {
        let Some(room) = self.room_mut(index) else { return };
        room.foremost = loudest.or(room.foremost);
    }

    fn room_timeout(&mut self, index: RoomIndex) {
        let now = self.now;
        let Some(room) = self.room_mut(index) else { return };
        let key = room.key;
        let speaking = room.speakers.poll(now).map(|_| room.speakers.active());
        let mut due = Vec::new();
        for (at, track) in room.tracks.iter_mut().enumerate() {
            let Some(track) = track else { continue };
            for quality in Quality::ALL {
                if track.keyframes[quality.index()].poll(now) {
                    due.push((self::index(at), quality));
                }
            }
        }
        if let Some(speaking) = speaking {
            let mut speakers: Vec<_> = speaking.iter().map(|speaker| (SessionId(speaker.key), speaker.level)).collect();
            speakers.sort_by(|one, other| other.1.total_cmp(&one.1));
            self.put_foremost(index, speakers.first().map(|(session, _)| *session));
            self.event(MediaEvent::Speakers { room: key, speakers });
        }
        for (track, quality) in due {
            self.send_keyframe_request(index, track, quality);
        }
    }
}
