//! Which of its tracks a subscriber gets how well, when its network does not carry all of them.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use super::layers::Level;

/// More is sent only where the estimate leaves a tenth of what it would cost, in percent of the cost.
pub const HEADROOM_PERCENT: u64 = 110;
/// An estimate is one: what flows goes on while it is no more than this part of it, in percent, and no queue grows.
const TOLERANCE_PERCENT: u64 = 108;
/// How long nothing is raised after something had to be lowered, the first time.
const FIRST_HOLD: Duration = Duration::from_secs(4);
/// How long what was paused stays so at least: any picture is worth more than a better one.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest that nothing is raised.
const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// By this factor the hold grows when what was raised had to be lowered again.
const HOLD_GROWTH: u32 = 3;
/// What was raised and stood for so long was no mistake.
const PROBATION: Duration = Duration::from_secs(15);
/// The least time between two raises: the estimate must have seen what the first one did.
const BETWEEN_RAISES: Duration = Duration::from_secs(1);
/// With so much headroom nothing is held: what an estimate may err is less, in percent of the cost.
const AMPLE_PERCENT: u64 = 150;
/// The same while pictures are missing.
const BETWEEN_RESUMES: Duration = Duration::from_millis(300);
/// How long a cut is given to empty the queue before the next.
const BETWEEN_CUTS: Duration = Duration::from_millis(300);
/// While packets wait in the queue, this much of what is being sent is what the network carries, in percent.
const CONGESTED_PERCENT: u64 = 75;

/// Who comes first, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A shared screen.
    Screen,
    /// Who speaks, or what the client has pinned: 0 is the speaker, then the client's own order, 1 first.
    Foremost(u32),
    /// Everything else.
    Other,
}

/// One way to send a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Which layers.
    pub level: Level,
    /// What they take, in bit/s.
    pub bitrate: u64,
}

/// What a subscriber wants of one track.
#[derive(Clone, Debug)]
pub struct Demand {
    /// How much it matters.
    pub rank: Rank,
    /// The ways to send it, from the cheapest to the best that the client has use for.
    pub rungs: Vec<Rung>,
    /// What is being sent, `None` if nothing is.
    pub now: Option<Level>,
}

impl Demand {
    /// How many rungs up it stands: 0 is paused. What it has above its wish does not count.
    fn height(&self) -> usize {
        let Some(now) = self.now else { return 0 };
        // The lowest rung counts although it may be a better one than before, when a layer came or went.
        self.rungs.iter().rposition(|rung| rung.level <= now).map_or(self.rungs.len().min(1), |at| at + 1)
    }

    fn level(&self, height: usize) -> Option<Level> {
        self.rungs.get(height.checked_sub(1)?).map(|rung| rung.level)
    }

    fn cost(&self, height: usize) -> u64 {
        height.checked_sub(1).and_then(|at| self.rungs.get(at)).map_or(0, |rung| rung.bitrate)
    }
}

/// The decisions for one subscriber, with a memory that keeps them from flapping.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Nothing is raised before.
    raise_at: Option<Instant>,
    /// Nothing that is paused is resumed before.
    resume_at: Option<Instant>,
    raised: Option<Instant>,
    fell: Option<Instant>,
    hold: Duration,
    /// How many demands there were.
    known: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { raise_at: None, resume_at: None, raised: None, fell: None, hold: FIRST_HOLD, known: 0 }
    }
}

impl Budget {
    /// The client asked for something else, or for another try: what it wants is looked at without delay.
    pub fn ask(&mut self) {
        (self.raise_at, self.resume_at) = (None, None);
    }

    /// What is to be sent of each track, in the order of `demands`: `None` is a pause.
    ///
    /// `available` is in bit/s, without what sound takes; `congested` says that packets wait longer than they should.
    pub fn decide(&mut self, available: u64, congested: bool, demands: &[Demand], now: Instant) -> Vec<Option<Level>> {
        if demands.len() > self.known {
            self.ask();
        }
        self.known = demands.len();
        let held: Vec<usize> = demands.iter().map(Demand::height).collect();
        let spent = cost(demands, &held);
        let cut = congested && self.fell.is_none_or(|fell| now.saturating_duration_since(fell) >= BETWEEN_CUTS);
        let available = if cut { available.min(spent * CONGESTED_PERCENT / TOLERANCE_PERCENT) } else { available };
        let heights = if spent > available / 100 * TOLERANCE_PERCENT {
            self.lowered(now);
            allot(demands, Some(&held), available)
        } else if congested {
            held
        } else {
            self.raise(demands, held, available, now)
        };
        demands.iter().zip(heights).map(|(demand, height)| demand.level(height)).collect()
    }

