//! What a thread passes on for another: the owner's way, for a while, within the bounds of both allocations.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::model::chance::Chance;
use crate::model::ids::WorkerIndex;

use super::testing::{Client, Lab, channel_data, config, user};
use super::{Ask, Flow, LEASE, LEASES_MAX, RelayMode, Turn, TurnConfig, TurnLimits, TurnOutput};

const A: &str = "203.0.113.5:40000";
const B: &str = "198.51.100.7:50000";
const TO_B: u16 = 0x4000;
const TO_A: u16 = 0x7fff;
const MEDIA: [u8; 1_000] = [0x90; 1_000];

/// A pair at its owner, and another thread whose socket gets what the first of the two sends.
struct Two {
    lab: Lab,
    holder: Turn,
    a: Client,
    b: Client,
    relayed: [SocketAddr; 2],
}

impl Two {
    fn new() -> Self {
        Self::with(TurnLimits::default())
    }

    fn with(limits: TurnLimits) -> Self {
        let shared = TurnConfig { workers: 2, limits, ..config(RelayMode::Closed) };
        let holder = Turn::new(TurnConfig { index: WorkerIndex(1), ..shared.clone() }, Chance::new([4; 32]));
        let mut lab = Lab::of(shared);
        let ((a, to_a), (b, to_b)) = (lab.allocated(A, user(1, 1)), lab.allocated(B, user(1, 2)));
        assert_eq!((lab.bind(&a, TO_B, to_b), lab.bind(&b, TO_A, to_a)), (0, 0));
        Self { lab, holder, a, b, relayed: [to_a, to_b] }
    }

    fn now(&self) -> Instant {
        self.lab.now.instant
    }

    fn wait(&mut self, time: Duration) {
        self.lab.now = self.lab.now.after(time);
        self.lab.turn.handle_timeout(self.lab.now.instant);
    }

    /// What comes of a message at the other thread: what leaves there, what it asks for.
    fn send(&mut self, message: &[u8]) -> (Option<TurnOutput>, Option<Ask>) {
        let now = self.now();
        let (passed, ask) = self.holder.pass_by_lease(self.a.flow, message, now);
        let out = self.holder.poll();
        assert_eq!((out.is_some(), self.holder.poll()), (passed, None));
        if let Some(TurnOutput::Transmit { bytes, .. }) = &out {
            self.holder.recycle(bytes.clone());
        }
        (out, ask)
    }

    /// As [`Self::send`]; what is asked for is brought to the owner, and its answer back.
    fn served(&mut self, message: &[u8]) -> bool {
        let (out, ask) = self.send(message);
        if let Some(lease) = ask.and_then(|ask| self.lab.turn.lend(ask, self.lab.now.instant)) {
            self.holder.take_lease(&lease);
        }
        out.is_some()
    }
}

#[test]
fn what_is_lent_goes_as_the_owner_would_send_it() {
    let mut two = Two::new();
    let message = channel_data(TO_B, &MEDIA);
    let owners = two.lab.send(two.a.flow, &message);
    assert!(!two.served(&message), "the first packet is the owner's to judge");
    let (out, ask) = two.send(&message);
    assert_eq!((out.into_iter().collect::<Vec<_>>(), ask), (owners, None));
    let (out, _) = two.send(&[channel_data(TO_B, b"\x80"), vec![0; 3]].concat());
    assert_eq!(out, Some(TurnOutput::Transmit { flow: two.b.flow, bytes: channel_data(TO_A, b"\x80") }), "padding may follow");
    let stats = two.holder.stats();
    assert_eq!((stats.bytes_in, stats.bytes_out), (1_001, 1_001));
}

#[test]
fn checks_and_what_is_broken_or_of_another_channel_are_handed_over() {
    let mut two = Two::new();
    two.served(&channel_data(TO_B, &MEDIA));
    assert!(two.served(&channel_data(TO_B, &MEDIA)));
    let check = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[0; 12]].concat();
    for message in [channel_data(TO_B, &check), channel_data(TO_B + 1, &MEDIA), channel_data(TO_B, &MEDIA)[..1_003].to_vec(), vec![0x40]] {
        assert_eq!(two.send(&message), (None, None));
    }
    assert!(two.served(&channel_data(TO_B, &MEDIA)), "the lease still stands");
}

#[test]
fn a_lease_in_use_is_renewed_and_one_at_rest_ends() {
    let mut two = Two::new();
    let message = channel_data(TO_B, &MEDIA);
    two.served(&message);
    let (mut passed, mut asks) = (0, 0);
    for _ in 0..250 {
        two.wait(Duration::from_millis(20));
        let (out, ask) = two.send(&message);
        passed += usize::from(out.is_some());
        if let Some(ask) = ask {
            asks += 1;
            let lease = two.lab.turn.lend(ask, two.now()).unwrap();
            two.holder.take_lease(&lease);
        }
    }
    assert!(passed == 250 && asks <= 21, "{passed} passed, {asks} asks in five seconds");
    two.wait(LEASE + Duration::from_millis(1));
    assert!(!two.served(&message), "after a rest the owner is asked before anything passes");
    assert!(two.served(&message));
}

