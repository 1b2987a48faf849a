//! The control task: one thread that drives the control core for HTTP, workers, disk.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::model::record::{Write, Written};
use crate::model::stats::ControlStats;
use crate::node::control::{Caller, Control, ControlInput, ControlOutput, Ticket};
use crate::node::request::{ConnId, Connected, Refusal, Reply};
use crate::room::media::MediaEvent;
use crate::room::notice::Notice;

use super::clock;
use super::control::{ControlCall, NOTICES_MAX, Opened, OpenedDesk};
use super::media::MediaHandle;
use super::store::Store;

/// How often the numbers for the metrics are made, and lost sockets looked for.
const TICK: Duration = Duration::from_millis(250);

/// What the control task is started from.
pub struct TaskParts {
    /// The core.
    pub control: Control,
    /// Where rooms are written.
    pub store: Store,
    /// The workers.
    pub media: MediaHandle,
    /// Calls from the HTTP floor.
    pub calls: mpsc::Receiver<ControlCall>,
    /// News from the workers.
    pub events: mpsc::Receiver<MediaEvent>,
    /// Where numbers are published.
    pub stats: watch::Sender<ControlStats>,
    /// Tells the task to send everybody home; it ends when that is done.
    pub shutdown: oneshot::Receiver<()>,
}

/// Starts the control task on a thread of its own: it writes to disk, which no async thread should.
///
/// # Errors
/// The operating system gives no thread or no event queue.
pub fn start(parts: TaskParts) -> io::Result<thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    thread::Builder::new().name("control".into()).spawn(move || runtime.block_on(ControlTask::new(parts).run()))
}

/// Who waits for an answer.
enum Asked {
    Request(oneshot::Sender<Result<Reply, Refusal>>),
    Connect(ConnId, oneshot::Sender<Result<Opened, Refusal>>, mpsc::Receiver<Notice>),
    Desk(ConnId, oneshot::Sender<Result<OpenedDesk, Refusal>>, mpsc::Receiver<Notice>),
}

struct ControlTask {
    parts: TaskParts,
    asked: BTreeMap<Caller, Asked>,
    notices: BTreeMap<ConnId, mpsc::Sender<Notice>>,
    last_id: u64,
    over: bool,
}

impl ControlTask {
    fn new(parts: TaskParts) -> Self {
        Self { parts, asked: BTreeMap::new(), notices: BTreeMap::new(), last_id: 0, over: false }
    }

