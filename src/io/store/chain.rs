//! The audit log: each entry's digest goes on from the one before it, over digests of entries that can go alone.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::StoreError;
use super::rows::{self, Kind};
use super::seal::{Digest, Key, sha256};
use super::vault::{Class, Vault};
use crate::model::audit::AuditEntry;

/// What the first entry goes on from.
const GENESIS: Digest = [0; 32];

/// The newest entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 if there is none.
    pub number: i64,
    /// Its digest.
    pub digest: [u8; 32],
}

/// What checking the log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry is as it was written, or stood for by a checkpoint.
    Intact {
        /// Entries that are there.
        entries: u64,
        /// The newest one.
        head: Head,
    },
    /// Somebody changed the log.
    Broken {
        /// The first entry that is not as it was written.
        number: i64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// One row of the log.
pub(super) struct Link {
    pub(super) number: i64,
    pub(super) tenant: Vec<u8>,
    pub(super) expires: i64,
    pub(super) key: i64,
    pub(super) body: Vec<u8>,
    pub(super) body_digest: Vec<u8>,
    pub(super) person: Option<Vec<u8>>,
    pub(super) person_digest: Option<Vec<u8>>,
    pub(super) digest: Vec<u8>,
    pub(super) mac: Vec<u8>,
}

pub(super) const COLUMNS: &str = "number, tenant, expires, key, body, body_digest, person, person_digest, digest, mac";

impl Link {
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            tenant: row.get(1)?,
            expires: row.get(2)?,
            key: row.get(3)?,
            body: row.get(4)?,
            body_digest: row.get(5)?,
            person: row.get(6)?,
            person_digest: row.get(7)?,
            digest: row.get(8)?,
            mac: row.get(9)?,
        })
    }

    /// What blobs of this entry are bound to.
    fn place(&self, what: &[u8]) -> Vec<u8> {
        [b"konsil audit ", what, &self.number.to_be_bytes(), &self.tenant, &self.key.to_be_bytes()].concat()
    }

    fn chained(&self, before: &[u8]) -> Digest {
        let person = self.person_digest.as_deref().unwrap_or_default();
        sha256(&[b"konsil audit 1", before, &self.number.to_be_bytes(), &self.body_digest, person])
    }

    /// Over what the chain leaves out: it may change, by Konsil's hands only.
    fn signed(&self, chain: &Key) -> Digest {
        let person = [u8::from(self.person.is_some()), u8::from(self.person_digest.is_some())];
        let numbers = [self.number.to_be_bytes(), self.expires.to_be_bytes(), self.key.to_be_bytes()].concat();
        chain.mac(&[b"entry", &numbers, &self.tenant, &person, &self.digest])
    }

    /// The texts, if they are as they were sealed.
    fn open(&self, key: &Key) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let opened = |what: &[u8], sealed: &[u8], digest: &[u8]| {
            let plain = key.open(&self.place(what), sealed)?;
            (key.commit(sealed, &plain) == digest).then_some(plain)
        };
        let body = opened(b"body", &self.body, &self.body_digest)?;
        match (&self.person, &self.person_digest) {
            (None, _) => Some((body, None)),
            (Some(sealed), Some(digest)) => Some((body, Some(opened(b"person", sealed, digest)?))),
            (Some(_), None) => None,
        }
    }

    pub(super) fn entry(&self, connection: &Connection, vault: &mut Vault) -> Result<AuditEntry, StoreError> {
        let key = vault.key(connection, self.key)?;
        let (body, person) = self.open(&key).ok_or(StoreError::Changed("an audit entry"))?;
        rows::entry(&body, person.as_deref())
    }
}

/// The newest entry, if nobody but Konsil wrote its number.
pub(super) fn head(connection: &Connection, vault: &Vault) -> Result<Head, StoreError> {
    let mut found = connection.prepare_cached("SELECT number, digest, mac FROM head WHERE id = 1")?;
    let read = |row: &rusqlite::Row<'_>| Ok((Head { number: row.get(0)?, digest: row.get(1)? }, row.get(2)?));
    let row: Option<(Head, Vec<u8>)> = found.query_row([], read).optional()?;
    match row {
        None => Ok(Head { number: 0, digest: GENESIS }),
        Some((head, mac)) if mac == head_mac(&vault.chain, head) => Ok(head),
        Some(_) => Err(StoreError::Changed("the head of the audit log")),
    }
}

fn head_mac(chain: &Key, head: Head) -> Digest {
    chain.mac(&[b"head", &head.number.to_be_bytes(), &head.digest])
}

