//! How often TANs may be guessed; kept in memory only.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::model::ids::{RoomId, TenantId};
use crate::model::network::subscriber;

/// Most TANs of one tenant that a guess may hit: those that are open. docs/security.md has the arithmetic.
pub const OPEN_TANS_MAX: u32 = 1_000;
/// A guess costs as many units as there are TANs that it might have hit, and no fewer than these.
pub const COST_MIN: u32 = 20;
/// Units that all strangers together may use of one tenant: 20,000 at once, then one in 7.2 s, which is 12,000 a day.
const TENANT: Rate = Rate { period: Duration::from_millis(7_200), burst: 20_000 };
/// Units of one address, which a whole ward may share: a quarter of its tenant's.
const ADDRESS: Rate = Rate { period: Duration::from_millis(28_800), burst: 5_000 };
/// Tries with an invitation of one room that is somebody else's, or early: 20 at once, then one a minute.
const ROOM: Rate = Rate { period: Duration::from_mins(1), burst: 20 };

/// Most addresses that are remembered. Those that come on top share one memory.
pub const ADDRESSES_MAX: usize = 65_536;
/// Most tenants and rooms that are remembered, of either kind. Those that come on top share one memory.
pub const PLACES_MAX: usize = 16_384;

/// A burst that is refilled unit by unit.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Time in which one unit is refilled.
    period: Duration,
    /// Most units at once.
    burst: u32,
}

impl Rate {
    /// How long one has to wait until `cost` units are there, if what was used is refilled at `full`.
    fn wait(self, full: Option<Instant>, cost: u32, now: Instant) -> Duration {
        let owed = full.map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        (owed + self.period * cost).saturating_sub(self.period * self.burst)
    }

    /// When all is refilled once `cost` units were used.
    fn used(self, full: Option<Instant>, cost: u32, now: Instant) -> Instant {
        full.map_or(now, |full| full.max(now)) + self.period * cost
    }
}

/// Who used how much. What is refilled is forgotten.
#[derive(Debug)]
struct Ledger<K> {
    rate: Rate,
    most: usize,
    full: BTreeMap<K, Instant>,
    /// Of all who came when there was no room for more.
    others: Option<Instant>,
}

impl<K: Ord> Ledger<K> {
    fn new(rate: Rate, most: usize) -> Self {
        Self { rate, most, full: BTreeMap::new(), others: None }
    }

    fn of(&self, who: &K) -> Option<Instant> {
        self.full.get(who).copied().or(self.others.filter(|_| self.full.len() >= self.most))
    }

    fn wait(&self, who: &K, cost: u32, now: Instant) -> Duration {
        self.rate.wait(self.of(who), cost, now)
    }

    fn charge(&mut self, who: K, cost: u32, now: Instant) {
        if self.full.len() >= self.most && !self.full.contains_key(&who) {
            self.full.retain(|_, full| *full > now);
        }
        let used = self.rate.used(self.of(&who), cost, now);
        if self.full.len() < self.most || self.full.contains_key(&who) {
            self.full.insert(who, used);
        } else {
            self.others = Some(used);
        }
    }
}

/// What was tried where, by whom.
#[derive(Debug)]
pub struct Throttle {
    tenants: Ledger<TenantId>,
    rooms: Ledger<RoomId>,
    addresses: Ledger<IpAddr>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            tenants: Ledger::new(TENANT, PLACES_MAX),
            rooms: Ledger::new(ROOM, PLACES_MAX),
            addresses: Ledger::new(ADDRESS, ADDRESSES_MAX),
        }
    }
}

/// Somebody who tries a TAN, or has tried it.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// Of which tenant.
    pub tenant: &'a TenantId,
    /// How many TANs it might hit.
    pub open: u32,
    /// From where, if that is known.
    pub address: Option<IpAddr>,
}

impl Try<'_> {
    fn cost(self) -> u32 {
        self.open.clamp(COST_MIN, OPEN_TANS_MAX)
    }
}

impl Throttle {
    /// Whether this may be tried now. It must be asked before anything is looked up: where right ones passed, wrong ones would not
    /// be stopped.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(&self, attempt: Try<'_>, now: Instant) -> Result<(), Duration> {
        let by_tenant = self.tenants.wait(attempt.tenant, attempt.cost(), now);
        let by_address = attempt.address.map(|address| self.addresses.wait(&subscriber(address), attempt.cost(), now));
        waited(by_tenant.max(by_address.unwrap_or_default()))
    }

    /// A TAN was unknown. Where no TAN is open nothing could be hit, so only the address is charged; so strangers cannot fill the
    /// memory with tenants that they think of.
    pub fn guessed(&mut self, attempt: Try<'_>, now: Instant) {
        if attempt.open > 0 {
            self.tenants.charge(attempt.tenant.clone(), attempt.cost(), now);
        }
        if let Some(address) = attempt.address {
            self.addresses.charge(subscriber(address), attempt.cost(), now);
        }
    }

    /// Whether an invitation of this room may be tried now.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check_room(&self, room: &RoomId, now: Instant) -> Result<(), Duration> {
        waited(self.rooms.wait(room, 1, now))
    }

    /// An invitation of this room was tried that is somebody else's, or early.
    pub fn refused_in(&mut self, room: &RoomId, now: Instant) {
        self.rooms.charge(room.clone(), 1, now);
    }

    /// How many tenants, rooms, addresses are remembered.
    #[must_use]
    pub fn size(&self) -> usize {
        self.tenants.full.len() + self.rooms.full.len() + self.addresses.full.len()
    }
}

fn waited(wait: Duration) -> Result<(), Duration> {
    if wait.is_zero() { Ok(()) } else { Err(wait) }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
