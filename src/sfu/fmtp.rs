//! Which payload type of a subscriber can carry a publisher's packets.

use str0m::format::Codec;
use str0m::format::CodecSpec;
use str0m::format::PayloadParams;
use str0m::media::Pt;

/// The most redundant blocks that are read in one RED packet, as in other receivers.
const RED_BLOCKS_MAX: usize = 32;

/// How a publisher's packets go to one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Unchanged but for the payload type.
    Whole(Pt),
    /// Only the primary block of each RED packet, see [`red_primary`].
    Primary(Pt),
}

/// Maps packets of a publisher's payload type. `red` says that they are RED packets around that codec.
///
/// A RED packet names the payload type of its blocks inside, so it goes on whole only to a subscriber that has RED
/// and the same number for Opus. `None` if the subscriber cannot decode the codec.
#[must_use]
pub fn route<'a>(source: &PayloadParams, red: bool, candidates: impl Iterator<Item = &'a PayloadParams> + Clone) -> Option<Route> {
    if red {
        let mut same = candidates.clone().filter(|candidate| candidate.pt() == source.pt());
        if let Some(wrapping) = same.find_map(|candidate| score(&source.spec(), &candidate.spec()).and(candidate.red())) {
            return Some(Route::Whole(wrapping));
        }
        return pick(&source.spec(), candidates).map(Route::Primary);
    }
    pick(&source.spec(), candidates).map(Route::Whole)
}

/// The payload type that fits a codec best; the first of equally good ones.
#[must_use]
pub fn pick<'a>(source: &CodecSpec, candidates: impl Iterator<Item = &'a PayloadParams>) -> Option<Pt> {
    let mut best: Option<(Pt, u8)> = None;
    for candidate in candidates {
        if let Some(score) = score(source, &candidate.spec())
            && best.is_none_or(|(_, most)| score > most)
        {
            best = Some((candidate.pt(), score));
        }
    }
    best.map(|(pt, _)| pt)
}

/// How well a receiver of `to` decodes a stream of `from`; higher is better, `None` is not at all.
fn score(from: &CodecSpec, to: &CodecSpec) -> Option<u8> {
    if from.codec != to.codec || from.clock_rate != to.clock_rate || matches!(from.codec, Codec::Unknown | Codec::Null) {
        return None;
    }
    match from.codec {
        Codec::H264 => h264(from, to),
        Codec::Vp9 => equal(from.format.profile_id.unwrap_or(0), to.format.profile_id.unwrap_or(0)),
        Codec::Av1 => {
            // Each AV1 profile contains the lower ones (AV1 §A.2); absent means 0 (AV1 RTP §7.2.1).
            let (from, to) = (from.format.profile.unwrap_or(0), to.format.profile.unwrap_or(0));
            (to >= from).then(|| u8::from(to == from))
        }
        // An Opus packet says itself whether it is stereo (RFC 7587 §7.1), so that only prefers.
        Codec::Opus => Some(u8::from(from.format.stereo == to.format.stereo)),
        _ => Some(0),
    }
}

fn equal(from: u32, to: u32) -> Option<u8> {
    (from == to).then_some(0)
}

/// The profiles that browsers know, each with the numbers of RFC 6184 §8.1, table 5.
#[derive(Clone, Copy, PartialEq, Eq)]
enum H264Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    ConstrainedHigh,
    High,
    /// Anything else is only equal to itself.
    Other(u16),
}

impl H264Profile {
    fn of(spec: &CodecSpec) -> Self {
        // Absent means Baseline (RFC 6184 §8.1).
        let [_, idc, constraints, _] = spec.format.profile_level_id.unwrap_or(0x42_00_0a).to_be_bytes();
        match (idc, constraints) {
            (0x42, c) if c & 0x4f == 0x40 => Self::ConstrainedBaseline,
            (0x4d, c) if c & 0x8f == 0x80 => Self::ConstrainedBaseline,
            (0x58, c) if c & 0xcf == 0xc0 => Self::ConstrainedBaseline,
            (0x42, c) if c & 0x4f == 0 => Self::Baseline,
            (0x58, c) if c & 0xcf == 0x80 => Self::Baseline,
            (0x4d, c) if c & 0xaf == 0 => Self::Main,
            (0x64, 0x0c) => Self::ConstrainedHigh,
            (0x64, 0) => Self::High,
            _ => Self::Other(u16::from_be_bytes([idc, constraints])),
        }
    }

