//! A fault inside one room ends at most that room.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::model::ids::SessionId;
use crate::node::peer::{PeerIndex, RoomIndex};
use crate::room::media::MediaEvent;

use super::Worker;

impl Worker {
    /// Runs `work` for a peer. If it panics, the peer's room is thrown away and everything else goes on.
    pub(super) fn guard(&mut self, peer: PeerIndex, work: impl FnOnce(&mut Self)) {
        let Some(room) = self.peer(peer).map(|peer| peer.room) else { return };
        self.guard_room(room, work);
    }

    /// Runs `work` for a room. If it panics, the room is thrown away and everything else goes on.
    pub(super) fn guard_room(&mut self, room: RoomIndex, work: impl FnOnce(&mut Self)) {
        // What is left half done belongs to the room, and the room goes.
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.fault(room);
        }
    }

    fn fault(&mut self, index: RoomIndex) {
        self.stats.room_faults += 1;
        let Some(room) = self.rooms.get(index.0 as usize).and_then(Option::as_ref) else { return };
        let key = room.key;
        for session in room.sessions.clone() {
            self.silence(session);
        }
        self.close_room(key);
        self.event(MediaEvent::RoomFault { room: key });
    }

    /// Sees that a session's peers are thrown away without a last word: what panicked once would panic again.
    fn silence(&mut self, session: SessionId) {
        let Some(session) = self.sessions.get(&session) else { return };
        for leg in [session.publisher, session.subscriber] {
            if let Some(peer) = self.peer_mut(leg) {
                peer.connected = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use str0m::Rtc;
    use str0m::media::{Direction, MediaKind};

    use super::*;
    use crate::model::chance::Chance;
    use crate::model::ids::{Identity, RoomKey, Sid, WorkerIndex};
    use crate::model::time::Moment;
    use crate::node::worker::{WorkerConfig, WorkerInput, WorkerOutput};
    use crate::room::command::Layout;
    use crate::room::media::{MediaCommand, MediaRights};
    use crate::turn::TurnConfig;
    use crate::turn::credentials::RelaySecrets;

    fn worker_with_two_rooms(now: Instant) -> Worker {
        str0m::crypto::from_feature_flags().install_process_default();
        let started = Moment { instant: now, wall: std::time::Duration::ZERO };
        let relay = TurnConfig::closed(RelaySecrets::new(&[], "secret"), [5; 32], started);
        let config = WorkerConfig {
            index: WorkerIndex(0),
            workers: 1,
            candidates: vec!["192.0.2.1:3478".parse().unwrap()],
            tcp_candidates: Vec::new(),
            relay,
        };
        let mut worker = Worker::new(config, Chance::new([1; 32]), now);
        let rights = MediaRights { publish: true, subscribe: true, data: true, hidden: false };
        for number in [1, 2] {
            let room = RoomKey(number);
            let (session, sid, identity) = (SessionId(number), Sid::from_client("PA_x"), Identity::new("x").unwrap());
            worker.handle(WorkerInput::Command(MediaCommand::OpenRoom { room, require_encryption: false }), now);
            let add = MediaCommand::AddSession { session, room, sid, identity, layout: Layout::Dual, rights };
            worker.handle(WorkerInput::Command(add), now);
        }
        events(&mut worker);
        worker
    }

    fn events(worker: &mut Worker) -> Vec<MediaEvent> {
        std::iter::from_fn(|| worker.poll())
            .filter_map(|output| match output {
                WorkerOutput::Event(event) => Some(event),
                _ => None,
            })
            .collect()
    }

    fn offer(now: Instant) -> String {
        let mut rtc = Rtc::builder().build(now);
        let mut api = rtc.sdp_api();
        api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        api.apply().unwrap().0.to_sdp_string()
    }

    #[test]
    fn a_panic_ends_its_own_room_only() {
        let now = Instant::now();
        let mut worker = worker_with_two_rooms(now);
        let before = worker.sizes().map(|(_, size)| size);
        let struck = worker.sessions[&SessionId(1)].subscriber;
        worker.mark(struck);
        worker.guard(struck, |worker| {
            worker.chance.next_u64();
            panic!("as a fault of ours would");
        });
        assert_eq!(worker.stats().room_faults, 1);
        assert_eq!(events(&mut worker), [MediaEvent::RoomFault { room: RoomKey(1) }]);
        let [peers, rooms, sessions, _, names, ..] = worker.sizes().map(|(_, size)| size);
        assert_eq!([peers, rooms, sessions, names], [before[0] / 2, 1, 1, before[4] / 2]);

        for session in [1, 2] {
            let offer = MediaCommand::Offer { session: SessionId(session), sdp: offer(now), id: 7 };
            worker.handle(WorkerInput::Command(offer), now);
        }
        let answers = events(&mut worker);
        assert!(matches!(answers[..], [MediaEvent::Answer { session: SessionId(2), id: 7, .. }]), "{} answers", answers.len());
        assert_eq!(worker.stats().room_faults, 1);
    }
}
