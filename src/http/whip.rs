//! Media over plain HTTP: WHIP in (RFC 9725), WHEP out.

use axum::Router;
use axum::extract::{Request as HttpRequest, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, LINK, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::error::{Problem, ProblemBody};
use super::extract::{At, Authority, Caller, is_media_type, read};
use super::ice::{self, IceServer, Reached};
use super::livekit::decode::SDP_MAX;
use super::paths::segment;
use super::state::AppState;
use super::{auth, cors};
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, RoomName};
use crate::node::fragment::{self, FRAGMENT_MAX};
use crate::node::request::{Condition, Refusal, Reply, Request};
use crate::room::command::Layout;

/// What bodies of POST must be (RFC 9725 §4.2).
const SDP: &str = "application/sdp";
/// What bodies of PATCH must be (RFC 9725 §4.3.1).
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// Tells clients what may be posted (W3C Linked Data Platform §7.1).
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// Tells clients what may be patched by (RFC 5789 §3.1).
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// Most entity tags that one `If-Match` may list.
const TAGS_MAX: usize = 16;

/// The routes of WHIP and WHEP. One pattern of WHEP has two meanings: what is posted to names a track, what is changed or
/// ended names a session.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/whip/{room}", post(publish).options(publish_options))
        .route("/whip/{room}/{resource}", axum::routing::patch(change_publishing).delete(end_publishing).options(session_options))
        .route("/whep/{room}/{identity}", post(play).options(play_options))
        .route("/whep/{room}/{identity}/{resource}", post(play_track).patch(change_playing).delete(end_playing).options(play_options))
        // Before the layer, so that a foreign page may read this too.
        .method_not_allowed_fallback(async || Problem::method())
        .layer(from_fn(cors::any_origin))
}

async fn session_options() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [(ACCEPT_PATCH, FRAGMENT)])
}

async fn publish_options(State(state): State<AppState>, at: At, authority: Authority, headers: HeaderMap) -> Result<Response, Problem> {
    options(&state, &at, authority, &headers, Layout::Whip).await
}

async fn play_options(State(state): State<AppState>, at: At, authority: Authority, headers: HeaderMap) -> Result<Response, Problem> {
    options(&state, &at, authority, &headers, Layout::Whep).await
}

/// What may be done here. Who shows a token that leads in gets ICE servers too (RFC 9725 §4.6); preflight requests of
/// browsers show none, and do not come here.
async fn options(state: &AppState, at: &At, Authority(host): Authority, headers: &HeaderMap, layout: Layout) -> Result<Response, Problem> {
    let mut response = (StatusCode::NO_CONTENT, [(ACCEPT_POST, SDP)]).into_response();
    if at.resource().is_ok() {
        response.headers_mut().insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    }
    if headers.contains_key(AUTHORIZATION) {
        let grants = auth::grants(state, headers, None)?;
        let (name, identity) = (at.room()?, grants.identity.clone());
        if grants.room.as_ref() != Some(&name) {
            return Err(Refusal::NotAllowed("roomJoin for this room").into());
        }
        let room = RoomId { tenant: grants.tenant.clone(), name };
        state.control().request(Request::Validate { grants, layout: Some(layout) }).await?;
        let reached = host.as_deref().and_then(Reached::parse);
        let identity = identity.as_ref().map(Identity::as_str).unwrap_or_default();
        link(&mut response, &ice::for_guest(state, &room, identity, reached.as_ref()));
    }
    Ok(response)
}

fn link(response: &mut Response, servers: &[IceServer]) {
    for value in ice::links(servers) {
        response.headers_mut().append(LINK, value);
    }
}

/// The body, if it is what it must be.
async fn text(request: HttpRequest, kind: &'static str, max: usize) -> Result<(HeaderMap, String), Problem> {
    let (parts, body) = request.into_parts();
    if !is_media_type(&parts.headers, kind) {
        return Err(Problem::media_type(kind));
    }
    let bytes = read(&parts.headers, body, max).await?;
    let text = String::from_utf8(bytes.to_vec())
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "bad-sdp", "The SDP cannot be taken", "the SDP is not UTF-8"))?;
    Ok((parts.headers, text))
}

/// Tells with 415 what would be taken.
fn taking(kind: &'static str, by: HeaderName, result: Result<Response, Problem>) -> Response {
    let mut response = result.into_response();
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        response.headers_mut().insert(by, HeaderValue::from_static(kind));
    }
    response
}

fn tagged(tag: &str) -> String {
    format!("\"{tag}\"")
}

