//! The state folder: its lock, the API key, the self-signed certificate, `run.json`.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files;
use super::tls::{Pem, TlsError};
use crate::access::key::{ApiKey, KeyError};
use crate::model::chance::Chance;

/// Name of the key file in the state folder and in systemd's credentials folder.
pub const API_KEY: &str = "api-key.json";
const RUN: &str = "run.json";
const LOCK: &str = "lock";
/// Largest key, certificate or run file that is read, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused.
    #[error("{path}: {fault}")]
    System {
        /// Which file or folder.
        path: PathBuf,
        /// The system's answer.
        fault: io::Error,
    },
    /// Another server holds the lock.
    #[error("another Konsil server runs on the state folder {0}: stop it, or name another folder with --state")]
    Locked(PathBuf),
    /// Other users could change or read what is there.
    #[error("{path} has mode {mode:o}, so other users could {what} it: run chmod {right} on it")]
    Open {
        /// Which file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they could do.
        what: &'static str,
        /// The mode that is right.
        right: &'static str,
    },
    /// No server has made a key yet.
    #[error("{0} is not there: start `konsil serve` once, or name its state folder with --state")]
    NoKey(PathBuf),
    /// The key file is not `{"key","secret"}`.
    #[error("{0} must be JSON with the texts \"key\" and \"secret\"")]
    NotAKey(PathBuf),
    /// The key breaks a rule.
    #[error("{path}: {fault}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// The rule.
        fault: KeyError,
    },
    /// The system has no randomness.
    #[error("the system's randomness failed: {0}")]
    Random(getrandom::Error),
    /// A certificate could not be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

fn system(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    |fault| StateError::System { path, fault }
}

/// The state folder while this process holds its lock.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    _lock: File,
}

/// Where a running server is found: the content of `run.json`. It has no `Debug`, for the link's sake.
#[derive(Clone, Serialize, Deserialize)]
pub struct Run {
    /// Process id.
    pub pid: u32,
    /// Real address of the HTTPS listener.
    pub https: String,
    /// Real addresses of the UDP listeners.
    pub udp: Vec<String>,
    /// Real address of the metrics listener.
    pub metrics: String,
    /// The page's URL.
    pub page: String,
    /// A link that lets its holder into a room as host; secret, hence mode 0600.
    pub host_link: String,
}

/// `run.json`, removed with this value.
#[derive(Debug)]
pub struct RunFile(PathBuf);

impl Drop for RunFile {
    fn drop(&mut self) {
        // At the end of the process nobody is left to tell; the next start removes it too.
        let _ = fs::remove_file(&self.0);
    }
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    key: String,
    secret: String,
}