/// Appends an entry, inside the caller's transaction. `today` is the day of its key.
pub(super) fn append(connection: &Connection, vault: &mut Vault, entry: &AuditEntry, today: i64) -> Result<i64, StoreError> {
    let head = head(connection, vault)?;
    let tenant = vault.tenant(entry.tenant.as_ref());
    let (id, key) = vault.of_day(connection, &tenant, today, Class::Timed)?;
    let (body, person) = rows::audit(entry)?;
    let expires = (entry.at_ms / 1000).saturating_add(vault.retention_s(&tenant));
    let mut link = Link {
        number: head.number + 1,
        tenant: tenant.to_vec(),
        expires: i64::try_from(expires).unwrap_or(i64::MAX),
        key: id,
        body: Vec::new(),
        body_digest: Vec::new(),
        person: None,
        person_digest: None,
        digest: Vec::new(),
        mac: Vec::new(),
    };
    link.body = key.seal(&link.place(b"body"), &body)?;
    link.body_digest = key.commit(&link.body, &body).to_vec();
    if let Some(person) = person {
        let sealed = key.seal(&link.place(b"person"), &person)?;
        link.person_digest = Some(key.commit(&sealed, &person).to_vec());
        link.person = Some(sealed);
    }
    let digest = link.chained(&head.digest);
    link.digest = digest.to_vec();
    link.mac = link.signed(&vault.chain).to_vec();
    insert(connection, &link)?;
    if let (Some(tenant), Some(subject)) = (&entry.tenant, &entry.subject) {
        let mut refer = connection.prepare_cached("INSERT OR IGNORE INTO refs (subject, kind, hash) VALUES (?1, ?2, ?3)")?;
        refer.execute(params![vault.person(tenant, subject), Kind::Audit.number(), link.number.to_be_bytes()])?;
    }
    set_head(connection, vault, Head { number: link.number, digest })?;
    Ok(link.number)
}

fn insert(connection: &Connection, link: &Link) -> Result<(), StoreError> {
    let mut insert =
        connection.prepare_cached(&format!("INSERT INTO audit ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"))?;
    insert.execute(params![
        link.number,
        link.tenant,
        link.expires,
        link.key,
        link.body,
        link.body_digest,
        link.person,
        link.person_digest,
        link.digest,
        link.mac
    ])?;
    Ok(())
}

fn set_head(connection: &Connection, vault: &Vault, head: Head) -> Result<(), StoreError> {
    let mut set = connection.prepare_cached("INSERT OR REPLACE INTO head (id, number, digest, mac) VALUES (1, ?1, ?2, ?3)")?;
    set.execute(params![head.number, head.digest, head_mac(&vault.chain, head)])?;
    Ok(())
}

pub(super) fn link(connection: &Connection, number: i64) -> Result<Option<Link>, StoreError> {
    let mut found = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM audit WHERE number = ?1"))?;
    Ok(found.query_row(params![number], Link::read).optional()?)
}

/// Takes the person out of an entry; what is left verifies.
pub(super) fn erase_person(connection: &Connection, vault: &Vault, number: i64) -> Result<(), StoreError> {
    let Some(mut link) = link(connection, number)? else { return Ok(()) };
    link.person = None;
    let mut erase = connection.prepare_cached("UPDATE audit SET person = NULL, mac = ?1 WHERE number = ?2")?;
    erase.execute(params![link.signed(&vault.chain), number])?;
    Ok(())
}

/// Moves the end of a tenant's entries by so many seconds: its retention changed.
pub(super) fn postpone(connection: &Connection, vault: &Vault, tenant: &Digest, by: i64) -> Result<(), StoreError> {
    let mut all = connection.prepare(&format!("SELECT {COLUMNS} FROM audit WHERE tenant = ?1"))?;
    let mut found = all.query(params![tenant])?;
    let mut change = connection.prepare("UPDATE audit SET expires = ?1, mac = ?2 WHERE number = ?3")?;
    // The rows that change keep their place in the index that is read.
    while let Some(row) = found.next()? {
        let mut link = Link::read(row)?;
        link.expires = link.expires.saturating_add(by);
        change.execute(params![link.expires, link.signed(&vault.chain), link.number])?;
    }
    Ok(())
}

/// Takes out the entries of these numbers, in rising order, and lets signed checkpoints stand for them.
pub(super) fn remove(connection: &Connection, vault: &Vault, numbers: &[i64]) -> Result<(), StoreError> {
    for run in numbers.chunk_by(|one, next| one + 1 == *next) {
        if let [first, .., last] | [first @ last] = run {
            stand_for(connection, vault, *first, *last)?;
        }
    }
    let mut gone = connection.prepare_cached("DELETE FROM audit WHERE number = ?1")?;
    let mut unrefer = connection.prepare_cached("DELETE FROM refs WHERE kind = ?1 AND hash = ?2")?;
    for number in numbers {
        gone.execute(params![number])?;
        unrefer.execute(params![Kind::Audit.number(), number.to_be_bytes()])?;
    }
    Ok(())
}

struct Checkpoint {
    first: i64,
    last: i64,
    before: Vec<u8>,
    after: Vec<u8>,
    mac: Vec<u8>,
}

