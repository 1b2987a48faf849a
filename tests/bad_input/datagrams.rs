//! Datagrams that nobody should send.

use std::net::SocketAddr;
use std::time::Duration;

use konsil::room::media::MediaEvent;
use str0m::{Input, Output};

use super::call::{Call, stranger};
use super::stun::binding;
use super::{dropped, dropped_as, goes_on};

/// The user name of a guest's checks, with the password that signs them.
pub fn credentials(call: &mut Call, guest: usize) -> (String, String) {
    let guest = &mut call.guests[guest];
    let answer = call.events.iter().rev().find_map(|event| match event {
        MediaEvent::Answer { session, sdp, .. } if *session == guest.session => Some(sdp),
        _ => None,
    });
    let sdp = answer.unwrap();
    let value = |prefix: &str| sdp.lines().find_map(|line| line.strip_prefix(prefix)).unwrap().to_owned();
    let own = guest.rtc.direct_api().local_ice_credentials().ufrag;
    (format!("{}:{own}", value("a=ice-ufrag:")), value("a=ice-pwd:"))
}

/// What a guest has sent of a protocol, told by the first byte (RFC 7983).
fn sent(call: &Call, guest: usize, first: std::ops::Range<u8>) -> Vec<Vec<u8>> {
    let sent: Vec<_> = call.guests[guest].sent.iter().filter(|bytes| first.contains(&bytes[0])).cloned().collect();
    assert!(!sent.is_empty());
    sent
}

const STUN: std::ops::Range<u8> = 0..4;
const DTLS: std::ops::Range<u8> = 20..64;
const RTP: std::ops::Range<u8> = 128..192;

/// The last of each protocol that the speaker has sent.
fn samples(call: &mut Call) -> Vec<Vec<u8>> {
    goes_on(call, 0, 1);
    [STUN, DTLS, RTP].into_iter().map(|first| sent(call, 0, first).pop().unwrap()).collect()
}

/// A packet that a guest sends and nobody gets.
fn withheld(call: &mut Call, guest: usize) -> Vec<u8> {
    call.speak(guest);
    let now = call.now;
    let rtc = &mut call.guests[guest].rtc;
    rtc.handle_input(Input::Timeout(now)).unwrap();
    let mut sent = Vec::new();
    while let Output::Transmit(transmit) = rtc.poll_output().unwrap() {
        sent.push(transmit.contents.to_vec());
    }
    sent.into_iter().rfind(|bytes| RTP.contains(&bytes[0])).unwrap()
}

#[test]
fn strangers_are_counted() {
    let mut call = Call::of_two();
    let samples = samples(&mut call);
    let before = dropped(&call);
    let noise: [&[u8]; 4] = [&[], &[0], &[255; 40], &[64; 20]];
    let all: Vec<&[u8]> = samples[1..].iter().map(Vec::as_slice).chain(noise).collect();
    for bytes in &all {
        call.datagram(stranger(1), bytes);
    }
    assert_eq!(dropped(&call) - before, all.len() as u64);
    // The last one looks like ChannelData.
    assert_eq!((dropped_as(&call, "stranger"), dropped_as(&call, "no allocation")), (all.len() as u64 - 1, 1));
    call.datagram(stranger(1), &binding("Axxxxxxxxxxxxxxx:y", "z", [1; 12]));
    assert_eq!(dropped_as(&call, "unknown user name"), 1);
    goes_on(&mut call, 0, 1);
}

#[test]
fn truncated_datagrams_are_counted() {
    for (kind, whole) in samples(&mut Call::of_two()).into_iter().enumerate() {
        let mut call = Call::of_two();
        goes_on(&mut call, 0, 1);
        let own = call.guests[0].address;
        let whole = sent(&call, 0, [STUN, DTLS, RTP][kind].clone()).pop().unwrap_or(whole);
        for len in 0..whole.len() {
            let before = dropped(&call);
            call.datagram(own, &whole[..len]);
            // What str0m takes for whole and then finds wrong is dropped without an error; none of it is forwarded.
            assert!(dropped(&call) - before <= 1);
        }
        goes_on(&mut call, 0, 1);
    }
}

#[test]
fn oversize_datagrams_are_counted() {
    let mut call = Call::of_two();
    let own = call.guests[0].address;
    let before = dropped_as(&call, "oversize");
    call.datagram(own, &[0x80; 1_501]);
    assert_eq!(dropped_as(&call, "oversize") - before, 1);
    goes_on(&mut call, 0, 1);
}

#[test]
fn a_valid_packet_from_another_address_is_a_strangers() {
    let mut call = Call::of_two();
    goes_on(&mut call, 0, 1);
    // Held back from the worker, so that replay protection is not what stops it.
    let real = withheld(&mut call, 0);
    let (before, heard) = (dropped_as(&call, "stranger"), call.guests[1].received);
    call.datagram(stranger(9), &real);
    call.run(Duration::from_millis(20));
    assert_eq!((dropped_as(&call, "stranger") - before, call.guests[1].received), (1, heard));
    // From the other guest's address it is opened with that guest's keys, which do not fit.
    let other = call.guests[1].address;
    call.datagram(other, &real);
    call.run(Duration::from_millis(20));
    assert_eq!(call.guests[1].received, heard);
    // From its own it is good.
    let own = call.guests[0].address;
    call.datagram(own, &real);
    call.run(Duration::from_millis(20));
    assert_eq!(call.guests[1].received, heard + 1);
    goes_on(&mut call, 0, 1);
}

