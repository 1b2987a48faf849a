//! `POST /v1/join` against a scripted core.

use super::*;
use crate::http::testing::{Answer, NOW, admin, guest, room, scripted, send};
use crate::node::request::{RULES, Refusal, Reply, RoomMode};
use crate::room::DoorRules;
use crate::room::notice::RoomView;

async fn post(router: &Router, path: &str, bearer: Option<&str>, body: String) -> Answer {
    let bearer = bearer.map(|token| format!("Bearer {token}")).unwrap_or_default();
    let mut headers = vec![("content-type", "application/json")];
    if !bearer.is_empty() {
        headers.push(("authorization", bearer.as_str()));
    }
    send(router, &format!("POST {path}"), &headers, body).await
}

async fn invitation(router: &Router) -> String {
    let answer = post(router, "/v1/rooms/r/invitations", Some(&admin()), r#"{"kind":"link","role":"guest"}"#.to_owned()).await;
    let link = answer.json()["link"].as_str().unwrap().to_owned();
    link.split_once("#t=").unwrap().1.to_owned()
}

#[tokio::test]
async fn each_exchange_is_another_guest() {
    let (state, _) = scripted(|request| match request {
        Request::Validate { .. } => Ok(Reply::Mode(RoomMode::Sfu)),
        _ => Ok(Reply::Room(room("r"))),
    });
    let router = crate::http::router(state.clone());
    let body = serde_json::json!({ "invitation": invitation(&router).await }).to_string();
    let (one, other) = (post(&router, "/v1/join", None, body.clone()).await, post(&router, "/v1/join", None, body).await);
    assert_eq!(one.status.as_u16(), 200);
    let json = one.json();
    assert_eq!((json["state"].as_str(), json["url"].as_str()), (Some("admitted"), Some("wss://konsil.example")));
    let grants = |answer: &Answer| state.keyring().verify(answer.json()["token"].as_str().unwrap(), NOW).unwrap();
    let (one, other) = (grants(&one), grants(&other));
    assert_ne!(one.identity, other.identity);
    assert!(one.room_join && one.can_publish && !one.room_admin && !one.attributes.contains_key(invite::INVITATION));
}

#[tokio::test]
async fn only_invitations_open_the_door() {
    let (state, _) = scripted(|_| Ok(Reply::Done));
    let router = crate::http::router(state);
    let status = async |body: &str| post(&router, "/v1/join", None, body.to_owned()).await.status.as_u16();
    assert_eq!(status(&serde_json::json!({ "invitation": guest() }).to_string()).await, 422);
    assert_eq!(status(r#"{"invitation":"garbage"}"#).await, 401);
    assert_eq!(status("{}").await, 422);
    assert_eq!(status(r#"{"tenant":"default","tan":"123"}"#).await, 501);
    assert_eq!(status(r#"{"invitation":"x","diagnosis":"y"}"#).await, 422);
}

#[tokio::test]
async fn a_full_room_says_so() {
    let (state, _) = scripted(|request| match request {
        Request::Validate { .. } => Err(Refusal::RoomFull),
        _ => Ok(Reply::Room(room("r"))),
    });
    let router = crate::http::router(state);
    let body = serde_json::json!({ "invitation": invitation(&router).await }).to_string();
    let answer = post(&router, "/v1/join", None, body).await;
    assert_eq!((answer.status.as_u16(), answer.json()["type"].as_str()), (409, Some("/problems/room-full")));
}

#[tokio::test]
async fn whoever_has_a_token_learns_the_way_in_by_it() {
    let (state, asked) = scripted(|request| match request {
        Request::Validate { .. } => Ok(Reply::Mode(RoomMode::P2p)),
        _ => Ok(Reply::Room(RoomView { mode: RoomMode::P2p, ..room("r") })),
    });
    let router = crate::http::router(state.clone());
    let answer = post(&router, "/v1/join", None, serde_json::json!({ "token": guest() }).to_string()).await;
    let json = answer.json();
    assert_eq!((json["mode"].as_str(), json["url"].as_str()), (Some("p2p"), Some("wss://konsil.example/v1/p2p")));
    assert_eq!(json["token"], guest());
    assert!(matches!(&asked.lock().unwrap()[0], Request::Validate { layout: None, .. }));

    let invitation = invitation(&router).await;
    let status = async |body: serde_json::Value| post(&router, "/v1/join", None, body.to_string()).await.status.as_u16();
    assert_eq!(status(serde_json::json!({ "token": invitation })).await, 422, "an invitation is for many");
    assert_eq!(status(serde_json::json!({ "token": guest(), "invitation": invitation })).await, 422);
    let answer = post(&router, "/v1/join", None, serde_json::json!({ "invitation": invitation }).to_string()).await;
    let own = state.keyring().verify(answer.json()["token"].as_str().unwrap(), NOW).unwrap();
    assert_eq!(own.attributes.get(invite::MODE).map(String::as_str), Some("p2p"), "the page knows without asking");
}

#[tokio::test]
async fn whoever_has_to_wait_learns_where() {
    let (state, _) = scripted(|request| match request {
        Request::Validate { .. } => Ok(Reply::Waiting(RoomMode::P2p)),
        _ => Ok(Reply::Room(RoomView { door: DoorRules { lobby: true, ..DoorRules::default() }, ..room("r") })),
    });
    let router = crate::http::router(state.clone());
    let body = serde_json::json!({ "invitation": invitation(&router).await }).to_string();
    let json = post(&router, "/v1/join", None, body).await.json();
    assert_eq!((json["state"].as_str(), json["mode"].as_str()), (Some("waiting"), Some("p2p")));
    assert_eq!(json["desk"], "wss://konsil.example/v1/desk");
    let own = state.keyring().verify(json["token"].as_str().unwrap(), NOW).unwrap();
    assert!(own.attributes.contains_key(RULES), "such a room is not made on the fly");
}

#[tokio::test]
async fn refusals_at_the_door_have_a_problem() {
    for (refusal, status, slug) in
        [(Refusal::Locked, 423, "locked"), (Refusal::TooEarly, 409, "too-early"), (Refusal::TurnedAway, 403, "turned-away")]
    {
        let (state, _) = scripted(move |_| Err(refusal.clone()));
        let body = serde_json::json!({ "token": guest() }).to_string();
        let answer = post(&crate::http::router(state), "/v1/join", None, body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug));
    }
}
