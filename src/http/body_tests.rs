//! Bodies that are slow, broken, compressed or refused.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;

use super::router;
use super::testing::{admin, scripted, send};
use crate::node::request::Reply;

/// Some frames, then what stands at its end; it counts what was read.
struct Script {
    frames: usize,
    end: Option<Poll<()>>,
    read: Arc<AtomicUsize>,
}

impl HttpBody for Script {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.frames > 0 {
            self.frames -= 1;
            self.read.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))));
        }
        match self.end {
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(())) => Poll::Ready(Some(Err(std::io::Error::other("broken")))),
            None => Poll::Ready(None),
        }
    }
}

fn script(frames: usize, end: Option<Poll<()>>) -> (Body, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    (Body::new(Script { frames, end, read: Arc::clone(&read) }), read)
}

#[tokio::test(start_paused = true)]
async fn bodies_must_come_whole_and_in_time() {
    let bearer = format!("Bearer {}", admin());
    let router = router(scripted(|_| Ok(Reply::Done)).0);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    for (end, status, slug) in [(Poll::Pending, 408, "too-slow"), (Poll::Ready(()), 400, "broken-body")] {
        let answer = send(&router, "POST /v1/rooms", &headers, script(2, Some(end)).0).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug), "{}", answer.text());
    }
    let long = send(&router, "POST /v1/rooms", &headers, script(100_000, None).0).await;
    assert_eq!((long.status.as_u16(), long.problem().as_str()), (413, "too-large"));
}

#[tokio::test]
async fn compressed_bodies_are_refused_by_name() {
    let bearer = format!("Bearer {}", admin());
    let router = router(scripted(|_| Ok(Reply::Done)).0);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("content-encoding", "gzip")];
    let answer = send(&router, "POST /v1/rooms", &headers, "{}").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (415, "unsupported-encoding"));
}

#[tokio::test]
async fn refused_bodies_are_read_to_their_end() {
    let router = router(scripted(|_| Ok(Reply::Done)).0);
    let (body, read) = script(5, None);
    assert_eq!(send(&router, "POST /v1/rooms", &[], body).await.status, 401);
    let whole = async {
        while read.load(Ordering::Relaxed) < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), whole).await.expect("the rest is read");
}
