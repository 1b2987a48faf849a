//! One sample of each record, which has every field.

use std::collections::BTreeSet;

use super::*;
use crate::io::store::samples;
use crate::model::fields::FIELDS;
use crate::model::record::Write;

fn names(record: &str, body: &[u8]) -> BTreeSet<(String, String)> {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    value.as_object().unwrap().keys().map(|name| (record.to_owned(), name.clone())).collect()
}

/// What every kind of write puts into the file.
fn written() -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for write in samples::all() {
        let (record, body) = match &write {
            Write::PutRoom(record) => ("room", row(record).unwrap().body),
            Write::PutTenant(record) => ("tenant", row(record).unwrap().body),
            Write::PutKey(record) => ("key", row(record).unwrap().body),
            Write::PutInvitation(record) => ("invitation", row(record).unwrap().body),
            Write::PutRevocation(record) => ("revocation", row(record).unwrap().body),
            Write::PutVisit(record) => ("visit", visit(record).unwrap().body),
            Write::PutSubject(record) => ("subject", row(record).unwrap().body),
            Write::Audit(entry) => {
                let (body, person) = audit(entry).unwrap();
                all.extend(person.map(|_| ("audit".to_owned(), "subject".to_owned())));
                ("audit", body)
            }
            Write::EraseSubject(..) => {
                all.insert(("erased".to_owned(), "hash".to_owned()));
                continue;
            }
            Write::DeleteRoom(_) | Write::DeleteTenant(_) | Write::DeleteKey(..) | Write::DeleteInvitation(..) => continue,
        };
        all.extend(names(record, &body));
    }
    all
}

#[test]
fn every_stored_field_is_declared_and_every_declared_one_is_stored() {
    let declared: BTreeSet<_> = FIELDS.iter().map(|field| (field.record.to_owned(), field.name.to_owned())).collect();
    let written = written();
    assert_eq!(written.difference(&declared).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "stored, but not in model::fields");
    assert_eq!(declared.difference(&written).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "declared, but not stored");
}

#[test]
fn records_are_read_as_written() {
    for write in samples::all() {
        match write {
            Write::PutRoom(sample) => assert_eq!(record::<RoomRecord>(&row(&sample).unwrap().body).unwrap(), sample),
            Write::PutTenant(sample) => assert_eq!(record::<TenantRecord>(&row(&sample).unwrap().body).unwrap(), sample),
            Write::PutKey(sample) => assert_eq!(record::<KeyRecord>(&row(&sample).unwrap().body).unwrap(), sample),
            Write::PutInvitation(sample) => assert_eq!(record::<InvitationRecord>(&row(&sample).unwrap().body).unwrap(), sample),
            Write::PutRevocation(sample) => assert_eq!(record::<RevocationRecord>(&row(&sample).unwrap().body).unwrap(), sample),
            Write::PutSubject(sample) => assert_eq!(record::<SubjectRecord>(&row(&sample).unwrap().body).unwrap(), sample),
            Write::Audit(sample) => {
                let (body, person) = audit(&sample).unwrap();
                assert_eq!(entry(&body, person.as_deref()).unwrap(), sample);
            }
            _ => {}
        }
    }
}

#[test]
fn what_cannot_be_read_is_not_repeated() {
    for body in ["", "{\"Erika\":1}", "{\"tenant\":\"\",\"subject\":\"Erika\",\"restricted\":true}"] {
        let told = record::<SubjectRecord>(body.as_bytes()).unwrap_err().to_string();
        assert!(!told.contains("Erika"), "{told}");
    }
}

#[test]
fn invitations_end_by_what_happened_to_them() {
    let mut invitation = samples::invitation("i");
    assert_eq!(invitation.expires(), invitation.confirm_by);
    invitation.confirm_by = None;
    invitation.device = None;
    assert_eq!(invitation.expires(), Some(invitation.not_after));
    invitation.device = Some([1; 32]);
    assert_eq!(invitation.expires(), None);
}
