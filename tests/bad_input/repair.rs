//! What a bad way costs, what is made good again, what is told of it.

use std::time::Duration;

use konsil::model::ids::SessionId;
use konsil::model::media::{MediaKind, Quality, TrackSettings};
use konsil::room::command::Layout;
use konsil::room::media::{MediaCommand, MediaEvent};
use konsil::room::notice::QualityLevel;
use str0m::format::Codec;
use str0m::rtp::RtpWrite;

use super::call::{Call, sid};

const PUBLISHER: usize = 0;
const WATCHER: usize = 1;
const OTHER: usize = 2;
/// What a packet of video has.
const PACKET: usize = 500;
const EVERY: Duration = Duration::from_millis(10);
/// Nobody watches for so long before a publisher hears of it, with what its tick adds.
const UNWATCHED: Duration = Duration::from_secs(6);
/// A layer that is wanted again must be there by then.
const BACK: Duration = Duration::from_millis(500);

/// Lets the publisher show for a while, a packet in each step.
fn play(call: &mut Call, time: Duration, every: Duration) {
    let end = call.now + time;
    while call.now < end {
        call.show(PUBLISHER, true, PACKET);
        call.run(every);
    }
}

#[test]
fn losses_either_way_are_made_good_without_a_keyframe() {
    for one_in in [100, 20] {
        let mut call = Call::showing();
        play(&mut call, Duration::from_secs(5), EVERY);
        let (asked, begun) = (call.guests[PUBLISHER].asked, call.guests[PUBLISHER].spoken);
        let before = [WATCHER, OTHER].map(|guest| call.guests[guest].received);
        for number in 0..3_000 {
            // Neither keeps step with the other.
            call.guests[PUBLISHER].cut = number % one_in == 7;
            call.guests[WATCHER].deaf = number % one_in == 12;
            call.show(PUBLISHER, true, PACKET);
            call.run(EVERY);
        }
        (call.guests[PUBLISHER].cut, call.guests[WATCHER].deaf) = (false, false);
        play(&mut call, Duration::from_secs(1), EVERY);
        let sent = call.guests[PUBLISHER].spoken - begun;
        for (guest, before) in [WATCHER, OTHER].into_iter().zip(before) {
            assert_eq!(call.guests[guest].received - before, sent, "guest {guest} where one in {one_in} is lost");
        }
        assert!(call.guests[PUBLISHER].asked <= asked + 1, "{} keyframes", call.guests[PUBLISHER].asked - asked);
    }
}

/// The levels that a session was last told of.
fn last_level(call: &Call, session: u64) -> Option<QualityLevel> {
    let told = call.events.iter().rev().filter_map(|event| match event {
        MediaEvent::Quality { levels, .. } => Some(levels),
        _ => None,
    });
    told.flatten().find(|(id, ..)| *id == SessionId(session)).map(|(_, level, _)| *level)
}

#[test]
fn a_way_that_loses_a_quarter_is_called_poor() {
    let mut call = Call::showing();
    play(&mut call, Duration::from_secs(12), EVERY);
    assert_eq!(last_level(&call, 2), Some(QualityLevel::Excellent));
    for number in 0..1_500 {
        call.guests[WATCHER].deaf = number % 4 == 0;
        call.show(PUBLISHER, true, PACKET);
        call.run(EVERY);
    }
    assert_eq!(last_level(&call, 2), Some(QualityLevel::Poor));
    assert_eq!(last_level(&call, 3), Some(QualityLevel::Excellent), "the other's is another");
}

#[test]
fn a_way_that_is_dead_is_called_lost() {
    let mut call = Call::new();
    call.open(1);
    let speaker = call.publisher_by(Layout::Single, 1, 1);
    call.subscriber(1, 2, 1);
    call.run(Duration::from_millis(500));
    for _ in 0..500 {
        call.speak(speaker);
        call.run(Duration::from_millis(20));
    }
    assert_eq!(last_level(&call, 1), Some(QualityLevel::Excellent));
    call.guests[speaker].cut = true;
    call.run(Duration::from_secs(8));
    assert_eq!((last_level(&call, 1), last_level(&call, 2)), (Some(QualityLevel::Lost), Some(QualityLevel::Excellent)));
}

