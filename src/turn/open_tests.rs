//! The relay with sockets of its own: what they may reach, what becomes of those that cannot be opened.

use std::net::SocketAddr;

use stun_types::attribute::AttributeStaticType as _;
use turn_types::attribute::AddressErrorCode;
use turn_types::message::{ALLOCATE, REFRESH};

use super::testing::{Answer, Client, Lab, SFU, Say, UDP, addr, channel_data, config, open, send_indication, user};
use super::{RelayMode, TurnConfig, TurnOutput};

const A: &str = "203.0.113.5:40000";
const B: &str = "198.51.100.7:50000";

/// Sends an Allocate. Returns the sockets to be opened.
fn begin(lab: &mut Lab, client: &Client, says: &[Say]) -> Vec<SocketAddr> {
    lab.transaction += 1;
    let request = client.request(ALLOCATE, lab.transaction, says);
    let binds = lab.send(client.flow, &request);
    let binds: Vec<SocketAddr> =
        binds.iter().filter_map(|out| if let TurnOutput::Bind { relayed } = out { Some(*relayed) } else { None }).collect();
    assert_eq!(lab.send(client.flow, &request), [], "a repetition waits too");
    binds
}

fn bound(lab: &mut Lab, relayed: SocketAddr, opened: bool) -> Vec<TurnOutput> {
    lab.turn.bound(relayed, opened, lab.now.instant);
    lab.drain()
}

fn allocated(lab: &mut Lab, remote: &str, person: u64, says: &[Say]) -> (Client, Vec<SocketAddr>) {
    let client = lab.client(Lab::flow(remote), user(1, person));
    let binds = begin(lab, &client, says);
    let out: Vec<TurnOutput> = binds.iter().flat_map(|relayed| bound(lab, *relayed, true)).collect();
    let [TurnOutput::Transmit { flow, bytes }] = out.as_slice() else { panic!("{out:?}") };
    let answer = Answer(bytes.clone());
    assert_eq!((*flow, answer.code(), answer.relayed()), (client.flow, 0, binds.clone()));
    (client, binds)
}

#[test]
fn answers_wait_for_the_sockets() {
    let mut lab = Lab::open();
    let (a, relayed) = allocated(&mut lab, A, 1, &[UDP, Say::Additional(2)]);
    assert_eq!(relayed.len(), 2);
    assert!(relayed.iter().all(|relayed| (50_000..=50_999).contains(&relayed.port())));
    lab.transaction += 1;
    let out = lab.send(a.flow, &a.request(REFRESH, lab.transaction, &[Say::Family(2), Say::Lifetime(0)]));
    assert_eq!((out.len(), &out[0]), (2, &TurnOutput::Unbind { relayed: relayed[1] }));
    lab.later(600);
    assert_eq!(lab.drain(), [TurnOutput::Unbind { relayed: relayed[0] }]);
    // A socket that stands after its allocation has ended is nobody's.
    assert_eq!(bound(&mut lab, relayed[0], true), []);
}

#[test]
fn older_clients_ask_for_a_second_family_by_another_number() {
    let mut lab = Lab::open();
    let (_, relayed) = allocated(&mut lab, A, 1, &[UDP, Say::Raw(0x8032, vec![2, 0, 0, 0])]);
    assert!(relayed.len() == 2 && relayed[1].is_ipv6());
}

#[test]
fn a_port_that_is_taken_is_not_the_last() {
    let mut lab = Lab::open();
    let a = lab.client(Lab::flow(A), user(1, 1));
    let mut relayed = begin(&mut lab, &a, &[UDP, Say::Even(false)])[0];
    for _ in 0..7 {
        assert_eq!(relayed.port() % 2, 0);
        let out = bound(&mut lab, relayed, false);
        let [TurnOutput::Bind { relayed: next }] = out.as_slice() else { panic!("{out:?}") };
        assert_ne!(*next, relayed);
        relayed = *next;
    }
    let out = bound(&mut lab, relayed, true);
    let [TurnOutput::Transmit { bytes, .. }] = out.as_slice() else { panic!("{out:?}") };
    assert_eq!(Answer(bytes.clone()).relayed(), [relayed]);
}

