//! What a client's network carries, as far as str0m finds out, how more is looked for.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::bwe::{Bitrate, BweKind};

use crate::sfu::budget::Budget;

/// The most that is looked for, in bit/s.
const DESIRED_MAX: u64 = 50_000_000;
/// This much more than what is wanted is looked for, in percent: what is raised must leave headroom.
const DESIRED_PERCENT: u64 = 125;
/// What str0m tells is a mean of its last three seconds. Where it was made to begin anew, those before count too.
const MEMORY: Duration = Duration::from_secs(3);
/// An estimate that has not changed for so long is no guess any more.
const GUESS: Duration = Duration::from_secs(1);
/// How soon more is looked for again while something is paused or smaller than wished; in vain ever less often.
const TRY_EVERY: Duration = Duration::from_millis(800);
/// How seldom at last …
const TRY_SELDOM: Duration = Duration::from_secs(6);
/// … and where the sound that flows already takes about as much as was estimated: so little is seldom right.
const TRY_SOUND_ALONE: Duration = Duration::from_secs(3);
/// How long each time as much is sent as the next step would take: an estimate grows by no more than what it sees.
const TRY_LASTS: Duration = Duration::from_secs(3);
/// By so much a wish must grow to count as one, in bit/s.
const A_LITTLE: u64 = 1_000;

/// How more is looked for than what the estimate allows.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// When it begins again.
    again: Instant,
    /// Until when padding is sent.
    until: Instant,
    /// The next pause.
    pause: Duration,
    /// What the estimate was when it began, in bit/s.
    estimate: u64,
}

/// What is known of a client's network, with what was decided by it.
#[derive(Debug, Default)]
pub(in crate::node) struct Bandwidth {
    pub budget: Budget,
    /// What it carries, in bit/s, as far as was found out.
    estimate: Option<u64>,
    /// The client reports when each packet came, not just what it thinks it can take.
    feedback: bool,
    /// How many estimates there were. The first is a guess.
    estimates: u32,
    /// When the first was made.
    guessed: Option<Instant>,
    /// When it was made to begin anew, because the client's way is another.
    anew: Option<Instant>,
    /// There is a new estimate to act on.
    news: bool,
    /// What str0m was told to send at least, and what to look for, in bit/s.
    told: (u64, u64),
    search: Option<Search>,
}

impl Bandwidth {
    /// What the client's network carries, in bit/s; `None` if it tells nothing of it.
    pub fn estimate(&self) -> Option<u64> {
        self.estimate
    }

    /// What str0m was told to send at least, with padding, in bit/s.
    pub fn least(&self) -> u64 {
        self.told.0
    }

    /// str0m has a new estimate. To be acted on when str0m is drained, which [`Self::take_news`] tells.
    pub fn estimated(&mut self, kind: &BweKind, now: Instant) {
        match kind {
            BweKind::Twcc { estimate, can_probe } => {
                let remembers = self.anew.is_some_and(|anew| now.saturating_duration_since(anew) < MEMORY);
                let least = self.estimate.filter(|_| remembers).unwrap_or(0);
                self.estimate = can_probe.then_some(estimate.as_u64().max(least));
                self.feedback = true;
            }
            // From clients that send no feedback per packet (draft-alvestrand-rmcat-remb-03).
            BweKind::Remb { estimate, .. } if !self.feedback => self.estimate = Some(estimate.as_u64()),
            _ => return,
        }
        self.estimates = self.estimates.saturating_add(1);
        self.guessed.get_or_insert(now);
        if self.estimates == 2 {
            self.budget.ask();
        }
        self.news = true;
    }

    /// Whether there is a new estimate since this was asked last.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// The client's way is another: what was found out of the old one does not count.
    pub fn begin_anew(&mut self, rtc: &mut Rtc, first: Bitrate, now: Instant) {
        rtc.bwe().reset(first);
        self.anew = Some(now);
        self.estimate = self.estimate.map(|_| first.as_u64());
    }

    /// The client wants something else, or another try: neither a hold nor a pause between searches keeps it waiting.
    pub fn ask(&mut self) {
        self.budget.ask();
        self.search = None;
    }

    /// Whether nothing is known yet of the way, the first or another one.
    pub fn is_guess(&self, now: Instant) -> bool {
        if self.anew.is_some_and(|anew| now.saturating_duration_since(anew) < GUESS) {
            return true;
        }
        let waited = self.guessed.is_some_and(|guessed| now.saturating_duration_since(guessed) >= GUESS);
        self.estimate.is_some() && self.estimates < 2 && !waited
    }

    /// Tells str0m how much the client's tracks could use, so that it looks for that much: `audio` now, `best` with all that is
    /// wished for, `next` with the next step up if something is missing, in bit/s. Returns whether str0m was told anything.
    pub fn look_for(&mut self, rtc: &mut Rtc, audio: u64, best: u64, next: Option<u64>, now: Instant) -> bool {
        let desired = (best * DESIRED_PERCENT / 100).min(DESIRED_MAX);
        let Some(next) = next else {
            self.search = None;
            return self.tell(rtc, 0, desired, false);
        };
        let estimate = self.estimate.unwrap_or(0);
        let news = self.search.is_some_and(|search| estimate > search.estimate * 3 / 2 || estimate < search.estimate / 2);
        let search = self.search.filter(|_| !news).unwrap_or(Search { again: now, until: now, pause: TRY_EVERY, estimate: 0 });
        if now < search.again {
            let minimum = if now < search.until { next } else { 0 };
            return self.tell(rtc, minimum, desired, false);
        }
        // Where hardly anything is sent, str0m keeps to what it last thought of losses and does not probe at all. And hardly
        // more than the sound that flows all the time cannot be right while nothing waits.
        let sound_alone = estimate < audio * 5 / 4;
        if estimate == search.estimate || sound_alone {
            rtc.bwe().reset(Bitrate::bps(estimate.max(audio)));
        }
        let pause = (search.pause * 2).min(if sound_alone { TRY_SOUND_ALONE } else { TRY_SELDOM });
        self.search = Some(Search { again: now + search.pause, until: now + TRY_LASTS, pause, estimate });
        self.tell(rtc, next, desired, true)
    }

    /// Says what is to be sent at least, with padding where there is not enough, and what to look for. With `more` str0m probes
    /// at once, which it does for each wish for more than before; by itself it may wait for a quarter of a minute.
    fn tell(&mut self, rtc: &mut Rtc, minimum: u64, desired: u64, more: bool) -> bool {
        let about = |one: u64, other: u64| one.abs_diff(other) * 10 <= other;
        // Rates that are measured are never quite the same, and each change costs a look at the pacer.
        if !more && about(desired, self.told.1) && about(minimum, self.told.0) {
            return false;
        }
        let desired = if more { desired.max(self.told.1) + A_LITTLE } else { desired };
        self.told = (minimum, desired);
        rtc.bwe().set_bitrate(Bitrate::bps(minimum), Bitrate::bps(desired));
        true
    }
}