#[test]
fn redundant_sound_goes_through_byte_by_byte() {
    let mut call = Call::of_two();
    let opus = call.guests[0].rtc.codec_config().find(|params| params.spec().codec == Codec::Opus).copied().unwrap();
    let red = opus.red().expect("RED was negotiated");
    let mut sent = Vec::new();
    for number in 0..50_u8 {
        // RFC 2198 §3: the block before, 960 ticks ago, 20 bytes long, then this one.
        let mut payload = vec![0x80 | *opus.pt(), 0x0f, 0, 20, *opus.pt()];
        payload.extend([number.wrapping_sub(1); 20]);
        payload.extend([number; 30]);
        let now = call.now;
        let guest = &mut call.guests[0];
        guest.spoken += 1;
        let rtp = RtpWrite::new(red, guest.spoken.into(), u32::from(number) * 960, now, payload.clone());
        guest.rtc.direct_api().stream_tx_by_mid(guest.mid, None).unwrap().write_rtp(rtp);
        guest.due = now;
        sent.push(payload);
        call.run(Duration::from_millis(20));
    }
    let theirs =
        call.guests[1].rtc.codec_config().find(|params| params.spec().codec == Codec::Opus).and_then(str0m::format::PayloadParams::red);
    let came: Vec<Vec<u8>> = call.guests[1].got.iter().map(|(_, packet)| packet.payload.to_vec()).collect();
    assert_eq!(came, sent);
    assert!(call.guests[1].got.iter().all(|(_, packet)| Some(packet.header.payload_type) == theirs));
}

fn show_to(call: &mut Call, session: u64, disabled: bool) {
    let settings = TrackSettings { disabled, ..TrackSettings::default() };
    call.order(MediaCommand::Settings { session: SessionId(session), track: sid("TR_1"), settings });
}

#[test]
fn a_picture_that_is_watched_again_is_back_within_half_a_second() {
    let watched = |call: &Call, wanted: Option<Quality>| {
        call.events.iter().any(|event| matches!(event, MediaEvent::Watched { best, .. } if *best == wanted))
    };
    // At any time between two ticks of the worker.
    for offset in (0..1_000).step_by(90) {
        let mut call = Call::showing();
        play(&mut call, Duration::from_secs(2), EVERY);
        [2, 3].into_iter().for_each(|session| show_to(&mut call, session, true));
        play(&mut call, UNWATCHED, EVERY);
        assert!(watched(&call, None), "nobody watches");
        call.run(Duration::from_millis(offset));
        call.events.clear();
        let (wanted, before) = (call.now, call.guests[WATCHER].received);
        show_to(&mut call, 2, false);
        while call.guests[WATCHER].received == before {
            assert!(call.now - wanted <= BACK, "not back after {:?}, told: {}", call.now - wanted, watched(&call, Some(Quality::High)));
            // The publisher sends nothing before it hears of it.
            if watched(&call, Some(Quality::High)) {
                call.show(PUBLISHER, true, PACKET);
            }
            call.run(EVERY);
        }
    }
}

/// Publishes a picture as session 1 to the sessions 2 and 3; what the other gets while the watcher is stalled must not change.
#[test]
fn whoever_stalls_gets_less_alone() {
    let mut call = Call::new();
    call.open(1);
    call.publisher_of(MediaKind::Video, Layout::Whip, 1, 1);
    call.subscriber_of(MediaKind::Video, 1, 2, 1);
    call.subscriber_of(MediaKind::Video, 1, 3, 1);
    call.run(Duration::from_millis(500));
    play(&mut call, Duration::from_secs(10), EVERY);
    let quiet = (call.guests[OTHER].received, call.guests[PUBLISHER].bytes);
    play(&mut call, Duration::from_secs(10), EVERY);
    let quiet = (call.guests[OTHER].received - quiet.0, call.guests[PUBLISHER].bytes - quiet.1);
    call.guests[WATCHER].cut = true;
    let stalled = (call.guests[OTHER].received, call.guests[PUBLISHER].bytes);
    play(&mut call, Duration::from_secs(10), EVERY);
    let stalled = (call.guests[OTHER].received - stalled.0, call.guests[PUBLISHER].bytes - stalled.1);
    assert_eq!(quiet.0, stalled.0, "the other gets the same");
    assert!(stalled.1 * 100 <= quiet.1 * 102, "the publisher hears {} bytes, then {}", quiet.1, stalled.1);
}
