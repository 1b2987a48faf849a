//! Why the store refuses, without a word of what it holds.

use std::io;
use std::path::{Path, PathBuf};

/// Why the store refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("{path}: {fault}")]
    System {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        fault: io::Error,
    },
    /// The system has no randomness.
    #[error("the system's randomness failed: {0}")]
    Random(getrandom::Error),
    /// `SQLite` refused. Its messages name tables and columns, never values.
    #[error("the store refuses: {0}")]
    Database(#[from] rusqlite::Error),
    /// Cryptography refused, which it never should.
    #[error("the store could not seal a row")]
    Sealing,
    /// A sealed row does not open: somebody changed it.
    #[error("a row of the store ({0}) was changed by other hands than Konsil's: put back a backup with `konsil restore`")]
    Changed(&'static str),
    /// A file cannot be understood; it is left as it is.
    #[error("{path}: {what}; move the file away to start without what it holds, or put a good copy in its place")]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What is wrong, without content of the file.
        what: String,
    },
    /// A later version of Konsil wrote the file.
    #[error("{path} was written by a later version of Konsil (format {found}, this one knows {known}): install that version again")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// The key file is not there, though there is something that it seals.
    #[error(
        "{store} is sealed, and its master key {key} is not there: put the key back, name it by store.key_file, or give it as systemd credential konsil-master-key"
    )]
    NoKey {
        /// What is sealed.
        store: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// The key file does not hold a key.
    #[error("{0} must hold a master key: 64 hexadecimal digits, as `konsil store make-key` writes them")]
    NotAKey(PathBuf),
    /// Other users could read the key.
    #[error("{path} has mode {mode:o}, so other users could read it: run chmod 600 on it")]
    OpenKey {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key lies in the folder whose content it seals.
    #[error("the master key {0} must not lie in the state folder: whoever copied that folder could read it")]
    KeyInside(PathBuf),
    /// No key could be made.
    #[error(
        "the master key {path} could not be made ({fault}): make one with `konsil store make-key FILE` where the server may read it, and name it by store.key_file or give it as systemd credential konsil-master-key"
    )]
    KeyNotMade {
        /// Where it should be.
        path: PathBuf,
        /// The system's answer.
        fault: io::Error,
    },
    /// The key opens another store.
    #[error("the master key {key} does not open {store}: it belongs to another store, or was rotated since")]
    WrongKey {
        /// What is sealed.
        store: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The master key was rotated by another process.
    #[error("the master key of the store was rotated meanwhile: start again")]
    Rotated,
    /// There is no store yet.
    #[error("{0} is not there: start `konsil serve` once, or name its state folder with --state")]
    NoStore(PathBuf),
    /// What stands in the way of a backup, or of putting one back.
    #[error("{0}")]
    Copy(String),
}

impl StoreError {
    /// Whether starting again cannot help: an operator must do something first.
    #[must_use]
    pub fn lasts(&self) -> bool {
        !matches!(self, Self::System { .. } | Self::Random(_) | Self::Database(_) | Self::Sealing | Self::Rotated)
    }

    /// Whether the disk, or what the store may have of it, is full.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Database(rusqlite::Error::SqliteFailure(fault, _)) => {
                // Where a write fails for want of space, the extended code is that of the write.
                fault.code == rusqlite::ErrorCode::DiskFull
            }
            Self::System { fault, .. } => matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded),
            _ => false,
        }
    }
}

pub(super) fn system(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    |fault| StoreError::System { path, fault }
}
