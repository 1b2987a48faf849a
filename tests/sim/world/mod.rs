//! A whole node with its clients on virtual time.

mod clients;
mod core;
mod judge;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use konsil::model::chance::Chance;
use konsil::model::ids::{Sid, WorkerIndex};
use konsil::model::time::Moment;
use konsil::node::control::{Caller, Control, ControlConfig};
use konsil::node::request::ConnId;
use konsil::node::worker::{Worker, WorkerConfig};
use konsil::room::command::Leg;
use konsil::turn::TurnConfig;
use konsil::turn::credentials::RelaySecrets;

use crate::client::{Client, ClientId, Plan};
use crate::invariants::Verdict;
use crate::journal::Journal;
use crate::mail::Mailbox;
use crate::oracle::Oracle;
use crate::time::{epoch, on_grid, since};
use crate::wire::Wire;

/// How many workers the node has.
pub const WORKERS: usize = 2;
/// How long empty rooms live.
pub const EMPTY_ROOM: Duration = Duration::from_secs(5);

/// A signalling connection.
struct Conn {
    client: ClientId,
    /// How long a word takes.
    delay: Duration,
    /// It was cut: what is under way is lost.
    cut: bool,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug)]
enum Asker {
    Connect(ClientId, ConnId),
    Media(ClientId),
    Admin,
}

/// What did not hold, when, and in what words.
#[derive(Debug)]
pub struct Fault {
    pub invariant: &'static str,
    pub at: Duration,
    pub words: String,
}

