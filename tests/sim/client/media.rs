//! Media of a client, both ways, with its data.

use std::time::{Duration, Instant};

use konsil::model::ids::{Identity, Sid};
use konsil::model::media::MediaKind;
use konsil::room::command::Leg;
use livekit_protocol::data_packet::Value;
use livekit_protocol::{DataPacket, UserPacket};
use prost::Message as _;
use str0m::bwe::BweKind;
use str0m::format::Codec;
use str0m::media::{KeyframeRequestKind, Mid, Pt};
use str0m::rtp::{RtpPacket, Ssrc};
use str0m::{Event, IceConnectionState};

use crate::packet::{Tag, picture_id};
use crate::sink::{Heard, Seen, Sink};
use crate::source::Stage;

use super::{Client, ClientId, Pc, Say, State};

/// How long a client waits for the way to the server to come back by itself.
const CUT_OFF: Duration = Duration::from_secs(1);
/// How long a client waits for a way to the server at first, as livekit-client does.
const CONNECTS_WITHIN: Duration = Duration::from_secs(15);

/// A packet that arrived.
#[derive(Debug)]
pub struct Receipt {
    pub leg: Leg,
    pub ssrc: Ssrc,
    pub mid: String,
    pub kind: MediaKind,
    pub seen: Seen,
    /// Bytes of its payload.
    pub len: usize,
    /// The track that the server said the section carries.
    pub told: Option<Sid>,
    /// When it said so.
    pub told_at: Instant,
}

/// A data message that arrived.
#[derive(Debug)]
pub struct Message {
    pub from: ClientId,
    pub room: usize,
    pub number: u64,
    pub reliable: bool,
    /// The only receiver, if it was sent to one.
    pub to: Option<Identity>,
    /// Whom the server named as the sender.
    pub stamped: String,
}

impl Client {
    /// Writes what is due, and takes what came. Packets and messages go to the caller to judge.
    pub fn media_work(&mut self, now: Instant) -> (Vec<Receipt>, Vec<Message>) {
        self.pcs().for_each(|(_, pc)| pc.work(now));
        self.write_media(now);
        self.ask_for_keyframes(now);
        let (mut receipts, mut messages) = (Vec::new(), Vec::new());
        for leg in [Leg::Publisher, Leg::Subscriber] {
            while let Some(event) = self.pc(leg).and_then(|pc| pc.events.pop_front()) {
                self.on_event(leg, event, now, &mut receipts, &mut messages);
            }
        }
        self.look_after_connections(now);
        (receipts, messages)
    }

    fn on_event(&mut self, leg: Leg, event: Event, now: Instant, receipts: &mut Vec<Receipt>, messages: &mut Vec<Message>) {
        let Some(pc) = self.pc(leg) else { return };
        match event {
            Event::Connected => {
                pc.connected = true;
                pc.stands_since.get_or_insert(now);
                self.changed = now;
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => pc.cut_off = Some(now),
            Event::IceConnectionStateChange(state) if state.is_connected() && pc.cut_off.take().is_some() => self.changed = now,
            Event::KeyframeRequest(request) => {
                self.sources
                    .iter_mut()
                    .filter(|source| source.mid == Some(request.mid))
                    .for_each(|source| source.want_keyframe(request.rid));
            }
            Event::ChannelOpen(id, label) if label == "_reliable" => pc.reliable = Some(id),
            Event::ChannelOpen(id, label) if label == "_lossy" => pc.lossy = Some(id),
            Event::ChannelData(data) => {
                let reliable = pc.reliable == Some(data.id);
                messages.extend(read_message(&data.data, reliable));
            }
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) if leg == Leg::Publisher => {
                self.sources.iter_mut().for_each(|source| source.afford(estimate.as_u64()));
            }
            Event::RtpPacket(packet) => {
                let receipt = receipt(pc, leg, &packet);
                if let (Some(lips), Some(receipt)) = (&mut self.lips, &receipt) {
                    lips.note(&packet, receipt.kind, receipt.seen.tag, now);
                }
                receipts.extend(receipt);
            }
            _ => {}
        }
    }

    /// Notes a packet that the invariants let through.
    pub fn accept(&mut self, receipt: Receipt, now: Instant) {
        let Some(pc) = self.pc(receipt.leg) else { return };
        let sink = pc.sinks.entry(receipt.ssrc).or_insert_with(|| Sink::new(receipt.kind));
        let tag = receipt.seen.tag;
        let playable = sink.take(receipt.seen, now);
        if let Some(diary) = &mut self.diary {
            diary.note(receipt.kind, tag, receipt.len, playable, now);
        }
        if let Some(track) = receipt.told.filter(|_| playable) {
            let heard = self.heard.entry(track).or_insert(Heard { published: tag.at, layer: tag.layer, count: 0 });
            heard.published = heard.published.max(tag.at);
            heard.layer = tag.layer;
            heard.count += 1;
        }
    }

    fn ask_for_keyframes(&mut self, now: Instant) {
        for (_, pc) in self.pcs() {
            let Pc { rtc, sinks, .. } = pc;
            let mut asked = false;
            for (ssrc, sink) in sinks.iter_mut() {
                if sink.asks_for_keyframe(now)
                    && let Some(stream) = rtc.direct_api().stream_rx(ssrc)
                {
                    stream.request_keyframe(KeyframeRequestKind::Pli);
                    asked = true;
                }
            }
            if asked {
                pc.tick(now);
            }
        }
    }

