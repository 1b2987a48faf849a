//! What every signalling WebSocket keeps to: how fast, how long, with which last word.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::time::{Instant, timeout};

/// A client that takes nothing for so long is gone.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a socket is closed, as its peer is told (RFC 6455 §7.4).
#[derive(Clone, Copy, Debug)]
pub struct Close(pub u16, pub &'static str);

/// One side said goodbye.
pub const DONE: Close = Close(close_code::NORMAL, "");
/// The core hung up.
pub const GONE: Close = Close(close_code::AWAY, "the session is over");
/// The client is not there any more.
pub const SILENT: Close = Close(close_code::POLICY, "nothing was heard in time");
/// The client floods.
pub const TOO_MANY: Close = Close(close_code::POLICY, "too many messages");
/// The core does not keep up.
pub const BUSY: Close = Close(close_code::AGAIN, "the server is too busy");

/// What may still come now: a bucket that one second fills.
#[derive(Debug)]
pub struct Allowance {
    most: usize,
    left: usize,
    since: Instant,
}

impl Allowance {
    /// `most` at once, and again every second.
    #[must_use]
    pub fn new(most: usize, now: Instant) -> Self {
        Self { most, left: most, since: now }
    }

    /// Takes so much. Returns whether it was there.
    pub fn take(&mut self, much: usize, now: Instant) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(self.most, now);
        }
        let allowed = self.left >= much;
        self.left = self.left.saturating_sub(much);
        allowed
    }
}

/// Sends, unless the peer takes nothing.
///
/// # Errors
/// How to end the connection.
pub async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Close> {
    match timeout(WRITE_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(DONE),
    }
}

/// Closes with a code.
pub async fn close(mut socket: WebSocket, close: Close) {
    let frame = CloseFrame { code: close.0, reason: close.1.into() };
    // The peer may be gone already, and then nobody needs the frame.
    let _ = send(&mut socket, Message::Close(Some(frame))).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowance_refills_every_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(9, start);
        assert!((0..3).all(|_| allowance.take(3, start)));
        assert!(!allowance.take(1, start));
        assert!(allowance.take(9, start + Duration::from_secs(1)));
        assert!(!allowance.take(10, start + Duration::from_secs(2)));
    }
}
