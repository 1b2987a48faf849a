//! Media over plain HTTP: WHIP in (RFC 9725), WHEP out.

use axum::Router;
use axum::extract::{Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, LOCATION};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};

use super::cors;
use super::error::{Problem, ProblemBody};
use super::extract::{At, Caller, is_media_type, read};
use super::livekit::decode::SDP_MAX;
use super::paths::segment;
use super::state::AppState;
use crate::model::grants::Grants;
use crate::node::request::{Reply, Request};

/// What bodies must be (RFC 9725 §4.2).
const SDP: &str = "application/sdp";
/// Tells clients what may be posted (W3C Linked Data Platform §7.1).
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// The routes of WHIP and WHEP.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/whip/{room}", post(publish).options(options))
        .route("/whip/{room}/{resource}", delete(end_publishing).options(options))
        .route("/whep/{room}/{identity}", post(play).options(options))
        .route("/whep/{room}/{identity}/{resource}", delete(end_playing).options(options))
        .layer(from_fn(cors::any_origin))
}

async fn options() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [(ACCEPT_POST, SDP)])
}

async fn sdp(request: HttpRequest) -> Result<String, Problem> {
    let (parts, body) = request.into_parts();
    if !is_media_type(&parts.headers, SDP) {
        return Err(Problem::media_type(SDP));
    }
    let bytes = read(&parts.headers, body, SDP_MAX).await?;
    String::from_utf8(bytes.to_vec())
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "bad-sdp", "The SDP cannot be taken", "the SDP is not UTF-8"))
}

async fn begin(state: &AppState, request: Request, place: &str) -> Result<Response, Problem> {
    let Reply::Media { resource, sdp } = state.control().request(request).await? else {
        return Err(Problem::internal());
    };
    let location = format!("{place}/{}", segment(resource.as_str()));
    Ok((StatusCode::CREATED, [(CONTENT_TYPE, SDP.to_owned()), (LOCATION, location)], sdp).into_response())
}

/// Publishes by WHIP (RFC 9725). The room must not require end-to-end encryption, which WHIP cannot declare.
#[utoipa::path(
    post, path = "/whip/{room}", tag = "media", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id")),
    request_body(content = String, content_type = "application/sdp", description = "An SDP offer of at most 64 KiB"),
    responses(
        (status = 201, description = "An SDP answer; Location is to be deleted at the end", body = String, content_type = "application/sdp"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn publish(State(state): State<AppState>, Caller(grants): Caller, at: At, request: HttpRequest) -> Result<Response, Problem> {
    let (room, sdp) = (at.room()?, sdp(request).await?);
    let place = format!("/whip/{}", segment(room.as_str()));
    begin(&state, Request::Whip { grants, room, sdp }, &place).await
}

/// Receives one participant's tracks by WHEP.
#[utoipa::path(
    post, path = "/whep/{room}/{identity}", tag = "media", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id"), ("identity" = String, Path, description = "Whose tracks")),
    request_body(content = String, content_type = "application/sdp", description = "An SDP offer of at most 64 KiB"),
    responses(
        (status = 201, description = "An SDP answer; Location is to be deleted at the end", body = String, content_type = "application/sdp"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn play(State(state): State<AppState>, Caller(grants): Caller, at: At, request: HttpRequest) -> Result<Response, Problem> {
    let (room, identity, sdp) = (at.room()?, at.identity()?, sdp(request).await?);
    let place = format!("/whep/{}/{}", segment(room.as_str()), segment(identity.as_str()));
    begin(&state, Request::Whep { grants, room, identity, sdp }, &place).await
}

async fn end(state: &AppState, grants: Grants, at: &At) -> Result<StatusCode, Problem> {
    let request = Request::EndMedia { grants, room: at.room()?, resource: at.resource()? };
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
    end(&state, grants, &at).await
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
    end(&state, grants, &at).await
}

/// The described operations of this file.
#[derive(utoipa::OpenApi)]
#[openapi(paths(publish, play, end_publishing, end_playing))]
pub struct Operations;

#[cfg(test)]
#[path = "whip_tests.rs"]
mod tests;
