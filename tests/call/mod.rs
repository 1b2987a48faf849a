//! A call in memory, on virtual time: one worker, with str0m clients around it.

pub mod encoder;
pub mod forge;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use konsil::config::Crypto;
use konsil::model::chance::Chance;
use konsil::model::ids::{Identity, RoomKey, SessionId, Sid, WorkerIndex};
use konsil::model::media::{MediaKind, TrackSource};
use konsil::model::time::Moment;
use konsil::node::worker::{Worker, WorkerConfig, WorkerInput, WorkerOutput};
use konsil::room::command::Layout;
use konsil::room::media::{MediaCommand, MediaEvent, MediaRights, TrackSpec};
use konsil::turn::TurnConfig;
use konsil::turn::credentials::RelaySecrets;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// LiveKit's label of the channel that may lose messages.
pub const LOSSY: &str = "_lossy";

/// Time that passes at least from one round of a call to the next.
const STEP: Duration = Duration::from_millis(1);

/// The address that the worker answers from.
pub fn server() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 3478))
}

/// Somebody nobody knows.
pub fn stranger(number: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 7], number))
}

pub fn sid(text: &str) -> Sid {
    Sid::from_client(text)
}

/// A track that a section of a client's offer carries.
pub fn track(name: &str, mid: &str, kind: MediaKind) -> TrackSpec {
    TrackSpec {
        sid: sid(name),
        cids: vec![format!("mid:{mid}")],
        kind,
        source: TrackSource::Unknown,
        codec: None,
        red: true,
        layers: Vec::new(),
        encrypted: false,
        muted: false,
    }
}

const RIGHTS: MediaRights = MediaRights { publish: true, subscribe: true, data: true, hidden: false };

/// A client with one section.
pub struct Guest {
    pub session: SessionId,
    pub rtc: Rtc,
    pub address: SocketAddr,
    /// Its section's name.
    pub mid: Mid,
    /// What seals RTCP as its own.
    pub keys: forge::Keys,
    /// RTP packets received.
    pub received: u64,
    /// What it received, with when.
    pub got: Vec<(Instant, RtpPacket)>,
    /// Bytes of all datagrams received.
    pub bytes: u64,
    /// The newest RTP packet received: its stream, its extended number.
    pub newest: Option<(u32, u64)>,
    /// Its data channels: LiveKit's reliable one, its lossy one, others.
    pub channels: Vec<ChannelId>,
    /// Data messages received.
    pub messages: Vec<Vec<u8>>,
    /// Keyframes that it was asked for.
    pub asked: u64,
    pub connected: bool,
    /// Nothing that it sends arrives.
    pub cut: bool,
    /// No media that is sent to it arrives.
    pub deaf: bool,
    /// What becomes of its datagrams on their way.
    pub altered: fn(&mut [u8]),
    /// Every datagram that it sent.
    pub sent: Vec<Vec<u8>>,
    pending: Option<SdpPendingOffer>,
    /// When it wants its time.
    pub due: Instant,
    /// Packets sent.
    pub spoken: u64,
}

pub struct Call {
    pub worker: Worker,
    pub now: Instant,
    pub guests: Vec<Guest>,
    /// What the worker told the control core.
    pub events: Vec<MediaEvent>,
}

impl Call {
    /// A worker without rooms.
    pub fn new() -> Self {
        // The stricter one of the profiles: what it looks at beside the library meets all that is thrown at it here.
        konsil::io::dtls::provider(Crypto::Bsi).install_process_default();
        let now = Instant::now();
        let relay = TurnConfig::closed(RelaySecrets::new(&[], "secret"), [5; 32], Moment { instant: now, wall: Duration::ZERO });
        let config = WorkerConfig { index: WorkerIndex(0), workers: 2, candidates: vec![server()], tcp_candidates: Vec::new(), relay };
        Self { worker: Worker::new(config, Chance::new([7; 32]), now), now, guests: Vec::new(), events: Vec::new() }
    }

    pub fn order(&mut self, command: MediaCommand) {
        self.worker.handle(WorkerInput::Command(command), self.now);
        self.settle();
    }

    pub fn open(&mut self, room: u64) {
        self.order(MediaCommand::OpenRoom { room: RoomKey(room), require_encryption: false });
    }

    pub fn join(&mut self, room: u64, session: u64, layout: Layout) -> SessionId {
        let (id, name) = (SessionId(session), format!("guest {session}"));
        let identity = Identity::new(&name).unwrap();
        let sid = sid(&format!("PA_{session}"));
        self.order(MediaCommand::AddSession { session: id, room: RoomKey(room), sid, identity, layout, rights: RIGHTS });
        id
    }

    /// Lets somebody in who sends the audio track `TR_<session>`.
    pub fn publisher(&mut self, room: u64, session: u64) -> usize {
        self.publisher_by(Layout::Whip, room, session)
    }

    /// As [`Self::publisher`], by another way of signalling.
    pub fn publisher_by(&mut self, layout: Layout, room: u64, session: u64) -> usize {
        self.publisher_of(MediaKind::Audio, layout, room, session)
    }

