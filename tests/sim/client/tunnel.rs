//! A client's way through the relay: TURN with channels (RFC 8656), where nothing else gets out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use konsil::turn::credentials::{RelaySecrets, RelayUser};
use stun_types::attribute::{AttributeWrite, ErrorCode, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass, MessageType, MessageWrite as _, MessageWriteExt as _,
    MessageWriteVec, Method, TransactionId,
};
use turn_types::attribute::{ChannelNumber, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, REFRESH};

/// A request without an answer is made again after this time.
const AGAIN: Duration = Duration::from_millis(500);
/// How often the allocation is asked for, so that a lost one is noticed.
const KEEP: Duration = Duration::from_secs(5);
/// How long a channel is used before it is bound anew.
const RENEW: Duration = Duration::from_mins(4);
/// The end of the credentials in seconds since 1970: far off.
const EXPIRES: u64 = 1 << 40;

struct Channel {
    peer: SocketAddr,
    number: u16,
    bound: bool,
    renew_at: Instant,
}

/// A request that waits for its answer.
struct Asked {
    transaction: TransactionId,
    method: Method,
    channel: Option<u16>,
    at: Instant,
    /// The request itself: another transaction would be another request (RFC 8489 §6.2.1).
    bytes: Vec<u8>,
}

pub struct Tunnel {
    pub server: SocketAddr,
    /// The relayed address, once there is one.
    pub relayed: Option<SocketAddr>,
    name: String,
    key: IntegrityKey,
    nonce: Option<String>,
    channels: Vec<Channel>,
    asked: Option<Asked>,
    keep_at: Instant,
    dice: Rng,
}

/// What a ChannelData message carries.
pub fn payload(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [0x40..=0x7f, _, high, low, data @ ..] => data.get(..usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

impl Tunnel {
    pub fn new(user: RelayUser, server: SocketAddr, now: Instant, dice: Rng) -> Self {
        let (name, password) = RelaySecrets::new(&[], "secret").mint(user, EXPIRES);
        let key = LongTermKeyCredentials::new(name.clone(), password, "konsil".to_owned()).make_key(IntegrityAlgorithm::Sha1);
        Self { server, relayed: None, name, key, nonce: None, channels: Vec::new(), asked: None, keep_at: now, dice }
    }

    /// Wraps a datagram for `peer`, or drops it while there is no channel.
    pub fn wrap(&mut self, bytes: &[u8], peer: SocketAddr, now: Instant) -> Option<Vec<u8>> {
        let Some(channel) = self.channels.iter().find(|channel| channel.peer == peer) else {
            let number = 0x4000 + u16::try_from(self.channels.len()).expect("few peers");
            self.channels.push(Channel { peer, number, bound: false, renew_at: now });
            return None;
        };
        if !channel.bound {
            return None;
        }
        let mut wrapped = channel.number.to_be_bytes().to_vec();
        wrapped.extend(u16::try_from(bytes.len()).expect("a datagram").to_be_bytes());
        wrapped.extend(bytes);
        Some(wrapped)
    }

    /// What came through, with the peer that sent it. Answers to requests are taken here.
    pub fn unwrap(&mut self, bytes: &[u8], now: Instant) -> Option<(Vec<u8>, SocketAddr)> {
        if let Some(data) = payload(bytes) {
            let number = u16::from_be_bytes([bytes[0], bytes[1]]);
            let channel = self.channels.iter().find(|channel| channel.number == number)?;
            return Some((data.to_vec(), channel.peer));
        }
        let message = Message::from_bytes(bytes).ok()?;
        let asked = self.asked.take_if(|asked| asked.transaction == message.transaction_id())?;
        match message.class() {
            MessageClass::Success => self.granted(&asked, &message, now),
            MessageClass::Error => self.denied(asked, &message),
            _ => {}
        }
        None
    }

    fn granted(&mut self, asked: &Asked, message: &Message<'_>, now: Instant) {
        self.keep_at = now + KEEP;
        if let Ok(relayed) = message.attribute::<XorRelayedAddress>() {
            self.relayed = Some(relayed.addr(message.transaction_id()));
        }
        for channel in self.channels.iter_mut().filter(|channel| Some(channel.number) == asked.channel) {
            channel.bound = true;
            channel.renew_at = now + RENEW;
        }
    }

    fn denied(&mut self, asked: Asked, message: &Message<'_>) {
        let code = message.attribute::<ErrorCode>().map_or(0, |error| error.code());
        let fresh = message.attribute::<Nonce>().ok().map(|nonce| nonce.nonce().to_owned());
        match code {
            // The first answer of all, or one from another address than before.
            ErrorCode::UNAUTHORIZED | ErrorCode::STALE_NONCE if self.nonce.is_none() || code == ErrorCode::STALE_NONCE => {
                self.nonce = fresh;
            }
            ErrorCode::ALLOCATION_MISMATCH if asked.method != ALLOCATE => {
                self.relayed = None;
                self.channels.iter_mut().for_each(|channel| channel.bound = false);
            }
            // Asked again after a while.
            _ => self.asked = Some(asked),
        }
    }

    /// The next request to send.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some(asked) = &mut self.asked {
            return (now >= asked.at + AGAIN).then(|| {
                asked.at = now;
                asked.bytes.clone()
            });
        }
        let unbound = self.channels.iter().find(|channel| !channel.bound || channel.renew_at <= now);
        let (method, channel) = match (self.relayed, unbound) {
            (None, _) => (ALLOCATE, None),
            (Some(_), Some(channel)) => (CHANNEL_BIND, Some((channel.number, channel.peer))),
            (Some(_), None) if self.keep_at <= now => (REFRESH, None),
            (Some(_), None) => return None,
        };
        let transaction = TransactionId::from(self.dice.u128(..) & ((1 << 96) - 1));
        let bytes = self.request(method, transaction, channel);
        self.asked = Some(Asked { transaction, method, channel: channel.map(|(number, _)| number), at: now, bytes: bytes.clone() });
        Some(bytes)
    }

    fn request(&self, method: Method, transaction: TransactionId, channel: Option<(u16, SocketAddr)>) -> Vec<u8> {
        let kind = MessageType::from_class_method(MessageClass::Request, method);
        let mut request = Message::builder(kind, transaction, MessageWriteVec::new());
        let mut add = |attribute: &dyn AttributeWrite| request.add_attribute(attribute).expect("it fits");
        if method == ALLOCATE {
            add(&RequestedTransport::new(17));
        }
        if let Some((number, peer)) = channel {
            add(&ChannelNumber::new(number));
            add(&XorPeerAddress::new(peer, transaction));
        }
        if let Some(nonce) = &self.nonce {
            add(&Username::new(&self.name).expect("a name"));
            add(&Realm::new("konsil").expect("a realm"));
            add(&Nonce::new(nonce).expect("a nonce"));
            request.add_message_integrity_with_key(&self.key, IntegrityAlgorithm::Sha1).expect("it fits");
        }
        request.finish()
    }

    pub fn next_timeout(&self) -> Instant {
        let due = self.asked.as_ref().map_or(self.keep_at, |asked| asked.at + AGAIN);
        if self.relayed.is_none() || self.channels.iter().any(|channel| !channel.bound) { due.min(self.keep_at + AGAIN) } else { due }
    }
}
