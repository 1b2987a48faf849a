//! What a room tells its clients, free of any wire format.

use std::collections::BTreeMap;

use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomName, Sid};
use crate::model::media::{Codec, Encryption, MediaKind, Quality, TrackSource, VideoLayer};
use crate::model::record::RoomMode;

use super::command::{Layout, PartnerMessage};
use super::desk::DeskNotice;
use super::lobby::DoorRules;

/// A message to one client.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The first message after joining.
    Joined(Box<Joined>),
    /// The first message after a resume.
    Reconnected,
    /// The answer to the client's offer.
    Answer(Description),
    /// An offer for the subscriber leg.
    Offer(Description),
    /// Participants that changed, came or went.
    Participants(Vec<ParticipantView>),
    /// The client's own track is accepted.
    TrackPublished {
        /// The client's id of it.
        cid: String,
        /// The track.
        track: TrackView,
    },
    /// The client's own track was taken down.
    TrackUnpublished {
        /// Which.
        track: Sid,
    },
    /// The client's own track has its first subscriber.
    TrackSubscribed {
        /// Which.
        track: Sid,
    },
    /// The client should offer more receiving sections, or just offer again if both are 0.
    MediaSections {
        /// Audio sections missing.
        audios: u32,
        /// Video sections missing.
        videos: u32,
    },
    /// The client's own track was muted or unmuted by somebody else.
    Mute {
        /// Which.
        track: Sid,
        /// Muted or not.
        muted: bool,
    },
    /// The session ends or must be resumed.
    Leave {
        /// Why.
        reason: LeaveReason,
        /// What the client should do.
        action: LeaveAction,
    },
    /// Who speaks.
    Speakers(Vec<SpeakerView>),
    /// How well participants are connected.
    Quality(Vec<QualityView>),
    /// The room changed.
    Room(RoomView),
    /// A publisher allowed or forbade the client one of its tracks.
    SubscriptionPermission {
        /// The publisher.
        participant: Sid,
        /// The track.
        track: Sid,
        /// Allowed or forbidden.
        allowed: bool,
    },
    /// Tracks that the client's network carries no more, or again.
    Streams(Vec<StreamView>),
    /// The layers of the client's own track that somebody has a use for.
    Watched {
        /// Which.
        track: Sid,
        /// The codec that it is published in.
        codec: Codec,
        /// The best layer, `None` if nobody watches.
        best: Option<Quality>,
    },
    /// The client's own data track is accepted.
    DataTrackPublished(DataTrackView),
    /// The client's own data track was taken down.
    DataTrackUnpublished(DataTrackView),
    /// A data track cannot be published, or taken down.
    DataTrackRefused {
        /// The client's number for it.
        handle: u32,
        /// Whether it should have been published, else taken down.
        publish: bool,
        /// Why not.
        outcome: Outcome,
    },
    /// Under which numbers the client receives data tracks.
    DataHandles(Vec<DataHandle>),
    /// A fresh token says this; its end is in it.
    Token(Box<Grants>),
    /// How things stand in a p2p room: the first message there, and again when the other person comes, goes or returns.
    Partner(PartnerView),
    /// What the other person of a p2p room says.
    FromPartner(PartnerMessage),
    /// What somebody at the desk is told.
    Desk(DeskNotice),
    /// The outcome of a request that has a number.
    Response {
        /// The client's number, 0 where the request has none.
        request_id: u32,
        /// The outcome.
        outcome: Outcome,
    },
}

/// The number that a client receives a data track under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataHandle {
    /// The number.
    pub handle: u16,
    /// Whose track it is.
    pub publisher: Identity,
    /// That participant's public id.
    pub publisher_sid: Sid,
    /// The track.
    pub track: Sid,
}

/// Whether the server sends a track to a client or has paused it, because the client's network does not carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamView {
    /// The publisher.
    pub participant: Sid,
    /// The track.
    pub track: Sid,
    /// Whether it is paused.
    pub paused: bool,
}

/// The other person of a p2p room, as one of the two learns of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerView {
    /// The client's own stay, by which it resumes.
    pub own: Sid,
    /// The other person's stay, if there is one.
    pub partner: Option<Sid>,
    /// Whether the client gives way when both offer at once. Of two, one does.
    pub polite: bool,
    /// Whether only relayed candidates are passed on.
    pub hide_addresses: bool,
}

/// An SDP description with what its sections carry.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// SDP text.
    pub sdp: String,
    /// Its number.
    pub id: u32,
    /// Media sections by `mid` and the track that each carries to the client.
    pub mids: Vec<(String, Sid)>,
}

/// What a client learns when it joins.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// The room.
    pub room: RoomView,
    /// The client itself.
    pub participant: ParticipantView,
    /// Everybody else who may be seen.
    pub others: Vec<ParticipantView>,
    /// Its PeerConnections.
    pub layout: Layout,
}

