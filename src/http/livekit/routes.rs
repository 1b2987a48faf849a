//! The four addresses of LiveKit's signalling, which refuse as LiveKit does: a status with a line of text.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::decode::MESSAGE_MAX;
use super::params::{Params, ParamsError};
use super::socket;
use crate::http::auth::{self, AuthError};
use crate::http::cors;
use crate::http::error::Problem;
use crate::http::extract::Authority;
use crate::http::ice::Reached;
use crate::http::state::AppState;
use crate::node::request::{Connect, Refusal, Request};
use crate::room::notice::{LeaveAction, LeaveReason};

type Asked = Result<Query<Params>, QueryRejection>;
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// Bytes that may wait in a socket's writer: a stuck client is given up by time, not by this.
const WRITE_BUFFER_MAX: usize = 4 * MESSAGE_MAX;

/// LiveKit's signalling routes.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/rtc", get(dual))
        .route("/rtc/v1", get(single))
        .route("/rtc/validate", get(validate_dual))
        .route("/rtc/v1/validate", get(validate_single))
        .layer(from_fn(cors::any_origin))
}

async fn dual(State(state): State<AppState>, Authority(host): Authority, headers: HeaderMap, asked: Asked, upgrade: Upgrade) -> Response {
    open(state, (host.as_deref(), &headers), asked, upgrade, false).await.unwrap_or_else(Refused::into_response)
}

async fn single(State(state): State<AppState>, Authority(host): Authority, headers: HeaderMap, asked: Asked, upgrade: Upgrade) -> Response {
    open(state, (host.as_deref(), &headers), asked, upgrade, true).await.unwrap_or_else(Refused::into_response)
}

async fn validate_dual(State(state): State<AppState>, headers: HeaderMap, asked: Asked) -> Response {
    validate(&state, &headers, asked, false).await.map_or_else(Refused::into_response, IntoResponse::into_response)
}

async fn validate_single(State(state): State<AppState>, headers: HeaderMap, asked: Asked) -> Response {
    validate(&state, &headers, asked, true).await.map_or_else(Refused::into_response, IntoResponse::into_response)
}

async fn validate(state: &AppState, headers: &HeaderMap, asked: Asked, wrapped: bool) -> Result<&'static str, Refused> {
    let Connect { grants, layout, .. } = connect(state, headers, asked, wrapped)?;
    state.control().request(Request::Validate { grants, layout: Some(layout) }).await?;
    Ok("success")
}

fn connect(state: &AppState, headers: &HeaderMap, asked: Asked, wrapped: bool) -> Result<Connect, Refused> {
    let Query(params) = asked.map_err(|_| Refused(StatusCode::BAD_REQUEST, "the query cannot be read".to_owned()))?;
    let grants = auth::grants(state, headers, params.access_token.as_deref())?;
    Ok(params.connect(grants, wrapped)?)
}

/// Asks the core before the upgrade, so that a refusal still has a status.
async fn open(
    state: AppState,
    (host, headers): (Option<&str>, &HeaderMap),
    asked: Asked,
    upgrade: Upgrade,
    wrapped: bool,
) -> Result<Response, Refused> {
    let connect = connect(&state, headers, asked, wrapped)?;
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX).max_write_buffer_size(WRITE_BUFFER_MAX),
        Err(rejection) => return Ok(rejection.into_response()),
    };
    let connection = match state.control().connect(connect).await {
        Ok(connection) => connection,
        // Scripts cannot read the status of a refused upgrade; this one they must tell from a broken network.
        Err(Refusal::NoSession) => {
            return Ok(
                upgrade.on_upgrade(|socket: WebSocket| socket::turn_away(socket, LeaveReason::StateMismatch, LeaveAction::Reconnect))
            );
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let reached = host.and_then(Reached::parse);
    Ok(upgrade.on_upgrade(move |socket: WebSocket| socket::serve(socket, connection, state, reached, socket::SILENCE_MAX)))
}

/// A refusal as LiveKit words it.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl From<AuthError> for Refused {
    fn from(error: AuthError) -> Self {
        Self(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        // Of all refusals livekit-client passes on only the words of a 401 or 403.
        if matches!(refusal, Refusal::RoomFull | Refusal::WrongMode(_)) {
            return Self(StatusCode::FORBIDDEN, refusal.to_string());
        }
        // livekit-client takes a 404 without these words for a server that lacks the path, and tries another one.
        let text = if refusal == Refusal::RoomNotFound { "requested room does not exist".to_owned() } else { refusal.to_string() };
        Self(Problem::from(refusal).status(), text)
    }
}

impl From<ParamsError> for Refused {
    fn from(error: ParamsError) -> Self {
        match error {
            ParamsError::Refused(refusal) => refusal.into(),
            other => Self(StatusCode::BAD_REQUEST, other.to_string()),
        }
    }
}