impl Checkpoint {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { first: row.get(0)?, last: row.get(1)?, before: row.get(2)?, after: row.get(3)?, mac: row.get(4)? })
    }

    fn signed(&self, chain: &Key) -> Digest {
        chain.mac(&[b"checkpoint", &self.first.to_be_bytes(), &self.last.to_be_bytes(), &self.before, &self.after])
    }
}

fn checkpoint(connection: &Connection, column: &'static str, number: i64) -> Result<Option<Checkpoint>, StoreError> {
    let mut found = connection.prepare_cached(&format!("SELECT first, last, before, after, mac FROM checkpoints WHERE {column} = ?1"))?;
    Ok(found.query_row(params![number], Checkpoint::read).optional()?)
}

fn stand_for(connection: &Connection, vault: &Vault, first: i64, last: i64) -> Result<(), StoreError> {
    const LOST: StoreError = StoreError::Changed("the audit log");
    let (earlier, later) = (checkpoint(connection, "last", first - 1)?, checkpoint(connection, "first", last + 1)?);
    let before = match &earlier {
        _ if first == 1 => GENESIS.to_vec(),
        Some(earlier) => earlier.before.clone(),
        None => link(connection, first - 1)?.ok_or(LOST)?.digest,
    };
    let after = match &later {
        Some(later) => later.after.clone(),
        None => link(connection, last)?.ok_or(LOST)?.digest,
    };
    let mut one = Checkpoint { first, last, before, after, mac: Vec::new() };
    let mut replaced = connection.prepare_cached("DELETE FROM checkpoints WHERE first = ?1")?;
    if let Some(earlier) = earlier {
        one.first = earlier.first;
        replaced.execute(params![earlier.first])?;
    }
    if let Some(later) = later {
        one.last = later.last;
        replaced.execute(params![later.first])?;
    }
    one.mac = one.signed(&vault.chain).to_vec();
    let mut insert = connection.prepare_cached("INSERT INTO checkpoints (first, last, before, after, mac) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    insert.execute(params![one.first, one.last, one.before, one.after, one.mac])?;
    Ok(())
}

/// Walks the whole log.
pub(super) fn verify(connection: &Connection, vault: &mut Vault) -> Result<Verdict, StoreError> {
    let mut walk = Walk { next: 1, digest: GENESIS.to_vec(), entries: 0, checkpoints: 0 };
    let mut all = connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY number"))?;
    let mut found = all.query([])?;
    while let Some(row) = found.next()? {
        // A column of another type is somebody's hand, too.
        let Ok(link) = Link::read(row) else { return Ok(Verdict::Broken { number: walk.next, what: "is no entry" }) };
        if let Some(broken) = walk.to(connection, vault, link.number) {
            return Ok(broken);
        }
        if let Some(broken) = walk.over(connection, vault, &link) {
            return Ok(broken);
        }
    }
    let Ok(head) = head(connection, vault) else { return Ok(Verdict::Broken { number: walk.next, what: "is not what the head says" }) };
    if let Some(broken) = walk.to(connection, vault, head.number + 1) {
        return Ok(broken);
    }
    let checkpoints: i64 = connection.query_row("SELECT count(*) FROM checkpoints", [], |row| row.get(0))?;
    if walk.digest != head.digest || checkpoints != walk.checkpoints {
        return Ok(Verdict::Broken { number: head.number, what: "is not what the head says" });
    }
    Ok(Verdict::Intact { entries: walk.entries, head })
}

struct Walk {
    next: i64,
    digest: Vec<u8>,
    entries: u64,
    checkpoints: i64,
}

impl Walk {
    /// Goes over checkpoints up to the entry of this number.
    fn to(&mut self, connection: &Connection, vault: &Vault, number: i64) -> Option<Verdict> {
        while self.next < number {
            let Ok(found) = checkpoint(connection, "first", self.next) else { return Some(self.broken("has a broken checkpoint")) };
            let Some(found) = found else { return Some(self.broken("is missing")) };
            let sound = found.mac == found.signed(&vault.chain) && found.before == self.digest && found.last >= found.first;
            if !sound || found.last >= number {
                return Some(self.broken("has a broken checkpoint"));
            }
            self.next = found.last + 1;
            self.digest = found.after;
            self.checkpoints += 1;
        }
        (self.next > number).then_some(Verdict::Broken { number, what: "is there though it went" })
    }

    fn over(&mut self, connection: &Connection, vault: &mut Vault, link: &Link) -> Option<Verdict> {
        if link.mac != link.signed(&vault.chain) {
            return Some(self.broken("was changed"));
        }
        let opened = vault.key(connection, link.key).ok().and_then(|key| link.open(&key));
        if opened.is_none() {
            return Some(self.broken("was changed"));
        }
        if link.chained(&self.digest) != *link.digest {
            return Some(self.broken("does not go on from the one before it"));
        }
        self.digest.clone_from(&link.digest);
        self.next += 1;
        self.entries += 1;
        None
    }

    fn broken(&self, what: &'static str) -> Verdict {
        Verdict::Broken { number: self.next, what }
    }
}
