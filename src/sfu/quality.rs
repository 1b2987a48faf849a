//! How well people understand each other over a network, by the E-model of ITU-T G.107.

use std::time::Duration;

/// The rating of an undisturbed call with the default values of ITU-T G.107.
const UNDISTURBED: f64 = 93.2;
/// What coding, packets of 20 ms and the smallest buffer add to the way, in ms.
const OWN_DELAY: f64 = 40.0;
/// Up to here people hardly notice that an answer takes time (ITU-T G.107, simplified by Cole and Rosenbluth), in ms.
const NOTICED: f64 = 177.3;
/// How well Opus with in-band FEC and concealment stands losses: so many percent halve its quality (Bpl of ITU-T G.113).
const ROBUSTNESS: f64 = 20.0;

/// What was measured of a connection. The default is a perfect one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// The share of packets that were lost, 0 to 1.
    pub loss: f32,
    /// There and back.
    pub round_trip: Duration,
    /// Between arrivals (RFC 3550 §6.4.1).
    pub jitter: Duration,
}

impl Measured {
    /// The mean opinion score of speech: 1 is unusable, about 4.4 is as good as it gets.
    #[must_use]
    pub fn score(&self) -> f32 {
        // A buffer that hides the jitter waits about twice as long.
        let delay = OWN_DELAY + self.round_trip.as_secs_f64() * 500.0 + self.jitter.as_secs_f64() * 2_000.0;
        let slow = 0.024 * delay + 0.11 * (delay - NOTICED).max(0.0);
        let percent = f64::from(self.loss.clamp(0.0, 1.0)) * 100.0;
        let broken = 95.0 * percent / (percent + ROBUSTNESS);
        let rating = (UNDISTURBED - slow - broken).clamp(0.0, 100.0);
        let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
        // Below five; what f32 loses of it is nothing that anybody could hear.
        #[allow(clippy::cast_possible_truncation)]
        let score = score.max(1.0) as f32;
        score
    }

    /// Each measure by its worse value.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        Self { loss: self.loss.max(other.loss), round_trip: self.round_trip.max(other.round_trip), jitter: self.jitter.max(other.jitter) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(loss: f32, round_trip: u64, jitter: u64) -> Measured {
        Measured { loss, round_trip: Duration::from_millis(round_trip), jitter: Duration::from_millis(jitter) }
    }

    #[test]
    fn each_measure_makes_it_worse() {
        assert!((4.3..4.5).contains(&Measured::default().score()));
        for worse in [path(0.05, 0, 0), path(0.0, 500, 0), path(0.0, 0, 100)] {
            assert!(worse.score() < Measured::default().score() - 0.1, "{worse:?}: {}", worse.score());
        }
        assert!(path(1.0, 9_000, 9_000).score() >= 1.0);
        assert!(path(f32::NAN, 0, 0).score() >= 1.0);
    }

    #[test]
    fn the_worse_of_two_counts() {
        assert_eq!(path(0.1, 20, 9).worse(path(0.0, 300, 3)), path(0.1, 300, 9));
    }
}
