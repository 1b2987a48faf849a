//! Where relayed packets may go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::model::network::Network;

/// All relayed addresses of the closed relay share this one, which is nobody's: the dummy address of RFC 7600 §4.8.
/// A datagram that claims to come from it is forged.
pub const VIRTUAL_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// As [`VIRTUAL_V4`], from the discard-only block (RFC 6666 §4).
pub const VIRTUAL_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 8);

/// Whether an address is one of the closed relay's own.
#[must_use]
pub fn is_virtual(ip: IpAddr) -> bool {
    ip == IpAddr::V4(VIRTUAL_V4) || ip == IpAddr::V6(VIRTUAL_V6)
}

/// Denied whatever the configuration says: this host, the link, groups, nobody.
const NEVER: [Network; 9] = [
    Network::v4(0, 0, 8),
    Network::v4(127, 0, 8),
    Network::v4(169, 254, 16),
    Network::v4(192, 0, 24),
    // Multicast, and what lies above it: reserved addresses with the broadcast address at their end.
    Network::v4(224, 0, 3),
    Network::v6(0, 8),
    Network::v6(0x100, 64),
    Network::v6(0xfe80, 10),
    Network::v6(0xff00, 8),
];

/// Denied unless the configuration lists them: networks that are somebody's own.
const UNLESS_LISTED: [Network; 6] = [
    Network::v4(10, 0, 8),
    Network::v4(172, 16, 12),
    Network::v4(192, 168, 16),
    Network::v4(100, 64, 10),
    Network::v6(0xfc00, 7),
    // Site-local addresses, long deprecated, but still routed somewhere (RFC 3879).
    Network::v6(0xfec0, 10),
];

/// The IPv4 address that an IPv6 one stands for, or the address itself: a tunnel or translator must not lead around
/// the rules. IPv4-mapped and -compatible (RFC 4291 §2.5.5), NAT64 (RFC 6052 §2.1, RFC 8215), 6to4 (RFC 3056 §2),
/// Teredo (RFC 4380 §4).
#[must_use]
#[allow(clippy::unnested_or_patterns)] // one form in each line
pub fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let segments = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match segments {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => ip,
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        [0x2001, 0, .., high, low] => v4(!high, !low),
        _ => ip,
    }
}

/// What the open relay may reach besides the SFU and partners in the room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenRules {
    /// Networks that are allowed although they are somebody's own.
    pub allowed: Vec<Network>,
    /// Our own listeners, each with an address of its own: nothing may be sent to them through the relay.
    pub listeners: Vec<SocketAddr>,
}

impl OpenRules {
    /// Whether a permission may be given for this address. Ports are not known yet.
    #[must_use]
    pub fn permits(&self, ip: IpAddr) -> bool {
        // Both forms are looked at: what is denied as it stands stays denied.
        let forms = [ip, plain(ip)];
        let never = |ip: &IpAddr| NEVER.iter().any(|network| network.contains(*ip));
        let own = |ip: &IpAddr| UNLESS_LISTED.iter().any(|network| network.contains(*ip));
        let listed = |ip: &IpAddr| self.allowed.iter().any(|network| network.contains(*ip));
        let translated = forms[0] != forms[1];
        let denied_as_it_is = !translated && never(&forms[0]);
        !denied_as_it_is && !never(&forms[1]) && forms.iter().all(|ip| !own(ip) || listed(ip))
    }

    /// Whether a packet may leave to this address.
    #[must_use]
    pub fn lets_out(&self, peer: SocketAddr) -> bool {
        let listener = |listener: &SocketAddr| listener.port() == peer.port() && plain(listener.ip()) == plain(peer.ip());
        peer.port() != 0 && self.permits(peer.ip()) && !self.listeners.iter().any(listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn foreign_forms_are_brought_to_their_plain_one() {
        for (form, v4) in [
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::127.0.0.1", "127.0.0.1"),
            ("::ffff:0:10.0.0.1", "10.0.0.1"),
            ("64:ff9b::7f00:1", "127.0.0.1"),
            ("64:ff9b:1::a00:1", "10.0.0.1"),
            ("2002:a00:1::5", "10.0.0.1"),
            ("2001:0:4136:e378:8000:63bf:f5ff:fffe", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::1", "::1"),
            ("::", "::"),
        ] {
            assert_eq!(plain(ip(form)), ip(v4), "{form}");
        }
    }

    #[test]
    fn some_addresses_are_never_reached() {
        let all = OpenRules { allowed: vec![network("0.0.0.0/0"), network("::/0")], ..OpenRules::default() };
        for denied in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.1.1",
            "192.0.0.8",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "100::8",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2002:a9fe:1::",
            "::ffff:0.0.0.0",
            "2001:0:1:1:1:1:80ff:fffe",
        ] {
            assert!(!all.permits(ip(denied)), "{denied}");
        }
    }

    #[test]
    fn own_networks_are_reached_only_if_listed() {
        let rules = |listed: &str| OpenRules { allowed: vec![network(listed)], ..OpenRules::default() };
        let none = OpenRules::default();
        for own in [
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.1.1",
            "fc00::1",
            "fd12::1",
            "::ffff:10.1.2.3",
            "64:ff9b::a01:203",
        ] {
            assert!(!none.permits(ip(own)), "{own}");
        }
        assert!(rules("10.0.0.0/8").permits(ip("10.1.2.3")) && rules("10.0.0.0/8").permits(ip("::ffff:10.1.2.3")));
        assert!(rules("fd00::/8").permits(ip("fd12::1")) && !rules("fd00::/16").permits(ip("fd12::1")));
        assert!(!rules("10.0.0.0/8").permits(ip("192.168.1.1")));
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "203.0.113.7", "2a00::1", "2002:808:808::1"] {
            assert!(none.permits(ip(public)), "{public}");
        }
    }

    #[test]
    fn own_listeners_and_port_zero_are_out_of_reach() {
        let listeners = ["203.0.113.7:3478", "203.0.113.7:8443", "127.0.0.1:9478"].map(|text| text.parse().unwrap()).to_vec();
        let rules = OpenRules { listeners, ..OpenRules::default() };
        let out = |text: &str| rules.lets_out(text.parse().unwrap());
        assert!(out("203.0.113.7:80") && out("203.0.113.8:3478") && out("203.0.113.7:8444"));
        assert!(!out("203.0.113.7:3478") && !out("203.0.113.7:8443") && !out("[::ffff:203.0.113.7]:3478"));
        assert!(!out("203.0.113.9:0") && !out("127.0.0.1:80"));
    }
}
