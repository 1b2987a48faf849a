//! One WebSocket of a room's desk, from its upgrade to its close.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::messages::{self, Told};
use crate::http::socket::{self, Allowance, BUSY, Close, DONE, GONE, SILENT, TOO_MANY};
use crate::http::state::AppState;
use crate::io::desk::DeskConnection;
use crate::room::desk::DeskNotice;

/// Frames that a client may send at once, and again every second. Beyond what the room takes there is a refusal for each;
/// beyond this, the end.
const FRAMES_MAX: usize = 300;

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

/// Carries notices out and words in until one side ends it. Dropping the connection tells the core.
pub async fn serve(mut socket: WebSocket, mut connection: DeskConnection, state: AppState, pace: Pace) {
    let _counted = state.count_connection();
    let mut heard = Instant::now();
    let mut allowance = Allowance::new(FRAMES_MAX, heard);
    let mut pings = interval_at(heard + pace.ping, pace.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = loop {
        let step = tokio::select! {
            notice = connection.notice() => match notice {
                Some(notice) => pass_out(&mut socket, &notice).await,
                None => Err(GONE),
            },
            message = socket.recv() => {
                heard = Instant::now();
                match message {
                    Some(Ok(_)) if !allowance.take(1, heard) => Err(TOO_MANY),
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

async fn tell(socket: &mut WebSocket, told: &Told<'_>) -> Result<(), Close> {
    let text = serde_json::to_string(told).map_err(|_| GONE)?;
    socket::send(socket, Message::Text(text.into())).await
}

async fn pass_out(socket: &mut WebSocket, notice: &DeskNotice) -> Result<(), Close> {
    tell(socket, &messages::told(notice)).await?;
    if matches!(notice, DeskNotice::Bye(_)) { Err(DONE) } else { Ok(()) }
}

async fn hear(socket: &mut WebSocket, message: Message, connection: &DeskConnection) -> Result<(), Close> {
    let text = match &message {
        Message::Text(text) => text.as_str(),
        Message::Binary(_) => "",
        Message::Close(_) => return Err(DONE),
        // Answered by the WebSocket layer.
        Message::Ping(_) | Message::Pong(_) => return Ok(()),
    };
    match messages::hear(text) {
        Ok(said) => connection.say(said).map_err(|_| BUSY),
        Err(error) => tell(socket, &messages::refused(error)).await,
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
