//! Two people by the core's eyes: who gets in, what each is told, what ends the call.

use std::time::{Duration, Instant};

use super::super::testing::config;
use super::super::{Caller, ControlInput, ControlOutput, Ticket};
use super::*;
use crate::access::jwt::{ApiKey, Claims, Keyring, mint};
use crate::access::role::Role;
use crate::model::ids::{Identity, RoomName, Sid, TenantId};
use crate::model::record::{Write, Written};
use crate::node::request::{ConnId, Connect, Reply, Request, RoomOrigin};
use crate::room::command::{DescriptionKind, PartnerMessage};
use crate::room::media::MediaCommand;
use crate::room::notice::{LeaveReason, PartnerView};
use crate::room::rules::RESUME_WINDOW;
use crate::turn::credentials::RelayUser;

const ROOM: &str = "two";

struct Scene {
    control: Control,
    ring: Keyring,
    keys: [ApiKey; 2],
    now: Moment,
    last: u64,
}

/// Somebody who was let in.
struct Person {
    conn: ConnId,
    sid: Sid,
    relay: RelayUser,
}

impl Scene {
    fn new() -> Self {
        let key = |name: &str| ApiKey::new(name.to_owned(), "0123456789abcdef0123456789abcdef".to_owned()).unwrap();
        let keys = [key("APIfirst"), key("APIother")];
        let mut ring = Keyring::new();
        for (tenant, key) in ["tenant", "other"].iter().zip(&keys) {
            ring.insert(TenantId::new(tenant).unwrap(), key.clone()).unwrap();
        }
        let now = Moment { instant: Instant::now(), wall: Duration::from_secs(1) };
        Self { control: Control::new(config(2), Chance::new([7; 32])), ring, keys, now, last: 0 }
    }

    /// With the room that most tests are about.
    fn with_room() -> Self {
        let mut scene = Self::new();
        scene.create(spec()).unwrap();
        scene
    }

    fn feed(&mut self, input: ControlInput) -> Vec<ControlOutput> {
        self.control.handle(input, self.now);
        std::iter::from_fn(|| self.control.poll()).collect()
    }

    fn grants(&self, key: usize, claims: &Claims) -> Grants {
        self.ring.verify(&mint(&self.keys[key], claims), 1).unwrap()
    }

    fn guest(&self, identity: &str) -> Grants {
        self.role(0, identity, Role::Guest)
    }

    fn role(&self, key: usize, identity: &str, role: Role) -> Grants {
        let room = RoomName::new(ROOM).unwrap();
        self.grants(key, &Claims::join(&room, Identity::new(identity).unwrap(), String::new(), role, 600))
    }

    fn admin(&self) -> Grants {
        self.grants(0, &Claims::admin(600))
    }

    fn ask(&mut self, request: Request) -> (Result<Reply, Refusal>, Vec<ControlOutput>) {
        self.last += 1;
        let mut outputs = self.feed(ControlInput::Request(Caller(self.last), Box::new(request)));
        if let Some(ControlOutput::Persist(Ticket(ticket), _)) = outputs.last() {
            let ticket = Ticket(*ticket);
            outputs.extend(self.feed(ControlInput::Persisted(ticket, Written::Durably)));
        }
        let reply = outputs.iter().position(|output| matches!(output, ControlOutput::Reply(..))).unwrap();
        let ControlOutput::Reply(_, reply) = outputs.remove(reply) else { panic!() };
        (reply, outputs)
    }

    fn create(&mut self, spec: RoomSpec) -> Result<Reply, Refusal> {
        let grants = self.admin();
        self.ask(Request::CreateRoom { grants, spec }).0
    }

    fn connect(&mut self, grants: Grants, layout: Layout, resume: Option<Sid>) -> (Result<Person, Refusal>, Vec<ControlOutput>) {
        self.last += 1;
        let conn = ConnId(self.last);
        let connect =
            Connect { grants, layout, auto_subscribe: false, protocol: 0, resume, sync: None, add_tracks: Vec::new(), offer: None };
        let outputs = self.feed(ControlInput::Connect(Caller(self.last), conn, Box::new(connect)));
        let result = outputs.iter().find_map(|output| match output {
            ControlOutput::Connected(_, result) => Some(result.clone()),
            _ => None,
        });
        let person = result.unwrap().map(|connected| Person { conn, sid: view(&outputs, conn).unwrap().own, relay: connected.relay });
        (person, outputs)
    }

