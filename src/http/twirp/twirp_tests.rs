//! `RoomService` in both forms against a scripted core.

use super::*;
use crate::http::testing::{Answer, Asked, admin, participant, room, scripted, send};
use crate::model::media::TrackSource;
use crate::node::request::RoomMode;
use crate::room::media::DataMessage;
use crate::room::moderate::Profile;
use crate::room::notice::Permission;

fn service(answer: impl FnMut(&Request) -> Result<Reply, Refusal> + Send + 'static) -> (Router, Asked) {
    let (state, asked) = scripted(answer);
    (crate::http::router(state), asked)
}

async fn call(router: &Router, method: &str, media_type: &str, body: impl Into<Body>) -> Answer {
    let bearer = format!("Bearer {}", admin());
    let line = format!("POST /twirp/livekit.RoomService/{method}");
    send(router, &line, &[("authorization", &bearer), ("content-type", media_type)], body).await
}

async fn json(router: &Router, method: &str, body: &str) -> Answer {
    call(router, method, "application/json", body.to_owned()).await
}

#[tokio::test]
async fn rooms_are_made_in_either_form() {
    let (router, asked) = service(|_| Ok(Reply::Room(room("r"))));
    let answer = json(&router, "CreateRoom", r#"{"name":"r","emptyTimeout":60,"max_participants":3,"metadata":"m"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!((&answer.json()["name"], &answer.json()["sid"]), (&"r".into(), &"RM_1".into()));
    let wanted = lk::CreateRoomRequest { name: "r".into(), ..Default::default() };
    let answer = call(&router, "CreateRoom", "application/protobuf", wanted.encode_to_vec()).await;
    assert_eq!(answer.header("content-type"), "application/protobuf");
    assert_eq!(lk::Room::decode(answer.body.as_slice()).unwrap().sid, "RM_1");
    let asked = asked.lock().unwrap();
    let [Request::CreateRoom { spec, .. }, Request::CreateRoom { spec: plain, .. }] = &asked[..] else { panic!() };
    assert_eq!((spec.max_participants, spec.empty_timeout_s, spec.metadata.as_str()), (Some(3), Some(60), "m"));
    assert_eq!((plain.max_participants, plain.empty_timeout_s, plain.origin), (None, None, RoomOrigin::LiveKit));
}

#[tokio::test]
async fn rooms_are_listed_by_name() {
    let (router, asked) = service(|_| Ok(Reply::Rooms(vec![room("a")])));
    let answer = json(&router, "ListRooms", r#"{"names":["a","b"]}"#).await;
    assert_eq!(answer.json()["rooms"][0]["name"], "a");
    assert!(matches!(&asked.lock().unwrap()[0], Request::ListRooms { names, .. } if names.len() == 2));
}

#[tokio::test]
async fn absent_rooms_have_no_participants_yet() {
    let (router, _) = service(|_| Err(Refusal::RoomNotFound));
    let answer = json(&router, "ListParticipants", r#"{"room":"r"}"#).await;
    assert_eq!(answer.status, 200);
    let answer = json(&router, "GetParticipant", r#"{"room":"r","identity":"i"}"#).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (404, &"not_found".into()));
}

#[tokio::test]
async fn orders_reach_the_core() {
    let (router, asked) = service(|request| match request {
        Request::Mute { .. } => Ok(Reply::Tracks(vec![])),
        _ => Ok(Reply::Done),
    });
    assert_eq!(json(&router, "DeleteRoom", r#"{"room":"r"}"#).await.text(), "{}");
    assert_eq!(json(&router, "RemoveParticipant", r#"{"room":"r","identity":"i"}"#).await.status, 200);
    assert_eq!(json(&router, "MutePublishedTrack", r#"{"room":"r","identity":"i","trackSid":"TR_1","muted":true}"#).await.status, 200);
    let asked = asked.lock().unwrap();
    assert!(matches!(&asked[0], Request::DeleteRoom { .. }));
    assert!(matches!(&asked[1], Request::RemoveParticipant { identity, .. } if identity.as_str() == "i"));
    assert!(matches!(&asked[2], Request::Mute { track: Some(sid), muted: true, .. } if sid.as_str() == "TR_1"));
}

#[tokio::test]
async fn nobody_is_unmuted_from_afar() {
    let (router, asked) = service(|_| Ok(Reply::Done));
    let answer = json(&router, "MutePublishedTrack", r#"{"room":"r","identity":"i","trackSid":"TR_1"}"#).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (412, &"failed_precondition".into()));
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn moderators_change_participants() {
    let (router, asked) = service(|_| Ok(Reply::Participants(vec![participant("i")])));
    let body = r#"{"room":"r","identity":"i","name":"n","metadata":"m","attributes":{"a":"1","b":""},
        "permission":{"canSubscribe":true,"canPublishSources":["MICROPHONE","MICROPHONE"],"hidden":true}}"#;
    let answer = json(&router, "UpdateParticipant", body).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["identity"]), (200, &"i".into()), "{}", answer.text());
    let plain = lk::UpdateParticipantRequest { room: "r".into(), identity: "i".into(), ..Default::default() };
    let answer = call(&router, "UpdateParticipant", "application/protobuf", plain.encode_to_vec()).await;
    assert_eq!(lk::ParticipantInfo::decode(answer.body.as_slice()).unwrap().identity, "i");
    let asked = asked.lock().unwrap();
    let [Request::UpdateParticipant { profile, permission, .. }, Request::UpdateParticipant { permission: None, profile: same, .. }] =
        &asked[..]
    else {
        panic!()
    };
    let attributes = [("a", "1"), ("b", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(*profile, Profile { metadata: "m".into(), name: "n".into(), attributes: attributes.into() });
    assert_eq!(*same, Profile::default());
    let wanted = Permission {
        subscribe: true,
        publish: false,
        publish_data: false,
        sources: vec![TrackSource::Microphone],
        hidden: true,
        update_metadata: false,
    };
    assert_eq!(permission.as_ref(), Some(&wanted), "what is not said is not allowed");
}

#[tokio::test]
async fn moderators_subscribe_and_speak() {
    let (router, asked) = service(|_| Ok(Reply::Done));
    let body = r#"{"room":"r","identity":"i","trackSids":["TR_1"],"participantTracks":[{"trackSids":["TR_2"]}],"subscribe":true}"#;
    assert_eq!(json(&router, "UpdateSubscriptions", body).await.text(), "{}");
    let body = r#"{"room":"r","data":"aGVsbG8=","kind":"LOSSY","topic":"t","destinationIdentities":["i"],
        "destinationSids":["PA_1"],"nonce":"AAECAwQFBgcICQoLDA0ODw=="}"#;
    assert_eq!(json(&router, "SendData", body).await.text(), "{}");
    let plain = lk::SendDataRequest { room: "r".into(), data: b"hello".to_vec(), ..Default::default() };
    assert_eq!(call(&router, "SendData", "application/protobuf", plain.encode_to_vec()).await.status, 200);
    let asked = asked.lock().unwrap();
    let Request::UpdateSubscriptions { tracks, subscribe: true, .. } = &asked[0] else { panic!() };
    assert_eq!(tracks.iter().map(Sid::as_str).collect::<Vec<_>>(), ["TR_1", "TR_2"]);
    let message = DataMessage {
        payload: b"hello".to_vec(),
        reliable: false,
        topic: Some("t".into()),
        nonce: Some(std::array::from_fn(|at| u8::try_from(at).unwrap())),
        identities: vec![Identity::new("i").unwrap()],
        sids: vec![Sid::from_client("PA_1")],
    };
    assert!(matches!(&asked[1], Request::SendData { message: said, .. } if *said == message));
    let plain = DataMessage { reliable: true, topic: None, nonce: None, identities: vec![], sids: vec![], ..message };
    assert!(matches!(&asked[2], Request::SendData { message: said, .. } if *said == plain));
}

#[tokio::test]
async fn rooms_get_other_metadata() {
    let (router, asked) = service(|_| Ok(Reply::Room(room("r"))));
    // The longest that a room may have, every other letter escaped.
    let body = format!(r#"{{"room":"r","metadata":"{}"}}"#, r#"x\""#.repeat(32_768));
    assert_eq!(json(&router, "UpdateRoomMetadata", &body).await.json()["name"], "r");
    assert!(matches!(&asked.lock().unwrap()[0], Request::UpdateRoom { metadata, .. } if metadata.len() == 65_536));
    let answer = json(&router, "UpdateRoomMetadata", &format!(r#"{{"room":"r","metadata":"{}"}}"#, "x".repeat(BODY_MAX))).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &"invalid_argument".into()));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_words() {
    let (router, asked) = service(|_| Ok(Reply::Done));
    let table = [
        ("SendData", r#"{"room":"r","nonce":"AAEC"}"#, "nonce must have 16 bytes, or be absent"),
        ("SendData", r#"{"room":"","data":""}"#, "room must not be empty"),
        ("SendData", r#"{"room":"r","destinationIdentities":[""]}"#, "identity must not be empty"),
        ("UpdateSubscriptions", r#"{"room":"r"}"#, "identity must not be empty"),
        ("UpdateRoomMetadata", "{}", "room must not be empty"),
        (
            "UpdateParticipant",
            r#"{"room":"r","identity":"i","permission":{"canPublishSources":["UNKNOWN"]}}"#,
            "can_publish_sources has an unknown source",
        ),
    ];
    for (method, body, words) in table {
        let answer = json(&router, method, body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["code"], &answer.json()["msg"]),
            (400, &"invalid_argument".into(), &words.into())
        );
    }
    let odd = lk::SendDataRequest { room: "r".into(), kind: 9, ..Default::default() };
    assert_eq!(call(&router, "SendData", "application/protobuf", odd.encode_to_vec()).await.json()["code"], "invalid_argument");
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn failures_have_twirp_codes() {
    let (router, _) = service(|_| Err(Refusal::NotAllowed("roomList")));
    let table = [
        ("Nonsense", "application/json", "{}", 404, "bad_route"),
        ("PerformRpc", "application/json", "{}", 501, "unimplemented"),
        ("ListRooms", "text/plain", "{}", 404, "bad_route"),
        ("ListRooms", "application/json", "{", 400, "malformed"),
        ("ListRooms", "application/protobuf", "\u{7f}", 400, "malformed"),
        ("DeleteRoom", "application/json", "{}", 400, "invalid_argument"),
        ("ListRooms", "application/json", "{}", 403, "permission_denied"),
    ];
    for (method, media_type, body, status, code) in table {
        let answer = call(&router, method, media_type, body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (status, &code.into()), "{method}");
        assert!(answer.json()["msg"].is_string());
    }
    let answer = send(&router, "GET /twirp/livekit.RoomService/ListRooms", &[], "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (404, &"bad_route".into()));
    let answer = send(&router, "POST /twirp/livekit.Egress/ListEgress", &[], "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (404, &"bad_route".into()));
    let answer = send(&router, "POST /twirp/livekit.RoomService/ListRooms", &[("content-type", "application/json")], "{}").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (401, &"unauthenticated".into()));
}

#[test]
fn every_refusal_has_a_code() {
    let table = [
        (Refusal::RoomExists, 409),
        (Refusal::RoomFull, 429),
        (Refusal::LimitReached("rooms"), 429),
        (Refusal::ParticipantNotFound, 404),
        (Refusal::TrackNotFound, 404),
        (Refusal::ResourceNotFound, 404),
        (Refusal::Invalid("x"), 400),
        (Refusal::BadSdp("x"), 400),
        (Refusal::EncryptionRequired, 412),
        (Refusal::NoSession, 412),
        (Refusal::WrongMode(RoomMode::P2p), 412),
        (Refusal::NotStored, 503),
        (Refusal::ShuttingDown, 503),
        (Refusal::Busy, 503),
    ];
    for (refusal, status) in table {
        assert_eq!(Failure::from(refusal).status.as_u16(), status);
    }
}
