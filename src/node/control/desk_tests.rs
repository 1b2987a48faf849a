//! Desks by the core's eyes: the trip through the waiting room, who may order what, what is written down.

use std::time::{Duration, Instant};

use super::super::testing::{config, connect};
use super::super::{ControlConfig, ControlInput, Ticket};
use super::*;
use crate::access::jwt::{ApiKey, Claims, Keyring, mint};
use crate::model::audit::AuditEntry;
use crate::model::chance::Chance;
use crate::model::ids::TenantId;
use crate::node::request::{Request, RoomOrigin, RoomSpec};
use crate::room::DoorRules;
use crate::room::command::Layout;
use crate::room::desk::{Body, PersonView, Standing};
use crate::room::lobby::{STAFF_MAX, WAITING_MAX};

const ROOM: &str = "r";
const START: u64 = 1_000;

struct Scene {
    control: Control,
    now: Moment,
    last: u64,
    /// What is to be written and is not yet.
    unwritten: Vec<(Ticket, Vec<Write>)>,
    /// All events that were to be written.
    events: Vec<AuditEntry>,
}

fn grants(tenant: &str, claims: &Claims) -> Grants {
    let key = ApiKey::new("APIkey".to_owned(), "0123456789abcdef0123456789abcdef".to_owned()).unwrap();
    let mut ring = Keyring::new();
    ring.insert(TenantId::new(tenant).unwrap(), key.clone()).unwrap();
    ring.verify(&mint(&key, claims), 1).unwrap()
}

fn role(identity: &str, role: Role) -> Grants {
    grants("tenant", &Claims::join(&room(), person(identity), String::new(), role, START + 3600))
}

fn admin() -> Grants {
    grants("tenant", &Claims::admin(START + 3600))
}

fn room() -> RoomName {
    RoomName::new(ROOM).unwrap()
}

fn person(identity: &str) -> Identity {
    Identity::new(identity).unwrap()
}

fn spec(mode: RoomMode, door: DoorRules) -> RoomSpec {
    RoomSpec {
        name: Some(room()),
        mode: Some(mode),
        hide_addresses: None,
        require_encryption: None,
        max_participants: None,
        empty_timeout_s: Some(60),
        door,
        metadata: String::new(),
        origin: RoomOrigin::Api,
    }
}

impl Scene {
    /// With a room that has a lobby.
    fn new(mode: RoomMode) -> Self {
        Self::with(mode, DoorRules { lobby: true, ..DoorRules::default() })
    }

    fn with(mode: RoomMode, door: DoorRules) -> Self {
        let now = Moment { instant: Instant::now(), wall: Duration::from_secs(START) };
        let control = Control::new(ControlConfig { sessions_max: 300, ..config(1) }, Chance::new([7; 32]));
        let mut scene = Self { control, now, last: 0, unwritten: Vec::new(), events: Vec::new() };
        scene.request(Request::CreateRoom { grants: admin(), spec: spec(mode, door) });
        scene.write(Written::Durably);
        scene
    }

    fn feed(&mut self, input: ControlInput) -> Vec<ControlOutput> {
        self.control.handle(input, self.now);
        let mut outputs = Vec::new();
        while let Some(output) = self.control.poll() {
            if let ControlOutput::Persist(ticket, writes) = output {
                self.events.extend(writes.iter().filter_map(of_the_desk).cloned());
                self.unwritten.push((ticket, writes));
            } else {
                outputs.push(output);
            }
        }
        outputs
    }

    /// What was to be written is, or is not.
    fn write(&mut self, written: Written) -> Vec<ControlOutput> {
        let tickets = std::mem::take(&mut self.unwritten);
        tickets.into_iter().flat_map(|(ticket, _)| self.feed(ControlInput::Persisted(ticket, written))).collect()
    }

    fn request(&mut self, request: Request) -> Vec<ControlOutput> {
        self.last += 1;
        self.feed(ControlInput::Request(Caller(self.last), Box::new(request)))
    }

    /// Asks, and waits until all is written.
    fn ask(&mut self, request: Request) -> Result<Reply, Refusal> {
        let mut outputs = self.request(request);
        outputs.extend(self.write(Written::Durably));
        outputs.into_iter().find_map(|output| if let ControlOutput::Reply(_, reply) = output { Some(reply) } else { None }).unwrap()
    }

