//! A fault inside one room ends at most that room.

use std::panic::{AssertUnwindSafe, catch_unwind};

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
        self.packets.clear();
        let Some(room) = self.rooms.get(index.0 as usize).and_then(Option::as_ref) else { return };
        let key = room.key;
        self.close_room(key);
        self.event(MediaEvent::RoomFault { room: key });
    }
}