async fn begin(state: &AppState, request: Request, Authority(host): Authority, place: &str) -> Result<Response, Problem> {
    let Reply::Media { resource, tag, relay, sdp } = state.control().request(request).await? else {
        return Err(Problem::internal());
    };
    let location = format!("{place}/{}", segment(resource.as_str()));
    let headers = [(CONTENT_TYPE, SDP.to_owned()), (LOCATION, location), (ETAG, tagged(&tag))];
    let mut response = (StatusCode::CREATED, headers, sdp).into_response();
    let reached = host.as_deref().and_then(Reached::parse);
    link(&mut response, &ice::for_session(state, relay, reached.as_ref()));
    Ok(response)
}

/// Publishes by WHIP (RFC 9725). The room must not require end-to-end encryption, which WHIP cannot declare.
#[utoipa::path(
    post, path = "/whip/{room}", tag = "media", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id")),
    request_body(content = String, content_type = "application/sdp", description = "An SDP offer of at most 64 KiB"),
    responses(
        (status = 201, description = "An SDP answer; Location is to be deleted at the end, ETag names the ICE session, Link ICE servers", body = String, content_type = "application/sdp"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn publish(State(state): State<AppState>, Caller(grants): Caller, at: At, authority: Authority, request: HttpRequest) -> Response {
    let published = async {
        let (room, (_, sdp)) = (at.room()?, text(request, SDP, SDP_MAX).await?);
        let place = format!("/whip/{}", segment(room.as_str()));
        begin(&state, Request::Whip { grants, room, sdp }, authority, &place).await
    };
    taking(SDP, ACCEPT_POST, published.await)
}

async fn receive(state: &AppState, grants: Grants, at: &At, authority: Authority, request: HttpRequest) -> Response {
    let received = async {
        let (room, identity, track) = (at.room()?, at.identity()?, at.resource().ok());
        let (_, sdp) = text(request, SDP, SDP_MAX).await?;
        let place = format!("/whep/{}/{}", segment(room.as_str()), segment(identity.as_str()));
        begin(state, Request::Whep { grants, room, identity, track, sdp }, authority, &place).await
    };
    taking(SDP, ACCEPT_POST, received.await)
}

/// Receives one participant's tracks by WHEP.
#[utoipa::path(
    post, path = "/whep/{room}/{identity}", tag = "media", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id"), ("identity" = String, Path, description = "Whose tracks")),
    request_body(content = String, content_type = "application/sdp", description = "An SDP offer of at most 64 KiB"),
    responses(
        (status = 201, description = "An SDP answer; Location is to be deleted at the end, ETag names the ICE session, Link ICE servers", body = String, content_type = "application/sdp"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn play(State(state): State<AppState>, Caller(grants): Caller, at: At, authority: Authority, request: HttpRequest) -> Response {
    receive(&state, grants, &at, authority, request).await
}

/// Receives one track by WHEP. Its session's address is as for all tracks.
#[utoipa::path(
    post, path = "/whep/{room}/{identity}/{resource}", tag = "media", security(("bearer" = [])),
    params(
        ("room" = String, Path, description = "The room's id"),
        ("identity" = String, Path, description = "Whose track"),
        ("resource" = String, Path, description = "The track's sid"),
    ),
    request_body(content = String, content_type = "application/sdp", description = "An SDP offer of at most 64 KiB"),
    responses(
        (status = 201, description = "An SDP answer; Location is to be deleted at the end, ETag names the ICE session, Link ICE servers", body = String, content_type = "application/sdp"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn play_track(
    State(state): State<AppState>,
    Caller(grants): Caller,
    at: At,
    authority: Authority,
    request: HttpRequest,
) -> Result<Response, Problem> {
    at.resource()?;
    Ok(receive(&state, grants, &at, authority, request).await)
}

/// Which ICE session a request means (RFC 9110 §13.1.1).
///
/// # Errors
/// 428 without `If-Match`, 400 for more than [`TAGS_MAX`] tags.
fn condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    let mut tags = Vec::new();
    for value in headers.get_all(IF_MATCH) {
        // What is not text names no session of ours.
        let value = value.to_str().unwrap_or_default().trim();
        // RFC 9725 writes the asterisk as if it were a tag.
        if matches!(value, "*" | "\"*\"") {
            return Ok(Condition::Any);
        }
        // A weak tag never matches here; ours have no comma.
        let strong = |tag: &str| tag.trim().strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or_default().to_owned();
        tags.extend(value.split(',').map(strong).take(TAGS_MAX + 1));
        if tags.len() > TAGS_MAX {
            let detail = "If-Match may list at most 16 tags";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "bad-condition", "The precondition cannot be taken", detail));
        }
    }
    if headers.contains_key(IF_MATCH) { Ok(Condition::Tags(tags)) } else { Err(Problem::unconditional()) }
}

async fn change(state: &AppState, grants: Grants, at: &At, of: Option<Identity>, request: HttpRequest) -> Result<Response, Problem> {
    let (room, resource) = (at.room()?, at.resource()?);
    let (headers, text) = text(request, FRAGMENT, FRAGMENT_MAX).await?;
    let condition = condition(&headers)?;
    let fragment = fragment::read(&text)?;
    match state.control().request(Request::ChangeMedia { grants, room, of, resource, condition, fragment }).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT.into_response()),
        Reply::Restarted { tag, fragment } => Ok(([(CONTENT_TYPE, FRAGMENT.to_owned()), (ETAG, tagged(&tag))], fragment).into_response()),
        _ => Err(Problem::internal()),
    }
}

/// Takes candidates of what WHIP began, or restarts its ICE (RFC 9725 §4.3).
#[utoipa::path(
    patch, path = "/whip/{room}/{resource}", tag = "media", security(("bearer" = [])),
    params(
        ("room" = String, Path, description = "The room's id"),
        ("resource" = String, Path, description = "As in Location"),
        ("If-Match" = String, Header, description = "The newest ETag, or * to restart ICE"),
    ),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag", description = "A fragment of SDP of at most 32 KiB"),
    responses(
        (status = 204, description = "The candidates are taken"),
        (status = 200, description = "ICE begins anew; ETag names the new ICE session", body = String, content_type = "application/trickle-ice-sdpfrag"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn change_publishing(State(state): State<AppState>, Caller(grants): Caller, at: At, request: HttpRequest) -> Response {
    taking(FRAGMENT, ACCEPT_PATCH, change(&state, grants, &at, None, request).await)
}

/// Takes candidates of what WHEP began, or restarts its ICE.
#[utoipa::path(
    patch, path = "/whep/{room}/{identity}/{resource}", tag = "media", security(("bearer" = [])),
    params(
        ("room" = String, Path, description = "The room's id"),
        ("identity" = String, Path, description = "Whose tracks"),
        ("resource" = String, Path, description = "As in Location"),
        ("If-Match" = String, Header, description = "The newest ETag, or * to restart ICE"),
    ),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag", description = "A fragment of SDP of at most 32 KiB"),
    responses(
        (status = 204, description = "The candidates are taken"),
        (status = 200, description = "ICE begins anew; ETag names the new ICE session", body = String, content_type = "application/trickle-ice-sdpfrag"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn change_playing(State(state): State<AppState>, Caller(grants): Caller, at: At, request: HttpRequest) -> Result<Response, Problem> {
    let of = Some(at.identity()?);
    Ok(taking(FRAGMENT, ACCEPT_PATCH, change(&state, grants, &at, of, request).await))
}

async fn end(state: &AppState, grants: Grants, room: RoomName, of: Option<Identity>, at: &At) -> Result<StatusCode, Problem> {
    let request = Request::EndMedia { grants, room, of, resource: at.resource()? };
    state.control().request(request).await?;
    Ok(StatusCode::OK)
}

/// Ends what WHIP began.
#[utoipa::path(
    delete, path = "/whip/{room}/{resource}", tag = "media", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id"), ("resource" = String, Path, description = "As in Location")),
    responses(
        (status = 200, description = "Ended"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn end_publishing(State(state): State<AppState>, Caller(grants): Caller, at: At) -> Result<StatusCode, Problem> {
    end(&state, grants, at.room()?, None, &at).await
}

/// Ends what WHEP began.
#[utoipa::path(
    delete, path = "/whep/{room}/{identity}/{resource}", tag = "media", security(("bearer" = [])),
    params(
        ("room" = String, Path, description = "The room's id"),
        ("identity" = String, Path, description = "Whose tracks"),
        ("resource" = String, Path, description = "As in Location"),
    ),
    responses(
        (status = 200, description = "Ended"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn end_playing(State(state): State<AppState>, Caller(grants): Caller, at: At) -> Result<StatusCode, Problem> {
    end(&state, grants, at.room()?, Some(at.identity()?), &at).await
}

/// The described operations of this file.
#[derive(utoipa::OpenApi)]
#[openapi(paths(publish, play, play_track, change_publishing, change_playing, end_publishing, end_playing))]
pub struct Operations;

#[cfg(test)]
#[path = "whip_tests.rs"]
mod tests;
