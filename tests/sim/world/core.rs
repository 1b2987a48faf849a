//! Carries what the control core, the workers, the wire have for each other.

use std::net::SocketAddr;

use konsil::model::ids::WorkerIndex;
use konsil::model::record::Written;
use konsil::node::control::{ControlInput, ControlOutput, Ticket};
use konsil::node::request::{ConnId, Request};
use konsil::node::route::named_worker;
use konsil::node::worker::{WorkerInput, WorkerOutput};
use konsil::room::command::Leg;
use konsil::room::media::{MediaCommand, MediaEvent};
use konsil::room::notice::{Description, Notice};
use konsil::turn::Flow;
use konsil::turn::framing::Framing;

use crate::client::ClientId;
use crate::client::tunnel::payload;
use crate::invariants::{no_spinning_timer, sections_free_between};
use crate::link::Datagram;
use crate::mail::{Lane, Mail, Post, Word};
use crate::time::moment;

use super::{Asker, World};

/// How often a worker may be due at one moment.
const TURNS_MAX: usize = 4;

impl World {
    pub(super) fn deliver_mail(&mut self) {
        while let Some(mail) = self.mail.arrival(self.now) {
            match mail {
                Mail::Control(from, input) => self.reach_control(from, input),
                Mail::Worker(worker, post) => self.reach_worker(worker, &post),
                Mail::Client(client, word) => self.reach_client(client, word),
            }
        }
    }

    fn reach_control(&mut self, from: Option<ClientId>, input: ControlInput) {
        let now = self.now;
        if let ControlInput::Signal(conn, signal) = &input {
            if self.conns.get(conn).is_none_or(|conn| conn.cut) {
                return;
            }
            if let Some(client) = from {
                self.oracle.said(client, signal, now);
            }
        }
        if let ControlInput::Request(_, request) = &input
            && let Request::Mute { identity, muted: true, grants, .. } = request.as_ref()
            && let Some(room) = grants.room.as_ref().and_then(|room| room.as_str().trim_start_matches("room").parse().ok())
        {
            self.oracle.muted(room, identity, now);
        }
        if let ControlInput::Media(MediaEvent::Bound { track, .. }) = &input {
            self.oracle.bound(track, now);
        }
        if let ControlInput::Media(MediaEvent::Refused { session, why }) = &input {
            let words = format!("a description of {session:?} was refused: {why}");
            self.check("descriptions_taken", Err(words));
        }
        let sync = match (&input, from) {
            (ControlInput::Connect(_, _, connect), Some(client)) => connect.sync.clone().map(|sync| (client, sync)),
            _ => None,
        };
        self.control.handle(input, moment(now));
        let mut resumed = false;
        while let Some(output) = self.control.poll() {
            resumed |= matches!(&output, ControlOutput::Connected(_, Ok(connected)) if connected.resumed);
            self.carry_out(from, output);
        }
        if let Some((client, sync)) = sync.filter(|_| resumed) {
            self.oracle.resumed(client, &sync, now);
        }
    }

    fn carry_out(&mut self, from: Option<ClientId>, output: ControlOutput) {
        match output {
            ControlOutput::Reply(caller, reply) => {
                let label = if reply.is_ok() { "reply" } else { "refusal" };
                self.journal.note(self.now, label, &caller.0, || format!("{caller:?} {:?}", reply.as_ref().err()));
                let asker = self.askers.remove(&caller);
                self.check("one_reply_each", if asker.is_some() { Ok(()) } else { Err(format!("{caller:?} was answered twice")) });
                if let Some(Asker::Media(client)) = asker {
                    let at = self.now + self.millis(5..40);
                    self.mail.send(Lane::Loose, at, Mail::Client(client, Word::Reply(reply)));
                }
            }
            ControlOutput::Connected(caller, result) => {
                self.journal.note(self.now, "connected", &caller.0, || format!("{result:?}"));
                let Some(Asker::Connect(client, conn)) = self.askers.remove(&caller) else {
                    self.check("one_reply_each", Err(format!("{caller:?} was connected twice")));
                    return;
                };
                self.say_to(conn, client, Word::Connected(conn, result));
            }
            ControlOutput::Notice(conn, notice) => self.notice(conn, notice),
            ControlOutput::HangUp(conn) => {
                let Some(client) = self.conns.get(&conn).map(|conn| conn.client) else { return };
                self.say_to(conn, client, Word::HungUp(conn));
            }
            ControlOutput::Media(worker, command) => self.command(from, worker, command),
            ControlOutput::Persist(ticket, _) => self.persist(from, ticket),
            ControlOutput::Keys(_) => {}
        }
    }

