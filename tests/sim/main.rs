//! Whole nodes with clients on virtual time over seeded lossy links. `SEEDS=lo..hi cargo test --test sim` runs more seeds.
#![allow(clippy::expect_used, reason = "what is expected here is the test's own doing")]

mod book;
mod client;
mod clock;
mod director;
mod entropy;
mod invariants;
mod journal;
mod link;
mod lips;
mod mail;
mod oracle;
mod packet;
mod pipe;
mod pool;
mod run;
mod sink;
mod source;
mod time;
mod wire;
mod world;

use std::ops::Range;

/// The seeds that every `cargo test` runs.
const SEEDS: Range<u64> = 1..41;
/// Seeds that once failed, with what they found.
const REGRESSIONS: &str = include_str!("seeds.txt");

/// The seeds that the environment asks for, else the usual ones.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("SEEDS") else { return SEEDS };
    let parsed = text.split_once("..").and_then(|(low, high)| Some(low.parse().ok()?..high.parse().ok()?));
    parsed.or_else(|| text.parse().ok().map(|seed: u64| seed..seed + 1)).expect("SEEDS is a seed, or two with two dots between")
}

#[test]
fn rooms_keep_their_promises() {
    run::all(seeds());
}

/// `SEEDS=1..10 PEOPLE=9 cargo test --test sim book -- --nocapture` runs more; `NETWORK=name` only some.
#[test]
fn the_book_of_networks_holds() {
    let seeds = if std::env::var("SEEDS").is_ok() { seeds() } else { 1..2 };
    let people = std::env::var("PEOPLE").ok().map(|people| people.parse().expect("PEOPLE is a number"));
    book::all(seeds, &[people.unwrap_or(4)]);
}

/// With `PEOPLE=2` on all networks.
#[test]
fn pairs_meet_at_the_relay() {
    let seeds = if std::env::var("SEEDS").is_ok() { seeds() } else { 1..2 };
    book::pairs(seeds, std::env::var("PEOPLE").is_ok_and(|people| people == "2"));
}

#[test]
fn one_bad_network_touches_nobody_else() {
    book::one_bad_touches_nobody(1, std::env::var("PEOPLE").ok().map_or(5, |people| people.parse().expect("PEOPLE is a number")));
}

#[test]
fn seeds_that_failed_once_pass() {
    let seeds = REGRESSIONS.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty());
    run::all(seeds.map(|seed| seed.parse().expect("a seed, then a comment")));
}

#[test]
fn the_same_seed_makes_the_same_decisions() {
    for seed in [4, 12, 24] {
        let (one, other) = (run::one(seed), run::one(seed));
        run::compare(seed, &one, &other);
    }
}
