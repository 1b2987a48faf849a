//! `RoomService` in both forms against a scripted core.

use super::*;
use crate::http::testing::{Answer, Asked, admin, room, scripted, send};
use crate::node::request::RoomMode;

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
async fn failures_have_twirp_codes() {
    let (router, _) = service(|_| Err(Refusal::NotAllowed("roomList")));
    let table = [
        ("Nonsense", "application/json", "{}", 404, "bad_route"),
        ("SendData", "application/json", "{}", 501, "unimplemented"),
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
