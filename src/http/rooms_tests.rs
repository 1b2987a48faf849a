//! `/v1` against a scripted core.

use std::collections::BTreeMap;

use super::*;
use crate::http::testing::{Answer, Asked, NOW, admin, room, scripted, send};
use crate::model::ids::Identity;
use crate::model::media::{Encryption, MediaKind, TrackSource};
use crate::node::request::{Refusal, RoomMode};
use crate::room::notice::{ParticipantState, ParticipantView, Permission, TrackView};

fn api(answer: impl FnMut(&Request) -> Result<Reply, Refusal> + Send + 'static) -> (Router, Asked) {
    let (state, asked) = scripted(answer);
    (crate::http::router(state), asked)
}

/// Sends as an administrator, bodies as JSON.
async fn call(router: &Router, line: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {}", admin());
    send(router, line, &[("authorization", &bearer), ("content-type", "application/json; charset=utf-8")], body.to_owned()).await
}

fn track() -> TrackView {
    TrackView {
        sid: Sid::from_client("TR_1"),
        kind: MediaKind::Audio,
        name: String::new(),
        muted: true,
        width: 0,
        height: 0,
        source: TrackSource::Microphone,
        layers: vec![],
        codec: None,
        mid: String::new(),
        cid: String::new(),
        encryption: Encryption::Gcm,
        stream: String::new(),
        disable_red: false,
        disable_dtx: false,
        stereo: false,
        audio_features: vec![],
    }
}

fn somebody() -> ParticipantView {
    ParticipantView {
        sid: Sid::from_client("PA_1"),
        identity: Identity::new("i").unwrap(),
        name: String::new(),
        state: ParticipantState::Active,
        left: None,
        tracks: vec![track()],
        data_tracks: Vec::new(),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        joined_at_ms: NOW * 1000 + 5,
        version: 1,
        permission: Permission {
            subscribe: true,
            publish: true,
            publish_data: true,
            sources: vec![],
            hidden: false,
            update_metadata: false,
        },
        is_publisher: true,
    }
}

#[tokio::test]
async fn rooms_are_made_as_wanted() {
    let (router, asked) = api(|_| Ok(Reply::Room(room("Raum 1"))));
    let body = r#"{"id":"Raum 1","mode":"sfu","e2ee":"optional","max_participants":4,"empty_timeout_s":60,"lobby":true,"not_before":5,"not_after":9}"#;
    let answer = call(&router, "POST /v1/rooms", body).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (201, "/v1/rooms/Raum%201"));
    let expected = serde_json::json!({
        "id": "Raum 1", "mode": "sfu", "e2ee": "required", "max_participants": 9, "empty_timeout_s": 300, "created_at": NOW, "participants": 0,
        "lobby": false, "locked": false
    });
    assert_eq!(answer.json(), expected);
    let asked = asked.lock().unwrap();
    let Request::CreateRoom { grants, spec } = &asked[0] else { panic!("{asked:?}") };
    assert!(grants.room_create && grants.tenant.as_str() == "clinic");
    assert_eq!((spec.mode, spec.require_encryption, spec.origin), (Some(RoomMode::Sfu), Some(false), RoomOrigin::Api));
    assert_eq!((spec.max_participants, spec.empty_timeout_s), (Some(4), Some(60)));
    assert_eq!(spec.door, crate::room::DoorRules { lobby: true, not_before: Some(5), not_after: Some(9) });
}

#[tokio::test]
async fn absent_fields_are_left_to_the_core() {
    let (router, asked) = api(|_| Err(Refusal::RoomExists));
    let answer = call(&router, "POST /v1/rooms", "{}").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "room-exists"));
    let Request::CreateRoom { spec, .. } = &asked.lock().unwrap()[0] else { panic!() };
    assert_eq!((&spec.name, spec.mode, spec.require_encryption, spec.max_participants), (&None, None, None, None));
}

