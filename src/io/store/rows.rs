//! Records as the JSON that is sealed, with what the store must know of each to find or to purge it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fault::StoreError;
use crate::model::audit::{AuditEntry, AuditEvent};
use crate::model::ids::{Identity, InvitationId, KeyId, NameError, RoomId, RoomName, Sid, SubjectRef, TenantId};
use crate::model::record::{
    InvitationRecord, InvitedBy, KeyRecord, RevocationRecord, RoomMode, RoomRecord, SubjectRecord, TenantRecord, VisitRecord,
};
use crate::model::secret::Secret;

/// Longest SID that is read, in bytes.
const SID_MAX: usize = 64;
/// What the audit log calls a row that does not open or cannot be read.
const UNREADABLE: StoreError = StoreError::Changed("a record");

/// Kinds of records, by the numbers that stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Room = 1,
    Tenant = 2,
    Key = 3,
    Invitation = 4,
    Revocation = 5,
    Visit = 6,
    Subject = 7,
    /// Not in the table of records: the person of an audit entry.
    Audit = 8,
    /// Not in the table of records: a person who was erased.
    Person = 9,
}

impl Kind {
    pub(super) fn number(self) -> i64 {
        self as i64
    }
}

/// Which record: its kind with the parts of its key.
pub(super) struct RowKey {
    pub(super) kind: Kind,
    pub(super) parts: Vec<Vec<u8>>,
}

impl RowKey {
    fn new(kind: Kind, parts: &[&str]) -> Self {
        Self { kind, parts: parts.iter().map(|part| part.as_bytes().to_vec()).collect() }
    }

    pub(super) fn room(id: &RoomId) -> Self {
        Self::new(Kind::Room, &[id.tenant.as_str(), id.name.as_str()])
    }

    pub(super) fn tenant(id: &TenantId) -> Self {
        Self::new(Kind::Tenant, &[id.as_str()])
    }

    pub(super) fn key(tenant: &TenantId, id: &KeyId) -> Self {
        Self::new(Kind::Key, &[tenant.as_str(), id.as_str()])
    }

    pub(super) fn invitation(room: &RoomId, id: &InvitationId) -> Self {
        Self::new(Kind::Invitation, &[room.tenant.as_str(), room.name.as_str(), id.as_str()])
    }

    fn revocation(room: &RoomId, identity: &Identity) -> Self {
        Self::new(Kind::Revocation, &[room.tenant.as_str(), room.name.as_str(), identity.as_str()])
    }

    fn visit(room: &RoomId, sid: &Sid) -> Self {
        Self::new(Kind::Visit, &[room.tenant.as_str(), sid.as_str()])
    }

    pub(super) fn subject(tenant: &TenantId, subject: &SubjectRef) -> Self {
        Self::new(Kind::Subject, &[tenant.as_str(), subject.as_str()])
    }
}

/// A record on its way into the file.
pub(super) struct Row {
    pub(super) key: RowKey,
    pub(super) tenant: TenantId,
    /// The room with which it goes.
    pub(super) owner: Option<RoomId>,
    /// When it goes of itself, in seconds since 1970 UTC.
    pub(super) expires: Option<u64>,
    /// The persons that it refers to.
    pub(super) subjects: Vec<SubjectRef>,
    pub(super) body: Vec<u8>,
}

/// A kind of record: as the model has it, as the file has it.
pub(super) trait Stored: Sized {
    const KIND: Kind;
    type Body: Serialize + DeserializeOwned;
    fn body(&self) -> Self::Body;
    fn record(body: Self::Body) -> Option<Self>;
    fn key(&self) -> RowKey;
    fn tenant(&self) -> &TenantId;
    fn owner(&self) -> Option<RoomId> {
        None
    }
    fn expires(&self) -> Option<u64> {
        None
    }
    fn subjects(&self) -> Vec<SubjectRef> {
        Vec::new()
    }
}

pub(super) fn row<T: Stored>(record: &T) -> Result<Row, StoreError> {
    Ok(Row {
        key: record.key(),
        tenant: record.tenant().clone(),
        owner: record.owner(),
        expires: record.expires(),
        subjects: record.subjects(),
        body: serde_json::to_vec(&record.body()).map_err(|_| StoreError::Sealing)?,
    })
}

pub(super) fn record<T: Stored>(body: &[u8]) -> Result<T, StoreError> {
    // The parser's own message may quote what it read.
    let body = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
    T::record(body).ok_or(UNREADABLE)
}

