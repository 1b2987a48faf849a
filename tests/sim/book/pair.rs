//! Two people alone who meet at the relay, by UDP, or by TCP where nothing else gets out. Nobody but they know the media.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use konsil::model::chance::Chance;
use konsil::model::ids::{StreamId, WorkerIndex};
use konsil::model::media::MediaKind;
use konsil::node::worker::{Worker, WorkerConfig, WorkerInput, WorkerOutput};
use konsil::turn::credentials::{RelaySecrets, RelayUser};
use konsil::turn::framing::Framing;
use konsil::turn::{Flow, TurnConfig};
use str0m::bwe::{Bitrate, BweKind};
use str0m::format::Codec;
use str0m::media::{Direction, KeyframeRequestKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::diary::{Diary, Key};
use super::network::{Network, Phase};
use super::report::{self, Report};
use super::{MICROPHONE, PICTURE, WARM_UP};
use crate::client::ClientId;
use crate::client::tunnel::Tunnel;
use crate::link::{Datagram, Link};
use crate::packet::Tag;
use crate::sink::{Seen, Sink};
use crate::source::AUDIO_EVERY;
use crate::time::{epoch, moment, since};

const STEP: Duration = Duration::from_millis(1);
const FRAME_EVERY: Duration = Duration::from_millis(33);
/// What the way is taken to carry at first, and what pictures take at most, in bit/s.
const FIRST: Bitrate = Bitrate::kbps(800);
const PICTURE_MAX: u64 = 1_700_000;
/// Less than this is no picture, in bit/s.
const PICTURE_MIN: u64 = 60_000;
const PACKET: usize = 1_000;

/// One of the two.
struct End {
    id: ClientId,
    rtc: Rtc,
    local: SocketAddr,
    tunnel: Tunnel,
    up: Link,
    down: Link,
    stream: Option<StreamId>,
    due: Instant,
    mids: Vec<Mid>,
    connected: Option<Instant>,
    /// When the next frame of sound and the next picture are due, how many there were, how many packets.
    next: [Instant; 2],
    frames: [u32; 2],
    seqs: [u64; 2],
    /// What the way carries, in bit/s.
    carries: u64,
    key_wanted: bool,
    sinks: [Sink; 2],
    pictures_from: Option<Ssrc>,
    diary: Diary,
}

fn server() -> SocketAddr {
    "192.0.2.1:3478".parse().expect("an address")
}

impl End {
    fn new(number: u8, tcp: bool, seed: u64) -> Self {
        let (now, mut dice) = (epoch(), Rng::with_seed(seed << 1 | u64::from(number)));
        let user = RelayUser { worker: Some(WorkerIndex(0)), group: 1, person: u64::from(number) };
        let mut rtc =
            Rtc::builder().set_rtp_mode(true).clear_codecs().enable_opus(true, false).enable_vp8(true).enable_bwe(Some(FIRST)).build(now);
        rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::bps(PICTURE_MAX));
        Self {
            id: ClientId(number.into()),
            rtc,
            local: SocketAddr::from(([198, 51, 100, number], 40_000)),
            up: Link::new(&mut dice),
            down: Link::new(&mut dice),
            tunnel: Tunnel::new(user, server(), now, dice),
            stream: tcp.then_some(StreamId(number.into())),
            due: now,
            mids: Vec::new(),
            connected: None,
            next: [now; 2],
            frames: [0; 2],
            seqs: [100; 2],
            carries: FIRST.as_u64(),
            key_wanted: true,
            sinks: [Sink::new(MediaKind::Audio), Sink::new(MediaKind::Video)],
            pictures_from: None,
            diary: Diary::default(),
        }
    }

    fn be(&mut self, phase: &Phase, seed: u64) {
        if self.stream.is_some() {
            self.up.be_tcp(phase.way(phase.up), seed);
            self.down.be_tcp(phase.way(phase.down), seed ^ 1);
        } else {
            self.up.be(phase.link(phase.up, seed), phase.delay());
            self.down.be(phase.link(phase.down, seed ^ 1), phase.delay());
        }
    }

    fn work(&mut self, now: Instant) {
        for datagram in self.down.arrivals(now) {
            let Some((bytes, from)) = self.tunnel.unwrap(&datagram.bytes, now) else { continue };
            let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, &bytes) else { continue };
            let input = Input::Receive(now, receive);
            if self.rtc.accepts(&input) {
                let _ = self.rtc.handle_input(input);
                self.drain(now);
            }
        }
        if let Some(request) = self.tunnel.poll(now) {
            self.up.send(Datagram::new(request, server()), now);
        }
        let wrote = self.connected.is_some() && self.write(now);
        if wrote || self.due <= now {
            let _ = self.rtc.handle_input(Input::Timeout(now));
            self.drain(now);
        }
        if self.sinks[1].asks_for_keyframe(now)
            && let Some(ssrc) = self.pictures_from
            && let Some(stream) = self.rtc.direct_api().stream_rx(&ssrc)
        {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(due)) => {
                    self.due = due;
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    if let Some(bytes) = self.tunnel.wrap(&transmit.contents, transmit.destination, now) {
                        self.up.send(Datagram::new(bytes, server()), now);
                    }
                }
                Ok(Output::Event(event)) => self.on_event(event, now),
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    fn on_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Connected => {
                self.connected = Some(now);
                self.next = [now; 2];
            }
            Event::KeyframeRequest(_) => self.key_wanted = true,
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) => self.carries = estimate.as_u64(),
            Event::RtpPacket(packet) => self.take(&packet, now),
            _ => {}
        }
    }

    fn take(&mut self, packet: &RtpPacket, now: Instant) {
        let Some(tag) = Tag::read(&packet.payload) else { return };
        let (at, kind) = if tag.track == MICROPHONE { (0, MediaKind::Audio) } else { (1, MediaKind::Video) };
        if at == 1 {
            self.pictures_from = Some(packet.header.ssrc);
        }
        let seen = Seen { tag, seq: *packet.seq_no, timestamp: packet.header.timestamp, picture: None };
        let playable = self.sinks[at].take(seen, now);
        self.diary.note(kind, tag, packet.payload.len(), playable, now);
    }

    /// An encoder obeys what the way carries.
    fn write(&mut self, now: Instant) -> bool {
        let mut wrote = false;
        while self.next[0] <= now {
            self.next[0] += AUDIO_EVERY;
            self.frame(MediaKind::Audio, 80, now);
            wrote = true;
        }
        while self.next[1] <= now {
            self.next[1] += FRAME_EVERY;
            let bits = (self.carries * 85 / 100).saturating_sub(80_000).min(PICTURE_MAX);
            if bits >= PICTURE_MIN {
                let len = usize::try_from(bits * 33 / 8_000).expect("a picture");
                self.frame(MediaKind::Video, len, now);
                wrote = true;
            }
        }
        wrote
    }

    fn frame(&mut self, kind: MediaKind, len: usize, now: Instant) {
        let at = usize::from(kind == MediaKind::Video);
        let key = at == 1 && std::mem::take(&mut self.key_wanted);
        let codec = if at == 0 { Codec::Opus } else { Codec::Vp8 };
        let pt = self.rtc.codec_config().find(|params| params.spec().codec == codec).expect("it is offered").pt();
        let len = if key { len * 3 } else { len };
        let count = u8::try_from(len.div_ceil(PACKET)).expect("a picture");
        self.frames[at] += 1;
        let frame = self.frames[at];
        let timestamp = frame * if at == 0 { 960 } else { 2_970 };
        for index in 0..count {
            self.seqs[at] += 1;
            let (track, seq) = ([MICROPHONE, PICTURE][at], self.seqs[at]);
            let picture = u16::try_from(frame & 0x7fff).expect("15 bits");
            let tag = Tag { client: self.id, track, layer: 0, key, frame, index, count, seq, at: since(now), picture };
            let payload = tag.payload(kind, len / usize::from(count));
            let write = RtpWrite::new(pt, seq.into(), timestamp, now, payload).marker(index + 1 == count).nackable(at == 1);
            let mid = self.mids[at];
            if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(mid, None) {
                stream.write_rtp(write);
            }
        }
    }
}

