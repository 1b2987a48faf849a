//! One signalling WebSocket, from its upgrade to its close.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, close_code};
use livekit_protocol as lk;
use lk::signal_response::Message as Response;
use prost::Message as _;
use tokio::time::Instant;

use super::decode::{Incoming, SignalError, decode_signal, decode_signal_json};
use super::encode::{self, About, PING_INTERVAL_S, PING_TIMEOUT_S};
use crate::http::ice::{self, Reached};
use crate::http::socket::{self, Allowance, BUSY, Close, DONE, GONE, SILENT, TOO_MANY};
use crate::http::state::AppState;
use crate::io::control::Connection;
use crate::room::command::Signal;
use crate::room::notice::{LeaveAction, LeaveReason, Notice, Outcome};

/// A client that says nothing for so long is gone: the promised timeout and one more ping.
pub const SILENCE_MAX: Duration = Duration::from_secs(PING_TIMEOUT_S as u64 + PING_INTERVAL_S as u64);
/// Messages that a client may send at once, and again every second.
const MESSAGES_MAX: usize = 200;

const GARBAGE: Close = Close(close_code::INVALID, "this is not a SignalRequest");

/// The socket's outgoing half: protobuf or its JSON, whichever the client last spoke.
struct Wire {
    socket: WebSocket,
    json: bool,
}

impl Wire {
    async fn send(&mut self, message: Response) -> Result<(), Close> {
        let response = lk::SignalResponse { message: Some(message) };
        let json = if self.json { serde_json::to_string(&response).ok() } else { None };
        let message = match json {
            Some(text) => Message::Text(text.into()),
            None => Message::Binary(response.encode_to_vec().into()),
        };
        socket::send(&mut self.socket, message).await
    }
}

/// Tells a client to go and closes.
pub async fn turn_away(socket: WebSocket, reason: LeaveReason, action: LeaveAction) {
    let mut wire = Wire { socket, json: false };
    let close = wire.send(Response::Leave(encode::leave(reason, action))).await.err().unwrap_or(DONE);
    socket::close(wire.socket, close).await;
}

/// Carries notices out and signals in until one side ends it, or the client is silent for `silence`.
///
/// Dropping the connection tells the core.
pub async fn serve(socket: WebSocket, mut connection: Connection, state: AppState, reached: Option<Reached>, silence: Duration) {
    let _counted = state.count_connection();
    let mut wire = Wire { socket, json: false };
    let mut allowance = Allowance::new(MESSAGES_MAX, Instant::now());
    let mut heard = Instant::now();
    let close = loop {
        let step = tokio::select! {
            notice = connection.notice() => match notice {
                Some(notice) => {
                    let about = about(&notice, &connection, &state, reached.as_ref());
                    tell(&mut wire, notice, about).await
                }
                None => Err(GONE),
            },
            message = wire.socket.recv() => {
                heard = Instant::now();
                match message {
                    Some(Ok(_)) if !allowance.take(1, heard) => Err(TOO_MANY),
                    Some(Ok(message)) => hear(&mut wire, message, &connection, &state).await,
                    Some(Err(_)) | None => Err(DONE),
                }
            }
            () = tokio::time::sleep_until(heard + silence) => Err(SILENT),
        };
        if let Err(close) = step {
            break close;
        }
    };
    drop(connection);
    socket::close(wire.socket, close).await;
}

/// What a notice tells that the core does not know.
fn about(notice: &Notice, connection: &Connection, state: &AppState, reached: Option<&Reached>) -> About {
    match notice {
        Notice::Joined(_) | Notice::Reconnected => {
            let servers = ice::for_session(state, connection.relay(), reached);
            About { sif_trailer: state.sif_trailer().to_vec(), ice_servers: ice::wire(&servers), token: None }
        }
        Notice::Token(grants) => About { token: state.keyring().reissue(grants), ..About::default() },
        _ => About::default(),
    }
}

async fn tell(wire: &mut Wire, notice: Notice, about: About) -> Result<(), Close> {
    let last = matches!(notice, Notice::Leave { .. });
    if let Some(message) = encode::encode(notice, about) {
        wire.send(message).await?;
    }
    if last { Err(DONE) } else { Ok(()) }
}

async fn hear(wire: &mut Wire, message: Message, connection: &Connection, state: &AppState) -> Result<(), Close> {
    let incoming = match &message {
        Message::Binary(bytes) => {
            wire.json = false;
            decode_signal(bytes)
        }
        Message::Text(text) => {
            wire.json = true;
            decode_signal_json(text.as_str())
        }
        Message::Close(_) => return Err(DONE),
        // Answered by the WebSocket layer.
        Message::Ping(_) | Message::Pong(_) => return Ok(()),
    };
    let now_ms = i64::try_from(state.wall().as_millis()).unwrap_or(i64::MAX);
    match incoming {
        Ok(Incoming::Signal(signal)) => pass_on(signal, connection),
        Ok(Incoming::Ping) => wire.send(Response::Pong(now_ms)).await,
        Ok(Incoming::PingRequest(sent)) => wire.send(Response::PongResp(lk::Pong { last_ping_timestamp: sent, timestamp: now_ms })).await,
        Ok(Incoming::Ignored) => Ok(()),
        Err(SignalError::Garbage) => Err(GARBAGE),
        Err(error) => wire.send(refusal(error)).await,
    }
}

fn pass_on(signal: Signal, connection: &Connection) -> Result<(), Close> {
    let last = signal == Signal::Leave;
    connection.signal(signal).map_err(|_| BUSY)?;
    if last { Err(DONE) } else { Ok(()) }
}

fn refusal(error: SignalError) -> Response {
    let outcome = if matches!(error, SignalError::TooLong(_)) { Outcome::LimitExceeded } else { Outcome::Invalid };
    encode::response(0, outcome, &error.to_string())
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
