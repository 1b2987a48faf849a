//! The relay as somebody else's client finds it: turn-client-proto, over datagrams or a stream.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test's own steps may fail loudly

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use stun_types::TransportType;
use stun_types::message::IntegrityAlgorithm;
use turn_client_proto::api::{TurnConfig as ClientConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::client::TurnClient;
use turn_client_proto::prelude::*;
use turn_client_proto::stun::Instant;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::TurnCredentials;
use turn_client_proto::udp::TurnClientUdp;

use konsil::model::chance::Chance;
use konsil::model::ids::{StreamId, WorkerIndex};
use konsil::model::time::Moment;
use konsil::turn::credentials::{RelaySecrets, RelayUser};
use konsil::turn::framing::{Frame, Framing};
use konsil::turn::{Flow, RelayMode, Turn, TurnConfig, TurnLimits, TurnOutput};

const SFU: &str = "192.0.2.1:3478";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn flow(remote: &str, stream: Option<u64>) -> Flow {
    Flow { remote: addr(remote), local: addr(SFU), stream: stream.map(StreamId) }
}

fn config() -> TurnConfig {
    TurnConfig {
        index: WorkerIndex(0),
        workers: 1,
        secrets: RelaySecrets::new(&[], "secret"),
        realm: "konsil".to_owned(),
        nonce_key: [7; 32],
        started: Moment { instant: std::time::Instant::now(), wall: Duration::from_hours(500_000) },
        mode: RelayMode::Closed,
        sfu: vec![addr(SFU)],
        limits: TurnLimits::default(),
    }
}

/// A foreign client, what it has heard, what of its stream is not a message yet.
struct Foreign {
    client: TurnClient,
    flow: Flow,
    events: VecDeque<TurnEvent>,
    heard: VecDeque<(SocketAddr, Vec<u8>)>,
    stream: Vec<u8>,
}

impl Foreign {
    fn new(relay: &TurnConfig, flow: Flow, person: u64, algorithm: IntegrityAlgorithm) -> Self {
        let user = RelayUser { worker: None, group: 1, person };
        let (name, password) = relay.secrets.mint(user, relay.started.unix_seconds() + 600);
        let mut config = ClientConfig::new(TurnCredentials::new(&name, &password));
        config.set_supported_integrity(algorithm);
        let client = match flow.stream {
            None => TurnClient::from(TurnClientUdp::allocate(flow.remote, flow.local, config)),
            Some(_) => TurnClient::from(TurnClientTcp::allocate(flow.remote, flow.local, config)),
        };
        Self { client, flow, events: VecDeque::new(), heard: VecDeque::new(), stream: Vec::new() }
    }

    fn transport(&self) -> TransportType {
        if self.flow.stream.is_some() { TransportType::Tcp } else { TransportType::Udp }
    }

    fn receive(&mut self, message: &[u8], now: Instant) {
        let mut bytes = Vec::new();
        match self.flow.stream {
            None => bytes.extend_from_slice(message),
            Some(_) => Framing::Turn.write(message, &mut bytes),
        }
        // A stream may be cut anywhere.
        let cut = if self.flow.stream.is_some() { bytes.len() / 3 } else { bytes.len() };
        for part in [&bytes[..cut], &bytes[cut..]].into_iter().filter(|part| !part.is_empty()) {
            let transmit = Transmit { data: part.to_vec(), transport: self.transport(), from: self.flow.local, to: self.flow.remote };
            match self.client.recv(transmit, now) {
                TurnRecvRet::PeerData(data) => self.heard.push_back((data.peer, data.data().to_vec())),
                // It repeats requests that it was slow to send, so some answers come twice.
                TurnRecvRet::Handled | TurnRecvRet::Ignored(_) => {}
                other @ TurnRecvRet::PeerIcmp { .. } => panic!("{other:?}"),
            }
        }
        while let Some(data) = self.client.poll_recv(now) {
            self.heard.push_back((data.peer, data.data().to_vec()));
        }
    }

    /// Messages in what was written to the stream, or the datagram.
    fn cut(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        if self.flow.stream.is_none() {
            return vec![bytes.to_vec()];
        }
        self.stream.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Frame::Whole { start, end, next } = Framing::Turn.next(&self.stream) {
            messages.push(self.stream[start..end].to_vec());
            self.stream.drain(..next);
        }
        assert_eq!(Framing::Turn.next(&self.stream), Frame::Partial);
        messages
    }
}

/// A relay with foreign clients at it.
struct Meeting {
    turn: Turn,
    now: Moment,
    clients: Vec<Foreign>,
    started: std::time::Instant,
    /// What came to the SFU.
    passed: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Meeting {
    fn of_two() -> Self {
        let config = config();
        let clients = vec![
            Foreign::new(&config, flow("203.0.113.5:40000", None), 1, IntegrityAlgorithm::Sha1),
            Foreign::new(&config, flow("198.51.100.7:50000", Some(7)), 2, IntegrityAlgorithm::Sha256),
        ];
        let now = config.started;
        let turn = Turn::new(config, Chance::new([3; 32]));
        Self { turn, now, started: now.instant, clients, passed: VecDeque::new() }
    }

    fn client_time(&self) -> Instant {
        Instant::ZERO + (self.now.instant - self.started)
    }

    fn hand_over(&mut self, from: usize, bytes: &[u8]) {
        for message in self.clients[from].cut(bytes) {
            if let Some(passed) = self.turn.receive(self.clients[from].flow, &message, self.now) {
                self.passed.push_back((passed.source, passed.bytes.to_vec()));
            }
        }
    }

    /// Carries messages until nobody has any. Clients send their requests 50 ms apart.
    fn settle(&mut self) {
        for _ in 0..12 {
            self.pass(Duration::from_millis(50));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        let instant = self.now.instant;
        self.turn.handle_timeout(instant);
        let now = self.client_time();
        // What the relay answers may call for more at once.
        for _ in 0..3 {
            for at in 0..self.clients.len() {
                while let Some(event) = self.clients[at].client.poll_event() {
                    self.clients[at].events.push_back(event);
                }
                assert!(matches!(self.clients[at].client.poll(now), TurnPollRet::WaitUntil(_) | TurnPollRet::Closed));
                while let Some(transmit) = self.clients[at].client.poll_transmit(now) {
                    self.hand_over(at, &transmit.data);
                }
            }
            while let Some(out) = self.turn.poll() {
                let TurnOutput::Transmit { flow, bytes } = out else { panic!("{out:?}") };
                let to = self.clients.iter_mut().find(|client| client.flow == flow).unwrap();
                to.receive(&bytes, now);
            }
        }
    }

    fn relayed(&self, at: usize) -> SocketAddr {
        self.clients[at].client.relayed_addresses().next().unwrap().1
    }

    fn send(&mut self, from: usize, to: SocketAddr, data: &[u8]) {
        let now = self.client_time();
        let built = self.clients[from].client.send_to(TransportType::Udp, to, data.to_vec(), now).unwrap();
        if let Some(transmit) = built {
            self.hand_over(from, &transmit.build().data);
        }
        self.settle();
    }
}

#[test]
fn two_foreign_clients_talk_through_the_relay() {
    let mut meeting = Meeting::of_two();
    meeting.settle();
    let relays = [meeting.relayed(0), meeting.relayed(1)];
    for (at, peer) in [(0, relays[1]), (1, relays[0])] {
        let now = meeting.client_time();
        meeting.clients[at].client.create_permission(TransportType::Udp, peer.ip(), now).unwrap();
    }
    meeting.settle();
    for round in 0..2 {
        // In streams this client knows nothing of the padding of ChannelData (RFC 8656 §12.5): these lengths need none.
        for len in [4, 8, 1_200] {
            for (from, to) in [(0, 1), (1, 0)] {
                let data = vec![7; len];
                meeting.send(from, relays[to], &data);
                assert_eq!(meeting.clients[to].heard.pop_front(), Some((relays[from], data)), "{len} {from} {:?}", meeting.turn.stats());
            }
        }
        // The second round goes through channels.
        if round == 0 {
            for (at, peer) in [(0, relays[1]), (1, relays[0])] {
                let now = meeting.client_time();
                meeting.clients[at].client.bind_channel(TransportType::Udp, peer, now).unwrap();
            }
            meeting.settle();
        }
    }
    for (at, peer) in [(0, relays[1]), (1, relays[0])] {
        let events = &meeting.clients[at].events;
        assert!(events.iter().any(|event| matches!(event, TurnEvent::AllocationCreated(..))));
        assert!(events.iter().any(|event| matches!(event, TurnEvent::ChannelCreated(_, bound) if *bound == peer)), "{events:?}");
    }
    let stats = meeting.turn.stats();
    assert_eq!((stats.bytes_in, stats.bytes_out), (4 * 1_212, 4 * 1_212));
    assert_eq!(stats.dropped, std::collections::BTreeMap::new());
}

#[test]
fn a_foreign_client_speaks_to_the_sfu_for_hours() {
    let mut meeting = Meeting::of_two();
    meeting.settle();
    let (sfu, now) = (addr(SFU), meeting.client_time());
    meeting.clients[1].client.create_permission(TransportType::Udp, sfu.ip(), now).unwrap();
    meeting.settle();
    let relayed = meeting.relayed(1);
    // Credentials last ten minutes, nonces too; refreshes carry the call on.
    for _ in 0..2 * 3_600 {
        meeting.pass(Duration::from_secs(1));
    }
    meeting.send(1, sfu, b"still here");
    assert_eq!(meeting.passed.pop_front(), Some((relayed, b"still here".to_vec())));
    let instant = meeting.now.instant;
    meeting.turn.deliver(relayed, sfu, b"so am I", instant);
    meeting.settle();
    assert_eq!(meeting.clients[1].heard.pop_front(), Some((sfu, b"so am I".to_vec())));
    let now = meeting.client_time();
    meeting.clients[1].client.delete(now).unwrap();
    meeting.settle();
    assert_eq!(meeting.turn.stats().allocations, 1);
}

#[test]
fn a_foreign_client_learns_what_is_forbidden() {
    let mut meeting = Meeting::of_two();
    meeting.settle();
    let now = meeting.client_time();
    let denied = addr("10.0.0.1:80");
    meeting.clients[0].client.create_permission(TransportType::Udp, denied.ip(), now).unwrap();
    meeting.settle();
    let failed = |event: &TurnEvent| matches!(event, TurnEvent::PermissionCreateFailed(_, ip) if *ip == denied.ip());
    assert!(meeting.clients[0].events.iter().any(failed), "{:?}", meeting.clients[0].events);
}
