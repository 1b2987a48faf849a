//! The invitations that the server keeps, found by room, by TAN, by device, by when they end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::access::throttle::Throttle;
use crate::model::audit::AuditEvent;
use crate::model::ids::{Identity, InvitationId, RoomId, TenantId};
use crate::model::record::{InvitationRecord, InvitedBy};
use crate::model::time::Moment;

/// How often ends are looked for at least: the wall clock, by which they are told, may be set.
const LOOK: Duration = Duration::from_secs(1);
/// How long a TAN that is over is told from one that never was; only its keyed hash is kept, in memory alone.
const OVER_LIFE: Duration = Duration::from_hours(7 * 24);
/// Most of those; the oldest give way.
const OVER_MAX: usize = 16_384;

/// Where an invitation is.
pub(super) type Place = (RoomId, InvitationId);

/// An invitation with what is under way.
#[derive(Debug)]
pub(super) struct Kept {
    /// As it is stored.
    pub record: InvitationRecord,
    /// It is on disk.
    pub made: bool,
    /// A change of it is being written.
    pub writing: bool,
    /// It is over, though the store may have it still.
    pub over: Option<AuditEvent>,
}

impl Kept {
    fn hash(&self) -> Option<[u8; 32]> {
        match self.record.by {
            InvitedBy::Tan { hash, .. } => Some(hash),
            InvitedBy::Link => None,
        }
    }

    /// When it ends by itself, in seconds since 1970. One that was used ends with its room.
    pub(super) fn end(&self) -> Option<u64> {
        let record = &self.record;
        let unused = || record.confirm_by.unwrap_or(u64::MAX).min(record.not_after);
        if self.over.is_some() { Some(0) } else { record.device.is_none().then(unused) }
    }

    /// Whether somebody may still come by it.
    pub(super) fn is_open(&self, now: Moment) -> bool {
        self.end().is_some_and(|end| now.unix_seconds() < end)
    }

    fn is_open_tan(&self) -> bool {
        self.over.is_none() && self.record.device.is_none() && self.hash().is_some()
    }
}

/// How many invitations a tenant has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Of any kind.
    pub all: usize,
    /// TANs that a guess could hit.
    pub open_tans: u32,
}

/// All invitations that the server keeps.
#[derive(Debug, Default)]
pub(super) struct Book {
    rooms: BTreeMap<RoomId, BTreeMap<InvitationId, Kept>>,
    by_hash: BTreeMap<[u8; 32], Place>,
    by_device: BTreeMap<[u8; 32], Place>,
    ends: BTreeSet<(u64, Place)>,
    counts: BTreeMap<TenantId, Counts>,
    over: Over,
    next_look: Option<Instant>,
    /// How often strangers may try.
    pub throttle: Throttle,
}

impl Book {
    /// One more. It replaces one of the same id.
    pub(super) fn put(&mut self, kept: Kept, now: Moment) {
        let place = (kept.record.room.clone(), kept.record.id.clone());
        self.take(&place);
        if let Some(hash) = kept.hash() {
            self.by_hash.insert(hash, place.clone());
            self.over.forget(&hash);
        }
        if let Some(device) = kept.record.device {
            self.by_device.insert(device, place.clone());
        }
        let counts = self.counts.entry(place.0.tenant.clone()).or_default();
        counts.all += 1;
        counts.open_tans += u32::from(kept.is_open_tan());
        if let Some(end) = kept.end() {
            self.ends.insert((end, place.clone()));
        }
        self.rooms.entry(place.0).or_default().insert(place.1, kept);
        self.arm(now);
    }

    fn take(&mut self, place: &Place) -> Option<Kept> {
        let room = self.rooms.get_mut(&place.0)?;
        let kept = room.remove(&place.1)?;
        if room.is_empty() {
            self.rooms.remove(&place.0);
        }
        if let Some(end) = kept.end() {
            self.ends.remove(&(end, place.clone()));
        }
        kept.hash().and_then(|hash| self.by_hash.remove(&hash));
        kept.record.device.and_then(|device| self.by_device.remove(&device));
        if let Some(counts) = self.counts.get_mut(&place.0.tenant) {
            counts.all -= 1;
            counts.open_tans -= u32::from(kept.is_open_tan());
            if counts.all == 0 {
                self.counts.remove(&place.0.tenant);
            }
        }
        Some(kept)
    }

    /// Changes one, wherever it is found by.
    pub(super) fn change(&mut self, place: &Place, now: Moment, change: impl FnOnce(&mut Kept)) {
        if let Some(mut kept) = self.take(place) {
            change(&mut kept);
            self.put(kept, now);
        }
    }

    /// Forgets one, but that its TAN was there.
    pub(super) fn remove(&mut self, place: &Place, now: Moment) {
        if let Some(hash) = self.take(place).and_then(|kept| kept.hash()) {
            self.over.remember(hash, now.instant);
        }
    }

