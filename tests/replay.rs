//! What livekit-client's worker sealed, as `tests/clients/record.mjs` recorded it, through every switch: each frame still opens.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // a test's own steps may fail loudly; 16 bits wrap

use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::pbkdf2;

use konsil::model::media::{Codec, Quality, TrackSettings};
use konsil::sfu::frame::glance;
use konsil::sfu::layers::{Decision, LayerSelector, Layers, Level};
use konsil::sfu::rewrite::{Rewriter, Start};
use konsil::sfu::sealed::{Carried, SealProbe, Verdict};

const RATE: u32 = 90_000;
const VP8: &[u8] = include_bytes!("data/sealed-vp8.rtp");
const H264: &[u8] = include_bytes!("data/sealed-h264.rtp");
const VP9: &[u8] = include_bytes!("data/sealed-vp9.rtp");

/// One packet, as it was recorded or as a subscriber gets it.
#[derive(Clone, Debug)]
struct Packet {
    layer: Quality,
    marker: bool,
    seq: u64,
    timestamp: u32,
    at: Duration,
    payload: Vec<u8>,
}

/// The packets of a recording.
fn recorded(mut bytes: &[u8]) -> Vec<Packet> {
    let (mut packets, mut newest) = (Vec::new(), [None::<u64>; 3]);
    while let [layer, marker, s0, s1, t0, t1, t2, t3, m0, m1, l0, l1, rest @ ..] = bytes {
        let (payload, tail) = rest.split_at(u16::from_be_bytes([*l0, *l1]).into());
        let number = u16::from_be_bytes([*s0, *s1]);
        let last = &mut newest[usize::from(*layer)];
        // Nothing was lost, so numbers go on by one, and the turn of a 16-bit number is seen.
        let seq = last.map_or(0x10000 + u64::from(number), |last| last + u64::from(number.wrapping_sub((last & 0xffff) as u16)));
        *last = Some(seq);
        packets.push(Packet {
            layer: Quality::ALL[usize::from(*layer)],
            marker: *marker == 1,
            seq,
            timestamp: u32::from_be_bytes([*t0, *t1, *t2, *t3]),
            at: Duration::from_millis(u16::from_be_bytes([*m0, *m1]).into()),
            payload: payload.to_vec(),
        });
        bytes = tail;
    }
    assert!(bytes.is_empty());
    packets
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

/// A frame that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    layer: Quality,
    key: bool,
    clear: Vec<u8>,
}

/// One replay: what a subscriber got.
struct Replay {
    codec: Codec,
    layers: Layers,
    selector: LayerSelector,
    rewriter: Rewriter,
    begin: Instant,
    got: Vec<Packet>,
    switches: usize,
}

impl Replay {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            layers: Layers::default(),
            selector: LayerSelector::new(TrackSettings::default(), None),
            rewriter: Rewriter::new(Start { seq: 9_000, picture: 0x7ff0 }),
            begin: Instant::now(),
            got: Vec::new(),
            switches: 0,
        }
    }

    /// Plays packets under limits that hold from their moments on.
    fn play(mut self, packets: &[Packet], limits: &[(Duration, Option<Level>)]) -> Self {
        let mut limits = limits.iter().peekable();
        for packet in packets {
            while let Some((_, level)) = limits.next_if(|(from, _)| *from <= packet.at) {
                if level.is_none() {
                    self.rewriter.switch();
                }
                self.selector.limit(*level);
            }
            self.forward(packet);
        }
        self
    }

    /// `Worker::fan_out` for one receiver.
    fn forward(&mut self, packet: &Packet) {
        let now = self.begin + packet.at;
        let seen = glance(self.codec, &packet.payload, packet.marker);
        self.layers.heard(packet.layer, &seen, packet.payload.len(), now);
        match self.selector.on_packet(&self.layers, packet.layer, &seen, now) {
            Decision::Drop => return,
            Decision::Skip => return self.rewriter.skip(packet.seq, &seen),
            Decision::Forward { switched } => {
                if switched {
                    self.rewriter.switch();
                    self.switches += 1;
                }
            }
        }
        let out = self.rewriter.rewrite(packet.seq, packet.timestamp, now, &seen, RATE).unwrap();
        let payload = out.vp8.map_or_else(|| packet.payload.clone(), |patch| applied(&format!("{patch:?}"), &packet.payload));
        self.got.push(Packet { seq: out.seq, timestamp: out.timestamp, payload, ..packet.clone() });
    }

    /// Puts together what came, opens it, and looks whether one follows the other.
    fn opened(&self, key: &LessSafeKey) -> Vec<Frame> {
        for pair in self.got.windows(2) {
            let [one, two] = pair else { unreachable!() };
            assert_eq!(two.seq, one.seq + 1, "a gap, or out of order");
            let ticks = two.timestamp.wrapping_sub(one.timestamp);
            assert_eq!(ticks == 0, !one.marker, "a frame has one time, and the next another");
            assert!(ticks < 5 * RATE, "{ticks} ticks from one frame to the next");
        }
        if self.codec == Codec::Vp8 {
            let ids = self.got.iter().map(|packet| {
                let info = glance(Codec::Vp8, &packet.payload, packet.marker).vp8.unwrap();
                (info.descriptor.picture_id().unwrap(), packet.timestamp)
            });
            let ids: Vec<_> = ids.collect();
            for pair in ids.windows(2) {
                let ahead = pair[1].0.wrapping_sub(pair[0].0) & 0x7fff;
                assert_eq!(ahead, u16::from(pair[0].1 != pair[1].1), "picture ids");
            }
        }
        frames(self.codec, &self.got, key)
    }
}