    fn join(&mut self, identity: &str) -> Person {
        self.connect(self.guest(identity), Layout::P2p, None).0.unwrap()
    }

    fn refusal(&mut self, grants: Grants, layout: Layout) -> Refusal {
        self.connect(grants, layout, None).0.err().unwrap()
    }

    fn say(&mut self, from: &Person, signal: Signal) -> Vec<ControlOutput> {
        self.feed(ControlInput::Signal(from.conn, signal))
    }

    fn pass(&mut self, time: Duration) -> Vec<ControlOutput> {
        self.now = self.now.after(time);
        self.feed(ControlInput::Timeout)
    }
}

fn spec() -> RoomSpec {
    RoomSpec {
        name: RoomName::new(ROOM).ok(),
        mode: None,
        hide_addresses: None,
        require_encryption: None,
        max_participants: Some(2),
        empty_timeout_s: None,
        door: crate::room::DoorRules::default(),
        metadata: String::new(),
        origin: RoomOrigin::Api,
    }
}

/// How a client was last told that things stand.
fn view(outputs: &[ControlOutput], conn: ConnId) -> Option<PartnerView> {
    outputs.iter().rev().find_map(|output| match output {
        ControlOutput::Notice(to, Notice::Partner(view)) if *to == conn => Some(view.clone()),
        _ => None,
    })
}

fn said(outputs: &[ControlOutput], conn: ConnId) -> Vec<&PartnerMessage> {
    let said = |output| match output {
        &ControlOutput::Notice(to, Notice::FromPartner(ref message)) if to == conn => Some(message),
        _ => None,
    };
    outputs.iter().filter_map(said).collect()
}

fn bye(outputs: &[ControlOutput], conn: ConnId) -> Option<LeaveReason> {
    outputs.iter().find_map(|output| match output {
        ControlOutput::Notice(to, Notice::Leave { reason, .. }) if *to == conn => Some(*reason),
        _ => None,
    })
}

/// Whose relay every worker was told to end, by the credentials of the session; nothing else concerns them. Credentials
/// from before the session end beside it.
fn revoked(outputs: &[ControlOutput]) -> Vec<u64> {
    let ended = |output: &ControlOutput| match output {
        ControlOutput::Media(_, MediaCommand::EndRelay { person, .. }) => Some(*person),
        ControlOutput::Media(_, other) => panic!("the SFU is told {other:?}"),
        _ => None,
    };
    let told: Vec<u64> = outputs.iter().filter_map(ended).collect();
    let (first, second) = told.split_at(told.len() / 2);
    assert_eq!(first, second, "both workers are told the same");
    first.iter().step_by(2).copied().collect()
}

fn offer(to: Option<Sid>, sdp: &str) -> Signal {
    Signal::ToPartner { to, message: PartnerMessage::Description { kind: DescriptionKind::Offer, sdp: sdp.to_owned() } }
}

fn trickle(candidate: &str) -> Signal {
    let message = PartnerMessage::Candidate { candidate: candidate.to_owned(), mid: Some("0".into()), line: Some(0), ufrag: None };
    Signal::ToPartner { to: None, message }
}

#[test]
fn rooms_of_two_are_p2p_and_hide_addresses_unless_told_otherwise() {
    let mut scene = Scene::new();
    let Ok(Reply::Room(room)) = scene.create(spec()) else { panic!() };
    assert_eq!((room.mode, room.max_participants, room.hide_addresses, room.require_encryption), (RoomMode::P2p, 2, true, true));
    let named = |name: &str| RoomSpec { name: RoomName::new(name).ok(), max_participants: None, ..spec() };
    let open = RoomSpec { mode: Some(RoomMode::P2p), hide_addresses: Some(false), ..named("open") };
    let Ok(Reply::Room(room)) = scene.create(open) else { panic!() };
    assert_eq!((room.mode, room.max_participants, room.hide_addresses), (RoomMode::P2p, 2, false));
    let sfu = RoomSpec { mode: Some(RoomMode::Sfu), max_participants: Some(2), ..named("sfu") };
    let Ok(Reply::Room(room)) = scene.create(sfu) else { panic!() };
    assert_eq!((room.mode, room.hide_addresses), (RoomMode::Sfu, false));
    for wrong in [
        RoomSpec { mode: Some(RoomMode::P2p), max_participants: Some(3), ..named("three") },
        RoomSpec { mode: Some(RoomMode::P2p), require_encryption: Some(false), ..named("clear") },
        RoomSpec { hide_addresses: Some(true), ..named("hidden-sfu") },
    ] {
        assert!(matches!(scene.create(wrong), Err(Refusal::Invalid(_))));
    }
    let grants = scene.admin();
    scene.control.handle(ControlInput::Request(Caller(99), Box::new(Request::CreateRoom { grants, spec: named("kept") })), scene.now);
    let kept = std::iter::from_fn(|| scene.control.poll()).find_map(|output| match output {
        ControlOutput::Persist(_, writes) => writes.iter().find_map(|write| match write {
            Write::PutRoom(record) => Some((record.mode, record.hide_addresses)),
            _ => None,
        }),
        _ => None,
    });
    assert_eq!(kept, Some((RoomMode::Sfu, false)));
}

