//! The ways by which a client is reached, as its checks prove them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::turn::Flow;

/// Most ways that one client may have proved; the oldest makes room, but for the one that media come by.
pub const PATHS_MAX: usize = 8;
/// A way that was not proved for so long while another was is dead: clients check theirs every 2 to 5 seconds.
pub const PATH_STALE: Duration = Duration::from_secs(5);
/// Media that come by another way after so long a pause have lost what was under way.
pub const PATH_LEFT: Duration = Duration::from_secs(1);

/// A proved way to the client.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Its ends.
    pub flow: Flow,
    /// When a check proved it last.
    proved: Instant,
    /// When media that the client's key opened came by it last.
    carried: Option<Instant>,
}

impl Path {
    /// Whether it is this way. Which of our addresses the client used may change.
    fn is_like(&self, flow: Flow) -> bool {
        self.flow.remote == flow.remote && self.flow.stream == flow.stream
    }

    fn last_alive(&self) -> Instant {
        self.carried.map_or(self.proved, |carried| carried.max(self.proved))
    }
}

/// All ways to one client.
#[derive(Debug, Default)]
pub struct Paths {
    /// That one first which was proved last.
    all: Vec<Path>,
    /// When media came last before ICE began anew.
    before: Option<Instant>,
}

impl Paths {
    /// Whether the client has proved this way.
    #[must_use]
    pub fn knows(&self, flow: Flow) -> bool {
        self.all.iter().any(|path| path.is_like(flow))
    }

