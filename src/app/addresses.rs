//! Which addresses clients can reach this server by.

use std::net::{IpAddr, SocketAddr};

/// Most ICE candidates; each costs every client checks (RFC 8445 §6.1.2.5 limits pairs to 100).
const CANDIDATES_MAX: usize = 16;

/// The addresses of this machine's interfaces, loopback last.
///
/// # Errors
/// What the operating system answers.
pub fn interfaces() -> std::io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = if_addrs::get_if_addrs()?.into_iter().map(|interface| interface.ip()).filter(usable).collect();
    // A client on another machine would look for its own loopback first.
    addresses.sort_by_key(IpAddr::is_loopback);
    addresses.dedup();
    Ok(addresses)
}

/// Link-local addresses need a zone that candidates cannot carry (RFC 8445 §5.1.1.1).
fn usable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    }
}

/// ICE host candidates: the advertised addresses, else those that the listeners are bound to.
pub fn candidates(listeners: &[SocketAddr], advertise: &[IpAddr], interfaces: &[IpAddr]) -> Vec<SocketAddr> {
    let mut candidates = Vec::new();
    for listener in listeners {
        let own = [listener.ip()];
        let takes = |address: &&IpAddr| listener.is_ipv6() || address.is_ipv4();
        let addresses: Vec<IpAddr> = match (advertise, listener.ip().is_unspecified()) {
            ([], false) => own.to_vec(),
            ([], true) => interfaces.iter().filter(takes).copied().collect(),
            (advertised, _) => advertised.iter().filter(takes).copied().collect(),
        };
        candidates.extend(addresses.into_iter().map(|address| SocketAddr::new(address, listener.port())));
    }
    candidates.truncate(CANDIDATES_MAX);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn candidates_follow_listeners() {
        let interfaces = ips(&["192.0.2.1", "2001:db8::1", "127.0.0.1"]);
        let any: SocketAddr = "[::]:3478".parse().unwrap();
        assert_eq!(candidates(&[any], &[], &interfaces).len(), 3);
        let v4: SocketAddr = "0.0.0.0:3478".parse().unwrap();
        assert_eq!(candidates(&[v4], &[], &interfaces).len(), 2);
        let one: SocketAddr = "127.0.0.1:5".parse().unwrap();
        assert_eq!(candidates(&[one], &[], &interfaces), vec![one]);
        let advertised = ips(&["203.0.113.7"]);
        assert_eq!(candidates(&[any, v4], &advertised, &interfaces), vec!["203.0.113.7:3478".parse().unwrap(); 2]);
        let many: Vec<IpAddr> = (0..40_u8).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        assert_eq!(candidates(&[any], &[], &many).len(), CANDIDATES_MAX);
    }
}
