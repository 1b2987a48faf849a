//! The ways of media: what the server offers, how each is tried.

use std::net::{IpAddr, SocketAddr};

use super::dial;
use super::fault::{Fault, Rule};
use super::relay::{Client, Login, Pipe};
use crate::http::ice::IceServer;

/// Most ways of one kind that are tried.
const WAYS_MAX: usize = 4;

/// How the relay is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Datagrams.
    Udp,
    /// A bare connection.
    Tcp,
    /// A connection under TLS.
    Tls,
}

impl Kind {
    /// The step that tries it.
    #[must_use]
    pub fn step(self) -> &'static str {
        match self {
            Self::Udp => "turn-udp",
            Self::Tcp => "turn-tcp",
            Self::Tls => "turn-tls",
        }
    }

    /// As firewalls call it.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        if self == Self::Udp { "udp" } else { "tcp" }
    }
}

/// One address of the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// How it is spoken to.
    pub kind: Kind,
    /// By name; IPv6 addresses without brackets.
    pub host: String,
    /// There.
    pub port: u16,
}

impl Way {
    /// Reads `turn:host:port?transport=udp` and its kin (RFC 7065). `None` for what is no TURN.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, port) = authority.rsplit_once(':')?;
        let kind = match (scheme, query) {
            ("turn", "" | "transport=udp") => Kind::Udp,
            ("turn", "transport=tcp") => Kind::Tcp,
            ("turns", "" | "transport=tcp") => Kind::Tls,
            _ => return None,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        // It is shown to people.
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        let fits = !host.is_empty() && host.bytes().all(letters);
        Some(Self { kind, host, port: port.parse().ok()? }).filter(|_| fits)
    }

    /// What the firewall must let through.
    #[must_use]
    pub fn rule(&self, ip: Option<IpAddr>) -> Rule {
        let to = ip.filter(|ip| ip.to_string() != self.host).map_or(self.host.clone(), |ip| format!("{} ({ip})", self.host));
        Rule { protocol: self.kind.protocol(), port: self.port, to }
    }
}

/// What the server offered, else what is usual.
#[derive(Clone)]
pub struct Offer {
    /// Every way.
    pub ways: Vec<Way>,
    /// Where the server gave credentials.
    pub login: Option<Login>,
    /// Whether the ports are only the usual ones.
    pub guessed: bool,
}

impl Offer {
    /// Reads what came with the join.
    #[must_use]
    pub fn of(servers: &[IceServer]) -> Self {
        let ways = servers.iter().flat_map(|server| &server.urls).filter_map(|url| Way::parse(url)).collect();
        let named = servers.iter().find(|server| !server.username.is_empty());
        let login = named.map(|server| Login { name: server.username.clone(), password: server.credential.clone() });
        Self { ways, login, guessed: false }
    }

    /// The usual ways, for whoever could not ask.
    #[must_use]
    pub fn usual(host: &str, tcp: u16, udp: &[u16]) -> Self {
        let way = |kind, port: u16| Way { kind, host: host.to_owned(), port };
        let mut ways: Vec<Way> = udp.iter().map(|port| way(Kind::Udp, *port)).collect();
        ways.extend([way(Kind::Tcp, tcp), way(Kind::Tls, tcp)]);
        Self { ways, login: None, guessed: true }
    }

    /// The ways of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Way> {
        self.ways.iter().filter(move |way| way.kind == kind).take(WAYS_MAX)
    }
}

/// Where names lead, as the check found out already.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The server's name.
    pub host: String,
    /// The address at which the server answered, else all.
    pub ips: Vec<IpAddr>,
}

impl Known {
    /// The addresses of a way.
    async fn addresses(&self, way: &Way) -> Result<Vec<SocketAddr>, Fault> {
        if way.host == self.host {
            return Ok(self.ips.iter().map(|ip| SocketAddr::new(*ip, way.port)).collect());
        }
        dial::resolve(&way.host, way.port).await
    }

    /// The address to name in a rule.
    #[must_use]
    pub fn ip(&self, way: &Way) -> Option<IpAddr> {
        self.ips.first().filter(|_| way.host == self.host).copied()
    }

    /// Somebody at the relay by this way.
    ///
    /// # Errors
    /// Why the way ends before it.
    pub async fn client(&self, way: &Way, login: Option<&Login>) -> Result<Client, Fault> {
        let addresses = self.addresses(way).await?;
        let pipe = match way.kind {
            Kind::Udp => datagrams(&addresses).await?,
            Kind::Tcp => Pipe::Stream(Box::new(dial::connect(&addresses).await?.1), Vec::new()),
            // Browsers offer no protocol by name here.
            Kind::Tls => {
                let (_, stream) = dial::connect(&addresses).await?;
                Pipe::Stream(Box::new(dial::cover(stream, &way.host, &[]).await?), Vec::new())
            }
        };
        Ok(Client::new(pipe, login.cloned()))
    }
}

/// To the first address that there is a route to.
async fn datagrams(addresses: &[SocketAddr]) -> Result<Pipe, Fault> {
    let mut fault = Fault::Unreachable;
    for address in addresses {
        match Pipe::datagrams(*address).await {
            Ok(pipe) => return Ok(pipe),
            Err(none) => fault = none,
        }
    }
    Err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_read_as_the_server_writes_them() {
        let parse = |url: &str| Way::parse(url).map(|way| (way.kind, way.host, way.port));
        assert_eq!(parse("turn:a.example:3478?transport=udp"), Some((Kind::Udp, "a.example".to_owned(), 3478)));
        assert_eq!(parse("turn:a.example:443?transport=tcp"), Some((Kind::Tcp, "a.example".to_owned(), 443)));
        assert_eq!(parse("turns:[2001:db8::1]:443?transport=tcp"), Some((Kind::Tls, "2001:db8::1".to_owned(), 443)));
        for other in ["stun:a.example:3478", "turn:a.example", "turns:a:1?transport=udp", "turn:\u{1b}[2J:1", "turn::1", "x"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn rules_name_the_server_by_name_with_its_address() {
        let way = Way { kind: Kind::Udp, host: "a.example".to_owned(), port: 3478 };
        let ip = Some([192, 0, 2, 1].into());
        assert_eq!(way.rule(ip).to, "a.example (192.0.2.1)");
        assert_eq!(Way { host: "192.0.2.1".to_owned(), ..way.clone() }.rule(ip).to, "192.0.2.1");
        assert_eq!(way.rule(None).to, "a.example");
    }
}
