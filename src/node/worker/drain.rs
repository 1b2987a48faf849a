//! Draining str0m: what a peer sends, what it says, when it wants to be asked again.

use std::net::SocketAddr;
use std::time::Duration;

use str0m::{Event, Input, Output, PacerReason, Reason};

use crate::model::stats::Direction;
use crate::node::peer::{Leaving, Peer, PeerIndex};
use crate::room::media::MediaEvent;
use crate::turn::Flow;

use super::Worker;

/// Most datagrams that a removed peer may still cause.
const GOODBYE_MAX: usize = 16;
/// Deadlines as close as this are served at once: str0m's pacer wants a microsecond between two packets, and sending one
/// takes as long.
const AHEAD: Duration = Duration::from_micros(100);
/// How late deadlines may be served that lose nothing by it. Whatever comes or goes meanwhile serves them too, so that
/// a peer with traffic seldom needs a wake-up for its own housekeeping.
const LENIENCE: Duration = Duration::from_millis(25);

/// How long after one packet of a probe there may be another. What is due first may be housekeeping, and what waits behind it a
/// probe: sent late it would measure our patience instead of the network.
const PROBE: Duration = Duration::from_millis(100);

impl Worker {
    /// Lets str0m see the time, then drains it.
    pub(super) fn flush(&mut self, index: PeerIndex) {
        let now = self.now;
        let Some(peer) = self.peer_mut(index) else { return };
        peer.clock = peer.clock.max(now);
        // An error is not yet the end of a call; draining asks whether it is.
        let _ = peer.rtc.handle_input(Input::Timeout(peer.clock));
        self.drain(index);
    }

    /// Drains str0m, which has seen the time, until it only wants to wait. Forwards what came in.
    pub(super) fn drain(&mut self, index: PeerIndex) {
        let otherwise = self.default_local();
        let soon = self.now + AHEAD;
        let mut extra = false;
        if let Some(peer) = self.peer_mut(index) {
            peer.ready = false;
        }
        let alive = loop {
            let Some(peer) = self.peers.get_mut(index.0 as usize).and_then(Option::as_mut) else { return };
            match peer.rtc.poll_output() {
                Ok(Output::Timeout(due)) => {
                    let reason = peer.rtc.last_timeout_reason();
                    if is_probe(reason) {
                        peer.probes_until = Some(peer.clock + PROBE);
                    }
                    let probes = peer.probes_until.is_some_and(|until| peer.clock < until);
                    let patient = !probes && peer.outbox.is_empty() && !extra && is_housekeeping(reason);
                    if due > peer.clock && due <= soon && !patient {
                        peer.clock = due;
                        let _ = peer.rtc.handle_input(Input::Timeout(due));
                        continue;
                    }
                    let wait = if patient { LENIENCE } else { Duration::ZERO };
                    // One that stands still is asked for again when time has passed, not at once.
                    peer.due = (due + wait).max(soon);
                    break peer.rtc.is_alive();
                }
                Ok(Output::Transmit(transmit)) => {
                    let way = peer.way_to(&transmit, otherwise);
                    let leaving = peer.outbox.sent(&transmit.contents);
                    extra |= leaving == Leaving::Added;
                    peer.account(leaving, transmit.contents.len());
                    self.transmit_by(way, transmit.contents.into());
                }
                Ok(Output::Event(Event::RtpPacket(packet))) => {
                    peer.opened += 1;
                    self.forward(index, &packet);
                }
                Ok(Output::Event(event)) => self.peer_event(index, event),
                // An error is not yet the end of a call; str0m says whether it is.
                Err(_) if peer.rtc.is_alive() => {}
                Err(_) => break false,
            }
        };
        if alive {
            if self.peer_mut(index).is_some_and(|peer| peer.bandwidth.take_news()) {
                self.allot(index);
            }
            self.queue(index);
        } else {
            self.lost(index);
        }
    }

    /// Sends what str0m has left to say for a peer that is being removed.
    pub(super) fn say_goodbye(&mut self, peer: &mut Peer) {
        let otherwise = self.default_local();
        for _ in 0..GOODBYE_MAX {
            match peer.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    let way = peer.way_to(&transmit, otherwise);
                    self.transmit_by(way, transmit.contents.into());
                }
                Ok(Output::Event(_)) => {}
                Ok(Output::Timeout(_)) | Err(_) => return,
            }
        }
    }

    fn transmit_by(&mut self, way: Option<Flow>, bytes: Vec<u8>) {
        match way {
            Some(way) => self.transmit(way, bytes),
            None => self.drop_datagram("connection closed"),
        }
    }

    fn default_local(&self) -> SocketAddr {
        self.config.candidates.first().copied().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    fn lost(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer_mut(index).filter(|peer| !peer.lost) else { return };
        peer.lost = true;
        let session = peer.session;
        self.event(MediaEvent::Lost { session });
    }

    fn peer_event(&mut self, index: PeerIndex, event: Event) {
        match event {
            Event::Connected => self.connected(index),
            Event::Closed => self.lost(index),
            Event::KeyframeRequest(request) => self.keyframe_requested(index, request),
            Event::ChannelOpen(channel, label) => self.channel_open(index, channel, &label),
            Event::ChannelClose(channel) => self.channel_close(index, channel),
            Event::ChannelData(data) => self.data(index, data),
            Event::EgressBitrateEstimate(kind) => {
                let now = self.now;
                if let Some(peer) = self.peer_mut(index) {
                    peer.bandwidth.estimated(&kind, now);
                }
            }
            Event::SenderFeedback(report) => {
                if let Some(peer) = self.peer_mut(index) {
                    peer.source_clock.report(&report.sender_info, report.received_at);
                }
            }
            Event::PeerStats(stats) => self.peer_stats(index, &stats),
            Event::MediaIngressStats(stats) => {
                self.jitter(index, stats.mid, stats.jitter);
                self.nack_stats(index, Direction::Out, (stats.mid, stats.rid), stats.nacks);
            }
            Event::MediaEgressStats(stats) => {
                self.jitter(index, stats.mid, stats.remote.map_or(0, |remote| remote.jitter));
                self.nack_stats(index, Direction::In, (stats.mid, stats.rid), stats.nacks);
            }
            _ => {}
        }
    }

    fn connected(&mut self, index: PeerIndex) {
        let now = self.now;
        let Some(peer) = self.peer_mut(index) else { return };
        peer.connected = true;
        peer.heard = now;
        let session = peer.session;
        self.event(MediaEvent::Connected { session });
    }
}

/// Whether packets are being sent at a chosen rate, to see whether they arrive at it.
pub(super) fn is_probe(reason: Reason) -> bool {
    matches!(reason, Reason::BweProbeControl | Reason::Pacer(PacerReason::Probe1 | PacerReason::Probe2))
}

/// Whether a deadline loses nothing by waiting while nothing waits to be sent: reports, estimates and searches for
/// losses are due every few dozen milliseconds, and after each packet the pacer wants to be asked for the next one.
fn is_housekeeping(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Feedback
            | Reason::Nack
            | Reason::Twcc
            | Reason::Stats
            | Reason::PauseCheck
            | Reason::BweDelayControl
            | Reason::Pacer(PacerReason::Handle | PacerReason::Immediate)
    )
}
