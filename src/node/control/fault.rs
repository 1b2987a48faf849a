//! A fault inside one room ends at most that room.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::model::chance::Chance;
use crate::model::ids::{RoomKey, SessionId};
use crate::model::time::Moment;
use crate::room::media::MediaCommand;
use crate::room::notice::LeaveReason;
use crate::room::{Effect, Room};

use super::{Control, ControlOutput};

impl Control {
    /// Lets a room work, then carries out what it wants done. If it panics, nothing of that is done, and the room is
    /// thrown away at the end of the turn.
    pub(super) fn with_room(&mut self, key: RoomKey, work: impl FnOnce(&mut Room, &mut Chance, &mut Vec<Effect>)) {
        let Some(entry) = self.rooms.get_mut(&key) else { return };
        let mut effects = Vec::new();
        let chance = &mut self.chance;
        // What is left half done belongs to the room, and the room goes.
        let whole = catch_unwind(AssertUnwindSafe(|| work(&mut entry.room, chance, &mut effects))).is_ok();
        let worker = entry.worker;
        if whole {
            self.carry_out(worker, effects);
        } else {
            self.broken.push(key);
        }
    }

    /// Throws rooms away that panicked.
    pub(super) fn clear_broken(&mut self, now: Moment) {
        for key in std::mem::take(&mut self.broken) {
            self.stats.room_faults += 1;
            self.fault(key, now);
        }
    }

    /// A room is lost to a fault of ours: its clients come back, to a fresh room with the same rules.
    pub(super) fn fault(&mut self, key: RoomKey, now: Moment) {
        let Some(entry) = self.rooms.get(&key) else { return };
        let (metadata, worker, stored) = (entry.room.view().metadata, entry.worker, entry.stored);
        let record = entry.record.clone();
        if catch_unwind(AssertUnwindSafe(|| self.close_room(key, LeaveReason::MediaFailure))).is_err() {
            self.out.push_back(ControlOutput::Media(worker, MediaCommand::CloseRoom { room: key }));
        }
        // A room that panicked may have lost count of its own.
        let left: Vec<SessionId> = self.sessions.iter().filter(|(_, room)| **room == key).map(|(session, _)| *session).collect();
        left.into_iter().for_each(|session| self.end(session));
        self.open(&record, metadata, stored, now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::testing::{config, connect};
    use super::super::{Caller, ControlInput};
    use super::*;
    use crate::access::jwt::{ApiKey, Claims, Keyring, mint};
    use crate::access::role::Role;
    use crate::model::ids::{Identity, RoomName, TenantId};
    use crate::node::request::ConnId;
    use crate::room::notice::{LeaveAction, Notice};

    fn core() -> Control {
        Control::new(config(1), Chance::new([7; 32]))
    }

    fn join(control: &mut Control, id: u64, room: &str, now: Moment) -> Vec<ControlOutput> {
        let key = ApiKey::new("APIfirst".to_owned(), "0123456789abcdef0123456789abcdef".to_owned()).unwrap();
        let mut ring = Keyring::new();
        ring.insert(TenantId::new("tenant").unwrap(), key.clone()).unwrap();
        let identity = Identity::new(&format!("person-{id}")).unwrap();
        let claims = Claims::join(&RoomName::new(room).unwrap(), identity, String::new(), Role::Guest, 60);
        let grants = ring.verify(&mint(&key, &claims), 1).unwrap();
        control.handle(ControlInput::Connect(Caller(id), ConnId(id), connect(grants)), now);
        std::iter::from_fn(|| control.poll()).collect()
    }

    fn told_to_reconnect(outputs: &[ControlOutput], conn: u64) -> bool {
        outputs.iter().any(|output| {
            matches!(output, ControlOutput::Notice(ConnId(id), Notice::Leave { action: LeaveAction::Reconnect, .. }) if *id == conn)
        })
    }

    #[test]
    fn a_room_that_panics_ends_alone_and_opens_again() {
        let mut control = core();
        let now = Moment { instant: Instant::now(), wall: Duration::from_secs(1) };
        join(&mut control, 1, "sound", now);
        join(&mut control, 2, "broken", now);
        let key = *control.sessions.values().last().unwrap();
        control.with_room(key, |_, _, _| panic!("on purpose"));
        assert_eq!(control.poll(), None, "nothing half done goes out");
        control.handle(ControlInput::Timeout, now);
        let outputs: Vec<_> = std::iter::from_fn(|| control.poll()).collect();
        assert!(told_to_reconnect(&outputs, 2) && !told_to_reconnect(&outputs, 1));
        assert!(outputs.contains(&ControlOutput::HangUp(ConnId(2))));
        let stats = control.stats();
        assert_eq!((stats.room_faults, stats.rooms, stats.participants), (1, 2, 1));
        let outputs = join(&mut control, 3, "broken", now);
        assert!(matches!(outputs[0], ControlOutput::Connected(Caller(3), Ok(_))), "its people come back");
    }
}
