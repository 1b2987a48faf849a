//! The test vectors of RFC 5769, as what the relay stands on reads them.

use std::net::SocketAddr;

use stun_types::attribute::{AttributeStaticType as _, Fingerprint, Nonce, Realm, Software, Username, XorMappedAddress};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, ShortTermCredentials};

/// RFC 5769 §2.1: a request of ICE.
const REQUEST: &str = "\
    000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff\
    80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249\
    c1b571a280280004e57a3bcf";
/// RFC 5769 §2.2: a response with an IPv4 address.
const RESPONSE_V4: &str = "\
    0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// RFC 5769 §2.3: a response with an IPv6 address.
const RESPONSE_V6: &str = "\
    010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9fa\
    a5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
/// RFC 5769 §2.4: a request with long-term credentials.
const LONG_TERM: &str = "\
    000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c\
    662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014\
    f67024656dd64a3e02b8e0712e85c9a28ca89666";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The password of RFC 5769 §2.1 to §2.3.
fn short_term() -> IntegrityKey {
    ShortTermCredentials::new("VOkJxbRl1RmTxUk/WvJxBt".to_owned()).make_key()
}

/// Checks that a message holds with `key`, and that it no longer does once any of its bits has changed.
fn holds(bytes: &[u8], key: &IntegrityKey) {
    assert_eq!(Message::from_bytes(bytes).unwrap().validate_integrity_with_key(key).ok(), Some(IntegrityAlgorithm::Sha1));
    let sealed = bytes.len() - if Message::from_bytes(bytes).unwrap().has_attribute(Fingerprint::TYPE) { 8 } else { 0 };
    for bit in 0..sealed * 8 {
        // The length of the whole message is not sealed as it stands.
        if (16..32).contains(&bit) {
            continue;
        }
        let mut touched = bytes.to_vec();
        touched[bit / 8] ^= 1 << (bit % 8);
        let accepted = Message::from_bytes(&touched).is_ok_and(|message| message.validate_integrity_with_key(key).is_ok());
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn short_term_requests_hold() {
    let bytes = bytes(REQUEST);
    let message = Message::from_bytes(&bytes).unwrap();
    assert_eq!(message.attribute::<Username>().unwrap().username(), "evtj:h6vY");
    assert_eq!(message.attribute::<Software>().unwrap().software(), "STUN test client");
    holds(&bytes, &short_term());
}

#[test]
fn responses_hold_for_either_family() {
    for (hex, address) in [(RESPONSE_V4, "192.0.2.1:32853"), (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")] {
        let bytes = bytes(hex);
        let message = Message::from_bytes(&bytes).unwrap();
        let mapped = message.attribute::<XorMappedAddress>().unwrap().addr(message.transaction_id());
        assert_eq!(mapped, address.parse::<SocketAddr>().unwrap());
        assert_eq!(message.attribute::<Software>().unwrap().software(), "test vector");
        holds(&bytes, &short_term());
    }
}

#[test]
fn long_term_requests_hold() {
    let bytes = bytes(LONG_TERM);
    let message = Message::from_bytes(&bytes).unwrap();
    let name = "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}";
    assert_eq!(message.attribute::<Username>().unwrap().username(), name);
    assert_eq!(message.attribute::<Realm>().unwrap().realm(), "example.org");
    assert_eq!(message.attribute::<Nonce>().unwrap().nonce(), "f//499k954d6OL34oL9FSTvy64sA");
    let key = |password: &str| {
        let credentials = LongTermKeyCredentials::new(name.to_owned(), password.to_owned(), "example.org".to_owned());
        credentials.make_key(IntegrityAlgorithm::Sha1)
    };
    // What SASLprep makes of the RFC's password: the relay's own passwords are base64 and need no such thing.
    holds(&bytes, &key("TheMatrIX"));
    assert!(message.validate_integrity_with_key(&key("TheMatrix")).is_err());
}