    fn raise(&mut self, demands: &[Demand], held: Vec<usize>, available: u64, now: Instant) -> Vec<usize> {
        let due = |at: Option<Instant>| at.is_none_or(|at| now >= at);
        let with = |percent: u64| available / percent * 100;
        let better = if due(self.raise_at) {
            allot(demands, None, with(HEADROOM_PERCENT))
        } else if due(self.resume_at) {
            let most: Vec<usize> = held.iter().map(|height| *height.max(&1)).collect();
            let [resumed, ample] = [(Some(most.as_slice()), HEADROOM_PERCENT), (None, AMPLE_PERCENT)]
                .map(|(most, percent)| allot(demands, most, with(percent)));
            if compare(demands, &ample, &resumed).is_gt() { ample } else { resumed }
        } else {
            return held;
        };
        if compare(demands, &better, &held) != Ordering::Greater {
            return held;
        }
        // That a picture moves again is no bet that may fail.
        if better.iter().zip(&held).any(|(better, held)| *better > (*held).max(1)) {
            self.raised = Some(now);
        }
        self.raise_at = self.raise_at.max(Some(now + BETWEEN_RAISES));
        self.resume_at = Some(now + BETWEEN_RESUMES);
        better
    }

    fn lowered(&mut self, now: Instant) {
        let recent = |at: Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) < PROBATION);
        if recent(self.raised.take()) {
            self.hold = (self.hold * HOLD_GROWTH).min(LONGEST_HOLD);
        } else if !recent(self.fell) {
            self.hold = FIRST_HOLD;
        }
        self.fell = Some(now);
        self.raise_at = Some(now + self.hold);
        self.resume_at = Some(now + PAUSE);
    }
}

fn cost(demands: &[Demand], heights: &[usize]) -> u64 {
    demands.iter().zip(heights).map(|(demand, height)| demand.cost(*height)).sum()
}

fn in_order(demands: &[Demand]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by_key(|at| demands[*at].rank);
    order
}

/// The smallest layer for each before anybody gets more, then more rank by rank, evenly within a rank.
fn allot(demands: &[Demand], most: Option<&[usize]>, available: u64) -> Vec<usize> {
    let order = in_order(demands);
    let mut heights = vec![0; demands.len()];
    let mut left = available;
    let mut climb = |at: usize, heights: &mut Vec<usize>| {
        let (demand, height) = (&demands[at], heights[at]);
        let top = most.map_or(demand.rungs.len(), |most| most[at].min(demand.rungs.len()));
        let more = demand.cost(height + 1).saturating_sub(demand.cost(height));
        if height >= top || more > left {
            return false;
        }
        left -= more;
        heights[at] += 1;
        true
    };
    for &at in &order {
        climb(at, &mut heights);
    }
    for rank in order.chunk_by(|one, other| demands[*one].rank == demands[*other].rank) {
        // Whoever has nothing could not be given the least.
        let shown: Vec<usize> = rank.iter().copied().filter(|at| heights[*at] > 0).collect();
        let mut round = || shown.iter().filter(|at| climb(**at, &mut heights)).count();
        while round() > 0 {}
    }
    heights
}

/// Which is better: whoever matters most decides first, but nobody is paused for it.
fn compare(demands: &[Demand], one: &[usize], other: &[usize]) -> Ordering {
    let order = in_order(demands);
    let shown = |heights: &[usize]| heights.iter().filter(|height| **height > 0).count();
    let first = order.iter().map(|at| one[*at].cmp(&other[*at])).find(|verdict| verdict.is_ne());
    shown(one).cmp(&shown(other)).then(first.unwrap_or(Ordering::Equal))
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
