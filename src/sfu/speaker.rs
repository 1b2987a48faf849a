//! Who speaks, told from the audio levels in RTP packets (RFC 6464).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long levels are collected before they are judged.
pub const WINDOW: Duration = Duration::from_millis(400);
/// Levels from this one up count as speech, in dB below overload.
pub const SPEECH_DB: u8 = 35;
/// How much of a window must be speech, in percent.
const SPEECH_PERCENT: u32 = 40;
/// How many windows in a row must lack speech until a speaker counts as silent: people breathe.
const QUIET_WINDOWS: u8 = 2;
/// The longest time that one packet stands for; longer gaps are losses or DTX.
const LONGEST_PACKET: Duration = Duration::from_millis(60);
/// The time that a speaker's first packet stands for.
const USUAL_PACKET: Duration = Duration::from_millis(20);
/// The weight of the newest window in the smoothed level.
const NEWEST_WEIGHT: f32 = 2.0 / 3.0;
/// Levels are told in this many steps, so that a change is one that can be seen.
const STEPS: f32 = 8.0;
/// How many speakers are watched; more are ignored until one is removed.
pub const SPEAKERS_MAX: usize = 256;

/// A participant, by a number that its owner chose.
pub type ParticipantKey = u64;

/// What is told about a participant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speaking {
    /// Who.
    pub key: ParticipantKey,
    /// Linear loudness, 0 to 1.
    pub level: f32,
    /// Speaks now; `level` is 0 exactly if not.
    pub active: bool,
}

#[derive(Clone, Copy, Debug)]
struct Speaker {
    heard: Instant,
    /// Speech in this window.
    speech: Duration,
    /// The loudest packet of this window, in dB below overload.
    loudest: u8,
    level: f32,
    quiet: u8,
    /// What was told last, in steps; 0 is silence.
    told: u8,
}

/// The speakers of one room.
#[derive(Clone, Debug, Default)]
pub struct SpeakerWatch {
    speakers: BTreeMap<ParticipantKey, Speaker>,
    since: Option<Instant>,
}

impl SpeakerWatch {
    /// Notes the level of one packet, in dBov: 0 is the loudest, -127 silence. `false` if nobody more can be watched.
    pub fn observe(&mut self, key: ParticipantKey, level: i8, now: Instant) -> bool {
        let full = self.speakers.len() >= SPEAKERS_MAX;
        let speaker = match self.speakers.get_mut(&key) {
            Some(speaker) => speaker,
            None if full => return false,
            None => {
                let heard = now.checked_sub(USUAL_PACKET).unwrap_or(now);
                self.speakers.entry(key).or_insert(Speaker { heard, speech: Duration::ZERO, loudest: 127, level: 0.0, quiet: 0, told: 0 })
            }
        };
        let lasted = now.saturating_duration_since(speaker.heard).min(LONGEST_PACKET);
        speaker.heard = speaker.heard.max(now);
        let below = level.min(0).unsigned_abs();
        if below <= SPEECH_DB {
            speaker.speech += lasted;
            speaker.loudest = speaker.loudest.min(below);
        }
        self.since.get_or_insert(now);
        true
    }

    /// Forgets a participant that left or stopped its microphone. Tells what others must hear of it: silence, if it
    /// was speaking.
    pub fn remove(&mut self, key: ParticipantKey) -> Option<Speaking> {
        let gone = self.speakers.remove(&key)?;
        (gone.told > 0).then_some(Speaking { key, level: 0.0, active: false })
    }

    /// When [`Self::poll`] judges next; nothing while nobody was heard.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.since.map(|since| since + WINDOW)
    }

    /// Judges at most once per [`WINDOW`] and tells who changed, loudest first.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<Speaking>> {
        let since = self.since.filter(|&since| now >= since + WINDOW)?;
        // A late poll judges a longer window: speech must fill the same share of it.
        let window = now - since;
        let mut changed = Vec::new();
        let mut going_on = false;
        for (&key, speaker) in &mut self.speakers {
            let told = speaker.judge(window);
            going_on |= told > 0 || speaker.heard > since;
            if told != speaker.told {
                speaker.told = told;
                changed.push(speaker.say(key));
            }
        }
        // With everybody silent the next window starts at the next packet.
        self.since = going_on.then_some(now);
        changed.sort_by(|a, b| b.level.total_cmp(&a.level));
        (!changed.is_empty()).then_some(changed)
    }

    /// Everybody who speaks, for somebody who just joined.
    #[must_use]
    pub fn active(&self) -> Vec<Speaking> {
        self.speakers.iter().filter(|(_, speaker)| speaker.told > 0).map(|(&key, speaker)| speaker.say(key)).collect()
    }
}

impl Speaker {
    /// Closes a window and returns the level to tell, in steps.
    fn judge(&mut self, window: Duration) -> u8 {
        let (speech, loudest) = (self.speech.min(window), self.loudest);
        (self.speech, self.loudest) = (Duration::ZERO, 127);
        let speaks = speech * 100 >= window * SPEECH_PERCENT;
        // Loudness counts by the share of the window it filled.
        let newest = if speaks { linear(loudest) * speech.as_secs_f32() / window.as_secs_f32() } else { 0.0 };
        self.level += (newest - self.level) * NEWEST_WEIGHT;
        self.quiet = if speaks { 0 } else { self.quiet.saturating_add(1) };
        if self.quiet >= QUIET_WINDOWS || (self.told == 0 && !speaks) {
            self.level = 0.0;
            return 0;
        }
        // At least one step, since an active speaker is never silent; the level lies between 0 and 1.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let steps = (self.level * STEPS).ceil().clamp(1.0, STEPS) as u8;
        steps
    }

