//! One allocation: permissions, channels, what they may cost (RFC 8656 §3.2 ff.).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun_types::AddressFamily;
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, TransactionId};

use crate::model::ids::StreamId;

use super::credentials::RelayUser;
use super::limits::Bucket;

/// How long an allocation lives if its client does not say (RFC 8656 §3.2).
pub(super) const LIFETIME: Duration = Duration::from_mins(10);
/// The longest time that a client may ask for (RFC 8656 §7.2 recommends an hour).
pub(super) const LIFETIME_MAX: Duration = Duration::from_hours(1);
/// How long a permission lives (RFC 8656 §9).
pub(super) const PERMISSION: Duration = Duration::from_mins(5);
/// How long a channel lives (RFC 8656 §12).
pub(super) const CHANNEL: Duration = Duration::from_mins(10);

/// The way between a client and the server: RFC 8656's 5-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The client.
    pub remote: SocketAddr,
    /// Which of our addresses it uses.
    pub local: SocketAddr,
    /// Its TCP or TLS connection; `None` is UDP.
    pub stream: Option<StreamId>,
}

/// A channel and the peer it stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub number: u16,
    pub peer: SocketAddr,
    pub expires: Instant,
}

/// A request's credentials, checked.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub name: String,
    pub user: RelayUser,
    pub key: IntegrityKey,
    pub algorithm: IntegrityAlgorithm,
}

#[derive(Debug)]
pub(super) struct Allocation {
    pub flow: Flow,
    pub login: Login,
    /// The request that made it, so that its repetition gets the same answer.
    pub transaction: TransactionId,
    /// One or two relayed addresses, of different families.
    pub relayed: Vec<SocketAddr>,
    /// Sockets of the open relay that do not stand yet, and the request that waits for them.
    pub unbound: usize,
    /// How many of them could not be opened so far, and whether their ports must be even.
    pub failed: usize,
    pub even: bool,
    /// A second family that was asked for but that the relay does not have.
    pub refused: Option<AddressFamily>,
    pub request: Vec<u8>,
    pub expires: Instant,
    pub permissions: Vec<(IpAddr, Instant)>,
    pub channels: Vec<Channel>,
    /// From the client.
    pub inward: Bucket,
    /// To the client.
    pub outward: Bucket,
    /// When it last relayed something.
    pub used: Instant,
}

impl Allocation {
    /// The relayed address of a family.
    pub fn relayed_like(&self, peer: IpAddr) -> Option<SocketAddr> {
        self.relayed.iter().copied().find(|relayed| relayed.is_ipv4() == peer.is_ipv4())
    }

    pub fn permits(&self, peer: IpAddr, now: Instant) -> bool {
        self.permitted_until(peer, now).is_some()
    }

    /// Gives or renews a permission. `false` if there are `most` already.
    pub fn permit(&mut self, peer: IpAddr, now: Instant, most: usize) -> bool {
        self.permissions.retain(|(_, expires)| *expires > now);
        let expires = now + PERMISSION;
        if let Some(known) = self.permissions.iter_mut().find(|(ip, _)| *ip == peer) {
            known.1 = expires;
            return true;
        }
        if self.permissions.len() >= most {
            return false;
        }
        self.permissions.push((peer, expires));
        true
    }

    /// Until when a peer is permitted; `None` if it is not.
    pub fn permitted_until(&self, peer: IpAddr, now: Instant) -> Option<Instant> {
        self.permissions.iter().find(|(ip, expires)| *ip == peer && *expires > now).map(|(_, expires)| *expires)
    }

    /// A channel by its number.
    pub fn channel(&self, number: u16, now: Instant) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.number == number && channel.expires > now)
    }

    /// The channel that stands for a peer.
    pub fn channel_by_peer(&self, peer: SocketAddr, now: Instant) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.peer == peer && channel.expires > now)
    }

    /// The peer that a channel stands for.
    pub fn peer_of(&self, number: u16, now: Instant) -> Option<SocketAddr> {
        self.channel(number, now).map(|channel| channel.peer)
    }

    /// The number of the channel that stands for a peer.
    pub fn channel_to(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        self.channel_by_peer(peer, now).map(|channel| channel.number)
    }
}
