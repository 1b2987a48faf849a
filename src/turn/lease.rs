//! Leases: a thread whose socket gets another thread's client passes on by a short-lived copy of the owner's decision.

use std::time::{Duration, Instant};

use crate::model::map::{Seeded, SeededMap};

use super::allocation::Flow;
use super::relay::{Way, framed, is_stun};
use super::{Turn, TurnOutput};

/// How long a lease lasts: media end so late after the owner has ended them.
pub const LEASE: Duration = Duration::from_millis(500);
/// Who has so little time left asks for more.
const ASK_BEFORE: Duration = Duration::from_millis(250);
/// How long nobody asks again.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// Most clients of other threads that a thread asks for. Those beyond it are handed over.
pub const LEASES_MAX: usize = 16_384;
/// Less is not lent.
const LENT_MIN: u64 = 3_000;

/// What a thread asks a client's owner for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The client.
    pub flow: Flow,
    /// The channel that it sends by.
    pub channel: u16,
    /// How many bytes it may still pass on.
    pub left: u64,
    /// Whether it has passed something on since the owner was asked last.
    pub used: bool,
}

/// What the owner lends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The client.
    pub flow: Flow,
    /// The channel that it sends by.
    pub channel: u16,
    /// The partner.
    pub onward: Flow,
    /// The partner's channel.
    pub onward_channel: u16,
    /// Bytes of data that may be passed on more than before.
    pub bytes: u64,
    /// Until when.
    pub expires: Instant,
}

/// A client that a lease was asked for.
#[derive(Clone, Copy, Debug)]
struct Held {
    channel: u16,
    /// Where its data goes; `None` until the owner has answered.
    onward: Option<(Flow, u16)>,
    /// Bytes that may still be passed on, and how many those were when the owner was heard last.
    left: u64,
    full: u64,
    used: bool,
    asked: Instant,
    expires: Instant,
}

/// What one thread may pass on for others. Bounded and expiring.
///
/// The kernel spreads clients over the threads' sockets, whoever has their allocations, and handing each packet over costs more than
/// relaying it. So the thread asks the owner, who lends it the way from one channel to the partner's, with some bytes of both
/// allocations' buckets, for [`LEASE`]. Nothing is taken back: what ends at the owner ends with the lease. STUN is handed over as ever.
#[derive(Debug)]
pub(super) struct Leases {
    held: SeededMap<Flow, Held>,
    swept: Option<Instant>,
}

impl Leases {
    pub fn new(seed: Seeded) -> Self {
        Self { held: seed.map(), swept: None }
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Where data of a client goes, if there is a lease for it, and what is to be asked for.
    fn pass(&mut self, flow: Flow, channel: u16, bytes: usize, now: Instant) -> (Option<(Flow, u16)>, Option<Ask>) {
        let first = Ask { flow, channel, left: 0, used: false };
        let fresh = Held { channel, onward: None, left: 0, full: 0, used: false, asked: now, expires: now };
        let Some(held) = self.held.get_mut(&flow) else {
            if !self.has_room(now) {
                return (None, None);
            }
            self.held.insert(flow, fresh);
            return (None, Some(first));
        };
        let live = held.expires > now;
        if held.channel != channel {
            // One channel at a time: browsers use one pair of addresses.
            if live {
                return (None, None);
            }
            *held = fresh;
            return (None, Some(first));
        }
        if !live {
            held.left = 0;
        }
        let enough = held.left >= bytes as u64;
        let onward = held.onward.filter(|_| live && enough);
        if onward.is_some() {
            held.left -= bytes as u64;
            held.used = true;
        }
        let low = !enough || held.left < held.full / 2 || held.expires < now + ASK_BEFORE;
        let ask = (low && now.saturating_duration_since(held.asked) >= ASK_AGAIN).then(|| {
            held.asked = now;
            Ask { flow, channel, left: held.left, used: std::mem::take(&mut held.used) }
        });
        (onward, ask)
    }

    /// Makes room at the bound, a few times a second at most.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.held.len() < LEASES_MAX {
            return true;
        }
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= ASK_BEFORE) {
            self.swept = Some(now);
            self.expire(now);
        }
        self.held.len() < LEASES_MAX
    }

    /// Forgets what has expired.
    pub fn expire(&mut self, now: Instant) {
        self.held.retain(|_, held| held.expires > now || now.saturating_duration_since(held.asked) < ASK_AGAIN);
    }

    fn take(&mut self, lease: &Lease) {
        // Whoever has turned to another channel since needs it no more.
        let Some(held) = self.held.get_mut(&lease.flow).filter(|held| held.channel == lease.channel) else { return };
        held.left += lease.bytes;
        held.full = held.left;
        (held.onward, held.expires) = (Some((lease.onward, lease.onward_channel)), lease.expires);
    }
}