/// The frames of one stream, opened.
fn frames(codec: Codec, packets: &[Packet], key: &LessSafeKey) -> Vec<Frame> {
    let (mut frames, mut whole, mut probe) = (Vec::new(), Vec::new(), SealProbe::default());
    for packet in packets {
        assert_eq!(probe.observe(Carried::Video, &packet.payload, packet.marker), Verdict::Fine);
        let done = unpack(codec, packet, &mut whole);
        if done {
            let sealed = std::mem::take(&mut whole);
            let (key_frame, head) = head(codec, &sealed);
            let clear = open(codec, &sealed, head, key).unwrap_or_else(|| panic!("frame {} of {codec:?} does not open", frames.len()));
            frames.push(Frame { layer: packet.layer, key: key_frame, clear });
        }
    }
    assert!(whole.is_empty(), "the last frame is not whole");
    frames
}

/// Appends what a packet carries of a frame. Returns whether the frame is whole.
fn unpack(codec: Codec, packet: &Packet, whole: &mut Vec<u8>) -> bool {
    let payload = &packet.payload[..];
    match codec {
        Codec::Vp8 => {
            whole.extend(&payload[vp8_len(payload)..]);
            packet.marker
        }
        Codec::Vp9 => {
            whole.extend(&payload[vp9_len(payload)..]);
            // Each spatial layer was sealed by itself; E ends it (RFC 9628 §4.2).
            payload[0] & 0x04 != 0
        }
        Codec::H264 => {
            h264(payload, whole);
            packet.marker
        }
        _ => unreachable!(),
    }
}

/// RFC 7741 §4.2.
fn vp8_len(payload: &[u8]) -> usize {
    if payload[0] & 0x80 == 0 {
        return 1;
    }
    let has = |bit: u8| payload[1] & bit != 0;
    let id = usize::from(has(0x80)) + usize::from(has(0x80) && payload[2] & 0x80 != 0);
    2 + id + usize::from(has(0x40)) + usize::from(has(0x30))
}

/// RFC 9628 §4.2.
fn vp9_len(payload: &[u8]) -> usize {
    let has = |bit: u8| payload[0] & bit != 0;
    let mut at = 1;
    if has(0x80) {
        at += 1 + usize::from(payload[at] & 0x80 != 0);
    }
    if has(0x20) {
        at += 1 + usize::from(!has(0x10));
    }
    if has(0x10) && has(0x40) {
        while payload[at] & 1 != 0 {
            at += 1;
        }
        at += 1;
    }
    if has(0x02) {
        let head = payload[at];
        at += 1;
        if head & 0x10 != 0 {
            at += 4 * (usize::from(head >> 5) + 1);
        }
        if head & 0x08 != 0 {
            let pictures = payload[at];
            at += 1;
            for _ in 0..pictures {
                at += 1 + usize::from(payload[at] >> 2 & 3);
            }
        }
    }
    at
}