    /// What is done when the write is done is done for whoever asked for it.
    fn persist(&mut self, from: Option<ClientId>, ticket: Ticket) {
        let (at, written) = if self.bad_disk {
            let at = self.now + self.millis(1..30);
            let fails = self.dice.u8(..10) == 0 && self.calm_since.is_none();
            (at, if fails { Written::Failed } else { Written::Durably })
        } else {
            (self.now, Written::Durably)
        };
        self.mail.send(Lane::Loose, at, Mail::Control(from, ControlInput::Persisted(ticket, written)));
    }

    fn notice(&mut self, conn: ConnId, notice: Notice) {
        let Some(client) = self.conns.get(&conn).map(|conn| conn.client) else { return };
        self.judge_notice(client, &notice);
        match &notice {
            Notice::Answer(description) => self.described(client, Leg::Publisher, description),
            Notice::Offer(description) => self.described(client, Leg::Subscriber, description),
            _ => {}
        }
        self.journal.note(self.now, "notice", &(client, digest_of(&notice)), || format!("{client:?} {}", digest_of(&notice)));
        self.say_to(conn, client, Word::Notice(conn, Box::new(notice)));
    }

    fn described(&mut self, client: ClientId, leg: Leg, description: &Description) {
        let before = self.described.entry((client, leg)).or_default();
        let verdict = sections_free_between(before, description);
        *before = description.mids.iter().cloned().collect();
        self.check("sections_free_between", verdict.map_err(|words| format!("{client:?} {leg:?}: {words}")));
    }

    fn command(&mut self, from: Option<ClientId>, worker: WorkerIndex, command: MediaCommand) {
        let now = self.now;
        match &command {
            MediaCommand::AddSession { session, sid, room, .. } => {
                if let Some(client) = from {
                    let plan = self.clients[client.0].plan.clone();
                    self.oracle.joined(*session, *room, client, &plan, sid, now);
                }
            }
            MediaCommand::RemoveSession { session } => self.oracle.left(*session, now),
            MediaCommand::AddTrack { session, track } => self.oracle.announced(*session, track, now),
            MediaCommand::RemoveTrack { track, .. } => self.oracle.unpublished(track, now),
            MediaCommand::CloseRoom { room } => self.oracle.closed(*room, now),
            _ => {}
        }
        self.journal.note(now, "command", &name_of(&command), || format!("{worker:?} {}", name_of(&command)));
        let to = usize::from(worker.0);
        let at = now + self.millis(0..4);
        self.mail.send(Lane::ControlToWorker(to), at, Mail::Worker(to, Post::Command(command)));
    }

    fn reach_worker(&mut self, worker: usize, post: &Post) {
        let now = self.now;
        let dropped = self.dropped(worker);
        let input = match post {
            Post::HandedOver { source, local, bytes } => WorkerInput::HandedOver { source: *source, local: *local, bytes },
            Post::Learned { source, worker, relay } => WorkerInput::Learned { source: *source, worker: *worker, relay: *relay },
            Post::LeaseAsked { from, ask } => WorkerInput::LeaseAsked { from: *from, ask: *ask },
            Post::Lent(lease) => WorkerInput::Lent(*lease),
            Post::Command(command) => WorkerInput::Command(command.clone()),
        };
        self.workers[worker].handle(input, now);
        if let Post::HandedOver { source, bytes, .. } = post {
            self.note_arrival(worker, *source, bytes, dropped);
        }
        // Sometimes several inputs make a batch, sometimes each is drained by itself.
        if self.dice.bool() {
            self.poll_worker(worker);
        }
    }

