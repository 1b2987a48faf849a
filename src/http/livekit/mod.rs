//! LiveKit's client protocol: `/rtc` with two peer connections, `/rtc/v1` with one.

pub mod decode;
pub mod encode;
pub mod join_request;
pub mod params;
mod routes;
mod socket;
pub mod views;

pub use decode::{Incoming, SignalError, decode_signal, decode_signal_json};
pub use join_request::{JoinRequestError, decode_join_request};
pub use routes::routes;
