//! The dependency descriptor (AV1 RTP specification, appendix A): passed on as it came, but for its frame number.

use std::sync::Arc;

use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues};

/// What the extension is called in SDP.
pub const URI: &str = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
/// Where the frame number stands in the mandatory fields, as 16 bits.
const NUMBER: std::ops::Range<usize> = 1..3;
/// The flags and the template of the first byte, and the frame number.
const MANDATORY_BITS: usize = 24;
/// Most templates that a structure has: their ids have 6 bits.
const TEMPLATES_MAX: usize = 64;
/// Longest descriptor in bytes that fits a header extension (RFC 8285 §4.3).
const LEN_MAX: usize = 255;
/// Longest that fits the one-byte form (RFC 8285 §4.2).
const SHORT_MAX: usize = 16;

/// A descriptor, with the frame number that it shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    bytes: Arc<[u8]>,
    number: u16,
}

impl Descriptor {
    /// A descriptor as it came, `None` where the mandatory fields are not complete.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let number = bytes.get(NUMBER)?.try_into().ok()?;
        (bytes.len() <= LEN_MAX).then(|| Self { bytes: bytes.into(), number: u16::from_be_bytes(number) })
    }

    /// The frame number, which wraps at 2^16.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The packet ends a frame, which with spatial layers is only a part of a picture.
    #[must_use]
    pub fn ends_frame(&self) -> bool {
        self.bytes[0] & 0x40 != 0
    }

    /// The same descriptor with another frame number.
    #[must_use]
    pub fn with_number(&self, number: u16) -> Self {
        Self { bytes: Arc::clone(&self.bytes), number }
    }
}

/// The spatial layers of a stream's frames, by the templates of its last structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Templates {
    first: u8,
    layers: Vec<u8>,
}

impl Templates {
    /// The structure that a keyframe's descriptor has, `None` where it has none or a broken one.
    #[must_use]
    pub fn read(descriptor: &Descriptor) -> Option<Self> {
        let mut bits = Bits { bytes: &descriptor.bytes, at: MANDATORY_BITS };
        let present = bits.take(1)? == 1;
        // Flags of fields that come behind the structure.
        bits.take(4)?;
        if !present {
            return None;
        }
        let first = bits.take(6)?;
        // The number of decode targets.
        bits.take(5)?;
        let (mut layers, mut spatial) = (Vec::new(), 0);
        while layers.len() < TEMPLATES_MAX {
            layers.push(spatial);
            match bits.take(2)? {
                // The same layer, or the next temporal one.
                0 | 1 => {}
                2 => spatial += 1,
                _ => return Some(Self { first, layers }),
            }
        }
        None
    }

    /// The spatial layer of a frame, 0 where its template is unknown.
    #[must_use]
    pub fn spatial(&self, descriptor: &Descriptor) -> u8 {
        let template = (descriptor.bytes[0] & 0x3f).wrapping_sub(self.first) & 0x3f;
        self.layers.get(usize::from(template)).copied().unwrap_or(0)
    }
}

/// Bits of a descriptor, most significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits, 8 at most.
    fn take(&mut self, count: usize) -> Option<u8> {
        let mut value = 0;
        for at in self.at..self.at + count {
            let byte = self.bytes.get(at / 8)?;
            value = value << 1 | byte >> (7 - at % 8) & 1;
        }
        self.at += count;
        Some(value)
    }
}

/// Reads and writes descriptors in str0m.
#[derive(Debug)]
struct Serializer;

impl ExtensionSerializer for Serializer {
    fn write_to(&self, buf: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(descriptor) = values.user_values.get::<Descriptor>() else { return 0 };
        let Some(out) = buf.get_mut(..descriptor.bytes.len()) else { return 0 };
        out.copy_from_slice(&descriptor.bytes);
        out[NUMBER].copy_from_slice(&descriptor.number.to_be_bytes());
        out.len()
    }

    fn parse_value(&self, buf: &[u8], values: &mut ExtensionValues) -> bool {
        let descriptor = Descriptor::read(buf);
        let whole = descriptor.is_some();
        if let Some(descriptor) = descriptor {
            values.user_values.set(descriptor);
        }
        whole
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        values.user_values.get::<Descriptor>().is_some_and(|descriptor| descriptor.bytes.len() > SHORT_MAX)
    }
}

/// The extension for str0m.
#[must_use]
pub fn extension() -> Extension {
    Extension::with_serializer(URI, Serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_changes() {
        let mut values = ExtensionValues::default();
        assert!(Serializer.parse_value(&[0xc1, 0x12, 0x34, 9, 8], &mut values));
        let descriptor = values.user_values.get::<Descriptor>().unwrap().clone();
        assert_eq!(descriptor.number(), 0x1234);
        values.user_values.set(descriptor.with_number(0xabcd));
        let mut buf = [0xff; 8];
        assert_eq!(Serializer.write_to(&mut buf, &values), 5);
        assert_eq!(buf, [0xc1, 0xab, 0xcd, 9, 8, 0xff, 0xff, 0xff]);
        assert!(!Serializer.requires_two_byte_form(&values));
    }

    #[test]
    fn templates_name_spatial_layers() {
        // A structure with the first template 62, 1 decode target, layers S0 S0 S1 S2.
        let bits = "1_0000_111110_00000_01_10_10_11".replace('_', "") + "0000000";
        let tail = bits.as_bytes().chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| (sum << 1) | (bit - b'0')));
        let bytes: Vec<u8> = [0xfe, 0, 1].into_iter().chain(tail).collect();
        let templates = Templates::read(&Descriptor::read(&bytes).unwrap()).unwrap();
        let spatial = |template: u8| templates.spatial(&Descriptor::read(&[template, 0, 1]).unwrap());
        assert_eq!([62, 63, 0, 1, 2].map(spatial), [0, 0, 1, 2, 0]);
        for end in 3..bytes.len() - 1 {
            assert_eq!(Templates::read(&Descriptor::read(&bytes[..end]).unwrap()), None);
        }
        let endless: Vec<u8> = [0; 3].into_iter().chain([0x80]).chain([0; 60]).collect();
        assert_eq!(Templates::read(&Descriptor::read(&endless).unwrap()), None);
        assert!(Descriptor::read(&bytes).unwrap().ends_frame());
    }

    #[test]
    fn long_ones_need_the_long_form_and_broken_ones_are_left_out() {
        let mut values = ExtensionValues::default();
        for broken in [&[][..], &[1, 2], &[0; LEN_MAX + 1]] {
            assert!(!Serializer.parse_value(broken, &mut values));
        }
        assert_eq!(Serializer.write_to(&mut [0; 16], &values), 0);
        assert!(Serializer.parse_value(&[0; SHORT_MAX + 1], &mut values));
        assert!(Serializer.requires_two_byte_form(&values));
        assert_eq!(Serializer.write_to(&mut [0; SHORT_MAX], &values), 0, "no room");
    }
}
