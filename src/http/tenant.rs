//! `/v1/tenant`, `/v1/revocations`: what an organisation says of itself, whom it shuts out.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{Problem, ProblemBody};
use super::extract::{Caller, Input, Shape, identity, room_name};
use super::state::AppState;
use crate::node::request::{Reply, Request, TenantView};

/// The routes.
pub fn routes() -> Router<AppState> {
    Router::new().route("/v1/tenant", get(own).patch(change)).route("/v1/revocations", post(revoke))
}

/// An organisation as it sees itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tenant {
    /// Its name, which is the short code of its page.
    id: String,
    /// Most rooms at a time.
    rooms_max: u32,
    /// Most participants at a time.
    participants_max: u32,
    /// Most bits a second of all its participants; 0 is no limit.
    bits_per_s: u64,
    /// Days for which records are kept.
    retention_days: u8,
}

impl From<&TenantView> for Tenant {
    fn from(TenantView { record, .. }: &TenantView) -> Self {
        Self {
            id: record.id.as_str().to_owned(),
            rooms_max: record.rooms_max,
            participants_max: record.participants_max,
            bits_per_s: record.bits_per_s,
            retention_days: record.retention_days,
        }
    }
}

/// What an organisation may change of itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    /// Days for which records are kept, 1 to 90.
    #[schema(minimum = 1, maximum = 90)]
    retention_days: u8,
}

impl Shape for TenantSettings {
    const FIELDS: &'static str = "{\"retention_days\": 1 to 90}";
}

/// A person to be shut out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The room.
    #[schema(min_length = 1, max_length = 256)]
    room: String,
    /// The person's identity there.
    #[schema(min_length = 1, max_length = 256)]
    identity: String,
}

impl Shape for Revocation {
    const FIELDS: &'static str = "{\"room\": text, \"identity\": text}";
}

async fn tenant(state: &AppState, request: Request) -> Result<Json<Tenant>, Problem> {
    let Reply::Tenants(views) = state.control().request(request).await? else { return Err(Problem::internal()) };
    views.first().map(|view| Json(view.into())).ok_or_else(Problem::internal)
}

/// The caller's own organisation.
#[utoipa::path(
    get, path = "/v1/tenant", tag = "tenant", security(("bearer" = [])),
    responses(
        (status = 200, description = "Its limits, its retention", body = Tenant),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn own(State(state): State<AppState>, Caller(grants): Caller) -> Result<Json<Tenant>, Problem> {
    tenant(&state, Request::Tenant { grants }).await
}

/// Says how long the organisation's records are kept. What is older goes within a second.
#[utoipa::path(
    patch, path = "/v1/tenant", tag = "tenant", security(("bearer" = [])), request_body = TenantSettings,
    responses(
        (status = 200, description = "As it is now", body = Tenant),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn change(
    State(state): State<AppState>,
    Caller(grants): Caller,
    Input(wanted): Input<TenantSettings>,
) -> Result<Json<Tenant>, Problem> {
    tenant(&state, Request::Retention { grants, days: wanted.retention_days }).await
}

/// Shuts a person out of a room: the session ends within a second, all tokens of that identity for it are refused.
#[utoipa::path(
    post, path = "/v1/revocations", tag = "participants", security(("bearer" = [])), request_body = Revocation,
    responses(
        (status = 204, description = "Done, for 90 days"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn revoke(State(state): State<AppState>, Caller(grants): Caller, Input(wanted): Input<Revocation>) -> Result<StatusCode, Problem> {
    let (room, identity) = (room_name(&wanted.room)?, identity(&wanted.identity)?);
    state.control().request(Request::Revoke { grants, room, identity }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The described operations of this file.
#[derive(utoipa::OpenApi)]
#[openapi(paths(own, change, revoke))]
pub struct Operations;