    /// Every way.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.all.iter()
    }

    /// A check came by this way, with the right password. Returns a way that made room for it.
    pub fn prove(&mut self, flow: Flow, now: Instant) -> Option<Path> {
        let carried = self.all.iter().find(|path| path.is_like(flow)).and_then(|path| path.carried);
        self.all.retain(|known| !known.is_like(flow));
        self.all.insert(0, Path { flow, proved: now, carried });
        if self.all.len() <= PATHS_MAX {
            return None;
        }
        // Checks can be recorded and said again from anywhere; they must not push out the way that media come by.
        let busy = self.busiest().map(|path| path.flow);
        let at = self.all.iter().rposition(|path| Some(path.flow) != busy)?;
        Some(self.all.remove(at))
    }

    /// Media came by this way that the client's key opened. Returns whether they had come by another one until a while ago.
    pub fn carry(&mut self, flow: Flow, now: Instant) -> bool {
        let elsewhere = self.busiest().filter(|before| !before.is_like(flow)).and_then(|before| before.carried);
        let left = self.before.take().max(elsewhere);
        let moved = left.is_some_and(|at| now.saturating_duration_since(at) >= PATH_LEFT);
        let Some(path) = self.all.iter_mut().find(|path| path.is_like(flow)) else { return false };
        path.carried = Some(now);
        moved
    }

    /// ICE begins anew: where media came by until now does not count any more.
    pub fn restart(&mut self) {
        self.before = self.busiest().and_then(|path| path.carried).max(self.before);
        self.all.iter_mut().for_each(|path| path.carried = None);
    }

    /// A connection is closed.
    pub fn close(&mut self, flow: impl Fn(&Flow) -> bool) {
        self.all.retain(|path| !flow(&path.flow));
    }

    /// The way that str0m means by an address.
    #[must_use]
    pub fn to(&self, remote: SocketAddr, tcp: bool) -> Option<Flow> {
        self.find(remote, tcp).map(|path| path.flow)
    }

    /// The way for media that str0m sends to an address.
    ///
    /// str0m keeps to a nominated pair until it fails, 15 s after its last check. Where a NAT gave the client another port
    /// meanwhile, the way that its own media come by is better: nobody else can seal them, and a copy is not opened twice. A
    /// client that sends none is followed once the old way was silent for [`PATH_STALE`] while another was proved.
    #[must_use]
    pub fn for_media(&self, remote: SocketAddr, tcp: bool) -> Option<Flow> {
        let Some(own) = self.find(remote, tcp) else {
            // A UDP address that no check came from yet is str0m's own choice; a closed connection is none.
            return if tcp { self.busiest().or(self.all.first()).map(|path| path.flow) } else { None };
        };
        let busier = |path: &&Path| {
            let fresh = path.carried.is_some_and(|at| own.proved.saturating_duration_since(at) < PATH_STALE);
            fresh && path.carried > own.carried
        };
        let livelier = |path: &&Path| path.proved.saturating_duration_since(own.last_alive()) >= PATH_STALE;
        let better = self.busiest().filter(busier).or_else(|| self.all.first().filter(livelier));
        Some(better.unwrap_or(own).flow)
    }

    fn find(&self, remote: SocketAddr, tcp: bool) -> Option<&Path> {
        self.all.iter().find(|path| path.flow.remote == remote && path.flow.stream.is_some() == tcp)
    }

    fn busiest(&self) -> Option<&Path> {
        self.all.iter().filter(|path| path.carried.is_some()).max_by_key(|path| path.carried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::StreamId;

    fn flow(port: u16) -> Flow {
        Flow { remote: ([192, 0, 2, 1], port).into(), local: ([203, 0, 113, 1], 3_478).into(), stream: None }
    }

    fn goes_to(paths: &Paths, port: u16) -> u16 {
        paths.for_media(flow(port).remote, false).unwrap().remote.port()
    }

    #[test]
    fn media_follow_the_clients_own_media() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut paths = Paths::default();
        paths.prove(flow(1), at(0));
        assert!(!paths.carry(flow(1), at(10)));
        // A NAT forgot it; its checks, and then its media, come by another port.
        paths.prove(flow(2), at(2_000));
        assert_eq!(goes_to(&paths, 1), 1, "a check alone moves nothing: it may be a copy");
        assert!(paths.carry(flow(2), at(2_001)), "after a pause in which all was lost");
        assert!(!paths.carry(flow(2), at(2_020)));
        assert_eq!((goes_to(&paths, 1), goes_to(&paths, 2)), (2, 2));
    }

    #[test]
    fn a_second_way_that_is_only_checked_takes_nothing() {
        let start = Instant::now();
        let mut paths = Paths::default();
        for ms in (0..60_000).step_by(100) {
            let now = start + Duration::from_millis(ms);
            if ms % 2_500 == 0 {
                paths.prove(flow(1), now);
            }
            // Whoever listens says each check again, from a port of his own.
            if ms % 2_500 == 1_300 {
                paths.prove(flow(9), now);
            }
            assert!(!paths.carry(flow(1), now));
            assert_eq!(goes_to(&paths, 1), 1);
        }
    }

    #[test]
    fn who_sends_nothing_is_followed_when_the_old_way_is_dead() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut paths = Paths::default();
        paths.prove(flow(1), at(0));
        paths.prove(flow(2), at(4_999));
        assert_eq!(goes_to(&paths, 1), 1);
        paths.prove(flow(2), at(5_000));
        assert_eq!(goes_to(&paths, 1), 2);
        // Media of long ago do not hold back what str0m has chosen since.
        paths.carry(flow(1), at(5_100));
        paths.prove(flow(2), at(10_100));
        assert_eq!(goes_to(&paths, 2), 2);
        paths.carry(flow(1), at(10_200));
        paths.restart();
        assert_eq!(goes_to(&paths, 2), 2, "what came before a restart of ICE does not count");
        assert!(paths.carry(flow(2), at(11_200)), "but that it ended a while ago");
        paths.restart();
        assert!(!paths.carry(flow(2), at(11_300)));
    }

    #[test]
    fn copies_of_checks_push_out_no_way_of_media() {
        let start = Instant::now();
        let mut paths = Paths::default();
        paths.prove(flow(1), start);
        paths.carry(flow(1), start);
        let gone: Vec<u16> = (2..=30).filter_map(|port| paths.prove(flow(port), start)).map(|path| path.flow.remote.port()).collect();
        assert_eq!((gone.len(), gone[0], paths.iter().count()), (22, 2, PATHS_MAX));
        assert!(paths.knows(flow(1)));
    }

    #[test]
    fn a_closed_connection_leaves_the_other_ways() {
        let now = Instant::now();
        let stream = Flow { stream: Some(StreamId(1)), ..flow(1) };
        let mut paths = Paths::default();
        assert_eq!((paths.for_media(flow(1).remote, false), paths.for_media(flow(1).remote, true)), (None, None));
        paths.prove(stream, now);
        paths.prove(flow(2), now);
        assert_eq!(paths.for_media(stream.remote, true), Some(stream));
        assert_eq!(paths.to(stream.remote, true), Some(stream));
        paths.close(|flow| flow.stream == Some(StreamId(1)));
        assert_eq!((paths.to(stream.remote, true), paths.for_media(stream.remote, true)), (None, Some(flow(2))));
    }
}
