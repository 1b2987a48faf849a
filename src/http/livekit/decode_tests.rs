//! Requests on real protobuf bytes.

use super::*;

fn decoded(message: Message) -> Result<Incoming, SignalError> {
    let request = lk::SignalRequest { message: Some(message) };
    let binary = decode_signal(&request.encode_to_vec());
    assert_eq!(decode_signal_json(&serde_json::to_string(&request).unwrap()), binary);
    binary
}

fn signal(message: Message) -> Signal {
    match decoded(message) {
        Ok(Incoming::Signal(signal)) => signal,
        other => panic!("{other:?}"),
    }
}

fn sdp(len: usize) -> lk::SessionDescription {
    lk::SessionDescription { r#type: "offer".into(), sdp: "v".repeat(len), id: 7, ..Default::default() }
}

#[test]
fn descriptions_keep_their_number_within_the_bound() {
    assert_eq!(signal(Message::Offer(sdp(3))), Signal::Offer { sdp: "vvv".into(), id: 7 });
    assert_eq!(signal(Message::Answer(sdp(SDP_MAX))), Signal::Answer { sdp: "v".repeat(SDP_MAX), id: 7 });
    assert_eq!(decoded(Message::Offer(sdp(SDP_MAX + 1))), Err(SignalError::TooLong("the SDP")));
}

#[test]
fn candidates_come_as_json() {
    let trickle = |init: &str, target| Message::Trickle(lk::TrickleRequest { candidate_init: init.into(), target, r#final: false });
    let init = r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host","sdpMid":"0","sdpMLineIndex":0}"#;
    let candidate = "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned();
    assert_eq!(signal(trickle(init, 0)), Signal::Trickle { leg: Leg::Publisher, candidate });
    assert_eq!(signal(trickle(r#"{"candidate":""}"#, 1)), Signal::Trickle { leg: Leg::Subscriber, candidate: String::new() });
    assert!(matches!(decoded(trickle("no json", 0)), Err(SignalError::Invalid(_))));
    assert_eq!(decoded(trickle(&" ".repeat(CANDIDATE_MAX + 1), 0)), Err(SignalError::TooLong("the candidate")));
    let last = lk::TrickleRequest { r#final: true, ..Default::default() };
    assert_eq!(signal(Message::Trickle(last)), Signal::Trickle { leg: Leg::Publisher, candidate: String::new() });
}

#[test]
fn data_tracks_come_with_what_is_said_of_their_frames() {
    use lk::data_track_frame_encoding::Value;
    let typing = lk::DataTrackFrameEncoding { value: Some(Value::Custom("pulse".into())) };
    let request = lk::PublishDataTrackRequest {
        pub_handle: 70_000,
        name: "pulse".into(),
        encryption: lk::encryption::Type::Gcm.into(),
        frame_encoding: Some(typing.clone()),
        schema: None,
    };
    let Signal::PublishData(track) = signal(Message::PublishDataTrackRequest(request)) else { panic!() };
    assert_eq!((track.handle, track.name.as_str(), track.encryption), (70_000, "pulse", Encryption::Gcm), "the room refuses it by name");
    assert_eq!(lk::DataTrackInfo::decode(track.typing.as_slice()).unwrap().frame_encoding, Some(typing));
    let request = Message::UnpublishDataTrackRequest(lk::UnpublishDataTrackRequest { pub_handle: 7 });
    assert_eq!(signal(request), Signal::UnpublishData { handle: 7 });
    let update = |sid: &str, subscribe| lk::update_data_subscription::Update { track_sid: sid.into(), subscribe, options: None };
    let updates = |updates| Message::UpdateDataSubscription(lk::UpdateDataSubscription { updates });
    let expected = vec![(Sid::from_client("DTR_1"), true), (Sid::from_client("DTR_2"), false)];
    assert_eq!(signal(updates(vec![update("DTR_1", true), update("DTR_2", false)])), Signal::DataSubscription(expected));
    let many = vec![update("DTR_1", true); SIDS_MAX + 1];
    assert_eq!(decoded(updates(many)), Err(SignalError::TooLong("the list of data tracks")));
    assert_eq!(decoded(updates(vec![update(&"x".repeat(TEXT_MAX + 1), true)])), Err(SignalError::TooLong("an id")));
}

fn camera() -> lk::AddTrackRequest {
    let layer =
        |quality: lk::VideoQuality, width| lk::VideoLayer { quality: quality.into(), width, height: 90, bitrate: 5, ..Default::default() };
    lk::AddTrackRequest {
        cid: "cid".into(),
        name: "cam".into(),
        r#type: lk::TrackType::Video.into(),
        source: lk::TrackSource::Camera.into(),
        layers: vec![layer(lk::VideoQuality::Low, 160), layer(lk::VideoQuality::Off, 0), layer(lk::VideoQuality::High, 640)],
        simulcast_codecs: vec![lk::SimulcastCodec { codec: "vp8".into(), cid: "cid".into(), ..Default::default() }],
        encryption: lk::encryption::Type::Gcm.into(),
        ..Default::default()
    }
}

#[test]
fn tracks_are_read_with_layers_and_codecs() {
    let Signal::AddTrack(track) = signal(Message::AddTrack(camera())) else { panic!() };
    assert_eq!((track.kind, track.source, track.encryption), (MediaKind::Video, TrackSource::Camera, Encryption::Gcm));
    assert_eq!(track.codecs, [(Some(Codec::Vp8), "cid".to_owned())]);
    let layers: Vec<_> = track.layers.iter().map(|layer| (layer.quality, layer.width)).collect();
    assert_eq!(layers, [(Quality::Low, 160), (Quality::High, 640)]);
}

#[test]
fn audio_features_stand_for_older_fields() {
    let features = vec![lk::AudioTrackFeature::TfStereo.into(), lk::AudioTrackFeature::TfNoDtx.into()];
    let request = lk::AddTrackRequest { cid: "c".into(), audio_features: features.clone(), ..Default::default() };
    let Signal::AddTrack(track) = signal(Message::AddTrack(request)) else { panic!() };
    assert_eq!((track.kind, track.stereo, track.disable_dtx, track.audio_features), (MediaKind::Audio, true, true, features));
}

#[test]
fn oversized_tracks_are_refused() {
    let long = lk::AddTrackRequest { cid: "c".repeat(TEXT_MAX + 1), ..camera() };
    assert_eq!(decoded(Message::AddTrack(long)), Err(SignalError::TooLong("the track's cid")));
    let layers = lk::AddTrackRequest { layers: vec![lk::VideoLayer::default(); LAYERS_MAX + 1], ..camera() };
    assert_eq!(decoded(Message::AddTrack(layers)), Err(SignalError::TooLong("the list of layers")));
    let data = lk::AddTrackRequest { r#type: lk::TrackType::Data.into(), ..camera() };
    assert!(matches!(decoded(Message::AddTrack(data)), Err(SignalError::Invalid(_))));
}

#[test]
fn subscriptions_gather_both_lists() {
    let mut update = lk::UpdateSubscription {
        track_sids: vec!["TR_1".into()],
        subscribe: true,
        participant_tracks: vec![lk::ParticipantTracks { participant_sid: "PA_1".into(), track_sids: vec!["TR_2".into()] }],
    };
    let tracks = vec![Sid::from_client("TR_1"), Sid::from_client("TR_2")];
    assert_eq!(signal(Message::Subscription(update.clone())), Signal::Subscription { tracks, subscribe: true });
    update.track_sids = vec!["TR".into(); SIDS_MAX];
    assert_eq!(decoded(Message::Subscription(update)), Err(SignalError::TooLong("the list of tracks")));
}

#[test]
fn settings_go_by_size_or_by_quality() {
    let settings = |update: lk::UpdateTrackSettings| match signal(Message::TrackSetting(update)) {
        Signal::Settings { settings, .. } => settings,
        other => panic!("{other:?}"),
    };
    let by_size = settings(lk::UpdateTrackSettings { width: 320, height: 180, ..Default::default() });
    assert_eq!((by_size.quality, by_size.width, by_size.disabled), (None, 320, false));
    let by_quality = settings(lk::UpdateTrackSettings { quality: lk::VideoQuality::High.into(), fps: 15, ..Default::default() });
    assert_eq!((by_quality.quality, by_quality.fps), (Some(Quality::High), 15));
    assert!(settings(lk::UpdateTrackSettings { quality: lk::VideoQuality::Off.into(), ..Default::default() }).disabled);
}

#[test]
fn permissions_name_participants_either_way() {
    let by_sid = lk::TrackPermission { participant_sid: "PA_1".into(), all_tracks: true, ..Default::default() };
    let by_identity = lk::TrackPermission { participant_identity: "i".into(), track_sids: vec!["TR_1".into()], ..Default::default() };
    let permission = lk::SubscriptionPermission { all_participants: false, track_permissions: vec![by_sid, by_identity] };
    let Signal::SubscriptionPermission(rules) = signal(Message::SubscriptionPermission(permission)) else { panic!() };
    assert_eq!(rules.rules[0].participant, Some(Sid::from_client("PA_1")));
    assert_eq!((rules.rules[0].identity.clone(), rules.rules[0].all_tracks), (None, true));
    assert_eq!(rules.rules[1].identity, Identity::new("i").ok());
    assert_eq!(rules.rules[1].tracks, [Sid::from_client("TR_1")]);
    let many =
        lk::SubscriptionPermission { all_participants: true, track_permissions: vec![lk::TrackPermission::default(); RULES_MAX + 1] };
    assert_eq!(decoded(Message::SubscriptionPermission(many)), Err(SignalError::TooLong("the list of permissions")));
}

#[test]
fn sync_state_says_what_the_client_has() {
    let published =
        |sid: &str| lk::TrackPublishedResponse { cid: "c".into(), track: Some(lk::TrackInfo { sid: sid.into(), ..Default::default() }) };
    let state = lk::SyncState {
        subscription: Some(lk::UpdateSubscription { track_sids: vec!["TR_1".into()], ..Default::default() }),
        publish_tracks: vec![published("TR_2")],
        track_sids_disabled: vec!["TR_3".into()],
        ..Default::default()
    };
    let sids = |text: &str| vec![Sid::from_client(text)];
    let expected = SyncState { tracks: sids("TR_1"), subscribe: false, disabled: sids("TR_3"), published: sids("TR_2") };
    assert_eq!(signal(Message::SyncState(state)), Signal::SyncState(expected));
}

#[test]
fn metadata_is_bounded() {
    let update = lk::UpdateParticipantMetadata {
        metadata: "m".into(),
        attributes: HashMap::from([("k".into(), "v".into())]),
        request_id: 3,
        ..Default::default()
    };
    let expected = Signal::UpdateMetadata {
        request_id: 3,
        metadata: "m".into(),
        name: String::new(),
        attributes: BTreeMap::from([("k".into(), "v".into())]),
    };
    assert_eq!(signal(Message::UpdateMetadata(update.clone())), expected);
    let long = lk::UpdateParticipantMetadata { metadata: "m".repeat(METADATA_MAX + 1), ..update.clone() };
    assert_eq!(decoded(Message::UpdateMetadata(long)), Err(SignalError::TooLong("the metadata")));
    let attributes = (0..=ATTRIBUTES_MAX).map(|number| (number.to_string(), String::new())).collect();
    let many = lk::UpdateParticipantMetadata { attributes, ..update };
    assert_eq!(decoded(Message::UpdateMetadata(many)), Err(SignalError::TooLong("the attributes' list")));
}

#[test]
fn small_messages_have_their_meaning() {
    use lk::simulate_scenario::Scenario as Wire;
    let simulate = |scenario| Message::Simulate(lk::SimulateScenario { scenario: Some(scenario) });
    assert_eq!(signal(Message::Leave(lk::LeaveRequest::default())), Signal::Leave);
    let mute = lk::MuteTrackRequest { sid: "TR_1".into(), muted: true };
    assert_eq!(signal(Message::Mute(mute)), Signal::Mute { track: Sid::from_client("TR_1"), muted: true });
    assert_eq!(signal(simulate(Wire::DisconnectSignalOnResume(true))), Signal::Simulate(Scenario::SignalReconnect));
    assert_eq!(signal(simulate(Wire::LeaveRequestFullReconnect(true))), Signal::Simulate(Scenario::FullReconnect));
    assert_eq!(signal(simulate(Wire::Migration(true))), Signal::Simulate(Scenario::Resume));
    assert_eq!(signal(simulate(Wire::ServerLeave(true))), Signal::Simulate(Scenario::ServerLeave));
    assert_eq!(signal(simulate(Wire::SpeakerUpdate(3))), Signal::Simulate(Scenario::Other));
}

#[test]
fn pings_are_told_apart_from_unknown_messages() {
    assert_eq!(decoded(Message::Ping(5)), Ok(Incoming::Ping));
    assert_eq!(decoded(Message::PingReq(lk::Ping { timestamp: 5, rtt: 1 })), Ok(Incoming::PingRequest(5)));
    assert_eq!(decoded(Message::UpdateAudioTrack(lk::UpdateLocalAudioTrack::default())), Ok(Incoming::Ignored));
    // Field 1000, length 0: a message of the future.
    assert_eq!(decode_signal(&[0xc2, 0x3e, 0x00]), Ok(Incoming::Ignored));
    assert_eq!(decode_signal(&[]), Ok(Incoming::Ignored));
}

#[test]
fn garbage_is_an_error() {
    assert_eq!(decode_signal(&[0xff; 32]), Err(SignalError::Garbage));
    assert_eq!(decode_signal_json("{"), Err(SignalError::Garbage));
    assert_eq!(decode_signal_json(r#"{"offer":1}"#), Err(SignalError::Garbage));
}
