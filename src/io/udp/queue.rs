//! Outgoing datagrams, ordered so that one system call carries as many as possible.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::IoSlice;
use std::mem;
use std::net::{IpAddr, SocketAddr};

/// How many datagrams a queue holds: a burst of 20 packets to 100 subscribers.
pub(super) const MAX_QUEUED: usize = 2048;
/// How many bytes a queue holds.
const ARENA: usize = MAX_QUEUED * 1024;
/// The most payload that one send with segmentation offload can carry: UDP's length field less the
/// headers of IPv4 and UDP.
const MAX_COALESCED: usize = 65_507;
/// The end of a chain of entries.
const NONE: u16 = u16::MAX;

/// The queue has no room; flush first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// One queued datagram.
struct Entry {
    start: u32,
    len: u16,
    /// The flow's next datagram.
    next: u16,
}

/// The datagrams from one local address to one destination, in their order.
pub(super) struct Flow {
    pub destination: SocketAddr,
    pub local_ip: Option<IpAddr>,
    first: u16,
    last: u16,
}

/// Datagrams of one flow that leave as one message: one datagram, or equal ones to be cut apart by
/// segmentation offload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// How many messages of its flow go before it; two of equal rank are of different flows, so
    /// either may go first.
    rank: u16,
    pub flow: u16,
    first: u16,
    /// The flow's first entry after this message.
    after: u16,
    pub datagrams: u16,
    /// The size of each datagram but the last, which may be smaller; 0 for a single datagram.
    pub segment: u16,
    /// The size of the largest datagram.
    largest: u16,
}

/// A run of planned messages that may share one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub messages: usize,
    /// Segment size for the call; single datagrams up to this size ride along. 0 is no offload.
    pub segment: u16,
}

/// A bounded queue that owns its bytes in one reused arena. Room is given back when all is sent.
pub(super) struct SendQueue {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    flows: Vec<Flow>,
    index: HashMap<(SocketAddr, Option<IpAddr>), u16>,
    messages: Vec<Message>,
    queued: usize,
}

impl SendQueue {
    pub fn new() -> Self {
        Self {
            arena: Vec::with_capacity(ARENA),
            entries: Vec::with_capacity(MAX_QUEUED),
            flows: Vec::new(),
            index: HashMap::new(),
            messages: Vec::new(),
            queued: 0,
        }
    }

    /// How many datagrams are not sent yet.
    pub fn len(&self) -> usize {
        self.queued
    }

    /// Appends a datagram of 1 to 65 535 bytes.
    pub fn push(&mut self, destination: SocketAddr, local_ip: Option<IpAddr>, bytes: &[u8]) -> Result<(), Full> {
        let (Ok(start), Ok(len), Ok(entry)) =
            (u32::try_from(self.arena.len()), u16::try_from(bytes.len()), u16::try_from(self.entries.len()))
        else {
            return Err(Full);
        };
        if self.entries.len() >= MAX_QUEUED || self.arena.len() + bytes.len() > ARENA {
            return Err(Full);
        }
        let flow = self.flow(destination, local_ip);
        self.arena.extend_from_slice(bytes);
        self.entries.push(Entry { start, len, next: NONE });
        let flow = &mut self.flows[usize::from(flow)];
        match flow.first {
            NONE => flow.first = entry,
            _ => self.entries[usize::from(flow.last)].next = entry,
        }
        flow.last = entry;
        self.queued += 1;
        Ok(())
    }

    /// The flow's number. A session's datagrams come in a row, so the newest flow is asked first.
    fn flow(&mut self, destination: SocketAddr, local_ip: Option<IpAddr>) -> u16 {
        // There are never more flows than entries, so the number always fits.
        let next = u16::try_from(self.flows.len()).unwrap_or(NONE);
        if let Some(flow) = self.flows.last()
            && flow.destination == destination
            && flow.local_ip == local_ip
        {
            return next - 1;
        }
        let number = *self.index.entry((destination, local_ip)).or_insert(next);
        if number == next {
            self.flows.push(Flow { destination, local_ip, first: NONE, last: NONE });
        }
        number
    }