#[test]
fn a_host_without_sockets_says_so() {
    let mut lab = Lab::open();
    let a = lab.client(Lab::flow(A), user(1, 1));
    let binds = begin(&mut lab, &a, &[UDP, Say::Additional(2)]);
    assert_eq!(bound(&mut lab, binds[1], true), []);
    let mut relayed = binds[0];
    let mut tries = 0;
    let last = loop {
        tries += 1;
        let out = bound(&mut lab, relayed, false);
        match out.as_slice() {
            [TurnOutput::Bind { relayed: next }] => relayed = *next,
            _ => break out,
        }
    };
    let [TurnOutput::Unbind { relayed: stood }, TurnOutput::Transmit { bytes, .. }] = last.as_slice() else { panic!("{last:?}") };
    assert_eq!((*stood, Answer(bytes.clone()).code(), tries), (binds[1], 508, 8));
    assert_eq!((lab.size("allocations"), lab.size("relayed addresses"), lab.size("relay timers")), (0, 0, 0));
}

#[test]
fn ports_of_a_small_range_run_out() {
    let RelayMode::Open { addresses, rules, .. } = open() else { unreachable!() };
    let mode = RelayMode::Open { addresses, rules, ports: 50_001..=50_001 };
    let mut lab = Lab::of(config(mode));
    let a = lab.client(Lab::flow(A), user(1, 1));
    assert_eq!(lab.ask(&a, ALLOCATE, &[UDP, Say::Even(false)]).code(), 508, "no even port in the range");
    let (_, relayed) = allocated(&mut lab, A, 1, &[UDP]);
    assert_eq!(relayed, [addr("192.0.2.9:50001")]);
    let b = lab.client(Lab::flow(B), user(1, 2));
    assert_eq!(lab.ask(&b, ALLOCATE, &[UDP]).code(), 508);
}

#[test]
fn a_family_that_the_relay_has_not_is_refused_alone() {
    let RelayMode::Open { ports, rules, .. } = open() else { unreachable!() };
    let mut lab = Lab::of(config(RelayMode::Open { addresses: vec![addr("192.0.2.9:0").ip()], ports, rules }));
    let a = lab.client(Lab::flow(A), user(1, 1));
    assert_eq!(lab.ask(&a, ALLOCATE, &[UDP, Say::Family(2)]).code(), 440);
    let binds = begin(&mut lab, &a, &[UDP, Say::Additional(2)]);
    let out = bound(&mut lab, binds[0], true);
    let [TurnOutput::Transmit { bytes, .. }] = out.as_slice() else { panic!("{out:?}") };
    let answer = Answer(bytes.clone());
    assert_eq!((answer.code(), answer.relayed()), (0, binds));
    assert!(answer.message().has_attribute(AddressErrorCode::TYPE));
    assert_eq!(answer.message().attribute::<AddressErrorCode>().unwrap().error().code(), 440);
}

#[test]
fn packets_leave_and_come_back() {
    let mut lab = Lab::open();
    let (a, relayed) = allocated(&mut lab, A, 1, &[UDP]);
    for (number, peer) in [(0x4000, "8.8.8.8:53"), (0x4001, "10.1.2.3:80")] {
        let peer = addr(peer);
        assert_eq!(lab.bind(&a, number, peer), 0);
        for message in [channel_data(number, b"out"), send_indication(peer, b"out")] {
            assert_eq!(lab.send(a.flow, &message), [TurnOutput::Egress { relayed: relayed[0], peer, bytes: b"out".to_vec() }]);
        }
        lab.turn.deliver(relayed[0], peer, b"in", lab.now.instant);
        assert_eq!(lab.drain(), [TurnOutput::Transmit { flow: a.flow, bytes: channel_data(number, b"in") }]);
    }
    lab.turn.deliver(relayed[0], addr("8.8.4.4:53"), b"unasked", lab.now.instant);
    assert_eq!((lab.drain(), lab.dropped("no permission")), (vec![], 1));
}

