//! The limit: a loop that looks up the partner to send each packet on, nothing else.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use konsil::io::udp::{UdpOptions, UdpPort, UdpSocket as BatchedSocket, sleeper};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use nix::time::{ClockId, clock_gettime};

use crate::crowd::Crowd;
use crate::{Cost, Load};

/// How many packets one `sendmmsg` takes here.
const BATCH: usize = 64;

/// Runs `load` for `span` through one bare loop on loopback.
pub fn run(load: Load, span: Duration) -> io::Result<Cost> {
    let mut crowd = Crowd::new(load)?;
    let addresses = crowd.sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
    let partners: HashMap<SocketAddr, SocketAddr> = (0..addresses.len()).map(|n| (addresses[n], addresses[n ^ 1])).collect();
    let mut port = UdpPort::bind((Ipv4Addr::LOCALHOST, 0).into(), 1, &UdpOptions::default())?;
    let Some(bound) = port.sockets.pop() else { return Err(io::ErrorKind::NotFound.into()) };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| forward(bound.open()?, &partners, &over));
        let played = crowd.play(load, port.local, span);
        over.store(true, Ordering::Release);
        let cpu = server.join().map_err(|_| io::Error::other("the bare loop panicked"))??;
        let (sent, received) = played?;
        Ok(Cost { micros: cpu.as_secs_f64() * 1e6 / received as f64, delivered: received as f64 / sent as f64 })
    })
}

fn forward(mut socket: BatchedSocket, partners: &HashMap<SocketAddr, SocketAddr>, over: &AtomicBool) -> io::Result<Duration> {
    let plain = UdpSocket::from(socket.as_fd().try_clone_to_owned()?);
    let (sleeper, _waker) = sleeper()?;
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    let (mut arena, mut packets) = (Vec::new(), Vec::new());
    let start = Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?);
    while !over.load(Ordering::Acquire) {
        sleeper.wait(std::slice::from_ref(&socket), Some(Duration::from_millis(50)))?;
        arena.clear();
        packets.clear();
        socket.recv(|datagram| {
            if let Some(partner) = partners.get(&datagram.source) {
                let begin = arena.len();
                arena.extend_from_slice(datagram.bytes);
                packets.push((*partner, begin..arena.len()));
            }
        })?;
        for batch in packets.chunks(BATCH) {
            let slices: Vec<_> = batch.iter().map(|(_, range)| [IoSlice::new(&arena[range.clone()])]).collect();
            let addresses: Vec<_> = batch.iter().map(|(address, _)| Some(SockaddrStorage::from(*address))).collect();
            sendmmsg(plain.as_raw_fd(), &mut headers, &slices, &addresses, [], MsgFlags::MSG_DONTWAIT)?.count();
        }
    }
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?).saturating_sub(start))
}
