//! The table of all keys, each with the rule that its value must keep.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::value::Raw;
use super::{CertificateFiles, Config, Crypto, LIST_MAX, Level, PARTICIPANTS_MAX, TurnSecret, WORKERS_MAX};

/// Settings under construction; a certificate comes in two keys.
pub(super) struct Draft {
    pub(super) config: Config,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// A key with the function that checks its value and puts it in place.
pub(super) struct Setting {
    /// `section.key`, or `key` for those of the whole server.
    pub(super) name: &'static str,
    /// Says what would be right if the value is not.
    pub(super) set: fn(&mut Draft, &Raw<'_>) -> Result<(), String>,
}

/// Keys whose values no message shows.
pub(super) const SECRET: &[&str] = &["turn.secrets"];

const ADDRESS: &str = "must be an IP address with a port, such as \"[::]:8443\" or \"127.0.0.1:9478\"";
const NETWORK: &str = "must be a network such as \"10.0.0.0/8\", without bits set behind the prefix";
const BUFFER: std::ops::RangeInclusive<usize> = (64 << 10)..=(256 << 20);

macro_rules! setting {
    ($name:literal, $draft:ident, $raw:ident => $body:expr) => {
        Setting {
            name: $name,
            set: |$draft, $raw| {
                $body;
                Ok(())
            },
        }
    };
}

pub(super) const SETTINGS: &[Setting] = &[
    setting!("crypto", draft, raw => draft.config.crypto = crypto(raw)?),
    setting!("http.listen", draft, raw => draft.config.http.listen = raw.parsed(ADDRESS)?),
    setting!("http.cert", draft, raw => draft.cert = raw.optional("must be the path of a PEM file")?),
    setting!("http.key", draft, raw => draft.key = raw.optional("must be the path of a PEM file")?),
    setting!("http.plain_listen", draft, raw => draft.config.http.plain_listen = plain(raw)?),
    setting!("http.trusted_proxies", draft, raw => {
        draft.config.http.trusted_proxies = raw.list(NETWORK)?;
    }),
    setting!("media.udp_listen", draft, raw => draft.config.media.udp_listen = udp(raw)?),
    setting!("media.tcp_listen", draft, raw => draft.config.media.tcp_listen = tcp(raw)?),
    setting!("media.advertise", draft, raw => draft.config.media.advertise = advertise(raw)?),
    setting!("media.workers", draft, raw => draft.config.media.workers = raw.number(1..=WORKERS_MAX)?),
    setting!("media.dscp", draft, raw => draft.config.media.dscp = raw.number(0..=63)?),
    setting!("media.receive_buffer", draft, raw => draft.config.media.receive_buffer = raw.number(BUFFER)?),
    setting!("media.send_buffer", draft, raw => draft.config.media.send_buffer = raw.number(BUFFER)?),
    setting!("metrics.listen", draft, raw => draft.config.metrics.listen = raw.parsed(ADDRESS)?),
    setting!("turn.relay", draft, raw => draft.config.turn.open = relay(raw)?),
    setting!("turn.secrets", draft, raw => draft.config.turn.secrets = secrets(raw)?),
    setting!("turn.realm", draft, raw => draft.config.turn.realm = realm(raw)?),
    setting!("turn.ports", draft, raw => {
        draft.config.turn.ports = raw.parsed("must be the first and the last of at least 16 ports above 1023, such as \"49152-65535\"")?;
    }),
    setting!("turn.allow_peers", draft, raw => draft.config.turn.allow_peers = raw.list(NETWORK)?),
    setting!("turn.allocations_per_user", draft, raw => draft.config.turn.allocations_per_user = raw.number(1..=1_000)?),
    setting!("turn.allocations", draft, raw => draft.config.turn.allocations = raw.number(1..=16_384)?),
    setting!("turn.permissions", draft, raw => draft.config.turn.permissions = raw.number(1..=1_000)?),
    setting!("turn.channels", draft, raw => draft.config.turn.channels = raw.number(1..=1_000)?),
    setting!("turn.bits_per_s", draft, raw => draft.config.turn.bits_per_s = raw.number(64_000..=1_000_000_000)?),
    setting!("store.key_file", draft, raw => draft.config.store.key_file = raw.optional("must be the path of a key file")?),
    setting!("rooms.auto_create", draft, raw => draft.config.rooms.auto_create = raw.flag()?),
    setting!("rooms.auto_e2ee", draft, raw => draft.config.rooms.auto_e2ee_required = e2ee(raw)?),
    setting!("rooms.max_participants", draft, raw => draft.config.rooms.max_participants = raw.number(2..=PARTICIPANTS_MAX)?),
    setting!("rooms.empty_timeout_s", draft, raw => draft.config.rooms.empty_timeout_s = raw.number(1..=86_400)?),
    setting!("limits.connections", draft, raw => draft.config.limits.connections = raw.number(16..=1_000_000)?),
    setting!("limits.connections_per_source", draft, raw => draft.config.limits.connections_per_source = raw.number(1..=1_000_000)?),
    setting!("limits.rooms", draft, raw => draft.config.limits.rooms = raw.number(1..=100_000)?),
    setting!("limits.sessions", draft, raw => draft.config.limits.sessions = raw.number(2..=100_000)?),
    setting!("log.level", draft, raw => draft.config.log.level = level(raw)?),
    setting!("log.json", draft, raw => draft.config.log.json = raw.flag()?),
];

fn crypto(raw: &Raw<'_>) -> Result<Crypto, String> {
    let text = raw.text().unwrap_or_default();
    let found = [Crypto::Default, Crypto::Bsi].into_iter().find(|crypto| crypto.name() == text);
    found.ok_or_else(|| "must be \"default\" or \"bsi\"".to_owned())
}

fn plain(raw: &Raw<'_>) -> Result<Option<SocketAddr>, String> {
    let rule = "must be empty or a loopback address with a port, such as \"127.0.0.1:8080\": this listener has no encryption";
    let address: Option<SocketAddr> = raw.optional(rule)?;
    if address.is_some_and(|address| !address.ip().is_loopback()) { Err(rule.to_owned()) } else { Ok(address) }
}

fn tcp(raw: &Raw<'_>) -> Result<Vec<SocketAddr>, String> {
    let list: Vec<SocketAddr> = raw.list(ADDRESS)?;
    if list.iter().enumerate().any(|twice| is_twice(&list, twice)) { Err("must name different addresses".to_owned()) } else { Ok(list) }
}

fn relay(raw: &Raw<'_>) -> Result<bool, String> {
    match raw.text().unwrap_or_default().as_str() {
        "closed" => Ok(false),
        "open" => Ok(true),
        _ => Err("must be \"closed\" or \"open\"".to_owned()),
    }
}

fn secrets(raw: &Raw<'_>) -> Result<Vec<TurnSecret>, String> {
    let rule = "must have 20 to 512 bytes";
    let list: Vec<TurnSecret> = raw.list(rule)?;
    if list.len() > 2 { Err("must have at most two entries: the one in use and the one before it".to_owned()) } else { Ok(list) }
}

fn realm(raw: &Raw<'_>) -> Result<String, String> {
    let text = raw.text()?;
    let fits = (1..=127).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'));
    if fits { Ok(text) } else { Err("must have 1 to 127 ASCII letters without quotes and backslashes".to_owned()) }
}

/// Whether an address stands in a list before; port 0 is a different one each time.
fn is_twice(list: &[SocketAddr], (at, address): (usize, &SocketAddr)) -> bool {
    address.port() != 0 && list[..at].contains(address)
}

fn udp(raw: &Raw<'_>) -> Result<Vec<SocketAddr>, String> {
    let list: Vec<SocketAddr> = raw.list(ADDRESS)?;
    if list.is_empty() || list.iter().enumerate().any(|twice| is_twice(&list, twice)) {
        return Err(format!("must name 1 to {LIST_MAX} different addresses, such as [\"[::]:3478\"]"));
    }
    Ok(list)
}

fn advertise(raw: &Raw<'_>) -> Result<Vec<IpAddr>, String> {
    let rule = "must be an address that clients can reach, such as \"203.0.113.7\", without a port";
    let list: Vec<IpAddr> = raw.list(rule)?;
    if list.iter().any(|address| address.is_unspecified() || address.is_multicast()) { Err(format!("each entry {rule}")) } else { Ok(list) }
}

fn e2ee(raw: &Raw<'_>) -> Result<bool, String> {
    match raw.text().unwrap_or_default().as_str() {
        "optional" => Ok(false),
        "required" => Ok(true),
        _ => Err("must be \"optional\" or \"required\"".to_owned()),
    }
}

fn level(raw: &Raw<'_>) -> Result<Level, String> {
    let levels = [("error", Level::Error), ("warn", Level::Warn), ("info", Level::Info), ("debug", Level::Debug)];
    let text = raw.text().unwrap_or_default();
    let found = levels.into_iter().find_map(|(name, level)| (name == text).then_some(level));
    found.ok_or_else(|| "must be \"error\", \"warn\", \"info\" or \"debug\"".to_owned())
}

impl Draft {
    pub(super) fn new(cores: usize) -> Self {
        Self { config: Config::with_cores(cores), cert: None, key: None }
    }