#[test]
fn peers_that_are_denied_get_no_packet() {
    let mut lab = Lab::open();
    let (a, _) = allocated(&mut lab, A, 1, &[UDP, Say::Additional(2)]);
    let denied = [
        "0.0.0.0:80",
        "0.1.2.3:80",
        "127.0.0.1:80",
        "169.254.169.254:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
        "240.0.0.1:80",
        "10.2.0.1:80",
        "172.16.0.1:80",
        "192.168.1.1:80",
        "100.64.0.1:80",
        "192.0.0.8:50000",
        "[::]:80",
        "[::1]:80",
        "[fe80::1]:80",
        "[fc00::1]:80",
        "[fd00::1]:80",
        "[fec0::1]:80",
        "[ff02::1]:80",
        "[::ffff:127.0.0.1]:80",
        "[::127.0.0.1]:80",
        "[::ffff:10.2.0.1]:80",
        "[64:ff9b::7f00:1]:80",
        "[64:ff9b::a02:1]:80",
        "[2002:7f00:1::]:80",
        "[2002:c0a8:101::1]:80",
        "[2001:0:1:1:1:1:80ff:fffe]:80",
        "[2001:0:1:1:1:1:3f57:fefe]:80",
    ];
    for peer in denied.map(addr) {
        assert_eq!((lab.permit(&a, peer), lab.bind(&a, 0x4000, peer)), (403, 403), "{peer}");
        assert_eq!(lab.send(a.flow, &send_indication(peer, b"x")), [], "{peer}");
        assert_eq!(lab.send(a.flow, &channel_data(0x4000, b"x")), [], "{peer}");
    }
}

#[test]
fn own_listeners_and_no_port_are_denied_at_the_egress_too() {
    let RelayMode::Open { addresses, ports, mut rules } = open() else { unreachable!() };
    rules.listeners.push(addr("8.8.8.8:443"));
    let mut lab = Lab::of(config(RelayMode::Open { addresses, ports, rules }));
    let (a, _) = allocated(&mut lab, A, 1, &[UDP]);
    for peer in ["8.8.8.8:443", "8.8.8.8:0", "192.0.2.9:443"].map(addr) {
        // Permissions know no ports.
        assert_eq!(lab.permit(&a, peer), 0);
        assert_eq!(lab.send(a.flow, &send_indication(peer, b"x")), []);
    }
    for peer in ["8.8.8.8:443", "8.8.8.8:0"].map(addr) {
        assert_eq!(lab.bind(&a, 0x4000, peer), 403);
    }
    assert_eq!((lab.bind(&a, 0x4000, addr("8.8.8.8:444")), lab.dropped("no such peer")), (0, 3));
}

#[test]
fn the_sfu_and_partners_come_before_all_rules() {
    let rules = super::peers::OpenRules { allowed: Vec::new(), listeners: vec![addr("10.9.9.9:3478")] };
    let mode = RelayMode::Open { addresses: vec![addr("10.9.9.9:0").ip()], ports: 50_000..=50_999, rules };
    let mut lab = Lab::of(TurnConfig { sfu: vec![addr(SFU), addr("10.9.9.9:3478")], ..config(mode) });
    let (a, a_relay) = allocated(&mut lab, A, 1, &[UDP]);
    let (b, b_relay) = allocated(&mut lab, B, 2, &[UDP]);
    assert_eq!((lab.bind(&a, 0x4000, b_relay[0]), lab.bind(&b, 0x4001, a_relay[0])), (0, 0));
    assert_eq!(lab.send(a.flow, &channel_data(0x4000, b"x")), [TurnOutput::Transmit { flow: b.flow, bytes: channel_data(0x4001, b"x") }]);
    for sfu in ["10.9.9.9:3478", SFU].map(addr) {
        assert_eq!(lab.permit(&a, sfu), 0);
        assert_eq!(lab.turn.receive(a.flow, &send_indication(sfu, b"x"), lab.now).unwrap().local, sfu);
    }
    // Its neighbours on that private host, and relayed addresses that nobody has, stay out of reach.
    for peer in ["10.9.9.9:22", "10.9.9.9:51000"].map(addr) {
        assert_eq!(lab.send(a.flow, &send_indication(peer, b"x")), []);
    }
    // Nor do rooms reach each other through their sockets' addresses.
    let stranger = lab.client(Lab::flow("203.0.113.99:9"), user(2, 3));
    let binds = begin(&mut lab, &stranger, &[UDP]);
    bound(&mut lab, binds[0], true);
    assert_eq!((lab.permit(&stranger, a_relay[0]), lab.permit(&a, binds[0])), (0, 0));
    assert_eq!(lab.send(stranger.flow, &send_indication(a_relay[0], b"x")), []);
}
