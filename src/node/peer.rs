//! One PeerConnection of a client: a str0m `Rtc` with what the worker knows about it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::change::SdpPendingOffer;
use str0m::channel::ChannelId;
use str0m::format::PayloadParams;
use str0m::media::{Mid, Pt, Rid};
use str0m::net::{Protocol, TcpType, Transmit};
use str0m::{Candidate, IceCreds, Rtc};

use crate::model::chance::Chance;
use crate::model::ids::{SessionId, Sid};
use crate::model::media::{Codec, MediaKind, TrackSettings};
use crate::model::stats::Direction;
use crate::room::command::Leg;
use crate::sfu::capture::SourceClock;
use crate::sfu::descriptor;
use crate::sfu::fmtp::Route;
use crate::sfu::layers::{LayerSelector, Level};
use crate::sfu::quality::Measured;
use crate::sfu::quota::Quota;
use crate::sfu::resends::Resends;
use crate::sfu::rewrite::{Rewriter, Start};

use super::paths::Paths;
use super::sdp::{Carried, Ice, Section};
use super::stream::InStream;
use super::worker::{Bandwidth, FIRST_ESTIMATE, KEPT_MAX, WorkerConfig};
use crate::turn::{Flow, is_stun};

/// Bytes that may wait in a peer's data channels. Who lets so many wait misses the next message, and has to come afresh.
const SCTP_BUFFER: usize = 1024 * 1024;
/// Longest data channel message in bytes.
pub(super) const DATA_MAX: u32 = 64 * 1024;
/// The number of the dependency descriptor among the header extensions, as far as the client does not say otherwise.
const DESCRIPTOR_ID: u8 = 12;
/// A client that sends media or reports leaves no longer pause than this between two datagrams.
const PAUSE: Duration = Duration::from_millis(500);
/// Datagrams without a pause that make a client one that will be missed.
pub(super) const LIVELY: u8 = 16;
/// How a response to a connectivity check begins (RFC 8489 §5).
pub(super) const BINDING_RESPONSE: [u8; 2] = [0x01, 0x01];
/// How often losses and round trips are summed up for connection quality.
const STATS_INTERVAL: Duration = Duration::from_secs(5);

/// Where a peer stands in its worker's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PeerIndex(pub u32);

/// Where a room stands in its worker's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoomIndex(pub u32);

/// Where a track stands in its room's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TrackIndex(pub u32);

/// A media section that carries tracks to the client.
pub(super) struct OutSection {
    pub mid: Mid,
    pub kind: MediaKind,
    pub carried: Option<(TrackIndex, Carried)>,
    /// The client knows that the section carries nothing: only then may it carry another track, because browsers
    /// announce a new track only where there was none.
    pub quiet: bool,
    /// The track that the section carries by the last description that was sent.
    pub named: Option<Sid>,
    /// The last but one named a track.
    pub named_before: bool,
    /// It has carried a track before.
    pub used: bool,
    /// The answer or offer that names the track is settled.
    pub settled: bool,
    /// The client's last offer has it as a receiving section; in an offer of ours it always is.
    pub offered: bool,
    pub rewriter: Rewriter,
    pub selector: LayerSelector,
    /// How the client shows the track.
    pub settings: TrackSettings,
    /// Payload types of the publisher and what becomes of them here.
    pub routes: Vec<(u8, Option<Route>)>,
    /// The client reads the dependency descriptor. Without it spatial layers of AV1 cannot be told apart.
    pub described: bool,
    /// How many packets str0m was told to keep for answering NACKs.
    pub kept: Option<usize>,
    /// Its queue was full: frames were dropped, so that the next must be a keyframe.
    pub clogged: bool,
    /// The client was told that the track is paused.
    pub paused: bool,
}

impl OutSection {
    pub fn new(mid: Mid, kind: MediaKind, chance: &mut Chance) -> Self {
        let [a, b, c, d] = chance.bytes();
        let start = Start { seq: u16::from_be_bytes([a, b]), picture: u16::from_be_bytes([c, d]) };
        Self {
            mid,
            kind,
            carried: None,
            quiet: true,
            named: None,
            named_before: false,
            used: false,
            settled: false,
            offered: true,
            rewriter: Rewriter::new(start),
            selector: LayerSelector::default(),
            settings: TrackSettings::default(),
            routes: Vec::new(),
            described: false,
            kept: None,
            clogged: false,
            paused: false,
        }
    }

