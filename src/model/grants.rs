//! What a verified token allows its bearer to do.

use std::collections::BTreeMap;

use super::ids::{Identity, RoomName, TenantId};
use super::media::TrackSource;

/// The rights and descriptions of one token, after its signature and times were checked.
///
/// Absent publish, subscribe and data grants mean "allowed", as in LiveKit; absent administrative
/// grants mean "refused".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Whose key signed the token.
    pub tenant: TenantId,
    /// That key's id (`iss`).
    pub issuer: String,
    /// The bearer (`sub`); absent in purely administrative tokens.
    pub identity: Option<Identity>,
    /// A display name; kept in memory only and never logged.
    pub name: String,
    /// The one room that the room grants are for.
    pub room: Option<RoomName>,
    /// May join `room`.
    pub room_join: bool,
    /// May moderate `room`, or every room of the tenant where no room is named.
    pub room_admin: bool,
    /// May create and delete rooms.
    pub room_create: bool,
    /// May list rooms.
    pub room_list: bool,
    /// May publish tracks.
    pub can_publish: bool,
    /// May receive tracks.
    pub can_subscribe: bool,
    /// May send data messages.
    pub can_publish_data: bool,
    /// The only sources that may be published; empty means all.
    pub can_publish_sources: Vec<TrackSource>,
    /// May change its own metadata, attributes and name.
    pub can_update_own_metadata: bool,
    /// Not shown to the others.
    pub hidden: bool,
    /// Opaque text for applications.
    pub metadata: String,
    /// Opaque key and value texts for applications.
    pub attributes: BTreeMap<String, String>,
    /// The end of the token in seconds since 1970.
    pub expires_at: u64,
}

impl Grants {
    /// Whether a track of this source may be published.
    #[must_use]
    pub fn may_publish(&self, source: TrackSource) -> bool {
        self.can_publish && (self.can_publish_sources.is_empty() || self.can_publish_sources.contains(&source))
    }

    /// Whether the bearer may moderate the named room.
    #[must_use]
    pub fn may_moderate(&self, room: &RoomName) -> bool {
        self.room_admin && self.room.as_ref().is_none_or(|own| own == room)
    }
}
