//! What a client receives of one outgoing stream of the server, as a decoder would see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use konsil::model::media::MediaKind;

use crate::client::ClientId;
use crate::packet::Tag;
use crate::time::since;

/// Packets that are remembered of one stream; far more than any reordering here.
const REMEMBERED: usize = 4_096;
/// How long a decoder waits for a repeat before it asks for a keyframe.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often a decoder asks for a keyframe.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// One received packet, by the server's numbers and by the publisher's.
#[derive(Clone, Debug)]
pub struct Seen {
    pub tag: Tag,
    pub seq: u64,
    pub timestamp: u32,
    /// The VP8 picture id after the server's patch.
    pub picture: Option<u16>,
}

/// A stream by its SSRC.
#[derive(Debug)]
pub struct Sink {
    pub kind: MediaKind,
    /// By the server's extended sequence number.
    pub seen: BTreeMap<u64, Seen>,
    decoder: Decoder,
}

impl Sink {
    pub fn new(kind: MediaKind) -> Self {
        Self { kind, seen: BTreeMap::new(), decoder: Decoder::default() }
    }

    /// Takes a packet that the invariants have let through. Returns whether it made something playable.
    pub fn take(&mut self, seen: Seen, now: Instant) -> bool {
        let tag = seen.tag;
        if self.seen.insert(seen.seq, seen).is_some() {
            return false;
        }
        if self.seen.len() > REMEMBERED {
            self.seen.pop_first();
        }
        match self.kind {
            MediaKind::Audio => true,
            MediaKind::Video => self.decoder.take(tag, now),
        }
    }

    /// Whether the decoder is stuck and asks for a keyframe now.
    pub fn asks_for_keyframe(&mut self, now: Instant) -> bool {
        self.kind == MediaKind::Video && self.decoder.asks(now)
    }
}

/// The order of frames that a VP8 decoder needs: a keyframe, then each one after the other.
#[derive(Debug, Default)]
struct Decoder {
    stream: Option<(ClientId, u32, u8)>,
    /// The newest frame that was decoded.
    decoded: Option<u32>,
    /// Parts of frames that wait.
    parts: BTreeMap<u32, Frame>,
    stuck_since: Option<Instant>,
    asked: Option<Instant>,
}

#[derive(Debug)]
struct Frame {
    key: bool,
    count: u8,
    got: BTreeSet<u8>,
}

impl Decoder {
    fn take(&mut self, tag: Tag, now: Instant) -> bool {
        if self.stream != Some(tag.stream()) {
            // A late packet of the layer before must not throw the new one away.
            if !tag.key {
                self.stuck_since.get_or_insert(now);
                return false;
            }
            *self = Self { stream: Some(tag.stream()), asked: self.asked, ..Self::default() };
        }
        if self.decoded.is_some_and(|decoded| tag.frame <= decoded) {
            return false;
        }
        let frame = self.parts.entry(tag.frame).or_insert(Frame { key: tag.key, count: tag.count, got: BTreeSet::new() });
        frame.got.insert(tag.index);
        let before = self.decoded;
        while let Some(next) = self.next_playable() {
            self.decoded = Some(next);
            self.parts.retain(|number, _| *number > next);
        }
        if self.parts.is_empty() {
            self.stuck_since = None;
        } else if self.stuck_since.is_none() || self.decoded != before {
            self.stuck_since = Some(now);
        }
        self.decoded != before
    }

    fn next_playable(&self) -> Option<u32> {
        let whole = |frame: &Frame| frame.got.len() == usize::from(frame.count);
        let playable =
            |number: u32, frame: &Frame| whole(frame) && (frame.key || self.decoded.is_some_and(|decoded| decoded + 1 == number));
        self.parts.iter().find(|(number, frame)| playable(**number, frame)).map(|(number, _)| *number)
    }

    fn asks(&mut self, now: Instant) -> bool {
        let stuck = self.stuck_since.is_some_and(|stuck| now >= stuck + PATIENCE);
        let may = self.asked.is_none_or(|asked| now >= asked + ASK_EVERY);
        if stuck && may {
            self.asked = Some(now);
        }
        stuck && may
    }
}

/// What a client last got of one track.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// When the newest playable packet was published.
    pub published: Duration,
    /// Its layer.
    pub layer: u8,
    /// How many playable packets there were.
    pub count: u64,
}

impl Heard {
    /// How old the newest playable packet is.
    pub fn age(&self, now: Instant) -> Duration {
        since(now).saturating_sub(self.published)
    }
}
