//! One media worker: rooms with their PeerConnections, datagrams in, datagrams out.

mod budget;
mod data;
mod data_tracks;
mod datagram;
mod drain;
mod estimate;
mod fault;
mod forged;
mod forward;
mod moved;
mod negotiate;
mod orders;
mod quality;
mod relay;
#[cfg(test)]
mod relay_tests;
mod resends;
mod rooms;
mod silence;
mod watched;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::model::chance::Chance;
use crate::model::ids::{RoomKey, SessionId, StreamId, WorkerIndex};
use crate::model::map::{Seeded, SeededMap};
use crate::model::stats::{Direction, WorkerStats};
use crate::model::time::Moment;
use crate::room::media::{MediaCommand, MediaEvent, MediaRights};
use crate::turn::framing::Framing;
use crate::turn::{Ask, Flow, Lease, Turn, TurnConfig};

use super::peer::{Peer, PeerIndex, RoomIndex};
use super::route::Router;
pub(in crate::node) use estimate::{Bandwidth, FIRST_ESTIMATE};
use relay::from_relay;
pub(in crate::node) use resends::KEPT_MAX;
use rooms::MediaRoom;

/// Deadlines are served on this common tick, so that what many sessions release leaves in one system call.
pub const TICK: Duration = Duration::from_millis(1);
/// A client that proved nothing for so long is gone. Consent to send expires after 30 s (RFC 7675 §5.1), less the time
/// until the next sweep.
pub const CONSENT: Duration = Duration::from_secs(25);
/// How often the worker looks who fell silent, and what each client's network carries.
const LOOK: Duration = Duration::from_millis(250);
/// How often the worker looks for clients without consent, stale routes and connection quality.
const SWEEP: Duration = Duration::from_secs(5);

/// What a worker needs to know from the start.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Which worker this is, and how many there are.
    pub index: WorkerIndex,
    /// How many workers share the port.
    pub workers: usize,
    /// The addresses that clients can reach, as ICE host candidates (RFC 8445 §5.1.1).
    pub candidates: Vec<SocketAddr>,
    /// The addresses of the TCP side, as passive candidates (RFC 6544 §4.1).
    pub tcp_candidates: Vec<SocketAddr>,
    /// The relay. Whose it is and where the SFU is, it learns from the fields above.
    pub relay: TurnConfig,
}

/// Something for a worker to do.
#[derive(Debug)]
pub enum WorkerInput<'a> {
    /// A datagram from this thread's own socket.
    Datagram {
        /// Where it came from.
        source: SocketAddr,
        /// Which of our addresses it came to.
        local: SocketAddr,
        /// What it says.
        bytes: &'a [u8],
    },
    /// A datagram that another thread's socket received.
    HandedOver {
        /// Where it came from.
        source: SocketAddr,
        /// Which of our addresses it came to.
        local: SocketAddr,
        /// What it says.
        bytes: &'a [u8],
    },
    /// A message from a TCP or TLS connection.
    Stream {
        /// The connection, with both ends.
        flow: Flow,
        /// How its messages are framed: that tells ICE from TURN.
        framing: Framing,
        /// What it says.
        bytes: &'a [u8],
    },
    /// A connection is gone.
    StreamClosed(StreamId),
    /// Another worker authenticated this source.
    Learned {
        /// The source.
        source: SocketAddr,
        /// Whose it is.
        worker: WorkerIndex,
        /// Whether as a client of the relay.
        relay: bool,
    },
    /// Another worker asks for a lease of a client of this relay.
    LeaseAsked {
        /// Who asks.
        from: WorkerIndex,
        /// What for.
        ask: Ask,
    },
    /// Another worker has lent the way of a client of its relay.
    Lent(Lease),
    /// A socket of the open relay stands, or could not be opened.
    RelayBound {
        /// Its address.
        relayed: SocketAddr,
        /// Whether it stands.
        opened: bool,
    },
    /// A datagram came to a socket of the open relay.
    FromPeer {
        /// The socket's address.
        relayed: SocketAddr,
        /// Who sent it.
        peer: SocketAddr,
        /// What it says.
        bytes: &'a [u8],
    },
    /// What the clocks say: the wall clock may have been set since.
    Clock(Moment),
    /// An order of the control core.
    Command(MediaCommand),
    /// Time has passed.
    Timeout,
}

