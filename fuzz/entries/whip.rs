//! PATCH requests of WHIP or WHEP, from the fragment's text to the worker's ICE.

use konsil::model::ids::{Identity, RoomName, Sid};
use konsil::node::fragment::{CANDIDATE_MAX, CANDIDATES_MAX, FRAGMENT_MAX, FragmentFault, credentials, read, restarted};
use konsil::node::request::{Condition, Refusal, Reply, Request};

use super::call::encoder::{Node, ROOM, grants};

/// An offer that is taken as it is.
const OFFER: &str = include_str!("../corpus/sdp/firefox_simple");
/// Most requests of one run.
const REQUESTS_MAX: usize = 16;

/// Requests, each ended by a zero: a letter, then text.
///
/// `*` a fragment for whichever ICE session stands, `=` for the newest, `!` for the one that was last named by `t`;
/// `i` and `r` ask as another identity or for another resource, `v` for what WHEP began; `x` ends the session.
pub fn run(input: &[u8]) {
    let mut node = Node::new(false);
    let room = RoomName::new(ROOM).unwrap();
    let begun = node.ask(Request::Whip { grants: grants("encoder"), room: room.clone(), sdp: OFFER.to_owned() });
    let Ok(Reply::Media { resource, tag: mut newest, .. }) = begun else { panic!("the offer is refused") };
    let (mut named, mut over) = (String::new(), false);
    for request in input.split(|byte| *byte == 0).take(REQUESTS_MAX) {
        let Some((letter, text)) = request.split_first() else { continue };
        let Ok(text) = std::str::from_utf8(text) else { continue };
        let condition = match letter {
            b't' => {
                text.clone_into(&mut named);
                continue;
            }
            b'=' => Condition::Tags(vec![newest.clone()]),
            b'!' => Condition::Tags(vec![named.clone()]),
            _ => Condition::Any,
        };
        let who = if *letter == b'i' { "stranger" } else { "encoder" };
        let resource = if *letter == b'r' { Sid::from_client("PA_x") } else { resource.clone() };
        let of = (*letter == b'v').then(|| Identity::new("encoder").unwrap());
        let strange = over || matches!(letter, b'i' | b'r' | b'v');
        if *letter == b'x' {
            let ended = node.ask(Request::EndMedia { grants: grants(who), room: room.clone(), of, resource });
            assert_eq!(ended.is_err(), strange);
            over = true;
            continue;
        }
        let Some(fragment) = checked(text) else { continue };
        match node.ask(Request::ChangeMedia { grants: grants(who), room: room.clone(), of, resource, condition, fragment }) {
            Ok(Reply::Restarted { tag, fragment }) => {
                assert!(!strange && tag != newest);
                let ours = read(&fragment).expect("our own fragment");
                assert!(ours.credentials.is_some() && !ours.candidates.is_empty());
                newest = tag;
            }
            Err(Refusal::ResourceNotFound) => assert!(strange),
            Ok(Reply::Done) | Err(Refusal::NotCurrent | Refusal::TooManyCandidates | Refusal::Invalid(_)) => assert!(!strange),
            other => panic!("{other:?}"),
        }
    }
    let _ = node.ask(Request::EndMedia { grants: grants("encoder"), room, of: None, resource });
    assert_eq!(node.call.worker.stats().room_faults, 0, "a panic inside a room");
    for what in ["peers", "sessions", "user names"] {
        assert_eq!(node.call.size(what), 0, "{what} are left behind");
    }
    let left = node.control.sizes();
    assert!(left.iter().all(|(name, size)| *name == "rooms" || *size == 0), "{left:?} are left behind");
}

/// Reads a fragment. What is taken keeps its bounds, and puts no line of its own into a description.
fn checked(text: &str) -> Option<konsil::node::fragment::Fragment> {
    let fragment = match read(text) {
        Ok(fragment) => fragment,
        Err(FragmentFault::Malformed(_) | FragmentFault::TooMuch(_)) => return None,
    };
    assert!(text.len() <= FRAGMENT_MAX && fragment.candidates.len() <= CANDIDATES_MAX);
    assert!(fragment.candidates.iter().all(|candidate| candidate.len() <= CANDIDATE_MAX));
    if let Some(fresh) = &fragment.credentials {
        let again = restarted(OFFER, fresh);
        assert_eq!(credentials(&again).as_ref(), Some(fresh));
        assert_eq!(again.lines().count(), OFFER.lines().count());
    }
    Some(fragment)
}
