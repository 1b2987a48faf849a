//! Which simulcast layer of a track a subscriber gets.

use std::time::{Duration, Instant};

use super::frame::Glance;
use crate::model::media::Quality;
use crate::model::media::TrackSettings;
use crate::model::media::VideoLayer;

/// A layer that is silent for longer, while others go on, has been switched off by its publisher.
pub const SILENCE: Duration = Duration::from_secs(1);
/// How many frames the other layers must have sent meanwhile: a still screen may send one frame a second.
pub const SILENT_FRAMES: u8 = 5;
/// A layer covers a size that is this many percent of its own or less: upscaling by a tenth is not seen.
const COVER_PERCENT: u64 = 110;

/// The layers of one published track: what was announced and what arrives. Belongs to the publisher.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The short side of each announced layer in pixels.
    sides: [Option<u32>; 3],
    heard: [Option<Heard>; 3],
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
        self.sides = [None; 3];
        for layer in announced {
            self.sides[layer.quality.index()] = Some(layer.width.min(layer.height)).filter(|&side| side > 0);
        }
    }

    /// A packet of a layer arrived. To be told once, before the subscribers are asked.
    pub fn heard(&mut self, quality: Quality, glance: &Glance, now: Instant) {
        if glance.frame_end {
            for other in self.heard.iter_mut().flatten() {
                other.others = other.others.saturating_add(1);
            }
        }
        self.heard[quality.index()] = Some(Heard { at: now, others: 0 });
    }

    /// Whether a layer delivers. The only one left always does, however long it is silent.
    #[must_use]
    pub fn live(&self, quality: Quality, now: Instant) -> bool {
        self.heard[quality.index()].is_some_and(|heard| heard.others < SILENT_FRAMES || now.saturating_duration_since(heard.at) <= SILENCE)
    }

    /// The smallest layer that is large enough, whether it delivers or not.
    fn wish(&self, settings: &TrackSettings) -> Quality {
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

    /// The layer to send: the wished one, else the best live one below, else the next above.
    fn target(&self, settings: &TrackSettings, now: Instant) -> Option<Quality> {
        let wish = self.wish(settings);
        let live = |quality: &&Quality| self.live(**quality, now);
        let (below, above) = Quality::ALL.split_at(wish.index() + 1);
        below.iter().rev().find(live).or_else(|| above.iter().find(live)).copied()
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
    /// It is of a layer that the subscriber does not get.
    Drop,
}

/// The choice for one subscriber of one track. Layers change at keyframes only; until then the old one goes on.
#[derive(Clone, Debug, Default)]
pub struct LayerSelector {
    settings: TrackSettings,
    current: Option<Quality>,
}

impl LayerSelector {
    /// A subscriber that asked for nothing special gets the best layer.
    #[must_use]
    pub fn new(settings: TrackSettings) -> Self {
        Self { settings, current: None }
    }

    /// The subscriber changed its mind.
    pub fn set(&mut self, settings: TrackSettings) {
        self.settings = settings;
        if settings.disabled {
            self.current = None;
        }
    }

    /// The layer that is being sent.
    #[must_use]
    pub fn current(&self) -> Option<Quality> {
        self.current
    }

    /// Decides about a packet of a layer, after [`Layers::heard`] was told of it.
    pub fn on_packet(&mut self, layers: &Layers, quality: Quality, glance: &Glance, now: Instant) -> Decision {
        if self.settings.disabled {
            return Decision::Drop;
        }
        if self.current == Some(quality) {
            return Decision::Forward { switched: false };
        }
        if glance.keyframe_start && layers.target(&self.settings, now) == Some(quality) {
            self.current = Some(quality);
            return Decision::Forward { switched: true };
        }
        Decision::Drop
    }

    /// The layer whose next keyframe this subscriber waits for; ask its publisher through a
    /// [`super::keyframes::KeyframeThrottle`].
    #[must_use]
    pub fn wants_keyframe(&self, layers: &Layers, now: Instant) -> Option<Quality> {
        if self.settings.disabled {
            return None;
        }
        layers.target(&self.settings, now).filter(|&target| self.current != Some(target))
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::epoch;
    use super::*;

    const KEY: Glance = Glance { keyframe_start: true, frame_start: true, frame_end: true, vp8: None, temporal: None, number: None };
    const DELTA: Glance = Glance { keyframe_start: false, ..KEY };
    const HERE: Decision = Decision::Forward { switched: true };
    const ON: Decision = Decision::Forward { switched: false };

    fn layer(quality: Quality, width: u32, height: u32) -> VideoLayer {
        VideoLayer { quality, width, height, bitrate: 0 }
    }

    fn three() -> Layers {
        Layers::new(&[layer(Quality::Low, 320, 180), layer(Quality::Medium, 640, 360), layer(Quality::High, 1280, 720)])
    }

    fn size(width: u32, height: u32) -> TrackSettings {
        TrackSettings { width, height, ..TrackSettings::default() }
    }

    /// A frame of each of these layers every 33 ms for 2 s.
    fn run(layers: &mut Layers, qualities: &[Quality], from: Instant) -> Instant {
        let mut now = from;
        for _ in 0..60 {
            now += Duration::from_millis(33);
            for &quality in qualities {
                layers.heard(quality, &DELTA, now);
            }
        }
        now
    }

    #[test]
    fn the_smallest_layer_that_covers_is_wished() {
        let layers = three();
        let wish = |width, height| layers.wish(&size(width, height));
        assert_eq!(wish(320, 180), Quality::Low);
        assert_eq!(wish(350, 197), Quality::Low, "a tenth is forgiven");
        assert_eq!(wish(360, 203), Quality::Medium);
        assert_eq!(wish(360, 640), Quality::Medium, "portrait");
        assert_eq!(wish(641, 500), Quality::High);
        assert_eq!(wish(4_000, 2_000), Quality::High, "nothing covers");
        assert_eq!(wish(0, 100), Quality::Low);
        assert_eq!(wish(u32::MAX, u32::MAX), Quality::High);
        assert_eq!(wish(0, 0), Quality::High);
        let medium = TrackSettings { quality: Some(Quality::Medium), ..TrackSettings::default() };
        assert_eq!(layers.wish(&medium), Quality::Medium);
        assert_eq!(layers.wish(&TrackSettings { width: 100, height: 100, ..medium }), Quality::Low, "a size says more");
        assert_eq!(Layers::default().wish(&size(10, 10)), Quality::High, "nothing announced");
        let same = Layers::new(&[layer(Quality::Low, 640, 360), layer(Quality::Medium, 640, 360)]);
        assert_eq!(same.wish(&size(10, 10)), Quality::Medium);
    }

    #[test]
    fn dead_layers_fall_back_below_then_above() {
        let (mut layers, now) = (three(), epoch());
        assert_eq!(layers.target(&size(640, 360), now), None, "nothing arrived");
        layers.heard(Quality::High, &DELTA, now);
        assert_eq!(layers.target(&size(640, 360), now), Some(Quality::High));
        layers.heard(Quality::Low, &DELTA, now);
        assert_eq!(layers.target(&size(640, 360), now), Some(Quality::Low));
        layers.heard(Quality::Medium, &DELTA, now);
        assert_eq!(layers.target(&size(640, 360), now), Some(Quality::Medium));
    }

    #[test]
    fn a_switch_waits_for_a_keyframe_and_keeps_the_old_layer() {
        let (mut layers, now) = (three(), epoch());
        let mut one = LayerSelector::new(TrackSettings::default());
        assert_eq!(one.wants_keyframe(&layers, now), None, "no layer lives");
        layers.heard(Quality::Low, &DELTA, now);
        assert_eq!(one.on_packet(&layers, Quality::Low, &DELTA, now), Decision::Drop);
        assert_eq!(one.wants_keyframe(&layers, now), Some(Quality::Low));
        assert_eq!(one.on_packet(&layers, Quality::Low, &KEY, now), HERE);
        assert_eq!(one.on_packet(&layers, Quality::Low, &KEY, now), ON, "switched once");
        assert_eq!(one.wants_keyframe(&layers, now), None);
        layers.heard(Quality::High, &DELTA, now);
        assert_eq!(one.wants_keyframe(&layers, now), Some(Quality::High));
        assert_eq!(one.on_packet(&layers, Quality::High, &DELTA, now), Decision::Drop);
        assert_eq!(one.on_packet(&layers, Quality::Low, &DELTA, now), ON);
        assert_eq!(one.on_packet(&layers, Quality::High, &KEY, now), HERE);
        assert_eq!(one.on_packet(&layers, Quality::Low, &KEY, now), Decision::Drop);
        assert_eq!(one.current(), Some(Quality::High));
    }

    #[test]
    fn a_layer_that_dies_is_left_at_the_next_keyframe() {
        let mut layers = three();
        let mut one = LayerSelector::new(TrackSettings::default());
        let now = run(&mut layers, &Quality::ALL, epoch());
        assert_eq!(one.on_packet(&layers, Quality::High, &KEY, now), HERE);
        let now = run(&mut layers, &[Quality::Low, Quality::Medium], now);
        assert!(!layers.live(Quality::High, now));
        assert_eq!(one.wants_keyframe(&layers, now), Some(Quality::Medium));
        assert_eq!(one.on_packet(&layers, Quality::Low, &KEY, now), Decision::Drop);
        assert_eq!(one.on_packet(&layers, Quality::Medium, &KEY, now), HERE);
        let now = run(&mut layers, &Quality::ALL, now);
        assert_eq!(one.wants_keyframe(&layers, now), Some(Quality::High), "it came back");
    }

    #[test]
    fn a_pending_switch_ends_when_its_layer_dies() {
        let mut layers = three();
        let mut one = LayerSelector::new(size(320, 180));
        let now = run(&mut layers, &Quality::ALL, epoch());
        assert_eq!(one.on_packet(&layers, Quality::Low, &KEY, now), HERE);
        one.set(TrackSettings::default());
        assert_eq!(one.wants_keyframe(&layers, now), Some(Quality::High));
        let now = run(&mut layers, &[Quality::Low], now);
        assert_eq!(one.wants_keyframe(&layers, now), None);
        assert_eq!(one.on_packet(&layers, Quality::Low, &DELTA, now), ON);
    }

    #[test]
    fn slow_and_single_layers_live_on() {
        let (mut layers, mut now) = (three(), epoch());
        for _ in 0..10 {
            now += Duration::from_millis(1_500);
            layers.heard(Quality::High, &DELTA, now);
            layers.heard(Quality::Low, &DELTA, now);
            assert!(layers.live(Quality::High, now + Duration::from_millis(1_499)), "a still screen");
        }
        assert!(layers.live(Quality::High, now + Duration::from_mins(10)), "nothing else goes on");
    }

    #[test]
    fn a_disabled_track_sends_nothing_and_starts_again_with_a_keyframe() {
        let (mut layers, now) = (Layers::default(), epoch());
        let mut one = LayerSelector::default();
        layers.heard(Quality::High, &KEY, now);
        assert_eq!(one.on_packet(&layers, Quality::High, &KEY, now), HERE);
        one.set(TrackSettings { disabled: true, ..TrackSettings::default() });
        assert_eq!(one.on_packet(&layers, Quality::High, &KEY, now), Decision::Drop);
        assert_eq!(one.wants_keyframe(&layers, now), None);
        one.set(TrackSettings::default());
        assert_eq!(one.wants_keyframe(&layers, now), Some(Quality::High));
        assert_eq!(one.on_packet(&layers, Quality::High, &DELTA, now), Decision::Drop);
        assert_eq!(one.on_packet(&layers, Quality::High, &KEY, now), HERE);
    }
}
