//! What the HTTP floor asks of the control core.

use super::fragment::Fragment;
use super::invitation::{InvitationRefusal, InvitationReply, InvitationRequest};
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomName, SessionId, Sid};
pub use crate::model::record::RoomMode;
use crate::room::DoorRules;
use crate::room::command::{AddTrack, Layout, SyncState};
use crate::room::desk::PersonView;
use crate::room::media::DataMessage;
use crate::room::moderate::Profile;
use crate::room::notice::{ParticipantView, Permission, RoomView, TrackView};
use crate::turn::credentials::RelayUser;

/// One signalling connection, from its WebSocket's opening to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A client that opens a signalling connection.
#[derive(Clone, Debug)]
pub struct Connect {
    /// What its token allows.
    pub grants: Grants,
    /// Its PeerConnections: single or dual.
    pub layout: Layout,
    /// Whether new tracks are subscribed without being asked for.
    pub auto_subscribe: bool,
    /// The highest protocol version that the client speaks, as LiveKit counts them.
    pub protocol: i32,
    /// The session that it had before, if it wants to resume one.
    pub resume: Option<Sid>,
    /// What it has, if it says so when it resumes.
    pub sync: Option<SyncState>,
    /// Tracks that it will publish at once.
    pub add_tracks: Vec<AddTrack>,
    /// Its first offer (text, number), if it came with the join.
    pub offer: Option<(String, u32)>,
}

/// What an accepted connection is told before its first notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The session.
    pub session: SessionId,
    /// Whether a session was resumed rather than begun.
    pub resumed: bool,
    /// Whom the relay knows it as.
    pub relay: RelayUser,
}

/// Whose rules a room is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomOrigin {
    /// Our own `/v1`: making a room twice is a conflict.
    Api,
    /// LiveKit's `RoomService`: making a room twice returns the first.
    LiveKit,
}

/// A room to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomSpec {
    /// Its name; a random one if absent.
    pub name: Option<RoomName>,
    /// How media travels; by the number of participants if absent.
    pub mode: Option<RoomMode>,
    /// Whether the server keeps the two people of a p2p room from learning each other's address; so if absent.
    pub hide_addresses: Option<bool>,
    /// Whether every media frame must be encrypted end to end; by origin if absent.
    pub require_encryption: Option<bool>,
    /// Most participants at a time; the setting if absent.
    pub max_participants: Option<u32>,
    /// Seconds it lives while empty; the setting if absent.
    pub empty_timeout_s: Option<u32>,
    /// Who may come when.
    pub door: DoorRules,
    /// Opaque text for applications.
    pub metadata: String,
    /// Whose rules apply.
    pub origin: RoomOrigin,
}

