//! The control core: requests or signals in, replies or orders out.

mod desk;
mod fault;
mod invitation_book;
mod invitations;
mod invited;
mod join;
mod moderate;
mod p2p;
mod redeem;
mod requests;
mod rooms;
#[cfg(test)]
mod testing;
mod whip;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::access::tan::InvitationKey;
use crate::model::chance::Chance;
use crate::model::grants::Grants;
use crate::model::ids::{DeskId, Identity, RoomId, RoomKey, SessionId, WorkerIndex};
use crate::model::record::{RoomRecord, Write, Written};
use crate::model::stats::ControlStats;
use crate::model::time::Moment;
use crate::room::command::Signal;
use crate::room::desk::DeskSaid;
use crate::room::media::{MediaCommand, MediaEvent};
use crate::room::notice::{LeaveReason, Notice};
use crate::room::{Effect, Room};
use crate::turn::credentials::{RelaySecrets, RelayUser};

use super::conceal;
use super::request::{ConnId, Connect, Connected, Refusal, Reply, Request};

/// Settings of the control core.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// Media workers, 1 or more.
    pub workers: usize,
    /// Whether a room that does not exist is made when somebody joins it.
    pub auto_create: bool,
    /// Whether rooms made so require end-to-end encryption.
    pub auto_require_encryption: bool,
    /// Most participants of a room that does not say otherwise.
    pub max_participants: u32,
    /// How long a room that does not say otherwise lives while empty.
    pub empty_timeout: Duration,
    /// Most sessions of the whole server.
    pub sessions_max: usize,
    /// Most rooms of the whole server.
    pub rooms_max: usize,
    /// What credentials of the relay are made with.
    pub relay: RelaySecrets,
    /// The addresses that relayed ones have.
    pub relay_addresses: Vec<IpAddr>,
    /// What hashes TANs with resume secrets.
    pub invitation_key: InvitationKey,
}

/// A caller that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller(pub u64);

/// Something that must be on disk before its caller is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Something for the control core to do.
#[derive(Debug)]
pub enum ControlInput {
    /// A question or an order.
    Request(Caller, Box<Request>),
    /// A client opens a signalling connection.
    Connect(Caller, ConnId, Box<Connect>),
    /// A client says something.
    Signal(ConnId, Signal),
    /// Somebody opens a desk; the reply says whether it is open.
    OpenDesk(Caller, ConnId, Box<Grants>),
    /// Somebody says something at the desk.
    Desk(ConnId, DeskSaid),
    /// A signalling connection is gone.
    Closed(ConnId),
    /// News from a worker.
    Media(MediaEvent),
    /// Writes are done, or failed.
    Persisted(Ticket, Written),
    /// Time has passed.
    Timeout,
    /// The server goes down: everybody is told, nobody joins any more.
    Shutdown,
}

/// Something that the control core wants done, in this order.
#[derive(Debug, PartialEq)]
pub enum ControlOutput {
    /// Answer a caller.
    Reply(Caller, Result<Reply, Refusal>),
    /// Accept a signalling connection, or say why not.
    Connected(Caller, Result<Connected, Refusal>),
    /// Tell a client.
    Notice(ConnId, Notice),
    /// Close a signalling connection once everything was told.
    HangUp(ConnId),
    /// Order a worker.
    Media(WorkerIndex, MediaCommand),
    /// Write all or nothing, then say [`ControlInput::Persisted`].
    Persist(Ticket, Vec<Write>),
}

/// A room with its place.
struct Entry {
    room: Room,
    /// Its rules, as they are stored.
    record: RoomRecord,
    worker: WorkerIndex,
    /// It is on disk and outlives a restart.
    stored: bool,
}

/// What happens when a write is done.
enum Waiting {
    /// The room opens and its maker is answered.
    Create(Caller, RoomRecord, String),
    /// The room closes and the caller is answered.
    Delete(Caller, RoomId),
    /// An invitation begins, changes or ends.
    Invitation(Box<invitations::Then>),
    /// Somebody is admitted, and whoever ordered it is answered.
    Admit(desk::Answer, RoomKey, Identity),
    /// Nobody waits.
    Forget,
}

