//! The command line as a shell sees it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test's own steps may fail loudly

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use konsil::access::jwt::{ApiKey, Keyring};
use konsil::access::role::Role;
use konsil::model::grants::Grants;
use konsil::model::ids::TenantId;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// An empty folder of one test.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn with_key(name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder(name);
    let file = path.join("api-key.json");
    fs::write(&file, format!(r#"{{"key":"APItest","secret":"{SECRET}"}}"#)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn konsil(dir: &Path, line: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_konsil"));
    command.args(line.split_whitespace()).current_dir(dir).env_clear().envs(variables.iter().copied());
    command.output().unwrap()
}

fn verified(output: &Output) -> Grants {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut ring = Keyring::new();
    ring.insert(TenantId::new("default").unwrap(), ApiKey::new("APItest".to_owned(), SECRET.to_owned()).unwrap()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    ring.verify(std::str::from_utf8(&output.stdout).unwrap().trim_end(), now).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn tokens_carry_what_was_asked_for() {
    let dir = with_key("token");
    let grants = verified(&konsil(&dir, "token --state . --room r --identity i --name N --role reception --ttl 5m", &[]));
    assert_eq!((Role::of(&grants), grants.name.as_str(), grants.room.unwrap().as_str()), (Some(Role::Reception), "N", "r"));
    assert!(!grants.can_publish && !grants.can_subscribe && grants.room_admin);
    let state = dir.display().to_string();
    assert!(verified(&konsil(&dir, "token --admin", &[("STATE_DIRECTORY", &state)])).room_create);
    assert!(verified(&konsil(&dir, "token --room r --identity i", &[("CREDENTIALS_DIRECTORY", &state)])).can_publish);
}

#[test]
fn misuse_ends_with_2_and_says_what_is_right() {
    let dir = folder("misuse");
    assert!(refused(&konsil(&dir, "token --admin", &[])).contains("start `konsil serve` once"));
    assert!(refused(&konsil(&dir, "token --ice --room r --identity i", &[])).contains("needs a running server"));
    assert!(refused(&konsil(&dir, "token --room r", &[])).contains("--identity"));
    assert!(refused(&konsil(&dir, "dance", &[])).contains("Usage"));
    assert!(konsil(&dir, "--help", &[]).status.success());
    assert!(!dir.join("konsil-state").exists());
}

#[test]
fn serve_tells_all_faults_of_its_configuration_before_it_touches_anything() {
    let dir = folder("serve");
    fs::write(dir.join("k.toml"), "[media]\nworkers = 99\n\n[rooms]\nmax_participant = 3\n").unwrap();
    let told = refused(&konsil(&dir, "serve --config k.toml", &[("KONSIL_HTTP_LISTEN", "here")]));
    assert!(told.contains("k.toml:2: media.workers = 99: must be a whole number between 1 and 32"), "{told}");
    assert!(told.contains("k.toml:5: rooms.max_participant: unknown key; did you mean rooms.max_participants?"), "{told}");
    assert!(told.contains("KONSIL_HTTP_LISTEN=here: must be an IP address with a port"), "{told}");
    assert!(refused(&konsil(&dir, "serve --config none.toml", &[])).contains("none.toml"));
    assert!(!dir.join("konsil-state").exists());
}