    /// Cuts what is queued into messages of at most `max_segments` datagrams and orders them: first
    /// the first message of every flow, then every second one; within a rank those side by side
    /// that can share a system call.
    ///
    /// Measured on loopback against joining neighbours only, for 8 packets to each of 50: pushed
    /// packet by packet 0.9 instead of 2.7 µs a packet; pushed flow by flow, with sizes that differ
    /// by a byte as encoders cut frames, 1.2 instead of 1.45; never slower.
    pub fn plan(&mut self, max_segments: usize) -> Vec<Message> {
        let mut messages = mem::take(&mut self.messages);
        for (number, flow) in (0..).zip(&self.flows) {
            let mut rank = 0;
            let mut first = flow.first;
            while first != NONE {
                let message = self.message(rank, number, first, max_segments);
                messages.push(message);
                first = message.after;
                rank += 1;
            }
        }
        messages.sort_unstable_by_key(|message| (message.rank, self.flow_of(message).local_ip, Reverse(message.segment), message.flow));
        messages
    }

    /// Takes back the memory of a plan.
    pub fn reuse(&mut self, mut messages: Vec<Message>) {
        messages.clear();
        self.messages = messages;
    }

    /// The longest message that starts with the entry `first`.
    fn message(&self, rank: u16, flow: u16, first: u16, max_segments: usize) -> Message {
        let size = self.entries[usize::from(first)].len;
        let (mut after, mut datagrams, mut total) = (self.entries[usize::from(first)].next, 1, usize::from(size));
        while after != NONE && usize::from(datagrams) < max_segments {
            let next = &self.entries[usize::from(after)];
            total += usize::from(next.len);
            if next.len > size || total > MAX_COALESCED {
                break;
            }
            datagrams += 1;
            after = next.next;
            if next.len < size {
                break;
            }
        }
        let segment = if datagrams > 1 { size } else { 0 };
        Message { rank, flow, first, after, datagrams, segment, largest: size }
    }

    /// How many of `messages` may leave in one system call: they share the local address and the
    /// segment size, and fill at most `limit` messages.
    pub fn batch(&self, messages: &[Message], limit: usize) -> Batch {
        let local_ip = messages.first().and_then(|first| self.flow_of(first).local_ip);
        let family = messages.first().map(|first| self.flow_of(first).destination.is_ipv4());
        let (mut segment, mut largest, mut count) = (0, 0, 0);
        for message in messages.iter().take(limit) {
            let flow = self.flow_of(message);
            let fits = match (segment, message.segment) {
                (_, 0) if segment == 0 || message.largest <= segment => true,
                (0, wanted) => largest <= wanted,
                (given, wanted) => given == wanted,
            };
            if !fits || flow.local_ip != local_ip || Some(flow.destination.is_ipv4()) != family {
                break;
            }
            segment = segment.max(message.segment);
            largest = largest.max(message.largest);
            count += 1;
        }
        Batch { messages: count, segment }
    }

    pub fn flow_of(&self, message: &Message) -> &Flow {
        &self.flows[usize::from(message.flow)]
    }

    /// Fills `pieces` with the memory of a message and returns how many it took: what lies side by
    /// side is one. `None` where they do not suffice.
    pub fn gather<'a>(&'a self, message: &Message, pieces: &mut [IoSlice<'a>]) -> Option<usize> {
        let mut used = 0;
        let mut open = 0..0;
        for entry in self.chain(message) {
            let start = entry.start as usize;
            if open.end != start {
                if !open.is_empty() {
                    *pieces.get_mut(used)? = IoSlice::new(&self.arena[open]);
                    used += 1;
                }
                open = start..start;
            }
            open.end = start + usize::from(entry.len);
        }
        *pieces.get_mut(used)? = IoSlice::new(&self.arena[open]);
        Some(used + 1)
    }

    fn chain(&self, message: &Message) -> impl Iterator<Item = &Entry> {
        let mut next = message.first;
        (0..message.datagrams).map(move |_| {
            let entry = &self.entries[usize::from(next)];
            next = entry.next;
            entry
        })
    }

    /// The datagrams of a message as messages of their own.
    pub fn apart(&self, message: &Message) -> Vec<Message> {
        let mut first = message.first;
        self.chain(message)
            .map(|entry| {
                let single = Message { first, after: entry.next, datagrams: 1, segment: 0, largest: entry.len, ..*message };
                first = entry.next;
                single
            })
            .collect()
    }

    /// The bytes of each datagram of a message.
    #[cfg(test)]
    pub fn bytes_of(&self, message: &Message) -> Vec<&[u8]> {
        self.chain(message).map(|entry| &self.arena[entry.start as usize..][..usize::from(entry.len)]).collect()
    }

