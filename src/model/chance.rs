//! Seeded randomness for the pure floors: the seed comes in as an argument.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Letters that may stand in SIDs and ICE credentials (RFC 8445 §5.3 allows `ice-char`, a superset).
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A cryptographically strong generator (ChaCha) that repeats for the same seed.
///
/// The server seeds it from the operating system, a simulation from its run number.
#[derive(Debug)]
pub struct Chance(StdRng);

impl Chance {
    /// Makes a generator from 32 bytes; unpredictable exactly if they are.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(StdRng::from_seed(seed))
    }

    /// A generator whose numbers do not overlap with those of `self`, for a part that owns its own.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Self::new(seed)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// `len` letters and digits, each with 5.95 bits of entropy.
    pub fn text(&mut self, len: usize) -> String {
        let mut text = String::with_capacity(len);
        while text.len() < len {
            // Rejection keeps the letters equally likely: 248 is the largest multiple of 62 in a byte.
            let [byte] = self.bytes::<1>();
            if byte < 248 {
                text.push(char::from(ALPHABET[usize::from(byte % 62)]));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_text() {
        assert_eq!(Chance::new([7; 32]).text(24), Chance::new([7; 32]).text(24));
        assert_ne!(Chance::new([7; 32]).text(24), Chance::new([8; 32]).text(24));
    }

    #[test]
    fn fork_differs_from_its_parent() {
        let mut parent = Chance::new([1; 32]);
        let mut child = parent.fork();
        assert_ne!(parent.next_u64(), child.next_u64());
    }
}