    /// Datagrams of clients reach the sockets, whichever worker's.
    pub(super) fn deliver_datagrams(&mut self) {
        let now = self.now;
        for at in 0..self.clients.len() {
            let mut arrived: Vec<(SocketAddr, Datagram)> = Vec::new();
            self.deliver_stream(at);
            for (_, pc) in self.clients[at].pcs().filter(|(_, pc)| pc.stream.is_none()) {
                let outer = pc.outer;
                arrived.extend(pc.up.arrivals(now).into_iter().map(|datagram| (outer, datagram)));
            }
            for (source, datagram) in arrived {
                // The kernel picks by addresses and ports; those of one flow stay with one socket unless sockets come and go.
                let worker = if self.scattered { self.dice.usize(..self.workers.len()) } else { at % self.workers.len() };
                let dropped = self.dropped(worker);
                self.workers[worker].handle(WorkerInput::Datagram { source, local: datagram.to, bytes: &datagram.bytes }, now);
                self.note_arrival(worker, source, &datagram.bytes, dropped);
            }
        }
    }

    /// Messages of connections reach the worker that they name, as `io::stream` gives them.
    fn deliver_stream(&mut self, at: usize) {
        let (now, workers) = (self.now, self.workers.len());
        let mut arrived = Vec::new();
        for (_, pc) in self.clients[at].pcs() {
            let outer = pc.outer;
            let Some((stream, last)) = &mut pc.stream else { continue };
            for datagram in pc.up.arrivals(now) {
                let worker = named_worker(&datagram.bytes, workers).unwrap_or(*last);
                let before = std::mem::replace(last, worker);
                arrived.push((Flow { remote: outer, local: datagram.to, stream: Some(*stream) }, before, worker, datagram.bytes));
            }
        }
        for (flow, before, worker, bytes) in arrived {
            if let Some(stream) = flow.stream.filter(|_| before != worker) {
                self.workers[usize::from(before.0)].handle(WorkerInput::StreamClosed(stream), now);
            }
            let (source, worker) = (flow.remote, usize::from(worker.0));
            let dropped = self.dropped(worker);
            self.workers[worker].handle(WorkerInput::Stream { flow, framing: Framing::Turn, bytes: &bytes }, now);
            self.note_arrival(worker, source, &bytes, dropped);
        }
    }

    /// Datagrams that a worker has refused so far.
    fn dropped(&self, worker: usize) -> u64 {
        let stats = [self.workers[worker].stats().clone(), self.workers[worker].relay_stats()];
        stats.iter().flat_map(|stats| stats.dropped_datagrams.values()).sum()
    }

    /// Notes a datagram that the worker that it is for has taken.
    fn note_arrival(&mut self, worker: usize, source: SocketAddr, bytes: &[u8], dropped: u64) {
        let Some((id, leg)) = self.addresses.get(&source).copied() else { return };
        // What came through the relay counts where the SFU takes it.
        let tunnel = self.clients[id.0].pc(leg).and_then(|pc| pc.tunnel.as_ref()).filter(|_| payload(bytes).is_some());
        let relayed = tunnel.and_then(|tunnel| tunnel.relayed);
        let (source, bytes) = (relayed.unwrap_or(source), payload(bytes).unwrap_or(bytes));
        if let Some(relayed) = relayed {
            self.addresses.insert(relayed, (id, leg));
            // The relay's worker has it first, and hands it to the SFU's if that is another.
            if konsil::turn::worker_of(relayed, self.workers.len()) != Some(self.workers[worker].index()) {
                return;
            }
        }
        if self.proved.get(&source) == Some(&worker) && self.dropped(worker) == dropped {
            self.wire.arrived(id, bytes, self.now);
        }
    }

    pub(super) fn serve_timers(&mut self) {
        let now = self.now;
        if self.control.next_timeout().is_some_and(|(due, _)| due <= now) {
            self.reach_control(None, ControlInput::Timeout);
            let verdict = no_spinning_timer(self.control.next_timeout(), now);
            self.check("no_spinning_timer", verdict);
        }
        for worker in 0..self.workers.len() {
            // str0m may have something for the same moment again, but not for ever.
            let turns = (0..TURNS_MAX).take_while(|_| {
                let due = self.workers[worker].next_timeout().0 <= now;
                if due {
                    self.workers[worker].handle(WorkerInput::Timeout, now);
                    self.poll_worker(worker);
                }
                due
            });
            if turns.count() == TURNS_MAX {
                let verdict = no_spinning_timer(Some(self.workers[worker].next_timeout()), now);
                self.check("no_spinning_timer", verdict);
            }
        }
    }

    pub(super) fn poll_workers(&mut self) {
        (0..self.workers.len()).for_each(|worker| self.poll_worker(worker));
    }

