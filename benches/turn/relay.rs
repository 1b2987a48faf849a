//! One media thread with the closed relay on loopback, as it serves in life.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use konsil::io::media::{self, MediaParts};
use konsil::io::udp::{UdpOptions, UdpPort};
use konsil::turn::TurnConfig;
use konsil::turn::credentials::RelaySecrets;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::crowd::Crowd;
use crate::{Cost, Load};

/// Runs `load` for `span` through one media thread.
pub fn run(load: Load, span: Duration) -> io::Result<Cost> {
    let port = UdpPort::bind((Ipv4Addr::LOCALHOST, 0).into(), 1, &UdpOptions::default())?;
    let server = port.local;
    let (events, _news) = mpsc::channel(media::EVENTS_MAX);
    let secrets = RelaySecrets::new(&[], "secret");
    let mut relay = TurnConfig::closed(secrets.clone(), [5; 32], konsil::io::clock::now());
    relay.limits.bits_per_s = 1_000_000_000;
    let parts = MediaParts { ports: vec![port.sockets], workers: 1, candidates: vec![server], tcp_candidates: Vec::new(), relay, events };
    let (handle, threads) = media::start(parts)?;
    let outcome = serve(load, span, server, &secrets);
    handle.stop();
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("the media thread panicked"))?;
    }
    outcome
}

fn serve(load: Load, span: Duration, server: SocketAddr, secrets: &RelaySecrets) -> io::Result<Cost> {
    let mut crowd = Crowd::new(load)?;
    for (group, pair) in crowd.sockets.chunks(2).enumerate() {
        let [one, other] = pair else { continue };
        let one = allocate(one, server, secrets, group as u64, 1)?;
        let other = allocate(other, server, secrets, group as u64, 2)?;
        one.bind(other.relayed)?;
        other.bind(one.relayed)?;
    }
    let before = spent()?;
    let (sent, received) = crowd.play(load, server, span)?;
    let cpu = spent()?.saturating_sub(before);
    Ok(Cost { micros: cpu.as_secs_f64() * 1e6 / received as f64, delivered: received as f64 / sent as f64 })
}

/// Strangers of one address get ten answers a second: who comes later asks again.
fn allocate<'a>(
    socket: &'a std::net::UdpSocket,
    server: SocketAddr,
    secrets: &RelaySecrets,
    group: u64,
    person: u64,
) -> io::Result<Client<'a>> {
    loop {
        match Client::allocate(socket, server, secrets, group, person) {
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

/// The media thread's time on a CPU from the kernel, to the nanosecond (proc(5), `schedstat`).
fn spent() -> io::Result<Duration> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim_end() == "media-0" {
            let text = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
            return Ok(Duration::from_nanos(nanos));
        }
    }
    Err(io::Error::other("no media thread"))
}