    async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.carry_out();
        while !self.over {
            let due = self.parts.control.next_timeout().map_or_else(|| Instant::now() + TICK, |(due, _)| due);
            tokio::select! {
                call = self.parts.calls.recv() => match call {
                    Some(call) => self.call(call),
                    None => self.over = true,
                },
                Some(event) = self.parts.events.recv() => self.news(event),
                () = sleep_until(due.into()) => self.feed(ControlInput::Timeout),
                _ = tick.tick() => self.tick(),
                _ = &mut self.parts.shutdown => {
                    self.feed(ControlInput::Shutdown);
                    self.over = true;
                }
            }
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn call(&mut self, call: ControlCall) {
        match call {
            ControlCall::Request(request, answer) => {
                let caller = Caller(self.next_id());
                self.asked.insert(caller, Asked::Request(answer));
                self.feed(ControlInput::Request(caller, Box::new(request)));
            }
            ControlCall::Connect(connect, answer) => {
                let (caller, conn) = (Caller(self.next_id()), ConnId(self.next_id()));
                let (sender, receiver) = mpsc::channel(NOTICES_MAX);
                self.notices.insert(conn, sender);
                self.asked.insert(caller, Asked::Connect(conn, answer, receiver));
                self.feed(ControlInput::Connect(caller, conn, connect));
            }
            ControlCall::OpenDesk(grants, answer) => {
                let (caller, conn) = (Caller(self.next_id()), ConnId(self.next_id()));
                let (sender, receiver) = mpsc::channel(NOTICES_MAX);
                self.notices.insert(conn, sender);
                self.asked.insert(caller, Asked::Desk(conn, answer, receiver));
                self.feed(ControlInput::OpenDesk(caller, conn, grants));
            }
            ControlCall::Desk(conn, said) => self.feed(ControlInput::Desk(conn, said)),
            ControlCall::Signal(conn, signal) => self.feed(ControlInput::Signal(conn, signal)),
            ControlCall::Closed(conn) => self.closed(conn),
        }
    }

    fn news(&mut self, event: MediaEvent) {
        match &event {
            MediaEvent::RoomFault { .. } => tracing::error!("a room ended by a fault of ours; its clients are told to come back"),
            MediaEvent::Refused { why, .. } => tracing::info!(why, "a client's SDP was refused"),
            MediaEvent::Unsealed { .. } => tracing::warn!("a track without encryption was taken down in a room that requires it"),
            MediaEvent::Lost { .. } => tracing::debug!("a client is gone without a word"),
            _ => {}
        }
        self.feed(ControlInput::Media(event));
    }

    fn closed(&mut self, conn: ConnId) {
        if self.notices.remove(&conn).is_some() {
            self.feed(ControlInput::Closed(conn));
        }
    }

    fn feed(&mut self, input: ControlInput) {
        self.parts.control.handle(input, clock::now());
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.parts.control.poll() {
            match output {
                ControlOutput::Reply(caller, reply) => self.reply(caller, reply),
                ControlOutput::Connected(caller, result) => self.connected(caller, result),
                ControlOutput::Notice(conn, notice) => self.tell(conn, notice),
                ControlOutput::HangUp(conn) => {
                    self.notices.remove(&conn);
                }
                ControlOutput::Media(worker, command) => self.parts.media.command(worker, command),
                ControlOutput::Persist(ticket, writes) => self.persist(ticket, &writes),
            }
        }
    }

    fn reply(&mut self, caller: Caller, reply: Result<Reply, Refusal>) {
        // A caller that gave up waiting is no fault.
        match self.asked.remove(&caller) {
            Some(Asked::Request(answer)) => drop(answer.send(reply)),
            Some(Asked::Desk(conn, answer, notices)) => {
                if reply.is_err() {
                    self.notices.remove(&conn);
                }
                drop(answer.send(reply.map(|_| OpenedDesk { conn, notices })));
            }
            Some(Asked::Connect(..)) | None => {}
        }
    }

    fn connected(&mut self, caller: Caller, result: Result<Connected, Refusal>) {
        let Some(Asked::Connect(conn, answer, notices)) = self.asked.remove(&caller) else { return };
        match &result {
            Ok(connected) => tracing::debug!(resumed = connected.resumed, "a client joined"),
            Err(refusal) => {
                tracing::info!(%refusal, "a client was refused");
                self.notices.remove(&conn);
            }
        }
        if let Err(Ok(_)) = answer.send(result.map(|connected| Opened { conn, connected, notices })) {
            // The socket went while the join was under way; its notices queue is closed, which `tell` sees.
            tracing::debug!("a client left while it joined");
        }
    }

    /// A client whose socket takes nothing for so long is given up; it may resume.
    fn tell(&mut self, conn: ConnId, notice: Notice) {
        if self.notices.get(&conn).is_some_and(|sender| sender.try_send(notice).is_err()) {
            self.notices.remove(&conn);
            self.parts.control.handle(ControlInput::Closed(conn), clock::now());
        }
    }

    fn persist(&mut self, ticket: Ticket, writes: &[Write]) {
        let written = match self.parts.store.apply(writes) {
            Ok(()) => Written::Durably,
            Err(error) => {
                tracing::error!(%error, "the store could not be written");
                Written::Failed
            }
        };
        self.parts.control.handle(ControlInput::Persisted(ticket, written), clock::now());
    }

    fn tick(&mut self) {
        let gone: Vec<ConnId> = self.notices.iter().filter(|(_, sender)| sender.is_closed()).map(|(conn, _)| *conn).collect();
        gone.into_iter().for_each(|conn| self.closed(conn));
        self.parts.stats.send_replace(self.parts.control.stats());
    }
}
