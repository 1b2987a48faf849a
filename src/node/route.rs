//! Which worker owns a datagram: by its source address, else by the ICE user name.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::model::chance::Chance;
use crate::model::ids::WorkerIndex;
use crate::model::map::{Seeded, SeededMap};
use crate::turn::credentials::RelayUser;

/// Most addresses that one thread remembers for the others' sessions.
pub const ROUTES_MAX: usize = 65_536;
/// How long a route lives without a datagram. Consent checks come every few seconds (RFC 7675).
pub const ROUTE_LIFETIME: Duration = Duration::from_mins(1);
/// The cookie of every STUN message (RFC 8489 §5).
const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// How a Binding request begins.
const BINDING_REQUEST: [u8; 2] = [0, 1];

/// Random letters after the worker's: 89 bits (RFC 8445 §5.3 wants 24).
const UFRAG_RANDOM: usize = 15;
/// Letters of an ICE password: 143 bits (RFC 8445 §5.3 wants 128).
const PASSWORD_LEN: usize = 24;

/// Fresh ICE credentials that lead to `worker`.
#[must_use]
pub fn ice_credentials(worker: WorkerIndex, chance: &mut Chance) -> str0m::IceCreds {
    let letter = char::from(worker.letter());
    str0m::IceCreds { ufrag: format!("{letter}{}", chance.text(UFRAG_RANDOM)), pass: chance.text(PASSWORD_LEN) }
}

/// The worker that an ICE user name leads to.
#[must_use]
pub fn worker_of(ufrag: &[u8]) -> Option<WorkerIndex> {
    WorkerIndex::from_letter(*ufrag.first()?)
}

/// The server's half of the USERNAME of a STUN Binding request (RFC 8489 §14.3, RFC 8445 §7.2.2).
/// `None` for anything else, however malformed.
#[must_use]
pub fn local_ufrag(datagram: &[u8]) -> Option<&[u8]> {
    if !datagram.starts_with(&BINDING_REQUEST) {
        return None;
    }
    username(datagram)?.split(|byte| *byte == b':').next()
}

/// Whether a message is the relay's: ChannelData, a method of TURN, or a Binding request without a user name, which asks
/// for nothing but its own address (RFC 7983 §7, RFC 8656 §18).
#[must_use]
pub fn is_for_relay(message: &[u8]) -> bool {
    match message {
        [0x40..=0x7f, ..] => true,
        [high @ 0..=3, low, _, _, cookie @ ..] if cookie.starts_with(&MAGIC) => {
            // The bits of the class lie between those of the method (RFC 8489 §5).
            let binding = (high & 0xfe, low & 0xef) == (0, 1);
            !binding || message.starts_with(&BINDING_REQUEST) && username(message).is_none()
        }
        _ => false,
    }
}

/// The worker that serves the user of a TURN request; `None` for what names no user.
#[must_use]
pub fn relay_worker(message: &[u8], workers: usize) -> Option<WorkerIndex> {
    if !matches!(message, [0..=3, ..]) {
        return None;
    }
    let (_, user) = RelayUser::parse(username(message)?)?;
    Some(user.serving(workers))
}

/// The worker that a message names, for ICE or for the relay.
#[must_use]
pub fn named_worker(message: &[u8], workers: usize) -> Option<WorkerIndex> {
    match local_ufrag(message) {
        Some(ufrag) => worker_of(ufrag).filter(|worker| usize::from(worker.0) < workers),
        None => relay_worker(message, workers),
    }
}

/// The value of a STUN message's USERNAME, `None` for anything else, however malformed.
fn username(datagram: &[u8]) -> Option<&[u8]> {
    const USERNAME: u16 = 0x0006;
    if datagram.len() < 20 || datagram[4..8] != MAGIC {
        return None;
    }
    let mut rest = &datagram[20..];
    while rest.len() >= 4 {
        let kind = u16::from_be_bytes([rest[0], rest[1]]);
        let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let value = rest.get(4..4 + len)?;
        if kind == USERNAME {
            return Some(value);
        }
        rest = rest.get(4 + len.next_multiple_of(4)..)?;
    }
    None
}

/// Where a datagram should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To this thread's own worker: it knows the source, or it is the one to refuse.
    Here,
    /// To another worker.
    Worker(WorkerIndex),
    /// Nowhere: nobody knows the source, and it is no connectivity check.
    Stranger,
}

/// One thread's knowledge of which sources belong to other workers. Bounded and expiring.
#[derive(Debug)]
pub struct Router {
    own: WorkerIndex,
    workers: usize,
    routes: SeededMap<SocketAddr, (WorkerIndex, Instant)>,
}

