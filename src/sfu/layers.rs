//! Which simulcast layer of a track a subscriber gets.

use std::time::{Duration, Instant};

use super::budget::Rung;
use super::frame::Glance;
use super::meter::Meter;
use crate::model::media::Quality;
use crate::model::media::TrackSettings;
use crate::model::media::VideoLayer;

/// A layer that is silent for longer, while others go on, has been switched off by its publisher.
pub const SILENCE: Duration = Duration::from_secs(1);
/// How many frames the other layers must have sent meanwhile: a still screen may send one frame a second.
pub const SILENT_FRAMES: u8 = 5;
/// A layer covers a size that is this many percent of its own or less: upscaling by a tenth is not seen.
const COVER_PERCENT: u64 = 110;
/// What a packet takes beside its payload in bytes: RTP with extensions, SRTP's tag, UDP and IP.
const OVERHEAD: u64 = 70;
/// What layers take that were neither measured nor announced, in bit/s: what livekit-client sends of a camera.
const USUAL_BITRATES: [u64; 3] = [160_000, 450_000, 1_700_000];
/// Temporal layers are told apart below this one: libwebrtc makes at most three.
const TEMPORAL_LAYERS: usize = 3;
/// A frame rate that is this many percent of what was asked for is enough.
const ENOUGH_FRAMES_PERCENT: u64 = 90;

/// How well a track is sent. Later ones are better: of a smaller layer all frames come before a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level {
    /// The spatial layer.
    pub quality: Quality,
    /// The highest temporal layer.
    pub temporal: u8,
}

impl Level {
    /// Everything there is.
    pub const BEST: Self = Self::whole(Quality::High);

    /// A spatial layer with all its frames.
    #[must_use]
    pub const fn whole(quality: Quality) -> Self {
        Self { quality, temporal: u8::MAX }
    }
}

/// What one spatial layer brings: bits and frames a second, up to each temporal layer.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    bits: [Meter; TEMPORAL_LAYERS],
    frames: [Meter; TEMPORAL_LAYERS],
    /// Its packets name their temporal layers.
    temporal: bool,
    /// It sends parameter sets before its keyframes: without them a keyframe is none.
    sets: bool,
}

impl Flow {
    fn count(&mut self, payload: usize, glance: &Glance, now: Instant) {
        let layer = usize::from(glance.temporal.unwrap_or(0)).min(TEMPORAL_LAYERS - 1);
        self.sets |= glance.sets;
        self.temporal |= glance.vp8.is_some() && layer > 0;
        let bits = (payload as u64 + OVERHEAD) * 8;
        for at in layer..TEMPORAL_LAYERS {
            self.bits[at].add(bits, now);
            if glance.frame_end {
                self.frames[at].add(1, now);
            }
        }
    }

    fn rate(&self) -> Option<u64> {
        self.bits[TEMPORAL_LAYERS - 1].rate()
    }

    /// The lowest temporal layer that brings so many frames a second.
    fn enough(&self, fps: u32) -> u8 {
        let brings =
            |at: &u8| self.frames[usize::from(*at)].rate().is_some_and(|rate| rate * 100 >= u64::from(fps) * ENOUGH_FRAMES_PERCENT);
        let least = (0..2).find(brings).filter(|_| self.temporal && fps > 0);
        least.unwrap_or(u8::MAX)
    }
}

/// The layers of one published track: what was announced and what arrives. Belongs to the publisher.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The short side of each announced layer in pixels.
    sides: [Option<u32>; 3],
    /// What each was announced to take in bit/s.
    announced: [Option<u64>; 3],
    heard: [Option<Heard>; 3],
    flows: [Flow; 3],
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Instant,
    /// Frames of other layers since.
    others: u8,
}

impl Layers {
    /// The layers that the publisher announced; none for a track of a single layer.
    #[must_use]
    pub fn new(announced: &[VideoLayer]) -> Self {
        let mut layers = Self::default();
        layers.announce(announced);
        layers
    }

    /// The publisher changed its announcement. Sizes of 0 count as unknown.
    pub fn announce(&mut self, announced: &[VideoLayer]) {
        (self.sides, self.announced) = ([None; 3], [None; 3]);
        for layer in announced {
            self.sides[layer.quality.index()] = Some(layer.width.min(layer.height)).filter(|&side| side > 0);
            self.announced[layer.quality.index()] = Some(u64::from(layer.bitrate)).filter(|&bitrate| bitrate > 0);
        }
    }

