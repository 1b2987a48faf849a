//! Invitations on virtual time, with a disk that may refuse.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::super::ControlInput;
use super::super::redeem::grants;
use super::super::testing::{config, connect};
use super::*;
use crate::access::key::ApiKey;
use crate::access::throttle::Throttle;
use crate::model::chance::Chance;
use crate::model::ids::TenantId;
use crate::model::record::{RoomMode, Stored, Written};
use crate::node::invitation::Redeem;
use crate::node::request::{ConnId, Request, RoomOrigin, RoomSpec};

const BEGIN: u64 = 1_700_000_000;

struct Scene {
    control: Control,
    now: Moment,
    last: u64,
    /// All that was written.
    writes: Vec<Write>,
    disk: Written,
}

fn tenant() -> TenantId {
    TenantId::new("clinic").unwrap()
}

fn name(room: &str) -> RoomName {
    RoomName::new(room).unwrap()
}

fn id_of(room: &str) -> RoomId {
    RoomId { tenant: tenant(), name: name(room) }
}

fn host(room: &str) -> Grants {
    Grants { room_create: true, ..grants(Role::Host, &id_of(room), Identity::new("host-1").unwrap(), u64::MAX) }
}

fn tan(admit: Option<&str>, pending: bool) -> InvitationSpec {
    let admit = admit.map(|admit| Admit::read(admit).unwrap());
    InvitationSpec {
        role: Role::Guest,
        by: InvitationBy::Tan { admit, sealed: None, pending },
        not_before: BEGIN,
        not_after: BEGIN + 86_400,
        subject: None,
    }
}

fn link() -> InvitationSpec {
    InvitationSpec { by: InvitationBy::Link, ..tan(None, false) }
}

fn no(refusal: No) -> Refusal {
    Refusal::Invitation(refusal)
}

impl Scene {
    /// With the room `r`, which lives for five seconds while empty.
    fn new() -> Self {
        let now = Moment { instant: Instant::now(), wall: Duration::from_secs(BEGIN) };
        let control = Control::new(config(1), Chance::new([7; 32]));
        let mut scene = Self { control, now, last: 0, writes: Vec::new(), disk: Written::Durably };
        scene.room("r");
        scene
    }

    fn room(&mut self, room: &str) {
        let spec = RoomSpec {
            name: Some(name(room)),
            mode: None,
            door: crate::room::DoorRules::default(),
            hide_addresses: None,
            require_encryption: None,
            max_participants: Some(3),
            empty_timeout_s: None,
            metadata: String::new(),
            origin: RoomOrigin::Api,
        };
        self.ask(Request::CreateRoom { grants: host(room), spec }).unwrap();
    }

    /// A host comes, so that the room does not end.
    fn host_comes(&mut self) {
        self.run(ControlInput::Connect(Caller(1_000), ConnId(1_000), connect(host("r"))));
    }

    fn feed(&mut self, input: ControlInput) -> Vec<ControlOutput> {
        self.control.handle(input, self.now);
        std::iter::from_fn(|| self.control.poll()).collect()
    }

    /// Feeds, and writes what is to be written.
    fn run(&mut self, input: ControlInput) -> Vec<ControlOutput> {
        let mut outputs = self.feed(input);
        let mut at = 0;
        while at < outputs.len() {
            if let ControlOutput::Persist(ticket, writes) = &outputs[at] {
                let ticket = *ticket;
                if self.disk == Written::Durably {
                    self.writes.extend(writes.clone());
                }
                let more = self.feed(ControlInput::Persisted(ticket, self.disk));
                outputs.extend(more);
            }
            at += 1;
        }
        outputs
    }

    fn ask(&mut self, request: Request) -> Result<Reply, Refusal> {
        self.last += 1;
        let outputs = self.run(ControlInput::Request(Caller(self.last), Box::new(request)));
        let mut replies = outputs.into_iter().filter_map(|output| match output {
            ControlOutput::Reply(caller, reply) if caller == Caller(self.last) => Some(reply),
            _ => None,
        });
        let reply = replies.next().unwrap();
        assert!(replies.next().is_none());
        reply
    }

