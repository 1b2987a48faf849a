//! A stream cut anywhere gives the same messages as in one piece.

use konsil::turn::framing::{FRAME_MAX, Frame, Framing};

/// Most messages of one run.
const MESSAGES_MAX: usize = 256;

/// How many cuts, where, each as a step from the one before; then the stream.
pub fn run(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else { return };
    let (cuts, stream) = rest.split_at(rest.len().min(usize::from(*count % 32)));
    for framing in [Framing::Turn, Framing::Ice] {
        let (whole, broken) = read(framing, &mut [stream].into_iter());
        let mut parts = Vec::new();
        let mut left = stream;
        for cut in cuts {
            let (part, rest) = left.split_at(left.len().min(usize::from(*cut)));
            parts.push(part);
            left = rest;
        }
        parts.push(left);
        assert_eq!(read(framing, &mut parts.into_iter()), (whole.clone(), broken));
        assert_eq!(read(framing, &mut stream.chunks(1)), (whole.clone(), broken));
        written(framing, &whole);
    }
    // The first bytes say what a stream is; more of them do not change it.
    assert_eq!(Framing::of(stream), Framing::of(&stream[..stream.len().min(10)]));
}

/// The messages of a stream that comes in parts, and whether it is of no use in the end.
fn read(framing: Framing, parts: &mut dyn Iterator<Item = &[u8]>) -> (Vec<Vec<u8>>, bool) {
    let (mut bytes, mut messages) = (Vec::new(), Vec::new());
    for part in parts {
        bytes.extend_from_slice(part);
        loop {
            match framing.next(&bytes) {
                Frame::Whole { start, end, next } => {
                    assert!(start <= end && end <= next && next <= bytes.len() && end - start <= FRAME_MAX && next > 0);
                    messages.push(bytes[start..end].to_vec());
                    bytes.drain(..next);
                }
                // Whoever sends no end of a message is not waited for without bound.
                Frame::Partial if bytes.len() < FRAME_MAX + 8 => break,
                Frame::Partial => panic!("{} bytes and no message", bytes.len()),
                Frame::Broken => return (messages, true),
            }
            if messages.len() >= MESSAGES_MAX {
                return (messages, false);
            }
        }
    }
    (messages, false)
}

/// What was read is read again once it has been written.
fn written(framing: Framing, messages: &[Vec<u8>]) {
    let mut stream = Vec::new();
    messages.iter().for_each(|message| framing.write(message, &mut stream));
    assert_eq!(read(framing, &mut [stream.as_slice()].into_iter()), (messages.to_vec(), false));
}