    fn poll_worker(&mut self, worker: usize) {
        while let Some(output) = self.workers[worker].poll() {
            match output {
                WorkerOutput::Transmit { destination, local, bytes, .. } => self.transmit(destination, local, bytes),
                WorkerOutput::HandOver { worker: to, source, local, bytes } => {
                    let at = self.now + self.millis(0..2);
                    let to = usize::from(to.0);
                    self.mail.send(Lane::WorkerToWorker(worker, to), at, Mail::Worker(to, Post::HandedOver { source, local, bytes }));
                }
                WorkerOutput::Learned { source, relay } => self.learned(worker, source, relay),
                WorkerOutput::AskLease { worker: to, ask } => {
                    let from = self.workers[worker].index();
                    self.leave_mail(worker, to, Post::LeaseAsked { from, ask });
                }
                WorkerOutput::Lend { worker: to, lease } => self.leave_mail(worker, to, Post::Lent(lease)),
                WorkerOutput::RelayBind { .. } | WorkerOutput::RelayUnbind { .. } | WorkerOutput::RelayEgress { .. } => {
                    panic!("the closed relay has no sockets")
                }
                WorkerOutput::Event(event) => {
                    self.journal.note(self.now, "event", &event_name(&event), || event_name(&event));
                    let at = self.now + self.millis(0..4);
                    self.mail.send(Lane::WorkerToControl(worker), at, Mail::Control(None, ControlInput::Media(event)));
                }
            }
        }
    }

    /// A mail that nobody is woken for, or that a full mailbox loses.
    fn leave_mail(&mut self, worker: usize, to: WorkerIndex, post: Post) {
        if self.dice.u8(..20) != 0 {
            let at = self.now + self.millis(0..3);
            let to = usize::from(to.0);
            self.mail.send(Lane::WorkerToWorker(worker, to), at, Mail::Worker(to, post));
        }
    }

    fn learned(&mut self, worker: usize, source: SocketAddr, relay: bool) {
        let owner = self.workers[worker].index();
        if !relay {
            self.proved.insert(source, worker);
        }
        for to in (0..self.workers.len()).filter(|to| *to != worker) {
            // A full mailbox loses it.
            if self.dice.u8(..20) != 0 {
                let at = self.now + self.millis(0..3);
                self.mail.send(Lane::WorkerToWorker(worker, to), at, Mail::Worker(to, Post::Learned { source, worker: owner, relay }));
            }
        }
    }

    fn transmit(&mut self, destination: SocketAddr, local: SocketAddr, bytes: Vec<u8>) {
        let now = self.now;
        let known = self.candidates.contains(&local);
        self.check("own_address", if known { Ok(()) } else { Err(format!("a datagram leaves from {local}")) });
        let Some((id, leg)) = self.addresses.get(&destination).copied() else { return };
        let Some(pc) = self.clients[id.0].pc(leg) else { return };
        let params = pc.rtc.codec_config().params();
        let repeats = |pt: u8| params.iter().any(|params| params.resend().is_some_and(|resend| *resend == pt));
        let verdict = self.wire.sent(id, leg, payload(&bytes).unwrap_or(&bytes), repeats);
        // What goes to an address that the client has left reaches nobody.
        if pc.outer == destination {
            pc.down.send(Datagram::new(bytes, local), now);
        }
        self.check("numbers_on_the_wire", verdict.map_err(|words| format!("to {id:?} {leg:?}: {words}")));
    }
}

/// A notice without what varies from run to run: certificates stand in the SDP.
fn digest_of(notice: &Notice) -> String {
    match notice {
        Notice::Answer(Description { id, mids, .. }) => format!("Answer {id} {mids:?}"),
        Notice::Offer(Description { id, mids, .. }) => format!("Offer {id} {mids:?}"),
        other => format!("{other:?}"),
    }
}

fn name_of(command: &MediaCommand) -> String {
    match command {
        MediaCommand::Offer { session, id, .. } => format!("Offer {session:?} {id}"),
        MediaCommand::Answer { session, id, .. } => format!("Answer {session:?} {id}"),
        other => format!("{other:?}"),
    }
}

fn event_name(event: &MediaEvent) -> String {
    match event {
        MediaEvent::Answer { session, id, mids, .. } => format!("Answer {session:?} {id} {mids:?}"),
        MediaEvent::Offer { session, id, mids, .. } => format!("Offer {session:?} {id} {mids:?}"),
        other => format!("{other:?}"),
    }
}
