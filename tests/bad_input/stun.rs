//! STUN Binding requests as ICE agents send them (RFC 8489, RFC 8445 §7.1).

use aws_lc_rs::hmac;

/// Attributes, as RFC 8489 §18.3 numbers them.
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLING: u16 = 0x802a;

/// A connectivity check that a controlling agent signs with `password`.
pub fn binding(username: &str, password: &str, transaction: [u8; 12]) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend(transaction);
    attribute(USERNAME, username.as_bytes(), &mut message);
    attribute(ICE_CONTROLLING, &[0, 0, 0, 0, 0, 0, 0, 1], &mut message);
    attribute(PRIORITY, &[0x6e, 0, 0x1e, 0xff], &mut message);
    attribute(USE_CANDIDATE, &[], &mut message);
    // The length counts the attribute that is being made (RFC 8489 §14.5).
    let signed = with_length(&message, 24);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    attribute(MESSAGE_INTEGRITY, hmac::sign(&key, &signed).as_ref(), &mut message);
    let summed = with_length(&message, 8);
    attribute(FINGERPRINT, &(crc32(&summed) ^ 0x5354_554e).to_be_bytes(), &mut message);
    with_length(&message, 0)
}

fn attribute(kind: u16, value: &[u8], message: &mut Vec<u8>) {
    message.extend(kind.to_be_bytes());
    message.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn with_length(message: &[u8], to_come: usize) -> Vec<u8> {
    let mut message = message.to_vec();
    let len = u16::try_from(message.len() - 20 + to_come).unwrap();
    message[2..4].copy_from_slice(&len.to_be_bytes());
    message
}

/// CRC-32 as Ethernet has it, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    !crc
}
