//! Handshakes outside of `crypto = "bsi"`, which all these workers have.

use std::time::Duration;

use konsil::model::media::MediaKind;
use konsil::room::command::Layout;
use konsil::room::media::{MediaCommand, MediaEvent};
use str0m::media::Direction;

use crate::call::{Call, sid};
use crate::dropped_as;

/// Makes an offer of SRTP profiles one of AES-CM alone.
fn only_aes_cm(datagram: &mut [u8]) {
    let offer = [0, 14, 0, 9, 0, 6];
    if datagram.first() == Some(&22)
        && let Some(at) = datagram.windows(offer.len()).position(|part| part == offer)
    {
        datagram[at + offer.len()..][..6].copy_from_slice(&[0, 1, 0, 1, 0, 1]);
    }
}

#[test]
fn srtp_is_gcm_and_who_has_less_gets_no_media() {
    // Each guest's keys are checked to be of AES-256-GCM as they are made.
    let mut call = Call::of_two();
    let session = call.join(1, 3, Layout::Whep);
    let (late, sdp) = call.guest(session, MediaKind::Audio, Direction::RecvOnly, &[]);
    call.guests[late].altered = only_aes_cm;
    call.order(MediaCommand::Subscribe { session, track: sid("TR_1"), publisher: sid("PA_1") });
    call.order(MediaCommand::Offer { session, sdp, id: 1 });
    for _ in 0..150 {
        call.speak(0);
        call.run(Duration::from_millis(20));
    }
    assert_eq!(call.guests[1].received, 150);
    let guest = &call.guests[late];
    assert!(!guest.connected && guest.received == 0);
    assert!(call.events.contains(&MediaEvent::Lost { session }) && !call.events.contains(&MediaEvent::Connected { session }));
    assert!(dropped_as(&call, "handshake") > 0);
}
