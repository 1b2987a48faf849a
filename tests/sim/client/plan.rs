//! Who a client is, decided before it joins.

use fastrand::Rng;
use konsil::model::grants::Grants;
use konsil::model::ids::{Identity, RoomName, TenantId};
use konsil::room::command::Layout;

/// A person with a token.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The person, over all clients that it starts one after the other.
    pub person: usize,
    pub room: usize,
    pub layout: Layout,
    pub grants: Grants,
    pub auto_subscribe: bool,
    /// Whose tracks a WHEP receiver wants.
    pub only: Option<Identity>,
    /// Whether the first offer goes with the join.
    pub offer_at_once: bool,
    /// Whether offers wait until the announced tracks are confirmed.
    pub confirm_first: bool,
    /// Whether its network lets nothing out but TCP to the relay.
    pub tcp: bool,
    /// Whether its encoders follow an estimate of its own network.
    pub estimates: bool,
}

pub fn tenant() -> TenantId {
    TenantId::new("clinic").expect("a name")
}

pub fn room_name(room: usize) -> RoomName {
    RoomName::new(&format!("room{room}")).expect("a name")
}

/// What an administrator may do.
pub fn admin(room: Option<usize>) -> Grants {
    Grants { room_admin: true, room_create: true, room_list: true, room_join: false, ..grants(None, room) }
}

fn grants(identity: Option<Identity>, room: Option<usize>) -> Grants {
    Grants {
        tenant: tenant(),
        issuer: "key".to_owned(),
        identity,
        name: String::new(),
        room: room.map(room_name),
        room_join: true,
        room_admin: false,
        room_create: false,
        room_list: false,
        can_publish: true,
        can_subscribe: true,
        can_publish_data: true,
        can_publish_sources: Vec::new(),
        can_update_own_metadata: true,
        hidden: false,
        metadata: String::new(),
        attributes: std::collections::BTreeMap::new(),
        expires_at: u64::MAX,
    }
}

impl Plan {
    pub fn new(person: usize, room: usize, dice: &mut Rng) -> Self {
        let layout = match dice.u8(..10) {
            0..=4 => Layout::Single,
            5..=7 => Layout::Dual,
            8 => Layout::Whip,
            _ => Layout::Whep,
        };
        let identity = Identity::new(&format!("person{person}")).expect("a name");
        let mut grants = grants(Some(identity), Some(room));
        let signalling = matches!(layout, Layout::Single | Layout::Dual);
        if signalling {
            grants.hidden = dice.u8(..12) == 0;
            grants.can_publish = dice.u8(..12) != 0;
            grants.can_subscribe = dice.u8(..12) != 0;
            grants.can_publish_data = dice.u8(..6) != 0;
        }
        Self {
            person,
            room,
            layout,
            grants,
            auto_subscribe: dice.u8(..5) != 0,
            only: None,
            offer_at_once: dice.bool(),
            confirm_first: dice.bool(),
            tcp: false,
            estimates: false,
        }
    }

    /// Somebody as most are: in a call from a browser, not through the relay.
    pub fn usual(number: usize) -> Self {
        let person = number * 4;
        let identity = Identity::new(&format!("person{person}")).expect("a name");
        let layout = if number.is_multiple_of(2) { Layout::Single } else { Layout::Dual };
        let grants = grants(Some(identity), Some(0));
        Self {
            person,
            room: 0,
            layout,
            grants,
            auto_subscribe: true,
            only: None,
            offer_at_once: true,
            confirm_first: false,
            tcp: false,
            estimates: true,
        }
    }

    /// Whether the person's network lets media out through the relay only.
    pub fn relayed(&self) -> bool {
        matches!(self.layout, Layout::Single | Layout::Dual) && (self.tcp || self.person % 4 == 3)
    }

    pub fn identity(&self) -> Identity {
        self.grants.identity.clone().expect("every plan has one")
    }

    pub fn signals(&self) -> bool {
        matches!(self.layout, Layout::Single | Layout::Dual)
    }
}
