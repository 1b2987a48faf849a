//! Moderators by their grants, with the bounds of what each may ask.

use std::time::{Duration, Instant};

use super::super::testing::{config, connect};
use super::super::{Caller, ControlInput, ControlOutput};
use super::*;
use crate::access::jwt::{ApiKey, Claims, Keyring, mint};
use crate::access::role::Role;
use crate::model::chance::Chance;
use crate::model::ids::TenantId;
use crate::model::record::{RoomMode, Written};
use crate::node::request::{ConnId, Request, RoomOrigin, RoomSpec};
use crate::room::media::MediaCommand;
use crate::room::notice::Notice;

struct Scene {
    control: Control,
    now: Moment,
    last: u64,
}

fn grants(tenant: &str, claims: &Claims) -> Grants {
    let key = ApiKey::new("key".to_owned(), "0123456789abcdef0123456789abcdef".to_owned()).unwrap();
    let mut ring = Keyring::new();
    ring.insert(TenantId::new(tenant).unwrap(), key.clone()).unwrap();
    ring.verify(&mint(&key, claims), 1).unwrap()
}

fn role(room: &str, identity: &str, role: Role) -> Grants {
    grants("tenant", &Claims::join(&name(room), person(identity), String::new(), role, 3600))
}

fn admin() -> Grants {
    grants("tenant", &Claims::admin(3600))
}

fn name(room: &str) -> RoomName {
    RoomName::new(room).unwrap()
}

fn person(identity: &str) -> Identity {
    Identity::new(identity).unwrap()
}

fn message() -> DataMessage {
    DataMessage { payload: b"words".to_vec(), reliable: true, topic: None, nonce: None, identities: Vec::new(), sids: Vec::new() }
}

/// One request of each kind.
fn requests(grants: &Grants, room: &str, identity: &str) -> [Request; 4] {
    let (room, identity, grants) = (name(room), person(identity), || grants.clone());
    [
        Request::SendData { grants: grants(), room: room.clone(), message: message() },
        Request::UpdateRoom { grants: grants(), room: room.clone(), metadata: "m".to_owned() },
        Request::UpdateParticipant {
            grants: grants(),
            room: room.clone(),
            identity: identity.clone(),
            profile: Profile::default(),
            permission: None,
        },
        Request::UpdateSubscriptions { grants: grants(), room, identity, tracks: Vec::new(), subscribe: true },
    ]
}

impl Scene {
    /// With `anna` in the room `r`.
    fn new() -> Self {
        let now = Moment { instant: Instant::now(), wall: Duration::from_secs(1) };
        let mut scene = Self { control: Control::new(config(1), Chance::new([7; 32])), now, last: 0 };
        scene.feed(ControlInput::Connect(Caller(0), ConnId(0), connect(role("r", "anna", Role::Guest))));
        scene
    }

    fn feed(&mut self, input: ControlInput) -> Vec<ControlOutput> {
        self.control.handle(input, self.now);
        std::iter::from_fn(|| self.control.poll()).collect()
    }

    fn ask(&mut self, request: Request) -> (Result<Reply, Refusal>, Vec<ControlOutput>) {
        self.last += 1;
        let mut outputs = self.feed(ControlInput::Request(Caller(self.last), Box::new(request)));
        if let Some(ControlOutput::Persist(ticket, _)) = outputs.last() {
            let ticket = *ticket;
            outputs.extend(self.feed(ControlInput::Persisted(ticket, Written::Durably)));
        }
        let at = outputs.iter().position(|output| matches!(output, ControlOutput::Reply(..))).unwrap();
        let ControlOutput::Reply(_, reply) = outputs.remove(at) else { panic!() };
        (reply, outputs)
    }

    fn refusal(&mut self, request: Request) -> Refusal {
        self.ask(request).0.unwrap_err()
    }
}

#[test]
fn only_moderators_of_the_room_are_heard() {
    let mut scene = Scene::new();
    let lister = Grants { room_admin: false, ..admin() };
    for foreign in [role("r", "bert", Role::Guest), role("other", "bert", Role::Host), lister] {
        for request in requests(&foreign, "r", "anna") {
            assert_eq!(scene.refusal(request), Refusal::NotAllowed("roomAdmin for this room"));
        }
    }
    for request in requests(&grants("stranger", &Claims::admin(3600)), "r", "anna") {
        assert_eq!(scene.refusal(request), Refusal::RoomNotFound, "another tenant's room does not exist");
    }
    for request in requests(&admin(), "nowhere", "anna") {
        assert_eq!(scene.refusal(request), Refusal::RoomNotFound);
    }
    for request in requests(&admin(), "r", "nobody").into_iter().skip(2) {
        assert_eq!(scene.refusal(request), Refusal::ParticipantNotFound);
    }
    for own in [admin(), role("r", "host", Role::Host)] {
        requests(&own, "r", "anna").into_iter().for_each(|request| assert!(scene.ask(request).0.is_ok()));
    }
}

