//! The moment that callers pass in: pure floors have no clock of their own.

use std::time::{Duration, Instant};

/// Now, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The monotonic clock, for timers.
    pub instant: Instant,
    /// Time since 1970 UTC by the wall clock, for what people and tokens name.
    pub wall: Duration,
}

impl Moment {
    /// Whole seconds since 1970, as JWTs count (RFC 7519 §2, `NumericDate`).
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        self.wall.as_secs()
    }

    /// The moment `later` after this one.
    #[must_use]
    pub fn after(&self, later: Duration) -> Self {
        Self { instant: self.instant + later, wall: self.wall + later }
    }
}
