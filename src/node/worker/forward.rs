//! One packet in, forwards out. This is the hot path: no allocation, no log line.

use std::time::{Duration, Instant};

use str0m::media::{KeyframeRequest, KeyframeRequestKind, Rid};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite, StreamTxQueueInfo};

use crate::model::media::{Codec, MediaKind, Quality};
use crate::model::stats::Direction;
use crate::node::peer::{OutSection, Peer, PeerIndex, RoomIndex, TrackIndex, codec_of};
use crate::node::stream::{Arrival, InStream};
use crate::room::media::MediaEvent;
use crate::sfu::descriptor::{Descriptor, Templates};
use crate::sfu::fmtp::{Route, red_primary, route};
use crate::sfu::frame::{Glance, glance};
use crate::sfu::layers::Decision;
use crate::sfu::sealed::{Carried, Verdict};

use super::Worker;
use super::resends::keep;
use super::rooms::MediaTrack;

/// Longest payload that is forwarded, in bytes: with our header extensions it must fit str0m's buffer of 2,000.
const PAYLOAD_MAX: usize = 1_400;
/// Most streams that a peer may send: 16 tracks with three layers each.
const STREAMS_MAX: usize = 48;
/// Most payload types of a publisher that a section remembers.
const ROUTES_MAX: usize = 16;
/// A subscriber whose queue is older loses those frames of VP8 that no other needs.
const QUEUE_LATE: Duration = Duration::from_millis(150);
/// A subscriber whose queue is older loses pictures until it has caught up.
const QUEUE_MAX: Duration = Duration::from_millis(QUEUE_MAX_MS);
const QUEUE_MAX_MS: u64 = 500;
/// So many bits may always wait: a keyframe of a small picture.
const QUEUE_LEAST: u64 = 160_000;

/// What all receivers of a packet share.
struct Shared<'a> {
    packet: &'a RtpPacket,
    arrival: Arrival,
    glance: Glance,
    /// Only of AV1: other codecs name in their payloads what depends on what.
    descriptor: Option<&'a Descriptor>,
    /// The spatial layer of AV1.
    spatial: u8,
    quality: Quality,
    kind: MediaKind,
    clock_rate: u32,
    /// When its content was taken, as far as the publisher tells. It came later, by a way that may differ from stream to stream.
    taken: Instant,
    /// The payload without RED, for receivers that have none; made at most once.
    primary: Option<std::sync::Arc<[u8]>>,
}

impl Worker {
    /// Forwards a packet to everybody who receives its track.
    pub(super) fn forward(&mut self, from: PeerIndex, packet: &RtpPacket) {
        if packet.payload.len() > PAYLOAD_MAX {
            return self.drop_datagram("payload too long");
        }
        let Some((track, quality, arrival)) = self.track_of(from, packet) else { return self.drop_datagram("no track") };
        let Some(peer) = self.peers.get(from.0 as usize).and_then(Option::as_deref) else { return };
        let Some((params, red)) = peer.source(packet.header.payload_type) else { return self.drop_datagram("payload type") };
        let (room, session) = (peer.room, peer.session);
        let (clock_rate, time) = (params.spec().clock_rate.get(), packet.header.timestamp);
        let taken = peer.source_clock.taken(packet.last_sender_info.as_ref(), time, clock_rate, packet.timestamp);
        let Some(codec) = codec_of(&params) else { return self.drop_datagram("payload type") };
        let now = self.now;
        let mut glance = glance(codec, &packet.payload, packet.header.marker);
        if arrival == Arrival::Late {
            // What comes behind later packets begins nothing: those have been decided about.
            (glance.keyframe_start, glance.frame_start, glance.sync) = (false, false, false);
        }
        let descriptor = packet.header.ext_vals.user_values.get::<Descriptor>().filter(|_| codec == Codec::Av1);
        glance.number = descriptor.map(Descriptor::number);
        let spatial = descriptor.map_or(0, |descriptor| self.spatial_of(from, packet, descriptor));
        let Some(entry) = self.rooms.get_mut(room.0 as usize).and_then(Option::as_mut) else { return };
        let require_encryption = entry.require_encryption;
        let Some(media) = entry.tracks.get_mut(track.0 as usize).and_then(Option::as_mut) else { return };
        let kind = media.spec.kind;
        self.stats.rtp_packets.add(Direction::In, kind, 1);
        self.stats.rtp_bytes.add(Direction::In, kind, packet.payload.len() as u64);
        if media.unsealed || media.spec.muted {
            return;
        }
        if require_encryption && unsealed(media, codec, red, packet) {
            let track = media.spec.sid.clone();
            return self.event(MediaEvent::Unsealed { session, track });
        }
        let news = media.codec != Some(codec);
        if let (MediaKind::Audio, Some(level)) = (kind, packet.header.ext_vals.audio_level) {
            entry.speakers.observe(session.0, level, now);
            if let Some(due) = entry.speakers.next_timeout() {
                self.queue_room(room, due);
            }
        }
        if news {
            self.codec_known(room, track, codec);
        }
        self.fan_out(
            room,
            track,
            &params,
            red,
            Shared { packet, arrival, glance, descriptor, spatial, quality, kind, clock_rate, taken, primary: None },
        );
    }

