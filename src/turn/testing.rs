//! A relay with clients at it, on virtual time, for the tests.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stun_types::attribute::{
    AttributeStaticType as _, AttributeType, AttributeWrite, ErrorCode, Nonce, PasswordAlgorithm, PasswordAlgorithmValue,
    PasswordAlgorithms, RawAttribute, Realm, Username,
};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass, MessageType, MessageWrite as _, MessageWriteExt as _,
    MessageWriteVec, Method, TransactionId,
};
use turn_types::attribute::{ChannelNumber, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

use crate::model::chance::Chance;
use crate::model::ids::{StreamId, WorkerIndex};
use crate::model::network::Network;
use crate::model::time::Moment;

use super::credentials::{RelaySecrets, RelayUser};
use super::peers::OpenRules;
use super::{Flow, RelayMode, Turn, TurnConfig, TurnLimits, TurnOutput};

/// What the wall clock shows at the start.
pub const START: u64 = 1_800_000_000;
pub const REALM: &str = "konsil";
pub const SFU: &str = "192.0.2.1:3478";

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn user(group: u64, person: u64) -> RelayUser {
    RelayUser { worker: Some(WorkerIndex(0)), group, person }
}

pub fn secrets() -> RelaySecrets {
    RelaySecrets::new(&["the secret in use, long".to_owned(), "the secret before it, long".to_owned()], "")
}

pub fn config(mode: RelayMode) -> TurnConfig {
    TurnConfig {
        index: WorkerIndex(0),
        workers: 1,
        secrets: secrets(),
        realm: REALM.to_owned(),
        nonce_key: [7; 32],
        started: Moment { instant: Instant::now(), wall: Duration::from_secs(START) },
        mode,
        sfu: vec![addr(SFU), addr("[2001:db8::1]:3478")],
        limits: TurnLimits::default(),
    }
}

/// An open relay on both families that may reach 10.1/16.
pub fn open() -> RelayMode {
    let rules = OpenRules { allowed: vec![Network::v4(10, 1, 16)], listeners: vec![addr("192.0.2.1:3478"), addr("192.0.2.9:443")] };
    RelayMode::Open { addresses: vec![addr("192.0.2.9:0").ip(), addr("[2001:db8::9]:0").ip()], ports: 50_000..=50_999, rules }
}

/// An attribute of a request, by what it says.
#[derive(Clone, Debug)]
pub enum Say {
    Transport(u8),
    Lifetime(u32),
    Channel(u16),
    Peer(SocketAddr),
    Family(u8),
    Additional(u8),
    Even(bool),
    Token,
    Raw(u16, Vec<u8>),
}

/// Allocate's one attribute that must be there.
pub const UDP: Say = Say::Transport(17);

impl Say {
    fn raw(&self, transaction: TransactionId) -> RawAttribute<'static> {
        let (kind, value) = match self {
            Self::Transport(protocol) => (RequestedTransport::TYPE.value(), vec![*protocol, 0, 0, 0]),
            Self::Lifetime(seconds) => (Lifetime::TYPE.value(), seconds.to_be_bytes().to_vec()),
            Self::Channel(number) => (ChannelNumber::TYPE.value(), [number.to_be_bytes(), [0; 2]].concat()),
            Self::Peer(peer) => (XorPeerAddress::TYPE.value(), XorPeerAddress::new(*peer, transaction).to_raw().value.to_vec()),
            Self::Family(family) => (0x0017, vec![*family, 0, 0, 0]),
            Self::Additional(family) => (0x8000, vec![*family, 0, 0, 0]),
            Self::Even(reserve) => (0x0018, vec![u8::from(*reserve) << 7]),
            Self::Token => (0x0022, vec![1; 8]),
            Self::Raw(kind, value) => (*kind, value.clone()),
        };
        RawAttribute::new_owned(AttributeType::new(kind), value.into_boxed_slice())
    }
}

/// How a client proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Sha1,
    /// With PASSWORD-ALGORITHMS as the server sent them, and its first.
    Sha256,
    None,
}

