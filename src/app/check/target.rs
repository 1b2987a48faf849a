//! Which server a check is about, from the texts that people have at hand.

use axum::http::uri::Authority;

/// Longest URL, which may hold a token, in bytes.
const URL_MAX: usize = 16 * 1024;
const HTTPS: u16 = 443;

/// Why a text names no server. It repeats nothing of the text, which may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URL must be https://HOST or https://HOST:PORT, with or without a path, or a link into a room")]
pub struct NoTarget;

/// A server by the name that clients use. It has no `Debug`, for the token's sake.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// A name or an address; IPv6 addresses without brackets.
    pub host: String,
    /// Of HTTPS.
    pub port: u16,
    /// What the link held.
    pub token: Option<String>,
}

impl Target {
    /// Reads the page's URL, a link `/r/{room}#t=…`, `wss://…` or just `HOST:PORT`.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn parse(text: &str) -> Result<Self, NoTarget> {
        let rest = match text.split_once("://") {
            Some(("https" | "wss", rest)) => rest,
            Some(_) => return Err(NoTarget),
            None => text,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority: Authority = rest[..end].parse().map_err(|_| NoTarget)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => HTTPS,
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or(NoTarget)?,
            // Something stands before the host, such as a user.
            None => return Err(NoTarget),
        };
        if text.len() > URL_MAX || host.is_empty() {
            return Err(NoTarget);
        }
        let fragment = rest.split_once('#').map_or("", |(_, fragment)| fragment);
        let token = fragment.split('&').find_map(|pair| pair.strip_prefix("t=")).filter(|token| !token.is_empty());
        Ok(Self { host: host.to_owned(), port, token: token.map(str::to_owned) })
    }

    /// `host:port` as it stands in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

/// IPv6 addresses stand in brackets in URLs (RFC 3986 §3.2.2).
#[must_use]
pub fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, u16, Option<String>)> {
        Target::parse(text).ok().map(|target| (target.host, target.port, target.token))
    }

    #[test]
    fn every_form_at_hand_is_read() {
        let plain = |host: &str, port| Some((host.to_owned(), port, None));
        assert_eq!(parse("https://a.example"), plain("a.example", 443));
        assert_eq!(parse("https://a.example:8443/"), plain("a.example", 8443));
        assert_eq!(parse("wss://a.example:8443/rtc?x"), plain("a.example", 8443));
        assert_eq!(parse("a.example:8443"), plain("a.example", 8443));
        assert_eq!(parse("https://[2001:db8::1]:8443/"), plain("2001:db8::1", 8443));
        let link = parse("https://a.example/r/ward#t=abc&k=xyz");
        assert_eq!(link, Some(("a.example".to_owned(), 443, Some("abc".to_owned()))));
        assert_eq!(Target::parse("https://[::1]:1").ok().map(|target| target.authority()), Some("[::1]:1".to_owned()));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "https://",
            "http://a.example",
            "ftp://a",
            "https://user@a.example",
            "https://a b",
            "https://a:99999",
            "https://a:",
            "#t=x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
