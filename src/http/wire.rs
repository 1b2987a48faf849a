//! The only JSON shapes of our own API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::Shape;
use super::ice::IceServer;
use crate::access::role::Role;
use crate::model::media::{Encryption, MediaKind, TrackSource};
use crate::node::invitation::{InvitationState, InvitationView};
use crate::node::request::RoomMode;
use crate::room::notice::{ParticipantState, ParticipantView, RoomView, TrackView};

/// How media travels.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Through the server.
    Sfu,
    /// Browser to browser.
    P2p,
}

impl From<RoomMode> for Mode {
    fn from(mode: RoomMode) -> Self {
        match mode {
            RoomMode::Sfu => Self::Sfu,
            RoomMode::P2p => Self::P2p,
        }
    }
}

impl From<Mode> for RoomMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Sfu => Self::Sfu,
            Mode::P2p => Self::P2p,
        }
    }
}

/// Whether media must be encrypted end to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum E2ee {
    /// Tracks that do not declare it are refused.
    Required,
    /// Tracks may declare it.
    Optional,
}

/// A room to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRoom {
    /// Its id: 1 to 256 bytes without control characters; a random one if absent.
    pub id: Option<String>,
    /// Default: `p2p` if `max_participants` is 2, else `sfu`.
    pub mode: Option<Mode>,
    /// Whether the server keeps the two people of a `p2p` room from learning each other's address: all media is relayed
    /// then. Default: true. Not for other modes.
    pub hide_addresses: Option<bool>,
    /// Default: `required`. A `p2p` room is always encrypted end to end.
    pub e2ee: Option<E2ee>,
    /// Most participants at a time; a `p2p` room has 2.
    pub max_participants: Option<u32>,
    /// Seconds that the room lives while nobody is in it.
    pub empty_timeout_s: Option<u32>,
    /// Whether all but hosts and reception wait at `/v1/desk` until they are admitted. Default: false.
    #[serde(default)]
    pub lobby: bool,
    /// Nobody but hosts and reception may come before, in seconds since 1970.
    pub not_before: Option<u64>,
    /// The room ends then for all, in seconds since 1970; until then it lives though nobody is in it.
    pub not_after: Option<u64>,
}

impl Shape for NewRoom {
    const FIELDS: &'static str = r#"{"id"?: text, "mode"?: "sfu"|"p2p", "hide_addresses"?: true|false, "e2ee"?: "required"|"optional", "max_participants"?: number, "empty_timeout_s"?: number, "lobby"?: true|false, "not_before"?: seconds since 1970, "not_after"?: seconds since 1970}"#;
}

/// A room.
#[derive(Debug, Serialize, ToSchema)]
pub struct Room {
    /// Its id.
    pub id: String,
    /// How media travels.
    pub mode: Mode,
    /// Whether the two people of a `p2p` room do not learn each other's address; absent in other modes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hide_addresses: Option<bool>,
    /// Whether media must be encrypted end to end.
    pub e2ee: E2ee,
    /// Most participants at a time.
    pub max_participants: u32,
    /// Seconds that the room lives while nobody is in it.
    pub empty_timeout_s: u32,
    /// Seconds since 1970 when it was made.
    pub created_at: u64,
    /// Participants now, hidden ones not counted.
    pub participants: u32,
    /// Whether all but hosts and reception wait until they are admitted.
    pub lobby: bool,
    /// Nobody but hosts and reception may come before, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// The room ends then, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// Whether nobody new may come.
    pub locked: bool,
}

impl From<&RoomView> for Room {
    fn from(view: &RoomView) -> Self {
        Self {
            id: view.name.as_str().to_owned(),
            mode: view.mode.into(),
            hide_addresses: (view.mode == RoomMode::P2p).then_some(view.hide_addresses),
            e2ee: if view.require_encryption { E2ee::Required } else { E2ee::Optional },
            max_participants: view.max_participants,
            empty_timeout_s: view.empty_timeout_s,
            created_at: view.created_at_ms / 1000,
            participants: view.participants,
            lobby: view.door.lobby,
            not_before: view.door.not_before,
            not_after: view.door.not_after,
            locked: view.locked,
        }
    }
}

/// The caller's rooms.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rooms {
    /// In the order of their ids.
    pub rooms: Vec<Room>,
}

