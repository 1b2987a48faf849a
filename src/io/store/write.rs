//! One change of the store as SQL, inside the caller's transaction.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::chain;
use super::fault::StoreError;
use super::rows::{self, Kind, Row, RowKey, VisitBody, row};
use super::seal::Digest;
use super::vault::{Class, Vault};
use crate::model::audit::AuditEvent;
use crate::model::fields::{RETENTION_MAX_DAYS, SECONDS_A_DAY};
use crate::model::ids::{RoomId, SubjectRef, TenantId};
use crate::model::record::{TenantRecord, Write};

/// Where a change is done, and when.
pub(super) struct Writer<'a> {
    pub(super) connection: &'a Connection,
    pub(super) vault: &'a mut Vault,
    /// Seconds since 1970 UTC.
    pub(super) now: u64,
}

/// Whether a change may use the space that is kept back: it proves, takes away, or closes something.
pub(super) fn is_urgent(write: &Write) -> bool {
    match write {
        Write::PutRoom(_) | Write::PutTenant(_) | Write::PutKey(_) | Write::PutInvitation(_) | Write::PutVisit(_) => false,
        Write::DeleteRoom(_)
        | Write::DeleteTenant(_)
        | Write::DeleteKey(..)
        | Write::DeleteInvitation(..)
        | Write::PutRevocation(_)
        | Write::PutSubject(_)
        | Write::EraseSubject(..) => true,
        Write::Audit(entry) => !opens(entry.event),
    }
}

/// Whether an entry stands for something that is let in or set up: on a full disk that is refused, and the refusal is noted.
fn opens(event: AuditEvent) -> bool {
    use AuditEvent as E;
    matches!(
        event,
        E::TenantAdded
            | E::TenantChanged
            | E::KeyAdded
            | E::RoomMade
            | E::InvitationMade
            | E::InvitationConfirmed
            | E::InvitationUsed
            | E::LobbyEntered
            | E::LobbyAdmitted
            | E::JoinGranted
    )
}

/// What a record is bound to.
pub(super) fn place(kind: i64, hash: &[u8], tenant: &[u8], owner: Option<&[u8]>, key: i64) -> Vec<u8> {
    [b"konsil record".as_slice(), &kind.to_be_bytes(), hash, tenant, &key.to_be_bytes(), owner.unwrap_or_default()].concat()
}

