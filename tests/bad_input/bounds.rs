//! What a worker does at its bounds.

use std::net::SocketAddr;
use std::time::Duration;

use konsil::model::ids::{RoomKey, WorkerIndex};
use konsil::model::media::MediaKind;
use konsil::node::route::ROUTES_MAX;
use konsil::node::sdp::SECTIONS_MAX;
use konsil::node::worker::WorkerInput;
use konsil::room::command::Layout;
use konsil::room::media::{MediaCommand, MediaEvent};
use str0m::Rtc;
use str0m::change::SdpOffer;

use super::call::{Call, sid, stranger, track};
use super::datagrams::credentials;
use super::goes_on;
use super::stun::binding;

/// Addresses of one client that are kept.
const PATHS_MAX: usize = 8;

#[test]
fn a_client_keeps_few_addresses() {
    let mut call = Call::of_two();
    let (username, password) = credentials(&mut call, 1);
    for number in 0..3 * PATHS_MAX {
        let number = u16::try_from(number).unwrap();
        let check = binding(&username, &password, [u8::try_from(number).unwrap(); 12]);
        call.datagram(stranger(1_000 + number), &check);
        assert!(call.size("addresses") <= 1 + PATHS_MAX);
    }
    assert_eq!(call.size("addresses"), 1 + PATHS_MAX);
    call.order(MediaCommand::CloseRoom { room: RoomKey(1) });
    assert_eq!(call.size("addresses"), 0);
}

#[test]
fn routes_to_other_workers_are_bounded() {
    let mut call = Call::of_two();
    for number in 0..u32::try_from(ROUTES_MAX).unwrap() + 100 {
        let source = SocketAddr::from((number.to_be_bytes(), 5));
        call.worker.handle(WorkerInput::Learned { source, worker: WorkerIndex(1), relay: false }, call.now);
    }
    assert_eq!(call.size("routes"), ROUTES_MAX);
    goes_on(&mut call, 0, 1);
}

#[test]
fn an_address_that_another_worker_claims_comes_back_with_the_next_check() {
    let mut call = Call::of_two();
    let source = call.guests[0].address;
    call.worker.handle(WorkerInput::Learned { source, worker: WorkerIndex(1), relay: false }, call.now);
    // Consent checks come every few seconds (RFC 7675).
    call.run(Duration::from_secs(10));
    goes_on(&mut call, 0, 1);
}

#[test]
fn an_address_that_another_session_claims_comes_back_with_the_next_check() {
    let mut call = Call::of_two();
    let source = call.guests[0].address;
    let (username, password) = credentials(&mut call, 1);
    call.datagram(source, &binding(&username, &password, [1; 12]));
    call.run(Duration::from_secs(10));
    goes_on(&mut call, 0, 1);
}

/// Answers the worker's last offer to a session, as a client would. Returns the number of its sections.
fn answer(call: &mut Call, client: &mut Rtc, session: u64) -> usize {
    let offers = call.events.iter().rev().filter_map(|event| match event {
        MediaEvent::Offer { session: to, sdp, id, .. } if to.0 == session => Some((sdp.clone(), *id)),
        _ => None,
    });
    let (text, id) = offers.take(1).next().unwrap();
    let offer = SdpOffer::from_sdp_string(&text).unwrap();
    // str0m is passive where it may choose, browsers are not.
    let sdp = client.sdp_api().accept_offer(offer).unwrap().to_sdp_string().replace("a=setup:passive", "a=setup:active");
    let session = konsil::model::ids::SessionId(session);
    call.order(MediaCommand::Answer { session, sdp, id });
    text.matches("\r\nm=").count()
}

#[test]
fn a_subscriber_of_many_tracks_gets_as_many_sections_as_it_may_answer() {
    let mut call = Call::of_two();
    let publisher = call.join(1, 3, Layout::Single);
    let listener = call.join(1, 4, Layout::Dual);
    let mut client = Rtc::builder().set_rtp_mode(true).build(call.now);
    answer(&mut call, &mut client, 4);
    for number in 0..SECTIONS_MAX + 10 {
        let name = format!("TR_{number}");
        call.order(MediaCommand::AddTrack { session: publisher, track: track(&name, &number.to_string(), MediaKind::Audio) });
        call.order(MediaCommand::Subscribe { session: listener, track: sid(&name), publisher: sid("PA_3") });
    }
    // The first offer had none of them; each answer makes room for the next offer.
    let first = answer(&mut call, &mut client, 4);
    let second = answer(&mut call, &mut client, 4);
    assert!(first <= SECTIONS_MAX && second <= SECTIONS_MAX, "{first}, then {second} sections");
    let refused = call.events.iter().find(|event| matches!(event, MediaEvent::Refused { .. }));
    assert_eq!(refused, None);
    // A track that goes makes room for one that waits, once the client has answered that it is gone.
    call.events.clear();
    for number in 0..20 {
        call.order(MediaCommand::Unsubscribe { session: listener, track: sid(&format!("TR_{number}")) });
    }
    for _ in 0..3 {
        answer(&mut call, &mut client, 4);
    }
    let begun = call.events.iter().filter(|event| matches!(event, MediaEvent::Subscribed { .. })).count();
    assert!(begun >= 10, "{begun} of those that waited");
    goes_on(&mut call, 0, 1);
}
