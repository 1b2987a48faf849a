//! Descriptions, or candidates, on their way to somebody who must not learn an address.

use std::net::IpAddr;

use konsil::node::conceal::{candidate, description};
use konsil::node::sdp::SDP_MAX;
use konsil::turn::peers::is_virtual;

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(shown) = description(text, is_virtual) {
        assert!(shown.len() <= SDP_MAX);
        shown.lines().for_each(check);
        assert_eq!(description(&shown, is_virtual).as_deref(), Ok(shown.as_str()), "hiding again changes more");
    }
    if let Some(shown) = candidate(text, is_virtual) {
        check(&shown);
        assert_eq!(candidate(&shown, is_virtual).as_deref(), Some(shown.as_str()));
    }
}

/// No address but the relay's own, or nobody's, on a line that a browser reads as one.
fn check(line: &str) {
    assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{line:?}");
    for word in line.split([' ', '@', '=']) {
        let Ok(address) = word.parse::<IpAddr>() else { continue };
        assert!(is_virtual(address) || address.is_unspecified(), "{line}");
    }
    if line.to_ascii_lowercase().contains("candidate:") && !line.starts_with("a=ssrc") && !line.starts_with("a=fmtp") {
        let known = line.starts_with("candidate:") || line.starts_with("a=candidate:");
        assert!(!known || line.contains(" typ relay raddr "), "{line}");
    }
}