#[tokio::test]
async fn bad_bodies_are_told_apart() {
    let (router, asked) = api(|_| Ok(Reply::Done));
    for (body, status, slug) in [
        ("{", 400, "bad-json"),
        ("", 400, "bad-json"),
        (r#"{"Erika":1}"#, 422, "invalid-body"),
        (r#"{"mode":"Erika"}"#, 422, "invalid-body"),
        (r#"{"max_participants":-1}"#, 422, "invalid-body"),
        (r#"{"max_participants":4294967296}"#, 422, "invalid-body"),
        (r#"{"id":"Erika\n"}"#, 422, "invalid-value"),
        ("[]", 422, "invalid-body"),
    ] {
        let answer = call(&router, "POST /v1/rooms", body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug), "{body}");
        assert!(!answer.text().contains("Erika"), "{}", answer.text());
    }
    let bearer = format!("Bearer {}", admin());
    let answer = send(&router, "POST /v1/rooms", &[("authorization", &bearer), ("content-type", "text/plain")], "{}").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (415, "unsupported-media-type"));
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(crate::http::extract::JSON_MAX));
    let answer = call(&router, "POST /v1/rooms", &long).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (413, "too-large"));
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn tokens_come_before_bodies() {
    let (router, asked) = api(|_| Ok(Reply::Done));
    for line in ["POST /v1/rooms", "GET /v1/rooms", "DELETE /v1/rooms/r", "POST /v1/rooms/r/invitations"] {
        let answer = send(&router, line, &[("content-type", "application/json")], "{").await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthorized"));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn rooms_are_listed_described_ended() {
    let (router, asked) = api(|request| match request {
        Request::ListRooms { .. } => Ok(Reply::Rooms(vec![room("a"), room("b")])),
        Request::Room { .. } => Ok(Reply::Room(room("a"))),
        Request::DeleteRoom { .. } => Ok(Reply::Done),
        other => panic!("{other:?}"),
    });
    let listed = call(&router, "GET /v1/rooms", "").await.json();
    assert_eq!((&listed["rooms"][0]["id"], &listed["rooms"][1]["id"]), (&"a".into(), &"b".into()));
    assert_eq!(call(&router, "GET /v1/rooms/a", "").await.json()["id"], "a");
    let answer = call(&router, "DELETE /v1/rooms/Raum%201%2Fx", "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (204, ""));
    assert!(matches!(&asked.lock().unwrap()[2], Request::DeleteRoom { room, .. } if room.as_str() == "Raum 1/x"));
    assert_eq!(call(&router, "GET /v1/rooms/%ff", "").await.status, 422);
    assert_eq!(call(&router, "GET /v1/rooms/a%0ab", "").await.status, 422);
}

#[tokio::test]
async fn participants_are_listed_removed_muted() {
    let (router, asked) = api(|request| match request {
        Request::Participants { .. } => Ok(Reply::Participants(vec![somebody()])),
        Request::RemoveParticipant { .. } => Ok(Reply::Done),
        Request::Mute { .. } => Ok(Reply::Tracks(vec![track()])),
        other => panic!("{other:?}"),
    });
    let listed = call(&router, "GET /v1/rooms/r/participants", "").await.json();
    let track = serde_json::json!({"id": "TR_1", "kind": "audio", "source": "microphone", "muted": true, "encrypted": true});
    let expected = serde_json::json!({"participants": [
        {"identity": "i", "id": "PA_1", "state": "active", "joined_at": NOW, "tracks": [track]}
    ]});
    assert_eq!(listed, expected);
    assert_eq!(call(&router, "DELETE /v1/rooms/r/participants/i", "").await.status, 204);
    let answer = call(&router, "POST /v1/rooms/r/participants/i/mute", r#"{"track":"TR_1","muted":true}"#).await;
    assert_eq!(answer.json()["tracks"][0]["id"], "TR_1");
    call(&router, "POST /v1/rooms/r/participants/i/mute", r#"{"muted":false}"#).await;
    let asked = asked.lock().unwrap();
    assert!(matches!(&asked[2], Request::Mute { track: Some(_), muted: true, identity, .. } if identity.as_str() == "i"));
    assert!(matches!(&asked[3], Request::Mute { track: None, muted: false, .. }));
}

#[tokio::test]
async fn wrong_answers_of_the_core_are_faults_of_ours() {
    let (router, _) = api(|_| Ok(Reply::Done));
    assert_eq!(call(&router, "GET /v1/rooms", "").await.problem(), "internal");
}