    fn fan_out(&mut self, room: RoomIndex, track: TrackIndex, params: &str0m::format::PayloadParams, red: bool, mut shared: Shared<'_>) {
        let now = self.now;
        let Some(media) = self.rooms.get_mut(room.0 as usize).and_then(Option::as_mut).and_then(|room| room.track_mut(track)) else {
            return;
        };
        media.layers.heard(shared.quality, &shared.glance, shared.packet.payload.len(), now);
        if shared.glance.keyframe_start {
            media.keyframes[shared.quality.index()].arrived();
        }
        let mut wanted: Option<Quality> = None;
        for &(receiver, place) in &media.receivers {
            let Some(peer) = self.peers.get_mut(receiver.0 as usize).and_then(Option::as_deref_mut) else { continue };
            // Before its keys are there, what is written would wait, and be old when it leaves.
            if !peer.connected {
                continue;
            }
            let Some(section) = peer.sections.get_mut(place).filter(|section| section.settled) else { continue };
            if shared.kind == MediaKind::Video {
                if shared.arrival == Arrival::Back && section.selector.current() == Some(shared.quality) {
                    // Only a keyframe helps now. What was lost leaves no gap, for it would be asked for.
                    section.pause();
                }
                let decision = section.selector.on_packet(&media.layers, shared.quality, &shared.glance, now);
                if let Some(quality) = section.selector.wants_keyframe(&media.layers, now) {
                    wanted = Some(quality);
                }
                match decision {
                    Decision::Drop => continue,
                    Decision::Skip => {
                        section.rewriter.skip(*shared.packet.seq_no, &shared.glance);
                        continue;
                    }
                    Decision::Forward { switched: true } => section.rewriter.switch(),
                    Decision::Forward { switched: false } => {}
                }
                if shared.spatial > 0 && !section.described {
                    section.rewriter.skip(*shared.packet.seq_no, &shared.glance);
                    continue;
                }
            } else if section.settings.disabled {
                continue;
            }
            let route = section.route(params, red, shared.packet, peer.rtc.codec_config().params());
            let Some(route) = route else { continue };
            if shared.kind == MediaKind::Video {
                let kept = if peer.resends.stopped() { 0 } else { self.kept_each };
                keep(&mut peer.rtc, &mut peer.sections[place], kept);
            }
            if write(peer, place, route, &mut shared, now) {
                self.stats.rtp_packets.add(Direction::Out, shared.kind, 1);
                self.stats.rtp_bytes.add(Direction::Out, shared.kind, shared.packet.payload.len() as u64);
                if !peer.ready {
                    peer.ready = true;
                    self.ready.push(receiver);
                }
            }
        }
        if let Some(quality) = wanted {
            self.request_keyframe(room, track, quality);
        }
    }

