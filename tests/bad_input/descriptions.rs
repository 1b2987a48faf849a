//! Descriptions that no client should send.

use std::time::Duration;

use konsil::http::livekit::{SignalError, decode_signal, decode_signal_json};
use konsil::model::ids::SessionId;
use konsil::node::sdp::{SDP_MAX, SECTIONS_MAX};
use konsil::room::command::{Layout, Leg};
use konsil::room::media::{MediaCommand, MediaEvent};

use super::call::Call;
use super::goes_on;

/// An offer that is taken as it is.
const OFFER: &str = include_str!("../../fuzz/corpus/sdp/firefox_simple");

fn section(mid: usize) -> String {
    format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:x{mid}\r\na=inactive\r\na=rtpmap:111 opus/48000/2\r\n")
}

/// Gives the third in a room of three an offer. Returns why it was refused.
fn refusal(call: &mut Call, session: SessionId, sdp: String) -> Option<&'static str> {
    call.events.clear();
    call.order(MediaCommand::Offer { session, sdp, id: 1 });
    call.run(Duration::from_millis(20));
    let of_session = |event: &MediaEvent| match event {
        MediaEvent::Refused { session: refused, why } => Some((*refused, Some(*why))),
        MediaEvent::Answer { session, .. } => Some((*session, None)),
        _ => None,
    };
    let (told, why) = call.events.iter().find_map(of_session).expect("neither an answer nor a refusal");
    assert_eq!(told, session);
    why
}

#[test]
fn refused_offers_leave_the_room_alone() {
    let long = format!("{OFFER}{}", "a=x-pad:0123456789\r\n".repeat(SDP_MAX / 20));
    let sections: String = (0..SECTIONS_MAX - 1).map(section).collect();
    let mid_twice = OFFER.replace("a=mid:1", "a=mid:0");
    let cases: [(&str, String, &str); 8] = [
        ("over 64 KiB", long, "64 KiB"),
        ("over 50 sections", format!("{OFFER}{sections}"), "50"),
        ("setup:passive", OFFER.replace("a=setup:actpass", "a=setup:passive"), "passive"),
        ("two sections of one name", mid_twice, "same mid"),
        ("no section", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".to_owned(), "no media section"),
        ("no fingerprint", OFFER.replace("a=fingerprint:", "a=x-fingerprint:"), ""),
        ("cut in the middle", OFFER[..OFFER.len() / 2].to_owned() + "\r\nm=", ""),
        ("no SDP at all", "\u{0}\u{1}m=ä".to_owned(), ""),
    ];
    for (name, sdp, why) in cases {
        let mut call = Call::of_two();
        let session = call.join(1, 3, Layout::Single);
        let refused = refusal(&mut call, session, sdp).unwrap_or_else(|| panic!("{name} was answered"));
        assert!(refused.contains(why), "{name}: {refused}");
        assert_eq!(call.size("rooms"), 1, "{name}");
        // The session is the control core's to end; until then it may try again.
        assert_eq!(refusal(&mut call, session, OFFER.to_owned()), None, "{name}");
        goes_on(&mut call, 0, 1);
    }
}

#[test]
fn stray_orders_change_nothing() {
    let mut call = Call::of_two();
    let nobody = SessionId(99);
    let sdp = OFFER.to_owned();
    for command in [
        MediaCommand::Offer { session: nobody, sdp: sdp.clone(), id: 1 },
        MediaCommand::Answer { session: nobody, sdp: sdp.clone(), id: 1 },
        MediaCommand::Trickle { session: nobody, leg: Leg::Subscriber, candidate: "candidate:1".to_owned() },
        MediaCommand::Resumed { session: nobody },
        MediaCommand::RemoveSession { session: nobody },
        // Of sessions that are there, but at the wrong time.
        MediaCommand::Answer { session: SessionId(1), sdp, id: 7 },
        MediaCommand::Resumed { session: SessionId(1) },
        MediaCommand::Trickle { session: SessionId(1), leg: Leg::Publisher, candidate: "candidate:x y z".to_owned() },
    ] {
        call.order(command);
        goes_on(&mut call, 0, 1);
    }
}

#[test]
fn garbage_on_the_signalling_socket_is_named_so() {
    for bytes in [&[0xff_u8; 16][..], &[0x0a, 0x7f], &[0x0a, 0x02, 0x0a, 0xff], b"GET / HTTP/1.1"] {
        assert_eq!(decode_signal(bytes), Err(SignalError::Garbage), "{bytes:?}");
    }
    for text in ["", "{", "[1]", "{\"offer\":7}", "\u{feff}{}"] {
        assert_eq!(decode_signal_json(text), Err(SignalError::Garbage), "{text}");
    }
}
