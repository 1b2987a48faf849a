//! A client as a browser would be: signalling, negotiation, media, the trouble it makes.

mod media;
mod negotiate;
mod pc;
mod plan;
mod signalling;
pub mod tunnel;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use konsil::model::ids::Sid;
use konsil::model::media::MediaKind;
use konsil::node::request::{ConnId, Connect, Request};
use konsil::room::command::{Layout, Leg, Signal};
use konsil::room::notice::ParticipantView;

use crate::book::diary::Diary;
use crate::lips::Lips;
use crate::sink::Heard;
use crate::source::{Source, Stage};

pub use media::{Message, Receipt};
pub use pc::Pc;
pub use plan::{Plan, admin, room_name};

/// One run of an application: a person that joins anew is a new client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub usize);

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It asked to be let in.
    Joining,
    /// It is in and has its signalling connection.
    In,
    /// Its signalling connection is gone; it comes back at this time.
    Away(Instant),
    /// It asked to resume.
    Resuming,
    /// It is gone, and the server was told or has said so itself.
    Over,
    /// It is gone without a word.
    Vanished,
}

/// What a client wants to be done.
#[derive(Debug)]
pub enum Say {
    Connect(Box<Connect>),
    Signal(Signal),
    Request(Box<Request>),
    /// It closes its signalling connection, or finds it closed.
    HangUp(ConnId),
    /// It says goodbye and closes.
    Leave,
    /// It gives up and starts anew.
    StartOver,
}

/// A client.
pub struct Client {
    pub id: ClientId,
    pub plan: Plan,
    pub state: State,
    pub conn: Option<ConnId>,
    /// Its own public id, once it knows it.
    pub sid: Option<Sid>,
    /// What WHIP or WHEP named in the answer.
    pub resource: Option<Sid>,
    pub publisher: Option<Pc>,
    pub subscriber: Option<Pc>,
    pub sources: Vec<Source>,
    /// Everybody else, as the server told.
    pub others: BTreeMap<Sid, ParticipantView>,
    /// Wishes against the default.
    pub asked: BTreeMap<Sid, bool>,
    pub disabled: BTreeSet<Sid>,
    /// Tracks that the server said it has paused.
    pub paused: BTreeSet<Sid>,
    /// What came of each track.
    pub heard: BTreeMap<Sid, Heard>,
    /// Whose tracks a WHEP answer named.
    pub promised: BTreeSet<Sid>,
    /// Everything that came, if it is written down.
    pub diary: Option<Diary>,
    /// What it is told of when things were taken, if it is watched.
    pub lips: Option<Lips>,
    /// The newest reliable message of each sender.
    pub told: BTreeMap<ClientId, u64>,
    pub messages_sent: u64,
    /// Streams that it sends: track number and layer by SSRC.
    pub sends: BTreeMap<u32, (u32, u8)>,
    /// When its connection last stood or its wishes last changed.
    pub changed: Instant,
    pub say: Vec<Say>,
    /// Since when it had waited in vain for a way to the server.
    pub gave_up: Option<Instant>,
    /// What it could not take from the server.
    pub complaint: Option<String>,
    missing: [u32; 2],
    again: bool,
    restart: bool,
    next_number: u32,
    dice: Rng,
}

impl Client {
    pub fn new(id: ClientId, plan: Plan, address: SocketAddr, now: Instant, mut dice: Rng) -> Self {
        let publisher = Pc::new(address, plan.estimates, now, &mut dice);
        let second = SocketAddr::new(address.ip(), address.port() + 1);
        let subscriber = (plan.layout == Layout::Dual).then(|| Pc::new(second, false, now, &mut dice));
        let mut client = Self {
            id,
            plan,
            state: State::Joining,
            conn: None,
            sid: None,
            resource: None,
            publisher: Some(publisher),
            subscriber,
            sources: Vec::new(),
            others: BTreeMap::new(),
            asked: BTreeMap::new(),
            disabled: BTreeSet::new(),
            paused: BTreeSet::new(),
            heard: BTreeMap::new(),
            promised: BTreeSet::new(),
            diary: None,
            lips: None,
            told: BTreeMap::new(),
            messages_sent: 0,
            sends: BTreeMap::new(),
            changed: now,
            say: Vec::new(),
            gave_up: None,
            complaint: None,
            missing: [0; 2],
            again: false,
            restart: false,
            next_number: 0,
            dice,
        };
        client.begin(now);
        client
    }

