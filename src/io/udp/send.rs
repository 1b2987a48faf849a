//! Handing planned messages to the kernel, many in one system call.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as Socket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

use super::UdpStats;
use super::queue::{Message, SendQueue};

/// How many messages one system call takes.
const MAX_MESSAGES: usize = 64;
/// How many pieces of memory one system call takes; datagrams that lie side by side are one piece.
const MAX_PIECES: usize = 256;
/// How many datagrams one message takes: the oldest kernel's limit, and fewer than `MAX_PIECES`.
const MAX_SEGMENTS: usize = 64;

/// What the kernel made of some messages: how many it took, from the first on, or why not even one.
type Answer = Result<usize, Errno>;

/// The sending half of one socket.
///
/// `quinn-udp` sends one message per call and sets the type of service of IPv4 with each, which
/// would undo the configured DSCP; `sendmmsg` carries offloaded messages too, as long as all of a
/// call share the segment size.
pub(super) struct Transmitter {
    /// The most datagrams in one message; 1 once offload is off.
    max_segments: usize,
    wire: Wire,
}

impl Transmitter {
    pub fn new(dual_stack: bool, max_segments: usize) -> Self {
        Self { max_segments: max_segments.clamp(1, MAX_SEGMENTS), wire: Wire::new(dual_stack) }
    }

    /// Sends the queue until it is empty or the kernel takes no more.
    pub fn flush(&mut self, socket: &Socket, queue: &mut SendQueue, stats: &mut UdpStats) {
        let Self { max_segments, wire } = self;
        drain(queue, max_segments, stats, |queue, messages, segment| wire.transmit(socket, queue, messages, segment));
    }
}

/// Why a plan was left before its end.
enum Stop {
    /// The kernel takes no more for now.
    Blocked,
    /// Offload was switched off, so the rest must be planned again.
    Replan,
}

/// Feeds the queue to the kernel until it is empty or the kernel takes no more.
fn drain(
    queue: &mut SendQueue,
    max_segments: &mut usize,
    stats: &mut UdpStats,
    mut kernel: impl FnMut(&SendQueue, &[Message], u16) -> Answer,
) {
    while queue.len() > 0 {
        let messages = queue.plan(*max_segments);
        let outcome = drain_plan(queue, &messages, stats, &mut kernel);
        queue.reuse(messages);
        match outcome {
            Ok(()) | Err(Stop::Blocked) => return,
            Err(Stop::Replan) => *max_segments = 1,
        }
    }
}

