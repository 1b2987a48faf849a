//! Data messages, passed on with the stamp of their sender.

use str0m::channel::{ChannelData, ChannelId};

use crate::model::ids::{RoomKey, SessionId, Sid};
use crate::node::peer::{PeerIndex, RoomIndex};
use crate::room::command::Leg;
use crate::room::media::{DataMessage, MediaEvent};
use crate::sfu::data::{Delivery, Sender, Stamped, packet, stamp};

use super::Worker;

/// LiveKit's label of the ordered, complete channel.
pub const RELIABLE: &str = "_reliable";
/// LiveKit's label of the channel that may lose messages.
pub const LOSSY: &str = "_lossy";
/// LiveKit's label of the channel for packets of data tracks, which may lose them.
pub const DATA_TRACK: &str = "_data_track";

/// Most data channels of a client; LiveKit's clients have two.
pub const CHANNELS_MAX: usize = 16;
/// Lossy messages are dropped for a client while more bytes than this wait for it: they would be old, and reliable ones come first.
pub const LOSSY_WAITS_MAX: usize = 128 * 1024;
/// Where so many bytes wait for a client, those who send to it are slowed down.
pub const RELIABLE_WAITS: usize = 256 * 1024;

impl Worker {
    pub(super) fn channel_open(&mut self, index: PeerIndex, channel: ChannelId, label: &str) {
        let Some(peer) = self.peer_mut(index) else { return };
        if peer.channels.open.len() >= CHANNELS_MAX {
            peer.rtc.direct_api().close_data_channel(channel);
            self.mark(index);
            return self.drop_datagram("data channels");
        }
        peer.channels.open.push(channel);
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
        peer.channels.open.retain(|open| *open != channel);
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
        let slow = self.spread(room, Some(from), &stamped, delivery);
        let now = self.now;
        if let Some(peer) = self.peer_mut(index).filter(|_| slow) {
            peer.quota.hold(now);
        }
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

    /// Hands a message to everybody whom it is for. Returns whether one of them is slow to take what there is.
    fn spread(&mut self, room: RoomIndex, from: Option<SessionId>, stamped: &Stamped, delivery: Delivery) -> bool {
        let Some(room) = self.room(room) else { return false };
        let mut receivers = Vec::with_capacity(room.sessions.len());
        for other in room.sessions.iter().filter(|other| Some(**other) != from) {
            let Some(session) = self.sessions.get(other).filter(|session| session.rights.subscribe) else { continue };
            let Some(peer) = self.peer(session.subscriber) else { continue };
            if stamped.is_for(&peer.sid, &session.identity) {
                receivers.push(session.subscriber);
            }
        }
        let mut slow = false;
        for receiver in receivers {
            slow |= self.write_data(receiver, stamped, delivery);
        }
        slow
    }

    /// Hands a message to str0m for one client. Returns whether the client is slow to take what there is.
    fn write_data(&mut self, index: PeerIndex, stamped: &Stamped, delivery: Delivery) -> bool {
        let Some(peer) = self.peer_mut(index).filter(|peer| !peer.channels.overrun) else { return false };
        let known = [peer.channels.reliable, peer.channels.lossy];
        let waits: usize = known.into_iter().flatten().filter_map(|id| Some(peer.rtc.channel(id)?.buffered_amount())).sum();
        let channel = match delivery {
            Delivery::Reliable => peer.channels.reliable,
            Delivery::Lossy if waits > LOSSY_WAITS_MAX => {
                self.drop_datagram("data late");
                return false;
            }
            Delivery::Lossy => peer.channels.lossy,
        };
        // A client without its channels yet has not joined the conversation.
        let Some(mut channel) = channel.and_then(|id| peer.rtc.channel(id)) else { return false };
        let written = channel.write(true, &stamped.bytes);
        self.mark(index);
        match (written, delivery) {
            (Ok(true), _) => return delivery == Delivery::Reliable && waits > RELIABLE_WAITS,
            // What is longer than the client takes, or comes as it leaves, is lost for it alone.
            (Err(_), _) | (_, Delivery::Lossy) => {}
            (Ok(false), Delivery::Reliable) => self.overrun(index),
        }
        self.drop_datagram("data buffer full");
        false
    }

    /// A client does not get a reliable message. It must not take the next ones for all there are, so it has to begin afresh.
    fn overrun(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer_mut(index) else { return };
        peer.channels.overrun = true;
        let session = peer.session;
        self.event(MediaEvent::Exhausted { session });
    }
}
