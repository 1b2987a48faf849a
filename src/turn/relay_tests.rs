//! What an allocation may do: permissions, channels, data each way (RFC 8656 §9 to §12).

use std::net::SocketAddr;
use std::time::Duration;

use stun_types::attribute::UnknownAttributes;
use stun_types::message::{Message, MessageClass, MessageWrite as _, Method};
use turn_types::attribute::{Data, XorPeerAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, DATA, REFRESH, SEND};

use super::testing::{Client, Lab, SFU, Say, UDP, addr, begin, channel_data, config, send_indication, user};
use super::{RelayMode, TurnConfig, TurnLimits, TurnOutput, worker_of};

const A: &str = "203.0.113.5:40000";
const B: &str = "198.51.100.7:50000";

/// Two of one room, each with its relayed address.
fn pair(lab: &mut Lab) -> [(Client, SocketAddr); 2] {
    [lab.allocated(A, user(1, 1)), lab.allocated(B, user(1, 2))]
}

fn renew(lab: &mut Lab, client: &mut Client) {
    client.nonce = lab.client(client.flow, user(1, 1)).nonce;
}

/// The one message to a client.
#[track_caller]
fn only(out: Vec<TurnOutput>, to: &Client) -> Vec<u8> {
    match <[TurnOutput; 1]>::try_from(out) {
        Ok([TurnOutput::Transmit { flow, bytes }]) if flow == to.flow => bytes,
        other => panic!("{other:?}"),
    }
}

/// Who a Data indication is from, what it says.
fn data_of(bytes: &[u8]) -> (SocketAddr, Vec<u8>) {
    let message = Message::from_bytes(bytes).unwrap();
    assert!(message.has_class(MessageClass::Indication) && message.has_method(DATA));
    let peer = message.attribute::<XorPeerAddress>().unwrap().addr(message.transaction_id());
    (peer, message.attribute::<Data>().unwrap().data().to_vec())
}

#[test]
fn two_of_a_room_reach_each_other_by_channel() {
    let mut lab = Lab::closed();
    let [(a, a_relay), (b, b_relay)] = pair(&mut lab);
    assert_eq!((lab.bind(&a, 0x4000, b_relay), lab.bind(&b, 0x7fff, a_relay)), (0, 0));
    for data in [b"".as_slice(), b"x", b"hello", &[7; 1_200]] {
        assert_eq!(only(lab.send(a.flow, &channel_data(0x4000, data)), &b), channel_data(0x7fff, data));
        // In UDP too padding may follow (RFC 8656 §12.5).
        let padded = [channel_data(0x7fff, data), vec![0; 3]].concat();
        assert_eq!(only(lab.send(b.flow, &padded), &a), channel_data(0x4000, data));
    }
    let stats = lab.turn.stats();
    assert_eq!((stats.bytes_in, stats.bytes_out, stats.allocations), (2 * 1_206, 2 * 1_206, 2));
}

#[test]
fn two_of_a_room_reach_each_other_by_indication() {
    let mut lab = Lab::closed();
    let [(a, a_relay), (b, b_relay)] = pair(&mut lab);
    assert_eq!(lab.send(a.flow, &send_indication(b_relay, b"hi")), []);
    assert_eq!(lab.permit(&a, b_relay), 0);
    assert_eq!(lab.send(a.flow, &send_indication(b_relay, b"hi")), [], "the other has not permitted it yet");
    assert_eq!(lab.dropped("no permission"), 2);
    assert_eq!(lab.permit(&b, a_relay), 0);
    for data in [b"".as_slice(), b"hi", &[9; 1_200]] {
        assert_eq!(data_of(&only(lab.send(a.flow, &send_indication(b_relay, data)), &b)), (a_relay, data.to_vec()));
    }
    assert_eq!(lab.bind(&a, 0x4001, b_relay), 0);
    assert_eq!(only(lab.send(b.flow, &send_indication(a_relay, b"yes")), &a), channel_data(0x4001, b"yes"));
}