#[test]
fn two_meet_and_hear_each_other() {
    let mut scene = Scene::with_room();
    let (anna, first) = scene.connect(scene.guest("anna"), Layout::P2p, None);
    let anna = anna.unwrap();
    let alone = view(&first, anna.conn).unwrap();
    assert_eq!((alone.partner, alone.polite, alone.hide_addresses), (None, false, true));
    let (bert, second) = scene.connect(scene.guest("bert"), Layout::P2p, None);
    let bert = bert.unwrap();
    assert!(revoked(&second).is_empty());
    let (at_anna, at_bert) = (view(&second, anna.conn).unwrap(), view(&second, bert.conn).unwrap());
    assert_eq!((at_anna.partner.as_ref(), at_anna.polite), (Some(&bert.sid), false));
    assert_eq!((at_bert.partner.as_ref(), at_bert.polite), (Some(&anna.sid), true));
    assert_eq!((anna.relay.group, anna.relay.worker), (bert.relay.group, bert.relay.worker));
    assert_ne!(anna.relay.person, bert.relay.person);

    let told = scene.say(&anna, offer(Some(bert.sid.clone()), "c=IN IP4 203.0.113.9\r\n"));
    let hidden = PartnerMessage::Description { kind: DescriptionKind::Offer, sdp: "c=IN IP4 0.0.0.0\r\n".to_owned() };
    assert_eq!((said(&told, bert.conn), said(&told, anna.conn)), (vec![&hidden], vec![]));
    assert!(said(&scene.say(&bert, trickle("candidate:1 1 udp 1 203.0.113.9 9 typ host")), anna.conn).is_empty());
    let relayed = "candidate:1 1 udp 1 192.0.0.8 50000 typ relay raddr 0.0.0.0 rport 0";
    assert_eq!(said(&scene.say(&bert, trickle(relayed)), anna.conn).len(), 1);
    let stats = scene.control.stats();
    assert_eq!((stats.rooms, stats.participants, stats.tracks), (1, 2, 0));
    assert_eq!(scene.control.sizes()[4], ("joining", 0));
}

#[test]
fn open_rooms_pass_everything_on() {
    let mut scene = Scene::new();
    scene.create(RoomSpec { hide_addresses: Some(false), ..spec() }).unwrap();
    let (anna, bert) = (scene.join("anna"), scene.join("bert"));
    let sdp = "c=IN IP4 203.0.113.9\r\na=candidate:1 1 udp 1 203.0.113.9 9 typ host\r\n";
    let PartnerMessage::Description { sdp: passed, .. } = said(&scene.say(&anna, offer(None, sdp)), bert.conn)[0].clone() else { panic!() };
    assert_eq!(passed, sdp);
}

#[test]
fn only_two_who_may_both_speak_and_listen_get_in() {
    let mut scene = Scene::with_room();
    for role in [Role::Observer, Role::Reception] {
        assert!(matches!(scene.refusal(scene.role(0, "x", role), Layout::P2p), Refusal::NotAllowed(_)));
    }
    let hidden = Grants { hidden: true, ..scene.guest("ghost") };
    assert!(matches!(scene.refusal(hidden, Layout::P2p), Refusal::NotAllowed(_)));
    // The same name under another tenant is no room, so nobody is let in there.
    assert_eq!(scene.refusal(scene.role(1, "x", Role::Guest), Layout::P2p), Refusal::RoomNotFound);
    scene.join("anna");
    scene.join("bert");
    assert_eq!(scene.refusal(scene.guest("cleo"), Layout::P2p), Refusal::RoomFull);
    let grants = scene.guest("cleo");
    assert_eq!(scene.ask(Request::Validate { grants, layout: None }).0, Err(Refusal::RoomFull));
    let stats = scene.control.stats();
    assert_eq!((stats.rooms, stats.participants), (1, 2));
}

