//! What WHIP or WHEP asks of a whole node, on virtual time: one control core before the worker of a call.

use std::collections::BTreeMap;
use std::time::Duration;

use konsil::model::chance::Chance;
use konsil::model::grants::Grants;
use konsil::model::ids::{Identity, RoomName, TenantId};
use konsil::model::time::Moment;
use konsil::node::control::{Caller, Control, ControlConfig, ControlInput, ControlOutput};
use konsil::node::request::{Refusal, Reply, Request};
use konsil::turn::credentials::RelaySecrets;

use super::Call;

/// The room of [`grants`].
pub const ROOM: &str = "theatre";

/// A node with whoever asks it.
pub struct Node {
    pub control: Control,
    pub call: Call,
    asked: u64,
}

/// What a guest of [`ROOM`] may do.
pub fn grants(identity: &str) -> Grants {
    grants_in(ROOM, identity)
}

/// What a guest of a room may do.
pub fn grants_in(room: &str, identity: &str) -> Grants {
    Grants {
        tenant: TenantId::new("default").unwrap(),
        issuer: "key".to_owned(),
        identity: Identity::new(identity).ok(),
        name: String::new(),
        room: RoomName::new(room).ok(),
        room_join: true,
        room_admin: false,
        room_create: false,
        room_list: false,
        can_publish: true,
        can_subscribe: true,
        can_publish_data: true,
        can_publish_sources: Vec::new(),
        can_update_own_metadata: false,
        hidden: false,
        metadata: String::new(),
        attributes: BTreeMap::new(),
        expires_at: u64::MAX,
    }
}

impl Node {
    /// A node without rooms; those that are made may require encryption.
    pub fn new(require_encryption: bool) -> Self {
        let config = ControlConfig {
            workers: 1,
            auto_create: true,
            auto_require_encryption: require_encryption,
            max_participants: 9,
            empty_timeout: Duration::from_mins(1),
            sessions_max: 9,
            rooms_max: 9,
            relay: RelaySecrets::new(&[], "secret"),
            relay_addresses: vec![std::net::IpAddr::V4(konsil::turn::peers::VIRTUAL_V4)],
            invitation_key: konsil::access::tan::InvitationKey::new(b"secret"),
        };
        Self { control: Control::new(config, Chance::new([3; 32])), call: Call::new(), asked: 0 }
    }

    /// Asks, lets the worker work, and returns the answer.
    pub fn ask(&mut self, request: Request) -> Result<Reply, Refusal> {
        self.asked += 1;
        let caller = Caller(self.asked);
        self.feed(ControlInput::Request(caller, Box::new(request)), caller).expect("no answer")
    }

    fn feed(&mut self, input: ControlInput, caller: Caller) -> Option<Result<Reply, Refusal>> {
        let now = Moment { instant: self.call.now, wall: Duration::from_hours(500_000) };
        self.control.handle(input, now);
        let mut answer = None;
        loop {
            while let Some(output) = self.control.poll() {
                match output {
                    ControlOutput::Media(_, command) => self.call.order(command),
                    ControlOutput::Reply(to, result) => {
                        assert!(to == caller && answer.is_none(), "an answer that nobody waits for");
                        answer = Some(result);
                    }
                    _ => {}
                }
            }
            let events = std::mem::take(&mut self.call.events);
            if events.is_empty() {
                return answer;
            }
            events.into_iter().for_each(|event| self.control.handle(ControlInput::Media(event), now));
        }
    }
}
