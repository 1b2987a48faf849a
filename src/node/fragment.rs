//! SDP fragments by which WHIP or WHEP changes ICE (RFC 8840 §9, RFC 9725 §4.3).

use super::sdp::{SECTIONS_MAX, sections_of};

/// Longest fragment that is taken, in bytes.
pub const FRAGMENT_MAX: usize = 32 * 1024;
/// Most candidates of one ICE session that are taken after the offer.
pub const CANDIDATES_MAX: usize = 100;
/// Longest candidate, in bytes.
pub const CANDIDATE_MAX: usize = 512;
/// How long a user name is (RFC 8839 §5.4).
const UFRAG_LEN: std::ops::RangeInclusive<usize> = 4..=256;
/// How long a password is (RFC 8839 §5.4).
const PASSWORD_LEN: std::ops::RangeInclusive<usize> = 22..=256;

/// A client's ICE credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name (`a=ice-ufrag`).
    pub ufrag: String,
    /// The password (`a=ice-pwd`).
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(..)")
    }
}

/// What a client says of ICE after its offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The credentials of the ICE session that it is about, if it says so: new ones restart ICE.
    pub credentials: Option<Credentials>,
    /// Candidates, as `candidate:...`.
    pub candidates: Vec<String>,
}

/// Why a fragment is refused, without a word of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentFault {
    /// It is none.
    #[error("the body is no fragment of SDP for ICE: {0}")]
    Malformed(&'static str),
    /// It is over a bound.
    #[error("the fragment is over a bound: {0}")]
    TooMuch(&'static str),
}

/// Reads a fragment. Lines of which nothing is understood are passed over (RFC 8840 §9.2).
///
/// # Errors
/// It is over a bound, has lines of other kinds than `a=` or `m=`, names two ICE sessions, or says nothing of ICE.
pub fn read(text: &str) -> Result<Fragment, FragmentFault> {
    use FragmentFault::{Malformed, TooMuch};
    if text.len() > FRAGMENT_MAX {
        return Err(TooMuch("it is longer than 32 KiB"));
    }
    let (mut ufrag, mut password) = (None, None);
    let mut candidates = Vec::new();
    let (mut sections, mut ended) = (0, false);
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.chars().any(char::is_control) {
            return Err(Malformed("a line has control characters"));
        }
        if line.starts_with("m=") {
            sections += 1;
            if sections > SECTIONS_MAX {
                return Err(TooMuch("it has more than 50 media sections"));
            }
            continue;
        }
        let attribute = line.strip_prefix("a=").ok_or(Malformed("a line begins with neither a= nor m="))?;
        if let Some(value) = attribute.strip_prefix("ice-ufrag:") {
            note(&mut ufrag, value, UFRAG_LEN)?;
        } else if let Some(value) = attribute.strip_prefix("ice-pwd:") {
            note(&mut password, value, PASSWORD_LEN)?;
        } else if attribute.starts_with("candidate:") {
            if attribute.len() > CANDIDATE_MAX {
                return Err(TooMuch("a candidate is longer than 512 bytes"));
            }
            if candidates.len() == CANDIDATES_MAX {
                return Err(TooMuch("it has more than 100 candidates"));
            }
            candidates.push(attribute.trim_end().to_owned());
        }
        ended |= attribute.trim_end() == "end-of-candidates";
    }
    let credentials = match (ufrag, password) {
        (Some(ufrag), Some(password)) => Some(Credentials { ufrag, password }),
        (None, None) if ended || !candidates.is_empty() => None,
        (None, None) => return Err(Malformed("it has neither candidates nor credentials")),
        _ => return Err(Malformed("ice-ufrag or ice-pwd is missing")),
    };
    Ok(Fragment { credentials, candidates })
}

/// Notes a credential, which may be said more than once.
fn note(known: &mut Option<String>, value: &str, len: std::ops::RangeInclusive<usize>) -> Result<(), FragmentFault> {
    let value = value.trim_end();
    let ice_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if !len.contains(&value.len()) || !value.bytes().all(ice_char) {
        return Err(FragmentFault::Malformed("ice-ufrag or ice-pwd is not as RFC 8839 has it"));
    }
    if known.as_deref().is_some_and(|known| known != value) {
        return Err(FragmentFault::Malformed("it names two ICE sessions"));
    }
    *known = Some(value.to_owned());
    Ok(())
}

