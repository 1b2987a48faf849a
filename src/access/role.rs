//! The four roles of a consultation with the grants that each one carries.

use std::fmt;
use std::str::FromStr;

use super::jwt::VideoGrant;
use crate::model::grants::Grants;
use crate::model::ids::RoomName;

/// Attribute of a participant that names its role; grants decide, the attribute only tells.
pub const ATTRIBUTE: &str = "konsil.role";

/// What somebody is in a consultation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Leads it: publishes, receives and moderates.
    Host,
    /// Takes part: publishes and receives.
    Guest,
    /// Organises: moderates, but neither publishes nor receives.
    Reception,
    /// Watches, visible to all: receives only.
    Observer,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Host, Self::Guest, Self::Reception, Self::Observer];

    /// The role's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Guest => "guest",
            Self::Reception => "reception",
            Self::Observer => "observer",
        }
    }

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

    /// The role that a token names, if it names one.
    #[must_use]
    pub fn of(grants: &Grants) -> Option<Self> {
        grants.attributes.get(ATTRIBUTE)?.parse().ok()
    }
}

/// A text is no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be host, guest, reception or observer")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_written() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        assert_eq!("Host".parse::<Role>(), Err(UnknownRole));
    }

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
