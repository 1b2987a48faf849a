//! Invitations against a scripted core.

use super::*;
use crate::http::testing::{Answer, Asked, NOW, admin, room, scripted, send};
use crate::model::ids::{InvitationId, SubjectRef};
use crate::model::record::RoomMode;
use crate::model::secret::Secret;
use crate::node::invitation::{InvitationBy, InvitationMade, InvitationRefusal, InvitationState, InvitationView};
use crate::node::request::Refusal;

fn api(answer: impl FnMut(&Request) -> Result<Reply, Refusal> + Send + 'static) -> (AppState, Router, Asked) {
    let (state, asked) = scripted(answer);
    (state.clone(), crate::http::router(state), asked)
}

async fn call(router: &Router, line: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {}", admin());
    send(router, line, &[("authorization", &bearer), ("content-type", "application/json")], body.to_owned()).await
}

fn made(tan: Option<&str>) -> Reply {
    Reply::Invitation(InvitationReply::Made(InvitationMade {
        id: InvitationId::new("IV_1").unwrap(),
        mode: RoomMode::P2p,
        tan: tan.map(|tan| Secret::new(tan.to_owned())),
        expires_at: NOW + 9,
    }))
}

#[tokio::test]
async fn links_point_to_hosts_of_ours() {
    let (_, router, asked) = api(|_| Ok(Reply::Room(room("r"))));
    let bearer = format!("Bearer {}", admin());
    let body = r#"{"kind":"link","role":"host"}"#;
    for (host, origin) in [("localhost:8443", "https://localhost:8443"), ("evil.example", "https://konsil.example")] {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("host", host)];
        let answer = send(&router, "POST /v1/rooms/r/invitations", &headers, body).await;
        assert_eq!(answer.status, 201);
        let link = answer.json()["link"].as_str().unwrap().to_owned();
        assert!(link.starts_with(&format!("{origin}/r/r#t=")), "{link}");
        assert!(!link.contains("&k="));
        assert_eq!(answer.json()["expires_at"], NOW + invite::LIFE_S);
        assert!(answer.json()["id"].as_str().unwrap().starts_with("host-"));
        assert!(answer.json().get("tan").is_none() && answer.json().get("server_knew").is_none());
    }
    assert!(matches!(&asked.lock().unwrap()[0], Request::Invite { room, .. } if room.as_str() == "r"));
}