    fn write_media(&mut self, now: Instant) {
        let Some(pc) = self.publisher.as_mut().filter(|pc| pc.connected) else { return };
        let mut wrote = false;
        for source in &mut self.sources {
            let Some(mid) = source.mid.filter(|_| source.next_timeout().is_some_and(|due| due <= now)) else { continue };
            let Some(pt) = payload_type(pc, mid, source.kind) else { continue };
            for (rid, layer, _, write) in source.due(self.id, pt, now) {
                let mut api = pc.rtc.direct_api();
                let Some(stream) = api.stream_tx_by_mid(mid, rid) else { continue };
                self.sends.insert(*stream.ssrc(), (source.number, layer));
                stream.write_rtp(write);
                wrote = true;
            }
        }
        if wrote {
            pc.tick(now);
        }
    }

    /// Whether all that was negotiated is connected.
    pub fn stands(&self) -> bool {
        self.publisher.iter().chain(&self.subscriber).all(|pc| pc.connected || pc.began.is_none())
    }

    /// A browser tells the application when the way is gone, and livekit-client resumes then. Where there never was one it
    /// starts anew.
    fn look_after_connections(&mut self, now: Instant) {
        let late = |pc: &Pc| pc.began.filter(|began| !pc.connected && now >= *began + CONNECTS_WITHIN);
        if let Some(began) = self.publisher.iter().chain(&self.subscriber).find_map(late) {
            self.gave_up = Some(began);
            return self.say.push(Say::StartOver);
        }
        let cut = |pc: &Pc| pc.cut_off.is_some_and(|since| now >= since + CUT_OFF);
        if self.state != State::In || !self.publisher.iter().chain(&self.subscriber).any(cut) {
            return;
        }
        self.pcs().for_each(|(_, pc)| pc.cut_off = None);
        if self.plan.signals() {
            self.drop_connection(now);
        } else {
            self.say.push(Say::StartOver);
        }
    }

    /// Sends a data message to all or to one. Returns whether there is a channel for it.
    pub fn send_message(&mut self, reliable: bool, to: Option<Identity>, now: Instant) -> bool {
        let Some(pc) = self.publisher.as_mut() else { return false };
        let Some(id) = (if reliable { pc.reliable } else { pc.lossy }) else { return false };
        self.messages_sent += 1;
        let text = format!("{} {} {}", self.id.0, self.plan.room, self.messages_sent);
        let destination_identities = to.map(|identity| identity.as_str().to_owned()).into_iter().collect();
        let user = UserPacket { payload: text.into_bytes(), ..UserPacket::default() };
        // What a forger would claim.
        let packet = DataPacket {
            destination_identities,
            participant_identity: "forged".into(),
            value: Some(Value::User(user)),
            ..DataPacket::default()
        };
        let Some(mut channel) = pc.rtc.channel(id) else { return false };
        let sent = channel.write(true, &packet.encode_to_vec()).unwrap_or(false);
        pc.tick(now);
        sent
    }

    /// The way to the server changes its address, as behind a NAT that forgot.
    pub fn move_to(&mut self, addresses: [std::net::SocketAddr; 2]) {
        self.pcs().zip(addresses).for_each(|((_, pc), address)| pc.outer = address);
    }

    /// Tracks of its own that are being sent.
    pub fn live_tracks(&self) -> impl Iterator<Item = &crate::source::Source> {
        self.sources.iter().filter(|source| source.stage == Stage::Live)
    }
}

fn receipt(pc: &mut Pc, leg: Leg, packet: &RtpPacket) -> Option<Receipt> {
    let tag = Tag::read(&packet.payload)?;
    let mid = pc.section_of(packet.header.ssrc)?.to_string();
    let picture = picture_id(&packet.payload);
    let kind = if packet.payload.first() == Some(&0x78) { MediaKind::Audio } else { MediaKind::Video };
    let seen = Seen { tag, seq: *packet.seq_no, timestamp: packet.header.timestamp, picture: picture.filter(|_| kind == MediaKind::Video) };
    let told = pc.mids.get(&mid).cloned();
    Some(Receipt { leg, ssrc: packet.header.ssrc, mid, kind, seen, len: packet.payload.len(), told, told_at: pc.told_at })
}

fn payload_type(pc: &Pc, mid: Mid, kind: MediaKind) -> Option<Pt> {
    let wanted = if kind == MediaKind::Audio { Codec::Opus } else { Codec::Vp8 };
    let listed = pc.rtc.media(mid)?.remote_pts();
    let params = pc.rtc.codec_config().params();
    params.iter().find(|params| params.spec().codec == wanted && listed.contains(&params.pt())).map(str0m::format::PayloadParams::pt)
}

fn read_message(bytes: &[u8], reliable: bool) -> Option<Message> {
    let packet = DataPacket::decode(bytes).ok()?;
    let Some(Value::User(user)) = packet.value else { return None };
    let text = String::from_utf8(user.payload).ok()?;
    let mut numbers = text.split(' ').map(|number| number.parse::<u64>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let (from, room, number) = (next(), next(), next());
    let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Some(Message {
        from: ClientId(small(from)),
        room: small(room),
        number,
        reliable,
        to: packet.destination_identities.first().and_then(|identity| Identity::new(identity).ok()),
        stamped: packet.participant_identity,
    })
}
