//! A call with feedback that a client has sealed but str0m would not have written.

use std::time::Duration;

use super::call::Call;

/// Most datagrams of one run.
const DATAGRAMS_MAX: usize = 32;
/// Bits of the byte before a datagram.
const FROM_PUBLISHER: u8 = 0x01;
const AS_IT_IS: u8 = 0x20;
const LATER: u8 = 0x40;
/// The least that can be sealed: the header and the sender.
const LEAST: usize = 8;
const STEP: Duration = Duration::from_millis(20);

const PUBLISHER: usize = 0;
const SUBSCRIBER: usize = 1;
const OTHER: usize = 2;

/// Datagrams: a byte that says how it comes, its length in two bytes, itself.
///
/// The word `SSRC` stands for the stream that the subscriber gets, `SQ` at the beginning of a word for its newest number.
/// Unless it comes as it is, its first packet gets a header of RTCP.
pub fn run(input: &[u8]) {
    let mut call = Call::showing();
    let begun = call.now;
    let (mut shown, mut honest) = (0, true);
    let before = call.guests[OTHER].received;
    let mut rest = input;
    for _ in 0..DATAGRAMS_MAX {
        let [how, low, high, tail @ ..] = rest else { break };
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (bytes, tail) = tail.split_at(len);
        rest = tail;
        let from = if how & FROM_PUBLISHER == 0 { SUBSCRIBER } else { PUBLISHER };
        honest &= from != PUBLISHER;
        let rtcp = packet(&call, bytes, how & AS_IT_IS != 0);
        call.feed_back(from, &rtcp);
        if how & LATER != 0 {
            shown += 1;
            show(&mut call);
        }
    }
    for _ in 0..10 {
        shown += 1;
        show(&mut call);
    }
    call.run(STEP);
    assert_eq!(call.worker.stats().room_faults, 0, "a panic inside a room");
    // Who says of its own streams that they end may lose them.
    assert!(!honest || call.guests[OTHER].received - before == shown, "the call does not go on");
    let asked = call.guests[PUBLISHER].asked;
    let halves = call.now.duration_since(begun).as_millis() / 500;
    assert!(u128::from(asked) <= halves + 2, "{asked} keyframes");
    let [got, other] = [SUBSCRIBER, OTHER].map(|guest| call.guests[guest].bytes);
    assert!(got <= other * 2 + 64 * 1024, "{got} bytes beside {other}");
}

fn show(call: &mut Call) {
    call.show(PUBLISHER, true, 500);
    call.run(STEP);
}

fn packet(call: &Call, bytes: &[u8], as_it_is: bool) -> Vec<u8> {
    let (ssrc, newest) = call.guests[SUBSCRIBER].newest.expect("somebody who watches");
    let [.., high, low] = newest.to_be_bytes();
    let mut rtcp: Vec<u8> = Vec::with_capacity(bytes.len());
    for word in bytes.chunks(4) {
        match word {
            b"SSRC" => rtcp.extend(ssrc.to_be_bytes()),
            [b'S', b'Q', rest @ ..] => rtcp.extend([&[high, low], rest].concat()),
            _ => rtcp.extend(word),
        }
    }
    rtcp.resize(rtcp.len().clamp(LEAST, 1_400), 0);
    if !as_it_is {
        rtcp[0] = 0x80 | rtcp[0] & 0x3f;
        rtcp[1] = 200 + rtcp[1] % 8;
    }
    rtcp
}