    /// The track and layer of a packet's stream, found once and remembered, and when it comes beside its others.
    fn track_of(&mut self, index: PeerIndex, packet: &RtpPacket) -> Option<(TrackIndex, Quality, Arrival)> {
        let now = self.now;
        let (ssrc, number) = (packet.header.ssrc, *packet.seq_no);
        let peer = self.peers.get_mut(index.0 as usize)?.as_deref_mut()?;
        if let Some(stream) = peer.streams.iter_mut().find(|stream| stream.ssrc == ssrc)
            && let Some(track) = stream.track
        {
            let arrival = stream.note(number, now);
            // Sound is not asked for again anyway, and what of it comes late is still of use.
            if arrival == Arrival::Back
                && let Some(received) = peer.rtc.direct_api().stream_rx(&ssrc).filter(|received| received.rtx().is_some())
            {
                stream.write_off(received);
            }
            return Some((track, stream.quality, arrival));
        }
        let (mid, rid) = peer.rtc.direct_api().stream_rx(&ssrc).map(|stream| (stream.mid(), stream.rid()))?;
        let (session, room) = (peer.session, peer.room);
        let (track, _) = self.room(room)?.tracks_of(session).find(|(_, track)| track.mid == Some(mid))?;
        let peer = self.peers.get_mut(index.0 as usize)?.as_deref_mut()?;
        let quality = rid.map_or(Quality::High, quality_of);
        peer.streams.retain(|stream| stream.ssrc != ssrc);
        if peer.streams.len() < STREAMS_MAX {
            peer.streams.push(InStream::new(ssrc, track, quality, number, now));
        }
        Some((track, quality, Arrival::InTime))
    }

    /// The spatial layer of a packet of AV1.
    fn spatial_of(&mut self, index: PeerIndex, packet: &RtpPacket, descriptor: &Descriptor) -> u8 {
        let peer = self.peers.get_mut(index.0 as usize).and_then(Option::as_deref_mut);
        let stream = peer.and_then(|peer| peer.streams.iter_mut().find(|stream| stream.ssrc == packet.header.ssrc));
        let Some(stream) = stream else { return 0 };
        if let Some(templates) = Templates::read(descriptor) {
            stream.templates = Some(Box::new(templates));
        }
        stream.templates.as_ref().map_or(0, |templates| templates.spatial(descriptor))
    }

    fn codec_known(&mut self, room: RoomIndex, track: TrackIndex, codec: Codec) {
        let Some(media) = self.room_mut(room).and_then(|room| room.track_mut(track)) else { return };
        media.codec = Some(codec);
        let Some(mid) = media.mid else { return };
        let event = MediaEvent::Bound { session: media.session, track: media.spec.sid.clone(), mid: mid.to_string(), codec: Some(codec) };
        self.event(event);
    }

    /// A subscriber lost too much to go on without a keyframe.
    pub(super) fn keyframe_requested(&mut self, index: PeerIndex, request: KeyframeRequest) {
        self.stats.keyframe_requests.add(Direction::In, 1);
        let Some(peer) = self.peer(index) else { return };
        let Some(section) = peer.sections.iter().find(|section| section.mid == request.mid) else { return };
        let Some((track, _)) = section.carried.as_ref() else { return };
        let quality = section.selector.current().unwrap_or(Quality::High);
        let (room, track) = (peer.room, *track);
        self.request_keyframe(room, track, quality);
    }

    /// Asks the publisher for a keyframe, unless it was asked within the last half second.
    pub(super) fn request_keyframe(&mut self, room: RoomIndex, track: TrackIndex, quality: Quality) {
        let now = self.now;
        let Some(media) = self.room_mut(room).and_then(|room| room.track_mut(track)) else { return };
        let throttle = &mut media.keyframes[quality.index()];
        if throttle.request(now) {
            self.send_keyframe_request(room, track, quality);
        } else if let Some(due) = throttle.next_timeout() {
            self.queue_room(room, due);
        }
    }

    pub(super) fn send_keyframe_request(&mut self, room: RoomIndex, track: TrackIndex, quality: Quality) {
        let Some(media) = self.room(room).and_then(|room| room.track(track)) else { return };
        let publisher = media.peer;
        let Some(peer) = self.peer_mut(publisher) else { return };
        let stream = peer.streams.iter().find(|stream| stream.track == Some(track) && stream.quality == quality);
        let Some(ssrc) = stream.map(|stream| stream.ssrc) else { return };
        if let Some(stream) = peer.rtc.direct_api().stream_rx(&ssrc) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            self.stats.keyframe_requests.add(Direction::Out, 1);
            self.mark(publisher);
        }
    }
}