    /// As [`Self::publisher_by`], with a track of this kind.
    pub fn publisher_of(&mut self, kind: MediaKind, layout: Layout, room: u64, session: u64) -> usize {
        let id = self.join(room, session, layout);
        let (guest, sdp) = self.guest(id, kind, Direction::SendOnly, &[]);
        let track = track(&format!("TR_{session}"), &self.guests[guest].mid.to_string(), kind);
        self.order(MediaCommand::AddTrack { session: id, track });
        self.order(MediaCommand::Offer { session: id, sdp, id: 1 });
        guest
    }

    /// Lets somebody in who receives the audio track of `from`.
    pub fn subscriber(&mut self, room: u64, session: u64, from: u64) -> usize {
        self.subscriber_of(MediaKind::Audio, room, session, from)
    }

    /// As [`Self::subscriber`], with a track of this kind.
    pub fn subscriber_of(&mut self, kind: MediaKind, room: u64, session: u64, from: u64) -> usize {
        let id = self.join(room, session, Layout::Whep);
        let (guest, sdp) = self.guest(id, kind, Direction::RecvOnly, &[]);
        self.order(MediaCommand::Subscribe { session: id, track: sid(&format!("TR_{from}")), publisher: sid(&format!("PA_{from}")) });
        self.order(MediaCommand::Offer { session: id, sdp, id: 1 });
        guest
    }

    /// A room with one who speaks and one who listens, both connected: the guests 0 and 1.
    pub fn of_two() -> Self {
        let mut call = Self::new();
        call.open(1);
        call.publisher(1, 1);
        call.subscriber(1, 2, 1);
        call.run(Duration::from_millis(500));
        assert!(call.guests.iter().all(|guest| guest.connected), "the call does not stand");
        call
    }

    /// A room with one who shows, the guest 0, and two who watch, with a keyframe before them.
    pub fn showing() -> Self {
        let mut call = Self::new();
        call.open(1);
        call.publisher_of(MediaKind::Video, Layout::Whip, 1, 1);
        call.subscriber_of(MediaKind::Video, 1, 2, 1);
        call.subscriber_of(MediaKind::Video, 1, 3, 1);
        call.run(Duration::from_millis(500));
        // Until it is known what the picture takes, it may be too much for a network of which nothing is known.
        for _ in 0..150 {
            call.show(0, true, 500);
            call.run(Duration::from_millis(20));
        }
        call.run(Duration::from_millis(500));
        assert!(call.guests[1..].iter().all(|guest| guest.received > 20), "the call does not stand");
        call
    }

    /// A client that is about to offer, with data channels of these labels, and its offer.
    pub fn guest(&mut self, session: SessionId, kind: MediaKind, direction: Direction, channels: &[&str]) -> (usize, String) {
        let number = u16::try_from(self.guests.len()).unwrap();
        let address = SocketAddr::from(([198, 51, 100, 1], 40_000 + number));
        let codecs = Rtc::builder().clear_codecs().enable_opus(true, true).enable_vp8(true).enable_h264(true).enable_vp9(true);
        let mut rtc = codecs.set_rtp_mode(true).set_crypto_provider(forge::provider()).build(self.now);
        let keys = forge::last();
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        let mut api = rtc.sdp_api();
        let kind = match kind {
            MediaKind::Audio => str0m::media::MediaKind::Audio,
            MediaKind::Video => str0m::media::MediaKind::Video,
        };
        let mid = api.add_media(kind, direction, None, None, None);
        let channels = channels.iter().map(|label| match *label {
            LOSSY => api.add_channel_with_config(ChannelConfig {
                label: LOSSY.to_owned(),
                ordered: false,
                reliability: Reliability::MaxRetransmits { retransmits: 0 },
                ..ChannelConfig::default()
            }),
            label => api.add_channel(label.to_owned()),
        });
        let channels = channels.collect();
        let (offer, pending) = api.apply().unwrap();
        let due = self.now;
        let pending = Some(pending);
        self.guests.push(Guest {
            session,
            rtc,
            address,
            mid,
            keys,
            received: 0,
            got: Vec::new(),
            bytes: 0,
            newest: None,
            channels,
            messages: Vec::new(),
            asked: 0,
            connected: false,
            cut: false,
            deaf: false,
            altered: |_| {},
            sent: Vec::new(),
            pending,
            due,
            spoken: 0,
        });
        (self.guests.len() - 1, offer.to_sdp_string())
    }

    /// Sends one packet of a guest's track.
    pub fn speak(&mut self, guest: usize) {
        let now = self.now;
        let guest = &mut self.guests[guest];
        guest.spoken += 1;
        let opus = guest.rtc.codec_config().find(|params| params.spec().codec == str0m::format::Codec::Opus).unwrap().pt();
        let (seq, time) = (guest.spoken.into(), u32::try_from(guest.spoken * 960).unwrap());
        let mut api = guest.rtc.direct_api();
        api.stream_tx_by_mid(guest.mid, None).unwrap().write_rtp(RtpWrite::new(opus, seq, time, now, vec![7_u8; 80]));
        guest.due = now;
    }