    fn desk(&mut self, grants: Grants) -> (Result<ConnId, Refusal>, Vec<ControlOutput>) {
        self.last += 1;
        let conn = ConnId(self.last);
        let mut outputs = self.feed(ControlInput::OpenDesk(Caller(self.last), conn, Box::new(grants)));
        let at = outputs.iter().position(|output| matches!(output, ControlOutput::Reply(..))).unwrap();
        let ControlOutput::Reply(_, reply) = outputs.remove(at) else { panic!() };
        (reply.map(|_| conn), outputs)
    }

    fn open(&mut self, identity: &str, as_what: Role) -> ConnId {
        self.desk(role(identity, as_what)).0.unwrap()
    }

    fn say(&mut self, conn: ConnId, said: DeskSaid) -> Vec<ControlOutput> {
        self.feed(ControlInput::Desk(conn, said))
    }

    /// Joins the call by the way of the room's mode.
    fn join(&mut self, grants: Grants, layout: Layout) -> (Result<ConnId, Refusal>, Vec<ControlOutput>) {
        self.last += 1;
        let conn = ConnId(self.last);
        let mut connect = connect(grants);
        connect.layout = layout;
        let mut outputs = self.feed(ControlInput::Connect(Caller(self.last), conn, connect));
        let is_grant = |write: &Write| matches!(write, Write::Audit(entry) if entry.event == AuditEvent::JoinGranted);
        if let Some(at) = self.unwritten.iter().position(|(_, writes)| writes.iter().any(is_grant)) {
            let (ticket, _) = self.unwritten.remove(at);
            outputs.extend(self.feed(ControlInput::Persisted(ticket, Written::Durably)));
        }
        let result =
            outputs.iter().find_map(|output| if let ControlOutput::Connected(_, result) = output { Some(result.clone()) } else { None });
        (result.unwrap().map(|_| conn), outputs)
    }

    fn names(&self) -> Vec<&'static str> {
        self.events.iter().map(|entry| entry.event.as_str()).collect()
    }
}

/// Entries that desks bring about.
fn of_the_desk(write: &Write) -> Option<&AuditEntry> {
    let Write::Audit(entry) = write else { return None };
    let others = [AuditEvent::RoomMade, AuditEvent::JoinGranted, AuditEvent::JoinRefused];
    (!others.contains(&entry.event)).then_some(entry)
}

/// What one desk is told.
fn told(outputs: &[ControlOutput], conn: ConnId) -> Vec<&DeskNotice> {
    let heard = |output| match output {
        &ControlOutput::Notice(to, Notice::Desk(ref notice)) if to == conn => Some(notice),
        _ => None,
    };
    outputs.iter().filter_map(heard).collect()
}

fn people(outputs: &[ControlOutput], conn: ConnId) -> Vec<(String, bool)> {
    let list =
        told(outputs, conn).into_iter().rev().find_map(|notice| if let DeskNotice::People(people) = notice { Some(people) } else { None });
    list.unwrap().iter().map(|PersonView { identity, waiting, .. }| (identity.as_str().to_owned(), *waiting)).collect()
}

fn waits(outputs: &[ControlOutput], conn: ConnId) -> Option<bool> {
    told(outputs, conn).into_iter().rev().find_map(|notice| match notice {
        DeskNotice::Standing(Standing { waiting, .. }) => Some(*waiting),
        _ => None,
    })
}

fn bye(outputs: &[ControlOutput], conn: ConnId) -> Option<Bye> {
    let bye = told(outputs, conn).into_iter().find_map(|notice| if let DeskNotice::Bye(bye) = notice { Some(*bye) } else { None });
    assert_eq!(bye.is_some(), outputs.contains(&ControlOutput::HangUp(conn)));
    bye
}

fn seen(identity: &str, waiting: bool) -> (String, bool) {
    (identity.to_owned(), waiting)
}

