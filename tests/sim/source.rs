//! A track that a client publishes: what it writes when.

use std::time::{Duration, Instant};

use fastrand::Rng;
use konsil::model::ids::Sid;
use konsil::model::media::{Codec, Encryption, MediaKind, Quality, TrackSource, VideoLayer};
use konsil::room::command::AddTrack;
use str0m::media::{Mid, Pt, Rid};
use str0m::rtp::{ExtensionValues, RtpWrite};

use crate::client::ClientId;
use crate::packet::Tag;
use crate::time::since;

/// Simulcast rids as livekit-client names them, worst first.
pub const RIDS: [&str; 3] = ["q", "h", "f"];
pub const AUDIO_EVERY: Duration = Duration::from_millis(20);

/// What an encoder makes.
#[derive(Debug)]
pub struct Camera {
    pub every: Duration,
    /// How long pictures are on their way from the lens to the network.
    pub lag: Duration,
    /// Packets of a delta frame and their bytes, by layer.
    delta: [(u8, usize); 3],
    /// Packets of a keyframe and their bytes, by layer.
    key: [(u8, usize); 3],
    /// What the layers take together, up to each one, in bit/s.
    sums: [u64; 3],
}

/// Small pictures, so that many rooms can be run.
const SMALL: Camera = Camera {
    every: Duration::from_millis(66),
    lag: Duration::ZERO,
    delta: [(1, 200), (1, 500), (2, 800)],
    key: [(1, 600), (2, 800), (4, 1000)],
    sums: [0; 3],
};
/// What livekit-client's three layers of 720p take: 150 kbit/s, 450 kbit/s, 1.7 Mbit/s.
pub const CAMERA: Camera = Camera {
    every: Duration::from_millis(33),
    lag: Duration::ZERO,
    delta: [(1, 620), (2, 930), (7, 1000)],
    key: [(3, 1000), (8, 1000), (28, 1000)],
    sums: [180_000, 700_000, 2_600_000],
};

/// The same behind a slow encoder.
pub const SLOW_CAMERA: Camera = Camera { lag: Duration::from_millis(300), ..CAMERA };

/// What one layer has counted so far.
#[derive(Clone, Debug)]
struct Layer {
    rid: Option<Rid>,
    at: u8,
    seq: u64,
    frame: u32,
    picture: u16,
    timestamp: u32,
    key_wanted: bool,
}

/// How far a track has come in its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not yet in any offer.
    New,
    /// In an offer that was not answered yet.
    Offered,
    /// Negotiated: media is written.
    Live,
    /// To be taken out with the next offer.
    Ending,
    /// Taken out.
    Ended,
}

/// One published track.
#[derive(Debug)]
pub struct Source {
    pub number: u32,
    pub cid: String,
    pub kind: MediaKind,
    pub simulcast: bool,
    /// Whether it is announced as encrypted end to end.
    encrypted: bool,
    pub stage: Stage,
    pub mid: Option<Mid>,
    /// The server's id, once it said so.
    pub sid: Option<Sid>,
    /// Since when media is written.
    pub live_since: Option<Instant>,
    pub muted: bool,
    layers: Vec<Layer>,
    /// It stops layers that nobody watches.
    dynacast: bool,
    /// So many of its layers are sent.
    best: u8,
    next_at: Instant,
    pub camera: &'static Camera,
    /// So many of its layers the client's own network carries.
    affords: u8,
}

impl Source {
    pub fn new(client: ClientId, number: u32, kind: MediaKind, simulcast: bool, now: Instant, dice: &mut Rng) -> Self {
        let encrypted = dice.u8(..3) == 0;
        let mut layer = |at: u8, rid: Option<Rid>| Layer {
            rid,
            at,
            seq: dice.u64(1..0x8000),
            frame: 0,
            picture: dice.u16(..0x8000),
            timestamp: dice.u32(..),
            key_wanted: true,
        };
        let layers =
            if simulcast { (0..3).map(|at| layer(at, Some(Rid::from(RIDS[usize::from(at)])))).collect() } else { vec![layer(2, None)] };
        Self {
            number,
            cid: format!("c{}t{number}", client.0),
            kind,
            simulcast,
            encrypted,
            stage: Stage::New,
            mid: None,
            sid: None,
            live_since: None,
            muted: false,
            layers,
            dynacast: number.is_multiple_of(2) ^ client.0.is_multiple_of(2),
            best: 3,
            next_at: now,
            camera: &SMALL,
            affords: 3,
        }
    }

