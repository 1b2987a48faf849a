//! Who is at the desk of a room: who waits, who was admitted, who was turned away, whether it is locked.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::model::ids::{DeskId, Identity};
use crate::model::role::Role;
use crate::model::time::Moment;

use super::bucket::Bucket;
use super::desk::Invited;
use super::rules::JoinError;

/// Most people who wait for a room at a time.
pub const WAITING_MAX: usize = 100;
/// Most hosts, with reception, at a room's desk: they need no place in the call.
pub const STAFF_MAX: usize = 32;
/// Most identities of which a room remembers that they were admitted, or turned away; the oldest are forgotten.
pub const REMEMBERED_MAX: usize = 1000;
/// How long somebody whose desk is lost keeps the place in the waiting room.
pub const DESK_WINDOW: Duration = Duration::from_secs(20);
/// So many failed key exchanges end an invitation.
pub const MISMATCHES_MAX: u8 = 3;
/// How often a room that ends at a time of day looks at the wall clock, which may be set.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// Who may come when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoorRules {
    /// Whether all but hosts and reception wait until they are admitted.
    pub lobby: bool,
    /// Nobody else may come before, in seconds since 1970.
    pub not_before: Option<u64>,
    /// The room ends then, in seconds since 1970.
    pub not_after: Option<u64>,
}

/// Somebody at the desk.
#[derive(Debug)]
pub(super) struct Person {
    pub role: Role,
    pub moderates: bool,
    pub waiting: bool,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// The connection; absent while it is lost.
    pub desk: Option<DeskId>,
    /// Until when a lost desk is waited for.
    pub lost_until: Option<Instant>,
    /// When the token ends, by which alone somebody who waits could join.
    pub token_ends: Option<Instant>,
    pub invited: Option<Invited>,
    /// What may still be said now.
    pub says: Bucket,
    /// What those who wait may still say to this person now, all together.
    pub hears: Bucket,
}

/// Identities with a number each; the oldest are forgotten.
#[derive(Debug, Default)]
struct Remembered {
    numbers: BTreeMap<Identity, u8>,
    order: VecDeque<Identity>,
}

impl Remembered {
    fn set(&mut self, identity: &Identity, number: u8) {
        if self.numbers.insert(identity.clone(), number).is_some() {
            return;
        }
        self.order.push_back(identity.clone());
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.numbers.remove(&oldest);
        }
    }

    fn get(&self, identity: &Identity) -> Option<u8> {
        self.numbers.get(identity).copied()
    }

    fn forget(&mut self, identity: &Identity) {
        if self.numbers.remove(identity).is_some() {
            self.order.retain(|known| known != identity);
        }
    }
}

/// What an open door leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The room.
    Room,
    /// The waiting room.
    Lobby,
}

/// The desk of a room.
#[derive(Debug)]
pub(super) struct Lobby {
    rules: DoorRules,
    pub locked: bool,
    pub people: BTreeMap<Identity, Person>,
    admitted: Remembered,
    turned_away: Remembered,
    mismatches: Remembered,
    /// When the wall clock was looked at last.
    clock: Moment,
}

impl Lobby {
    pub fn new(rules: DoorRules, now: Moment) -> Self {
        Self {
            rules,
            locked: false,
            people: BTreeMap::new(),
            admitted: Remembered::default(),
            turned_away: Remembered::default(),
            mismatches: Remembered::default(),
            clock: now,
        }
    }

    pub fn rules(&self) -> DoorRules {
        self.rules
    }

    /// Where somebody gets by now. `inside` says that they are in the room already.
    pub fn door(&self, identity: &Identity, moderates: bool, inside: bool, now: Moment) -> Result<Door, JoinError> {
        if self.turned_away.get(identity).is_some() {
            return Err(JoinError::TurnedAway);
        }
        if moderates {
            return Ok(Door::Room);
        }
        if self.rules.not_before.is_some_and(|begin| now.unix_seconds() < begin) {
            return Err(JoinError::Early);
        }
        let admitted = self.admitted.get(identity).is_some();
        let known = inside || admitted || self.people.contains_key(identity);
        if self.locked && !known {
            return Err(JoinError::Locked);
        }
        Ok(if self.rules.lobby && !admitted { Door::Lobby } else { Door::Room })
    }