#[test]
fn a_guest_waits_until_the_admission_is_written() {
    for (mode, layout) in [(RoomMode::Sfu, Layout::Single), (RoomMode::P2p, Layout::P2p)] {
        let mut scene = Scene::new(mode);
        let way = |scene: &mut Scene| scene.ask(Request::Validate { grants: role("guest", Role::Guest), layout: None });
        assert_eq!(way(&mut scene), Ok(Reply::Waiting(mode)));
        let (guest, outputs) = scene.desk(role("guest", Role::Guest));
        let guest = guest.unwrap();
        assert_eq!((waits(&outputs, guest), people(&outputs, guest)), (Some(true), vec![]));
        let (host, outputs) = scene.desk(role("host", Role::Host));
        let host = host.unwrap();
        assert_eq!(waits(&outputs, host), Some(false));
        assert_eq!(people(&outputs, host), [seen("guest", true), seen("host", false)]);
        assert_eq!(people(&outputs, guest), [seen("host", false)]);
        assert_eq!(scene.join(role("guest", Role::Guest), layout).0, Err(Refusal::Waiting));
        assert!(scene.join(role("host", Role::Host), layout).0.is_ok());

        let outputs = scene.say(host, DeskSaid::Admit(person("guest")));
        assert_eq!(outputs, [], "not before it is written");
        assert_eq!(scene.join(role("guest", Role::Guest), layout).0, Err(Refusal::Waiting));
        let outputs = scene.write(Written::Durably);
        assert_eq!((waits(&outputs, guest), people(&outputs, guest)), (Some(false), vec![seen("guest", false), seen("host", false)]));
        assert!(scene.join(role("guest", Role::Guest), layout).0.is_ok());
        assert_eq!(way(&mut scene), Ok(Reply::Mode(mode)));
        assert_eq!(scene.names(), ["lobby-entered", "lobby-admitted"]);
        let actors: Vec<_> = scene.events.iter().map(|entry| entry.actor.as_ref().map(Identity::as_str)).collect();
        assert_eq!(actors, [None, Some("host")], "guests are not named");
    }
}

#[test]
fn what_cannot_be_written_admits_nobody() {
    let mut scene = Scene::new(RoomMode::Sfu);
    let (guest, host) = (scene.open("guest", Role::Guest), scene.open("host", Role::Host));
    scene.write(Written::Durably);
    scene.say(host, DeskSaid::Admit(person("guest")));
    let outputs = scene.write(Written::Failed);
    assert_eq!(told(&outputs, host), [&DeskNotice::Refused(DeskFault::NotStored)]);
    assert!(told(&outputs, guest).is_empty());
    scene.request(Request::Admission { grants: admin(), room: room(), identity: person("guest"), action: LobbyAction::Admit });
    let outputs = scene.write(Written::Full);
    assert!(matches!(outputs[..], [ControlOutput::Reply(_, Err(Refusal::NotStored))]));
    assert_eq!(scene.join(role("guest", Role::Guest), Layout::Single).0, Err(Refusal::Waiting));
    // Whoever went meanwhile is not admitted either.
    scene.say(host, DeskSaid::Admit(person("guest")));
    scene.say(guest, DeskSaid::Leave);
    assert_eq!(told(&scene.write(Written::Durably), host), [&DeskNotice::Refused(DeskFault::NoSuchPerson)]);
}

#[test]
fn the_refused_do_not_come_back_unless_they_are_admitted() {
    let mut scene = Scene::new(RoomMode::Sfu);
    let (guest, host) = (scene.open("guest", Role::Guest), scene.open("host", Role::Reception));
    let outputs = scene.say(host, DeskSaid::Refuse(person("guest")));
    assert_eq!((bye(&outputs, guest), people(&outputs, host)), (Some(Bye::Refused), vec![seen("host", false)]));
    let grants = role("guest", Role::Guest);
    assert_eq!(scene.desk(grants.clone()).0, Err(Refusal::TurnedAway));
    assert_eq!(scene.join(grants.clone(), Layout::Single).0, Err(Refusal::TurnedAway));
    assert_eq!(scene.ask(Request::Validate { grants: grants.clone(), layout: None }), Err(Refusal::TurnedAway));
    scene.say(host, DeskSaid::Admit(person("guest")));
    scene.write(Written::Durably);
    assert!(scene.desk(grants.clone()).0.is_ok() && scene.join(grants, Layout::Single).0.is_ok());
    assert_eq!(scene.names(), ["lobby-entered", "lobby-refused", "lobby-admitted"]);
}

