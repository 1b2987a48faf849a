//! Floor 1: configuration text with the environment over it, turned into checked values.

mod read;
mod relay;
mod settings;
mod value;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::model::network::Network;
pub use read::{ConfigErrors, Fault, Sources, is_strange, read};
pub use relay::{PortRange, TurnSecret};

/// Most media threads.
pub const WORKERS_MAX: u8 = 32;
/// Most participants of one room: a room lives on one media thread, and each join is told to everyone.
pub const PARTICIPANTS_MAX: u32 = 500;
/// Most addresses in one list.
pub const LIST_MAX: usize = 64;
/// Longest configuration text in bytes.
pub const TEXT_MAX: usize = 256 * 1024;

/// Which algorithms are negotiated, in TLS, DTLS and SRTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crypto {
    /// What the libraries hold to be safe.
    #[default]
    Default,
    /// What BSI TR-02102 recommends of it: AES-GCM with P-256 or P-384, nothing else.
    Bsi,
}

impl Crypto {
    /// As settings and clients name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Bsi => "bsi",
        }
    }
}

/// All settings, each of them checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which algorithms are negotiated.
    pub crypto: Crypto,
    /// Where browsers and SDKs come in.
    pub http: Http,
    /// The UDP side.
    pub media: Media,
    /// What monitoring asks.
    pub metrics: Metrics,
    /// The relay.
    pub turn: Turn,
    /// What is kept on disk.
    pub store: Store,
    /// Defaults of rooms.
    pub rooms: Rooms,
    /// Bounds of the whole server.
    pub limits: Limits,
    /// What is logged.
    pub log: Log,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// HTTPS; `[::]` is dual stack.
    pub listen: SocketAddr,
    /// PEM chain and PEM key; absent means the self-signed pair of the state folder.
    pub certificate: Option<CertificateFiles>,
    /// HTTP without TLS, on a loopback address.
    pub plain_listen: Option<SocketAddr>,
    /// Networks of load balancers, which must say by the PROXY protocol for whom they connect.
    pub trusted_proxies: Vec<Network>,
}

/// Files of an operator's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first, PEM.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// `[media]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// UDP addresses, at least one.
    pub udp_listen: Vec<SocketAddr>,
    /// TCP addresses beyond `http.listen`, each of which serves the same.
    pub tcp_listen: Vec<SocketAddr>,
    /// Addresses put into ICE candidates; empty means those of the interfaces.
    pub advertise: Vec<IpAddr>,
    /// Media threads, 1 to [`WORKERS_MAX`].
    pub workers: u8,
    /// DSCP of sent packets (RFC 8837), 0 to 63; 0 leaves them unmarked.
    pub dscp: u8,
    /// Kernel receive buffer of each UDP socket, in bytes.
    pub receive_buffer: usize,
    /// Kernel send buffer of each UDP socket, in bytes.
    pub send_buffer: usize,
}

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Plain HTTP for `/metrics`, `/livez` and `/readyz`.
    pub listen: SocketAddr,
}

/// `[turn]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whether relayed addresses are real ones; otherwise they reach the SFU and the partner in the room only.
    pub open: bool,
    /// Secrets that credentials are made with, the one in use first; empty means one that follows from the API key.
    pub secrets: Vec<TurnSecret>,
    /// The realm of the credentials.
    pub realm: String,
    /// Ports of the open relay.
    pub ports: PortRange,
    /// Private networks that the open relay may reach.
    pub allow_peers: Vec<Network>,
    /// Allocations of one user at a time.
    pub allocations_per_user: usize,
    /// Allocations of the whole server at a time.
    pub allocations: usize,
    /// Permissions of one allocation.
    pub permissions: usize,
    /// Channels of one allocation.
    pub channels: usize,
    /// Bits a second of one allocation, each way.
    pub bits_per_s: u64,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The file of the master key; absent means one beside the state folder.
    pub key_file: Option<PathBuf>,
}

/// `[rooms]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rooms {
    /// Whether joining a room that is not there makes it.
    pub auto_create: bool,
    /// Whether rooms made in this way refuse tracks without end-to-end encryption.
    pub auto_e2ee_required: bool,
    /// Participants of a room that does not say, 2 to [`PARTICIPANTS_MAX`].
    pub max_participants: u32,
    /// Seconds after which an empty room that does not say ends.
    pub empty_timeout_s: u32,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open TCP connections.
    pub connections: usize,
    /// Open TCP connections from one source address.
    pub connections_per_source: usize,
    /// Rooms.
    pub rooms: usize,
    /// Joined participants in all rooms.
    pub sessions: usize,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least serious events written.
    pub level: Level,
    /// One JSON object a line instead of text.
    pub json: bool,
}

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is going to fail.
    Warn,
    /// What an operator wants to see.
    Info,
    /// What a developer wants to see.
    Debug,
}

impl Config {
    /// What holds without a file and without variables on a machine with `cores` processors.
    #[must_use]
    pub fn with_cores(cores: usize) -> Self {
        let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
        Self {
            crypto: Crypto::Default,
            http: Http { listen: SocketAddr::new(any, 8443), certificate: None, plain_listen: None, trusted_proxies: Vec::new() },
            media: Media {
                udp_listen: vec![SocketAddr::new(any, 3478)],
                tcp_listen: Vec::new(),
                advertise: Vec::new(),
                workers: u8::try_from(cores).unwrap_or(WORKERS_MAX).clamp(1, WORKERS_MAX),
                dscp: 34,
                receive_buffer: 8 << 20,
                send_buffer: 8 << 20,
            },
            turn: Turn {
                open: false,
                secrets: Vec::new(),
                realm: "konsil".to_owned(),
                ports: PortRange { first: 49_152, last: 65_535 },
                allow_peers: Vec::new(),
                allocations_per_user: 4,
                allocations: 8_192,
                permissions: 64,
                channels: 32,
                bits_per_s: 8_000_000,
            },
            metrics: Metrics { listen: SocketAddr::from(([127, 0, 0, 1], 9478)) },
            store: Store { key_file: None },
            rooms: Rooms { auto_create: true, auto_e2ee_required: false, max_participants: 9, empty_timeout_s: 300 },
            limits: Limits { connections: 8192, connections_per_source: 1024, rooms: 4096, sessions: 4096 },
            log: Log { level: Level::Info, json: false },
        }
    }
}
