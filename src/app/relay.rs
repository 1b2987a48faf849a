//! The relay as the settings want it.

use std::net::{IpAddr, SocketAddr};

use super::configure::Misconfigured;
use crate::access::jwt::ApiKey;
use crate::config::{Config, TurnSecret};
use crate::io::clock;
use crate::turn::credentials::RelaySecrets;
use crate::turn::peers::OpenRules;
use crate::turn::{RelayMode, TurnConfig, TurnLimits};

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
pub(super) fn config(config: &Config, secrets: RelaySecrets, reach: &Reach<'_>) -> anyhow::Result<TurnConfig> {
    let turn = &config.turn;
    let limits = TurnLimits {
        per_user: turn.allocations_per_user,
        total: turn.allocations.div_ceil(usize::from(config.media.workers)),
        permissions: turn.permissions,
        channels: turn.channels,
        bits_per_s: turn.bits_per_s,
    };
    let closed = TurnConfig::closed(secrets, clock::seed()?, clock::now());
    let mode = if turn.open { reach.open(config)? } else { RelayMode::Closed };
    Ok(TurnConfig { realm: turn.realm.clone(), mode, limits, ..closed })
}

/// Where this server is, and what it listens to.
pub(super) struct Reach<'a> {
    /// The addresses of this machine.
    pub interfaces: &'a [IpAddr],
    /// The listeners, those of monitoring included.
    pub listeners: Vec<SocketAddr>,
}

impl Reach<'_> {
    /// Relayed addresses on the advertised addresses, one of each family.
    fn open(&self, config: &Config) -> anyhow::Result<RelayMode> {
        let advertised = if config.media.advertise.is_empty() { self.interfaces } else { &config.media.advertise };
        let usable = |v4: bool| advertised.iter().copied().find(|ip| ip.is_ipv4() == v4 && !ip.is_loopback());
        let addresses: Vec<IpAddr> = [usable(true), usable(false)].into_iter().flatten().collect();
        if addresses.is_empty() {
            return Err(Misconfigured("turn.relay = \"open\" needs an address that is not loopback: set media.advertise".into()).into());
        }
        let rules = OpenRules { allowed: config.turn.allow_peers.clone(), listeners: self.own_addresses(&config.media.advertise) };
        Ok(RelayMode::Open { addresses, ports: config.turn.ports.range(), rules })
    }

    /// Every address by which one of our listeners is reached.
    fn own_addresses(&self, advertised: &[IpAddr]) -> Vec<SocketAddr> {
        let ours: Vec<IpAddr> = self.interfaces.iter().chain(advertised).copied().collect();
        let of = |listener: &SocketAddr| {
            let everywhere = || ours.iter().map(|ip| SocketAddr::new(*ip, listener.port())).collect();
            if listener.ip().is_unspecified() { everywhere() } else { vec![*listener] }
        };
        self.listeners.iter().flat_map(of).collect()
    }
}
