//! Just enough SRTP for a bare loop: AES-128-GCM over an RTP packet (RFC 7714 §8).

use std::io;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes before the payload: the RTP header and one extension of two words, as audio levels and
/// transport-wide sequence numbers need.
pub const HEADER: usize = 12 + 4 + 8;
/// Bytes that sealing appends.
pub const TAG: usize = 16;

/// The key that one person shares with the server, for both directions.
pub struct Cipher {
    key: LessSafeKey,
    salt: [u8; 12],
}

/// Writes the header of the first packets of a stream (the rollover counter stays 0).
pub fn write_header(packet: &mut [u8], sequence: u16, ssrc: u32) {
    packet[..HEADER].fill(0);
    packet[0] = 0x90;
    packet[1] = 96;
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    packet[12..16].copy_from_slice(&[0xBE, 0xDE, 0, 2]);
}

impl Cipher {
    /// The key of person `number`.
    pub fn new(number: usize) -> io::Result<Self> {
        let mut bytes = [0x42; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let key = UnboundKey::new(&AES_128_GCM, &bytes).map_err(io::Error::other)?;
        Ok(Self { key: LessSafeKey::new(key), salt: [7; 12] })
    }

    fn nonce(&self, packet: &[u8]) -> Nonce {
        let mut nonce = self.salt;
        for (byte, source) in nonce[2..6].iter_mut().zip(&packet[8..12]) {
            *byte ^= source;
        }
        for (byte, source) in nonce[10..].iter_mut().zip(&packet[2..4]) {
            *byte ^= source;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals the packet that starts at `start` and reaches to the end of `arena`, in place, and
    /// appends the tag.
    pub fn seal(&self, arena: &mut Vec<u8>, start: usize) -> io::Result<()> {
        let packet = &mut arena[start..];
        let nonce = self.nonce(packet);
        let (header, payload) = packet.split_at_mut(HEADER);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload).map_err(io::Error::other)?;
        arena.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens a packet in place; its last [`TAG`] bytes mean nothing afterwards.
    pub fn open(&self, packet: &mut [u8]) -> io::Result<()> {
        let nonce = self.nonce(packet);
        let (header, payload) = packet.split_at_mut(HEADER);
        self.key.open_in_place(nonce, Aad::from(&*header), payload).map_err(io::Error::other)?;
        Ok(())
    }
}
