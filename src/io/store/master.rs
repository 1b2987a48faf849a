//! The master key, which lies apart from what it seals.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::fault::{StoreError, system};
use super::seal::{KEY_LEN, Key};
use crate::io::files;

/// Name of the key in systemd's credentials folder.
pub const CREDENTIAL: &str = "konsil-master-key";
/// Largest key file that is read, in bytes.
const FILE_MAX: u64 = 256;

/// Where the master key lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    path: PathBuf,
    /// Whether a start may make the key, and a rotation may replace it.
    own: bool,
}

impl KeyPlace {
    /// The systemd credential if there is one in `credentials`, else `file`, else `<state>.key` beside the state folder.
    ///
    /// # Errors
    /// If the key would lie in the state folder, or that folder has no name.
    pub fn find(state: &Path, file: Option<&Path>, credentials: Option<&Path>) -> Result<Self, StoreError> {
        if let Some(path) = credentials.map(|folder| folder.join(CREDENTIAL)).filter(|path| path.exists()) {
            return Ok(Self { path, own: false });
        }
        let state = fs::canonicalize(state).map_err(system(state))?;
        let Some(file) = file else {
            let mut name = state.file_name().ok_or_else(|| StoreError::KeyInside(state.clone()))?.to_owned();
            name.push(".key");
            return Ok(Self { path: state.with_file_name(name), own: true });
        };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if fs::canonicalize(folder).is_ok_and(|folder| folder.starts_with(&state)) {
            return Err(StoreError::KeyInside(file.to_owned()));
        }
        Ok(Self { path: file.to_owned(), own: true })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether Konsil may write it: a systemd credential is the operator's.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// The key, `None` if it is not there.
    pub(super) fn read(&self) -> Result<Option<Key>, StoreError> {
        read(&self.path, self.own)
    }

    /// Makes the key, durably.
    pub(super) fn make(&self) -> Result<Key, StoreError> {
        let key = Key::fresh()?;
        write_new(&self.path, &key).map_err(|fault| StoreError::KeyNotMade { path: self.path.clone(), fault })?;
        Ok(key)
    }

    /// Where a rotation puts the next key until the store is sealed by it.
    pub(super) fn next(&self) -> Self {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        Self { path: self.path.with_file_name(name), own: self.own }
    }
}

/// Writes a new key to `path`, which must not exist, readable by its owner only.
///
/// # Errors
/// If the file exists or the system refuses.
pub fn make_key(path: &Path) -> Result<(), StoreError> {
    KeyPlace { path: path.to_owned(), own: true }.make().map(drop)
}

fn read(path: &Path, own: bool) -> Result<Option<Key>, StoreError> {
    let Some(bytes) = files::read(path, FILE_MAX).map_err(system(path))? else { return Ok(None) };
    let mode = fs::metadata(path).map_err(system(path))?.permissions().mode() & 0o777;
    if own && mode & 0o077 != 0 {
        return Err(StoreError::OpenKey { path: path.to_owned(), mode });
    }
    parse(&bytes).map(Some).ok_or_else(|| StoreError::NotAKey(path.to_owned()))
}

fn parse(bytes: &[u8]) -> Option<Key> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if text.len() != 2 * KEY_LEN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0; KEY_LEN];
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Key::new(key))
}

fn write_new(path: &Path, key: &Key) -> io::Result<()> {
    let mut text = String::with_capacity(2 * KEY_LEN + 1);
    for byte in key.bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    if path.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidFilename)?;
    files::write(folder, name, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::files::TestFolder;

    #[test]
    fn key_lies_beside_the_state_folder_unless_told_otherwise() {
        let folder = TestFolder::new();
        let state = folder.0.join("state");
        fs::create_dir(&state).unwrap();
        assert_eq!(KeyPlace::find(&state, None, None).unwrap().path(), folder.0.canonicalize().unwrap().join("state.key"));
        let file = folder.0.join("k");
        assert_eq!(KeyPlace::find(&state, Some(&file), Some(&folder.0)).unwrap().path(), file);
        fs::write(folder.0.join(CREDENTIAL), "").unwrap();
        let given = KeyPlace::find(&state, Some(&file), Some(&folder.0)).unwrap();
        assert_eq!((given.path(), given.is_own()), (folder.0.join(CREDENTIAL).as_path(), false));
        assert!(matches!(KeyPlace::find(&state, Some(&state.join("k")), None), Err(StoreError::KeyInside(_))));
        assert!(matches!(KeyPlace::find(Path::new("/"), None, None), Err(StoreError::KeyInside(_))));
    }

    #[test]
    fn keys_are_made_once_and_private() {
        let folder = TestFolder::new();
        let place = KeyPlace { path: folder.0.join("k"), own: true };
        assert!(place.read().unwrap().is_none());
        let made = place.make().unwrap();
        assert_eq!(place.read().unwrap(), Some(made));
        assert!(place.make().is_err());
        fs::set_permissions(&place.path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(place.read(), Err(StoreError::OpenKey { mode: 0o640, .. })));
        for text in ["", "ab", &"x".repeat(64), &"a".repeat(63)] {
            assert!(parse(text.as_bytes()).is_none());
        }
    }
}
