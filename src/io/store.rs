//! The simple store behind `Persist` effects: one JSON file, rewritten whole.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files;
use crate::model::ids::{RoomId, RoomName, Sid, TenantId};
use crate::model::record::{RoomMode, RoomRecord, Write};

/// Most rooms in the store.
pub const ROOMS_MAX: usize = 100_000;
/// Largest file that is read, in bytes.
const FILE_MAX: u64 = 128 << 20;
/// Longest room SID that is read, in bytes.
const SID_MAX: usize = 64;
const NAME: &str = "rooms.json";
const VERSION: u32 = 1;

/// Why the store refuses. No message names a room.
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
    /// The file cannot be understood; it is left as it is.
    #[error("{path}: {what}; move the file away to start without rooms, or put a good copy in its place")]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What is wrong, without content of the file.
        what: String,
    },
    /// [`ROOMS_MAX`] rooms are stored.
    #[error("the store holds {ROOMS_MAX} rooms and takes no more")]
    Full,
}

/// The rooms on disk. Calls block until the disk has the change; afterwards it survives a power cut.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    rooms: BTreeMap<RoomId, RoomRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    rooms: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    tenant: String,
    name: String,
    sid: String,
    mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hide_addresses: Option<bool>,
    e2ee_required: bool,
    max_participants: u32,
    empty_timeout_s: u32,
    created_at_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Sfu,
    P2p,
}

impl Row {
    fn of(record: &RoomRecord) -> Self {
        Self {
            tenant: record.id.tenant.as_str().to_owned(),
            name: record.id.name.as_str().to_owned(),
            sid: record.sid.as_str().to_owned(),
            mode: match record.mode {
                RoomMode::Sfu => Mode::Sfu,
                RoomMode::P2p => Mode::P2p,
            },
            hide_addresses: (record.mode == RoomMode::P2p).then_some(record.hide_addresses),
            e2ee_required: record.e2ee_required,
            max_participants: record.max_participants,
            empty_timeout_s: record.empty_timeout_s,
            created_at_ms: record.created_at_ms,
        }
    }

