//! Organisations by the core's eyes: what counts, from when on, for whom it ends.

use std::time::{Duration, Instant};

use super::super::testing::{config, connect, written};
use super::super::{ControlInput, Ticket};
use super::*;
use crate::access::jwt::{Claims, mint};
use crate::access::role::Role;
use crate::model::chance::Chance;
use crate::model::record::Written;
use crate::node::request::{ConnId, Request, RoomOrigin, RoomSpec};

const NOW_S: u64 = 1_000_000;

struct Scene {
    control: Control,
    now: Moment,
    last: u64,
}

fn first() -> TenantId {
    TenantId::new("default").unwrap()
}

fn operator() -> ApiKey {
    ApiKey::new("APIoperator".to_owned(), "s".repeat(32)).unwrap()
}

impl Scene {
    fn new(stored: Stored) -> Self {
        let now = Moment { instant: Instant::now(), wall: Duration::from_secs(NOW_S) };
        let mut control = Control::new(config(1), Chance::new([7; 32]));
        control.restore(stored, &first(), &operator(), now);
        let mut scene = Self { control, now, last: 0 };
        scene.feed(ControlInput::Timeout);
        scene
    }

    fn feed(&mut self, input: ControlInput) -> Vec<ControlOutput> {
        written(&mut self.control, input, self.now)
    }

    fn ask(&mut self, request: Request) -> Result<Reply, Refusal> {
        self.last += 1;
        let outputs = self.feed(ControlInput::Request(Caller(self.last), Box::new(request)));
        outputs.into_iter().find_map(|output| if let ControlOutput::Reply(_, reply) = output { Some(reply) } else { None }).unwrap()
    }

    fn order(&mut self, order: Order) -> Result<Reply, Refusal> {
        self.ask(Request::Operate(order))
    }

    fn key(&mut self, tenant: &str) -> ApiKey {
        let tenant = TenantId::new(tenant).unwrap();
        let Ok(Reply::Key(record)) = self.order(Order::AddKey(tenant)) else { panic!() };
        ApiKey { key: record.id.as_str().to_owned(), secret: record.secret }
    }

    fn add(&mut self, tenant: &str, change: TenantChange) -> ApiKey {
        assert!(self.order(Order::AddTenant(TenantId::new(tenant).unwrap(), change)).is_ok());
        self.key(tenant)
    }

    fn grants(&self, key: &ApiKey, claims: &Claims) -> Option<Grants> {
        self.control.keyring().verify(&mint(key, claims), NOW_S).ok()
    }

    fn member(&self, key: &ApiKey, room: &str, identity: &str, role: Role) -> Grants {
        let claims = Claims::join(&RoomName::new(room).unwrap(), Identity::new(identity).unwrap(), String::new(), role, NOW_S + 600);
        self.grants(key, &claims).unwrap()
    }

    fn join(&mut self, grants: Grants) -> Result<ConnId, Refusal> {
        self.last += 1;
        let conn = ConnId(self.last);
        let outputs = self.feed(ControlInput::Connect(Caller(self.last), conn, connect(grants)));
        let told = outputs.into_iter().find_map(|output| if let ControlOutput::Connected(_, told) = output { Some(told) } else { None });
        told.unwrap().map(|_| conn)
    }
}

fn room(name: &str) -> RoomSpec {
    RoomSpec {
        name: RoomName::new(name).ok(),
        mode: None,
        door: crate::room::DoorRules::default(),
        hide_addresses: None,
        require_encryption: None,
        max_participants: None,
        empty_timeout_s: None,
        metadata: String::new(),
        origin: RoomOrigin::Api,
    }
}

#[test]
fn the_first_start_makes_the_first_tenant_with_the_operators_key() {
    let mut scene = Scene::new(Stored::default());
    let Ok(Reply::Tenants(tenants)) = scene.order(Order::Tenants) else { panic!() };
    assert_eq!(tenants.iter().map(|view| view.record.id.as_str()).collect::<Vec<_>>(), ["default"]);
    assert_eq!(tenants[0].keys, [KeyId::new("APIoperator").unwrap()]);
    assert!(scene.grants(&operator(), &Claims::admin(NOW_S + 60)).is_some());
}

#[test]
fn a_foreign_room_does_not_exist() {
    let mut scene = Scene::new(Stored::default());
    let (north, south) = (scene.add("north", TenantChange::default()), scene.add("south", TenantChange::default()));
    let grants = scene.grants(&north, &Claims::admin(NOW_S + 60)).unwrap();
    assert!(scene.ask(Request::CreateRoom { grants, spec: room("r") }).is_ok());
    let grants = scene.grants(&south, &Claims::admin(NOW_S + 60)).unwrap();
    let name = RoomName::new("r").unwrap();
    assert_eq!(scene.ask(Request::Room { grants: grants.clone(), room: name.clone() }), Err(Refusal::RoomNotFound));
    assert_eq!(scene.ask(Request::DeleteRoom { grants, room: name }), Err(Refusal::RoomNotFound));
}

#[test]
fn a_revoked_key_ends_its_calls_at_once_and_lets_nobody_in() {
    let mut scene = Scene::new(Stored::default());
    let (north, south) = (scene.add("north", TenantChange::default()), scene.add("south", TenantChange::default()));
    let old = scene.member(&north, "r", "anna", Role::Guest);
    assert!(scene.join(old.clone()).is_ok());
    let other = scene.member(&south, "r", "anna", Role::Guest);
    assert!(scene.join(other).is_ok());
    assert_eq!(scene.order(Order::RevokeKey(KeyId::new(&north.key).unwrap())), Ok(Reply::Done));
    assert_eq!(scene.control.stats().participants, 1, "the other tenant's call goes on");
    assert!(scene.grants(&north, &Claims::admin(NOW_S + 60)).is_none());
    assert_eq!(scene.join(old), Err(Refusal::Revoked), "a token that was checked a moment before");
    assert_eq!(scene.order(Order::RevokeKey(KeyId::new(&north.key).unwrap())), Err(Refusal::KeyNotFound));
}

