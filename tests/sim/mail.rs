//! What is under way between clients, control core, workers, in the order of its arrival.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use konsil::model::ids::WorkerIndex;
use konsil::node::control::ControlInput;
use konsil::node::request::{ConnId, Connected, Refusal, Reply};
use konsil::room::media::MediaCommand;
use konsil::room::notice::Notice;
use konsil::turn::{Ask, Lease};

use crate::client::ClientId;
use crate::time::on_grid;

/// To a worker.
#[derive(Debug)]
pub enum Post {
    HandedOver { source: SocketAddr, local: SocketAddr, bytes: Vec<u8> },
    Learned { source: SocketAddr, worker: WorkerIndex, relay: bool },
    LeaseAsked { from: WorkerIndex, ask: Ask },
    Lent(Lease),
    Command(MediaCommand),
}

/// To a client.
#[derive(Debug)]
pub enum Word {
    Connected(ConnId, Result<Connected, Refusal>),
    Notice(ConnId, Box<Notice>),
    HungUp(ConnId),
    Reply(Result<Reply, Refusal>),
}

/// Anything under way.
#[derive(Debug)]
pub enum Mail {
    Control(Option<ClientId>, ControlInput),
    Worker(usize, Post),
    Client(ClientId, Word),
}

/// Where mails keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    ControlToWorker(usize),
    WorkerToControl(usize),
    WorkerToWorker(usize, usize),
    ClientToControl(ConnId),
    ControlToClient(ConnId),
    /// HTTP requests and their answers overtake each other.
    Loose,
}

/// All that is under way.
#[derive(Default)]
pub struct Mailbox {
    due: BTreeMap<(Instant, u64), Mail>,
    lanes: BTreeMap<Lane, Instant>,
    count: u64,
}

impl Mailbox {
    /// Sends by a lane, to arrive at `at` or as soon as everything before it has.
    pub fn send(&mut self, lane: Lane, at: Instant, mail: Mail) {
        let mut at = on_grid(at);
        if lane != Lane::Loose {
            let last = self.lanes.entry(lane).or_insert(at);
            at = at.max(*last);
            *last = at;
        }
        self.count += 1;
        self.due.insert((at, self.count), mail);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// What arrives now.
    pub fn arrival(&mut self, now: Instant) -> Option<Mail> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}
