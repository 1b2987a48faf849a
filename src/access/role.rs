//! The grants that each role of a consultation carries.

use super::jwt::VideoGrant;
use crate::model::ids::RoomName;
pub use crate::model::role::{ATTRIBUTE, Role, UnknownRole};

impl Role {
    /// What the role may do in `room`.
    ///
    /// Nobody may change their own attributes, which would let them show another role.
    #[must_use]
    pub fn grant(self, room: &RoomName) -> VideoGrant {
        let (publish, subscribe, admin) = match self {
            Self::Host => (true, true, true),
            Self::Guest => (true, true, false),
            Self::Reception => (false, false, true),
            Self::Observer => (false, true, false),
        };
        VideoGrant {
            room: Some(room.as_str().to_owned()),
            room_join: Some(true),
            room_admin: Some(admin),
            can_publish: Some(publish),
            can_subscribe: Some(subscribe),
            can_publish_data: Some(publish),
            can_update_own_metadata: Some(false),
            hidden: Some(false),
            ..VideoGrant::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reception_neither_speaks_nor_listens() {
        let grant = Role::Reception.grant(&RoomName::new("r").unwrap());
        assert_eq!((grant.can_publish, grant.can_subscribe, grant.can_publish_data), (Some(false), Some(false), Some(false)));
        assert_eq!((grant.room_join, grant.room_admin), (Some(true), Some(true)));
    }

    #[test]
    fn only_host_and_reception_moderate() {
        let room = RoomName::new("r").unwrap();
        let moderators = Role::ALL.map(|role| role.grant(&room).room_admin == Some(true));
        assert_eq!(moderators, [true, false, true, false]);
    }
}
