//! Who left of late, for clients that were not listening.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::notice::ParticipantView;

/// How long a farewell is kept: until a client whose connection died unnoticed has found out and has resumed.
pub const FAREWELL_KEPT: Duration = Duration::from_secs(40);
/// Most farewells that are kept; the oldest go first.
pub const FAREWELLS_MAX: usize = 256;

/// The farewells of a room, oldest first.
#[derive(Debug, Default)]
pub struct Departed {
    farewells: VecDeque<(Instant, ParticipantView)>,
}

impl Departed {
    /// Keeps a farewell.
    pub fn push(&mut self, farewell: ParticipantView, now: Instant) {
        if self.farewells.len() >= FAREWELLS_MAX {
            self.farewells.pop_front();
        }
        self.farewells.push_back((now, farewell));
    }

    /// When the oldest is forgotten.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.farewells.front().map(|(since, _)| *since + FAREWELL_KEPT)
    }

    /// Forgets what is old.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.next_timeout().is_some_and(|due| due <= now) {
            self.farewells.pop_front();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.farewells.clear();
    }

    /// All that is kept.
    pub fn iter(&self) -> impl Iterator<Item = &ParticipantView> {
        self.farewells.iter().map(|(_, view)| view)
    }
}
