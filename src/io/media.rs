//! Media threads: each drives one worker with its own socket on the shared port.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::{mpsc, oneshot};

use crate::model::chance::Chance;
use crate::model::ids::{StreamId, WorkerIndex};
use crate::model::stats::{Direction, WorkerStats};
use crate::node::worker::{Worker, WorkerConfig, WorkerInput, WorkerOutput};
use crate::room::media::{MediaCommand, MediaEvent};
use crate::turn::framing::Framing;
use crate::turn::{Ask, Flow, Lease, RelayMode, TurnConfig};

use super::clock;
use super::relay::RelaySockets;
use super::stream::StreamQueue;
use super::udp::{BoundSocket, Datagram, Sleeper, UdpSocket, Waker, sleeper};

/// Mails that may wait for a worker. Commands wait for room, datagrams of other threads are dropped.
const MAIL_MAX: usize = 8_192;
/// News that may wait for the control core; beyond it a worker keeps its own.
pub const EVENTS_MAX: usize = 8_192;
/// News that a worker keeps while the control core does not take any.
const BACKLOG_MAX: usize = 65_536;
/// Mails taken before the sockets get their turn.
const MAILS_A_TURN: usize = 512;
/// How long a connection waits for room in a worker's mail before it asks again.
const FULL_PAUSE: Duration = Duration::from_millis(5);
/// How often a worker is told what the wall clock says.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a scrape waits for a worker's numbers.
const STATS_TIMEOUT: Duration = Duration::from_secs(1);

/// What a worker finds in its mail.
enum Mail {
    Command(MediaCommand),
    HandedOver { source: SocketAddr, local: SocketAddr, bytes: Vec<u8> },
    Learned { source: SocketAddr, worker: WorkerIndex, relay: bool },
    LeaseAsked { from: WorkerIndex, ask: Ask },
    Lent(Lease),
    StreamOpened(StreamId, Arc<StreamQueue>),
    Stream { flow: Flow, framing: Framing, bytes: Vec<u8> },
    StreamClosed(StreamId),
    Stats(oneshot::Sender<WorkerStats>),
    Stop,
}

/// The way to one worker.
#[derive(Clone)]
struct MailBox {
    mails: SyncSender<Mail>,
    waker: Waker,
}

impl MailBox {
    /// Waits for room: commands must not be lost, and workers never wait for the control core.
    fn send(&self, mail: Mail) {
        if self.mails.send(mail).is_ok() {
            self.waker.wake();
        }
    }

    fn offer(&self, mail: Mail) -> bool {
        let taken = self.mails.try_send(mail).is_ok();
        self.waker.wake();
        taken
    }
}

/// A cloneable handle to all media threads.
#[derive(Clone)]
pub struct MediaHandle {
    boxes: Vec<MailBox>,
}

impl MediaHandle {
    /// A handle to nobody: what is handed in is lost.
    #[cfg(test)]
    pub(super) fn without_workers() -> Self {
        Self { boxes: Vec::new() }
    }

    /// Orders a worker. Waits while its mail is full.
    pub fn command(&self, worker: WorkerIndex, command: MediaCommand) {
        if let Some(mailbox) = self.boxes.get(usize::from(worker.0)) {
            mailbox.send(Mail::Command(command));
        }
    }

    /// The sum of what all workers have counted.
    pub async fn stats(&self) -> WorkerStats {
        let mut sum = WorkerStats::default();
        for mailbox in &self.boxes {
            let (answer, answered) = oneshot::channel();
            if mailbox.offer(Mail::Stats(answer))
                && let Ok(Ok(stats)) = tokio::time::timeout(STATS_TIMEOUT, answered).await
            {
                sum.merge(&stats);
            }
        }
        sum
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.boxes.len()
    }

    /// Tells a worker of a connection before its first message.
    pub async fn stream_opened(&self, worker: WorkerIndex, stream: StreamId, queue: Arc<StreamQueue>) {
        self.insist(worker, Mail::StreamOpened(stream, queue)).await;
    }

    /// Gives a worker a message of a connection; where its mail is full, the message is lost, as a datagram would be.
    pub fn stream_message(&self, worker: WorkerIndex, flow: Flow, framing: Framing, bytes: &[u8]) {
        if let Some(mailbox) = self.boxes.get(usize::from(worker.0)) {
            mailbox.offer(Mail::Stream { flow, framing, bytes: bytes.to_vec() });
        }
    }

    /// Tells a worker that a connection is gone.
    pub async fn stream_closed(&self, worker: WorkerIndex, stream: StreamId) {
        self.insist(worker, Mail::StreamClosed(stream)).await;
    }