impl State {
    /// Makes the folder (0700) if it is not there, locks it, and removes what a crash left.
    ///
    /// # Errors
    /// If another server holds the lock, if other users may write there, or if the system refuses.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(system(dir))?;
        let mode = fs::metadata(dir).map_err(system(dir))?.permissions().mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(StateError::Open { path: dir.to_owned(), mode, what: "change", right: "700" });
        }
        let path = dir.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(system(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::Locked(dir.to_owned())),
            Err(TryLockError::Error(fault)) => return Err(system(&path)(fault)),
        }
        let run = dir.join(RUN);
        match fs::remove_file(&run) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(system(&run)(fault)),
            _ => {}
        }
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The API key of `credentials` (systemd's `$CREDENTIALS_DIRECTORY`), else the folder's, made if it is not there.
    ///
    /// # Errors
    /// As [`read_api_key`], except that a missing key is made.
    pub fn api_key(&self, credentials: Option<&Path>) -> Result<ApiKey, StateError> {
        match read_api_key(&self.dir, credentials) {
            Err(StateError::NoKey(_)) => {}
            other => return other,
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(StateError::Random)?;
        let key = ApiKey::make(&mut Chance::new(seed));
        self.write(API_KEY, &KeyFile { key: key.key.clone(), secret: key.secret.expose().to_owned() })?;
        Ok(key)
    }

    /// The self-signed pair in `tls/`, made anew if it lacks an address or ends within 30 days.
    ///
    /// # Errors
    /// If the files can neither be read nor made.
    pub fn certificate(&self, advertised: &[IpAddr], now: Duration) -> Result<Pem, StateError> {
        let dir = self.dir.join("tls");
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(system(&dir))?;
        let read = |name: &str| files::read(&dir.join(name), FILE_MAX).map_err(system(&dir.join(name)));
        if let (Some(cert), Some(key)) = (read("cert.pem")?, read("key.pem")?) {
            let pem = Pem { cert, key };
            if pem.serves(advertised, now) {
                return Ok(pem);
            }
        }
        let pem = Pem::self_signed(advertised, now)?;
        // A crash between the two leaves a pair that does not fit, which the next start replaces.
        files::write(&dir, "key.pem", &pem.key).map_err(system(&dir.join("key.pem")))?;
        files::write(&dir, "cert.pem", &pem.cert).map_err(system(&dir.join("cert.pem")))?;
        Ok(pem)
    }

    /// Writes `run.json` for those who wait until the server is ready.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn announce(&self, run: &Run) -> Result<RunFile, StateError> {
        self.write(RUN, run)?;
        Ok(RunFile(self.dir.join(RUN)))
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), StateError> {
        let bytes = serde_json::to_vec_pretty(value).map_err(io::Error::from);
        bytes.and_then(|bytes| files::write(&self.dir, name, &bytes)).map_err(system(&self.dir.join(name)))
    }
}

/// Reads what a running server tells of itself, `None` if none runs.
///
/// # Errors
/// If the file cannot be read or is not what a server wrote.
pub fn read_run(dir: &Path) -> Result<Option<Run>, StateError> {
    let path = dir.join(RUN);
    let Some(bytes) = files::read(&path, FILE_MAX).map_err(system(&path))? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|fault| system(&path)(fault.into()))
}

/// Reads the API key without the folder's lock: from `credentials` if it is there, else from the state folder.
///
/// # Errors
/// If there is none, if other users could read it, or if it is no key.
pub fn read_api_key(dir: &Path, credentials: Option<&Path>) -> Result<ApiKey, StateError> {
    let own = dir.join(API_KEY);
    let given = credentials.map(|folder| folder.join(API_KEY)).filter(|path| path.exists());
    let mode = fs::metadata(&own).map_or(0, |data| data.permissions().mode() & 0o777);
    if given.is_none() && mode & 0o077 != 0 {
        return Err(StateError::Open { path: own, mode, what: "read", right: "600" });
    }
    let path = given.unwrap_or(own);
    let bytes = files::read(&path, FILE_MAX).map_err(system(&path))?.ok_or_else(|| StateError::NoKey(path.clone()))?;
    let file: KeyFile = serde_json::from_slice(&bytes).map_err(|_| StateError::NotAKey(path.clone()))?;
    ApiKey::new(file.key, file.secret).map_err(|fault| StateError::Key { path, fault })
}