#[test]
fn no_way_leads_into_a_room_of_the_other_mode() {
    let mut scene = Scene::with_room();
    for layout in [Layout::Single, Layout::Dual] {
        assert_eq!(scene.refusal(scene.guest("anna"), layout), Refusal::WrongMode(RoomMode::P2p));
    }
    let room = || RoomName::new(ROOM).unwrap();
    let (grants, sdp) = (scene.guest("anna"), "v=0\r\nm=audio 9 X 0\r\na=mid:0\r\n".to_owned());
    let whip = Request::Whip { grants: grants.clone(), room: room(), sdp: sdp.clone() };
    assert_eq!(scene.ask(whip).0, Err(Refusal::WrongMode(RoomMode::P2p)));
    let anna = scene.join("anna");
    let whep = Request::Whep { grants: scene.guest("x"), room: room(), identity: Identity::new("anna").unwrap(), track: None, sdp };
    assert_eq!(scene.ask(whep).0, Err(Refusal::WrongMode(RoomMode::P2p)));
    let resumed = scene.connect(grants.clone(), Layout::Single, Some(anna.sid)).0;
    assert_eq!(resumed.err(), Some(Refusal::WrongMode(RoomMode::P2p)));
    assert_eq!(scene.ask(Request::Validate { grants: grants.clone(), layout: None }).0, Ok(Reply::Mode(RoomMode::P2p)));
    let validate = Request::Validate { grants, layout: Some(Layout::Dual) };
    assert_eq!(scene.ask(validate).0, Err(Refusal::WrongMode(RoomMode::P2p)));

    let mut scene = Scene::new();
    assert_eq!(scene.refusal(scene.guest("anna"), Layout::P2p), Refusal::RoomNotFound);
    scene.create(RoomSpec { mode: Some(RoomMode::Sfu), ..spec() }).unwrap();
    assert_eq!(scene.refusal(scene.guest("anna"), Layout::P2p), Refusal::WrongMode(RoomMode::Sfu));
}

#[test]
fn the_same_identity_takes_its_own_place_and_late_words_for_it_are_dropped() {
    let mut scene = Scene::with_room();
    let (anna, bert) = (scene.join("anna"), scene.join("bert"));
    let (again, outputs) = scene.connect(scene.guest("anna"), Layout::P2p, None);
    let again = again.unwrap();
    assert_eq!(bye(&outputs, anna.conn), Some(LeaveReason::DuplicateIdentity));
    assert!(outputs.contains(&ControlOutput::HangUp(anna.conn)));
    assert_eq!(revoked(&outputs), [anna.relay.person]);
    let at_bert = view(&outputs, bert.conn).unwrap();
    assert_eq!((at_bert.partner.as_ref(), at_bert.polite), (Some(&again.sid), false), "who stays does not give way");
    let late = scene.say(&bert, offer(Some(anna.sid), "v=0\r\n"));
    assert!(said(&late, again.conn).is_empty());
    assert!(late.contains(&ControlOutput::Notice(bert.conn, Notice::Response { request_id: 0, outcome: Outcome::NotFound })));
    assert_eq!(said(&scene.say(&bert, offer(Some(again.sid), "v=0\r\n")), again.conn).len(), 1);
}

