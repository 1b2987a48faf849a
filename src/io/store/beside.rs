//! Reading the store from elsewhere than its thread, also while a server runs on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, params};

use super::chain::{self, COLUMNS, Link, Verdict};
use super::fault::StoreError;
use super::master::KeyPlace;
use super::rows::{Kind, VisitBody};
use super::schema::{self, in_transaction};
use super::vault::Vault;
use super::write::{self, Writer};
use crate::model::audit::AuditEntry;
use crate::model::ids::{SubjectRef, TenantId};

/// A connection of its own to the store. Reads see one moment, and hold nobody up.
#[derive(Debug)]
pub struct Beside {
    pub(super) connection: Connection,
    pub(super) vault: Vault,
    path: PathBuf,
}

/// What refers to one person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfPerson {
    /// Session records.
    pub visits: Vec<VisitBody>,
    /// Audit entries with their numbers, oldest first.
    pub entries: Vec<(i64, AuditEntry)>,
}

/// Which audit entries are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Not before, in seconds since 1970 UTC.
    pub from: Option<u64>,
    /// Before, in seconds since 1970 UTC.
    pub to: Option<u64>,
}

impl Wanted {
    fn has(&self, at_ms: u64) -> bool {
        let at = at_ms / 1000;
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }
}

impl Beside {
    /// Opens the store of the state folder `dir` as it is.
    ///
    /// # Errors
    /// If there is none, or if the key does not open it.
    pub fn open(dir: &Path, key: &KeyPlace) -> Result<Self, StoreError> {
        let path = schema::path(dir);
        let connection = schema::open_beside(&path)?;
        let mut vault = Vault::open_beside(&connection, &path, key)?;
        write::read_retention(&connection, &mut vault)?;
        Ok(Self { connection, vault, path })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Walks the whole audit log as it is now.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn verify(&mut self) -> Result<Verdict, StoreError> {
        self.reading(chain::verify)
    }

    /// Gives the wanted audit entries with their numbers, oldest first, until `take` fails.
    ///
    /// # Errors
    /// If the disk refuses, an entry does not open, or `take` fails.
    pub fn entries(&mut self, wanted: &Wanted, mut take: impl FnMut(i64, AuditEntry) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.reading(|connection, vault| {
            let tenant = wanted.tenant.as_ref().map(|tenant| vault.tenant(Some(tenant)));
            let mut found = connection.prepare(&format!("SELECT {COLUMNS} FROM audit WHERE ?1 IS NULL OR tenant = ?1 ORDER BY number"))?;
            let mut rows = found.query(params![tenant])?;
            while let Some(row) = rows.next()? {
                let link = Link::read(row)?;
                let entry = link.entry(connection, vault)?;
                if wanted.has(entry.at_ms) {
                    take(link.number, entry)?;
                }
            }
            Ok(())
        })
    }

    /// Gives a tenant's session records, oldest first, until `take` fails.
    ///
    /// # Errors
    /// If the disk refuses, a record does not open, or `take` fails.
    pub fn visits(&mut self, tenant: &TenantId, mut take: impl FnMut(VisitBody) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.reading(|connection, vault| {
            let tenant = vault.tenant(Some(tenant));
            write::each(connection, vault, Kind::Visit, Some(&tenant), |body| {
                take(serde_json::from_slice(body).map_err(|_| StoreError::Changed("a session record"))?)
            })
        })
    }

    /// What refers to a person: session records, audit entries. Invitations and wishes the control core knows.
    ///
    /// # Errors
    /// If the disk refuses, or a record does not open.
    pub fn of_person(&mut self, tenant: &TenantId, subject: &SubjectRef) -> Result<OfPerson, StoreError> {
        self.reading(|connection, vault| {
            let person = vault.person(tenant, subject);
            let mut found = connection.prepare_cached("SELECT kind, hash FROM refs WHERE subject = ?1")?;
            let all: Vec<(i64, Vec<u8>)> =
                found.query_map(params![person], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
            let (mut visits, mut entries) = (Vec::new(), Vec::new());
            for (kind, hash) in all {
                if kind == Kind::Visit.number()
                    && let Some(body) = write::one(connection, vault, kind, &hash)?
                {
                    visits.push(serde_json::from_slice(&body).map_err(|_| StoreError::Changed("a session record"))?);
                } else if kind == Kind::Audit.number() {
                    let number = <[u8; 8]>::try_from(hash.as_slice()).map_err(|_| StoreError::Changed("a reference"))?;
                    if let Some(link) = chain::link(connection, i64::from_be_bytes(number))? {
                        entries.push((link.number, link.entry(connection, vault)?));
                    }
                }
            }
            entries.sort_by_key(|(number, _)| *number);
            Ok(OfPerson { visits, entries })
        })
    }

    /// Appends an entry, in a transaction of its own beside those of a server.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn append(&mut self, entry: &AuditEntry, now: Duration) -> Result<i64, StoreError> {
        let Self { connection, vault, .. } = self;
        let done = in_transaction(connection, || {
            vault.check(connection)?;
            let today = Writer { connection, vault: &mut *vault, now: now.as_secs() }.today();
            chain::append(connection, vault, entry, today)
        });
        vault.forget();
        done
    }

    fn reading<T>(&mut self, work: impl FnOnce(&Connection, &mut Vault) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Self { connection, vault, .. } = self;
        // Keys that a server has made or deleted since.
        vault.forget();
        connection.execute_batch("BEGIN")?;
        let done = vault.check(connection).and_then(|()| work(connection, vault));
        connection.execute_batch("ROLLBACK")?;
        done
    }
}
