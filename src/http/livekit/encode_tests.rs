//! Responses as clients read them back.

use std::collections::BTreeMap;

use prost::Message as _;

use super::*;
use crate::model::ids::{Identity, RoomName, Sid};
use crate::model::media::{Codec, Encryption, MediaKind, Quality, TrackSource, VideoLayer};
use crate::room::notice::{DataTrackView, ParticipantState, ParticipantView, Permission, RoomView, TrackView};

fn read_back(notice: Notice) -> Message {
    let bytes =
        lk::SignalResponse { message: encode(notice, About { sif_trailer: b"trailer".to_vec(), ..About::default() }) }.encode_to_vec();
    lk::SignalResponse::decode(bytes.as_slice()).unwrap().message.unwrap()
}

fn room() -> RoomView {
    RoomView {
        sid: Sid::from_client("RM_1"),
        name: RoomName::new("r").unwrap(),
        mode: crate::model::record::RoomMode::Sfu,
        hide_addresses: false,
        require_encryption: true,
        max_participants: 9,
        empty_timeout_s: 300,
        created_at_ms: 1_700_000_000_123,
        door: crate::room::DoorRules::default(),
        locked: false,
        metadata: "m".into(),
        participants: 2,
        publishers: 1,
    }
}

fn camera() -> TrackView {
    let layer = |quality, width| VideoLayer { quality, width, height: width / 2, bitrate: 1 };
    TrackView {
        sid: Sid::from_client("TR_1"),
        kind: MediaKind::Video,
        name: "cam".into(),
        muted: true,
        width: 640,
        height: 320,
        source: TrackSource::Camera,
        layers: vec![layer(Quality::Low, 320), layer(Quality::High, 640)],
        codec: Some(Codec::Vp8),
        mid: "3".into(),
        cid: "cid".into(),
        encryption: Encryption::Gcm,
        stream: "camera".into(),
        disable_red: false,
        disable_dtx: false,
        stereo: false,
        audio_features: vec![],
    }
}

fn participant() -> ParticipantView {
    ParticipantView {
        sid: Sid::from_client("PA_1"),
        identity: Identity::new("i").unwrap(),
        name: "n".into(),
        state: ParticipantState::Disconnected,
        left: Some(LeaveReason::Removed),
        tracks: vec![camera()],
        data_tracks: Vec::new(),
        metadata: String::new(),
        attributes: BTreeMap::from([("k".into(), "v".into())]),
        joined_at_ms: 1_700_000_000_123,
        version: 4,
        permission: Permission {
            subscribe: true,
            publish: false,
            publish_data: true,
            sources: vec![TrackSource::Microphone],
            hidden: false,
            update_metadata: true,
        },
        is_publisher: true,
    }
}

#[test]
fn join_tells_everything_a_client_needs() {
    let joined =
        |layout| Notice::Joined(Box::new(Joined { room: room(), participant: participant(), others: vec![participant()], layout }));
    let Message::Join(join) = read_back(joined(Layout::Dual)) else { panic!() };
    assert!(join.subscriber_primary);
    assert_eq!((join.ping_interval, join.ping_timeout), (5, 15));
    assert_eq!(join.sif_trailer, b"trailer");
    let info = join.server_info.unwrap();
    assert_eq!((info.protocol, info.edition()), (16, lk::server_info::Edition::Standard));
    assert!(!info.version.is_empty());
    let mimes: Vec<_> = join.enabled_publish_codecs.iter().map(|codec| codec.mime.as_str()).collect();
    assert_eq!(mimes, ["audio/opus", "video/VP8", "video/H264", "video/VP9", "video/AV1", "audio/red"]);
    let room = join.room.unwrap();
    assert_eq!((room.sid.as_str(), room.creation_time, room.creation_time_ms), ("RM_1", 1_700_000_000, 1_700_000_000_123));
    assert_eq!((room.num_participants, room.num_publishers, room.max_participants), (2, 1, 9));
    assert_eq!(join.other_participants.len(), 1);
    let Message::Join(join) = read_back(joined(Layout::Single)) else { panic!() };
    assert!(!join.subscriber_primary);
}

#[test]
fn participants_come_with_permission_and_reason() {
    let Message::Update(update) = read_back(Notice::Participants(vec![participant()])) else { panic!() };
    let info = &update.participants[0];
    assert_eq!(info.state(), lk::participant_info::State::Disconnected);
    assert_eq!(info.disconnect_reason(), lk::DisconnectReason::ParticipantRemoved);
    assert_eq!((info.joined_at, info.joined_at_ms, info.version), (1_700_000_000, 1_700_000_000_123, 4));
    let permission = info.permission.as_ref().unwrap();
    assert!(permission.can_subscribe && !permission.can_publish && permission.can_publish_data && permission.can_update_metadata);
    assert_eq!(permission.can_publish_sources, [lk::TrackSource::Microphone as i32]);
    assert_eq!(info.attributes["k"], "v");
}

