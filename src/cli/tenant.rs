//! `konsil tenant`, `konsil key`: organisations of a running server, with what signs their tokens.

use std::io::{self, Write as _};

use clap::{Args, Subcommand};

use super::StateFolder;
use crate::app::operate;
use crate::http::operator::{Tenant, Wanted};

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Make an organisation; give it a key with `konsil key add`
    Add(Change),
    /// Change what an organisation may use
    Change(Change),
    /// Print all organisations with their keys, one JSON object a line
    List {
        #[command(flatten)]
        state: StateFolder,
    },
    /// End an organisation with all its rooms, keys, records
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        state: StateFolder,
    },
}

#[derive(Args, Debug)]
pub(super) struct Change {
    /// Its name: a-z, 0-9 and -, as it stands in the address of its page (/t/NAME)
    name: String,
    /// Most rooms at a time
    #[arg(long, value_name = "N")]
    rooms: Option<u32>,
    /// Most participants of all its rooms at a time
    #[arg(long, value_name = "N")]
    participants: Option<u32>,
    /// Days for which its records are kept, 1 to 90
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u8).range(1..=90))]
    retention: Option<u8>,
    #[command(flatten)]
    state: StateFolder,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make an API key and print it, this once: {"key","secret"}
    Add {
        /// Whose
        #[arg(long, value_name = "NAME", default_value = "default")]
        tenant: String,
        #[command(flatten)]
        state: StateFolder,
    },
    /// Make a key void: its calls end at once, its tokens are refused
    Revoke {
        /// The key, as tokens name it
        key: String,
        #[command(flatten)]
        state: StateFolder,
    },
}

pub(super) fn tenant(command: TenantCommand) -> anyhow::Result<()> {
    match command {
        TenantCommand::Add(change) => {
            let (state, name, wanted) = taken_apart(change);
            print(&operate::add_tenant(&state.first(), &name, wanted)?)
        }
        TenantCommand::Change(change) => {
            let (state, name, wanted) = taken_apart(change);
            print(&operate::change_tenant(&state.first(), &name, wanted)?)
        }
        TenantCommand::List { state } => print(&operate::tenants(&state.first())?),
        TenantCommand::Remove { name, state } => operate::remove_tenant(&state.first(), &name),
    }
}

pub(super) fn key(command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Add { tenant, state } => {
            let key = operate::add_key(&state.first(), &tenant)?;
            writeln!(io::stdout(), "{}", serde_json::to_string(&key)?)?;
            Ok(())
        }
        KeyCommand::Revoke { key, state } => operate::revoke_key(&state.first(), &key),
    }
}

fn taken_apart(change: Change) -> (StateFolder, String, Wanted) {
    let Change { name, rooms, participants, retention, state } = change;
    (state, name, Wanted { rooms_max: rooms, participants_max: participants, retention_days: retention })
}

fn print(tenants: &[Tenant]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for tenant in tenants {
        writeln!(out, "{}", serde_json::to_string(tenant)?)?;
    }
    Ok(())
}