    /// Whether it still takes part.
    pub fn alive(&self) -> bool {
        !matches!(self.state, State::Over | State::Vanished)
    }

    pub fn pcs(&mut self) -> impl Iterator<Item = (Leg, &mut Pc)> {
        let publisher = self.publisher.as_mut().map(|pc| (Leg::Publisher, pc));
        publisher.into_iter().chain(self.subscriber.as_mut().map(|pc| (Leg::Subscriber, pc)))
    }

    pub fn pc(&mut self, leg: Leg) -> Option<&mut Pc> {
        match leg {
            Leg::Publisher => self.publisher.as_mut(),
            Leg::Subscriber => self.subscriber.as_mut(),
        }
    }

    /// When something of the client's own is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        if !self.alive() {
            return None;
        }
        let pcs = self.publisher.iter().chain(&self.subscriber).map(Pc::next_timeout);
        let away = match self.state {
            State::Away(until) => Some(until),
            _ => None,
        };
        let standing = self.publisher.as_ref().is_some_and(|pc| pc.connected);
        let sources = self.sources.iter().filter(|_| standing).filter_map(Source::next_timeout);
        pcs.chain(away).chain(sources).min()
    }

    /// Starts to publish.
    pub fn publish(&mut self, kind: MediaKind, simulcast: bool, now: Instant) {
        self.next_number += 1;
        let source = Source::new(self.id, self.next_number, kind, simulcast, now, &mut self.dice);
        if self.state == State::In && self.plan.signals() {
            self.say.push(Say::Signal(Signal::AddTrack(source.announcement())));
        }
        self.sources.push(source);
        if self.state == State::In && self.plan.signals() {
            self.negotiate(now);
        }
    }

    /// Stops a published track. Returns whether there was one.
    pub fn unpublish(&mut self, now: Instant) -> bool {
        let live: Vec<usize> = (0..self.sources.len()).filter(|at| self.sources[*at].stage == Stage::Live).collect();
        if live.is_empty() || self.state != State::In || !self.plan.signals() {
            return false;
        }
        let at = live[self.dice.usize(..live.len())];
        self.sources[at].stage = Stage::Ending;
        self.negotiate(now);
        true
    }

    /// Says goodbye and ends.
    pub fn leave(&mut self) {
        self.say.push(Say::Leave);
        self.end();
    }

    /// Mutes or unmutes a track of its own. Returns whether there was one.
    pub fn mute(&mut self) -> bool {
        let live: Vec<usize> = (0..self.sources.len()).filter(|at| self.sources[*at].sid.is_some()).collect();
        if live.is_empty() || self.state != State::In || !self.plan.signals() {
            return false;
        }
        let at = live[self.dice.usize(..live.len())];
        let source = &mut self.sources[at];
        source.muted = !source.muted;
        let (track, muted) = (source.sid.clone(), source.muted);
        self.say.extend(track.map(|track| Say::Signal(Signal::Mute { track, muted })));
        true
    }

    /// Goes without a word, as when the machine crashes.
    pub fn vanish(&mut self) {
        self.state = State::Vanished;
        self.publisher = None;
        self.subscriber = None;
    }

    /// The application ends, after the server was told or has said so.
    pub fn end(&mut self) {
        self.state = State::Over;
        self.publisher = None;
        self.subscriber = None;
    }

    fn later(&mut self, now: Instant, millis: std::ops::Range<u64>) -> Instant {
        now + Duration::from_millis(self.dice.u64(millis))
    }
}