    /// How well a decoder of `to` takes a stream of `self`.
    fn score(self, to: Self) -> Option<u8> {
        use H264Profile::{Baseline, ConstrainedBaseline, ConstrainedHigh, High, Main};
        match (self, to) {
            (from, to) if from == to => Some(2),
            // Contained by H.264 §A.2.
            (ConstrainedBaseline, Baseline | Main | ConstrainedHigh | High) | (Main | ConstrainedHigh, High) => Some(1),
            // Browsers call constrained baseline so; no encoder of theirs uses what Baseline has beyond it.
            (Baseline, ConstrainedBaseline | Main | ConstrainedHigh | High) => Some(0),
            _ => None,
        }
    }
}

fn h264(from: &CodecSpec, to: &CodecSpec) -> Option<u8> {
    let mode = |spec: &CodecSpec| spec.format.packetization_mode.unwrap_or(0);
    // Mode 1 adds packets to mode 0, mode 2 interleaves and is another format (RFC 6184 §6).
    let mode = match (mode(from), mode(to)) {
        (from, to) if from == to => 1,
        (0, 1) => 0,
        _ => return None,
    };
    // The level is left out: receivers state what they must decode at least, and decode what they can.
    let profile = H264Profile::of(from).score(H264Profile::of(to))?;
    Some(profile * 2 + mode)
}

/// The newest block of a RED payload (RFC 2198 §3), which a receiver without RED can take; `None` if the bytes are
/// not RED or the block is empty.
#[must_use]
pub fn red_primary(payload: &[u8]) -> Option<&[u8]> {
    let (mut at, mut redundant) = (0, 0);
    for _ in 0..=RED_BLOCKS_MAX {
        let header = payload.get(at..)?;
        match header {
            [first, ..] if first & 0x80 == 0 => {
                return payload.get(at + 1 + redundant..).filter(|primary| !primary.is_empty());
            }
            [_, _, high, low, ..] => redundant += usize::from(u16::from_be_bytes([high & 0x03, *low])),
            _ => return None,
        }
        at += 4;
    }
    None
}

#[cfg(test)]
mod tests {
    use str0m::format::CodecConfig;
    use str0m::format::FormatParams;
    use str0m::media::Frequency;
    use str0m::rtp::RedEncoder;
    use str0m::rtp::RedundantBlock;

    use super::super::dice::Dice;
    use super::*;

    fn params(pt: u8, codec: Codec, fmtp: &str) -> PayloadParams {
        let spec = CodecSpec { codec, clock_rate: Frequency::NINETY_KHZ, channels: None, format: FormatParams::parse_line(fmtp) };
        PayloadParams::new(pt.into(), None, spec)
    }

    fn picked(source: &PayloadParams, candidates: &[PayloadParams]) -> Option<u8> {
        pick(&source.spec(), candidates.iter()).map(|pt| *pt)
    }

    const CONSTRAINED: &str = "packetization-mode=1;profile-level-id=42e01f";
    const BASELINE: &str = "packetization-mode=1;profile-level-id=42001f";
    const MAIN: &str = "packetization-mode=1;profile-level-id=4d001f";
    const HIGH: &str = "packetization-mode=1;profile-level-id=64001f";

    fn h264_pick(source: &str, candidates: &[&str]) -> Option<usize> {
        let list: Vec<_> = (96..).zip(candidates).map(|(pt, fmtp)| params(pt, Codec::H264, fmtp)).collect();
        picked(&params(120, Codec::H264, source), &list).map(|pt| usize::from(pt - 96))
    }

