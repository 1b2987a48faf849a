//! The book of networks: rooms on named conditions, with bounds on what people hear or see.

pub mod diary;
mod network;
mod pair;
mod report;

use std::time::{Duration, Instant};

use konsil::model::ids::{StreamId, WorkerIndex};
use konsil::model::media::{MediaKind, Quality};
use konsil::sfu::budget::{Budget, Demand, Rank, Rung};
use konsil::sfu::layers::Level;

use crate::client::{ClientId, Plan};
use crate::link::Trip;
use crate::pool;
use crate::source::CAMERA;
use crate::time::{epoch, since};
use crate::world::World;

use diary::{Diary, Key};
use network::{Network, Phase};
use report::Report;

/// Before the figures count: joining, and the first estimates.
const WARM_UP: Duration = Duration::from_secs(10);
/// When the person on the bad network joins: the others are there.
const JOINS: Duration = Duration::from_secs(2);
/// What sound takes with headers, in bit/s.
const SOUND: u64 = 60_000;
/// What the layers take with headers, in bit/s.
const LAYERS: [(Quality, u64); 3] = [(Quality::Low, 167_000), (Quality::Medium, 485_000), (Quality::High, 1_815_000)];
/// What a link has for media beside reports, resends, probes.
const MEDIA_PERCENT: u64 = 95;
/// The tracks of everybody, by number.
const MICROPHONE: u32 = 1;
const PICTURE: u32 = 2;

/// The files of the book.
fn networks() -> Vec<(String, Network)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim/networks");
    let files = std::fs::read_dir(folder).expect("the networks").map(|entry| entry.expect("a file").path());
    let name = |path: &std::path::Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut all: Vec<_> = files.map(|path| (name(&path), Network::read(&std::fs::read_to_string(&path).expect("text")))).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// Runs rooms of these sizes over every network, prints the table, fails for what does not hold.