    /// What follows begins anew: the pause shows in the timestamps, and pictures wait for a keyframe.
    pub fn pause(&mut self) {
        self.rewriter.switch();
        self.selector = LayerSelector::new(self.settings, self.selector.limited());
    }

    pub fn carry(&mut self, want: &Want) {
        self.carried = Some((want.track, want.carried.clone()));
        self.quiet = false;
        self.used = true;
        self.settled = false;
        self.settings = want.settings;
        self.pause();
        self.routes.clear();
        (self.clogged, self.paused) = (false, false);
    }

    /// The client's network carries more or less of the track than before. Returns whether the client must hear of it.
    pub fn limit(&mut self, level: Option<Level>) -> bool {
        if level.is_none() && self.selector.limited().is_some() {
            // What is left out must not look lost.
            self.rewriter.switch();
        }
        self.selector.limit(level);
        std::mem::replace(&mut self.paused, level.is_none()) != level.is_none()
    }

    /// The client changed how it shows the track.
    pub fn set(&mut self, settings: TrackSettings) {
        let was_hidden = std::mem::replace(&mut self.settings, settings).disabled;
        if was_hidden && !settings.disabled {
            // What was left out meanwhile must not look lost.
            self.pause();
        } else {
            self.selector.set(settings);
        }
    }

    /// Whether a waiting track may be put here.
    pub fn fits(&self, want: &Want) -> bool {
        self.kind == want.kind && self.quiet && self.carried.is_none() && (!self.used || want.reuses())
    }
}

/// A track that waits for a media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub track: TrackIndex,
    pub carried: Carried,
    pub kind: MediaKind,
    pub encrypted: bool,
    /// How the client will show it.
    pub settings: TrackSettings,
}

impl Want {
    /// Whether a section that carried another track before is good enough. livekit-client (2.23, Chromium) does not
    /// decrypt video of a receiver that it used for another participant before.
    pub fn reuses(&self) -> bool {
        self.kind == MediaKind::Audio || !self.encrypted
    }
}

/// Data channels by LiveKit's labels.
#[derive(Default)]
pub(super) struct Channels {
    pub reliable: Option<ChannelId>,
    pub lossy: Option<ChannelId>,
    pub data_track: Option<ChannelId>,
    /// All that are open, those without a meaning too.
    pub open: Vec<ChannelId>,
    /// A message was not kept for the client: no later one may reach it by this connection.
    pub overrun: bool,
}

/// What a datagram is that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Checks, handshakes, reports.
    NoMedia,
    /// A packet that was written to str0m.
    Written,
    /// A resend or padding, which str0m adds by itself.
    Added,
}

/// What was written to str0m and has not left yet. It adds resends and padding of its own, with other payload types.
#[derive(Default)]
pub(super) struct Outbox {
    unsent: u32,
    /// One bit for each payload type that was written.
    payload_types: u128,
}

impl Outbox {
    pub fn wrote(&mut self, pt: Pt) {
        self.unsent = self.unsent.saturating_add(1);
        self.payload_types |= 1 << (*pt & 0x7f);
    }

    /// Notes a datagram that leaves.
    pub fn sent(&mut self, datagram: &[u8]) -> Leaving {
        // RTP has 128 to 191 in front, and RTCP 192 to 223 behind it (RFC 7983 §7, RFC 5761 §4).
        let [128..=191, kind @ (0..192 | 224..), ..] = datagram else { return Leaving::NoMedia };
        if self.payload_types & 1 << (kind & 0x7f) == 0 {
            return Leaving::Added;
        }
        self.unsent = self.unsent.saturating_sub(1);
        Leaving::Written
    }

    pub fn is_empty(&self) -> bool {
        self.unsent == 0
    }
}

/// What happened to an offer of ours.
pub(super) enum Pending {
    /// None is out.
    None,
    /// One is out.
    Out(Box<SdpPendingOffer>),
}

