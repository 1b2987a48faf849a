//! WHIP or WHEP against a scripted core.

use axum::body::Body;

use super::*;
use crate::http::testing::{Answer, guest, scripted, send};
use crate::model::ids::Sid;
use crate::node::request::Refusal;

async fn call(router: &Router, line: &str, body: impl Into<Body>) -> Answer {
    let bearer = format!("Bearer {}", guest());
    send(router, line, &[("authorization", &bearer), ("content-type", "application/sdp")], body).await
}

#[tokio::test]
async fn offers_are_answered_with_a_place_to_end_them() {
    let (state, asked) = scripted(|request| match request {
        Request::EndMedia { .. } => Ok(Reply::Done),
        _ => Ok(Reply::Media { resource: Sid::from_client("ME_1"), sdp: "answer".into() }),
    });
    let router = crate::http::router(state);
    let sent = call(&router, "POST /whip/Raum%201", "offer").await;
    assert_eq!((sent.status.as_u16(), sent.text()), (201, "answer"));
    assert_eq!((sent.header("content-type"), sent.header("location")), ("application/sdp", "/whip/Raum%201/ME_1"));
    let played = call(&router, "POST /whep/r/Dr.%20Ada", "offer").await;
    assert_eq!((played.status.as_u16(), played.header("location")), (201, "/whep/r/Dr.%20Ada/ME_1"));
    for place in [sent.header("location"), played.header("location")] {
        assert_eq!(call(&router, &format!("DELETE {place}"), "").await.status, 200);
    }
    let asked = asked.lock().unwrap();
    assert!(matches!(&asked[0], Request::Whip { room, sdp, .. } if room.as_str() == "Raum 1" && sdp == "offer"));
    assert!(matches!(&asked[1], Request::Whep { identity, .. } if identity.as_str() == "Dr. Ada"));
    assert!(matches!(&asked[2], Request::EndMedia { resource, room, .. } if resource.as_str() == "ME_1" && room.as_str() == "Raum 1"));
    assert!(matches!(&asked[3], Request::EndMedia { resource, .. } if resource.as_str() == "ME_1"));
}

#[tokio::test]
async fn bad_offers_are_refused_here() {
    let (state, asked) = scripted(|_| Ok(Reply::Done));
    let router = crate::http::router(state);
    assert_eq!(send(&router, "POST /whip/r", &[("content-type", "application/sdp")], "offer").await.status, 401);
    let bearer = format!("Bearer {}", guest());
    let answer = send(&router, "POST /whip/r", &[("authorization", &bearer), ("content-type", "text/plain")], "offer").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (415, "unsupported-media-type"));
    assert_eq!(call(&router, "POST /whip/r", "v".repeat(SDP_MAX + 1)).await.problem(), "too-large");
    let answer = call(&router, "POST /whep/r/i", vec![0xff]).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "bad-sdp"));
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn encrypted_rooms_say_why_whip_cannot_enter() {
    let (state, _) = scripted(|_| Err(Refusal::EncryptionRequired));
    let answer = call(&crate::http::router(state), "POST /whip/r", "offer").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "encryption-required"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("end-to-end encryption"));
}

#[tokio::test]
async fn options_tell_what_may_be_posted() {
    let (state, _) = scripted(|_| Ok(Reply::Done));
    let answer = send(&crate::http::router(state), "OPTIONS /whip/r", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("accept-post")), (204, "application/sdp"));
}