macro_rules! body {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        #[derive(Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$attribute])* pub(super) $field: $type,)+
        }
    };
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Sfu,
    P2p,
}

impl From<RoomMode> for Mode {
    fn from(mode: RoomMode) -> Self {
        match mode {
            RoomMode::Sfu => Self::Sfu,
            RoomMode::P2p => Self::P2p,
        }
    }
}

impl From<Mode> for RoomMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Sfu => Self::Sfu,
            Mode::P2p => Self::P2p,
        }
    }
}

pub(super) fn sid(text: &str) -> Option<Sid> {
    (1..=SID_MAX).contains(&text.len()).then(|| Sid::from_client(text))
}

fn room_id(tenant: &str, name: &str) -> Option<RoomId> {
    Some(RoomId { tenant: TenantId::new(tenant).ok()?, name: RoomName::new(name).ok()? })
}

fn text(secret: Option<&Secret>) -> Option<String> {
    secret.map(|secret| secret.expose().to_owned())
}

fn optional<T>(text: Option<&String>, make: impl FnOnce(&str) -> Result<T, NameError>) -> Result<Option<T>, NameError> {
    text.map(|text| make(text)).transpose()
}

body!(RoomBody {
    tenant: String,
    name: String,
    sid: String,
    mode: Mode,
    e2ee_required: bool,
    hide_addresses: bool,
    max_participants: u32,
    empty_timeout_s: u32,
    created_at_ms: u64,
    lobby: bool,
    not_before: Option<u64>,
    not_after: Option<u64>,
});

impl Stored for RoomRecord {
    const KIND: Kind = Kind::Room;
    type Body = RoomBody;

    fn body(&self) -> RoomBody {
        RoomBody {
            tenant: self.id.tenant.as_str().to_owned(),
            name: self.id.name.as_str().to_owned(),
            sid: self.sid.as_str().to_owned(),
            mode: self.mode.into(),
            e2ee_required: self.e2ee_required,
            hide_addresses: self.hide_addresses,
            max_participants: self.max_participants,
            empty_timeout_s: self.empty_timeout_s,
            created_at_ms: self.created_at_ms,
            lobby: self.lobby,
            not_before: self.not_before,
            not_after: self.not_after,
        }
    }

    fn record(body: RoomBody) -> Option<Self> {
        Some(Self {
            id: room_id(&body.tenant, &body.name)?,
            sid: sid(&body.sid)?,
            mode: body.mode.into(),
            e2ee_required: body.e2ee_required,
            hide_addresses: body.hide_addresses,
            max_participants: body.max_participants,
            empty_timeout_s: body.empty_timeout_s,
            created_at_ms: body.created_at_ms,
            lobby: body.lobby,
            not_before: body.not_before,
            not_after: body.not_after,
        })
    }

    fn key(&self) -> RowKey {
        RowKey::room(&self.id)
    }

    fn tenant(&self) -> &TenantId {
        &self.id.tenant
    }
}

body!(TenantBody { tenant: String, rooms_max: u32, participants_max: u32, bits_per_s: u64, retention_days: u8, created_at: u64 });

impl Stored for TenantRecord {
    const KIND: Kind = Kind::Tenant;
    type Body = TenantBody;

    fn body(&self) -> TenantBody {
        TenantBody {
            tenant: self.id.as_str().to_owned(),
            rooms_max: self.rooms_max,
            participants_max: self.participants_max,
            bits_per_s: self.bits_per_s,
            retention_days: self.retention_days,
            created_at: self.created_at,
        }
    }

    fn record(body: TenantBody) -> Option<Self> {
        Some(Self {
            id: TenantId::new(&body.tenant).ok()?,
            rooms_max: body.rooms_max,
            participants_max: body.participants_max,
            bits_per_s: body.bits_per_s,
            retention_days: body.retention_days,
            created_at: body.created_at,
        })
    }

    fn key(&self) -> RowKey {
        RowKey::tenant(&self.id)
    }

    fn tenant(&self) -> &TenantId {
        &self.id
    }
}

body!(KeyBody { tenant: String, key: String, secret: String, created_at: u64 });

impl Stored for KeyRecord {
    const KIND: Kind = Kind::Key;
    type Body = KeyBody;

    fn body(&self) -> KeyBody {
        KeyBody {
            tenant: self.tenant.as_str().to_owned(),
            key: self.id.as_str().to_owned(),
            secret: self.secret.expose().to_owned(),
            created_at: self.created_at,
        }
    }

