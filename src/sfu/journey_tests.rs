//! Whole journeys of pictures: whatever the layers, the network or the subscriber do, one continuous stream comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::dice::{Dice, epoch};
use super::frame::glance;
use super::layers::{Decision, LayerSelector, Layers, Level};
use super::rewrite::{Rewriter, Start};
use crate::model::media::{Codec, Quality, TrackSettings};

const RATE: u32 = 90_000;
/// What a frame of 30 a second takes.
const TICK: Duration = Duration::from_millis(33);
const TICKS: u64 = 300;
/// libwebrtc's order of three temporal layers, with the frames that need no other than the base.
const PATTERN: [(u8, bool); 4] = [(0, false), (2, true), (1, true), (2, false)];

/// One packet of one frame, as the publisher made it.
#[derive(Clone, Debug)]
struct Packet {
    layer: Quality,
    frame: usize,
    seq: u64,
    payload: Vec<u8>,
    marker: bool,
    timestamp: u32,
}

/// What is known of a frame.
#[derive(Clone, Debug)]
struct Frame {
    /// The frames of its layer that it needs.
    needs: Vec<usize>,
    tl0: u8,
    key: u8,
}

/// A layer of an encoder.
struct Encoder {
    codec: Codec,
    layer: Quality,
    frames: Vec<Frame>,
    seq: u64,
    clock: u32,
    id: u16,
    /// Where in the pattern it is.
    at: usize,
    tl0: u8,
    key: u8,
    wanted: bool,
}

impl Encoder {
    fn new(codec: Codec, layer: Quality, dice: &mut Dice) -> Self {
        let random = |dice: &mut Dice, sides| u32::try_from(dice.below(sides)).unwrap();
        Self {
            codec,
            layer,
            frames: Vec::new(),
            seq: 70_000 + dice.below(1 << 20),
            clock: random(dice, 1 << 32),
            id: u16::try_from(dice.below(1 << 15)).unwrap(),
            at: 0,
            tl0: u8::try_from(dice.below(256)).unwrap(),
            key: u8::try_from(dice.below(32)).unwrap(),
            wanted: true,
        }
    }

    /// The packets of the next frame.
    fn frame(&mut self, dice: &mut Dice) -> Vec<Packet> {
        let key = std::mem::take(&mut self.wanted);
        self.at = if key { 0 } else { (self.at + 1) % PATTERN.len() };
        let (temporal, sync) = PATTERN[self.at];
        let number = self.frames.len();
        let needs = match self.at {
            _ if key => vec![],
            _ if self.codec == Codec::H264 => vec![number - 1],
            0 => vec![number - 4],
            3 => vec![number - 1, number - 3],
            back => vec![number - back],
        };
        self.id = (self.id + 1) & 0x7fff;
        self.tl0 = self.tl0.wrapping_add(u8::from(temporal == 0));
        self.key = (self.key + u8::from(key)) & 0x1f;
        self.frames.push(Frame { needs, tl0: self.tl0, key: self.key });
        let last = dice.below(if key { 4 } else { 2 });
        if self.codec == Codec::H264 {
            return self.units(number, key, last);
        }
        let (id, byte) = ((0x8000 | self.id).to_be_bytes(), temporal << 6 | u8::from(sync) << 5 | self.key);
        let packets = (0..=last).map(|part| {
            let start = if part == 0 { 0x90 } else { 0x80 };
            self.seq += 1;
            let payload = vec![start, 0xf0, id[0], id[1], self.tl0, byte, u8::from(!key || part > 0), 7];
            Packet { layer: self.layer, frame: number, seq: self.seq, payload, marker: part == last, timestamp: self.clock }
        });
        packets.collect()
    }
}

