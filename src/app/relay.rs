//! The relay as the settings want it.

use crate::access::jwt::ApiKey;
use crate::config::{Config, TurnSecret};
use crate::io::clock;
use crate::turn::credentials::RelaySecrets;
use crate::turn::{TurnConfig, TurnLimits};

/// What credentials of the relay are made with.
#[must_use]
pub fn secrets(config: &Config, key: &ApiKey) -> RelaySecrets {
    let configured: Vec<String> = config.turn.secrets.iter().map(TurnSecret::expose).map(str::to_owned).collect();
    RelaySecrets::new(&configured, key.secret.expose())
}

/// What every worker's relay starts from.
///
/// # Errors
/// The operating system gives no randomness.
pub(super) fn config(config: &Config, secrets: RelaySecrets) -> anyhow::Result<TurnConfig> {
    let turn = &config.turn;
    let limits = TurnLimits {
        per_user: turn.allocations_per_user,
        total: turn.allocations.div_ceil(usize::from(config.media.workers)),
        permissions: turn.permissions,
        channels: turn.channels,
        bits_per_s: turn.bits_per_s,
    };
    let closed = TurnConfig::closed(secrets, clock::seed()?, clock::now());
    Ok(TurnConfig { realm: turn.realm.clone(), limits, ..closed })
}
