//! One WebSocket of p2p signalling, from its upgrade to its close.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::messages::{self, Told};
use crate::http::ice::{self, Reached};
use crate::http::socket::{self, Allowance, BUSY, Close, DONE, GONE, SILENT, TOO_MANY};
use crate::http::state::AppState;
use crate::io::control::Connection;
use crate::room::command::Signal;
use crate::room::notice::{LeaveReason, Notice};

/// Messages that a client may send at once, and again every second: all its candidates, and more than a person can do.
const MESSAGES_MAX: usize = 100;
/// Bytes of them: several descriptions.
const BYTES_MAX: usize = 4 * messages::SDP_MAX;

/// How a connection is kept.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often the server pings (RFC 6455 §5.5.2); scripts in browsers cannot.
    pub ping: Duration,
    /// A client that does not even answer pings for so long is gone.
    pub silence: Duration,
}

/// How connections are kept outside of tests.
pub const PACE: Pace = Pace { ping: Duration::from_secs(5), silence: Duration::from_secs(15) };

/// Tells a client to go and closes.
pub async fn turn_away(mut socket: WebSocket, reason: LeaveReason) {
    let end = tell(&mut socket, &messages::bye(reason)).await.err().unwrap_or(DONE);
    socket::close(socket, end).await;
}

/// Carries notices out and signals in until one side ends it. Dropping the connection tells the core.
pub async fn serve(mut socket: WebSocket, mut connection: Connection, state: AppState, reached: Option<Reached>, pace: Pace) {
    let _counted = state.count_connection();
    let mut heard = Instant::now();
    let mut allowance = (Allowance::new(MESSAGES_MAX, heard), Allowance::new(BYTES_MAX, heard));
    let mut pings = interval_at(heard + pace.ping, pace.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = loop {
        let step = tokio::select! {
            notice = connection.notice() => match notice {
                Some(notice) => pass_out(&mut socket, notice, &connection, &state, reached.as_ref()).await,
                None => Err(GONE),
            },
            message = socket.recv() => {
                heard = Instant::now();
                match message {
                    Some(Ok(message)) if !may(&mut allowance, &message, heard) => Err(TOO_MANY),
                    Some(Ok(message)) => hear(&mut socket, message, &connection).await,
                    Some(Err(_)) | None => Err(DONE),
                }
            }
            _ = pings.tick() => socket::send(&mut socket, Message::Ping(Bytes::new())).await,
            () = tokio::time::sleep_until(heard + pace.silence) => Err(SILENT),
        };
        if let Err(end) = step {
            break end;
        }
    };
    drop(connection);
    socket::close(socket, end).await;
}

fn may((messages, bytes): &mut (Allowance, Allowance), message: &Message, now: Instant) -> bool {
    let length = match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    };
    messages.take(1, now) && bytes.take(length, now)
}

async fn tell(socket: &mut WebSocket, told: &Told) -> Result<(), Close> {
    let text = serde_json::to_string(told).map_err(|_| GONE)?;
    socket::send(socket, Message::Text(text.into())).await
}

async fn pass_out(
    socket: &mut WebSocket,
    notice: Notice,
    connection: &Connection,
    state: &AppState,
    reached: Option<&Reached>,
) -> Result<(), Close> {
    let told = match notice {
        // Fresh credentials each time: an hour from now.
        Notice::Partner(view) => messages::peer(&view, state.crypto(), ice::for_session(state, connection.relay(), reached)),
        Notice::FromPartner(message) => messages::from_partner(message),
        Notice::Leave { reason, .. } => {
            tell(socket, &messages::bye(reason)).await?;
            return Err(DONE);
        }
        Notice::Response { outcome, .. } => match messages::outcome(outcome) {
            Some(told) => told,
            None => return Ok(()),
        },
        // All else is about the SFU.
        _ => return Ok(()),
    };
    tell(socket, &told).await
}

async fn hear(socket: &mut WebSocket, message: Message, connection: &Connection) -> Result<(), Close> {
    let text = match &message {
        Message::Text(text) => text.as_str(),
        Message::Binary(_) => "",
        Message::Close(_) => return Err(DONE),
        // Answered by the WebSocket layer.
        Message::Ping(_) | Message::Pong(_) => return Ok(()),
    };
    match messages::hear(text) {
        Ok(signal) => {
            let last = signal == Signal::Leave;
            connection.signal(signal).map_err(|_| BUSY)?;
            if last { Err(DONE) } else { Ok(()) }
        }
        Err(error) => tell(socket, &messages::refused(error)).await,
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