#[tokio::test]
async fn refused_invitations_reach_no_signature() {
    let (_, router, _) = api(|_| Err(Refusal::NotAllowed("roomAdmin")));
    for kind in [r#""kind":"link""#, r#""kind":"link","single_use":true"#, r#""kind":"tan""#] {
        let answer = call(&router, "POST /v1/rooms/r/invitations", &format!(r#"{{{kind},"role":"guest"}}"#)).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "not-allowed"));
    }
}

#[tokio::test]
async fn tans_of_the_server_are_told_once_with_who_knew() {
    let (_, router, asked) = api(|_| Ok(made(Some("7KQ2-M9XC-4TBN"))));
    let answer = call(&router, "POST /v1/rooms/r/invitations", r#"{"kind":"tan","role":"guest"}"#).await;
    assert_eq!(answer.status, 201);
    let expected = serde_json::json!({"id": "IV_1", "tan": "7KQ2-M9XC-4TBN", "expires_at": NOW + 9, "server_knew": true});
    assert_eq!(answer.json(), expected);
    let asked = asked.lock().unwrap();
    let Request::Invitation(InvitationRequest::Make { spec, room, .. }) = &asked[0] else { panic!() };
    assert_eq!((room.as_str(), spec.not_before, spec.not_after), ("r", NOW, NOW + invite::LIFE_S));
    assert_eq!(spec.by, InvitationBy::Tan { admit: None, sealed: None, pending: false });
}

#[tokio::test]
async fn tans_of_a_browser_stay_there() {
    let (_, router, asked) = api(|_| Ok(made(None)));
    let body = r#"{"kind":"tan","role":"guest","admit":"7KQ2M9","sealed":"AAAA","pending":true,"subject":"p-1"}"#;
    let answer = call(&router, "POST /v1/rooms/r/invitations", body).await;
    assert_eq!(answer.json(), serde_json::json!({"id": "IV_1", "expires_at": NOW + 9, "server_knew": false}));
    let asked = asked.lock().unwrap();
    let Request::Invitation(InvitationRequest::Make { spec, .. }) = &asked[0] else { panic!() };
    assert!(matches!(&spec.by, InvitationBy::Tan { admit: Some(_), sealed: Some(_), pending: true }));
    assert_eq!(spec.subject.as_ref().map(SubjectRef::as_str), Some("p-1"));
}

#[tokio::test]
async fn a_link_for_one_device_allows_nothing_by_itself() {
    let (state, router, _) = api(|_| Ok(made(None)));
    let answer = call(&router, "POST /v1/rooms/r/invitations", r#"{"kind":"link","role":"host","single_use":true}"#).await;
    let link = answer.json()["link"].as_str().unwrap().to_owned();
    let token = link.split_once("#t=").unwrap().1.to_owned();
    let grants = state.keyring().verify(&token, NOW).unwrap();
    assert!(!grants.room_join && !grants.room_admin && !grants.can_publish && !grants.can_subscribe && !grants.can_publish_data);
    assert_eq!(grants.attributes.get(invite::MODE).map(String::as_str), Some("p2p"));
    let join = serde_json::json!({ "invitation": token }).to_string();
    let (_, router, asked) = api(|_| Err(InvitationRefusal::Used.into()));
    let answer = send(&router, "POST /v1/join", &[("content-type", "application/json")], join).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (410, "tan-used"));
    let asked = asked.lock().unwrap();
    let Request::Invitation(InvitationRequest::Redeem { by, .. }) = &asked[0] else { panic!() };
    assert!(matches!(by, crate::node::invitation::Redeem::Link(room, id) if room.name.as_str() == "r" && id.as_str() == "IV_1"));
}

#[tokio::test]
async fn invitations_are_listed_confirmed_taken_back() {
    let view = InvitationView {
        id: InvitationId::new("IV_1").unwrap(),
        tan: true,
        role: "guest".to_owned(),
        state: InvitationState::Pending,
        not_before: NOW,
        not_after: NOW + 9,
        sealed: Some(Secret::new("AAAA".to_owned())),
    };
    let (_, router, asked) = api(move |request| match request {
        Request::Invitation(InvitationRequest::List { .. }) => Ok(Reply::Invitation(InvitationReply::List(vec![view.clone()]))),
        _ => Ok(Reply::Done),
    });
    let expected = serde_json::json!({"invitations": [
        {"id": "IV_1", "kind": "tan", "role": "guest", "state": "pending", "not_before": NOW, "not_after": NOW + 9, "sealed": "AAAA"}
    ]});
    assert_eq!(call(&router, "GET /v1/rooms/r/invitations", "").await.json(), expected);
    assert_eq!(call(&router, "POST /v1/rooms/r/invitations/IV_1/confirm", "").await.status, 204);
    assert_eq!(call(&router, "DELETE /v1/rooms/r/invitations/IV_1", "").await.status, 204);
    let asked = asked.lock().unwrap();
    assert!(matches!(&asked[1], Request::Invitation(InvitationRequest::Confirm { id, .. }) if id.as_str() == "IV_1"));
    assert!(matches!(&asked[2], Request::Invitation(InvitationRequest::Revoke { id, .. }) if id.as_str() == "IV_1"));
}

#[tokio::test]
async fn refusals_have_their_problems() {
    for (refusal, status, slug) in [
        (InvitationRefusal::Taken, 409, "tan-taken"),
        (InvitationRefusal::NotFound, 404, "invitation-not-found"),
        (InvitationRefusal::TooMany("open TANs of this organisation"), 409, "too-many-invitations"),
    ] {
        let (_, router, _) = api(move |_| Err(refusal.clone().into()));
        let answer = call(&router, "POST /v1/rooms/r/invitations", r#"{"kind":"tan","role":"guest"}"#).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug));
    }
}
