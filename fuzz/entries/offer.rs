//! A worker whose clients say anything in their descriptions.

use std::time::Duration;

use konsil::model::ids::{RoomKey, SessionId};
use konsil::model::media::MediaKind;
use konsil::room::command::{Layout, Leg};
use konsil::room::media::{MediaCommand, MediaEvent};
use str0m::Rtc;
use str0m::change::SdpOffer;

use super::call::{Call, sid, track};

/// Has one PeerConnection.
const SINGLE: SessionId = SessionId(1);
/// Has two.
const DUAL: SessionId = SessionId(2);
/// Most orders of one run.
const ORDERS_MAX: usize = 32;

/// Orders, each ended by a zero: a letter, then text.
///
/// `o` offer of the one with one connection, `p` of the one with two, `a` its answer, `A` a right answer,
/// `t` and `T` candidates, `+` and `-` a track of the first by the client's id for it, `s` and `u` the second
/// subscribes to it or no longer, `S` the first does, `r` restart of ICE, `x` the second goes and comes again,
/// `w` time passes.
pub fn run(input: &[u8]) {
    let mut call = Call::new();
    call.open(1);
    call.join(1, SINGLE.0, Layout::Single);
    call.join(1, DUAL.0, Layout::Dual);
    call.open(2);
    call.join(2, 3, Layout::Single);
    let mut client = Rtc::builder().set_rtp_mode(true).build(call.now);
    for order in input.split(|byte| *byte == 0).take(ORDERS_MAX) {
        let Some((letter, text)) = order.split_first() else { continue };
        let Ok(text) = std::str::from_utf8(text) else { continue };
        obey(&mut call, &mut client, *letter, text.to_owned());
    }
    call.run(Duration::from_millis(50));
    assert_eq!(call.worker.stats().room_faults, 0, "a panic inside a room");
    assert_eq!(call.size("rooms"), 2);
    for room in [1, 2] {
        call.order(MediaCommand::CloseRoom { room: RoomKey(room) });
    }
    for what in ["peers", "rooms", "sessions", "addresses", "user names"] {
        assert_eq!(call.size(what), 0, "{what} are left behind");
    }
}

fn obey(call: &mut Call, client: &mut Rtc, letter: u8, text: String) {
    let name = format!("TR_{text:.16}");
    let command = match letter {
        b'o' => MediaCommand::Offer { session: SINGLE, sdp: text, id: 1 },
        b'p' => MediaCommand::Offer { session: DUAL, sdp: text, id: 1 },
        b'a' => MediaCommand::Answer { session: DUAL, sdp: text, id: 0 },
        b'A' => match right_answer(call, client) {
            Some(sdp) => MediaCommand::Answer { session: DUAL, sdp, id: 0 },
            None => return,
        },
        b't' => MediaCommand::Trickle { session: SINGLE, leg: Leg::Publisher, candidate: text },
        b'T' => MediaCommand::Trickle { session: DUAL, leg: Leg::Subscriber, candidate: text },
        b'+' => {
            let kind = if text.starts_with('v') { MediaKind::Video } else { MediaKind::Audio };
            let mut track = track(&name, text.trim_start_matches(['a', 'v']), kind);
            track.cids.push(text);
            MediaCommand::AddTrack { session: SINGLE, track }
        }
        b'-' => MediaCommand::RemoveTrack { session: SINGLE, track: sid(&name) },
        b's' => MediaCommand::Subscribe { session: DUAL, track: sid(&name), publisher: sid("PA_1") },
        b'S' => MediaCommand::Subscribe { session: SINGLE, track: sid(&name), publisher: sid("PA_1") },
        b'u' => MediaCommand::Unsubscribe { session: DUAL, track: sid(&name) },
        b'r' => MediaCommand::Resumed { session: DUAL },
        b'x' => {
            call.order(MediaCommand::RemoveSession { session: DUAL });
            call.join(1, DUAL.0, Layout::Dual);
            *client = Rtc::builder().set_rtp_mode(true).build(call.now);
            return;
        }
        b'w' => return call.run(Duration::from_millis(100)),
        _ => return,
    };
    call.order(command);
}

/// What a client would answer to the worker's last offer.
fn right_answer(call: &Call, client: &mut Rtc) -> Option<String> {
    let offers = call.events.iter().rev().filter_map(|event| match event {
        MediaEvent::Offer { session: DUAL, sdp, .. } => Some(sdp),
        _ => None,
    });
    let offer = SdpOffer::from_sdp_string(offers.take(1).next()?).expect("an offer of the worker's");
    // str0m is passive where it may choose, browsers are not.
    Some(client.sdp_api().accept_offer(offer).ok()?.to_sdp_string().replace("a=setup:passive", "a=setup:active"))
}
