//! Each role by each order of the desk, by each signal of a call.

use std::collections::BTreeMap;

use super::*;
use crate::model::ids::Sid;
use crate::model::media::{Encryption, MediaKind, TrackSource};
use crate::room::command::{AddTrack, PublishData, Signal};
use crate::room::media::{MediaCommand, MediaEvent};
use crate::room::moderate::Profile;
use crate::room::notice::{Outcome, ParticipantState, Permission};

/// Whether host, guest, reception, observer may.
type May = [bool; 4];

const ROLES: [Role; 4] = [Role::Host, Role::Guest, Role::Reception, Role::Observer];
const MODERATORS: May = [true, false, true, false];

#[test]
fn orders_at_the_desk() {
    let whom = || person("someone");
    let words = |to: &str| DeskSaid::Message { to: person(to), body: Body("x".into()) };
    let table: [(DeskSaid, May); 11] = [
        (DeskSaid::Admit(whom()), MODERATORS),
        (DeskSaid::Refuse(whom()), MODERATORS),
        (DeskSaid::PutBack(whom()), MODERATORS),
        (DeskSaid::Remove(whom()), MODERATORS),
        (DeskSaid::Mute(whom()), MODERATORS),
        (DeskSaid::Mismatch(whom()), MODERATORS),
        (DeskSaid::Lock(true), MODERATORS),
        (DeskSaid::End, MODERATORS),
        (words("someone"), MODERATORS),
        (words("head"), [true; 4]),
        (DeskSaid::Leave, [true; 4]),
    ];
    for (said, may) in table {
        let allowed = ROLES.map(|role| {
            let mut scene = Scene::new(RoomMode::Sfu);
            let someone = scene.open("someone", Role::Guest);
            scene.open("head", Role::Host);
            scene.join(super::role("head", Role::Host), Layout::Single).0.unwrap();
            let actor = scene.open("actor", role);
            let outputs = scene.say(actor, said.clone());
            let words = matches!(said, DeskSaid::Message { .. });
            let no = if words { DeskFault::NoSuchPerson } else { DeskFault::NotModerator };
            let refused = told(&outputs, actor).contains(&&DeskNotice::Refused(no));
            assert!(!refused || outputs.len() == 1 && bye(&outputs, someone).is_none(), "nothing happens to anybody");
            !refused
        });
        assert_eq!(allowed, may, "{said:?}");
    }
}

/// Somebody in a call of which `anna` is a part, with what the core did for that.
struct Called {
    scene: Scene,
    conn: ConnId,
    outputs: Vec<ControlOutput>,
    track: Sid,
}

impl Called {
    /// As the role is by its own token, or by one that allows everything.
    fn new(role: Role, wide: bool) -> Self {
        let mut scene = Scene::with(RoomMode::Sfu, DoorRules::default());
        let anna = scene.join(super::role("anna", Role::Guest), Layout::Single).0.unwrap();
        let outputs = scene.feed(ControlInput::Signal(anna, Signal::AddTrack(camera())));
        let track = published(&outputs, anna).unwrap();
        let session = *scene.control.sessions.keys().next().unwrap();
        scene.feed(ControlInput::Media(MediaEvent::Bound { session, track: track.clone(), mid: "0".to_owned(), codec: None }));
        let own = super::role("actor", role);
        let grants =
            if wide { Grants { can_publish: true, can_subscribe: true, can_publish_data: true, hidden: true, ..own } } else { own };
        let (conn, outputs) = scene.join(grants, Layout::Single);
        Self { scene, conn: conn.unwrap(), outputs, track }
    }

    fn say(&mut self, signal: Signal) -> Vec<ControlOutput> {
        self.scene.feed(ControlInput::Signal(self.conn, signal))
    }

