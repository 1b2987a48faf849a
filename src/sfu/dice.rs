//! What the tests of this module share: a start of time, seeded dice.

use std::time::Instant;

use crate::model::chance::Chance;

/// Any moment: tests add to it and never look at a clock again.
pub fn epoch() -> Instant {
    Instant::now()
}

/// Dice for one seed.
pub struct Dice(Chance);

impl Dice {
    /// The same throws for the same seed.
    pub fn new(seed: u8) -> Self {
        Self(Chance::new([seed; 32]))
    }

    /// A number below `sides`.
    pub fn below(&mut self, sides: u64) -> u64 {
        self.0.next_u64() % sides
    }

    /// An index into `len` things.
    pub fn index(&mut self, len: u32) -> usize {
        usize::try_from(self.below(u64::from(len))).unwrap()
    }

    /// Whether an event of this probability in percent happened.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// Up to `longest` random bytes.
    pub fn bytes(&mut self, longest: u64) -> Vec<u8> {
        let len = self.below(longest + 1);
        (0..len).map(|_| self.0.bytes::<1>()[0]).collect()
    }
}
