//! The UDP port on loopback.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};

use super::*;

const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);
const ANY: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
const FAR: Option<Duration> = Some(Duration::from_secs(10));

fn open(address: SocketAddr) -> UdpSocket {
    let mut port = UdpPort::bind(address, 1, &UdpOptions::default()).unwrap();
    port.sockets.remove(0).open().unwrap()
}

fn port_of(socket: &UdpSocket) -> u16 {
    socket.local_addr().unwrap().port()
}

fn at(ip: impl Into<IpAddr>, socket: &UdpSocket) -> SocketAddr {
    SocketAddr::new(ip.into(), port_of(socket))
}

type Got = (SocketAddr, Option<IpAddr>, Vec<u8>);

/// Reads `count` datagrams, or fails when nothing comes for a long time.
fn take(socket: &mut UdpSocket, count: usize) -> Vec<Got> {
    let (sleeper, _waker) = sleeper().unwrap();
    let mut got = Vec::new();
    while got.len() < count {
        let ready = sleeper.wait(std::slice::from_ref(socket), FAR).unwrap();
        assert!(ready.readable(0), "{} of {count} datagrams came", got.len());
        socket.recv(|datagram| got.push((datagram.source, datagram.local_ip, datagram.bytes.to_vec()))).unwrap();
    }
    assert_eq!(got.len(), count);
    got
}

#[test]
fn a_dual_stack_socket_names_ipv4_peers_by_ipv4() {
    let mut server = open(ANY);
    let (mut v4, mut v6) = (open(V4), open(V6));
    v4.send(at(Ipv4Addr::LOCALHOST, &server), None, b"four");
    v4.flush();
    v6.send(at(Ipv6Addr::LOCALHOST, &server), None, b"six");
    v6.flush();
    let mut got = take(&mut server, 2);
    got.sort();
    let (source4, source6) = (v4.local_addr().unwrap(), v6.local_addr().unwrap());
    assert_eq!(got[0], (source4, Some(Ipv4Addr::LOCALHOST.into()), b"four".to_vec()));
    assert_eq!(got[1], (source6, Some(Ipv6Addr::LOCALHOST.into()), b"six".to_vec()));
    // Answers of both families leave in one flush, from the address asked for.
    for (source, local_ip, bytes) in got {
        server.send(source, local_ip, &bytes);
    }
    assert_eq!(server.flush(), 0);
    assert_eq!(take(&mut v4, 1)[0], (at(Ipv4Addr::LOCALHOST, &server), Some(Ipv4Addr::LOCALHOST.into()), b"four".to_vec()));
    assert_eq!(take(&mut v6, 1)[0], (at(Ipv6Addr::LOCALHOST, &server), Some(Ipv6Addr::LOCALHOST.into()), b"six".to_vec()));
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let second = Ipv4Addr::new(127, 0, 0, 2);
    for listen in [ANY, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)] {
        let (mut server, mut client) = (open(listen), open(V4));
        client.send(at(second, &server), None, b"ask");
        client.flush();
        let (source, local_ip, _) = take(&mut server, 1).remove(0);
        assert_eq!(local_ip, Some(second.into()));
        server.send(source, local_ip, b"answer");
        server.send(source, None, b"left to the kernel");
        server.flush();
        let mut sources: Vec<_> = take(&mut client, 2).into_iter().map(|(source, ..)| source.ip()).collect();
        sources.sort();
        assert_eq!(sources, [IpAddr::from(Ipv4Addr::LOCALHOST), second.into()]);
    }
}

