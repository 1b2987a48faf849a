//! The orders that open a load's rooms, as the control core would give them.

use std::io;

use konsil::model::chance::Chance;
use konsil::model::ids::{Identity, RoomKey, SessionId, Sid};
use konsil::model::media::{MediaKind, TrackSource};
use konsil::room::command::Layout;
use konsil::room::media::{MediaCommand, MediaRights, TrackSpec};

use crate::client::cid;
use crate::load::Load;

/// Rooms, sessions, tracks and subscriptions of `load`; sessions have the people's numbers.
pub fn orders(load: Load) -> io::Result<Vec<MediaCommand>> {
    let mut chance = Chance::new([1; 32]);
    let room = |number: usize| RoomKey((number / load.people) as u64);
    let session = |number: usize| SessionId(number as u64);
    let mut orders: Vec<_> =
        (0..load.rooms).map(|at| MediaCommand::OpenRoom { room: RoomKey(at as u64), require_encryption: true }).collect();
    let sids: Vec<_> = (0..load.total()).map(|_| Sid::participant(&mut chance)).collect();
    for (number, sid) in sids.iter().enumerate() {
        orders.push(MediaCommand::AddSession {
            session: session(number),
            room: room(number),
            sid: sid.clone(),
            identity: Identity::new(&format!("{number}")).map_err(io::Error::other)?,
            layout: Layout::Single,
            rights: MediaRights { publish: true, subscribe: true, data: true, hidden: false },
        });
    }
    for number in (0..load.total()).filter(|number| load.publishes(*number)) {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let sid = Sid::track(&mut chance);
            let cids = vec![cid(number, kind)];
            let track = TrackSpec {
                sid: sid.clone(),
                cids,
                kind,
                source: TrackSource::Unknown,
                layers: Vec::new(),
                codec: None,
                red: true,
                encrypted: true,
                muted: false,
            };
            orders.push(MediaCommand::AddTrack { session: session(number), track });
            for receiver in load.receivers(number) {
                let publisher = sids[number].clone();
                orders.push(MediaCommand::Subscribe { session: session(receiver), track: sid.clone(), publisher });
            }
        }
    }
    Ok(orders)
}
