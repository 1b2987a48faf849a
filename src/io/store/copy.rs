//! Sealed copies of the store, made while it is in use, put back without what went since.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, params};

use super::beside::Beside;
use super::chain::Verdict;
use super::fault::{StoreError, system};
use super::master::KeyPlace;
use super::rows::Kind;
use super::{Store, chain, of_server, schema, write};
use crate::model::audit::AuditEvent;
use crate::model::fields::{RETENTION_MAX_DAYS, SECONDS_A_DAY};

/// Where a copy is looked at before it is put back, in the state folder.
const DESK: &str = "restore.tmp";
/// How long a copy waits when somebody writes.
const PAUSE: Duration = Duration::from_millis(50);

fn fault(text: impl Into<String>) -> StoreError {
    StoreError::Copy(text.into())
}

/// Copies the store of `dir` into the new file `target` (0600), also while a server runs on it. The copy is sealed as the
/// store is: it is worth nothing without the master key.
///
/// # Errors
/// If the store does not open, `target` exists, or the disk refuses; `target` is not there then.
pub fn backup(dir: &Path, key: &KeyPlace, target: &Path, now: Duration) -> Result<(), StoreError> {
    let mut store = Beside::open(dir, key)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(target).map_err(system(target))?;
    let copied = store.append(&of_server(AuditEvent::BackedUp, now), now).and_then(|_| copy(&store.connection, target));
    if copied.is_err() {
        // What is half there is no backup; if it cannot even be removed, the fault that is told is the first one.
        let _ = fs::remove_file(target);
    }
    copied
}

fn copy(from: &Connection, target: &Path) -> Result<(), StoreError> {
    let mut to = Connection::open(target)?;
    Backup::new(from, &mut to)?.run_to_completion(i32::MAX, PAUSE, None)?;
    // One file, whole in itself.
    to.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    to.close().map_err(|(_, fault)| fault)?;
    let file = fs::File::open(target).map_err(system(target))?;
    file.sync_all().map_err(system(target))
}

/// Puts a copy back into the folder `dir`, whose lock the caller holds. `key` is the store's master key, `copied_under` the
/// one that the copy is sealed by if it was rotated since.
///
/// What was deleted, erased or purged since the copy was made does not come back. If the store of today is there, its audit
/// log and its revocations stay: a copy cannot make anything undone that happened.
///
/// # Errors
/// If the copy is broken, none of ours, or older than anything may be kept; the store is as before then.
pub fn restore(dir: &Path, key: &KeyPlace, copied_under: Option<&KeyPlace>, file: &Path, now: Duration) -> Result<(), StoreError> {
    let desk = Desk::new(dir)?;
    fs::copy(file, schema::path(&desk.0)).map_err(system(file))?;
    let mut copy = Store::open_for(&desk.0, copied_under.unwrap_or(key))?;
    if let Verdict::Broken { number, what } = copy.verify()? {
        return Err(fault(format!("{}: the audit log is broken: entry {number} {what}", file.display())));
    }
    let taken = taken(&mut copy)?.ok_or_else(|| fault(format!("{} was not made by konsil backup", file.display())))?;
    let oldest = now.as_secs().saturating_sub(u64::from(RETENTION_MAX_DAYS) * SECONDS_A_DAY);
    if taken < oldest {
        let what = format!("{} is older than {RETENTION_MAX_DAYS} days: it is not known any more what was erased since", file.display());
        return Err(fault(what));
    }
    if copied_under.is_some() {
        let master = key.read()?.ok_or_else(|| StoreError::NoKey { store: file.to_owned(), key: key.path().to_owned() })?;
        copy.transaction(now, |writer| writer.vault.reseal(writer.connection, master))?;
    }
    let path = schema::path(dir);
    if path.exists() {
        let (mut store, _) = Store::open(dir, key, now)?;
        if !store.vault.is_kin(&copy.vault) {
            let what = format!("{} is a copy of another store than {}: move that away first", file.display(), path.display());
            return Err(fault(what));
        }
        drop(copy);
        merge(&mut store, &schema::path(&desk.0), now)?;
        while store.purge(now)?.more {}
        return Ok(());
    }
    while copy.purge(now)?.more {}
    copy.transaction(now, |writer| chain::append(writer.connection, writer.vault, &of_server(AuditEvent::Restored, now), writer.today()))?;
    schema::empty_log(&copy.connection)?;
    copy.connection.close().map_err(|(_, fault)| fault)?;
    fs::rename(schema::path(&desk.0), &path).map_err(system(&path))?;
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(system(dir))
}

