//! The `join_request` of `/rtc/v1`, from the query to the connection that it asks for.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use konsil::http::livekit::decode::{ADD_TRACKS_MAX, SDP_MAX};
use konsil::http::livekit::params::Params;
use konsil::model::grants::Grants;
use konsil::model::ids::{Identity, RoomName, TenantId};

/// The input is the parameter's text, or the bytes that it would hold.
pub fn run(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        connect(text);
    }
    connect(&URL_SAFE_NO_PAD.encode(input));
}

fn connect(text: &str) {
    let query = serde_json::json!({ "join_request": text });
    let params: Params = serde_json::from_value(query).expect("a query with one parameter");
    if let Ok(connect) = params.connect(grants(), true) {
        assert!(connect.add_tracks.len() <= ADD_TRACKS_MAX);
        connect.add_tracks.iter().for_each(super::signal::track);
        assert!(connect.offer.is_none_or(|(sdp, _)| sdp.len() <= SDP_MAX));
    }
}

fn grants() -> Grants {
    Grants {
        tenant: TenantId::new("default").expect("a name"),
        issuer: "key".to_owned(),
        identity: Identity::new("guest").ok(),
        name: String::new(),
        room: RoomName::new("room").ok(),
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
        attributes: BTreeMap::new(),
        expires_at: u64::MAX,
    }
}