/// Somebody with credentials on a way to the relay.
#[derive(Clone, Debug)]
pub struct Client {
    pub flow: Flow,
    pub name: String,
    pub password: String,
    pub nonce: String,
    pub proof: Proof,
}

impl Client {
    pub fn key(&self, algorithm: IntegrityAlgorithm) -> IntegrityKey {
        LongTermKeyCredentials::new(self.name.clone(), self.password.clone(), REALM.to_owned()).make_key(algorithm)
    }

    /// The key, and the algorithm that it is for.
    pub fn seal(&self) -> Option<(IntegrityKey, IntegrityAlgorithm)> {
        let algorithm = match self.proof {
            Proof::Sha1 => IntegrityAlgorithm::Sha1,
            Proof::Sha256 => IntegrityAlgorithm::Sha256,
            Proof::None => return None,
        };
        Some((self.key(algorithm), algorithm))
    }

    /// A request with these credentials.
    pub fn request(&self, method: Method, transaction: u128, says: &[Say]) -> Vec<u8> {
        let mut message = begin(MessageClass::Request, method, transaction, says);
        let Some((key, algorithm)) = self.seal() else { return message.finish() };
        message.add_attribute(&Username::new(&self.name).unwrap()).unwrap();
        message.add_attribute(&Realm::new(REALM).unwrap()).unwrap();
        message.add_attribute(&Nonce::new(&self.nonce).unwrap()).unwrap();
        if self.proof == Proof::Sha256 {
            let offered = [PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5];
            message.add_attribute(&PasswordAlgorithms::new(&offered)).unwrap();
            message.add_attribute(&PasswordAlgorithm::new(PasswordAlgorithmValue::SHA256)).unwrap();
        }
        message.add_message_integrity_with_key(&key, algorithm).unwrap();
        message.finish()
    }
}

/// A message with these attributes, not sealed yet.
pub fn begin(class: MessageClass, method: Method, transaction: u128, says: &[Say]) -> MessageWriteVec {
    let kind = MessageType::from_class_method(class, method);
    let mut message = Message::builder(kind, transaction.into(), MessageWriteVec::new());
    for say in says {
        message.add_attribute(&say.raw(transaction.into())).unwrap();
    }
    message
}

pub fn send_indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    begin(MessageClass::Indication, SEND, 99, &[Say::Peer(peer), Say::Raw(0x0013, data.to_vec())]).finish()
}

pub fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    [&number.to_be_bytes(), &len.to_be_bytes(), data].concat()
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub struct Answer(pub Vec<u8>);

impl Answer {
    pub fn message(&self) -> Message<'_> {
        Message::from_bytes(&self.0).unwrap()
    }

    /// The error's number, 0 for success.
    pub fn code(&self) -> u16 {
        let message = self.message();
        if message.has_class(MessageClass::Success) { 0 } else { message.attribute::<ErrorCode>().unwrap().code() }
    }

    pub fn relayed(&self) -> Vec<SocketAddr> {
        let message = self.message();
        let nth = |n| message.nth_attribute::<XorRelayedAddress>(n).ok().map(|relayed| relayed.addr(message.transaction_id()));
        (0..).map_while(nth).collect()
    }

    pub fn lifetime(&self) -> u32 {
        self.message().attribute::<Lifetime>().unwrap().seconds()
    }
}

/// A relay, what time it is, how many requests were made.
pub struct Lab {
    pub turn: Turn,
    pub now: Moment,
    pub transaction: u128,
}

impl Lab {
    pub fn of(config: TurnConfig) -> Self {
        let now = config.started;
        Self { turn: Turn::new(config, Chance::new([3; 32])), now, transaction: 1 }
    }

    pub fn closed() -> Self {
        Self::of(config(RelayMode::Closed))
    }

    pub fn open() -> Self {
        Self::of(config(open()))
    }

    pub fn later(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.turn.handle_timeout(self.now.instant);
    }