/// A room as clients and callers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomView {
    /// Its random id.
    pub sid: Sid,
    /// Its name.
    pub name: RoomName,
    /// How media travels.
    pub mode: RoomMode,
    /// Whether only relayed candidates are passed on; in p2p rooms only.
    pub hide_addresses: bool,
    /// Whether every media frame must be encrypted end to end.
    pub require_encryption: bool,
    /// Most participants at a time.
    pub max_participants: u32,
    /// Seconds an empty room lives.
    pub empty_timeout_s: u32,
    /// Milliseconds since 1970 when it was made.
    pub created_at_ms: u64,
    /// Who may come when.
    pub door: DoorRules,
    /// Whether nobody new may come.
    pub locked: bool,
    /// Opaque text for applications.
    pub metadata: String,
    /// Participants now, hidden ones not counted.
    pub participants: u32,
    /// Participants with a published track.
    pub publishers: u32,
}

/// A participant as others see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParticipantView {
    /// Its random id.
    pub sid: Sid,
    /// Its identity.
    pub identity: Identity,
    /// Its display name, empty from the built-in page.
    pub name: String,
    /// Whether it is still there.
    pub state: ParticipantState,
    /// Why it went.
    pub left: Option<LeaveReason>,
    /// Its published tracks.
    pub tracks: Vec<TrackView>,
    /// Its published data tracks.
    pub data_tracks: Vec<DataTrackView>,
    /// Opaque text for applications.
    pub metadata: String,
    /// Opaque key and value texts for applications.
    pub attributes: BTreeMap<String, String>,
    /// Milliseconds since 1970 when it joined.
    pub joined_at_ms: u64,
    /// Counts changes, so that clients can drop stale news.
    pub version: u32,
    /// What it may do.
    pub permission: Permission,
    /// Whether it has a published track.
    pub is_publisher: bool,
}

/// How far a participant has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParticipantState {
    /// Signalling stands, media not yet.
    Joined,
    /// Media stands.
    Active,
    /// Gone.
    Disconnected,
}

/// What a participant may do: as its token says, or as a moderator has said since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// May receive tracks.
    pub subscribe: bool,
    /// May publish tracks.
    pub publish: bool,
    /// May send data messages.
    pub publish_data: bool,
    /// The only sources it may publish; empty means all.
    pub sources: Vec<TrackSource>,
    /// Not shown to others.
    pub hidden: bool,
    /// May change its own metadata.
    pub update_metadata: bool,
}

/// A published track.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackView {
    /// Its random id.
    pub sid: Sid,
    /// Audio or video.
    pub kind: MediaKind,
    /// Its name.
    pub name: String,
    /// Whether it is muted.
    pub muted: bool,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What it shows.
    pub source: TrackSource,
    /// Announced simulcast layers.
    pub layers: Vec<VideoLayer>,
    /// Its codec, once known.
    pub codec: Option<Codec>,
    /// Its media section at the publisher, once known.
    pub mid: String,
    /// The publisher's id of it.
    pub cid: String,
    /// Declared frame encryption.
    pub encryption: Encryption,
    /// The stream it is played in sync with.
    pub stream: String,
    /// Whether RED is off.
    pub disable_red: bool,
    /// Whether DTX is off.
    pub disable_dtx: bool,
    /// Whether the sound is stereo.
    pub stereo: bool,
    /// LiveKit's audio feature numbers.
    pub audio_features: Vec<i32>,
}

/// A published data track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataTrackView {
    /// Its random id.
    pub sid: Sid,
    /// The publisher's number for it, never 0.
    pub handle: u16,
    /// Its name.
    pub name: String,
    /// Declared encryption of its frames.
    pub encryption: Encryption,
    /// What applications say of its frames, passed on as it is.
    pub typing: Vec<u8>,
}

/// Who speaks, and how loud.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakerView {
    /// Who.
    pub participant: Sid,
    /// Loudness from 0 to 1.
    pub level: f32,
    /// Speaking, or just fallen silent.
    pub active: bool,
}

/// How well a participant is connected.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityView {
    /// Who.
    pub participant: Sid,
    /// How well.
    pub level: QualityLevel,
    /// LiveKit's score from 1 to 5.
    pub score: f32,
}

/// Connection quality in LiveKit's four steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QualityLevel {
    /// Nothing arrives.
    Lost,
    /// Losses or delays that hurt.
    Poor,
    /// People notice them, but understand each other.
    Good,
    /// None to speak of.
    Excellent,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// The client said so.
    ClientInitiated,
    /// The same identity joined again.
    DuplicateIdentity,
    /// The server stops.
    ServerShutdown,
    /// Somebody with the right removed it.
    Removed,
    /// The room was deleted or ended.
    RoomDeleted,
    /// What the client wants to resume is not there.
    StateMismatch,
    /// It could not be joined.
    JoinFailure,
    /// The signalling connection went and did not come back.
    SignalClosed,
    /// Media went and did not come back.
    MediaFailure,
}

/// What a client should do when told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveAction {
    /// Stay away.
    Disconnect,
    /// Come back with the same session.
    Resume,
    /// Come back with a new session.
    Reconnect,
}

/// The outcome of a client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Ok,
    /// What it names does not exist.
    NotFound,
    /// The token does not allow it, or the room's rules do not.
    NotAllowed,
    /// A limit is reached.
    LimitExceeded,
    /// It makes no sense.
    Invalid,
    /// The number of a data track is out of range.
    InvalidHandle,
    /// The name of a data track is missing or too long.
    InvalidName,
    /// The client has a data track of this number already.
    DuplicateHandle,
    /// The client has a data track of this name already.
    DuplicateName,
    /// The track must be encrypted end to end in this room.
    EncryptionRequired,
}
