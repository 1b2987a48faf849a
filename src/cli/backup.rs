//! `konsil backup`, `konsil restore`: sealed copies of the store.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::store::StoreFolder;
use crate::app::store::explained;
use crate::io::clock;
use crate::io::state::State;
use crate::io::store::{self, KeyPlace};

#[derive(Args, Debug)]
pub(super) struct BackupArgs {
    /// The copy, a file which must not exist
    file: PathBuf,
    #[command(flatten)]
    store: StoreFolder,
}

#[derive(Args, Debug)]
pub(super) struct RestoreArgs {
    /// A copy that `konsil backup` made
    file: PathBuf,
    /// The master key that the copy is sealed by, if it was rotated since
    #[arg(long, value_name = "FILE")]
    copied_under: Option<PathBuf>,
    #[command(flatten)]
    store: StoreFolder,
}

pub(super) fn backup(arguments: BackupArgs) -> anyhow::Result<ExitCode> {
    let (dir, key) = arguments.store.find()?;
    store::backup(&dir, &key, &arguments.file, clock::wall()).map_err(explained)?;
    writeln!(io::stdout(), "{} is a sealed copy of the store. It is worth nothing without the master key.", arguments.file.display())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(arguments: RestoreArgs) -> anyhow::Result<ExitCode> {
    arguments.store.make()?;
    let (dir, key) = arguments.store.find()?;
    let state = State::open(&dir)?;
    let copied_under = arguments.copied_under.map(|file| KeyPlace::find(&dir, Some(&file), None)).transpose().map_err(explained)?;
    store::restore(state.dir(), &key, copied_under.as_ref(), &arguments.file, clock::wall()).map_err(explained)?;
    writeln!(io::stdout(), "The store is as it was in {}, without what went since.", arguments.file.display())?;
    Ok(ExitCode::SUCCESS)
}
