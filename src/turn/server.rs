//! The relay's state, its poll shape, the life of allocations.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun_types::attribute::{AttributeStaticType as _, ErrorCode, UnknownAttributes, Username, XorMappedAddress};
use stun_types::message::{BINDING, Message, MessageClass};

use crate::model::chance::Chance;
use crate::model::ids::{StreamId, WorkerIndex};
use crate::model::map::{Seeded, SeededMap};
use crate::model::network::subscriber;
use crate::model::time::Moment;

use super::allocation::{Allocation, Flow};
use super::framing::FRAME_MAX;
use super::lease::Leases;
use super::limits::Throttle;
use super::nonce::Nonces;
use super::reply::Reply;
use super::requests::unknown;
use super::{
    FAILURE_WINDOW, FAILURES_PER_SOURCE, FAILURES_PER_USER, RelayMode, TurnConfig, TurnStats, answers_per_second,
    credentials::{LIFETIME_S, RelayUser},
};

/// Buffers that are kept for the next packets.
const SPARE_MAX: usize = 256;
/// Revoked users that are remembered. At the bound the oldest is forgotten; its credentials end within the hour.
const REVOKED_MAX: usize = 65_536;

/// A packet that a client sent to the SFU through the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed<'a> {
    /// The client's relayed address.
    pub source: SocketAddr,
    /// The address of the SFU that it was sent to.
    pub local: SocketAddr,
    /// What it says.
    pub bytes: &'a [u8],
}

/// Something that the relay wants done.
#[derive(Debug, PartialEq)]
pub enum TurnOutput {
    /// Send to a client.
    Transmit {
        /// The way to it.
        flow: Flow,
        /// What to send; give the buffer back by [`Turn::recycle`].
        bytes: Vec<u8>,
    },
    /// Open a socket of the open relay, then say [`Turn::bound`].
    Bind {
        /// Its address.
        relayed: SocketAddr,
    },
    /// Close a socket of the open relay.
    Unbind {
        /// Its address.
        relayed: SocketAddr,
    },
    /// Send from a socket of the open relay.
    Egress {
        /// The socket.
        relayed: SocketAddr,
        /// Where to.
        peer: SocketAddr,
        /// What to send; give the buffer back by [`Turn::recycle`].
        bytes: Vec<u8>,
    },
}

/// One worker's STUN and TURN server. Poll shape: hand in what came, then `poll` until `None`, then wait for
/// `next_timeout`.
#[derive(Debug)]
pub struct Turn {
    pub(super) config: TurnConfig,
    pub(super) chance: Chance,
    pub(super) nonces: Nonces,
    allocations: Vec<Option<Box<Allocation>>>,
    free: Vec<usize>,
    by_flow: SeededMap<Flow, usize>,
    by_relayed: SeededMap<SocketAddr, usize>,
    by_stream: BTreeMap<StreamId, usize>,
    by_user: BTreeMap<(u64, u64), Vec<usize>>,
    expiries: BTreeSet<(Instant, usize)>,
    /// Until which end their credentials are refused, in seconds since 1970.
    revoked: BTreeMap<u64, u64>,
    revoked_order: VecDeque<u64>,
    pub(super) answers: Throttle<IpAddr>,
    pub(super) failing_sources: Throttle<IpAddr>,
    pub(super) failing_users: Throttle<(u64, u64)>,
    /// What this thread may pass on for others.
    pub(super) leases: Leases,
    out: VecDeque<TurnOutput>,
    spare: Vec<Vec<u8>>,
    pub(super) stats: TurnStats,
}

impl Turn {
    /// A relay without allocations. `chance` must be unpredictable outside of simulations: ports come from it.
    #[must_use]
    pub fn new(config: TurnConfig, mut chance: Chance) -> Self {
        let seed = Seeded::new(chance.next_u64());
        let start = config.started.instant;
        let nonces = Nonces::new(&config.nonce_key, start);
        Self {
            nonces,
            chance,
            allocations: Vec::new(),
            free: Vec::new(),
            by_flow: seed.map(),
            by_relayed: seed.map(),
            by_stream: BTreeMap::new(),
            by_user: BTreeMap::new(),
            expiries: BTreeSet::new(),
            revoked: BTreeMap::new(),
            revoked_order: VecDeque::new(),
            answers: Throttle::new(answers_per_second(config.workers), Duration::from_secs(1), seed, start),
            failing_sources: Throttle::new(FAILURES_PER_SOURCE, FAILURE_WINDOW, seed, start),
            failing_users: Throttle::new(FAILURES_PER_USER, FAILURE_WINDOW, seed, start),
            leases: Leases::new(seed),
            out: VecDeque::new(),
            spare: Vec::new(),
            stats: TurnStats::default(),
            config,
        }
    }

