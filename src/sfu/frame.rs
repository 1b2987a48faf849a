//! What one RTP payload tells about the frame it belongs to.

use str0m::rtp::Vp8Descriptor;

use crate::model::media::Codec;

/// The findings of one look into a payload; it costs no allocation, and any bytes give an answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Glance {
    /// The packet starts a frame that a decoder can begin with.
    pub keyframe_start: bool,
    /// It carries what a decoder must know before any H.264 keyframe of this size (SPS).
    pub sets: bool,
    /// The packet starts a frame. For H.264 only known where the first slice or a parameter set starts.
    pub frame_start: bool,
    /// The packet ends a frame: the RTP marker for video, every packet for audio.
    pub frame_end: bool,
    /// The VP8 descriptor, absent for other codecs and for descriptors that RFC 7741 §4.2 does not allow.
    pub vp8: Option<Vp8Info>,
    /// The temporal layer, 0 to 7, where the payload names one.
    pub temporal: Option<u8>,
    /// The frame needs none but the base layer (VP8's Y): a decoder can begin with this temporal layer here.
    pub sync: bool,
    /// The frame number of the dependency descriptor, which is no part of the payload.
    pub number: Option<u16>,
}

/// A VP8 payload descriptor with what `str0m` keeps to itself.
#[derive(Clone, Copy, Debug)]
pub struct Vp8Info {
    /// For reading ids and for building a patch of exactly this payload.
    pub descriptor: Vp8Descriptor,
    /// The picture id has 15 bits rather than 7.
    pub wide: bool,
}

/// Looks into a payload. LiveKit's end-to-end encryption leaves everything that is read here clear, except in AV1,
/// which its clients do not encrypt.
#[must_use]
pub fn glance(codec: Codec, payload: &[u8], marker: bool) -> Glance {
    let mut seen = match codec {
        Codec::Opus => return Glance { frame_start: true, frame_end: true, ..Glance::default() },
        Codec::Vp8 => vp8(payload),
        Codec::Vp9 => vp9(payload),
        Codec::H264 => h264(payload),
        Codec::Av1 => av1(payload),
    };
    seen.frame_end = marker;
    seen
}

/// RFC 7741 §4.2 and §4.3.
fn vp8(payload: &[u8]) -> Glance {
    let Ok(descriptor) = Vp8Descriptor::parse(payload) else { return Glance::default() };
    let byte = |at: usize| payload.get(at).copied().unwrap_or(0);
    // S bit, first partition
    let frame_start = byte(0) & 0x17 == 0x10;
    let extension = if byte(0) & 0x80 == 0 { 0 } else { byte(1) };
    let has_id = extension & 0x80 != 0;
    let wide = has_id && byte(2) & 0x80 != 0;
    let layered = (extension & 0x20 != 0).then(|| {
        let at = 2 + usize::from(has_id) + usize::from(wide) + usize::from(extension & 0x40 != 0);
        byte(at)
    });
    let (temporal, sync) = (layered.map(|byte| byte >> 6), layered.is_some_and(|byte| byte & 0x20 != 0));
    let keyframe_start = descriptor.starts_keyframe(payload);
    Glance { keyframe_start, frame_start, vp8: Some(Vp8Info { descriptor, wide }), temporal, sync, ..Glance::default() }
}

/// RFC 9628 §4.2: `I|P|L|F|B|E|V|Z`, then the picture id, then `TID(3)|U|SID(3)|D`.
fn vp9(payload: &[u8]) -> Glance {
    let Some(&first) = payload.first() else { return Glance::default() };
    let begins = first & 0x08 != 0;
    let id_len = match payload.get(1) {
        _ if first & 0x80 == 0 => 0,
        Some(id) if id & 0x80 != 0 => 2,
        _ => 1,
    };
    let layer = if first & 0x20 == 0 {
        None
    } else {
        // A packet that ends before the layer it promises is no start of anything.
        let Some(&layer) = payload.get(1 + id_len) else { return Glance::default() };
        Some(layer)
    };
    let base = layer.is_none_or(|layer| layer & 0x0e == 0);
    let frame_start = begins && base;
    let keyframe_start = frame_start && first & 0x40 == 0;
    Glance { keyframe_start, frame_start, temporal: layer.map(|layer| layer >> 5), ..Glance::default() }
}

const H264_SLICE: u8 = 1;
const H264_IDR: u8 = 5;
const H264_SPS: u8 = 7;
const H264_DELIMITER: u8 = 9;
const H264_STAP_A: u8 = 24;
const H264_FU_A: u8 = 28;

/// RFC 6184 §5.6 (single unit), §5.7.1 (STAP-A), §5.8 (FU-A).
fn h264(payload: &[u8]) -> Glance {
    let Some(&first) = payload.first() else { return Glance::default() };
    match first & 0x1f {
        H264_STAP_A => stap_a(&payload[1..]),
        H264_FU_A => match payload.get(1) {
            Some(header) if header & 0x80 != 0 => h264_unit(header & 0x1f, payload.get(2)),
            _ => Glance::default(),
        },
        kind => h264_unit(kind, payload.get(1)),
    }
}

/// `after` is the byte behind the unit's header. In a slice its top bit is set exactly if the slice is the frame's
/// first: `first_mb_in_slice` is then 0, which Exp-Golomb writes as a single 1 (H.264 §7.3.3).
fn h264_unit(kind: u8, after: Option<&u8>) -> Glance {
    let first_slice = after.is_some_and(|byte| byte & 0x80 != 0);
    let keyframe_start = kind == H264_SPS || kind == H264_IDR && first_slice;
    let frame_start = keyframe_start || kind == H264_DELIMITER || kind == H264_SLICE && first_slice;
    Glance { keyframe_start, sets: kind == H264_SPS, frame_start, ..Glance::default() }
}