/// A relay with the two around it.
struct Pair {
    worker: Worker,
    ends: [End; 2],
    now: Instant,
}

impl Pair {
    fn new(tcp: bool, seed: u64) -> Self {
        let relay = TurnConfig::closed(RelaySecrets::new(&[], "secret"), [5; 32], moment(epoch()));
        let config = WorkerConfig { index: WorkerIndex(0), workers: 1, candidates: vec![server()], tcp_candidates: Vec::new(), relay };
        let worker = Worker::new(config, Chance::new([7; 32]), epoch());
        Self { worker, ends: [0, 1].map(|number| End::new(number, tcp, seed)), now: epoch() }
    }

    fn run(&mut self, until: Duration) {
        while since(self.now) < until {
            self.now += STEP;
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now;
        for end in &mut self.ends {
            for Datagram { bytes, to, .. } in end.up.arrivals(now) {
                let flow = Flow { remote: end.local, local: to, stream: end.stream };
                let input = match end.stream {
                    Some(_) => WorkerInput::Stream { flow, framing: Framing::Turn, bytes: &bytes },
                    None => WorkerInput::Datagram { source: end.local, local: to, bytes: &bytes },
                };
                self.worker.handle(input, now);
            }
        }
        if self.worker.next_timeout().0 <= now {
            self.worker.handle(WorkerInput::Timeout, now);
        }
        while let Some(output) = self.worker.poll() {
            if let WorkerOutput::Transmit { destination, local, bytes, .. } = output
                && let Some(end) = self.ends.iter_mut().find(|end| end.local == destination)
            {
                end.down.send(Datagram::new(bytes, local), now);
            }
        }
        self.ends.iter_mut().for_each(|end| end.work(now));
    }

    /// Both describe themselves, and name their relayed addresses only.
    fn meet(&mut self) {
        let [one, other] = &mut self.ends;
        let mut api = one.rtc.sdp_api();
        let mids = [str0m::media::MediaKind::Audio, str0m::media::MediaKind::Video]
            .map(|kind| api.add_media(kind, Direction::SendRecv, None, None, None));
        let (offer, pending) = api.apply().expect("something to offer");
        let answer = other.rtc.sdp_api().accept_offer(offer).expect("an answer");
        one.rtc.sdp_api().accept_answer(pending, answer).expect("it is one");
        let relayed = [&one.tunnel, &other.tunnel].map(|tunnel| tunnel.relayed.expect("an allocation"));
        for (end, partner) in self.ends.iter_mut().zip([relayed[1], relayed[0]]) {
            end.mids = mids.to_vec();
            end.rtc.add_local_candidate(Candidate::host(end.local, "udp").expect("an address"));
            end.rtc.add_remote_candidate(Candidate::host(partner, "udp").expect("an address"));
            end.due = self.now;
        }
    }
}

/// One call over a network; the other of the two is well connected, by the same means.
pub fn call(name: &str, network: &Network, tcp: bool, seed: u64) -> Report {
    let end = Duration::from_secs(network.seconds);
    let mut pair = Pair::new(tcp, seed);
    pair.ends[0].be(&network.phase[0], seed);
    pair.ends[1].be(&Phase::default(), seed ^ 2);
    if !tcp {
        pair.ends[0].down.trips = Some(Vec::new());
    }
    while pair.ends.iter().any(|end| end.tunnel.relayed.is_none()) {
        pair.run(since(pair.now) + Duration::from_millis(10));
        assert!(since(pair.now) < WARM_UP, "{name}: no allocation");
    }
    pair.meet();
    for phase in &network.phase[1..] {
        pair.run(Duration::from_secs(phase.from));
        pair.ends[0].be(phase, seed + phase.from);
    }
    pair.run(end);
    let [one, other] = pair.ends;
    let key = |id, number| -> [Key; 1] { [(id, number)] };
    let (published, window) = ((WARM_UP, end.saturating_sub(Duration::from_millis(500))), (WARM_UP, end));
    let sound = key(other.id, MICROPHONE);
    let connected = one.connected.map_or(end, since);
    let again = (network.phase.len() > 1).then(|| report::moved(&one.diary, &key(other.id, PICTURE), network.last_change())[0]).flatten();
    Report {
        name: format!("{name}, a pair by {}", if tcp { "TCP" } else { "UDP" }),
        seed,
        people: 2,
        sound: report::sound(&one.diary, &sound, published),
        sound_in_400: report::patient_sound(&one.diary, &sound, published),
        frozen: report::frozen(&one.diary, &key(other.id, PICTURE), window),
        link_use: None,
        queue: report::queue(&one.down.trips.unwrap_or_default(), window),
        first_frame: report::moved(&one.diary, &key(other.id, PICTURE), connected)[0],
        switches_a_minute: 0.0,
        recovery: again,
        all_back: again,
        heard: report::sound(&other.diary, &key(one.id, MICROPHONE), published),
        stood_there: report::frozen(&other.diary, &key(one.id, PICTURE), window),
    }
}
