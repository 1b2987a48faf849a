//! Who is let in, who is not, what becomes of allocations (RFC 8489 §9.2, RFC 8656 §7).

use std::net::SocketAddr;
use std::time::Duration;

use stun_types::attribute::{
    AttributeStaticType as _, ErrorCode, MessageIntegritySha256, Nonce, PasswordAlgorithm, PasswordAlgorithmValue, PasswordAlgorithms,
    Realm, Software, Username, XorMappedAddress,
};
use stun_types::message::{BINDING, IntegrityAlgorithm, MessageClass, MessageWrite as _, MessageWriteExt as _};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use super::credentials::RelaySecrets;
use super::testing::{Client, Lab, Proof, REALM, START, Say, UDP, addr, begin, config, secrets, user};
use super::{RelayMode, TurnLimits};

const HOME: &str = "203.0.113.5:40000";

fn lab() -> (Lab, Client) {
    let mut lab = Lab::closed();
    let client = lab.client(Lab::flow(HOME), user(1, 1));
    (lab, client)
}

#[test]
fn strangers_are_challenged_in_few_words() {
    let mut lab = Lab::closed();
    for method in [ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND] {
        let request = begin(MessageClass::Request, method, 5, &[]).finish();
        let answer = lab.answer(Lab::flow(HOME), &request).unwrap();
        let message = answer.message();
        let error = message.attribute::<ErrorCode>().unwrap();
        assert_eq!((error.code(), error.reason()), (401, ""));
        assert_eq!(message.attribute::<Realm>().unwrap().realm(), REALM);
        assert!(message.attribute::<Nonce>().unwrap().nonce().starts_with("obMatJos2"));
        assert!(!message.has_attribute(Software::TYPE));
        let offered = message.attribute::<PasswordAlgorithms>().unwrap();
        assert_eq!(offered.algorithms(), [PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5]);
        // The answer is some five times as long as the shortest request: ten of them a second are 1 kB/s a source.
        assert!(answer.0.len() <= 110, "{}", answer.0.len());
    }
    assert_eq!(lab.turn.sizes().map(|(_, size)| size)[..4], [0; 4], "nothing is remembered of strangers but how often they asked");
}

#[test]
fn strangers_learn_their_address() {
    let mut lab = Lab::closed();
    for home in [HOME, "[2001:db8:5::5]:40000"] {
        let request = begin(MessageClass::Request, BINDING, 5, &[]).finish();
        let answer = lab.answer(Lab::flow(home), &request).unwrap();
        let message = answer.message();
        assert_eq!(message.attribute::<XorMappedAddress>().unwrap().addr(5.into()), addr(home));
        assert!(!message.has_attribute(Software::TYPE) && answer.0.len() <= 44);
    }
}

#[test]
fn credentials_of_either_kind_open() {
    for proof in [Proof::Sha1, Proof::Sha256] {
        let (mut lab, mut client) = lab();
        client.proof = proof;
        let answer = lab.ask(&client, ALLOCATE, &[UDP]);
        assert_eq!((answer.code(), answer.lifetime(), answer.relayed().len()), (0, 600, 1));
        let message = answer.message();
        assert_eq!(message.attribute::<XorMappedAddress>().unwrap().addr(message.transaction_id()), addr(HOME));
        assert_eq!((lab.refresh(&client, 700), lab.refresh(&client, 0), lab.refresh(&client, 0)), (0, 0, 437));
    }
}

#[test]
fn nonces_grow_stale() {
    let (mut lab, mut client) = lab();
    lab.later(599);
    assert_eq!(lab.ask(&client, ALLOCATE, &[UDP]).code(), 0);
    lab.later(1);
    let answer = lab.ask(&client, REFRESH, &[]);
    assert_eq!(answer.code(), 438);
    client.nonce = answer.message().attribute::<Nonce>().unwrap().nonce().to_owned();
    assert_eq!(lab.refresh(&client, 600), 0);
}

#[test]
fn nonces_of_others_are_stale() {
    let (mut lab, client) = lab();
    for other in ["203.0.113.5:40001", "203.0.113.6:40000"] {
        let thief = Client { flow: Lab::flow(other), ..client.clone() };
        assert_eq!(lab.ask(&thief, ALLOCATE, &[UDP]).code(), 438);
    }
    let made_up = Client { nonce: "f//499k954d6OL34oL9FSTvy64sA".to_owned(), ..client };
    assert_eq!(lab.ask(&made_up, ALLOCATE, &[UDP]).code(), 438);
    assert_eq!(lab.size("allocations"), 0);
}

