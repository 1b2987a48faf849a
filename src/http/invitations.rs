//! `/v1/rooms/{room}/invitations`: links into a room, or TANs.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use axum::{Json, Router};

use super::error::{Problem, ProblemBody};
use super::extract::{At, Authority, Caller, Input};
use super::invite::{self, Wanted};
use super::state::AppState;
use super::wire::{Invitation, KeptInvitations, NewInvitation};
use crate::node::invitation::{InvitationReply, InvitationRequest};
use crate::node::request::{Reply, Request};

/// The routes.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/v1/rooms/{room}/invitations", post(make).get(list))
        .route("/v1/rooms/{room}/invitations/{invitation}", delete(revoke))
        .route("/v1/rooms/{room}/invitations/{invitation}/confirm", post(confirm))
}

/// Invites somebody. Guests exchange a link's token, or a TAN, for a token of their own by `POST /v1/join`. A link is for many unless it
/// is `single_use`. A TAN is for one device, of a guest or an observer.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/invitations", tag = "invitations", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id")),
    request_body = NewInvitation,
    responses(
        (status = 201, description = "The link, without the end-to-end key, which the server never knows; or the TAN", body = Invitation),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn make(
    State(state): State<AppState>,
    Caller(grants): Caller,
    at: At,
    Authority(host): Authority,
    Input(wanted): Input<NewInvitation>,
) -> Result<Response, Problem> {
    let (room, tenant) = (at.room()?, grants.tenant.clone());
    let made = match invite::wanted(&wanted, state.wall().as_secs())? {
        Wanted::ForMany(terms) => {
            let Reply::Room(room) = state.control().request(Request::Invite { grants, room }).await? else {
                return Err(Problem::internal());
            };
            invite::link(&state, &tenant, &room, host.as_deref(), &terms)?
        }
        Wanted::ForOne(spec) => {
            let request = InvitationRequest::Make { grants, room: room.clone(), spec: spec.clone() };
            let InvitationReply::Made(made) = ask(&state, request).await? else { return Err(Problem::internal()) };
            invite::for_one(&state, (&tenant, &room), host.as_deref(), &spec, made)?
        }
    };
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

async fn ask(state: &AppState, request: InvitationRequest) -> Result<InvitationReply, Problem> {
    match state.control().request(Request::Invitation(request)).await? {
        Reply::Invitation(reply) => Ok(reply),
        _ => Err(Problem::internal()),
    }
}

/// Lists the invitations into a room that are for one device each. Links for many are kept nowhere.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/invitations", tag = "invitations", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id")),
    responses(
        (status = 200, description = "Those that are good, or were used", body = KeptInvitations),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn list(State(state): State<AppState>, Caller(grants): Caller, at: At) -> Result<Json<KeptInvitations>, Problem> {
    let InvitationReply::List(views) = ask(&state, InvitationRequest::List { grants, room: at.room()? }).await? else {
        return Err(Problem::internal());
    };
    Ok(Json(KeptInvitations { invitations: views.iter().map(Into::into).collect() }))
}

/// Confirms a TAN that would die within an hour otherwise.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/invitations/{invitation}/confirm", tag = "invitations", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id"), ("invitation" = String, Path, description = "The invitation's id")),
    responses(
        (status = 204, description = "Confirmed, now or before"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn confirm(State(state): State<AppState>, Caller(grants): Caller, at: At) -> Result<StatusCode, Problem> {
    let request = InvitationRequest::Confirm { grants, room: at.room()?, id: at.invitation()? };
    state.control().request(Request::Invitation(request)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an invitation back. Whoever came by it leaves.
#[utoipa::path(
    delete, path = "/v1/rooms/{room}/invitations/{invitation}", tag = "invitations", security(("bearer" = [])),
    params(("room" = String, Path, description = "The room's id"), ("invitation" = String, Path, description = "The invitation's id")),
    responses(
        (status = 204, description = "It is good no more"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn revoke(State(state): State<AppState>, Caller(grants): Caller, at: At) -> Result<StatusCode, Problem> {
    let request = InvitationRequest::Revoke { grants, room: at.room()?, id: at.invitation()? };
    state.control().request(Request::Invitation(request)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The described operations of this file.
#[derive(utoipa::OpenApi)]
#[openapi(paths(make, list, confirm, revoke))]
pub struct Operations;

#[cfg(test)]
#[path = "invitations_tests.rs"]
mod tests;
