//! Storms of feedback: what a subscriber asks for again, others do not pay for.

use std::time::Duration;

use super::call::Call;

/// What a packet of video has.
const PACKET: usize = 1_000;
/// 800 kbit/s.
const FAST: Duration = Duration::from_millis(10);
/// 80 kbit/s: a still picture.
const SLOW: Duration = Duration::from_millis(100);
/// Formats and types of feedback (RFC 4585 §6.2.1 and §6.3.1, RFC 5104 §4.3.1).
const NACK: (u8, u8) = (1, 205);
const PLI: (u8, u8) = (1, 206);
const FIR: (u8, u8) = (4, 206);
/// Entries of one NACK: as many as str0m reads.
const ENTRIES: u16 = 31;
/// Numbers that each entry names.
const NUMBERS: u16 = 17;

const PUBLISHER: usize = 0;
const HOSTILE: usize = 1;
const OTHER: usize = 2;

/// Somebody shows, two watch. RTCP of the second is forged: sealed with its keys, but written by the tests.
fn call() -> Call {
    let mut call = Call::showing();
    // Estimates have settled then.
    play(&mut call, 10, FAST, |_| {});
    call
}

/// Lets the publisher send a packet in each `step`, while the hostile one does something.
fn play(call: &mut Call, seconds: u64, step: Duration, mut hostile: impl FnMut(&mut Call)) -> Paid {
    let before = Paid::of(call);
    let end = call.now + Duration::from_secs(seconds);
    while call.now < end {
        call.show(PUBLISHER, true, PACKET);
        hostile(call);
        call.run(step);
    }
    assert_eq!(call.worker.stats().room_faults, 0);
    Paid::of(call).less(&before)
}

/// What everybody had of a while: bytes that each got, packets, and keyframes that the publisher was asked for.
#[derive(Debug)]
struct Paid {
    bytes: [u64; 3],
    received: [u64; 3],
    asked: u64,
}

impl Paid {
    fn of(call: &Call) -> Self {
        let of = |what: fn(&super::call::Guest) -> u64| [PUBLISHER, HOSTILE, OTHER].map(|guest| what(&call.guests[guest]));
        Self { bytes: of(|guest| guest.bytes), received: of(|guest| guest.received), asked: call.guests[PUBLISHER].asked }
    }

    fn less(self, before: &Self) -> Self {
        let less = |now: [u64; 3], before: [u64; 3]| std::array::from_fn(|at| now[at] - before[at]);
        Self { bytes: less(self.bytes, before.bytes), received: less(self.received, before.received), asked: self.asked - before.asked }
    }
}

/// Feedback about what the hostile one sees, over and over, as much as a datagram holds.
fn feedback(call: &Call, (format, kind): (u8, u8), body: impl Fn(u32, u16) -> Vec<u8>) -> Vec<u8> {
    let (ssrc, newest) = call.guests[HOSTILE].newest.unwrap();
    let body = body(ssrc, u16::try_from(newest & 0xffff).unwrap());
    let words = u16::try_from(2 + body.len() / 4).unwrap();
    // FIR names the stream in its body (RFC 5104 §4.3.1.2).
    let media = if (format, kind) == FIR { 0 } else { ssrc };
    let one = [&[0x80 | format, kind][..], &words.to_be_bytes(), &1_u32.to_be_bytes(), &media.to_be_bytes(), &body].concat();
    one.repeat(1_400 / one.len())
}

/// The last 527 packets, again and again.
fn nack(call: &mut Call) {
    let nacks = feedback(call, NACK, |_, newest| {
        let first = |entry: u16| newest.wrapping_sub(entry * NUMBERS + NUMBERS - 1);
        (0..ENTRIES).flat_map(|entry| [first(entry).to_be_bytes(), [0xff; 2]].concat()).collect()
    });
    call.feed_back(HOSTILE, &nacks);
}

/// Keyframes, in both words for it.
fn demand(call: &mut Call, count: u8) {
    let plis = feedback(call, PLI, |_, _| Vec::new());
    let firs = feedback(call, FIR, |ssrc, _| [&ssrc.to_be_bytes()[..], &[count, 0, 0, 0]].concat());
    call.feed_back(HOSTILE, &plis);
    call.feed_back(HOSTILE, &firs);
}

/// The others get what they got, and all of it, in a storm of as long a time.
#[track_caller]
fn others_do_not_pay(quiet: &Paid, storm: &Paid, seconds: u64) {
    assert_eq!(storm.received[OTHER], quiet.received[OTHER], "{storm:?}");
    assert!(storm.bytes[OTHER] * 100 <= quiet.bytes[OTHER] * 102, "{quiet:?}, then {storm:?}");
    // What the publisher hears is its transport's feedback, with a few requests: no NACK of anybody else's.
    assert!(storm.bytes[PUBLISHER] <= quiet.bytes[PUBLISHER] * 11 / 10 + 64 * storm.asked, "{quiet:?}, then {storm:?}");
    assert!(storm.asked <= 2 * seconds + 1, "{storm:?}");
}

#[test]
fn a_storm_of_nacks_costs_a_fifth_more() {
    const SECONDS: u64 = 30;
    for (step, a_step) in [(FAST, 10), (FAST, 1), (SLOW, 20)] {
        let mut call = call();
        let quiet = play(&mut call, SECONDS, step, |_| {});
        let storm = play(&mut call, SECONDS, step, |call| (0..a_step).for_each(|_| nack(call)));
        others_do_not_pay(&quiet, &storm, SECONDS);
        assert!(storm.bytes[HOSTILE] * 100 <= quiet.bytes[HOSTILE] * 120, "{quiet:?}, then {storm:?}");
    }
}

#[test]
fn a_storm_of_keyframe_requests_is_two_a_second_to_the_publisher() {
    const SECONDS: u64 = 10;
    let mut call = call();
    let quiet = play(&mut call, SECONDS, FAST, |_| {});
    assert_eq!(quiet.asked, 0);
    let mut count = 0;
    let storm = play(&mut call, SECONDS, FAST, |call| {
        for _ in 0..5 {
            count = (count + 1) % 200;
            demand(call, count);
        }
    });
    others_do_not_pay(&quiet, &storm, SECONDS);
    assert!(storm.asked >= SECONDS && storm.received[HOSTILE] == quiet.received[HOSTILE], "{storm:?}");
    assert!(storm.bytes[HOSTILE] * 100 <= quiet.bytes[HOSTILE] * 120, "{quiet:?}, then {storm:?}");
}

#[test]
fn what_was_lost_is_sent_again_after_a_storm() {
    let mut call = call();
    play(&mut call, 5, FAST, nack);
    play(&mut call, 2, FAST, |_| {});
    let before = call.guests[HOSTILE].received;
    for lost in 0..200 {
        call.guests[HOSTILE].deaf = lost % 20 == 3;
        call.show(PUBLISHER, true, PACKET);
        call.run(FAST);
    }
    call.guests[HOSTILE].deaf = false;
    play(&mut call, 1, FAST, |_| {});
    assert_eq!(call.guests[HOSTILE].received - before, 300, "one in twenty was lost on the way");
}
