//! WHIP or WHEP against a scripted core.

use axum::body::Body;

use super::*;
use crate::http::testing::{Answer, guest, scripted, send};
use crate::model::ids::Sid;
use crate::node::fragment::{CANDIDATES_MAX, Credentials, Fragment};
use crate::node::request::RoomMode;
use crate::turn::credentials::RelayUser;

const CANDIDATE: &str = "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n";
const CREDENTIALS: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n";

fn begun(tag: &str) -> Reply {
    let relay = RelayUser { worker: None, group: 1, person: 2 };
    Reply::Media { resource: Sid::from_client("ME_1"), tag: tag.to_owned(), relay, sdp: "answer".into() }
}

async fn call(router: &Router, line: &str, body: impl Into<Body>) -> Answer {
    let bearer = format!("Bearer {}", guest());
    send(router, line, &[("authorization", &bearer), ("host", "konsil.example"), ("content-type", "application/sdp")], body).await
}

async fn patch(router: &Router, place: &str, tag: &str, body: impl Into<Body>) -> Answer {
    let bearer = format!("Bearer {}", guest());
    let headers = [("authorization", bearer.as_str()), ("content-type", FRAGMENT), ("if-match", tag)];
    send(router, &format!("PATCH {place}"), &headers, body).await
}

fn links(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("link").iter().map(|value| value.to_str().unwrap()).collect()
}

/// Checks that both ways in connections are named with credentials.
fn names_the_relay(links: &[&str]) {
    let [turns, turn] = links else { panic!("{links:?}") };
    assert!(turns.starts_with("<turns:konsil.example:8443?transport=tcp>; rel=\"ice-server\"; username=\""));
    assert!(turn.starts_with("<turn:konsil.example:8443?transport=tcp>; rel=\"ice-server\"; username=\""));
    for link in links {
        assert!(link.contains("; credential=\"") && link.ends_with("; credential-type=\"password\""));
    }
}

#[tokio::test]
async fn offers_are_answered_with_a_place_to_change_or_end_them() {
    let (state, asked) = scripted(|request| match request {
        Request::EndMedia { .. } => Ok(Reply::Done),
        _ => Ok(begun("ice-0")),
    });
    let router = crate::http::router(state);
    let sent = call(&router, "POST /whip/Raum%201", "offer").await;
    assert_eq!((sent.status.as_u16(), sent.text()), (201, "answer"));
    assert_eq!((sent.header("content-type"), sent.header("location")), ("application/sdp", "/whip/Raum%201/ME_1"));
    let played = call(&router, "POST /whep/r/Dr.%20Ada", "offer").await;
    assert_eq!((played.status.as_u16(), played.header("location")), (201, "/whep/r/Dr.%20Ada/ME_1"));
    let one = call(&router, "POST /whep/r/Dr.%20Ada/TR_1", "offer").await;
    assert_eq!((one.status.as_u16(), one.header("location")), (201, "/whep/r/Dr.%20Ada/ME_1"));
    for answer in [&sent, &played, &one] {
        assert_eq!((answer.header("etag"), answer.header("access-control-allow-origin")), ("\"ice-0\"", "*"));
        names_the_relay(&links(answer));
    }
    for place in [sent.header("location"), played.header("location")] {
        assert_eq!(call(&router, &format!("DELETE {place}"), "").await.status, 200);
    }
    let asked = asked.lock().unwrap();
    assert!(matches!(&asked[0], Request::Whip { room, sdp, .. } if room.as_str() == "Raum 1" && sdp == "offer"));
    assert!(matches!(&asked[1], Request::Whep { identity, track: None, .. } if identity.as_str() == "Dr. Ada"));
    assert!(matches!(&asked[2], Request::Whep { track: Some(track), .. } if track.as_str() == "TR_1"));
    assert!(
        matches!(&asked[3], Request::EndMedia { resource, room, of: None, .. } if resource.as_str() == "ME_1" && room.as_str() == "Raum 1")
    );
    assert!(
        matches!(&asked[4], Request::EndMedia { resource, of: Some(of), .. } if resource.as_str() == "ME_1" && of.as_str() == "Dr. Ada")
    );
}