#[test]
fn wrong_credentials_do_not_open() {
    let (mut lab, client) = lab();
    let (name, _) = secrets().mint(user(2, 2), START + 60);
    let wrong = [
        Client { password: "guess".to_owned(), ..client.clone() },
        Client { name, ..client.clone() },
        Client { name: "1800000060:nobody".to_owned(), ..client.clone() },
        Client { name: "alice".to_owned(), ..client.clone() },
    ];
    for client in wrong {
        for proof in [Proof::Sha1, Proof::Sha256] {
            let answer = lab.ask(&Client { proof, ..client.clone() }, ALLOCATE, &[UDP]);
            assert_eq!(answer.code(), 401);
            assert_eq!(answer.message().attribute::<ErrorCode>().unwrap().reason(), "");
        }
    }
    assert_eq!((lab.size("allocations"), lab.dropped("wrong credentials")), (0, 8));
}

#[test]
fn only_whoever_begins_needs_fresh_credentials() {
    let (mut lab, client) = lab();
    assert_eq!(lab.ask(&client, ALLOCATE, &[UDP, Say::Lifetime(3_600)]).code(), 0);
    let mut late = lab.client(Lab::flow("203.0.113.5:40001"), user(1, 1));
    late.name.clone_from(&client.name);
    late.password.clone_from(&client.password);
    lab.later(3_599);
    let mut renewed = lab.client(client.flow, user(1, 1));
    renewed.name.clone_from(&client.name);
    renewed.password.clone_from(&client.password);
    assert_eq!(lab.refresh(&renewed, 3_600), 0);
    lab.later(1);
    late.nonce = lab.client(late.flow, user(1, 1)).nonce;
    assert_eq!(lab.ask(&late, ALLOCATE, &[UDP]).code(), 401, "expired at this very second");
    assert_eq!((lab.refresh(&renewed, 3_600), lab.bind(&renewed, 0x4000, addr("192.0.0.8:50000"))), (0, 0));
}

#[test]
fn the_secret_before_the_one_in_use_still_opens() {
    let (mut lab, mut client) = lab();
    let old = RelaySecrets::new(&["the secret before it, long".to_owned()], "");
    (client.name, client.password) = old.mint(user(1, 1), START + 60);
    for proof in [Proof::Sha1, Proof::Sha256] {
        client.proof = proof;
        assert_eq!((lab.ask(&client, ALLOCATE, &[UDP]).code(), lab.refresh(&client, 0)), (0, 0));
    }
    (client.name, client.password) = RelaySecrets::new(&["another".to_owned()], "").mint(user(1, 1), START + 60);
    assert_eq!(lab.ask(&client, ALLOCATE, &[UDP]).code(), 401);
}

/// A sealed Allocate with whatever is asked for between.
fn sealed(client: &Client, attributes: &[&dyn stun_types::attribute::AttributeWrite], algorithm: IntegrityAlgorithm) -> Vec<u8> {
    let mut message = begin(MessageClass::Request, ALLOCATE, 77, &[UDP]);
    attributes.iter().for_each(|attribute| message.add_attribute(*attribute).unwrap());
    message.add_message_integrity_with_key(&client.key(algorithm), algorithm).unwrap();
    message.finish()
}

#[test]
fn requests_that_lack_a_part_of_the_credentials_are_bad() {
    let (mut lab, client) = lab();
    let (name, realm, nonce) = (Username::new(&client.name).unwrap(), Realm::new(REALM).unwrap(), Nonce::new(&client.nonce).unwrap());
    for parts in [[&name as &dyn stun_types::attribute::AttributeWrite, &realm], [&name, &nonce], [&realm, &nonce]] {
        let answer = lab.answer(client.flow, &sealed(&client, &parts, IntegrityAlgorithm::Sha1)).unwrap();
        assert_eq!(answer.code(), 400);
        assert!(!answer.message().has_attribute(Nonce::TYPE) && !answer.message().has_attribute(Realm::TYPE));
    }
}

#[test]
fn who_was_shown_another_list_of_algorithms_is_refused() {
    use PasswordAlgorithmValue::{MD5, SHA256};
    let (mut lab, client) = lab();
    let (name, realm, nonce) = (Username::new(&client.name).unwrap(), Realm::new(REALM).unwrap(), Nonce::new(&client.nonce).unwrap());
    let chosen = |value| PasswordAlgorithm::new(value);
    for (list, chosen, code) in [
        (None, None, 0),
        (Some(vec![SHA256, MD5]), Some(chosen(MD5)), 0),
        (Some(vec![MD5]), Some(chosen(MD5)), 400),
        (Some(vec![MD5, SHA256]), Some(chosen(MD5)), 400),
        (Some(vec![SHA256, MD5, MD5]), Some(chosen(MD5)), 400),
        (Some(vec![SHA256, MD5]), None, 400),
        (None, Some(chosen(MD5)), 400),
    ] {
        let list = list.map(|list| PasswordAlgorithms::new(&list));
        let mut parts: Vec<&dyn stun_types::attribute::AttributeWrite> = vec![&name, &realm, &nonce];
        parts.extend(list.as_ref().map(|list| list as &dyn stun_types::attribute::AttributeWrite));
        parts.extend(chosen.as_ref().map(|chosen| chosen as &dyn stun_types::attribute::AttributeWrite));
        let answer = lab.answer(client.flow, &sealed(&client, &parts, IntegrityAlgorithm::Sha1)).unwrap();
        assert_eq!(answer.code(), code, "{list:?} {chosen:?}");
    }
}

