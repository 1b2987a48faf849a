//! Datagrams in: whose they are, and whether they are let in.

use std::net::SocketAddr;

use str0m::Input;
use str0m::net::{Protocol, Receive};

use crate::node::peer::{PATHS_MAX, Path, PeerIndex};
use crate::node::route::{Route, local_ufrag};

use super::{Worker, WorkerOutput};

/// Longest datagram that is looked at, in bytes; WebRTC keeps below 1,500.
pub const DATAGRAM_MAX: usize = 1_500;

impl Worker {
    pub(super) fn datagram(&mut self, source: SocketAddr, local: SocketAddr, bytes: &[u8], own_socket: bool) {
        if bytes.len() > DATAGRAM_MAX {
            return self.drop_datagram("oversize");
        }
        let Some(peer) = self.owner(source, local, bytes, own_socket) else { return };
        let room = self.peer(peer).map(|peer| peer.room);
        if room.is_some() {
            self.guard(peer, |worker| worker.receive(peer, source, local, bytes, own_socket));
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

    fn receive(&mut self, index: PeerIndex, source: SocketAddr, local: SocketAddr, bytes: &[u8], own_socket: bool) {
        // What was written to this peer before must be drained first: str0m takes one mutation at a time.
        if self.peer(index).is_some_and(|peer| peer.ready) {
            self.flush(index);
        }
        let now = self.now;
        let Some(destination) = self.candidate_for(local) else { return self.drop_datagram("no candidate") };
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, bytes) else { return self.drop_datagram("malformed") };
        let Some(peer) = self.peer_mut(index) else { return };
        let input = Input::Receive(now, receive);
        // `handle_input` does not check whose datagram it is; a forged record could kill a handshake.
        if !peer.rtc.accepts(&input) {
            return self.drop_datagram("not accepted");
        }
        let check = local_ufrag(bytes).is_some();
        if peer.rtc.handle_input(input).is_err() {
            self.drop_datagram("refused");
        } else if check {
            self.proved(index, Path { remote: source, local, proved: now }, own_socket);
        }
        self.drain(index);
    }

    /// A connectivity check came through with the right password: the address is this peer's.
    fn proved(&mut self, index: PeerIndex, path: Path, own_socket: bool) {
        let Some(peer) = self.peer_mut(index) else { return };
        peer.heard = path.proved;
        let before = peer.paths.first_mut().filter(|known| (known.remote, known.local) == (path.remote, path.local));
        if let Some(known) = before {
            known.proved = path.proved;
            // It still comes by another's socket: that one may have missed the news, or forgotten it.
            if !own_socket {
                self.out.push_back(WorkerOutput::Learned { source: path.remote });
            }
            return;
        }
        peer.paths.retain(|known| known.remote != path.remote);
        peer.paths.insert(0, path);
        let forgotten = if peer.paths.len() > PATHS_MAX { peer.paths.pop() } else { None };
        if let Some(old) = forgotten
            && self.by_address.get(&old.remote) == Some(&index)
        {
            self.by_address.remove(&old.remote);
        }
        if self.by_address.insert(path.remote, index) != Some(index) {
            self.router.forget(path.remote);
            self.out.push_back(WorkerOutput::Learned { source: path.remote });
        }
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
