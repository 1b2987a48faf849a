//! The room's notices as LiveKit's responses.

use livekit_protocol as lk;
use lk::signal_response::Message;

use super::views;
use crate::access::key::Secret;
use crate::model::ids::Sid;
use crate::model::media::{Codec, Quality};
use crate::room::command::Layout;
use crate::room::notice::{
    DataHandle, Description, Joined, LeaveAction, LeaveReason, Notice, Outcome, QualityLevel, QualityView, SpeakerView, StreamView,
};

/// Seconds between a client's pings.
pub const PING_INTERVAL_S: u8 = 5;
/// Seconds of silence after which either side gives the connection up.
pub const PING_TIMEOUT_S: u8 = 15;
/// The version of LiveKit's protocol that this server speaks.
pub const PROTOCOL: i32 = 16;

/// What the server says about itself.
fn server_info() -> lk::ServerInfo {
    lk::ServerInfo {
        edition: lk::server_info::Edition::Standard.into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        ..lk::ServerInfo::default()
    }
}

/// What messages tell of the server itself.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Marks frames that the server makes itself.
    pub sif_trailer: Vec<u8>,
    /// Where the client finds the relay; only the first message says it.
    pub ice_servers: Vec<lk::IceServer>,
    /// The signed form of a token that the client is to get.
    pub token: Option<Secret>,
}

/// A notice as the message that says it. `None` for what LiveKit's protocol has no word for, as rooms of mode p2p have a
/// protocol of their own, and for a token that nobody has signed.
pub fn encode(notice: Notice, about: About) -> Option<Message> {
    Some(match notice {
        Notice::Joined(joined) => Message::Join(join(&joined, about)),
        Notice::Reconnected => Message::Reconnect(lk::ReconnectResponse {
            server_info: Some(server_info()),
            ice_servers: about.ice_servers,
            ..lk::ReconnectResponse::default()
        }),
        Notice::Answer(description) => Message::Answer(session_description("answer", description)),
        Notice::Offer(description) => Message::Offer(session_description("offer", description)),
        Notice::Participants(views) => {
            Message::Update(lk::ParticipantUpdate { participants: views.iter().map(views::participant).collect() })
        }
        Notice::TrackPublished { cid, track } => {
            Message::TrackPublished(lk::TrackPublishedResponse { cid, track: Some(views::track(&track)) })
        }
        Notice::TrackUnpublished { track } => Message::TrackUnpublished(lk::TrackUnpublishedResponse { track_sid: track.to_string() }),
        Notice::TrackSubscribed { track } => Message::TrackSubscribed(lk::TrackSubscribed { track_sid: track.to_string() }),
        Notice::MediaSections { audios, videos } => {
            Message::MediaSectionsRequirement(lk::MediaSectionsRequirement { num_audios: audios, num_videos: videos })
        }
        Notice::Mute { track, muted } => Message::Mute(lk::MuteTrackRequest { sid: track.to_string(), muted }),
        Notice::Leave { reason, action } => Message::Leave(leave(reason, action)),
        Notice::Speakers(speakers) => Message::SpeakersChanged(lk::SpeakersChanged { speakers: speakers.iter().map(speaker).collect() }),
        Notice::Quality(updates) => {
            Message::ConnectionQuality(lk::ConnectionQualityUpdate { updates: updates.iter().map(quality).collect() })
        }
        Notice::Room(room) => Message::RoomUpdate(lk::RoomUpdate { room: Some(views::room(&room)) }),
        Notice::SubscriptionPermission { participant, track, allowed } => {
            Message::SubscriptionPermissionUpdate(lk::SubscriptionPermissionUpdate {
                participant_sid: participant.to_string(),
                track_sid: track.to_string(),
                allowed,
            })
        }
        Notice::Streams(streams) => {
            Message::StreamStateUpdate(lk::StreamStateUpdate { stream_states: streams.iter().map(stream_state).collect() })
        }
        Notice::Watched { track, codec, best } => Message::SubscribedQualityUpdate(watched(&track, codec, best)),
        Notice::Response { request_id, outcome } => response(request_id, outcome, text(outcome)),
        Notice::DataTrackPublished(track) => {
            Message::PublishDataTrackResponse(lk::PublishDataTrackResponse { info: Some(views::data_track(&track)) })
        }
        Notice::DataTrackUnpublished(track) => {
            Message::UnpublishDataTrackResponse(lk::UnpublishDataTrackResponse { info: Some(views::data_track(&track)) })
        }
        Notice::DataTrackRefused { handle, publish, outcome } => data_track_refused(handle, publish, outcome),
        Notice::DataHandles(handles) => Message::DataTrackSubscriberHandles(data_handles(handles)),
        Notice::Token(_) => Message::RefreshToken(about.token?.expose().to_owned()),
        Notice::Partner(_) | Notice::FromPartner(_) | Notice::Desk(_) => return None,
    })
}

fn join(joined: &Joined, about: About) -> lk::JoinResponse {
    lk::JoinResponse {
        room: Some(views::room(&joined.room)),
        participant: Some(views::participant(&joined.participant)),
        other_participants: joined.others.iter().map(views::participant).collect(),
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        subscriber_primary: joined.layout == Layout::Dual,
        ping_timeout: PING_TIMEOUT_S.into(),
        ping_interval: PING_INTERVAL_S.into(),
        server_info: Some(server_info()),
        sif_trailer: about.sif_trailer,
        ice_servers: about.ice_servers,
        enabled_publish_codecs: views::publish_codecs(),
        ..lk::JoinResponse::default()
    }
}

fn session_description(kind: &str, description: Description) -> lk::SessionDescription {
    lk::SessionDescription {
        r#type: kind.to_owned(),
        sdp: description.sdp,
        id: description.id,
        mid_to_track_id: description.mids.into_iter().map(|(mid, track)| (mid, track.to_string())).collect(),
    }
}

