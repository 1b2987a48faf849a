//! The store behind `Persist` effects: one `SQLite` file of sealed rows, with the audit log.

mod ballast;
mod beside;
mod chain;
mod copy;
mod fault;
mod import;
mod master;
mod purge;
mod rotate;
mod rows;
#[cfg(test)]
mod samples;
mod schema;
mod seal;
pub mod thread;
mod vault;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::model::audit::{AuditEntry, AuditEvent};
use crate::model::record::{Stored, Write, Written};
use ballast::{Ballast, RESERVE};
pub use beside::{Beside, OfPerson, Wanted};
pub use chain::{Head, Verdict};
pub use copy::{backup, restore};
pub use fault::StoreError;
pub use master::{CREDENTIAL, KeyPlace, make_key};
pub use purge::Purged;
pub use rotate::rotate;
pub use rows::VisitBody;
pub use schema::NAME;
use schema::in_transaction;
use vault::Vault;
use write::Writer;

/// The open store. Calls block until the disk has the change; afterwards it survives a power cut.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    vault: Vault,
    ballast: Ballast,
    receipts: purge::Receipts,
    path: PathBuf,
    /// Deleted rows may still stand in the write-ahead log.
    log_tells: bool,
}

impl Store {
    /// Opens the store in the folder `dir`, which must exist, and tells what it holds. `now` is the time since 1970 UTC.
    ///
    /// A new store is made with a new master key, unless there is one already; rooms of `rooms.json` are taken over.
    ///
    /// # Errors
    /// If the file or its key cannot be read, understood or made; nothing is overwritten then.
    pub fn open(dir: &Path, key: &KeyPlace, now: Duration) -> Result<(Self, Stored), StoreError> {
        let imported = import::read(dir)?;
        let mut store = Self::open_for(dir, key)?;
        if !imported.is_empty() {
            let writes: Vec<Write> = imported.into_iter().map(Write::PutRoom).collect();
            store.transaction(now, |writer| writes.iter().try_for_each(|write| writer.write(write)))?;
        }
        import::remove(dir)?;
        while store.purge(now)?.more {}
        let stored = store.stored()?;
        Ok((store, stored))
    }

    /// Opens the store, and leaves in it what is due.
    fn open_for(dir: &Path, key: &KeyPlace) -> Result<Self, StoreError> {
        let path = schema::path(dir);
        let connection = schema::open(&path)?;
        schema::set_bound(&connection, schema::FILE_MAX)?;
        let mut vault = Vault::open(&connection, &path, key)?;
        write::read_retention(&connection, &mut vault)?;
        let ballast = Ballast::new(dir)?;
        Ok(Self { connection, vault, ballast, receipts: purge::Receipts::new(), path, log_tells: true })
    }

    fn stored(&mut self) -> Result<Stored, StoreError> {
        let (connection, vault) = (&self.connection, &mut self.vault);
        Ok(Stored {
            rooms: write::read_all(connection, vault)?,
            tenants: write::read_all(connection, vault)?,
            keys: write::read_all(connection, vault)?,
            invitations: write::read_all(connection, vault)?,
            revocations: write::read_all(connection, vault)?,
            subjects: write::read_all(connection, vault)?,
        })
    }

    /// Writes several batches, each whole or not at all, all in one transaction if nothing goes wrong.
    ///
    /// On a full disk, batches that only prove, take away or close something get the space that was kept back, the others
    /// are refused as [`Written::Full`] until there is so much space again.
    pub fn apply(&mut self, batches: &[Vec<Write>], now: Duration) -> Vec<Written> {
        if self.ballast.is_held()
            && let Ok(written) = self.together(batches, now)
        {
            return written;
        }
        // Something does not fit, or the disk refuses: each for itself.
        batches.iter().map(|batch| self.alone(batch, now)).collect()
    }