    /// Takes a message from a client. What it sent to the SFU comes back at once.
    pub fn receive<'a>(&mut self, flow: Flow, bytes: &'a [u8], now: Moment) -> Option<Passed<'a>> {
        match bytes {
            [0x40..=0x7f, ..] => self.channel_data(flow, bytes, now.instant),
            _ => self.message(flow, bytes, now),
        }
    }

    /// The next thing to be done, `None` when there is nothing more.
    pub fn poll(&mut self) -> Option<TurnOutput> {
        self.out.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.expiries.first().map(|(due, _)| *due)
    }

    /// Ends allocations that nobody refreshed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, index)) = self.expiries.first().copied().filter(|(due, _)| *due <= now) {
            self.end(index);
        }
    }

    /// A connection is gone, and its allocation with it (RFC 8656 §3.1).
    pub fn stream_closed(&mut self, stream: StreamId) {
        if let Some(index) = self.by_stream.get(&stream).copied() {
            self.end(index);
        }
    }

    /// Ends a participant's allocations and refuses its credentials from now on. Whoever may return under the same number
    /// gets others; those of this very second are good for both stays.
    pub fn revoke(&mut self, user: RelayUser, may_return: bool, now: Moment) {
        let until = if may_return { now.unix_seconds().saturating_add(LIFETIME_S) } else { u64::MAX };
        if self.revoked.insert(user.person, until).is_some() {
            self.revoked_order.retain(|person| *person != user.person);
        }
        self.revoked_order.push_back(user.person);
        if self.revoked_order.len() > REVOKED_MAX
            && let Some(oldest) = self.revoked_order.pop_front()
        {
            self.revoked.remove(&oldest);
        }
        for index in self.by_user.remove(&(user.group, user.person)).unwrap_or_default() {
            self.end(index);
        }
    }

    /// Whether the client on this way has an allocation here.
    #[must_use]
    pub fn knows(&self, flow: &Flow) -> bool {
        self.by_flow.contains_key(flow)
    }

    /// Takes a sent buffer back, so that packets need no new one each.
    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// What the relay has counted.
    #[must_use]
    pub fn stats(&self) -> TurnStats {
        TurnStats { allocations: self.by_flow.len() as u64, ..self.stats.clone() }
    }

    /// Sizes of what grows with load.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, usize); 7] {
        [
            ("allocations", self.by_flow.len()),
            ("relayed addresses", self.by_relayed.len()),
            ("relay users", self.by_user.len()),
            ("relay timers", self.expiries.len()),
            ("relay sources", self.answers.len() + self.failing_sources.len() + self.failing_users.len()),
            ("relay revocations", self.revoked_order.len()),
            ("relay leases", self.leases.len()),
        ]
    }

    fn message<'a>(&mut self, flow: Flow, bytes: &'a [u8], now: Moment) -> Option<Passed<'a>> {
        let whole = bytes.get(2..4).is_some_and(|len| 20 + usize::from(u16::from_be_bytes([len[0], len[1]])) == bytes.len());
        // Longer than any stream carries: the parser need not see it.
        let fits = bytes.len() <= FRAME_MAX;
        let Some(message) = Some(bytes).filter(|_| whole && fits).and_then(|bytes| Message::from_bytes(bytes).ok()) else {
            self.drop("malformed");
            return None;
        };
        match message.class() {
            MessageClass::Request if message.has_method(BINDING) => self.binding(flow, &message, now.instant),
            MessageClass::Request => self.request(flow, &message, now),
            MessageClass::Indication => return self.indication(flow, &message, bytes, now.instant),
            MessageClass::Success | MessageClass::Error => self.drop("unexpected response"),
        }
        None
    }

    /// Tells a stranger its address (RFC 8489 §12).
    fn binding(&mut self, flow: Flow, message: &Message<'_>, now: Instant) {
        // A check of ICE for somebody who is not here: silence (RFC 8445 §7.3 has no answer for an unknown name either).
        if message.has_attribute(Username::TYPE) {
            return self.drop("unknown user name");
        }
        if !self.may_answer(flow, now) {
            return;
        }
        let unknown = unknown(message);
        if !unknown.is_empty() {
            let reply = Reply::terse_error(message, ErrorCode::UNKNOWN_ATTRIBUTE).with(&UnknownAttributes::new(&unknown));
            return self.send(flow, reply.finish(None));
        }
        let mapped = XorMappedAddress::new(flow.remote, message.transaction_id());
        self.send(flow, Reply::success(message).with(&mapped).finish(None));
    }

    /// Whether somebody who proved nothing may have an answer: not more than a few a second.
    pub(super) fn may_answer(&mut self, flow: Flow, now: Instant) -> bool {
        // Who holds a connection has shown that the address is its own, and does not ask twice: a dropped answer would be
        // the end of it.
        let may = flow.stream.is_some() || self.answers.take(subscriber(flow.remote.ip()), now);
        if !may {
            self.drop("too many answers");
        }
        may
    }

    pub(super) fn send(&mut self, flow: Flow, bytes: Vec<u8>) {
        // An answer that could not be written is none.
        if !bytes.is_empty() {
            self.out.push_back(TurnOutput::Transmit { flow, bytes });
        }
    }

    pub(super) fn push(&mut self, output: TurnOutput) {
        self.out.push_back(output);
    }

    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    pub(super) fn drop(&mut self, reason: &'static str) {
        *self.stats.dropped.entry(reason).or_default() += 1;
    }

    /// Whether credentials that end then were made for somebody who has left since.
    pub(super) fn is_revoked(&self, user: RelayUser, expires_at: u64) -> bool {
        self.revoked.get(&user.person).is_some_and(|until| expires_at < *until)
    }

    pub(super) fn on(&self, flow: &Flow) -> Option<usize> {
        self.by_flow.get(flow).copied()
    }

    pub(super) fn behind(&self, relayed: &SocketAddr) -> Option<usize> {
        self.by_relayed.get(relayed).copied()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Allocation> {
        self.allocations.get(index)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Allocation> {
        self.allocations.get_mut(index)?.as_deref_mut()
    }

    pub(super) fn of_user(&self, user: RelayUser) -> &[usize] {
        self.by_user.get(&(user.group, user.person)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn total(&self) -> usize {
        self.by_flow.len()
    }

    pub(super) fn begin(&mut self, allocation: Allocation) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.allocations.push(None);
            self.allocations.len() - 1
        });
        self.by_flow.insert(allocation.flow, index);
        allocation.relayed.iter().for_each(|relayed| {
            self.by_relayed.insert(*relayed, index);
        });
        if let Some(stream) = allocation.flow.stream {
            self.by_stream.insert(stream, index);
        }
        let user = allocation.login.user;
        self.by_user.entry((user.group, user.person)).or_default().push(index);
        self.expiries.insert((allocation.expires, index));
        self.allocations[index] = Some(Box::new(allocation));
        index
    }

    pub(super) fn prolong(&mut self, index: usize, expires: Instant) {
        let Some(allocation) = self.get_mut(index) else { return };
        let old = std::mem::replace(&mut allocation.expires, expires);
        self.expiries.remove(&(old, index));
        self.expiries.insert((expires, index));
    }

    pub(super) fn end(&mut self, index: usize) {
        let Some(allocation) = self.allocations.get_mut(index).and_then(Option::take) else { return };
        self.by_flow.remove(&allocation.flow);
        if let Some(stream) = allocation.flow.stream {
            self.by_stream.remove(&stream);
        }
        for relayed in &allocation.relayed {
            self.by_relayed.remove(relayed);
            if self.config.mode != RelayMode::Closed {
                self.out.push_back(TurnOutput::Unbind { relayed: *relayed });
            }
        }
        let user = (allocation.login.user.group, allocation.login.user.person);
        if let Some(indexes) = self.by_user.get_mut(&user) {
            indexes.retain(|other| *other != index);
            if indexes.is_empty() {
                self.by_user.remove(&user);
            }
        }
        self.expiries.remove(&(allocation.expires, index));
        self.free.push(index);
    }

    /// Takes one of an allocation's relayed addresses away.
    pub(super) fn drop_relayed(&mut self, index: usize, relayed: SocketAddr) {
        self.by_relayed.remove(&relayed);
        if let Some(allocation) = self.get_mut(index) {
            allocation.relayed.retain(|other| *other != relayed);
        }
    }

    /// Exchanges a relayed address of an allocation for another.
    pub(super) fn move_relayed(&mut self, index: usize, old: SocketAddr, new: SocketAddr) {
        self.by_relayed.remove(&old);
        self.by_relayed.insert(new, index);
        if let Some(allocation) = self.get_mut(index) {
            allocation.relayed.iter_mut().filter(|relayed| **relayed == old).for_each(|relayed| *relayed = new);
        }
    }

    /// Whose relay this is.
    #[must_use]
    pub fn index(&self) -> WorkerIndex {
        self.config.index
    }
}
