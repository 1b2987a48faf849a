//! Space that is kept back, so that what must be written finds some on a full disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;

use super::fault::{StoreError, system};
use crate::io::files;

/// Name of the file in the state folder.
const NAME: &str = "konsil.reserve";
/// Bytes that are kept back: some ten thousand audit entries with the write-ahead log that they go through.
pub(super) const RESERVE: u64 = 16 << 20;

/// A file that does nothing but take up space.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    held: bool,
}

impl Ballast {
    /// Takes the space, if there is so much.
    pub(super) fn new(dir: &Path) -> Result<Self, StoreError> {
        let mut ballast = Self { path: dir.join(NAME), held: false };
        ballast.take()?;
        Ok(ballast)
    }

    /// Whether the space is kept back, rather than given to what must be written.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Takes the space (back), if there is so much. Returns whether it is held.
    pub(super) fn take(&mut self) -> Result<bool, StoreError> {
        if self.held {
            return Ok(true);
        }
        match self.allocate() {
            Ok(()) => self.held = true,
            Err(fault) if matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => self.give()?,
            Err(fault) => return Err(system(&self.path)(fault)),
        }
        Ok(self.held)
    }

    fn allocate(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path)?;
        files::give_to_owner(self.path.parent().unwrap_or(&self.path), &self.path)?;
        posix_fallocate(&file, 0, RESERVE.cast_signed())?;
        file.sync_all()
    }

    /// Gives the space to whatever is written next.
    pub(super) fn give(&mut self) -> Result<(), StoreError> {
        self.held = false;
        match fs::remove_file(&self.path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(system(&self.path)(fault)),
            _ => self.path.parent().map_or(Ok(()), |dir| File::open(dir).and_then(|dir| dir.sync_all()).map_err(system(dir))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::files::TestFolder;

    #[test]
    fn space_is_taken_given_and_taken_back() {
        let folder = TestFolder::new();
        let mut ballast = Ballast::new(&folder.0).unwrap();
        assert!(ballast.is_held());
        assert_eq!(fs::metadata(folder.0.join(NAME)).unwrap().len(), RESERVE);
        ballast.give().unwrap();
        assert!(!ballast.is_held() && !folder.0.join(NAME).exists());
        assert!(ballast.take().unwrap() && folder.0.join(NAME).exists());
    }
}