    /// The announcement of this track.
    pub fn announcement(&self) -> AddTrack {
        let sizes = [(Quality::Low, 320, 180), (Quality::Medium, 640, 360), (Quality::High, 1280, 720)];
        let layers = sizes.map(|(quality, width, height)| VideoLayer { quality, width, height, bitrate: 0 });
        let (source, codec) = match self.kind {
            MediaKind::Audio => (TrackSource::Microphone, Codec::Opus),
            MediaKind::Video => (TrackSource::Camera, Codec::Vp8),
        };
        AddTrack {
            cid: self.cid.clone(),
            kind: self.kind,
            name: String::new(),
            source,
            width: 1280,
            height: 720,
            muted: self.muted,
            layers: if self.simulcast { layers.to_vec() } else { Vec::new() },
            codecs: vec![(Some(codec), self.cid.clone())],
            encryption: if self.encrypted { Encryption::Gcm } else { Encryption::None },
            stream: String::new(),
            disable_red: true,
            disable_dtx: false,
            stereo: false,
            audio_features: Vec::new(),
        }
    }

    /// The server says which layers somebody has a use for. Half of the clients stop the others, as livekit-client does if
    /// it is told to.
    pub fn watched(&mut self, best: Option<Quality>) {
        if self.simulcast && self.dynacast {
            let before = self.best;
            self.best = best.map_or(0, |best| u8::try_from(best.index() + 1).expect("few layers"));
            // An encoder begins with a keyframe.
            self.layers.iter_mut().filter(|layer| layer.at >= before).for_each(|layer| layer.key_wanted = true);
        }
    }

    /// The client's own network carries so much, in bit/s: the encoder makes as many layers as fit.
    pub fn afford(&mut self, bitrate: u64) {
        let before = self.affords;
        self.affords = if self.simulcast {
            u8::try_from(self.camera.sums.iter().filter(|sum| **sum <= bitrate).count()).expect("few").max(1)
        } else {
            3
        };
        let affords = self.affords;
        self.layers.iter_mut().filter(|layer| (before..affords).contains(&layer.at)).for_each(|layer| layer.key_wanted = true);
    }

    /// The server wants a keyframe of a layer, of all layers without a rid.
    pub fn want_keyframe(&mut self, rid: Option<Rid>) {
        for layer in self.layers.iter_mut().filter(|layer| rid.is_none() || layer.rid == rid) {
            layer.key_wanted = true;
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        matches!(self.stage, Stage::Live | Stage::Ending).then_some(self.next_at)
    }

    /// The packets that are due, with the layer each belongs to.
    pub fn due(&mut self, client: ClientId, pt: Pt, now: Instant) -> Vec<(Option<Rid>, u8, u64, RtpWrite)> {
        let mut writes = Vec::new();
        // What was missed while there was no connection is not made up for.
        self.next_at = self.next_at.max(now.checked_sub(self.camera.every).unwrap_or(now));
        while self.next_at <= now {
            let (every, rate) = match self.kind {
                MediaKind::Audio => (AUDIO_EVERY, 48),
                MediaKind::Video => (self.camera.every, 90),
            };
            let best = self.best.min(self.affords);
            for layer in self.layers.iter_mut().filter(|layer| layer.rid.is_none() || layer.at < best) {
                layer.timestamp = layer.timestamp.wrapping_add(u32::try_from(every.as_millis()).expect("short") * rate);
                frame(layer, self.camera, self.kind, self.number, client, pt, now, &mut writes);
            }
            self.next_at += every;
        }
        writes
    }
}

#[allow(clippy::too_many_arguments, reason = "all that a frame is made of")]
fn frame(
    layer: &mut Layer,
    camera: &Camera,
    kind: MediaKind,
    track: u32,
    client: ClientId,
    pt: Pt,
    now: Instant,
    writes: &mut Vec<(Option<Rid>, u8, u64, RtpWrite)>,
) {
    let key = kind == MediaKind::Video && std::mem::take(&mut layer.key_wanted);
    let (count, len) = match kind {
        MediaKind::Audio => (1, 80),
        MediaKind::Video if key => camera.key[usize::from(layer.at)],
        MediaKind::Video => camera.delta[usize::from(layer.at)],
    };
    layer.frame += 1;
    layer.picture = (layer.picture + 1) & 0x7fff;
    let taken = if kind == MediaKind::Video { now.checked_sub(camera.lag).unwrap_or(now) } else { now };
    for index in 0..count {
        layer.seq += 1;
        let picture = layer.picture;
        let tag = Tag { client, track, layer: layer.at, key, frame: layer.frame, index, count, seq: layer.seq, at: since(now), picture };
        let payload = tag.payload(kind, len);
        // 30 dB below full scale: somebody speaks.
        let audio_level = (kind == MediaKind::Audio).then_some(-30);
        let write = RtpWrite::new(pt, layer.seq.into(), layer.timestamp, taken, payload)
            .marker(index + 1 == count)
            .ext_vals(ExtensionValues { audio_level, voice_activity: audio_level.map(|_| true), ..ExtensionValues::default() })
            .nackable(kind == MediaKind::Video);
        writes.push((layer.rid, layer.at, layer.seq, write));
    }
}
