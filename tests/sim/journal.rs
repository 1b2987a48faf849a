//! A digest of all decisions, in their order, so that two runs can be compared.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use crate::time::since;

/// What happened, as one number that depends on all of it; and as text, where that is asked for.
pub struct Journal {
    digest: DefaultHasher,
    entries: u64,
    lines: Option<Vec<String>>,
}

impl Journal {
    /// A journal, with its text if the environment has `SIM_TRACE`.
    pub fn new() -> Self {
        let lines = std::env::var_os("SIM_TRACE").map(|_| Vec::new());
        Self { digest: DefaultHasher::new(), entries: 0, lines }
    }

    /// Notes a decision: when, about what, and how it was made.
    pub fn note(&mut self, now: Instant, what: &'static str, how: &impl Hash, text: impl FnOnce() -> String) {
        since(now).hash(&mut self.digest);
        what.hash(&mut self.digest);
        how.hash(&mut self.digest);
        self.entries += 1;
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>12.6} {what} {}", since(now).as_secs_f64(), text()));
        }
    }

    /// The digest of everything so far, and how much that was.
    pub fn digest(&self) -> (u64, u64) {
        (self.digest.finish(), self.entries)
    }

    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}
