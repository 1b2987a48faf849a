//! One media thread on loopback, as it serves in life, with the bare loop's schedule of traffic.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use konsil::io::media::{self, MediaHandle, MediaParts};
use konsil::io::udp::{Sleeper, UdpOptions, UdpPort, sleeper};
use konsil::model::ids::WorkerIndex;
use konsil::room::media::MediaEvent;
use konsil::turn::TurnConfig;
use konsil::turn::credentials::RelaySecrets;
use tokio::sync::mpsc;

use crate::bare::Cost;
use crate::client::Client;
use crate::load::{Load, Schedule};
use crate::people::{DRAIN, socket};
use crate::rooms::orders;

/// How long the handshakes may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// First keyframes and the first steps of the bandwidth estimates are not counted, nor what comes before everybody is shown everything.
const WARM_UP: Duration = Duration::from_secs(3);
const WARM_UP_MAX: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);

/// The people of a load with their sockets.
struct Crowd {
    clients: Vec<(UdpSocket, Client)>,
    clock: Sleeper,
    drain: Instant,
}

/// What a media thread has used up, as the kernel and the thread itself tell.
struct Spent {
    cpu: Duration,
    sent: f64,
    calls: f64,
}

/// Runs `load` for `span`, after a warm-up, through one media thread.
pub fn run(load: Load, span: Duration) -> io::Result<Cost> {
    let port = UdpPort::bind((Ipv4Addr::LOCALHOST, 0).into(), 1, &UdpOptions::default())?;
    let server = port.local;
    let (events, mut news) = mpsc::channel(media::EVENTS_MAX);
    let relay = TurnConfig::closed(RelaySecrets::new(&[], "secret"), [5; 32], konsil::io::clock::now());
    let parts = MediaParts { ports: vec![port.sockets], workers: 1, candidates: vec![server], tcp_candidates: Vec::new(), relay, events };
    let (handle, threads) = media::start(parts)?;
    let outcome = serve(load, span, server, &handle, &mut news);
    handle.stop();
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("the media thread panicked"))?;
    }
    outcome
}

fn serve(load: Load, span: Duration, server: SocketAddr, handle: &MediaHandle, news: &mut mpsc::Receiver<MediaEvent>) -> io::Result<Cost> {
    for order in orders(load)? {
        handle.command(WorkerIndex(0), order);
    }
    let mut crowd = Crowd::new(load, server)?;
    for (_, client) in &mut crowd.clients {
        let Some(offer) = client.offer(load) else { continue };
        handle.command(WorkerIndex(0), offer);
        loop {
            match news.blocking_recv() {
                Some(MediaEvent::Answer { sdp, .. }) => break client.accept(&sdp),
                Some(_) => {}
                None => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }
    crowd.connect()?;
    let start = Instant::now() + DRAIN;
    let mut schedule = Schedule::new(load, start).peekable();
    let mut warm = start + WARM_UP;
    crowd.play(load, &mut schedule, warm, news)?;
    while warm < start + WARM_UP_MAX {
        let received = crowd.received();
        warm += SECOND;
        let expected = crowd.play(load, &mut schedule, warm, news)?;
        if (crowd.received() - received) as f64 >= 0.99 * expected as f64 {
            break;
        }
    }
    let (before, received) = (spent(handle)?, crowd.received());
    let expected = crowd.play(load, &mut schedule, warm + span, news)?;
    let after = spent(handle)?;
    let received = crowd.received() - received;
    Ok(Cost {
        micros: after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / received as f64,
        per_call: (after.sent - before.sent) / (after.calls - before.calls),
        delivered: received as f64 / expected as f64,
    })
}

impl Crowd {
    fn new(load: Load, server: SocketAddr) -> io::Result<Self> {
        let (clock, _waker) = sleeper()?;
        let now = Instant::now();
        let clients = (0..load.total()).map(|number| {
            let socket = socket()?;
            let client = Client::new(number, socket.local_addr()?, server, now);
            socket.connect(server)?;
            Ok((socket, client))
        });
        Ok(Self { clients: clients.collect::<io::Result<_>>()?, clock, drain: now })
    }

    fn received(&self) -> u64 {
        self.clients.iter().map(|(_, client)| client.received).sum()
    }

    fn connect(&mut self) -> io::Result<()> {
        let patience = Instant::now() + PATIENCE;
        while !self.clients.iter().all(|(_, client)| client.connected) {
            if Instant::now() > patience {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.wait(Instant::now() + DRAIN)?;
        }
        Ok(())
    }

    /// Publishes until `end`. Returns how many packets the others should receive.
    fn play(
        &mut self,
        load: Load,
        schedule: &mut std::iter::Peekable<Schedule>,
        end: Instant,
        news: &mut mpsc::Receiver<MediaEvent>,
    ) -> io::Result<u64> {
        let mut expected = 0;
        while let Some(burst) = schedule.next_if(|burst| burst.due < end) {
            self.wait(burst.due)?;
            let (socket, client) = &mut self.clients[burst.number];
            client.publish(burst, Instant::now(), |bytes| send(socket, bytes));
            expected += u64::from(burst.packets) * load.receivers(burst.number).len() as u64;
            while news.try_recv().is_ok() {}
        }
        self.wait(end)?;
        Ok(expected)
    }

    /// Empties the sockets on their beat until `due`.
    fn wait(&mut self, due: Instant) -> io::Result<()> {
        while Instant::now() < due {
            if Instant::now() >= self.drain {
                for (socket, client) in &mut self.clients {
                    drain(socket, client)?;
                }
                self.drain = Instant::now() + DRAIN;
            }
            self.clock.wait(&[], Some(due.min(self.drain).saturating_duration_since(Instant::now())))?;
        }
        Ok(())
    }
}

/// The kernel may have no room for a packet, as in life.
fn send(socket: &UdpSocket, bytes: &[u8]) {
    let _ = socket.send(bytes);
}

fn drain(socket: &UdpSocket, client: &mut Client) -> io::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        match socket.recv(&mut buffer) {
            Ok(len) => client.receive(&buffer[..len], Instant::now(), |bytes| send(socket, bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    let now = Instant::now();
    if client.due <= now {
        client.timeout(now, |bytes| send(socket, bytes));
    }
    Ok(())
}

/// Reads the media thread's time on a CPU from the kernel, to the nanosecond (proc(5), `schedstat`).
fn spent(handle: &MediaHandle) -> io::Result<Spent> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let batches = runtime.block_on(handle.stats()).send_batch_packets;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim_end() == "media-0" {
            let text = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
            return Ok(Spent { cpu: Duration::from_nanos(nanos), sent: batches.sum(), calls: batches.count() as f64 });
        }
    }
    Err(io::ErrorKind::NotFound.into())
}
