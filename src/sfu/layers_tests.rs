//! Tests of the choice of layers.

use super::super::dice::epoch;
use super::super::frame::glance;
use super::*;
use crate::model::media::Codec;

const KEY: Glance =
    Glance { keyframe_start: true, sets: false, frame_start: true, frame_end: true, vp8: None, temporal: None, sync: false, number: None };
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
            layers.heard(quality, &DELTA, 1_000, now);
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
    assert_eq!(layers.target(layers.wish(&size(640, 360)), now), None, "nothing arrived");
    layers.heard(Quality::High, &DELTA, 1_000, now);
    assert_eq!(layers.target(layers.wish(&size(640, 360)), now), Some(Quality::High));
    layers.heard(Quality::Low, &DELTA, 1_000, now);
    assert_eq!(layers.target(layers.wish(&size(640, 360)), now), Some(Quality::Low));
    layers.heard(Quality::Medium, &DELTA, 1_000, now);
    assert_eq!(layers.target(layers.wish(&size(640, 360)), now), Some(Quality::Medium));
}

#[test]
fn a_switch_waits_for_a_keyframe_and_keeps_the_old_layer() {
    let (mut layers, now) = (three(), epoch());
    let mut one = LayerSelector::new(TrackSettings::default(), Some(Level::BEST));
    assert_eq!(one.wants_keyframe(&layers, now), None, "no layer lives");
    layers.heard(Quality::Low, &DELTA, 1_000, now);
    assert_eq!(one.on_packet(&layers, Quality::Low, &DELTA, now), Decision::Drop);
    assert_eq!(one.wants_keyframe(&layers, now), Some(Quality::Low));
    assert_eq!(one.on_packet(&layers, Quality::Low, &KEY, now), HERE);
    assert_eq!(one.on_packet(&layers, Quality::Low, &KEY, now), ON, "switched once");
    assert_eq!(one.wants_keyframe(&layers, now), None);
    layers.heard(Quality::High, &DELTA, 1_000, now);
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
    let mut one = LayerSelector::new(TrackSettings::default(), Some(Level::BEST));
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
    let mut one = LayerSelector::new(size(320, 180), Some(Level::BEST));
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
        layers.heard(Quality::High, &DELTA, 1_000, now);
        layers.heard(Quality::Low, &DELTA, 1_000, now);
        assert!(layers.live(Quality::High, now + Duration::from_millis(1_499)), "a still screen");
    }
    assert!(layers.live(Quality::High, now + Duration::from_mins(10)), "nothing else goes on");
}

#[test]
fn a_disabled_track_sends_nothing_and_starts_again_with_a_keyframe() {
    let (mut layers, now) = (Layers::default(), epoch());
    let mut one = LayerSelector::default();
    layers.heard(Quality::High, &KEY, 1_000, now);
    assert_eq!(one.on_packet(&layers, Quality::High, &KEY, now), HERE);
    one.set(TrackSettings { disabled: true, ..TrackSettings::default() });
    assert_eq!(one.on_packet(&layers, Quality::High, &KEY, now), Decision::Drop);
    assert_eq!(one.wants_keyframe(&layers, now), None);
    one.set(TrackSettings::default());
    assert_eq!(one.wants_keyframe(&layers, now), Some(Quality::High));
    assert_eq!(one.on_packet(&layers, Quality::High, &DELTA, now), Decision::Drop);
    assert_eq!(one.on_packet(&layers, Quality::High, &KEY, now), HERE);
}

/// What a VP8 packet of a temporal layer tells.
fn vp8(temporal: u8, sync: bool, key: bool) -> Glance {
    let byte = temporal << 6 | u8::from(sync) << 5;
    let payload = [0x90, 0xe0, 0x80, 0x01, 0x00, byte, u8::from(!key)];
    glance(Codec::Vp8, &payload, true)
}

#[test]
fn frames_are_left_out_whole_and_come_back_where_nothing_is_missed() {
    let mut layers = Layers::default();
    let (mut one, now) = (LayerSelector::default(), epoch());
    let mut send = |one: &mut LayerSelector, glance: Glance| {
        layers.heard(Quality::High, &glance, 1_000, now);
        one.on_packet(&layers, Quality::High, &glance, now)
    };
    assert_eq!(send(&mut one, vp8(0, false, true)), HERE);
    assert_eq!([vp8(2, true, false), vp8(1, true, false), vp8(2, false, false)].map(|packet| send(&mut one, packet)), [ON, ON, ON]);
    one.limit(Some(Level { quality: Quality::High, temporal: 0 }));
    let later_part = Glance { frame_start: false, ..vp8(2, false, false) };
    assert_eq!(send(&mut one, later_part), ON, "what has begun is sent to its end");
    assert_eq!(
        [vp8(0, false, false), vp8(2, true, false), vp8(1, true, false)].map(|packet| send(&mut one, packet)),
        [ON, Decision::Skip, Decision::Skip]
    );
    one.limit(Some(Level::BEST));
    assert_eq!(
        [vp8(2, false, false), vp8(0, false, false), vp8(2, true, false)].map(|packet| send(&mut one, packet)),
        [Decision::Skip, ON, ON]
    );
    one.squeeze(true);
    assert_eq!([vp8(0, false, false), vp8(1, true, false)].map(|packet| send(&mut one, packet)), [ON, Decision::Skip], "packets wait");
    one.limit(None);
    assert_eq!(send(&mut one, vp8(0, false, true)), Decision::Drop);
    assert_eq!(one.wants_keyframe(&layers, now), None);
}

