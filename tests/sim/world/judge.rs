//! Asks the invariants about everything that happens.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use konsil::model::ids::Sid;
use konsil::model::media::{MediaKind, Quality};
use konsil::room::command::{Layout, Leg};
use konsil::room::notice::Notice;

use crate::client::{Client, ClientId, Message, Receipt, State};
use crate::invariants as must;
use crate::sink::{Seen, Sink};
use crate::source::Stage;
use crate::time::since;

use super::{Fault, World};

/// How fresh what is received must be when everything is well.
const FRESH: Duration = Duration::from_millis(1_500);
/// How long the news of somebody's coming may take.
const NEWS: Duration = Duration::from_millis(500);

impl World {
    pub(super) fn judge_step(&mut self) {
        let open = self.conns.len();
        let verdict = must::sizes_bounded(&self.control, &self.workers, open);
        self.check("sizes_bounded", verdict);
        let verdict = must::no_room_fault(&self.workers);
        self.check("no_room_fault", verdict);
    }

    pub(super) fn judge_notice(&mut self, id: ClientId, notice: &Notice) {
        let verdict = must::hidden_untold(&self.oracle, &self.clients[id.0], notice);
        self.check("hidden_untold", verdict);
        let verdict = must::versions_grow(self.versions.entry(id).or_default(), notice);
        self.check("versions_grow", verdict);
    }

    pub(super) fn judge_receipt(&mut self, id: ClientId, receipt: Receipt) {
        let tag = receipt.seen.tag;
        let now = self.now;
        let sender = &self.clients[tag.client.0];
        let receiver = &self.clients[id.0];
        let mut verdicts = vec![("own_room", must::own_room(receiver, sender))];
        match self.sid_of(sender, tag.track) {
            Some(track) => {
                verdicts.push(("permitted", must::permitted(&self.oracle, receiver, &track, tag.at)));
                verdicts.push(("as_told", must::as_told(receiver, &receipt, &track)));
            }
            None => verdicts.push(("permitted", Err(format!("{id:?} got a track that the server never took: {tag:?}")))),
        }
        let pc = match receipt.leg {
            Leg::Publisher => receiver.publisher.as_ref(),
            Leg::Subscriber => receiver.subscriber.as_ref(),
        };
        if let Some(sink) = pc.and_then(|pc| pc.sinks.get(&receipt.ssrc)) {
            let sent = |number| self.wire.has_sent(id, receipt.leg, *receipt.ssrc, number);
            verdicts.push(("numbers_continue", must::numbers_continue(sink, &receipt, sent)));
            verdicts.push(("timestamps_grow", must::timestamps_grow(sink, &receipt)));
            verdicts.push(("pictures_follow", must::pictures_follow(sink, &receipt)));
        }
        let how = (id, tag.client, tag.track, tag.layer, tag.seq, receipt.seen.seq, receipt.seen.timestamp);
        self.journal.note(now, "received", &how, || format!("{how:?}"));
        for (invariant, verdict) in verdicts {
            self.check(invariant, verdict.map_err(|words| format!("{id:?}: {words}")));
        }
        self.playable += 1;
        self.clients[id.0].accept(receipt, now);
    }

    /// The server's id of a client's track.
    pub fn sid_of(&self, client: &Client, number: u32) -> Option<Sid> {
        let source = client.sources.iter().find(|source| source.number == number)?;
        let by_cid = self.oracle.named(client.id, &source.cid);
        by_cid.or_else(|| self.oracle.named(client.id, &format!("mid:{}", source.mid?))).cloned()
    }

    pub(super) fn judge_message(&mut self, id: ClientId, message: &Message) {
        let (receiver, sender) = (&self.clients[id.0], &self.clients[message.from.0]);
        let verdicts = [
            ("message_permitted", must::message_permitted(&self.oracle, receiver, sender, message)),
            ("message_in_order", must::message_in_order(receiver, message)),
        ];
        self.journal.note(self.now, "message", &(id, message.from, message.number), || format!("{id:?} {message:?}"));
        for (invariant, verdict) in verdicts {
            self.check(invariant, verdict);
        }
        if message.reliable {
            self.clients[id.0].told.insert(message.from, message.number);
        }
    }