fn stap_a(mut rest: &[u8]) -> Glance {
    let mut sum = Glance::default();
    while let [high, low, units @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((unit, tail)) = units.split_at_checked(len) else { break };
        if let Some(header) = unit.first() {
            let seen = h264_unit(header & 0x1f, unit.get(1));
            sum.keyframe_start |= seen.keyframe_start;
            sum.sets |= seen.sets;
            sum.frame_start |= seen.frame_start;
        }
        rest = tail;
    }
    sum
}

/// AV1 RTP §4.4: `Z|Y|W W|N|-`. N names the first packet of a coded video sequence, Z continues an OBU.
/// Temporal layers stand in the dependency descriptor, not here.
fn av1(payload: &[u8]) -> Glance {
    let Some(&header) = payload.first() else { return Glance::default() };
    let keyframe_start = header & 0x88 == 0x08;
    // OBU types 1 (sequence header) and 2 (temporal delimiter) open a temporal unit; senders strip the latter,
    // so a start can be seen only where a sequence begins.
    Glance { keyframe_start, frame_start: keyframe_start, ..Glance::default() }
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    fn key(codec: Codec, payload: &[u8]) -> bool {
        glance(codec, payload, false).keyframe_start
    }

    #[test]
    fn vp8_keyframes_start_with_the_first_partition() {
        assert!(key(Codec::Vp8, &[0x10, 0x00, 0x9d]));
        assert!(!key(Codec::Vp8, &[0x10, 0x01, 0x9d]), "an interframe");
        assert!(!key(Codec::Vp8, &[0x00, 0x00]), "not the start of a partition");
        assert!(!key(Codec::Vp8, &[0x11, 0x00]), "the second partition");
        assert!(!key(Codec::Vp8, &[0x10]), "a descriptor alone");
    }

    #[test]
    fn vp8_layers_and_ids_are_found_behind_either_id_width() {
        // X, S | I, L, T | 15 bit id | tl0 | TID 2, KEYIDX | frame header
        let wide = glance(Codec::Vp8, &[0x90, 0xe0, 0x81, 0x02, 0x07, 0x80, 0x01], true);
        assert_eq!((wide.temporal, wide.frame_start, wide.frame_end), (Some(2), true, true));
        let info = wide.vp8.unwrap();
        assert!(info.wide);
        assert_eq!((info.descriptor.picture_id(), info.descriptor.tl0_pic_idx()), (Some(0x102), Some(7)));
        let narrow = glance(Codec::Vp8, &[0x90, 0xe0, 0x42, 0x07, 0x40, 0x01], false);
        assert_eq!((narrow.temporal, narrow.vp8.unwrap().wide), (Some(1), false));
        assert_eq!(glance(Codec::Vp8, &[0x10, 0x01], false).temporal, None);
    }

    #[test]
    fn h264_keyframes_in_each_packing() {
        assert!(key(Codec::H264, &[0x67, 0x42]), "SPS");
        assert!(key(Codec::H264, &[0x65, 0x88]), "IDR, first slice");
        assert!(!key(Codec::H264, &[0x65, 0x08]), "IDR, later slice");
        assert!(!key(Codec::H264, &[0x61, 0x88]));
        assert!(glance(Codec::H264, &[0x61, 0x88], false).frame_start);
        assert!(key(Codec::H264, &[0x78, 0, 2, 0x68, 1, 0, 2, 0x67, 0x42]), "STAP-A with an SPS second");
        assert!(!key(Codec::H264, &[0x78, 0, 9, 0x67, 0x42]), "STAP-A that promises too much");
        assert!(key(Codec::H264, &[0x7c, 0x85, 0x88]), "FU-A start");
        assert!(!key(Codec::H264, &[0x7c, 0x05, 0x88]), "FU-A continued");
    }

    #[test]
    fn vp9_keyframes_start_in_the_base_layer() {
        assert!(key(Codec::Vp9, &[0x08]));
        assert!(!key(Codec::Vp9, &[0x48]), "predicted");
        assert!(!key(Codec::Vp9, &[0x00]), "not the beginning");
        // I, L, B with a 15 bit id: TID 1 SID 0, then TID 0 SID 1
        let base = glance(Codec::Vp9, &[0xa8, 0x80, 0x01, 0x20], false);
        assert_eq!((base.keyframe_start, base.temporal), (true, Some(1)));
        assert!(!key(Codec::Vp9, &[0xa8, 0x80, 0x01, 0x02]));
        assert!(!key(Codec::Vp9, &[0xa8, 0x80, 0x01]), "cut short");
        assert!(key(Codec::Vp9, &[0xa8, 0x01, 0x00]), "7 bit id");
    }

    #[test]
    fn av1_keyframes_carry_the_new_sequence_bit() {
        assert!(key(Codec::Av1, &[0x18, 0x0a]));
        assert!(!key(Codec::Av1, &[0x10]));
        assert!(!key(Codec::Av1, &[0x98]), "continues an OBU");
    }

    #[test]
    fn opus_has_no_keyframes() {
        let seen = glance(Codec::Opus, &[0xfc], false);
        assert_eq!((seen.keyframe_start, seen.frame_end, seen.temporal), (false, true, None));
    }

    #[test]
    fn any_bytes_have_an_answer() {
        let mut dice = Dice::new(1);
        for _ in 0..20_000 {
            let payload = dice.bytes(40);
            for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
                let seen = glance(codec, &payload, false);
                assert!(seen.frame_start || !seen.keyframe_start);
            }
        }
    }
}
