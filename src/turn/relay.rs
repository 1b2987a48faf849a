//! The way of relayed packets: from clients to the SFU or a partner, then back to clients.

use std::net::SocketAddr;
use std::time::Instant;

use stun_types::attribute::{Attribute as _, AttributeStaticType as _};
use stun_types::message::{Message, MessageClass, MessageType, MessageWrite as _, MessageWriteExt as _, MessageWriteVec};
use turn_types::attribute::{Data, XorPeerAddress};
use turn_types::message::{DATA, SEND};

use super::allocation::Flow;
use super::requests::unknown;
use super::server::Passed;
use super::{RelayMode, Turn, TurnOutput};

/// Bytes of a ChannelData header (RFC 8656 §12.4).
const HEADER: usize = 4;
/// Most bytes of data that fit a Data indication beside the peer's address: lengths in STUN have 16 bits.
const DATA_MAX: usize = 65_500;

/// Where a packet goes.
pub(super) enum Way {
    Sfu,
    Partner(usize),
    Outside,
}

impl Turn {
    /// A ChannelData message from a client.
    pub(super) fn channel_data<'a>(&mut self, flow: Flow, bytes: &'a [u8], now: Instant) -> Option<Passed<'a>> {
        let Some(index) = self.on(&flow) else {
            self.drop("no allocation");
            return None;
        };
        let [a, b, c, d, rest @ ..] = bytes else {
            self.drop("malformed");
            return None;
        };
        let number = u16::from_be_bytes([*a, *b]);
        // What follows the data is padding.
        let data = rest.get(..usize::from(u16::from_be_bytes([*c, *d])));
        let peer = self.get(index).and_then(|allocation| allocation.peer_of(number, now));
        match (peer, data) {
            (Some(peer), Some(data)) => self.onward(index, peer, data, now),
            (None, _) => {
                self.drop("no channel");
                None
            }
            (_, None) => {
                self.drop("malformed");
                None
            }
        }
    }

    /// A Send indication from a client (RFC 8656 §11.2). `bytes` is the whole message, which `message` reads.
    pub(super) fn indication<'a>(&mut self, flow: Flow, message: &Message<'_>, bytes: &'a [u8], now: Instant) -> Option<Passed<'a>> {
        let reason = match (message.has_method(SEND), self.on(&flow)) {
            (false, _) => "unknown method",
            (true, None) => "no allocation",
            (true, Some(_)) if unknown(message).iter().any(|kind| *kind != Data::TYPE) => "unknown attribute",
            (true, Some(index)) => {
                let peer = message.attribute::<XorPeerAddress>().map(|peer| peer.addr(message.transaction_id())).ok();
                let data = data_of(message, bytes);
                let permitted = |peer: &SocketAddr| self.get(index).is_some_and(|allocation| allocation.permits(peer.ip(), now));
                match (peer, data) {
                    (Some(peer), Some(data)) if permitted(&peer) => return self.onward(index, peer, data, now),
                    (Some(_), Some(_)) => "no permission",
                    _ => "malformed",
                }
            }
        };
        self.drop(reason);
        None
    }

    /// Passes on what a client sent.
    fn onward<'a>(&mut self, index: usize, peer: SocketAddr, data: &'a [u8], now: Instant) -> Option<Passed<'a>> {
        let allocation = self.get_mut(index)?;
        let enough = allocation.inward.take(data.len(), now);
        // Connectivity checks keep paths alive that nobody uses.
        if !is_stun(data) {
            allocation.used = now;
        }
        let source = allocation.relayed_like(peer.ip())?;
        if !enough {
            self.drop("too fast");
            return None;
        }
        self.stats.bytes_in += data.len() as u64;
        match self.way(index, peer) {
            Some(Way::Sfu) => return Some(Passed { source, local: peer, bytes: data }),
            Some(Way::Partner(partner)) => self.pass_to_client(partner, source, data, now),
            Some(Way::Outside) => {
                let mut bytes = self.buffer();
                bytes.extend_from_slice(data);
                self.push(TurnOutput::Egress { relayed: source, peer, bytes });
            }
            None => self.drop("no such peer"),
        }
        None
    }

    /// Where a peer is. The SFU and partners in the room come before all rules.
    pub(super) fn way(&self, index: usize, peer: SocketAddr) -> Option<Way> {
        if self.config.sfu.contains(&peer) {
            return Some(Way::Sfu);
        }
        let group = self.get(index)?.login.user.group;
        if let Some(partner) = self.behind(&peer) {
            let same_room = self.get(partner).is_some_and(|partner| partner.login.user.group == group);
            return same_room.then_some(Way::Partner(partner));
        }
        match &self.config.mode {
            RelayMode::Closed => None,
            RelayMode::Open { rules, .. } => rules.lets_out(peer).then_some(Way::Outside),
        }
    }

    /// A packet for a relayed address, from the SFU or a socket of the open relay.
    pub fn deliver(&mut self, relayed: SocketAddr, from: SocketAddr, data: &[u8], now: Instant) {
        match self.behind(&relayed) {
            Some(index) => self.pass_to_client(index, from, data, now),
            None => self.drop("no allocation"),
        }
    }

    /// The client on whose behalf a relayed address is spoken to.
    #[must_use]
    pub fn flow_behind(&self, relayed: SocketAddr) -> Option<Flow> {
        self.behind(&relayed).and_then(|index| self.get(index)).map(|allocation| allocation.flow)
    }

    fn pass_to_client(&mut self, index: usize, from: SocketAddr, data: &[u8], now: Instant) {
        let Some(allocation) = self.get_mut(index) else { return };
        if !allocation.permits(from.ip(), now) {
            return self.drop("no permission");
        }
        if data.len() > DATA_MAX {
            return self.drop("oversize");
        }
        if !allocation.outward.take(data.len(), now) {
            return self.drop("too fast");
        }
        if !is_stun(data) {
            allocation.used = now;
        }
        let (flow, channel) = (allocation.flow, allocation.channel_to(from, now));
        let bytes = match (channel, u16::try_from(data.len())) {
            (_, Err(_)) => return self.drop("oversize"),
            (Some(number), Ok(len)) => {
                let mut bytes = self.buffer();
                framed(&mut bytes, number, len, data);
                bytes
            }
            (None, Ok(_)) => self.data_indication(from, data),
        };
        self.stats.bytes_out += data.len() as u64;
        self.send(flow, bytes);
    }

    /// RFC 8656 §11.3.
    fn data_indication(&mut self, from: SocketAddr, data: &[u8]) -> Vec<u8> {
        let transaction = (u128::from(self.chance.next_u64()) | u128::from(self.chance.next_u64() & 0xffff_ffff) << 64).into();
        let kind = MessageType::from_class_method(MessageClass::Indication, DATA);
        let mut message = Message::builder(kind, transaction, MessageWriteVec::with_capacity(data.len() + 64));
        let written = message.add_attribute(&XorPeerAddress::new(from, transaction)).and_then(|()| message.add_attribute(&Data::new(data)));
        if written.is_ok() { message.finish() } else { Vec::new() }
    }
}

/// Writes a ChannelData message (RFC 8656 §12.4) of `len` bytes of data.
pub(super) fn framed(bytes: &mut Vec<u8>, number: u16, len: u16, data: &[u8]) {
    bytes.reserve(HEADER + data.len());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(data);
}

/// Whether it is a STUN message, told by the first byte (RFC 7983 §7).
#[must_use]
pub fn is_stun(datagram: &[u8]) -> bool {
    matches!(datagram, [0..=3, ..])
}

/// The DATA attribute's value as it stands in the message, so that it need not be copied.
fn data_of<'a>(message: &Message<'_>, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (offset, attribute) = message.raw_attribute_and_offset(Data::TYPE)?;
    bytes.get(offset + HEADER..offset + HEADER + usize::from(attribute.length()))
}
