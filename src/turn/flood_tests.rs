//! What those get who ask too much, or what nobody can make sense of.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use stun_types::attribute::UnknownAttributes;
use stun_types::message::{BINDING, MessageClass, MessageWrite as _};
use turn_types::message::{ALLOCATE, REFRESH, SEND};

use crate::model::chance::Chance;
use crate::model::ids::StreamId;

use super::limits::KEYS_MAX;
use super::testing::{Client, Lab, SFU, Say, UDP, addr, begin, channel_data, secrets, send_indication, user};
use super::{Flow, TurnOutput};

const HOME: &str = "203.0.113.5:40000";

fn bare(method: stun_types::message::Method) -> Vec<u8> {
    begin(MessageClass::Request, method, 5, &[]).finish()
}

/// How many of so many messages are answered.
fn answered(lab: &mut Lab, flow: Flow, bytes: &[u8], times: usize) -> usize {
    (0..times).filter(|_| lab.answer(flow, bytes).is_some()).count()
}

#[test]
fn strangers_get_ten_answers_a_second() {
    let mut lab = Lab::closed();
    for second in 0..3 {
        assert_eq!(answered(&mut lab, Lab::flow(HOME), &bare(BINDING), 6), 6);
        // Other ports of the same source do not help; a connection has proved its address and is answered.
        let other = Lab::flow("203.0.113.5:1");
        assert_eq!(answered(&mut lab, other, &bare(ALLOCATE), 60), 4);
        assert_eq!(answered(&mut lab, Lab::stream(HOME, second), &bare(ALLOCATE), 60), 60);
        assert_eq!(answered(&mut lab, Lab::flow("203.0.113.6:1"), &bare(BINDING), 20), 10);
        let neighbours = ["[2001:db8:7:7::1]:1", "[2001:db8:7:7:8::2]:1"].map(Lab::flow);
        assert_eq!(neighbours.map(|flow| answered(&mut lab, flow, &bare(BINDING), 8)), [8, 2]);
        lab.later(1);
    }
    assert_eq!(lab.dropped("too many answers"), 3 * (56 + 10 + 6));
}

#[test]
fn a_user_who_fails_too_often_waits() {
    let mut lab = Lab::closed();
    let (calling, _) = lab.allocated("198.51.100.7:1", user(1, 1));
    let good = lab.client(Lab::flow(HOME), user(1, 1));
    lab.later(10);
    let wrong = Client { password: "guess".to_owned(), ..good.clone() };
    let mut answers = 0;
    for _ in 0..15 {
        lab.now = lab.now.after(Duration::from_millis(200));
        answers += usize::from(lab.try_ask(&wrong, ALLOCATE, &[UDP]).is_some());
    }
    assert_eq!(answers, 10);
    assert!(lab.try_ask(&good, ALLOCATE, &[UDP]).is_none(), "not even with the right password");
    assert_eq!(lab.refresh(&calling, 600), 0, "a call goes on, whoever uses its name elsewhere");
    lab.later(10);
    assert_eq!(lab.ask(&good, ALLOCATE, &[UDP]).code(), 0);
}

#[test]
fn a_source_that_fails_too_often_waits() {
    let mut lab = Lab::closed();
    let (mut calling, _) = lab.allocated(HOME, user(1, 1));
    let good = lab.client(Lab::flow("203.0.113.5:9"), user(1, 2));
    lab.later(10);
    for guess in 0..60 {
        let (name, _) = secrets().mint(user(9, guess), 1_900_000_000);
        let wrong = Client { name, ..good.clone() };
        lab.try_ask(&wrong, ALLOCATE, &[UDP]);
    }
    assert_eq!((lab.dropped("wrong credentials"), lab.dropped("failed too often")), (50, 10));
    assert!(lab.try_ask(&good, ALLOCATE, &[UDP]).is_none());
    // Whoever speaks already, from the same hospital, is not heard less.
    assert_eq!(lab.refresh(&calling, 3_600), 0);
    assert_eq!(lab.permit(&calling, addr(SFU)), 0);
    lab.later(580);
    for port in 1..=60 {
        lab.try_ask(&Client { flow: Lab::flow(&format!("203.0.113.5:{port}")), ..good.clone() }, ALLOCATE, &[UDP]);
    }
    lab.later(10);
    (0..20).for_each(|_| drop(lab.send(good.flow, &bare(BINDING))));
    let stale = lab.ask(&calling, REFRESH, &[]);
    assert_eq!(stale.code(), 438, "nor is it left without a fresh nonce");
    calling.nonce = stale.message().attribute::<stun_types::attribute::Nonce>().unwrap().nonce().to_owned();
    assert_eq!(lab.refresh(&calling, 600), 0);
    lab.later(10);
    assert_eq!(lab.client(good.flow, user(1, 2)).name.len(), good.name.len());
}

