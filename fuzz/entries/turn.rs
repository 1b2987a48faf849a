//! A relay whose clients send anything: what strangers make up, what holders of credentials seal, that garbled.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use konsil::model::chance::Chance;
use konsil::model::ids::{StreamId, WorkerIndex};
use konsil::model::time::Moment;
use konsil::turn::credentials::{RelaySecrets, RelayUser};
use konsil::turn::peers::OpenRules;
use konsil::turn::{Flow, RelayMode, Turn, TurnConfig, TurnLimits, TurnOutput};
use stun_types::attribute::{AttributeType, Nonce, RawAttribute, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageType, MessageWrite as _, MessageWriteExt as _,
    MessageWriteVec, Method,
};

/// Most steps of one run.
const STEPS_MAX: usize = 64;
const REALM: &str = "konsil";
/// Allocations of one user.
const PER_USER: usize = 2;
/// What the first byte of a message must be understood as, by the lowest bits of a step.
const METHODS: [u16; 4] = [3, 4, 8, 9];

/// Steps: what is done, its length in a byte, its bytes. The first byte of the input opens the relay.
///
/// Of a step's byte the lowest three bits say who sends, the next three what: `0` the bytes as they are, `1` to `4` a
/// request of a method with them as attributes, sealed; `5` the same garbled; `6` the partner speaks; `7` time passes.
pub fn run(input: &[u8]) {
    let Some((mode, mut rest)) = input.split_first() else { return };
    let mut world = World::new(*mode & 1 == 1);
    for _ in 0..STEPS_MAX {
        let [step, len, tail @ ..] = rest else { break };
        let (bytes, tail) = tail.split_at(tail.len().min(usize::from(*len)));
        world.step(*step, bytes);
        rest = tail;
    }
    world.end();
}

struct World {
    turn: Turn,
    open: bool,
    secrets: RelaySecrets,
    now: Moment,
    transaction: u128,
    /// Of each way, the nonce that it was last told.
    nonces: [Option<String>; 8],
    relayed: Vec<SocketAddr>,
}

fn flow(who: u8) -> Flow {
    let remote = SocketAddr::from(([203, 0, 113, who / 2], 40_000 + u16::from(who)));
    Flow { remote, local: SocketAddr::from(([192, 0, 2, 1], 3_478)), stream: (who % 4 == 3).then_some(StreamId(who.into())) }
}

/// Four people in two rooms, each on two ways.
fn user(who: u8) -> RelayUser {
    RelayUser { worker: Some(WorkerIndex(0)), group: u64::from(who / 4), person: u64::from(who / 2) }
}

impl World {
    fn new(open: bool) -> Self {
        let now = Moment { instant: Instant::now(), wall: Duration::from_hours(500_000) };
        let secrets = RelaySecrets::new(&[], "secret");
        let addresses = vec![[192, 0, 2, 9].into(), "2001:db8::9".parse().expect("an address")];
        let mode =
            if open { RelayMode::Open { addresses, ports: 50_000..=50_003, rules: OpenRules::default() } } else { RelayMode::Closed };
        let config = TurnConfig {
            index: WorkerIndex(0),
            workers: 2,
            secrets: secrets.clone(),
            realm: REALM.to_owned(),
            nonce_key: [1; 32],
            started: now,
            mode,
            sfu: vec![SocketAddr::from(([192, 0, 2, 1], 3_478))],
            limits: TurnLimits { per_user: PER_USER, total: 6, permissions: 4, channels: 4, bits_per_s: 100_000 },
        };
        let turn = Turn::new(config, Chance::new([1; 32]));
        Self { turn, open, secrets, now, transaction: 0, nonces: Default::default(), relayed: Vec::new() }
    }

    fn step(&mut self, step: u8, bytes: &[u8]) {
        let who = step & 7;
        match step >> 3 & 7 {
            0 => self.receive(who, bytes),
            what @ 1..=4 => {
                let request = self.request(who, METHODS[usize::from(what) - 1], bytes);
                self.receive(who, &request);
            }
            5 => {
                let (method, changes) = bytes.split_first().unwrap_or((&0, &[]));
                let mut request = self.request(who, METHODS[usize::from(*method & 3)], &[0x00, 0x19, 0, 4, 17, 0, 0, 0]);
                for change in changes.chunks_exact(2) {
                    let at = usize::from(change[0]) % request.len();
                    request[at] ^= change[1];
                }
                self.receive(who, &request);
            }
            6 => {
                let from = bytes.first().map_or(0, |at| usize::from(*at));
                let known = self.relayed.get(from % self.relayed.len().max(1)).copied();
                let to = known.unwrap_or_else(|| SocketAddr::from(([192, 0, 0, 8], 50_000)));
                self.turn.deliver(to, SocketAddr::from(([192, 0, 2, 1], 3_478)), bytes, self.now.instant);
            }
            _ => {
                let seconds = u64::from(*bytes.first().unwrap_or(&1)) * 10;
                self.now = self.now.after(Duration::from_secs(seconds));
                self.turn.handle_timeout(self.now.instant);
                assert!(self.turn.next_timeout().is_none_or(|due| due > self.now.instant));
                match bytes.get(1) {
                    Some(1) => self.turn.stream_closed(StreamId(who.into())),
                    Some(2) => self.turn.revoke(user(who), step & 0x40 != 0, self.now),
                    _ => {}
                }
            }
        }
        self.settle();
        self.check();
    }

