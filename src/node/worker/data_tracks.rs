//! Data tracks: each packet goes to those who receive the track, under the number that each knows it by.

use crate::model::ids::{SessionId, Sid};
use crate::node::peer::PeerIndex;
use crate::room::command::Leg;
use crate::sfu::data_track::{head, renumber};

use super::Worker;
use super::rooms::{DataTrack, MediaRoom};

/// Bytes of data tracks that may wait for one client; what comes on top is lost. Messages of the other channels, which
/// share the association's buffer of 128 KiB, always find place beside them.
pub const WAITING_MAX: usize = 64 * 1024;

impl MediaRoom {
    /// Forgets what a session sends and receives.
    pub fn forget_data(&mut self, session: SessionId) {
        self.data_tracks.retain(|track| track.session != session);
        for track in &mut self.data_tracks {
            track.receivers.retain(|(receiver, _)| *receiver != session);
        }
    }

    fn data_track_mut(&mut self, sid: &Sid) -> Option<&mut DataTrack> {
        self.data_tracks.iter_mut().find(|track| track.sid == *sid)
    }
}

impl Worker {
    fn room_of(&mut self, session: SessionId) -> Option<&mut MediaRoom> {
        let room = self.sessions.get(&session)?.room;
        self.room_mut(room)
    }

    pub(super) fn add_data_track(&mut self, session: SessionId, sid: Sid, handle: u16) {
        if let Some(room) = self.room_of(session) {
            room.data_tracks.push(DataTrack { sid, session, handle, receivers: Vec::new() });
        }
    }

    pub(super) fn remove_data_track(&mut self, session: SessionId, sid: &Sid) {
        if let Some(room) = self.room_of(session) {
            room.data_tracks.retain(|track| track.sid != *sid);
        }
    }

    pub(super) fn subscribe_data(&mut self, session: SessionId, sid: &Sid, handle: u16) {
        self.unsubscribe_data(session, sid);
        if let Some(track) = self.room_of(session).and_then(|room| room.data_track_mut(sid)) {
            track.receivers.push((session, handle));
        }
    }

    pub(super) fn unsubscribe_data(&mut self, session: SessionId, sid: &Sid) {
        if let Some(track) = self.room_of(session).and_then(|room| room.data_track_mut(sid)) {
            track.receivers.retain(|(receiver, _)| *receiver != session);
        }
    }

    /// Forwards a packet of a data track.
    pub(super) fn data_track(&mut self, index: PeerIndex, mut packet: Vec<u8>) {
        let Some(peer) = self.peer(index) else { return };
        let (id, leg) = (peer.session, peer.leg);
        let Some(session) = self.sessions.get(&id) else { return };
        if !session.rights.data || session.rights.hidden || leg != Leg::Publisher {
            return self.drop_datagram("data grant");
        }
        let Some(head) = head(&packet) else { return self.drop_datagram("data malformed") };
        let Some(room) = self.room(session.room) else { return };
        if room.require_encryption && !head.sealed {
            return self.drop_datagram("data unsealed");
        }
        let Some(track) = room.data_tracks.iter().find(|track| track.session == id && track.handle == head.handle) else {
            return self.drop_datagram("data track");
        };
        let receiver = |(receiver, handle): &(SessionId, u16)| {
            let session = self.sessions.get(receiver).filter(|session| session.rights.subscribe)?;
            Some((session.subscriber, *handle))
        };
        let receivers: Vec<_> = track.receivers.iter().filter_map(receiver).collect();
        for (receiver, handle) in receivers {
            renumber(&mut packet, handle);
            self.write_packet(receiver, &packet);
        }
    }

    fn write_packet(&mut self, index: PeerIndex, packet: &[u8]) {
        let Some(peer) = self.peer_mut(index) else { return };
        let Some(mut channel) = peer.channels.data_track.and_then(|id| peer.rtc.channel(id)) else { return };
        let fits = channel.buffered_amount() + packet.len() <= WAITING_MAX;
        if !(fits && channel.write(true, packet).unwrap_or(false)) {
            self.drop_datagram("data buffer full");
        }
        self.mark(index);
    }
}
