//! What names the pictures of one outgoing stream.

use str0m::rtp::Vp8Patch;

use super::frame::{Glance, Vp8Info};
use super::numbers::Line;

/// Words of bits that make the window of pictures: a late packet's picture may be 64 behind the newest, because a 7-bit
/// id cannot tell more apart.
const PICTURE_WORDS: usize = 1;

/// How a packet stands to those before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The first of a source.
    Source,
    /// Above all others of its source.
    Newest,
    /// Below another of its source.
    Late,
}

/// A late packet of a picture that is too old or was left out.
pub(super) struct NoPlace;

/// VP8 picture ids, base layer indices and keyframe indices of one outgoing stream (RFC 7741 §4.2).
#[derive(Clone, Debug)]
pub(super) struct Pictures {
    ids: Line<PICTURE_WORDS>,
    wide: bool,
    tl0: Index,
    key: Index,
}

impl Pictures {
    /// Unwrapped picture ids start here, so that earlier ones stay above 0.
    const ORIGIN: u64 = 1 << 16;

    pub fn new(start: u16) -> Self {
        Self { ids: Line::new(Self::ORIGIN + u64::from(start)), wide: false, tl0: Index::default(), key: Index::default() }
    }

    /// The patch of a packet, `None` where its payload names nothing to patch.
    pub fn rewrite(&mut self, glance: &Glance, place: Place) -> Result<Option<Vp8Patch>, NoPlace> {
        let Some(info) = &glance.vp8 else { return Ok(None) };
        let source = place == Place::Source;
        let mut patch = info.descriptor.patch();
        if let Some(id) = info.descriptor.picture_id() {
            patch = patch.picture_id(self.picture(id, info.wide, place)? & mask(info.wide));
        }
        if let Some(tl0) = info.descriptor.tl0_pic_idx() {
            patch = patch.tl0_pic_idx(self.tl0.rewrite(tl0, 0xff, source));
        }
        if let Some(key) = info.descriptor.key_idx() {
            patch = patch.key_idx(self.key.rewrite(key, 0x1f, source));
        }
        // Only fields that the descriptor has are set, in its widths, so the patch is always built.
        Ok(patch.build().ok())
    }

    fn picture(&mut self, id: u16, wide: bool, place: Place) -> Result<u16, NoPlace> {
        let number = self.unwrap(id, wide);
        let out = if place == Place::Source || wide != self.wide {
            self.wide = wide;
            self.ids.begin(Self::ORIGIN + u64::from(id))
        } else if number > self.ids.newest {
            self.ids.advance(number)
        } else {
            match self.ids.find(number) {
                Some(out) => out,
                // A new packet with an id that makes no sense: the encoder began to count anew.
                None if place == Place::Newest => self.ids.begin(number),
                None => return Err(NoPlace),
            }
        };
        // Only the low 15 bits reach the wire.
        #[allow(clippy::cast_possible_truncation)]
        Ok(out as u16)
    }

    pub fn leave_out(&mut self, info: &Vp8Info) {
        let Some(id) = info.descriptor.picture_id() else { return };
        let number = self.unwrap(id, info.wide);
        if info.wide == self.wide && number > self.ids.newest {
            self.ids.leave_out(number);
        }
    }

    /// The number with these low bits that is nearest to the newest one.
    fn unwrap(&self, id: u16, wide: bool) -> u64 {
        let mask = u64::from(mask(wide));
        let half = (mask >> 1) + 1;
        let ahead = u64::from(id).wrapping_sub(self.ids.newest) & mask;
        if ahead < half { self.ids.newest + ahead } else { (self.ids.newest + ahead).saturating_sub(mask + 1) }
    }
}

fn mask(wide: bool) -> u16 {
    if wide { 0x7fff } else { 0x7f }
}

/// Frame numbers of dependency descriptors, which wrap at 2^16, moved so that they go on over a switch: a receiver drops
/// a keyframe with an older number than the one before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    offset: u16,
    newest: Option<u16>,
}

impl Frames {
    pub fn begin(&mut self, number: u16) -> u16 {
        if let Some(newest) = self.newest {
            self.offset = newest.wrapping_add(1).wrapping_sub(number);
        }
        self.rewrite(number)
    }

    pub fn rewrite(&mut self, number: u16) -> u16 {
        let out = number.wrapping_add(self.offset);
        if self.newest.is_none_or(|newest| out.wrapping_sub(newest) < 1 << 15) {
            self.newest = Some(out);
        }
        out
    }
}

/// A small index of the source, moved so that it goes on over a switch.
#[derive(Clone, Debug, Default)]
struct Index {
    offset: u8,
    newest: Option<u8>,
}

impl Index {
    fn rewrite(&mut self, value: u8, mask: u8, source: bool) -> u8 {
        if let (true, Some(newest)) = (source, self.newest) {
            self.offset = newest.wrapping_add(1).wrapping_sub(value);
        }
        let out = value.wrapping_add(self.offset) & mask;
        if self.newest.is_none_or(|newest| out.wrapping_sub(newest) & mask <= mask / 2) {
            self.newest = Some(out);
        }
        out
    }
}