/// When the copy was made, by its own audit log.
fn taken(copy: &mut Store) -> Result<Option<u64>, StoreError> {
    let mut found = copy.connection.prepare(&format!("SELECT {} FROM audit ORDER BY number DESC", chain::COLUMNS))?;
    let mut rows = found.query([])?;
    while let Some(row) = rows.next()? {
        let entry = chain::Link::read(row)?.entry(&copy.connection, &mut copy.vault)?;
        if entry.event == AuditEvent::BackedUp {
            return Ok(Some(entry.at_ms / 1000));
        }
    }
    Ok(None)
}

/// Takes records over from the copy at `from`, in one transaction.
fn merge(store: &mut Store, from: &Path, now: Duration) -> Result<(), StoreError> {
    let from = from.to_str().ok_or_else(|| fault("the state folder's path must be UTF-8"))?;
    store.connection.execute("ATTACH DATABASE ?1 AS copy", params![from])?;
    let merged = store.transaction(now, |writer| {
        let connection = writer.connection;
        let strange: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM copy.keys c JOIN main.keys k ON k.id = c.id
                 WHERE (k.tenant, k.day, k.class) IS NOT (c.tenant, c.day, c.class))",
            [],
            |row| row.get(0),
        )?;
        if strange {
            return Err(fault("the copy and the store went different ways: move the store away first"));
        }
        // Deletions after the copy have at least the number of its newest entry.
        let since: i64 = connection.query_row("SELECT number FROM copy.head", [], |row| row.get(0))?;
        connection.execute("DELETE FROM main.records WHERE kind != ?1", params![Kind::Revocation.number()])?;
        connection.execute("DELETE FROM main.refs WHERE kind != ?1", params![Kind::Audit.number()])?;
        connection.execute("INSERT OR IGNORE INTO main.keys SELECT * FROM copy.keys", [])?;
        let gone = "SELECT 1 FROM main.gone g WHERE g.number >= ?1 AND g.kind = c.kind AND g.hash = c.hash";
        let columns = "kind, hash, tenant, owner, expires, key, sealed";
        connection.execute(
            &format!("INSERT OR IGNORE INTO main.records ({columns}) SELECT {columns} FROM copy.records c WHERE NOT EXISTS ({gone})"),
            params![since],
        )?;
        connection.execute(
            "INSERT OR IGNORE INTO main.refs SELECT * FROM copy.refs c
                 WHERE EXISTS (SELECT 1 FROM main.records r WHERE r.kind = c.kind AND r.hash = c.hash)",
            [],
        )?;
        writer.vault.forget();
        write::read_retention(connection, writer.vault)?;
        let mut erased = connection.prepare("SELECT hash FROM gone WHERE kind = ?1 AND number >= ?2")?;
        let persons: Vec<Vec<u8>> = erased.query_map(params![Kind::Person.number(), since], |row| row.get(0))?.collect::<Result<_, _>>()?;
        persons.iter().try_for_each(|person| writer.erase_person(person))?;
        chain::append(connection, writer.vault, &of_server(AuditEvent::Restored, now), writer.today()).map(drop)
    });
    store.connection.execute_batch("DETACH DATABASE copy")?;
    merged?;
    // What came back must open.
    store.stored().map(drop)
}

/// A folder that goes with the value.
struct Desk(PathBuf);

impl Desk {
    fn new(dir: &Path) -> Result<Self, StoreError> {
        let desk = Self(dir.join(DESK));
        match fs::remove_dir_all(&desk.0) {
            Err(refused) if refused.kind() != io::ErrorKind::NotFound => return Err(system(&desk.0)(refused)),
            _ => {}
        }
        fs::DirBuilder::new().mode(0o700).create(&desk.0).map_err(system(&desk.0))?;
        Ok(desk)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // The next restore removes it, too.
        let _ = fs::remove_dir_all(&self.0);
    }
}
