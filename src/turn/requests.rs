//! Allocate, Refresh, CreatePermission, ChannelBind (RFC 8656 §7 to §12).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun_types::AddressFamily;
use stun_types::attribute::{
    Attribute as _, AttributeStaticType as _, AttributeType, ErrorCode, Fingerprint, MessageIntegrity, MessageIntegritySha256, Nonce,
    PasswordAlgorithm, PasswordAlgorithms, Realm, UnknownAttributes, Username, XorMappedAddress,
};
use stun_types::message::Message;
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumber, DontFragment, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport,
    ReservationToken, XorPeerAddress, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use crate::model::time::Moment;

use super::allocation::{Allocation, CHANNEL, Channel, Flow, LIFETIME, LIFETIME_MAX, Login};
use super::limits::Bucket;
use super::peers::{VIRTUAL_V4, VIRTUAL_V6, is_virtual};
use super::reply::Reply;
use super::{RelayMode, Turn, TurnOutput};

/// UDP among IP's protocols.
const UDP: u8 = 17;
/// How often another port is tried before the relay has none.
const PORT_TRIES: usize = 32;
/// How many sockets that could not be opened one Allocate may cost.
const BIND_TRIES: usize = 8;
/// An allocation that relayed nothing but connectivity checks for so long makes room for its user's next one.
const IDLE: Duration = Duration::from_secs(2);
/// A participant gets credentials with a name of their own whenever it connects or restarts ICE; of so many of them it may
/// have all allocations at a time.
const NAMES_EACH: usize = 4;
/// What stands for ADDITIONAL-ADDRESS-FAMILY in clients of coturn up to 4.6, from before it got its number.
const ADDITIONAL_BEFORE: AttributeType = AttributeType::new(0x8032);
/// Channel numbers. RFC 8656 §12 ends them at 0x4fff, but clients of RFC 5766 §11 draw them from the whole range, whose
/// first bytes nothing else on the port uses (RFC 7983 §7).
const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7fff;

/// What requests may carry that must be understood.
const KNOWN: [AttributeType; 18] = [
    Username::TYPE,
    Realm::TYPE,
    Nonce::TYPE,
    MessageIntegrity::TYPE,
    MessageIntegritySha256::TYPE,
    PasswordAlgorithm::TYPE,
    PasswordAlgorithms::TYPE,
    Fingerprint::TYPE,
    ChannelNumber::TYPE,
    Lifetime::TYPE,
    XorPeerAddress::TYPE,
    RequestedAddressFamily::TYPE,
    AdditionalAddressFamily::TYPE,
    EvenPort::TYPE,
    RequestedTransport::TYPE,
    DontFragment::TYPE,
    ReservationToken::TYPE,
    XorMappedAddress::TYPE,
];

/// What an allocation should be like.
struct Wanted {
    families: Vec<AddressFamily>,
    even: bool,
}

impl Turn {
    /// A request other than Binding.
    pub(super) fn request(&mut self, flow: Flow, request: &Message<'_>, now: Moment) {
        let method = request.method();
        if ![ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND].contains(&method) {
            // Among them TCP relaying (RFC 6062): an unknown method is discarded (RFC 8489 §6.3).
            return self.drop("unknown method");
        }
        let Some(login) = self.authenticate(flow, request, method == ALLOCATE, now) else { return };
        let unknown = unknown(request);
        let result = match method {
            _ if !unknown.is_empty() => {
                let reply = Reply::error(request, ErrorCode::UNKNOWN_ATTRIBUTE).with(&UnknownAttributes::new(&unknown));
                return self.send(flow, reply.finish(Some(&login)));
            }
            ALLOCATE => self.allocate(flow, request, &login, now.instant),
            REFRESH => self.refresh(flow, request, &login, now.instant),
            CREATE_PERMISSION => self.create_permission(flow, request, &login, now.instant),
            _ => self.channel_bind(flow, request, &login, now.instant),
        };
        match result {
            Ok(Some(reply)) => self.send(flow, reply.finish(Some(&login))),
            Ok(None) => {}
            Err(code) => self.send(flow, Reply::error(request, code).finish(Some(&login))),
        }
    }

