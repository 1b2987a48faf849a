//! Tests of the division of a subscriber's bandwidth.

use super::super::dice::{Dice, epoch};
use super::*;
use crate::model::media::Quality;

const LOW: Level = Level::whole(Quality::Low);
const MEDIUM: Level = Level::whole(Quality::Medium);
const HIGH: Level = Level::whole(Quality::High);
const THIN: Level = Level { quality: Quality::Low, temporal: 0 };

/// A camera as livekit-client sends it.
fn camera(rank: Rank, now: Option<Level>) -> Demand {
    let rungs = [(THIN, 80), (LOW, 150), (MEDIUM, 500), (HIGH, 1_700)];
    Demand { rank, rungs: rungs.map(|(level, bitrate)| Rung { level, bitrate: bitrate * 1_000 }).to_vec(), now }
}

fn others(count: usize, now: Option<Level>) -> Vec<Demand> {
    vec![camera(Rank::Other, now); count]
}

fn fresh(kilobits: u64, demands: &[Demand]) -> Vec<Option<Level>> {
    Budget::default().decide(kilobits * 1_000, false, demands, epoch())
}

#[test]
fn each_gets_the_smallest_before_anybody_gets_more() {
    assert_eq!(fresh(10_000, &others(2, None)), [Some(HIGH), Some(HIGH)]);
    assert_eq!(fresh(400, &others(2, None)), [Some(LOW), Some(LOW)]);
    assert_eq!(fresh(200, &others(2, None)), [Some(THIN), Some(THIN)], "frames go before a picture does");
    assert_eq!(fresh(150, &others(2, None)), [Some(THIN), None]);
    assert_eq!(fresh(50, &others(2, None)), [None, None], "sound goes on alone");
    assert_eq!(fresh(1_000, &[]), []);
}

#[test]
fn who_matters_more_gets_more() {
    let both = [camera(Rank::Other, None), camera(Rank::Foremost(0), None), camera(Rank::Screen, None)];
    assert_eq!(fresh(1_100, &both), [Some(LOW), Some(LOW), Some(MEDIUM)]);
    assert_eq!(fresh(2_150, &both), [Some(THIN), Some(LOW), Some(HIGH)], "the screen");
    assert_eq!(fresh(100, &both), [None, None, Some(THIN)]);
    let pinned = [camera(Rank::Foremost(2), None), camera(Rank::Foremost(1), None)];
    assert_eq!(fresh(800, &pinned), [Some(LOW), Some(MEDIUM)], "the client's order");
}

#[test]
fn what_no_longer_fits_is_lowered_at_once_and_raised_with_headroom() {
    let (mut budget, start) = (Budget::default(), epoch());
    let at = |seconds| start + Duration::from_secs(seconds);
    let one = |now| [camera(Rank::Other, now)];
    assert_eq!(budget.decide(2_000_000, false, &one(None), at(0)), [Some(HIGH)]);
    assert_eq!(budget.decide(1_570_000, false, &one(Some(HIGH)), at(1)), [Some(MEDIUM)]);
    assert_eq!(budget.decide(2_500_000, false, &one(Some(MEDIUM)), at(3)), [Some(MEDIUM)], "it was raised and lowered: longer hold");
    assert_eq!(budget.decide(2_500_000, false, &one(Some(MEDIUM)), at(8)), [Some(MEDIUM)]);
    assert_eq!(budget.decide(1_850_000, false, &one(Some(MEDIUM)), at(13)), [Some(MEDIUM)], "no headroom");
    assert_eq!(budget.decide(2_000_000, false, &one(Some(MEDIUM)), at(14)), [Some(HIGH)]);
    assert_eq!(budget.decide(1_000_000, false, &one(Some(HIGH)), at(15)), [Some(MEDIUM)]);
    assert_eq!(budget.decide(2_600_000, false, &one(Some(MEDIUM)), at(17)), [Some(HIGH)], "plenty is there");
}

#[test]
fn a_link_between_two_layers_switches_ever_less_often() {
    let (mut budget, mut now) = (Budget::default(), epoch());
    let (mut level, mut switches) = (None, Vec::new());
    for tick in 0..2_400_u32 {
        now += Duration::from_millis(250);
        // Whoever sends more than 1 Mbit/s is found out after a second.
        let available = if level == Some(HIGH) && tick % 4 == 0 { 1_000_000 } else { 2_100_000 };
        let next = budget.decide(available, false, &[camera(Rank::Other, level)], now)[0];
        if next != level {
            switches.push(tick / 240);
        }
        level = next;
    }
    let in_minute = |minute| switches.iter().filter(|at| **at == minute).count();
    assert!(in_minute(0) <= 6, "{switches:?}");
    assert!((1..10).all(|minute| in_minute(minute) <= 4), "{switches:?}");
    assert!(in_minute(9) >= 1, "it is tried again all the time");
}

