//! Rooms, participants, tracks as LiveKit writes them, for the WebSocket as for `RoomService`.

use livekit_protocol as lk;
use prost::Message as _;

use crate::model::media::{Codec, Encryption, MediaKind, Quality, TrackSource, VideoLayer};
use crate::room::notice::{DataTrackView, LeaveReason, ParticipantState, ParticipantView, Permission, RoomView, TrackView};

/// Codecs that clients may publish.
const PUBLISHABLE: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1];
/// RED (RFC 2198) has its own MIME type on the wire, though we count it as Opus.
const RED: &str = "audio/red";

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Codecs that clients may publish.
pub fn publish_codecs() -> Vec<lk::Codec> {
    let mimes = PUBLISHABLE.into_iter().map(Codec::mime).chain([RED]);
    mimes.map(|mime| lk::Codec { mime: mime.to_owned(), fmtp_line: String::new() }).collect()
}

/// A room.
pub fn room(view: &RoomView) -> lk::Room {
    lk::Room {
        sid: view.sid.to_string(),
        name: view.name.as_str().to_owned(),
        empty_timeout: view.empty_timeout_s,
        max_participants: view.max_participants,
        creation_time: signed(view.created_at_ms / 1000),
        creation_time_ms: signed(view.created_at_ms),
        enabled_codecs: publish_codecs(),
        metadata: view.metadata.clone(),
        num_participants: view.participants,
        num_publishers: view.publishers,
        ..lk::Room::default()
    }
}

/// A participant with its tracks.
pub fn participant(view: &ParticipantView) -> lk::ParticipantInfo {
    use lk::participant_info::State;
    let state = match view.state {
        ParticipantState::Joined => State::Joined,
        ParticipantState::Active => State::Active,
        ParticipantState::Disconnected => State::Disconnected,
    };
    lk::ParticipantInfo {
        sid: view.sid.to_string(),
        identity: view.identity.as_str().to_owned(),
        state: state.into(),
        tracks: view.tracks.iter().map(track).collect(),
        data_tracks: view.data_tracks.iter().map(data_track).collect(),
        metadata: view.metadata.clone(),
        joined_at: signed(view.joined_at_ms / 1000),
        joined_at_ms: signed(view.joined_at_ms),
        name: view.name.clone(),
        version: view.version,
        permission: Some(permission(&view.permission)),
        is_publisher: view.is_publisher,
        attributes: view.attributes.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        disconnect_reason: view.left.map_or(lk::DisconnectReason::UnknownReason, reason).into(),
        ..lk::ParticipantInfo::default()
    }
}

fn permission(view: &Permission) -> lk::ParticipantPermission {
    lk::ParticipantPermission {
        can_subscribe: view.subscribe,
        can_publish: view.publish,
        can_publish_data: view.publish_data,
        can_publish_sources: view.sources.iter().map(|from| source(*from).into()).collect(),
        hidden: view.hidden,
        can_update_metadata: view.update_metadata,
        ..lk::ParticipantPermission::default()
    }
}

/// A published track.
pub fn track(view: &TrackView) -> lk::TrackInfo {
    let mime = view.codec.map(Codec::mime).unwrap_or_default();
    let layers: Vec<lk::VideoLayer> = view.layers.iter().map(|one| layer(one, view.layers.len())).collect();
    let codecs = view.codec.map(|_| lk::SimulcastCodecInfo {
        mime_type: mime.to_owned(),
        mid: view.mid.clone(),
        cid: view.cid.clone(),
        layers: layers.clone(),
        video_layer_mode: layer_mode(view.kind).into(),
        ..lk::SimulcastCodecInfo::default()
    });
    let kind = match view.kind {
        MediaKind::Audio => lk::TrackType::Audio,
        MediaKind::Video => lk::TrackType::Video,
    };
    #[expect(deprecated)] // clients in the field still read these fields
    lk::TrackInfo {
        sid: view.sid.to_string(),
        r#type: kind.into(),
        name: view.name.clone(),
        muted: view.muted,
        width: view.width,
        height: view.height,
        simulcast: view.layers.len() > 1,
        disable_dtx: view.disable_dtx,
        source: source(view.source).into(),
        layers,
        mime_type: mime.to_owned(),
        mid: view.mid.clone(),
        codecs: codecs.into_iter().collect(),
        stereo: view.stereo,
        disable_red: view.disable_red,
        encryption: encryption(view.encryption).into(),
        stream: view.stream.clone(),
        audio_features: view.audio_features.clone(),
        ..lk::TrackInfo::default()
    }
}

/// A published data track.
pub fn data_track(view: &DataTrackView) -> lk::DataTrackInfo {
    // What cannot be read describes nothing.
    let typing = lk::DataTrackInfo::decode(view.typing.as_slice()).unwrap_or_default();
    lk::DataTrackInfo {
        pub_handle: view.handle.into(),
        sid: view.sid.to_string(),
        name: view.name.clone(),
        encryption: encryption(view.encryption).into(),
        frame_encoding: typing.frame_encoding,
        schema: typing.schema,
    }
}

fn encryption(declared: Encryption) -> lk::encryption::Type {
    match declared {
        Encryption::None => lk::encryption::Type::None,
        Encryption::Gcm => lk::encryption::Type::Gcm,
        Encryption::Custom => lk::encryption::Type::Custom,
    }
}

fn layer_mode(kind: MediaKind) -> lk::video_layer::Mode {
    match kind {
        MediaKind::Audio => lk::video_layer::Mode::Unused,
        MediaKind::Video => lk::video_layer::Mode::OneSpatialLayerPerStream,
    }
}

fn layer(layer: &VideoLayer, of: usize) -> lk::VideoLayer {
    let (quality, rid) = match layer.quality {
        Quality::Low => (lk::VideoQuality::Low, "q"),
        Quality::Medium => (lk::VideoQuality::Medium, "h"),
        Quality::High => (lk::VideoQuality::High, "f"),
    };
    lk::VideoLayer {
        quality: quality.into(),
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate,
        // A single stream has no rid (RFC 8853 §5).
        rid: if of > 1 { rid.to_owned() } else { String::new() },
        ..lk::VideoLayer::default()
    }
}

fn source(from: TrackSource) -> lk::TrackSource {
    match from {
        TrackSource::Unknown => lk::TrackSource::Unknown,
        TrackSource::Camera => lk::TrackSource::Camera,
        TrackSource::Microphone => lk::TrackSource::Microphone,
        TrackSource::ScreenShare => lk::TrackSource::ScreenShare,
        TrackSource::ScreenShareAudio => lk::TrackSource::ScreenShareAudio,
    }
}

/// Why a session ended.
pub fn reason(why: LeaveReason) -> lk::DisconnectReason {
    match why {
        LeaveReason::ClientInitiated => lk::DisconnectReason::ClientInitiated,
        LeaveReason::DuplicateIdentity => lk::DisconnectReason::DuplicateIdentity,
        LeaveReason::ServerShutdown => lk::DisconnectReason::ServerShutdown,
        LeaveReason::Removed => lk::DisconnectReason::ParticipantRemoved,
        LeaveReason::RoomDeleted => lk::DisconnectReason::RoomDeleted,
        LeaveReason::StateMismatch => lk::DisconnectReason::StateMismatch,
        LeaveReason::JoinFailure => lk::DisconnectReason::JoinFailure,
        LeaveReason::SignalClosed => lk::DisconnectReason::SignalClose,
        LeaveReason::MediaFailure => lk::DisconnectReason::MediaFailure,
    }
}
