//! `POST /v1/join`: a guest's way in with nothing but an invitation.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};

use super::error::{Problem, ProblemBody};
use super::extract::{Authority, Input};
use super::ice::Reached;
use super::invite;
use super::state::AppState;
use super::wire::{Admission, Join};
use crate::node::request::Request;

/// The route.
pub fn routes() -> Router<AppState> {
    Router::new().route("/v1/join", post(join))
}

/// Exchanges an invitation for a token of one's own. Each exchange is another guest: no account, nothing to link two visits by.
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
    let Some(invitation) = wanted.invitation else {
        return Err(Problem::invalid("invitation is missing: the token of an invitation link"));
    };
    let admission = invite::admit(&state, &invitation, host.as_deref().and_then(Reached::parse).as_ref())?;
    state.control().request(Request::Validate { grants: admission.grants }).await?;
    Ok(Json(admission.answer))
}

/// The described operations of this file.
#[derive(utoipa::OpenApi)]
#[openapi(paths(join))]
pub struct Operations;

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
