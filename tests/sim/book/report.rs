//! What a run over one network came to, in numbers.
#![allow(clippy::cast_precision_loss, reason = "shares of small numbers")]

use std::fmt;
use std::time::Duration;

use super::diary::{Diary, Key, Picture};
use super::network::Bounds;
use crate::link::Trip;
use crate::source::{AUDIO_EVERY, CAMERA};
use crate::time::since;

/// Sound that comes later is not played any more.
const TIMELY: Duration = Duration::from_millis(200);
/// What a player waits for whose network repeats all that it loses.
const PATIENT: Duration = Duration::from_millis(400);
/// A picture that stands for longer has frozen, as browsers count it: three frames, or 150 ms more than one.
const FROZEN: Duration = Duration::from_millis(183);

/// The figures, `None` where there is nothing to measure.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub name: String,
    pub seed: u64,
    pub people: usize,
    /// Percent.
    pub sound: f64,
    /// Percent, with more patience.
    pub sound_in_400: f64,
    /// Percent.
    pub frozen: f64,
    /// Percent of what would fit best.
    pub link_use: Option<f64>,
    /// 95th percentile, in ms.
    pub queue: u128,
    /// In ms.
    pub first_frame: Option<u128>,
    pub switches_a_minute: f64,
    /// Until the first picture moved again, in ms.
    pub recovery: Option<u128>,
    /// Until all did.
    pub all_back: Option<u128>,
    /// The sound of the one on the network that came to the others in time, in percent.
    pub heard: f64,
    /// How long its picture stood still there, in percent.
    pub stood_there: f64,
}

/// The share of sound that came in time, in percent. A lost frame counts as heard if the next one came: Opus and RED carry
/// it twice (RFC 6716 §2.1.7, RFC 2198).
pub fn sound(diary: &Diary, publishers: &[Key], window: (Duration, Duration)) -> f64 {
    sound_within(TIMELY, diary, publishers, window)
}

/// As [`sound`], for a player that waits longer.
pub fn patient_sound(diary: &Diary, publishers: &[Key], window: (Duration, Duration)) -> f64 {
    sound_within(PATIENT, diary, publishers, window)
}

fn sound_within(patience: Duration, diary: &Diary, publishers: &[Key], window: (Duration, Duration)) -> f64 {
    let frames = span(window).as_millis() / AUDIO_EVERY.as_millis();
    let mut heard = 0;
    for key in publishers {
        let Some(came) = diary.sound.get(key) else { continue };
        let timely = |frame: u32, patience: Duration| came.get(&frame).is_some_and(|(_, took)| *took <= patience);
        let (Some(first), Some(last)) = (came.keys().next(), came.keys().last()) else { continue };
        let published = |frame: u32| came.range(frame..).next().map(|(later, (at, _))| at.saturating_sub(AUDIO_EVERY * (later - frame)));
        heard += (*first..=*last)
            .filter(|frame| published(*frame).is_some_and(|at| at >= window.0 && at < window.1))
            .filter(|frame| timely(*frame, patience) || timely(frame + 1, patience.saturating_sub(AUDIO_EVERY)))
            .count();
    }
    percent(heard as f64, frames as f64 * publishers.len() as f64)
}

/// The share of the time that pictures stood still, in percent.
pub fn frozen(diary: &Diary, publishers: &[Key], window: (Duration, Duration)) -> f64 {
    let mut still = Duration::ZERO;
    for key in publishers {
        let pictures = diary.pictures.get(key).map(Vec::as_slice).unwrap_or_default();
        let inside = pictures.iter().map(|picture| picture.at.clamp(window.0, window.1));
        let times: Vec<Duration> = [window.0].into_iter().chain(inside).chain([window.1]).collect();
        still += times
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .filter(|gap| *gap > FROZEN)
            .map(|gap| gap.saturating_sub(CAMERA.every))
            .sum::<Duration>();
    }
    percent(still.as_secs_f64(), span(window).as_secs_f64() * publishers.len() as f64)
}