    /// All that the relay wants done.
    pub fn drain(&mut self) -> Vec<TurnOutput> {
        std::iter::from_fn(|| self.turn.poll()).collect()
    }

    /// What comes of a message that is nothing for the SFU.
    pub fn send(&mut self, flow: Flow, bytes: &[u8]) -> Vec<TurnOutput> {
        assert_eq!(self.turn.receive(flow, bytes, self.now), None);
        self.drain()
    }

    /// The one answer to a message, `None` for silence.
    pub fn answer(&mut self, flow: Flow, bytes: &[u8]) -> Option<Answer> {
        let mut out = self.send(flow, bytes);
        // Whoever ends or makes a socket of the open relay is told by other means.
        out.retain(|output| matches!(output, TurnOutput::Transmit { .. }));
        assert!(out.len() <= 1, "{out:?}");
        match out.pop()? {
            TurnOutput::Transmit { flow: to, bytes } => {
                assert_eq!(to, flow);
                Some(Answer(bytes))
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn flow(remote: &str) -> Flow {
        Flow { remote: addr(remote), local: addr("192.0.2.1:3478"), stream: None }
    }

    pub fn stream(remote: &str, id: u64) -> Flow {
        Flow { remote: addr(remote), local: addr("192.0.2.1:443"), stream: Some(StreamId(id)) }
    }

    /// Somebody with good credentials for an hour, who has asked for a nonce.
    pub fn client(&mut self, flow: Flow, user: RelayUser) -> Client {
        let (name, password) = secrets().mint(user, self.now.unix_seconds() + 3_600);
        let mut client = Client { flow, name, password, nonce: String::new(), proof: Proof::None };
        let challenge = self.ask(&client, ALLOCATE, &[UDP]);
        assert_eq!(challenge.code(), 401);
        client.nonce = challenge.message().attribute::<Nonce>().unwrap().nonce().to_owned();
        client.proof = Proof::Sha1;
        client
    }

    /// As [`Self::client`], with an allocation.
    pub fn allocated(&mut self, remote: &str, user: RelayUser) -> (Client, SocketAddr) {
        let client = self.client(Self::flow(remote), user);
        let answer = self.ask(&client, ALLOCATE, &[UDP]);
        assert_eq!(answer.code(), 0);
        (client, answer.relayed()[0])
    }

    pub fn try_ask(&mut self, client: &Client, method: Method, says: &[Say]) -> Option<Answer> {
        self.transaction += 1;
        let request = client.request(method, self.transaction, says);
        self.answer(client.flow, &request)
    }

    /// The answer to a request, which is sealed unless it refuses the credentials.
    #[track_caller]
    pub fn ask(&mut self, client: &Client, method: Method, says: &[Say]) -> Answer {
        let answer = self.try_ask(client, method, says).expect("an answer");
        let message = answer.message();
        assert_eq!((message.transaction_id(), message.method()), (self.transaction.into(), method));
        if let (Some((key, algorithm)), false) = (client.seal(), [400, 401, 438].contains(&answer.code())) {
            assert_eq!(message.validate_integrity_with_key(&key).ok(), Some(algorithm));
        }
        answer
    }

    pub fn refresh(&mut self, client: &Client, seconds: u32) -> u16 {
        self.ask(client, REFRESH, &[Say::Lifetime(seconds)]).code()
    }

    pub fn permit(&mut self, client: &Client, peer: SocketAddr) -> u16 {
        self.ask(client, CREATE_PERMISSION, &[Say::Peer(peer)]).code()
    }

    pub fn bind(&mut self, client: &Client, number: u16, peer: SocketAddr) -> u16 {
        self.ask(client, CHANNEL_BIND, &[Say::Channel(number), Say::Peer(peer)]).code()
    }

    /// What the relay has of one kind.
    pub fn size(&self, what: &str) -> usize {
        self.turn.sizes().into_iter().find(|(name, _)| *name == what).unwrap().1
    }

    pub fn dropped(&self, reason: &str) -> u64 {
        self.turn.stats().dropped.get(reason).copied().unwrap_or(0)
    }
}
