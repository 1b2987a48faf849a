//! The store's own thread: takes what waits as one transaction, deletes what is due once a second.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc as answers;

use super::Store;
use crate::model::audit::AuditEvent;
use crate::model::record::{Write, Written};
use crate::node::control::Ticket;

/// Batches that may wait for the disk; more are refused.
pub const BATCHES_MAX: usize = 1024;
/// Batches that one transaction takes.
const GROUP_MAX: usize = 256;
/// How often what is due is deleted, at most.
const TICK: Duration = Duration::from_millis(900);

/// Writes with the ticket that their outcome is told by.
type Batch = (Ticket, Vec<Write>);

/// The way to the store. Dropping it lets the thread write what waits, then end.
#[derive(Debug)]
pub struct StoreHandle {
    /// Absent once it is closed.
    batches: Option<SyncSender<Batch>>,
    written: answers::Receiver<(Ticket, Written)>,
}

impl StoreHandle {
    /// Hands writes over; their outcome comes by [`Self::written`]. `false` if too many wait, or the thread is gone.
    pub fn write(&self, ticket: Ticket, writes: Vec<Write>) -> bool {
        self.batches.as_ref().is_some_and(|batches| batches.try_send((ticket, writes)).is_ok())
    }

    /// The next outcome. It waits for ever if nothing was handed over; `None` if the thread is gone. Cancel-safe.
    pub async fn written(&mut self) -> Option<(Ticket, Written)> {
        self.written.recv().await
    }

    /// Takes no more writes; [`Self::written`] tells the outcomes of those that wait, then `None`.
    pub fn close(&mut self) {
        self.batches = None;
    }
}

/// Starts the thread, which notes its beginning and its end in the audit log. `clock` tells the time since 1970 UTC.
///
/// # Errors
/// The operating system gives no thread.
pub fn start(store: Store, clock: fn() -> Duration) -> io::Result<(StoreHandle, JoinHandle<()>)> {
    let (batches, waiting) = mpsc::sync_channel(BATCHES_MAX);
    // As many answers as there are batches at a time, so that the thread hardly ever waits for the control task.
    let (tell, written) = answers::channel(BATCHES_MAX);
    let thread = Builder::new().name("store".into()).spawn(move || run(store, clock, &waiting, &tell))?;
    Ok((StoreHandle { batches: Some(batches), written }, thread))
}

fn run(mut store: Store, clock: fn() -> Duration, waiting: &Receiver<Batch>, tell: &answers::Sender<(Ticket, Written)>) {
    store.note(AuditEvent::Started, clock());
    let mut due = Instant::now();
    loop {
        match waiting.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(first) => {
                let (tickets, batches): (Vec<Ticket>, Vec<Vec<Write>>) =
                    std::iter::once(first).chain(waiting.try_iter()).take(GROUP_MAX).unzip();
                for answer in tickets.into_iter().zip(store.apply(&batches, clock())) {
                    // Nobody is left to tell once the control task has ended.
                    let _ = tell.blocking_send(answer);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return store.note(AuditEvent::Stopped, clock()),
        }
        if due <= Instant::now() {
            due = Instant::now() + TICK;
            if let Err(fault) = store.purge(clock()) {
                tracing::error!(%fault, "what is due could not be deleted");
            }
        }
    }
}