#[test]
fn whoever_is_put_back_loses_the_call_and_keeps_the_desk() {
    for (mode, layout) in [(RoomMode::Sfu, Layout::Single), (RoomMode::P2p, Layout::P2p)] {
        let mut scene = Scene::new(mode);
        let (guest, host) = (scene.open("guest", Role::Guest), scene.open("host", Role::Host));
        scene.say(host, DeskSaid::Admit(person("guest")));
        scene.write(Written::Durably);
        let call = scene.join(role("guest", Role::Guest), layout).0.unwrap();
        let outputs = scene.say(host, DeskSaid::PutBack(person("guest")));
        assert!(outputs.contains(&ControlOutput::HangUp(call)));
        assert_eq!((waits(&outputs, guest), bye(&outputs, guest)), (Some(true), None));
        assert_eq!(people(&outputs, host), [seen("guest", true), seen("host", false)]);
        assert_eq!(scene.join(role("guest", Role::Guest), layout).0, Err(Refusal::Waiting));
        let outputs = scene.say(host, DeskSaid::PutBack(person("host")));
        assert_eq!(told(&outputs, host), [&DeskNotice::Refused(DeskFault::CannotWait)]);
        assert_eq!(scene.names().last(), Some(&"lobby-put-back"));
    }
    let mut scene = Scene::with(RoomMode::Sfu, DoorRules::default());
    let (guest, host) = (scene.open("guest", Role::Guest), scene.open("host", Role::Host));
    assert!(scene.join(role("guest", Role::Guest), Layout::Single).0.is_ok(), "without a lobby everybody is in at once");
    let outputs = scene.say(host, DeskSaid::PutBack(person("guest")));
    assert_eq!((told(&outputs, host), waits(&outputs, guest)), (vec![&DeskNotice::Refused(DeskFault::CannotWait)], None));
}

#[test]
fn only_moderators_give_orders() {
    let mut scene = Scene::with(RoomMode::Sfu, DoorRules::default());
    let (guest, watcher) = (scene.open("guest", Role::Guest), scene.open("watcher", Role::Observer));
    let whom = || person("watcher");
    let orders = [
        DeskSaid::Admit(whom()),
        DeskSaid::Refuse(whom()),
        DeskSaid::PutBack(whom()),
        DeskSaid::Remove(whom()),
        DeskSaid::Mute(whom()),
        DeskSaid::Mismatch(whom()),
        DeskSaid::Lock(true),
        DeskSaid::End,
    ];
    for conn in [guest, watcher] {
        for order in orders.clone() {
            let outputs = scene.say(conn, order);
            assert_eq!(outputs.len(), 1);
            assert_eq!(told(&outputs, conn), [&DeskNotice::Refused(DeskFault::NotModerator)]);
        }
    }
    assert!(scene.events.is_empty());
    for grants in [role("guest", Role::Guest), role("watcher", Role::Observer)] {
        let requests = [
            Request::Lock { grants: grants.clone(), room: room(), locked: true },
            Request::Lobby { grants: grants.clone(), room: room() },
            Request::Admission { grants, room: room(), identity: whom(), action: LobbyAction::Refuse },
        ];
        for request in requests {
            assert_eq!(scene.ask(request), Err(Refusal::NotAllowed("roomAdmin for this room")));
        }
    }
    let stranger = grants("other", &Claims::admin(START + 60));
    assert_eq!(scene.ask(Request::Lobby { grants: stranger, room: room() }), Err(Refusal::RoomNotFound));
}

