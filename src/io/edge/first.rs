//! What the first bytes of a connection say it is.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Inside;
use super::admission::Guarded;

/// Bytes of a refused request that are read, so that the system does not reset before the answer has arrived.
const DISCARD_MAX: u64 = 64 * 1024;

const HTTPS_PLEASE: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 25\r\nConnection: close\r\n\r\nThis port speaks HTTPS.\r\n";

/// What a connection starts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// A TLS handshake record (RFC 8446 §5.1).
    Tls,
    /// A method's name (RFC 9112 §3), or HTTP/2's preface (RFC 9113 §3.4).
    Http,
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
        _ => First::Other,
    }
}

/// Waits for the first bytes, which stay in the socket.
pub(super) async fn look(stream: &TcpStream) -> io::Result<First> {
    let mut bytes = [0; 2];
    let len = stream.peek(&mut bytes).await?;
    Ok(judge(&bytes[..len]))
}

/// Waits for the first bytes inside TLS, which stay in the stream.
pub(super) async fn look_inside(stream: &mut Inside) -> io::Result<First> {
    Ok(judge(stream.fill_buf().await?))
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
            (b"\x00\x01\x00\x00\x21\x12\xa4\x42", First::Other),
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