/// Something that a worker wants done.
#[derive(Debug, PartialEq)]
pub enum WorkerOutput {
    /// Send a datagram.
    Transmit {
        /// Where to.
        destination: SocketAddr,
        /// Which of our addresses it leaves from.
        local: SocketAddr,
        /// The TCP or TLS connection that it leaves by; `None` is UDP.
        stream: Option<StreamId>,
        /// What it says. The buffer may come back by [`Worker::recycle`].
        bytes: Vec<u8>,
    },
    /// Give a datagram to the worker that owns it.
    HandOver {
        /// Whose it is.
        worker: WorkerIndex,
        /// Where it came from.
        source: SocketAddr,
        /// Which of our addresses it came to.
        local: SocketAddr,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// Tell the other workers that this source is ours.
    Learned {
        /// The source.
        source: SocketAddr,
        /// Whether as a client of the relay.
        relay: bool,
    },
    /// Ask the worker that owns a client of the relay for a lease. Nobody need be woken for it.
    AskLease {
        /// The owner.
        worker: WorkerIndex,
        /// What for.
        ask: Ask,
    },
    /// Give another worker what it asked for. Nobody need be woken for it.
    Lend {
        /// Who asked.
        worker: WorkerIndex,
        /// What it gets.
        lease: Lease,
    },
    /// Open a socket of the open relay, then say [`WorkerInput::RelayBound`].
    RelayBind {
        /// Its address.
        relayed: SocketAddr,
    },
    /// Close a socket of the open relay.
    RelayUnbind {
        /// Its address.
        relayed: SocketAddr,
    },
    /// Send from a socket of the open relay.
    RelayEgress {
        /// The socket.
        relayed: SocketAddr,
        /// Where to.
        peer: SocketAddr,
        /// What it says. The buffer may come back by [`Worker::recycle`].
        bytes: Vec<u8>,
    },
    /// Tell the control core.
    Event(MediaEvent),
}

/// A session's PeerConnections.
#[derive(Clone, Debug)]
struct Session {
    room: RoomIndex,
    /// A signalling connection shows whether the client lives; WHIP and WHEP have none.
    signalled: bool,
    rights: MediaRights,
    identity: crate::model::ids::Identity,
    publisher: PeerIndex,
    subscriber: PeerIndex,
}

/// Whose deadline stands in the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Peer(PeerIndex),
    Room(RoomIndex),
}

/// A media worker. Poll shape: `handle`, then `poll` until `None`, then wait for `next_timeout`.
pub struct Worker {
    config: WorkerConfig,
    chance: Chance,
    epoch: Instant,
    now: Instant,
    peers: Vec<Option<Box<Peer>>>,
    free_peers: Vec<PeerIndex>,
    rooms: Vec<Option<MediaRoom>>,
    by_key: BTreeMap<RoomKey, RoomIndex>,
    sessions: BTreeMap<SessionId, Session>,
    by_address: SeededMap<SocketAddr, PeerIndex>,
    by_ufrag: SeededMap<Vec<u8>, PeerIndex>,
    by_stream: SeededMap<StreamId, PeerIndex>,
    router: Router,
    /// Which worker has a client of the relay.
    relay_router: Router,
    turn: Turn,
    /// When the clocks were told last.
    clocks: Moment,
    /// The client and number of the last response to a connectivity check that was sent.
    last_response: Option<(SocketAddr, [u8; 12])>,
    alarms: BinaryHeap<Reverse<(Instant, Alarm)>>,
    ready: Vec<PeerIndex>,
    out: VecDeque<WorkerOutput>,
    sweep_at: Instant,
    /// When to look at clients and what they get; never while there are none.
    look_at: Option<Instant>,
    /// How many packets each stream may keep for answering NACKs.
    kept_each: usize,
    stats: WorkerStats,
}

impl Worker {
    /// A worker without rooms. `chance` must be unpredictable outside of simulations: ICE credentials come from it.
    #[must_use]
    pub fn new(config: WorkerConfig, mut chance: Chance, now: Instant) -> Self {
        let seeded = Seeded::new(chance.next_u64());
        let router = || Router::new(config.index, config.workers, seeded);
        let relay = TurnConfig { index: config.index, workers: config.workers, sfu: config.candidates.clone(), ..config.relay.clone() };
        Self {
            by_stream: seeded.map(),
            relay_router: router(),
            clocks: relay.started,
            turn: Turn::new(relay, chance.fork()),
            last_response: None,
            router: router(),
            config,
            chance,
            epoch: now,
            now,
            peers: Vec::new(),
            free_peers: Vec::new(),
            rooms: Vec::new(),
            by_key: BTreeMap::new(),
            sessions: BTreeMap::new(),
            by_address: seeded.map(),
            by_ufrag: seeded.map(),
            alarms: BinaryHeap::new(),
            ready: Vec::new(),
            out: VecDeque::new(),
            sweep_at: now + SWEEP,
            look_at: None,
            kept_each: KEPT_MAX,
            stats: WorkerStats::default(),
        }
    }

