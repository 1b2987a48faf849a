//! Datagrams in: whose they are, whether they are let in.

use std::net::SocketAddr;

use str0m::Input;
use str0m::net::{Protocol, Receive};

use crate::node::paths::Path;
use crate::node::peer::PeerIndex;
use crate::node::route::{Route, is_for_relay, local_ufrag};
use crate::turn::peers::is_virtual;
use crate::turn::{Flow, is_stun};

use super::{Worker, WorkerOutput};

/// Longest datagram that is looked at, in bytes; WebRTC keeps below 1,500.
pub const DATAGRAM_MAX: usize = 1_500;
/// How DTLS records begin (RFC 7983 §7).
const HANDSHAKE: std::ops::RangeInclusive<u8> = 20..=63;
/// How a DTLS record begins that carries SCTP (RFC 5246 §6.2.1).
const APPLICATION_DATA: u8 = 23;

impl Worker {
    pub(super) fn datagram(&mut self, source: SocketAddr, local: SocketAddr, bytes: &[u8], own_socket: bool) {
        if bytes.len() > DATAGRAM_MAX {
            return self.drop_datagram("oversize");
        }
        let flow = Flow { remote: source, local, stream: None };
        if own_socket && is_virtual(source.ip()) {
            return self.drop_datagram("forged");
        }
        if !own_socket && is_virtual(local.ip()) {
            // Another worker's SFU speaks to a client of this relay.
            return self.turn.deliver(local, source, bytes, self.now);
        }
        if is_for_relay(bytes) { self.relay(flow, bytes, own_socket) } else { self.media(flow, bytes, own_socket) }
    }

    /// Takes a datagram of ICE, DTLS, RTP or RTCP.
    pub(super) fn media(&mut self, flow: Flow, bytes: &[u8], own_socket: bool) {
        if let Some(peer) = self.owner(flow, bytes, own_socket) {
            self.guard(peer, |worker| worker.receive(peer, flow, bytes));
        }
    }

    /// Finds the peer of a datagram, or sends it where it belongs, or drops it.
    fn owner(&mut self, flow: Flow, bytes: &[u8], own_socket: bool) -> Option<PeerIndex> {
        let Flow { remote: source, local, stream } = flow;
        if let Some(ufrag) = local_ufrag(bytes) {
            if let Some(peer) = self.by_ufrag.get(ufrag) {
                return Some(*peer);
            }
        } else if let Some(peer) = stream.map_or_else(|| self.by_address.get(&source), |stream| self.by_stream.get(&stream)) {
            return Some(*peer);
        }
        // What was handed over once is not handed on: two workers cannot play ball with it.
        let route = if own_socket { self.router.route(source, bytes, self.now) } else { Route::Here };
        match route {
            Route::Worker(worker) => {
                self.out.push_back(WorkerOutput::HandOver { worker, source, local, bytes: bytes.to_vec() });
            }
            Route::Here => self.drop_datagram("unknown user name"),
            Route::Stranger => self.drop_datagram("stranger"),
        }
        None
    }

    fn receive(&mut self, index: PeerIndex, flow: Flow, bytes: &[u8]) {
        let now = self.now;
        let source = flow.remote;
        let (protocol, candidates) = match flow.stream {
            None => (Protocol::Udp, &self.config.candidates),
            Some(_) => (Protocol::Tcp, &self.config.tcp_candidates),
        };
        let Some(destination) = candidate_for(candidates, flow.local) else { return self.drop_datagram("no candidate") };
        let Ok(receive) = Receive::new(protocol, source, destination, bytes) else { return self.drop_datagram("malformed") };
        let Some(peer) = self.peer_mut(index) else { return };
        peer.clock = peer.clock.max(now);
        let input = Input::Receive(peer.clock, receive);
        let check = local_ufrag(bytes).is_some();
        let known = peer.paths.knows(flow);
        // `handle_input` does not check whose datagram it is; a forged record could kill a handshake. When ICE restarts,
        // str0m knows no address of the client any more, but media come by the old way until there is a new one (RFC 8445 §9).
        let by_old_way = known && !is_stun(bytes);
        if !by_old_way && !peer.rtc.accepts(&input) {
            return self.drop_datagram("not accepted");
        }
        peer.note_received(now);
        if bytes.first() == Some(&APPLICATION_DATA) && !peer.quota.admits(bytes.len(), now) {
            return self.drop_datagram("data quota");
        }
        let handshake = !peer.connected && bytes.first().is_some_and(|first| HANDSHAKE.contains(first));
        let opened = peer.opened;
        let before = self.before_packet(index, bytes);
        let Some(peer) = self.peer_mut(index) else { return };
        let refused = peer.rtc.handle_input(input).is_err();
        if refused {
            self.drop_datagram(if handshake { "handshake" } else { "refused" });
        } else if check && !known {
            self.proved(index, flow);
        }
        self.last_response = None;
        self.drain(index);
        if let Some(before) = before {
            self.after_packet(index, &before);
        }
        if self.peer_mut(index).is_some_and(|peer| peer.opened != opened && peer.paths.carry(flow, now)) {
            self.moved(index);
        }
        if check && known && !refused {
            // From an address that it knows, str0m admits checks unread; it answers only those with the right password.
            if self.last_response.is_some_and(|(client, id)| client == source && bytes.get(8..20) == Some(&id[..])) {
                self.proved(index, flow);
            } else {
                self.drop_datagram("check");
            }
        }
    }

    /// A connectivity check came through with the right password: the address is this peer's.
    fn proved(&mut self, index: PeerIndex, flow: Flow) {
        let now = self.now;
        let Some(peer) = self.peer_mut(index) else { return };
        peer.heard = now;
        if let Some(old) = peer.paths.prove(flow, now) {
            self.forget_path(index, &old);
        }
        let remote = flow.remote;
        if let Some(stream) = flow.stream {
            self.by_stream.insert(stream, index);
            return;
        }
        // Another session may have proved the same address since; whoever proves it last has it.
        if self.by_address.insert(remote, index) != Some(index) {
            self.router.forget(remote);
        }
        // Said with every check, because another worker may have missed the news or forgotten it.
        self.out.push_back(WorkerOutput::Learned { source: remote, relay: false });
    }

    /// A path is no peer's any more, unless another has proved it since.
    pub(super) fn forget_path(&mut self, index: PeerIndex, path: &Path) {
        match path.flow.stream {
            Some(stream) if self.by_stream.get(&stream) == Some(&index) => {
                self.by_stream.remove(&stream);
            }
            None if self.by_address.get(&path.flow.remote) == Some(&index) => {
                self.by_address.remove(&path.flow.remote);
            }
            _ => {}
        }
    }

    pub(super) fn drop_datagram(&mut self, reason: &'static str) {
        *self.stats.dropped_datagrams.entry(reason).or_default() += 1;
    }
}

/// The candidate that the client used to reach `local`: the address itself, or the advertised one before a NAT.
fn candidate_for(candidates: &[SocketAddr], local: SocketAddr) -> Option<SocketAddr> {
    let same_family = |candidate: &&SocketAddr| candidate.is_ipv4() == local.is_ipv4();
    let exact = candidates.iter().find(|candidate| **candidate == local);
    let port = || candidates.iter().find(|candidate| same_family(candidate) && candidate.port() == local.port());
    exact.or_else(port).or_else(|| candidates.iter().find(same_family)).copied()
}
