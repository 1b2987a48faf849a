//! A new master key in place of the old one.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use super::fault::{StoreError, system};
use super::master::KeyPlace;
use super::{Store, chain, of_server, schema};
use crate::model::audit::AuditEvent;

/// Seals the store of `dir` by a new master key. The caller holds the state folder's lock.
///
/// The new key is on disk before anything is sealed by it, and all is sealed in one transaction; then it takes the place
/// of the old one. Whatever a crash leaves, the next start finds a key that opens the store. With `to` the new key is
/// written there and stays there: so it must be for a systemd credential, which is the operator's.
///
/// # Errors
/// If the store does not open, the key has no place, or the disk refuses; the old key is good then.
pub fn rotate(dir: &Path, place: &KeyPlace, to: Option<&Path>, now: Duration) -> Result<(), StoreError> {
    let next = match to {
        Some(file) => KeyPlace::find(dir, Some(file), None)?,
        None if place.is_own() => place.next(),
        None => {
            let what =
                "the master key is a systemd credential: name a file for the new one by --to, and give that as credential afterwards";
            return Err(StoreError::Copy(what.to_owned()));
        }
    };
    if !schema::path(dir).exists() {
        return Err(StoreError::NoStore(schema::path(dir)));
    }
    let (mut store, _) = Store::open(dir, place, now)?;
    let key = next.make()?;
    store.transaction(now, |writer| {
        writer.vault.reseal(writer.connection, key)?;
        chain::append(writer.connection, writer.vault, &of_server(AuditEvent::MasterKeyRotated, now), writer.today()).map(drop)
    })?;
    schema::empty_log(&store.connection)?;
    drop(store);
    if to.is_none() {
        let path = place.path();
        fs::rename(next.path(), path).map_err(system(path))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(system(folder))?;
    }
    Ok(())
}