/// A question or an order, with what the caller's token allows.
#[derive(Clone, Debug)]
pub enum Request {
    /// Could a client with these grants join now? Answer: [`Reply::Mode`], or [`Reply::Waiting`] if no layout is named.
    Validate {
        /// The caller.
        grants: Grants,
        /// How it lays out its PeerConnections; absent if the caller would join in whatever way the room wants.
        layout: Option<Layout>,
    },
    /// Make a room. Answer: [`Reply::Room`].
    CreateRoom {
        /// The caller.
        grants: Grants,
        /// The room.
        spec: RoomSpec,
    },
    /// Which rooms does the caller's tenant have? Answer: [`Reply::Rooms`].
    ListRooms {
        /// The caller.
        grants: Grants,
        /// Only these, all if empty.
        names: Vec<RoomName>,
    },
    /// One room. Answer: [`Reply::Room`].
    Room {
        /// The caller.
        grants: Grants,
        /// Which.
        room: RoomName,
    },
    /// End a room for all and forget it. Answer: [`Reply::Done`].
    DeleteRoom {
        /// The caller.
        grants: Grants,
        /// Which.
        room: RoomName,
    },
    /// Who is in a room? Answer: [`Reply::Participants`].
    Participants {
        /// The caller.
        grants: Grants,
        /// Which.
        room: RoomName,
    },
    /// One participant. Answer: [`Reply::Participants`] with one entry.
    Participant {
        /// The caller.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// Who.
        identity: Identity,
    },
    /// Remove a participant. Answer: [`Reply::Done`].
    RemoveParticipant {
        /// The caller.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// Who.
        identity: Identity,
    },
    /// Mute or unmute one track, or all of a participant's. Answer: [`Reply::Tracks`].
    Mute {
        /// The caller.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// Whose.
        identity: Identity,
        /// Which; all if absent.
        track: Option<Sid>,
        /// Mute or unmute.
        muted: bool,
    },
    /// Describe a participant anew, or let it do other things. Answer: [`Reply::Participants`] with one entry.
    UpdateParticipant {
        /// The caller.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// Who.
        identity: Identity,
        /// How it is described; what is empty stays.
        profile: Profile,
        /// All that it may do from now on; absent to leave that as it is.
        permission: Option<Permission>,
    },
    /// Subscribe a participant to tracks, or unsubscribe it. Answer: [`Reply::Done`].
    UpdateSubscriptions {
        /// The caller.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// Who.
        identity: Identity,
        /// Which tracks; those that do not exist are left out.
        tracks: Vec<Sid>,
        /// Subscribe or unsubscribe.
        subscribe: bool,
    },
    /// Say something in a room by data channel. Answer: [`Reply::Done`].
    SendData {
        /// The caller.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// What, and to whom.
        message: DataMessage,
    },
    /// Give a room other metadata. Answer: [`Reply::Room`].
    UpdateRoom {
        /// The caller.
        grants: Grants,
        /// Which.
        room: RoomName,
        /// Opaque text for applications.
        metadata: String,
    },
    /// Lock a room, or open it again. Answer: [`Reply::Done`].
    Lock {
        /// The caller.
        grants: Grants,
        /// Which.
        room: RoomName,
        /// Lock or open.
        locked: bool,
    },
    /// Who waits for a room? Answer: [`Reply::Lobby`].
    Lobby {
        /// The caller.
        grants: Grants,
        /// Which.
        room: RoomName,
    },
    /// Admit, refuse or put back somebody. Answer: [`Reply::Done`].
    Admission {
        /// The caller.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// Whom.
        identity: Identity,
        /// What of it.
        action: LobbyAction,
    },
    /// May the caller invite into this room? Answer: [`Reply::Room`].
    Invite {
        /// The caller.
        grants: Grants,
        /// Where.
        room: RoomName,
    },
    /// What concerns invitations that the server keeps. Answer: [`Reply::Invitation`] or [`Reply::Done`].
    Invitation(InvitationRequest),
    /// Publish by WHIP. Answer: [`Reply::Media`].
    Whip {
        /// The caller.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// SDP offer.
        sdp: String,
    },
    /// Receive by WHEP. Answer: [`Reply::Media`].
    Whep {
        /// The caller.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// Whose tracks.
        identity: Identity,
        /// The only one that is wanted; all if absent.
        track: Option<Sid>,
        /// SDP offer.
        sdp: String,
    },
    /// Change the ICE session of what WHIP or WHEP began. Answer: [`Reply::Done`], or [`Reply::Restarted`] if the fragment
    /// has other credentials than the client had.
    ChangeMedia {
        /// The caller; the same identity that began it, or a moderator.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// Whose tracks WHEP receives; absent for WHIP.
        of: Option<Identity>,
        /// The resource named in the answer.
        resource: Sid,
        /// Which ICE session the caller means.
        condition: Condition,
        /// What it says of ICE.
        fragment: Fragment,
    },
    /// End what WHIP or WHEP began. Answer: [`Reply::Done`].
    EndMedia {
        /// The caller; the same identity that began it, or a moderator.
        grants: Grants,
        /// Where.
        room: RoomName,
        /// Whose tracks WHEP receives; absent for WHIP.
        of: Option<Identity>,
        /// The resource named in the answer.
        resource: Sid,
    },
}

/// What moderators do with those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LobbyAction {
    /// Let in.
    Admit,
    /// Turn away.
    Refuse,
    /// Let wait again.
    PutBack,
}

/// Which ICE session a change is meant for (`If-Match`, RFC 9110 §13.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whichever stands.
    Any,
    /// One of those that these tags name.
    Tags(Vec<String>),
}