    fn allocate(&mut self, flow: Flow, request: &Message<'_>, login: &Login, now: Instant) -> Result<Option<Reply>, u16> {
        if let Some(allocation) = self.on(&flow).and_then(|index| self.get(index)) {
            return match allocation.transaction == request.transaction_id() {
                true if allocation.unbound > 0 => Ok(None),
                true => Ok(Some(allocated(allocation, request, now))),
                false => Err(ErrorCode::ALLOCATION_MISMATCH),
            };
        }
        let wanted = wanted(request)?;
        self.make_room(login, now)?;
        let (ips, refused) = self.relay_ips(&wanted)?;
        let port = self.free_port(&ips, wanted.even).ok_or(ErrorCode::INSUFFICIENT_CAPACITY)?;
        let relayed: Vec<SocketAddr> = ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let closed = self.config.mode == RelayMode::Closed;
        let rate = self.config.limits.bits_per_s;
        let allocation = Allocation {
            flow,
            login: login.clone(),
            transaction: request.transaction_id(),
            unbound: if closed { 0 } else { relayed.len() },
            failed: 0,
            even: wanted.even,
            refused,
            request: if closed { Vec::new() } else { request.as_bytes().to_vec() },
            expires: now + lifetime(request),
            permissions: Vec::new(),
            channels: Vec::new(),
            inward: Bucket::new(rate, now),
            outward: Bucket::new(rate, now),
            used: now,
            relayed,
        };
        let index = self.begin(allocation);
        let Some(allocation) = self.get(index) else { return Ok(None) };
        if closed {
            return Ok(Some(allocated(allocation, request, now)));
        }
        for relayed in allocation.relayed.clone() {
            self.push(TurnOutput::Bind { relayed });
        }
        Ok(None)
    }

    /// Sees that one more allocation of this user, and of the person behind it, is within the bounds.
    fn make_room(&mut self, login: &Login, now: Instant) -> Result<(), u16> {
        let most = self.config.limits.per_user;
        let own: Vec<usize> = self.of_user(login.user).to_vec();
        let same = |index: &usize| self.get(*index).is_some_and(|allocation| allocation.login.name == login.name);
        let named: Vec<usize> = own.iter().copied().filter(same).collect();
        for (indexes, most) in [(named, most), (own, most * NAMES_EACH)] {
            if indexes.len() >= most {
                // A browser that restarts ICE allocates anew before it lets the old ones go.
                let used = |index: &usize| self.get(*index).map_or(now, |allocation| allocation.used);
                let idlest = indexes.into_iter().min_by_key(used);
                let idle = idlest.filter(|index| now.saturating_duration_since(used(index)) >= IDLE);
                self.end(idle.ok_or(ErrorCode::ALLOCATION_QUOTA_REACHED)?);
            }
        }
        if self.total() >= self.config.limits.total { Err(ErrorCode::INSUFFICIENT_CAPACITY) } else { Ok(()) }
    }