#[tokio::test]
async fn bad_offers_are_refused_here() {
    let (state, asked) = scripted(|_| Ok(Reply::Done));
    let router = crate::http::router(state);
    let answer = send(&router, "POST /whip/r", &[("content-type", "application/sdp")], "offer").await;
    assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer"));
    let bearer = format!("Bearer {}", guest());
    for place in ["/whip/r", "/whep/r/i", "/whep/r/i/TR_1"] {
        for headers in [&[("authorization", bearer.as_str()), ("content-type", "text/plain")][..], &[("authorization", bearer.as_str())]] {
            let answer = send(&router, &format!("POST {place}"), headers, "offer").await;
            assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (415, "unsupported-media-type"), "{place}");
            assert_eq!(answer.header("accept-post"), "application/sdp");
        }
    }
    assert_eq!(call(&router, "POST /whip/r", "v".repeat(SDP_MAX + 1)).await.problem(), "too-large");
    let answer = call(&router, "POST /whep/r/i", vec![0xff]).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "bad-sdp"));
    let long = "x".repeat(65);
    assert_eq!(call(&router, &format!("POST /whep/r/i/{long}"), "offer").await.status, 404);
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
async fn candidates_are_taken_while_other_credentials_restart() {
    let (state, asked) = scripted(|request| match request {
        Request::ChangeMedia { fragment, .. } if fragment.credentials.is_some() => {
            Ok(Reply::Restarted { tag: "ice-1".into(), fragment: "a=ice-lite\r\n".into() })
        }
        _ => Ok(Reply::Done),
    });
    let router = crate::http::router(state);
    let trickled = patch(&router, "/whip/r/ME_1", "\"ice-0\"", CANDIDATE).await;
    assert_eq!((trickled.status.as_u16(), trickled.body.len()), (204, 0));
    assert!(!trickled.headers.contains_key("etag"));
    let restarted = patch(&router, "/whep/r/Dr.%20Ada/ME_1", "*", format!("{CREDENTIALS}{CANDIDATE}")).await;
    assert_eq!((restarted.status.as_u16(), restarted.text()), (200, "a=ice-lite\r\n"));
    assert_eq!((restarted.header("content-type"), restarted.header("etag")), (FRAGMENT, "\"ice-1\""));
    for any in ["\"*\"", "*"] {
        assert_eq!(patch(&router, "/whip/r/ME_1", any, CREDENTIALS).await.status, 200);
    }
    patch(&router, "/whip/r/ME_1", "W/\"ice-0\", \"a\",b , \"c", CANDIDATE).await;
    let asked = asked.lock().unwrap();
    let meant = |at: usize| match &asked[at] {
        Request::ChangeMedia { of, condition, fragment, .. } => (of.as_ref().map(Identity::as_str), condition.clone(), fragment.clone()),
        other => panic!("{other:?}"),
    };
    let candidates = vec![CANDIDATE[2..].trim_end().to_owned()];
    let tags = |tags: &[&str]| Condition::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect());
    assert_eq!(meant(0), (None, tags(&["ice-0"]), Fragment { credentials: None, candidates: candidates.clone() }));
    let credentials = Some(Credentials { ufrag: "EsAw".into(), password: "P2uYro0UCOQ4zxjKXaWCBui1".into() });
    assert_eq!(meant(1), (Some("Dr. Ada"), Condition::Any, Fragment { credentials, candidates }));
    assert_eq!((meant(2).1, meant(3).1), (Condition::Any, Condition::Any));
    assert_eq!(meant(4).1, tags(&["", "a", "", ""]));
}

