//! What a client's network carries, as far as str0m finds out, how more is looked for.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::bwe::{Bitrate, BweKind};

use crate::sfu::budget::Budget;

/// The estimate before the first feedback: what a room of nine needs to see everybody small. Probes find out within a round trip
/// or two whether there is more.
pub(in crate::node) const FIRST_ESTIMATE: Bitrate = Bitrate::kbps(1_500);
/// The most that is looked for, in bit/s.
const DESIRED_MAX: u64 = 50_000_000;
/// This much more than what is wanted is looked for, in percent: what is raised must leave headroom.
const DESIRED_PERCENT: u64 = 125;
/// What str0m tells is a mean of its last three seconds. Where it was made to begin anew, those before count too.
const MEMORY: Duration = Duration::from_secs(3);
/// For so long an estimate is a guess.
const GUESS: Duration = Duration::from_secs(1);
/// How soon more is looked for again while something is paused or smaller than wished; in vain ever less often.
const TRY_EVERY: Duration = Duration::from_millis(800);
/// How seldom at last …
const TRY_SELDOM: Duration = Duration::from_secs(6);
/// … and where the sound that flows already takes about as much as was estimated: so little is seldom right.
const TRY_SOUND_ALONE: Duration = Duration::from_secs(3);
/// How long each time as much is sent as the next step would take: an estimate grows by no more than what it sees.
const TRY_LASTS: Duration = Duration::from_secs(3);
/// A client that says by itself what it can take says what it got at first, then at most half as much again. It tells of a bottleneck
/// only where that falls, or is less than this of the pictures that are sent, in percent …
const SHORT_PERCENT: u64 = 50;
/// … and by more than this in bit/s: our figures count headers, its may not.
const HEADERS: u64 = 30_000;
/// Who gets no pictures may say nothing, and then nothing is known of its network any more.
const REPORTED: Duration = Duration::from_secs(3);
/// By so much more each such report without a bottleneck lets try, in percent.
const GROWS_PERCENT: u64 = 8;
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
    /// What str0m thinks that it carries, in bit/s.
    estimate: Option<u64>,
    /// The client reports when each packet came, not just what it thinks it can take.
    feedback: bool,
    /// What the pictures take that are sent, in bit/s.
    pictures: u64,
    /// What a client without feedback said last that it can take, in bit/s, when.
    reported: Option<(u64, Instant)>,
    /// When pictures began. What str0m thought before is a guess.
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
    ///
    /// What str0m thinks falls on any network at first, by a keyframe after sound alone; on another way than before it is still
    /// about the old one. The pacer goes by it all the same, so that no network is flooded meanwhile.
    pub fn estimate(&self, now: Instant) -> Option<u64> {
        let doubtful = is_within(self.guessed, GUESS, now) || is_within(self.anew, MEMORY, now);
        let told = self.estimate.filter(|_| self.feedback || is_within(self.reported.map(|(_, at)| at), REPORTED, now));
        told.map(|estimate| if doubtful { estimate.max(FIRST_ESTIMATE.as_u64()) } else { estimate })
    }

    /// What str0m was told to send at least, with padding, in bit/s.
    pub fn least(&self) -> u64 {
        self.told.0
    }

    /// str0m has a new estimate. To be acted on when str0m is drained, which [`Self::take_news`] tells.
    pub fn estimated(&mut self, kind: &BweKind, now: Instant) {
        match kind {
            BweKind::Twcc { estimate, can_probe } => {
                self.estimate = can_probe.then_some(estimate.as_u64());
                self.feedback = true;
            }
            // From clients that send no feedback per packet (draft-alvestrand-rmcat-remb-03).
            BweKind::Remb { estimate, .. } if !self.feedback => self.reported(estimate.as_u64(), now),
            _ => return,
        }
        self.news = true;
    }

    /// A client said what it can take, in bit/s.
    fn reported(&mut self, can_take: u64, now: Instant) {
        let before = self.reported.filter(|(_, at)| is_within(Some(*at), REPORTED, now)).map(|(before, _)| before);
        self.reported = Some((can_take, now));
        if before.is_none() {
            self.estimate = None;
        }
        let fell = before.is_some_and(|before| can_take < before * 97 / 100);
        if can_take + HEADERS < self.pictures * if fell { 100 } else { SHORT_PERCENT } / 100 {
            self.estimate = Some(can_take);
        } else if let Some(estimate) = self.estimate {
            let more = estimate.max(can_take).saturating_mul(100 + GROWS_PERCENT) / 100;
            self.estimate = (more < DESIRED_MAX).then_some(more);
        }
    }

    /// Pictures were decided to be sent that take so much, in bit/s.
    pub fn sends(&mut self, pictures: u64) {
        self.pictures = pictures;
    }

    /// Whether there is a new estimate since this was asked last.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// There are pictures to send.
    pub fn begin_pictures(&mut self, now: Instant) {
        self.guessed.get_or_insert(now);
    }

    /// The client's way is another: what was found out of the old one does not count.
    pub fn begin_anew(&mut self, rtc: &mut Rtc, now: Instant) {
        rtc.bwe().reset(FIRST_ESTIMATE);
        self.anew = Some(now);
    }

    /// The client wants something else, or another try: neither a hold nor a pause between searches keeps it waiting.
    pub fn ask(&mut self) {
        self.budget.ask();
        self.search = None;
    }

    /// Whether nothing is known yet of the way, the first or another one.
    pub fn is_guess(&self, now: Instant) -> bool {
        is_within(self.guessed, GUESS, now) || is_within(self.anew, GUESS, now)
    }

    /// Tells str0m how much the client's tracks could use, so that it looks for that much: `audio` now, `best` with all that is
    /// wished for, `next` with the next step up if something is missing, in bit/s. Returns whether str0m was told anything.
    pub fn look_for(&mut self, rtc: &mut Rtc, audio: u64, best: u64, next: Option<u64>, now: Instant) -> bool {
        let desired = (best * DESIRED_PERCENT / 100).min(DESIRED_MAX);
        let Some(next) = next else {
            self.search = None;
            return self.tell(rtc, 0, desired, false);
        };
        let estimate = self.estimate(now).unwrap_or(0);
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

fn is_within(at: Option<Instant>, span: Duration, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bandwidth: &mut Bandwidth, kilobits: u64, now: &mut Instant) -> Option<u64> {
        *now += Duration::from_millis(500);
        bandwidth.estimated(&BweKind::Remb { mid: "0".into(), estimate: Bitrate::kbps(kilobits) }, *now);
        bandwidth.estimate(*now)
    }

    #[test]
    fn what_a_client_says_that_it_can_take_counts_where_it_is_less_than_it_gets() {
        let (mut bandwidth, mut now) = (Bandwidth::default(), Instant::now());
        let now = &mut now;
        assert_eq!(told(&mut bandwidth, 70, now), None, "it got sound alone");
        bandwidth.sends(40_000);
        assert_eq!(told(&mut bandwidth, 15, now), None, "small packets are headers above all");
        bandwidth.sends(500_000);
        assert_eq!(told(&mut bandwidth, 250, now), None, "about what it got");
        assert_eq!(told(&mut bandwidth, 200, now), Some(200_000), "a bottleneck: it falls");
        bandwidth.sends(0);
        for _ in 0..15 {
            told(&mut bandwidth, 70, now);
        }
        assert!(bandwidth.estimate(*now).is_some_and(|estimate| estimate > 600_000), "another try");
        bandwidth.sends(2_000_000);
        assert_eq!(told(&mut bandwidth, 60, now), Some(60_000));
        assert_eq!(bandwidth.estimate(*now + REPORTED), None, "it says nothing any more");
        *now += REPORTED;
        bandwidth.sends(0);
        assert_eq!(told(&mut bandwidth, 60, now), None, "what was known before is forgotten");
    }
}
