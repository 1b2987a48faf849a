//! The way of the configuration from file or environment to `config`.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::thread;

use crate::config::{self, Config, ConfigErrors, Sources, TEXT_MAX};

/// How `konsil serve` was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// The configuration file; none is needed.
    pub config: Option<PathBuf>,
    /// The state folder.
    pub state: PathBuf,
    /// Log JSON, whatever the configuration says.
    pub log_json: bool,
}

/// Wrong usage or configuration, as opposed to a failure of the machine: the process ends with 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(pub String);

impl From<ConfigErrors> for Misconfigured {
    fn from(faults: ConfigErrors) -> Self {
        Self(faults.to_string())
    }
}

/// The checked settings of this call.
///
/// # Errors
/// If the file cannot be read, or [`Misconfigured`] with every fault, a line each.
pub fn configure(options: &ServeOptions) -> anyhow::Result<Config> {
    let text = options.config.as_deref().map(read).transpose()?;
    let name = options.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    // A variable that is no UTF-8 shows up as a wrong value, which names it.
    let environment: BTreeMap<String, String> =
        env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())).collect();
    let sources = Sources {
        file: text.as_deref().map(|text| (name.as_str(), text)),
        environment: &environment,
        cores: thread::available_parallelism().map_or(1, usize::from),
    };
    let mut config = config::read(&sources).map_err(Misconfigured::from)?;
    config.log.json |= options.log_json;
    Ok(config)
}

/// Logs variables that an operator may believe to be settings. They are no error, because others set such names too:
/// Kubernetes does for a service called konsil.
pub fn warn_of_strange_variables() {
    for (variable, _) in env::vars_os() {
        let variable = variable.to_string_lossy();
        if config::is_strange(&variable) {
            tracing::warn!(%variable, "this environment variable names no setting and is ignored");
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let file = File::open(path).map_err(|fault| Misconfigured(format!("{}: {fault}", path.display())))?;
    let mut text = String::new();
    // One byte more than is allowed, so that `config` sees that there is more.
    let read = file.take(TEXT_MAX as u64 + 1).read_to_string(&mut text);
    read.map_err(|fault| Misconfigured(format!("{}: {fault}; the file must be TOML in UTF-8", path.display())))?;
    Ok(text)
}