impl Encoder {
    /// An H.264 frame as libwebrtc packs it: parameter sets, then the slice in one piece or in several (RFC 6184 §5.6, §5.8).
    fn units(&mut self, frame: usize, key: bool, last: u64) -> Vec<Packet> {
        let mut payloads = Vec::new();
        if key {
            payloads.extend([vec![0x67, 0x42], vec![0x68, 0xce]]);
        }
        let kind = if key { 5 } else { 1 };
        match last {
            0 => payloads.push(vec![0x60 | kind, 0x9a, 7]),
            _ => payloads.extend((0..=last).map(|part| {
                let bits = u8::from(part == 0) << 7 | u8::from(part == last) << 6;
                vec![0x7c, bits | kind, 0x9a, 7]
            })),
        }
        let count = payloads.len();
        let packets = payloads.into_iter().enumerate().map(|(part, payload)| {
            self.seq += 1;
            Packet { layer: self.layer, frame, seq: self.seq, payload, marker: part + 1 == count, timestamp: self.clock }
        });
        packets.collect()
    }
}

/// A packet as the subscriber gets it, with what it was.
#[derive(Clone, Debug)]
struct Sent {
    seq: u64,
    timestamp: u32,
    id: u16,
    tl0: u8,
    key: u8,
    from: Packet,
    at: Instant,
    /// How many switches there were before.
    stretch: usize,
    /// Of its layer no H.264 parameter sets have come yet: there may be none in the stream.
    bare: bool,
}

/// Everything of one run.
struct Journey {
    codec: Codec,
    dice: Dice,
    now: Instant,
    encoders: [Encoder; 3],
    /// Packets on their way, by arrival.
    way: BTreeMap<(Instant, u64), Packet>,
    posted: u64,
    /// Percentages.
    loss: u64,
    layers: Layers,
    selector: LayerSelector,
    rewriter: Rewriter,
    newest: [u64; 3],
    muted: bool,
    stretch: usize,
    /// Layers of which parameter sets came.
    sets: [bool; 3],
    sent: Vec<Sent>,
    /// Numbers of a layer that were left out when nothing later had been sent yet.
    skipped: BTreeMap<(Quality, u64), Instant>,
    /// Frames of which a packet came and was left out.
    left_out: BTreeSet<(Quality, usize)>,
    /// Frames that were left out when nothing later had been sent.
    closed: BTreeSet<(Quality, usize)>,
}

impl Journey {
    fn new(codec: Codec, seed: u8, loss: u64) -> Self {
        let mut dice = Dice::new(seed);
        let encoders = Quality::ALL.map(|layer| Encoder::new(codec, layer, &mut dice));
        let start = Start { seq: u16::from(seed) * 31, picture: u16::from(seed) * 127 };
        Self {
            codec,
            dice,
            now: epoch(),
            encoders,
            way: BTreeMap::new(),
            posted: 0,
            loss,
            layers: Layers::default(),
            selector: LayerSelector::new(TrackSettings::default(), Some(Level::BEST)),
            rewriter: Rewriter::new(start),
            newest: [0; 3],
            muted: false,
            stretch: 0,
            sets: [false; 3],
            sent: Vec::new(),
            skipped: BTreeMap::new(),
            left_out: BTreeSet::new(),
            closed: BTreeSet::new(),
        }
    }

    /// `OutSection::pause` of the worker.
    fn pause(&mut self) {
        self.rewriter.switch();
        let limit = self.selector.limited();
        self.selector = LayerSelector::new(TrackSettings::default(), limit);
    }

    /// Something that the subscriber, its network or the publisher may do.
    fn happen(&mut self) {
        match self.dice.below(300) {
            0..4 => {
                let quality = Quality::ALL[self.dice.index(3)];
                let temporal = [0, 1, u8::MAX][self.dice.index(3)];
                self.selector.limit(Some(Level { quality, temporal }));
            }
            4 => {
                if self.selector.limited().is_some() {
                    self.rewriter.switch();
                }
                self.selector.limit(None);
            }
            5 => self.pause(),
            6 => {
                self.muted = !self.muted;
                self.pause();
            }
            7 => self.selector.squeeze(true),
            8 | 9 => self.selector.squeeze(false),
            10 => self.encoders.iter_mut().for_each(|encoder| encoder.wanted = true),
            _ => {}
        }
    }

