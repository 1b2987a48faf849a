//! One TCP or TLS connection with media in it: messages in to the workers, a bounded queue of messages out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::model::ids::WorkerIndex;
use crate::node::route::named_worker;
use crate::turn::Flow;
use crate::turn::framing::{Frame, Framing};

use super::media::MediaHandle;

/// Media that waited so long for a slow connection is dropped, oldest first: late sound is worse than none.
pub const LATENESS_MAX: Duration = Duration::from_millis(200);
/// Bytes that wait at most, whatever their age: 200 ms at 20 Mbit/s.
pub const WAITING_MAX: usize = 512 * 1024;
/// A connection without a message for so long is closed: a minute more than an allocation lives without refresh.
pub const SILENCE_MAX: Duration = Duration::from_mins(11);
/// Bytes written at a time; what lies in the kernel or in TLS can no longer be dropped.
const WRITE_MAX: usize = 8 * 1024;
/// Bytes read at a time.
const READ_MAX: usize = 16 * 1024;

/// What waits to be written to one connection.
#[derive(Debug, Default)]
pub struct StreamQueue {
    waiting: Mutex<Waiting>,
    pushed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    dropped: u64,
}

impl Waiting {
    fn drop_late(&mut self, now: Instant) {
        while let Some((since, bytes)) = self.messages.front() {
            if self.bytes <= WAITING_MAX && now.saturating_duration_since(*since) <= LATENESS_MAX {
                return;
            }
            self.bytes -= bytes.len();
            self.dropped += 1;
            self.messages.pop_front();
        }
    }
}

impl StreamQueue {
    /// Queues a message; what waited too long gives way to it.
    pub fn push(&self, bytes: Vec<u8>, now: Instant) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.bytes += bytes.len();
        waiting.messages.push_back((now, bytes));
        waiting.drop_late(now);
        drop(waiting);
        self.pushed.notify_one();
    }

    /// Takes what may leave now into `out`, framed, about 8 KiB at most.
    pub fn take(&self, framing: Framing, now: Instant, out: &mut Vec<u8>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.drop_late(now);
        while out.len() < WRITE_MAX
            && let Some((_, bytes)) = waiting.messages.pop_front()
        {
            waiting.bytes -= bytes.len();
            framing.write(&bytes, out);
        }
    }

    /// How many messages gave way so far.
    pub fn dropped(&self) -> u64 {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }
}

/// Carries messages between a connection and the workers until one side ends it.
///
/// Returns whether the other side kept to the framing.
pub async fn serve<S>(stream: S, flow: Flow, framing: Framing, media: MediaHandle) -> bool
where
    S: AsyncRead + AsyncWrite + Send,
{
    let queue = Arc::new(StreamQueue::default());
    let (reader, writer) = tokio::io::split(stream);
    let mut desk = Desk { flow, framing, media, queue: Arc::clone(&queue), worker: None };
    let kept = tokio::select! {
        kept = desk.read(reader) => kept,
        () = write(writer, framing, &queue) => true,
    };
    desk.close().await;
    kept
}

/// Where a connection's messages are handed in.
struct Desk {
    flow: Flow,
    framing: Framing,
    media: MediaHandle,
    queue: Arc<StreamQueue>,
    /// The worker that has the connection's peer or allocation.
    worker: Option<WorkerIndex>,
}

impl Desk {
    async fn read(&mut self, mut reader: impl AsyncRead + Unpin) -> bool {
        let mut bytes = Vec::with_capacity(READ_MAX);
        loop {
            match timeout(SILENCE_MAX, reader.read_buf(&mut bytes)).await {
                Ok(Ok(more)) if more > 0 => {}
                _ => return true,
            }
            let mut begin = 0;
            loop {
                match self.framing.next(&bytes[begin..]) {
                    Frame::Whole { start, end, next } => {
                        self.hand_in(&bytes[begin + start..begin + end]).await;
                        begin += next;
                    }
                    Frame::Partial => break,
                    Frame::Broken => return false,
                }
            }
            // A message is shorter than the buffer, so that there is always room for the rest of it.
            bytes.drain(..begin);
        }
    }

    async fn hand_in(&mut self, message: &[u8]) {
        let workers = self.media.workers();
        let worker = named_worker(message, workers).or(self.worker).unwrap_or(WorkerIndex(0));
        if self.worker != Some(worker) {
            self.close().await;
            if let Some(stream) = self.flow.stream {
                self.media.stream_opened(worker, stream, Arc::clone(&self.queue)).await;
            }
            self.worker = Some(worker);
        }
        self.media.stream_message(worker, self.flow, self.framing, message);
    }

    async fn close(&mut self) {
        if let (Some(worker), Some(stream)) = (self.worker.take(), self.flow.stream) {
            self.media.stream_closed(worker, stream).await;
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, framing: Framing, queue: &StreamQueue) {
    let mut out = Vec::with_capacity(2 * WRITE_MAX);
    loop {
        queue.take(framing, Instant::now(), &mut out);
        if out.is_empty() {
            queue.pushed.notified().await;
            continue;
        }
        if writer.write_all(&out).await.is_err() || writer.flush().await.is_err() {
            return;
        }
        out.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_messages_give_way_oldest_first() {
        let queue = StreamQueue::default();
        let start = Instant::now();
        for n in 0..10_u8 {
            queue.push(vec![0x40, n, 0, 0], start + Duration::from_millis(30) * n.into());
        }
        let mut out = Vec::new();
        queue.take(Framing::Turn, start + Duration::from_millis(270), &mut out);
        let left: Vec<u8> = out.chunks(4).map(|message| message[1]).collect();
        assert_eq!((left, queue.dropped()), ((3..10).collect(), 3));
        out.clear();
        queue.take(Framing::Turn, start, &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn bytes_are_bounded_at_any_age() {
        let queue = StreamQueue::default();
        let now = Instant::now();
        for _ in 0..1_000 {
            queue.push(vec![0; 1_200], now);
        }
        let waiting = queue.waiting.lock().unwrap();
        assert!(waiting.bytes <= WAITING_MAX && waiting.bytes > WAITING_MAX - 1_200);
        assert_eq!(waiting.bytes, waiting.messages.iter().map(|(_, bytes)| bytes.len()).sum::<usize>());
    }
}
