//! How often a publisher is asked for a keyframe of one layer.

use std::time::{Duration, Instant};

/// At most one request goes to a layer in this time, however many subscribers ask.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// The requests to one layer of one publisher.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyframeThrottle {
    asked: Option<Instant>,
    waiting: bool,
}

impl KeyframeThrottle {
    /// Somebody needs a keyframe: `true` if the request must be sent now. Otherwise it is kept and
    /// [`Self::poll`] sends one for all who asked meanwhile.
    pub fn request(&mut self, now: Instant) -> bool {
        self.waiting = true;
        self.poll(now)
    }

    /// A keyframe starts: everybody who asked before gets it, so what was kept is dropped.
    pub fn arrived(&mut self) {
        self.waiting = false;
    }

    /// When [`Self::poll`] will have something to send.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.asked.filter(|_| self.waiting).map(|asked| asked + INTERVAL)
    }

    /// Whether a kept request must be sent now.
    pub fn poll(&mut self, now: Instant) -> bool {
        let due = self.waiting && self.asked.is_none_or(|asked| now >= asked + INTERVAL);
        if due {
            *self = Self { asked: Some(now), waiting: false };
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::epoch;
    use super::*;

    #[test]
    fn requests_in_the_interval_become_one_at_its_end() {
        let (mut throttle, start) = (KeyframeThrottle::default(), epoch());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(throttle.next_timeout(), None);
        assert!(throttle.request(at(0)));
        assert_eq!((throttle.request(at(1)), throttle.request(at(499))), (false, false));
        assert_eq!(throttle.next_timeout(), Some(at(500)));
        assert_eq!((throttle.poll(at(499)), throttle.poll(at(500)), throttle.poll(at(501))), (false, true, false));
        assert_eq!(throttle.next_timeout(), None);
        assert!(!throttle.request(at(999)), "the kept one counts too");
        assert!(throttle.request(at(1_000)));
    }

    #[test]
    fn a_keyframe_answers_those_who_wait() {
        let (mut throttle, start) = (KeyframeThrottle::default(), epoch());
        assert!(throttle.request(start));
        assert!(!throttle.request(start));
        throttle.arrived();
        assert_eq!(throttle.next_timeout(), None);
        assert!(!throttle.poll(start + INTERVAL));
        assert!(throttle.request(start + INTERVAL));
    }
}
