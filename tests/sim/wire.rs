//! What a bystander sees on the wire: RTP headers, which SRTP leaves clear.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use konsil::room::command::Leg;

use crate::client::ClientId;
use crate::packet::Header;

/// Numbers that are remembered of one stream.
const REMEMBERED: usize = 8_192;

/// One outgoing stream of the server.
#[derive(Debug, Default)]
pub struct Stream {
    newest: Option<(u64, u32)>,
    /// A digest of each datagram by its extended number.
    sent: BTreeMap<u64, u64>,
}

/// All streams, of the server to clients and of clients to the server.
#[derive(Debug, Default)]
pub struct Wire {
    streams: BTreeMap<(ClientId, Leg, u32), Stream>,
    /// Numbers that reached the server, by client and SSRC.
    arrived: BTreeMap<(ClientId, u32), BTreeMap<u16, Instant>>,
}

impl Wire {
    /// The server sends a datagram. `repeats` says whether the payload type is one for retransmissions (RFC 4588).
    ///
    /// # Errors
    /// The number cannot stand where it stands.
    pub fn sent(&mut self, client: ClientId, leg: Leg, datagram: &[u8], repeats: impl Fn(u8) -> bool) -> Result<(), String> {
        let Some(header) = Header::read(datagram) else { return Ok(()) };
        let stream = self.streams.entry((client, leg, header.ssrc)).or_default();
        let mut digest = DefaultHasher::new();
        datagram.hash(&mut digest);
        stream.take(header, digest.finish(), repeats(header.pt)).map_err(|fault| format!("stream {:#x}: {fault}", header.ssrc))
    }

    /// A client's datagram reached the server.
    pub fn arrived(&mut self, client: ClientId, datagram: &[u8], now: Instant) {
        if let Some(header) = Header::read(datagram) {
            self.arrived.entry((client, header.ssrc)).or_default().entry(header.seq).or_insert(now);
        }
    }

    /// When this number of a client's stream reached the server.
    pub fn arrival(&self, client: ClientId, ssrc: u32, seq: u64) -> Option<Instant> {
        // The low 16 bits are what the wire carries; no run here is long enough to use one twice.
        #[allow(clippy::cast_possible_truncation)]
        let low = seq as u16;
        self.arrived.get(&(client, ssrc))?.get(&low).copied()
    }

    /// Whether the server has sent this number.
    pub fn has_sent(&self, client: ClientId, leg: Leg, ssrc: u32, seq: u64) -> bool {
        self.streams.get(&(client, leg, ssrc)).is_some_and(|stream| stream.sent.contains_key(&seq))
    }
}

impl Stream {
    fn take(&mut self, header: Header, digest: u64, repeats: bool) -> Result<(), String> {
        let Some((newest, timestamp)) = self.newest else {
            if header.seq >= 1 << 15 {
                return Err(format!("begins with {}, so that a loss makes receivers guess a wrong rollover counter", header.seq));
            }
            self.newest = Some((u64::from(header.seq), header.timestamp));
            self.sent.insert(u64::from(header.seq), digest);
            return Ok(());
        };
        let seq = extend(header.seq, newest);
        if let Some(before) = self.sent.insert(seq, digest) {
            return if before == digest { Ok(()) } else { Err(format!("number {seq} was used for two different datagrams")) };
        }
        if self.sent.len() > REMEMBERED {
            self.sent.pop_first();
        }
        let later = header.timestamp.wrapping_sub(timestamp) < 1 << 31;
        if seq > newest {
            self.newest = Some((seq, header.timestamp));
            // Repeats carry timestamps of whatever they repeat.
            if !later && !repeats {
                return Err(format!("number {seq} has timestamp {} after {timestamp}", header.timestamp));
            }
        } else if later && header.timestamp != timestamp && !repeats {
            return Err(format!("number {seq} before {newest} has the later timestamp {}", header.timestamp));
        }
        Ok(())
    }
}

/// The extended number nearest to `newest`.
fn extend(seq: u16, newest: u64) -> u64 {
    let ahead = u64::from(seq).wrapping_sub(newest) & 0xffff;
    if ahead < 0x8000 { newest + ahead } else { (newest + ahead).saturating_sub(0x1_0000) }
}

#[test]
fn reuse_and_jumps_back_are_seen() {
    let header = |seq, timestamp| Header { pt: 96, seq, timestamp, ssrc: 1 };
    let mut stream = Stream::default();
    assert!(Stream::default().take(header(40_000, 0), 1, false).is_err());
    assert!(stream.take(header(7, 100), 1, false).is_ok());
    assert!(stream.take(header(9, 200), 2, false).is_ok());
    assert!(stream.take(header(8, 150), 3, false).is_ok());
    assert!(stream.take(header(8, 150), 3, false).is_ok());
    assert!(stream.take(header(8, 150), 4, false).is_err());
    assert!(stream.take(header(10, 100), 5, false).is_err());
    assert_eq!((extend(1, 65_535), extend(65_535, 65_537)), (65_537, 65_535));
}
