//! A client of the benchmark: a str0m connection that publishes, decrypts, answers with feedback.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use konsil::model::ids::SessionId;
use konsil::model::media::MediaKind;
use konsil::room::media::MediaCommand;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind as Kind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::load::{AUDIO, AUDIO_RATE, Burst, FRAMES, Load, VIDEO};

/// A keyframe comes by itself after so many frames: every two seconds.
const KEYFRAME_EVERY: u64 = 60;

/// One person.
pub struct Client {
    rtc: Rtc,
    number: usize,
    address: SocketAddr,
    server: SocketAddr,
    pending: Option<SdpPendingOffer>,
    sends: Option<[Outgoing; 2]>,
    keyframe: bool,
    /// When str0m wants its time.
    pub due: Instant,
    /// ICE and DTLS stand.
    pub connected: bool,
    /// Media packets that were decrypted, each once.
    pub received: u64,
}

/// A track that a client sends.
struct Outgoing {
    mid: Mid,
    next: u64,
    frame: u64,
}

/// A client's own id for a track, as it stands in its SDP.
pub fn cid(number: usize, kind: MediaKind) -> String {
    format!("{kind:?}-{number}")
}

impl Client {
    /// Person `number` of `load` at `address`, who will talk to `server`.
    pub fn new(number: usize, address: SocketAddr, server: SocketAddr, now: Instant) -> Self {
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(now);
        if let Ok(candidate) = Candidate::host(address, "udp") {
            rtc.add_local_candidate(candidate);
        }
        Self { rtc, number, address, server, pending: None, sends: None, keyframe: true, due: now, connected: false, received: 0 }
    }

    /// Where it sends from.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An offer with a section for each track sent and each received.
    pub fn offer(&mut self, load: Load) -> Option<MediaCommand> {
        let number = self.number;
        let mut api = self.rtc.sdp_api();
        if load.publishes(number) {
            let mut add = |ours, theirs| {
                let mid = api.add_media(theirs, Direction::SendOnly, Some("stream".into()), Some(cid(number, ours)), None);
                Outgoing { mid, next: 1, frame: 0 }
            };
            self.sends = Some([add(MediaKind::Audio, Kind::Audio), add(MediaKind::Video, Kind::Video)]);
        }
        for _ in load.receivers(number).into_iter().filter(|other| load.publishes(*other)) {
            for kind in [Kind::Audio, Kind::Video] {
                api.add_media(kind, Direction::RecvOnly, None, None, None);
            }
        }
        let (offer, pending) = api.apply()?;
        self.pending = Some(pending);
        Some(MediaCommand::Offer { session: SessionId(number as u64), sdp: offer.to_sdp_string(), id: 1 })
    }

    /// Takes the server's answer.
    pub fn accept(&mut self, sdp: &str) {
        let (Some(pending), Ok(answer)) = (self.pending.take(), SdpAnswer::from_sdp_string(sdp)) else { return };
        self.rtc.sdp_api().accept_answer(pending, answer).expect("the server answers what was offered");
    }

    /// Publishes what is due.
    pub fn publish(&mut self, burst: Burst, now: Instant, transmit: impl FnMut(&[u8])) {
        let Some(track) = self.sends.as_mut().map(|sends| &mut sends[burst.kind as usize]) else { return };
        let codec = if burst.kind == MediaKind::Video { Codec::Vp8 } else { Codec::Opus };
        let Some(pt) = self.rtc.codec_config().find(|params| params.spec().codec == codec).map(str0m::format::PayloadParams::pt) else {
            return;
        };
        let keyframe = burst.kind == MediaKind::Video && (std::mem::take(&mut self.keyframe) || track.frame.is_multiple_of(KEYFRAME_EVERY));
        for packet in 0..burst.packets {
            let last = packet + 1 == burst.packets;
            let (payload, ticks) = match burst.kind {
                MediaKind::Audio => (opus(), 48_000 / AUDIO_RATE),
                MediaKind::Video => (vp8(track.frame, keyframe, packet == 0), 90_000 / FRAMES),
            };
            // Bounded by the run's length, far below 2^32.
            let time = u32::try_from(track.frame).unwrap_or(0).wrapping_mul(ticks);
            let audio_level = (burst.kind == MediaKind::Audio).then_some(-30);
            let rtp = RtpWrite::new(pt, track.next.into(), time, now, payload)
                .marker(last && burst.kind == MediaKind::Video)
                .ext_vals(ExtensionValues { audio_level, voice_activity: audio_level.map(|_| true), ..ExtensionValues::default() })
                .nackable(burst.kind == MediaKind::Video);
            if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(track.mid, None) {
                stream.write_rtp(rtp);
            }
            track.next += 1;
        }
        track.frame += 1;
        self.timeout(now, transmit);
    }

    /// Takes a datagram.
    pub fn receive(&mut self, bytes: &[u8], now: Instant, transmit: impl FnMut(&[u8])) {
        let Ok(receive) = Receive::new(Protocol::Udp, self.server, self.address, bytes) else { return };
        let input = Input::Receive(now, receive);
        if self.rtc.accepts(&input) && self.rtc.handle_input(input).is_ok() {
            self.drain(transmit);
        }
    }

    /// Lets str0m see the time.
    pub fn timeout(&mut self, now: Instant, transmit: impl FnMut(&[u8])) {
        if self.rtc.handle_input(Input::Timeout(now)).is_ok() {
            self.drain(transmit);
        }
    }

    fn drain(&mut self, mut transmit: impl FnMut(&[u8])) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(due)) => {
                    self.due = due;
                    return;
                }
                Ok(Output::Transmit(sent)) => transmit(&sent.contents),
                Ok(Output::Event(Event::Connected)) => self.connected = true,
                Ok(Output::Event(Event::KeyframeRequest(_))) => self.keyframe = true,
                // Probes of the path's bandwidth carry no media.
                Ok(Output::Event(Event::RtpPacket(packet))) => self.received += u64::from(packet.payload.len() >= AUDIO),
                Ok(Output::Event(_)) => {}
                Err(_) => {
                    self.due += Duration::from_secs(1);
                    return;
                }
            }
        }
    }
}

/// An Opus packet that ends as LiveKit's encrypted frames end.
fn opus() -> Vec<u8> {
    let mut payload = vec![0x5A; AUDIO];
    payload[AUDIO - 2..].copy_from_slice(&[12, 0]);
    payload
}

/// A VP8 packet with a wide picture id and a base layer index, as Chromium sends (RFC 7741 §4.2), that ends as
/// LiveKit's encrypted frames end.
fn vp8(frame: u64, keyframe: bool, first: bool) -> Vec<u8> {
    let mut payload = vec![0x5A; VIDEO];
    // Both counters wrap by design.
    let [.., high, low] = frame.to_be_bytes();
    let start = if first { 0x90 } else { 0x80 };
    payload[..6].copy_from_slice(&[start, 0xE0, 0x80 | high, low, low, 0x00]);
    payload[6] = if keyframe { 0x10 } else { 0x11 };
    payload[VIDEO - 2..].copy_from_slice(&[12, 0]);
    payload
}