#[test]
#[expect(deprecated)] // clients in the field still read these fields
fn tracks_say_their_layers_twice() {
    let Message::TrackPublished(published) = read_back(Notice::TrackPublished { cid: "cid".into(), track: camera() }) else { panic!() };
    let track = published.track.unwrap();
    assert!(track.simulcast && track.muted);
    assert_eq!((track.mime_type.as_str(), track.mid.as_str(), track.stream.as_str()), ("video/VP8", "3", "camera"));
    assert_eq!((track.r#type(), track.encryption()), (lk::TrackType::Video, lk::encryption::Type::Gcm));
    let rids: Vec<_> = track.layers.iter().map(|layer| (layer.rid.as_str(), layer.quality())).collect();
    assert_eq!(rids, [("q", lk::VideoQuality::Low), ("f", lk::VideoQuality::High)]);
    assert_eq!(track.codecs[0].layers, track.layers);
    assert_eq!((track.codecs[0].cid.as_str(), track.codecs[0].mime_type.as_str()), ("cid", "video/VP8"));
}

#[test]
fn lone_layers_have_no_rid_nor_unknown_codecs_an_entry() {
    let mut track = camera();
    track.layers.remove(0);
    track.codec = None;
    let track = views::track(&track);
    assert!(track.codecs.is_empty() && track.mime_type.is_empty());
    #[expect(deprecated)] // clients in the field still read these fields
    let (simulcast, layers) = (track.simulcast, track.layers);
    assert!(!simulcast && layers[0].rid.is_empty());
}

#[test]
fn descriptions_map_sections_to_tracks() {
    let description = Description { sdp: "v=0".into(), id: 2, mids: vec![("5".into(), Sid::from_client("TR_9"))] };
    let Message::Answer(answer) = read_back(Notice::Answer(description.clone())) else { panic!() };
    assert_eq!((answer.r#type.as_str(), answer.sdp.as_str(), answer.id), ("answer", "v=0", 2));
    assert_eq!(answer.mid_to_track_id["5"], "TR_9");
    let Message::Offer(offer) = read_back(Notice::Offer(description)) else { panic!() };
    assert_eq!(offer.r#type, "offer");
}

#[test]
fn leaving_speaks_to_old_clients_as_to_new_ones() {
    let table = [
        (LeaveAction::Disconnect, false, lk::leave_request::Action::Disconnect),
        (LeaveAction::Resume, true, lk::leave_request::Action::Resume),
        (LeaveAction::Reconnect, true, lk::leave_request::Action::Reconnect),
    ];
    for (action, can_reconnect, wire) in table {
        let Message::Leave(leave) = read_back(Notice::Leave { reason: LeaveReason::ServerShutdown, action }) else { panic!() };
        assert_eq!((leave.can_reconnect, leave.action(), leave.reason()), (can_reconnect, wire, lk::DisconnectReason::ServerShutdown));
    }
}

#[test]
fn refused_requests_name_their_reason() {
    use lk::request_response::Reason;
    let table = [
        (Outcome::Ok, Reason::Ok),
        (Outcome::NotFound, Reason::NotFound),
        (Outcome::NotAllowed, Reason::NotAllowed),
        (Outcome::LimitExceeded, Reason::LimitExceeded),
        (Outcome::Invalid, Reason::InvalidRequest),
        (Outcome::EncryptionRequired, Reason::NotAllowed),
    ];
    for (outcome, reason) in table {
        let Message::RequestResponse(response) = read_back(Notice::Response { request_id: 8, outcome }) else { panic!() };
        assert_eq!((response.request_id, response.reason()), (8, reason));
        assert_eq!(response.message.is_empty(), outcome == Outcome::Ok);
    }
}

#[test]
fn small_notices_carry_their_fields() {
    let sid = Sid::from_client("TR_1");
    let who = Sid::from_client("PA_1");
    let Message::Reconnect(reconnect) = read_back(Notice::Reconnected) else { panic!() };
    assert!(reconnect.server_info.is_some());
    let Message::TrackUnpublished(gone) = read_back(Notice::TrackUnpublished { track: sid.clone() }) else { panic!() };
    assert_eq!(gone.track_sid, "TR_1");
    let Message::TrackSubscribed(seen) = read_back(Notice::TrackSubscribed { track: sid.clone() }) else { panic!() };
    assert_eq!(seen.track_sid, "TR_1");
    let Message::MediaSectionsRequirement(sections) = read_back(Notice::MediaSections { audios: 1, videos: 2 }) else { panic!() };
    assert_eq!((sections.num_audios, sections.num_videos), (1, 2));
    let Message::Mute(mute) = read_back(Notice::Mute { track: sid.clone(), muted: true }) else { panic!() };
    assert!(mute.muted);
    let speakers = vec![SpeakerView { participant: who.clone(), level: 0.5, active: true }];
    let Message::SpeakersChanged(changed) = read_back(Notice::Speakers(speakers)) else { panic!() };
    assert_eq!((changed.speakers[0].sid.as_str(), changed.speakers[0].active), ("PA_1", true));
    let updates = vec![QualityView { participant: who.clone(), level: QualityLevel::Excellent, score: 5.0 }];
    let Message::ConnectionQuality(update) = read_back(Notice::Quality(updates)) else { panic!() };
    assert_eq!(update.updates[0].quality(), lk::ConnectionQuality::Excellent);
    let Message::RoomUpdate(update) = read_back(Notice::Room(room())) else { panic!() };
    assert_eq!(update.room.unwrap().metadata, "m");
    let notice = Notice::SubscriptionPermission { participant: who, track: sid, allowed: true };
    let Message::SubscriptionPermissionUpdate(update) = read_back(notice) else { panic!() };
    assert_eq!((update.participant_sid.as_str(), update.track_sid.as_str(), update.allowed), ("PA_1", "TR_1", true));
}

fn pulse() -> DataTrackView {
    let encoding = lk::DataTrackFrameEncoding { value: Some(lk::data_track_frame_encoding::Value::Custom("pulse".into())) };
    let typing = lk::DataTrackInfo { frame_encoding: Some(encoding), ..Default::default() }.encode_to_vec();
    DataTrackView { sid: Sid::from_client("DTR_1"), handle: 7, name: "pulse".into(), encryption: Encryption::Gcm, typing }
}

#[test]
fn data_tracks_are_told_to_publishers_and_receivers() {
    let Message::PublishDataTrackResponse(answer) = read_back(Notice::DataTrackPublished(pulse())) else { panic!() };
    let info = answer.info.unwrap();
    assert_eq!((info.pub_handle, info.sid.as_str(), info.name.as_str()), (7, "DTR_1", "pulse"));
    assert!(info.encryption() == lk::encryption::Type::Gcm && info.frame_encoding.is_some());
    let Message::UnpublishDataTrackResponse(answer) = read_back(Notice::DataTrackUnpublished(pulse())) else { panic!() };
    assert_eq!(answer.info.as_ref(), Some(&info));
    let everybody = Notice::Participants(vec![ParticipantView { data_tracks: vec![pulse()], ..participant() }]);
    let Message::Update(update) = read_back(everybody) else { panic!() };
    assert_eq!(update.participants[0].data_tracks, [info]);
    // What cannot be read describes nothing.
    let odd = Notice::DataTrackPublished(DataTrackView { typing: vec![0xff], ..pulse() });
    let Message::PublishDataTrackResponse(answer) = read_back(odd) else { panic!() };
    assert_eq!(answer.info.unwrap().frame_encoding, None);
    let handle = DataHandle {
        handle: 3,
        publisher: Identity::new("i").unwrap(),
        publisher_sid: Sid::from_client("PA_1"),
        track: Sid::from_client("DTR_1"),
    };
    let Message::DataTrackSubscriberHandles(handles) = read_back(Notice::DataHandles(vec![handle])) else { panic!() };
    let known = &handles.sub_handles[&3];
    assert_eq!((known.publisher_identity.as_str(), known.publisher_sid.as_str(), known.track_sid.as_str()), ("i", "PA_1", "DTR_1"));
}

#[test]
fn refusals_name_the_data_track() {
    use lk::request_response::{Reason, Request};
    let refused = |publish, outcome| match read_back(Notice::DataTrackRefused { handle: 7, publish, outcome }) {
        Message::RequestResponse(response) => (response.reason(), response.message.is_empty(), response.request.unwrap()),
        other => panic!("{other:?}"),
    };
    let wanted = Request::PublishDataTrack(lk::PublishDataTrackRequest { pub_handle: 7, ..Default::default() });
    let table = [
        (Outcome::NotAllowed, Reason::NotAllowed),
        (Outcome::InvalidHandle, Reason::InvalidHandle),
        (Outcome::InvalidName, Reason::InvalidName),
        (Outcome::DuplicateHandle, Reason::DuplicateHandle),
        (Outcome::DuplicateName, Reason::DuplicateName),
        (Outcome::LimitExceeded, Reason::LimitExceeded),
    ];
    for (outcome, reason) in table {
        assert_eq!(refused(true, outcome), (reason, false, wanted.clone()));
    }
    let gone = Request::UnpublishDataTrack(lk::UnpublishDataTrackRequest { pub_handle: 7 });
    assert_eq!(refused(false, Outcome::NotFound), (Reason::NotFound, false, gone));
}