pub fn all(seeds: std::ops::Range<u64>, sizes: &[usize]) {
    let wanted = std::env::var("NETWORK").ok();
    let networks: Vec<_> = networks().into_iter().filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| name.contains(wanted))).collect();
    assert!(!networks.is_empty(), "NETWORK names no network");
    let seeds = &seeds;
    let jobs = networks.iter().flat_map(|network| sizes.iter().flat_map(move |size| seeds.clone().map(move |seed| (network, *size, seed))));
    let mut reports: Vec<(Report, Vec<String>)> = pool::each(jobs, |((name, network), size, seed)| {
        let report = pool::alone(seed, || over(name, network, size, seed));
        let faults = report.faults(&network.about, &network.bounds);
        (report, faults)
    });
    reports.sort_by(|one, other| (&one.0.name, one.0.people, one.0.seed).cmp(&(&other.0.name, other.0.people, other.0.seed)));
    eprintln!("{}", Report::HEAD);
    reports.iter().for_each(|(report, _)| eprintln!("{report}"));
    let faults: Vec<String> = reports.into_iter().flat_map(|(_, faults)| faults).collect();
    assert!(
        faults.is_empty(),
        "{} bounds are broken; NETWORK=name SEEDS=n cargo test --test sim book runs one:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// Networks on which pairs are tried by every `cargo test`.
const PAIRS: [&str; 4] = ["good", "loss-5", "loss-10", "tcp-alone"];

/// Calls of two over the relay, by UDP and by TCP, on some networks or with `every` on all; prints the table, fails for too little sound.
pub fn pairs(seeds: std::ops::Range<u64>, every: bool) {
    let networks: Vec<_> = networks().into_iter().filter(|(name, _)| every || PAIRS.contains(&name.as_str())).collect();
    let calls = networks.iter().flat_map(|network| [false, true].map(|tcp| (network, tcp)));
    // A firewall lets nothing else out; a connection does not outlive its address.
    let calls =
        calls.filter(|((_, network), tcp)| if *tcp { !network.phase.iter().any(|phase| phase.moves) } else { !network.phase[0].tcp });
    let jobs = calls.flat_map(|call| seeds.clone().map(move |seed| (call, seed)));
    let mut reports: Vec<(Report, bool)> = pool::each(jobs, |(((name, network), tcp), seed)| {
        let report = pool::alone(seed, || pair::call(name, network, tcp, seed));
        let (least, sound) = if tcp { (network.bounds.sound_in_400, report.sound_in_400) } else { (network.bounds.sound, report.sound) };
        let holds = least.is_none_or(|least| sound >= least);
        (report, holds)
    });
    reports.sort_by(|one, other| (&one.0.name, one.0.seed).cmp(&(&other.0.name, other.0.seed)));
    eprintln!("{}", Report::HEAD);
    reports.iter().for_each(|(report, _)| eprintln!("{report}"));
    let faults: Vec<String> = reports.iter().filter(|(_, holds)| !holds).map(|(report, _)| report.to_string()).collect();
    assert!(faults.is_empty(), "too little sound:\n{}", faults.join("\n"));
}

/// Those who are well connected see and hear the same, whether one of them is on a bad network or on a good one.
pub fn one_bad_touches_nobody(seed: u64, people: usize) {
    let [good, bad] = ["good", "one-bad"].map(|name| {
        let path = format!("{}/tests/sim/networks/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let network = Network::read(&std::fs::read_to_string(path).expect("text"));
        pool::alone(seed, || others_get(&network, people, seed))
    });
    for (what, good, bad) in [("pictures", good.0, bad.0), ("sound", good.1, bad.1)] {
        eprintln!("{what} at the others: {bad} beside one on a bad network, {good} otherwise");
        assert!(good > 1_000 && bad * 100 >= good * 99, "{what} at the others: {bad} beside one on a bad network, {good} otherwise");
    }
}

/// Pictures or frames of sound that those get from each other who are well connected.
fn others_get(network: &Network, people: usize, seed: u64) -> (usize, usize) {
    let (world, one) = call(network, people, seed, Duration::from_secs(network.seconds));
    let diaries = world.clients.iter().filter(|client| client.id != one).filter_map(|client| client.diary.as_ref());
    diaries.fold((0, 0), |(pictures, sound), diary| {
        let others = |key: &Key| key.0 != one;
        let more_pictures = diary.pictures.iter().filter(|(key, _)| others(key)).map(|(_, pictures)| pictures.len()).sum::<usize>();
        let more_sound = diary.sound.iter().filter(|(key, _)| others(key)).map(|(_, frames)| frames.len()).sum::<usize>();
        (pictures + more_pictures, sound + more_sound)
    })
}

/// One run: one person on the network, everybody else well connected.
#[allow(clippy::cast_precision_loss)] // a few people
fn over(name: &str, network: &Network, people: usize, seed: u64) -> Report {
    let end = Duration::from_secs(network.seconds);
    let (mut world, one) = call(network, people, seed, end);
    let others = world.clients.iter().filter(|client| client.id != one);
    let sound: Vec<Key> = others.clone().map(|client| (client.id, MICROPHONE)).collect();
    let pictures: Vec<Key> = others.map(|client| (client.id, PICTURE)).collect();
    let diary = world.clients[one.0].diary.take().expect("it was written");
    let there = |measure: fn(&Diary, &[Key], (Duration, Duration)) -> f64, number, window| {
        let others = world.clients.iter().filter_map(|client| client.diary.as_ref());
        others.map(|diary| measure(diary, &[(one, number)], window)).sum::<f64>() / (people - 1) as f64
    };
    // What was published last is still under way.
    let published = (WARM_UP, end.saturating_sub(Duration::from_millis(500)));
    let (heard, stood_there) = (there(report::sound, MICROPHONE, published), there(report::frozen, PICTURE, (WARM_UP, end)));
    let trips = trips(&mut world, one);
    let window = (WARM_UP, end);
    let again = (network.phase.len() > 1).then(|| report::moved(&diary, &pictures, network.last_change()));
    Report {
        name: name.to_owned(),
        seed,
        people,
        sound: report::sound(&diary, &sound, published),
        sound_in_400: report::patient_sound(&diary, &sound, published),
        frozen: report::frozen(&diary, &pictures, window),
        link_use: link_use(network, people, &diary, end),
        queue: report::queue(&trips, window),
        first_frame: slowest(&report::moved(&diary, &pictures, connected(&world, one))),
        switches_a_minute: report::switches(&diary, &pictures, window),
        recovery: again.as_ref().and_then(|moved| moved.iter().flatten().min().copied()),
        all_back: again.as_deref().and_then(slowest),
        heard,
        stood_there,
    }
}

/// The last of all, nothing if one never moved.
fn slowest(moved: &[Option<u128>]) -> Option<u128> {
    moved.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// When the person was connected first.
fn connected(world: &World, one: ClientId) -> Duration {
    world.clients[one.0]
        .publisher
        .iter()
        .chain(&world.clients[one.0].subscriber)
        .filter_map(|pc| pc.stands_since)
        .map(since)
        .max()
        .unwrap_or(JOINS)
}

fn trips(world: &mut World, one: ClientId) -> Vec<Trip> {
    let links = world.clients[one.0].pcs().filter_map(|(_, pc)| pc.down.trips.take());
    links.max_by_key(Vec::len).unwrap_or_default()
}

/// Everybody sends sound and a camera's picture. Returns who is on the network.
fn call(network: &Network, people: usize, seed: u64, end: Duration) -> (World, ClientId) {
    let mut world = World::new(seed);
    world.bad_disk = false;
    let good = Phase::default();
    for number in 1..people {
        let id = world.start_client(Plan::usual(number));
        set(&mut world, id, &good, seed);
        world.clients[id.0].diary = Some(Diary::default());
        publish(&mut world, id);
    }
    run(&mut world, JOINS);
    // The network is of one: two connections would share what one alone is measured by.
    let one = world.start_client(Plan { tcp: network.phase[0].tcp, ..Plan::usual(0) });
    set(&mut world, one, &network.phase[0], seed);
    world.clients[one.0].diary = Some(Diary::default());
    world.clients[one.0].pcs().for_each(|(_, pc)| pc.down.trips = Some(Vec::new()));
    publish(&mut world, one);
    for phase in &network.phase[1..] {
        run(&mut world, Duration::from_secs(phase.from));
        set(&mut world, one, phase, seed + phase.from);
        if phase.moves {
            world.move_client(one);
        }
    }
    run(&mut world, end);
    (world, one)
}

fn run(world: &mut World, until: Duration) {
    world.run_until(epoch() + until, |_| None).unwrap_or_else(|fault| panic!("{fault:?}"));
}

fn set(world: &mut World, id: ClientId, phase: &Phase, seed: u64) {
    world.clients[id.0].pcs().for_each(|(leg, pc)| {
        if phase.tcp {
            pc.stream = Some((StreamId(id.0 as u64 * 2 + leg as u64), WorkerIndex(0)));
            pc.up.be_tcp(phase.way(phase.up), seed);
            pc.down.be_tcp(phase.way(phase.down), seed ^ 1);
            return;
        }
        pc.up.be(phase.link(phase.up, seed), phase.delay());
        pc.down.be(phase.link(phase.down, seed ^ 1), phase.delay());
    });
}

fn publish(world: &mut World, id: ClientId) {
    let now: Instant = world.now;
    let client = &mut world.clients[id.0];
    client.publish(MediaKind::Audio, false, now);
    client.publish(MediaKind::Video, true, now);
    client.sources.iter_mut().for_each(|source| source.camera = &CAMERA);
}

/// What arrived of what would fit best, in percent, from ten seconds after each step on.
fn link_use(network: &Network, people: usize, diary: &Diary, end: Duration) -> Option<f64> {
    let last = network.phase.last()?;
    let capacity = last.down? * 1_000 * MEDIA_PERCENT / 100;
    let sound = SOUND * (people as u64 - 1);
    let rungs: Vec<Rung> = LAYERS.into_iter().map(|(quality, bitrate)| Rung { level: Level::whole(quality), bitrate }).collect();
    let demands = vec![Demand { rank: Rank::Other, rungs: rungs.clone(), now: None }; people - 1];
    // What would be given if everything were known: all of it, with no headroom.
    let levels = Budget::default().decide(capacity.saturating_sub(sound) * 115 / 100, false, &demands, epoch());
    let best = levels.iter().flatten().filter_map(|level| rungs.iter().find(|rung| rung.level == *level)).map(|rung| rung.bitrate);
    let fits = sound + best.sum::<u64>();
    let window = (Duration::from_secs(last.from) + WARM_UP, end);
    // Far below 2^52.
    #[allow(clippy::cast_precision_loss)]
    Some(report::percent(report::throughput(diary, window), fits as f64))
}
