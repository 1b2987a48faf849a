//! Sampling whether a stream that was declared end-to-end encrypted is.

use super::fmtp::red_primary;

/// After so many bad frames in a row a stream is in violation, and stays so.
pub const FAILURES_MAX: u8 = 8;
/// The length that LiveKit writes behind its initialisation vector.
const IV_LEN: u8 = 12;
/// What AES-GCM appends to the ciphertext, in bytes.
const TAG_LEN: usize = 16;
/// The vector's length and the key's index.
const TRAILER_LEN: usize = 2;
/// The least that an encrypted Opus packet has: its clear first byte, the tag, the vector, the trailer.
const AUDIO_MIN: usize = 1 + TAG_LEN + IV_LEN as usize + TRAILER_LEN;
/// Opus packets up to this length carry no sound: DTX, which clients may send as it is.
const DTX_MAX: usize = 3;
/// What ends a frame that has metadata behind its encrypted part.
const METADATA_MAGIC: &[u8; 4] = b"LKTS";
/// The bytes of the magic and of the metadata's own length.
const METADATA_MIN: usize = 5;

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// An Opus packet in each RTP packet.
    Opus,
    /// RED around Opus.
    Red,
    /// Frames over one or more packets.
    Video,
}

/// What the packets so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against encryption.
    Fine,
    /// This frame does not look encrypted, which a client may do for a moment while it starts.
    Suspicious,
    /// The stream is not encrypted: drop it.
    Violation,
}

/// Watches one stream for LiveKit's frame trailer: `… tag(16) IV(12) 12 key-index`.
///
/// It catches mistakes, not malice: whoever wants to can append such bytes to plain frames, and one plain frame in
/// 256 ends so by chance.
#[derive(Clone, Copy, Debug, Default)]
pub struct SealProbe {
    failures: u8,
}

impl SealProbe {
    /// Looks at a packet. Only packets that end a frame tell something: those with a marker, every audio packet.
    pub fn observe(&mut self, carried: Carried, payload: &[u8], marker: bool) -> Verdict {
        if self.failures >= FAILURES_MAX {
            return Verdict::Violation;
        }
        let sealed = match carried {
            Carried::Video if !marker => None,
            Carried::Video => video(payload),
            Carried::Opus => audio(payload, payload),
            // Clients seal before or after they make RED; the trailer ends the packet in both cases.
            Carried::Red => audio(payload, red_primary(payload).unwrap_or(payload)),
        };
        match sealed {
            None => return Verdict::Fine,
            Some(true) => self.failures = 0,
            Some(false) => self.failures += 1,
        }
        match self.failures {
            0 => Verdict::Fine,
            FAILURES_MAX.. => Verdict::Violation,
            _ => Verdict::Suspicious,
        }
    }
}

/// Whether an audio packet looks sealed, `None` if it need not be.
fn audio(payload: &[u8], primary: &[u8]) -> Option<bool> {
    if payload.is_empty() {
        return None;
    }
    if payload.len() >= AUDIO_MIN && ends_sealed(payload) {
        return Some(true);
    }
    (primary.len() > DTX_MAX).then_some(false)
}

/// Whether the last packet of a frame looks sealed, `None` if it shows too little of the frame's end.
fn video(payload: &[u8]) -> Option<bool> {
    let end = without_metadata(payload)?;
    (end.len() >= TRAILER_LEN).then(|| ends_sealed(end))
}

/// H.264 escapes zeros in what is sealed, but never here: 12 needs no escape and ends a run of zeros before the
/// key's index, so the last two bytes are the same in every codec.
fn ends_sealed(end: &[u8]) -> bool {
    matches!(end, [.., IV_LEN, _])
}

/// Cuts off the metadata that clients may append to sealed frames: `… length 'LKTS'`, the length inverted and that
/// of all. `None` if the metadata began in an earlier packet.
fn without_metadata(payload: &[u8]) -> Option<&[u8]> {
    let Some([.., length]) = payload.strip_suffix(METADATA_MAGIC) else { return Some(payload) };
    let length = usize::from(!length);
    if length < METADATA_MIN {
        return Some(payload);
    }
    payload.len().checked_sub(length).map(|end| &payload[..end])
}

#[cfg(test)]
mod tests {
    use str0m::rtp::RedEncoder;
    use str0m::rtp::RedundantBlock;

    use super::super::dice::Dice;
    use super::*;