fn drain_plan(
    queue: &mut SendQueue,
    messages: &[Message],
    stats: &mut UdpStats,
    kernel: &mut impl FnMut(&SendQueue, &[Message], u16) -> Answer,
) -> Result<(), Stop> {
    let mut rest = messages;
    while let Some((first, others)) = rest.split_first() {
        let batch = queue.batch(rest, MAX_MESSAGES);
        match kernel(queue, &rest[..batch.messages], batch.segment) {
            Ok(sent) => {
                let (gone, left) = rest.split_at(sent);
                stats.sent_batch(gone.iter().map(|message| usize::from(message.datagrams)).sum());
                for message in gone {
                    queue.done(message);
                }
                rest = left;
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Err(Stop::Blocked),
            Err(error) => {
                rest = others;
                if batch.segment == 0 {
                    stats.dropped_refused += 1;
                    queue.done(first);
                } else {
                    drain_apart(queue, first, error, stats, kernel)?;
                }
            }
        }
    }
    Ok(())
}

/// Sends the datagrams of a message, which the kernel refused with offload, one by one. Where that
/// works, offload was to blame and stays off: some drivers cannot do it, and they say so by EIO or
/// EINVAL. Else the destination was to blame, and offload stays on for the others.
fn drain_apart(
    queue: &mut SendQueue,
    message: &Message,
    error: Errno,
    stats: &mut UdpStats,
    kernel: &mut impl FnMut(&SendQueue, &[Message], u16) -> Answer,
) -> Result<(), Stop> {
    let mut works = true;
    for single in queue.apart(message) {
        match kernel(queue, &[single], 0) {
            Ok(_) => stats.sent_batch(1),
            Err(Errno::EAGAIN | Errno::EINTR) => return Err(Stop::Blocked),
            Err(_) => {
                works = false;
                stats.dropped_refused += 1;
            }
        }
        queue.done(&single);
    }
    if works && matches!(error, Errno::EIO | Errno::EINVAL) {
        stats.offload_failed = true;
        return Err(Stop::Replan);
    }
    Ok(())
}

/// The system call with its reused memory.
struct Wire {
    dual_stack: bool,
    headers: MultiHeaders<SockaddrStorage>,
    addresses: Vec<Option<SockaddrStorage>>,
}

impl Wire {
    fn new(dual_stack: bool) -> Self {
        // Each header has the same two control messages, because nix cannot send fewer than it
        // made room for: a zero in them means "no such wish" to the kernel.
        let control = if dual_stack { nix::cmsg_space!(libc::in6_pktinfo, u16) } else { nix::cmsg_space!(libc::in_pktinfo, u16) };
        let headers = MultiHeaders::preallocate(MAX_MESSAGES, Some(control));
        Self { dual_stack, headers, addresses: Vec::with_capacity(MAX_MESSAGES) }
    }

    /// One `sendmmsg`; returns how many of the messages the kernel took, at least one.
    fn transmit(&mut self, socket: &Socket, queue: &SendQueue, messages: &[Message], segment: u16) -> Answer {
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let mut ends = [0; MAX_MESSAGES];
        let mut used = 0;
        let mut whole = 0;
        self.addresses.clear();
        for (message, end) in messages.iter().zip(&mut ends) {
            let Some(filled) = queue.gather(message, &mut pieces[used..]) else { break };
            used += filled;
            *end = used;
            whole += 1;
            self.addresses.push(Some(self.storage(queue.flow_of(message).destination)));
        }
        let mut start = 0;
        let mut slices: [&[IoSlice<'_>]; MAX_MESSAGES] = [&[]; MAX_MESSAGES];
        for (slice, end) in slices.iter_mut().zip(ends).take(whole) {
            *slice = &pieces[start..end];
            start = end;
        }
        let flow = messages.first().map(|first| queue.flow_of(first));
        let local_ip = flow.and_then(|flow| flow.local_ip.filter(|ip| ip.is_ipv4() == flow.destination.is_ipv4()));
        let ipv4 = flow.is_some_and(|flow| flow.destination.is_ipv4());
        let (v4, v6) = (source_v4(local_ip), source_v6(local_ip, ipv4));
        let source = if self.dual_stack { ControlMessage::Ipv6PacketInfo(&v6) } else { ControlMessage::Ipv4PacketInfo(&v4) };
        let control = [source, ControlMessage::UdpGsoSegments(&segment)];
        let fd = socket.as_raw_fd();
        let sent = sendmmsg(fd, &mut self.headers, &slices[..whole], &self.addresses, control, MsgFlags::MSG_DONTWAIT)?;
        Ok(sent.count())
    }

    /// The destination as the socket's address family writes it (RFC 4291 §2.5.5.2).
    fn storage(&self, destination: SocketAddr) -> SockaddrStorage {
        match destination {
            SocketAddr::V4(v4) if self.dual_stack => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()).into(),
            other => other.into(),
        }
    }
}

/// The source for an IPv4 socket; all zero lets the kernel choose.
fn source_v4(local_ip: Option<IpAddr>) -> libc::in_pktinfo {
    let Some(IpAddr::V4(ip)) = local_ip else { return source_v4(Some(Ipv4Addr::UNSPECIFIED.into())) };
    let spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: spec_dst, ipi_addr: libc::in_addr { s_addr: 0 } }
}

/// The source for an IPv6 socket; the unspecified address, mapped for IPv4, lets the kernel choose.
fn source_v6(local_ip: Option<IpAddr>, ipv4: bool) -> libc::in6_pktinfo {
    let ip = match local_ip {
        Some(IpAddr::V4(ip)) => ip.to_ipv6_mapped(),
        // The kernel refuses a link-local source without an interface, and finds it by itself.
        Some(IpAddr::V6(ip)) if !ip.is_unicast_link_local() => ip,
        _ if ipv4 => Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(),
        _ => Ipv6Addr::UNSPECIFIED,
    };
    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn address(flow: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 1000 + flow).into()
    }

    /// What a made-up kernel took: the numbers of each destination's datagrams, in order.
    #[derive(Default)]
    struct Taken(BTreeMap<u16, Vec<u16>>);

    impl Taken {
        fn take(&mut self, queue: &SendQueue, messages: &[Message], segment: u16) {
            for message in messages {
                let flow = queue.flow_of(message).destination.port() - 1000;
                for (index, bytes) in queue.bytes_of(message).iter().enumerate() {
                    let last = index + 1 == usize::from(message.datagrams);
                    assert!(bytes.len() == usize::from(segment) || last && (segment == 0 || bytes.len() < usize::from(segment)));
                    self.0.entry(flow).or_default().push(u16::from_be_bytes([bytes[0], bytes[1]]));
                }
            }
        }
    }

    #[test]
    fn whatever_the_kernel_answers_the_order_holds_and_nothing_is_uncounted() {
        const ANSWERS: [Errno; 5] = [Errno::EAGAIN, Errno::EINTR, Errno::EHOSTUNREACH, Errno::EMSGSIZE, Errno::EPERM];
        for seed in 0..300 {
            let mut chance = StdRng::seed_from_u64(seed);
            let (mut queue, mut stats, mut taken, mut segments) = (SendQueue::new(), UdpStats::default(), Taken::default(), MAX_SEGMENTS);
            let (mut pushed, mut number) = (0, 0);
            for _ in 0..6 {
                for _ in 0..chance.random_range(0..150) {
                    let local_ip = chance.random_bool(0.5).then_some(Ipv4Addr::LOCALHOST.into());
                    // Another local address is another flow, so it gets other destinations.
                    let flow = chance.random_range(0..8_u16) * 2 + u16::from(local_ip.is_some());
                    let mut bytes = vec![0; [2, 80, 1099, 1100, 1100, 1100][chance.random_range(0..6)]];
                    bytes[..2].copy_from_slice(&u16::to_be_bytes(number));
                    queue.push(address(flow), local_ip, &bytes).unwrap();
                    number += 1;
                    pushed += 1;
                }
                drain(&mut queue, &mut segments, &mut stats, |queue, messages, segment| {
                    if chance.random_bool(0.2) {
                        return Err(ANSWERS[chance.random_range(0..ANSWERS.len())]);
                    }
                    let count = chance.random_range(1..=messages.len());
                    taken.take(queue, &messages[..count], segment);
                    Ok(count)
                });
            }
            assert_eq!(stats.sent + stats.dropped_refused + queue.len() as u64, pushed, "seed {seed}");
            assert_eq!(taken.0.values().map(Vec::len).sum::<usize>() as u64, stats.sent);
            assert!(taken.0.values().all(|numbers| numbers.is_sorted()), "seed {seed}");
            assert!(!stats.offload_failed);
        }
    }

    #[test]
    fn offload_that_fails_is_switched_off_and_costs_no_datagram() {
        for error in [Errno::EIO, Errno::EINVAL] {
            let (mut queue, mut stats, mut taken, mut segments) = (SendQueue::new(), UdpStats::default(), Taken::default(), MAX_SEGMENTS);
            for number in 0..30_u16 {
                queue.push(address(number % 3), None, &number.to_be_bytes()).unwrap();
            }
            let mut refusals = 0;
            drain(&mut queue, &mut segments, &mut stats, |queue, messages, segment| {
                if segment > 0 {
                    refusals += 1;
                    return Err(error);
                }
                taken.take(queue, messages, segment);
                Ok(messages.len())
            });
            assert_eq!((stats.sent, queue.len(), segments, refusals, stats.offload_failed), (30, 0, 1, 1, true));
            assert!(taken.0.values().all(|numbers| numbers.len() == 10 && numbers.is_sorted()));
        }
    }

    #[test]
    fn a_blocked_kernel_leaves_the_rest_queued_until_it_takes_again() {
        let (mut queue, mut stats, mut taken, mut segments) = (SendQueue::new(), UdpStats::default(), Taken::default(), MAX_SEGMENTS);
        for number in 0..100_u16 {
            queue.push(address(number % 10), None, &number.to_be_bytes()).unwrap();
        }
        let mut room = 4;
        drain(&mut queue, &mut segments, &mut stats, |queue, messages, segment| {
            let count = room.min(messages.len());
            room -= count;
            taken.take(queue, &messages[..count], segment);
            if count == 0 { Err(Errno::EAGAIN) } else { Ok(count) }
        });
        assert_eq!((stats.sent, queue.len()), (40, 60));
        queue.push(address(9), None, &100_u16.to_be_bytes()).unwrap();
        drain(&mut queue, &mut segments, &mut stats, |queue, messages, segment| {
            taken.take(queue, messages, segment);
            Ok(messages.len())
        });
        assert_eq!((stats.sent, queue.len()), (101, 0));
        assert!(taken.0.values().all(|numbers| numbers.is_sorted()));
    }
}
