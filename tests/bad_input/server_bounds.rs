//! What the control core does at the server's bounds: a refusal by name, or a smaller answer.

use std::time::{Duration, Instant};

use konsil::model::chance::Chance;
use konsil::model::media::{Encryption, MediaKind, TrackSource};
use konsil::model::time::Moment;
use konsil::node::control::{Caller, Control, ControlConfig, ControlInput, ControlOutput};
use konsil::node::request::{ConnId, Refusal};
use konsil::room::command::{AddTrack, Signal};
use konsil::room::notice::{Notice, Outcome};

use super::call::encoder::grants_in;
use super::connect;

/// Tracks that one participant may announce.
const TRACKS_MAX: usize = 16;

struct Server {
    control: Control,
    now: Moment,
    joined: u64,
}

impl Server {
    fn new(config: ControlConfig) -> Self {
        let now = Moment { instant: Instant::now(), wall: Duration::from_hours(500_000) };
        Self { control: Control::new(config, Chance::new([9; 32])), now, joined: 0 }
    }

    fn feed(&mut self, input: ControlInput) -> Vec<ControlOutput> {
        self.control.handle(input, self.now);
        std::iter::from_fn(|| self.control.poll()).collect()
    }

    fn join(&mut self, room: &str, identity: &str) -> Result<ConnId, Refusal> {
        self.joined += 1;
        let (caller, conn) = (Caller(self.joined), ConnId(self.joined));
        let outputs = self.feed(ControlInput::Connect(caller, conn, connect(grants_in(room, identity))));
        let answer = outputs.into_iter().find_map(|output| match output {
            ControlOutput::Connected(to, result) if to == caller => Some(result),
            _ => None,
        });
        answer.expect("neither let in nor refused").map(|_| conn)
    }
}

fn config() -> ControlConfig {
    ControlConfig {
        workers: 1,
        auto_create: true,
        auto_require_encryption: false,
        max_participants: 3,
        empty_timeout: Duration::from_mins(1),
        sessions_max: 100,
        rooms_max: 100,
        relay: konsil::turn::credentials::RelaySecrets::new(&[], "secret"),
        relay_addresses: vec![std::net::IpAddr::V4(konsil::turn::peers::VIRTUAL_V4)],
        invitation_key: konsil::access::tan::InvitationKey::new(b"secret"),
    }
}

fn microphone(cid: &str) -> AddTrack {
    AddTrack {
        cid: cid.to_owned(),
        kind: MediaKind::Audio,
        name: String::new(),
        source: TrackSource::Microphone,
        width: 0,
        height: 0,
        muted: false,
        layers: Vec::new(),
        codecs: Vec::new(),
        encryption: Encryption::None,
        stream: String::new(),
        disable_red: false,
        disable_dtx: false,
        stereo: false,
        audio_features: Vec::new(),
    }
}

#[test]
fn a_full_room_lets_nobody_in_but_who_is_there() {
    let mut server = Server::new(config());
    for identity in ["a", "b", "c"] {
        assert!(server.join("room", identity).is_ok());
    }
    assert_eq!(server.join("room", "d"), Err(Refusal::RoomFull));
    assert!(server.join("room", "b").is_ok(), "who comes again takes its own place");
    assert!(server.join("other", "d").is_ok());
    assert_eq!(server.control.stats().participants, 4);
    assert_eq!(server.control.stats().joins["room_full"], 1);
}

#[test]
fn a_full_server_lets_nobody_in() {
    let mut server = Server::new(ControlConfig { sessions_max: 4, ..config() });
    for (room, identity) in [("one", "a"), ("one", "b"), ("two", "a"), ("two", "b")] {
        assert!(server.join(room, identity).is_ok());
    }
    assert_eq!(server.join("two", "c"), Err(Refusal::LimitReached("sessions")));
    assert_eq!(server.join("three", "c"), Err(Refusal::LimitReached("sessions")));
    assert_eq!(server.control.stats().rooms, 2, "no room is made for who is refused");
}

#[test]
fn a_server_of_many_rooms_makes_no_more() {
    let mut server = Server::new(ControlConfig { rooms_max: 2, ..config() });
    assert!(server.join("one", "a").is_ok());
    assert!(server.join("two", "a").is_ok());
    assert_eq!(server.join("three", "a"), Err(Refusal::LimitReached("rooms")));
    assert!(server.join("two", "b").is_ok());
    assert_eq!(server.control.sizes().iter().find(|(name, _)| *name == "sessions").unwrap().1, 3);
}

#[test]
fn a_participant_announces_so_many_tracks() {
    let mut server = Server::new(config());
    let conn = server.join("room", "a").unwrap();
    let mut announce = |cid: String| {
        let outputs = server.feed(ControlInput::Signal(conn, Signal::AddTrack(microphone(&cid))));
        outputs.into_iter().find_map(|output| match output {
            ControlOutput::Notice(_, Notice::TrackPublished { .. }) => Some(Ok(())),
            ControlOutput::Notice(_, Notice::Response { outcome, .. }) => Some(Err(outcome)),
            _ => None,
        })
    };
    for number in 0..TRACKS_MAX {
        assert_eq!(announce(number.to_string()), Some(Ok(())));
    }
    assert_eq!(announce("one more".to_owned()), Some(Err(Outcome::LimitExceeded)));
    assert_eq!(announce("0".to_owned()), Some(Ok(())), "one that is announced may be announced anew");
    assert!(announce(String::new()).unwrap().is_err(), "it needs an id");
}
