//! What the first bytes of a connection say it is.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Inside;
use super::admission::Guarded;
use crate::turn::framing::Framing;

/// Bytes of a refused request that are read, so that the system does not reset before the answer has arrived.
const DISCARD_MAX: u64 = 64 * 1024;

/// Bytes that tell STUN from ICE: up to the end of the cookie behind a length.
const TELLING: usize = 10;
/// How long a connection is left alone that has said too little.
const PEEK_PAUSE: Duration = Duration::from_millis(10);

const HTTPS_PLEASE: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 25\r\nConnection: close\r\n\r\nThis port speaks HTTPS.\r\n";

/// What a connection starts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// A TLS handshake record (RFC 8446 §5.1).
    Tls,
    /// A method's name (RFC 9112 §3), or HTTP/2's preface (RFC 9113 §3.4).
    Http,
    /// A message of STUN or TURN, or one of ICE behind its length (RFC 8656 §3.1, RFC 6544 §3).
    Media(Framing),
    /// Too little to tell.
    Unsure,
    /// Anything else.
    Other,
    /// The end.
    Nothing,
}

fn judge(bytes: &[u8]) -> First {
    match bytes {
        [] => First::Nothing,
        [0x16] | [0x16, 3, ..] => First::Tls,
        [b'A'..=b'Z', ..] => First::Http,
        // STUN's type and the length before a message of ICE both begin so.
        [0..=3, ..] if bytes.len() < TELLING => First::Unsure,
        _ => Framing::of(bytes).map_or(First::Other, First::Media),
    }
}

/// Waits for the first bytes, which stay in the socket.
pub(super) async fn look(stream: &TcpStream) -> io::Result<First> {
    let mut bytes = [0; TELLING];
    loop {
        let len = stream.peek(&mut bytes).await?;
        match judge(&bytes[..len]) {
            // What was peeked at stays readable, so that only time can be waited for.
            First::Unsure => sleep(PEEK_PAUSE).await,
            first => return Ok(first),
        }
    }
}

/// Waits for the first bytes inside TLS, which stay in the stream.
pub(super) async fn look_inside(stream: &mut Inside) -> io::Result<First> {
    match stream.fill_buf().await? {
        // There is no ICE inside TLS.
        [0..=3, ..] => Ok(First::Media(Framing::Turn)),
        bytes => Ok(judge(bytes)),
    }
}

/// Tells somebody who speaks HTTP in clear what this port speaks.
pub(super) async fn refuse_clear_http(mut stream: Guarded<TcpStream>) -> io::Result<()> {
    stream.write_all(HTTPS_PLEASE).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(DISCARD_MAX), &mut tokio::io::sink()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_are_told_apart() {
        for (bytes, first) in [
            (&b""[..], First::Nothing),
            (b"\x16", First::Tls),
            (b"\x16\x03\x01", First::Tls),
            (b"\x16\x02", First::Other),
            (b"GET / HTTP/1.1", First::Http),
            (b"get /", First::Other),
            (b"\x00\x01\x00\x00\x21\x12\xa4\x42", First::Unsure),
            (b"\x00\x01\x00\x00\x21\x12\xa4\x42ab", First::Media(Framing::Turn)),
            (b"\x00\x60\x00\x01\x00\x4c\x21\x12\xa4\x42", First::Media(Framing::Ice)),
            (b"\x00\x01\x00\x00\x21\x12\xa4\x43ab", First::Other),
            (b"\x80\x2e\x01", First::Other),
        ] {
            assert_eq!(judge(bytes), first, "{bytes:?}");
        }
    }

    #[test]
    fn refusal_declares_its_length() {
        let text = std::str::from_utf8(HTTPS_PLEASE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}