    fn together(&mut self, batches: &[Vec<Write>], now: Duration) -> Result<Vec<Written>, StoreError> {
        self.transaction(now, |writer| {
            let mut all = Vec::with_capacity(batches.len());
            for batch in batches {
                writer.connection.execute_batch("SAVEPOINT batch")?;
                match batch.iter().try_for_each(|write| writer.write(write)) {
                    Ok(()) => all.push(Written::Durably),
                    Err(fault) if fault.is_full() || writer.connection.is_autocommit() => return Err(fault),
                    Err(fault) => {
                        tracing::error!(%fault, "a batch of writes was refused by the store");
                        writer.connection.execute_batch("ROLLBACK TO batch")?;
                        writer.vault.forget();
                        write::read_retention(writer.connection, writer.vault)?;
                        all.push(Written::Failed);
                    }
                }
                writer.connection.execute_batch("RELEASE batch")?;
            }
            Ok(all)
        })
    }

    fn alone(&mut self, batch: &[Write], now: Duration) -> Written {
        let urgent = batch.iter().all(write::is_urgent);
        if !urgent && !self.ballast.is_held() {
            return Written::Full;
        }
        let mut done = self.transaction(now, |writer| batch.iter().try_for_each(|write| writer.write(write)));
        if urgent && self.ballast.is_held() && done.as_ref().is_err_and(StoreError::is_full) {
            tracing::warn!("the disk is full: what was kept back for the audit log is used, and joins are refused");
            done = self.give_way().and_then(|()| self.transaction(now, |writer| batch.iter().try_for_each(|write| writer.write(write))));
        }
        match done {
            Ok(()) => Written::Durably,
            Err(fault) if fault.is_full() => Written::Full,
            Err(fault) => {
                tracing::error!(%fault, "the store could not be written");
                Written::Failed
            }
        }
    }

    fn give_way(&mut self) -> Result<(), StoreError> {
        self.ballast.give()?;
        schema::set_bound(&self.connection, schema::FILE_MAX + RESERVE)
    }

    fn take_back(&mut self) -> Result<(), StoreError> {
        if !self.ballast.is_held() && self.ballast.take()? {
            schema::set_bound(&self.connection, schema::FILE_MAX)?;
            tracing::info!("there is space again: what is kept back for the audit log was taken back");
        }
        Ok(())
    }

    /// Appends one entry about the whole server. If the disk has no place even where some was kept back, the log of events says so.
    pub fn note(&mut self, event: AuditEvent, now: Duration) {
        if self.alone(&[Write::Audit(of_server(event, now))], now) != Written::Durably {
            tracing::error!(event = event.as_str(), "the audit log could not be written");
        }
    }

    /// Deletes what is due, with the keys of days of which nothing is left, and empties the write-ahead log. `now` is the
    /// time since 1970 UTC. A turn deletes a bounded number of rows; [`Purged::more`] asks for another.
    ///
    /// # Errors
    /// If the disk refuses; nothing was deleted then.
    pub fn purge(&mut self, now: Duration) -> Result<Purged, StoreError> {
        self.take_back()?;
        let mut purged = Purged::default();
        if purge::is_due(&self.connection, now.as_secs())? {
            let mut receipts = self.receipts.clone();
            let mut done = self.transaction(now, |writer| purge::purge(writer, &mut receipts));
            if self.ballast.is_held() && done.as_ref().is_err_and(StoreError::is_full) {
                self.give_way()?;
                done = self.transaction(now, |writer| purge::purge(writer, &mut receipts));
            }
            purged = done?;
            self.receipts = receipts;
            self.vault.forget();
        }
        if self.log_tells {
            self.log_tells = !schema::empty_log(&self.connection)?;
        }
        Ok(purged)
    }

    fn transaction<T>(&mut self, now: Duration, work: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Self { connection, vault, .. } = self;
        let done = in_transaction(connection, || {
            vault.check(connection)?;
            work(&mut Writer { connection, vault, now: now.as_secs() })
        });
        self.log_tells = true;
        if done.is_err() {
            self.vault.forget();
            // If this fails as well, tenants keep the retention that was asked for last.
            let _ = write::read_retention(&self.connection, &mut self.vault);
        }
        done
    }

    /// Walks the whole audit log.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn verify(&mut self) -> Result<Verdict, StoreError> {
        chain::verify(&self.connection, &mut self.vault)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// An entry that concerns the whole server.
fn of_server(event: AuditEvent, now: Duration) -> AuditEntry {
    AuditEntry { at_ms: now.as_secs().saturating_mul(1000), tenant: None, actor: None, event, room: None, subject: None }
}

#[cfg(test)]
mod tests;
