//! A call of two, with datagrams that nobody in it has sent.

use std::time::Duration;

use konsil::node::route::{local_ufrag, worker_of};
use konsil::node::worker::WorkerInput;

use super::call::{Call, server, stranger};

/// Most datagrams of one run.
const DATAGRAMS_MAX: usize = 32;
/// Bits of the byte that says where a datagram comes from; its lowest two are a source.
const HANDED_OVER: u8 = 0x80;
const LATER: u8 = 0x40;
const COPY: u8 = 0x20;

/// Datagrams: a byte that says where it comes from, its length in two bytes, itself.
///
/// A copy is the last datagram that a guest has sent, with the bytes written over it from a place that their first says.
pub fn run(input: &[u8]) {
    let _ = local_ufrag(input).and_then(worker_of);
    let mut call = Call::of_two();
    let mut rest = input;
    for _ in 0..DATAGRAMS_MAX {
        let [how, low, high, tail @ ..] = rest else { break };
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (bytes, tail) = tail.split_at(len);
        inject(&mut call, *how, bytes);
        rest = tail;
    }
    assert_eq!(call.worker.stats().room_faults, 0, "a panic inside a room");
    assert!(call.size("addresses") <= 2 * 8 && call.size("sessions") == 2);
    let before = call.guests[1].received;
    for _ in 0..5 {
        call.speak(0);
        call.run(Duration::from_millis(20));
    }
    assert_eq!(call.guests[1].received - before, 5, "the call does not go on");
}

fn inject(call: &mut Call, how: u8, bytes: &[u8]) {
    if how & LATER != 0 {
        call.speak(0);
        call.run(Duration::from_millis(20));
    }
    let source = match how & 3 {
        guest @ (0 | 1) => call.guests[usize::from(guest)].address,
        other => stranger(u16::from(other)),
    };
    let copy = if how & COPY == 0 {
        bytes.to_vec()
    } else {
        tampered(call.guests[usize::from(how >> 2 & 1)].sent.last().expect("a guest that has sent"), bytes)
    };
    if how & HANDED_OVER == 0 {
        call.datagram(source, &copy);
    } else {
        call.worker.handle(WorkerInput::HandedOver { source, local: server(), bytes: &copy }, call.now);
        call.settle();
    }
}

/// Another's datagram with some bytes changed: never the same.
fn tampered(real: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut copy = real.to_vec();
    let Some((at, changes)) = changes.split_first() else { return real[..real.len() / 2].to_vec() };
    for (byte, change) in copy.iter_mut().skip(usize::from(*at)).zip(changes) {
        *byte ^= change;
    }
    if copy == real {
        copy.truncate(real.len() - 1);
    }
    copy
}
