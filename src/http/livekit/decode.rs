//! LiveKit's requests as the room's signals.

use std::collections::{BTreeMap, HashMap};

use livekit_protocol as lk;
use lk::signal_request::Message;
use prost::Message as _;

use crate::model::ids::{Identity, Sid};
use crate::model::media::{Codec, Encryption, MediaKind, Quality, TrackSettings, TrackSource, VideoLayer};
use crate::room::command::{AddTrack, Leg, PublishData, Scenario, Signal, SubscriptionRule, SubscriptionRules, SyncState};

/// Largest message on the WebSocket in bytes.
pub const MESSAGE_MAX: usize = 256 * 1024;
/// Longest SDP in bytes.
pub const SDP_MAX: usize = 64 * 1024;
/// Longest candidate in bytes, with the JSON around it.
pub const CANDIDATE_MAX: usize = 2 * 1024;
/// Longest id or name of a track in bytes.
pub const TEXT_MAX: usize = 256;
/// Most track ids in one message.
pub const SIDS_MAX: usize = 1024;
/// Most rules in one subscription permission.
pub const RULES_MAX: usize = 256;
/// Most layers of one codec and codecs of one track.
pub const LAYERS_MAX: usize = 8;
/// Most tracks that come with a join.
pub const ADD_TRACKS_MAX: usize = 16;
/// Longest metadata, and longest attributes together, in bytes.
pub const METADATA_MAX: usize = 16 * 1024;
/// Most attributes in one message.
pub const ATTRIBUTES_MAX: usize = 64;

/// What a message means.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// Something for the room.
    Signal(Signal),
    /// A ping of the old kind, answered with the server's time.
    Ping,
    /// A ping that carries the client's time in milliseconds since 1970.
    PingRequest(i64),
    /// Something that this server has no use for.
    Ignored,
}

/// Why a message cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// It is not what it should be: the connection is of no use.
    #[error("this is not a SignalRequest")]
    Garbage,
    /// It is longer than it may be.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// It makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Reads a binary message. Total: any bytes give a meaning or an error, in bounded memory.
///
/// # Errors
/// If the bytes are no `SignalRequest`, or something in it is longer than allowed.
pub fn decode_signal(bytes: &[u8]) -> Result<Incoming, SignalError> {
    incoming(lk::SignalRequest::decode(bytes).map_err(|_| SignalError::Garbage)?)
}

/// Reads a text message: protobuf's JSON.
///
/// # Errors
/// As [`decode_signal`].
pub fn decode_signal_json(text: &str) -> Result<Incoming, SignalError> {
    incoming(serde_json::from_str(text).map_err(|_| SignalError::Garbage)?)
}

fn incoming(request: lk::SignalRequest) -> Result<Incoming, SignalError> {
    let signal = match request.message {
        Some(Message::Offer(offer)) => description(offer).map(|(sdp, id)| Signal::Offer { sdp, id })?,
        Some(Message::Answer(answer)) => description(answer).map(|(sdp, id)| Signal::Answer { sdp, id })?,
        Some(Message::Trickle(trickle)) => candidate(&trickle)?,
        Some(Message::AddTrack(request)) => Signal::AddTrack(add_track(request)?),
        Some(Message::Mute(mute)) => Signal::Mute { track: sid(&mute.sid)?, muted: mute.muted },
        Some(Message::Subscription(update)) => Signal::Subscription { subscribe: update.subscribe, tracks: subscription(&update)? },
        Some(Message::TrackSetting(settings)) => {
            Signal::Settings { tracks: sids(&settings.track_sids)?, settings: track_settings(&settings) }
        }
        Some(Message::SubscriptionPermission(permission)) => Signal::SubscriptionPermission(rules(&permission)?),
        Some(Message::SyncState(state)) => Signal::SyncState(sync_state(&state)?),
        Some(Message::UpdateMetadata(update)) => update_metadata(update)?,
        Some(Message::PublishDataTrackRequest(request)) => Signal::PublishData(publish_data(request)),
        Some(Message::UnpublishDataTrackRequest(request)) => Signal::UnpublishData { handle: request.pub_handle },
        Some(Message::UpdateDataSubscription(update)) => Signal::DataSubscription(data_subscription(&update)?),
        Some(Message::Leave(_)) => Signal::Leave,
        Some(Message::Simulate(scenario)) => Signal::Simulate(simulation(scenario)),
        Some(Message::Ping(_)) => return Ok(Incoming::Ping),
        Some(Message::PingReq(ping)) => return Ok(Incoming::PingRequest(ping.timestamp)),
        _ => return Ok(Incoming::Ignored),
    };
    Ok(Incoming::Signal(signal))
}

/// The text and number of a session description.
pub(super) fn description(description: lk::SessionDescription) -> Result<(String, u32), SignalError> {
    bounded(&description.sdp, SDP_MAX, "the SDP")?;
    Ok((description.sdp, description.id))
}

