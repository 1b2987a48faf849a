//! Payloads that say where they come from, so that every receiver can tell what it got.

use std::time::Duration;

use konsil::model::media::MediaKind;

use crate::client::ClientId;

const MAGIC: &[u8; 4] = b"KSIM";
/// Bytes of an encoded tag.
const TAG_LEN: usize = 4 + 4 + 4 + 1 + 1 + 4 + 1 + 1 + 8 + 8 + 2;

/// Who published a packet, when, and as what part of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The client that published it.
    pub client: ClientId,
    /// The client's own number of the track.
    pub track: u32,
    /// Simulcast layer, 0 to 2; 2 without simulcast.
    pub layer: u8,
    /// Part of a keyframe.
    pub key: bool,
    /// The frame, counted by track and layer.
    pub frame: u32,
    /// The packet's place in its frame.
    pub index: u8,
    /// How many packets the frame has.
    pub count: u8,
    /// The source's extended sequence number.
    pub seq: u64,
    /// When it was published, from the start of the run.
    pub at: Duration,
    /// The picture id that the source wrote.
    pub picture: u16,
}

impl Tag {
    /// A payload of about `len` bytes with this tag behind the codec's own header.
    pub fn payload(&self, kind: MediaKind, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + TAG_LEN);
        match kind {
            MediaKind::Audio => out.push(0x78),
            MediaKind::Video => {
                let start = if self.index == 0 { 0x10 } else { 0 };
                let [high, low] = (self.picture & 0x7fff).to_be_bytes();
                // X and S; I, L and T; a 15-bit picture id; TL0PICIDX; TID 0 with Y (RFC 7741 §4.2).
                out.extend([0x80 | start, 0xe0, 0x80 | high, low, low, 0x20]);
                if self.index == 0 {
                    // The frame header's P bit is 0 in keyframes (RFC 6386 §9.1).
                    out.push(u8::from(!self.key));
                }
            }
        }
        out.extend(MAGIC);
        out.extend(u32::try_from(self.client.0).expect("few clients").to_be_bytes());
        out.extend(self.track.to_be_bytes());
        out.extend([self.layer, u8::from(self.key)]);
        out.extend(self.frame.to_be_bytes());
        out.extend([self.index, self.count]);
        out.extend(self.seq.to_be_bytes());
        out.extend(u64::try_from(self.at.as_micros()).expect("short runs").to_be_bytes());
        out.extend(self.picture.to_be_bytes());
        out.resize(out.len().max(len), 0x5a);
        out
    }

    /// The tag of a payload, wherever in its first bytes it stands.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let start = payload.windows(MAGIC.len()).take(16).position(|window| window == MAGIC)?;
        let bytes = payload.get(start..start + TAG_LEN)?;
        let four = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) << 32 | u64::from(four(at + 4));
        Some(Self {
            client: ClientId(four(4) as usize),
            track: four(8),
            layer: bytes[12],
            key: bytes[13] == 1,
            frame: four(14),
            index: bytes[18],
            count: bytes[19],
            seq: eight(20),
            at: Duration::from_micros(eight(28)),
            picture: u16::from_be_bytes([bytes[36], bytes[37]]),
        })
    }

    /// The stream that the packet belongs to: client, track, layer.
    pub fn stream(&self) -> (ClientId, u32, u8) {
        (self.client, self.track, self.layer)
    }
}

/// The picture id that a VP8 payload of ours carries on the wire, after whatever was patched.
pub fn picture_id(payload: &[u8]) -> Option<u16> {
    match payload {
        [first, ext, high, low, ..] if first & 0x80 != 0 && ext & 0x80 != 0 && high & 0x80 != 0 => {
            Some(u16::from_be_bytes([high & 0x7f, *low]))
        }
        _ => None,
    }
}

/// What an RTP datagram shows without its keys: SRTP leaves the header clear (RFC 3711 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload type.
    pub pt: u8,
    /// Sequence number.
    pub seq: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Source.
    pub ssrc: u32,
}

impl Header {
    /// Reads the header, `None` for all that is not RTP (RFC 7983, RFC 5761).
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let head = datagram.get(..12)?;
        let pt = head[1] & 0x7f;
        if !(128..192).contains(&head[0]) || (64..96).contains(&pt) {
            return None;
        }
        Some(Self {
            pt,
            seq: u16::from_be_bytes([head[2], head[3]]),
            timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        })
    }
}

#[test]
fn tags_survive_the_trip() {
    let tag = Tag {
        client: ClientId(7),
        track: 2,
        layer: 1,
        key: true,
        frame: 9,
        index: 0,
        count: 3,
        seq: 1 << 33 | 5,
        at: Duration::from_micros(77),
        picture: 300,
    };
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let payload = tag.payload(kind, 500);
        assert_eq!((Tag::read(&payload), payload.len()), (Some(tag), 500));
    }
    assert_eq!(picture_id(&tag.payload(MediaKind::Video, 500)), Some(300));
}