impl Writer<'_> {
    pub(super) fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        match write {
            Write::PutRoom(record) => self.put(&row(record)?, Class::Standing),
            Write::DeleteRoom(id) => self.delete_room(id),
            Write::PutTenant(record) => self.put_tenant(record),
            Write::DeleteTenant(id) => self.delete_tenant(id),
            Write::PutKey(record) => self.put(&row(record)?, Class::Standing),
            Write::DeleteKey(tenant, id) => self.delete(&RowKey::key(tenant, id)),
            Write::PutInvitation(record) => self.put(&row(record)?, Class::Standing),
            Write::DeleteInvitation(room, id) => self.delete(&RowKey::invitation(room, id)),
            Write::PutRevocation(record) => self.put(&row(record)?, Class::Standing),
            Write::PutVisit(record) => {
                let mut row = rows::visit(record)?;
                let kept = self.vault.retention_s(&self.vault.tenant(Some(&row.tenant)));
                row.expires = row.expires.map(|ended| ended.saturating_add(kept));
                self.put(&row, Class::Timed)
            }
            Write::PutSubject(record) => self.put(&row(record)?, Class::Standing),
            Write::EraseSubject(tenant, subject) => self.erase(tenant, subject),
            Write::Audit(entry) => chain::append(self.connection, self.vault, entry, self.today()).map(drop),
        }
    }

    pub(super) fn today(&self) -> i64 {
        day(self.now)
    }

    fn put(&mut self, row: &Row, class: Class) -> Result<(), StoreError> {
        let (kind, hash, tenant) = (row.key.kind.number(), self.vault.hash(&row.key), self.vault.tenant(Some(&row.tenant)));
        let owner = row.owner.as_ref().map(|room| self.vault.room(room));
        let (id, key) = self.vault.of_day(self.connection, &tenant, self.today(), class)?;
        let sealed = key.seal(&place(kind, &hash, &tenant, owner.as_ref().map(Digest::as_slice), id), &row.body)?;
        let expires = row.expires.map(|expires| i64::try_from(expires).unwrap_or(i64::MAX));
        let mut put = self.connection.prepare_cached(
            "INSERT INTO records (kind, hash, tenant, owner, expires, key, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (kind, hash) DO UPDATE SET expires = ?5, key = ?6, sealed = ?7",
        )?;
        put.execute(params![kind, hash, tenant, owner, expires, id, sealed])?;
        let mut unrefer = self.connection.prepare_cached("DELETE FROM refs WHERE kind = ?1 AND hash = ?2")?;
        unrefer.execute(params![kind, hash])?;
        let mut refer = self.connection.prepare_cached("INSERT OR IGNORE INTO refs (subject, kind, hash) VALUES (?1, ?2, ?3)")?;
        for subject in &row.subjects {
            refer.execute(params![self.vault.person(&row.tenant, subject), kind, hash])?;
        }
        Ok(())
    }

    fn delete(&mut self, key: &RowKey) -> Result<(), StoreError> {
        let hash = self.vault.hash(key);
        self.drop_row(key.kind.number(), &hash)
    }

    fn drop_row(&mut self, kind: i64, hash: &[u8]) -> Result<(), StoreError> {
        let mut delete = self.connection.prepare_cached("DELETE FROM records WHERE kind = ?1 AND hash = ?2")?;
        if delete.execute(params![kind, hash])? > 0 {
            self.note_gone(kind, hash)?;
        }
        let mut unrefer = self.connection.prepare_cached("DELETE FROM refs WHERE kind = ?1 AND hash = ?2")?;
        unrefer.execute(params![kind, hash])?;
        Ok(())
    }

    /// Remembers, as long as an older copy may be put back, that this must not come back with it.
    fn note_gone(&mut self, kind: i64, hash: &[u8]) -> Result<(), StoreError> {
        let number = chain::head(self.connection, self.vault)?.number;
        let expires = self.now.saturating_add(u64::from(RETENTION_MAX_DAYS) * SECONDS_A_DAY);
        let mut note =
            self.connection.prepare_cached("INSERT OR REPLACE INTO gone (kind, hash, number, expires) VALUES (?1, ?2, ?3, ?4)")?;
        note.execute(params![kind, hash, number, i64::try_from(expires).unwrap_or(i64::MAX)])?;
        Ok(())
    }

    fn drop_where(&mut self, condition: &str, value: &Digest) -> Result<(), StoreError> {
        let mut found = self.connection.prepare_cached(&format!("SELECT kind, hash FROM records WHERE {condition} = ?1"))?;
        let all: Vec<(i64, Vec<u8>)> = found.query_map(params![value], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        all.iter().try_for_each(|(kind, hash)| self.drop_row(*kind, hash))
    }

    fn delete_room(&mut self, id: &RoomId) -> Result<(), StoreError> {
        let hash = self.vault.room(id);
        self.drop_where("owner", &hash)?;
        self.drop_row(Kind::Room.number(), &hash)
    }

    fn put_tenant(&mut self, record: &TenantRecord) -> Result<(), StoreError> {
        let tenant = self.vault.tenant(Some(&record.id));
        let before = self.vault.retention_s(&tenant);
        self.put(&row(record)?, Class::Standing)?;
        self.vault.retention.insert(tenant, record.retention_days);
        let by = self.vault.retention_s(&tenant).cast_signed() - before.cast_signed();
        if by != 0 {
            let mut visits = self.connection.prepare_cached("UPDATE records SET expires = expires + ?1 WHERE tenant = ?2 AND kind = ?3")?;
            visits.execute(params![by, tenant, Kind::Visit.number()])?;
            chain::postpone(self.connection, self.vault, &tenant, by)?;
        }
        Ok(())
    }

    fn delete_tenant(&mut self, id: &TenantId) -> Result<(), StoreError> {
        let tenant = self.vault.tenant(Some(id));
        self.drop_where("tenant", &tenant)
    }

    fn erase(&mut self, tenant: &TenantId, subject: &SubjectRef) -> Result<(), StoreError> {
        let person = self.vault.person(tenant, subject);
        self.note_gone(Kind::Person.number(), &person)?;
        self.erase_person(&person)
    }

    /// Erases whoever this keyed hash stands for.
    pub(super) fn erase_person(&mut self, person: &[u8]) -> Result<(), StoreError> {
        let mut found = self.connection.prepare_cached("SELECT kind, hash FROM refs WHERE subject = ?1")?;
        let all: Vec<(i64, Vec<u8>)> = found.query_map(params![person], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        for (kind, hash) in all {
            if kind == Kind::Audit.number() {
                let number = <[u8; 8]>::try_from(hash.as_slice()).map_err(|_| StoreError::Changed("a reference"))?;
                chain::erase_person(self.connection, self.vault, i64::from_be_bytes(number))?;
            } else if kind != Kind::Visit.number() || !self.leave_out(&hash, person)? {
                self.drop_row(kind, &hash)?;
            }
        }
        let mut unrefer = self.connection.prepare_cached("DELETE FROM refs WHERE subject = ?1")?;
        unrefer.execute(params![person])?;
        Ok(())
    }

    /// Takes a person out of a session record that refers to others as well; `false` if it refers to nobody else.
    fn leave_out(&mut self, hash: &[u8], person: &[u8]) -> Result<bool, StoreError> {
        const CHANGED: StoreError = StoreError::Changed("a session record");
        let kind = Kind::Visit.number();
        let Some(found) = Found::read(self.connection, kind, hash)? else { return Ok(true) };
        let mut body: VisitBody = serde_json::from_slice(&found.open(self.connection, self.vault)?).map_err(|_| CHANGED)?;
        let of = TenantId::new(&body.tenant).map_err(|_| CHANGED)?;
        let vault = &self.vault;
        body.subjects.retain(|subject| SubjectRef::new(subject).is_ok_and(|subject| vault.person(&of, &subject) != person));
        if body.subjects.is_empty() {
            return Ok(false);
        }
        let key = self.vault.key(self.connection, found.key)?;
        let sealed = key.seal(&found.place, &serde_json::to_vec(&body).map_err(|_| StoreError::Sealing)?)?;
        let mut change = self.connection.prepare_cached("UPDATE records SET sealed = ?1 WHERE kind = ?2 AND hash = ?3")?;
        change.execute(params![sealed, kind, hash])?;
        Ok(true)
    }
}

/// A sealed record.
struct Found {
    place: Vec<u8>,
    key: i64,
    sealed: Vec<u8>,
}

impl Found {
    fn read(connection: &Connection, kind: i64, hash: &[u8]) -> Result<Option<Self>, StoreError> {
        let mut found = connection.prepare_cached("SELECT tenant, owner, key, sealed FROM records WHERE kind = ?1 AND hash = ?2")?;
        let read = |row: &rusqlite::Row<'_>| {
            let (tenant, owner, key): (Vec<u8>, Option<Vec<u8>>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Self { place: place(kind, hash, &tenant, owner.as_deref(), key), key, sealed: row.get(3)? })
        };
        Ok(found.query_row(params![kind, hash], read).optional()?)
    }

    fn open(&self, connection: &Connection, vault: &mut Vault) -> Result<Vec<u8>, StoreError> {
        vault.key(connection, self.key)?.open(&self.place, &self.sealed).ok_or(StoreError::Changed("a record"))
    }
}

