//! Floor 1: a server for STUN with TURN as a state machine, free of sockets.

mod allocation;
mod authenticate;
pub mod credentials;
#[cfg(test)]
mod flood_tests;
pub mod framing;
mod lease;
#[cfg(test)]
mod lease_tests;
pub mod limits;
mod nonce;
#[cfg(test)]
mod open_tests;
pub mod peers;
mod relay;
#[cfg(test)]
mod relay_tests;
mod reply;
mod requests;
mod server;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod vector_tests;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::ids::WorkerIndex;
use crate::model::time::Moment;

pub use allocation::Flow;
pub use lease::{Ask, LEASE, LEASES_MAX, Lease};
pub use relay::is_stun;
pub use server::{Passed, Turn, TurnOutput};

use credentials::RelaySecrets;
use peers::OpenRules;

/// First of the ports that the closed relay gives away (RFC 6335 §6: dynamic ports).
const VIRTUAL_PORTS: u16 = 49_152;

/// Where relayed addresses are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayMode {
    /// Nowhere: they reach the SFU and the partner in the room, inside this process.
    Closed,
    /// On real sockets of these addresses, with ports of this range.
    Open {
        /// One IPv4 address, one IPv6 address, or both.
        addresses: Vec<IpAddr>,
        /// Ports to give away.
        ports: RangeInclusive<u16>,
        /// What may be reached.
        rules: OpenRules,
    },
}

/// Bounds of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnLimits {
    /// Allocations of one user at a time.
    pub per_user: usize,
    /// Allocations of this worker at a time.
    pub total: usize,
    /// Permissions of one allocation.
    pub permissions: usize,
    /// Channels of one allocation.
    pub channels: usize,
    /// Bits a second of one allocation, each way.
    pub bits_per_s: u64,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self { per_user: 4, total: 8_192, permissions: 64, channels: 32, bits_per_s: 8_000_000 }
    }
}

/// What a relay is made from. All workers of a server get the same but for `index`.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// Whose relay this is.
    pub index: WorkerIndex,
    /// How many workers share the virtual ports.
    pub workers: usize,
    /// What passwords follow from.
    pub secrets: RelaySecrets,
    /// The realm of the credentials (RFC 8489 §9.2).
    pub realm: String,
    /// What nonces are sealed with; unpredictable outside of simulations.
    pub nonce_key: [u8; 32],
    /// When the server started, on both clocks.
    pub started: Moment,
    /// Where relayed addresses are.
    pub mode: RelayMode,
    /// The SFU's own addresses, which every user may reach.
    pub sfu: Vec<SocketAddr>,
    /// Bounds.
    pub limits: TurnLimits,
}

impl TurnConfig {
    /// A closed relay with the usual bounds, of a server with one worker and no SFU.
    #[must_use]
    pub fn closed(secrets: RelaySecrets, nonce_key: [u8; 32], started: Moment) -> Self {
        Self {
            index: WorkerIndex(0),
            workers: 1,
            secrets,
            realm: "konsil".to_owned(),
            nonce_key,
            started,
            mode: RelayMode::Closed,
            sfu: Vec::new(),
            limits: TurnLimits::default(),
        }
    }

    /// The addresses that all relayed addresses have.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        match &self.mode {
            RelayMode::Closed => vec![IpAddr::V4(peers::VIRTUAL_V4), IpAddr::V6(peers::VIRTUAL_V6)],
            RelayMode::Open { addresses, .. } => addresses.clone(),
        }
    }

    /// The ports of the closed relay that this worker gives away: each has its share, so that a port tells the worker.
    fn virtual_ports(&self) -> RangeInclusive<u16> {
        let share = virtual_share(self.workers);
        let first = VIRTUAL_PORTS + share * u16::from(self.index.0);
        first..=first + (share - 1)
    }
}

fn virtual_share(workers: usize) -> u16 {
    (u16::MAX - VIRTUAL_PORTS + 1) / u16::try_from(workers.max(1)).unwrap_or(u16::MAX)
}

/// The worker whose relay gave away an address of the closed relay.
#[must_use]
pub fn worker_of(relayed: SocketAddr, workers: usize) -> Option<WorkerIndex> {
    let offset = relayed.port().checked_sub(VIRTUAL_PORTS).filter(|_| peers::is_virtual(relayed.ip()))?;
    let index = offset / virtual_share(workers);
    u8::try_from(index).ok().filter(|index| usize::from(*index) < workers).map(WorkerIndex)
}

/// Counts of one relay since its start, and what it has now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnStats {
    /// Allocations now.
    pub allocations: u64,
    /// Bytes of relayed payload from clients.
    pub bytes_in: u64,
    /// Bytes of relayed payload to clients.
    pub bytes_out: u64,
    /// What was dropped, by reason, from a fixed set of labels.
    pub dropped: std::collections::BTreeMap<&'static str, u64>,
}

/// How long somebody who failed to authenticate too often is not answered.
const FAILURE_WINDOW: Duration = Duration::from_secs(10);
/// Failures of one address, behind which a whole ward may sit, in [`FAILURE_WINDOW`].
const FAILURES_PER_SOURCE: u32 = 50;
/// Failures of one user in [`FAILURE_WINDOW`].
const FAILURES_PER_USER: u32 = 10;
/// Unauthenticated answers to one source a second, of the whole server.
const ANSWERS_PER_SECOND: u32 = 10;

/// One worker's share of them: the kernel spreads a source's ports over the workers.
fn answers_per_second(workers: usize) -> u32 {
    ANSWERS_PER_SECOND.div_ceil(u32::try_from(workers.max(1)).unwrap_or(ANSWERS_PER_SECOND))
}
