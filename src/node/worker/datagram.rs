//! Datagrams in: whose they are, whether they are let in.

use std::net::SocketAddr;

use str0m::Input;
use str0m::net::{Protocol, Receive};

use crate::node::peer::{PATHS_MAX, Path, PeerIndex};
use crate::node::route::{Route, local_ufrag};

use super::{Worker, WorkerOutput};

/// Longest datagram that is looked at, in bytes; WebRTC keeps below 1,500.
pub const DATAGRAM_MAX: usize = 1_500;
/// How a response to a connectivity check begins (RFC 8489 §5).
const BINDING_RESPONSE: [u8; 2] = [0x01, 0x01];

impl Worker {
    pub(super) fn datagram(&mut self, source: SocketAddr, local: SocketAddr, bytes: &[u8], own_socket: bool) {
        if bytes.len() > DATAGRAM_MAX {
            return self.drop_datagram("oversize");
        }
        let Some(peer) = self.owner(source, local, bytes, own_socket) else { return };
        let room = self.peer(peer).map(|peer| peer.room);
        if room.is_some() {
            self.guard(peer, |worker| worker.receive(peer, source, local, bytes));
        }
    }

    /// Finds the peer of a datagram, or sends it where it belongs, or drops it.
    fn owner(&mut self, source: SocketAddr, local: SocketAddr, bytes: &[u8], own_socket: bool) -> Option<PeerIndex> {
        if let Some(ufrag) = local_ufrag(bytes) {
            if let Some(peer) = self.by_ufrag.get(ufrag) {
                return Some(*peer);
            }
        } else if let Some(peer) = self.by_address.get(&source) {
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

    fn receive(&mut self, index: PeerIndex, source: SocketAddr, local: SocketAddr, bytes: &[u8]) {
        let now = self.now;
        let Some(destination) = self.candidate_for(local) else { return self.drop_datagram("no candidate") };
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, bytes) else { return self.drop_datagram("malformed") };
        let Some(peer) = self.peer_mut(index) else { return };
        peer.clock = peer.clock.max(now);
        let input = Input::Receive(peer.clock, receive);
        // `handle_input` does not check whose datagram it is; a forged record could kill a handshake.
        if !peer.rtc.accepts(&input) {
            return self.drop_datagram("not accepted");
        }
        let check = local_ufrag(bytes).is_some();
        let known = peer.paths.iter().any(|path| path.remote == source);
        let before = self.before_packet(index, bytes);
        let Some(peer) = self.peer_mut(index) else { return };
        let refused = peer.rtc.handle_input(input).is_err();
        if refused {
            self.drop_datagram("refused");
        } else if check && !known {
            self.proved(index, Path { remote: source, local, proved: now });
        }
        let mark = self.out.len();
        self.drain(index);
        if let Some(before) = before {
            self.after_packet(index, &before);
        }
        if check && known && !refused {
            // From an address that it knows, str0m admits checks unread; it answers only those with the right password.
            if self.answered(mark, source, bytes) {
                self.proved(index, Path { remote: source, local, proved: now });
            } else {
                self.drop_datagram("check");
            }
        }
    }

    /// Whether a connectivity check has its response among the outputs since `mark`.
    fn answered(&self, mark: usize, source: SocketAddr, check: &[u8]) -> bool {
        self.out.range(mark.min(self.out.len())..).any(|output| match output {
            WorkerOutput::Transmit { destination, bytes, .. } => {
                *destination == source && bytes.starts_with(&BINDING_RESPONSE) && bytes.get(8..20) == check.get(8..20)
            }
            _ => false,
        })
    }

    /// A connectivity check came through with the right password: the address is this peer's.
    fn proved(&mut self, index: PeerIndex, path: Path) {
        let Some(peer) = self.peer_mut(index) else { return };
        peer.heard = path.proved;
        peer.paths.retain(|known| known.remote != path.remote);
        peer.paths.insert(0, path);
        let forgotten = if peer.paths.len() > PATHS_MAX { peer.paths.pop() } else { None };
        if let Some(old) = forgotten
            && self.by_address.get(&old.remote) == Some(&index)
        {
            self.by_address.remove(&old.remote);
        }
        // Another session may have proved the same address since; whoever proves it last has it.
        if self.by_address.insert(path.remote, index) != Some(index) {
            self.router.forget(path.remote);
        }
        // Said with every check, because another worker may have missed the news or forgotten it.
        self.out.push_back(WorkerOutput::Learned { source: path.remote });
    }

    /// The candidate that the client used to reach `local`: the address itself, or the advertised one before a NAT.
    fn candidate_for(&self, local: SocketAddr) -> Option<SocketAddr> {
        let candidates = &self.config.candidates;
        let same_family = |candidate: &&SocketAddr| candidate.is_ipv4() == local.is_ipv4();
        let exact = candidates.iter().find(|candidate| **candidate == local);
        let port = || candidates.iter().find(|candidate| same_family(candidate) && candidate.port() == local.port());
        exact.or_else(port).or_else(|| candidates.iter().find(same_family)).copied()
    }

    pub(super) fn drop_datagram(&mut self, reason: &'static str) {
        *self.stats.dropped_datagrams.entry(reason).or_default() += 1;
    }
}
