//! Keys of the store: the master key opens the root key; names, chain, data keys of days come after it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::{StoreError, system};
use super::master::KeyPlace;
use super::rows::{Kind, RowKey};
use super::seal::{Digest, Key};
use crate::model::fields::RETENTION_MAX_DAYS;
use crate::model::ids::{RoomId, SubjectRef, TenantId};

/// Data keys that are kept open at a time.
const CACHE_MAX: usize = 512;
const ROOT: &[u8] = b"konsil root key";

/// What a data key is for: what goes by the clock has keys of its own, so that they can go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Rooms, tenants, keys, invitations, revocations, persons.
    Standing = 0,
    /// Session records, audit entries.
    Timed = 1,
}

/// The open keys of one store.
#[derive(Debug)]
pub(super) struct Vault {
    master: Key,
    sealed_root: Vec<u8>,
    root: Key,
    names: Key,
    pub(super) chain: Key,
    cache: BTreeMap<i64, Key>,
    /// Days for which tenants keep records, where they say so.
    pub(super) retention: BTreeMap<Digest, u8>,
}

impl Vault {
    /// Opens the store's root key with the master key, both of which are made for a new store.
    ///
    /// A rotation that a crash cut off is finished, or taken back.
    pub(super) fn open(connection: &Connection, store: &Path, place: &KeyPlace) -> Result<Self, StoreError> {
        let (key, next) = (place.read()?, if place.is_own() { place.next().read()? } else { None });
        let Some(sealed) = sealed_root(connection)? else {
            let master = key.map_or_else(|| place.make(), Ok)?;
            return Self::found(connection, master);
        };
        if let Some(master) = key.clone()
            && let Some(root) = open_root(&master, &sealed)
        {
            if next.is_some() {
                let left = place.next();
                fs::remove_file(left.path()).map_err(system(left.path()))?;
            }
            return Ok(Self::new(master, sealed, root));
        }
        if let Some(master) = next
            && let Some(root) = open_root(&master, &sealed)
        {
            fs::rename(place.next().path(), place.path()).map_err(system(place.path()))?;
            return Ok(Self::new(master, sealed, root));
        }
        let (store, key_path) = (store.to_owned(), place.path().to_owned());
        Err(if key.is_some() { StoreError::WrongKey { store, key: key_path } } else { StoreError::NoKey { store, key: key_path } })
    }

    /// Opens a store with whatever lies at `place`, and changes nothing.
    pub(super) fn open_beside(connection: &Connection, store: &Path, place: &KeyPlace) -> Result<Self, StoreError> {
        let (store, key) = (store.to_owned(), place.path().to_owned());
        let Some(sealed) = sealed_root(connection)? else { return Err(StoreError::NoStore(store)) };
        let Some(master) = place.read()? else { return Err(StoreError::NoKey { store, key }) };
        let root = open_root(&master, &sealed).ok_or(StoreError::WrongKey { store, key })?;
        Ok(Self::new(master, sealed, root))
    }

    fn found(connection: &Connection, master: Key) -> Result<Self, StoreError> {
        let root = Key::fresh()?;
        let sealed = master.seal(ROOT, root.bytes())?;
        connection.execute("INSERT INTO root (id, sealed) VALUES (1, ?1)", params![sealed])?;
        Ok(Self::new(master, sealed, root))
    }

    fn new(master: Key, sealed_root: Vec<u8>, root: Key) -> Self {
        let (names, chain) = (root.derive(b"names"), root.derive(b"chain"));
        Self { master, sealed_root, root, names, chain, cache: BTreeMap::new(), retention: BTreeMap::new() }
    }

    /// Whether both are the same store, at different times.
    pub(super) fn is_kin(&self, other: &Self) -> bool {
        self.root == other.root
    }

    /// Refuses to go on with a master key that another process replaced.
    pub(super) fn check(&self, connection: &Connection) -> Result<(), StoreError> {
        if sealed_root(connection)?.as_ref() == Some(&self.sealed_root) { Ok(()) } else { Err(StoreError::Rotated) }
    }

    /// Seals the root key and all data keys by another master key, inside the caller's transaction.
    pub(super) fn reseal(&mut self, connection: &Connection, master: Key) -> Result<(), StoreError> {
        self.sealed_root = master.seal(ROOT, self.root.bytes())?;
        connection.execute("UPDATE root SET sealed = ?1 WHERE id = 1", params![self.sealed_root])?;
        let mut all = connection.prepare("SELECT id, tenant, day, class, sealed FROM keys")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            let (id, tenant, day, class): (i64, Vec<u8>, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let key = self.master.open(&data_key_place(&tenant, day, class), &row.get::<_, Vec<u8>>(4)?);
            let sealed = master.seal(&data_key_place(&tenant, day, class), &key.ok_or(StoreError::Changed("a data key"))?)?;
            connection.execute("UPDATE keys SET sealed = ?1 WHERE id = ?2", params![sealed, id])?;
        }
        self.master = master;
        Ok(())
    }