    /// Notes that a message was sent or given up; messages of a flow must be told in their order.
    pub fn done(&mut self, message: &Message) {
        self.flows[usize::from(message.flow)].first = message.after;
        self.queued -= usize::from(message.datagrams);
        if self.queued == 0 {
            self.arena.clear();
            self.entries.clear();
            self.flows.clear();
            self.index.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn to(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn queue(sizes: &[(u16, usize)]) -> SendQueue {
        let mut queue = SendQueue::new();
        for (port, size) in sizes {
            queue.push(to(*port), None, &vec![0; *size]).unwrap();
        }
        queue
    }

    /// For each system call of the plan its segment size, then ports and numbers of datagrams.
    fn calls(queue: &mut SendQueue, max_segments: usize, limit: usize) -> Vec<(u16, Vec<(u16, u16)>)> {
        let messages = queue.plan(max_segments);
        let mut rest = &messages[..];
        let mut calls = Vec::new();
        while !rest.is_empty() {
            let batch = queue.batch(rest, limit);
            let (these, left) = rest.split_at(batch.messages);
            calls.push((batch.segment, these.iter().map(|m| (queue.flow_of(m).destination.port(), m.datagrams)).collect()));
            rest = left;
        }
        calls
    }

    #[test]
    fn the_same_burst_to_many_leaves_in_one_call() {
        let mut interleaved = queue(&[(1, 900), (2, 900), (1, 900), (2, 900), (1, 300), (2, 300), (1, 80), (2, 80)]);
        assert_eq!(calls(&mut interleaved, 64, 64), [(900, vec![(1, 3), (2, 3), (1, 1), (2, 1)])]);
        assert_eq!(calls(&mut interleaved, 64, 2), [(900, vec![(1, 3), (2, 3)]), (0, vec![(1, 1), (2, 1)])]);
    }

    #[test]
    fn growing_sizes_cost_one_call_per_size_not_per_destination() {
        let mut growing = queue(&[(1, 899), (1, 899), (1, 900), (1, 900), (2, 899), (2, 899), (2, 900), (2, 900)]);
        assert_eq!(calls(&mut growing, 64, 64), [(899, vec![(1, 2), (2, 2)]), (900, vec![(1, 2), (2, 2)])]);
    }

    #[test]
    fn single_datagrams_never_exceed_the_segment_of_their_call() {
        let mut mixed = queue(&[(1, 500), (1, 500), (2, 501), (3, 500)]);
        assert_eq!(calls(&mut mixed, 64, 64), [(500, vec![(1, 2)]), (0, vec![(2, 1), (3, 1)])]);
        let mut later = queue(&[(1, 10), (1, 20), (1, 30), (1, 40)]);
        assert_eq!(calls(&mut later, 64, 64), [(0, vec![(1, 1); 4])]);
    }

    #[test]
    fn messages_keep_the_limits_of_segments_and_bytes() {
        let mut many = queue(&[(1, 100); 9]);
        assert_eq!(calls(&mut many, 4, 64), [(100, vec![(1, 4), (1, 4), (1, 1)])]);
        assert_eq!(calls(&mut many, 1, 64), [(0, vec![(1, 1); 9])]);
        let mut large = queue(&[(1, 2000); 40]);
        assert_eq!(calls(&mut large, 64, 64), [(2000, vec![(1, 32), (1, 8)])]);
    }

    #[test]
    fn local_addresses_and_families_do_not_share_a_call() {
        let mut queue = SendQueue::new();
        for local_ip in [None, Some(Ipv4Addr::LOCALHOST.into()), None] {
            queue.push(to(1), local_ip, &[0; 9]).unwrap();
        }
        queue.push((std::net::Ipv6Addr::LOCALHOST, 1).into(), None, &[0; 9]).unwrap();
        assert_eq!(calls(&mut queue, 64, 64).iter().map(|(_, messages)| messages.len()).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn a_full_queue_refuses_and_an_emptied_one_takes_again() {
        let mut queue = SendQueue::new();
        let fits = (0..=MAX_QUEUED).take_while(|_| queue.push(to(1), None, &[0; 64]).is_ok()).count();
        assert_eq!((fits, queue.len()), (MAX_QUEUED, MAX_QUEUED));
        for message in queue.plan(64) {
            assert_eq!(queue.push(to(2), None, &[0; 64]), Err(Full));
            queue.done(&message);
        }
        assert_eq!(queue.push(to(2), None, &[0; 64]), Ok(()));
        let mut heavy = SendQueue::new();
        let fits = (0..=MAX_QUEUED).take_while(|_| heavy.push(to(1), None, &[0; 2048]).is_ok()).count();
        assert_eq!(fits, ARENA / 2048);
    }
}
