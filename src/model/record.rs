//! What survives a restart, as plain values.

use super::audit::AuditEntry;
use super::ids::{Identity, InvitationId, KeyId, RoomId, Sid, SubjectRef, TenantId};
use super::secret::Secret;

/// How media travels in a room; fixed when the room is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomMode {
    /// Through the SFU.
    Sfu,
    /// Browser to browser.
    P2p,
}

/// A room as it is stored: its rules, and nobody who was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRecord {
    /// Tenant and name.
    pub id: RoomId,
    /// The room's public id, `RM_…`.
    pub sid: Sid,
    /// How media travels.
    pub mode: RoomMode,
    /// Whether tracks without end-to-end encryption are refused.
    pub e2ee_required: bool,
    /// Whether the server keeps the two people of a p2p room from learning each other's address.
    pub hide_addresses: bool,
    /// Most participants at a time.
    pub max_participants: u32,
    /// Seconds until the empty room ends.
    pub empty_timeout_s: u32,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_at_ms: u64,
    /// Whether guests wait until a moderator admits them.
    pub lobby: bool,
    /// Nobody but moderators may join before, in seconds since 1970 UTC.
    pub not_before: Option<u64>,
    /// The room ends then, in seconds since 1970 UTC.
    pub not_after: Option<u64>,
}

/// An organisation with what it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRecord {
    /// Its name, which is also the short code in the address of its page.
    pub id: TenantId,
    /// Most rooms at a time.
    pub rooms_max: u32,
    /// Most participants of all its rooms at a time.
    pub participants_max: u32,
    /// Most bits a second to and from all its participants; 0 is no limit.
    pub bits_per_s: u64,
    /// Days for which records are kept, 1 to 90.
    pub retention_days: u8,
    /// When it was made, in seconds since 1970 UTC.
    pub created_at: u64,
}

/// An API key of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Whose it is.
    pub tenant: TenantId,
    /// What tokens name it by (`iss`).
    pub id: KeyId,
    /// What signs them.
    pub secret: Secret,
    /// When it was made, in seconds since 1970 UTC.
    pub created_at: u64,
}

/// What an invitation stands for, without the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationRecord {
    /// Into which room.
    pub room: RoomId,
    /// Its public id.
    pub id: InvitationId,
    /// What the invited person will be: a role's name.
    pub role: String,
    /// How it is recognised.
    pub by: InvitedBy,
    /// Good from, in seconds since 1970 UTC.
    pub not_before: u64,
    /// Good until, in seconds since 1970 UTC.
    pub not_after: u64,
    /// Until when it must be confirmed, in seconds since 1970 UTC; `None` if it is confirmed.
    pub confirm_by: Option<u64>,
    /// The person by the caller's opaque reference.
    pub subject: Option<SubjectRef>,
    /// The device that used it first: keyed hash of its resume secret.
    pub device: Option<[u8; 32]>,
    /// The identity that it was given.
    pub identity: Option<Identity>,
    /// A moderator has admitted it.
    pub admitted: bool,
    /// How often the key exchange with it failed.
    pub mismatches: u8,
}

/// How an invitation is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvitedBy {
    /// A link that one device may use: the id is in its token.
    Link,
    /// A TAN.
    Tan {
        /// Keyed hash of its admit half, bound to the tenant.
        hash: [u8; 32],
        /// Its secret half, sealed by a practice's browser, or
        sealed: Option<Secret>,
        /// in clear, if the server made the TAN.
        secret: Option<Secret>,
    },
}

/// Tokens that are void though their time is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationRecord {
    /// Where.
    pub room: RoomId,
    /// Whose.
    pub identity: Identity,
    /// Until when there may be such tokens, in seconds since 1970 UTC.
    pub until: u64,
}

/// One consultation that is over, without names or addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitRecord {
    /// Where.
    pub room: RoomId,
    /// A random id of this stay.
    pub sid: Sid,
    /// How media travelled.
    pub mode: RoomMode,
    /// When it began, in seconds since 1970 UTC.
    pub began_at: u64,
    /// How long it took, in seconds.
    pub lasted_s: u32,
    /// Most people at a time.
    pub people: u32,
    /// Share of seconds with excellent, good, poor, lost connections, in thousandths.
    pub quality: [u16; 4],
    /// What happened, by the names of a closed set, with how often.
    pub events: Vec<(&'static str, u32)>,
    /// The persons by callers' opaque references.
    pub subjects: Vec<SubjectRef>,
}

/// A person of whom a caller gave an opaque reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRecord {
    /// Whose reference it is.
    pub tenant: TenantId,
    /// The reference.
    pub subject: SubjectRef,
    /// Whether what is kept of the person may be used for nothing but to be kept (GDPR, article 18).
    pub restricted: bool,
}

/// One change of what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A room was made or changed.
    PutRoom(RoomRecord),
    /// A room is over: its invitations and revocations go with it.
    DeleteRoom(RoomId),
    /// A tenant was made or changed.
    PutTenant(TenantRecord),
    /// A tenant is gone with all that it had but its audit entries.
    DeleteTenant(TenantId),
    /// A key was made.
    PutKey(KeyRecord),
    /// A key is gone.
    DeleteKey(TenantId, KeyId),
    /// An invitation was made or changed.
    PutInvitation(InvitationRecord),
    /// An invitation is over.
    DeleteInvitation(RoomId, InvitationId),
    /// Tokens were made void.
    PutRevocation(RevocationRecord),
    /// A consultation is over.
    PutVisit(VisitRecord),
    /// What is known of a person's wishes.
    PutSubject(SubjectRecord),
    /// All that refers to a person goes.
    EraseSubject(TenantId, SubjectRef),
    /// Something happened that must be proved later.
    Audit(AuditEntry),
}

/// What became of writes, all of which are done or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// They survive a power cut.
    Durably,
    /// The disk is full: nothing was changed.
    Full,
    /// The disk refused: nothing was changed.
    Failed,
}

/// What was stored before this start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Rooms.
    pub rooms: Vec<RoomRecord>,
    /// Tenants.
    pub tenants: Vec<TenantRecord>,
    /// Their keys.
    pub keys: Vec<KeyRecord>,
    /// Invitations.
    pub invitations: Vec<InvitationRecord>,
    /// Void tokens.
    pub revocations: Vec<RevocationRecord>,
    /// Persons with a wish.
    pub subjects: Vec<SubjectRecord>,
}
