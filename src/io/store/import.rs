//! The rooms that an earlier version kept in `rooms.json`, taken over once.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::fault::{StoreError, system};
use super::rows::{Mode, sid};
use crate::io::files;
use crate::model::ids::{RoomId, RoomName, TenantId};
use crate::model::record::{RoomMode, RoomRecord};

/// Most rooms that the file may have.
const ROOMS_MAX: usize = 100_000;
/// Largest file that is read, in bytes.
const FILE_MAX: u64 = 128 << 20;
const NAME: &str = "rooms.json";
const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    rooms: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    tenant: String,
    name: String,
    sid: String,
    mode: Mode,
    #[serde(default)]
    hide_addresses: Option<bool>,
    e2ee_required: bool,
    max_participants: u32,
    empty_timeout_s: u32,
    created_at_ms: u64,
}

impl Row {
    fn record(self) -> Option<RoomRecord> {
        let mode = RoomMode::from(self.mode);
        Some(RoomRecord {
            id: RoomId { tenant: TenantId::new(&self.tenant).ok()?, name: RoomName::new(&self.name).ok()? },
            sid: sid(&self.sid)?,
            mode,
            // A p2p room hides addresses unless it was made otherwise.
            hide_addresses: self.hide_addresses.unwrap_or(mode == RoomMode::P2p),
            e2ee_required: self.e2ee_required,
            max_participants: self.max_participants,
            empty_timeout_s: self.empty_timeout_s,
            created_at_ms: self.created_at_ms,
            lobby: false,
            not_before: None,
            not_after: None,
        })
    }
}

/// The rooms of the file, none if it is not there.
pub(super) fn read(dir: &Path) -> Result<Vec<RoomRecord>, StoreError> {
    let path = dir.join(NAME);
    let Some(bytes) = files::read(&path, FILE_MAX).map_err(system(&path))? else { return Ok(Vec::new()) };
    parsed(&bytes).map_err(|what| StoreError::Broken { path, what })
}

/// Removes the file, once its rooms are elsewhere.
pub(super) fn remove(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(NAME);
    match fs::remove_file(&path) {
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(fault) => Err(system(&path)(fault)),
        Ok(()) => fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(system(dir)),
    }
}

fn parsed(bytes: &[u8]) -> Result<Vec<RoomRecord>, String> {
    // The parser's own message may quote a room's name, so only its place is told.
    let document: Document =
        serde_json::from_slice(bytes).map_err(|fault| format!("broken at line {}, column {}", fault.line(), fault.column()))?;
    if document.version != VERSION {
        return Err(format!("written by another version of Konsil (format {}, not {VERSION})", document.version));
    }
    if document.rooms.len() > ROOMS_MAX {
        return Err(format!("more than {ROOMS_MAX} rooms"));
    }
    let record = |(number, row): (usize, Row)| row.record().ok_or_else(|| format!("room number {} has a name that cannot be", number + 1));
    document.rooms.into_iter().enumerate().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::files::TestFolder;

    const GOOD: &str = r#"{"tenant":"a","name":"Erika","sid":"RM_x","mode":"p2p","e2ee_required":true,"max_participants":2,"empty_timeout_s":300,"created_at_ms":7}"#;

    #[test]
    fn rooms_are_read_and_the_file_goes() {
        let folder = TestFolder::new();
        assert!(read(&folder.0).unwrap().is_empty());
        fs::write(folder.0.join(NAME), format!("{{\"version\":1,\"rooms\":[{GOOD}]}}")).unwrap();
        let rooms = read(&folder.0).unwrap();
        assert_eq!((rooms.len(), rooms[0].hide_addresses, rooms[0].created_at_ms), (1, true, 7));
        remove(&folder.0).unwrap();
        remove(&folder.0).unwrap();
        assert!(!folder.0.join(NAME).exists());
    }

    #[test]
    fn broken_files_are_refused_without_their_content_and_kept() {
        let folder = TestFolder::new();
        let path = folder.0.join(NAME);
        let texts = [
            "{\"version\":1,\"rooms\":[{\"name\":\"Erika\"".to_owned(),
            "{\"version\":1,\"rooms\":[{\"Erika\":1}]}".to_owned(),
            "{\"version\":2,\"rooms\":[]}".to_owned(),
            String::new(),
            format!("{{\"version\":1,\"rooms\":[{}]}}", GOOD.replace("RM_x", "")),
        ];
        for text in texts {
            fs::write(&path, &text).unwrap();
            let told = read(&folder.0).unwrap_err();
            assert!(matches!(told, StoreError::Broken { .. }), "{told}");
            assert!(!told.to_string().contains("Erika"));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