#[test]
fn a_frame_that_began_to_be_left_out_is_left_out_to_its_end() {
    let (mut layers, mut one, now) = (Layers::default(), LayerSelector::default(), epoch());
    let mut send = |one: &mut LayerSelector, glance: Glance| {
        layers.heard(Quality::High, &glance, 1_000, now);
        one.on_packet(&layers, Quality::High, &glance, now)
    };
    one.limit(Some(Level { quality: Quality::High, temporal: 0 }));
    assert_eq!([vp8(0, false, true), vp8(1, true, false)].map(|packet| send(&mut one, packet)), [HERE, Decision::Skip]);
    one.limit(Some(Level::BEST));
    let rest = Glance { frame_start: false, ..vp8(1, true, false) };
    assert_eq!([rest, vp8(2, false, false)].map(|packet| send(&mut one, packet)), [Decision::Skip; 2], "it needs the one before");
}

#[test]
fn a_limit_leads_to_a_smaller_layer_at_its_keyframe() {
    let (mut layers, mut one) = (three(), LayerSelector::default());
    let now = run(&mut layers, &Quality::ALL, epoch());
    assert_eq!(one.on_packet(&layers, Quality::High, &KEY, now), HERE);
    one.limit(Some(Level::whole(Quality::Medium)));
    assert_eq!(one.on_packet(&layers, Quality::High, &DELTA, now), ON, "the old layer goes on");
    assert_eq!(one.wants_keyframe(&layers, now), Some(Quality::Medium));
    assert_eq!(one.on_packet(&layers, Quality::Medium, &KEY, now), HERE);
    one.set(size(320, 180));
    assert_eq!(one.wants_keyframe(&layers, now), Some(Quality::Low), "a wish below the limit");
}

#[test]
fn rungs_are_what_is_of_use_and_delivers() {
    let (mut layers, settings) = (three(), TrackSettings::default());
    let qualities = |layers: &Layers, settings: &TrackSettings, now| -> Vec<Quality> {
        layers.rungs(settings, now).iter().map(|rung| rung.level.quality).collect()
    };
    assert_eq!(qualities(&layers, &settings, epoch()), Quality::ALL, "announced");
    let now = run(&mut layers, &[Quality::Low, Quality::High], epoch());
    assert_eq!(qualities(&layers, &settings, now), [Quality::Low, Quality::High]);
    assert_eq!(qualities(&layers, &size(640, 360), now), [Quality::Low], "the next below");
    // 30 packets of 1,000 bytes and what goes around them
    let rates: Vec<u64> = layers.rungs(&settings, now).iter().map(|rung| rung.bitrate / 10_000).collect();
    assert_eq!(rates, [25, 25]);
    assert_eq!(qualities(&Layers::default(), &size(10, 10), now), [Quality::High], "the only one");
}

#[test]
fn of_the_smallest_layer_fewer_frames_may_be_sent() {
    let (mut layers, mut now) = (three(), epoch());
    for frame in 0..90 {
        now += Duration::from_millis(33);
        let temporal = [0, 2, 1, 2][frame % 4];
        layers.heard(Quality::Low, &vp8(temporal, false, false), 500, now);
        layers.heard(Quality::High, &vp8(temporal, false, false), 2_000, now);
    }
    let rungs = layers.rungs(&TrackSettings::default(), now);
    let temporal: Vec<_> = rungs.iter().map(|rung| (rung.level.quality, rung.level.temporal)).collect();
    assert_eq!(temporal, [(Quality::Low, 0), (Quality::Low, 1), (Quality::Low, u8::MAX), (Quality::High, u8::MAX)]);
    assert!(rungs.is_sorted_by_key(|rung| rung.bitrate), "{rungs:?}");
    assert!(rungs[0].bitrate * 3 < rungs[2].bitrate, "a quarter of the frames");
    let slow = layers.rungs(&TrackSettings { fps: 15, ..TrackSettings::default() }, now);
    let temporal: Vec<_> = slow.iter().map(|rung| rung.level.temporal).collect();
    assert_eq!(temporal, [0, 1, 1], "half the frames are enough");
}
