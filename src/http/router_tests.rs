//! What all routes have in common, with LiveKit's addresses before the upgrade.

use axum::http::StatusCode;

use super::testing::{self, guest, scripted, send};
use super::*;
use crate::node::request::{Refusal, Reply, Request};

fn refusing(refusal: Refusal) -> Router {
    router(scripted(move |_| Err(refusal.clone())).0)
}

#[tokio::test]
async fn validate_says_success_or_why_not() {
    let bearer = format!("Bearer {}", guest());
    let (state, asked) = scripted(|_| Ok(Reply::Done));
    let open = router(state);
    let answer = send(&open, "GET /rtc/validate", &[("authorization", &bearer)], "").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "success"));
    assert!(matches!(&asked.lock().unwrap()[..], [Request::Validate { grants, layout: Some(_) }] if grants.room_join));
    let wrapped = format!("GET /rtc/v1/validate?join_request=CAASAA==&access_token={}", guest());
    assert_eq!(send(&open, &wrapped, &[], "").await.status, 200);

    for (refusal, status, text) in [
        (Refusal::RoomNotFound, 404, "requested room does not exist"),
        (Refusal::RoomFull, 403, "the room is full"),
        (Refusal::ShuttingDown, 503, "the server is shutting down"),
    ] {
        let answer = send(&refusing(refusal), "GET /rtc/validate", &[("authorization", &bearer)], "").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, text));
    }
}

#[tokio::test]
async fn bad_tokens_are_refused_before_the_core_is_asked() {
    let (state, asked) = scripted(|_| Ok(Reply::Done));
    let router = router(state);
    let mut forged = guest();
    forged.pop();
    for path in ["/rtc", "/rtc/v1", "/rtc/validate", "/rtc/v1/validate"] {
        for query in [String::new(), "?access_token=x".to_owned(), format!("?access_token={forged}")] {
            let answer = send(&router, &format!("GET {path}{query}"), &[], "").await;
            assert_eq!(answer.status, 401);
            assert!(!answer.text().is_empty() && !answer.text().contains(&forged));
        }
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn broken_join_requests_are_bad_requests() {
    let (state, asked) = scripted(|_| Ok(Reply::Done));
    let router = router(state);
    for (query, text) in [("", "join_request is required"), ("join_request=%21", "join_request is not base64url")] {
        let answer = send(&router, &format!("GET /rtc/v1/validate?{query}&access_token={}", guest()), &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (400, text));
    }
    let twice = format!("GET /rtc/validate?sid=Erika&sid=Erika&access_token={}", guest());
    let answer = send(&router, &twice, &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (400, "the query cannot be read"));
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn metadata_of_the_client_needs_a_grant() {
    use base64::Engine as _;
    use prost::Message as _;
    let request = livekit_protocol::JoinRequest { metadata: "m".into(), ..Default::default() };
    let wrapped = livekit_protocol::WrappedJoinRequest { compression: 0, join_request: request.encode_to_vec() };
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec());
    let router = router(scripted(|_| Ok(Reply::Done)).0);
    let answer = send(&router, &format!("GET /rtc/v1/validate?join_request={text}&access_token={}", guest()), &[], "").await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn open_paths_answer_any_origin_while_ours_do_not() {
    let router = refusing(Refusal::Busy);
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,x-app"),
    ];
    for path in ["/rtc", "/rtc/v1/validate", "/twirp/livekit.RoomService/ListRooms", "/whip/r", "/whep/r/i", "/whip/r/x"] {
        let answer = send(&router, &format!("OPTIONS {path}"), &preflight, "").await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-headers"), "authorization,x-app");
        for method in ["POST", "PATCH", "DELETE"] {
            assert!(answer.header("access-control-allow-methods").contains(method));
        }
    }
    let answer = send(&router, "GET /rtc/validate", &[("origin", "https://app.example")], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (401, "*"));
    for name in ["location", "etag", "link"] {
        assert!(answer.header("access-control-expose-headers").contains(name));
    }
    for path in ["/v1/rooms", "/openapi.json", "/"] {
        let answer = send(&router, &format!("OPTIONS {path}"), &preflight, "").await;
        assert_eq!(answer.status, 405, "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn unknown_paths_or_methods_are_problems() {
    let router = refusing(Refusal::Busy);
    let answer = send(&router, "GET /v1/nothing", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (404, "not-found"));
    let answer = send(&router, "PUT /v1/rooms", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (405, "method-not-allowed"));
    assert!(answer.header("allow").contains("GET") && answer.header("allow").contains("POST"));
    for place in ["/whip/r/x", "/whep/r/i/x"] {
        for method in ["GET", "HEAD", "PUT"] {
            let answer = send(&router, &format!("{method} {place}"), &[], "").await;
            assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (405, "*"), "{method} {place}");
            assert!(answer.header("allow").contains("PATCH") && answer.header("allow").contains("DELETE"));
            assert!(method == "HEAD" || answer.problem() == "method-not-allowed");
        }
    }
    for method in ["GET", "PATCH", "DELETE"] {
        let answer = send(&router, &format!("{method} /whip/r"), &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST,OPTIONS"), "{method}");
    }
}

#[tokio::test]
async fn every_answer_is_hardened() {
    let router = refusing(Refusal::Busy);
    for path in ["/", "/v1/rooms", "/nothing", "/rtc", "/openapi.json"] {
        let answer = send(&router, &format!("GET {path}"), &[], "").await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn description_is_served_from_the_code() {
    let answer = send(&refusing(Refusal::Busy), "GET /openapi.json", &[], "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.json()["paths"]["/v1/rooms"]["post"].is_object());
    assert!(answer.json()["paths"]["/whep/{room}/{identity}"]["post"].is_object());
}

#[tokio::test]
async fn assets_stay_inside_their_folder() {
    let router = router(testing::state().0);
    for path in ["/assets/none.js", "/assets/../index.html", "/assets/%2e%2e/index.html", "/assets//etc/passwd"] {
        assert_eq!(send(&router, &format!("GET {path}"), &[], "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn page_refers_to_assets_that_are_there() {
    let router = router(testing::state().0);
    let page = send(&router, "GET /r/Raum%201", &[], "").await;
    if page.status == 404 {
        assert!(page.text().contains("make"), "a build without the page must say what to do");
        return;
    }
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let assets: Vec<&str> = page.text().split('"').filter(|text| text.starts_with("/assets/")).collect();
    let is_script = |path: &str| path.rsplit('.').next() == Some("js");
    assert!(assets.iter().any(|path| is_script(path)));
    for path in assets {
        let answer = send(&router, &format!("GET {path}"), &[], "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("cache-control").contains("immutable"));
        // Browsers run no module of another type, and `nosniff` forbids guessing.
        assert!(!is_script(path) || answer.header("content-type") == "text/javascript");
    }
}
