//! Gapless numbers in the place of those of a source.

/// One bit for each of the newest numbers of a source.
#[derive(Clone, Debug)]
pub(super) struct Bits<const WORDS: usize>(pub [u64; WORDS]);

impl<const WORDS: usize> Bits<WORDS> {
    const SPAN: u64 = WORDS as u64 * 64;

    fn place(number: u64) -> (usize, u64) {
        // The remainder is below WORDS * 64, so both casts keep the value.
        #[allow(clippy::cast_possible_truncation)]
        let at = (number % Self::SPAN) as usize;
        (at / 64, 1 << (at % 64))
    }

    pub fn get(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.0[word] & bit != 0
    }

    pub fn set(&mut self, number: u64) {
        let (word, bit) = Self::place(number);
        self.0[word] |= bit;
    }

    pub fn clear(&mut self, number: u64) {
        let (word, bit) = Self::place(number);
        self.0[word] &= !bit;
    }
}

/// Maps the growing numbers of a source to gapless ones: what was left out on purpose leaves no gap, what is
/// missing leaves one that a late arrival fills.
#[derive(Clone, Debug)]
pub(super) struct Line<const WORDS: usize> {
    first: u64,
    pub newest: u64,
    next: u64,
    left_out: Bits<WORDS>,
}

impl<const WORDS: usize> Line<WORDS> {
    pub fn new(next: u64) -> Self {
        Self { first: 0, newest: 0, next, left_out: Bits([0; WORDS]) }
    }

    /// Another source begins with `number`: it gets the next number of ours.
    pub fn begin(&mut self, number: u64) -> u64 {
        *self = Self { first: number, newest: number, ..Self::new(self.next + 1) };
        self.next - 1
    }

    /// Moves the newest number up to `number`, which must be larger.
    pub fn advance(&mut self, number: u64) -> u64 {
        if number - self.newest > Bits::<WORDS>::SPAN {
            return self.begin(number);
        }
        for skipped in self.newest + 1..=number {
            self.left_out.clear(skipped);
        }
        self.next += number - self.newest;
        self.newest = number;
        self.next - 1
    }

    /// Ours for a number that is not above the newest; `None` outside the window and for left out ones.
    pub fn find(&self, number: u64) -> Option<u64> {
        if number < self.first || self.newest - number >= Bits::<WORDS>::SPAN || self.left_out.get(number) {
            return None;
        }
        let later = (number..self.newest).filter(|&n| !self.left_out.get(n + 1)).count() as u64;
        self.next.checked_sub(1 + later)
    }

    /// Leaves out a number above the newest.
    pub fn leave_out(&mut self, number: u64) {
        self.advance(number);
        self.left_out.set(number);
        self.next -= 1;
    }
}
