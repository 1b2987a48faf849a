//! What tests of the control core begin with.

use std::time::Duration;

use super::ControlConfig;
use crate::model::grants::Grants;
use crate::node::request::Connect;
use crate::room::command::Layout;

/// A small server.
pub fn config(workers: usize) -> ControlConfig {
    ControlConfig {
        workers,
        auto_create: true,
        auto_require_encryption: false,
        max_participants: 9,
        empty_timeout: Duration::from_secs(5),
        sessions_max: 9,
        rooms_max: 9,
        relay: crate::turn::credentials::RelaySecrets::new(&[], "secret"),
        relay_addresses: vec![std::net::IpAddr::V4(crate::turn::peers::VIRTUAL_V4)],
        invitation_key: crate::access::tan::InvitationKey::new(b"secret"),
    }
}

/// How somebody comes who signals.
pub fn connect(grants: Grants) -> Box<Connect> {
    Box::new(Connect {
        grants,
        layout: Layout::Single,
        auto_subscribe: true,
        protocol: 16,
        resume: None,
        sync: None,
        add_tracks: Vec::new(),
        offer: None,
    })
}