    /// Takes one input. Several may be taken before [`Self::poll`] is drained; that is what makes batches.
    pub fn handle(&mut self, input: WorkerInput<'_>, now: Instant) {
        self.now = self.now.max(now);
        match input {
            WorkerInput::Datagram { source, local, bytes } => self.datagram(source, local, bytes, true),
            WorkerInput::HandedOver { source, local, bytes } => self.datagram(source, local, bytes, false),
            WorkerInput::Stream { flow, framing, bytes } => self.stream(flow, framing, bytes),
            WorkerInput::StreamClosed(stream) => self.stream_closed(stream),
            WorkerInput::RelayBound { relayed, opened } => self.turn.bound(relayed, opened, self.now),
            WorkerInput::FromPeer { relayed, peer, bytes } => self.turn.deliver(relayed, peer, bytes, self.now),
            WorkerInput::LeaseAsked { from, ask } => self.lend(from, ask),
            WorkerInput::Lent(lease) => self.turn.take_lease(&lease),
            WorkerInput::Clock(moment) => self.clocks = moment,
            WorkerInput::Learned { source, worker, relay: true } => self.relay_router.learn(source, worker, now),
            WorkerInput::Learned { source, worker, relay: false } => {
                // The address changed hands: a former session of ours must not get its datagrams.
                if worker != self.config.index {
                    self.by_address.remove(&source);
                }
                self.router.learn(source, worker, now);
            }
            WorkerInput::Command(command) => self.order(command),
            WorkerInput::Timeout => self.timeout(),
        }
    }

    /// The next thing to be done, `None` when there is nothing more.
    pub fn poll(&mut self) -> Option<WorkerOutput> {
        loop {
            if let Some(output) = self.out.pop_front().or_else(|| self.turn.poll().map(from_relay)) {
                return Some(output);
            }
            let Some(index) = self.ready.pop() else {
                self.postpone();
                return None;
            };
            // What came in for it meanwhile may have taken along what it had to send.
            if self.peer(index).is_some_and(|peer| peer.ready) {
                self.guard(index, |worker| worker.flush(index));
            }
        }
    }

    /// When [`WorkerInput::Timeout`] is due, and what for.
    #[must_use]
    pub fn next_timeout(&self) -> (Instant, &'static str) {
        let relay = self.turn.next_timeout().map(|due| (due, "relay"));
        let look = self.look_at.map(|due| (due, "look"));
        let sweep = [relay, look].into_iter().flatten().fold((self.sweep_at, "sweep"), Ord::min);
        let Some(Reverse((due, alarm))) = self.alarms.peek() else { return sweep };
        let name = match alarm {
            Alarm::Peer(_) => "peer",
            Alarm::Room(_) => "room",
        };
        sweep.min((self.on_tick(*due), name))
    }

    /// Which worker this is.
    #[must_use]
    pub fn index(&self) -> WorkerIndex {
        self.config.index
    }

    /// Takes a sent buffer back, so that relayed packets need no new one each.
    pub fn recycle(&mut self, bytes: Vec<u8>) {
        self.turn.recycle(bytes);
    }

    /// What the worker has counted since its start, but for its relay.
    #[must_use]
    pub fn stats(&self) -> &WorkerStats {
        &self.stats
    }

    /// What its relay has counted.
    #[must_use]
    pub fn relay_stats(&self) -> WorkerStats {
        let counted = self.turn.stats();
        let mut stats = WorkerStats { turn_allocations: counted.allocations, dropped_datagrams: counted.dropped, ..WorkerStats::default() };
        stats.turn_bytes.add(Direction::In, counted.bytes_in);
        stats.turn_bytes.add(Direction::Out, counted.bytes_out);
        stats
    }