fn bounded(text: &str, max: usize, what: &'static str) -> Result<(), SignalError> {
    if text.len() <= max { Ok(()) } else { Err(SignalError::TooLong(what)) }
}

fn few<T>(list: &[T], max: usize, what: &'static str) -> Result<(), SignalError> {
    if list.len() <= max { Ok(()) } else { Err(SignalError::TooLong(what)) }
}

fn sid(text: &str) -> Result<Sid, SignalError> {
    bounded(text, TEXT_MAX, "an id")?;
    Ok(Sid::from_client(text))
}

fn sids(texts: &[String]) -> Result<Vec<Sid>, SignalError> {
    few(texts, SIDS_MAX, "the list of tracks")?;
    texts.iter().map(|text| sid(text)).collect()
}

/// A candidate as browsers write it (`RTCIceCandidateInit`); absent text means the end of candidates.
#[derive(serde::Deserialize)]
struct CandidateInit {
    candidate: Option<String>,
}

fn candidate(trickle: &lk::TrickleRequest) -> Result<Signal, SignalError> {
    bounded(&trickle.candidate_init, CANDIDATE_MAX, "the candidate")?;
    let leg = if trickle.target() == lk::SignalTarget::Subscriber { Leg::Subscriber } else { Leg::Publisher };
    if trickle.r#final && trickle.candidate_init.is_empty() {
        return Ok(Signal::Trickle { leg, candidate: String::new() });
    }
    let init: CandidateInit =
        serde_json::from_str(&trickle.candidate_init).map_err(|_| SignalError::Invalid("the candidate is not JSON"))?;
    Ok(Signal::Trickle { leg, candidate: init.candidate.unwrap_or_default() })
}

/// A track to be published.
pub(super) fn add_track(request: lk::AddTrackRequest) -> Result<AddTrack, SignalError> {
    for (text, what) in [(&request.cid, "the track's cid"), (&request.name, "the track's name"), (&request.stream, "the track's stream")] {
        bounded(text, TEXT_MAX, what)?;
    }
    let kind = match request.r#type() {
        lk::TrackType::Audio => MediaKind::Audio,
        lk::TrackType::Video => MediaKind::Video,
        lk::TrackType::Data => return Err(SignalError::Invalid("only audio and video tracks can be published")),
    };
    let source = track_source(request.source());
    let encryption = encryption(request.encryption());
    few(&request.simulcast_codecs, LAYERS_MAX, "the list of codecs")?;
    few(&request.audio_features, LAYERS_MAX, "the list of audio features")?;
    let mut layers = video_layers(&request.layers)?;
    let mut codecs = Vec::new();
    for codec in &request.simulcast_codecs {
        bounded(&codec.cid, TEXT_MAX, "a codec's cid")?;
        let own = video_layers(&codec.layers)?;
        if layers.is_empty() {
            layers = own;
        }
        codecs.push((Codec::from_mime(&codec.codec), codec.cid.clone()));
    }
    #[expect(deprecated)] // older clients say it here, newer ones in the audio features
    let (disable_dtx, stereo) = (request.disable_dtx, request.stereo);
    let has = |feature: lk::AudioTrackFeature| request.audio_features.contains(&(feature as i32));
    Ok(AddTrack {
        kind,
        source,
        encryption,
        layers,
        codecs,
        width: request.width,
        height: request.height,
        muted: request.muted,
        disable_red: request.disable_red,
        disable_dtx: disable_dtx || has(lk::AudioTrackFeature::TfNoDtx),
        stereo: stereo || has(lk::AudioTrackFeature::TfStereo),
        cid: request.cid,
        name: request.name,
        stream: request.stream,
        audio_features: request.audio_features,
    })
}

/// A data track to be published. The room checks it, so that the refusal names it.
fn publish_data(request: lk::PublishDataTrackRequest) -> PublishData {
    let encryption = encryption(request.encryption());
    let typing = lk::DataTrackInfo { frame_encoding: request.frame_encoding, schema: request.schema, ..lk::DataTrackInfo::default() }
        .encode_to_vec();
    PublishData { handle: request.pub_handle, name: request.name, encryption, typing }
}

fn data_subscription(update: &lk::UpdateDataSubscription) -> Result<Vec<(Sid, bool)>, SignalError> {
    few(&update.updates, SIDS_MAX, "the list of data tracks")?;
    update.updates.iter().map(|update| Ok((sid(&update.track_sid)?, update.subscribe))).collect()
}

/// What a track shows.
pub fn track_source(source: lk::TrackSource) -> TrackSource {
    match source {
        lk::TrackSource::Unknown => TrackSource::Unknown,
        lk::TrackSource::Camera => TrackSource::Camera,
        lk::TrackSource::Microphone => TrackSource::Microphone,
        lk::TrackSource::ScreenShare => TrackSource::ScreenShare,
        lk::TrackSource::ScreenShareAudio => TrackSource::ScreenShareAudio,
    }
}

