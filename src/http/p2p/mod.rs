//! Signalling of rooms of two people: a small WebSocket by which their browsers find each other.

mod messages;
mod socket;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::auth;
use super::error::{Problem, ProblemBody};
use super::extract::Authority;
use super::ice::Reached;
use super::state::AppState;
use crate::model::ids::Sid;
use crate::node::request::{Connect, Refusal};
use crate::room::command::Layout;
use crate::room::notice::LeaveReason;
pub use messages::{MESSAGE_MAX, SaidError, hear};

/// Where it is.
pub const PATH: &str = "/v1/p2p";
/// Longest id of a session in bytes.
const SESSION_MAX: usize = 64;

/// The route.
pub fn routes() -> Router<AppState> {
    Router::new().route(PATH, get(open))
}

/// The query.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    /// The token, if not in the header: browsers cannot give a WebSocket one.
    token: Option<String>,
    /// The session that a client had before its connection broke.
    resume: Option<String>,
}

/// Opens the signalling of a room of mode `p2p`: JSON text both ways.
///
/// The server begins with `{"type":"peer","session","present","peer"?,"polite","hide_addresses","crypto","ice_servers"}` and says so
/// again whenever the other person comes, goes or returns; with `crypto` = `bsi` a client ends a call whose DTLS or SRTP is not
/// AES-GCM. `{"type":"description","peer"?,"description":{"type","sdp"}}` with
/// an `RTCSessionDescription`, and `{"type":"candidate","peer"?,"candidate"}` with an `RTCIceCandidate` or null, go to the
/// other person; `peer` names for which session they are meant. `{"type":"peer"}` asks for fresh ICE servers
/// before an ICE restart: both get some. `{"type":"bye"}` ends the session; the server's `bye` has a `reason`, and says by
/// `rejoin` whether to come again. `{"type":"refused","reason","detail"}` answers what cannot be taken.
#[utoipa::path(
    get, path = PATH, tag = "media", security(("bearer" = [])),
    params(
        ("token" = Option<String>, Query, description = "The token, where no header can be sent"),
        ("resume" = Option<String>, Query, description = "The session to go on with after a broken connection, within 20 seconds"),
    ),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn open(
    State(state): State<AppState>,
    Authority(host): Authority,
    headers: HeaderMap,
    params: Result<Query<Params>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let bad_query = |_| Problem::new(StatusCode::BAD_REQUEST, "bad-query", "The query cannot be read", "token or resume cannot be read");
    let Query(Params { token, resume }) = params.map_err(bad_query)?;
    let grants = auth::grants(&state, &headers, token.as_deref())?;
    let upgrade = upgrade.map_err(|_| Problem::no_upgrade())?.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX);
    let connect = Connect {
        grants,
        layout: Layout::P2p,
        auto_subscribe: false,
        protocol: 0,
        resume: resume.filter(|text| text.len() <= SESSION_MAX).map(|text| Sid::from_client(&text)),
        sync: None,
        add_tracks: Vec::new(),
        offer: None,
    };
    let connection = match state.control().connect(connect).await {
        Ok(connection) => connection,
        // Scripts cannot read the status of a refused upgrade; this one they must tell from a broken network.
        Err(Refusal::NoSession) => {
            return Ok(upgrade.on_upgrade(|socket: WebSocket| socket::turn_away(socket, LeaveReason::StateMismatch)).into_response());
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let reached = host.as_deref().and_then(Reached::parse);
    Ok(upgrade.on_upgrade(move |socket: WebSocket| socket::serve(socket, connection, state, reached, socket::PACE)))
}

/// The described operations of this file.
#[derive(utoipa::OpenApi)]
#[openapi(paths(open))]
pub struct Operations;