impl Condition {
    /// Whether it is met while this tag names what stands.
    #[must_use]
    pub fn is_met(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|known| known == tag),
        }
    }
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is so, or it is done.
    Done,
    /// It is so, in a room of this mode.
    Mode(RoomMode),
    /// It is so, but in a room of this mode where a moderator must admit the caller first.
    Waiting(RoomMode),
    /// Those who wait.
    Lobby(Vec<PersonView>),
    /// A room.
    Room(RoomView),
    /// Rooms.
    Rooms(Vec<RoomView>),
    /// Participants.
    Participants(Vec<ParticipantView>),
    /// Tracks.
    Tracks(Vec<TrackView>),
    /// What concerns invitations.
    Invitation(InvitationReply),
    /// A WHIP or WHEP session.
    Media {
        /// Its name in the resource's address.
        resource: Sid,
        /// Names its ICE session.
        tag: String,
        /// Whom the relay knows it as.
        relay: RelayUser,
        /// SDP answer.
        sdp: String,
    },
    /// ICE of a WHIP or WHEP session begins anew.
    Restarted {
        /// Names the new ICE session.
        tag: String,
        /// Our half of it, as a fragment of SDP (RFC 8840).
        fragment: String,
    },
}

/// Why something is refused. The texts go to callers and name nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token lacks a grant.
    #[error("the token does not allow this: it lacks {0}")]
    NotAllowed(&'static str),
    /// No such room for this tenant.
    #[error("there is no such room")]
    RoomNotFound,
    /// No such participant in the room.
    #[error("there is no such participant in the room")]
    ParticipantNotFound,
    /// No such track of the participant.
    #[error("there is no such track")]
    TrackNotFound,
    /// No such WHIP or WHEP resource for this caller.
    #[error("there is no such resource")]
    ResourceNotFound,
    /// A WHIP or WHEP session has another ICE session by now than the caller means.
    #[error("the ICE session is another one by now: If-Match must be the newest ETag, or * to restart ICE")]
    NotCurrent,
    /// A WHIP or WHEP session has as many candidates as it may.
    #[error("an ICE session may have at most 100 candidates after its offer")]
    TooManyCandidates,
    /// The room has as many participants as it may.
    #[error("the room is full")]
    RoomFull,
    /// A moderator must admit the caller first.
    #[error("a host or reception must admit you first: wait at /v1/desk")]
    Waiting,
    /// Nobody new may come.
    #[error("the room is locked")]
    Locked,
    /// The room is not open yet.
    #[error("the room is not open yet")]
    TooEarly,
    /// A moderator refused or removed the caller.
    #[error("a host or reception has refused or removed you")]
    TurnedAway,
    /// A room of this name exists already.
    #[error("a room of this name exists already")]
    RoomExists,
    /// A limit of the server is reached.
    #[error("the server has reached its limit of {0}")]
    LimitReached(&'static str),
    /// The client speaks the protocol of rooms of the other mode than this one's, which never changes.
    #[error("the room is of mode {}", mode_words(*.0))]
    WrongMode(RoomMode),
    /// A value is out of range.
    #[error("{0}")]
    Invalid(&'static str),
    /// The room takes tracks only with declared end-to-end encryption.
    #[error("the room requires end-to-end encryption, which this client does not declare")]
    EncryptionRequired,
    /// The SDP cannot be taken.
    #[error("the SDP cannot be taken: {0}")]
    BadSdp(&'static str),
    /// The session that should be resumed is not there.
    #[error("there is no session to resume; join again")]
    NoSession,
    /// It is about an invitation.
    #[error(transparent)]
    Invitation(#[from] InvitationRefusal),
    /// What had to be written could not be.
    #[error("the server could not store this; nothing was changed")]
    NotStored,
    /// The server is going down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The answer did not come in time.
    #[error("the server is too busy to answer")]
    Busy,
}

fn mode_words(mode: RoomMode) -> &'static str {
    match mode {
        RoomMode::Sfu => "sfu: it is entered by /rtc, WHIP or WHEP",
        RoomMode::P2p => "p2p: it is entered by /v1/p2p",
    }
}
