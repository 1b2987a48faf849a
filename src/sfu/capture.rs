//! When what a publisher sends was taken, by its sender reports: lips keep to voices that took another way.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use str0m::rtp::rtcp::SenderInfo;

/// A report that is further from the others than this comes from a clock that was set.
const STEP: i64 = 2_000_000;
/// Nothing is on its way from a camera for longer. A report that says so is not believed.
const LONGEST: Duration = Duration::from_secs(5);
/// For so long the fastest report counts, because the publisher's clock may run at another speed than ours …
const WINDOW: Duration = Duration::from_secs(30);
/// … and then gives way by this much at most, in µs: a clock is never so wrong, and a jump would be seen.
const SLEW: i64 = 20_000;

/// One publisher's clock beside ours. All its streams share it (RFC 3550 §6.4.1), so that it does not matter how wrong it is.
///
/// A moment of it is taken for the earliest moment of ours that a report allows: reports come late, never early.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceClock {
    anchor: Option<Anchor>,
}

/// Two moments that are one.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    /// µs since 1970 by the publisher's clock.
    theirs: i64,
    ours: Instant,
    /// Since when reports have been compared with it.
    since: Instant,
    /// How late the fastest of them was, in µs.
    least: i64,
}

impl Anchor {
    fn new(theirs: i64, ours: Instant) -> Self {
        Self { theirs, ours, since: ours, least: i64::MAX }
    }

    fn moment(&self, theirs: i64) -> Option<Instant> {
        let ahead = theirs - self.theirs;
        let span = Duration::from_micros(ahead.unsigned_abs());
        if ahead < 0 { self.ours.checked_sub(span) } else { self.ours.checked_add(span) }
    }
}

impl SourceClock {
    /// A report of any of the publisher's streams came.
    pub fn report(&mut self, info: &SenderInfo, received: Instant) {
        let theirs = micros(info.ntp_time);
        let Some(anchor) = &mut self.anchor else { return self.anchor = Some(Anchor::new(theirs, received)) };
        let late = anchor.moment(theirs).map_or(i64::MAX, |moment| apart(received, moment));
        if !(0..STEP).contains(&late) {
            *anchor = Anchor::new(theirs, received);
            return;
        }
        anchor.least = anchor.least.min(late);
        if received.saturating_duration_since(anchor.since) >= WINDOW {
            anchor.ours += Duration::from_micros(anchor.least.min(SLEW).unsigned_abs());
            (anchor.since, anchor.least) = (received, i64::MAX);
        }
    }

    /// When a packet's content was taken, on our clock, and never after its `arrival`: by its stream's last report, else then.
    ///
    /// `timestamp` is the packet's, `clock_rate` in Hz.
    #[must_use]
    pub fn taken(&self, info: Option<&SenderInfo>, timestamp: u32, clock_rate: u32, arrival: Instant) -> Instant {
        let moment = self.anchor.zip(info).and_then(|(anchor, info)| {
            // RTP's 32 bits, on which reports and packets wrap alike.
            #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
            let ticks = timestamp.wrapping_sub(info.rtp_time.numer() as u32) as i32;
            let since = i64::from(ticks) * 1_000_000 / i64::from(clock_rate.max(1));
            anchor.moment(micros(info.ntp_time) + since)
        });
        moment.map(|moment| moment.min(arrival)).filter(|moment| arrival.saturating_duration_since(*moment) < LONGEST).unwrap_or(arrival)
    }
}

/// µs since 1970; NTP has 32 bits of seconds, so they fit.
fn micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX / 2),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX / 2),
    }
}

/// By how many µs one moment is after another.
fn apart(one: Instant, other: Instant) -> i64 {
    let span = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    if one >= other { span(one - other) } else { -span(other - one) }
}

#[cfg(test)]
mod tests {
    use str0m::media::{Frequency, MediaTime};

    use super::super::dice::{Dice, epoch};
    use super::*;