/// The control core. Poll shape: `handle`, then `poll` until `None`, then wait for `next_timeout`.
pub struct Control {
    config: ControlConfig,
    chance: Chance,
    rooms: BTreeMap<RoomKey, Entry>,
    by_id: BTreeMap<RoomId, RoomKey>,
    sessions: BTreeMap<SessionId, RoomKey>,
    connections: BTreeMap<ConnId, SessionId>,
    connection_of: BTreeMap<SessionId, ConnId>,
    /// Connections to rooms' desks.
    desks: BTreeMap<ConnId, desk::Desk>,
    /// Callers of WHIP and WHEP that wait for the worker's answer.
    awaiting: BTreeMap<SessionId, Caller>,
    /// Sessions of WHIP or WHEP.
    requested: BTreeMap<SessionId, whip::Requested>,
    /// When sessions began to join, until their media stands.
    joining: BTreeMap<SessionId, Instant>,
    /// Whom the relay knows sessions as, with the number of credentials that were made before they began.
    relayed: BTreeMap<SessionId, (RelayUser, u64)>,
    writes: BTreeMap<Ticket, Waiting>,
    /// Names of rooms whose making is being written.
    creating: BTreeSet<RoomId>,
    invitations: invitation_book::Book,
    /// Rooms that panicked in this turn.
    broken: Vec<RoomKey>,
    last_id: u64,
    shutting_down: bool,
    stats: ControlStats,
    out: VecDeque<ControlOutput>,
}

impl Control {
    /// A core without rooms. `chance` must be unpredictable outside of simulations.
    #[must_use]
    pub fn new(config: ControlConfig, chance: Chance) -> Self {
        Self {
            config,
            chance,
            rooms: BTreeMap::new(),
            by_id: BTreeMap::new(),
            sessions: BTreeMap::new(),
            connections: BTreeMap::new(),
            connection_of: BTreeMap::new(),
            desks: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            requested: BTreeMap::new(),
            joining: BTreeMap::new(),
            relayed: BTreeMap::new(),
            writes: BTreeMap::new(),
            creating: BTreeSet::new(),
            invitations: invitation_book::Book::default(),
            broken: Vec::new(),
            last_id: 0,
            shutting_down: false,
            stats: ControlStats::default(),
            out: VecDeque::new(),
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: ControlInput, now: Moment) {
        match input {
            ControlInput::Request(caller, request) => self.request(caller, *request, now),
            ControlInput::Connect(caller, conn, connect) => self.connect(caller, conn, *connect, now),
            ControlInput::Signal(conn, signal) => self.signal(conn, signal, now),
            ControlInput::OpenDesk(caller, conn, grants) => self.open_desk(caller, conn, *grants, now),
            ControlInput::Desk(conn, said) => self.desk_said(conn, said, now),
            ControlInput::Closed(conn) => self.closed(conn, now),
            ControlInput::Media(event) => self.media(event, now),
            ControlInput::Persisted(ticket, written) => self.persisted(ticket, written, now),
            ControlInput::Timeout => self.timeout(now),
            ControlInput::Shutdown => self.shut_down(),
        }
        self.clear_broken(now);
    }

    /// The next thing to be done, `None` when there is nothing more.
    pub fn poll(&mut self) -> Option<ControlOutput> {
        self.out.pop_front()
    }

    /// When [`ControlInput::Timeout`] is due, and what for.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        let invitations = self.invitations.next_look().map(|due| (due, "invitations"));
        self.rooms.values().filter_map(|entry| entry.room.next_timeout()).chain(invitations).min()
    }

    /// What the core counts.
    #[must_use]
    pub fn stats(&self) -> ControlStats {
        let tracks: usize = self.rooms.values().map(|entry| entry.room.track_count()).sum();
        ControlStats {
            rooms: self.rooms.len() as u64,
            participants: self.sessions.len() as u64,
            tracks: tracks as u64,
            ..self.stats.clone()
        }
    }

