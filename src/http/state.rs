//! What every handler needs, made once when the server is built.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::ice::IceEndpoints;
use crate::access::jwt::{ApiKey, Keyring};
use crate::config::Crypto;
use crate::io::control::ControlHandle;
use crate::io::tls::Certificate;
use crate::model::chance::Chance;
use crate::model::ids::TenantId;

/// The wall clock: time since 1970 UTC.
pub type WallClock = fn() -> Duration;

/// What the handlers are built from.
#[derive(Debug)]
pub struct Parts {
    /// The way to the control core.
    pub control: ControlHandle,
    /// Origins that this server is reached by, such as `https://konsil.example:8443`, the best known first.
    pub origins: Vec<String>,
    /// The wall clock.
    pub clock: WallClock,
    /// Unpredictable bytes for ids.
    pub seed: [u8; 32],
    /// Where the relay is.
    pub ice: IceEndpoints,
    /// What the TLS listener presents.
    pub certificate: Arc<Certificate>,
    /// Which algorithms are negotiated; browsers among themselves are told.
    pub crypto: Crypto,
}

/// The handlers' shared state; cloning is cheap.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Inner>);

struct Inner {
    control: ControlHandle,
    origins: Vec<String>,
    clock: WallClock,
    chance: Mutex<Chance>,
    sif_trailer: [u8; 16],
    signal_connections: Arc<AtomicU64>,
    ice: IceEndpoints,
    certificate: Arc<Certificate>,
    crypto: Crypto,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppState")
    }
}

impl AppState {
    /// State from its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let mut chance = Chance::new(parts.seed);
        Self(Arc::new(Inner {
            control: parts.control,
            origins: parts.origins,
            clock: parts.clock,
            sif_trailer: chance.bytes(),
            chance: Mutex::new(chance),
            signal_connections: Arc::default(),
            ice: parts.ice,
            certificate: parts.certificate,
            crypto: parts.crypto,
        }))
    }

    /// The way to the control core.
    #[must_use]
    pub fn control(&self) -> &ControlHandle {
        &self.0.control
    }

    /// The keys whose tokens are accepted.
    #[must_use]
    pub fn keyring(&self) -> Arc<Keyring> {
        self.0.control.keyring()
    }

    /// The key that signs for a tenant.
    #[must_use]
    pub fn signer(&self, tenant: &TenantId) -> Option<ApiKey> {
        self.keyring().signer(tenant)
    }

    /// The origin for links: the one that the caller used if it is ours, else the best known.
    ///
    /// A caller's word alone would let it put any host into a link that others trust.
    #[must_use]
    pub fn origin(&self, host: Option<&str>) -> &str {
        let used = |origin: &&String| host.is_some_and(|host| origin.strip_prefix("https://") == Some(host));
        self.0.origins.iter().find(used).or(self.0.origins.first()).map_or("https://localhost", String::as_str)
    }

    /// Where the relay is.
    #[must_use]
    pub fn ice(&self) -> &IceEndpoints {
        &self.0.ice
    }

    /// What the TLS listener presents.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// Which algorithms are negotiated.
    #[must_use]
    pub fn crypto(&self) -> Crypto {
        self.0.crypto
    }

    /// Time since 1970 UTC.
    #[must_use]
    pub fn wall(&self) -> Duration {
        (self.0.clock)()
    }

    /// Random letters and digits.
    #[must_use]
    pub fn random_text(&self, len: usize) -> String {
        self.0.chance.lock().unwrap_or_else(PoisonError::into_inner).text(len)
    }

    /// What the server appends to frames of its own making, so that clients do not try to decrypt them.
    #[must_use]
    pub fn sif_trailer(&self) -> &[u8] {
        &self.0.sif_trailer
    }

    /// Open signalling connections, shared with the metrics.
    #[must_use]
    pub fn signal_connections(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.signal_connections)
    }

    /// Counts a signalling connection for as long as the guard lives.
    #[must_use]
    pub fn count_connection(&self) -> Counted {
        let count = self.signal_connections();
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count)
    }
}

/// One open signalling connection in the count.
#[derive(Debug)]
pub struct Counted(Arc<AtomicU64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