#[tokio::test]
async fn bad_changes_are_refused_here() {
    let (state, asked) = scripted(|_| Ok(Reply::Done));
    let router = crate::http::router(state);
    let bearer = format!("Bearer {}", guest());
    for place in ["/whip/r/ME_1", "/whep/r/i/ME_1"] {
        let line = format!("PATCH {place}");
        let answer = send(&router, &line, &[("content-type", FRAGMENT), ("if-match", "*")], CANDIDATE).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer"));
        for kind in ["application/sdp", "text/plain"] {
            let headers = [("authorization", bearer.as_str()), ("content-type", kind), ("if-match", "*")];
            let answer = send(&router, &line, &headers, CANDIDATE).await;
            assert_eq!((answer.status.as_u16(), answer.header("accept-patch")), (415, FRAGMENT));
            assert_eq!(answer.problem(), "unsupported-media-type");
        }
        let answer = send(&router, &line, &[("authorization", &bearer), ("content-type", FRAGMENT)], CANDIDATE).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (428, "precondition-required"));
        for body in [&b""[..], b"v=0\r\n", b"{}", b"a=mid:0\r\n", b"a=ice-ufrag:EsAw\r\n"] {
            let answer = patch(&router, place, "*", body).await;
            assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "bad-fragment"));
        }
        assert_eq!(patch(&router, place, "*", vec![b'a', b'=', 0xff]).await.status, 400);
        for body in ["a".repeat(FRAGMENT_MAX + 1), CANDIDATE.repeat(CANDIDATES_MAX + 1)] {
            let answer = patch(&router, place, "*", body).await;
            assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (413, "too-large"));
        }
        let tags = |count: usize| vec!["\"x\""; count].join(",");
        assert_eq!(patch(&router, place, &tags(TAGS_MAX + 1), CANDIDATE).await.problem(), "bad-condition");
        assert!(asked.lock().unwrap().is_empty());
        assert_eq!(patch(&router, place, &tags(TAGS_MAX), CANDIDATE).await.status, 204);
        asked.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn what_the_core_refuses_has_its_status() {
    for (refusal, status, slug) in [
        (Refusal::NotCurrent, 412, "precondition-failed"),
        (Refusal::ResourceNotFound, 404, "resource-not-found"),
        (Refusal::TooManyCandidates, 413, "too-large"),
        (Refusal::Invalid("x"), 422, "invalid-value"),
    ] {
        let (state, _) = scripted(move |_| Err(refusal.clone()));
        let answer = patch(&crate::http::router(state), "/whip/r/ME_1", "\"old\"", CANDIDATE).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug));
    }
}

#[tokio::test]
async fn options_tell_what_may_be_sent() {
    let (state, asked) = scripted(|_| Ok(Reply::Done));
    let router = crate::http::router(state);
    for (path, posts, patches) in
        [("/whip/r", true, false), ("/whip/r/x", false, true), ("/whep/r/i", true, false), ("/whep/r/i/x", true, true)]
    {
        let answer = send(&router, &format!("OPTIONS {path}"), &[("host", "konsil.example")], "").await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.headers.get("accept-post").is_some_and(|kind| kind == "application/sdp"), posts, "{path}");
        assert_eq!(answer.headers.get("accept-patch").is_some_and(|kind| kind == FRAGMENT), patches, "{path}");
        assert!(links(&answer).is_empty(), "strangers get no credentials");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn options_with_a_token_name_the_relay() {
    let (state, asked) = scripted(|request| match request {
        Request::Validate { layout: Some(Layout::Whip), .. } => Ok(Reply::Mode(RoomMode::Sfu)),
        _ => Err(Refusal::RoomFull),
    });
    let router = crate::http::router(state);
    names_the_relay(&links(&call(&router, "OPTIONS /whip/r", "").await));
    assert_eq!(call(&router, "OPTIONS /whep/r/i", "").await.problem(), "room-full");
    assert_eq!(asked.lock().unwrap().len(), 2);
    let answer = call(&router, "OPTIONS /whip/other", "").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "not-allowed"));
    let answer = send(&router, "OPTIONS /whip/r", &[("authorization", "Bearer x")], "").await;
    assert_eq!((answer.status.as_u16(), links(&answer).len()), (401, 0));
    assert_eq!(asked.lock().unwrap().len(), 2);
}
