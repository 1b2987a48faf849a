//! Payload descriptors of three layers on their way through what chooses, leaves out, renumbers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use konsil::model::media::{Codec, Quality, TrackSettings};
use konsil::sfu::frame::{Glance, glance};
use konsil::sfu::layers::{Decision, LayerSelector, Layers, Level};
use konsil::sfu::rewrite::{Out, Rewriter, Start};

/// Packets of one run.
const PACKETS_MAX: usize = 256;
const RATE: u32 = 90_000;

/// The codec, then packets: what to do, the step of the layer's number, a length, the payload.
///
/// What to do: the layer in two bits, the marker in one, then whether the limit changes, and to what.
pub fn run(input: &[u8]) {
    let Some((first, mut rest)) = input.split_first() else { return };
    let mut run = Run::new(if first & 1 == 0 { Codec::Vp8 } else { Codec::Vp9 });
    for _ in 0..PACKETS_MAX {
        let [what, step, len, tail @ ..] = rest else { return };
        let (payload, tail) = tail.split_at(tail.len().min(usize::from(*len)));
        run.packet(*what, *step, payload);
        rest = tail;
    }
}

struct Run {
    codec: Codec,
    layers: Layers,
    selector: LayerSelector,
    rewriter: Rewriter,
    sent: BTreeSet<u64>,
    seqs: [u64; 3],
    now: Instant,
}

impl Run {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            layers: Layers::default(),
            selector: LayerSelector::new(TrackSettings::default(), Some(Level::BEST)),
            rewriter: Rewriter::new(Start { seq: 7, picture: 7 }),
            sent: BTreeSet::new(),
            seqs: [1 << 20, 1 << 30, 1 << 40],
            now: Instant::now(),
        }
    }

    fn packet(&mut self, what: u8, step: u8, payload: &[u8]) {
        self.now += Duration::from_millis(10);
        let quality = Quality::ALL[usize::from(what & 3) % 3];
        if what & 8 != 0 {
            self.limit(what >> 4);
        }
        let seq = &mut self.seqs[quality.index()];
        *seq = seq.saturating_add_signed(i64::from(step.cast_signed()));
        let (seq, marker) = (*seq, what & 4 != 0);
        let seen = glance(self.codec, payload, marker);
        assert!(!seen.keyframe_start || seen.frame_start);
        self.layers.heard(quality, &seen, payload.len(), self.now);
        match self.selector.on_packet(&self.layers, quality, &seen, self.now) {
            Decision::Drop => {
                assert_ne!(self.selector.current(), Some(quality));
                return;
            }
            Decision::Skip => return self.rewriter.skip(seq, &seen),
            Decision::Forward { switched: true } => {
                assert!(seen.keyframe_start, "a layer begins without a keyframe");
                self.rewriter.switch();
            }
            Decision::Forward { switched: false } => {}
        }
        let Some(out) = self.rewriter.rewrite(seq, 0, self.now, &seen, RATE) else { return };
        assert!(self.sent.insert(out.seq), "one number twice");
        self.compare(payload, &seen, &out, marker);
    }

    /// Nothing, or a temporal layer at most of some quality.
    fn limit(&mut self, how: u8) {
        let level = Level { quality: Quality::ALL[usize::from(how & 3) % 3], temporal: how >> 2 };
        let level = (how & 3 != 3).then_some(level);
        if level.is_none() {
            self.rewriter.switch();
        }
        self.selector.limit(level);
    }

    /// What is sent says the same of the frame as what came in, and nothing but the names of pictures is another.
    fn compare(&self, payload: &[u8], seen: &Glance, out: &Out, marker: bool) {
        let Some(patch) = out.vp8 else { return assert!(seen.vp8.is_none()) };
        let sent = applied(&format!("{patch:?}"), payload);
        let told = glance(self.codec, &sent, marker);
        let facts = |of: &Glance| {
            let info = of.vp8.expect("a descriptor");
            let has =
                (info.descriptor.picture_id().is_some(), info.descriptor.tl0_pic_idx().is_some(), info.descriptor.key_idx().is_some());
            (of.keyframe_start, of.frame_start, of.frame_end, of.temporal, of.sync, info.wide, has)
        };
        assert_eq!(facts(&told), facts(seen));
        // The longest descriptor has six bytes (RFC 7741 §4.2).
        assert_eq!(sent[6.min(sent.len())..], payload[6.min(payload.len())..]);
    }
}

/// A payload with a patch. str0m applies patches itself, and tells their bytes in their `Debug` only.
fn applied(patch: &str, payload: &[u8]) -> Vec<u8> {
    let numbers: Vec<usize> = patch.split(|sign: char| !sign.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    // The name of the type has a digit, then come the count, the places, the bytes.
    let [_, len, rest @ ..] = &numbers[..] else { panic!("another Debug than this was written for: {patch}") };
    let (places, bytes) = rest.split_at(rest.len() / 2);
    let mut sent = payload.to_vec();
    for (place, byte) in places.iter().zip(bytes).take(*len) {
        sent[*place] = u8::try_from(*byte).expect("a byte");
    }
    sent
}
