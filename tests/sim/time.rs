//! Virtual time: one epoch for all runs of the process, with a grid that events fall on.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use konsil::model::time::Moment;

/// Events are put on this grid, so that they come in batches as they do from sockets.
const GRID: Duration = Duration::from_micros(250);
/// The wall clock at the start of every run.
const WALL: Duration = Duration::from_hours(500_000);

/// The start of every run.
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// Time since the start of the run.
pub fn since(now: Instant) -> Duration {
    now.saturating_duration_since(epoch())
}

/// The first point of the grid that is not before `at`.
pub fn on_grid(at: Instant) -> Instant {
    let steps = since(at).as_nanos().div_ceil(GRID.as_nanos());
    epoch() + GRID * u32::try_from(steps).unwrap_or(u32::MAX)
}

/// Both clocks.
pub fn moment(now: Instant) -> Moment {
    Moment { instant: now, wall: WALL + since(now) }
}
