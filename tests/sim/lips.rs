//! Whether what was taken at one time is shown at one time, as far as sender reports tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, UNIX_EPOCH};

use konsil::model::media::MediaKind;
use konsil::room::command::Signal;
use str0m::rtp::RtpPacket;
use str0m_netem::{Bitrate, DataSize, NetemConfig};

use crate::client::{ClientId, Plan, Say};
use crate::packet::Tag;
use crate::pool;
use crate::source::SLOW_CAMERA;
use crate::time::{epoch, since};
use crate::world::World;

/// EN 301 549 §6.5.4: what is heard and what is seen are no further apart, in µs.
const TOGETHER: i64 = 100_000;
/// Until every stream has reported at both ends: those of sound do so every five seconds.
const REPORTED: Duration = Duration::from_secs(11);

/// What one client is told of the time of each publisher's sound and pictures.
#[derive(Debug, Default)]
pub struct Lips {
    /// How far the reports are from when it was taken, in µs.
    offsets: BTreeMap<(ClientId, bool), i64>,
    /// How far pictures are behind sound whenever something came, in µs.
    apart: Vec<(Duration, i64)>,
    layers: BTreeSet<u8>,
}

impl Lips {
    /// A packet came, after some report of its stream's.
    pub fn note(&mut self, packet: &RtpPacket, kind: MediaKind, tag: Tag, now: Instant) {
        let Some(report) = packet.last_sender_info else { return };
        let (rate, lag) = match kind {
            MediaKind::Audio => (48_000, Duration::ZERO),
            MediaKind::Video => (90_000, SLOW_CAMERA.lag),
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // as 32 bits wrap
        let ticks = packet.header.timestamp.wrapping_sub(report.rtp_time.numer() as u32) as i32;
        let micros = |span: Duration| i64::try_from(span.as_micros()).expect("a time");
        let shown = micros(report.ntp_time.duration_since(UNIX_EPOCH).expect("after 1970")) + i64::from(ticks) * 1_000_000 / rate;
        self.offsets.insert((tag.client, kind == MediaKind::Video), shown - micros(tag.at) + micros(lag));
        if kind == MediaKind::Video {
            self.layers.insert(tag.layer);
        }
        if let (Some(sound), Some(picture)) = (self.offsets.get(&(tag.client, false)), self.offsets.get(&(tag.client, true))) {
            self.apart.push((since(now), picture - sound));
        }
    }
}

fn join(world: &mut World, number: usize) -> ClientId {
    let id = world.start_client(Plan::usual(number));
    world.clients[id.0].lips = Some(Lips::default());
    network(world, id, NetemConfig::new());
    id
}

fn network(world: &mut World, id: ClientId, down: NetemConfig) {
    let jitter = Duration::from_millis(15);
    world.clients[id.0].pcs().for_each(|(_, pc)| {
        pc.up.be(NetemConfig::new().jitter(jitter).seed(5), Duration::from_millis(20));
        pc.down.be(down.jitter(jitter).seed(6), Duration::from_millis(20));
    });
}

fn run(world: &mut World, seconds: u64) {
    let end = world.now + Duration::from_secs(seconds);
    world.run_until(end, |_| None).unwrap_or_else(|fault| panic!("{fault:?}"));
}

fn mute(world: &mut World, id: ClientId, muted: bool) {
    let client = &mut world.clients[id.0];
    for source in &mut client.sources {
        source.muted = muted;
        client.say.extend(source.sid.clone().map(|track| Say::Signal(Signal::Mute { track, muted })));
    }
}

/// One whose pictures take 300 ms longer than the sound; two who listen, one of them later, the other through a network that narrows.
fn call() -> Vec<(Duration, Lips)> {
    let mut world = World::new(1);
    world.bad_disk = false;
    let anna = join(&mut world, 0);
    let now = world.now;
    let client = &mut world.clients[anna.0];
    client.publish(MediaKind::Audio, false, now);
    client.publish(MediaKind::Video, true, now);
    client.sources.iter_mut().for_each(|source| source.camera = &SLOW_CAMERA);
    let bert = join(&mut world, 1);
    run(&mut world, 15);
    for narrow in [450, 220] {
        network(&mut world, bert, NetemConfig::new().link(Bitrate::kbps(narrow), DataSize::kbytes(12)));
        run(&mut world, 8);
    }
    network(&mut world, bert, NetemConfig::new());
    run(&mut world, 12);
    let late = world.now;
    let cleo = join(&mut world, 2);
    run(&mut world, 12);
    mute(&mut world, anna, true);
    run(&mut world, 7);
    mute(&mut world, anna, false);
    run(&mut world, 12);
    [(epoch(), bert), (late, cleo)].map(|(joined, id)| (since(joined), world.clients[id.0].lips.take().expect("it was watched"))).into()
}

#[test]
fn lips_and_voices_stay_together() {
    for (joined, lips) in pool::alone(1, call) {
        let counted: Vec<_> = lips.apart.iter().filter(|(at, _)| *at > joined + REPORTED).collect();
        let worst = counted.iter().max_by_key(|(_, apart)| apart.abs()).expect("something came");
        eprintln!("joined at {joined:?}: {} moments, at most {} ms apart, layers {:?}", counted.len(), worst.1 / 1_000, lips.layers);
        assert!(counted.len() > 1_000 && (joined > Duration::ZERO || lips.layers.len() == 3));
        assert!(worst.1.abs() <= TOGETHER, "pictures are {} ms behind the sound at {:?}", worst.1 / 1_000, worst.0);
    }
}
