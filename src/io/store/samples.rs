//! What tests of the store write: every field has a value, every text is a canary.

use crate::model::audit::{AuditEntry, AuditEvent};
use crate::model::ids::{Identity, InvitationId, KeyId, RoomId, RoomName, Sid, SubjectRef, TenantId};
use crate::model::record::{
    InvitationRecord, InvitedBy, KeyRecord, RevocationRecord, RoomMode, RoomRecord, SubjectRecord, TenantRecord, VisitRecord, Write,
};
use crate::model::secret::Secret;

/// Seconds since 1970 at which everything happens.
pub(super) const NOW_S: u64 = 1_780_000_000;
/// Stands in every text.
pub(super) const CANARY: &str = "Kanarie";

pub(super) fn text(what: &str) -> String {
    format!("{CANARY}-{what}")
}

pub(super) fn tenant() -> TenantId {
    TenantId::new(&text("praxis")).unwrap()
}

pub(super) fn subject(name: &str) -> SubjectRef {
    SubjectRef::new(&text(name)).unwrap()
}

pub(super) fn room_id(name: &str) -> RoomId {
    RoomId { tenant: tenant(), name: RoomName::new(&text(name)).unwrap() }
}

pub(super) fn room(name: &str) -> RoomRecord {
    RoomRecord {
        id: room_id(name),
        sid: Sid::from_client("RM_Kanarie"),
        mode: RoomMode::P2p,
        e2ee_required: true,
        hide_addresses: true,
        max_participants: 2,
        empty_timeout_s: 300,
        created_at_ms: NOW_S * 1000,
        lobby: true,
        not_before: Some(NOW_S),
        not_after: Some(NOW_S + 3600),
    }
}

pub(super) fn tenant_record(retention_days: u8) -> TenantRecord {
    TenantRecord { id: tenant(), rooms_max: 9, participants_max: 99, bits_per_s: 1_000, retention_days, created_at: NOW_S }
}

pub(super) fn key(id: &str) -> KeyRecord {
    KeyRecord { tenant: tenant(), id: KeyId::new(&text(id)).unwrap(), secret: Secret::new(text("secret")), created_at: NOW_S }
}

pub(super) fn invitation(id: &str) -> InvitationRecord {
    InvitationRecord {
        room: room_id("r"),
        id: InvitationId::new(&text(id)).unwrap(),
        role: "guest".to_owned(),
        by: InvitedBy::Tan { hash: [7; 32], sealed: Some(Secret::new(text("sealed"))), secret: Some(Secret::new(text("tan"))) },
        not_before: NOW_S,
        not_after: NOW_S + 7200,
        confirm_by: Some(NOW_S + 3600),
        subject: Some(subject("person")),
        device: Some([8; 32]),
        identity: Some(Identity::new(&text("identity")).unwrap()),
        admitted: true,
        mismatches: 2,
    }
}

pub(super) fn revocation(until: u64) -> RevocationRecord {
    RevocationRecord { room: room_id("r"), identity: Identity::new(&text("identity")).unwrap(), until }
}

pub(super) fn visit(sid: &str, subjects: &[&str]) -> VisitRecord {
    VisitRecord {
        room: room_id("r"),
        sid: Sid::from_client(sid),
        mode: RoomMode::Sfu,
        began_at: NOW_S,
        lasted_s: 600,
        people: 2,
        quality: [900, 90, 9, 1],
        events: vec![("screen-shared", 1)],
        subjects: subjects.iter().map(|name| subject(name)).collect(),
    }
}

pub(super) fn entry(event: AuditEvent) -> AuditEntry {
    AuditEntry {
        at_ms: NOW_S * 1000,
        tenant: Some(tenant()),
        actor: Some(Identity::new(&text("actor")).unwrap()),
        event,
        room: Some(RoomName::new(&text("r")).unwrap()),
        subject: Some(subject("person")),
    }
}

/// One of each kind.
pub(super) fn all() -> Vec<Write> {
    vec![
        Write::PutTenant(tenant_record(30)),
        Write::PutKey(key("k")),
        Write::PutRoom(room("r")),
        Write::PutInvitation(invitation("i")),
        Write::PutRevocation(revocation(NOW_S + 60)),
        Write::PutVisit(visit("PA_Kanarie", &["person", "other"])),
        Write::PutSubject(SubjectRecord { tenant: tenant(), subject: subject("person"), restricted: true }),
        Write::Audit(entry(AuditEvent::JoinGranted)),
        Write::EraseSubject(tenant(), subject("nobody")),
        Write::DeleteInvitation(room_id("r"), InvitationId::new(&text("none")).unwrap()),
        Write::DeleteKey(tenant(), KeyId::new(&text("none")).unwrap()),
        Write::DeleteRoom(room_id("none")),
        Write::DeleteTenant(TenantId::new(&text("none")).unwrap()),
    ]
}