#[test]
fn a_packet_that_comes_twice_is_forwarded_once() {
    let mut call = Call::of_two();
    goes_on(&mut call, 0, 1);
    let (own, heard) = (call.guests[0].address, call.guests[1].received);
    for bytes in sent(&call, 0, RTP) {
        call.datagram(own, &bytes);
    }
    call.run(Duration::from_millis(20));
    assert_eq!(call.guests[1].received, heard);
    goes_on(&mut call, 0, 1);
}

#[test]
fn a_check_with_a_wrong_password_proves_nothing() {
    let mut call = Call::of_two();
    goes_on(&mut call, 0, 1);
    let (username, _) = credentials(&mut call, 0);
    let (addresses, before) = (call.size("addresses"), dropped(&call));
    for source in [call.guests[0].address, call.guests[1].address, stranger(5)] {
        for number in 0..20 {
            call.datagram(source, &binding(&username, "wrong", [number; 12]));
        }
        goes_on(&mut call, 0, 1);
    }
    assert_eq!((call.size("addresses"), dropped(&call) - before), (addresses, 60));
}

#[test]
fn a_check_with_a_wrong_password_keeps_nobody_alive() {
    let mut call = Call::of_two();
    let (username, _) = credentials(&mut call, 0);
    let own = call.guests[0].address;
    call.guests[0].rtc.disconnect();
    for number in 0..40 {
        call.datagram(own, &binding(&username, "wrong", [number; 12]));
        call.run(Duration::from_secs(1));
    }
    let session = call.guests[0].session;
    assert!(call.events.contains(&MediaEvent::Lost { session }), "nothing was heard for 30 s, but forged checks");
}

/// Whether the call of the guest 0 stands after everybody has thrown `bytes` at its handshake.
fn handshake_under_fire(bytes: &[Vec<u8>], sources: &[SocketAddr]) {
    let mut call = Call::new();
    call.open(1);
    call.publisher(1, 1);
    call.subscriber(1, 2, 1);
    for round in 0..50_usize {
        for source in sources {
            call.datagram(*source, &bytes[round % bytes.len()]);
        }
        call.run(Duration::from_millis(10));
    }
    assert!(call.guests.iter().all(|guest| guest.connected));
    goes_on(&mut call, 0, 1);
}

#[test]
fn strangers_do_not_disturb_a_handshake() {
    let mut other = Call::of_two();
    let mut bytes = samples(&mut other);
    bytes.extend(sent(&other, 0, DTLS));
    bytes.extend([vec![], vec![22, 0xfe, 0xfd], vec![21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40], vec![0x80; 12]]);
    handshake_under_fire(&bytes, &[stranger(1), stranger(2)]);
}

#[test]
fn a_forged_source_does_not_end_a_call() {
    let mut call = Call::of_two();
    goes_on(&mut call, 0, 1);
    let own = call.guests[0].address;
    let alert = |epoch: u8, level: u8, what: u8| vec![21, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 90, 0, 2, level, what];
    let mut goodbye = vec![0x81, 203, 0, 1];
    goodbye.extend(7_u32.to_be_bytes());
    let forged = [
        alert(0, 2, 40),
        alert(0, 1, 0),
        alert(1, 2, 40),
        alert(1, 1, 0),
        goodbye,
        vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 91, 0, 12, 14, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0],
        [&[0x80, 111, 0x7f, 0xff, 0, 0, 0, 1, 0, 0, 0, 1][..], &[7; 60]].concat(),
    ];
    for bytes in forged {
        call.datagram(own, &bytes);
        goes_on(&mut call, 0, 1);
    }
    assert!(!call.events.iter().any(|event| matches!(event, MediaEvent::Lost { .. })));
}

/// An RTP packet that names the section it belongs to (RFC 8843 §15) but is not sealed with anybody's key.
fn unsealed_rtp(call: &Call, guest: usize, ssrc: u32) -> Vec<u8> {
    /// str0m's number of the header extension.
    const MID: u8 = 4;
    let mid = call.guests[guest].mid.to_string();
    let mut bytes = vec![0x90, 111, 0x12, 0x34, 0, 0, 0, 1];
    bytes.extend(ssrc.to_be_bytes());
    let mut extension = vec![MID << 4 | u8::try_from(mid.len() - 1).unwrap()];
    extension.extend(mid.as_bytes());
    extension.resize(extension.len().next_multiple_of(4), 0);
    bytes.extend([0xbe, 0xde, 0, u8::try_from(extension.len() / 4).unwrap()]);
    bytes.extend(extension);
    bytes.extend([7; 60]);
    bytes
}

#[test]
fn a_forged_packet_takes_over_no_stream() {
    let mut call = Call::of_two();
    goes_on(&mut call, 0, 1);
    let own = call.guests[0].address;
    for ssrc in 1..100 {
        let forged = unsealed_rtp(&call, 0, ssrc);
        call.datagram(own, &forged);
        goes_on(&mut call, 0, 1);
    }
}