    /// The relay's addresses of the families that are wanted, and the one of two that it does not have.
    fn relay_ips(&self, wanted: &Wanted) -> Result<(Vec<IpAddr>, Option<AddressFamily>), u16> {
        let has = |family: &AddressFamily| self.relay_ip(*family).is_ok();
        let ips: Vec<IpAddr> = wanted.families.iter().filter_map(|family| self.relay_ip(*family).ok()).collect();
        let refused = wanted.families.iter().copied().find(|family| !has(family));
        if ips.is_empty() { Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED) } else { Ok((ips, refused)) }
    }

    /// A port that nobody has at any of these addresses.
    fn free_port(&mut self, ips: &[IpAddr], even: bool) -> Option<u16> {
        for _ in 0..PORT_TRIES {
            let port = self.draw_port(even)?;
            if ips.iter().all(|ip| self.behind(&SocketAddr::new(*ip, port)).is_none()) {
                return Some(port);
            }
        }
        None
    }

    fn draw_port(&mut self, even: bool) -> Option<u16> {
        let ports = match &self.config.mode {
            RelayMode::Closed => self.config.virtual_ports(),
            RelayMode::Open { ports, .. } => ports.clone(),
        };
        let step = if even { 2 } else { 1 };
        let first = ports.start().checked_next_multiple_of(step)?;
        let count = u64::from(ports.end().checked_sub(first)? / step) + 1;
        #[allow(clippy::cast_possible_truncation)] // below the number of ports
        let nth = (self.chance.next_u64() % count) as u16;
        Some(first + nth * step)
    }

    fn relay_ip(&self, family: AddressFamily) -> Result<IpAddr, u16> {
        let v4 = family == AddressFamily::IPV4;
        match &self.config.mode {
            RelayMode::Closed if v4 => Ok(IpAddr::V4(VIRTUAL_V4)),
            RelayMode::Closed => Ok(IpAddr::V6(VIRTUAL_V6)),
            RelayMode::Open { addresses, .. } => {
                let found = addresses.iter().copied().find(|ip| ip.is_ipv4() == v4);
                found.ok_or(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED)
            }
        }
    }

    /// A socket of the open relay stands, or could not be opened: then another port is tried.
    pub fn bound(&mut self, relayed: SocketAddr, opened: bool, now: Instant) {
        let Some(index) = self.behind(&relayed) else { return };
        if !opened {
            return self.bind_elsewhere(index, relayed);
        }
        let Some(allocation) = self.get_mut(index) else { return };
        allocation.unbound = allocation.unbound.saturating_sub(1);
        if allocation.unbound > 0 {
            return;
        }
        let bytes = std::mem::take(&mut allocation.request);
        let (flow, login) = (allocation.flow, allocation.login.clone());
        if let (Ok(request), Some(allocation)) = (Message::from_bytes(&bytes), self.get(index)) {
            let reply = allocated(allocation, &request, now).finish(Some(&login));
            self.send(flow, reply);
        }
    }

    /// Tries another port, but not for ever: a host that has no sockets left has none on any port.
    fn bind_elsewhere(&mut self, index: usize, old: SocketAddr) {
        let Some(allocation) = self.get_mut(index) else { return };
        allocation.failed += 1;
        let (failed, even) = (allocation.failed, allocation.even);
        let port = if failed < BIND_TRIES { self.free_port(&[old.ip()], even) } else { None };
        if let Some(port) = port {
            let new = SocketAddr::new(old.ip(), port);
            self.move_relayed(index, old, new);
            return self.push(TurnOutput::Bind { relayed: new });
        }
        let Some(allocation) = self.get_mut(index) else { return };
        let bytes = std::mem::take(&mut allocation.request);
        let (flow, login) = (allocation.flow, allocation.login.clone());
        self.drop_relayed(index, old);
        self.end(index);
        if let Ok(request) = Message::from_bytes(&bytes) {
            self.send(flow, Reply::error(&request, ErrorCode::INSUFFICIENT_CAPACITY).finish(Some(&login)));
        }
    }

    /// The user's allocation on this way.
    fn own(&self, flow: Flow, login: &Login) -> Result<usize, u16> {
        let index = self.on(&flow).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let same = self.get(index).is_some_and(|allocation| allocation.login.name == login.name);
        if same { Ok(index) } else { Err(ErrorCode::WRONG_CREDENTIALS) }
    }

    fn refresh(&mut self, flow: Flow, request: &Message<'_>, login: &Login, now: Instant) -> Result<Option<Reply>, u16> {
        let index = self.own(flow, login)?;
        let relayed = self.get(index).map(|allocation| allocation.relayed.clone()).unwrap_or_default();
        let mut meant = relayed.clone();
        if request.has_attribute(RequestedAddressFamily::TYPE) {
            let family = request.attribute::<RequestedAddressFamily>().map_err(|_| ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH)?;
            meant.retain(|relayed| relayed.is_ipv4() == (family.family() == AddressFamily::IPV4));
            if meant.is_empty() {
                return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
            }
        }
        let asked = request.attribute::<Lifetime>().ok().map(|lifetime| lifetime.seconds());
        if asked == Some(0) {
            match meant.as_slice() {
                // One of two families goes.
                [one] if relayed.len() > 1 => {
                    self.drop_relayed(index, *one);
                    if self.config.mode != RelayMode::Closed {
                        self.push(TurnOutput::Unbind { relayed: *one });
                    }
                }
                _ => self.end(index),
            }
            return Ok(Some(Reply::success(request).with(&Lifetime::new(0))));
        }
        let lifetime = lifetime(request);
        self.prolong(index, now + lifetime);
        Ok(Some(Reply::success(request).with(&Lifetime::new(seconds(lifetime)))))
    }

    fn create_permission(&mut self, flow: Flow, request: &Message<'_>, login: &Login, now: Instant) -> Result<Option<Reply>, u16> {
        let index = self.own(flow, login)?;
        let mut peers = Vec::new();
        while let Ok(peer) = request.nth_attribute::<XorPeerAddress>(peers.len()) {
            peers.push(peer.addr(request.transaction_id()));
        }
        // One that cannot be read spoils all: what was meant to be permitted is not known.
        let all = request.iter_attributes().filter(|(_, attribute)| attribute.get_type() == XorPeerAddress::TYPE).count();
        if peers.is_empty() || peers.len() != all {
            return Err(ErrorCode::BAD_REQUEST);
        }
        peers.iter().try_for_each(|peer| self.check_peer(index, peer.ip()))?;
        let most = self.config.limits.permissions;
        let Some(allocation) = self.get_mut(index) else { return Err(ErrorCode::ALLOCATION_MISMATCH) };
        // All or none.
        let before = allocation.permissions.clone();
        if !peers.iter().all(|peer| allocation.permit(peer.ip(), now, most)) {
            allocation.permissions = before;
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        Ok(Some(Reply::success(request)))
    }

    fn channel_bind(&mut self, flow: Flow, request: &Message<'_>, login: &Login, now: Instant) -> Result<Option<Reply>, u16> {
        let index = self.own(flow, login)?;
        let number = request.attribute::<ChannelNumber>().map(|number| number.channel()).map_err(|_| ErrorCode::BAD_REQUEST)?;
        let peer = request.attribute::<XorPeerAddress>().map_err(|_| ErrorCode::BAD_REQUEST)?.addr(request.transaction_id());
        if !CHANNELS.contains(&number) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        self.check_peer(index, peer.ip())?;
        // The port is known here: what no packet could ever reach is refused at once.
        let outside = matches!(&self.config.mode, RelayMode::Open { addresses, .. } if !addresses.contains(&peer.ip()));
        if peer.port() == 0 || outside && self.way(index, peer).is_none() {
            return Err(ErrorCode::FORBIDDEN);
        }
        let limits = self.config.limits;
        let Some(allocation) = self.get_mut(index) else { return Err(ErrorCode::ALLOCATION_MISMATCH) };
        allocation.channels.retain(|channel| channel.expires > now);
        let taken = |channel: &Channel| (channel.number == number) != (channel.peer == peer);
        if allocation.channels.iter().any(taken) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let known = allocation.channels.iter().position(|channel| channel.number == number);
        if known.is_none() && allocation.channels.len() >= limits.channels || !allocation.permit(peer.ip(), now, limits.permissions) {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        let expires = now + CHANNEL;
        match known {
            Some(at) => allocation.channels[at].expires = expires,
            None => allocation.channels.push(Channel { number, peer, expires }),
        }
        Ok(Some(Reply::success(request)))
    }

    /// Whether an allocation may have a permission for this address.
    fn check_peer(&self, index: usize, peer: IpAddr) -> Result<(), u16> {
        let has_family = self.get(index).is_some_and(|allocation| allocation.relayed_like(peer).is_some());
        if !has_family {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        let sfu = self.config.sfu.iter().any(|own| own.ip() == peer);
        let may = match &self.config.mode {
            RelayMode::Closed => is_virtual(peer),
            RelayMode::Open { addresses, rules, .. } => addresses.contains(&peer) || rules.permits(peer),
        };
        if sfu || may { Ok(()) } else { Err(ErrorCode::FORBIDDEN) }
    }
}

/// What a message carries that must be understood but is not (RFC 8489 §6.3).
pub(super) fn unknown(message: &Message<'_>) -> Vec<AttributeType> {
    let kinds = message.iter_attributes().map(|(_, attribute)| attribute.get_type());
    kinds.filter(|kind| kind.comprehension_required() && !KNOWN.contains(kind)).collect()
}

/// What an Allocate request asks for, or the code that refuses it.
fn wanted(request: &Message<'_>) -> Result<Wanted, u16> {
    let transport = request.attribute::<RequestedTransport>().map_err(|_| ErrorCode::BAD_REQUEST)?;
    if transport.protocol() != UDP {
        return Err(ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL);
    }
    let even = request.attribute::<EvenPort>().ok();
    let asked = request.attribute::<RequestedAddressFamily>().ok().map(|family| family.family());
    let additional = additional(request)?;
    let reserving = even.as_ref().is_some_and(EvenPort::requested);
    if request.has_attribute(ReservationToken::TYPE) {
        let clash = even.is_some() || asked.is_some() || additional.is_some();
        return Err(if clash { ErrorCode::BAD_REQUEST } else { ErrorCode::INSUFFICIENT_CAPACITY });
    }
    if additional.is_some() && (asked.is_some() || reserving) {
        return Err(ErrorCode::BAD_REQUEST);
    }
    if reserving {
        return Err(ErrorCode::INSUFFICIENT_CAPACITY);
    }
    if request.has_attribute(RequestedAddressFamily::TYPE) && asked.is_none() {
        return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
    }
    let families = match (asked, additional) {
        (Some(family), _) => vec![family],
        (None, Some(additional)) => vec![AddressFamily::IPV4, additional],
        (None, None) => vec![AddressFamily::IPV4],
    };
    Ok(Wanted { families, even: even.is_some() })
}

/// The family that is wanted besides IPv4: only IPv6 can be (RFC 8656 §7.2).
fn additional(request: &Message<'_>) -> Result<Option<AddressFamily>, u16> {
    let attribute = |kind| request.raw_attribute(kind);
    match attribute(AdditionalAddressFamily::TYPE).or_else(|| attribute(ADDITIONAL_BEFORE)) {
        None => Ok(None),
        Some(attribute) if matches!(*attribute.value, [2, _, _, _]) => Ok(Some(AddressFamily::IPV6)),
        Some(_) => Err(ErrorCode::BAD_REQUEST),
    }
}

fn allocated(allocation: &Allocation, request: &Message<'_>, now: Instant) -> Reply {
    let transaction = request.transaction_id();
    let relayed = allocation.relayed.iter().map(|address| XorRelayedAddress::new(*address, transaction));
    let reply = relayed.fold(Reply::success(request), |reply, address| reply.with(&address));
    let lifetime = allocation.expires.saturating_duration_since(now);
    let missing = ErrorCode::builder(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED).build().ok().zip(allocation.refused);
    let reply = match missing {
        Some((error, family)) => reply.with(&AddressErrorCode::new(family, error)),
        None => reply,
    };
    reply.with(&XorMappedAddress::new(allocation.flow.remote, transaction)).with(&Lifetime::new(seconds(lifetime)))
}

/// How long an allocation will live: what is asked for, within bounds (RFC 8656 §7.2).
fn lifetime(request: &Message<'_>) -> Duration {
    let asked = request.attribute::<Lifetime>().map(|lifetime| Duration::from_secs(lifetime.seconds().into()));
    asked.unwrap_or(LIFETIME).clamp(LIFETIME, LIFETIME_MAX)
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}