#[test]
fn removed_muted_locked_and_ended() {
    let mut scene = Scene::with(RoomMode::Sfu, DoorRules::default());
    let (guest, host) = (scene.open("guest", Role::Guest), scene.open("host", Role::Host));
    let call = scene.join(role("guest", Role::Guest), Layout::Single).0.unwrap();
    let outputs = scene.say(host, DeskSaid::Lock(true));
    let locked = |notice: &&DeskNotice| matches!(notice, DeskNotice::Standing(Standing { locked: true, .. }));
    assert!([guest, host].iter().all(|conn| told(&outputs, *conn).iter().any(locked)));
    assert_eq!(scene.say(host, DeskSaid::Lock(true)), [], "it is locked already");
    let newcomer = role("newcomer", Role::Guest);
    assert_eq!(scene.join(newcomer.clone(), Layout::Single).0, Err(Refusal::Locked));
    assert_eq!(scene.desk(newcomer.clone()).0, Err(Refusal::Locked));
    assert_eq!(scene.ask(Request::Validate { grants: newcomer.clone(), layout: None }), Err(Refusal::Locked));
    assert!(scene.desk(role("second", Role::Host)).0.is_ok(), "hosts have the key");
    assert!(scene.join(role("guest", Role::Guest), Layout::Single).1.contains(&ControlOutput::HangUp(call)), "and who is in comes back");
    let Ok(Reply::Room(view)) = scene.ask(Request::Room { grants: admin(), room: room() }) else { panic!() };
    assert!(view.locked);
    assert_eq!(scene.ask(Request::Lock { grants: admin(), room: room(), locked: false }), Ok(Reply::Done));
    assert!(scene.join(newcomer, Layout::Single).0.is_ok());
    assert!(told(&scene.say(host, DeskSaid::Mute(person("guest"))), host).is_empty());
    assert_eq!(told(&scene.say(host, DeskSaid::Mute(person("x"))), host), [&DeskNotice::Refused(DeskFault::NoSuchPerson)]);
    assert_eq!(bye(&scene.say(host, DeskSaid::Remove(person("guest"))), guest), Some(Bye::Removed));
    assert_eq!(scene.join(role("guest", Role::Guest), Layout::Single).0, Err(Refusal::TurnedAway));
    assert_eq!(bye(&scene.say(host, DeskSaid::End), host), Some(Bye::Ended));
    assert_eq!(scene.control.stats().rooms, 0);
    assert_eq!(scene.names(), ["room-locked", "room-unlocked", "muted", "removed", "room-ended"]);
    assert_eq!(scene.events[1].actor.as_ref().map(Identity::as_str), Some("APIkey"), "a key that acts for nobody");
    assert!(scene.unwritten.iter().any(|(_, writes)| matches!(writes[0], Write::DeleteRoom(_))));
}

#[test]
fn in_a_p2p_room_people_mute_themselves() {
    let mut scene = Scene::with(RoomMode::P2p, DoorRules::default());
    let (guest, host) = (scene.open("guest", Role::Guest), scene.open("host", Role::Host));
    scene.join(role("guest", Role::Guest), Layout::P2p).0.unwrap();
    let outputs = scene.say(host, DeskSaid::Mute(person("guest")));
    assert_eq!((told(&outputs, guest), outputs.len()), (vec![&DeskNotice::Mute], 1));
}

#[test]
fn words_reach_those_whom_they_may() {
    let mut scene = Scene::new(RoomMode::Sfu);
    let (host, reception) = (scene.open("host", Role::Host), scene.open("reception", Role::Reception));
    let (one, other) = (scene.open("one", Role::Guest), scene.open("other", Role::Guest));
    let mut passes = |from: ConnId, to: (&str, ConnId)| {
        let body = Body("sealed".into());
        let outputs = scene.say(from, DeskSaid::Message { to: person(to.0), body: body.clone() });
        let heard =
            told(&outputs, to.1).into_iter().any(|notice| matches!(notice, DeskNotice::Message { body: said, .. } if *said == body));
        assert_eq!(heard, !told(&outputs, from).contains(&&DeskNotice::Refused(DeskFault::NoSuchPerson)));
        heard
    };
    assert!(passes(one, ("host", host)) && passes(one, ("reception", reception)) && passes(host, ("one", one)));
    assert!(passes(host, ("reception", reception)));
    assert!(!passes(one, ("other", other)) && !passes(one, ("nobody", host)));
    scene.say(host, DeskSaid::Admit(person("one")));
    scene.write(Written::Durably);
    let mut passes =
        |from: ConnId, to: &str| told(&scene.say(from, DeskSaid::Message { to: person(to), body: Body("x".into()) }), from).is_empty();
    assert!(!passes(other, "one") && !passes(one, "other"), "who is in has no words with those who wait, unless they moderate");
    assert!(passes(one, "host"));
}

#[test]
fn floods_are_refused_and_do_not_reach_a_host() {
    let mut scene = Scene::new(RoomMode::Sfu);
    let host = scene.open("host", Role::Host);
    let guests = ["a", "b", "c"].map(|name| scene.open(name, Role::Guest));
    let heard = |scene: &mut Scene| {
        let mut words = 0;
        for guest in guests.iter().cycle().take(900) {
            let outputs = scene.say(*guest, DeskSaid::Message { to: person("host"), body: Body("x".into()) });
            words += told(&outputs, host).len();
            assert!(words > 0 && (told(&outputs, *guest).len() + told(&outputs, host).len()) == 1, "each is passed on or refused");
        }
        words
    };
    assert_eq!(heard(&mut scene), 100, "all of them together");
    scene.now = scene.now.after(Duration::from_secs(1));
    assert_eq!(heard(&mut scene), 50);
}

