//! Two workers with a pair at the relay of one of them, whose one half reaches the other's socket.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stun_types::attribute::Nonce;
use turn_types::message::{ALLOCATE, CHANNEL_BIND};

use crate::model::chance::Chance;
use crate::model::ids::WorkerIndex;
use crate::room::media::MediaCommand;
use crate::turn::testing::{Answer, Client, Proof, SFU, START, Say, UDP, addr, channel_data, config, secrets, user};
use crate::turn::{Flow, LEASE, RelayMode};

use super::{Worker, WorkerConfig, WorkerInput, WorkerOutput};

const A: &str = "203.0.113.5:40000";
const B: &str = "198.51.100.7:50000";
const MEDIA: [u8; 200] = [0x90; 200];

/// What came of a datagram.
#[derive(Debug, Default)]
struct Came {
    sent: Vec<(SocketAddr, Vec<u8>)>,
    handed_over: usize,
    lent: usize,
}

struct Two {
    workers: [Worker; 2],
    now: Instant,
    transaction: u128,
}

impl Two {
    fn new() -> Self {
        let now = Instant::now();
        let worker = |index| {
            let relay = config(RelayMode::Closed);
            let config =
                WorkerConfig { index: WorkerIndex(index), workers: 2, candidates: vec![addr(SFU)], tcp_candidates: Vec::new(), relay };
            Worker::new(config, Chance::new([index; 32]), now)
        };
        Self { workers: [worker(0), worker(1)], now, transaction: 0 }
    }

    /// A datagram reaches a worker's socket; what the workers have for each other is brought over.
    fn send(&mut self, at: usize, source: &str, bytes: &[u8]) -> Came {
        let input = WorkerInput::Datagram { source: addr(source), local: addr(SFU), bytes };
        self.workers[at].handle(input, self.now);
        self.settle(at)
    }

