//! Floor 4: wire formats in front of the control core.

pub mod auth;
pub mod cors;
pub mod error;
pub mod livekit;
pub mod state;
#[cfg(test)]
mod testing;

pub use state::{AppState, Parts, WallClock};

/// Every route of the HTTPS listener.
pub fn router(state: AppState) -> axum::Router {
    axum::Router::new().merge(livekit::routes()).with_state(state)
}