    /// Whether it is: published, subscribed, sent data, sent data tracks, changed itself, was seen.
    fn did(mut self) -> [bool; 6] {
        let published = published(&self.say(Signal::AddTrack(camera())), self.conn).is_some();
        let asked = self.say(Signal::Subscription { tracks: vec![self.track.clone()], subscribe: true });
        let subscribe = |output: &ControlOutput| matches!(output, ControlOutput::Media(_, MediaCommand::Subscribe { .. }));
        let subscribed = self.outputs.iter().chain(&asked).any(subscribe);
        let rights = self.outputs.iter().find_map(|output| match output {
            ControlOutput::Media(_, MediaCommand::AddSession { rights, .. }) => Some(*rights),
            _ => None,
        });
        let rights = rights.unwrap();
        assert_eq!((rights.publish, rights.subscribe), (published, subscribed), "the worker enforces the same");
        let wanted = PublishData { handle: 1, name: "d".to_owned(), encryption: Encryption::Gcm, typing: Vec::new() };
        let outputs = self.say(Signal::PublishData(wanted));
        let data_track = outputs.iter().any(|output| matches!(output, ControlOutput::Notice(_, Notice::DataTrackPublished(_))));
        let attributes = BTreeMap::from([(crate::model::role::ATTRIBUTE.to_owned(), "host".to_owned())]);
        let outputs = self.say(Signal::UpdateMetadata { request_id: 1, metadata: String::new(), name: "x".to_owned(), attributes });
        let changed =
            outputs.iter().any(|output| matches!(output, ControlOutput::Notice(_, Notice::Response { outcome: Outcome::Ok, .. })));
        let seen = self.outputs.iter().any(|output| match output {
            ControlOutput::Notice(conn, Notice::Participants(views)) if *conn != self.conn => {
                views.iter().any(|view| view.identity.as_str() == "actor" && view.state == ParticipantState::Joined)
            }
            _ => false,
        });
        [published, subscribed, rights.data, data_track, changed, seen]
    }
}

fn published(outputs: &[ControlOutput], conn: ConnId) -> Option<Sid> {
    outputs.iter().find_map(|output| match output {
        ControlOutput::Notice(to, Notice::TrackPublished { track, .. }) if *to == conn => Some(track.sid.clone()),
        _ => None,
    })
}

fn camera() -> AddTrack {
    AddTrack {
        cid: "camera".to_owned(),
        kind: MediaKind::Video,
        name: String::new(),
        source: TrackSource::Camera,
        width: 0,
        height: 0,
        muted: false,
        layers: Vec::new(),
        codecs: Vec::new(),
        encryption: Encryption::Gcm,
        stream: String::new(),
        disable_red: false,
        disable_dtx: false,
        stereo: false,
        audio_features: Vec::new(),
    }
}

#[test]
fn signals_of_a_call() {
    let table = [
        (Role::Host, [true, true, true, true, false, true]),
        (Role::Guest, [true, true, true, true, false, true]),
        (Role::Reception, [false, false, false, false, false, true]),
        (Role::Observer, [false, true, false, false, false, true]),
    ];
    for (role, may) in table {
        assert_eq!(Called::new(role, false).did(), may, "{role}");
    }
    // A token that was made by hand, and too wide, widens no role that is bound.
    for (role, may) in &table[2..] {
        assert_eq!(Called::new(*role, true).did(), *may, "{role}");
    }
}

#[test]
fn no_moderator_widens_reception_or_hides_an_observer() {
    for (role, publish, subscribe) in [(Role::Reception, false, false), (Role::Observer, false, true), (Role::Guest, true, true)] {
        let mut called = Called::new(role, false);
        let all =
            Permission { subscribe: true, publish: true, publish_data: true, sources: Vec::new(), hidden: false, update_metadata: false };
        let wanted = Permission { hidden: role != Role::Guest, ..all };
        let request = Request::UpdateParticipant {
            grants: admin(),
            room: room(),
            identity: person("actor"),
            profile: Profile::default(),
            permission: Some(wanted),
        };
        let Ok(Reply::Participants(views)) = called.scene.ask(request) else { panic!() };
        let Permission { publish: may_publish, subscribe: may_subscribe, publish_data, hidden, .. } = views[0].permission;
        assert_eq!((may_publish, may_subscribe, publish_data, hidden), (publish, subscribe, publish, false), "{role}");
        assert_eq!(published(&called.say(Signal::AddTrack(camera())), called.conn).is_some(), publish);
    }
}

#[test]
fn p2p_rooms_are_for_those_who_speak_and_listen() {
    for wide in [None, Some(true)] {
        let joined = ROLES.map(|role| {
            let mut scene = Scene::with(RoomMode::P2p, DoorRules::default());
            let mut claims = Claims::join(&room(), person("actor"), String::new(), role, START + 60);
            claims.video.can_publish = wide.or(claims.video.can_publish);
            claims.video.can_subscribe = wide.or(claims.video.can_subscribe);
            scene.join(grants("tenant", &claims), Layout::P2p).0.is_ok()
        });
        assert_eq!(joined, [true, true, false, false], "wide: {wide:?}");
    }
}