    fn settle(&mut self, first: usize) -> Came {
        let mut came = Came::default();
        for at in [first, 1 - first, first] {
            while let Some(output) = self.workers[at].poll() {
                let other = &mut self.workers[1 - at];
                match output {
                    WorkerOutput::Transmit { destination, bytes, .. } => came.sent.push((destination, bytes)),
                    WorkerOutput::HandOver { source, local, bytes, .. } => {
                        came.handed_over += 1;
                        other.handle(WorkerInput::HandedOver { source, local, bytes: &bytes }, self.now);
                    }
                    WorkerOutput::Learned { source, relay } => {
                        let worker = WorkerIndex(u8::try_from(at).unwrap());
                        other.handle(WorkerInput::Learned { source, worker, relay }, self.now);
                    }
                    WorkerOutput::AskLease { worker, ask } => {
                        assert_eq!(usize::from(worker.0), 1 - at);
                        other.handle(WorkerInput::LeaseAsked { from: WorkerIndex(u8::try_from(at).unwrap()), ask }, self.now);
                    }
                    WorkerOutput::Lend { lease, .. } => {
                        came.lent += 1;
                        other.handle(WorkerInput::Lent(lease), self.now);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        came
    }

    /// An answer by whichever worker has the client.
    fn ask(&mut self, at: usize, client: &Client, method: stun_types::message::Method, says: &[Say]) -> Answer {
        self.transaction += 1;
        let request = client.request(method, self.transaction, says);
        let source = client.flow.remote.to_string();
        let (to, answer) = self.send(at, &source, &request).sent.pop().expect("an answer");
        assert_eq!(to, client.flow.remote);
        Answer(answer)
    }

    /// A client of the first worker's relay, whose datagrams reach the socket of worker `at`.
    fn allocated(&mut self, at: usize, remote: &str, person: u64) -> (Client, SocketAddr) {
        let (name, password) = secrets().mint(user(1, person), START + 3_600);
        let flow = Flow { remote: addr(remote), local: addr(SFU), stream: None };
        let mut client = Client { flow, name, password, nonce: String::new(), proof: Proof::None };
        let challenge = self.ask(at, &client, ALLOCATE, &[UDP]);
        challenge.message().attribute::<Nonce>().unwrap().nonce().clone_into(&mut client.nonce);
        client.proof = Proof::Sha1;
        let answer = self.ask(at, &client, ALLOCATE, &[UDP]);
        assert_eq!(answer.code(), 0);
        (client, answer.relayed()[0])
    }

    /// Two of a room, the first with its datagrams at the wrong socket.
    fn paired() -> Self {
        let mut two = Self::new();
        let ((a, to_a), (b, to_b)) = (two.allocated(1, A, 1), two.allocated(0, B, 2));
        assert_eq!(two.ask(1, &a, CHANNEL_BIND, &[Say::Channel(0x4000), Say::Peer(to_b)]).code(), 0);
        assert_eq!(two.ask(0, &b, CHANNEL_BIND, &[Say::Channel(0x4001), Say::Peer(to_a)]).code(), 0);
        two
    }
}

#[test]
fn the_wrong_socket_forwards_by_itself_after_the_first_packet() {
    let mut two = Two::paired();
    let first = two.send(1, A, &channel_data(0x4000, &MEDIA));
    assert_eq!((first.handed_over, first.lent), (1, 1));
    let mut asked = 0;
    for _ in 0..100 {
        two.now += Duration::from_millis(20);
        let came = two.send(1, A, &channel_data(0x4000, &MEDIA));
        assert_eq!((came.handed_over, came.sent), (0, vec![(addr(B), channel_data(0x4001, &MEDIA))]));
        asked += came.lent;
    }
    assert!((4..=10).contains(&asked), "{asked} renewals in two seconds");
    let back = two.send(0, B, &channel_data(0x4001, &MEDIA));
    assert_eq!((back.handed_over, back.sent), (0, vec![(addr(A), channel_data(0x4000, &MEDIA))]));
}

#[test]
fn a_revoked_partner_gets_nothing_after_the_lease() {
    let mut two = Two::paired();
    two.send(1, A, &channel_data(0x4000, &MEDIA));
    two.workers[0].handle(WorkerInput::Command(MediaCommand::EndRelay { group: 1, person: 2, may_return: true }), two.now);
    two.settle(0);
    let ended = two.now;
    let mut last = None;
    for _ in 0..100 {
        two.now += Duration::from_millis(20);
        let came = two.send(1, A, &channel_data(0x4000, &MEDIA));
        last = if came.sent.is_empty() { last } else { Some(two.now - ended) };
    }
    assert!(last.is_some_and(|last| last <= LEASE), "{last:?}");
}

#[test]
fn news_that_are_lost_cost_only_hand_overs() {
    let mut two = Two::paired();
    for _ in 0..20 {
        two.now += Duration::from_millis(20);
        two.workers[1].handle(WorkerInput::Datagram { source: addr(A), local: addr(SFU), bytes: &channel_data(0x4000, &MEDIA) }, two.now);
        let outputs: Vec<_> = std::iter::from_fn(|| two.workers[1].poll()).collect();
        assert!(outputs.iter().any(|output| matches!(output, WorkerOutput::HandOver { .. })), "{outputs:?}");
    }
    assert_eq!(two.workers[1].sizes().into_iter().find(|(name, _)| *name == "relay leases").unwrap().1, 1);
    assert_eq!(two.send(1, A, &channel_data(0x4000, &MEDIA)).sent.len(), 1);
}

#[test]
fn strangers_make_no_leases() {
    let mut two = Two::paired();
    let came = two.send(1, "203.0.113.66:6", &channel_data(0x4000, &MEDIA));
    assert!(came.sent.is_empty() && came.handed_over == 0, "{came:?}");
    assert_eq!(two.workers[1].sizes().into_iter().find(|(name, _)| *name == "relay leases").unwrap().1, 0);
}
