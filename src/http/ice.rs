//! ICE servers as clients are told of them: this one, under the name by which they reached it.

use axum::http::HeaderValue;
use livekit_protocol as lk;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::state::AppState;
use crate::model::ids::RoomId;
use crate::turn::credentials::{LIFETIME_S, RelaySecrets, RelayUser};

/// Longest host name in bytes (RFC 1035 §2.3.4).
const HOST_MAX: usize = 253;

/// Where the relay is, and what its credentials are made with.
#[derive(Clone, Debug)]
pub struct IceEndpoints {
    /// What credentials are made with.
    pub secrets: RelaySecrets,
    /// UDP ports.
    pub udp: Vec<u16>,
    /// The port of HTTPS, which takes TURN in TCP and TLS as well.
    pub tcp: u16,
}

/// An `RTCIceServer` of the WebRTC API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct IceServer {
    /// `turn:` and `turns:` URIs (RFC 7065), the best way first.
    pub urls: Vec<String>,
    /// Good for an hour at most.
    pub username: String,
    /// Its password.
    pub credential: String,
}

/// The name and port by which a client reached us. It is told nobody else, so a wrong name harms only whoever says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    host: String,
    port: Option<u16>,
}

impl Reached {
    /// Reads `host` or `host:port`, where IPv6 addresses stand in brackets (RFC 3986 §3.2.2).
    #[must_use]
    pub fn parse(authority: &str) -> Option<Self> {
        let end = authority.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match authority[end..].rfind(':') {
            Some(at) => (&authority[..end + at], Some(authority[end + at + 1..].parse().ok()?)),
            None => (authority, None),
        };
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let name = !host.is_empty() && host.len() <= HOST_MAX && host.bytes().all(letters);
        let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let v6 = v6.is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
        (name || v6).then(|| Self { host: host.to_owned(), port })
    }
}

impl IceEndpoints {
    /// The servers for `user`; `now` is in seconds since 1970.
    #[must_use]
    pub fn servers(&self, user: RelayUser, reached: Option<&Reached>, now: u64) -> Vec<IceServer> {
        let Some(Reached { host, port }) = reached else { return Vec::new() };
        // Whoever came by another port than ours came through a forwarding that leads TURN here as well.
        let tcp = port.unwrap_or(self.tcp);
        let udp = self.udp.iter().map(|port| format!("turn:{host}:{port}?transport=udp"));
        let streams = [format!("turns:{host}:{tcp}?transport=tcp"), format!("turn:{host}:{tcp}?transport=tcp")];
        let (username, credential) = self.secrets.mint(user, now + LIFETIME_S);
        vec![IceServer { urls: udp.chain(streams).collect(), username, credential }]
    }
}

/// The servers for a session.
#[must_use]
pub fn for_session(state: &AppState, user: RelayUser, reached: Option<&Reached>) -> Vec<IceServer> {
    state.ice().servers(user, reached, state.wall().as_secs())
}

/// The servers for somebody who has no session yet.
#[must_use]
pub fn for_guest(state: &AppState, room: &RoomId, identity: &str, reached: Option<&Reached>) -> Vec<IceServer> {
    let secrets = &state.ice().secrets;
    let user = RelayUser { worker: None, group: secrets.group(room), person: secrets.person(room, identity) };
    for_session(state, user, reached)
}

/// As LiveKit's clients want them: connections only. libwebrtc takes whatever comes from the address of a STUN server, or of
/// a relay in UDP, for an answer to its own requests there, so that a candidate of the SFU at that address never passes its
/// checks; and where UDP reaches the relay, it reaches the SFU, as long as the advertised addresses are of the client's kind.
#[must_use]
pub fn wire(servers: &[IceServer]) -> Vec<lk::IceServer> {
    let one = |server: &IceServer| lk::IceServer {
        urls: connections(server).cloned().collect(),
        username: server.username.clone(),
        credential: server.credential.clone(),
    };
    servers.iter().map(one).collect()
}

/// As WHIP's clients want them (RFC 9725 §4.6): one `Link` each, for connections only, by the same reason as [`wire`].
#[must_use]
pub fn links(servers: &[IceServer]) -> Vec<HeaderValue> {
    let link = |server: &IceServer, url: &str| {
        let IceServer { username, credential, .. } = server;
        let credentials = format!("username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\"");
        HeaderValue::try_from(format!("<{url}>; rel=\"ice-server\"; {credentials}")).ok()
    };
    servers.iter().flat_map(|server| connections(server).filter_map(move |url| link(server, url))).collect()
}

/// The ways to a server that are connections.
fn connections(server: &IceServer) -> impl Iterator<Item = &String> {
    server.urls.iter().filter(|url| url.ends_with("?transport=tcp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_read() {
        let parse = |text: &str| Reached::parse(text).map(|reached| (reached.host, reached.port));
        assert_eq!(parse("konsil.example"), Some(("konsil.example".to_owned(), None)));
        assert_eq!(parse("konsil.example:8443"), Some(("konsil.example".to_owned(), Some(8443))));
        assert_eq!(parse("[2001:db8::1]:443"), Some(("[2001:db8::1]".to_owned(), Some(443))));
        assert_eq!(parse("[::1]"), Some(("[::1]".to_owned(), None)));
        for wrong in ["", ":", ":443", "a b", "a?transport=udp", "a/b", "[x]", "::1", "a:99999", "a:b", "\"a"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn servers_bear_the_name_that_the_client_used() {
        let endpoints = IceEndpoints { secrets: RelaySecrets::new(&[], "s"), udp: vec![3478, 443], tcp: 8443 };
        let user = RelayUser { worker: None, group: 1, person: 2 };
        let urls = |host: &str| endpoints.servers(user, Reached::parse(host).as_ref(), 1_000)[0].urls.clone();
        let expected = [
            "turn:a.example:3478?transport=udp",
            "turn:a.example:443?transport=udp",
            "turns:a.example:8443?transport=tcp",
            "turn:a.example:8443?transport=tcp",
        ];
        assert_eq!(urls("a.example"), expected);
        assert!(urls("a.example:443").contains(&"turns:a.example:443?transport=tcp".to_owned()));
        assert_eq!(endpoints.servers(user, None, 1_000), []);
        let servers = endpoints.servers(user, Reached::parse("a").as_ref(), 1_000);
        assert!(servers[0].username.starts_with("4600:-"));
        let [wired] = &wire(&servers)[..] else { panic!() };
        assert_eq!(wired.credential, servers[0].credential);
        assert_eq!(wired.urls, ["turns:a:8443?transport=tcp", "turn:a:8443?transport=tcp"]);
        let IceServer { username, credential, .. } = &servers[0];
        let link = |url: &str| {
            format!("<{url}>; rel=\"ice-server\"; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\"")
        };
        assert_eq!(links(&servers), wired.urls.iter().map(|url| link(url)).collect::<Vec<_>>());
    }
}
