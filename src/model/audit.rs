//! What the audit log tells: who did what to which room, by ids that name nobody.

use super::ids::{Identity, RoomName, SubjectRef, TenantId};

/// One entry. The store adds its number, its place in the chain, its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Whose room or record it is; absent for what concerns the whole server.
    pub tenant: Option<TenantId>,
    /// The host, reception or key that acted, by the opaque `sub` of its token. Guests are not named.
    pub actor: Option<Identity>,
    /// What happened.
    pub event: AuditEvent,
    /// Where.
    pub room: Option<RoomName>,
    /// The person whom it concerns by the caller's opaque reference, as long as it is not erased.
    pub subject: Option<SubjectRef>,
}

macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $name:literal,)+) => {
        /// What can happen: a closed set without free text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum AuditEvent {
            $($(#[$doc])* $event,)+
        }

        impl AuditEvent {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$event,)+];

            /// Its name on the wire, and on disk.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$event => $name,)+
                }
            }

            /// The event of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|event| event.as_str() == name)
            }
        }
    };
}

events! {
    /// The server began.
    Started = "started",
    /// The server ended as it was told to.
    Stopped = "stopped",
    /// The settings were others than at the start before.
    ConfigChanged = "config-changed",
    /// A tenant was made.
    TenantAdded = "tenant-added",
    /// A tenant's limits or retention changed.
    TenantChanged = "tenant-changed",
    /// A tenant is gone.
    TenantRemoved = "tenant-removed",
    /// An API key was made.
    KeyAdded = "key-added",
    /// An API key was revoked.
    KeyRevoked = "key-revoked",
    /// The key that seals the store changed.
    MasterKeyRotated = "master-key-rotated",
    /// A room was made.
    RoomMade = "room-made",
    /// A room ended.
    RoomEnded = "room-ended",
    /// A room was locked.
    RoomLocked = "room-locked",
    /// A room was unlocked.
    RoomUnlocked = "room-unlocked",
    /// An invitation was made.
    InvitationMade = "invitation-made",
    /// An invitation was confirmed.
    InvitationConfirmed = "invitation-confirmed",
    /// An invitation was used for the first time.
    InvitationUsed = "invitation-used",
    /// An invitation was taken back.
    InvitationRevoked = "invitation-revoked",
    /// An invitation ended because its time was over, or nobody confirmed it.
    InvitationExpired = "invitation-expired",
    /// An invitation ended because the key exchange failed too often.
    InvitationMismatched = "invitation-mismatched",
    /// A TAN was refused.
    TanRefused = "tan-refused",
    /// Somebody began to wait.
    LobbyEntered = "lobby-entered",
    /// Somebody was admitted.
    LobbyAdmitted = "lobby-admitted",
    /// Somebody was refused in the waiting room.
    LobbyRefused = "lobby-refused",
    /// Somebody was put back into the waiting room.
    LobbyPutBack = "lobby-put-back",
    /// Somebody joined.
    JoinGranted = "join-granted",
    /// Somebody was not let in.
    JoinRefused = "join-refused",
    /// Somebody was removed.
    Removed = "removed",
    /// Somebody was muted.
    Muted = "muted",
    /// Tokens were made void.
    GrantRevoked = "grant-revoked",
    /// Somebody agreed to the terms.
    ConsentGiven = "consent-given",
    /// Records were read.
    RecordsRead = "records-read",
    /// The audit log was read.
    AuditRead = "audit-read",
    /// What is kept of a person was handed out.
    SubjectExported = "subject-exported",
    /// What is kept of a person was erased.
    SubjectErased = "subject-erased",
    /// Use of what is kept of a person was restricted, or is free again.
    SubjectRestricted = "subject-restricted",
    /// Records went because their time was over.
    RetentionPurged = "retention-purged",
    /// A copy of the store was made.
    BackedUp = "backed-up",
    /// The store was put back from a copy.
    Restored = "restored",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_written() {
        for event in AuditEvent::ALL {
            assert_eq!(AuditEvent::from_name(event.as_str()), Some(*event));
        }
        assert_eq!(AuditEvent::from_name("Erika"), None);
    }
}
