//! WHIP or WHEP clients that change ICE, rightly or wrongly.

use std::time::Duration;

use konsil::model::grants::Grants;
use konsil::model::ids::{Identity, RoomName, SessionId, Sid, TenantId};
use konsil::model::time::Moment;
use konsil::node::control::{Caller, ControlInput, ControlOutput};
use konsil::node::fragment::{self, CANDIDATES_MAX, Credentials, Fragment};
use konsil::node::request::{Condition, ConnId, Refusal, Reply, Request};
use konsil::room::command::Layout;
use konsil::room::media::{MediaCommand, MediaEvent};
use str0m::change::SdpAnswer;

use super::call::Call;
use super::call::encoder::{Node, ROOM, grants};
use super::connect;
use super::goes_on;
use super::written;

/// An offer that is taken as it is; it would send sound and pictures, and receive them.
const OFFER: &str = include_str!("../../fuzz/corpus/sdp/firefox_simple");

fn room() -> RoomName {
    RoomName::new(ROOM).unwrap()
}

fn receiving() -> String {
    OFFER.replace("a=sendrecv", "a=recvonly")
}

fn credentials(number: u8) -> Credentials {
    Credentials { ufrag: format!("user{number}"), password: format!("password-of-the-client-{number}").replace('-', "+") }
}

fn candidates(count: usize) -> Fragment {
    Fragment { credentials: None, candidates: vec!["candidate:1 1 udp 1 192.0.2.9 9 typ host".to_owned(); count] }
}

fn anew(number: u8) -> Fragment {
    Fragment { credentials: Some(credentials(number)), ..candidates(1) }
}

fn tag(text: &str) -> Condition {
    Condition::Tags(vec![text.to_owned()])
}

/// A node with the encoder's session.
fn publishing() -> (Node, Sid) {
    let mut node = Node::new(false);
    let begun = node.ask(Request::Whip { grants: grants("encoder"), room: room(), sdp: OFFER.to_owned() });
    let Ok(Reply::Media { resource, tag, .. }) = begun else { panic!("{begun:?}") };
    assert_eq!(tag, "ice-0");
    (node, resource)
}

fn change(node: &mut Node, grants: Grants, resource: &Sid, condition: Condition, fragment: Fragment) -> Result<Reply, Refusal> {
    node.ask(Request::ChangeMedia { grants, room: room(), of: None, resource: resource.clone(), condition, fragment })
}

fn ours(reply: Result<Reply, Refusal>, expected: &str) -> Credentials {
    let Ok(Reply::Restarted { tag, fragment }) = reply else { panic!("{reply:?}") };
    assert_eq!(tag, expected);
    let read = fragment::read(&fragment).unwrap();
    assert_eq!(read.candidates.len(), 1);
    assert!(fragment.starts_with("a=") && fragment.contains("a=ice-lite\r\n") && fragment.ends_with("a=end-of-candidates\r\n"));
    read.credentials.unwrap()
}

#[test]
fn each_restart_is_another_ice_session() {
    let (mut node, resource) = publishing();
    let own = || grants("encoder");
    assert_eq!(change(&mut node, own(), &resource, tag("ice-0"), candidates(1)), Ok(Reply::Done));
    assert_eq!(change(&mut node, own(), &resource, Condition::Any, candidates(1)), Ok(Reply::Done));
    assert_eq!(change(&mut node, own(), &resource, tag("ice-1"), candidates(1)), Err(Refusal::NotCurrent));
    assert_eq!(change(&mut node, own(), &resource, Condition::Tags(Vec::new()), anew(1)), Err(Refusal::NotCurrent));
    let first = ours(change(&mut node, own(), &resource, Condition::Any, anew(1)), "ice-1");
    // The same credentials are no restart; new ones are, whatever the condition that holds.
    assert_eq!(change(&mut node, own(), &resource, tag("ice-1"), anew(1)), Ok(Reply::Done));
    assert_eq!(change(&mut node, own(), &resource, tag("ice-0"), candidates(1)), Err(Refusal::NotCurrent));
    let second = ours(change(&mut node, own(), &resource, tag("ice-1"), anew(2)), "ice-2");
    assert!(first.ufrag != second.ufrag && first.password != second.password);
    assert_eq!((node.call.size("peers"), node.call.size("user names")), (1, 1));
    for half in
        [Credentials { ufrag: "other".into(), ..credentials(2) }, Credentials { password: credentials(3).password, ..credentials(2) }]
    {
        let fragment = Fragment { credentials: Some(half), candidates: Vec::new() };
        assert!(matches!(change(&mut node, own(), &resource, Condition::Any, fragment), Err(Refusal::Invalid(_))));
    }
}