    fn say(&self, key: ParticipantKey) -> Speaking {
        Speaking { key, level: f32::from(self.told) / STEPS, active: self.told > 0 }
    }
}

/// Linear loudness, 0 to 1, of a level in dB below overload.
fn linear(below: u8) -> f32 {
    10_f32.powf(-f32::from(below) / 20.0)
}

#[cfg(test)]
mod tests {
    use super::super::dice::epoch;
    use super::*;

    /// Packets of 20 ms, so many of them speech, over whole windows; what the polls told.
    fn talk(watch: &mut SpeakerWatch, key: u64, now: &mut Instant, windows: u32, speech_packets: u32, level: i8) -> Vec<Speaking> {
        let mut told = Vec::new();
        for packet in 0..windows * 20 {
            *now += Duration::from_millis(20);
            watch.observe(key, if packet % 20 < speech_packets { level } else { -90 }, *now);
            told.extend(watch.poll(*now).unwrap_or_default());
        }
        told
    }

    #[test]
    fn speech_is_told_once_with_its_loudness() {
        let (mut watch, mut now) = (SpeakerWatch::default(), epoch());
        let told = talk(&mut watch, 7, &mut now, 10, 20, -20);
        assert_eq!(told.first(), Some(&Speaking { key: 7, level: 0.125, active: true }));
        assert_eq!(told.len(), 1, "no change, nothing told");
        let louder = talk(&mut watch, 7, &mut now, 10, 20, 0);
        assert!(louder.is_sorted_by(|a, b| a.level < b.level), "smoothed upwards: {louder:?}");
        assert_eq!(louder.last().map(|s| s.level), Some(1.0));
        assert_eq!(watch.active().len(), 1);
    }

    #[test]
    fn noise_and_single_clicks_are_no_speech() {
        let (mut watch, mut now) = (SpeakerWatch::default(), epoch());
        assert_eq!(talk(&mut watch, 1, &mut now, 10, 20, -36), []);
        assert_eq!(talk(&mut watch, 1, &mut now, 10, 6, 0), [], "30 % of the window");
        assert!(!talk(&mut watch, 1, &mut now, 10, 12, -35).is_empty());
    }

    #[test]
    fn a_breath_does_not_end_speech_but_silence_does() {
        let (mut watch, mut now) = (SpeakerWatch::default(), epoch());
        assert_eq!(talk(&mut watch, 1, &mut now, 4, 20, -30).len(), 1);
        assert!(talk(&mut watch, 1, &mut now, 1, 0, 0).is_empty());
        assert!(talk(&mut watch, 1, &mut now, 4, 20, -30).is_empty());
        assert_eq!(talk(&mut watch, 1, &mut now, 4, 0, 0), [Speaking { key: 1, level: 0.0, active: false }]);
    }

    #[test]
    fn a_speaker_who_sends_nothing_more_falls_silent() {
        let (mut watch, mut now) = (SpeakerWatch::default(), epoch());
        talk(&mut watch, 1, &mut now, 3, 20, -10);
        let mut told = Vec::new();
        while let Some(due) = watch.next_timeout() {
            told.extend(watch.poll(due).unwrap_or_default());
            assert!(due < now + 10 * WINDOW, "the timer must end");
        }
        assert_eq!(told.last(), Some(&Speaking { key: 1, level: 0.0, active: false }));
        assert!(watch.active().is_empty());
    }

    #[test]
    fn nothing_is_told_within_a_window() {
        let (mut watch, now) = (SpeakerWatch::default(), epoch());
        assert_eq!((watch.next_timeout(), watch.poll(now)), (None, None));
        watch.observe(1, 0, now);
        assert_eq!(watch.next_timeout(), Some(now + WINDOW));
        assert_eq!(watch.poll(now + WINDOW / 2), None);
    }

    #[test]
    fn the_number_of_speakers_is_bounded() {
        let (mut watch, mut now) = (SpeakerWatch::default(), epoch());
        for key in 0..SPEAKERS_MAX as u64 {
            assert!(watch.observe(key, -90, now));
        }
        assert!(!watch.observe(9_999, 0, now));
        assert_eq!(watch.remove(0), None);
        assert!(!talk(&mut watch, 9_999, &mut now, 3, 20, -10).is_empty());
        assert_eq!(watch.remove(9_999), Some(Speaking { key: 9_999, level: 0.0, active: false }));
        assert_eq!(watch.remove(9_999), None);
    }

    #[test]
    fn any_level_at_any_time_is_taken() {
        let (mut watch, now) = (SpeakerWatch::default(), epoch());
        for level in i8::MIN..=i8::MAX {
            watch.observe(1, level, now + Duration::from_millis(u64::from(level.unsigned_abs()) * 7));
            for speaking in watch.poll(now + WINDOW * 3).unwrap_or_default() {
                assert!((0.0..=1.0).contains(&speaking.level) && speaking.active == (speaking.level > 0.0));
            }
        }
    }
}
