//! Messages of the WebSocket of a room's desk.

use konsil::http::desk::{SaidError, hear};
use konsil::room::desk::{BODY_MAX, DeskSaid};

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match hear(text) {
        Ok(DeskSaid::Message { body, .. }) => assert!(body.0.len() <= BODY_MAX),
        Ok(_) | Err(SaidError::Malformed | SaidError::TooLong | SaidError::Name) => {}
    }
}