#[test]
fn only_who_may_end_a_session_may_change_it() {
    let (mut node, resource) = publishing();
    let foreign = Grants { tenant: TenantId::new("other").unwrap(), ..grants("encoder") };
    for (grants, resource) in [(grants("stranger"), &resource), (foreign, &resource), (grants("encoder"), &Sid::from_client("PA_none"))] {
        assert_eq!(change(&mut node, grants.clone(), resource, Condition::Any, anew(1)), Err(Refusal::ResourceNotFound));
        let end = Request::EndMedia { grants, room: room(), of: None, resource: resource.clone() };
        assert_eq!(node.ask(end), Err(Refusal::ResourceNotFound));
    }
    let of = Identity::new("encoder").ok();
    let end = Request::EndMedia { grants: grants("encoder"), room: room(), of, resource: resource.clone() };
    assert_eq!(node.ask(end), Err(Refusal::ResourceNotFound), "by an address of WHEP");
    let host = Grants { room_admin: true, ..grants("host") };
    ours(change(&mut node, host, &resource, Condition::Any, anew(1)), "ice-1");
}

#[test]
fn participants_who_signal_are_no_resources() {
    let mut node = Node::new(false);
    let now = Moment { instant: node.call.now, wall: Duration::ZERO };
    let outputs = written(&mut node.control, ControlInput::Connect(Caller(1), ConnId(1), connect(grants("anna"))), now);
    let sid = outputs.into_iter().find_map(|output| match output {
        ControlOutput::Media(_, MediaCommand::AddSession { sid, .. }) => Some(sid),
        _ => None,
    });
    let sid = sid.unwrap();
    assert_eq!(change(&mut node, grants("anna"), &sid, Condition::Any, candidates(1)), Err(Refusal::ResourceNotFound));
    let end = Request::EndMedia { grants: grants("anna"), room: room(), of: None, resource: sid };
    assert_eq!(node.ask(end), Err(Refusal::ResourceNotFound));
}

#[test]
fn candidates_of_an_ice_session_are_bounded() {
    let (mut node, resource) = publishing();
    let own = || grants("encoder");
    assert_eq!(change(&mut node, own(), &resource, Condition::Any, candidates(CANDIDATES_MAX - 1)), Ok(Reply::Done));
    assert_eq!(change(&mut node, own(), &resource, Condition::Any, candidates(2)), Err(Refusal::TooManyCandidates));
    assert_eq!(change(&mut node, own(), &resource, Condition::Any, candidates(1)), Ok(Reply::Done));
    assert_eq!(change(&mut node, own(), &resource, Condition::Any, candidates(1)), Err(Refusal::TooManyCandidates));
    ours(change(&mut node, own(), &resource, Condition::Any, anew(1)), "ice-1");
    assert_eq!(change(&mut node, own(), &resource, Condition::Any, candidates(CANDIDATES_MAX - 1)), Ok(Reply::Done));
}

#[test]
fn nothing_is_left_of_a_session_that_ended() {
    let (mut node, resource) = publishing();
    ours(change(&mut node, grants("encoder"), &resource, Condition::Any, anew(1)), "ice-1");
    let end = Request::EndMedia { grants: grants("encoder"), room: room(), of: None, resource: resource.clone() };
    assert_eq!(node.ask(end.clone()), Ok(Reply::Done));
    assert_eq!(node.ask(end), Err(Refusal::ResourceNotFound));
    assert_eq!(change(&mut node, grants("encoder"), &resource, Condition::Any, anew(2)), Err(Refusal::ResourceNotFound));
    let sizes = node.control.sizes();
    assert!(sizes.iter().all(|(name, size)| *name == "rooms" || *size == 0), "{sizes:?}");
    assert_eq!((node.call.size("peers"), node.call.size("user names")), (0, 0));
}

