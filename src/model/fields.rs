//! Every field that is stored: what it is, how long it lives, which requirements ask for that.

/// Longest time for which anything about a call is kept, in days (requirement C2).
pub const RETENTION_MAX_DAYS: u8 = 90;
/// Seconds of a day.
pub const SECONDS_A_DAY: u64 = 86_400;

/// What a field is, seen from the person whom it may concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldClass {
    /// How things are set up, or how they went: nobody's.
    Technical,
    /// A name that a tenant chose for a room of its own.
    RoomName,
    /// An opaque reference that only its giver can resolve.
    Reference,
    /// A keyed hash of something that is not kept.
    KeyedHash,
    /// What opens something.
    Secret,
}

impl FieldClass {
    /// Its name in the evidence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Technical => "technical",
            Self::RoomName => "room-name",
            Self::Reference => "pseudonymous-reference",
            Self::KeyedHash => "keyed-hash",
            Self::Secret => "secret",
        }
    }
}

/// How long a field is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeToLive {
    /// Until the room ends.
    Room,
    /// Until it is used up, its time is over or the room ends; not confirmed, 3,600 seconds.
    Invitation,
    /// As long as there may be tokens that it makes void.
    Token,
    /// Until the tenant or the key is taken away.
    Account,
    /// As many days as the tenant keeps records, 1 to [`RETENTION_MAX_DAYS`].
    Retention,
    /// As [`Self::Retention`], or until the person is erased.
    RetentionOrErasure,
    /// Until the person is erased.
    Erasure,
}

impl TimeToLive {
    /// In words, for the evidence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Room => "until the room ends",
            Self::Invitation => "until it is used up, its time is over or the room ends; 3600 seconds if it is not confirmed",
            Self::Token => "until no token is left that it makes void, or the room ends",
            Self::Account => "until the tenant or the key is taken away",
            Self::Retention => "the tenant's retention, 1 to 90 days",
            Self::RetentionOrErasure => "the tenant's retention, 1 to 90 days, or until the person is erased",
            Self::Erasure => "until the person is erased",
        }
    }
}

/// One stored field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The kind of record that has it.
    pub record: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub class: FieldClass,
    /// How long it is kept.
    pub ttl: TimeToLive,
    /// The rows of the requirements that it answers to.
    pub rows: &'static [&'static str],
}

macro_rules! fields {
    ($($record:literal, $ttl:ident, $rows:tt { $($name:literal: $class:ident $(($own:ident))?,)+ })+) => {
        /// All of them. A test compares it with what is written.
        pub const FIELDS: &[Field] = &[$($(Field {
            record: $record,
            name: $name,
            class: FieldClass::$class,
            ttl: fields!(@ttl $ttl $($own)?),
            rows: &$rows,
        },)+)+];
    };
    (@ttl $ttl:ident) => { TimeToLive::$ttl };
    (@ttl $ttl:ident $own:ident) => { TimeToLive::$own };
}

fields! {
    "room", Room, ["M4", "C8"] {
        "tenant": Reference,
        "name": RoomName,
        "sid": Technical,
        "mode": Technical,
        "e2ee_required": Technical,
        "hide_addresses": Technical,
        "max_participants": Technical,
        "empty_timeout_s": Technical,
        "created_at_ms": Technical,
        "lobby": Technical,
        "not_before": Technical,
        "not_after": Technical,
    }
    "tenant", Account, ["A3", "C2"] {
        "tenant": Reference,
        "rooms_max": Technical,
        "participants_max": Technical,
        "bits_per_s": Technical,
        "retention_days": Technical,
        "created_at": Technical,
    }
    "key", Account, ["A3", "D3"] {
        "tenant": Reference,
        "key": Technical,
        "secret": Secret,
        "created_at": Technical,
    }
    "invitation", Invitation, ["V2", "M1", "M2"] {
        "tenant": Reference,
        "room": RoomName,
        "invitation": Technical,
        "role": Technical,
        "tan_hash": KeyedHash,
        "tan_sealed": Secret,
        "tan_secret": Secret,
        "not_before": Technical,
        "not_after": Technical,
        "confirm_by": Technical,
        "subject": Reference,
        "device": KeyedHash,
        "identity": Reference,
        "admitted": Technical,
        "mismatches": Technical,
    }
    "revocation", Token, ["A3"] {
        "tenant": Reference,
        "room": RoomName,
        "identity": Reference,
        "until": Technical,
    }
    "visit", Retention, ["D1", "D2", "C2", "C3", "C5"] {
        "tenant": Reference,
        "room": RoomName,
        "sid": Technical,
        "mode": Technical,
        "began_at": Technical,
        "lasted_s": Technical,
        "people": Technical,
        "quality": Technical,
        "events": Technical,
        "subjects": Reference (RetentionOrErasure),
    }
    "subject", Erasure, ["D4"] {
        "tenant": Reference,
        "subject": Reference,
        "restricted": Technical,
    }
    "audit", Retention, ["C4", "M2", "D4"] {
        "at_ms": Technical,
        "tenant": Reference,
        "actor": Reference,
        "event": Technical,
        "room": RoomName,
        "subject": Reference (RetentionOrErasure),
    }
    "erased", Retention, ["D4"] {
        "hash": KeyedHash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_declared_once_with_a_requirement() {
        for (at, field) in FIELDS.iter().enumerate() {
            assert!(!field.rows.is_empty() && !field.class.as_str().is_empty() && !field.ttl.as_str().is_empty());
            assert!(
                !FIELDS[..at].iter().any(|known| (known.record, known.name) == (field.record, field.name)),
                "{}.{}",
                field.record,
                field.name
            );
        }
    }
}
