//! Data messages, passed on with the stamp of their sender.

use str0m::channel::{ChannelData, ChannelId};

use crate::model::ids::{RoomKey, SessionId, Sid};
use crate::node::peer::{PeerIndex, RoomIndex};
use crate::room::command::Leg;
use crate::room::media::DataMessage;
use crate::sfu::data::{Delivery, Sender, Stamped, packet, stamp};

use super::Worker;

/// LiveKit's label of the ordered, complete channel.
pub const RELIABLE: &str = "_reliable";
/// LiveKit's label of the channel that may lose messages.
pub const LOSSY: &str = "_lossy";
/// LiveKit's label of the channel for packets of data tracks, which may lose them.
pub const DATA_TRACK: &str = "_data_track";

impl Worker {
    pub(super) fn channel_open(&mut self, index: PeerIndex, channel: ChannelId, label: &str) {
        let Some(peer) = self.peer_mut(index) else { return };
        match label {
            RELIABLE => peer.channels.reliable = Some(channel),
            LOSSY => peer.channels.lossy = Some(channel),
            DATA_TRACK => peer.channels.data_track = Some(channel),
            // Others have no meaning between clients; what comes through them is dropped.
            _ => {}
        }
    }

    pub(super) fn channel_close(&mut self, index: PeerIndex, channel: ChannelId) {
        let Some(peer) = self.peer_mut(index) else { return };
        for known in [&mut peer.channels.reliable, &mut peer.channels.lossy, &mut peer.channels.data_track] {
            if *known == Some(channel) {
                *known = None;
            }
        }
    }

    pub(super) fn data(&mut self, index: PeerIndex, data: ChannelData) {
        let Some(peer) = self.peer(index) else { return };
        let delivery = match Some(data.id) {
            id if id == peer.channels.reliable => Delivery::Reliable,
            id if id == peer.channels.lossy => Delivery::Lossy,
            id if id == peer.channels.data_track => return self.data_track(index, data.data),
            _ => return self.drop_datagram("data channel"),
        };
        let Some(session) = self.sessions.get(&peer.session) else { return };
        if !session.rights.data || peer.leg != Leg::Publisher {
            return self.drop_datagram("data grant");
        }
        let sender = Sender { sid: &peer.sid, identity: &session.identity };
        let named = Some(sender).filter(|_| !session.rights.hidden);
        let Ok(stamped) = stamp(&data.data, named, delivery) else { return self.drop_datagram("data malformed") };
        let (from, room) = (peer.session, session.room);
        self.spread(room, Some(from), &stamped, delivery);
    }

    /// Says something in the server's own name.
    pub(super) fn send_data(&mut self, room: RoomKey, message: &DataMessage) {
        let Some(room) = self.by_key.get(&room).copied() else { return };
        let delivery = if message.reliable { Delivery::Reliable } else { Delivery::Lossy };
        let stamped = Stamped {
            bytes: packet(&message.payload, message.topic.as_deref(), message.nonce.as_ref().map(<[u8; 16]>::as_slice), delivery),
            identities: message.identities.iter().map(|identity| identity.as_str().to_owned()).collect(),
            sids: message.sids.iter().map(Sid::to_string).collect(),
            encrypted: false,
        };
        self.spread(room, None, &stamped, delivery);
    }

    fn spread(&mut self, room: RoomIndex, from: Option<SessionId>, stamped: &Stamped, delivery: Delivery) {
        let Some(room) = self.room(room) else { return };
        let mut receivers = Vec::with_capacity(room.sessions.len());
        for other in room.sessions.iter().filter(|other| Some(**other) != from) {
            let Some(session) = self.sessions.get(other).filter(|session| session.rights.subscribe) else { continue };
            let Some(peer) = self.peer(session.subscriber) else { continue };
            if stamped.is_for(&peer.sid, &session.identity) {
                receivers.push(session.subscriber);
            }
        }
        for receiver in receivers {
            self.write_data(receiver, stamped, delivery);
        }
    }

    fn write_data(&mut self, index: PeerIndex, stamped: &Stamped, delivery: Delivery) {
        let Some(peer) = self.peer_mut(index) else { return };
        let channel = match delivery {
            Delivery::Reliable => peer.channels.reliable,
            Delivery::Lossy => peer.channels.lossy,
        };
        // A client without its channels yet has not joined the conversation.
        let Some(mut channel) = channel.and_then(|id| peer.rtc.channel(id)) else { return };
        // A full buffer loses the message for this client alone, and says so in the metrics.
        if !channel.write(true, &stamped.bytes).unwrap_or(false) {
            self.drop_datagram("data buffer full");
        }
        self.mark(index);
    }
}
