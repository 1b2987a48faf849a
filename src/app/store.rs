//! The store as the settings want it.

use std::path::PathBuf;

use super::configure::Misconfigured;
use crate::config::Config;
use crate::io::clock;
use crate::io::state::State;
use crate::io::store::{KeyPlace, Store, StoreError};
use crate::model::record::Stored;

/// Opens the store of the state folder.
pub(super) fn open(state: &State, config: &Config) -> anyhow::Result<(Store, Stored)> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let place = KeyPlace::find(state.dir(), config.store.key_file.as_deref(), credentials.as_deref());
    place.and_then(|place| Store::open(state.dir(), &place, clock::wall())).map_err(explained)
}

/// What an operator must mend first is no failure to try again after.
pub fn explained(fault: StoreError) -> anyhow::Error {
    if fault.lasts() { Misconfigured(fault.to_string()).into() } else { fault.into() }
}