    /// A request with `attributes` as they are, as far as they can be read, sealed with the right key.
    fn request(&mut self, who: u8, method: u16, attributes: &[u8]) -> Vec<u8> {
        self.transaction += 1;
        let kind = MessageType::from_class_method(MessageClass::Request, Method::new(method));
        let mut message = Message::builder(kind, self.transaction.into(), MessageWriteVec::new());
        let mut rest = attributes;
        while let [a, b, c, d, tail @ ..] = rest {
            let kind = u16::from_be_bytes([*a, *b]);
            let (value, tail) = tail.split_at(tail.len().min(usize::from(u16::from_be_bytes([*c, *d]))));
            // What seals a message comes last.
            if ![0x0008, 0x001c, 0x8028].contains(&kind) {
                message.add_attribute(&RawAttribute::new(AttributeType::new(kind), value)).expect("room for an attribute");
            }
            rest = tail.get(value.len().next_multiple_of(4) - value.len()..).unwrap_or(&[]);
        }
        let Some(nonce) = &self.nonces[usize::from(who)] else { return message.finish() };
        let (name, password) = self.secrets.mint(user(who), 1_800_003_600);
        message.add_attribute(&Username::new(&name).expect("a name")).expect("room for it");
        message.add_attribute(&Realm::new(REALM).expect("a realm")).expect("room for it");
        message.add_attribute(&Nonce::new(nonce).expect("a nonce")).expect("room for it");
        let algorithm = if who.is_multiple_of(2) { IntegrityAlgorithm::Sha1 } else { IntegrityAlgorithm::Sha256 };
        let key = LongTermKeyCredentials::new(name, password, REALM.to_owned()).make_key(algorithm);
        message.add_message_integrity_with_key(&key, algorithm).expect("room for a seal");
        message.finish()
    }

    fn receive(&mut self, who: u8, bytes: &[u8]) {
        if let Some(passed) = self.turn.receive(flow(who), bytes, self.now) {
            assert!(passed.bytes.len() <= bytes.len() && self.turn.flow_behind(passed.source) == Some(flow(who)));
        }
    }

    fn settle(&mut self) {
        while let Some(output) = self.turn.poll() {
            match output {
                TurnOutput::Transmit { flow: to, bytes } => {
                    let who = (0..8).find(|who| flow(*who) == to).expect("somebody who has spoken");
                    if let Ok(message) = Message::from_bytes(&bytes)
                        && let Ok(nonce) = message.attribute::<Nonce>()
                    {
                        self.nonces[usize::from(who)] = Some(nonce.nonce().to_owned());
                    }
                    self.turn.recycle(bytes);
                }
                TurnOutput::Bind { relayed } => {
                    // Its allocation may have ended by now, where the socket of its other family could not be opened.
                    assert!(self.open);
                    let opened = relayed.port() % 4 != 1;
                    self.turn.bound(relayed, opened, self.now.instant);
                    self.relayed.push(relayed);
                }
                TurnOutput::Unbind { relayed } => self.relayed.retain(|other| *other != relayed),
                TurnOutput::Egress { relayed, peer, bytes } => {
                    assert!(self.open && OpenRules::default().lets_out(peer) && self.relayed.contains(&relayed));
                    self.turn.recycle(bytes);
                }
            }
        }
    }

    fn check(&self) {
        let size = |what: &str| self.turn.sizes().into_iter().find(|(name, _)| *name == what).expect("a size").1;
        let allocations = size("allocations");
        assert!(allocations <= 6 && size("relay users") <= 4 && size("relay timers") == allocations);
        let addresses = size("relayed addresses");
        assert!((allocations..=2 * allocations).contains(&addresses), "{allocations} {addresses}");
        let known = (0..8).filter(|who| self.turn.knows(&flow(*who))).count();
        assert_eq!((known, self.turn.stats().allocations), (allocations, allocations as u64));
    }

    /// Once time has passed nothing is left.
    fn end(&mut self) {
        self.now = self.now.after(Duration::from_hours(1));
        self.turn.handle_timeout(self.now.instant);
        self.settle();
        assert_eq!(self.turn.sizes().map(|(_, size)| size)[..4], [0; 4]);
    }
}
