//! What a UDP socket has done so far, as plain values.

/// Upper bounds, inclusive, of the buckets of [`UdpStats::batch_sizes`]; the last bucket has none.
pub const BATCH_BOUNDS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// Counters of one socket since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpStats {
    /// Datagrams handed out.
    pub received: u64,
    /// System calls that received something.
    pub receive_calls: u64,
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// System calls that sent something.
    pub send_calls: u64,
    /// Datagrams larger than [`MAX_DATAGRAM`](super::MAX_DATAGRAM), either way.
    pub dropped_oversized: u64,
    /// Empty datagrams, and those from or to port 0 or to no address, either way.
    pub dropped_invalid: u64,
    /// Datagrams dropped because the kernel took nothing and the queue was full.
    pub dropped_blocked: u64,
    /// Datagrams that the kernel refused to send: no route, filtered, too large for the path.
    pub dropped_refused: u64,
    /// Whether segmentation offload was switched off after it failed.
    pub offload_failed: bool,
    /// Datagrams per sending system call: one count for each of [`BATCH_BOUNDS`], then the rest.
    pub batch_sizes: [u64; BATCH_BOUNDS.len() + 1],
}

impl UdpStats {
    /// Counts one system call that sent `datagrams`.
    pub(super) fn sent_batch(&mut self, datagrams: usize) {
        self.sent += datagrams as u64;
        self.send_calls += 1;
        let bucket = BATCH_BOUNDS.partition_point(|bound| *bound < datagrams);
        self.batch_sizes[bucket] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fall_into_inclusive_buckets() {
        let mut stats = UdpStats::default();
        for size in [1, 2, 3, 4, 256, 257, 4000] {
            stats.sent_batch(size);
        }
        assert_eq!(stats.batch_sizes, [1, 1, 2, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((stats.send_calls, stats.sent), (7, 1 + 2 + 3 + 4 + 256 + 257 + 4000));
    }
}