impl Turn {
    /// Passes on a message of a client that another thread serves, if its owner has lent the way. Returns whether it did, and what
    /// the owner is to be asked for.
    pub fn pass_by_lease(&mut self, flow: Flow, message: &[u8], now: Instant) -> (bool, Option<Ask>) {
        let [a @ 0x40..=0x7f, b, c, d, rest @ ..] = message else { return (false, None) };
        let len = u16::from_be_bytes([*c, *d]);
        let Some(data) = rest.get(..usize::from(len)).filter(|data| !is_stun(data)) else { return (false, None) };
        let (onward, ask) = self.leases.pass(flow, u16::from_be_bytes([*a, *b]), data.len(), now);
        let Some((onward, number)) = onward else { return (false, ask) };
        self.stats.bytes_in += data.len() as u64;
        self.stats.bytes_out += data.len() as u64;
        let mut bytes = self.buffer();
        framed(&mut bytes, number, len, data);
        self.push(TurnOutput::Transmit { flow: onward, bytes });
        (true, ask)
    }

    /// Takes what an owner has lent.
    pub fn take_lease(&mut self, lease: &Lease) {
        self.leases.take(lease);
    }

    /// Forgets leases that have ended.
    pub fn expire_leases(&mut self, now: Instant) {
        self.leases.expire(now);
    }

    /// Lends another thread the way from a client's channel to its partner's. `None` where there is no such way, or nothing to
    /// lend: then what comes is handed over, to be judged here. Whatever is lent has left the buckets of both.
    pub fn lend(&mut self, ask: Ask, now: Instant) -> Option<Lease> {
        let index = self.on(&ask.flow)?;
        let client = self.get(index)?;
        let channel = *client.channel(ask.channel, now)?;
        let source = client.relayed_like(channel.peer.ip())?;
        let ends = client.expires;
        let Some(Way::Partner(behind)) = self.way(index, channel.peer).filter(|_| ask.flow.stream.is_none()) else { return None };
        let partner = self.get(behind).filter(|partner| behind != index && partner.flow.stream.is_none())?;
        let (onward, back) = (partner.flow, *partner.channel_by_peer(source, now)?);
        let ends = [now + LEASE, channel.expires, ends, back.expires, partner.permitted_until(source.ip(), now)?, partner.expires];
        let expires = ends.into_iter().min()?;
        let spare = self.get_mut(behind)?.outward.spare(now);
        let client = self.get_mut(index)?;
        let bytes = (client.inward.depth() / 2).saturating_sub(ask.left).min(client.inward.spare(now)).min(spare);
        if ask.left + bytes < LENT_MIN {
            return None;
        }
        let lent = usize::try_from(bytes).ok()?;
        client.inward.take(lent, now);
        client.used = if ask.used { now } else { client.used };
        let partner = self.get_mut(behind)?;
        partner.outward.take(lent, now);
        partner.used = if ask.used { now } else { partner.used };
        Some(Lease { flow: ask.flow, channel: ask.channel, onward, onward_channel: back.number, bytes, expires })
    }
}