pub(super) struct Peer {
    pub rtc: Rtc,
    pub session: SessionId,
    pub sid: Sid,
    pub room: RoomIndex,
    pub leg: Leg,
    pub creds: IceCreds,
    /// How often ICE was restarted.
    pub generation: u8,
    /// When it came back by another way, until its reports are of that one.
    pub moved: Option<Instant>,
    pub paths: Paths,
    pub sections: Vec<OutSection>,
    pub streams: Vec<InStream>,
    /// Its clock, by the sender reports of all its streams.
    pub source_clock: SourceClock,
    pub wants: Vec<Want>,
    /// Receiving sections that the client was asked for and has not offered yet: audio, video.
    pub asked: [u32; 2],
    /// The sections of the client's last offer.
    pub offered: Vec<Section>,
    /// The client's offer, if it makes but one.
    pub offer_kept: Option<String>,
    /// The client was asked for a new offer and has not made it yet.
    pub nudged: bool,
    pub channels: Channels,
    pub quota: Quota,
    pub pending: Pending,
    pub offer_id: u32,
    /// An offer of ours that is to be sent.
    pub offer_text: Option<String>,
    /// The offer that is out, as it was said, with the tracks that its sections carry.
    pub offered_last: Option<(String, Vec<(String, Sid)>)>,
    /// ICE credentials that count from the answer to the pending offer on.
    pub next_creds: Option<IceCreds>,
    /// Another offer is due once the pending one is answered.
    pub dirty: bool,
    pub restart: bool,
    /// Something of str0m's waits to be drained.
    pub ready: bool,
    pub outbox: Outbox,
    pub resends: Resends,
    /// Until when str0m may be probing what the network carries.
    pub probes_until: Option<Instant>,
    /// The time that str0m has seen: now, or a little ahead of it.
    pub clock: Instant,
    /// When str0m wants its time.
    pub due: Instant,
    /// The earliest entry in the worker's timer heap.
    pub queued: Option<Instant>,
    /// When the client last proved that it is there (RFC 7675).
    pub heard: Instant,
    /// When anything came from it last.
    pub received: Instant,
    /// How many datagrams in a row came without a pause before them, [`LIVELY`] at most.
    pub in_a_row: u8,
    /// When media was written to it last.
    pub wrote: Option<Instant>,
    /// It was told that nothing comes from it any more, and nothing has come since.
    pub silent: bool,
    /// RTP packets that the client's key has opened.
    pub opened: u64,
    pub connected: bool,
    /// The control core was told that the client is gone.
    pub lost: bool,
    pub bandwidth: Bandwidth,
    /// What was measured of its connection, the worse of both directions.
    pub measured: Measured,
    /// The sums of NACKs by direction and stream that were counted already.
    pub nacks: Vec<(Direction, (Mid, Option<Rid>), u64)>,
}

/// What a new peer is for.
pub(super) struct PeerSpec {
    pub session: SessionId,
    pub sid: Sid,
    pub room: RoomIndex,
    pub leg: Leg,
    pub creds: IceCreds,
}

impl Peer {
    /// What the next description says of ICE.
    pub fn ice(&self) -> Ice<'_> {
        match &self.next_creds {
            Some(creds) => Ice { creds, generation: self.generation.saturating_add(1) },
            None => Ice { creds: &self.creds, generation: self.generation },
        }
    }

    pub fn new(spec: PeerSpec, config: &WorkerConfig, now: Instant) -> Self {
        Self {
            rtc: build(spec.creds.clone(), config, now),
            session: spec.session,
            sid: spec.sid,
            room: spec.room,
            leg: spec.leg,
            creds: spec.creds,
            generation: 0,
            moved: None,
            paths: Paths::default(),
            sections: Vec::new(),
            streams: Vec::new(),
            source_clock: SourceClock::default(),
            wants: Vec::new(),
            asked: [0; 2],
            offered: Vec::new(),
            offer_kept: None,
            nudged: false,
            channels: Channels::default(),
            quota: Quota::new(now),
            pending: Pending::None,
            offer_id: 0,
            offer_text: None,
            offered_last: None,
            next_creds: None,
            dirty: false,
            restart: false,
            ready: false,
            outbox: Outbox::default(),
            resends: Resends::new(now),
            probes_until: None,
            clock: now,
            due: now,
            queued: None,
            heard: now,
            received: now,
            in_a_row: 0,
            wrote: None,
            silent: false,
            opened: 0,
            connected: false,
            lost: false,
            bandwidth: Bandwidth::default(),
            measured: Measured::default(),
            nacks: Vec::new(),
        }
    }

    /// The codec and clock of a payload type that the client sends, and whether it wraps RED around it.
    pub fn source(&self, pt: Pt) -> Option<(PayloadParams, bool)> {
        let params = self.rtc.codec_config().params();
        params.iter().find_map(|params| {
            let red = params.red() == Some(pt);
            (red || params.pt() == pt).then_some((*params, red))
        })
    }

    /// Notes that something came from the client.
    pub fn note_received(&mut self, now: Instant) {
        let paused = now.saturating_duration_since(self.received) > PAUSE;
        self.in_a_row = if paused { 0 } else { self.in_a_row.saturating_add(1).min(LIVELY) };
        self.received = now;
        self.silent = false;
    }

    /// Where a datagram goes to and leaves from; nowhere, if the client's connection is closed and there is no other way.
    /// Checks and their answers keep to their way, or it could never be proved again.
    pub fn way_to(&self, transmit: &Transmit, otherwise: SocketAddr) -> Option<Flow> {
        let (remote, tcp) = (transmit.destination, transmit.proto == Protocol::Tcp);
        let known = if is_stun(&transmit.contents) { self.paths.to(remote, tcp) } else { self.paths.for_media(remote, tcp) };
        known.or((!tcp).then_some(Flow { remote, local: otherwise, stream: None }))
    }
}