    /// A packet of a layer arrived. To be told once, before the subscribers are asked.
    pub fn heard(&mut self, quality: Quality, glance: &Glance, payload: usize, now: Instant) {
        self.flows[quality.index()].count(payload, glance, now);
        if glance.frame_end {
            for other in self.heard.iter_mut().flatten() {
                other.others = other.others.saturating_add(1);
            }
        }
        self.heard[quality.index()] = Some(Heard { at: now, others: 0 });
    }

    /// Whether a decoder can begin with this packet of a layer.
    fn begins(&self, quality: Quality, glance: &Glance) -> bool {
        glance.keyframe_start && (glance.sets || !self.flows[quality.index()].sets)
    }

    /// Whether a layer delivers. The only one left always does, however long it is silent.
    #[must_use]
    pub fn live(&self, quality: Quality, now: Instant) -> bool {
        self.heard[quality.index()].is_some_and(|heard| heard.others < SILENT_FRAMES || now.saturating_duration_since(heard.at) <= SILENCE)
    }

    /// The smallest layer that is large enough, whether it delivers or not.
    #[must_use]
    pub fn wish(&self, settings: &TrackSettings) -> Quality {
        let wanted = match (settings.width, settings.height) {
            (0, 0) => return settings.quality.unwrap_or(Quality::High),
            (0, side) | (side, 0) => side,
            (width, height) => width.min(height),
        };
        let covers = |side: u32| u64::from(side) * COVER_PERCENT >= u64::from(wanted) * 100;
        let side = |quality: &Quality| self.sides[quality.index()].filter(|&side| covers(side)).map(|side| (side, *quality));
        // Of two layers of one size the better costs more and shows more: it is what the publisher calls better.
        let best = Quality::ALL.iter().filter_map(side).min_by_key(|&(side, quality)| (side, std::cmp::Reverse(quality)));
        best.map_or(Quality::High, |(_, quality)| quality)
    }

    /// The layer to send: the best live one up to `most`, else the next above.
    fn target(&self, most: Quality, now: Instant) -> Option<Quality> {
        let live = |quality: &&Quality| self.live(**quality, now);
        let (below, above) = Quality::ALL.split_at(most.index() + 1);
        below.iter().rev().find(live).or_else(|| above.iter().find(live)).copied()
    }

    /// What a layer takes, measured if it was, in bit/s.
    #[must_use]
    pub fn bitrate(&self, quality: Quality) -> u64 {
        let at = quality.index();
        self.flows[at].rate().or(self.announced[at]).unwrap_or(USUAL_BITRATES[at])
    }

    /// What a single layer was measured to take, in bit/s.
    #[must_use]
    pub fn measured(&self) -> Option<u64> {
        self.flows[Quality::High.index()].rate()
    }

    /// The layers up to the one that is wished for: those that deliver, or while none does those that were announced.
    fn useful(&self, settings: &TrackSettings, now: Instant) -> impl Iterator<Item = Quality> {
        let wish = self.wish(settings);
        let live = self.target(wish, now);
        let announced = move |quality: Quality| self.sides[quality.index()].is_some() || quality == wish;
        let best = live.unwrap_or(wish);
        Quality::ALL
            .into_iter()
            .filter(move |quality| *quality <= best && if live.is_some() { self.live(*quality, now) } else { announced(*quality) })
    }

    /// The ways to send this track, from the cheapest to the best that there is a use for.
    #[must_use]
    pub fn rungs(&self, settings: &TrackSettings, now: Instant) -> Vec<Rung> {
        let mut rungs = Vec::new();
        for quality in self.useful(settings, now) {
            let flow = &self.flows[quality.index()];
            let frames = flow.enough(settings.fps);
            // Frames are left out only where there is no smaller picture left to send.
            if rungs.is_empty() && flow.temporal {
                let thin = flow.bits.iter().zip(0..).take(TEMPORAL_LAYERS - 1).filter(|(_, temporal)| *temporal < frames);
                rungs
                    .extend(thin.filter_map(|(meter, temporal)| Some(Rung { level: Level { quality, temporal }, bitrate: meter.rate()? })));
            }
            let measured = flow.bits.get(usize::from(frames)).and_then(Meter::rate);
            let bitrate = measured.unwrap_or_else(|| self.bitrate(quality));
            rungs.push(Rung { level: Level { quality, temporal: frames }, bitrate });
        }
        rungs
    }
}