#[test]
fn rooms_do_not_reach_each_other() {
    let mut lab = Lab::closed();
    let (a, a_relay) = lab.allocated(A, user(1, 1));
    let (b, b_relay) = lab.allocated(B, user(2, 2));
    // All relayed addresses share one IP, so both may have the permission, and it is worth nothing.
    assert_eq!((lab.bind(&a, 0x4000, b_relay), lab.bind(&b, 0x4000, a_relay)), (0, 0));
    assert_eq!(lab.send(a.flow, &channel_data(0x4000, b"x")), []);
    assert_eq!(lab.send(b.flow, &send_indication(a_relay, b"x")), []);
    assert_eq!((lab.dropped("no such peer"), lab.turn.stats().bytes_out), (2, 0));
}

#[test]
fn the_sfu_is_reached_at_its_address_and_no_other() {
    let mut lab = Lab::closed();
    let (a, relay) = lab.allocated(A, user(1, 1));
    let sfu = addr(SFU);
    assert_eq!(lab.bind(&a, 0x4000, sfu), 0);
    for message in [channel_data(0x4000, b"media"), send_indication(sfu, b"media")] {
        let passed = lab.turn.receive(a.flow, &message, lab.now).unwrap();
        assert_eq!((passed.source, passed.local, passed.bytes), (relay, sfu, b"media".as_slice()));
        assert_eq!(lab.turn.poll(), None);
    }
    lab.turn.deliver(relay, sfu, b"back", lab.now.instant);
    let out = lab.drain();
    assert_eq!(only(out, &a), channel_data(0x4000, b"back"));
    assert_eq!(lab.turn.flow_behind(relay), Some(a.flow));
    // The same host, another port: permitted by its address, but nobody is there.
    assert_eq!(lab.send(a.flow, &send_indication(addr("192.0.2.1:22"), b"x")), []);
    lab.turn.deliver(relay, addr("192.0.2.2:3478"), b"never asked for", lab.now.instant);
    lab.turn.deliver(addr("192.0.0.8:1"), sfu, b"to nobody", lab.now.instant);
    assert_eq!(lab.drain(), []);
    assert_eq!((lab.dropped("no such peer"), lab.dropped("no permission"), lab.dropped("no allocation")), (1, 1, 1));
}

#[test]
fn peers_of_the_closed_relay_are_the_sfu_or_partners() {
    let mut lab = Lab::closed();
    let (a, _) = lab.allocated(A, user(1, 1));
    let v4 = ["8.8.8.8:53", "10.0.0.1:80", "127.0.0.1:9478", "0.0.0.0:1", "192.0.2.2:3478", "192.0.0.9:50000", "255.255.255.255:1"];
    for peer in v4.map(addr) {
        assert_eq!((lab.permit(&a, peer), lab.bind(&a, 0x4000, peer)), (403, 403), "{peer}");
        assert_eq!(lab.send(a.flow, &send_indication(peer, b"x")), []);
    }
    assert_eq!((lab.bind(&a, 0x4000, addr("192.0.2.1:0")), lab.bind(&a, 0x4000, addr("192.0.0.8:0"))), (403, 403));
    let c = lab.client(Lab::flow(B), user(1, 3));
    assert_eq!(lab.ask(&c, ALLOCATE, &[UDP, Say::Family(2)]).code(), 0);
    for peer in
        ["[::1]:80", "[::]:80", "[::ffff:192.0.0.8]:50000", "[::ffff:127.0.0.1]:80", "[64:ff9b::7f00:1]:80", "[fe80::1]:1"].map(addr)
    {
        assert_eq!((lab.permit(&c, peer), lab.bind(&c, 0x4000, peer)), (403, 403), "{peer}");
    }
    // Such refusals are what ICE runs into all the time: they are not failures of the user's.
    for _ in 0..100 {
        assert_eq!(lab.permit(&c, addr("[::1]:80")), 403);
    }
    // One bad peer among good ones spoils the request.
    let says = [Say::Peer(addr(SFU)), Say::Peer(addr("8.8.8.8:1"))];
    assert_eq!(lab.ask(&a, CREATE_PERMISSION, &says).code(), 403);
    assert_eq!(lab.turn.receive(a.flow, &send_indication(addr(SFU), b"x"), lab.now), None);
}