#[test]
fn the_operators_key_stays_revoked_over_a_restart() {
    let mut scene = Scene::new(Stored::default());
    let id = KeyId::new("APIoperator").unwrap();
    let outputs = scene.feed(ControlInput::Request(Caller(9), Box::new(Request::Operate(Order::RevokeKey(id)))));
    let kept = outputs.into_iter().find_map(|output| match output {
        ControlOutput::Persist(_, writes) => {
            writes.into_iter().find_map(|write| if let Write::PutKey(key) = write { Some(key) } else { None })
        }
        _ => None,
    });
    let again = Scene::new(Stored { keys: vec![kept.unwrap()], ..Stored::default() });
    assert!(again.grants(&operator(), &Claims::admin(NOW_S + 60)).is_none());
}

#[test]
fn who_is_shut_out_stays_out_until_the_time_is_over() {
    let mut scene = Scene::new(Stored::default());
    let guest = scene.member(&operator(), "r", "anna", Role::Guest);
    let host = scene.member(&operator(), "r", "dr", Role::Host);
    assert!(scene.join(guest.clone()).is_ok());
    let revoke = |grants: &Grants| Request::Revoke {
        grants: grants.clone(),
        room: RoomName::new("r").unwrap(),
        identity: Identity::new("anna").unwrap(),
    };
    assert!(matches!(scene.ask(revoke(&guest)), Err(Refusal::NotAllowed(_))));
    assert_eq!(scene.ask(revoke(&host)), Ok(Reply::Done));
    assert_eq!(scene.control.stats().participants, 0);
    assert_eq!(scene.join(guest.clone()), Err(Refusal::Revoked));
    assert!(scene.join(host).is_ok());
    scene.now.wall += Duration::from_secs(VOID_S);
    assert!(scene.join(guest).is_ok());
}

#[test]
fn limits_of_a_tenant_bind_that_tenant_alone() {
    let mut scene = Scene::new(Stored::default());
    let small = scene.add("small", TenantChange { rooms_max: Some(1), participants_max: Some(2), ..TenantChange::default() });
    let people = ["a", "b", "c"].map(|name| scene.member(&small, "r", name, Role::Guest));
    let results = people.map(|grants| scene.join(grants).err());
    assert_eq!(results, [None, None, Some(Refusal::TenantLimit("participants"))]);
    let grants = scene.grants(&small, &Claims::admin(NOW_S + 60)).unwrap();
    assert_eq!(scene.ask(Request::CreateRoom { grants, spec: room("second") }), Err(Refusal::TenantLimit("rooms")));
    let other = scene.member(&operator(), "r", "a", Role::Guest);
    assert!(scene.join(other).is_ok());
}

#[test]
fn retention_is_between_a_day_and_ninety() {
    let mut scene = Scene::new(Stored::default());
    let grants = scene.grants(&operator(), &Claims::admin(NOW_S + 60)).unwrap();
    let results = [0, 1, 90, 91].map(|days| scene.ask(Request::Retention { grants: grants.clone(), days }).is_ok());
    assert_eq!(results, [false, true, true, false]);
    let guest = scene.member(&operator(), "r", "anna", Role::Host);
    assert!(matches!(scene.ask(Request::Retention { grants: guest, days: 7 }), Err(Refusal::NotAllowed(_))));
}

#[test]
fn names_of_tenants_fit_into_an_address() {
    let mut scene = Scene::new(Stored::default());
    for name in ["Praxis", "a/b", "ä", &"x".repeat(CODE_MAX + 1)] {
        let id = TenantId::new(name).unwrap();
        assert!(matches!(scene.order(Order::AddTenant(id, TenantChange::default())), Err(Refusal::Invalid(_))), "{name}");
    }
    scene.add("praxis-7", TenantChange::default());
    let twice = Order::AddTenant(TenantId::new("praxis-7").unwrap(), TenantChange::default());
    assert_eq!(scene.order(twice), Err(Refusal::TenantExists));
}

#[test]
fn a_removed_tenant_takes_its_rooms_along() {
    let mut scene = Scene::new(Stored::default());
    let north = scene.add("north", TenantChange::default());
    let guest = scene.member(&north, "r", "anna", Role::Guest);
    assert!(scene.join(guest).is_ok());
    assert_eq!(scene.order(Order::RemoveTenant(TenantId::new("north").unwrap())), Ok(Reply::Done));
    let stats = scene.control.stats();
    assert_eq!((stats.rooms, stats.participants), (0, 0));
    assert!(matches!(scene.order(Order::RemoveTenant(first())), Err(Refusal::Invalid(_))));
}

#[test]
fn nobody_joins_whom_the_disk_cannot_take() {
    let mut scene = Scene::new(Stored::default());
    let guest = scene.member(&operator(), "r", "anna", Role::Guest);
    for (outcome, refusal) in [(Written::Full, Refusal::Full), (Written::Failed, Refusal::NotStored)] {
        scene.control.handle(ControlInput::Connect(Caller(50), ConnId(50), connect(guest.clone())), scene.now);
        let Some(ControlOutput::Persist(Ticket(ticket), _)) = scene.control.poll() else { panic!() };
        assert_eq!(scene.control.poll(), None, "nobody is let in before it is on record");
        scene.control.handle(ControlInput::Persisted(Ticket(ticket), outcome), scene.now);
        assert_eq!(scene.control.poll(), Some(ControlOutput::Connected(Caller(50), Err(refusal))));
    }
    assert_eq!(scene.control.stats().participants, 0);
}