/// A published track.
#[derive(Debug, Serialize, ToSchema)]
pub struct Track {
    /// Its id.
    pub id: String,
    /// `audio` or `video`.
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// `camera`, `microphone`, `screen_share`, `screen_share_audio` or `unknown`.
    #[schema(value_type = String)]
    pub source: &'static str,
    /// Whether it is muted.
    pub muted: bool,
    /// Whether its publisher declares end-to-end encryption.
    pub encrypted: bool,
}

impl From<&TrackView> for Track {
    fn from(view: &TrackView) -> Self {
        Self {
            id: view.sid.to_string(),
            kind: match view.kind {
                MediaKind::Audio => "audio",
                MediaKind::Video => "video",
            },
            source: match view.source {
                TrackSource::Unknown => "unknown",
                TrackSource::Camera => "camera",
                TrackSource::Microphone => "microphone",
                TrackSource::ScreenShare => "screen_share",
                TrackSource::ScreenShareAudio => "screen_share_audio",
            },
            muted: view.muted,
            encrypted: view.encryption != Encryption::None,
        }
    }
}

/// Tracks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tracks {
    /// The tracks.
    pub tracks: Vec<Track>,
}

/// Somebody in a room.
#[derive(Debug, Serialize, ToSchema)]
pub struct Participant {
    /// The identity, unique in the room.
    pub identity: String,
    /// The id of this stay.
    pub id: String,
    /// The display name that the token gave, if any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `joined`, `active` once media stands, or `disconnected`.
    #[schema(value_type = String)]
    pub state: &'static str,
    /// Seconds since 1970 of the join.
    pub joined_at: u64,
    /// Published tracks.
    pub tracks: Vec<Track>,
}

impl From<&ParticipantView> for Participant {
    fn from(view: &ParticipantView) -> Self {
        Self {
            identity: view.identity.as_str().to_owned(),
            id: view.sid.to_string(),
            name: view.name.clone(),
            state: match view.state {
                ParticipantState::Joined => "joined",
                ParticipantState::Active => "active",
                ParticipantState::Disconnected => "disconnected",
            },
            joined_at: view.joined_at_ms / 1000,
            tracks: view.tracks.iter().map(Track::from).collect(),
        }
    }
}

/// Who is in a room.
#[derive(Debug, Serialize, ToSchema)]
pub struct Participants {
    /// Everybody, hidden ones too.
    pub participants: Vec<Participant>,
}

/// Muting or unmuting.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// Which track; all of the participant's if absent.
    pub track: Option<String>,
    /// Mute or unmute.
    pub muted: bool,
}

impl Shape for Mute {
    const FIELDS: &'static str = r#"{"track"?: text, "muted": true|false}"#;
}

/// How an invitation travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InvitationKind {
    /// As a link that carries a token.
    Link,
    /// As a code to type in.
    Tan,
}

/// What the invited person will be.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InvitedRole {
    /// Leads: publishes, receives and moderates.
    Host,
    /// Takes part: publishes and receives.
    Guest,
    /// Organises: moderates only.
    Reception,
    /// Watches: receives only.
    Observer,
}

impl From<InvitedRole> for Role {
    fn from(role: InvitedRole) -> Self {
        match role {
            InvitedRole::Host => Self::Host,
            InvitedRole::Guest => Self::Guest,
            InvitedRole::Reception => Self::Reception,
            InvitedRole::Observer => Self::Observer,
        }
    }
}

/// An invitation to be made. It has no `Debug`, for its secrets' sake.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// How it travels.
    pub kind: InvitationKind,
    /// What the invited person will be.
    pub role: InvitedRole,
    /// Whether one device only may use the link: the first. A TAN always is for one.
    #[serde(default)]
    pub single_use: bool,
    /// The first six characters of a TAN that was made in a browser, which keeps the others; the server makes one if absent.
    pub admit: Option<String>,
    /// The TAN's secret half, sealed by the practice's browsers: base64url, at most 256 bytes. The server cannot open it.
    pub sealed: Option<String>,
    /// Whether the TAN dies within an hour unless it is confirmed, or used.
    #[serde(default)]
    pub pending: bool,
    /// Seconds since 1970 before which it is not good.
    pub not_before: Option<u64>,
    /// Seconds since 1970 after which it is not good; a day after its beginning if absent.
    pub not_after: Option<u64>,
    /// The invited person by an opaque reference of the caller's, 1 to 256 bytes. Without one nothing is kept about a person.
    pub subject: Option<String>,
}