#[test]
fn a_lost_desk_keeps_its_place_for_a_while() {
    let mut scene = Scene::new(RoomMode::Sfu);
    let (guest, host) = (scene.open("guest", Role::Guest), scene.open("host", Role::Host));
    let outputs = scene.feed(ControlInput::Closed(guest));
    assert_eq!(people(&outputs, host), [seen("host", false)]);
    scene.now = scene.now.after(Duration::from_secs(19));
    scene.feed(ControlInput::Timeout);
    let since = |outputs: &[ControlOutput]| {
        let mut lists =
            told(outputs, host).into_iter().filter_map(|notice| if let DeskNotice::People(people) = notice { Some(people) } else { None });
        lists.next_back().unwrap().iter().find(|person| person.waiting).map(|person| person.since)
    };
    let (again, outputs) = scene.desk(role("guest", Role::Guest));
    assert_eq!(since(&outputs), Some(START));
    let (third, outputs) = scene.desk(role("guest", Role::Guest));
    assert_eq!((bye(&outputs, again.unwrap()), since(&outputs)), (Some(Bye::Replaced), Some(START)));
    assert_eq!(scene.names(), ["lobby-entered"]);
    scene.feed(ControlInput::Closed(third.unwrap()));
    scene.now = scene.now.after(Duration::from_secs(20));
    scene.feed(ControlInput::Timeout);
    let (_, outputs) = scene.desk(role("guest", Role::Guest));
    assert_eq!((since(&outputs), scene.names().len()), (Some(START + 39), 2), "who was away too long waits anew");
    // An admission survives.
    scene.say(host, DeskSaid::Admit(person("guest")));
    scene.write(Written::Durably);
    scene.now = scene.now.after(Duration::from_mins(10));
    scene.feed(ControlInput::Timeout);
    assert_eq!(scene.ask(Request::Validate { grants: role("guest", Role::Guest), layout: None }), Ok(Reply::Mode(RoomMode::Sfu)));
}

#[test]
fn rooms_begin_and_end_in_their_time() {
    let door = DoorRules { lobby: false, not_before: Some(START + 600), not_after: Some(START + 1200) };
    let mut scene = Scene::with(RoomMode::Sfu, door);
    let (guest, host) = (role("guest", Role::Guest), role("host", Role::Host));
    assert_eq!(scene.join(guest.clone(), Layout::Single).0, Err(Refusal::TooEarly));
    assert_eq!(scene.desk(guest.clone()).0, Err(Refusal::TooEarly));
    assert_eq!(scene.ask(Request::Validate { grants: guest.clone(), layout: None }), Err(Refusal::TooEarly));
    assert!(scene.join(host.clone(), Layout::Single).0.is_ok(), "moderators may come earlier");
    let desk = scene.desk(host).0.unwrap();
    for _ in 0..1199 {
        assert!(matches!(scene.control.next_timeout(), Some((due, _)) if due <= scene.now.instant + Duration::from_secs(1)));
        scene.now = scene.now.after(Duration::from_secs(1));
        assert_eq!(bye(&scene.feed(ControlInput::Timeout), desk), None);
    }
    assert!(scene.join(guest, Layout::Single).0.is_ok());
    assert_eq!(scene.control.next_timeout().map(|(_, name)| name), Some("end of the room"));
    scene.now = scene.now.after(Duration::from_secs(1));
    assert_eq!(bye(&scene.feed(ControlInput::Timeout), desk), Some(Bye::Ended));
    assert_eq!((scene.control.stats().rooms, scene.control.stats().participants), (0, 0));
    let make = |scene: &mut Scene, door| scene.ask(Request::CreateRoom { grants: admin(), spec: spec(RoomMode::Sfu, door) });
    let wrong = [(None, Some(START)), (Some(START + 9000), Some(START + 9000)), (Some(START + 400 * 86_400), None)];
    for (not_before, not_after) in wrong {
        assert!(matches!(make(&mut scene, DoorRules { lobby: false, not_before, not_after }), Err(Refusal::Invalid(_))));
    }
    // An empty room waits for its beginning before it counts.
    make(&mut scene, DoorRules { not_before: Some(START + 5000), ..DoorRules::default() }).unwrap();
    for (second, rooms) in [(5059, 1), (5060, 0)] {
        scene.now = Moment { wall: Duration::from_secs(START + second), instant: scene.now.instant + Duration::from_mins(1) };
        scene.feed(ControlInput::Timeout);
        assert_eq!(scene.control.stats().rooms, rooms);
    }
}