/// The day, counted from 1970-01-01 UTC.
pub(super) fn day(seconds: u64) -> i64 {
    i64::try_from(seconds / SECONDS_A_DAY).unwrap_or(i64::MAX)
}

/// The retention that tenants ask for.
pub(super) fn read_retention(connection: &Connection, vault: &mut Vault) -> Result<(), StoreError> {
    let tenants: Vec<TenantRecord> = read_all(connection, vault)?;
    vault.retention = tenants.iter().map(|tenant| (vault.tenant(Some(&tenant.id)), tenant.retention_days)).collect();
    Ok(())
}

/// All records of one kind.
pub(super) fn read_all<T: rows::Stored>(connection: &Connection, vault: &mut Vault) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::new();
    each(connection, vault, T::KIND, None, |body| {
        all.push(rows::record::<T>(body)?);
        Ok(())
    })?;
    Ok(all)
}

/// Opens all records of a kind, of one tenant if one is named, in the order in which they came.
pub(super) fn each(
    connection: &Connection,
    vault: &mut Vault,
    kind: Kind,
    tenant: Option<&Digest>,
    mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut found = connection.prepare_cached(
        "SELECT hash, tenant, owner, key, sealed FROM records WHERE kind = ?1 AND (?2 IS NULL OR tenant = ?2) ORDER BY rowid",
    )?;
    let mut rows = found.query(params![kind.number(), tenant])?;
    while let Some(row) = rows.next()? {
        let (hash, tenant, owner): (Vec<u8>, Vec<u8>, Option<Vec<u8>>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let id = row.get(3)?;
        let place = place(kind.number(), &hash, &tenant, owner.as_deref(), id);
        let body = vault.key(connection, id)?.open(&place, &row.get::<_, Vec<u8>>(4)?);
        take(&body.ok_or(StoreError::Changed("a record"))?)?;
    }
    Ok(())
}

/// One record's text, by the numbers of its key.
pub(super) fn one(connection: &Connection, vault: &mut Vault, kind: i64, hash: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    Found::read(connection, kind, hash)?.map(|found| found.open(connection, vault)).transpose()
}
