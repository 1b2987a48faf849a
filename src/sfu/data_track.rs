//! Packets of data tracks: which track one is of, whether it is sealed, under which number it goes on.

/// The largest packet taken, in bytes; livekit-client cuts frames into packets of 16 000.
pub const PACKET_MAX: usize = 16 * 1024;

/// Bytes before the extensions.
const HEADER: usize = 12;
/// Where the track's number stands.
const HANDLE: std::ops::Range<usize> = 2..4;
/// Bits of the first byte that name the version, which is 0.
const VERSION: u8 = 0xe0;
/// The bit of the first byte that says that extensions follow.
const EXTENDED: u8 = 0x04;
/// The extension of sealed frames: index of the key, then the initialisation vector.
const SEAL: u8 = 1;
const SEAL_BYTES: usize = 13;

/// What the head of a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The sender's number for the track, never 0.
    pub handle: u16,
    /// Whether it says how its content is sealed end to end.
    pub sealed: bool,
}

/// Reads the head of a packet. `None` for what no receiver could read: another version, no number, a head cut short, or
/// more than [`PACKET_MAX`] bytes.
#[must_use]
pub fn head(packet: &[u8]) -> Option<Head> {
    let (head, rest) = packet.split_first_chunk::<HEADER>().filter(|_| packet.len() <= PACKET_MAX)?;
    let [flags, _, high, low, ..] = *head;
    let handle = u16::from_be_bytes([high, low]);
    if flags & VERSION != 0 || handle == 0 {
        return None;
    }
    let sealed = flags & EXTENDED != 0 && is_sealed(rest)?;
    Some(Head { handle, sealed })
}

/// Looks through the extensions: their length in words less one, then each with its number and its length in bytes.
fn is_sealed(rest: &[u8]) -> Option<bool> {
    let (words, rest) = rest.split_first_chunk::<2>()?;
    let mut list = rest.get(..usize::from(u16::from_be_bytes(*words)) * 4 + 2)?;
    let mut sealed = false;
    // What follows a zero fills the last word.
    while let [kind @ (1..), tail @ ..] = list {
        let (bytes, tail) = tail.split_first()?;
        let (content, tail) = tail.split_at_checked(usize::from(*bytes))?;
        sealed |= *kind == SEAL && content.len() == SEAL_BYTES;
        list = tail;
    }
    Some(sealed)
}

/// Writes a receiver's number for the track into a packet. What has no head stays as it is.
pub fn renumber(packet: &mut [u8], handle: u16) {
    if let Some(place) = packet.get_mut(HANDLE) {
        place.copy_from_slice(&handle.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    /// A packet with these extensions, filled to whole words.
    fn packet(handle: u16, extensions: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0x18, 0, 0, 0, 0, 7, 0, 8, 0, 0, 0, 9];
        renumber(&mut bytes, handle);
        let list: Vec<u8> =
            extensions.iter().flat_map(|(kind, content)| [&[*kind, u8::try_from(content.len()).unwrap()], *content].concat()).collect();
        if !list.is_empty() {
            bytes[0] |= EXTENDED;
            let words = (list.len() + 2).div_ceil(4);
            bytes.extend(u16::try_from(words - 1).unwrap().to_be_bytes());
            bytes.extend(&list);
            bytes.resize(HEADER + words * 4, 0);
        }
        bytes.extend(b"content");
        bytes
    }

    #[test]
    fn heads_are_read() {
        assert_eq!(head(&packet(5, &[])), Some(Head { handle: 5, sealed: false }));
        assert_eq!(head(&packet(65_535, &[(2, &[0; 8])])), Some(Head { handle: 65_535, sealed: false }));
        assert_eq!(head(&packet(1, &[(2, &[0; 8]), (SEAL, &[0; SEAL_BYTES])])), Some(Head { handle: 1, sealed: true }));
        assert_eq!(head(&packet(1, &[(SEAL, &[0; 4])])), Some(Head { handle: 1, sealed: false }), "no vector");
    }

    #[test]
    fn a_number_is_all_that_changes() {
        let mut changed = packet(5, &[(SEAL, &[3; SEAL_BYTES])]);
        renumber(&mut changed, 700);
        assert_eq!(changed, packet(700, &[(SEAL, &[3; SEAL_BYTES])]));
        renumber(&mut [0; 3], 1);
    }

    #[test]
    fn what_nobody_could_read_is_nothing() {
        let mut newer = packet(5, &[]);
        newer[0] |= 0x20;
        let sealed = packet(5, &[(SEAL, &[0; SEAL_BYTES])]);
        for bad in [&newer, &packet(0, &[]), &sealed[..=HEADER], &sealed[..HEADER + 6], &sealed[..HEADER - 1], &[]] {
            assert_eq!(head(bad), None);
        }
        let mut longer = packet(5, &[(9, &[0; 4])]);
        longer[HEADER + 3] = 250;
        assert_eq!(head(&longer), None, "an extension ends behind all of them");
        let mut large = packet(5, &[]);
        large.resize(PACKET_MAX, 0);
        assert!(head(&large).is_some());
        large.push(0);
        assert_eq!(head(&large), None);
    }

    #[test]
    fn any_bytes_are_read_without_harm() {
        let (mut dice, whole) = (Dice::new(4), packet(5, &[(2, &[0; 8]), (SEAL, &[0; SEAL_BYTES])]));
        let mut read = 0;
        for _ in 0..20_000 {
            let mut bytes = if dice.percent(70) { whole.clone() } else { dice.bytes(40) };
            for _ in 0..dice.below(4) {
                if let Some(byte) = bytes.get_mut(dice.index(40)) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            read += u32::from(head(&bytes).is_some());
        }
        assert!(read > 1_000);
    }
}