    fn record(body: KeyBody) -> Option<Self> {
        Some(Self {
            tenant: TenantId::new(&body.tenant).ok()?,
            id: KeyId::new(&body.key).ok()?,
            secret: Secret::new(body.secret),
            created_at: body.created_at,
        })
    }

    fn key(&self) -> RowKey {
        RowKey::key(&self.tenant, &self.id)
    }

    fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}

body!(InvitationBody {
    tenant: String,
    room: String,
    invitation: String,
    role: String,
    tan_hash: Option<[u8; 32]>,
    tan_sealed: Option<String>,
    tan_secret: Option<String>,
    not_before: u64,
    not_after: u64,
    confirm_by: Option<u64>,
    subject: Option<String>,
    device: Option<[u8; 32]>,
    identity: Option<String>,
    admitted: bool,
    mismatches: u8,
});

impl Stored for InvitationRecord {
    const KIND: Kind = Kind::Invitation;
    type Body = InvitationBody;

    fn body(&self) -> InvitationBody {
        let (tan_hash, tan_sealed, tan_secret) = match &self.by {
            InvitedBy::Link => (None, None, None),
            InvitedBy::Tan { hash, sealed, secret } => (Some(*hash), text(sealed.as_ref()), text(secret.as_ref())),
        };
        InvitationBody {
            tenant: self.room.tenant.as_str().to_owned(),
            room: self.room.name.as_str().to_owned(),
            invitation: self.id.as_str().to_owned(),
            role: self.role.clone(),
            tan_hash,
            tan_sealed,
            tan_secret,
            not_before: self.not_before,
            not_after: self.not_after,
            confirm_by: self.confirm_by,
            subject: self.subject.as_ref().map(|subject| subject.as_str().to_owned()),
            device: self.device,
            identity: self.identity.as_ref().map(|identity| identity.as_str().to_owned()),
            admitted: self.admitted,
            mismatches: self.mismatches,
        }
    }

    fn record(body: InvitationBody) -> Option<Self> {
        let secret = |text: Option<String>| text.map(Secret::new);
        let by = match body.tan_hash {
            None => InvitedBy::Link,
            Some(hash) => InvitedBy::Tan { hash, sealed: secret(body.tan_sealed), secret: secret(body.tan_secret) },
        };
        Some(Self {
            room: room_id(&body.tenant, &body.room)?,
            id: InvitationId::new(&body.invitation).ok()?,
            role: body.role,
            by,
            not_before: body.not_before,
            not_after: body.not_after,
            confirm_by: body.confirm_by,
            subject: optional(body.subject.as_ref(), SubjectRef::new).ok()?,
            device: body.device,
            identity: optional(body.identity.as_ref(), Identity::new).ok()?,
            admitted: body.admitted,
            mismatches: body.mismatches,
        })
    }

    fn key(&self) -> RowKey {
        RowKey::invitation(&self.room, &self.id)
    }

    fn tenant(&self) -> &TenantId {
        &self.room.tenant
    }

    fn owner(&self) -> Option<RoomId> {
        Some(self.room.clone())
    }

    /// One that a device has used is good until the room ends, and goes with it.
    fn expires(&self) -> Option<u64> {
        self.confirm_by.or_else(|| self.device.is_none().then_some(self.not_after))
    }

    fn subjects(&self) -> Vec<SubjectRef> {
        self.subject.iter().cloned().collect()
    }
}

body!(RevocationBody { tenant: String, room: String, identity: String, until: u64 });

impl Stored for RevocationRecord {
    const KIND: Kind = Kind::Revocation;
    type Body = RevocationBody;

    fn body(&self) -> RevocationBody {
        RevocationBody {
            tenant: self.room.tenant.as_str().to_owned(),
            room: self.room.name.as_str().to_owned(),
            identity: self.identity.as_str().to_owned(),
            until: self.until,
        }
    }

    fn record(body: RevocationBody) -> Option<Self> {
        Some(Self { room: room_id(&body.tenant, &body.room)?, identity: Identity::new(&body.identity).ok()?, until: body.until })
    }

    fn key(&self) -> RowKey {
        RowKey::revocation(&self.room, &self.identity)
    }

    fn tenant(&self) -> &TenantId {
        &self.room.tenant
    }

    fn owner(&self) -> Option<RoomId> {
        Some(self.room.clone())
    }

    fn expires(&self) -> Option<u64> {
        Some(self.until)
    }
}

