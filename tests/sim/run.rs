//! One seed's run from the first join to the empty server.

use std::time::{Duration, Instant};

use crate::director::Director;
use crate::pool;
use crate::time::epoch;
use crate::world::{Fault, World};

/// How long people make trouble.
const TROUBLE: Duration = Duration::from_secs(25);
/// How long after the healing everybody must be in.
const BACK_IN: Duration = Duration::from_secs(8);
/// How long after that, or after the last change, everything must be heard.
const SETTLED: Duration = Duration::from_secs(5);
/// How long the server may take to forget everybody: consent (30 s), resume window (20 s), routes (60 s), empty rooms.
const FORGET: Duration = Duration::from_secs(150);

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The digest of its decisions, and their number.
    pub digest: (u64, u64),
    /// Packets received, pairs that had to be heard at the end, clients that had to start over.
    pub counts: (u64, usize, u64),
    /// The text of its decisions, if the environment asked for it.
    pub lines: Vec<String>,
    pub fault: Option<Fault>,
}

/// Runs a seed.
pub fn one(seed: u64) -> Outcome {
    let began = Instant::now();
    let outcome = pool::alone(seed, || play(seed));
    let (packets, heard, restarts) = outcome.counts;
    eprintln!(
        "seed {seed}: {packets} packets received, {heard} pairs heard at the end, {restarts} clients started over, {:?}",
        began.elapsed()
    );
    outcome
}

/// Runs seeds, and fails if one fails.
pub fn all(seeds: impl IntoIterator<Item = u64>) {
    let faults: Vec<String> = pool::each(seeds, |seed| describe(seed, &one(seed))).into_iter().flatten().collect();
    assert!(faults.is_empty(), "{} seeds failed:\n{}", faults.len(), faults.join("\n"));
}

fn describe(seed: u64, outcome: &Outcome) -> Option<String> {
    if let Ok(path) = std::env::var("SIM_TRACE") {
        std::fs::write(format!("{path}.{seed}"), outcome.lines.join("\n")).expect("SIM_TRACE names a writable path");
    }
    let fault = outcome.fault.as_ref()?;
    let (invariant, at, words) = (fault.invariant, fault.at, &fault.words);
    Some(format!("seed {seed}, {at:?} after the start: {invariant}: {words}\n  replay with: SEEDS={seed} cargo test --test sim rooms"))
}

/// Two runs of one seed must be equal.
pub fn compare(seed: u64, one: &Outcome, other: &Outcome) {
    let differs = one.lines.iter().zip(&other.lines).find(|(one, other)| one != other);
    assert_eq!(one.digest, other.digest, "seed {seed} decided differently the second time (SIM_TRACE=path shows where): {differs:?}");
    assert!(one.digest.1 > 10_000, "seed {seed} decided only {} things", one.digest.1);
}

fn play(seed: u64) -> Outcome {
    let mut world = World::new(seed);
    let mut heard = 0;
    let fault = scenes(seed, &mut world, &mut heard).err();
    Outcome { digest: world.digest(), counts: (world.playable, heard, world.restarts), lines: world.take_lines(), fault }
}

fn scenes(seed: u64, world: &mut World, heard: &mut usize) -> Result<(), Fault> {
    let mut director = Director::new(seed);
    world.run_until(epoch() + TROUBLE, |world| Some(director.act(world)))?;
    director.rest(world);
    world.heal();
    world.run_until(epoch() + TROUBLE + BACK_IN, |_| None)?;
    world.everyone_is_in()?;
    director.open_up(world);
    world.run_until(epoch() + TROUBLE + BACK_IN + SETTLED, |_| None)?;
    *heard = world.everyone_receives(SETTLED)?;
    world.everyone_is_known()?;
    world.gaps_are_losses()?;
    for id in world.alive() {
        world.clients[id.0].leave();
    }
    world.returning.clear();
    world.run_until(epoch() + TROUBLE + BACK_IN + SETTLED + FORGET, |_| None)?;
    world.nothing_left()
}