#[test]
fn rights_and_words_reach_the_worker_and_the_client() {
    let mut scene = Scene::new();
    let none =
        Permission { subscribe: false, publish: false, publish_data: false, sources: Vec::new(), hidden: false, update_metadata: false };
    let (grants, room) = (admin(), name("r"));
    let profile = Profile { name: "Anna".to_owned(), ..Profile::default() };
    let identity = person("anna");
    let update =
        Request::UpdateParticipant { grants: grants.clone(), room: room.clone(), identity, profile, permission: Some(none.clone()) };
    let (reply, outputs) = scene.ask(update);
    let Ok(Reply::Participants(views)) = reply else { panic!() };
    assert_eq!((views[0].name.as_str(), &views[0].permission), ("Anna", &none));
    assert!(outputs.iter().any(|output| matches!(output, ControlOutput::Media(_, MediaCommand::SetRights { .. }))));
    let tokens: Vec<&Grants> = outputs
        .iter()
        .filter_map(|output| if let ControlOutput::Notice(ConnId(0), Notice::Token(grants)) = output { Some(&**grants) } else { None })
        .collect();
    assert!(matches!(tokens[..], [grants] if !grants.can_publish && !grants.can_subscribe && grants.name == "Anna"));
    let (_, outputs) = scene.ask(Request::SendData { grants: grants.clone(), room: room.clone(), message: message() });
    assert!(matches!(&outputs[..], [ControlOutput::Media(_, MediaCommand::SendData { message: said, .. })] if *said == message()));
    let (reply, outputs) = scene.ask(Request::UpdateRoom { grants, room, metadata: "m".to_owned() });
    assert!(matches!(reply, Ok(Reply::Room(view)) if view.metadata == "m"));
    assert!(matches!(&outputs[..], [ControlOutput::Notice(ConnId(0), Notice::Room(view))] if view.metadata == "m"));
}

#[test]
fn requests_are_bounded() {
    let mut scene = Scene::new();
    let say = |message| Request::SendData { grants: admin(), room: name("r"), message };
    let most = DataMessage {
        payload: vec![0; DATA_MAX],
        topic: Some("t".repeat(TOPIC_MAX)),
        identities: vec![person("anna"); DESTINATIONS_MAX],
        ..message()
    };
    assert_eq!(scene.ask(say(most.clone())).0, Ok(Reply::Done));
    let more = [
        DataMessage { payload: vec![0; DATA_MAX + 1], ..message() },
        DataMessage { topic: Some("t".repeat(TOPIC_MAX + 1)), ..message() },
        DataMessage { sids: vec![Sid::from_client("PA_1")], ..most },
    ];
    for message in more {
        assert!(matches!(scene.refusal(say(message)), Refusal::Invalid(_)));
    }
    let subscribe = |tracks| Request::UpdateSubscriptions {
        grants: admin(),
        room: name("r"),
        identity: person("anna"),
        tracks: vec![Sid::from_client("TR_1"); tracks],
        subscribe: true,
    };
    assert_eq!(scene.ask(subscribe(TRACKS_MAX)).0, Ok(Reply::Done));
    assert!(matches!(scene.refusal(subscribe(TRACKS_MAX + 1)), Refusal::Invalid(_)));
    let long = Request::UpdateRoom { grants: admin(), room: name("r"), metadata: "x".repeat(64 * 1024 + 1) };
    assert_eq!(scene.refusal(long), Refusal::Invalid("metadata must have at most 65536 bytes"));
}

#[test]
fn what_does_not_pass_the_server_is_not_steered() {
    let mut scene = Scene::new();
    let spec = RoomSpec {
        name: Some(name("two")),
        mode: Some(RoomMode::P2p),
        hide_addresses: None,
        require_encryption: None,
        max_participants: None,
        empty_timeout_s: None,
        door: crate::room::DoorRules::default(),
        metadata: String::new(),
        origin: RoomOrigin::Api,
    };
    assert!(scene.ask(Request::CreateRoom { grants: admin(), spec }).0.is_ok());
    let [say, describe, ..] = requests(&admin(), "two", "anna");
    assert_eq!(scene.refusal(say), Refusal::WrongMode(RoomMode::P2p));
    assert!(scene.ask(describe).0.is_ok(), "the room itself is the server's");
}