#[test]
fn algorithms_that_cannot_be_read_are_not_taken_for_none() {
    let (mut lab, client) = lab();
    for (list, chosen) in [(vec![0, 9, 0, 0], vec![0, 9, 0, 0]), (vec![0, 1], vec![0, 1])] {
        let says = [UDP, Say::Raw(0x8002, list), Say::Raw(PasswordAlgorithm::TYPE.value(), chosen)];
        assert_eq!(lab.ask(&client, ALLOCATE, &says).code(), 400);
    }
}

#[test]
fn seals_are_not_cut_short() {
    let (mut lab, client) = lab();
    let whole = Client { proof: Proof::Sha256, ..client.clone() }.request(ALLOCATE, 8, &[UDP]);
    let key = client.key(IntegrityAlgorithm::Sha256);
    for (kept, code) in [(16, 400), (28, 400), (32, 0)] {
        let mut message = whole[..whole.len() - 36].to_vec();
        let len = u16::try_from(message.len() + 4 + kept - 20).unwrap();
        message[2..4].copy_from_slice(&len.to_be_bytes());
        let seal = MessageIntegritySha256::compute(&[&message], &key).unwrap();
        message.extend([0x00, 0x1c, 0, u8::try_from(kept).unwrap()]);
        message.extend(&seal[..kept]);
        assert_eq!(lab.answer(client.flow, &message).unwrap().code(), code, "{kept}");
    }
}

#[test]
fn a_request_that_was_touched_on_its_way_is_refused() {
    let (mut lab, client) = lab();
    let request = client.request(ALLOCATE, 8, &[UDP, Say::Lifetime(700)]);
    for at in 0..request.len() * 8 {
        let mut touched = request.clone();
        touched[at / 8] ^= 1 << (at % 8);
        lab.now = lab.now.after(Duration::from_secs(1));
        let answer = lab.answer(client.flow, &touched);
        assert!(answer.is_none_or(|answer| answer.code() != 0), "{at}");
    }
    assert_eq!(lab.size("allocations"), 0);
}

#[test]
fn an_allocate_that_is_repeated_gets_the_same_answer() {
    let (mut lab, client) = lab();
    let request = client.request(ALLOCATE, 900, &[UDP]);
    let first = lab.answer(client.flow, &request).unwrap();
    lab.later(5);
    let again = lab.answer(client.flow, &request).unwrap();
    assert_eq!((first.relayed(), again.lifetime()), (again.relayed(), 595));
    assert_eq!(lab.ask(&client, ALLOCATE, &[UDP]).code(), 437, "another request for another allocation");
    assert_eq!(lab.size("allocations"), 1);
}

#[test]
fn whoever_has_no_allocation_can_do_nothing_with_it() {
    let (mut lab, client) = lab();
    let peer = addr("192.0.0.8:50000");
    assert_eq!((lab.refresh(&client, 600), lab.permit(&client, peer), lab.bind(&client, 0x4000, peer)), (437, 437, 437));
    assert_eq!(lab.ask(&client, ALLOCATE, &[UDP]).code(), 0);
    let other = Client { nonce: client.nonce.clone(), ..lab.client(client.flow, user(1, 2)) };
    assert_eq!((lab.refresh(&other, 0), lab.permit(&other, peer), lab.bind(&other, 0x4000, peer)), (441, 441, 441));
    assert_eq!(lab.size("allocations"), 1);
}

#[test]
fn allocations_end_unless_refreshed() {
    let (mut lab, client) = lab();
    assert_eq!(lab.turn.next_timeout(), None);
    assert_eq!(lab.ask(&client, ALLOCATE, &[UDP]).code(), 0);
    assert_eq!(lab.turn.next_timeout(), Some(lab.now.instant + Duration::from_mins(10)));
    lab.later(300);
    // Lifetimes stay between ten minutes and an hour.
    for (asked, given) in [(1, 600), (900, 900), (u32::MAX, 3_600)] {
        assert_eq!(lab.ask(&client, REFRESH, &[Say::Lifetime(asked)]).lifetime(), given);
        assert_eq!(lab.turn.next_timeout(), Some(lab.now.instant + Duration::from_secs(given.into())));
    }
    lab.later(3_599);
    assert!(lab.turn.knows(&client.flow));
    lab.later(1);
    assert!(!lab.turn.knows(&client.flow) && lab.turn.next_timeout().is_none());
    assert_eq!(lab.turn.sizes().map(|(_, size)| size)[..4], [0; 4]);
}