/// Lets the core hear of a restart as if the worker had said it. Returns the answers and what the worker was ordered.
fn hear(node: &mut Node, input: ControlInput) -> (Vec<Result<Reply, Refusal>>, Vec<MediaCommand>) {
    let now = Moment { instant: node.call.now, wall: Duration::ZERO };
    node.control.handle(input, now);
    let (mut replies, mut orders) = (Vec::new(), Vec::new());
    for output in std::iter::from_fn(|| node.control.poll()) {
        match output {
            ControlOutput::Reply(_, reply) => replies.push(reply),
            ControlOutput::Media(_, command) => orders.push(command),
            _ => {}
        }
    }
    (replies, orders)
}

#[test]
fn a_restart_that_fails_leaves_ice_as_it_was() {
    let (mut node, resource) = publishing();
    let request = |fragment| {
        let (grants, of, resource) = (grants("encoder"), None, resource.clone());
        let change = Request::ChangeMedia { grants, room: room(), of, resource, condition: Condition::Any, fragment };
        ControlInput::Request(Caller(99), Box::new(change))
    };
    let (replies, orders) = hear(&mut node, request(anew(1)));
    let [MediaCommand::Restart { session, .. }, MediaCommand::Trickle { .. }] = orders[..] else { panic!("{orders:?}") };
    assert_eq!(replies, []);
    assert_eq!(hear(&mut node, request(anew(2))).0, [Err(Refusal::Busy)]);
    let (replies, _) = hear(&mut node, ControlInput::Media(MediaEvent::Restarted { session, fragment: None }));
    assert!(matches!(replies[..], [Err(Refusal::Invalid(_))]));
    assert_eq!(hear(&mut node, ControlInput::Media(MediaEvent::Restarted { session, fragment: None })).0, []);
    assert_eq!(change(&mut node, grants("encoder"), &resource, tag("ice-0"), candidates(1)), Ok(Reply::Done));
    // Whoever waits when the session ends is answered.
    hear(&mut node, request(anew(3)));
    let (replies, _) = hear(&mut node, ControlInput::Media(MediaEvent::Lost { session }));
    assert_eq!(replies, [Err(Refusal::ResourceNotFound)]);
}

#[test]
fn offers_that_are_none_are_refused() {
    let mut node = Node::new(false);
    let whip = |sdp: &str| Request::Whip { grants: grants("encoder"), room: room(), sdp: sdp.to_owned() };
    for sdp in ["", "{}", "v=0\r\n", &receiving(), &OFFER.replace("a=sendrecv", "a=inactive"), &OFFER.replace("a=ice-pwd:", "a=x:")] {
        assert!(matches!(node.ask(whip(sdp)), Err(Refusal::BadSdp(_))), "{sdp}");
    }
    let unknown = ["VP8", "VP9", "H264", "AV1"].iter().fold(OFFER.to_owned(), |sdp, name| sdp.replace(&format!("{name}/90000"), "X/90000"));
    let Err(Refusal::BadSdp(why)) = node.ask(whip(&unknown)) else { panic!("pictures that nobody can forward are taken") };
    assert!(why.contains("codec"), "{why}");
    let mut sealed = Node::new(true);
    assert_eq!(sealed.ask(whip(OFFER)), Err(Refusal::EncryptionRequired));
    for node in [&node, &sealed] {
        let sizes = node.control.sizes();
        assert!(sizes.iter().all(|(name, size)| *name == "rooms" || *size == 0), "{sizes:?}");
    }
}

/// What encoders offer differs from a browser's: few lines, one codec each, attributes on other levels.
#[test]
fn offers_of_encoders_are_taken_whole() {
    for (offer, codecs) in [
        (include_str!("../../fuzz/corpus/sdp/obs_like"), ["a=rtpmap:111 opus/48000/2", "a=rtpmap:96 H264/90000"]),
        (include_str!("../../fuzz/corpus/sdp/gstreamer_like"), ["a=rtpmap:96 opus/48000/2", "a=rtpmap:97 VP8/90000"]),
    ] {
        let mut node = Node::new(false);
        let reply = node.ask(Request::Whip { grants: grants("encoder"), room: room(), sdp: offer.to_owned() });
        let Ok(Reply::Media { resource, sdp, .. }) = reply else { panic!("{reply:?}") };
        let sections: Vec<&str> = sdp.split("\nm=").skip(1).collect();
        assert_eq!(sections.len(), 2);
        for (section, codec) in sections.iter().zip(codecs) {
            let has = |line: &str| section.to_ascii_lowercase().lines().any(|own| own.trim_end() == line.to_ascii_lowercase());
            assert!(has(codec) && has("a=recvonly") && has("a=setup:passive"), "{section}");
        }
        ours(change(&mut node, grants("encoder"), &resource, Condition::Any, anew(1)), "ice-1");
    }
}

