//! `POST /v1/join`: a guest's way in with nothing but an invitation.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};

use super::error::{Problem, ProblemBody};
use super::extract::{Authority, Input};
use super::ice::Reached;
use super::invite;
use super::state::AppState;
use super::wire::{Admission, AdmissionState, Join};
use crate::node::request::{Reply, Request};

/// The route.
pub fn routes() -> Router<AppState> {
    Router::new().route("/v1/join", post(join))
}

/// Exchanges an invitation for a token of one's own. Each exchange is another guest: no account, nothing to link two visits by.
/// Who has a token already learns by it how to join.
#[utoipa::path(
    post, path = "/v1/join", tag = "invitations", request_body = Join,
    responses(
        (status = 200, description = "Come in: where to connect and with which token", body = Admission),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed, or not available in this version", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn join(State(state): State<AppState>, Authority(host): Authority, Input(wanted): Input<Join>) -> Result<Json<Admission>, Problem> {
    if wanted.tenant.is_some() || wanted.tan.is_some() {
        return Err(Problem::not_available("joining by TAN is not available in this version; use an invitation link"));
    }
    let admitted = match (wanted.invitation, wanted.token) {
        (Some(invitation), None) => invite::admit(&state, &invitation)?,
        (None, Some(token)) => invite::recognise(&state, token)?,
        _ => return Err(Problem::invalid("either invitation or token is needed: that of an invitation link, or one's own")),
    };
    let grants = admitted.grants.clone();
    let (mode, waits) = match state.control().request(Request::Validate { grants, layout: None }).await? {
        Reply::Mode(mode) => (mode, AdmissionState::Admitted),
        Reply::Waiting(mode) => (mode, AdmissionState::Waiting),
        _ => return Err(Problem::internal()),
    };
    let reached = host.as_deref().and_then(Reached::parse);
    Ok(Json(invite::admission(&state, admitted, (mode, waits), reached.as_ref())?))
}

/// The described operations of this file.
#[derive(utoipa::OpenApi)]
#[openapi(paths(join))]
pub struct Operations;

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
