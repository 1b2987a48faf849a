//! Nonces that need no memory: the server knows its own again by their seal.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How long a nonce is good.
pub const LIFETIME: Duration = Duration::from_mins(10);

/// Says that the server can do more than MD5, and with which features: the first of 24 bits, password algorithms
/// (RFC 8489 §9.2, §18.1).
const COOKIE: &str = "obMatJos2gAAA";
/// Hexadecimal digits of the time.
const TIME_DIGITS: usize = 8;
/// Bytes of the seal that are sent.
const SEAL: usize = 15;

/// Makes and checks nonces. All workers of a server have the same key and epoch.
#[derive(Clone, Debug)]
pub struct Nonces {
    key: hmac::Key,
    epoch: Instant,
}

impl Nonces {
    /// `key` must be unpredictable; times are counted from `epoch`.
    #[must_use]
    pub fn new(key: &[u8; 32], epoch: Instant) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), epoch }
    }

    /// A nonce for `client`.
    #[must_use]
    pub fn make(&self, client: SocketAddr, now: Instant) -> String {
        let time = self.seconds(now);
        format!("{COOKIE}{time:08x}{}", STANDARD.encode(&self.seal(client, time).as_ref()[..SEAL]))
    }

    /// Whether `nonce` was made for `client` within the last [`LIFETIME`].
    #[must_use]
    pub fn accepts(&self, nonce: &str, client: SocketAddr, now: Instant) -> bool {
        let digits = nonce.strip_prefix(COOKIE).and_then(|rest| rest.get(..TIME_DIGITS));
        let Some(time) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else { return false };
        let age = self.seconds(now).checked_sub(time);
        let made = format!("{COOKIE}{time:08x}{}", STANDARD.encode(&self.seal(client, time).as_ref()[..SEAL]));
        // A nonce is no secret of anybody's: the time that the comparison takes tells nothing worth knowing.
        age.is_some_and(|age| u64::from(age) < LIFETIME.as_secs()) && made == nonce
    }

    /// Seconds since the epoch; 2^32 are 136 years.
    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.epoch).as_secs()).unwrap_or(u32::MAX)
    }

    fn seal(&self, client: SocketAddr, time: u32) -> hmac::Tag {
        let ip = match client.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let mut text = [0; 22];
        text[..16].copy_from_slice(&ip.octets());
        text[16..18].copy_from_slice(&client.port().to_be_bytes());
        text[18..].copy_from_slice(&time.to_be_bytes());
        hmac::sign(&self.key, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fresh_nonces_of_the_same_client_count() {
        let epoch = Instant::now();
        let nonces = Nonces::new(&[1; 32], epoch);
        let client: SocketAddr = "203.0.113.9:5000".parse().unwrap();
        let now = epoch + Duration::from_secs(100);
        let nonce = nonces.make(client, now);
        assert!(nonces.accepts(&nonce, client, now));
        assert!(nonces.accepts(&nonce, client, now + Duration::from_secs(599)));
        assert!(!nonces.accepts(&nonce, client, now + LIFETIME));
        assert!(!nonces.accepts(&nonce, client, epoch), "from the future");
        assert!(!nonces.accepts(&nonce, "203.0.113.9:5001".parse().unwrap(), now));
        assert!(!Nonces::new(&[2; 32], epoch).accepts(&nonce, client, now));
        for wrong in ["", COOKIE, "obMatJos2gAAA0000006400000000000000000000", &nonce[..nonce.len() - 1], &format!("{nonce}A")] {
            assert!(!nonces.accepts(wrong, client, now), "{wrong}");
        }
        let later = format!("{COOKIE}{:08x}{}", 101, &nonce[COOKIE.len() + TIME_DIGITS..]);
        assert!(!nonces.accepts(&later, client, now + Duration::from_secs(1)));
    }

    #[test]
    fn nonces_fit_the_attribute() {
        let nonces = Nonces::new(&[1; 32], Instant::now());
        let nonce = nonces.make("[2001:db8::1]:65535".parse().unwrap(), Instant::now());
        // Fewer than 128 characters (RFC 8489 §14.10).
        assert!(nonce.len() < 128 && nonce.is_ascii(), "{}", nonce.len());
    }
}