    /// Sizes of what grows with load.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, usize); 10] {
        [
            ("rooms", self.rooms.len()),
            ("sessions", self.sessions.len()),
            ("connections", self.connections.len()),
            ("awaiting", self.awaiting.len()),
            ("joining", self.joining.len()),
            ("relayed", self.relayed.len()),
            ("writes", self.writes.len()),
            ("requested", self.requested.len()),
            ("invitations", self.invitations.size()),
            ("desks", self.desks.len()),
        ]
    }

    fn signal(&mut self, conn: ConnId, signal: Signal, now: Moment) {
        let Some(session) = self.connections.get(&conn).copied() else { return };
        let signal = if self.hides_addresses(session) { conceal::signal(signal, &self.config.relay_addresses) } else { Ok(Some(signal)) };
        self.with_room_of(session, |room, chance, out| p2p::signal(room, session, signal, now, chance, out));
    }

    fn closed(&mut self, conn: ConnId, now: Moment) {
        if self.desk_closed(conn, now) {
            return;
        }
        let Some(session) = self.connections.remove(&conn) else { return };
        if self.connection_of.get(&session) == Some(&conn) {
            self.connection_of.remove(&session);
            self.with_room_of(session, |room, _, _| room.detach(session, now));
        }
    }

    fn media(&mut self, event: MediaEvent, now: Moment) {
        let session = match &event {
            MediaEvent::Answer { session, sdp, .. } if self.awaiting.contains_key(session) => {
                let (session, sdp) = (*session, sdp.clone());
                return self.answered(session, sdp);
            }
            MediaEvent::Refused { session, why } => {
                self.not_answered(*session, why);
                *session
            }
            MediaEvent::Connected { session } => {
                self.media_stands(*session, now);
                *session
            }
            MediaEvent::RoomFault { room } => return self.fault(*room, now),
            MediaEvent::Restarted { session, fragment } => return self.restarted(*session, fragment.clone()),
            MediaEvent::Speakers { room, .. } | MediaEvent::Quality { room, .. } => {
                let room = *room;
                return self.with_room(room, |entry, _, out| entry.media(event, now, out));
            }
            MediaEvent::Answer { session, .. }
            | MediaEvent::Offer { session, .. }
            | MediaEvent::MediaSections { session, .. }
            | MediaEvent::Bound { session, .. }
            | MediaEvent::Unbound { session, .. }
            | MediaEvent::Subscribed { session, .. }
            | MediaEvent::Exhausted { session }
            | MediaEvent::Lost { session }
            | MediaEvent::Silent { session }
            | MediaEvent::Streams { session, .. }
            | MediaEvent::Watched { session, .. }
            | MediaEvent::Unsealed { session, .. } => *session,
        };
        self.with_room_of(session, |room, _, out| room.media(event, now, out));
    }

    fn media_stands(&mut self, session: SessionId, now: Moment) {
        if let Some(since) = self.joining.remove(&session) {
            self.stats.join_seconds.observe(now.instant.saturating_duration_since(since).as_secs_f64());
        }
    }

    fn timeout(&mut self, now: Moment) {
        let due = |entry: &Entry| entry.room.next_timeout().is_some_and(|(due, _)| due <= now.instant);
        let keys: Vec<RoomKey> = self.rooms.iter().filter(|(_, entry)| due(entry)).map(|(key, _)| *key).collect();
        for key in keys {
            self.with_room(key, |room, _, out| room.handle_timeout(now, out));
            if self.rooms.get(&key).is_some_and(|entry| entry.room.is_over(now)) && !self.awaits_somebody(key, now) {
                self.room_over(key, now);
            }
        }
        self.sweep_invitations(now);
    }

    fn shut_down(&mut self) {
        self.shutting_down = true;
        for key in self.rooms.keys().copied().collect::<Vec<_>>() {
            self.close_room(key, LeaveReason::ServerShutdown);
        }
    }

    fn with_room_of(&mut self, session: SessionId, work: impl FnOnce(&mut Room, &mut Chance, &mut Vec<Effect>)) {
        if let Some(key) = self.sessions.get(&session).copied() {
            self.with_room(key, work);
        }
    }

    fn carry_out(&mut self, worker: WorkerIndex, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Tell(session, notice) => {
                    if let Some(conn) = self.connection_of.get(&session) {
                        self.out.push_back(ControlOutput::Notice(*conn, notice));
                    }
                }
                Effect::Media(command) => self.out.push_back(ControlOutput::Media(worker, command)),
                Effect::HangUp(session) => {
                    if let Some(conn) = self.connection_of.get(&session) {
                        self.out.push_back(ControlOutput::HangUp(*conn));
                    }
                }
                Effect::End(session) => self.end(session),
                Effect::Desk(DeskId(conn), notice) => {
                    if self.desks.contains_key(&ConnId(conn)) {
                        self.out.push_back(ControlOutput::Notice(ConnId(conn), Notice::Desk(notice)));
                    }
                }
                Effect::EndDesk(DeskId(conn)) => {
                    if self.desks.remove(&ConnId(conn)).is_some() {
                        self.out.push_back(ControlOutput::HangUp(ConnId(conn)));
                    }
                }
            }
        }
    }

    fn end(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        self.joining.remove(&session);
        if let Some((RelayUser { group, person, .. }, guest)) = self.relayed.remove(&session) {
            // Credentials that name no worker may have led to any of them.
            for worker in (0..self.config.workers).filter_map(|worker| u8::try_from(worker).ok()).map(WorkerIndex) {
                for (person, may_return) in [(person, false), (guest, true)] {
                    self.out.push_back(ControlOutput::Media(worker, MediaCommand::EndRelay { group, person, may_return }));
                }
            }
        }
        self.not_answered(session, "the session ended before the answer");
        self.not_restarted(session);
        if let Some(conn) = self.connection_of.remove(&session) {
            self.connections.remove(&conn);
            self.out.push_back(ControlOutput::HangUp(conn));
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
