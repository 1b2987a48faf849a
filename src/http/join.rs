//! `POST /v1/join`: a guest's way in with nothing but an invitation.

use std::net::IpAddr;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};

use super::error::{Problem, ProblemBody};
use super::extract::{Address, Authority, Input};
use super::ice::Reached;
use super::invite::{self, Admitted, Invited};
use super::state::AppState;
use super::wire::{Admission, AdmissionState, Join};
use crate::access::tan::Admit;
use crate::model::ids::TenantId;
use crate::model::secret::Secret;
use crate::node::invitation::{InvitationReply, InvitationRequest, Redeem};
use crate::node::request::{Reply, Request, RoomMode};

/// The route.
pub fn routes() -> Router<AppState> {
    Router::new().route("/v1/join", post(join))
}

/// Exchanges an invitation for a token of one's own. Each is another guest: no account, nothing to link two visits by. A TAN, or a
/// link for one device, belongs to the device that uses it first, which comes back with `resume` until the room ends.
/// Who has a token already learns by it how to join.
#[utoipa::path(
    post, path = "/v1/join", tag = "invitations", request_body = Join,
    responses(
        (status = 200, description = "Come in: where to connect and with which token", body = Admission),
        (status = "4XX", description = "Refused; 429 has Retry-After", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn join(
    State(state): State<AppState>,
    Authority(host): Authority,
    Address(address): Address,
    Input(wanted): Input<Join>,
) -> Result<Json<Admission>, Problem> {
    let admitted = match comes_with(&state, wanted)? {
        Invited::Many(admitted) => admitted,
        Invited::One(by) => redeem(&state, by, address).await?,
    };
    let standing = match admitted.standing {
        Some(standing) => standing,
        None => validated(&state, &admitted).await?,
    };
    let reached = host.as_deref().and_then(Reached::parse);
    Ok(Json(invite::admission(&state, admitted, standing, reached.as_ref())?))
}

/// What somebody comes with: exactly one thing.
fn comes_with(state: &AppState, wanted: Join) -> Result<Invited, Problem> {
    let Join { invitation, token, tenant, tan, resume } = wanted;
    match (invitation, token, tenant, tan, resume) {
        (Some(invitation), None, None, None, None) => invite::admit(state, &invitation),
        (None, Some(token), None, None, None) => invite::recognise(state, token).map(Invited::Many),
        (None, None, Some(tenant), Some(tan), None) => {
            let tenant = TenantId::new(&tenant).map_err(|error| Problem::invalid(format!("tenant {error}")))?;
            Ok(Invited::One(Redeem::Tan(tenant, Admit::read(&tan)?)))
        }
        (None, None, None, None, Some(resume)) => Ok(Invited::One(Redeem::Resume(Secret::new(resume)))),
        _ => Err(Problem::invalid("one of these is needed: invitation, token, tenant with tan, resume")),
    }
}

async fn redeem(state: &AppState, by: Redeem, address: Option<IpAddr>) -> Result<Admitted, Problem> {
    let request = Request::Invitation(InvitationRequest::Redeem { by, address });
    match state.control().request(request).await? {
        Reply::Invitation(InvitationReply::Redeemed(redeemed)) => invite::redeemed(state, redeemed),
        _ => Err(Problem::internal()),
    }
}

async fn validated(state: &AppState, admitted: &Admitted) -> Result<(RoomMode, AdmissionState), Problem> {
    let grants = admitted.grants.clone();
    match state.control().request(Request::Validate { grants, layout: None }).await? {
        Reply::Mode(mode) => Ok((mode, AdmissionState::Admitted)),
        Reply::Waiting(mode) => Ok((mode, AdmissionState::Waiting)),
        _ => Err(Problem::internal()),
    }
}

/// The described operations of this file.
#[derive(utoipa::OpenApi)]
#[openapi(paths(join))]
pub struct Operations;

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
