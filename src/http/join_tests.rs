//! `POST /v1/join` against a scripted core.

use super::*;
use crate::access::role::Role;
use crate::http::testing::{Answer, NOW, admin, guest, room, scripted, send};
use crate::model::ids::{Identity, RoomId, RoomName};
use crate::node::invitation::{InvitationRefusal, Redeemed};
use crate::node::request::{Refusal, Reply, RoomMode};
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
    assert_eq!(status(r#"{"tenant":"default"}"#).await, 422);
    assert_eq!(status(r#"{"tan":"7KQ2M9"}"#).await, 422);
    assert_eq!(status(r#"{"tenant":"default","tan":"7KQ2M9","resume":"x"}"#).await, 422);
    assert_eq!(status(r#"{"tenant":"","tan":"7KQ2M9"}"#).await, 422);
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

fn come_in(resume: Option<&str>) -> Reply {
    Reply::Invitation(InvitationReply::Redeemed(Redeemed {
        room: RoomId { tenant: TenantId::new("clinic").unwrap(), name: RoomName::new("r").unwrap() },
        role: Role::Guest,
        identity: Identity::new("guest-x").unwrap(),
        mode: RoomMode::P2p,
        waiting: resume.is_none(),
        resume: resume.map(|secret| Secret::new(secret.to_owned())),
        expires_at: NOW + 600,
    }))
}

#[tokio::test]
async fn a_tan_opens_the_door_for_one_device() {
    let (state, asked) = scripted(|_| Ok(come_in(Some("secret"))));
    let router = crate::http::router(state.clone());
    for tan in ["7kq2-m9", "7kq2 m9xc 4tbn"] {
        let answer = post(&router, "/v1/join", None, serde_json::json!({ "tenant": "clinic", "tan": tan }).to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = answer.json();
        let words = ["state", "mode", "room", "url", "desk", "resume"].map(|name| json[name].as_str().unwrap());
        assert_eq!(words, ["admitted", "p2p", "r", "wss://konsil.example/v1/p2p", "wss://konsil.example/v1/desk", "secret"]);
        let grants = state.keyring().verify(json["token"].as_str().unwrap(), NOW).unwrap();
        assert_eq!((grants.identity.unwrap().as_str(), grants.expires_at), ("guest-x", NOW + 600));
        assert!(grants.room_join && grants.can_publish && !grants.room_admin);
        assert_eq!(grants.attributes.get(invite::MODE).map(String::as_str), Some("p2p"));
    }
    let half = Admit::read("7KQ2M9").unwrap();
    let known = |request: &Request| {
        matches!(request, Request::Invitation(InvitationRequest::Redeem { by: Redeem::Tan(tenant, admit), address: None })
            if tenant.as_str() == "clinic" && *admit == half)
    };
    assert!(asked.lock().unwrap().iter().all(known));
}

#[tokio::test]
async fn a_typing_error_is_told_without_asking_anybody() {
    let (state, asked) = scripted(|_| Ok(come_in(None)));
    let router = crate::http::router(state);
    for tan in ["7KQ2-M9XC-4TBM", "7KQ2M", "7KQ2MU", ""] {
        let answer = post(&router, "/v1/join", None, serde_json::json!({ "tenant": "clinic", "tan": tan }).to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, "tan-typo"), "{tan}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_device_comes_again_by_its_secret() {
    let (state, asked) = scripted(|_| Ok(come_in(None)));
    let router = crate::http::router(state);
    let answer = post(&router, "/v1/join", None, r#"{"resume":"secret"}"#.to_owned()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.json().get("resume").is_none());
    assert_eq!(answer.json()["state"], "waiting");
    let asked = asked.lock().unwrap();
    let Request::Invitation(InvitationRequest::Redeem { by: Redeem::Resume(secret), .. }) = &asked[0] else { panic!() };
    assert_eq!(secret.expose(), "secret");
}

#[tokio::test]
async fn refusals_of_tans_are_told_apart() {
    for (refusal, status, slug) in [
        (InvitationRefusal::Unknown, 404, "tan-unknown"),
        (InvitationRefusal::Used, 410, "tan-used"),
        (InvitationRefusal::Over, 410, "tan-expired"),
        (InvitationRefusal::Early(NOW + 60), 409, "tan-early"),
        (InvitationRefusal::TooManyTries(77), 429, "too-many-tries"),
    ] {
        let refused = refusal.clone();
        let (state, _) = scripted(move |_| Err(refused.clone().into()));
        let answer = post(&crate::http::router(state), "/v1/join", None, r#"{"tenant":"clinic","tan":"7KQ2M9"}"#.to_owned()).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug));
        assert_eq!(answer.json()["not_before"].as_u64(), (slug == "tan-early").then_some(NOW + 60));
        assert_eq!(answer.headers.get("retry-after").is_some_and(|seconds| seconds == "77"), status == 429);
        assert!(!answer.text().contains("7KQ2M9"));
    }
}

#[tokio::test]
async fn the_address_comes_from_the_connection() {
    let (state, asked) = scripted(|_| Ok(come_in(None)));
    let router = crate::http::router(state);
    let mut request = axum::http::Request::builder().method("POST").uri("/v1/join").header("content-type", "application/json");
    request = request.header("x-forwarded-for", "198.51.100.9").header("forwarded", "for=198.51.100.9");
    let mut request = request.body(axum::body::Body::from(r#"{"tenant":"clinic","tan":"7KQ2M9"}"#)).unwrap();
    request.extensions_mut().insert(crate::io::edge::PeerAddr("192.0.2.7:5000".parse().unwrap()));
    let answer = tower_service::Service::call(&mut router.clone(), request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let Request::Invitation(InvitationRequest::Redeem { address, .. }) = &asked.lock().unwrap()[0] else { panic!() };
    assert_eq!(*address, Some("192.0.2.7".parse().unwrap()), "what a stranger writes into headers is not believed");
}
