//! The relay beside the SFU: what it passes on, what is sent through it.

use crate::model::ids::{StreamId, WorkerIndex};
use crate::model::time::Moment;
use crate::node::peer::BINDING_RESPONSE;
use crate::node::route::relay_worker;
use crate::turn::framing::Framing;
use crate::turn::peers::is_virtual;
use crate::turn::{self, Ask, Flow, TurnOutput};

use super::{Worker, WorkerOutput};

impl Worker {
    /// Takes a message for the relay.
    pub(super) fn relay(&mut self, flow: Flow, bytes: &[u8], own_socket: bool) {
        let named = relay_worker(bytes, self.config.workers);
        let elsewhere = match named {
            Some(worker) => Some(worker),
            None if own_socket && !self.turn.knows(&flow) => self.relay_router.find(flow.remote, self.now),
            None => None,
        };
        if let Some(worker) = elsewhere.filter(|worker| own_socket && *worker != self.config.index) {
            if self.pass_by_lease(worker, flow, bytes) {
                return;
            }
            let Flow { remote: source, local, .. } = flow;
            return self.out.push_back(WorkerOutput::HandOver { worker, source, local, bytes: bytes.to_vec() });
        }
        let moment = self.moment();
        let passed = self.turn.receive(flow, bytes, moment);
        // With each request that names its user, because another worker may have missed the news or forgotten it.
        if named.is_some() && flow.stream.is_none() && self.turn.knows(&flow) {
            self.out.push_back(WorkerOutput::Learned { source: flow.remote, relay: true });
        }
        if let Some(passed) = passed {
            self.media(Flow { remote: passed.source, local: passed.local, stream: None }, passed.bytes, true);
        }
    }

    /// Passes on what a client of another worker's relay sent, if that worker has lent the way.
    fn pass_by_lease(&mut self, worker: WorkerIndex, flow: Flow, bytes: &[u8]) -> bool {
        let (passed, ask) = self.turn.pass_by_lease(flow, bytes, self.now);
        if let Some(ask) = ask {
            self.out.push_back(WorkerOutput::AskLease { worker, ask });
        }
        passed
    }

    /// Lends another worker the way of a client of this relay, whose datagrams that worker's socket gets.
    pub(super) fn lend(&mut self, worker: WorkerIndex, ask: Ask) {
        if let Some(lease) = self.turn.lend(ask, self.now) {
            self.out.push_back(WorkerOutput::Lend { worker, lease });
        }
    }

    /// Takes a message of a TCP or TLS connection.
    pub(super) fn stream(&mut self, flow: Flow, framing: Framing, bytes: &[u8]) {
        match framing {
            // Who reads the stream gave it to the worker that it named; it is not handed on.
            Framing::Turn => self.relay(flow, bytes, false),
            Framing::Ice => self.media(flow, bytes, false),
        }
    }

    pub(super) fn stream_closed(&mut self, stream: StreamId) {
        self.turn.stream_closed(stream);
        if let Some(peer) = self.by_stream.remove(&stream).and_then(|index| self.peer_mut(index)) {
            peer.paths.close(|flow| flow.stream == Some(stream));
        }
    }

    /// Sends what the SFU has for a client: on the wire, or through the relay that the client is behind.
    pub(super) fn transmit(&mut self, flow: Flow, bytes: Vec<u8>) {
        let Flow { remote: destination, local, stream } = flow;
        if bytes.starts_with(&BINDING_RESPONSE)
            && let Some(Ok(id)) = bytes.get(8..20).map(<[u8; 12]>::try_from)
        {
            self.last_response = Some((destination, id));
        }
        if stream.is_some() || !is_virtual(destination.ip()) {
            return self.out.push_back(WorkerOutput::Transmit { destination, local, stream, bytes });
        }
        match turn::worker_of(destination, self.config.workers) {
            Some(worker) if worker != self.config.index => {
                self.out.push_back(WorkerOutput::HandOver { worker, source: local, local: destination, bytes });
            }
            _ => {
                self.turn.deliver(destination, local, &bytes, self.now);
                self.turn.recycle(bytes);
            }
        }
    }

    pub(super) fn moment(&self) -> Moment {
        self.clocks.after(self.now.saturating_duration_since(self.clocks.instant))
    }
}

/// The relay's wishes as the worker's.
pub(super) fn from_relay(output: TurnOutput) -> WorkerOutput {
    match output {
        TurnOutput::Transmit { flow: Flow { remote: destination, local, stream }, bytes } => {
            WorkerOutput::Transmit { destination, local, stream, bytes }
        }
        TurnOutput::Bind { relayed } => WorkerOutput::RelayBind { relayed },
        TurnOutput::Unbind { relayed } => WorkerOutput::RelayUnbind { relayed },
        TurnOutput::Egress { relayed, peer, bytes } => WorkerOutput::RelayEgress { relayed, peer, bytes },
    }
}
