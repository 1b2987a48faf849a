//! `/v1/rooms`: rooms with those who are in them.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use super::error::{Problem, ProblemBody};
use super::extract::{At, Caller, Input, room_name};
use super::paths::segment;
use super::state::AppState;
use super::wire::{self, E2ee, Mute, NewRoom};
use crate::model::ids::Sid;
use crate::node::request::{Reply, Request, RoomOrigin, RoomSpec};
use crate::room::DoorRules;

/// The routes under `/v1`.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/v1/rooms", post(create).get(list))
        .route("/v1/rooms/{room}", get(one).delete(end))
        .route("/v1/rooms/{room}/participants", get(participants))
        .route("/v1/rooms/{room}/participants/{identity}", delete(remove))
        .route("/v1/rooms/{room}/participants/{identity}/mute", post(mute))
}

async fn ask(state: &AppState, request: Request) -> Result<Reply, Problem> {
    Ok(state.control().request(request).await?)
}

/// Makes a room.
#[utoipa::path(
    post, path = "/v1/rooms", tag = "rooms", security(("bearer" = [])), request_body = NewRoom,
    responses(
        (status = 201, description = "Made; Location names it", body = wire::Room),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn create(State(state): State<AppState>, Caller(grants): Caller, Input(room): Input<NewRoom>) -> Result<Response, Problem> {
    let spec = RoomSpec {
        name: room.id.as_deref().map(room_name).transpose()?,
        mode: room.mode.map(Into::into),
        hide_addresses: room.hide_addresses,
        require_encryption: room.e2ee.map(|e2ee| e2ee == E2ee::Required),
        max_participants: room.max_participants,
        empty_timeout_s: room.empty_timeout_s,
        door: DoorRules { lobby: room.lobby, not_before: room.not_before, not_after: room.not_after },
        metadata: String::new(),
        origin: RoomOrigin::Api,
    };
    let Reply::Room(view) = ask(&state, Request::CreateRoom { grants, spec }).await? else {
        return Err(Problem::internal());
    };
    let location = format!("/v1/rooms/{}", segment(view.name.as_str()));
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(wire::Room::from(&view))).into_response())
}

/// Lists the tenant's rooms.
#[utoipa::path(
    get, path = "/v1/rooms", tag = "rooms", security(("bearer" = [])),
    responses(
        (status = 200, description = "All rooms of the tenant", body = wire::Rooms),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn list(State(state): State<AppState>, Caller(grants): Caller) -> Result<Json<wire::Rooms>, Problem> {
    let Reply::Rooms(views) = ask(&state, Request::ListRooms { grants, names: Vec::new() }).await? else {
        return Err(Problem::internal());
    };
    Ok(Json(wire::Rooms { rooms: views.iter().map(Into::into).collect() }))
}

/// Describes a room.
#[utoipa::path(
    get, path = "/v1/rooms/{room}", tag = "rooms", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id")),
    responses(
        (status = 200, description = "The room", body = wire::Room),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn one(State(state): State<AppState>, Caller(grants): Caller, at: At) -> Result<Json<wire::Room>, Problem> {
    let Reply::Room(view) = ask(&state, Request::Room { grants, room: at.room()? }).await? else {
        return Err(Problem::internal());
    };
    Ok(Json((&view).into()))
}

/// Ends a room for all and forgets it.
#[utoipa::path(
    delete, path = "/v1/rooms/{room}", tag = "rooms", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id")),
    responses(
        (status = 204, description = "Ended"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn end(State(state): State<AppState>, Caller(grants): Caller, at: At) -> Result<StatusCode, Problem> {
    ask(&state, Request::DeleteRoom { grants, room: at.room()? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists who is in a room.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/participants", tag = "participants", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id")),
    responses(
        (status = 200, description = "Everybody in the room", body = wire::Participants),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn participants(State(state): State<AppState>, Caller(grants): Caller, at: At) -> Result<Json<wire::Participants>, Problem> {
    let Reply::Participants(views) = ask(&state, Request::Participants { grants, room: at.room()? }).await? else {
        return Err(Problem::internal());
    };
    Ok(Json(wire::Participants { participants: views.iter().map(Into::into).collect() }))
}

/// Removes a participant.
#[utoipa::path(
    delete, path = "/v1/rooms/{room}/participants/{identity}", tag = "participants", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id"), ("identity" = String, Path, description = "The participant")),
    responses(
        (status = 204, description = "Removed"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn remove(State(state): State<AppState>, Caller(grants): Caller, at: At) -> Result<StatusCode, Problem> {
    ask(&state, Request::RemoveParticipant { grants, room: at.room()?, identity: at.identity()? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mutes one track of a participant, or all of them. Only the participant can unmute.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/participants/{identity}/mute", tag = "participants", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id"), ("identity" = String, Path, description = "The participant")),
    request_body = Mute,
    responses(
        (status = 200, description = "The tracks as they are now", body = wire::Tracks),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn mute(
    State(state): State<AppState>,
    Caller(grants): Caller,
    at: At,
    Input(order): Input<Mute>,
) -> Result<Json<wire::Tracks>, Problem> {
    let track = order.track.as_deref().map(Sid::from_client);
    let request = Request::Mute { grants, room: at.room()?, identity: at.identity()?, track, muted: order.muted };
    let Reply::Tracks(views) = ask(&state, request).await? else {
        return Err(Problem::internal());
    };
    Ok(Json(wire::Tracks { tracks: views.iter().map(Into::into).collect() }))
}

/// The described operations of this file.
#[derive(utoipa::OpenApi)]
#[openapi(paths(create, list, one, end, participants, remove, mute))]
pub struct Operations;

#[cfg(test)]
#[path = "rooms_tests.rs"]
mod tests;
