//! Names of tenants, rooms, people, tracks; checked when they are made.

use std::fmt;
use std::sync::Arc;

use super::chance::Chance;

/// Longest tenant, room or participant name in bytes; LiveKit's own servers refuse more as well.
pub const NAME_MAX: usize = 256;

/// Why a text cannot be a name. It never repeats the text, which may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text has no character.
    #[error("must not be empty")]
    Empty,
    /// The text has more than [`NAME_MAX`] bytes.
    #[error("must have at most {NAME_MAX} bytes")]
    TooLong,
    /// The text has a control character.
    #[error("must not contain control characters")]
    Control,
    /// The text stands for a folder in addresses (RFC 3986 §5.2.4), so that no address could name it.
    #[error("must not be . or ..")]
    Dots,
}

fn checked(text: &str) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_MAX {
        return Err(NameError::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    if matches!(text, "." | "..") {
        return Err(NameError::Dots);
    }
    Ok(text.into())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text of 1 to [`NAME_MAX`] bytes without control characters.
            ///
            /// # Errors
            /// Says which of these rules is broken.
            pub fn new(text: &str) -> Result<Self, NameError> {
                checked(text).map(Self)
            }

            /// The text itself; it may be personal, so never log it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        // A derived Debug would carry the text into logs (design section 4).
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

name_type! {
    /// The organisation that owns rooms; an API key names it.
    TenantId
}
name_type! {
    /// A room's name inside its tenant.
    RoomName
}
name_type! {
    /// A participant's identity: unique in a room, chosen by the tenant (`sub` of the token).
    Identity
}

name_type! {
    /// An API key's public id (`iss` of tokens).
    KeyId
}
name_type! {
    /// An invitation's public id.
    InvitationId
}
name_type! {
    /// A caller's opaque reference to a person, by which data about that person can be found.
    SubjectRef
}

/// A room's full id: the same name under two tenants is two rooms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId {
    /// Whose room it is.
    pub tenant: TenantId,
    /// Its name there.
    pub name: RoomName,
}

/// One joined client, from its first join to its end, over resumes. Unique within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A room while it lives, as the workers know it. Unique within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(pub u64);

/// One connection to a room's desk, from its opening to its end. Unique within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeskId(pub u64);

/// A media thread, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerIndex(pub u8);

/// Most media threads: a worker's letter has so many values.
pub const WORKERS_MAX: usize = 32;

const WORKER_LETTERS: &[u8; WORKERS_MAX] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";

impl WorkerIndex {
    /// The letter that names the worker in ICE user names and relay credentials.
    #[must_use]
    pub fn letter(self) -> u8 {
        WORKER_LETTERS[usize::from(self.0) % WORKERS_MAX]
    }

    /// The worker that a letter names.
    #[must_use]
    pub fn from_letter(letter: u8) -> Option<Self> {
        let index = WORKER_LETTERS.iter().position(|known| *known == letter)?;
        u8::try_from(index).ok().map(Self)
    }
}

/// A TCP or TLS connection that carries media or TURN; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// A random public id with LiveKit's prefixes: `PA_`, `TR_`, `DTR_`, `RM_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(Arc<str>);

impl Sid {
    /// Letters after the prefix: 71 bits, so that ids neither collide nor can be guessed in a call's time.
    const RANDOM_LEN: usize = 12;

    fn make(prefix: &str, chance: &mut Chance) -> Self {
        Self(format!("{prefix}{}", chance.text(Self::RANDOM_LEN)).into())
    }

    /// A new participant id.
    #[must_use]
    pub fn participant(chance: &mut Chance) -> Self {
        Self::make("PA_", chance)
    }

    /// A new track id.
    #[must_use]
    pub fn track(chance: &mut Chance) -> Self {
        Self::make("TR_", chance)
    }

    /// A new data track id.
    #[must_use]
    pub fn data_track(chance: &mut Chance) -> Self {
        Self::make("DTR_", chance)
    }

    /// A new room id.
    #[must_use]
    pub fn room(chance: &mut Chance) -> Self {
        Self::make("RM_", chance)
    }

    /// What a client sent as an id; anything but a known one simply finds nothing.
    #[must_use]
    pub fn from_client(text: &str) -> Self {
        Self(text.into())
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(RoomName::new(""), Err(NameError::Empty));
        assert_eq!(RoomName::new(&"x".repeat(257)), Err(NameError::TooLong));
        assert_eq!(RoomName::new("a\nb"), Err(NameError::Control));
        assert_eq!(RoomName::new("Raum 1").unwrap().as_str(), "Raum 1");
    }

    #[test]
    fn debug_hides_names() {
        assert_eq!(format!("{:?}", Identity::new("Erika").unwrap()), "Identity(..)");
    }
}
