//! The way from a desk's WebSocket to the control core.

use tokio::sync::mpsc;

use super::control::{ControlCall, ControlHandle, OpenedDesk};
use crate::model::grants::Grants;
use crate::node::request::{ConnId, Refusal};
use crate::room::desk::{DeskNotice, DeskSaid};
use crate::room::notice::Notice;

/// One connection to a room's desk. Dropping it tells the control task that the socket is gone.
#[derive(Debug)]
pub struct DeskConnection {
    conn: ConnId,
    notices: mpsc::Receiver<Notice>,
    calls: mpsc::Sender<ControlCall>,
}

impl ControlHandle {
    /// Opens a desk.
    ///
    /// # Errors
    /// The refusal; [`Refusal::Busy`] when the queue is full or no answer came in time.
    pub async fn desk(&self, grants: Grants) -> Result<DeskConnection, Refusal> {
        let opened = self.open_desk(grants).await?;
        Ok(self.desk_of(opened))
    }

    /// The socket's half of what the control task opened.
    pub(crate) fn desk_of(&self, OpenedDesk { conn, notices }: OpenedDesk) -> DeskConnection {
        DeskConnection { conn, notices, calls: self.calls() }
    }
}

impl DeskConnection {
    /// What the person is told next; `None` when the control task hung up. Cancel-safe.
    pub async fn notice(&mut self) -> Option<DeskNotice> {
        loop {
            if let Notice::Desk(notice) = self.notices.recv().await? {
                return Some(notice);
            }
        }
    }

    /// Passes on what the person says.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when the control task is gone or its queue is full; the socket should then be closed.
    pub fn say(&self, said: DeskSaid) -> Result<(), Refusal> {
        self.calls.try_send(ControlCall::Desk(self.conn, said)).map_err(|_| Refusal::Busy)
    }
}

impl Drop for DeskConnection {
    fn drop(&mut self) {
        // A full queue loses nothing: the notices receiver is dropped too, which the task sees when it next sends.
        let _ = self.calls.try_send(ControlCall::Closed(self.conn));
    }
}
