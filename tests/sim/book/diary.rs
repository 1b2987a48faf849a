//! What reached one client when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use konsil::model::media::MediaKind;

use crate::client::ClientId;
use crate::packet::Tag;
use crate::time::since;

/// A published track: by whom, and its number there.
pub type Key = (ClientId, u32);

/// A picture that could be decoded.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    pub at: Duration,
    pub layer: u8,
}

#[derive(Debug, Default)]
pub struct Diary {
    /// When each frame of sound was published, and how long it took.
    pub sound: BTreeMap<Key, BTreeMap<u32, (Duration, Duration)>>,
    pub pictures: BTreeMap<Key, Vec<Picture>>,
    /// When media came, how many bytes with what goes around them.
    pub bytes: Vec<(Duration, usize)>,
}

/// What a packet takes beside its payload: RTP with extensions, SRTP's tag, UDP and IP.
const OVERHEAD: usize = 70;

impl Diary {
    pub fn note(&mut self, kind: MediaKind, tag: Tag, len: usize, playable: bool, now: Instant) {
        self.bytes.push((since(now), len + OVERHEAD));
        let key = (tag.client, tag.track);
        match kind {
            MediaKind::Audio => {
                let took = since(now).saturating_sub(tag.at);
                self.sound.entry(key).or_default().entry(tag.frame).or_insert((tag.at, took));
            }
            MediaKind::Video if playable => {
                self.pictures.entry(key).or_default().push(Picture { at: since(now), layer: tag.layer });
            }
            MediaKind::Video => {}
        }
    }
}
