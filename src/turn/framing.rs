//! Messages in a stream of bytes: TURN's own lengths, or those of RFC 4571 for ICE over TCP.

/// Longest message in a stream, in bytes: what a datagram holds, with the headers of ChannelData or STUN.
pub const FRAME_MAX: usize = 2_048;

/// How a stream is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// STUN messages and ChannelData, each of which says its own length (RFC 8656 §3.1, §12.5).
    Turn,
    /// Two bytes of length before each message (RFC 4571 §2, RFC 6544 §3).
    Ice,
}

/// What a stream has next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Not a whole message yet.
    Partial,
    /// A message stands at `start..end`; what follows it begins at `next`.
    Whole {
        /// Where it begins.
        start: usize,
        /// Where it ends.
        end: usize,
        /// Where the next one begins: padding may lie between.
        next: usize,
    },
    /// No message can begin so, or it is longer than [`FRAME_MAX`]: the stream is of no use any more.
    Broken,
}

const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Bytes of a STUN header (RFC 8489 §5).
const STUN_HEADER: usize = 20;
/// Bytes of a ChannelData header (RFC 8656 §12.4).
const CHANNEL_HEADER: usize = 4;

impl Framing {
    /// What kind of stream begins with these bytes. `None` if neither, or while there are too few.
    #[must_use]
    pub fn of(first: &[u8]) -> Option<Self> {
        match first {
            // A STUN request, for the cookie stands where it belongs.
            [0..=3, _, _, _, cookie @ ..] if cookie.starts_with(&MAGIC) => Some(Self::Turn),
            [_, _, 0..=3, _, _, _, cookie @ ..] if cookie.starts_with(&MAGIC) => Some(Self::Ice),
            _ => None,
        }
    }

    /// Looks at the beginning of what has come in.
    #[must_use]
    pub fn next(self, bytes: &[u8]) -> Frame {
        let whole = |start: usize, end: usize, next: usize| match end {
            _ if end - start > FRAME_MAX => Frame::Broken,
            _ if bytes.len() < next => Frame::Partial,
            _ => Frame::Whole { start, end, next },
        };
        match (self, bytes) {
            (Self::Ice, [high, low, ..]) => {
                let end = 2 + usize::from(u16::from_be_bytes([*high, *low]));
                whole(2, end, end)
            }
            (Self::Turn, [0..=3, _, high, low, ..]) => {
                let end = STUN_HEADER + usize::from(u16::from_be_bytes([*high, *low]));
                let unaligned = !end.is_multiple_of(4) || bytes.get(4..8).is_some_and(|cookie| cookie != MAGIC);
                if unaligned { Frame::Broken } else { whole(0, end, end) }
            }
            (Self::Turn, [0x40..=0x7f, _, high, low, ..]) => {
                let end = CHANNEL_HEADER + usize::from(u16::from_be_bytes([*high, *low]));
                whole(0, end, end.next_multiple_of(4))
            }
            (Self::Turn, [4..=0x3f | 0x80.., ..]) => Frame::Broken,
            _ => Frame::Partial,
        }
    }

    /// Appends a message as it stands in the stream.
    pub fn write(self, message: &[u8], out: &mut Vec<u8>) {
        // Longer messages than the length can say do not come up: datagrams are shorter.
        let Ok(len) = u16::try_from(message.len()) else { return };
        if self == Self::Ice {
            out.extend(len.to_be_bytes());
        }
        out.extend(message);
        if self == Self::Turn {
            // In streams ChannelData is padded (RFC 8656 §12.5); STUN needs none.
            out.resize(out.len() + message.len().next_multiple_of(4) - message.len(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun(body: usize) -> Vec<u8> {
        let mut message = vec![0, 1];
        message.extend(u16::try_from(body).unwrap().to_be_bytes());
        message.extend(MAGIC);
        message.resize(STUN_HEADER + body, 7);
        message
    }

    fn channel(len: usize) -> Vec<u8> {
        let mut message = vec![0x40, 1];
        message.extend(u16::try_from(len).unwrap().to_be_bytes());
        message.resize(CHANNEL_HEADER + len, 9);
        message
    }

    /// Cuts `stream` as it would come in, a byte at a time.
    fn cut(framing: Framing, stream: &[u8]) -> Vec<Vec<u8>> {
        let (mut bytes, mut messages) = (Vec::new(), Vec::new());
        for byte in stream {
            bytes.push(*byte);
            while let Frame::Whole { start, end, next } = framing.next(&bytes) {
                messages.push(bytes[start..end].to_vec());
                bytes.drain(..next);
            }
            assert_ne!(framing.next(&bytes), Frame::Broken);
        }
        assert!(bytes.is_empty());
        messages
    }

    #[test]
    fn what_is_written_is_read_again() {
        let messages = [stun(0), channel(1), channel(4), stun(8), channel(0), channel(3), channel(1_200)];
        for framing in [Framing::Turn, Framing::Ice] {
            let mut stream = Vec::new();
            messages.iter().for_each(|message| framing.write(message, &mut stream));
            assert_eq!(cut(framing, &stream), messages);
        }
    }

    #[test]
    fn streams_are_told_apart_by_the_cookie() {
        let mut framed = Vec::new();
        Framing::Ice.write(&stun(8), &mut framed);
        assert_eq!(Framing::of(&stun(8)), Some(Framing::Turn));
        assert_eq!(Framing::of(&framed), Some(Framing::Ice));
        assert_eq!(Framing::of(&stun(8)[..7]), None);
        assert_eq!(Framing::of(b"GET / HTTP/1.1"), None);
        assert_eq!(Framing::of(&channel(100)), None);
    }

    #[test]
    fn streams_that_lost_their_way_are_broken() {
        assert_eq!(Framing::Turn.next(&[0x80, 0]), Frame::Broken);
        assert_eq!(Framing::Turn.next(&[0x20, 0]), Frame::Broken);
        assert_eq!(Framing::Turn.next(&stun(3)), Frame::Broken, "lengths of STUN are multiples of four");
        assert_eq!(Framing::Turn.next(&[0, 1, 0, 0, 1, 2, 3, 4]), Frame::Broken, "no cookie");
        assert_eq!(Framing::Turn.next(&channel(FRAME_MAX)), Frame::Broken);
        assert_eq!(Framing::Ice.next(&[0xff, 0xff]), Frame::Broken);
        assert_eq!(Framing::Turn.next(&[]), Frame::Partial);
        assert_eq!(Framing::Ice.next(&[0]), Frame::Partial);
    }
}
