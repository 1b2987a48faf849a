//! The file itself: how it is opened, which tables it has, how older ones become newer.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::fault::{StoreError, system};
use crate::io::files;

/// Name of the file in the state folder.
pub const NAME: &str = "konsil.db";
/// The newest format.
pub(super) const VERSION: i64 = 1;
/// Largest file in bytes, without the reserve.
pub(super) const FILE_MAX: u64 = 4 << 30;
/// Bytes of one page.
pub(super) const PAGE: u64 = 4096;
/// Pages of the write-ahead log that are put into the file at once: the log stays below the reserve.
const CHECKPOINT_PAGES: i64 = 256;
/// How long a process waits for another one's transaction.
const PATIENCE: Duration = Duration::from_secs(5);

/// One step a format: the first makes the tables, each further one changes them.
const STEPS: [&str; 1] = ["
    -- The root key, sealed by the master key.
    CREATE TABLE root (id INTEGER PRIMARY KEY CHECK (id = 1), sealed BLOB NOT NULL);
    -- Data keys of one tenant, day, class, sealed by the master key. Numbers never come twice.
    CREATE TABLE keys (
        id INTEGER PRIMARY KEY AUTOINCREMENT, tenant BLOB NOT NULL, day INTEGER NOT NULL, class INTEGER NOT NULL, sealed BLOB NOT NULL);
    CREATE INDEX keys_by_day ON keys (day, tenant, class);
    -- Sealed records. `hash` and `owner` are keyed hashes of the record's key, of the room it belongs to.
    CREATE TABLE records (
        kind INTEGER NOT NULL, hash BLOB NOT NULL, tenant BLOB NOT NULL, owner BLOB, expires INTEGER, key INTEGER NOT NULL REFERENCES keys (id),
        sealed BLOB NOT NULL, PRIMARY KEY (kind, hash));
    CREATE INDEX records_by_owner ON records (owner) WHERE owner IS NOT NULL;
    CREATE INDEX records_by_tenant ON records (tenant);
    CREATE INDEX records_by_end ON records (expires) WHERE expires IS NOT NULL;
    CREATE INDEX records_by_key ON records (key);
    -- Which rows refer to a person of whom a caller gave a reference: keyed hashes on both sides.
    CREATE TABLE refs (subject BLOB NOT NULL, kind INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (subject, kind, hash)) WITHOUT ROWID;
    CREATE INDEX refs_by_row ON refs (kind, hash);
    -- What was deleted or erased lately, so that an older copy cannot bring it back.
    CREATE TABLE gone (kind INTEGER NOT NULL, hash BLOB NOT NULL, number INTEGER NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY (kind, hash));
    CREATE INDEX gone_by_end ON gone (expires);
    -- The audit log. `mac` covers what the chain of digests does not.
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY, tenant BLOB NOT NULL, expires INTEGER NOT NULL, key INTEGER NOT NULL REFERENCES keys (id),
        body BLOB NOT NULL, body_digest BLOB NOT NULL, person BLOB, person_digest BLOB, digest BLOB NOT NULL, mac BLOB NOT NULL);
    CREATE INDEX audit_by_end ON audit (expires);
    CREATE INDEX audit_by_tenant ON audit (tenant);
    CREATE INDEX audit_by_key ON audit (key);
    CREATE TABLE checkpoints (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, before BLOB NOT NULL, after BLOB NOT NULL, mac BLOB NOT NULL);
    CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, digest BLOB NOT NULL, mac BLOB NOT NULL);
"];

/// Opens the file for reading, writing, and makes it (0600) if it is not there.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    // SQLite gives its helper files the mode and, as root, the owner of this one.
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(system(path))?;
    files::give_to_owner(path.parent().unwrap_or(path), path).map_err(system(path))?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Kept in the file's head, so it must come before the first table.
    connection.pragma_update(None, "page_size", PAGE.cast_signed())?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Broken { path: path.to_owned(), what: "the file system does not allow a write-ahead log".to_owned() });
    }
    migrate(&connection, path)?;
    Ok(connection)
}

/// Opens a file that is there beside whoever writes it.
pub(super) fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::NoStore(path.to_owned()));
    }
    // Even who only reads writes into the index of the write-ahead log.
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check_version(&connection, path)?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(64);
    prepare(&connection).map_err(|fault| match fault.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Broken { path: path.to_owned(), what: "this is no store of Konsil's, or a damaged one".to_owned() }
        }
        _ => fault.into(),
    })?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    // Reads the file's head, if nothing above did.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn check_version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let found = version(connection)?;
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    Ok(found)
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    if check_version(connection, path)? == VERSION {
        return Ok(());
    }
    in_transaction(connection, || {
        // Another process may have been faster.
        let found = usize::try_from(check_version(connection, path)?).unwrap_or(0);
        for step in STEPS.iter().skip(found) {
            connection.execute_batch(step)?;
        }
        Ok(connection.pragma_update(None, "user_version", VERSION)?)
    })
}

/// Does `work` whole or not at all; when it returns `Ok`, the disk has it.
pub(super) fn in_transaction<T>(connection: &Connection, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = work().and_then(|value| {
        connection.execute_batch("COMMIT")?;
        Ok(value)
    });
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done
}

/// Lets the file grow to so many bytes.
pub(super) fn set_bound(connection: &Connection, bytes: u64) -> Result<(), StoreError> {
    let pages = i64::try_from(bytes / PAGE).unwrap_or(i64::MAX);
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).optional()?;
    Ok(())
}

/// Puts the write-ahead log into the file, and leaves nothing of it; `false` if a reader is still in it.
pub(super) fn empty_log(connection: &Connection) -> Result<bool, StoreError> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// Where the file is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}
