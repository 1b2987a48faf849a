//! One PeerConnection of a client, with its sockets, with its ways to the server.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use konsil::model::ids::{Sid, StreamId, WorkerIndex};
use str0m::bwe::Bitrate;
use str0m::change::SdpPendingOffer;
use str0m::channel::ChannelId;
use str0m::media::Mid;
use str0m::net::{Protocol, Receive};
use str0m::rtp::Ssrc;
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::tunnel::Tunnel;
use crate::link::{Datagram, Link};
use crate::sink::Sink;
use crate::time::on_grid;

/// Deadlines are served on this tick.
const TICK: Duration = Duration::from_millis(1);
/// What a client takes its way to the server to carry at first.
const FIRST_ESTIMATE: Bitrate = Bitrate::mbps(3);

/// An offer of the client's that was not answered yet.
pub struct Offer {
    pub pending: SdpPendingOffer,
    pub text: String,
    pub id: u32,
}

/// One PeerConnection.
pub struct Pc {
    pub rtc: Rtc,
    /// The socket that the client has bound.
    pub local: SocketAddr,
    /// What the server sees of it.
    pub outer: SocketAddr,
    /// The relay in front of it, where there is one.
    pub tunnel: Option<Tunnel>,
    /// It leads through this connection, which this worker was last given messages of.
    pub stream: Option<(StreamId, WorkerIndex)>,
    pub up: Link,
    pub down: Link,
    pub due: Instant,
    pub offer: Option<Offer>,
    pub offers: u32,
    /// The sections that are for receiving, as far as this client made them.
    pub receives: Vec<Mid>,
    /// What the receiving sections carry, as the server said last.
    pub mids: BTreeMap<String, Sid>,
    /// When the server said so.
    pub told_at: Instant,
    pub sinks: BTreeMap<Ssrc, Sink>,
    pub reliable: Option<ChannelId>,
    pub lossy: Option<ChannelId>,
    pub connected: bool,
    /// Since when.
    pub stands_since: Option<Instant>,
    /// When both descriptions stood first, so that the way to the server could be looked for.
    pub began: Option<Instant>,
    /// Since when ICE has no way to the server any more.
    pub cut_off: Option<Instant>,
    /// Events that wait for the client.
    pub events: VecDeque<Event>,
}

impl Pc {
    pub fn new(address: SocketAddr, estimates: bool, now: Instant, dice: &mut Rng) -> Self {
        let builder = Rtc::builder().set_rtp_mode(true).clear_codecs().enable_opus(true, dice.bool()).enable_vp8(true);
        let mut rtc = builder.enable_bwe(estimates.then_some(FIRST_ESTIMATE)).build(now);
        if estimates {
            rtc.bwe().set_bitrate(Bitrate::ZERO, FIRST_ESTIMATE);
        }
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a host address"));
        Self {
            rtc,
            local: address,
            outer: address,
            tunnel: None,
            stream: None,
            up: Link::new(dice),
            down: Link::new(dice),
            due: now,
            offer: None,
            offers: 0,
            receives: Vec::new(),
            mids: BTreeMap::new(),
            told_at: now,
            sinks: BTreeMap::new(),
            reliable: None,
            lossy: None,
            connected: false,
            stands_since: None,
            began: None,
            cut_off: None,
            events: VecDeque::new(),
        }
    }

    /// When something is due: str0m's time, or an arrival at either end.
    pub fn next_timeout(&self) -> Instant {
        let links = [self.up.next_timeout(), self.down.next_timeout()];
        let tunnel = self.tunnel.as_ref().map(|tunnel| on_grid(tunnel.next_timeout()));
        links.into_iter().flatten().chain([self.due]).chain(tunnel).min().unwrap_or(self.due)
    }

    /// Takes what arrives from the server and lets time pass.
    pub fn work(&mut self, now: Instant) {
        for datagram in self.down.arrivals(now) {
            match &mut self.tunnel {
                None => self.receive(&datagram.bytes, datagram.to, now),
                Some(tunnel) => {
                    if let Some((bytes, from)) = tunnel.unwrap(&datagram.bytes, now) {
                        self.receive(&bytes, from, now);
                    }
                }
            }
        }
        if self.due <= now {
            self.tick(now);
        }
        if let Some(tunnel) = &mut self.tunnel
            && let Some(request) = tunnel.poll(now)
        {
            self.up.send(Datagram::new(request, tunnel.server), now);
        }
    }

    fn receive(&mut self, bytes: &[u8], from: SocketAddr, now: Instant) {
        let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, bytes) else { return };
        let input = Input::Receive(now, receive);
        if self.rtc.accepts(&input) {
            // A browser, too, goes on after a datagram that it cannot take.
            let _ = self.rtc.handle_input(input);
            self.drain(now);
        }
    }

    /// Lets str0m see the time, and what was written before, then drains it.
    pub fn tick(&mut self, now: Instant) {
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(due)) => {
                    self.due = on_grid(due.max(now + TICK));
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    let datagram = match &mut self.tunnel {
                        None => Some(Datagram::new(transmit.contents.to_vec(), transmit.destination)),
                        Some(tunnel) => {
                            let wrapped = tunnel.wrap(&transmit.contents, transmit.destination, now);
                            wrapped.map(|bytes| Datagram::new(bytes, tunnel.server))
                        }
                    };
                    if let Some(datagram) = datagram {
                        self.up.send(datagram, now);
                    }
                }
                Ok(Output::Event(event)) => self.events.push_back(event),
                Err(_) if self.rtc.is_alive() => {}
                Err(_) => {
                    self.due = now + Duration::from_hours(1);
                    return;
                }
            }
        }
    }

    /// The section of a stream that is being received.
    pub fn section_of(&mut self, ssrc: Ssrc) -> Option<Mid> {
        self.rtc.direct_api().stream_rx(&ssrc).map(|stream| stream.mid())
    }
}