impl Shape for NewInvitation {
    const FIELDS: &'static str = r#"{"kind": "link"|"tan", "role": "host"|"guest"|"reception"|"observer", "single_use"?: true|false, "admit"?: text, "sealed"?: text, "pending"?: true|false, "not_before"?: seconds since 1970, "not_after"?: seconds since 1970, "subject"?: text}"#;
}

/// Somebody who comes with an invitation, or with a token. It has no `Debug`, for their sake.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The token of an invitation link.
    pub invitation: Option<String>,
    /// A token of one's own, to learn the way in; the answer repeats it.
    pub token: Option<String>,
    /// The organisation that a TAN is for: its code in the address `/t/{tenant}`.
    pub tenant: Option<String>,
    /// The first six characters of a TAN, which admit, or all twelve; in any case, with hyphens or without.
    pub tan: Option<String>,
    /// What a device was told when it used an invitation first.
    pub resume: Option<String>,
}

impl Shape for Join {
    const FIELDS: &'static str = r#"{"invitation": text} or {"token": text} or {"tenant": text, "tan": text} or {"resume": text}"#;
}

/// How far a guest has come.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AdmissionState {
    /// A host, or reception, has to admit the guest, who waits at the desk.
    Waiting,
    /// The room is open to the guest.
    Admitted,
}

/// A guest's way into the room.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Admission {
    /// How far the guest has come.
    pub state: AdmissionState,
    /// The guest's own token.
    pub token: String,
    /// How media travels in the room.
    pub mode: Mode,
    /// The room.
    pub room: String,
    /// The organisation whose room it is, by its code in the address `/t/{tenant}`.
    pub tenant: String,
    /// Where LiveKit clients connect to a room of mode `sfu`, or the WebSocket of a room of mode `p2p`.
    pub url: String,
    /// STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// The WebSocket of the room's desk.
    pub desk: String,
    /// With this the same device comes back until the room ends; told once, and only by invitations for one device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
}

/// A new invitation.
#[derive(Serialize, ToSchema)]
pub struct Invitation {
    /// Its id; of a link for many it is the identity that joins by it.
    pub id: String,
    /// `https://HOST/r/{room}#t={token}`. The server knows no end-to-end key: append `&k=` and the base64url of the 16 random
    /// bytes that all links of this room share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The TAN, `XXXX-XXXX-XXXX`, if the server made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tan: Option<String>,
    /// Seconds since 1970.
    pub expires_at: u64,
    /// Whether the server made the TAN, so that it knew the secret half; absent for links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_knew: Option<bool>,
}

/// How far an invitation has come.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeptState {
    /// It must be confirmed within an hour.
    Pending,
    /// Nobody has used it.
    Open,
    /// A device has used it.
    Used,
}

/// An invitation for one device, as it is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeptInvitation {
    /// Its id.
    pub id: String,
    /// How it travels.
    pub kind: InvitationKind,
    /// What the invited person will be.
    pub role: String,
    /// How far it has come.
    pub state: KeptState,
    /// Seconds since 1970 before which it is not good.
    pub not_before: u64,
    /// Seconds since 1970 after which it is not good, unless it was used before.
    pub not_after: u64,
    /// The TAN's secret half as the practice's browser sealed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

impl From<&InvitationView> for KeptInvitation {
    fn from(view: &InvitationView) -> Self {
        Self {
            id: view.id.as_str().to_owned(),
            kind: if view.tan { InvitationKind::Tan } else { InvitationKind::Link },
            role: view.role.clone(),
            state: match view.state {
                InvitationState::Pending => KeptState::Pending,
                InvitationState::Open => KeptState::Open,
                InvitationState::Used => KeptState::Used,
            },
            not_before: view.not_before,
            not_after: view.not_after,
            sealed: view.sealed.as_ref().map(|sealed| sealed.expose().to_owned()),
        }
    }
}

/// The invitations into a room that are for one device each.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeptInvitations {
    /// In the order of their ids.
    pub invitations: Vec<KeptInvitation>,
}
