//! Data messages at their bounds: what is reliable is complete, what is lossy goes first.

use std::time::Duration;

use konsil::model::media::MediaKind;
use konsil::room::command::Layout;
use konsil::room::media::{MediaCommand, MediaEvent};
use livekit_protocol::data_packet::Value;
use livekit_protocol::{DataPacket, UserPacket};
use prost::Message as _;

use super::call::{Call, LOSSY};
use super::dropped_as;

/// LiveKit's label of the channel that loses nothing.
const RELIABLE: &str = "_reliable";
const STEP: Duration = Duration::from_millis(10);
/// What a message of a participant may have.
const PACKET_MAX: usize = 64 * 1024;
/// Bytes that a participant may send a second.
const RATE: u64 = 2_000_000;
/// Data channels that a client may have.
const CHANNELS_MAX: usize = 16;
/// The places of a guest's channels.
const BY_RELIABLE: usize = 0;
const BY_LOSSY: usize = 1;

impl Call {
    /// Lets somebody in who has data channels of these labels, with nothing to hear.
    fn talker(&mut self, room: u64, session: u64, channels: &[&str]) -> usize {
        let id = self.join(room, session, Layout::Single);
        let (guest, sdp) = self.guest(id, MediaKind::Audio, str0m::media::Direction::RecvOnly, channels);
        self.order(MediaCommand::Offer { session: id, sdp, id: 1 });
        guest
    }

    /// Sends a message by a guest's channel. Returns whether there was room for it.
    fn send(&mut self, guest: usize, channel: usize, message: &[u8]) -> bool {
        let now = self.now;
        let guest = &mut self.guests[guest];
        let channel = guest.channels[channel];
        guest.due = now;
        guest.rtc.channel(channel).is_some_and(|mut channel| channel.write(true, message).unwrap_or(false))
    }
}

fn message(number: u32, len: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(len, 7);
    DataPacket { value: Some(Value::User(UserPacket { payload, ..UserPacket::default() })), ..DataPacket::default() }.encode_to_vec()
}

/// The numbers of what a guest got.
fn numbers(call: &Call, guest: usize) -> Vec<u32> {
    let number = |message: &Vec<u8>| {
        let Some(Value::User(user)) = DataPacket::decode(message.as_slice()).unwrap().value else { panic!("another packet") };
        u32::from_be_bytes(user.payload[..4].try_into().unwrap())
    };
    call.guests[guest].messages.iter().map(number).collect()
}

/// Three who talk.
fn call() -> Call {
    let mut call = Call::new();
    call.open(1);
    for session in 1..=3 {
        call.talker(1, session, &[RELIABLE, LOSSY]);
    }
    call.run(Duration::from_secs(1));
    call
}

#[test]
fn large_messages_come_whole_in_order_at_the_rate_of_the_quota() {
    const MESSAGES: u32 = 150;
    let mut call = call();
    let mut next = 0;
    let begun = call.now;
    while call.guests[1].messages.len() < MESSAGES as usize {
        // All but the room for what carries it.
        while next < MESSAGES && call.send(0, BY_RELIABLE, &message(next, PACKET_MAX - 256)) {
            next += 1;
        }
        call.run(STEP);
        assert!(call.now - begun < Duration::from_mins(5), "{} of {MESSAGES}", call.guests[1].messages.len());
    }
    let (took, bytes) = (call.now - begun, u64::from(MESSAGES) * (PACKET_MAX - 256) as u64);
    assert!(took >= Duration::from_secs(bytes) / u32::try_from(RATE).unwrap(), "{bytes} bytes came within {took:?}");
    call.run(Duration::from_secs(5));
    assert_eq!(numbers(&call, 1), (0..MESSAGES).collect::<Vec<_>>());
    assert_eq!(numbers(&call, 2), (0..MESSAGES).collect::<Vec<_>>());
    assert!(!call.events.iter().any(|event| matches!(event, MediaEvent::Exhausted { .. })));
}

#[test]
fn for_who_does_not_take_them_lossy_messages_are_dropped_first() {
    let mut call = call();
    call.guests[1].cut = true;
    for number in 0..2_000 {
        call.send(0, BY_LOSSY, &message(number, 1_000));
        call.run(STEP);
    }
    assert!(dropped_as(&call, "data late") > 0);
    assert!(!call.events.iter().any(|event| matches!(event, MediaEvent::Exhausted { .. })), "no reliable one was lost");
    assert!(numbers(&call, 2).len() > 1_900, "{} came to the other", numbers(&call, 2).len());
}

#[test]
fn who_misses_a_reliable_message_has_to_begin_afresh() {
    let mut call = call();
    call.guests[1].cut = true;
    let (slow, mut sent) = (call.guests[1].session, 0);
    let begun = call.now;
    while !call.events.contains(&MediaEvent::Exhausted { session: slow }) {
        sent += u32::from(call.send(0, BY_RELIABLE, &message(sent, 16_000)));
        call.run(STEP);
        assert!(call.now - begun < Duration::from_mins(2), "{sent} messages wait");
    }
    assert!(sent > 40, "after {sent} messages of 16 KB");
    for _ in 0..20 {
        sent += u32::from(call.send(0, BY_RELIABLE, &message(sent, 100)));
        call.run(STEP);
    }
    call.run(Duration::from_secs(20));
    assert_eq!(numbers(&call, 2), (0..sent).collect::<Vec<_>>(), "the other misses nothing");
    let told = call.events.iter().filter(|event| matches!(event, MediaEvent::Exhausted { .. })).count();
    assert_eq!((told, dropped_as(&call, "data buffer full")), (1, 1));
}

#[test]
fn a_client_has_so_many_channels() {
    let mut call = Call::new();
    call.open(1);
    let mut labels = vec![RELIABLE, LOSSY];
    labels.resize(CHANNELS_MAX + 4, "other");
    let guest = call.talker(1, 1, &labels);
    let other = call.talker(1, 2, &[RELIABLE, LOSSY]);
    call.run(Duration::from_secs(3));
    assert_eq!(dropped_as(&call, "data channels"), 4);
    assert!(call.send(other, BY_RELIABLE, &message(1, 10)));
    call.run(Duration::from_secs(1));
    assert_eq!(numbers(&call, guest), [1]);
}