/// Each payload tells its flow and its number within the flow.
fn payload(flow: u8, number: u16, len: usize) -> Vec<u8> {
    let mut bytes = vec![flow; len];
    bytes[1..3].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Sends 40 bursts of many sizes to each of 12 destinations, interleaved packet by packet or flow
/// by flow, and checks that each destination gets its own in order.
fn round_trip(server: SocketAddr, clients: SocketAddr, local_ip: Option<IpAddr>, by_flow: bool) -> UdpStats {
    let sizes = [1100, 1100, 1100, 1099, 3, 80, 1200, 1200, 1201, 1201, MAX_DATAGRAM, 700, 700, 700, 700, 5];
    let mut server = open(server);
    let mut clients: Vec<_> = (0..12).map(|_| open(clients)).collect();
    let mut sent: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    let mut order: Vec<_> = (0..sizes.len()).flat_map(|number| (0..clients.len()).map(move |client| (client, number))).collect();
    if by_flow {
        order.sort_unstable();
    }
    for burst in 0..40 {
        for (client, number) in &order {
            let bytes = payload(
                u8::try_from(*client).unwrap(),
                burst * 100 + u16::try_from(*number).unwrap(),
                sizes[(number + client) % sizes.len()],
            );
            server.send(clients[*client].local_addr().unwrap(), local_ip, &bytes);
            sent.entry(*client).or_default().push(bytes);
        }
        assert_eq!(server.flush(), 0);
        for (client, socket) in clients.iter_mut().enumerate() {
            let expected = sent.remove(&client).unwrap();
            let got: Vec<_> = take(socket, expected.len()).into_iter().map(|(.., bytes)| bytes).collect();
            assert_eq!(got, expected, "client {client}");
        }
    }
    let stats = server.stats();
    assert_eq!(stats.sent, 40 * 16 * 12);
    assert_eq!(stats.batch_sizes.iter().sum::<u64>(), stats.send_calls);
    assert_eq!((stats.dropped_blocked, stats.dropped_refused, stats.offload_failed), (0, 0, false));
    stats
}

#[test]
fn bursts_of_many_sizes_arrive_whole_and_in_order() {
    let v4 = Some(Ipv4Addr::LOCALHOST.into());
    for by_flow in [false, true] {
        round_trip(V4, V4, v4, by_flow);
        round_trip(V6, V6, Some(Ipv6Addr::LOCALHOST.into()), by_flow);
        let stats = round_trip(ANY, V4, v4, by_flow);
        assert!(stats.sent / stats.send_calls >= 4, "{stats:?}");
    }
}

#[test]
fn equal_neighbours_leave_and_arrive_in_one_call() {
    let (mut server, mut client) = (open(ANY), open(V4));
    for number in 0..8 {
        server.send(client.local_addr().unwrap(), None, &payload(1, number, if number == 7 { 300 } else { 1100 }));
    }
    server.flush();
    assert_eq!(take(&mut client, 8).iter().map(|(.., bytes)| bytes.len()).sum::<usize>(), 7 * 1100 + 300);
    assert_eq!((server.stats().send_calls, client.stats().receive_calls), (1, 1));
}

#[test]
fn a_burst_larger_than_the_queue_is_sent_on_the_way() {
    let (mut server, mut client) = (open(V4), open(V4));
    let target = client.local_addr().unwrap();
    let mut got = 0;
    let count = queue::MAX_QUEUED + 1;
    for number in 0..count {
        server.send(target, None, &payload(0, u16::try_from(number).unwrap(), 40));
        // Kept below what loopback buffers; what is read proves that a full queue went out.
        if server.queued() == 1 && number > 0 {
            got = take(&mut client, queue::MAX_QUEUED).len();
        }
    }
    assert_eq!(server.flush(), 0);
    assert_eq!(got + take(&mut client, 1).len(), count);
    assert_eq!(server.stats().dropped_blocked, 0);
}

#[test]
fn a_second_server_is_refused() {
    for address in [V4, V6, ANY] {
        let first = UdpPort::bind(address, 2, &UdpOptions::default()).unwrap();
        let error = UdpPort::bind(first.local, 2, &UdpOptions::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&first.local.port().to_string()), "{error}");
    }
}

#[test]
fn every_thread_gets_a_share_of_the_peers() {
    let port = UdpPort::bind(ANY, 2, &UdpOptions::default()).unwrap();
    let mut sockets: Vec<_> = port.sockets.into_iter().map(|socket| socket.open().unwrap()).collect();
    let clients: Vec<_> = (0..64).map(|_| Socket::bind(V4).unwrap()).collect();
    for client in &clients {
        client.send_to(b"hello", (Ipv4Addr::LOCALHOST, port.local.port())).unwrap();
    }
    let (sleeper, _waker) = sleeper().unwrap();
    let mut shares = [0, 0];
    while shares.iter().sum::<usize>() < clients.len() {
        let ready = sleeper.wait(&sockets, FAR).unwrap();
        assert_ne!(ready, Ready::default(), "{shares:?}");
        for (index, socket) in sockets.iter_mut().enumerate() {
            if ready.readable(index) {
                shares[index] += socket.recv(|_| ()).unwrap();
            }
        }
    }
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}

