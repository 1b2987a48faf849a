//! Names as segments of an address.

use std::fmt::Write as _;

/// Percent-encodes all but the unreserved characters (RFC 3986 §2.3).
#[must_use]
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String never fails.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_letters_are_encoded() {
        assert_eq!(segment("a-Z0._~"), "a-Z0._~");
        assert_eq!(segment("a/b?c#d ä%"), "a%2Fb%3Fc%23d%20%C3%A4%25");
    }
}
