//! Values that only the relay's section has.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Shortest secret in bytes: as long as what HMAC-SHA1 gives (RFC 2104 §3).
const SECRET_MIN: usize = 20;
/// Longest secret in bytes.
const SECRET_MAX: usize = 512;
/// Fewest ports of the open relay: an allocation of both families takes one.
const PORTS_MIN: u16 = 16;

/// A secret of the relay, which nothing shows.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnSecret(String);

impl TurnSecret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret(..)")
    }
}

impl FromStr for TurnSecret {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if (SECRET_MIN..=SECRET_MAX).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

/// Ports from one number to another, such as `49152-65535`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl PortRange {
    /// As a range.
    #[must_use]
    pub fn range(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl FromStr for PortRange {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, last) = text.split_once('-').ok_or(())?;
        let range = Self { first: first.trim().parse().map_err(drop)?, last: last.trim().parse().map_err(drop)? };
        let enough = range.first >= 1024 && range.last.checked_sub(range.first).is_some_and(|more| more >= PORTS_MIN - 1);
        if enough { Ok(range) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_first_to_last() {
        assert_eq!("49152-65535".parse(), Ok(PortRange { first: 49_152, last: 65_535 }));
        assert_eq!("50000 - 50015".parse(), Ok(PortRange { first: 50_000, last: 50_015 }));
        for wrong in ["", "1", "50000-50014", "60000-50000", "80-2000", "50000-70000", "-1-5"] {
            assert_eq!(wrong.parse::<PortRange>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_long_and_not_shown() {
        let text = "0123456789abcdefghij";
        assert_eq!(format!("{:?}", text.parse::<TurnSecret>().unwrap()), "TurnSecret(..)");
        assert_eq!(text[1..].parse::<TurnSecret>(), Err(()));
        assert_eq!("x".repeat(SECRET_MAX + 1).parse::<TurnSecret>(), Err(()));
    }
}
