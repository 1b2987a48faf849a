//! What moderators can do at a room's desk by plain HTTP.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::error::{Problem, ProblemBody};
use crate::http::extract::{At, Caller, Input, Shape};
use crate::http::state::AppState;
use crate::node::request::{LobbyAction, Reply, Request};

/// The routes of the desk.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route(super::PATH, get(super::open))
        .route("/v1/rooms/{room}/lock", post(lock))
        .route("/v1/rooms/{room}/lobby", get(lobby))
        .route("/v1/rooms/{room}/lobby/{identity}", post(admission))
}

/// Locking or unlocking.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Whether nobody new may come.
    locked: bool,
}

impl Shape for Lock {
    const FIELDS: &'static str = r#"{"locked": true|false}"#;
}

/// What becomes of somebody who waits, or was admitted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Admitting {
    /// What is to be done.
    action: Action,
}

impl Shape for Admitting {
    const FIELDS: &'static str = r#"{"action": "admit"|"refuse"|"putback"}"#;
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Let in.
    Admit,
    /// Turn away.
    Refuse,
    /// Let wait again.
    PutBack,
}

impl From<Action> for LobbyAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Admit => Self::Admit,
            Action::Refuse => Self::Refuse,
            Action::PutBack => Self::PutBack,
        }
    }
}

/// Those who wait.
#[derive(Debug, Serialize, ToSchema)]
pub struct Lobby {
    /// By identity.
    waiting: Vec<Waiting>,
}

/// Somebody who waits.
#[derive(Debug, Serialize, ToSchema)]
pub struct Waiting {
    /// Who.
    identity: String,
    /// As what: `guest` or `observer`.
    #[schema(value_type = String)]
    role: &'static str,
    /// Since when, in seconds since 1970.
    since: u64,
}

/// Locks a room, so that nobody new comes in, or unlocks it.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/lock", tag = "rooms", security(("bearer" = [])), request_body = Lock,
    params(("room" = String, Path, description = "The room's id")),
    responses(
        (status = 204, description = "Done"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn lock(State(state): State<AppState>, Caller(grants): Caller, at: At, Input(order): Input<Lock>) -> Result<StatusCode, Problem> {
    state.control().request(Request::Lock { grants, room: at.room()?, locked: order.locked }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists who waits for a room.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/lobby", tag = "rooms", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id")),
    responses(
        (status = 200, description = "Everybody who waits with an open desk", body = Lobby),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn lobby(State(state): State<AppState>, Caller(grants): Caller, at: At) -> Result<Json<Lobby>, Problem> {
    let Reply::Lobby(people) = state.control().request(Request::Lobby { grants, room: at.room()? }).await? else {
        return Err(Problem::internal());
    };
    let waiting = people.into_iter().map(|person| Waiting {
        identity: person.identity.as_str().to_owned(),
        role: person.role.as_str(),
        since: person.since,
    });
    Ok(Json(Lobby { waiting: waiting.collect() }))
}

/// Admits or refuses somebody who waits, or puts somebody back into the waiting room.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/lobby/{identity}", tag = "rooms", security(("bearer" = [])), request_body = Admitting,
    params(("room" = String, Path, description = "The room's id"), ("identity" = String, Path, description = "The person")),
    responses(
        (status = 204, description = "Done"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn admission(
    State(state): State<AppState>,
    Caller(grants): Caller,
    at: At,
    Input(order): Input<Admitting>,
) -> Result<StatusCode, Problem> {
    let request = Request::Admission { grants, room: at.room()?, identity: at.identity()?, action: order.action.into() };
    state.control().request(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The described operations of the desk.
#[derive(utoipa::OpenApi)]
#[openapi(paths(super::open, lock, lobby, admission))]
pub struct Operations;