    fn run(&mut self) {
        for tick in 0..TICKS {
            // A layer that nobody watches is switched off for a second.
            let asleep = usize::try_from(tick / 30 % 5).unwrap();
            for at in 0..3 {
                self.encoders[at].clock = self.encoders[at].clock.wrapping_add(RATE / 30);
                if at != asleep {
                    let packets = self.encoders[at].frame(&mut self.dice);
                    packets.into_iter().for_each(|packet| self.post(packet));
                }
            }
            let until = self.now + TICK;
            while let Some(entry) = self.way.first_entry().filter(|entry| entry.key().0 <= until) {
                let ((at, _), packet) = entry.remove_entry();
                self.now = at;
                self.happen();
                self.forward(&packet);
            }
            self.now = until;
        }
    }

    fn post(&mut self, packet: Packet) {
        // str0m lets each packet through once, so there are no copies.
        if self.dice.percent(self.loss) {
            return;
        }
        self.posted += 1;
        let jitter = if self.dice.percent(self.loss) { self.dice.below(80) } else { 0 };
        self.way.insert((self.now + Duration::from_millis(jitter), self.posted), packet);
    }

    /// `Worker::fan_out` for one receiver.
    fn forward(&mut self, packet: &Packet) {
        let at = packet.layer.index();
        let late = packet.seq < self.newest[at];
        let news = packet.seq > self.newest[at];
        self.newest[at] = self.newest[at].max(packet.seq);
        if self.muted {
            return;
        }
        let mut seen = glance(self.codec, &packet.payload, packet.marker);
        if late {
            (seen.keyframe_start, seen.frame_start, seen.sync) = (false, false, false);
        }
        self.sets[at] |= seen.sets;
        self.layers.heard(packet.layer, &seen, packet.payload.len(), self.now);
        let decision = self.selector.on_packet(&self.layers, packet.layer, &seen, self.now);
        if let Some(layer) = self.selector.wants_keyframe(&self.layers, self.now) {
            self.encoders[layer.index()].wanted = true;
        }
        match decision {
            // What comes late may find that its frame is not for this subscriber any more.
            Decision::Drop => {
                if news {
                    self.left_out.insert((packet.layer, packet.frame));
                }
                return;
            }
            Decision::Skip => {
                if news {
                    self.left_out.insert((packet.layer, packet.frame));
                    self.skipped.insert((packet.layer, packet.seq), self.now);
                    self.closed.insert((packet.layer, packet.frame));
                }
                return self.rewriter.skip(packet.seq, &seen);
            }
            Decision::Forward { switched } => {
                if switched {
                    self.rewriter.switch();
                    self.stretch += 1;
                }
            }
        }
        let Some(out) = self.rewriter.rewrite(packet.seq, packet.timestamp, self.now, &seen, RATE) else { return };
        let info = out.vp8.map(|patch| {
            let payload = applied(&format!("{patch:?}"), &packet.payload);
            glance(Codec::Vp8, &payload, packet.marker).vp8.unwrap().descriptor
        });
        assert_eq!(info.is_some(), self.codec == Codec::Vp8);
        self.sent.push(Sent {
            seq: out.seq,
            timestamp: out.timestamp,
            id: info.map_or(0, |info| info.picture_id().unwrap()),
            tl0: info.map_or(0, |info| info.tl0_pic_idx().unwrap()),
            key: info.map_or(0, |info| info.key_idx().unwrap()),
            from: packet.clone(),
            at: self.now,
            stretch: self.stretch,
            bare: !self.sets[at],
        });
    }
}

