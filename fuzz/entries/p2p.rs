//! Messages of the WebSocket by which two people find each other.

use konsil::http::p2p::{SaidError, hear};
use konsil::node::conceal;

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match hear(text) {
        Ok(signal) => drop(conceal::signal(signal, &[])),
        Err(SaidError::Malformed | SaidError::TooLong(_)) => {}
    }
}