#[test]
fn somebody_at_the_desk_keeps_the_room() {
    let mut scene = Scene::new(RoomMode::Sfu);
    let guest = scene.open("guest", Role::Guest);
    scene.now = scene.now.after(Duration::from_mins(10));
    scene.feed(ControlInput::Timeout);
    assert_eq!(scene.control.stats().rooms, 1, "the host is late");
    assert_eq!(bye(&scene.say(guest, DeskSaid::Leave), guest), Some(Bye::Left));
    scene.now = scene.now.after(Duration::from_mins(1));
    scene.feed(ControlInput::Timeout);
    assert_eq!(scene.control.stats().rooms, 0);
    let mut scene = Scene::new(RoomMode::Sfu);
    let guest = scene.open("guest", Role::Guest);
    scene.now = scene.now.after(Duration::from_hours(1));
    assert_eq!(bye(&scene.feed(ControlInput::Timeout), guest), Some(Bye::Expired), "the token would open nothing any more");
    let host = scene.desk(role("host", Role::Host)).0.unwrap();
    assert_eq!(bye(&scene.feed(ControlInput::Shutdown), host), Some(Bye::Shutdown));
    assert_eq!(scene.desk(role("host", Role::Host)).0, Err(Refusal::ShuttingDown));
}

#[test]
fn three_failed_exchanges_end_it() {
    let mut scene = Scene::new(RoomMode::Sfu);
    let (guest, host) = (scene.open("guest", Role::Guest), scene.open("host", Role::Host));
    let mismatch = DeskSaid::Mismatch(person("guest"));
    assert_eq!(scene.say(host, mismatch.clone()), []);
    // Coming anew does not wash it off.
    scene.say(guest, DeskSaid::Leave);
    let guest = scene.open("guest", Role::Guest);
    assert_eq!(scene.say(host, mismatch.clone()), []);
    assert_eq!(bye(&scene.say(host, mismatch.clone()), guest), Some(Bye::Refused));
    assert_eq!(told(&scene.say(host, mismatch), host), [&DeskNotice::Refused(DeskFault::NoSuchPerson)]);
    assert_eq!(scene.desk(role("guest", Role::Guest)).0, Err(Refusal::TurnedAway));
    assert_eq!(scene.names(), ["lobby-entered", "lobby-entered", "invitation-mismatched"]);
    assert_eq!(told(&scene.say(host, DeskSaid::Mismatch(person("host"))), host), [&DeskNotice::Refused(DeskFault::NoSuchPerson)]);
}

#[test]
fn desks_are_bounded() {
    let mut scene = Scene::new(RoomMode::Sfu);
    for number in 0..WAITING_MAX {
        scene.open(&format!("guest-{number}"), Role::Guest);
    }
    assert_eq!(scene.desk(role("one more", Role::Guest)).0, Err(Refusal::RoomFull));
    assert!(scene.desk(role("guest-0", Role::Guest)).0.is_ok(), "who waits already may come anew");
    let host = scene.open("host", Role::Host);
    for number in 0..9 {
        scene.say(host, DeskSaid::Admit(person(&format!("guest-{number}"))));
        scene.write(Written::Durably);
    }
    let outputs = scene.say(host, DeskSaid::Admit(person("guest-9")));
    assert_eq!(told(&outputs, host), [&DeskNotice::Refused(DeskFault::Full)], "as many as the room takes");
    for number in 1..STAFF_MAX {
        scene.open(&format!("host-{number}"), Role::Host);
    }
    assert_eq!(scene.desk(role("one more", Role::Host)).0, Err(Refusal::RoomFull));
    scene.control.config.sessions_max = scene.control.desks.len();
    assert_eq!(scene.desk(role("guest-9", Role::Guest)).0, Err(Refusal::LimitReached("desks")));
    assert_eq!(scene.control.sizes()[8], ("desks", WAITING_MAX + STAFF_MAX));
}