/// RFC 6184 §5.6 to §5.8, with start codes before each unit as decoders want them.
fn h264(payload: &[u8], whole: &mut Vec<u8>) {
    const START: [u8; 4] = [0, 0, 0, 1];
    match payload[0] & 0x1f {
        24 => {
            let mut rest = &payload[1..];
            while let [high, low, units @ ..] = rest {
                let (unit, tail) = units.split_at(u16::from_be_bytes([*high, *low]).into());
                whole.extend(START.iter().chain(unit));
                rest = tail;
            }
        }
        28 => {
            if payload[1] & 0x80 != 0 {
                whole.extend(START);
                whole.push(payload[0] & 0xe0 | payload[1] & 0x1f);
            }
            whole.extend(&payload[2..]);
        }
        _ => whole.extend(START.iter().chain(payload)),
    }
}

/// Whether a sealed frame is a keyframe, and how many bytes LiveKit leaves clear in front.
fn head(codec: Codec, frame: &[u8]) -> (bool, usize) {
    match codec {
        Codec::Vp8 => {
            let key = frame[0] & 1 == 0;
            (key, if key { 10 } else { 3 })
        }
        // Its frames are sealed from the first byte on; that the descriptor tells keyframes is seen by where pictures begin.
        Codec::Vp9 => (false, 0),
        Codec::H264 => {
            let mut units = frame.windows(5).enumerate().filter(|(_, bytes)| bytes.starts_with(&[0, 0, 0, 1]));
            let (at, kind) = units.find_map(|(at, unit)| matches!(unit[4] & 0x1f, 1 | 5).then_some((at, unit[4] & 0x1f))).unwrap();
            (kind == 5, at + 6)
        }
        _ => unreachable!(),
    }
}

/// Opens a frame: `head | ciphertext tag(16) | IV(12) | 12 key-index`, in H.264 escaped behind the head.
fn open(codec: Codec, sealed: &[u8], head: usize, key: &LessSafeKey) -> Option<Vec<u8>> {
    let (clear, rest) = sealed.split_at(head);
    let rest = if codec == Codec::H264 { unescaped(rest) } else { rest.to_vec() };
    let (rest, [12, _]) = rest.split_last_chunk::<2>()? else { return None };
    let (text, iv) = rest.split_last_chunk::<12>()?;
    let (nonce, mut text) = (Nonce::assume_unique_for_key(*iv), text.to_vec());
    let opened = key.open_in_place(nonce, Aad::from(clear), &mut text).ok()?;
    Some([clear, opened].concat())
}

/// H.264 §7.3.1: without the bytes that keep start codes out.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let (mut plain, mut zeros) = (Vec::new(), 0);
    for byte in bytes {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

/// The key that livekit-client makes of a passphrase.
fn key(passphrase: &str) -> LessSafeKey {
    let mut bytes = [0; 16];
    let rounds = 100_000.try_into().unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, b"LKFrameEncryptionKey", passphrase.as_bytes(), &mut bytes);
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &bytes).unwrap())
}

fn the_key() -> LessSafeKey {
    key("the key of the recording")
}

/// The frames of one recorded layer, opened without any forwarding.
fn direct(codec: Codec, packets: &[Packet], layer: Quality, key: &LessSafeKey) -> Vec<Frame> {
    let packets: Vec<Packet> = packets.iter().filter(|packet| packet.layer == layer).cloned().collect();
    // The recording begins and ends anywhere; frames are cut at either end.
    let first = packets.iter().position(|packet| packet.marker).unwrap() + 1;
    let last = packets.iter().rposition(|packet| packet.marker).unwrap();
    frames(codec, &packets[first..=last], key)
}

/// The recording without the frames that it shows in part at its end.
fn whole(mut packets: Vec<Packet>) -> Vec<Packet> {
    for layer in Quality::ALL {
        let last = packets.iter().rposition(|packet| packet.layer == layer && packet.marker).unwrap_or(0);
        let mut at = 0;
        packets.retain(|packet| {
            at += 1;
            packet.layer != layer || at - 1 <= last
        });
    }
    packets
}

