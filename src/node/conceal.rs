//! What of a description may reach the other person of a room that hides addresses.

use std::net::IpAddr;

use crate::room::command::{PartnerMessage, Signal};

use super::sdp::{SDP_MAX, SdpFault};

/// Where nobody is, in lines that must name an address (RFC 8840 §4.1.1).
const NOBODY: &str = "IN IP4 0.0.0.0";
/// The discard port, which stands for "see the candidates" (RFC 8840 §4.1.1).
const DISCARD: &str = "9";
/// Longest foundation (RFC 8839 §5.1).
const FOUNDATION_MAX: usize = 32;
/// Longest user name fragment (RFC 8839 §5.4).
const UFRAG_MAX: usize = 256;

/// Attributes that name no address. Whatever is not here does not pass: a list of what is forbidden would miss the next one.
const PASS: [&str; 38] = [
    "bundle-only",
    "content",
    "end-of-candidates",
    "extmap",
    "extmap-allow-mixed",
    "fingerprint",
    "fmtp",
    "framerate",
    "group",
    "ice-options",
    "ice-pwd",
    "ice-ufrag",
    "imageattr",
    "inactive",
    "max-message-size",
    "maxptime",
    "mid",
    "msid",
    "msid-semantic",
    "ptime",
    "recvonly",
    "rid",
    "rtcp-fb",
    "rtcp-mux",
    "rtcp-mux-only",
    "rtcp-rsize",
    "rtcp-xr",
    "rtpmap",
    "sctp-port",
    "sctpmap",
    "sendonly",
    "sendrecv",
    "setup",
    "simulcast",
    "ssrc",
    "ssrc-group",
    "tls-id",
    "x-google-flag",
];

/// What of a signal may reach the partner: `None` if nothing of it. `relay` are the addresses that relayed ones have.
///
/// # Errors
/// The description cannot be taken.
pub fn signal(signal: Signal, relay: &[IpAddr]) -> Result<Option<Signal>, SdpFault> {
    let relayed = |ip: IpAddr| relay.contains(&ip);
    let Signal::ToPartner { to, message } = signal else { return Ok(Some(signal)) };
    let message = match message {
        PartnerMessage::Description { kind, sdp } => Some(PartnerMessage::Description { kind, sdp: description(&sdp, relayed)? }),
        PartnerMessage::Candidate { candidate: text, mid, line, ufrag } => {
            // An empty one is the end of candidates, and itself names nobody.
            let text = if text.is_empty() { Some(text) } else { candidate(&text, relayed) };
            text.map(|candidate| PartnerMessage::Candidate { candidate, mid, line, ufrag })
        }
    };
    Ok(message.map(|message| Signal::ToPartner { to, message }))
}

/// A description (RFC 8866) without any address but those that `relayed` knows as the relay's.
///
/// The text is made anew from the lines that are understood, so that what a browser would read otherwise does not pass.
///
/// # Errors
/// The description is too long, or would be.
pub fn description(sdp: &str, relayed: impl Fn(IpAddr) -> bool) -> Result<String, SdpFault> {
    const TOO_LONG: SdpFault = "it is longer than 64 KiB";
    if sdp.len() > SDP_MAX {
        return Err(TOO_LONG);
    }
    let mut out = String::with_capacity(sdp.len());
    for line in sdp.split(['\r', '\n']) {
        if let Some(line) = concealed_line(line, &relayed) {
            out.push_str(&line);
            out.push_str("\r\n");
        }
    }
    if out.len() > SDP_MAX { Err(TOO_LONG) } else { Ok(out) }
}

fn concealed_line(line: &str, relayed: impl Fn(IpAddr) -> bool) -> Option<String> {
    if !line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return None;
    }
    let (kind, value) = line.split_once('=')?;
    match kind {
        "v" => Some("v=0".to_owned()),
        "o" => Some(origin(value)),
        // A title would be shown to nobody, a time bounds nothing in a call.
        "s" => Some("s=-".to_owned()),
        "t" => Some("t=0 0".to_owned()),
        "c" => Some(format!("c={NOBODY}")),
        "b" => bandwidth(value).then(|| line.to_owned()),
        "m" => media(value),
        "a" => attribute(line, value, relayed),
        _ => None,
    }
}