impl Router {
    /// A router of the thread `own` among `workers`.
    #[must_use]
    pub fn new(own: WorkerIndex, workers: usize, seed: Seeded) -> Self {
        Self { own, workers, routes: seed.map() }
    }

    /// Decides for a datagram from a source that the own worker does not know.
    pub fn route(&mut self, source: SocketAddr, datagram: &[u8], now: Instant) -> Route {
        // A connectivity check says itself where it wants to go, also after its address changed hands.
        if let Some(ufrag) = local_ufrag(datagram) {
            return match worker_of(ufrag) {
                Some(worker) if worker == self.own => Route::Here,
                Some(worker) if usize::from(worker.0) < self.workers => Route::Worker(worker),
                _ => Route::Stranger,
            };
        }
        self.find(source, now).map_or(Route::Stranger, Route::Worker)
    }

    /// The worker that a source belongs to.
    pub fn find(&mut self, source: SocketAddr, now: Instant) -> Option<WorkerIndex> {
        let (worker, used) = self.routes.get_mut(&source)?;
        *used = now;
        Some(*worker)
    }

    /// Learns a source that its owner has authenticated. At the bound the stalest routes make room.
    pub fn learn(&mut self, source: SocketAddr, worker: WorkerIndex, now: Instant) {
        if worker == self.own {
            self.routes.remove(&source);
            return;
        }
        if self.routes.len() >= ROUTES_MAX && !self.routes.contains_key(&source) {
            self.expire(now);
            if self.routes.len() >= ROUTES_MAX {
                return;
            }
        }
        self.routes.insert(source, (worker, now));
    }

    /// Forgets a source whose session has ended.
    pub fn forget(&mut self, source: SocketAddr) {
        self.routes.remove(&source);
    }

    /// Drops routes that were not used for [`ROUTE_LIFETIME`].
    pub fn expire(&mut self, now: Instant) {
        self.routes.retain(|_, (_, used)| now.saturating_duration_since(*used) < ROUTE_LIFETIME);
    }

    /// Routes known now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether no route is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(username: &str) -> Vec<u8> {
        let mut datagram = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        datagram.extend([0; 12]);
        datagram.extend([0x80, 0x22, 0, 1, b'x', 0, 0, 0]);
        datagram.extend(6_u16.to_be_bytes());
        datagram.extend(u16::try_from(username.len()).unwrap().to_be_bytes());
        datagram.extend(username.as_bytes());
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        let len = u16::try_from(datagram.len() - 20).unwrap();
        datagram[2..4].copy_from_slice(&len.to_be_bytes());
        datagram
    }

    #[test]
    fn checks_find_their_worker() {
        let creds = ice_credentials(WorkerIndex(3), &mut Chance::new([1; 32]));
        let datagram = binding(&format!("{}:remote", creds.ufrag));
        assert_eq!(local_ufrag(&datagram), Some(creds.ufrag.as_bytes()));
        let source = "192.0.2.1:1000".parse().unwrap();
        let now = Instant::now();
        let mut router = Router::new(WorkerIndex(0), 4, Seeded::new(1));
        assert_eq!(router.route(source, &datagram, now), Route::Worker(WorkerIndex(3)));
        assert_eq!(Router::new(WorkerIndex(3), 4, Seeded::new(1)).route(source, &datagram, now), Route::Here);
        assert_eq!(Router::new(WorkerIndex(0), 2, Seeded::new(1)).route(source, &datagram, now), Route::Stranger);
        for end in 0..datagram.len() {
            let _ = local_ufrag(&datagram[..end]);
        }
    }

    #[test]
    fn routes_are_learned_bounded_and_expire() {
        let now = Instant::now();
        let mut router = Router::new(WorkerIndex(0), 2, Seeded::new(1));
        let address = |n: u32| SocketAddr::new(std::net::Ipv4Addr::from(n).into(), 5);
        assert_eq!(router.route(address(1), &[0x80, 96], now), Route::Stranger);
        router.learn(address(1), WorkerIndex(1), now);
        assert_eq!(router.route(address(1), &[0x80, 96], now), Route::Worker(WorkerIndex(1)));
        for n in 0..u32::try_from(ROUTES_MAX).unwrap() + 10 {
            router.learn(address(n), WorkerIndex(1), now);
        }
        assert_eq!(router.len(), ROUTES_MAX);
        router.learn(address(u32::MAX), WorkerIndex(1), now + ROUTE_LIFETIME);
        assert_eq!(router.len(), 1);
    }
}
