//! What clients ask of a room, free of any wire format.

use std::collections::BTreeMap;

use crate::model::grants::Grants;
use crate::model::ids::{Identity, SessionId, Sid};
use crate::model::media::{Codec, Encryption, MediaKind, TrackSettings, TrackSource, VideoLayer};

/// How a client lays out its PeerConnections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One PeerConnection, the client always offers (`/rtc/v1`).
    Single,
    /// A publisher that the client offers and a subscriber that the server offers (`/rtc`).
    Dual,
    /// One PeerConnection that publishes and is negotiated once (WHIP, RFC 9725).
    Whip,
    /// One PeerConnection that receives and is negotiated once (WHEP).
    Whep,
    /// One PeerConnection to the other person of a p2p room, none to the server.
    P2p,
}

/// One of a client's PeerConnections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leg {
    /// The one that the client offers; in a single layout the only one.
    Publisher,
    /// The one that the server offers in a dual layout.
    Subscriber,
}

/// What a receiver wants and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// The tracks of this participant,
    pub publisher: Identity,
    /// or but one of them.
    pub track: Option<Sid>,
}

/// A client that wants in, after its token was verified.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Its id in this process.
    pub session: SessionId,
    /// What its token allows.
    pub grants: Grants,
    /// Its PeerConnections.
    pub layout: Layout,
    /// Whether new tracks are subscribed without being asked for.
    pub auto_subscribe: bool,
    /// The only tracks that are wanted (WHEP).
    pub only: Option<Only>,
    /// The highest protocol version that the client speaks, as LiveKit counts them.
    pub protocol: i32,
}

/// A message of a joined client.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// An SDP offer for the publisher leg.
    Offer {
        /// SDP text.
        sdp: String,
        /// The client's number for it, repeated in the answer.
        id: u32,
    },
    /// An SDP answer for the subscriber leg.
    Answer {
        /// SDP text.
        sdp: String,
        /// The number of the offer that it answers.
        id: u32,
    },
    /// A trickled ICE candidate (RFC 8838).
    Trickle {
        /// Which PeerConnection.
        leg: Leg,
        /// The candidate line, empty at the end of candidates.
        candidate: String,
    },
    /// A track will be published.
    AddTrack(AddTrack),
    /// The client muted or unmuted its own track.
    Mute {
        /// Which track.
        track: Sid,
        /// Whether it is muted now.
        muted: bool,
    },
    /// Subscribe to tracks or stop.
    Subscription {
        /// Which tracks.
        tracks: Vec<Sid>,
        /// Subscribe, or unsubscribe.
        subscribe: bool,
    },
    /// How subscribed tracks are shown.
    Settings {
        /// Which tracks.
        tracks: Vec<Sid>,
        /// How.
        settings: TrackSettings,
    },
    /// Who may subscribe to the client's tracks.
    SubscriptionPermission(SubscriptionRules),
    /// What the client has after a resume.
    SyncState(SyncState),
    /// Change the client's own metadata, name or attributes.
    UpdateMetadata {
        /// The client's number for the request, repeated in the response.
        request_id: u32,
        /// New metadata, unchanged if empty.
        metadata: String,
        /// New name, unchanged if empty.
        name: String,
        /// Changed attributes; an empty value deletes.
        attributes: BTreeMap<String, String>,
    },
    /// A data track will be published.
    PublishData(PublishData),
    /// A data track ends.
    UnpublishData {
        /// The client's number for it.
        handle: u32,
    },
    /// Subscribe to data tracks or stop, one after the other.
    DataSubscription(Vec<(Sid, bool)>),
    /// Something for the other person of a p2p room.
    ToPartner {
        /// For which stay of the other person, if the client says so; for another one it is too late.
        to: Option<Sid>,
        /// What.
        message: PartnerMessage,
    },
    /// The client of a p2p room asks how things stand there, and for fresh credentials of the relay.
    AskPartner,
    /// The client goes.
    Leave,
    /// The client wants to see a failure.
    Simulate(Scenario),
}

/// A data track to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishData {
    /// The client's number for it, which its packets bear: 1 to 65535.
    pub handle: u32,
    /// Its name.
    pub name: String,
    /// Declared encryption of its frames.
    pub encryption: Encryption,
    /// What applications say of its frames, passed on as it is.
    pub typing: Vec<u8>,
}

/// What one person of a p2p room says to the other; the server passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartnerMessage {
    /// An SDP description (RFC 8829 §4.1.8).
    Description {
        /// What it is for.
        kind: DescriptionKind,
        /// SDP text.
        sdp: String,
    },
    /// A trickled ICE candidate (RFC 8838).
    Candidate {
        /// The candidate line, empty at the end of candidates.
        candidate: String,
        /// The media section by its `mid`.
        mid: Option<String>,
        /// The media section by its number.
        line: Option<u16>,
        /// The ICE generation by its user name fragment.
        ufrag: Option<String>,
    },
}

/// What an SDP description is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptionKind {
    /// It asks.
    Offer,
    /// It answers.
    Answer,
}

/// A track to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct AddTrack {
    /// The client's id of the track: its media stream track id, which the SDP names in `a=msid`.
    pub cid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// Its name.
    pub name: String,
    /// What it shows.
    pub source: TrackSource,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether it starts muted.
    pub muted: bool,
    /// Announced simulcast layers.
    pub layers: Vec<VideoLayer>,
    /// Codecs in the client's order, with the client's id of each.
    pub codecs: Vec<(Option<Codec>, String)>,
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
    /// LiveKit's audio feature numbers, passed on as they are.
    pub audio_features: Vec<i32>,
}

/// Who may subscribe to a publisher's tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionRules {
    /// Everybody, to everything.
    pub all: bool,
    /// Else these.
    pub rules: Vec<SubscriptionRule>,
}

/// What one participant may subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRule {
    /// Whom the rule is for, by id, or …
    pub participant: Option<Sid>,
    /// … by identity.
    pub identity: Option<Identity>,
    /// Every track.
    pub all_tracks: bool,
    /// Or these.
    pub tracks: Vec<Sid>,
}

/// What a client says it has when it resumes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    /// Tracks that it has subscribed or unsubscribed against the default.
    pub tracks: Vec<Sid>,
    /// Whether `tracks` are subscribed (else unsubscribed).
    pub subscribe: bool,
    /// Tracks that it does not show.
    pub disabled: Vec<Sid>,
    /// Tracks that it publishes.
    pub published: Vec<Sid>,
}

/// Failures that a client may ask for, as LiveKit's `SimulateScenario` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The signalling connection drops, media goes on.
    SignalReconnect,
    /// The session is thrown away; the client must join anew.
    FullReconnect,
    /// The server asks for a resume (as before a move).
    Resume,
    /// The server leaves.
    ServerLeave,
    /// Something this server has no use for.
    Other,
}
