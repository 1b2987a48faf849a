//! A message on the signalling WebSocket, binary or text.

use konsil::http::livekit::decode::{ATTRIBUTES_MAX, LAYERS_MAX, METADATA_MAX, RULES_MAX, SDP_MAX, SIDS_MAX, TEXT_MAX};
use konsil::http::livekit::{Incoming, decode_signal, decode_signal_json};
use konsil::room::command::{AddTrack, Signal};

pub fn run(input: &[u8]) {
    if let Ok(Incoming::Signal(signal)) = decode_signal(input) {
        bounded(&signal);
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(Incoming::Signal(signal)) = decode_signal_json(text)
    {
        bounded(&signal);
    }
}

/// What comes through is as small as promised.
fn bounded(signal: &Signal) {
    match signal {
        Signal::Offer { sdp, .. } | Signal::Answer { sdp, .. } => assert!(sdp.len() <= SDP_MAX),
        Signal::AddTrack(add) => track(add),
        Signal::Subscription { tracks, .. } | Signal::Settings { tracks, .. } => {
            assert!(tracks.len() <= SIDS_MAX && tracks.iter().all(|sid| sid.as_str().len() <= TEXT_MAX));
        }
        Signal::SubscriptionPermission(rules) => {
            assert!(rules.rules.len() <= RULES_MAX && rules.rules.iter().all(|rule| rule.tracks.len() <= SIDS_MAX));
        }
        Signal::SyncState(state) => {
            assert!([&state.tracks, &state.disabled, &state.published].iter().all(|sids| sids.len() <= SIDS_MAX));
        }
        Signal::UpdateMetadata { metadata, name, attributes, .. } => {
            assert!(metadata.len() <= METADATA_MAX && name.len() <= TEXT_MAX && attributes.len() <= ATTRIBUTES_MAX);
        }
        Signal::DataSubscription(updates) => {
            assert!(updates.len() <= SIDS_MAX && updates.iter().all(|(sid, _)| sid.as_str().len() <= TEXT_MAX));
        }
        // The room bounds data tracks, so that its refusal can name them.
        Signal::PublishData(_)
        | Signal::UnpublishData { .. }
        | Signal::Trickle { .. }
        | Signal::Mute { .. }
        | Signal::Leave
        | Signal::Simulate(_) => {}
        Signal::ToPartner { .. } | Signal::AskPartner => panic!("LiveKit has no word for it"),
    }
}

pub fn track(add: &AddTrack) {
    assert!([&add.cid, &add.name, &add.stream].iter().all(|text| text.len() <= TEXT_MAX));
    assert!(add.layers.len() <= LAYERS_MAX && add.codecs.len() <= LAYERS_MAX && add.audio_features.len() <= LAYERS_MAX);
}