    /// What a client makes of a frame: a clear head, ciphertext with its tag, vector, trailer.
    fn sealed(len: usize, key: u8) -> Vec<u8> {
        let mut frame = vec![0xfc];
        frame.resize(1 + len + TAG_LEN + usize::from(IV_LEN), 0xa5);
        frame.extend([IV_LEN, key]);
        frame
    }

    fn observe(carried: Carried, payload: &[u8]) -> Verdict {
        SealProbe::default().observe(carried, payload, true)
    }

    #[test]
    fn sealed_frames_are_fine() {
        for key in [0, 5, 255] {
            assert_eq!(observe(Carried::Opus, &sealed(0, key)), Verdict::Fine);
            assert_eq!(observe(Carried::Video, &sealed(500, key)), Verdict::Fine);
        }
        assert_eq!(observe(Carried::Video, &[IV_LEN, 0]), Verdict::Fine, "the rest came in earlier packets");
    }

    #[test]
    fn plain_frames_violate_after_eight_in_a_row() {
        let mut probe = SealProbe::default();
        let plain = [0xfc; 80];
        for _ in 1..FAILURES_MAX {
            assert_eq!(probe.observe(Carried::Opus, &plain, true), Verdict::Suspicious);
        }
        assert_eq!(probe.observe(Carried::Opus, &sealed(60, 0), true), Verdict::Fine);
        for _ in 1..FAILURES_MAX {
            assert_eq!(probe.observe(Carried::Opus, &plain, false), Verdict::Suspicious);
            assert_eq!(probe.observe(Carried::Opus, &[], false), Verdict::Fine, "padding tells nothing");
        }
        assert_eq!(probe.observe(Carried::Opus, &plain, true), Verdict::Violation);
        assert_eq!(probe.observe(Carried::Opus, &sealed(60, 0), true), Verdict::Violation, "for good");
    }

    #[test]
    fn what_tells_nothing_is_fine() {
        for tiny in [&[][..], &[0xf8], &[0xf8, 0xff, 0xfe]] {
            assert_eq!(observe(Carried::Opus, tiny), Verdict::Fine);
        }
        assert_eq!(observe(Carried::Video, &[0x10]), Verdict::Fine);
        assert_eq!(SealProbe::default().observe(Carried::Video, &[0xfc; 500], false), Verdict::Fine, "not a frame's end");
        let short = [0xfc, 1, 1, 1, 1, IV_LEN, 0];
        assert_eq!(observe(Carried::Opus, &short), Verdict::Suspicious, "no room for tag and vector");
    }

    #[test]
    fn red_is_judged_by_its_newest_block() {
        let old = RedundantBlock { pt: 111, timestamp_offset: 960, payload: sealed(40, 0) };
        let red = |primary: &[u8]| RedEncoder::encode(111, primary, std::slice::from_ref(&old));
        assert_eq!(observe(Carried::Red, &red(&sealed(40, 0))), Verdict::Fine);
        assert_eq!(observe(Carried::Red, &red(&[7; 60])), Verdict::Suspicious);
        assert_eq!(observe(Carried::Red, &red(&[0xf8])), Verdict::Fine, "DTX");
    }

    #[test]
    fn metadata_behind_a_sealed_frame_is_skipped() {
        let with = |mut frame: Vec<u8>| {
            let fields = [!2, !4, !0, !0, !0, !9];
            frame.extend(fields);
            frame.push(!11);
            frame.extend(METADATA_MAGIC);
            frame
        };
        assert_eq!(observe(Carried::Video, &with(sealed(100, 3))), Verdict::Fine);
        assert_eq!(observe(Carried::Video, &with(vec![1; 100])), Verdict::Suspicious);
        assert_eq!(observe(Carried::Video, &with(vec![])), Verdict::Fine, "the frame itself ended before");
        assert_eq!(observe(Carried::Video, b"abLKTS"), Verdict::Fine, "metadata that began before");
        assert_eq!(observe(Carried::Video, &[1, 1, 1, !0, b'L', b'K', b'T', b'S']), Verdict::Suspicious, "no length");
    }

    #[test]
    fn any_bytes_have_a_verdict_and_plain_noise_is_found() {
        let mut dice = Dice::new(3);
        for carried in [Carried::Opus, Carried::Red, Carried::Video] {
            let mut probe = SealProbe::default();
            for _ in 0..5_000 {
                let _ = probe.observe(carried, &dice.bytes(200), dice.percent(50));
            }
            assert_eq!(probe.observe(carried, &[], false), Verdict::Violation);
        }
    }
}