/// A consultation that is over, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisitBody {
    /// Whose room it was.
    pub tenant: String,
    /// Where.
    pub room: String,
    /// A random id of the stay.
    pub sid: String,
    /// How media travelled: `sfu` or `p2p`.
    pub mode: String,
    /// When it began, in seconds since 1970 UTC.
    pub began_at: u64,
    /// How long it took, in seconds.
    pub lasted_s: u32,
    /// Most people at a time.
    pub people: u32,
    /// Share of seconds with excellent, good, poor, lost connections, in thousandths.
    pub quality: [u16; 4],
    /// What happened, by the names of a closed set, with how often.
    pub events: Vec<(String, u32)>,
    /// The persons by callers' opaque references.
    pub subjects: Vec<String>,
}

/// What is sealed of a consultation that is over.
pub(super) fn visit(record: &VisitRecord) -> Result<Row, StoreError> {
    let body = VisitBody {
        tenant: record.room.tenant.as_str().to_owned(),
        room: record.room.name.as_str().to_owned(),
        sid: record.sid.as_str().to_owned(),
        mode: if record.mode == RoomMode::P2p { "p2p" } else { "sfu" }.to_owned(),
        began_at: record.began_at,
        lasted_s: record.lasted_s,
        people: record.people,
        quality: record.quality,
        events: record.events.iter().map(|(event, count)| ((*event).to_owned(), *count)).collect(),
        subjects: record.subjects.iter().map(|subject| subject.as_str().to_owned()).collect(),
    };
    Ok(Row {
        key: RowKey::visit(&record.room, &record.sid),
        tenant: record.room.tenant.clone(),
        owner: None,
        expires: Some(record.began_at.saturating_add(u64::from(record.lasted_s))),
        subjects: record.subjects.clone(),
        body: serde_json::to_vec(&body).map_err(|_| StoreError::Sealing)?,
    })
}

body!(SubjectBody { tenant: String, subject: String, restricted: bool });

impl Stored for SubjectRecord {
    const KIND: Kind = Kind::Subject;
    type Body = SubjectBody;

    fn body(&self) -> SubjectBody {
        SubjectBody { tenant: self.tenant.as_str().to_owned(), subject: self.subject.as_str().to_owned(), restricted: self.restricted }
    }

    fn record(body: SubjectBody) -> Option<Self> {
        Some(Self { tenant: TenantId::new(&body.tenant).ok()?, subject: SubjectRef::new(&body.subject).ok()?, restricted: body.restricted })
    }

    fn key(&self) -> RowKey {
        RowKey::subject(&self.tenant, &self.subject)
    }

    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn subjects(&self) -> Vec<SubjectRef> {
        vec![self.subject.clone()]
    }
}

body!(AuditBody {
    at_ms: u64,
    tenant: Option<String>,
    actor: Option<String>,
    event: String,
    room: Option<String>,
});

/// What is sealed of an audit entry: what happened, and apart from it, so that it can go alone, the person.
pub(super) fn audit(entry: &AuditEntry) -> Result<(Vec<u8>, Option<Vec<u8>>), StoreError> {
    let body = AuditBody {
        at_ms: entry.at_ms,
        tenant: entry.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
        actor: entry.actor.as_ref().map(|actor| actor.as_str().to_owned()),
        event: entry.event.as_str().to_owned(),
        room: entry.room.as_ref().map(|room| room.as_str().to_owned()),
    };
    let body = serde_json::to_vec(&body).map_err(|_| StoreError::Sealing)?;
    Ok((body, entry.subject.as_ref().map(|subject| subject.as_str().as_bytes().to_vec())))
}

/// Reads what [`audit`] made.
pub(super) fn entry(body: &[u8], person: Option<&[u8]>) -> Result<AuditEntry, StoreError> {
    let read = || {
        let body: AuditBody = serde_json::from_slice(body).ok()?;
        let person = person.map(|person| String::from_utf8_lossy(person).into_owned());
        Some(AuditEntry {
            at_ms: body.at_ms,
            tenant: optional(body.tenant.as_ref(), TenantId::new).ok()?,
            actor: optional(body.actor.as_ref(), Identity::new).ok()?,
            event: AuditEvent::from_name(&body.event)?,
            room: optional(body.room.as_ref(), RoomName::new).ok()?,
            subject: optional(person.as_ref(), SubjectRef::new).ok()?,
        })
    };
    read().ok_or(StoreError::Changed("an audit entry"))
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