/// Every stretch of one layer begins with a keyframe and leaves nothing out.
fn follows(got: &[Frame], direct: &[Vec<Frame>; 3]) -> Vec<Quality> {
    let stretches = got.chunk_by(|one, two| one.layer == two.layer);
    let layers = stretches.map(|stretch| {
        let (layer, all) = (stretch[0].layer, &direct[stretch[0].layer.index()]);
        assert!(stretch[0].key, "{layer:?} begins without a keyframe");
        let from = all.iter().position(|frame| *frame == stretch[0]).unwrap();
        assert!(all[from..].starts_with(stretch), "{layer:?} goes on with other frames than were sent");
        layer
    });
    layers.collect()
}

fn every_switch(codec: Codec, bytes: &[u8]) {
    let (packets, key) = (whole(recorded(bytes)), the_key());
    let all = Quality::ALL.map(|layer| direct(codec, &packets, layer, &key));
    let end = packets.last().unwrap().at;
    for from in Quality::ALL {
        for to in Quality::ALL.into_iter().filter(|to| *to != from) {
            let limits = [(Duration::ZERO, Some(Level::whole(from))), (end.mul_f64(0.55), Some(Level::whole(to)))];
            let replay = Replay::new(codec).play(&packets, &limits);
            let got = replay.opened(&key);
            assert_eq!((follows(&got, &all), replay.switches), (vec![from, to], 2), "{codec:?} from {from:?} to {to:?}");
            assert!(got.len() > 30, "{} frames only", got.len());
            // A pause in between, and on with another layer.
            let limits = [limits[0], (end.mul_f64(0.4), None), limits[1]];
            let replay = Replay::new(codec).play(&packets, &limits);
            assert_eq!(follows(&replay.opened(&key), &all), [from, to], "{codec:?} from {from:?} by a pause to {to:?}");
        }
    }
}

#[test]
fn sealed_vp8_opens_after_every_switch() {
    every_switch(Codec::Vp8, VP8);
}

#[test]
fn sealed_h264_opens_after_every_switch() {
    every_switch(Codec::H264, H264);
}

#[test]
fn sealed_vp8_opens_with_fewer_temporal_layers_and_with_more_again() {
    let (packets, key) = (whole(recorded(VP8)), the_key());
    let end = packets.last().unwrap().at;
    for quality in Quality::ALL {
        let whole = Replay::new(Codec::Vp8).play(&packets, &[(Duration::ZERO, Some(Level::whole(quality)))]).opened(&key);
        for temporal in [0, 1] {
            let less = Some(Level { quality, temporal });
            let limits = [(Duration::ZERO, Some(Level::whole(quality))), (end.mul_f64(0.5), less)];
            let fewer = Replay::new(Codec::Vp8).play(&packets, &limits).opened(&key);
            let limits = [limits[0], limits[1], (end.mul_f64(0.75), Some(Level::whole(quality)))];
            let again = Replay::new(Codec::Vp8).play(&packets, &limits).opened(&key);
            assert!(fewer.len() < again.len() && again.len() < whole.len(), "{} {} {}", fewer.len(), again.len(), whole.len());
            for some in [&fewer, &again] {
                let mut rest = whole.iter();
                assert!(some.iter().all(|frame| rest.any(|one| one == frame)), "frames in another order");
            }
        }
    }
}

#[test]
fn sealed_vp9_opens_whole() {
    let (packets, key) = (whole(recorded(VP9)), the_key());
    let replay = Replay::new(Codec::Vp9).play(&packets, &[(Duration::ZERO, Some(Level::BEST))]);
    let got = replay.opened(&key);
    let all = direct(Codec::Vp9, &packets, Quality::High, &key);
    assert!(got.len() > 30 && all.ends_with(&got), "{} frames of {}", got.len(), all.len());
}

#[test]
fn another_key_opens_nothing() {
    let packets = whole(recorded(VP8));
    let replay = Replay::new(Codec::Vp8).play(&packets, &[(Duration::ZERO, Some(Level::BEST))]);
    let first = &replay.got[..=replay.got.iter().position(|packet| packet.marker).unwrap()];
    assert_eq!(frames(Codec::Vp8, first, &the_key()).len(), 1);
    let mut sealed = Vec::new();
    first.iter().for_each(|packet| {
        unpack(Codec::Vp8, packet, &mut sealed);
    });
    assert_eq!(open(Codec::Vp8, &sealed, 10, &key("another")), None);
}