    /// Forgets those of a room.
    pub(super) fn remove_room(&mut self, room: &RoomId, now: Moment) {
        let ids: Vec<InvitationId> = self.of_room(room).map(|kept| kept.record.id.clone()).collect();
        ids.into_iter().for_each(|id| self.remove(&(room.clone(), id), now));
    }

    /// One that is there.
    pub(super) fn get(&self, place: &Place) -> Option<&Kept> {
        self.rooms.get(&place.0)?.get(&place.1)
    }

    /// Those of a room.
    pub(super) fn of_room<'a>(&'a self, room: &RoomId) -> impl Iterator<Item = &'a Kept> + use<'a> {
        self.rooms.get(room).into_iter().flat_map(BTreeMap::values)
    }

    /// The one by which somebody came.
    pub(super) fn of_person(&self, room: &RoomId, identity: &Identity) -> Option<&Kept> {
        self.of_room(room).find(|kept| kept.record.identity.as_ref() == Some(identity))
    }

    /// The one that a TAN stands for.
    pub(super) fn by_hash(&self, hash: &[u8; 32]) -> Option<&Place> {
        self.by_hash.get(hash)
    }

    /// The one that a device has used.
    pub(super) fn by_device(&self, device: &[u8; 32]) -> Option<&Place> {
        self.by_device.get(device)
    }

    /// Whether a TAN was there until lately.
    pub(super) fn was_there(&self, hash: &[u8; 32], now: Moment) -> bool {
        self.over.until.get(hash).is_some_and(|until| now.instant < *until)
    }

    /// How many a tenant has.
    pub(super) fn counts(&self, tenant: &TenantId) -> Counts {
        self.counts.get(tenant).copied().unwrap_or_default()
    }

    /// How many there are, of all tenants.
    pub(super) fn size(&self) -> usize {
        self.counts.values().map(|counts| counts.all).sum()
    }

    /// When to look for ends.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// Looks again at the next end, at least every second as long as there is one.
    pub(super) fn arm(&mut self, now: Moment) {
        let Some((end, _)) = self.ends.first() else {
            self.next_look = None;
            return;
        };
        let left = Duration::from_secs(*end).saturating_sub(now.wall);
        // What is due already is being written, or could not be.
        let look = now.instant + if left.is_zero() { LOOK } else { left.min(LOOK) };
        let earlier = self.next_look.filter(|earlier| *earlier > now.instant);
        self.next_look = Some(earlier.map_or(look, |earlier| earlier.min(look)));
    }

    /// At most `most` invitations that have ended, with how. What is being written is left out.
    pub(super) fn ended(&self, now: Moment, most: usize) -> Vec<(Place, AuditEvent)> {
        let due = self.ends.iter().take_while(|(end, _)| *end <= now.unix_seconds());
        let found = due.filter_map(|(_, place)| self.get(place).filter(|kept| kept.made && !kept.writing).map(|kept| (place, kept)));
        found.map(|(place, kept)| (place.clone(), kept.over.unwrap_or(AuditEvent::InvitationExpired))).take(most).collect()
    }
}

/// TANs that were there.
#[derive(Debug, Default)]
struct Over {
    until: BTreeMap<[u8; 32], Instant>,
    order: VecDeque<[u8; 32]>,
}

impl Over {
    fn remember(&mut self, hash: [u8; 32], now: Instant) {
        while self.order.front().is_some_and(|oldest| self.until.get(oldest).is_none_or(|until| *until <= now))
            || self.order.len() >= OVER_MAX
        {
            let Some(oldest) = self.order.pop_front() else { break };
            self.until.remove(&oldest);
        }
        if self.until.insert(hash, now + OVER_LIFE).is_none() {
            self.order.push_back(hash);
        }
    }

    fn forget(&mut self, hash: &[u8; 32]) {
        if self.until.remove(hash).is_some() {
            self.order.retain(|known| known != hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_remembered_within_bounds() {
        let (mut over, now) = (Over::default(), Instant::now());
        let hash = |number: usize| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            hash
        };
        (0..=OVER_MAX).for_each(|number| over.remember(hash(number), now));
        assert_eq!((over.until.len(), over.order.len()), (OVER_MAX, OVER_MAX));
        assert!(!over.until.contains_key(&hash(0)) && over.until.contains_key(&hash(OVER_MAX)));
        over.forget(&hash(1));
        over.remember(hash(2), now);
        assert_eq!((over.until.len(), over.order.len()), (OVER_MAX - 1, OVER_MAX - 1));
        over.remember(hash(0), now + OVER_LIFE);
        assert_eq!((over.until.len(), over.order.len()), (1, 1));
    }
}