#[test]
fn permissions_end_after_five_minutes() {
    let mut lab = Lab::closed();
    let (a, relay) = lab.allocated(A, user(1, 1));
    assert_eq!(lab.permit(&a, addr(SFU)), 0);
    lab.later(299);
    assert!(lab.turn.receive(a.flow, &send_indication(addr(SFU), b"x"), lab.now).is_some());
    assert_eq!(lab.permit(&a, addr(SFU)), 0);
    lab.later(299);
    assert!(lab.turn.receive(a.flow, &send_indication(addr(SFU), b"x"), lab.now).is_some());
    lab.later(1);
    assert!(lab.turn.receive(a.flow, &send_indication(addr(SFU), b"x"), lab.now).is_none());
    lab.turn.deliver(relay, addr(SFU), b"x", lab.now.instant);
    assert_eq!((lab.drain(), lab.dropped("no permission")), (vec![], 2));
}

#[test]
fn channels_end_after_ten_minutes() {
    let mut lab = Lab::closed();
    let (mut a, relay) = lab.allocated(A, user(1, 1));
    lab.later(10);
    assert_eq!((lab.refresh(&a, 3_600), lab.bind(&a, 0x4000, addr(SFU))), (0, 0));
    lab.later(580);
    assert_eq!(lab.bind(&a, 0x4000, addr(SFU)), 0);
    lab.later(599);
    assert!(lab.turn.receive(a.flow, &channel_data(0x4000, b"x"), lab.now).is_some());
    renew(&mut lab, &mut a);
    assert_eq!((lab.bind(&a, 0x4001, addr(SFU)), lab.permit(&a, addr(SFU))), (400, 0));
    lab.later(1);
    assert!(lab.turn.receive(a.flow, &channel_data(0x4000, b"x"), lab.now).is_none());
    lab.turn.deliver(relay, addr(SFU), b"x", lab.now.instant);
    let out = lab.drain();
    assert_eq!(data_of(&only(out, &a)), (addr(SFU), b"x".to_vec()));
    assert_eq!((lab.bind(&a, 0x4001, addr(SFU)), lab.dropped("no channel")), (0, 1));
}

#[test]
fn a_channel_stands_for_one_peer() {
    let mut lab = Lab::closed();
    let (a, _) = lab.allocated(A, user(1, 1));
    let [one, two] = ["192.0.0.8:50000", "192.0.0.8:50001"].map(addr);
    assert_eq!((lab.bind(&a, 0x4000, one), lab.bind(&a, 0x4000, one)), (0, 0));
    assert_eq!((lab.bind(&a, 0x4000, two), lab.bind(&a, 0x4001, one)), (400, 400));
    assert_eq!((lab.bind(&a, 0x4001, two), lab.bind(&a, 0x3fff, addr(SFU)), lab.bind(&a, 0x8000, addr(SFU))), (0, 400, 400));
    assert_eq!(lab.ask(&a, CHANNEL_BIND, &[Say::Channel(0x4002)]).code(), 400);
    assert_eq!(lab.ask(&a, CHANNEL_BIND, &[Say::Peer(addr(SFU))]).code(), 400);
    let lengths = [vec![], vec![0x40], vec![0x40, 0, 0, 9, 1], vec![0x4f, 0xff, 0, 0]];
    lengths.iter().for_each(|message| assert_eq!(lab.send(a.flow, message), []));
    assert_eq!((lab.dropped("malformed"), lab.dropped("no channel")), (3, 1));
}

