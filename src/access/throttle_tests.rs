//! Guessing on virtual time, to the bounds of what is remembered.

use super::*;
use crate::model::ids::RoomName;

const DAY: Duration = Duration::from_hours(24);

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(number.into())
}

/// Guesses as fast as they are let, each from another address, for some days; returns how many there were.
fn guesses(open: u32, days: u32) -> u32 {
    let (mut throttle, clinic, begin) = (Throttle::default(), tenant("clinic"), Instant::now());
    let (mut now, mut count) = (begin, 0);
    while now <= begin + DAY * days {
        let attempt = Try { tenant: &clinic, open, address: Some(address(count)) };
        match throttle.check(attempt, now) {
            Ok(()) => {
                throttle.guessed(attempt, now);
                count += 1;
            }
            Err(wait) => now += wait,
        }
    }
    count
}

#[test]
fn a_quarter_of_ceaseless_guessing_hits_once_in_a_thousand() {
    for open in [1, COST_MIN, 100, OPEN_TANS_MAX] {
        let expected_hits = f64::from(guesses(open, 90)) * f64::from(open) / f64::from(1 << 30);
        assert!(expected_hits < 1.03e-3, "{open}: {expected_hits}");
    }
    assert_eq!(guesses(OPEN_TANS_MAX, 1), 20 + 12);
    assert_eq!(guesses(COST_MIN, 1), 1_000 + 600);
}

#[test]
fn an_address_waits_before_its_tenant_does() {
    let (mut throttle, clinic, now) = (Throttle::default(), tenant("clinic"), Instant::now());
    let from = |number| Try { tenant: &clinic, open: 100, address: Some(address(number)) };
    for _ in 0..50 {
        throttle.check(from(1), now).unwrap();
        throttle.guessed(from(1), now);
    }
    let wait = throttle.check(from(1), now).unwrap_err();
    assert_eq!(wait, Duration::from_mins(48), "a hundred units of a quarter of 12,000 a day");
    assert_eq!(throttle.check(from(2), now), Ok(()));
    assert!(throttle.check(from(1), now + wait.saturating_sub(Duration::from_millis(1))).is_err());
    assert_eq!(throttle.check(from(1), now + wait), Ok(()));
}

#[test]
fn addresses_of_one_subscriber_count_as_one() {
    let (mut throttle, clinic, now) = (Throttle::default(), tenant("clinic"), Instant::now());
    let from = |text: &str| Try { tenant: &clinic, open: OPEN_TANS_MAX, address: Some(text.parse().unwrap()) };
    (0..5).for_each(|_| throttle.guessed(from("2001:db8::1"), now));
    assert!(throttle.check(from("2001:db8::2"), now).is_err());
    assert_eq!(throttle.check(from("2001:db8:0:1::1"), now), Ok(()));
}

#[test]
fn where_nothing_is_open_no_tenant_is_remembered() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    for number in 0..100 {
        let tenant = tenant(&number.to_string());
        throttle.guessed(Try { tenant: &tenant, open: 0, address: None }, now);
        throttle.guessed(Try { tenant: &tenant, open: 0, address: Some(address(1)) }, now);
    }
    assert_eq!(throttle.size(), 1);
}

#[test]
fn rooms_have_a_measure_of_their_own() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    let room = |name: &str| RoomId { tenant: tenant("clinic"), name: RoomName::new(name).unwrap() };
    (0..20).for_each(|_| throttle.refused_in(&room("r"), now));
    assert_eq!(throttle.check_room(&room("r"), now), Err(Duration::from_mins(1)));
    assert_eq!(throttle.check_room(&room("s"), now), Ok(()));
    assert_eq!(throttle.check_room(&room("r"), now + Duration::from_mins(1)), Ok(()));
}

#[test]
fn memory_is_bounded_and_forgets_what_is_refilled() {
    let mut ledger = Ledger::new(ROOM, 3);
    let now = Instant::now();
    (0..9).for_each(|who| ledger.charge(who, 5, now));
    assert_eq!(ledger.full.len(), 3);
    assert!(ledger.wait(&7, 1, now) > Duration::ZERO, "who found no room shares");
    assert_eq!(ledger.wait(&0, 1, now), Duration::ZERO, "whoever is known does not");
    let later = now + Duration::from_mins(5);
    ledger.charge(9, 1, later);
    assert_eq!(ledger.full.len(), 1);
    assert_eq!(ledger.wait(&7, 1, later), Duration::ZERO);
}