fn encryption(kind: lk::encryption::Type) -> Encryption {
    match kind {
        lk::encryption::Type::None => Encryption::None,
        lk::encryption::Type::Gcm => Encryption::Gcm,
        lk::encryption::Type::Custom => Encryption::Custom,
    }
}

fn quality(quality: lk::VideoQuality) -> Option<Quality> {
    match quality {
        lk::VideoQuality::Low => Some(Quality::Low),
        lk::VideoQuality::Medium => Some(Quality::Medium),
        lk::VideoQuality::High => Some(Quality::High),
        lk::VideoQuality::Off => None,
    }
}

fn video_layers(layers: &[lk::VideoLayer]) -> Result<Vec<VideoLayer>, SignalError> {
    few(layers, LAYERS_MAX, "the list of layers")?;
    let layer = |layer: &lk::VideoLayer| {
        let quality = quality(layer.quality())?;
        Some(VideoLayer { quality, width: layer.width, height: layer.height, bitrate: layer.bitrate })
    };
    Ok(layers.iter().filter_map(layer).collect())
}

fn subscription(update: &lk::UpdateSubscription) -> Result<Vec<Sid>, SignalError> {
    let all = update.track_sids.iter().chain(update.participant_tracks.iter().flat_map(|tracks| &tracks.track_sids));
    // One more than allowed is enough to be refused.
    let texts: Vec<String> = all.take(SIDS_MAX + 1).cloned().collect();
    sids(&texts)
}

fn track_settings(update: &lk::UpdateTrackSettings) -> TrackSettings {
    let wanted = update.quality();
    TrackSettings {
        disabled: update.disabled || (update.width == 0 && wanted == lk::VideoQuality::Off),
        // A client asks by size or by quality; by size, the quality field is just its default.
        quality: if update.width == 0 { quality(wanted) } else { None },
        width: update.width,
        height: update.height,
        fps: update.fps,
        priority: update.priority,
    }
}

fn rules(permission: &lk::SubscriptionPermission) -> Result<SubscriptionRules, SignalError> {
    few(&permission.track_permissions, RULES_MAX, "the list of permissions")?;
    let rule = |rule: &lk::TrackPermission| {
        let participant = if rule.participant_sid.is_empty() { None } else { Some(sid(&rule.participant_sid)?) };
        let identity = match rule.participant_identity.as_str() {
            "" => None,
            text => Some(Identity::new(text).map_err(|_| SignalError::Invalid("an identity in the permissions is invalid"))?),
        };
        Ok(SubscriptionRule { participant, identity, all_tracks: rule.all_tracks, tracks: sids(&rule.track_sids)? })
    };
    let rules = permission.track_permissions.iter().map(rule).collect::<Result<_, SignalError>>()?;
    Ok(SubscriptionRules { all: permission.all_participants, rules })
}

/// What a client says it has when it resumes.
pub(super) fn sync_state(state: &lk::SyncState) -> Result<SyncState, SignalError> {
    let update = state.subscription.as_ref();
    few(&state.publish_tracks, SIDS_MAX, "the list of published tracks")?;
    let published = state.publish_tracks.iter().filter_map(|published| published.track.as_ref()).map(|track| sid(&track.sid));
    Ok(SyncState {
        tracks: update.map(subscription).transpose()?.unwrap_or_default(),
        subscribe: update.is_some_and(|update| update.subscribe),
        disabled: sids(&state.track_sids_disabled)?,
        published: published.collect::<Result<_, _>>()?,
    })
}

fn update_metadata(update: lk::UpdateParticipantMetadata) -> Result<Signal, SignalError> {
    bounded(&update.name, TEXT_MAX, "the name")?;
    bounded(&update.metadata, METADATA_MAX, "the metadata")?;
    Ok(Signal::UpdateMetadata {
        request_id: update.request_id,
        metadata: update.metadata,
        name: update.name,
        attributes: attributes(update.attributes)?,
    })
}

/// Attributes in order, within the bounds.
pub(super) fn attributes(attributes: HashMap<String, String>) -> Result<BTreeMap<String, String>, SignalError> {
    let bytes: usize = attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
    if attributes.len() > ATTRIBUTES_MAX || bytes > METADATA_MAX {
        return Err(SignalError::TooLong("the attributes' list"));
    }
    Ok(attributes.into_iter().collect())
}

fn simulation(scenario: lk::SimulateScenario) -> Scenario {
    use lk::simulate_scenario::Scenario as Wire;
    match scenario.scenario {
        Some(Wire::DisconnectSignalOnResume(_) | Wire::DisconnectSignalOnResumeNoMessages(_)) => Scenario::SignalReconnect,
        Some(Wire::LeaveRequestFullReconnect(_) | Wire::NodeFailure(_)) => Scenario::FullReconnect,
        Some(Wire::Migration(_)) => Scenario::Resume,
        Some(Wire::ServerLeave(_)) => Scenario::ServerLeave,
        _ => Scenario::Other,
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