/// Session id and version stay: they tell one description from the next (RFC 8866 §5.2).
fn origin(value: &str) -> String {
    let mut fields = value.split(' ').skip(1);
    let mut number = || fields.next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let (id, version) = (number(), number());
    format!("o=- {id} {version} {NOBODY}")
}

fn bandwidth(value: &str) -> bool {
    value.split_once(':').is_some_and(|(kind, rate)| ["AS", "CT", "TIAS"].contains(&kind) && rate.parse::<u32>().is_ok())
}

fn media(value: &str) -> Option<String> {
    let (kind, rest) = value.split_once(' ')?;
    let (port, rest) = rest.split_once(' ')?;
    let port = if port == "0" { "0" } else { DISCARD };
    let token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte));
    (token(kind) && rest.split(' ').all(token)).then(|| format!("m={kind} {port} {rest}"))
}

fn attribute(line: &str, value: &str, relayed: impl Fn(IpAddr) -> bool) -> Option<String> {
    let name = value.split(':').next().unwrap_or(value);
    match name {
        "candidate" => candidate(value, relayed).map(|candidate| format!("a={candidate}")),
        "rtcp" => Some(format!("a=rtcp:{DISCARD} {NOBODY}")),
        _ => (PASS.contains(&name) && !names_address(value)).then(|| line.to_owned()),
    }
}

/// Whether an address stands anywhere in a text, as some clients put theirs into `cname` (RFC 3550 §6.5.1).
fn names_address(text: &str) -> bool {
    let address = |part: &str| part.parse::<IpAddr>().is_ok();
    let runs = text.split(|letter: char| !letter.is_ascii_hexdigit() && !".:".contains(letter));
    // The name of an attribute may end in letters that an IPv6 address could begin with.
    runs.into_iter().any(|run| address(run) || run.split_once(':').is_some_and(|(_, rest)| address(rest)) || run.split(':').any(address))
}

/// A candidate (RFC 8839 §5.1) if it is a relayed one, without the address of whoever is behind the relay. `None` for
/// every other.
#[must_use]
pub fn candidate(text: &str, relayed: impl Fn(IpAddr) -> bool) -> Option<String> {
    let mut fields = text.strip_prefix("candidate:")?.split(' ');
    let mut next = || fields.next();
    let foundation = next().filter(|text| ice_letters(text, FOUNDATION_MAX))?;
    let component: u16 = next()?.parse().ok()?;
    let _udp = next().filter(|text| text.eq_ignore_ascii_case("udp"))?;
    let priority: u32 = next()?.parse().ok()?;
    let address: IpAddr = next()?.parse().ok()?;
    let port: u16 = next()?.parse().ok()?;
    // Whoever calls a stranger's address relayed would have the partner knock there, and show its own.
    if next()? != "typ" || next()? != "relay" || !relayed(address) {
        return None;
    }
    let nobody = if address.is_ipv4() { "0.0.0.0" } else { "::" };
    let mut out = format!("candidate:{foundation} {component} udp {priority} {address} {port} typ relay raddr {nobody} rport 0");
    while let (Some(name), Some(value)) = (next(), next()) {
        let known = match name {
            "generation" => value.parse::<u32>().is_ok(),
            "ufrag" => ice_letters(value, UFRAG_MAX),
            _ => false,
        };
        if known && !out.contains(&format!(" {name} ")) {
            [" ", name, " ", value].iter().for_each(|text| out.push_str(text));
        }
    }
    Some(out)
}

fn ice_letters(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

#[cfg(test)]
#[path = "conceal_tests.rs"]
mod tests;
