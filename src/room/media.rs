//! The words that a room's rules exchange with the worker that carries its media.

use crate::model::ids::{Identity, RoomKey, SessionId, Sid};
use crate::model::media::{Codec, MediaKind, Quality, TrackSettings, TrackSource, VideoLayer};

use super::command::{Layout, Leg};
use super::notice::QualityLevel;

/// What a session may do with media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaRights {
    /// May publish.
    pub publish: bool,
    /// May receive.
    pub subscribe: bool,
    /// May send data messages.
    pub data: bool,
    /// Is not shown to others: its data messages name no sender.
    pub hidden: bool,
}

/// Words of the server's own, said in a moderator's name.
#[derive(Clone, PartialEq, Eq)]
pub struct DataMessage {
    /// What is said.
    pub payload: Vec<u8>,
    /// Repeated until it arrives, in order; else sent once.
    pub reliable: bool,
    /// What it is about, as applications tell messages apart.
    pub topic: Option<String>,
    /// The caller's number for it: said again under the same one, it is not sent again.
    pub nonce: Option<[u8; 16]>,
    /// For whom, by identity; for everybody if both lists are empty.
    pub identities: Vec<Identity>,
    /// For whom, by public id.
    pub sids: Vec<Sid>,
}

// A derived Debug would carry the words into logs.
impl std::fmt::Debug for DataMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataMessage(..)")
    }
}

/// A track as the worker knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackSpec {
    /// Its public id.
    pub sid: Sid,
    /// The client's ids for it, one of which stands in the SDP's `a=msid`.
    pub cids: Vec<String>,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it shows: a shared screen matters most.
    pub source: TrackSource,
    /// The codec that the publisher announced, which the answer must put first or browsers send another one.
    pub codec: Option<Codec>,
    /// Whether sound may come wrapped in RED (RFC 2198).
    pub red: bool,
    /// Announced simulcast layers.
    pub layers: Vec<VideoLayer>,
    /// Whether the publisher declared encrypted frames.
    pub encrypted: bool,
    /// Whether it starts muted.
    pub muted: bool,
}

/// An order to the worker that has the room.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaCommand {
    /// A room begins.
    OpenRoom {
        /// Which.
        room: RoomKey,
        /// Whether every media frame must be encrypted end to end.
        require_encryption: bool,
    },
    /// A room ends, and every session in it.
    CloseRoom {
        /// Which.
        room: RoomKey,
    },
    /// A session begins.
    AddSession {
        /// Which.
        session: SessionId,
        /// Where.
        room: RoomKey,
        /// Its public id, stamped on its data messages.
        sid: Sid,
        /// Its identity, stamped on its data messages.
        identity: Identity,
        /// Its PeerConnections.
        layout: Layout,
        /// What it may do.
        rights: MediaRights,
    },
    /// A session may do other things from now on.
    SetRights {
        /// Which.
        session: SessionId,
        /// What.
        rights: MediaRights,
    },
    /// Say something to those in a room who receive.
    SendData {
        /// Where.
        room: RoomKey,
        /// What.
        message: DataMessage,
    },
    /// A session ends.
    RemoveSession {
        /// Which.
        session: SessionId,
    },
    /// A participant is gone: its relayed addresses end, and its credentials with them.
    EndRelay {
        /// Its room, as its credentials name it.
        group: u64,
        /// Its session, as its credentials name it.
        person: u64,
        /// Whether it has the same number when it comes again.
        may_return: bool,
    },
    /// An offer for the publisher leg.
    Offer {
        /// Whose.
        session: SessionId,
        /// SDP text.
        sdp: String,
        /// The client's number for it.
        id: u32,
    },
    /// An answer for the subscriber leg.
    Answer {
        /// Whose.
        session: SessionId,
        /// SDP text.
        sdp: String,
        /// The number of the offer that it answers.
        id: u32,
    },
    /// A remote candidate.
    Trickle {
        /// Whose.
        session: SessionId,
        /// Which leg.
        leg: Leg,
        /// The candidate line.
        candidate: String,
    },
    /// A client came back with a new signalling connection. What was said last may be lost, and the subscriber leg of
    /// a dual layout must restart ICE.
    Resumed {
        /// Whose.
        session: SessionId,
    },
    /// A client of WHIP or WHEP restarts ICE, without a description. Answer: [`MediaEvent::Restarted`].
    Restart {
        /// Whose.
        session: SessionId,
        /// The client's new user name (`a=ice-ufrag`).
        ufrag: String,
        /// The client's new password (`a=ice-pwd`).
        password: String,
    },
    /// A track may be published.
    AddTrack {
        /// By whom.
        session: SessionId,
        /// Which.
        track: TrackSpec,
    },
    /// A track may no longer be published.
    RemoveTrack {
        /// By whom.
        session: SessionId,
        /// Which.
        track: Sid,
    },
    /// A track is muted: nothing of it is forwarded.
    SetMuted {
        /// By whom it is published.
        session: SessionId,
        /// Which.
        track: Sid,
        /// Muted or not.
        muted: bool,
    },
    /// Forward a track to a session.
    Subscribe {
        /// To whom.
        session: SessionId,
        /// Which.
        track: Sid,
        /// The publisher's public id, for the stream id in the SDP.
        publisher: Sid,
    },
    /// Stop forwarding a track to a session.
    Unsubscribe {
        /// To whom.
        session: SessionId,
        /// Which.
        track: Sid,
    },
    /// Packets of a data track may come.
    AddDataTrack {
        /// From whom.
        session: SessionId,
        /// Which.
        track: Sid,
        /// The number that they bear.
        handle: u16,
    },
    /// A data track is over.
    RemoveDataTrack {
        /// Whose.
        session: SessionId,
        /// Which.
        track: Sid,
    },
    /// Forward a data track to a session.
    SubscribeData {
        /// To whom.
        session: SessionId,
        /// Which.
        track: Sid,
        /// The number that its packets bear there.
        handle: u16,
    },
    /// Stop forwarding a data track to a session.
    UnsubscribeData {
        /// To whom.
        session: SessionId,
        /// Which.
        track: Sid,
    },
    /// How a session shows a track.
    Settings {
        /// Who.
        session: SessionId,
        /// Which.
        track: Sid,
        /// How.
        settings: TrackSettings,
    },
}