#[test]
fn datagrams_that_cannot_be_are_dropped_and_counted() {
    let (mut server, mut client) = (open(V4), open(V4));
    let target = server.local_addr().unwrap();
    let plain = Socket::bind(V4).unwrap();
    for len in [MAX_DATAGRAM + 1, 65_507, 0, MAX_DATAGRAM] {
        plain.send_to(&vec![7; len], target).unwrap();
    }
    assert_eq!(take(&mut server, 1)[0].2.len(), MAX_DATAGRAM);
    assert_eq!((server.stats().dropped_oversized, server.stats().dropped_invalid), (2, 1));
    client.send(target, None, &[7; MAX_DATAGRAM + 1]);
    client.send(target, None, &[]);
    client.send(SocketAddr::new(target.ip(), 0), None, b"x");
    client.send(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 9), None, b"x");
    assert_eq!((client.queued(), client.stats().dropped_oversized, client.stats().dropped_invalid), (0, 1, 3));
}

#[test]
fn a_bad_destination_costs_only_its_own_datagrams() {
    // Broadcast without permission and a foreign source address are refused by the kernel (EACCES,
    // EINVAL); an IPv6 peer cannot be reached from an IPv4 socket.
    let foreign: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
    for listen in [V4, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), ANY] {
        let (mut server, mut client) = (open(listen), open(V4));
        let good = client.local_addr().unwrap();
        for number in 0..9 {
            server.send((Ipv4Addr::BROADCAST, 9).into(), None, &[0; 500]);
            server.send(good, None, &payload(0, number, 500));
            server.send(good, Some(foreign), &payload(1, number, 500));
        }
        if listen != ANY {
            server.send((Ipv6Addr::LOCALHOST, 9).into(), None, b"x");
        }
        assert_eq!(server.flush(), 0);
        let got = take(&mut client, 9);
        assert_eq!(got.iter().map(|(.., bytes)| bytes.clone()).collect::<Vec<_>>(), (0..9).map(|n| payload(0, n, 500)).collect::<Vec<_>>());
        let stats = server.stats();
        assert_eq!((stats.sent, stats.dropped_refused), (9, 18 + u64::from(listen != ANY)));
        assert!(!stats.offload_failed, "a destination's error must not switch offload off");
    }
}

#[test]
fn the_configured_dscp_is_on_every_packet() {
    let options = UdpOptions { dscp: 34, ..UdpOptions::default() };
    let reader = Socket::bind(V4).unwrap();
    reader.set_read_timeout(FAR).unwrap();
    setsockopt(&reader, sockopt::IpRecvTos, &true).unwrap();
    for listen in [V4, ANY] {
        let mut server = UdpPort::bind(listen, 1, &options).unwrap().sockets.remove(0).open().unwrap();
        for number in 0..3 {
            // The first leaves alone, the others by offload.
            server.send(reader.local_addr().unwrap(), None, &payload(0, number, if number == 0 { 10 } else { 900 }));
        }
        server.flush();
        assert_eq!(server.stats().send_calls, 1);
        for _ in 0..3 {
            let mut buffer = [0; 1000];
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let mut control = nix::cmsg_space!(u8);
            let message = recvmsg::<SockaddrStorage>(reader.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty()).unwrap();
            assert_eq!(message.cmsgs().unwrap().next(), Some(ControlMessageOwned::Ipv4Tos(34 << 2)));
        }
    }
}

#[test]
fn the_buffers_granted_are_told() {
    let tiny = UdpOptions { receive_buffer: 32_768, send_buffer: 16_384, dscp: 0 };
    let port = UdpPort::bind(V4, 2, &tiny).unwrap();
    assert_eq!((port.receive_buffer, port.send_buffer, port.sockets.len()), (32_768, 16_384, 2));
    let huge = UdpOptions { receive_buffer: 1 << 30, ..tiny };
    assert!(UdpPort::bind(V4, 1, &huge).unwrap().receive_buffer < 1 << 30);
}

#[test]
fn a_wake_ends_the_wait_for_a_quiet_socket() {
    let sockets = [open(V4), open(V4)];
    let (sleeper, waker) = sleeper().unwrap();
    let ready = std::thread::scope(|scope| {
        let thread = scope.spawn(move || waker.wake());
        let ready = sleeper.wait(&sockets, FAR).unwrap();
        thread.join().unwrap();
        ready
    });
    assert!(ready.woken && !ready.readable(0) && !ready.readable(1) && !ready.writable(0));
}
