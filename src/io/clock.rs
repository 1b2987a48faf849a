//! The two clocks, read in one place.

use std::time::{Duration, Instant, SystemTime};

use crate::model::time::Moment;

/// Time since 1970 UTC by the wall clock; zero if the clock stands before that.
#[must_use]
pub fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Now, on both clocks.
#[must_use]
pub fn now() -> Moment {
    Moment { instant: Instant::now(), wall: wall() }
}

/// 32 bytes from the operating system, for everything that must not be guessed.
///
/// # Errors
/// The operating system has none, which no start-up should survive.
pub fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(seed)
}
