//! The four roles of a consultation.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::grants::Grants;
use super::ids::RoomName;

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

    /// The role that a token names, if it names one.
    #[must_use]
    pub fn of(grants: &Grants) -> Option<Self> {
        Self::named(&grants.attributes)
    }

    /// The role that attributes name, if they name one.
    #[must_use]
    pub fn named(attributes: &BTreeMap<String, String>) -> Option<Self> {
        attributes.get(ATTRIBUTE)?.parse().ok()
    }

    /// The role that somebody has in `room`, by grants where the token names none.
    #[must_use]
    pub fn shown(grants: &Grants, room: &RoomName) -> Self {
        let by_grants = match (grants.may_moderate(room), grants.can_publish) {
            (true, true) => Self::Host,
            (true, false) => Self::Reception,
            (false, true) => Self::Guest,
            (false, false) => Self::Observer,
        };
        Self::of(grants).unwrap_or(by_grants)
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
}