#[test]
fn permissions_and_channels_are_counted() {
    let limits = TurnLimits { permissions: 2, channels: 2, ..TurnLimits::default() };
    let sfu: Vec<SocketAddr> = (1..=4).map(|host| addr(&format!("192.0.2.{host}:3478"))).collect();
    let mut lab = Lab::of(TurnConfig { limits, sfu: sfu.clone(), ..config(RelayMode::Closed) });
    let (a, _) = lab.allocated(A, user(1, 1));
    let all: Vec<Say> = sfu.iter().map(|sfu| Say::Peer(*sfu)).collect();
    assert_eq!(lab.ask(&a, CREATE_PERMISSION, &all).code(), 508);
    assert_eq!(lab.turn.receive(a.flow, &send_indication(sfu[0], b"x"), lab.now), None, "all permissions or none");
    assert_eq!(lab.ask(&a, CREATE_PERMISSION, &all[..2]).code(), 0);
    assert_eq!((lab.permit(&a, sfu[2]), lab.permit(&a, sfu[1])), (508, 0));
    assert_eq!(lab.bind(&a, 0x4000, sfu[2]), 508);
    assert_eq!(lab.turn.receive(a.flow, &channel_data(0x4000, b"x"), lab.now), None, "a channel that was refused does not stand");
    assert_eq!((lab.bind(&a, 0x4000, sfu[0]), lab.bind(&a, 0x4001, sfu[1])), (0, 0));
    assert_eq!((lab.bind(&a, 0x4002, addr("192.0.2.1:9")), lab.bind(&a, 0x4001, sfu[1])), (508, 0));
    lab.later(300);
    assert_eq!(lab.ask(&a, CREATE_PERMISSION, &all[2..]).code(), 0, "those that ended make room");
}

#[test]
fn permissions_need_peers_that_can_be_read() {
    let mut lab = Lab::closed();
    let (a, _) = lab.allocated(A, user(1, 1));
    let bad = [vec![], vec![0, 1, 0], vec![0, 1, 0, 0, 1, 2, 3], vec![0, 9, 0, 0, 1, 2, 3, 4], vec![0, 2, 0, 0, 1, 2, 3, 4]];
    for value in bad {
        let says = [Say::Peer(addr(SFU)), Say::Raw(0x0012, value)];
        assert_eq!(lab.ask(&a, CREATE_PERMISSION, &says[1..]).code(), 400);
        assert_eq!(lab.ask(&a, CREATE_PERMISSION, &says).code(), 400);
    }
    assert_eq!(lab.ask(&a, CREATE_PERMISSION, &[]).code(), 400);
    assert_eq!(lab.turn.receive(a.flow, &send_indication(addr(SFU), b"x"), lab.now), None);
    assert_eq!((lab.permit(&a, addr("[100::8]:50000")), lab.bind(&a, 0x4000, addr("[2001:db8::1]:3478"))), (443, 443));
}

#[test]
fn indications_that_are_not_understood_are_dropped() {
    let mut lab = Lab::closed();
    let (a, _) = lab.allocated(A, user(1, 1));
    assert_eq!(lab.permit(&a, addr(SFU)), 0);
    let (peer, data) = (Say::Peer(addr(SFU)), Say::Raw(0x0013, b"x".to_vec()));
    let indication = |method: Method, says: &[Say]| begin(MessageClass::Indication, method, 1, says).finish();
    for message in [
        indication(SEND, std::slice::from_ref(&peer)),
        indication(SEND, std::slice::from_ref(&data)),
        indication(SEND, &[peer.clone(), data.clone(), Say::Raw(0x7fff, vec![])]),
        indication(DATA, &[peer.clone(), data.clone()]),
    ] {
        assert_eq!(lab.send(a.flow, &message), []);
    }
    let marked = indication(SEND, &[peer, data, Say::Raw(0x001a, vec![]), Say::Raw(0xffff, vec![1])]);
    assert!(lab.turn.receive(a.flow, &marked, lab.now).is_some(), "DONT-FRAGMENT is known, the other need not be");
    assert_eq!((lab.dropped("malformed"), lab.dropped("unknown attribute"), lab.dropped("unknown method")), (2, 1, 1));
}