    /// Waits for room in a worker's mail without holding up the other connections.
    async fn insist(&self, worker: WorkerIndex, mut mail: Mail) {
        let Some(mailbox) = self.boxes.get(usize::from(worker.0)) else { return };
        loop {
            match mailbox.mails.try_send(mail) {
                Ok(()) => return mailbox.waker.wake(),
                Err(TrySendError::Full(back)) => mail = back,
                // The server goes down.
                Err(TrySendError::Disconnected(_)) => return,
            }
            mailbox.waker.wake();
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }

    /// Ends all media threads once their mail is read.
    pub fn stop(&self) {
        self.boxes.iter().for_each(|mailbox| mailbox.send(Mail::Stop));
    }
}

/// What the media threads are started from.
pub struct MediaParts {
    /// For each listen address, one socket for each worker.
    pub ports: Vec<Vec<BoundSocket>>,
    /// How many threads.
    pub workers: u8,
    /// The addresses that clients can reach.
    pub candidates: Vec<SocketAddr>,
    /// Those of the TCP side.
    pub tcp_candidates: Vec<SocketAddr>,
    /// The relay.
    pub relay: TurnConfig,
    /// Where news goes.
    pub events: mpsc::Sender<MediaEvent>,
}

/// Starts the media threads.
///
/// # Errors
/// The operating system gives no thread, event descriptor or randomness.
pub fn start(parts: MediaParts) -> io::Result<(MediaHandle, Vec<thread::JoinHandle<()>>)> {
    let mut boxes = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..parts.workers {
        let (sleeper, waker) = sleeper()?;
        let (mails, inbox) = sync_channel(MAIL_MAX);
        boxes.push(MailBox { mails, waker });
        ends.push((sleeper, inbox));
    }
    let handle = MediaHandle { boxes };
    let mut sockets: Vec<Vec<BoundSocket>> = (0..parts.workers).map(|_| Vec::new()).collect();
    for port in parts.ports {
        for (of_worker, socket) in sockets.iter_mut().zip(port) {
            of_worker.push(socket);
        }
    }
    let mut threads = Vec::new();
    for (index, ((sleeper, inbox), sockets)) in (0..parts.workers).zip(ends.into_iter().zip(sockets)) {
        let index = WorkerIndex(index);
        let open = parts.relay.mode != RelayMode::Closed;
        let relay = if open { Some(RelaySockets::new()?) } else { None };
        let config = WorkerConfig {
            index,
            workers: usize::from(parts.workers),
            candidates: parts.candidates.clone(),
            tcp_candidates: parts.tcp_candidates.clone(),
            relay: parts.relay.clone(),
        };
        let chance = Chance::new(clock::seed()?);
        let (events, others) = (parts.events.clone(), handle.clone());
        let body = move || {
            let sockets = sockets.into_iter().map(BoundSocket::open).collect::<io::Result<Vec<_>>>();
            match sockets {
                Ok(sockets) => {
                    let worker = Worker::new(config, chance, Instant::now());
                    MediaThread { relay, ..MediaThread::new(worker, sockets, inbox, sleeper, events, others) }.run();
                }
                Err(error) => tracing::error!(worker = index.0, %error, "a media thread has no socket"),
            }
        };
        threads.push(thread::Builder::new().name(format!("media-{}", index.0)).spawn(body)?);
    }
    Ok((handle, threads))
}

struct MediaThread {
    worker: Worker,
    sockets: Vec<UdpSocket>,
    /// The port of each socket, in their order.
    ports: Vec<u16>,
    inbox: Receiver<Mail>,
    sleeper: Sleeper,
    /// Sockets of the open relay.
    relay: Option<RelaySockets>,
    streams: BTreeMap<StreamId, Arc<StreamQueue>>,
    /// When the worker was told the wall clock last.
    told_clock: Option<Instant>,
    events: mpsc::Sender<MediaEvent>,
    backlog: VecDeque<MediaEvent>,
    others: MediaHandle,
    own: WorkerIndex,
    /// Counts of this floor's own, added to the worker's.
    stats: WorkerStats,
    /// Forwards whose delay is noted.
    forwards: u64,
    stopped: bool,
}

impl MediaThread {
    fn new(
        worker: Worker,
        sockets: Vec<UdpSocket>,
        inbox: Receiver<Mail>,
        sleeper: Sleeper,
        events: mpsc::Sender<MediaEvent>,
        others: MediaHandle,
    ) -> Self {
        let ports = sockets.iter().map(|socket| socket.local_addr().map_or(0, |local| local.port())).collect();
        let own = worker.index();
        let backlog = VecDeque::new();
        Self {
            worker,
            sockets,
            ports,
            inbox,
            sleeper,
            relay: None,
            streams: BTreeMap::new(),
            told_clock: None,
            events,
            backlog,
            others,
            own,
            stats: WorkerStats::default(),
            forwards: 0,
            stopped: false,
        }
    }