#[test]
fn a_flood_of_sources_is_bounded() {
    let mut lab = Lab::closed();
    let (calling, _) = lab.allocated(HOME, user(1, 1));
    lab.later(1);
    let flow = |n: u32| Flow { remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + n)), 9), ..Lab::flow(HOME) };
    let request = bare(ALLOCATE);
    let count = u32::try_from(KEYS_MAX).unwrap() + 1_000;
    let answers = (0..count).filter(|n| lab.answer(flow(*n), &request).is_some()).count();
    assert_eq!((answers, lab.size("relay sources"), lab.size("allocations")), (KEYS_MAX, KEYS_MAX, 1));
    assert_eq!(lab.refresh(&calling, 600), 0);
    lab.later(1);
    assert!(lab.answer(flow(count), &request).is_some());
    assert_eq!(lab.size("relay sources"), 1);
}

#[test]
fn a_flood_of_allocations_of_one_user_is_bounded() {
    let mut lab = Lab::closed();
    for round in 0..200_u16 {
        let flow = Lab::stream(&format!("203.0.113.5:{}", round + 1), round.into());
        let client = lab.client(flow, user(1, 1));
        assert!([0, 486].contains(&lab.ask(&client, ALLOCATE, &[UDP]).code()));
        lab.later(3);
        let sizes = lab.turn.sizes();
        // Each round has credentials of its own, which is what the wider bound is for.
        assert!(sizes[..4].iter().all(|(_, size)| *size <= 16), "{sizes:?}");
    }
    (0..200).for_each(|stream| lab.turn.stream_closed(StreamId(stream)));
    assert_eq!(lab.turn.sizes().map(|(_, size)| size)[..4], [0; 4]);
}

#[test]
fn memory_of_who_left_is_bounded() {
    let mut lab = Lab::closed();
    let (client, _) = lab.allocated(HOME, user(1, 0));
    (0..70_000).for_each(|person| lab.turn.revoke(user(1, person), false, lab.now));
    (0..10).for_each(|_| lab.turn.revoke(user(1, 69_999), false, lab.now));
    assert_eq!((lab.size("relay revocations"), lab.size("allocations")), (65_536, 0));
    let late = lab.client(Lab::flow("203.0.113.6:1"), user(1, 69_999));
    assert_eq!(lab.ask(&late, ALLOCATE, &[UDP]).code(), 401);
    // By then its credentials have long expired: only so many leave within the hour.
    assert_eq!(lab.ask(&client, ALLOCATE, &[UDP]).code(), 0);
}

#[test]
fn checks_of_ice_for_nobody_get_no_answer() {
    let mut lab = Lab::closed();
    let says = [Say::Raw(0x0006, b"some:body".to_vec()), Say::Raw(0x0024, vec![1; 4])];
    assert_eq!(lab.send(Lab::flow(HOME), &begin(MessageClass::Request, BINDING, 5, &says).finish()), []);
    assert_eq!(lab.dropped("unknown user name"), 1);
    let answer = lab.answer(Lab::flow(HOME), &begin(MessageClass::Request, BINDING, 5, &[Say::Raw(0x0003, vec![0; 4])]).finish()).unwrap();
    assert_eq!(answer.code(), 420);
    assert!(answer.message().attribute::<UnknownAttributes>().unwrap().has_attribute(0x0003.into()));
    for class in [MessageClass::Success, MessageClass::Error, MessageClass::Indication] {
        assert_eq!(lab.send(Lab::flow(HOME), &begin(class, BINDING, 5, &[]).finish()), []);
    }
}

