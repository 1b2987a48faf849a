//! A way that dies in mid-call: the client is told once, if it should be heard.

use std::time::Duration;

use konsil::model::ids::{SessionId, Sid};
use konsil::room::command::Layout;
use konsil::room::media::{MediaCommand, MediaEvent};

use super::call::Call;

/// A call whose speaker has a signalling connection, after a second of speech.
fn speaking() -> Call {
    let mut call = Call::new();
    call.open(1);
    let speaker = call.publisher_by(Layout::Single, 1, 1);
    call.subscriber(1, 2, 1);
    call.run(Duration::from_millis(500));
    speak(&mut call, speaker);
    call
}

fn speak(call: &mut Call, speaker: usize) {
    for _ in 0..50 {
        call.speak(speaker);
        call.run(Duration::from_millis(20));
    }
}

/// How often the speaker was told, and forgets it.
fn told(call: &mut Call) -> usize {
    let silent = MediaEvent::Silent { session: SessionId(1) };
    let count = call.events.iter().filter(|event| **event == silent).count();
    call.events.clear();
    count
}

#[test]
fn a_speaker_that_falls_silent_is_told_once() {
    let mut call = speaking();
    call.guests[0].cut = true;
    call.run(Duration::from_millis(1_900));
    assert_eq!(told(&mut call), 0);
    call.run(Duration::from_millis(400));
    assert_eq!(told(&mut call), 1);
    call.run(Duration::from_secs(5));
    assert_eq!(told(&mut call), 0);
    call.guests[0].cut = false;
    speak(&mut call, 0);
    assert_eq!(told(&mut call), 0);
    call.guests[0].cut = true;
    call.run(Duration::from_secs(3));
    assert_eq!(told(&mut call), 1, "it comes back and falls silent again");
}

#[test]
fn who_has_nothing_to_say_is_left_alone() {
    let mut call = speaking();
    call.order(MediaCommand::SetMuted { session: SessionId(1), track: Sid::from_client("TR_1"), muted: true });
    call.guests[0].cut = true;
    call.run(Duration::from_secs(4));
    assert_eq!(told(&mut call), 0);
}

#[test]
fn clients_without_signalling_are_not_told() {
    let mut call = Call::of_two();
    speak(&mut call, 0);
    call.guests[0].cut = true;
    call.run(Duration::from_secs(4));
    assert_eq!(told(&mut call), 0);
}