#[test]
fn each_way_has_its_bandwidth() {
    let mut lab = Lab::closed();
    let (a, relay) = lab.allocated(A, user(1, 1));
    assert_eq!(lab.bind(&a, 0x4000, addr(SFU)), 0);
    let data = [1; 1_000];
    let (mut to, mut back) = (0, 0);
    // Three seconds at three times what is allowed.
    for _ in 0..9_000 {
        lab.now = lab.now.after(Duration::from_micros(333));
        to += usize::from(lab.turn.receive(a.flow, &channel_data(0x4000, &data), lab.now).is_some());
        lab.turn.deliver(relay, addr(SFU), &data, lab.now.instant);
        back += lab.drain().len();
    }
    // 1,000 packets a second, and the 250 that a full bucket holds.
    assert!((3_200..=3_260).contains(&to) && (3_200..=3_260).contains(&back), "{to} {back}");
    assert_eq!(lab.dropped("too fast"), 18_000 - u64::try_from(to + back).unwrap());
}

#[test]
fn what_is_too_long_for_a_message_is_dropped() {
    let mut lab = Lab::closed();
    let (a, relay) = lab.allocated(A, user(1, 1));
    assert_eq!(lab.permit(&a, addr(SFU)), 0);
    let before = lab.turn.stats().bytes_out;
    for len in [65_535, 65_536, 70_000, 65_500] {
        lab.turn.deliver(relay, addr(SFU), &vec![0; len], lab.now.instant);
        let sent = lab.drain();
        assert_eq!(sent.len(), usize::from(len == 65_500), "{len}");
        lab.later(10);
    }
    assert_eq!((lab.turn.stats().bytes_out - before, lab.dropped("oversize")), (65_500, 3));
}

#[test]
fn allocations_are_of_udp() {
    let mut lab = Lab::closed();
    let a = lab.client(Lab::flow(A), user(1, 1));
    for (says, code) in [
        (vec![], 400),
        (vec![Say::Raw(0x0019, vec![17])], 400),
        (vec![Say::Transport(6)], 442),
        (vec![Say::Transport(0)], 442),
        (vec![UDP, Say::Family(3)], 440),
        (vec![UDP, Say::Additional(1)], 400),
        (vec![UDP, Say::Additional(3)], 400),
        (vec![UDP, Say::Raw(0x8000, vec![2])], 400),
        (vec![UDP, Say::Additional(2), Say::Family(1)], 400),
        (vec![UDP, Say::Additional(2), Say::Even(true)], 400),
        // Reservations are not offered: there is no room for them, nor does any token stand for one.
        (vec![UDP, Say::Even(true)], 508),
        (vec![UDP, Say::Token], 508),
        (vec![UDP, Say::Token, Say::Even(false)], 400),
        (vec![UDP, Say::Token, Say::Family(1)], 400),
        (vec![UDP, Say::Token, Say::Additional(2)], 400),
    ] {
        assert_eq!(lab.ask(&a, ALLOCATE, &says).code(), code, "{says:?}");
    }
    assert_eq!(lab.size("allocations"), 0);
    assert_eq!(lab.ask(&a, ALLOCATE, &[UDP, Say::Raw(0x001a, vec![])]).code(), 0, "DONT-FRAGMENT");
}

#[test]
fn attributes_that_must_be_understood_are_named() {
    let mut lab = Lab::closed();
    let a = lab.client(Lab::flow(A), user(1, 1));
    // ACCESS-TOKEN of OAuth, one that nobody knows; MOBILITY-TICKET need not be understood.
    let says = [UDP, Say::Raw(0x001b, vec![1; 4]), Say::Raw(0x7abc, vec![]), Say::Raw(0x8030, vec![])];
    for method in [ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND] {
        let answer = lab.ask(&a, method, &says);
        let unknown = answer.message().attribute::<UnknownAttributes>().unwrap();
        assert_eq!(answer.code(), 420);
        assert!(unknown.has_attribute(0x001b.into()) && unknown.has_attribute(0x7abc.into()) && !unknown.has_attribute(0x8030.into()));
    }
    assert_eq!(lab.ask(&a, ALLOCATE, &[UDP, Say::Raw(0x8030, vec![])]).code(), 0);
    // Connect and ConnectionBind of RFC 6062, and a method of nobody's.
    for method in [0x00a, 0x00b, 0x0ff] {
        assert!(lab.try_ask(&a, Method::new(method), &[]).is_none());
    }
}