    /// Sizes of what grows with load: peers, rooms, sessions, addresses, user names, routes, timers.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, usize); 16] {
        let [allocations, relayed, users, timers, sources, revocations, leases] = self.turn.sizes();
        [
            ("peers", self.peers.iter().flatten().count()),
            ("rooms", self.rooms.iter().flatten().count()),
            ("sessions", self.sessions.len()),
            ("addresses", self.by_address.len()),
            ("user names", self.by_ufrag.len()),
            ("routes", self.router.len()),
            ("timers", self.alarms.len()),
            ("streams", self.by_stream.len()),
            ("relay routes", self.relay_router.len()),
            allocations,
            relayed,
            users,
            timers,
            sources,
            revocations,
            leases,
        ]
    }

    fn on_tick(&self, due: Instant) -> Instant {
        let since = due.saturating_duration_since(self.epoch);
        let ticks = since.as_nanos().div_ceil(TICK.as_nanos());
        // 2^32 ticks are 49 days; a deadline further off is nobody's.
        self.epoch + TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    fn timeout(&mut self) {
        let horizon = self.now;
        while let Some(Reverse((due, alarm))) = self.alarms.peek().copied() {
            if due > horizon {
                break;
            }
            self.alarms.pop();
            match alarm {
                Alarm::Peer(index) => self.peer_alarm(index, due),
                Alarm::Room(index) => self.room_alarm(index, due),
            }
        }
        self.turn.handle_timeout(horizon);
        if self.look_at.is_some_and(|due| due <= self.now) {
            self.look();
        }
        if self.now >= self.sweep_at {
            self.sweep_at = self.now + SWEEP;
            self.sweep();
        }
    }

    /// Looks at clients: who fell silent or moved, what their networks carry.
    fn look(&mut self) {
        self.look_at = if self.sessions.is_empty() { None } else { Some(self.now + LOOK) };
        self.settle_moved();
        self.listen_for_silence();
        self.share_kept();
        self.look_at_budgets();
    }

    /// Sees that clients are looked at.
    fn begin_to_look(&mut self) {
        self.look_at.get_or_insert(self.now + LOOK);
    }

    /// Moves deadlines that were met before their time, so that nobody wakes up for them.
    fn postpone(&mut self) {
        while let Some(Reverse((due, Alarm::Peer(index)))) = self.alarms.peek().copied() {
            if self.peer(index).is_some_and(|peer| peer.due <= due) {
                return;
            }
            self.alarms.pop();
            if let Some(peer) = self.peer_mut(index).filter(|peer| peer.queued == Some(due)) {
                peer.queued = None;
                self.queue(index);
            }
        }
    }

    fn peer_alarm(&mut self, index: PeerIndex, due: Instant) {
        let now = self.now;
        let Some(peer) = self.peer_mut(index) else { return };
        if peer.queued == Some(due) {
            peer.queued = None;
        }
        if peer.due <= now {
            self.mark(index);
        } else {
            self.queue(index);
        }
    }

    /// Ends sessions without consent, forgets routes, tells connection quality.
    fn sweep(&mut self) {
        self.router.expire(self.now);
        self.relay_router.expire(self.now);
        self.turn.expire_leases(self.now);
        let lost: Vec<SessionId> = self.sessions.iter().filter(|(_, session)| self.is_lost(session)).map(|(id, _)| *id).collect();
        for session in lost {
            self.event(MediaEvent::Lost { session });
        }
        self.tell_quality();
    }

    /// Whether no leg has consent any more. Legs that never stood do not count while signalling shows that the client
    /// lives: one that neither sends nor receives needs no media.
    fn is_lost(&self, session: &Session) -> bool {
        let legs = [session.publisher, session.subscriber].into_iter().filter_map(|leg| self.peer(leg));
        let mut standing = legs.filter(|peer| peer.connected || !session.signalled).peekable();
        standing.peek().is_some() && standing.all(|peer| self.now.saturating_duration_since(peer.heard) >= CONSENT)
    }

    fn event(&mut self, event: MediaEvent) {
        self.out.push_back(WorkerOutput::Event(event));
    }

    fn peer(&self, index: PeerIndex) -> Option<&Peer> {
        self.peers.get(index.0 as usize)?.as_deref()
    }

    fn peer_mut(&mut self, index: PeerIndex) -> Option<&mut Peer> {
        self.peers.get_mut(index.0 as usize)?.as_deref_mut()
    }

    /// Notes that a peer has something to drain.
    fn mark(&mut self, index: PeerIndex) {
        if let Some(peer) = self.peers.get_mut(index.0 as usize).and_then(Option::as_mut)
            && !peer.ready
        {
            peer.ready = true;
            self.ready.push(index);
        }
    }

    /// Puts a peer's deadline into the heap unless an earlier entry stands there already.
    fn queue(&mut self, index: PeerIndex) {
        let Some(peer) = self.peers.get_mut(index.0 as usize).and_then(Option::as_mut) else { return };
        if peer.queued.is_none_or(|queued| peer.due < queued) {
            peer.queued = Some(peer.due);
            self.alarms.push(Reverse((peer.due, Alarm::Peer(index))));
        }
    }
}