    /// The keyed hash that stands for a record's key.
    pub(super) fn hash(&self, key: &RowKey) -> Digest {
        let kind = [u8::try_from(key.kind.number()).unwrap_or_default()];
        let parts: Vec<&[u8]> = [kind.as_slice()].into_iter().chain(key.parts.iter().map(Vec::as_slice)).collect();
        self.names.mac(&parts)
    }

    /// The keyed hash that stands for a room.
    pub(super) fn room(&self, id: &RoomId) -> Digest {
        self.hash(&RowKey::room(id))
    }

    /// The keyed hash that stands for a tenant, or for what belongs to none.
    pub(super) fn tenant(&self, id: Option<&TenantId>) -> Digest {
        id.map_or_else(|| self.names.mac(&[b"no tenant"]), |id| self.hash(&RowKey::tenant(id)))
    }

    /// The keyed hash that stands for a person.
    pub(super) fn person(&self, tenant: &TenantId, subject: &SubjectRef) -> Digest {
        let mut key = RowKey::subject(tenant, subject);
        key.kind = Kind::Person;
        self.hash(&key)
    }

    /// Seconds for which a tenant keeps records.
    pub(super) fn retention_s(&self, tenant: &Digest) -> u64 {
        u64::from(self.retention.get(tenant).copied().unwrap_or(RETENTION_MAX_DAYS)) * 86_400
    }

    /// The key of a tenant's day, made if it is not there.
    pub(super) fn of_day(&mut self, connection: &Connection, tenant: &Digest, day: i64, class: Class) -> Result<(i64, Key), StoreError> {
        let mut found = connection.prepare_cached("SELECT id FROM keys WHERE day = ?1 AND tenant = ?2 AND class = ?3")?;
        if let Some(id) = found.query_row(params![day, tenant, class as i64], |row| row.get(0)).optional()? {
            return Ok((id, self.key(connection, id)?));
        }
        let key = Key::fresh()?;
        let sealed = self.master.seal(&data_key_place(tenant, day, class as i64), key.bytes())?;
        let mut insert = connection.prepare_cached("INSERT INTO keys (tenant, day, class, sealed) VALUES (?1, ?2, ?3, ?4)")?;
        let id = insert.insert(params![tenant, day, class as i64, sealed])?;
        self.keep(id, &key);
        Ok((id, key))
    }

    /// The data key of this number.
    pub(super) fn key(&mut self, connection: &Connection, id: i64) -> Result<Key, StoreError> {
        if let Some(key) = self.cache.get(&id) {
            return Ok(key.clone());
        }
        let mut found = connection.prepare_cached("SELECT tenant, day, class, sealed FROM keys WHERE id = ?1")?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let row: Option<(Vec<u8>, i64, i64, Vec<u8>)> = found.query_row(params![id], read).optional()?;
        let (tenant, day, class, sealed) = row.ok_or(StoreError::Changed("a data key"))?;
        let open = self.master.open(&data_key_place(&tenant, day, class), &sealed);
        let key = open.and_then(|bytes| Key::from_slice(&bytes)).ok_or(StoreError::Changed("a data key"))?;
        self.keep(id, &key);
        Ok(key)
    }

    fn keep(&mut self, id: i64, key: &Key) {
        if self.cache.len() >= CACHE_MAX {
            self.cache.clear();
        }
        self.cache.insert(id, key.clone());
    }

    /// Forgets open keys: some may be of a transaction that was taken back, or gone.
    pub(super) fn forget(&mut self) {
        self.cache.clear();
    }
}

fn sealed_root(connection: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
    let mut found = connection.prepare_cached("SELECT sealed FROM root WHERE id = 1")?;
    Ok(found.query_row([], |row| row.get(0)).optional()?)
}

fn open_root(master: &Key, sealed: &[u8]) -> Option<Key> {
    Key::from_slice(&master.open(ROOT, sealed)?)
}

fn data_key_place(tenant: &[u8], day: i64, class: i64) -> Vec<u8> {
    [b"konsil data key".as_slice(), tenant, &day.to_be_bytes(), &class.to_be_bytes()].concat()
}