/// How often the layer of a track changed, a minute.
pub fn switches(diary: &Diary, publishers: &[Key], window: (Duration, Duration)) -> f64 {
    let changes = publishers.iter().filter_map(|key| diary.pictures.get(key)).map(|pictures| {
        let inside: Vec<&Picture> = pictures.iter().filter(|picture| picture.at >= window.0 && picture.at < window.1).collect();
        inside.windows(2).filter(|pair| pair[0].layer != pair[1].layer).count()
    });
    changes.sum::<usize>() as f64 * 60.0 / span(window).as_secs_f64() / publishers.len().max(1) as f64
}

/// When each of the tracks moved again after `from`, in ms since then; nothing for those that never did.
pub fn moved(diary: &Diary, publishers: &[Key], from: Duration) -> Vec<Option<u128>> {
    let first = |key| diary.pictures.get(key).and_then(|pictures| pictures.iter().find(|picture| picture.at >= from));
    publishers.iter().map(|key| Some(first(key)?.at.saturating_sub(from).as_millis())).collect()
}

/// What 95 of 100 datagrams waited at most, in ms.
pub fn queue(trips: &[Trip], window: (Duration, Duration)) -> u128 {
    let mut waits: Vec<u128> =
        trips.iter().filter(|trip| (window.0..window.1).contains(&since(trip.arrived))).map(|trip| trip.waited.as_millis()).collect();
    waits.sort_unstable();
    waits.get(waits.len() * 95 / 100).copied().unwrap_or(0)
}

/// Media that arrived, in bit/s; padding does not count.
pub fn throughput(diary: &Diary, window: (Duration, Duration)) -> f64 {
    let bytes: usize = diary.bytes.iter().filter(|(at, _)| (window.0..window.1).contains(at)).map(|(_, bytes)| bytes).sum();
    bytes as f64 * 8.0 / span(window).as_secs_f64()
}

fn span(window: (Duration, Duration)) -> Duration {
    window.1.saturating_sub(window.0)
}

pub fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

impl Report {
    /// What does not hold.
    pub fn faults(&self, about: &str, bounds: &Bounds) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{} ({about}, seed {}, {} people): {what}: {self}", self.name, self.seed, self.people));
            }
        };
        must(bounds.sound.is_none_or(|least| self.sound >= least), "too little sound");
        must(bounds.sound_in_400.is_none_or(|least| self.sound_in_400 >= least), "too little sound within 400 ms");
        must(bounds.frozen.is_none_or(|most| self.frozen <= most), "pictures stand still");
        must(bounds.link_use.is_none_or(|least| self.link_use.is_some_and(|used| used >= least)), "too little of the link is used");
        must(bounds.queue.is_none_or(|most| self.queue <= u128::from(most)), "packets wait");
        must(
            bounds.first_frame.is_none_or(|most| self.first_frame.is_some_and(|took| took <= u128::from(most))),
            "the first picture is late",
        );
        must(bounds.switches_a_minute.is_none_or(|most| self.switches_a_minute <= most), "layers change too often");
        must(bounds.recovery.is_none_or(|most| self.recovery.is_some_and(|took| took <= u128::from(most))), "too late back");
        must(bounds.all_back.is_none_or(|most| self.all_back.is_some_and(|took| took <= u128::from(most))), "all too late back");
        must(bounds.heard.is_none_or(|least| self.heard >= least), "others hear too little of it");
        must(bounds.stood_there.is_none_or(|most| self.stood_there <= most), "its picture stands still at others");
        faults
    }

    pub const HEAD: &str = "| network | people | seed | sound in time % | in 400 ms % | frozen % | link used % | queue p95 ms | first picture ms | switches/min | back after ms | all back ms | others hear % | others see it frozen % |\n\
                            |---|---|---|---|---|---|---|---|---|---|---|---|---|---|";
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        write!(
            out,
            "| {} | {} | {} | {:.2} | {:.2} | {:.1} | {} | {} | {} | {:.1} | {} | {} | {:.2} | {:.1} |",
            self.name,
            self.people,
            self.seed,
            self.sound,
            self.sound_in_400,
            self.frozen,
            or(self.link_use.map(|used| format!("{used:.0}"))),
            self.queue,
            or(self.first_frame.map(|took| took.to_string())),
            self.switches_a_minute,
            or(self.recovery.map(|took| took.to_string())),
            or(self.all_back.map(|took| took.to_string())),
            self.heard,
            self.stood_there,
        )
    }
}