#[test]
fn ports_are_even_on_request_and_the_workers_own() {
    for index in 0..3 {
        let limits = TurnLimits { per_user: 500, ..TurnLimits::default() };
        let index = crate::model::ids::WorkerIndex(index);
        let mut lab = Lab::of(TurnConfig { limits, index, workers: 3, ..config(RelayMode::Closed) });
        for port in 1..200 {
            let a = lab.client(Lab::flow(&format!("203.0.113.{port}:1")), user(1, 1));
            let even = port % 2 == 0;
            let says = if even { vec![UDP, Say::Even(false)] } else { vec![UDP] };
            let relayed = lab.ask(&a, ALLOCATE, &says).relayed()[0];
            assert!(!even || relayed.port().is_multiple_of(2));
            assert_eq!(worker_of(relayed, 3), Some(index), "{relayed}");
        }
        assert_eq!((lab.size("relayed addresses"), lab.turn.index()), (199, index));
    }
}

#[test]
fn one_allocation_may_have_both_families() {
    let mut lab = Lab::closed();
    let a = lab.client(Lab::flow(A), user(1, 1));
    let relayed = lab.ask(&a, ALLOCATE, &[UDP, Say::Additional(2)]).relayed();
    assert_eq!(relayed.iter().map(|relayed| relayed.ip().to_string()).collect::<Vec<_>>(), ["192.0.0.8", "100::8"]);
    let (b, six) = {
        let b = lab.client(Lab::flow(B), user(1, 2));
        let relayed = lab.ask(&b, ALLOCATE, &[UDP, Say::Family(2)]).relayed();
        assert!(relayed.len() == 1 && relayed[0].is_ipv6());
        (b, relayed[0])
    };
    assert_eq!((lab.bind(&a, 0x4000, six), lab.bind(&b, 0x4000, relayed[1]), lab.permit(&b, relayed[0])), (0, 0, 443));
    assert_eq!(only(lab.send(a.flow, &channel_data(0x4000, b"6")), &b), channel_data(0x4000, b"6"));
    assert!(lab.turn.receive(a.flow, &send_indication(addr(SFU), b"x"), lab.now).is_none());
    assert_eq!(lab.permit(&a, addr(SFU)), 0);
    let source = lab.turn.receive(a.flow, &send_indication(addr(SFU), b"4"), lab.now).map(|passed| passed.source);
    assert_eq!(source, Some(relayed[0]));
    assert_eq!(lab.ask(&b, REFRESH, &[Say::Family(1)]).code(), 443);
    assert_eq!((lab.ask(&a, REFRESH, &[Say::Family(1)]).code(), lab.ask(&a, REFRESH, &[Say::Family(9)]).code()), (0, 443));
    // One family goes, the other stays.
    assert_eq!(lab.ask(&a, REFRESH, &[Say::Family(1), Say::Lifetime(0)]).lifetime(), 0);
    assert!(lab.turn.flow_behind(relayed[0]).is_none() && lab.turn.flow_behind(relayed[1]).is_some());
    assert_eq!((lab.permit(&a, addr(SFU)), lab.ask(&a, REFRESH, &[Say::Family(1)]).code()), (443, 443));
    assert_eq!(lab.ask(&a, REFRESH, &[Say::Family(2), Say::Lifetime(0)]).code(), 0);
    assert_eq!((lab.size("allocations"), lab.size("relayed addresses")), (1, 1));
}