    /// Whom a client should hear now: track, kind, the layer if it is known, and since when.
    fn should_hear(&self) -> Vec<(ClientId, Sid, MediaKind, Option<u8>, Instant)> {
        let mut pairs = Vec::new();
        for (id, sid, window) in self.oracle.open() {
            let Some(track) = self.oracle.tracks.get(sid) else { continue };
            let (receiver, sender) = (&self.clients[id.0], &self.clients[track.client.0]);
            let listens = receiver.state == State::In
                && receiver.stands()
                && sender.stands()
                && (receiver.plan.layout != Layout::Whep || receiver.promised.contains(sid));
            let source = sender.sources.iter().find(|source| self.sid_of(sender, source.number).as_ref() == Some(sid));
            let Some(source) = source.filter(|source| source.stage == Stage::Live && sender.state == State::In && listens) else {
                continue;
            };
            let layer = source.simulcast.then(|| match self.oracle.settings(id, sid).quality.unwrap_or(Quality::High) {
                Quality::Low => 0,
                Quality::Medium => 1,
                Quality::High => 2,
            });
            let changed = [window.since, receiver.changed, sender.changed, source.live_since.unwrap_or(self.now)];
            pairs.push((id, sid.clone(), track.kind, layer, changed.into_iter().max().unwrap_or(self.now)));
        }
        pairs
    }

    /// After the network has healed, everybody hears everything that he may and wants, for at least `settled`.
    ///
    /// # Errors
    /// Somebody does not.
    pub fn everyone_receives(&self, settled: Duration) -> Result<usize, Fault> {
        let mut heard = 0;
        for (id, sid, kind, layer, since_when) in self.should_hear() {
            if self.now < since_when + settled {
                continue;
            }
            let last = self.clients[id.0].heard.get(&sid);
            let fresh = last.is_some_and(|heard| heard.age(self.now) < FRESH);
            let right = layer.is_none() || last.map(|heard| heard.layer) == layer;
            if !fresh || !right {
                let age = since(self.now).saturating_sub(since(since_when));
                let words = format!(
                    "{id:?} ({:?}, room {}) should hear {kind:?} {sid} of {:?} in layer {layer:?} for {age:?}, but last heard {last:?}",
                    self.client(id).plan.layout,
                    self.client(id).plan.room,
                    self.oracle.tracks.get(&sid).map(|track| track.client),
                );
                return Err(Fault { invariant: "everyone_receives", at: since(self.now), words });
            }
            if self.clients[id.0].paused.contains(&sid) {
                let words = format!("{id:?} receives {kind:?} {sid}, but was told last that it is paused");
                return Err(Fault { invariant: "everyone_receives", at: since(self.now), words });
            }
            heard += 1;
        }
        Ok(heard)
    }

    /// Everybody who is alive is in by now.
    ///
    /// # Errors
    /// Somebody is not.
    pub fn everyone_is_in(&self) -> Result<(), Fault> {
        let out = self.clients.iter().find(|client| client.alive() && client.state != State::In);
        let words = match out {
            None => return Ok(()),
            Some(client) => format!("{:?} ({:?}) is still {:?}", client.id, client.plan.layout, client.state),
        };
        Err(Fault { invariant: "everyone_is_in", at: since(self.now), words })
    }

