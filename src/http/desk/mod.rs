//! The desk of a room: a WebSocket where people wait, are admitted, moderate, exchange sealed words.

mod messages;
mod routes;
mod socket;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::auth;
use super::error::{Problem, ProblemBody};
use super::state::AppState;
pub use messages::{MESSAGE_MAX, SaidError, hear};
pub use routes::{Operations, routes};

/// Where it is.
pub const PATH: &str = "/v1/desk";

/// The query.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    /// The token, if not in the header: browsers cannot give a WebSocket one.
    token: Option<String>,
}

/// Opens the desk of the token's room: JSON text both ways.
///
/// The server says `{"type":"standing","state":"waiting"|"admitted","identity","role","mode","locked"}` at the opening and at
/// each change; `{"type":"people","people":[{"identity","role","state":"waiting"|"here","since","invitation"?}]}`;
/// `{"type":"message","from","body"}`; `{"type":"mute"}` in rooms of mode `p2p` to whoever shall mute;
/// `{"type":"refused","reason","detail"}` for what is not taken; `{"type":"bye","reason","rejoin"}` before it closes.
/// Everybody may say `{"type":"message","to","body"}` (those who wait, to hosts and reception only) and `{"type":"leave"}`.
/// Hosts and reception may say `{"type":"admit"|"refuse"|"putback"|"remove"|"mute"|"mismatch","identity"}`,
/// `{"type":"lock","locked"}`, `{"type":"end"}`. A newer desk of the same identity replaces the older one.
#[utoipa::path(
    get, path = PATH, tag = "rooms", security(("bearer" = [])),
    params(("token" = Option<String>, Query, description = "The token, where no header can be sent")),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn open(
    State(state): State<AppState>,
    headers: HeaderMap,
    params: Result<Query<Params>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let bad_query = |_| Problem::new(StatusCode::BAD_REQUEST, "bad-query", "The query cannot be read", "token cannot be read");
    let Query(Params { token }) = params.map_err(bad_query)?;
    let grants = auth::grants(&state, &headers, token.as_deref())?;
    let upgrade = upgrade.map_err(|_| Problem::no_upgrade())?.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX);
    let connection = state.control().desk(grants).await?;
    Ok(upgrade.on_upgrade(move |socket: WebSocket| socket::serve(socket, connection, state, socket::PACE)))
}