    fn make(&mut self, room: &str, spec: InvitationSpec) -> Result<InvitationMade, Refusal> {
        match self.ask(Request::Invitation(InvitationRequest::Make { grants: host(room), room: name(room), spec }))? {
            Reply::Invitation(InvitationReply::Made(made)) => Ok(made),
            other => panic!("{other:?}"),
        }
    }

    fn come(&mut self, by: Redeem) -> Result<Redeemed, Refusal> {
        let request = InvitationRequest::Redeem { by, address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) };
        match self.ask(Request::Invitation(request))? {
            Reply::Invitation(InvitationReply::Redeemed(redeemed)) => Ok(redeemed),
            other => panic!("{other:?}"),
        }
    }

    fn come_by(&mut self, tan: &str) -> Result<Redeemed, Refusal> {
        self.come(Redeem::Tan(tenant(), Admit::read(tan).unwrap()))
    }

    fn state(&mut self, room: &str) -> Vec<InvitationState> {
        match self.ask(Request::Invitation(InvitationRequest::List { grants: host(room), room: name(room) })).unwrap() {
            Reply::Invitation(InvitationReply::List(views)) => views.into_iter().map(|view| view.state).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn confirm(&mut self, id: InvitationId) -> Result<Reply, Refusal> {
        self.ask(Request::Invitation(InvitationRequest::Confirm { grants: host("r"), room: name("r"), id }))
    }

    fn take_back(&mut self, id: InvitationId) -> Result<Reply, Refusal> {
        self.ask(Request::Invitation(InvitationRequest::Revoke { grants: host("r"), room: name("r"), id }))
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    /// Lets time pass to the second, and everything that is due happen.
    fn pass(&mut self, seconds: u64) {
        let end = self.now.after(Duration::from_secs(seconds));
        while let Some((due, _)) = self.control.next_timeout().filter(|(due, _)| *due <= end.instant) {
            self.now = self.now.after(due.saturating_duration_since(self.now.instant));
            self.run(ControlInput::Timeout);
        }
        self.now = end;
    }

    fn events(&self) -> Vec<AuditEvent> {
        let event = |write: &Write| if let Write::Audit(entry) = write { Some(entry.event) } else { None };
        self.writes.iter().filter_map(event).collect()
    }

    fn kept(&self) -> usize {
        self.control.invitations.size()
    }
}

#[test]
fn a_tan_belongs_to_the_device_that_comes_first() {
    let mut scene = Scene::new();
    let made = scene.make("r", tan(None, false)).unwrap();
    let letter = made.tan.unwrap();
    let first = scene.come_by(letter.expose()).unwrap();
    assert_eq!((first.role, first.mode, first.room.clone()), (Role::Guest, RoomMode::Sfu, id_of("r")));
    assert_eq!(first.expires_at, BEGIN + TOKEN_LIFE_S);
    assert_eq!(scene.come_by(letter.expose()), Err(no(No::Used)));
    let again = scene.come(Redeem::Resume(first.resume.clone().unwrap())).unwrap();
    assert_eq!((again.identity, again.resume), (first.identity.clone(), None), "whoever comes again is the same");
    assert_eq!(scene.come(Redeem::Resume(Secret::new("other".to_owned()))), Err(no(No::Over)));
    assert_eq!(scene.come(Redeem::Tan(TenantId::new("other").unwrap(), Admit::read(letter.expose()).unwrap())), Err(no(No::Unknown)));
    let stored = scene.writes.iter().rev().find_map(|write| if let Write::PutInvitation(record) = write { Some(record) } else { None });
    assert_eq!(stored.unwrap().identity, Some(first.identity));
    let event = [AuditEvent::RoomMade, AuditEvent::InvitationMade, AuditEvent::InvitationUsed, AuditEvent::TanRefused];
    assert_eq!(scene.events(), event);
}

#[test]
fn c3_unlinkable_ids() {
    let mut scene = Scene::new();
    let mut come = |subject: &str| {
        let subject = SubjectRef::new(subject).ok();
        let made = scene.make("r", InvitationSpec { subject, ..tan(None, false) }).unwrap();
        scene.come_by(made.tan.unwrap().expose()).unwrap().identity
    };
    let (one, other) = (come("p-1"), come("p-1"));
    assert_ne!(one, other);
    assert!(!one.as_str().contains("p-1"));
}

#[test]
fn a_link_for_one_device_is_for_one() {
    let mut scene = Scene::new();
    let made = scene.make("r", InvitationSpec { role: Role::Host, ..link() }).unwrap();
    assert_eq!(made.tan, None);
    let by = || Redeem::Link(id_of("r"), made.id.clone());
    let first = scene.come(by()).unwrap();
    assert_eq!(first.role, Role::Host);
    assert_eq!(scene.come(by()), Err(no(No::Used)));
    assert!(scene.come(Redeem::Resume(first.resume.unwrap())).is_ok());
    assert_eq!(scene.come(Redeem::Link(id_of("other"), made.id.clone())), Err(no(No::Over)));
}

#[test]
fn m1_what_nobody_confirms_dies_within_the_hour() {
    let mut scene = Scene::new();
    scene.make("r", tan(Some("0000A1"), true)).unwrap();
    scene.make("r", tan(Some("0000A2"), true)).unwrap();
    let kept = scene.make("r", tan(Some("0000A3"), true)).unwrap();
    assert_eq!(kept.expires_at, BEGIN + CONFIRM_S);
    assert_eq!(scene.confirm(kept.id.clone()), Ok(Reply::Done));
    assert_eq!(scene.confirm(kept.id), Ok(Reply::Done), "once more does no harm");
    scene.pass(CONFIRM_S - 1);
    assert_eq!(scene.state("r").iter().filter(|state| **state == InvitationState::Pending).count(), 2);
    assert!(scene.come_by("0000A1").is_ok(), "good at 3,599 s");
    scene.wait(1);
    assert_eq!(scene.come_by("0000A2"), Err(no(No::Over)), "gone at 3,600 s, before anybody has looked");
    scene.run(ControlInput::Timeout);
    assert_eq!(scene.kept(), 2);
    assert!(
        matches!(&scene.writes[..], [.., Write::DeleteInvitation(..), Write::Audit(entry)] if entry.event == AuditEvent::InvitationExpired)
    );
    assert_eq!(scene.come_by("0000A2"), Err(no(No::Over)));
    assert!(scene.come_by("0000A3").is_ok(), "who was confirmed comes in its time");
}

#[test]
fn invitations_are_good_in_their_time() {
    let mut scene = Scene::new();
    scene.host_comes();
    let spec = InvitationSpec { not_before: BEGIN + 100, not_after: BEGIN + 200, ..tan(Some("000001"), false) };
    scene.make("r", spec.clone()).unwrap();
    scene.make("r", InvitationSpec { by: tan(Some("000002"), false).by, ..spec }).unwrap();
    scene.pass(99);
    assert_eq!(scene.come_by("000001"), Err(no(No::Early(BEGIN + 100))));
    scene.pass(1);
    let first = scene.come_by("000001").unwrap();
    scene.pass(99);
    assert_eq!(scene.state("r").len(), 2);
    scene.pass(2);
    assert_eq!((scene.state("r").len(), scene.kept()), (1, 1));
    assert_eq!(scene.come_by("000002"), Err(no(No::Over)));
    scene.control.invitations.throttle = Throttle::default();
    assert_eq!(scene.come_by("000001"), Err(no(No::Used)));
    scene.pass(2);
    assert!(scene.come(Redeem::Resume(first.resume.unwrap())).is_ok(), "a consultation may take longer than its invitation");
}

#[test]
fn a_room_waits_for_those_who_are_invited() {
    let mut scene = Scene::new();
    scene.make("r", InvitationSpec { not_after: BEGIN + 60, ..tan(Some("000001"), false) }).unwrap();
    scene.room("unwanted");
    scene.pass(10);
    assert_eq!(scene.control.stats().rooms, 1, "empty for five seconds");
    scene.pass(49);
    assert_eq!(scene.control.stats().rooms, 1);
    scene.pass(11);
    assert_eq!((scene.control.stats().rooms, scene.kept()), (0, 0), "nobody is expected any more");
}

#[test]
fn no_invitation_outlives_the_hours_of_its_room() {
    let mut scene = Scene::new();
    let key = *scene.control.rooms.keys().next().unwrap();
    scene.control.rooms.get_mut(&key).unwrap().record.not_after = Some(BEGIN + 60);
    assert_eq!(scene.make("r", tan(Some("000001"), false)).unwrap().expires_at, BEGIN + 60);
    assert_eq!(scene.come_by("000001").unwrap().expires_at, BEGIN + 60);
    scene.make("r", tan(Some("000002"), false)).unwrap();
    assert!(scene.control.awaits_somebody(key, scene.now));
    scene.wait(60);
    assert!(!scene.control.awaits_somebody(key, scene.now));
}

#[test]
fn m2_only_an_audit_entry_is_left_of_a_spent_one() {
    let mut scene = Scene::new();
    let letter = scene.make("r", tan(None, false)).unwrap().tan.unwrap();
    let resume = scene.come_by(letter.expose()).unwrap().resume.unwrap();
    scene.pass(10);
    assert_eq!(scene.kept(), 0);
    assert!(scene.writes.contains(&Write::DeleteRoom(id_of("r"))), "the store deletes what is in the room with it");
    assert_eq!(scene.come_by(letter.expose()), Err(no(No::Over)));
    assert_eq!(scene.come(Redeem::Resume(resume)), Err(no(No::Over)));
    scene.room("r");
    assert_eq!(scene.state("r"), []);
    scene.make("r", tan(None, false)).unwrap();
    assert!(scene.ask(Request::DeleteRoom { grants: host("r"), room: name("r") }).is_ok());
    assert_eq!(scene.kept(), 0);
}

#[test]
fn what_is_taken_back_is_over_for_whoever_came() {
    let mut scene = Scene::new();
    let used = scene.make("r", tan(Some("000001"), false)).unwrap().id;
    let open = scene.make("r", tan(Some("000002"), false)).unwrap().id;
    let came = scene.come_by("000001").unwrap();
    let guest = grants(Role::Guest, &id_of("r"), came.identity, u64::MAX);
    scene.run(ControlInput::Connect(Caller(1_000), ConnId(1), connect(guest.clone())));
    assert_eq!(scene.control.stats().participants, 1);
    assert_eq!(scene.confirm(used.clone()), Ok(Reply::Done), "whoever came has confirmed it");
    assert_eq!((scene.take_back(used.clone()), scene.take_back(open)), (Ok(Reply::Done), Ok(Reply::Done)));
    assert_eq!((scene.control.stats().participants, scene.kept()), (0, 0));
    let outputs = scene.run(ControlInput::Connect(Caller(1_001), ConnId(2), connect(guest)));
    let refused = |output: &ControlOutput| matches!(output, ControlOutput::Connected(Caller(1_001), Err(Refusal::Revoked)));
    assert!(outputs.iter().any(refused), "a token from before is void");
    assert!(scene.writes.iter().any(|write| matches!(write, Write::PutRevocation(_))), "after a restart too");
    assert_eq!((scene.come_by("000002"), scene.take_back(used)), (Err(no(No::Over)), Err(no(No::NotFound))));
    assert_eq!(scene.events().iter().filter(|event| **event == AuditEvent::InvitationRevoked).count(), 2);
}

#[test]
fn only_moderators_of_the_room_invite() {
    let mut scene = Scene::new();
    scene.room("s");
    let foreign = Grants { tenant: TenantId::new("other").unwrap(), ..host("r") };
    let guest = grants(Role::Guest, &id_of("r"), Identity::new("g").unwrap(), u64::MAX);
    for (by, refusal) in [
        (foreign, Refusal::RoomNotFound),
        (guest, Refusal::NotAllowed("roomAdmin for this room")),
        (host("s"), Refusal::NotAllowed("roomAdmin for this room")),
    ] {
        let id = || InvitationId::new("IV_1").unwrap();
        for request in [
            InvitationRequest::Make { grants: by.clone(), room: name("r"), spec: link() },
            InvitationRequest::List { grants: by.clone(), room: name("r") },
            InvitationRequest::Confirm { grants: by.clone(), room: name("r"), id: id() },
            InvitationRequest::Revoke { grants: by.clone(), room: name("r"), id: id() },
        ] {
            assert_eq!(scene.ask(Request::Invitation(request)), Err(refusal.clone()));
        }
    }
    for role in [Role::Host, Role::Reception] {
        assert!(matches!(scene.make("r", InvitationSpec { role, ..tan(None, false) }), Err(Refusal::Invalid(_))));
    }
}

#[test]
fn the_same_half_is_taken_within_a_tenant() {
    let mut scene = Scene::new();
    scene.room("s");
    scene.make("r", tan(Some("000001"), false)).unwrap();
    assert_eq!(scene.make("s", tan(Some("000001"), false)), Err(no(No::Taken)));
    scene.come_by("000001").unwrap();
    assert_eq!(scene.make("s", tan(Some("000001"), false)), Err(no(No::Taken)), "its letter is still about");
}

#[test]
fn rooms_and_tenants_are_bounded() {
    let mut scene = Scene::new();
    for number in 0..PER_ROOM_MAX {
        scene.make("r", InvitationSpec { by: tan(None, number % 2 == 0).by, ..link() }).unwrap();
    }
    assert_eq!(scene.make("r", link()), Err(no(No::TooMany("invitations into this room"))));
    scene.control.config.rooms_max = 100;
    let mut fill = |room: String| {
        scene.room(&room);
        (0..PER_ROOM_MAX).map(|_| scene.make(&room, tan(None, false))).find_map(Result::err)
    };
    let refusal = (0..).find_map(|number| fill(format!("r{number}")));
    assert_eq!(refusal, Some(no(No::TooMany("open TANs of this organisation"))));
    assert_eq!(scene.control.invitations.counts(&tenant()).open_tans, OPEN_TANS_MAX);
    scene.room("last");
    assert!(scene.make("last", link()).is_ok(), "links cannot be guessed");
}

#[test]
fn guessing_is_stopped_before_anything_is_looked_up() {
    let mut scene = Scene::new();
    let letter = scene.make("r", tan(Some("7KQ2M9"), false)).unwrap();
    assert_eq!(letter.tan, None);
    let mut guesses = 0;
    let refusal = loop {
        match scene.come_by("000000") {
            Err(Refusal::Invitation(No::Unknown)) => guesses += 1,
            other => break other,
        }
    };
    assert_eq!((guesses, refusal), (250, Err(no(No::TooManyTries(576)))));
    let entries = scene.events().len();
    assert_eq!(scene.come_by("7KQ2M9"), Err(no(No::TooManyTries(576))), "or right ones would be told from wrong ones");
    assert_eq!(scene.events().len(), entries, "a flood does not fill the log");
    scene.pass(576);
    assert!(scene.come_by("7KQ2M9").is_ok());
    let tries = scene.control.stats().invitation_tries;
    assert_eq!([tries["unknown"], tries["too_many_tries"], tries["ok"]], [250, 2, 1]);
}

#[test]
fn tries_with_known_ones_are_measured_by_room() {
    let mut scene = Scene::new();
    scene.make("r", tan(Some("7KQ2M9"), false)).unwrap();
    scene.come_by("7KQ2M9").unwrap();
    (0..20).for_each(|_| assert_eq!(scene.come_by("7KQ2M9"), Err(no(No::Used))));
    assert_eq!(scene.come_by("7KQ2M9"), Err(no(No::TooManyTries(60))));
}

#[test]
fn a_full_room_spends_no_invitation() {
    let mut scene = Scene::new();
    let letter = scene.make("r", tan(None, false)).unwrap().tan.unwrap();
    for number in 0..3 {
        let identity = Identity::new(&format!("p{number}")).unwrap();
        scene.run(ControlInput::Connect(Caller(number), ConnId(number), connect(grants(Role::Guest, &id_of("r"), identity, u64::MAX))));
    }
    assert_eq!(scene.come_by(letter.expose()), Err(Refusal::RoomFull));
    scene.run(ControlInput::Shutdown);
    assert_eq!(scene.come_by(letter.expose()), Err(Refusal::RoomNotFound));
}

#[test]
fn the_third_failed_exchange_ends_an_invitation() {
    let mut scene = Scene::new();
    let letter = scene.make("r", tan(None, false)).unwrap().tan.unwrap();
    let came = scene.come_by(letter.expose()).unwrap();
    let mismatch = |scene: &mut Scene| {
        let over = scene.control.invitation_mismatched(&id_of("r"), &came.identity, scene.now);
        scene.run(ControlInput::Timeout);
        over
    };
    assert_eq!([mismatch(&mut scene), mismatch(&mut scene)], [false, false]);
    assert_eq!(scene.control.invitation_of(&id_of("r"), &came.identity).unwrap().mismatches, 2);
    assert!(mismatch(&mut scene));
    assert_eq!(scene.come(Redeem::Resume(came.resume.clone().unwrap())), Err(no(No::Over)));
    assert_eq!(scene.events().last(), Some(&AuditEvent::InvitationMismatched));
    assert!(!mismatch(&mut scene), "it is gone");
}

#[test]
fn a_restart_forgets_nothing() {
    let mut scene = Scene::new();
    let letter = scene.make("r", tan(None, false)).unwrap().tan.unwrap();
    scene.make("r", tan(Some("000001"), false)).unwrap();
    let came = scene.come_by(letter.expose()).unwrap();
    let admission = scene.control.invitation_admitted(&id_of("r"), &came.identity, true, scene.now);
    assert!(matches!(&admission[..], [Write::PutInvitation(record)] if record.admitted));
    let room = scene.control.rooms.values().next().unwrap().record.clone();
    let mut records: Vec<_> = scene.control.invitations.of_room(&id_of("r")).map(|kept| kept.record.clone()).collect();
    let stray = InvitationRecord { room: id_of("gone"), ..records[0].clone() };
    records.push(stray.clone());
    let mut control = Control::new(config(1), Chance::new([9; 32]));
    let stored = Stored { rooms: vec![room], invitations: records, ..Stored::default() };
    let key = ApiKey::new("APIfirst".to_owned(), "s".repeat(32)).unwrap();
    control.restore(stored, &TenantId::new("default").unwrap(), &key, scene.now);
    let outputs: Vec<_> = std::iter::from_fn(|| control.poll()).collect();
    let deleted = Write::DeleteInvitation(stray.room, stray.id);
    let is_deleted = |output: &ControlOutput| matches!(output, ControlOutput::Persist(_, writes) if writes.contains(&deleted));
    assert!(outputs.iter().any(is_deleted), "what has no room is deleted: {outputs:?}");
    scene.control = control;
    assert_eq!(scene.come_by(letter.expose()), Err(no(No::Used)));
    assert!(scene.come(Redeem::Resume(came.resume.unwrap())).is_ok());
    assert!(scene.control.invitation_of(&id_of("r"), &came.identity).unwrap().admitted);
    assert!(scene.come_by("000001").is_ok());
}

#[test]
fn nothing_counts_before_it_is_written() {
    let mut scene = Scene::new();
    let make = InvitationRequest::Make { grants: host("r"), room: name("r"), spec: tan(Some("000001"), false) };
    let outputs = scene.feed(ControlInput::Request(Caller(77), Box::new(Request::Invitation(make))));
    let [ControlOutput::Persist(ticket, writes)] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(matches!(&writes[..], [Write::PutInvitation(_), Write::Audit(_)]));
    assert_eq!((scene.come_by("000001"), scene.state("r")), (Err(Refusal::Busy), vec![]));
    let outputs = scene.feed(ControlInput::Persisted(*ticket, Written::Durably));
    assert!(matches!(&outputs[..], [ControlOutput::Reply(Caller(77), Ok(_))]));

    let come = || {
        let by = Redeem::Tan(tenant(), Admit::read("000001").unwrap());
        Box::new(Request::Invitation(InvitationRequest::Redeem { by, address: None }))
    };
    let outputs = scene.feed(ControlInput::Request(Caller(78), come()));
    let [ControlOutput::Persist(ticket, _)] = &outputs[..] else { panic!("{outputs:?}") };
    let outputs = scene.feed(ControlInput::Request(Caller(79), come()));
    assert_eq!(outputs, [ControlOutput::Reply(Caller(79), Err(Refusal::Busy))], "the second device hears when the first is bound");
    let outputs = scene.feed(ControlInput::Persisted(*ticket, Written::Failed));
    assert_eq!(outputs, [ControlOutput::Reply(Caller(78), Err(Refusal::NotStored))]);
    assert!(scene.come_by("000001").is_ok(), "whoever comes next may have it");
}

#[test]
fn a_disk_that_refuses_changes_nothing() {
    let mut scene = Scene::new();
    scene.host_comes();
    let id = scene.make("r", tan(Some("000001"), true)).unwrap().id;
    scene.disk = Written::Full;
    assert_eq!(scene.make("r", tan(Some("000002"), false)), Err(Refusal::NotStored));
    assert_eq!(scene.confirm(id.clone()), Err(Refusal::NotStored));
    assert_eq!(scene.take_back(id), Err(Refusal::NotStored));
    assert_eq!(scene.come_by("000001"), Err(Refusal::NotStored));
    assert_eq!(scene.come_by("000009"), Err(no(No::Unknown)), "a refusal stays one");
    assert_eq!((scene.state("r"), scene.kept()), (vec![InvitationState::Pending], 1));
    scene.pass(CONFIRM_S + 5);
    assert_eq!((scene.state("r"), scene.kept()), (vec![], 1), "over, though the store has it still");
    scene.disk = Written::Durably;
    scene.pass(1);
    assert_eq!(scene.kept(), 0, "deleting is tried again every second");
}

#[test]
fn a_clock_that_is_set_ends_what_is_over_within_a_second() {
    let mut scene = Scene::new();
    scene.make("r", tan(Some("000001"), false)).unwrap();
    scene.pass(3);
    scene.now.wall += Duration::from_hours(24);
    scene.pass(1);
    assert_eq!(scene.kept(), 0);
    scene.make("r", InvitationSpec { not_after: BEGIN + 2 * 86_400, ..tan(Some("000002"), false) }).unwrap();
    scene.now.wall -= Duration::from_hours(24);
    scene.pass(2);
    assert_eq!(scene.kept(), 1, "a clock that jumps back ends nothing");
}

#[test]
fn a_room_that_came_by_itself_is_stored_with_its_first_invitation() {
    let mut scene = Scene::new();
    let here = host("auto");
    scene.run(ControlInput::Connect(Caller(1_000), ConnId(1), connect(here)));
    scene.make("auto", link()).unwrap();
    assert!(scene.writes.iter().any(|write| matches!(write, Write::PutRoom(room) if room.id == id_of("auto"))));
    let before = scene.writes.len();
    scene.make("auto", link()).unwrap();
    assert!(!scene.writes[before..].iter().any(|write| matches!(write, Write::PutRoom(_))));
}

#[test]
fn a_room_that_ends_while_it_is_written_takes_the_invitation_with_it() {
    let mut scene = Scene::new();
    scene.run(ControlInput::Connect(Caller(1_000), ConnId(1), connect(host("auto"))));
    let make = InvitationRequest::Make { grants: host("auto"), room: name("auto"), spec: link() };
    let outputs = scene.feed(ControlInput::Request(Caller(77), Box::new(Request::Invitation(make))));
    let [ControlOutput::Persist(ticket, _)] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(scene.ask(Request::DeleteRoom { grants: host("auto"), room: name("auto") }).is_ok());
    let outputs = scene.feed(ControlInput::Persisted(*ticket, Written::Durably));
    assert!(matches!(&outputs[..], [ControlOutput::Persist(_, writes), ControlOutput::Reply(Caller(77), Err(Refusal::RoomNotFound))]
        if *writes == [Write::DeleteRoom(id_of("auto"))]));
}
