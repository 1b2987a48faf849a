//! Spans of time as people write them.

use std::time::Duration;

/// Longest life of a token: a year.
const MAX: Duration = Duration::from_hours(366 * 24);

/// Reads `90s`, `15m`, `1h` or `7d`, of one second to a year.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    const RULE: &str = "must be a whole number with s, m, h or d, such as 90s, 15m, 1h or 7d, and at most 366d";
    let unit = match text.chars().last().ok_or(RULE)? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(RULE),
    };
    // The unit is one ASCII letter, so this cuts at a letter's border.
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| RULE)?;
    let span = number.checked_mul(unit).map(Duration::from_secs).ok_or(RULE)?;
    if span.is_zero() || span > MAX { Err(RULE) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("15m", 900), ("1h", 3600), ("366d", 366 * 86_400)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1", "h", "0h", "-1h", "1.5h", "1ä", "367d", "99999999999999999999s", "18446744073709551615d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
