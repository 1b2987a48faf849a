//! Plain numbers that cores hand out for whoever watches; none names a room or a person.

use std::collections::BTreeMap;

use super::histogram::Histogram;
use super::media::MediaKind;

/// Classes of join times in seconds.
static JOIN_BOUNDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0];
/// Classes of forward delays in seconds.
static DELAY_BOUNDS: [f64; 10] = [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1];
/// Classes of packets per system call.
static BATCH_BOUNDS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Which way something went, as the server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client to the server.
    In,
    /// From the server to a client.
    Out,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// A count for each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByDirection([u64; 2]);

impl ByDirection {
    /// Adds `n` to one direction.
    pub fn add(&mut self, direction: Direction, n: u64) {
        self.0[direction as usize] += n;
    }

    /// The count of one direction.
    #[must_use]
    pub fn get(&self, direction: Direction) -> u64 {
        self.0[direction as usize]
    }
}

/// A count for each direction and kind of media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByKind([ByDirection; 2]);

impl ByKind {
    /// Adds `n` to one direction and kind.
    pub fn add(&mut self, direction: Direction, kind: MediaKind, n: u64) {
        self.0[kind as usize].add(direction, n);
    }

    /// The count of one direction and kind.
    #[must_use]
    pub fn get(&self, direction: Direction, kind: MediaKind) -> u64 {
        self.0[kind as usize].get(direction)
    }
}

/// What the control core counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlStats {
    /// Rooms now.
    pub rooms: u64,
    /// Participants now.
    pub participants: u64,
    /// Published tracks now.
    pub tracks: u64,
    /// Joins since the start by result, from a fixed set of labels.
    pub joins: BTreeMap<&'static str, u64>,
    /// Uses of TANs, of links for one device, of resume secrets since the start by result, from a fixed set of labels.
    pub invitation_tries: BTreeMap<&'static str, u64>,
    /// Seconds from the request to join until media stood.
    pub join_seconds: Histogram<10>,
    /// Rooms that ended by a fault of ours; must stay 0.
    pub room_faults: u64,
}

impl Default for ControlStats {
    fn default() -> Self {
        Self {
            rooms: 0,
            participants: 0,
            tracks: 0,
            joins: BTreeMap::new(),
            invitation_tries: BTreeMap::new(),
            join_seconds: Histogram::new(&JOIN_BOUNDS),
            room_faults: 0,
        }
    }
}

/// What one media worker counts since its start.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerStats {
    /// RTP packets.
    pub rtp_packets: ByKind,
    /// Bytes of RTP payload.
    pub rtp_bytes: ByKind,
    /// Packets reported missing (RFC 4585 §6.2.1).
    pub nacks: ByDirection,
    /// Requests for keyframes (RFC 4585 §6.3.1, RFC 5104 §4.3.1).
    pub keyframe_requests: ByDirection,
    /// Seconds from a packet's arrival to its leaving, each forward counted.
    pub forward_delay: Histogram<10>,
    /// Datagrams that were not taken by reason, from a fixed set of labels.
    pub dropped_datagrams: BTreeMap<&'static str, u64>,
    /// Packets that left by one system call.
    pub send_batch_packets: Histogram<9>,
    /// Rooms that ended by a fault of ours; must stay 0.
    pub room_faults: u64,
    /// Relayed addresses now.
    pub turn_allocations: u64,
    /// Bytes of relayed payload.
    pub turn_bytes: ByDirection,
}

impl Default for WorkerStats {
    fn default() -> Self {
        Self {
            rtp_packets: ByKind::default(),
            rtp_bytes: ByKind::default(),
            nacks: ByDirection::default(),
            keyframe_requests: ByDirection::default(),
            forward_delay: Histogram::new(&DELAY_BOUNDS),
            dropped_datagrams: BTreeMap::new(),
            send_batch_packets: Histogram::new(&BATCH_BOUNDS),
            room_faults: 0,
            turn_allocations: 0,
            turn_bytes: ByDirection::default(),
        }
    }
}

impl WorkerStats {
    /// Adds another worker's counts.
    pub fn merge(&mut self, other: &Self) {
        for direction in Direction::ALL {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                self.rtp_packets.add(direction, kind, other.rtp_packets.get(direction, kind));
                self.rtp_bytes.add(direction, kind, other.rtp_bytes.get(direction, kind));
            }
            self.nacks.add(direction, other.nacks.get(direction));
            self.keyframe_requests.add(direction, other.keyframe_requests.get(direction));
            self.turn_bytes.add(direction, other.turn_bytes.get(direction));
        }
        self.forward_delay.merge(&other.forward_delay);
        self.send_batch_packets.merge(&other.send_batch_packets);
        for (reason, count) in &other.dropped_datagrams {
            *self.dropped_datagrams.entry(reason).or_default() += count;
        }
        self.room_faults += other.room_faults;
        self.turn_allocations += other.turn_allocations;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_adds_every_field() {
        let mut one = WorkerStats::default();
        one.rtp_packets.add(Direction::In, MediaKind::Video, 3);
        one.rtp_bytes.add(Direction::Out, MediaKind::Audio, 5);
        one.nacks.add(Direction::In, 1);
        one.keyframe_requests.add(Direction::Out, 2);
        one.forward_delay.observe(0.001);
        one.send_batch_packets.observe(4.0);
        one.dropped_datagrams.insert("stranger", 7);
        one.room_faults = 1;
        one.turn_allocations = 3;
        one.turn_bytes.add(Direction::In, 9);
        let mut sum = WorkerStats::default();
        sum.merge(&one);
        assert_eq!(sum, one);
        sum.merge(&one);
        assert_eq!(sum.rtp_packets.get(Direction::In, MediaKind::Video), 6);
        assert_eq!(sum.rtp_packets.get(Direction::Out, MediaKind::Video), 0);
        assert_eq!(sum.dropped_datagrams["stranger"], 14);
        assert_eq!(sum.room_faults, 2);
    }
}
