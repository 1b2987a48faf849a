//! `konsil audit`: the log checked, or printed as JSON lines.

use std::fmt;
use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::store::StoreFolder;
use crate::app::configure::Misconfigured;
use crate::app::store::explained;
use crate::io::clock;
use crate::io::store::{Beside, StoreError, Verdict, Wanted};
use crate::model::audit::{AuditEntry, AuditEvent};
use crate::model::ids::TenantId;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Walk the whole log: 0 it is as it was written, 1 it was changed, 2 it cannot be read
    Verify {
        #[command(flatten)]
        store: StoreFolder,
    },
    /// Print entries, one JSON object a line; the log notes that it was read
    Export(ExportArgs),
}

#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// Only this tenant's entries
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// Entries from then on: a day such as 2026-11-28 (UTC), or seconds since 1970
    #[arg(long, value_name = "DAY", value_parser = moment)]
    from: Option<u64>,
    /// Entries before then
    #[arg(long, value_name = "DAY", value_parser = moment)]
    to: Option<u64>,
    #[command(flatten)]
    store: StoreFolder,
}

pub(super) fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Verify { store } => {
            // 1 means that the log is broken, so every other fault is a 2.
            let found = open(store).and_then(|mut store| store.verify().map_err(explained));
            verdict(&found.map_err(|fault| Misconfigured(format!("{fault:#}")))?)
        }
        AuditCommand::Export(arguments) => export(arguments).map(|()| ExitCode::SUCCESS),
    }
}

fn open(folder: StoreFolder) -> anyhow::Result<Beside> {
    let (dir, key) = folder.find()?;
    Beside::open(&dir, &key).map_err(explained)
}

fn verdict(verdict: &Verdict) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout();
    match verdict {
        Verdict::Intact { entries, head } => {
            let digest = Hexadecimal(&head.digest);
            writeln!(
                out,
                "The audit log is as it was written: {entries} entries, the newest is number {} with digest {digest}.",
                head.number
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Broken { number, what } => {
            writeln!(out, "The audit log is broken: entry {number} {what}.")?;
            Ok(ExitCode::from(1))
        }
    }
}

struct Hexadecimal<'a>(&'a [u8]);

impl fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn export(arguments: ExportArgs) -> anyhow::Result<()> {
    let tenant = arguments.tenant.as_deref().map(TenantId::new).transpose();
    let tenant = tenant.map_err(|rule| Misconfigured(format!("--tenant {rule}")))?;
    let mut store = open(arguments.store)?;
    let now = clock::wall();
    let at_ms = now.as_secs().saturating_mul(1000);
    let read = AuditEntry { at_ms, tenant: tenant.clone(), actor: None, event: AuditEvent::AuditRead, room: None, subject: None };
    // Noted before anything is shown.
    store.append(&read, now).map_err(explained)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let wanted = Wanted { tenant, from: arguments.from, to: arguments.to };
    store
        .entries(&wanted, |number, entry| {
            writeln!(out, "{}", line(number, &entry))
                .map_err(|fault| StoreError::Copy(format!("the entries could not be printed: {fault}")))
        })
        .map_err(explained)?;
    out.flush().context("the entries could not be printed")
}

fn line(number: i64, entry: &AuditEntry) -> serde_json::Value {
    serde_json::json!({
        "number": number,
        "at_ms": entry.at_ms,
        "event": entry.event.as_str(),
        "tenant": entry.tenant.as_ref().map(TenantId::as_str),
        "actor": entry.actor.as_ref().map(crate::model::ids::Identity::as_str),
        "room": entry.room.as_ref().map(crate::model::ids::RoomName::as_str),
        "subject": entry.subject.as_ref().map(crate::model::ids::SubjectRef::as_str),
    })
}

/// A day (UTC) or seconds, as seconds since 1970.
fn moment(text: &str) -> Result<u64, String> {
    let rule = || "must be a day such as 2026-11-28, or seconds since 1970".to_owned();
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return Err(rule()) };
    let number = |text: &str, len: usize| text.parse::<u64>().ok().filter(|_| text.len() == len);
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else { return Err(rule()) };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let months = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::try_from(month.wrapping_sub(1)).unwrap_or(usize::MAX);
    let Some(length) = months.get(index).copied().filter(|_| year >= 1970) else { return Err(rule()) };
    if !(1..=length).contains(&day) {
        return Err(rule());
    }
    let years = |year: u64| year * 365 + year / 4 - year / 100 + year / 400;
    let before: u64 = months.iter().take(index).sum();
    Ok((years(year - 1) - years(1969) + before + day - 1) * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_calendars_do() {
        let good = [("0", 0), ("1970-01-01", 0), ("1970-12-31", 364), ("1972-03-01", 790), ("2000-02-29", 11_016), ("2026-11-28", 20_785)];
        for (text, days) in good {
            assert_eq!(moment(text), Ok(days * 86_400), "{text}");
        }
        for text in ["", "today", "2026-11", "2026-13-01", "2026-00-01", "2025-02-29", "2026-11-31", "1969-12-31", "26-11-28", "2026-11-1"]
        {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