/// A payload with a patch, whose bytes str0m tells in its `Debug` only: a count, four places, four bytes.
fn applied(patch: &str, payload: &[u8]) -> Vec<u8> {
    let numbers: Vec<usize> = patch.split(|sign: char| !sign.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    let [_, len, rest @ ..] = &numbers[..] else { panic!("{patch}") };
    let (places, bytes) = rest.split_at(rest.len() / 2);
    let mut sent = payload.to_vec();
    for (place, byte) in places.iter().zip(bytes).take(*len) {
        sent[*place] = u8::try_from(*byte).unwrap();
    }
    sent
}

/// How far a wrapping counter of this width went.
fn step(from: u32, to: u32, bits: u32) -> u32 {
    to.wrapping_sub(from) & (u32::MAX >> (32 - bits))
}

/// What a receiver may take for granted, whatever was lost on the way to us.
fn check(journey: &Journey, seed: u8) {
    let mut sent = journey.sent.clone();
    sent.sort_by_key(|packet| packet.seq);
    let vp8 = journey.codec == Codec::Vp8;
    for pair in sent.windows(2) {
        let [one, two] = pair else { unreachable!() };
        let told = || format!("seed {seed}: {one:?}, then {two:?}");
        assert!(two.seq > one.seq, "one number twice, {}", told());
        assert!(one.stretch <= two.stretch, "{}", told());
        let ticks = step(one.timestamp, two.timestamp, 32);
        if one.stretch == two.stretch {
            within(journey, one, two, &told);
        } else {
            assert!(two.seq - one.seq <= 1 + lost_behind(journey, one, two), "a gap that nobody lost, {}", told());
            let ahead = u64::from(step(one.id.into(), two.id.into(), 15));
            assert!(!vp8 || (1..=1 + lost_behind(journey, one, two)).contains(&ahead), "{}", told());
            let passed = u32::try_from(two.at.saturating_duration_since(one.at).as_millis()).unwrap() + 100;
            assert!((1_800..=1_800 + passed * 90).contains(&ticks), "{ticks} ticks, {}", told());
            let begins =
                if vp8 { two.from.payload[6] == 0 && two.from.payload[0] == 0x90 } else { two.from.payload[0] == 0x67 || two.bare };
            assert!(begins, "no keyframe first, {}", told());
        }
        let newer = one.stretch != two.stretch || one.from.frame != two.from.frame;
        assert!(!vp8 || newer == (one.id != two.id), "{}", told());
        assert_eq!(newer, ticks > 0, "{}", told());
        assert!(ticks < 1 << 31, "time runs back, {}", told());
    }
    if vp8 {
        indices(&sent, seed);
    }
    needs(journey, &sent, seed);
}

/// How many packets were lost between the last that was sent of a layer and what was left out of it before the switch.
fn lost_behind(journey: &Journey, last: &Sent, next: &Sent) -> u64 {
    let (layer, from) = (last.from.layer, last.from.seq);
    let skipped = journey.skipped.range((layer, from)..=(layer, u64::MAX)).filter(|(_, at)| **at <= next.at);
    let newest = skipped.map(|((_, seq), _)| *seq).max().unwrap_or(from);
    (from..newest).filter(|seq| !journey.skipped.contains_key(&(layer, *seq))).count().saturating_sub(1) as u64
}

/// Two packets of one layer, one behind the other.
fn within(journey: &Journey, one: &Sent, two: &Sent, told: &dyn Fn() -> String) {
    let layer = one.from.layer;
    assert!(layer == two.from.layer && one.from.seq < two.from.seq, "{}", told());
    assert_eq!(step(one.timestamp, two.timestamp, 32), step(one.from.timestamp, two.from.timestamp, 32), "{}", told());
    let open = (one.from.seq + 1..two.from.seq).filter(|seq| !journey.skipped.contains_key(&(layer, *seq))).count() as u64;
    assert_eq!(two.seq - one.seq, 1 + open, "{}", told());
    if journey.codec != Codec::Vp8 {
        return;
    }
    let frames = (one.from.frame + 1..two.from.frame).filter(|frame| !journey.closed.contains(&(layer, *frame))).count();
    let ahead = u32::from(one.from.frame != two.from.frame) + u32::try_from(frames).unwrap();
    assert_eq!(step(one.id.into(), two.id.into(), 15), ahead, "picture ids, {}", told());
    let (before, after) =
        (&journey.encoders[layer.index()].frames[one.from.frame], &journey.encoders[layer.index()].frames[two.from.frame]);
    assert_eq!(step(one.tl0.into(), two.tl0.into(), 8), step(before.tl0.into(), after.tl0.into(), 8), "{}", told());
    assert_eq!(step(one.key.into(), two.key.into(), 5), step(before.key.into(), after.key.into(), 5), "{}", told());
}

/// Indices go on by one over a switch.
fn indices(sent: &[Sent], seed: u8) {
    for pair in sent.chunk_by(|one, two| one.stretch == two.stretch).collect::<Vec<_>>().windows(2) {
        let [one, two] = pair else { unreachable!() };
        let (old, new) = (one.last().unwrap(), &two[0]);
        assert_eq!(step(old.tl0.into(), new.tl0.into(), 8), 1, "seed {seed}: {old:?}, then {new:?}");
        assert_eq!(step(old.key.into(), new.key.into(), 5), 1, "seed {seed}: {old:?}, then {new:?}");
    }
}

/// No frame needs one that we left out, or one from before the switch.
fn needs(journey: &Journey, sent: &[Sent], seed: u8) {
    for stretch in sent.chunk_by(|one, two| one.stretch == two.stretch) {
        let (layer, first) = (stretch[0].from.layer, stretch[0].from.frame);
        let frames = &journey.encoders[layer.index()].frames;
        for packet in stretch {
            assert!(!journey.closed.contains(&(layer, packet.from.frame)), "seed {seed}: {packet:?} is part of a frame that was left out");
            for needed in &frames[packet.from.frame].needs {
                assert!(*needed >= first, "seed {seed}: {packet:?} needs a frame from before");
                assert!(!journey.left_out.contains(&(layer, *needed)), "seed {seed}: {packet:?} needs {needed}, which was left out");
            }
        }
    }
}

/// Journeys without losses, and how many pictures came of them.
fn undisturbed(codec: Codec) -> usize {
    let mut pictures = 0;
    for seed in 0..60 {
        let mut journey = Journey::new(codec, seed, 0);
        journey.run();
        check(&journey, seed);
        assert!(journey.sent.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "seed {seed}: a gap");
        let steps = journey.sent.windows(2).map(|pair| step(pair[0].id.into(), pair[1].id.into(), 15));
        assert!(steps.clone().all(|step| step <= 1), "seed {seed}: a picture is missing");
        pictures += journey.sent.chunk_by(|one, two| one.timestamp == two.timestamp).count();
    }
    pictures
}

/// Journeys with losses, and how many packets and switches there were.
fn disturbed(codec: Codec) -> (usize, usize) {
    let (mut packets, mut switches) = (0, 0);
    for seed in 0..120 {
        let mut journey = Journey::new(codec, seed, u64::from(1 + seed % 12));
        journey.run();
        check(&journey, seed);
        packets += journey.sent.len();
        switches += journey.stretch;
    }
    (packets, switches)
}

#[test]
fn without_losses_every_picture_follows_the_one_before_it() {
    for codec in [Codec::Vp8, Codec::H264] {
        let pictures = undisturbed(codec);
        assert!(pictures > 3_000, "{pictures} pictures of {codec:?} only");
    }
}

#[test]
fn with_losses_whatever_is_missing_was_lost() {
    for codec in [Codec::Vp8, Codec::H264] {
        let (packets, switches) = disturbed(codec);
        assert!(packets > 10_000 && switches > 500, "{codec:?}: {packets} packets, {switches} switches only");
    }
}
