//! `konsil store`: the master key, made or rotated.

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::StateFolder;
use crate::app::store::explained;
use crate::io::clock;
use crate::io::state::State;
use crate::io::store::{self, KeyPlace, StoreError};

/// Where the store is, with its key.
#[derive(Args, Debug)]
pub(super) struct StoreFolder {
    #[command(flatten)]
    state: StateFolder,
    /// The master key, if it is neither a systemd credential nor beside the state folder
    #[arg(long, value_name = "FILE", env = "KONSIL_STORE_KEY_FILE", hide_env_values = true)]
    key_file: Option<PathBuf>,
}

impl StoreFolder {
    /// Makes the state folder, where a store is put back on a new machine.
    pub(super) fn make(&self) -> anyhow::Result<()> {
        State::open(&self.state.clone().first())?;
        Ok(())
    }

    /// The state folder and the place of the key.
    pub(super) fn find(self) -> anyhow::Result<(PathBuf, KeyPlace)> {
        let (dir, file) = (self.state.first(), self.key_file.filter(|file| !file.as_os_str().is_empty()));
        if !dir.exists() {
            return Err(explained(StoreError::NoStore(dir)));
        }
        let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let place = KeyPlace::find(&dir, file.as_deref(), credentials.as_deref()).map_err(explained)?;
        Ok((dir, place))
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Write a new master key to a file, for a start to come
    MakeKey {
        /// The file, which must not exist
        file: PathBuf,
    },
    /// Seal the store by a new master key, while no server runs on it
    RotateKey {
        /// Write the new key to this file and leave the old one where it is, as a systemd credential needs it
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        store: StoreFolder,
    },
}

pub(super) fn run(command: StoreCommand) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::MakeKey { file } => store::make_key(&file).map_err(explained)?,
        StoreCommand::RotateKey { to, store } => rotate(store, to.as_deref())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn rotate(folder: StoreFolder, to: Option<&Path>) -> anyhow::Result<()> {
    let (dir, key) = folder.find()?;
    let state = State::open(&dir)?;
    store::rotate(state.dir(), &key, to, clock::wall()).map_err(explained)?;
    let good = to.unwrap_or(key.path()).display();
    writeln!(io::stdout(), "The store is sealed by the new master key in {good}. Keep the old one as long as backups that it seals.")?;
    Ok(())
}