/// News from the worker that has the room.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// The answer to a client's offer.
    Answer {
        /// For whom.
        session: SessionId,
        /// SDP text.
        sdp: String,
        /// The number of the offer.
        id: u32,
        /// Media sections by `mid` and the track that each carries to the client.
        mids: Vec<(String, Sid)>,
    },
    /// A client's offer or answer could not be taken.
    Refused {
        /// Whose.
        session: SessionId,
        /// Why, without a word of the SDP.
        why: &'static str,
    },
    /// What a client of WHIP or WHEP is told when it restarts ICE.
    Restarted {
        /// For whom.
        session: SessionId,
        /// Our half of the new ICE session as a fragment of SDP; `None` if ICE stays as it was.
        fragment: Option<String>,
    },
    /// An offer for the subscriber leg.
    Offer {
        /// For whom.
        session: SessionId,
        /// SDP text.
        sdp: String,
        /// Its number.
        id: u32,
        /// Media sections by `mid` and the track that each carries to the client.
        mids: Vec<(String, Sid)>,
    },
    /// A single PeerConnection needs more receiving sections, or a new offer if both are 0.
    MediaSections {
        /// Whose.
        session: SessionId,
        /// Audio sections missing.
        audios: u32,
        /// Video sections missing.
        videos: u32,
    },
    /// An announced track has its media section.
    Bound {
        /// Whose.
        session: SessionId,
        /// Which.
        track: Sid,
        /// Its section.
        mid: String,
        /// Its codec, if the SDP leaves one choice or the track has sent.
        codec: Option<Codec>,
    },
    /// A track's media section is gone.
    Unbound {
        /// Whose.
        session: SessionId,
        /// Which.
        track: Sid,
    },
    /// A subscriber's PeerConnection carries the track from now on.
    Subscribed {
        /// Who receives.
        session: SessionId,
        /// Which.
        track: Sid,
    },
    /// ICE and DTLS stand on the leg that carries media to the client.
    Connected {
        /// Whose.
        session: SessionId,
    },
    /// The session's PeerConnection has no media section left for what it should receive, or missed a reliable message that it did
    /// not take in time: a fresh one has room.
    Exhausted {
        /// Whose.
        session: SessionId,
    },
    /// Nothing comes from a client any more although it should: its way may be dead, so it should look for another.
    Silent {
        /// Whose.
        session: SessionId,
    },
    /// Consent is lost (RFC 7675) or DTLS was closed: the client is gone.
    Lost {
        /// Whose.
        session: SessionId,
    },
    /// A track of a room that requires encryption carries readable frames.
    Unsealed {
        /// Whose.
        session: SessionId,
        /// Which.
        track: Sid,
    },
    /// Who speaks, loudest first; those not named are silent.
    Speakers {
        /// Where.
        room: RoomKey,
        /// Session, loudness from 0 to 1.
        speakers: Vec<(SessionId, f32)>,
    },
    /// How well sessions are connected.
    Quality {
        /// Where.
        room: RoomKey,
        /// Session, level, LiveKit's score from 1 to 5.
        levels: Vec<(SessionId, QualityLevel, f32)>,
    },
    /// Tracks that a session's network carries no more, or again.
    Streams {
        /// Who receives.
        session: SessionId,
        /// Track, and whether it is paused.
        states: Vec<(Sid, bool)>,
    },
    /// The best layer of a track that anybody has a use for changed.
    Watched {
        /// Who publishes it.
        session: SessionId,
        /// Which.
        track: Sid,
        /// The layer, `None` if nobody watches.
        best: Option<Quality>,
        /// The codec of the track, if it is known.
        codec: Option<Codec>,
    },
    /// The worker failed inside this room and threw it away.
    RoomFault {
        /// Which.
        room: RoomKey,
    },
}
