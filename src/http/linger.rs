//! Request bodies that nobody read to their end are read to it all the same.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long the rest of a refused body is waited for.
const LINGER: Duration = Duration::from_secs(2);
/// Most bytes of it that are read.
const LINGER_MAX: usize = 4 * 1024 * 1024;

/// A body whose rest is read once it is dropped: dropped halfway, it makes HTTP/2 reset the stream, and clients such as
/// curl 7.88 lose the answer with it.
struct Lingering(Option<Body>);

/// Makes a request's body linger.
pub fn linger(request: axum::extract::Request) -> axum::extract::Request {
    request.map(|body| Body::new(Lingering(Some(body))))
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.0.as_mut() {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(LINGER, drain(body)));
        }
    }
}

async fn drain(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > LINGER_MAX {
            return;
        }
    }
}
