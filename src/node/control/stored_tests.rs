//! What callers hear of the disk.

use std::time::{Duration, Instant};

use super::testing::config;
use super::{Caller, Control, ControlInput, ControlOutput};
use crate::access::jwt::{ApiKey, Claims, Keyring, mint};
use crate::model::chance::Chance;
use crate::model::ids::{RoomName, TenantId};
use crate::model::record::Written;
use crate::model::time::Moment;
use crate::node::request::{Refusal, Reply, Request, RoomOrigin, RoomSpec};

fn answer(written: Written) -> Result<Reply, Refusal> {
    let mut control = Control::new(config(1), Chance::new([7; 32]));
    let now = Moment { instant: Instant::now(), wall: Duration::from_secs(1) };
    let key = ApiKey::new("APIfirst".to_owned(), "0123456789abcdef0123456789abcdef".to_owned()).unwrap();
    let mut ring = Keyring::new();
    ring.insert(TenantId::new("tenant").unwrap(), key.clone()).unwrap();
    let grants = ring.verify(&mint(&key, &Claims::admin(60)), 1).unwrap();
    let spec = RoomSpec {
        name: Some(RoomName::new("r").unwrap()),
        mode: None,
        door: crate::room::DoorRules::default(),
        hide_addresses: None,
        require_encryption: None,
        max_participants: None,
        empty_timeout_s: None,
        metadata: String::new(),
        origin: RoomOrigin::Api,
    };
    control.handle(ControlInput::Request(Caller(1), Box::new(Request::CreateRoom { grants, spec })), now);
    let Some(ControlOutput::Persist(ticket, _)) = control.poll() else { panic!() };
    assert_eq!(control.poll(), None, "nobody is answered before the disk has it");
    control.handle(ControlInput::Persisted(ticket, written), now);
    let replies = std::iter::from_fn(|| control.poll()).find_map(|output| match output {
        ControlOutput::Reply(Caller(1), reply) => Some(reply),
        _ => None,
    });
    replies.unwrap()
}

#[test]
fn a_full_disk_is_told_from_one_that_fails() {
    assert!(matches!(answer(Written::Durably), Ok(Reply::Room(_))));
    assert_eq!(answer(Written::Full), Err(Refusal::Full));
    assert_eq!(answer(Written::Failed), Err(Refusal::NotStored));
}