/// What to do with one packet for one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it.
    Forward {
        /// It is the first of another layer, or of the same after a pause: tell the rewriter.
        switched: bool,
    },
    /// It is of a frame that is left out of what the subscriber gets: tell the rewriter.
    Skip,
    /// It is of a layer that the subscriber does not get.
    Drop,
}

/// The choice for one subscriber of one track. Layers change at keyframes only; until then the old one goes on.
#[derive(Clone, Debug)]
pub struct LayerSelector {
    settings: TrackSettings,
    /// What the subscriber's network carries; `None` is nothing.
    limit: Option<Level>,
    current: Option<Quality>,
    /// The highest temporal layer that goes through at the moment.
    temporal: u8,
    /// Packets wait: only what other frames need goes through.
    squeezed: bool,
}

impl Default for LayerSelector {
    fn default() -> Self {
        Self::new(TrackSettings::default(), Some(Level::BEST))
    }
}

impl LayerSelector {
    /// A subscriber that asked for nothing special gets the best layer that its network carries.
    #[must_use]
    pub fn new(settings: TrackSettings, limit: Option<Level>) -> Self {
        Self { settings, limit, current: None, temporal: u8::MAX, squeezed: false }
    }

    /// The subscriber changed its mind.
    pub fn set(&mut self, settings: TrackSettings) {
        self.settings = settings;
        if settings.disabled {
            self.current = None;
        }
    }

    /// The subscriber's network carries more or less than before. After a pause the rewriter must be told too.
    pub fn limit(&mut self, limit: Option<Level>) {
        self.limit = limit;
        if limit.is_none() {
            self.current = None;
        }
    }

    /// Packets for the subscriber wait in a queue, or no longer do.
    pub fn squeeze(&mut self, squeezed: bool) {
        self.squeezed = squeezed;
    }

    /// What its network carries.
    #[must_use]
    pub fn limited(&self) -> Option<Level> {
        self.limit
    }

    /// The layer that is being sent.
    #[must_use]
    pub fn current(&self) -> Option<Quality> {
        self.current
    }

    /// What is being sent, as the budget sees it: from the moment on at which it was decided.
    #[must_use]
    pub fn sent(&self) -> Option<Level> {
        self.limit.filter(|_| !self.settings.disabled)
    }

    /// The layer that should be sent.
    fn target(&self, layers: &Layers, now: Instant) -> Option<Quality> {
        let limit = self.limit.filter(|_| !self.settings.disabled)?;
        layers.target(layers.wish(&self.settings).min(limit.quality), now)
    }

    /// Decides about a packet of a layer, after [`Layers::heard`] was told of it.
    pub fn on_packet(&mut self, layers: &Layers, quality: Quality, glance: &Glance, now: Instant) -> Decision {
        let Some(limit) = self.limit.filter(|_| !self.settings.disabled) else { return Decision::Drop };
        if self.current == Some(quality) {
            let most = if self.squeezed { 0 } else { limit.temporal };
            return if self.passes(most, glance) { Decision::Forward { switched: false } } else { Decision::Skip };
        }
        if layers.begins(quality, glance) && self.target(layers, now) == Some(quality) {
            self.current = Some(quality);
            self.temporal = limit.temporal;
            return Decision::Forward { switched: true };
        }
        Decision::Drop
    }

    /// Whether a frame of the current layer goes through. Whole frames do or do not, and more of them only from one on
    /// that needs none of those left out (RFC 7741 §4.2, Y).
    fn passes(&mut self, most: u8, glance: &Glance) -> bool {
        if glance.vp8.is_none() {
            return true;
        }
        if glance.keyframe_start {
            self.temporal = most;
        } else if glance.frame_start {
            self.temporal = self.temporal.min(most);
        }
        let Some(temporal) = glance.temporal else { return true };
        if temporal > self.temporal && temporal <= most && glance.sync && glance.frame_start {
            self.temporal = temporal;
        }
        temporal <= self.temporal
    }

    /// The layer whose next keyframe this subscriber waits for; ask its publisher through a
    /// [`super::keyframes::KeyframeThrottle`].
    #[must_use]
    pub fn wants_keyframe(&self, layers: &Layers, now: Instant) -> Option<Quality> {
        self.target(layers, now).filter(|&target| self.current != Some(target))
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