    /// Sends one packet of a guest's VP8 track, the whole of a frame.
    pub fn show(&mut self, guest: usize, key: bool, len: usize) {
        let now = self.now;
        let guest = &mut self.guests[guest];
        guest.spoken += 1;
        let vp8 = guest.rtc.codec_config().find(|params| params.spec().codec == str0m::format::Codec::Vp8).unwrap().pt();
        let (seq, time) = (guest.spoken.into(), u32::try_from(guest.spoken * 3_000).unwrap());
        let mut payload = vec![0x10, u8::from(!key)];
        payload.resize(len, 7);
        let rtp = RtpWrite::new(vp8, seq, time, now, payload).marker(true).nackable(true);
        guest.rtc.direct_api().stream_tx_by_mid(guest.mid, None).unwrap().write_rtp(rtp);
        guest.due = now;
    }

    /// RTCP arrives that a guest's keys have sealed.
    pub fn feed_back(&mut self, guest: usize, rtcp: &[u8]) {
        let guest = &mut self.guests[guest];
        let (source, sealed) = (guest.address, guest.keys.seal(rtcp));
        self.datagram(source, &sealed);
    }

    /// A datagram arrives at the worker's own socket.
    pub fn datagram(&mut self, source: SocketAddr, bytes: &[u8]) {
        self.worker.handle(WorkerInput::Datagram { source, local: server(), bytes }, self.now);
        self.settle();
    }

    /// How much of something the worker holds.
    pub fn size(&self, of: &str) -> usize {
        self.worker.sizes().iter().find(|(name, _)| *name == of).unwrap().1
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let guests = self.guests.iter().map(|guest| guest.due).min().unwrap_or(end);
            let next = self.worker.next_timeout().0.min(guests).max(self.now + STEP);
            if next > end {
                break;
            }
            self.now = next;
            self.worker.handle(WorkerInput::Timeout, next);
        }
        self.now = end;
    }

    /// Carries everything to where it goes, until nobody has anything to say.
    pub fn settle(&mut self) {
        loop {
            while let Some(output) = self.worker.poll() {
                match output {
                    WorkerOutput::Transmit { destination, bytes, .. } => self.deliver(destination, &bytes),
                    WorkerOutput::Event(event) => self.hear(event),
                    _ => {}
                }
            }
            let Some(guest) = self.guests.iter().position(|guest| guest.due <= self.now) else { return };
            let now = self.now;
            // A guest that fails shows in what it receives.
            let _ = self.guests[guest].rtc.handle_input(Input::Timeout(now));
            self.drain(guest);
        }
    }

    fn deliver(&mut self, destination: SocketAddr, bytes: &[u8]) {
        let Some(guest) = self.guests.iter().position(|guest| guest.address == destination) else { return };
        self.guests[guest].bytes += bytes.len() as u64;
        if self.guests[guest].deaf && matches!(bytes, [128..=191, 0..192 | 224.., ..]) {
            return;
        }
        let Ok(receive) = Receive::new(Protocol::Udp, server(), destination, bytes) else { return };
        let _ = self.guests[guest].rtc.handle_input(Input::Receive(self.now, receive));
        self.drain(guest);
    }

    fn hear(&mut self, event: MediaEvent) {
        if let MediaEvent::Answer { session, sdp, .. } = &event
            && let Some(guest) = self.guests.iter_mut().find(|guest| guest.session == *session)
            && let Some(pending) = guest.pending.take()
        {
            guest.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(sdp).unwrap()).unwrap();
            guest.due = self.now;
        }
        self.events.push(event);
    }

    fn drain(&mut self, guest: usize) {
        let (now, mut sent) = (self.now, Vec::new());
        let guest = &mut self.guests[guest];
        loop {
            match guest.rtc.poll_output() {
                Ok(Output::Timeout(due)) => {
                    guest.due = due.max(now + STEP);
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    guest.sent.push(transmit.contents.to_vec());
                    sent.push(transmit);
                }
                Ok(Output::Event(Event::RtpPacket(packet))) => {
                    guest.received += 1;
                    guest.newest = guest.newest.max(Some((*packet.header.ssrc, *packet.seq_no)));
                    guest.got.push((now, packet));
                }
                Ok(Output::Event(Event::Connected)) => guest.connected = true,
                Ok(Output::Event(Event::KeyframeRequest(_))) => guest.asked += 1,
                Ok(Output::Event(Event::ChannelData(data))) => guest.messages.push(data.data),
                Ok(Output::Event(Event::ChannelClose(channel))) => guest.channels.retain(|open| *open != channel),
                Ok(Output::Event(_)) => {}
                Err(_) => {
                    guest.due = now + Duration::from_hours(1);
                    break;
                }
            }
        }
        let (source, altered) = (guest.address, guest.altered);
        if guest.cut {
            return;
        }
        for transmit in sent {
            let mut bytes = transmit.contents.to_vec();
            altered(&mut bytes);
            self.worker.handle(WorkerInput::Datagram { source, local: server(), bytes: &bytes }, now);
        }
    }
}