    /// Whether nobody more finds room at the desk.
    pub fn is_full(&self, identity: &Identity, moderates: bool, waits: bool, guests_max: usize) -> bool {
        let others =
            self.people.iter().filter(|(other, person)| *other != identity && person.moderates == moderates && person.waiting == waits);
        let most = match (moderates, waits) {
            (true, _) => STAFF_MAX,
            (false, true) => WAITING_MAX,
            (false, false) => guests_max,
        };
        others.count() >= most
    }

    pub fn remember_admitted(&mut self, identity: &Identity) {
        self.turned_away.forget(identity);
        self.admitted.set(identity, 1);
    }

    pub fn forget_admitted(&mut self, identity: &Identity) {
        self.admitted.forget(identity);
    }

    pub fn turn_away(&mut self, identity: &Identity) {
        self.admitted.forget(identity);
        self.turned_away.set(identity, 1);
    }

    pub fn is_turned_away(&self, identity: &Identity) -> bool {
        self.turned_away.get(identity).is_some()
    }

    /// Counts a failed key exchange. Returns how many there were.
    pub fn mismatched(&mut self, identity: &Identity) -> u8 {
        let count = self.mismatches.get(identity).unwrap_or(0).saturating_add(1);
        self.mismatches.set(identity, count);
        count
    }

    /// Whose desk it is.
    pub fn at(&self, desk: DeskId) -> Option<&Identity> {
        self.people.iter().find(|(_, person)| person.desk == Some(desk)).map(|(identity, _)| identity)
    }

    /// The room's end, and its end while empty, if it has one now. A room with an end of its own does not end before.
    pub fn end_due(&self, empty_since: Option<Instant>, empty_timeout: Duration) -> Option<(Instant, &'static str)> {
        let by_clock = |wall: Duration| self.clock.instant.checked_add(wall.saturating_sub(self.clock.wall).min(CLOCK_CHECK));
        if let Some(end) = self.rules.not_after {
            return by_clock(Duration::from_secs(end)).map(|due| (due, "end of the room"));
        }
        let empty = empty_since? + empty_timeout;
        let begun = self.rules.not_before.and_then(|begin| by_clock(Duration::from_secs(begin).saturating_add(empty_timeout)));
        Some((begun.map_or(empty, |begun| begun.max(empty)), "empty room"))
    }

    pub fn is_over(&self, empty_since: Option<Instant>, empty_timeout: Duration, now: Moment) -> bool {
        if let Some(end) = self.rules.not_after {
            return now.unix_seconds() >= end;
        }
        let begun = self.rules.not_before.is_none_or(|begin| now.wall >= Duration::from_secs(begin).saturating_add(empty_timeout));
        begun && empty_since.is_some_and(|since| now.instant >= since + empty_timeout)
    }

    pub fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        let lost = self.people.values().filter_map(|person| person.lost_until).min().map(|due| (due, "lost desk"));
        let waiting = self.people.values().filter(|person| person.waiting);
        let token = waiting.filter_map(|person| person.token_ends).min().map(|due| (due, "token of one who waits"));
        [lost, token].into_iter().flatten().min()
    }

    /// Looks at the wall clock. Returns those whose desk did not come back, with those whose token ended while they waited.
    pub fn handle_timeout(&mut self, now: Moment) -> (Vec<Identity>, Vec<Identity>) {
        self.clock = now;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        let which = |of: &dyn Fn(&Person) -> bool| -> Vec<Identity> {
            self.people.iter().filter(|(_, person)| of(person)).map(|(identity, _)| identity.clone()).collect()
        };
        (which(&|person| due(person.lost_until)), which(&|person| person.waiting && due(person.token_ends)))
    }
}
