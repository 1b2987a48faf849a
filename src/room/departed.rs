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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{Identity, Sid};
    use crate::room::notice::{ParticipantState, Permission};

    fn farewell(number: usize) -> ParticipantView {
        ParticipantView {
            sid: Sid::from_client("PA_1"),
            identity: Identity::new(&format!("person-{number}")).unwrap(),
            name: String::new(),
            state: ParticipantState::Disconnected,
            left: None,
            tracks: Vec::new(),
            data_tracks: Vec::new(),
            metadata: String::new(),
            attributes: std::collections::BTreeMap::new(),
            joined_at_ms: 0,
            version: 1,
            permission: Permission {
                subscribe: true,
                publish: true,
                publish_data: true,
                sources: Vec::new(),
                hidden: false,
                update_metadata: false,
            },
            is_publisher: false,
        }
    }

    #[test]
    fn farewells_are_few_and_do_not_last() {
        let (mut departed, start) = (Departed::default(), Instant::now());
        for number in 0..=FAREWELLS_MAX {
            departed.push(farewell(number), start);
        }
        assert_eq!(departed.iter().count(), FAREWELLS_MAX);
        assert!(departed.iter().all(|view| view.identity.as_str() != "person-0"), "the oldest went");
        departed.push(farewell(0), start + FAREWELL_KEPT / 2);
        departed.handle_timeout(start + FAREWELL_KEPT);
        assert_eq!((departed.iter().count(), departed.next_timeout()), (1, Some(start + FAREWELL_KEPT / 2 + FAREWELL_KEPT)));
        departed.clear();
        assert_eq!(departed.next_timeout(), None);
    }
}