    /// Rules that bind two keys, as the later key of each broken rule with what would be right.
    pub(super) fn finish(mut self, given: &BTreeMap<&'static str, super::read::Origin>) -> (Config, Vec<(&'static str, &'static str)>) {
        let mut broken = Vec::new();
        match (self.cert, self.key) {
            (Some(cert), Some(key)) => self.config.http.certificate = Some(CertificateFiles { cert, key }),
            (Some(_), None) => broken.push(("http.cert", "needs http.key as well")),
            (None, Some(_)) => broken.push(("http.key", "needs http.cert as well")),
            (None, None) => {}
        }
        let http = &self.config.http;
        let limits = &self.config.limits;
        let metrics = self.config.metrics.listen;
        if http.plain_listen.is_some_and(|plain| meet(plain, http.listen)) {
            broken.push(("http.plain_listen", "must not be the port of http.listen"));
        }
        if meet(metrics, http.listen) {
            let key = if given.contains_key("metrics.listen") { "metrics.listen" } else { "http.listen" };
            broken.push((key, "http.listen and metrics.listen must be different ports"));
        }
        if http.plain_listen.is_some_and(|plain| meet(plain, metrics)) {
            broken.push(("http.plain_listen", "must not be the port of metrics.listen"));
        }
        if limits.connections_per_source > limits.connections {
            let key =
                if given.contains_key("limits.connections_per_source") { "limits.connections_per_source" } else { "limits.connections" };
            broken.push((key, "limits.connections_per_source must not be above limits.connections"));
        }
        (self.config, broken)
    }
}

/// Whether two listeners could want the same port of one address.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (everywhere || one.ip() == other.ip())
}