    const RATE: u32 = 90_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A report at a moment of the publisher's clock, in ms.
    fn info(theirs: u64, timestamp: u32) -> SenderInfo {
        SenderInfo {
            ssrc: 1.into(),
            ntp_time: UNIX_EPOCH + ms(theirs),
            rtp_time: MediaTime::new(timestamp.into(), Frequency::NINETY_KHZ),
            sender_packet_count: 0,
            sender_octet_count: 0,
        }
    }

    #[test]
    fn without_a_report_a_packet_was_taken_when_it_came() {
        let now = epoch();
        let mut clock = SourceClock::default();
        assert_eq!(clock.taken(None, 7, RATE, now), now);
        assert_eq!(clock.taken(Some(&info(5, 0)), 7, RATE, now), now);
        clock.report(&info(1_000, 0), now);
        assert_eq!(clock.taken(None, 7, RATE, now), now);
    }

    #[test]
    fn what_took_longer_was_taken_at_the_same_time() {
        let (now, mut clock) = (epoch(), SourceClock::default());
        let (sound, picture) = (info(77_000, 5), info(76_900, u32::MAX - 8_999));
        clock.report(&sound, now);
        // A picture of the same moment as the sound, 300 ms behind it; its stream's report is 100 ms older, and its time wraps.
        assert_eq!(clock.taken(Some(&picture), 0, RATE, now + ms(300)), now);
        assert_eq!(clock.taken(Some(&picture), 9_000, RATE, now + ms(401)), now + ms(100));
        assert_eq!(clock.taken(Some(&picture), 9_000, RATE, now + ms(50)), now + ms(50), "never after it came");
    }

    #[test]
    fn the_fastest_report_counts_until_it_is_old() {
        let (now, mut clock) = (epoch(), SourceClock::default());
        let report = info(10_000, 0);
        clock.report(&report, now + ms(400));
        let at = |clock: &SourceClock| clock.taken(Some(&report), 0, RATE, now + ms(900)) - now;
        assert_eq!(at(&clock), ms(400));
        clock.report(&info(11_000, 0), now + ms(1_030));
        assert_eq!(at(&clock), ms(30));
        for second in 2..31 {
            clock.report(&info(10_000 + second * 1_000, 0), now + ms(second * 1_000 + 45));
        }
        assert_eq!(at(&clock), ms(30), "slower ones change nothing");
        clock.report(&info(42_000, 0), now + ms(32_300));
        assert_eq!(at(&clock), ms(45), "but the fastest of half a minute does");
        clock.report(&info(80_000, 0), now + ms(71_900));
        assert_eq!(at(&clock), ms(65), "by little at a time");
    }

    #[test]
    fn a_clock_that_was_set_is_followed_and_nonsense_is_not_believed() {
        let (now, mut clock) = (epoch(), SourceClock::default());
        clock.report(&info(10_000_000, 0), now);
        for theirs in [20_000_000, 5_000_000] {
            let report = info(theirs, 0);
            assert_eq!(clock.taken(Some(&report), 0, RATE, now + ms(500)), now + ms(500), "before any report of the new time");
            clock.report(&report, now + ms(100));
            assert_eq!(clock.taken(Some(&report), 0, RATE, now + ms(500)), now + ms(100));
        }
    }

    #[test]
    fn any_report_leaves_a_moment_that_is_past() {
        let (mut dice, mut now) = (Dice::new(4), epoch() + Duration::from_hours(1));
        let mut clock = SourceClock::default();
        for _ in 0..20_000 {
            now += ms(dice.below(2_000));
            let small = |dice: &mut Dice| u32::try_from(dice.below(1 << 32)).unwrap();
            let report = info(dice.below(1 << 43), small(&mut dice));
            if dice.percent(50) {
                clock.report(&report, now);
            }
            let taken = clock.taken(Some(&report), small(&mut dice), small(&mut dice), now);
            assert!(taken <= now && now - taken < LONGEST);
        }
    }
}
