//! Reading a batch of datagrams, with the kernel's coalesced ones taken apart.

use std::io::{self, IoSliceMut};
use std::net::UdpSocket as Socket;

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};

use super::{Datagram, MAX_DATAGRAM, UdpStats, canonical};

/// What the kernel may coalesce into one buffer (64 KiB), so that nothing is ever cut. The odd
/// cache lines on top keep the starts of all buffers from falling into the same cache sets.
const BUFFER: usize = 65_536 + 21 * 64;

/// The buffers of one socket: about 2 MiB, of which only what traffic touches becomes resident.
pub(super) struct Receiver {
    buffers: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self { buffers: vec![0; BUFFER * BATCH_SIZE], meta: [RecvMeta::default(); BATCH_SIZE] }
    }

    pub(super) fn recv(
        &mut self,
        kernel: (&UdpSocketState, &Socket),
        stats: &mut UdpStats,
        mut each: impl FnMut(Datagram<'_>),
    ) -> io::Result<usize> {
        let mut chunks = self.buffers.chunks_exact_mut(BUFFER);
        let mut slices: [_; BATCH_SIZE] = std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let filled = match kernel.0.recv(kernel.1.into(), &mut slices, &mut self.meta) {
            Ok(filled) => filled,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        };
        stats.receive_calls += 1;
        let before = stats.received;
        for (meta, buffer) in self.meta[..filled].iter().zip(self.buffers.chunks_exact(BUFFER)) {
            let source = canonical(meta.addr);
            let local_ip = meta.dst_ip.map(|ip| ip.to_canonical());
            if meta.len == 0 || source.port() == 0 {
                stats.dropped_invalid += 1;
                continue;
            }
            let coalesced = &buffer[..meta.len.min(BUFFER)];
            for bytes in coalesced.chunks(meta.stride.max(1)) {
                if bytes.len() > MAX_DATAGRAM {
                    stats.dropped_oversized += 1;
                } else {
                    stats.received += 1;
                    each(Datagram { source, local_ip, bytes });
                }
            }
        }
        Ok(usize::try_from(stats.received - before).unwrap_or(usize::MAX))
    }
}