#[test]
fn a_lost_connection_comes_back_without_ending_the_call() {
    let mut scene = Scene::with_room();
    let (anna, bert) = (scene.join("anna"), scene.join("bert"));
    let outputs = scene.feed(ControlInput::Closed(anna.conn));
    assert_eq!(outputs, []);
    assert_eq!(scene.pass(RESUME_WINDOW.mul_f32(0.9)), []);
    assert_eq!(scene.connect(scene.guest("bert"), Layout::P2p, Some(anna.sid.clone())).0.err(), Some(Refusal::NoSession));
    let (back, outputs) = scene.connect(scene.guest("anna"), Layout::P2p, Some(anna.sid.clone()));
    let back = back.unwrap();
    assert_eq!((&back.sid, back.relay), (&anna.sid, anna.relay));
    assert_eq!(view(&outputs, bert.conn).unwrap().partner, Some(anna.sid.clone()), "both look again");
    assert!(revoked(&outputs).is_empty());
    assert_eq!(scene.pass(RESUME_WINDOW), []);

    scene.feed(ControlInput::Closed(back.conn));
    let outputs = scene.pass(RESUME_WINDOW);
    assert_eq!(view(&outputs, bert.conn).unwrap().partner, None);
    assert_eq!(revoked(&outputs), [anna.relay.person]);
    assert_eq!(scene.connect(scene.guest("anna"), Layout::P2p, Some(anna.sid)).0.err(), Some(Refusal::NoSession));
}

#[test]
fn ends_of_every_kind_revoke_the_relay() {
    let mut scene = Scene::with_room();
    let (anna, bert) = (scene.join("anna"), scene.join("bert"));
    let outputs = scene.say(&anna, Signal::Leave);
    assert_eq!((bye(&outputs, anna.conn), revoked(&outputs)), (Some(LeaveReason::ClientInitiated), vec![anna.relay.person]));
    assert_eq!(view(&outputs, bert.conn).unwrap().partner, None);
    let grants = scene.admin();
    let room = RoomName::new(ROOM).unwrap();
    let identity = Identity::new("bert").unwrap();
    let (reply, outputs) = scene.ask(Request::RemoveParticipant { grants: grants.clone(), room: room.clone(), identity });
    assert_eq!((reply, bye(&outputs, bert.conn)), (Ok(Reply::Done), Some(LeaveReason::Removed)));
    assert_eq!(revoked(&outputs), [bert.relay.person]);
    let cleo = scene.join("cleo");
    let (reply, outputs) = scene.ask(Request::DeleteRoom { grants, room });
    assert_eq!((reply, bye(&outputs, cleo.conn)), (Ok(Reply::Done), Some(LeaveReason::RoomDeleted)));
    assert_eq!(revoked(&outputs), [cleo.relay.person]);
    assert_eq!(scene.refusal(scene.guest("cleo"), Layout::P2p), Refusal::RoomNotFound);
}

#[test]
fn an_empty_room_ends_in_its_time() {
    let mut scene = Scene::with_room();
    let anna = scene.join("anna");
    assert_eq!(scene.pass(Duration::from_mins(1)), []);
    scene.say(&anna, Signal::Leave);
    let outputs = scene.pass(Duration::from_secs(5));
    let [ControlOutput::Persist(_, writes)] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(matches!(writes[..], [Write::DeleteRoom(_)]), "{writes:?}");
    assert_eq!(scene.control.stats().rooms, 0);
}

#[test]
fn a_fault_keeps_the_mode() {
    let mut scene = Scene::with_room();
    let anna = scene.join("anna");
    let key = *scene.control.sessions.values().next().unwrap();
    scene.control.with_room(key, |_, _, _| panic!("on purpose"));
    let outputs = scene.feed(ControlInput::Timeout);
    assert_eq!((bye(&outputs, anna.conn), revoked(&outputs)), (Some(LeaveReason::MediaFailure), vec![anna.relay.person]));
    let grants = scene.guest("anna");
    assert_eq!(scene.ask(Request::Validate { grants, layout: None }).0, Ok(Reply::Mode(RoomMode::P2p)));
}

#[test]
fn both_are_told_again_when_one_asks_and_words_of_the_other_mode_are_refused() {
    let mut scene = Scene::with_room();
    let (anna, bert) = (scene.join("anna"), scene.join("bert"));
    let outputs = scene.say(&anna, Signal::AskPartner);
    assert_eq!(outputs.len(), 2);
    assert_eq!(view(&outputs, anna.conn).unwrap().partner, Some(bert.sid));
    assert_eq!(view(&outputs, bert.conn).unwrap().partner, Some(anna.sid.clone()));
    let refused = |outcome| [ControlOutput::Notice(anna.conn, Notice::Response { request_id: 0, outcome })];
    let foreign = Signal::Offer { sdp: "v=0".into(), id: 1 };
    assert_eq!(scene.say(&anna, foreign), refused(Outcome::Invalid));
    assert_eq!(scene.say(&anna, offer(None, &"c=\n".repeat(20_000))), refused(Outcome::LimitExceeded));
}
