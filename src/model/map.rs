//! Hash maps whose order repeats for the same seed, for look-ups too hot for an ordered map.

use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// A `HashMap` that iterates in the same order in every run with the same seed.
pub type SeededMap<K, V> = std::collections::HashMap<K, V, Seeded>;

/// Builds SipHash states that start from a secret seed, so that a stranger who picks the keys
/// (source addresses, user names) cannot pick collisions.
#[derive(Clone, Copy, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// A hasher for `seed`, which must be secret where strangers choose keys.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An empty map hashed with this seed.
    #[must_use]
    pub fn map<K, V>(self) -> SeededMap<K, V> {
        SeededMap::with_hasher(self)
    }
}

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}