/// Whether a track of a room that requires encryption carries readable frames. Then it is stopped.
fn unsealed(media: &mut MediaTrack, codec: Codec, red: bool, packet: &RtpPacket) -> bool {
    let carried = match codec {
        Codec::Opus if red => Carried::Red,
        Codec::Opus => Carried::Opus,
        _ => Carried::Video,
    };
    let violation = media.probe.observe(carried, &packet.payload, packet.header.marker) == Verdict::Violation;
    media.unsealed |= violation;
    violation
}

/// LiveKit's rids by quality; a single layer counts as the best.
fn quality_of(rid: Rid) -> Quality {
    match &*rid {
        "q" => Quality::Low,
        "h" => Quality::Medium,
        _ => Quality::High,
    }
}

impl OutSection {
    /// How packets of a payload type of the publisher's go to this client, found once and remembered.
    fn route(
        &mut self,
        params: &str0m::format::PayloadParams,
        red: bool,
        packet: &RtpPacket,
        candidates: &[str0m::format::PayloadParams],
    ) -> Option<Route> {
        let pt = *packet.header.payload_type;
        if let Some((_, known)) = self.routes.iter().find(|(known, _)| *known == pt) {
            return *known;
        }
        let found = route(params, red, candidates.iter());
        if self.routes.len() < ROUTES_MAX {
            self.routes.push((pt, found));
        }
        found
    }
}

/// Hands one packet to str0m for one client. Returns whether it was taken.
fn write(peer: &mut Peer, place: usize, route: Route, shared: &mut Shared<'_>, now: Instant) -> bool {
    let Some(section) = peer.sections.get_mut(place) else { return false };
    let packet = shared.packet;
    let mut api = peer.rtc.direct_api();
    let Some(stream) = api.stream_tx_by_mid(section.mid, None) else { return false };
    let queue = stream.queue_info();
    let waits = queue.and_then(StreamTxQueueInfo::first_unsent).map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
    section.selector.squeeze(waits > QUEUE_LATE);
    // What waits must be gone in that time too, if the estimate fell meanwhile.
    let bits = queue.map_or(0, StreamTxQueueInfo::byte_size) as u64 * 8;
    let full = bits > QUEUE_LEAST && peer.bandwidth.estimate(now).is_some_and(|estimate| bits > estimate * QUEUE_MAX_MS / 1_000);
    if waits > QUEUE_MAX || full {
        if !section.clogged {
            section.clogged = true;
            section.pause();
        }
        return false;
    }
    section.clogged = false;
    let (pt, payload) = match route {
        Route::Whole(pt) => (pt, packet.payload.clone()),
        Route::Primary(pt) => {
            if shared.primary.is_none() {
                shared.primary = red_primary(&packet.payload).map(Into::into);
            }
            let Some(primary) = shared.primary.clone() else { return false };
            (pt, primary)
        }
    };
    let (seq, time) = (*packet.seq_no, packet.header.timestamp);
    let Some(out) = section.rewriter.rewrite(seq, time, shared.taken, &shared.glance, shared.clock_rate) else { return false };
    let seen = &packet.header.ext_vals;
    let mut ext_vals = ExtensionValues {
        audio_level: seen.audio_level,
        voice_activity: seen.voice_activity,
        video_orientation: seen.video_orientation,
        ..ExtensionValues::default()
    };
    // Where the upper layers are left out, a picture ends with the lowest.
    let ends = !section.described && shared.descriptor.is_some_and(Descriptor::ends_frame);
    if let (Some(descriptor), Some(number)) = (shared.descriptor, out.number) {
        ext_vals.user_values.set(descriptor.with_number(number));
    }
    let mut rtp = RtpWrite::new(pt, out.seq.into(), out.timestamp, shared.taken, payload)
        .marker(packet.header.marker || ends)
        .ext_vals(ext_vals)
        .nackable(shared.kind == MediaKind::Video);
    if let Some(patch) = out.vp8 {
        rtp = rtp.vp8_patch(patch);
    }
    stream.write_rtp(rtp);
    peer.outbox.wrote(pt);
    peer.wrote = Some(peer.clock);
    true
}