#[test]
fn a_connection_takes_its_allocation_along() {
    let mut lab = Lab::closed();
    let flows = [Lab::stream(HOME, 1), Lab::stream(HOME, 2), Lab::flow(HOME)];
    let clients = flows.map(|flow| lab.client(flow, user(1, 1)));
    clients.iter().for_each(|client| assert_eq!(lab.ask(client, ALLOCATE, &[UDP]).code(), 0));
    lab.turn.stream_closed(crate::model::ids::StreamId(1));
    assert_eq!(flows.map(|flow| lab.turn.knows(&flow)), [false, true, true]);
    lab.turn.stream_closed(crate::model::ids::StreamId(1));
    assert_eq!((lab.size("allocations"), lab.size("relayed addresses"), lab.size("relay timers")), (2, 2, 2));
}

#[test]
fn who_has_left_is_refused() {
    let mut lab = Lab::closed();
    let clients = ["203.0.113.5:1", "203.0.113.5:2"].map(|home| lab.allocated(home, user(1, 1)).0);
    let (stays, _) = lab.allocated("203.0.113.5:3", user(1, 2));
    lab.turn.revoke(user(1, 1), false, lab.now);
    assert_eq!((lab.size("allocations"), lab.size("relay users")), (1, 1));
    for client in &clients {
        assert_eq!((lab.ask(client, ALLOCATE, &[UDP]).code(), lab.refresh(client, 600)), (401, 401));
    }
    assert_eq!(lab.refresh(&stays, 600), 0);
    let (_, relayed) = lab.allocated("203.0.113.5:4", user(1, 3));
    assert!(lab.turn.flow_behind(relayed).is_some(), "the place of what ended is used again");
}

#[test]
fn who_returns_is_let_in_with_new_credentials() {
    let mut lab = Lab::closed();
    let (old, _) = lab.allocated(HOME, user(1, 1));
    lab.later(1);
    lab.turn.revoke(user(1, 1), true, lab.now);
    assert_eq!((lab.size("allocations"), lab.ask(&old, ALLOCATE, &[UDP]).code()), (0, 401));
    lab.allocated("203.0.113.5:2", user(1, 1));
}

#[test]
fn at_the_quota_only_what_idles_makes_room() {
    let mut lab = Lab::closed();
    let homes: Vec<String> = (1..=5).map(|port| format!("203.0.113.5:{port}")).collect();
    let mut clients: Vec<(Client, SocketAddr)> = homes[..4].iter().map(|home| lab.allocated(home, user(1, 1))).collect();
    let fifth = lab.client(Lab::flow(&homes[4]), user(1, 1));
    assert_eq!(lab.ask(&fifth, ALLOCATE, &[UDP]).code(), 486);
    lab.later(1);
    // All but the third send media to the SFU; the third checks its path.
    let third = clients.remove(2).0;
    for (client, _) in &clients {
        assert_eq!(lab.bind(client, 0x4000, addr(super::testing::SFU)), 0);
        assert!(lab.turn.receive(client.flow, &super::testing::channel_data(0x4000, b"x"), lab.now).is_some());
    }
    assert_eq!(lab.bind(&third, 0x4000, addr(super::testing::SFU)), 0);
    assert!(lab.turn.receive(third.flow, &super::testing::channel_data(0x4000, &[0, 1, 0, 0]), lab.now).is_some());
    assert_eq!(lab.ask(&fifth, ALLOCATE, &[UDP]).code(), 486, "one second is not idle");
    lab.later(1);
    assert_eq!(lab.ask(&fifth, ALLOCATE, &[UDP]).code(), 0);
    assert!(!lab.turn.knows(&third.flow) && clients.iter().all(|(client, _)| lab.turn.knows(&client.flow)));
    let (other, _) = lab.allocated("203.0.113.5:9", user(1, 2));
    assert!(lab.turn.knows(&other.flow), "another user has a quota of its own");
}

#[test]
fn all_together_have_a_bound() {
    let limits = TurnLimits { total: 3, ..TurnLimits::default() };
    let mut lab = Lab::of(super::TurnConfig { limits, ..config(RelayMode::Closed) });
    for person in 0..3 {
        lab.allocated(&format!("203.0.113.5:{}", person + 1), user(1, person));
    }
    let one_more = lab.client(Lab::flow(HOME), user(1, 9));
    assert_eq!(lab.ask(&one_more, ALLOCATE, &[UDP]).code(), 508);
    assert_eq!(lab.size("allocations"), 3);
}