#[test]
fn nothing_passes_half_a_second_after_the_owner_has_ended_it() {
    for end in ["revoked", "partner revoked", "refreshed to nothing", "partner's permission and channel over"] {
        let mut two = Two::new();
        let message = channel_data(TO_B, &MEDIA);
        two.served(&message);
        assert!(two.served(&message));
        match end {
            "revoked" => two.lab.turn.revoke(user(1, 1), true, two.lab.now),
            "partner revoked" => two.lab.turn.revoke(user(1, 2), true, two.lab.now),
            "refreshed to nothing" => assert_eq!(two.lab.refresh(&two.b.clone(), 0), 0),
            _ => {
                // What lapses by itself ends the lease to the moment: five minutes after the permission was given.
                two.wait(Duration::from_millis(299_900));
                two.served(&message);
                two.wait(Duration::from_millis(50));
                assert!(two.served(&message));
            }
        }
        let (mut last, start) = (None, two.now());
        for _ in 0..100 {
            two.wait(Duration::from_millis(20));
            last = if two.served(&message) { Some(two.now() - start) } else { last };
        }
        assert!(last.is_none_or(|last| last <= LEASE), "{end}: {last:?}");
    }
}

#[test]
fn no_more_passes_than_an_allocation_may() {
    let message = channel_data(TO_B, &MEDIA);
    // For four seconds, where 8 Mbit/s are allowed: 5 and 40.
    for (pause, packets) in [(Duration::from_micros(1_600), 2_500), (Duration::from_micros(200), 20_000)] {
        let mut two = Two::new();
        let (mut passed, mut handed) = (0, 0);
        for _ in 0..packets {
            two.wait(pause);
            if two.served(&message) {
                passed += 1;
            } else if !two.lab.send(two.a.flow, &message).is_empty() {
                handed += 1;
            }
        }
        let told = format!("{passed} by lease, {handed} handed over");
        if packets < 4_000 {
            assert!(passed + handed == packets && handed <= 5, "{told}");
        } else {
            // Four seconds' worth, a bucket.
            assert!((4_000..=4_260).contains(&(passed + handed)), "{told}");
        }
    }
}

#[test]
fn little_is_not_lent() {
    let mut two = Two::with(TurnLimits { bits_per_s: 10_000, ..TurnLimits::default() });
    for _ in 0..10 {
        assert!(!two.served(&channel_data(TO_B, &MEDIA)));
        two.wait(Duration::from_millis(60));
    }
}

#[test]
fn only_ways_of_a_room_between_datagrams_are_lent() {
    let mut two = Two::new();
    let now = two.now();
    let ask = |flow: Flow, channel| Ask { flow, channel, left: 0, used: false };
    let [to_a, to_b] = two.relayed;
    let flow = two.a.flow;
    assert!(two.lab.turn.lend(ask(flow, TO_B), now).is_some());
    assert_eq!(two.lab.turn.lend(ask(flow, TO_B + 1), now), None, "no such channel");
    assert_eq!(two.lab.turn.lend(ask(Lab::flow("203.0.113.99:1"), TO_B), now), None, "no such client");
    let (stranger, to_stranger) = two.lab.allocated("203.0.113.9:9", user(2, 3));
    assert_eq!((two.lab.bind(&stranger, TO_B, to_b), two.lab.bind(&two.a.clone(), TO_B + 2, to_stranger)), (0, 0));
    assert_eq!(two.lab.turn.lend(ask(stranger.flow, TO_B), now), None, "another room");
    let (third, to_third) = two.lab.allocated("203.0.113.10:9", user(1, 4));
    assert_eq!(two.lab.bind(&third, TO_B, to_a), 0);
    assert_eq!(two.lab.turn.lend(ask(third.flow, TO_B), now), None, "the partner has no channel back");
    let stream = two.lab.client(Lab::stream("203.0.113.11:9", 1), user(1, 5));
    let relayed = two.lab.ask(&stream, turn_types::message::ALLOCATE, &[super::testing::UDP]).relayed()[0];
    assert_eq!((two.lab.bind(&stream, TO_B, to_third), two.lab.bind(&third, TO_B + 1, relayed)), (0, 0));
    assert_eq!(two.lab.turn.lend(ask(third.flow, TO_B + 1), now), None, "a connection has one reader");
    assert_eq!(two.lab.turn.lend(ask(stream.flow, TO_B), now), None);
}

#[test]
fn leases_are_bounded_and_forgotten() {
    let mut two = Two::new();
    let now = two.now();
    let message = channel_data(TO_B, &MEDIA);
    let flow = |n: u32| Flow { remote: SocketAddr::new(std::net::Ipv4Addr::from_bits(n).into(), 1), ..two.a.flow };
    let count = u32::try_from(LEASES_MAX).unwrap();
    let asked = (0..count + 100).filter(|n| two.holder.pass_by_lease(flow(*n), &message, now).1.is_some()).count();
    assert_eq!((asked, two.holder.sizes()[6]), (LEASES_MAX, ("relay leases", LEASES_MAX)));
    let later = now + LEASE;
    assert!(two.holder.pass_by_lease(flow(count), &message, later).1.is_some(), "what has ended makes room");
    two.holder.expire_leases(later + LEASE);
    assert_eq!(two.holder.sizes()[6].1, 0);
}
