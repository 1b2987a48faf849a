//! Packets through the relay, back to this machine: how many arrive, how long they take.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::fault::Fault;
use super::relay::Client;
use super::report::Outcome;

/// How many packets are sent.
const PACKETS: u32 = 50;
/// Time between two of them, as of audio.
const SPACING: Duration = Duration::from_millis(20);
/// How long the last ones are waited for.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes of a packet, as of audio.
const SIZE: usize = 160;
/// Both ends call their channel so.
const CHANNEL: u16 = 0x4000;
/// More lost packets than this are heard.
const LOST_MAX: u32 = 1;
/// A longer way makes people interrupt each other (ITU-T G.114: 400 ms in one direction).
const TRIP_MAX: Duration = Duration::from_millis(300);

/// What came of the packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How many were sent.
    pub sent: u32,
    /// How long each took that arrived, the shortest first.
    pub trips: Vec<Duration>,
}

impl Measured {
    fn lost(&self) -> u32 {
        self.sent.saturating_sub(u32::try_from(self.trips.len()).unwrap_or(u32::MAX))
    }

    /// The median trip from here to the relay and back.
    fn trip(&self) -> Option<Duration> {
        self.trips.get(self.trips.len() / 2).copied()
    }

    /// What it means for a call; `way` is how the relay was reached.
    #[must_use]
    pub fn judge(&self, way: &str) -> (Outcome, String) {
        let (lost, sent) = (self.lost(), self.sent);
        let Some(trip) = self.trip() else {
            let told = format!(
                "{way}: none of {sent} packets came through the relay, though it took both sides: look at the server's log and load."
            );
            return (Outcome::Failed, told);
        };
        #[allow(clippy::cast_precision_loss)] // microseconds of a second
        let millis = trip.as_micros() as f64 / 1_000.0;
        let told = format!("{way}: {lost} of {sent} packets lost, round trip {millis:.1} ms.");
        if lost > LOST_MAX {
            return (Outcome::Impaired, format!("{told} Such loss is heard and seen: look for a full line or weak Wi-Fi."));
        }
        if trip > TRIP_MAX {
            return (Outcome::Impaired, format!("{told} Such delay makes people interrupt each other: look for a detour, such as a VPN."));
        }
        (Outcome::Fine, told)
    }
}

/// Sends packets both ways between two allocations of one room, and gives the allocations back.
pub async fn measure(one: &mut Client, other: &mut Client) -> Result<Measured, Fault> {
    let measured = between(one, other).await;
    one.end().await;
    other.end().await;
    measured
}

async fn between(one: &mut Client, other: &mut Client) -> Result<Measured, Fault> {
    let (here, there) = (one.allocate().await?, other.allocate().await?);
    one.channel(CHANNEL, there).await?;
    other.channel(CHANNEL, here).await?;
    let mut left: Vec<Instant> = Vec::new();
    let mut trips: Vec<Option<Duration>> = vec![None; PACKETS as usize];
    let mut ticks = interval(SPACING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = sleep(SPACING * PACKETS * 2 + LINGER);
    tokio::pin!(end);
    while trips.iter().any(Option::is_none) {
        let heard = tokio::select! {
            () = &mut end => break,
            _ = ticks.tick(), if left.len() < trips.len() => {
                let number = left.len();
                let mut packet = (number as u64).to_be_bytes().to_vec();
                packet.resize(SIZE, 0);
                left.push(Instant::now());
                let from = if number.is_multiple_of(2) { &mut *one } else { &mut *other };
                from.send(CHANNEL, &packet).await?;
                continue;
            }
            heard = one.receive(CHANNEL) => heard?,
            heard = other.receive(CHANNEL) => heard?,
        };
        let number = heard.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)).and_then(|number| usize::try_from(number).ok());
        if let Some((number, sent)) = number.and_then(|number| Some((number, left.get(number)?))) {
            trips[number].get_or_insert(sent.elapsed());
        }
    }
    let mut trips: Vec<Duration> = trips.into_iter().flatten().collect();
    trips.sort_unstable();
    Ok(Measured { sent: u32::try_from(left.len()).unwrap_or(PACKETS), trips })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_delay_are_judged() {
        let measured = |arrived: usize, millis| Measured { sent: 50, trips: vec![Duration::from_millis(millis); arrived] };
        assert_eq!(measured(50, 20).judge("3478/udp"), (Outcome::Fine, "3478/udp: 0 of 50 packets lost, round trip 20.0 ms.".to_owned()));
        assert_eq!(measured(49, 20).judge("x").0, Outcome::Fine);
        assert_eq!(measured(48, 20).judge("x").0, Outcome::Impaired);
        assert_eq!(measured(50, 301).judge("x").0, Outcome::Impaired);
        assert_eq!(measured(0, 0).judge("x").0, Outcome::Failed);
    }
}