/// The ICE credentials that a description names first.
#[must_use]
pub fn credentials(sdp: &str) -> Option<Credentials> {
    let value = |prefix: &str| sdp.lines().find_map(|line| line.strip_prefix(prefix)).map(|value| value.trim_end().to_owned());
    Some(Credentials { ufrag: value("a=ice-ufrag:")?, password: value("a=ice-pwd:")? })
}

/// A client's description as it would be after an ICE restart: other credentials, no candidates yet.
#[must_use]
pub fn restarted(sdp: &str, fresh: &Credentials) -> String {
    let mut out = String::with_capacity(sdp.len() + 64);
    for line in sdp.lines().map(str::trim_end) {
        let parts = match line.split_once(':').map_or(line, |(name, _)| name) {
            "a=candidate" | "a=end-of-candidates" => continue,
            "a=ice-ufrag" => ["a=ice-ufrag:", &fresh.ufrag],
            "a=ice-pwd" => ["a=ice-pwd:", &fresh.password],
            _ => [line, ""],
        };
        parts.iter().chain(&["\r\n"]).for_each(|part| out.push_str(part));
    }
    out
}

/// What a description of ours says of ICE, as the fragment that answers a restart: of the first media section, which
/// carries all (RFC 9725 §4.4.1).
#[must_use]
pub fn of(sdp: &str) -> String {
    let mut parts = sections_of(sdp);
    let head = parts.next().unwrap_or_default();
    let first = parts.next().unwrap_or_default();
    let among = |line: &&str, names: &[&str]| names.iter().any(|name| line.starts_with(name));
    let session = head.lines().filter(|line| among(line, &["a=ice-lite", "a=ice-options:", "a=group:BUNDLE"]));
    let media = first.lines().filter(|line| among(line, &["m=", "a=mid:"]));
    let credentials = |text| str::lines(text).filter(|line| among(line, &["a=ice-ufrag:", "a=ice-pwd:"]));
    let named = if credentials(first).next().is_some() { credentials(first) } else { credentials(head) };
    let candidates = head.lines().chain(first.lines()).filter(|line| among(line, &["a=candidate:"]));
    let lines = session.chain(media).chain(named).chain(candidates).chain(["a=end-of-candidates"]);
    lines.flat_map(|line| [line.trim_end(), "\r\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "P2uYro0UCOQ4zxjKXaWCBui1";

    fn fragment() -> String {
        format!(
            "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:{PASSWORD}\r\n\
            a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host ufrag EsAw\r\na=x-unknown\r\na=end-of-candidates\r\n"
        )
    }

    fn malformed(text: &str) -> &'static str {
        let Err(FragmentFault::Malformed(why)) = read(text) else { panic!("{text}") };
        why
    }

    fn too_much(text: &str) -> &'static str {
        let Err(FragmentFault::TooMuch(why)) = read(text) else { panic!("taken, or malformed") };
        why
    }

    #[test]
    fn fragments_are_read() {
        let credentials = Some(Credentials { ufrag: "EsAw".into(), password: PASSWORD.into() });
        let candidates = vec!["candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host ufrag EsAw".to_owned()];
        assert_eq!(read(&fragment()), Ok(Fragment { credentials: credentials.clone(), candidates: candidates.clone() }));
        assert_eq!(read(&fragment().replace("\r\n", "\n")), read(&fragment()));
        let bare = format!("a={}", candidates[0]);
        assert_eq!(read(&bare), Ok(Fragment { credentials: None, candidates }));
        let nothing_more = Fragment { credentials: None, candidates: Vec::new() };
        assert_eq!(read("m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n"), Ok(nothing_more));
        let twice = fragment() + &format!("m=video 9 X 0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:{PASSWORD}\r\n");
        assert_eq!(read(&twice).unwrap().credentials, credentials);
        assert_eq!(format!("{credentials:?}"), "Some((..))");
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        for text in ["", "\r\n", "a=mid:0\r\n", "m=audio 9 X 0\r\n"] {
            assert!(malformed(text).contains("neither candidates"));
        }
        for text in ["v=0\r\n", "{}", "candidate:1 1 udp 1 192.0.2.1 1 typ host", " a=mid:0"] {
            assert!(malformed(text).contains("neither a="));
        }
        assert!(malformed("a=candidate:\0").contains("control"));
        assert!(malformed("a=end-of-candidates\r\ra=x").contains("control"));
        assert!(malformed("a=ice-ufrag:EsAw\r\n").contains("missing"));
        assert!(malformed(&format!("a=ice-pwd:{PASSWORD}")).contains("missing"));
        assert!(malformed(&(fragment() + "a=ice-ufrag:other\r\n")).contains("two"));
        for ufrag in ["", "abc", "ab c", "äääää", &"x".repeat(257)] {
            assert!(malformed(&fragment().replace("EsAw", ufrag)).contains("8839"), "{ufrag}");
        }
        assert!(malformed(&fragment().replace(PASSWORD, &PASSWORD[..21])).contains("8839"));
    }

    #[test]
    fn fragments_have_bounds() {
        assert!(too_much(&"a=x-pad:012345\r\n".repeat(FRAGMENT_MAX / 16 + 1)).contains("32 KiB"));
        let candidates = |count| "a=candidate:1\r\n".repeat(count);
        assert_eq!(read(&candidates(CANDIDATES_MAX)).unwrap().candidates.len(), CANDIDATES_MAX);
        assert!(too_much(&candidates(CANDIDATES_MAX + 1)).contains("100"));
        let long = |len: usize| format!("a=candidate:{}", "1".repeat(len - "candidate:".len()));
        assert!(read(&long(CANDIDATE_MAX)).is_ok());
        assert!(too_much(&long(CANDIDATE_MAX + 1)).contains("512"));
        let sections = |count| "m=audio 9 X 0\r\n".repeat(count) + "a=end-of-candidates";
        assert!(read(&sections(SECTIONS_MAX)).is_ok());
        assert!(too_much(&sections(SECTIONS_MAX + 1)).contains("50"));
    }

    #[test]
    fn a_restarted_description_has_other_credentials_only() {
        let offer = "v=0\r\nm=audio 9 X 0\r\na=ice-ufrag:old1\r\na=ice-pwd:oldpassword\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n\
            a=end-of-candidates\r\nm=video 9 X 0\r\na=mid:1\r\na=ice-ufrag:old1\r\na=ice-pwd:oldpassword\r\n";
        assert_eq!(credentials(offer), Some(Credentials { ufrag: "old1".into(), password: "oldpassword".into() }));
        assert_eq!(credentials("v=0\r\n"), None);
        let fresh = Credentials { ufrag: "new1".into(), password: PASSWORD.into() };
        let again = restarted(offer, &fresh);
        assert_eq!(credentials(&again), Some(fresh));
        assert_eq!(again.matches("a=ice-ufrag:new1\r\n").count(), 2);
        assert!(!again.contains("old") && !again.contains("candidate"));
        assert!(again.starts_with("v=0\r\nm=audio 9 X 0\r\n") && again.contains("a=mid:1\r\n"));
    }

    #[test]
    fn a_restart_is_answered_by_what_our_description_says_of_ice() {
        let answer = "v=0\r\ns=-\r\na=group:BUNDLE 0 1\r\na=ice-lite\r\nm=audio 9 X 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:own1\r\n\
            a=ice-pwd:secret\r\na=fingerprint:sha-256 00\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\nm=video 9 X 96\r\na=mid:1\r\n";
        let expected = "a=group:BUNDLE 0 1\r\na=ice-lite\r\nm=audio 9 X 111\r\na=mid:0\r\na=ice-ufrag:own1\r\na=ice-pwd:secret\r\n\
            a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(of(answer), expected);
        let in_head = "v=0\r\na=ice-ufrag:own1\r\na=ice-pwd:secret\r\nm=audio 9 X 111\r\na=mid:0\r\n";
        assert_eq!(of(in_head), "m=audio 9 X 111\r\na=mid:0\r\na=ice-ufrag:own1\r\na=ice-pwd:secret\r\na=end-of-candidates\r\n");
    }
}