/// A PeerConnection that waits for an offer, or for sections to offer.
fn build(creds: IceCreds, config: &WorkerConfig, now: Instant) -> Rtc {
    let mut rtc = Rtc::builder()
        .set_rtp_mode(true)
        .set_ice_lite(true)
        .set_local_ice_credentials(creds)
        .clear_codecs()
        .enable_opus(true, true)
        .enable_vp8(true)
        .enable_h264(true)
        .enable_vp9(true)
        .enable_av1(true)
        .set_extension(DESCRIPTOR_ID, descriptor::extension())
        .enable_bwe(Some(FIRST_ESTIMATE))
        .set_stats_interval(Some(STATS_INTERVAL))
        .set_send_buffer_video(KEPT_MAX)
        .set_sctp_max_buffered_amount(SCTP_BUFFER)
        .set_sctp_max_message_size(DATA_MAX)
        .build(now);
    for address in &config.candidates {
        if let Ok(candidate) = Candidate::host(*address, "udp") {
            rtc.add_local_candidate(candidate);
        }
    }
    for address in &config.tcp_candidates {
        if let Ok(candidate) = Candidate::builder().tcp().host(*address).tcptype(TcpType::Passive).build() {
            rtc.add_local_candidate(candidate);
        }
    }
    rtc
}

/// Our word for str0m's codec, `None` for those that Konsil does not forward.
pub(super) fn codec_of(params: &PayloadParams) -> Option<Codec> {
    match params.spec().codec {
        str0m::format::Codec::Opus => Some(Codec::Opus),
        str0m::format::Codec::Vp8 => Some(Codec::Vp8),
        str0m::format::Codec::Vp9 => Some(Codec::Vp9),
        str0m::format::Codec::H264 => Some(Codec::H264),
        str0m::format::Codec::Av1 => Some(Codec::Av1),
        _ => None,
    }
}

/// str0m's word for a kind.
pub(super) fn str0m_kind(kind: MediaKind) -> str0m::media::MediaKind {
    match kind {
        MediaKind::Audio => str0m::media::MediaKind::Audio,
        MediaKind::Video => str0m::media::MediaKind::Video,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outbox_tells_what_was_written_from_what_str0m_adds() {
        let mut outbox = Outbox::default();
        outbox.wrote(Pt::from(96));
        outbox.wrote(Pt::from(111));
        let (video, resent, report, stun) = ([0x90, 0xe0, 0], [0x90, 97, 0], [0x80, 200, 0], [0x01, 0x01, 0]);
        assert_eq!([&report[..], &stun, &[]].map(|bytes| outbox.sent(bytes)), [Leaving::NoMedia; 3]);
        assert!(outbox.sent(&resent) == Leaving::Added && !outbox.is_empty());
        assert!(outbox.sent(&video) == Leaving::Written && !outbox.is_empty());
        assert!(outbox.sent(&[0x80, 0x6f]) == Leaving::Written && outbox.is_empty());
        assert!(outbox.sent(&video) == Leaving::Written && outbox.is_empty(), "a queue that str0m emptied by itself is no debt");
    }
}
