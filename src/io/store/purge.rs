//! Retention: what goes when its time is over, with the receipt that it leaves.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::chain;
use super::fault::StoreError;
use super::seal::Digest;
use super::write::{Writer, day};
use crate::model::audit::{AuditEntry, AuditEvent};
use crate::model::ids::TenantId;
use crate::model::record::TenantRecord;

/// Most rows of a table that one turn deletes: a turn must not hold up writes for long.
const BATCH: i64 = 2_000;

/// For which tenants a receipt was left on which day.
pub(super) type Receipts = BTreeMap<Digest, i64>;

/// What one turn deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Records.
    pub records: usize,
    /// Audit entries.
    pub entries: usize,
    /// Data keys of days of which nothing is left.
    pub keys: usize,
    /// Whether more is due, for the next turn.
    pub more: bool,
}

impl Purged {
    /// Whether anything went.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records + self.entries + self.keys == 0
    }
}

/// Whether anything is due: asked each second, so it only reads.
pub(super) fn is_due(connection: &Connection, now: u64) -> Result<bool, StoreError> {
    let mut due = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM records WHERE expires <= ?1) OR EXISTS (SELECT 1 FROM audit WHERE expires <= ?1)
             OR EXISTS (SELECT 1 FROM gone WHERE expires <= ?1)
             OR EXISTS (SELECT 1 FROM keys WHERE day < ?2 AND NOT EXISTS (SELECT 1 FROM records WHERE key = keys.id)
                            AND NOT EXISTS (SELECT 1 FROM audit WHERE key = keys.id))",
    )?;
    Ok(due.query_row(params![now.cast_signed(), day(now)], |row| row.get(0))?)
}

/// Deletes what is due, inside the caller's transaction.
pub(super) fn purge(writer: &mut Writer<'_>, receipts: &mut Receipts) -> Result<Purged, StoreError> {
    let now = writer.now.cast_signed();
    let records = due(writer.connection, "SELECT rowid, tenant FROM records WHERE expires <= ?1 ORDER BY rowid LIMIT ?2", now)?;
    let entries = due(writer.connection, "SELECT number, tenant FROM audit WHERE expires <= ?1 ORDER BY number LIMIT ?2", now)?;
    delete_records(writer.connection, &records)?;
    let numbers: Vec<i64> = entries.iter().map(|(number, _)| *number).collect();
    chain::remove(writer.connection, writer.vault, &numbers)?;
    writer.connection.execute("DELETE FROM gone WHERE expires <= ?1", params![now])?;
    leave_receipts(writer, receipts, records.iter().chain(&entries).map(|(_, tenant)| *tenant))?;
    let keys = writer.connection.execute(
        "DELETE FROM keys WHERE day < ?1 AND NOT EXISTS (SELECT 1 FROM records WHERE key = keys.id)
             AND NOT EXISTS (SELECT 1 FROM audit WHERE key = keys.id)",
        params![day(writer.now)],
    )?;
    let full = usize::try_from(BATCH).unwrap_or(usize::MAX);
    Ok(Purged { records: records.len(), entries: entries.len(), keys, more: records.len() == full || entries.len() == full })
}

fn due(connection: &Connection, query: &str, now: i64) -> Result<Vec<(i64, Digest)>, StoreError> {
    let mut found = connection.prepare_cached(query)?;
    let rows = found.query_map(params![now, BATCH], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn delete_records(connection: &Connection, records: &[(i64, Digest)]) -> Result<(), StoreError> {
    let mut unrefer =
        connection.prepare_cached("DELETE FROM refs WHERE (kind, hash) IN (SELECT kind, hash FROM records WHERE rowid = ?1)")?;
    let mut delete = connection.prepare_cached("DELETE FROM records WHERE rowid = ?1")?;
    for (row, _) in records {
        unrefer.execute(params![row])?;
        delete.execute(params![row])?;
    }
    Ok(())
}

/// One entry a tenant a day says that retention was applied; else receipts would make receipts for ever.
fn leave_receipts(writer: &mut Writer<'_>, receipts: &mut Receipts, tenants: impl Iterator<Item = Digest>) -> Result<(), StoreError> {
    let today = day(writer.now);
    receipts.retain(|_, day| *day == today);
    for tenant in tenants {
        if receipts.insert(tenant, today).is_some() {
            continue;
        }
        let entry = AuditEntry {
            at_ms: writer.now.saturating_mul(1000),
            tenant: named(writer, &tenant)?,
            actor: None,
            event: AuditEvent::RetentionPurged,
            room: None,
            subject: None,
        };
        chain::append(writer.connection, writer.vault, &entry, today)?;
    }
    Ok(())
}

/// The tenant that a keyed hash stands for, if it is one that is stored.
fn named(writer: &mut Writer<'_>, hash: &Digest) -> Result<Option<TenantId>, StoreError> {
    let all: Vec<TenantRecord> = super::write::read_all(writer.connection, writer.vault)?;
    Ok(all.into_iter().map(|tenant| tenant.id).find(|id| writer.vault.tenant(Some(id)) == *hash))
}
