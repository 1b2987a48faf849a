//! Files that are whole or absent, readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::Path;

/// Writes `bytes` to `dir/name`, mode 0600, so that after any crash the old or the new file is there.
///
/// It returns when the disk has it. Only one writer per name may run; the state folder's lock sees to that.
pub(super) fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let fresh = dir.join(format!(".{name}.new"));
    match fs::remove_file(&fresh) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// Reads a file of at most `max` bytes; `None` if it is not there.
pub(super) fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the file has more than {max} bytes")));
    }
    Ok(Some(bytes))
}

/// Gives a file that root made in `dir` to whoever `dir` belongs to: a service that is not root must be able to go on with it.
pub(super) fn give_to_owner(dir: &Path, path: &Path) -> io::Result<()> {
    let (dir, file) = (fs::metadata(dir)?, fs::metadata(path)?);
    if file.uid() == 0 && dir.uid() != 0 {
        chown(path, Some(dir.uid()), Some(dir.gid()))?;
    }
    Ok(())
}

/// An empty folder for one test, removed with the value.
#[cfg(test)]
pub(super) struct TestFolder(pub(super) std::path::PathBuf);

#[cfg(test)]
impl TestFolder {
    pub(super) fn new() -> Self {
        let mut tag = [0; 8];
        getrandom::fill(&mut tag).unwrap();
        let path = std::env::temp_dir().join(format!("konsil-test-{:016x}", u64::from_ne_bytes(tag)));
        std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(&path).unwrap();
        Self(path)
    }
}

#[cfg(test)]
impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_replaced_whole_and_private() {
        let folder = TestFolder::new();
        fs::write(folder.0.join(".a.new"), "left by a crash").unwrap();
        write(&folder.0, "a", b"one").unwrap();
        write(&folder.0, "a", b"two").unwrap();
        assert_eq!(read(&folder.0.join("a"), 3).unwrap(), Some(b"two".to_vec()));
        assert_eq!(fs::metadata(folder.0.join("a")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn reading_is_bounded() {
        let folder = TestFolder::new();
        assert_eq!(read(&folder.0.join("a"), 3).unwrap(), None);
        write(&folder.0, "a", b"four").unwrap();
        assert_eq!(read(&folder.0.join("a"), 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