    #[test]
    fn h264_takes_the_same_profile_then_one_that_contains_it() {
        assert_eq!(h264_pick(CONSTRAINED, &[HIGH, BASELINE, CONSTRAINED]), Some(2));
        assert_eq!(h264_pick(CONSTRAINED, &["packetization-mode=1;profile-level-id=42e034"]), Some(0), "any level");
        assert_eq!(h264_pick(CONSTRAINED, &[MAIN]), Some(0));
        assert_eq!(h264_pick(BASELINE, &[CONSTRAINED]), Some(0), "Chromium to Firefox");
        assert_eq!(h264_pick(MAIN, &[CONSTRAINED, HIGH]), Some(1));
        assert_eq!(h264_pick(HIGH, &[CONSTRAINED, MAIN]), None);
        assert_eq!(h264_pick("packetization-mode=1;profile-level-id=f4001f", &[HIGH]), None);
        assert_eq!(h264_pick("packetization-mode=1", &[BASELINE]), Some(0), "Baseline unless said");
    }

    #[test]
    fn h264_packets_of_mode_1_need_mode_1() {
        let zero = "profile-level-id=42e01f";
        assert_eq!(h264_pick(CONSTRAINED, &[zero]), None);
        assert_eq!(h264_pick(zero, &[CONSTRAINED]), Some(0));
        assert_eq!(h264_pick(zero, &[CONSTRAINED, zero]), Some(1));
    }

    #[test]
    fn vp9_and_av1_profiles() {
        let vp9 = |id: u8| params(100 + id, Codec::Vp9, &format!("profile-id={id}"));
        assert_eq!(picked(&params(1, Codec::Vp9, ""), &[vp9(2), vp9(0)]), Some(100));
        assert_eq!(picked(&vp9(2), &[vp9(0)]), None);
        let av1 = |profile: u8| params(110 + profile, Codec::Av1, &format!("profile={profile}"));
        assert_eq!(picked(&av1(0), &[av1(1), av1(0)]), Some(110));
        assert_eq!(picked(&av1(0), &[av1(1)]), Some(111));
        assert_eq!(picked(&av1(1), &[av1(0)]), None);
        assert_eq!(picked(&params(1, Codec::Vp8, ""), &[av1(0), params(96, Codec::Vp8, "")]), Some(96));
        assert_eq!(picked(&params(1, Codec::Vp8, ""), &[]), None);
    }

    #[test]
    fn red_needs_red_and_the_same_number_inside() {
        let opus = |red| {
            let mut config = CodecConfig::empty();
            config.enable_opus(true, red);
            *config.params().first().unwrap()
        };
        let (with, without) = (opus(true), opus(false));
        let other = PayloadParams::new(109.into(), None, with.spec());
        let wrapping = with.red().unwrap();
        assert_eq!(route(&with, true, [with].iter()), Some(Route::Whole(wrapping)));
        assert_eq!(route(&with, true, [without].iter()), Some(Route::Primary(without.pt())));
        assert_eq!(route(&with, true, [other].iter()), Some(Route::Primary(109.into())));
        assert_eq!(route(&with, false, [with].iter()), Some(Route::Whole(with.pt())));
        assert_eq!(route(&with, true, [params(96, Codec::Vp8, "")].iter()), None);
    }

    #[test]
    fn the_primary_block_is_the_last() {
        let block = |len| RedundantBlock { pt: 111, timestamp_offset: 960, payload: vec![9; len] };
        for blocks in [vec![], vec![block(300)], vec![block(0), block(1_023)]] {
            let packet = RedEncoder::encode(111, b"newest", &blocks);
            assert_eq!(red_primary(&packet), Some(&b"newest"[..]));
        }
        assert_eq!(red_primary(&RedEncoder::encode(111, b"", &[])), None);
        assert_eq!(red_primary(&[0xef, 0, 1, 200, 0x6f, 1]), None, "cut short");
        assert_eq!(red_primary(&[0x80; 4 * 40]), None, "too many blocks");
        let mut dice = Dice::new(2);
        for _ in 0..20_000 {
            let bytes = dice.bytes(60);
            assert!(red_primary(&bytes).is_none_or(|primary| bytes.ends_with(primary)));
        }
    }
}