#[test]
fn moderators_by_http_do_the_same() {
    let mut scene = Scene::new(RoomMode::Sfu);
    let guest = scene.open("guest", Role::Guest);
    let Ok(Reply::Lobby(waiting)) = scene.ask(Request::Lobby { grants: role("r", Role::Reception), room: room() }) else { panic!() };
    assert_eq!(waiting.iter().map(|person| (person.identity.as_str(), person.since)).collect::<Vec<_>>(), [("guest", START)]);
    let order = |action| Request::Admission { grants: admin(), room: room(), identity: person("guest"), action };
    assert_eq!(scene.ask(order(LobbyAction::Admit)), Ok(Reply::Done));
    assert!(matches!(scene.ask(order(LobbyAction::Admit)), Err(Refusal::Invalid(_))));
    assert_eq!(scene.ask(Request::Lobby { grants: admin(), room: room() }), Ok(Reply::Lobby(Vec::new())));
    assert_eq!(scene.ask(order(LobbyAction::PutBack)), Ok(Reply::Done));
    assert_eq!(scene.ask(order(LobbyAction::Refuse)), Ok(Reply::Done));
    assert_eq!(scene.ask(order(LobbyAction::Refuse)), Err(Refusal::ParticipantNotFound));
    let removal = Request::RemoveParticipant { grants: admin(), room: room(), identity: person("other") };
    let other = scene.open("other", Role::Guest);
    let outputs = scene.request(removal);
    assert_eq!((bye(&outputs, other), bye(&outputs, guest)), (Some(Bye::Removed), None));
    assert!(scene.desk(role("other", Role::Guest)).0.is_ok(), "whom an application removes may knock again");
}

#[test]
fn media_by_every_way_wait() {
    let mut scene = Scene::new(RoomMode::Sfu);
    scene.open("guest", Role::Guest);
    let (grants, sdp) = (role("guest", Role::Guest), "v=0\r\nm=audio 9 X 0\r\na=mid:0\r\n".to_owned());
    for layout in [Layout::Single, Layout::Dual] {
        assert_eq!(scene.join(grants.clone(), layout).0, Err(Refusal::Waiting));
        assert_eq!(scene.ask(Request::Validate { grants: grants.clone(), layout: Some(layout) }), Err(Refusal::Waiting));
    }
    assert_eq!(scene.ask(Request::Whip { grants: grants.clone(), room: room(), sdp: sdp.clone() }), Err(Refusal::Waiting));
    let whep = Request::Whep { grants, room: room(), identity: person("host"), track: None, sdp };
    assert_eq!(scene.ask(whep), Err(Refusal::Waiting), "nor is it told who is there");
    let grants = role("watcher", Role::Observer);
    assert_eq!(scene.join(grants, Layout::Single).0, Err(Refusal::Waiting), "observers wait as well");
}

#[test]
fn a_fault_forgets_no_admission() {
    let mut scene = Scene::new(RoomMode::Sfu);
    let (guest, host) = (scene.open("guest", Role::Guest), scene.open("host", Role::Host));
    scene.open("other", Role::Guest);
    scene.say(host, DeskSaid::Admit(person("guest")));
    scene.write(Written::Durably);
    scene.say(host, DeskSaid::Refuse(person("other")));
    scene.say(host, DeskSaid::Lock(true));
    let key = *scene.control.rooms.keys().next().unwrap();
    scene.control.with_room(key, |_, _, _| panic!("on purpose"));
    assert_eq!(bye(&scene.feed(ControlInput::Timeout), guest), Some(Bye::Shutdown));
    assert!(scene.control.desks.is_empty());
    assert!(scene.join(role("guest", Role::Guest), Layout::Single).0.is_ok());
    assert_eq!(scene.desk(role("other", Role::Guest)).0, Err(Refusal::TurnedAway));
    assert_eq!(scene.desk(role("newcomer", Role::Guest)).0, Err(Refusal::Locked));
}

#[test]
fn a_room_with_rules_is_not_made_anew_without_them() {
    let mut scene = Scene::new(RoomMode::Sfu);
    let mut invited = role("guest", Role::Guest);
    invited.attributes.insert(crate::node::request::RULES.to_owned(), "1".to_owned());
    assert!(scene.desk(invited.clone()).0.is_ok());
    let host = scene.open("host", Role::Host);
    scene.say(host, DeskSaid::End);
    assert_eq!(scene.desk(invited.clone()).0, Err(Refusal::RoomNotFound));
    assert_eq!(scene.join(invited, Layout::Single).0, Err(Refusal::RoomNotFound));
    assert!(scene.join(role("guest", Role::Guest), Layout::Single).0.is_ok(), "tokens of LiveKit applications make it");
}

#[path = "roles_tests.rs"]
mod roles;