#[test]
fn a_client_that_asks_is_not_made_to_wait() {
    let (mut budget, now) = (Budget::default(), epoch());
    assert_eq!(budget.decide(2_000_000, false, &others(1, None), now), [Some(HIGH)]);
    assert_eq!(budget.decide(60_000, false, &others(1, Some(HIGH)), now), [None]);
    assert_eq!(budget.decide(2_000_000, false, &others(1, None), now), [None], "not at once");
    budget.ask();
    assert_eq!(budget.decide(2_000_000, false, &others(1, None), now), [Some(HIGH)], "another try");
    assert_eq!(budget.decide(60_000, false, &others(1, Some(HIGH)), now), [None]);
    let newcomer = [others(1, None), others(1, None)].concat();
    assert_eq!(budget.decide(200_000, false, &newcomer, now), [Some(THIN), Some(THIN)], "a new track");
}

#[test]
fn what_is_paused_is_resumed_before_anything_is_raised() {
    let (mut budget, start) = (Budget::default(), epoch());
    let at = |millis| start + Duration::from_millis(millis);
    assert_eq!(budget.decide(5_000_000, false, &others(2, None), at(0)), [Some(HIGH), Some(HIGH)]);
    assert_eq!(budget.decide(60_000, false, &others(2, Some(HIGH)), at(100)), [None, None]);
    assert_eq!(budget.decide(5_000_000, false, &others(2, None), at(1_000)), [None, None]);
    assert_eq!(budget.decide(240_000, false, &others(2, None), at(1_100)), [Some(THIN), Some(THIN)]);
    assert_eq!(budget.decide(360_000, false, &others(2, Some(THIN)), at(7_000)), [Some(LOW), Some(THIN)], "what there is plenty for");
    assert_eq!(budget.decide(360_000, false, &others(2, Some(THIN)), at(13_000)), [Some(LOW), Some(LOW)]);
}

#[test]
fn a_queue_that_grows_lowers_what_the_estimate_allows() {
    let (mut budget, now) = (Budget::default(), epoch());
    assert_eq!(budget.decide(5_000_000, true, &others(1, Some(HIGH)), now), [Some(MEDIUM)]);
    let soon = now + BETWEEN_CUTS.mul_f64(0.99);
    assert_eq!(budget.decide(5_000_000, true, &others(1, Some(MEDIUM)), soon), [Some(MEDIUM)], "a cut takes time to show");
    assert_eq!(budget.decide(5_000_000, true, &others(1, Some(MEDIUM)), now + BETWEEN_CUTS), [Some(LOW)]);
}

#[test]
fn a_speaker_gets_what_others_have() {
    let (mut budget, now) = (Budget::default(), epoch());
    let demands = [camera(Rank::Foremost(0), Some(LOW)), camera(Rank::Other, Some(HIGH))];
    assert_eq!(budget.decide(2_200_000, false, &demands, now), [Some(HIGH), Some(LOW)]);
    let paused = [camera(Rank::Foremost(0), Some(LOW)), camera(Rank::Other, Some(LOW))];
    assert_eq!(budget.decide(600_000, false, &paused, now + Duration::from_secs(9)), [Some(LOW), Some(LOW)], "but nobody's only layer");
}

#[test]
fn a_wish_for_less_needs_no_reason() {
    let mut small = camera(Rank::Other, Some(HIGH));
    small.rungs.truncate(2);
    assert_eq!(fresh(10_000, &[small]), [Some(LOW)]);
    let nothing = Demand { rank: Rank::Other, rungs: Vec::new(), now: Some(HIGH) };
    assert_eq!(fresh(10_000, &[nothing]), [None]);
}

#[test]
fn whatever_is_wanted_the_budget_is_kept() {
    let mut dice = Dice::new(3);
    for _ in 0..2_000 {
        let mut budget = Budget::default();
        let mut demands: Vec<Demand> = (0..dice.index(9))
            .map(|_| {
                let rank = [Rank::Screen, Rank::Foremost(0), Rank::Foremost(1), Rank::Other][dice.index(4)];
                let mut demand = camera(rank, None);
                demand.rungs.truncate(dice.index(5));
                demand
            })
            .collect();
        let mut now = epoch();
        for _ in 0..20 {
            now += Duration::from_millis(dice.below(3_000));
            let available = dice.below(6_000_000);
            let levels = budget.decide(available, dice.percent(10), &demands, now);
            let mut sum = 0;
            for (demand, level) in demands.iter_mut().zip(levels) {
                sum += demand.rungs.iter().find(|rung| Some(rung.level) == level).map_or(0, |rung| rung.bitrate);
                demand.now = level;
            }
            assert!(sum <= available / 100 * TOLERANCE_PERCENT, "{sum} of {available}");
        }
    }
}
