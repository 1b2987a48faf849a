//! A run of RTP payloads through everything that looks into them or renumbers them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use konsil::model::media::Codec;
use konsil::sfu::fmtp::red_primary;
use konsil::sfu::frame::glance;
use konsil::sfu::rewrite::{Rewriter, Start};
use konsil::sfu::sealed::{Carried, SealProbe, Verdict};

const CODECS: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];
/// Packets of one run.
const PACKETS_MAX: usize = 256;

/// A codec, then packets: what to do, the step of the sequence number, that of the time, a length, the payload.
pub fn run(input: &[u8]) {
    let Some((first, mut rest)) = input.split_first() else { return };
    let codec = CODECS[usize::from(*first) % CODECS.len()];
    let mut run = Run::new(codec);
    for _ in 0..PACKETS_MAX {
        let [what, step, time, len, tail @ ..] = rest else { return };
        let (payload, tail) = tail.split_at(tail.len().min(usize::from(*len)));
        run.packet(*what, *step, *time, payload);
        rest = tail;
    }
}

struct Run {
    codec: Codec,
    rewriter: Rewriter,
    probes: [SealProbe; 3],
    sent: BTreeSet<u64>,
    seq: u64,
    timestamp: u32,
    arrival: Instant,
}

impl Run {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            rewriter: Rewriter::new(Start { seq: 7, picture: 7 }),
            probes: [SealProbe::default(); 3],
            sent: BTreeSet::new(),
            seq: 1 << 20,
            timestamp: 0,
            arrival: Instant::now(),
        }
    }

    fn packet(&mut self, what: u8, step: u8, time: u8, payload: &[u8]) {
        // Small steps either way, sometimes a leap.
        let step = i64::from(step.cast_signed()) * if what & 0x80 == 0 { 1 } else { 997 };
        self.seq = self.seq.saturating_add_signed(step);
        self.timestamp = self.timestamp.wrapping_add(u32::from(time) * 960);
        self.arrival += Duration::from_millis(u64::from(time));
        let marker = what & 0x40 != 0;
        let seen = glance(self.codec, payload, marker);
        assert!(!seen.keyframe_start || seen.frame_start);
        assert!(seen.temporal.is_none_or(|layer| layer < 8));
        match what & 3 {
            0 => self.rewriter.switch(),
            1 => self.rewriter.skip(self.seq, &seen),
            _ => {
                let clock_rate = if self.codec == Codec::Opus { 48_000 } else { 90_000 };
                if let Some(out) = self.rewriter.rewrite(self.seq, self.timestamp, self.arrival, &seen, clock_rate) {
                    assert!(self.sent.insert(out.seq), "one number twice");
                }
            }
        }
        if let Some(primary) = red_primary(payload) {
            assert!(primary.len() < payload.len());
        }
        for (probe, carried) in self.probes.iter_mut().zip([Carried::Opus, Carried::Red, Carried::Video]) {
            let _ = probe.observe(carried, payload, marker);
        }
        // One packet alone proves nothing.
        assert_ne!(SealProbe::default().observe(Carried::Opus, payload, marker), Verdict::Violation);
    }
}