/// What everybody may send, well formed.
fn samples(client: &Client) -> Vec<Vec<u8>> {
    vec![
        bare(BINDING),
        bare(ALLOCATE),
        client.request(ALLOCATE, 40, &[UDP, Say::Additional(2), Say::Lifetime(900)]),
        client.request(REFRESH, 41, &[Say::Lifetime(0), Say::Family(1)]),
        client.request(turn_types::message::CREATE_PERMISSION, 42, &[Say::Peer(addr(SFU)), Say::Peer(addr("192.0.0.8:50000"))]),
        client.request(turn_types::message::CHANNEL_BIND, 43, &[Say::Channel(0x4000), Say::Peer(addr(SFU))]),
        send_indication(addr(SFU), b"some data"),
        channel_data(0x4000, b"some data"),
    ]
}

#[test]
fn nothing_that_is_cut_or_garbled_harms() {
    let mut lab = Lab::closed();
    let (client, _) = lab.allocated(HOME, user(1, 1));
    for sample in samples(&client) {
        for end in 0..sample.len() {
            assert_eq!(lab.send(client.flow, &sample[..end]), [], "cut off, it is nothing");
        }
    }
    let mut chance = Chance::new([9; 32]);
    let samples = samples(&client);
    for round in 0..20_000_u32 {
        let mut bytes = samples[usize::try_from(chance.next_u64() % 8).unwrap()].clone();
        for _ in 0..=chance.next_u64() % 4 {
            let at = usize::try_from(chance.next_u64()).unwrap() % bytes.len();
            bytes[at] = chance.bytes::<1>()[0];
        }
        if round % 2 == 0 {
            // Lengths that fit let the parser look further.
            bytes.resize(bytes.len().next_multiple_of(4) + 4 * (round as usize % 3), 0);
            let len = u16::try_from(bytes.len().saturating_sub(20)).unwrap();
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
        }
        lab.now = lab.now.after(Duration::from_millis(20));
        let flow = if round % 3 == 0 { Lab::flow("198.51.100.7:9") } else { client.flow };
        lab.turn.receive(flow, &bytes, lab.now);
        assert!(lab.drain().iter().all(|out| matches!(out, TurnOutput::Transmit { flow: to, .. } if *to == flow)));
    }
    assert!(lab.size("allocations") <= 1);
}

#[test]
fn messages_longer_than_any_are_dropped() {
    let mut lab = Lab::closed();
    let (client, _) = lab.allocated(HOME, user(1, 1));
    for len in [2_044, 65_484, 65_512] {
        let long = begin(MessageClass::Request, ALLOCATE, 5, &[Say::Raw(0x8022, vec![0; len])]).finish();
        assert_eq!(lab.send(client.flow, &long), []);
    }
    assert_eq!(lab.dropped("malformed"), 3);
    let whole = [0x40, 0, 0xff, 0xff];
    assert_eq!(lab.send(client.flow, &[whole.to_vec(), vec![0; 65_535]].concat()), []);
    assert_eq!(lab.send(client.flow, &begin(MessageClass::Indication, SEND, 1, &[]).finish()), []);
}

#[test]
fn answers_to_strangers_are_short() {
    let mut lab = Lab::closed();
    let client = lab.client(Lab::flow("[2001:db8:5::5]:40000"), user(1, 1));
    let wrong = Client { password: "guess".to_owned(), ..client.clone() };
    let unknown: Vec<Say> = (0x0040..0x0140).map(|kind| Say::Raw(kind, vec![])).collect();
    // What comes in, the most that goes out: five times as much where nothing was proved, less where more is said.
    for (request, most) in [
        (bare(BINDING), 44),
        (bare(ALLOCATE), 108),
        (begin(MessageClass::Request, ALLOCATE, 5, &[UDP]).finish(), 108),
        (begin(MessageClass::Request, BINDING, 5, &unknown).finish(), 20 + 8 + 4 + 512),
        (wrong.request(ALLOCATE, 6, &[UDP]), 108),
        (Client { nonce: "old".to_owned(), ..client.clone() }.request(ALLOCATE, 6, &[UDP]), 108),
    ] {
        let answer = lab.answer(client.flow, &request).unwrap();
        assert!(answer.0.len() <= most, "{} for {}", answer.0.len(), request.len());
        lab.later(1);
    }
}