    /// Everybody knows who else is there, and nobody else.
    ///
    /// # Errors
    /// Somebody missed a coming or a going.
    pub fn everyone_is_known(&self) -> Result<(), Fault> {
        for client in self.clients.iter().filter(|client| client.state == State::In && client.plan.signals()) {
            let others = self.oracle.members.values().filter(|other| other.room == client.plan.room && other.client != client.id);
            let there: BTreeSet<&Sid> = others.map(|other| &other.sid).filter(|sid| !self.oracle.hidden.contains_key(*sid)).collect();
            let known: BTreeSet<&Sid> = client.others.keys().collect();
            // Word of who has just come may still be under way.
            let new = |sid: &Sid| self.oracle.members.values().any(|other| other.sid == *sid && self.now < other.since + NEWS);
            if there.symmetric_difference(&known).any(|sid| !new(sid)) {
                let words = format!("{:?} knows {known:?}, but there are {there:?}", client.id);
                return Err(Fault { invariant: "everyone_is_known", at: since(self.now), words });
            }
        }
        Ok(())
    }

    /// What is missing between two packets of one run was lost before the server.
    ///
    /// # Errors
    /// The server had it and left a gap nevertheless.
    pub fn gaps_are_losses(&self) -> Result<(), Fault> {
        for client in &self.clients {
            for (leg, pc) in [(Leg::Publisher, &client.publisher), (Leg::Subscriber, &client.subscriber)] {
                for (ssrc, sink) in pc.iter().flat_map(|pc| &pc.sinks) {
                    let words = self.avoidable_gap((client.id, leg, **ssrc), sink);
                    let words = words.map(|words| format!("{:?} {leg:?} {ssrc:?}: {words}", client.id));
                    words.map_or(Ok(()), |words| Err(Fault { invariant: "gaps_are_losses", at: since(self.now), words }))?;
                }
            }
        }
        Ok(())
    }

    /// A gap of one outgoing stream that need not be.
    fn avoidable_gap(&self, stream: (ClientId, Leg, u32), sink: &Sink) -> Option<String> {
        let seen: Vec<&Seen> = sink.seen.values().collect();
        let follows = |low: &Seen, high: &Seen| low.tag.stream() == high.tag.stream() && high.seq - low.seq == high.tag.seq - low.tag.seq;
        seen.chunk_by(|low, high| follows(low, high)).find_map(|run| self.gap_of_run(stream, run))
    }

    /// A gap of packets that follow each other in one source.
    fn gap_of_run(&self, stream: (ClientId, Leg, u32), run: &[&Seen]) -> Option<String> {
        let tag = run.first()?.tag;
        let publisher = &self.clients[tag.client.0];
        let ssrc = publisher.sends.iter().find(|(_, sent)| **sent == (tag.track, tag.layer)).map(|(ssrc, _)| *ssrc)?;
        let arrival = |seq| self.wire.arrival(publisher.id, ssrc, seq);
        // What came before the run's first packet could not be sent any more: layers begin with a keyframe. Nor could
        // what came after its last one: the client may have been switched away by then.
        let (began, ended) = (arrival(tag.seq)?, arrival(run.last()?.tag.seq)?);
        for (low, high) in run.iter().zip(&run[1..]) {
            for ahead in 1..high.seq - low.seq {
                let taken = arrival(low.tag.seq + ahead).filter(|at| *at > began && *at < ended);
                let sent = self.wire.has_sent(stream.0, stream.1, stream.2, low.seq + ahead);
                if let Some(at) = taken.filter(|_| !sent) {
                    let number = low.seq + ahead;
                    return Some(format!("number {number} never came, though the server had it {:?}: {low:?} {high:?}", since(at)));
                }
            }
        }
        None
    }

    /// Nothing is left of anybody.
    ///
    /// # Errors
    /// Something is.
    pub fn nothing_left(&self) -> Result<(), Fault> {
        let left = must::nothing_left(&self.control, &self.workers);
        let unanswered = if self.askers.is_empty() { Ok(()) } else { Err(format!("nobody answered {:?}", self.askers)) };
        left.and(unanswered).map_err(|words| Fault { invariant: "nothing_left", at: since(self.now), words })
    }
}