#[test]
fn whep_receives_all_tracks_or_one() {
    let (mut node, _) = publishing();
    let whep = |of: &str, track: Option<&Sid>, sdp: String| {
        let (identity, track) = (Identity::new(of).unwrap(), track.cloned());
        Request::Whep { grants: grants("viewer"), room: room(), identity, track, sdp }
    };
    let received = |node: &mut Node, track: Option<&Sid>| {
        let reply = node.ask(whep("encoder", track, receiving()));
        let Ok(Reply::Media { resource, sdp, .. }) = reply else { panic!("{reply:?}") };
        let tracks = sdp.lines().filter_map(|line| Some(Sid::from_client(line.strip_prefix("a=msid:")?.split(' ').nth(1)?)));
        (resource, tracks.collect::<Vec<_>>())
    };
    let (_, all) = received(&mut node, None);
    assert_eq!(all.len(), 2);
    for track in &all {
        assert_eq!(received(&mut node, Some(track)).1, std::slice::from_ref(track));
    }
    assert_eq!(node.ask(whep("encoder", Some(&Sid::from_client("TR_none")), receiving())), Err(Refusal::TrackNotFound));
    assert_eq!(node.ask(whep("nobody", None, receiving())), Err(Refusal::ParticipantNotFound));
    let sending = OFFER.replace("a=sendrecv", "a=sendonly");
    assert!(matches!(node.ask(whep("encoder", None, sending)), Err(Refusal::BadSdp(_))));
    let (resource, _) = received(&mut node, None);
    let change = |of: &str| Request::ChangeMedia {
        grants: grants("viewer"),
        room: room(),
        of: Identity::new(of).ok(),
        resource: resource.clone(),
        condition: Condition::Any,
        fragment: anew(1),
    };
    assert_eq!(node.ask(change("viewer")), Err(Refusal::ResourceNotFound));
    ours(node.ask(change("encoder")), "ice-1");
}

/// A guest of a call restarts ICE by a fragment; the other half comes from its own description.
fn restart(call: &mut Call, guest: usize) {
    let session = call.guests[guest].session;
    let answer = call.events.iter().find_map(|event| match event {
        MediaEvent::Answer { session: to, sdp, .. } if *to == session => Some(sdp.clone()),
        _ => None,
    });
    let mut api = call.guests[guest].rtc.sdp_api();
    let fresh = api.ice_restart(true);
    let (_, pending) = api.apply().unwrap();
    call.order(MediaCommand::Restart { session, ufrag: fresh.ufrag, password: fresh.pass });
    let fragment = call.events.iter().rev().find_map(|event| match event {
        MediaEvent::Restarted { session: to, fragment } if *to == session => fragment.clone(),
        _ => None,
    });
    let fragment = fragment.unwrap();
    let read = fragment::read(&fragment).unwrap();
    let mut sdp = fragment::restarted(&answer.unwrap(), &read.credentials.unwrap());
    read.candidates.iter().for_each(|candidate| sdp.extend(["a=", candidate, "\r\n"]));
    call.guests[guest].rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&sdp).unwrap()).unwrap();
    call.run(Duration::from_secs(2));
}

#[test]
fn media_go_on_after_a_restart() {
    let mut call = Call::of_two();
    let names = call.size("user names");
    for guest in [0, 1, 0, 0] {
        restart(&mut call, guest);
        goes_on(&mut call, 0, 1);
        assert_eq!(call.size("user names"), names);
    }
    // The old ways are given up in time: nothing but the restarted ICE keeps the call alive.
    call.run(Duration::from_secs(40));
    goes_on(&mut call, 0, 1);
}

#[test]
fn who_may_offer_again_cannot_restart_so() {
    let mut call = Call::of_two();
    let session = call.join(1, 3, Layout::Single);
    for session in [session, SessionId(99)] {
        let Credentials { ufrag, password } = credentials(1);
        call.order(MediaCommand::Restart { session, ufrag, password });
        assert_eq!(call.events.last(), Some(&MediaEvent::Restarted { session, fragment: None }));
        goes_on(&mut call, 0, 1);
    }
}