    fn record(self) -> Option<RoomRecord> {
        let id = RoomId { tenant: TenantId::new(&self.tenant).ok()?, name: RoomName::new(&self.name).ok()? };
        if self.sid.is_empty() || self.sid.len() > SID_MAX {
            return None;
        }
        Some(RoomRecord {
            id,
            sid: Sid::from_client(&self.sid),
            mode: match self.mode {
                Mode::Sfu => RoomMode::Sfu,
                Mode::P2p => RoomMode::P2p,
            },
            // A p2p room hides addresses unless it was made otherwise.
            hide_addresses: self.hide_addresses.unwrap_or(matches!(self.mode, Mode::P2p)),
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

impl Store {
    /// Opens the store in the folder `dir`, which must exist, and tells what it holds.
    ///
    /// # Errors
    /// If the file cannot be read or understood; nothing is overwritten then.
    pub fn open(dir: &Path) -> Result<(Self, Vec<RoomRecord>), StoreError> {
        let path = dir.join(NAME);
        let bytes = files::read(&path, FILE_MAX).map_err(|fault| StoreError::System { path: path.clone(), fault })?;
        let rooms = match bytes {
            Some(bytes) => parsed(&bytes).map_err(|what| StoreError::Broken { path, what })?,
            None => BTreeMap::new(),
        };
        let records = rooms.values().cloned().collect();
        Ok((Self { dir: dir.to_owned(), rooms }, records))
    }

    /// Writes what this store can hold.
    ///
    /// # Errors
    /// If the store is full or the disk refuses.
    pub fn apply(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        for write in writes {
            match write {
                Write::PutRoom(record) => self.put_room(record)?,
                Write::DeleteRoom(id) => self.delete_room(id)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Stores a room, in place of an older record of the same id.
    ///
    /// # Errors
    /// If the store is full or the disk refuses; the room is not stored then.
    pub fn put_room(&mut self, record: &RoomRecord) -> Result<(), StoreError> {
        if self.rooms.len() >= ROOMS_MAX && !self.rooms.contains_key(&record.id) {
            return Err(StoreError::Full);
        }
        let before = self.rooms.insert(record.id.clone(), record.clone());
        self.write().inspect_err(|_| match before {
            Some(before) => drop(self.rooms.insert(record.id.clone(), before)),
            None => drop(self.rooms.remove(&record.id)),
        })
    }

    /// Forgets a room; one that is not there is no fault.
    ///
    /// # Errors
    /// If the disk refuses; the room is still stored then.
    pub fn delete_room(&mut self, id: &RoomId) -> Result<(), StoreError> {
        let Some(before) = self.rooms.remove(id) else { return Ok(()) };
        self.write().inspect_err(|_| drop(self.rooms.insert(id.clone(), before)))
    }

    fn write(&self) -> Result<(), StoreError> {
        let document = Document { version: VERSION, rooms: self.rooms.values().map(Row::of).collect() };
        let bytes = serde_json::to_vec(&document).map_err(io::Error::from);
        let written = bytes.and_then(|bytes| files::write(&self.dir, NAME, &bytes));
        written.map_err(|fault| StoreError::System { path: self.dir.join(NAME), fault })
    }
}

fn parsed(bytes: &[u8]) -> Result<BTreeMap<RoomId, RoomRecord>, String> {
    // The parser's own message may quote a room's name, so only its place is told.
    let document: Document =
        serde_json::from_slice(bytes).map_err(|fault| format!("broken at line {}, column {}", fault.line(), fault.column()))?;
    if document.version != VERSION {
        return Err(format!("written by another version of Konsil (format {}, not {VERSION})", document.version));
    }
    if document.rooms.len() > ROOMS_MAX {
        return Err(format!("more than {ROOMS_MAX} rooms"));
    }
    let mut rooms = BTreeMap::new();
    for (number, row) in document.rooms.into_iter().enumerate() {
        let record = row.record().ok_or_else(|| format!("room number {} has a name that cannot be", number + 1))?;
        if rooms.insert(record.id.clone(), record).is_some() {
            return Err(format!("room number {} is there twice", number + 1));
        }
    }
    Ok(rooms)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::io::files::TestFolder;

    fn record(tenant: &str, name: &str, max_participants: u32) -> RoomRecord {
        RoomRecord {
            id: RoomId { tenant: TenantId::new(tenant).unwrap(), name: RoomName::new(name).unwrap() },
            sid: Sid::from_client("RM_x"),
            mode: RoomMode::Sfu,
            hide_addresses: false,
            e2ee_required: true,
            max_participants,
            empty_timeout_s: 300,
            created_at_ms: 1_750_000_000_123,
            lobby: false,
            not_before: None,
            not_after: None,
        }
    }

    #[test]
    fn rooms_outlive_the_store() {
        let folder = TestFolder::new();
        let (mut store, empty) = Store::open(&folder.0).unwrap();
        assert!(empty.is_empty());
        for (tenant, name, most) in [("a", "r", 2), ("b", "r", 3), ("a", "s", 4), ("a", "r", 5)] {
            store.put_room(&record(tenant, name, most)).unwrap();
        }
        store.delete_room(&record("a", "s", 4).id).unwrap();
        store.delete_room(&record("a", "none", 4).id).unwrap();
        let (_, rooms) = Store::open(&folder.0).unwrap();
        assert_eq!(rooms, [record("a", "r", 5), record("b", "r", 3)]);
    }

    #[test]
    fn modes_and_what_they_hide_are_kept() {
        let folder = TestFolder::new();
        let (mut store, _) = Store::open(&folder.0).unwrap();
        let p2p = |name, hide_addresses| RoomRecord { mode: RoomMode::P2p, hide_addresses, ..record("a", name, 2) };
        let rooms = [p2p("hidden", true), p2p("open", false), record("a", "sfu", 9)];
        rooms.iter().for_each(|room| store.put_room(room).unwrap());
        assert_eq!(Store::open(&folder.0).unwrap().1, rooms);
        let text = fs::read_to_string(folder.0.join(NAME)).unwrap();
        fs::write(folder.0.join(NAME), text.replace(",\"hide_addresses\":true", "")).unwrap();
        assert_eq!(Store::open(&folder.0).unwrap().1, rooms, "unsaid is hidden");
    }

    #[test]
    fn broken_files_are_refused_without_content_and_left_alone() {
        let folder = TestFolder::new();
        let path = folder.0.join(NAME);
        let good = serde_json::to_string(&Row::of(&record("a", "Erika", 2))).unwrap();
        let texts = [
            "{\"version\":1,\"rooms\":[{\"name\":\"Erika\"".to_owned(),
            "{\"version\":1,\"rooms\":[{\"Erika\":1}]}".to_owned(),
            "{\"version\":2,\"rooms\":[]}".to_owned(),
            String::new(),
            format!("{{\"version\":1,\"rooms\":[{good},{good}]}}"),
            format!("{{\"version\":1,\"rooms\":[{}]}}", good.replace("RM_x", "")),
        ];
        for text in texts {
            fs::write(&path, &text).unwrap();
            let told = Store::open(&folder.0).unwrap_err();
            assert!(matches!(told, StoreError::Broken { .. }), "{told}");
            assert!(!told.to_string().contains("Erika"));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn refused_changes_are_not_remembered() {
        let folder = TestFolder::new();
        let (mut store, _) = Store::open(&folder.0).unwrap();
        store.put_room(&record("a", "r", 2)).unwrap();
        // A folder in the place of the temporary file stops even root from writing.
        fs::create_dir(folder.0.join(".rooms.json.new")).unwrap();
        assert!(store.put_room(&record("a", "r", 9)).is_err());
        assert!(store.put_room(&record("a", "s", 9)).is_err());
        assert!(store.delete_room(&record("a", "r", 2).id).is_err());
        assert_eq!(store.rooms.into_values().collect::<Vec<_>>(), Store::open(&folder.0).unwrap().1);
    }

    #[test]
    fn full_store_takes_no_new_room() {
        let folder = TestFolder::new();
        let (mut store, _) = Store::open(&folder.0).unwrap();
        store.rooms = (0..ROOMS_MAX).map(|number| record("a", &number.to_string(), 2)).map(|room| (room.id.clone(), room)).collect();
        assert!(matches!(store.put_room(&record("a", "more", 2)), Err(StoreError::Full)));
        assert!(store.put_room(&record("a", "0", 3)).is_ok());
    }
}
