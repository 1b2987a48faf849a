//! The way from the HTTP floor to the control core: bounded queues that never wait for a core gone.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::model::grants::Grants;
use crate::model::ids::SessionId;
use crate::model::stats::ControlStats;
use crate::node::request::{ConnId, Connect, Connected, Refusal, Reply, Request};
use crate::room::command::Signal;
use crate::room::desk::DeskSaid;
use crate::room::notice::Notice;
use crate::turn::credentials::RelayUser;

/// Calls that may wait for the control task; more are refused as [`Refusal::Busy`].
pub const CALLS_MAX: usize = 1024;
/// Notices that may wait for one client's socket before the core gives the client up.
pub const NOTICES_MAX: usize = 256;
/// How long a caller waits for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// An accepted connection, as the control task hands it out.
#[derive(Debug)]
pub struct Opened {
    /// Its id.
    pub conn: ConnId,
    /// Its session.
    pub connected: Connected,
    /// What the client is told; the task hangs up by dropping the sender.
    pub notices: mpsc::Receiver<Notice>,
}

/// An open desk, as the control task hands it out.
#[derive(Debug)]
pub struct OpenedDesk {
    /// Its id.
    pub conn: ConnId,
    /// What the person is told; the task hangs up by dropping the sender.
    pub notices: mpsc::Receiver<Notice>,
}

/// What the control task is told.
#[derive(Debug)]
pub enum ControlCall {
    /// A question or an order.
    Request(Request, oneshot::Sender<Result<Reply, Refusal>>),
    /// A client that joins or resumes.
    Connect(Box<Connect>, oneshot::Sender<Result<Opened, Refusal>>),
    /// A client's message.
    Signal(ConnId, Signal),
    /// Somebody opens a desk.
    OpenDesk(Box<Grants>, oneshot::Sender<Result<OpenedDesk, Refusal>>),
    /// Somebody says something at a desk.
    Desk(ConnId, DeskSaid),
    /// A client's socket is gone. If the queue is full, the closed notices queue says so instead.
    Closed(ConnId),
}

/// A cloneable handle to the control task.
#[derive(Clone, Debug)]
pub struct ControlHandle {
    calls: mpsc::Sender<ControlCall>,
    stats: watch::Receiver<ControlStats>,
}

impl ControlHandle {
    /// A handle with the ends that the control task keeps.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<ControlCall>, watch::Sender<ControlStats>) {
        let (calls, task) = mpsc::channel(CALLS_MAX);
        let (publish, stats) = watch::channel(ControlStats::default());
        (Self { calls, stats }, task, publish)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// The refusal; [`Refusal::Busy`] when the queue is full or no answer came within [`ANSWER_TIMEOUT`].
    pub async fn request(&self, request: Request) -> Result<Reply, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.call(ControlCall::Request(request, answer), answered).await
    }

    /// Joins or resumes. The connection's first notice is `Joined` or `Reconnected`.
    ///
    /// # Errors
    /// The refusal; [`Refusal::Busy`] when the queue is full or no answer came within [`ANSWER_TIMEOUT`].
    pub async fn connect(&self, connect: Connect) -> Result<Connection, Refusal> {
        let (answer, answered) = oneshot::channel();
        let opened = self.call(ControlCall::Connect(Box::new(connect), answer), answered).await?;
        Ok(self.accepted(opened))
    }

    /// The socket's half of what the control task opened.
    pub(crate) fn accepted(&self, opened: Opened) -> Connection {
        Connection { opened, calls: self.calls.clone() }
    }

    pub(super) async fn open_desk(&self, grants: Grants) -> Result<OpenedDesk, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.call(ControlCall::OpenDesk(Box::new(grants), answer), answered).await
    }

    pub(super) fn calls(&self) -> mpsc::Sender<ControlCall> {
        self.calls.clone()
    }

    async fn call<T>(&self, call: ControlCall, answered: oneshot::Receiver<Result<T, Refusal>>) -> Result<T, Refusal> {
        self.calls.try_send(call).map_err(|_| Refusal::Busy)?;
        match timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(answer)) => answer,
            _ => Err(Refusal::Busy),
        }
    }

    /// The numbers that the control task published last.
    #[must_use]
    pub fn stats(&self) -> ControlStats {
        self.stats.borrow().clone()
    }
}

/// One signalling connection. Dropping it tells the control task that the socket is gone; a resume may follow.
#[derive(Debug)]
pub struct Connection {
    opened: Opened,
    calls: mpsc::Sender<ControlCall>,
}

impl Connection {
    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.opened.connected.session
    }

    /// Whether a session was resumed rather than begun.
    #[must_use]
    pub fn resumed(&self) -> bool {
        self.opened.connected.resumed
    }

    /// Whom the relay knows the session as.
    #[must_use]
    pub fn relay(&self) -> RelayUser {
        self.opened.connected.relay
    }

    /// The next notice; `None` when the control task hung up. Cancel-safe.
    pub async fn notice(&mut self) -> Option<Notice> {
        self.opened.notices.recv().await
    }

    /// Passes a client's message on.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when the control task is gone or its queue is full; the socket should then be closed.
    pub fn signal(&self, signal: Signal) -> Result<(), Refusal> {
        self.calls.try_send(ControlCall::Signal(self.opened.conn, signal)).map_err(|_| Refusal::Busy)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A full queue loses nothing: the notices receiver is dropped too, which the task sees when it next sends.
        let _ = self.calls.try_send(ControlCall::Closed(self.opened.conn));
    }
}