/// Everything.
pub struct World {
    pub now: Instant,
    pub dice: Rng,
    control: Control,
    workers: Vec<Worker>,
    candidates: Vec<SocketAddr>,
    pub clients: Vec<Client>,
    /// Who comes back, and when.
    pub returning: Vec<(Instant, Plan)>,
    /// Whose an address is, or was.
    addresses: BTreeMap<SocketAddr, (ClientId, Leg)>,
    /// Which worker has taken an address for its client's.
    proved: BTreeMap<SocketAddr, usize>,
    next_address: u16,
    conns: BTreeMap<ConnId, Conn>,
    askers: BTreeMap<Caller, Asker>,
    last_id: u64,
    mail: Mailbox,
    pub oracle: Oracle,
    wire: Wire,
    journal: Journal,
    versions: BTreeMap<ClientId, BTreeMap<Sid, u32>>,
    /// What the last description said that sections carry, by client and leg.
    described: BTreeMap<(ClientId, Leg), BTreeMap<String, Sid>>,
    /// Each datagram comes to a random worker's socket, not each flow.
    scattered: bool,
    /// The disk takes its time, and refuses one write of ten until the network has healed; else it writes at once.
    pub bad_disk: bool,
    /// Since when the network loses nothing.
    pub calm_since: Option<Instant>,
    pub restarts: u64,
    pub playable: u64,
    fault: Option<Fault>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed);
        let mut chance = || {
            let mut bytes = [0; 32];
            dice.fill(&mut bytes);
            Chance::new(bytes)
        };
        let config = ControlConfig {
            workers: WORKERS,
            auto_create: true,
            auto_require_encryption: false,
            max_participants: 9,
            empty_timeout: EMPTY_ROOM,
            sessions_max: 64,
            rooms_max: 8,
            relay: RelaySecrets::new(&[], "secret"),
            relay_addresses: vec![std::net::IpAddr::V4(konsil::turn::peers::VIRTUAL_V4)],
            invitation_key: konsil::access::tan::InvitationKey::new(b"secret"),
        };
        let control = Control::new(config, chance());
        let mut candidates: Vec<SocketAddr> = vec!["10.0.0.1:3478".parse().expect("an address")];
        let chances: Vec<Chance> = (0..WORKERS).map(|_| chance()).collect();
        if dice.u8(..4) == 0 {
            candidates.push("10.0.0.1:443".parse().expect("an address"));
        }
        let relay = TurnConfig::closed(RelaySecrets::new(&[], "secret"), [5; 32], Moment { instant: epoch(), wall: Duration::ZERO });
        let worker = |(index, chance): (usize, Chance)| {
            let index = WorkerIndex(u8::try_from(index).expect("few workers"));
            Worker::new(
                WorkerConfig { index, workers: WORKERS, candidates: candidates.clone(), tcp_candidates: Vec::new(), relay: relay.clone() },
                chance,
                epoch(),
            )
        };
        Self {
            now: epoch(),
            control,
            workers: chances.into_iter().enumerate().map(worker).collect(),
            candidates,
            clients: Vec::new(),
            returning: Vec::new(),
            addresses: BTreeMap::new(),
            proved: BTreeMap::new(),
            next_address: 0,
            conns: BTreeMap::new(),
            askers: BTreeMap::new(),
            last_id: 0,
            mail: Mailbox::default(),
            oracle: Oracle::default(),
            wire: Wire::default(),
            journal: Journal::new(),
            versions: BTreeMap::new(),
            described: BTreeMap::new(),
            scattered: dice.bool(),
            bad_disk: true,
            calm_since: None,
            restarts: 0,
            playable: 0,
            fault: None,
            dice,
        }
    }

    /// Lets time pass until `until` or the first fault. `act` is called at every step.
    pub fn run_until(&mut self, until: Instant, mut act: impl FnMut(&mut Self) -> Option<Instant>) -> Result<(), Fault> {
        let mut next_act = self.now;
        while self.now < until {
            if self.now >= next_act {
                next_act = act(self).unwrap_or(until);
            }
            self.step();
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            let next = self.next_timeout().unwrap_or(until).min(next_act).min(until);
            self.now = on_grid(next).max(self.now + Duration::from_micros(250));
        }
        Ok(())
    }

    fn next_timeout(&self) -> Option<Instant> {
        let control = self.control.next_timeout().map(|(due, _)| due);
        let workers = self.workers.iter().map(|worker| worker.next_timeout().0);
        let clients = self.clients.iter().filter_map(Client::next_timeout);
        let returning = self.returning.iter().map(|(at, _)| *at);
        control.into_iter().chain(workers).chain(clients).chain(returning).chain(self.mail.next_timeout()).min()
    }

    fn step(&mut self) {
        self.newcomers();
        self.deliver_mail();
        self.deliver_datagrams();
        self.serve_timers();
        self.poll_workers();
        self.let_clients_work();
        self.judge_step();
    }

    /// Notes that something does not hold. The first fault is the one that counts.
    fn check(&mut self, invariant: &'static str, verdict: Verdict) -> bool {
        let Err(words) = verdict else { return true };
        if self.fault.is_none() {
            self.fault = Some(Fault { invariant, at: since(self.now), words });
        }
        false
    }

    /// The digest of all decisions so far, and their number.
    pub fn digest(&self) -> (u64, u64) {
        self.journal.digest()
    }

    pub fn take_lines(&mut self) -> Vec<String> {
        self.journal.take_lines()
    }

    pub fn client(&self, id: ClientId) -> &Client {
        &self.clients[id.0]
    }

    /// Clients that take part now.
    pub fn alive(&self) -> Vec<ClientId> {
        self.clients.iter().filter(|client| client.alive()).map(|client| client.id).collect()
    }

    /// From now on nothing is lost, and everything is as fast as it may be.
    pub fn heal(&mut self) {
        self.calm_since = Some(self.now);
        for client in &mut self.clients {
            client.pcs().for_each(|(_, pc)| {
                pc.up.heal();
                pc.down.heal();
            });
        }
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.dice.u64(range))
    }

    fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// An address that nobody has had before, with room for a second beside it.
    pub fn fresh_address(&mut self) -> SocketAddr {
        self.next_address += 1;
        let [high, low] = self.next_address.to_be_bytes();
        SocketAddr::from(([10, 1, high, low], 4_000))
    }

    /// A person starts its application.
    pub fn start_client(&mut self, plan: Plan) -> ClientId {
        let id = ClientId(self.clients.len());
        let address = self.fresh_address();
        let dice = self.dice.fork();
        let mut client = Client::new(id, plan, address, self.now, dice);
        if self.calm_since.is_some() {
            client.pcs().for_each(|(_, pc)| {
                pc.up.heal();
                pc.down.heal();
            });
        }
        for (leg, pc) in client.pcs() {
            self.addresses.insert(pc.outer, (id, leg));
        }
        self.clients.push(client);
        id
    }

    /// A client's datagrams come from elsewhere now.
    pub fn move_client(&mut self, id: ClientId) {
        let first = self.fresh_address();
        let second = SocketAddr::new(first.ip(), first.port() + 1);
        let client = &mut self.clients[id.0];
        client.move_to([first, second]);
        for (leg, pc) in client.pcs() {
            self.addresses.insert(pc.outer, (id, leg));
        }
    }

    fn newcomers(&mut self) {
        let now = self.now;
        let due: Vec<Plan> = self.returning.extract_if(.., |(at, _)| *at <= now).map(|(_, plan)| plan).collect();
        for plan in due {
            self.start_client(plan);
        }
    }

    /// Whether a person has a client that takes part.
    pub fn is_in(&self, person: usize) -> bool {
        let returns = self.returning.iter().any(|(_, plan)| plan.person == person);
        returns || self.clients.iter().any(|client| client.plan.person == person && client.alive())
    }
}