/// The end of a session; older clients look at `can_reconnect`, newer ones at `action`.
pub fn leave(reason: LeaveReason, action: LeaveAction) -> lk::LeaveRequest {
    let wire = match action {
        LeaveAction::Disconnect => lk::leave_request::Action::Disconnect,
        LeaveAction::Resume => lk::leave_request::Action::Resume,
        LeaveAction::Reconnect => lk::leave_request::Action::Reconnect,
    };
    lk::LeaveRequest {
        can_reconnect: action != LeaveAction::Disconnect,
        reason: views::reason(reason).into(),
        action: wire.into(),
        ..lk::LeaveRequest::default()
    }
}

fn speaker(view: &SpeakerView) -> lk::SpeakerInfo {
    lk::SpeakerInfo { sid: view.participant.to_string(), level: view.level, active: view.active }
}

fn quality(view: &QualityView) -> lk::ConnectionQualityInfo {
    let quality = match view.level {
        QualityLevel::Lost => lk::ConnectionQuality::Lost,
        QualityLevel::Poor => lk::ConnectionQuality::Poor,
        QualityLevel::Good => lk::ConnectionQuality::Good,
        QualityLevel::Excellent => lk::ConnectionQuality::Excellent,
    };
    lk::ConnectionQualityInfo { participant_sid: view.participant.to_string(), quality: quality.into(), score: view.score }
}

fn stream_state(view: &StreamView) -> lk::StreamStateInfo {
    let state = if view.paused { lk::StreamState::Paused } else { lk::StreamState::Active };
    lk::StreamStateInfo { participant_sid: view.participant.to_string(), track_sid: view.track.to_string(), state: state.into() }
}

/// Newer clients look at the codecs only, older ones at the qualities beside them.
fn watched(track: &Sid, codec: Codec, best: Option<Quality>) -> lk::SubscribedQualityUpdate {
    let wire =
        [(Quality::Low, lk::VideoQuality::Low), (Quality::Medium, lk::VideoQuality::Medium), (Quality::High, lk::VideoQuality::High)];
    let quality = |(quality, wire): (Quality, lk::VideoQuality)| lk::SubscribedQuality {
        quality: wire.into(),
        enabled: best.is_some_and(|best| quality <= best),
    };
    let qualities: Vec<_> = wire.into_iter().map(quality).collect();
    let name = codec.mime().rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    #[expect(deprecated)] // clients from before there were several codecs read nothing else
    lk::SubscribedQualityUpdate {
        track_sid: track.to_string(),
        subscribed_qualities: qualities.clone(),
        subscribed_codecs: vec![lk::SubscribedCodec { codec: name, qualities }],
    }
}

fn data_handles(handles: Vec<DataHandle>) -> lk::DataTrackSubscriberHandles {
    let handle = |one: DataHandle| {
        let track = lk::data_track_subscriber_handles::PublishedDataTrack {
            publisher_identity: one.publisher.as_str().to_owned(),
            publisher_sid: one.publisher_sid.to_string(),
            track_sid: one.track.to_string(),
        };
        (u32::from(one.handle), track)
    };
    lk::DataTrackSubscriberHandles { sub_handles: handles.into_iter().map(handle).collect() }
}

/// Clients know by the request within which of their data tracks is meant.
fn data_track_refused(pub_handle: u32, publish: bool, outcome: Outcome) -> Message {
    use lk::request_response::Request;
    let request = if publish {
        Request::PublishDataTrack(lk::PublishDataTrackRequest { pub_handle, ..lk::PublishDataTrackRequest::default() })
    } else {
        Request::UnpublishDataTrack(lk::UnpublishDataTrackRequest { pub_handle })
    };
    Message::RequestResponse(lk::RequestResponse {
        reason: reason(outcome).into(),
        message: text(outcome).to_owned(),
        request: Some(request),
        ..lk::RequestResponse::default()
    })
}

fn text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "",
        Outcome::NotFound => "what the request names does not exist",
        Outcome::NotAllowed => "the token or the room's rules do not allow it",
        Outcome::LimitExceeded => "a limit is reached",
        Outcome::Invalid => "the request makes no sense",
        Outcome::InvalidHandle => "the number of a data track must be between 1 and 65535",
        Outcome::InvalidName => "the name of a data track must have 1 to 256 bytes",
        Outcome::DuplicateHandle => "there is a data track of this number already: take another number",
        Outcome::DuplicateName => "there is a data track of this name already: take another name",
        Outcome::EncryptionRequired => "the room requires end-to-end encryption, which the track does not declare",
    }
}

fn reason(outcome: Outcome) -> lk::request_response::Reason {
    use lk::request_response::Reason;
    match outcome {
        Outcome::Ok => Reason::Ok,
        Outcome::NotFound => Reason::NotFound,
        Outcome::NotAllowed | Outcome::EncryptionRequired => Reason::NotAllowed,
        Outcome::LimitExceeded => Reason::LimitExceeded,
        Outcome::Invalid => Reason::InvalidRequest,
        Outcome::InvalidHandle => Reason::InvalidHandle,
        Outcome::InvalidName => Reason::InvalidName,
        Outcome::DuplicateHandle => Reason::DuplicateHandle,
        Outcome::DuplicateName => Reason::DuplicateName,
    }
}

/// The outcome of a client's request; `message` says it to a person.
pub fn response(request_id: u32, outcome: Outcome, message: &str) -> Message {
    Message::RequestResponse(lk::RequestResponse {
        request_id,
        reason: reason(outcome).into(),
        message: message.to_owned(),
        ..lk::RequestResponse::default()
    })
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