/// Reads the operator's own certificate.
///
/// # Errors
/// If a file is missing or cannot be read.
pub fn read_certificate(cert: &Path, key: &Path) -> Result<Pem, StateError> {
    let read = |path: &Path| {
        let missing = || system(path)(io::ErrorKind::NotFound.into());
        files::read(path, FILE_MAX).map_err(system(path))?.ok_or_else(missing)
    };
    Ok(Pem { cert: read(cert)?, key: read(key)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::files::TestFolder;

    const NOW: Duration = Duration::from_secs(1_750_000_000);

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folder_is_made_private_and_held_by_one() {
        let folder = TestFolder::new();
        let dir = folder.0.join("a/state");
        let state = State::open(&dir).unwrap();
        assert_eq!(mode(&dir), 0o700);
        assert!(State::open(&dir).unwrap_err().to_string().starts_with("another Konsil server runs on the state folder"));
        drop(state);
        assert!(State::open(&dir).is_ok());
    }

    #[test]
    fn folder_that_others_may_change_is_refused() {
        let folder = TestFolder::new();
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(State::open(&folder.0), Err(StateError::Open { mode: 0o770, .. })));
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(State::open(&folder.0).is_ok());
    }

    #[test]
    fn key_is_made_once() {
        let folder = TestFolder::new();
        let state = State::open(&folder.0).unwrap();
        assert!(matches!(read_api_key(&folder.0, None), Err(StateError::NoKey(_))));
        let made = state.api_key(None).unwrap();
        let read = state.api_key(None).unwrap();
        assert_eq!((made.key.as_str(), made.secret.expose()), (read.key.as_str(), read.secret.expose()));
        assert_eq!(mode(&folder.0.join(API_KEY)), 0o600);
        let other = TestFolder::new();
        assert_ne!(State::open(&other.0).unwrap().api_key(None).unwrap().key, made.key);
    }

    #[test]
    fn credentials_win_over_the_folder() {
        let (folder, credentials) = (TestFolder::new(), TestFolder::new());
        let state = State::open(&folder.0).unwrap();
        let own = state.api_key(Some(&credentials.0)).unwrap();
        let text = format!(r#"{{"key":"given","secret":"{}"}}"#, "s".repeat(32));
        fs::write(credentials.0.join(API_KEY), text).unwrap();
        assert_eq!(state.api_key(Some(&credentials.0)).unwrap().key, "given");
        assert_eq!(state.api_key(None).unwrap().key, own.key);
    }

    #[test]
    fn bad_key_files_are_refused_without_their_content() {
        let folder = TestFolder::new();
        let state = State::open(&folder.0).unwrap();
        let path = folder.0.join(API_KEY);
        for text in ["", "{}", r#"{"key":"k"}"#, r#"{"key":"k","secret":"hush"}"#, r#"{"key":"","secret":"hush"}"#] {
            files::write(&folder.0, API_KEY, text.as_bytes()).unwrap();
            let told = state.api_key(None).unwrap_err().to_string();
            assert!(told.contains(API_KEY) && !told.contains("hush"), "{told}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(state.api_key(None), Err(StateError::Open { mode: 0o644, .. })));
    }

    #[test]
    fn certificate_is_kept_until_an_address_or_time_asks_for_another() {
        let folder = TestFolder::new();
        let state = State::open(&folder.0).unwrap();
        let first = state.certificate(&[], NOW).unwrap();
        assert_eq!(state.certificate(&[], NOW).unwrap().cert, first.cert);
        assert_eq!((mode(&folder.0.join("tls")), mode(&folder.0.join("tls/key.pem"))), (0o700, 0o600));
        let address: IpAddr = "203.0.113.7".parse().unwrap();
        let second = state.certificate(&[address], NOW).unwrap();
        assert_ne!(second.cert, first.cert);
        assert_eq!(state.certificate(&[], NOW).unwrap().cert, second.cert);
        assert_ne!(state.certificate(&[], NOW + Duration::from_hours(380 * 24)).unwrap().cert, second.cert);
        fs::write(folder.0.join("tls/key.pem"), "broken").unwrap();
        assert!(state.certificate(&[], NOW).is_ok());
    }

    #[test]
    fn run_file_lives_as_long_as_the_server() {
        let folder = TestFolder::new();
        let path = folder.0.join(RUN);
        fs::write(&path, "left by a crash").unwrap();
        let state = State::open(&folder.0).unwrap();
        assert!(!path.exists());
        let text = |text: &str| text.to_owned();
        let run = Run { pid: 7, https: text("a"), udp: vec![text("b")], metrics: text("c"), page: text("d"), host_link: text("e") };
        let file = state.announce(&run).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read, serde_json::json!({"pid": 7, "https": "a", "udp": ["b"], "metrics": "c", "page": "d", "host_link": "e"}));
        assert_eq!(mode(&path), 0o600);
        drop(file);
        assert!(!path.exists());
    }
}