    fn run(mut self) {
        while !self.stopped {
            let began = Instant::now();
            self.tell_clock(began);
            self.read_mail(began);
            self.read_sockets(began);
            self.read_relay(began);
            if self.worker.next_timeout().0 <= began {
                self.worker.handle(WorkerInput::Timeout, began);
            }
            self.carry_out();
            self.note_delay(began);
            self.tell_control();
            if let Err(error) = self.wait() {
                tracing::error!(worker = self.own.0, %error, "a media thread cannot wait for its sockets");
                return;
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let timeout = self.worker.next_timeout().0.saturating_duration_since(Instant::now());
        self.sleeper.wait_with(&self.sockets, self.relay.as_ref().map(AsFd::as_fd), Some(timeout)).map(drop)
    }

    fn tell_clock(&mut self, now: Instant) {
        if self.told_clock.is_none_or(|told| now.saturating_duration_since(told) >= CLOCK_INTERVAL) {
            self.told_clock = Some(now);
            self.worker.handle(WorkerInput::Clock(clock::now()), now);
        }
    }

    fn read_mail(&mut self, now: Instant) {
        for _ in 0..MAILS_A_TURN {
            match self.inbox.try_recv() {
                Ok(Mail::Command(command)) => self.worker.handle(WorkerInput::Command(command), now),
                Ok(Mail::HandedOver { source, local, bytes }) => {
                    self.worker.handle(WorkerInput::HandedOver { source, local, bytes: &bytes }, now);
                }
                Ok(Mail::Learned { source, worker, relay }) => self.worker.handle(WorkerInput::Learned { source, worker, relay }, now),
                Ok(Mail::LeaseAsked { from, ask }) => self.worker.handle(WorkerInput::LeaseAsked { from, ask }, now),
                Ok(Mail::Lent(lease)) => self.worker.handle(WorkerInput::Lent(lease), now),
                Ok(Mail::StreamOpened(stream, queue)) => {
                    self.streams.insert(stream, queue);
                }
                Ok(Mail::Stream { flow, framing, bytes }) => {
                    self.worker.handle(WorkerInput::Stream { flow, framing, bytes: &bytes }, now);
                }
                Ok(Mail::StreamClosed(stream)) => {
                    self.streams.remove(&stream);
                    self.worker.handle(WorkerInput::StreamClosed(stream), now);
                }
                Ok(Mail::Stats(answer)) => {
                    // Nobody waits any more if this fails.
                    let _ = answer.send(self.sum());
                }
                Ok(Mail::Stop) | Err(TryRecvError::Disconnected) => {
                    self.stopped = true;
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
        // The rest comes right after the sockets' turn.
        if let Some(mailbox) = self.others.boxes.get(usize::from(self.own.0)) {
            mailbox.waker.wake();
        }
    }

    fn read_sockets(&mut self, now: Instant) {
        let Self { worker, sockets, ports, .. } = self;
        for (socket, port) in sockets.iter_mut().zip(ports) {
            let received = socket.recv(|Datagram { source, local_ip, bytes }| {
                let unspecified = if source.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0_u16; 8]) };
                let local = SocketAddr::new(local_ip.unwrap_or(unspecified), *port);
                worker.handle(WorkerInput::Datagram { source, local, bytes }, now);
            });
            if received.is_err() {
                *self.stats.dropped_datagrams.entry("receive failed").or_default() += 1;
            }
        }
    }

    /// Reads the sockets of the open relay.
    fn read_relay(&mut self, now: Instant) {
        let Self { worker, relay, .. } = self;
        if let Some(relay) = relay {
            relay.recv(|relayed, peer, bytes| worker.handle(WorkerInput::FromPeer { relayed, peer, bytes }, now));
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.worker.poll() {
            match output {
                WorkerOutput::Transmit { stream: Some(stream), bytes, .. } => match self.streams.get(&stream) {
                    Some(queue) => queue.push(bytes, Instant::now()),
                    None => *self.stats.dropped_datagrams.entry("connection closed").or_default() += 1,
                },
                WorkerOutput::Transmit { destination, local, stream: None, bytes } => {
                    let at = self.ports.iter().position(|port| *port == local.port()).unwrap_or(0);
                    let local_ip = Some(local.ip()).filter(|ip| !ip.is_unspecified());
                    if let Some(socket) = self.sockets.get_mut(at) {
                        socket.send(destination, local_ip, &bytes);
                    }
                    self.worker.recycle(bytes);
                }
                WorkerOutput::HandOver { worker, source, local, bytes } => {
                    let mailbox = self.others.boxes.get(usize::from(worker.0));
                    if !mailbox.is_some_and(|mailbox| mailbox.offer(Mail::HandedOver { source, local, bytes })) {
                        *self.stats.dropped_datagrams.entry("hand-over full").or_default() += 1;
                    }
                }
                WorkerOutput::Learned { source, relay } => {
                    let others = self.others.boxes.iter().enumerate().filter(|(index, _)| *index != usize::from(self.own.0));
                    // What is not learned now is learned from the next check's hand-over.
                    others.for_each(|(_, mailbox)| {
                        mailbox.offer(Mail::Learned { source, worker: self.own, relay });
                    });
                }
                WorkerOutput::AskLease { worker, ask } => self.leave(worker, Mail::LeaseAsked { from: self.own, ask }),
                WorkerOutput::Lend { worker, lease } => self.leave(worker, Mail::Lent(lease)),
                WorkerOutput::RelayBind { relayed } => {
                    let opened = self.relay.as_mut().is_some_and(|relay| relay.open(relayed).is_ok());
                    self.worker.handle(WorkerInput::RelayBound { relayed, opened }, Instant::now());
                }
                WorkerOutput::RelayUnbind { relayed } => {
                    if let Some(relay) = &mut self.relay {
                        relay.close(relayed);
                    }
                }
                WorkerOutput::RelayEgress { relayed, peer, bytes } => {
                    if let Some(relay) = &mut self.relay {
                        relay.send(relayed, peer, &bytes);
                    }
                    self.worker.recycle(bytes);
                }
                WorkerOutput::Event(event) => self.keep(event),
            }
        }
        for socket in &mut self.sockets {
            socket.flush();
        }
    }

    /// Leaves a mail that nobody is woken for: who does not find it in time asks again.
    fn leave(&self, worker: WorkerIndex, mail: Mail) {
        if let Some(mailbox) = self.others.boxes.get(usize::from(worker.0)) {
            let _ = mailbox.mails.try_send(mail);
        }
    }

    /// The time from the wake-up that read packets to their leaving, for each forward.
    fn note_delay(&mut self, began: Instant) {
        let sent = |stats: &WorkerStats| {
            let kinds = [crate::model::media::MediaKind::Audio, crate::model::media::MediaKind::Video];
            kinds.into_iter().map(|kind| stats.rtp_packets.get(Direction::Out, kind)).sum::<u64>()
        };
        let forwards = sent(self.worker.stats()) - self.forwards;
        if forwards > 0 {
            self.forwards += forwards;
            self.stats.forward_delay.observe_many(began.elapsed().as_secs_f64(), forwards);
        }
    }

    fn keep(&mut self, event: MediaEvent) {
        // At the bound the control core is gone for good, and its news with it.
        if self.backlog.len() < BACKLOG_MAX {
            self.backlog.push_back(event);
        }
    }

    fn tell_control(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            if let Err(error) = self.events.try_send(event) {
                if let mpsc::error::TrySendError::Full(event) = error {
                    self.backlog.push_front(event);
                }
                return;
            }
        }
    }

    fn sum(&self) -> WorkerStats {
        let mut sum = self.worker.stats().clone();
        sum.merge(&self.stats);
        sum.merge(&self.worker.relay_stats());
        if let Some(relay) = self.relay.as_ref().filter(|relay| relay.refused > 0) {
            *sum.dropped_datagrams.entry("send refused").or_default() += relay.refused;
        }
        for socket in &self.sockets {
            let stats = socket.stats();
            sum.send_batch_packets.add_counts(&stats.batch_sizes, stats.sent);
            let dropped = [
                ("oversize", stats.dropped_oversized),
                ("invalid address", stats.dropped_invalid),
                ("send queue full", stats.dropped_blocked),
                ("send refused", stats.dropped_refused),
            ];
            for (reason, count) in dropped.into_iter().filter(|(_, count)| *count > 0) {
                *sum.dropped_datagrams.entry(reason).or_default() += count;
            }
        }
        sum
    }
}
