//! Data messages that carry the sender whom the server knows.

use livekit_protocol::data_packet::{self, Value};
use livekit_protocol::{DataPacket, UserPacket};
use prost::Message;
use prost::encoding::DecodeContext;
use prost::encoding::WireType;
use prost::encoding::{decode_key, decode_varint, encode_key, encode_varint, skip_field};

use crate::model::ids::Identity;
use crate::model::ids::Sid;

/// The largest packet taken, in bytes; livekit-client sends at most 15 KB at a time, others up to 64 KiB.
pub const PACKET_MAX: usize = 64 * 1024;
/// The most receivers that one packet may name.
pub const DESTINATIONS_MAX: usize = 256;

/// Fields of `DataPacket`, as `livekit_models.proto` numbers them.
mod packet {
    pub const KIND: u32 = 1;
    pub const USER: u32 = 2;
    pub const SPEAKER: u32 = 3;
    pub const IDENTITY: u32 = 4;
    pub const TRANSCRIPTION: u32 = 7;
    pub const METRICS: u32 = 8;
    pub const SID: u32 = 17;
}

/// Fields of `UserPacket` there.
mod user {
    pub const SID: u32 = 1;
    pub const IDENTITY: u32 = 5;
}

/// The data channel that a packet came through, which decides over what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// `_reliable`: in order, repeated until it arrives.
    Reliable,
    /// `_lossy`: once.
    Lossy,
}

/// Who sent a packet.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The session's public id.
    pub sid: &'a Sid,
    /// The identity of the token.
    pub identity: &'a Identity,
}

/// A packet as its receivers get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The bytes to send.
    pub bytes: Vec<u8>,
    /// The identities that may get it.
    pub identities: Vec<String>,
    /// The public ids that may get it, as old clients name receivers. With both lists empty it is for everybody.
    pub sids: Vec<String>,
    /// The content is sealed end to end.
    pub encrypted: bool,
}

impl Stamped {
    /// Whether this participant may get the packet, its sender apart.
    #[must_use]
    pub fn is_for(&self, sid: &Sid, identity: &Identity) -> bool {
        (self.identities.is_empty() && self.sids.is_empty())
            || self.identities.iter().any(|name| name == identity.as_str())
            || self.sids.iter().any(|name| name == sid.as_str())
    }
}

/// Why a packet is not forwarded. It never repeats a byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// More than [`PACKET_MAX`] bytes.
    #[error("a data packet has at most {PACKET_MAX} bytes")]
    TooLarge,
    /// Not a `DataPacket`.
    #[error("not a data packet")]
    Malformed,
    /// More than [`DESTINATIONS_MAX`] receivers.
    #[error("a data packet names at most {DESTINATIONS_MAX} receivers")]
    TooManyDestinations,
    /// Speaker updates and transcriptions speak for others, metrics are for the server.
    #[error("a participant must not send packets of this kind")]
    NotForwarded,
}

/// Checks a packet from a participant and writes the sender into it, over whatever it claims; without a sender
/// (hidden participants) it names none. All else stays as it is, fields of newer clients included.
///
/// # Errors
/// Says why the packet must be dropped.
pub fn stamp(bytes: &[u8], sender: Option<Sender<'_>>, delivery: Delivery) -> Result<Stamped, DataError> {
    if bytes.len() > PACKET_MAX {
        return Err(DataError::TooLarge);
    }
    let decoded = DataPacket::decode(bytes).map_err(|_| DataError::Malformed)?;
    let encrypted = matches!(decoded.value, Some(Value::EncryptedPacket(_)));
    let (identities, sids) = destinations(decoded);
    if identities.len() + sids.len() > DESTINATIONS_MAX {
        return Err(DataError::TooManyDestinations);
    }
    let mut out = Vec::with_capacity(bytes.len() + 64);
    for field in Fields(bytes) {
        let field = field?;
        match field.tag {
            packet::SPEAKER | packet::TRANSCRIPTION | packet::METRICS => return Err(DataError::NotForwarded),
            packet::KIND | packet::IDENTITY | packet::SID => {}
            packet::USER => {
                let content = stamp_user(&field, sender)?;
                write_bytes(packet::USER, &content, &mut out);
            }
            _ => out.extend_from_slice(field.whole),
        }
    }
    if delivery == Delivery::Lossy {
        encode_key(packet::KIND, WireType::Varint, &mut out);
        encode_varint(1, &mut out);
    }
    if let Some(sender) = sender {
        write_bytes(packet::IDENTITY, sender.identity.as_str().as_bytes(), &mut out);
        write_bytes(packet::SID, sender.sid.as_str().as_bytes(), &mut out);
    }
    Ok(Stamped { bytes: out, identities, sids, encrypted })
}

/// A packet of the server's own, which names no sender.
#[must_use]
pub fn packet(payload: &[u8], topic: Option<&str>, nonce: Option<&[u8]>, delivery: Delivery) -> Vec<u8> {
    let user = UserPacket {
        payload: payload.to_vec(),
        topic: topic.map(str::to_owned),
        nonce: nonce.unwrap_or_default().to_vec(),
        ..UserPacket::default()
    };
    let kind = if delivery == Delivery::Lossy { data_packet::Kind::Lossy } else { data_packet::Kind::Reliable };
    #[expect(deprecated)] // where old clients look
    let packet = DataPacket { kind: kind.into(), value: Some(Value::User(user)), ..DataPacket::default() };
    packet.encode_to_vec()
}

/// The receivers: those of the packet, else those that its user packet names in fields of old clients.
fn destinations(packet: DataPacket) -> (Vec<String>, Vec<String>) {
    let mut identities = packet.destination_identities;
    let mut sids = Vec::new();
    if let Some(Value::User(user)) = packet.value {
        // Old clients know no other fields, and a packet for one must not reach all.
        #[allow(deprecated)]
        let (old_identities, old_sids) = (user.destination_identities, user.destination_sids);
        if identities.is_empty() {
            identities = old_identities;
        }
        sids = old_sids;
    }
    (identities, sids)
}

fn stamp_user(field: &Field<'_>, sender: Option<Sender<'_>>) -> Result<Vec<u8>, DataError> {
    let content = field.content.ok_or(DataError::Malformed)?;
    let mut out = Vec::with_capacity(content.len() + 64);
    for inner in Fields(content) {
        let inner = inner?;
        if !matches!(inner.tag, user::SID | user::IDENTITY) {
            out.extend_from_slice(inner.whole);
        }
    }
    if let Some(sender) = sender {
        write_bytes(user::SID, sender.sid.as_str().as_bytes(), &mut out);
        write_bytes(user::IDENTITY, sender.identity.as_str().as_bytes(), &mut out);
    }
    Ok(out)
}

fn write_bytes(tag: u32, content: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

/// One field of an encoded message.
struct Field<'a> {
    tag: u32,
    /// With its key.
    whole: &'a [u8],
    /// What a string, bytes or message field holds.
    content: Option<&'a [u8]>,
}

/// The fields of an encoded message, in order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<Field<'a>, DataError> {
        let start = self.0;
        let (tag, wire_type) = decode_key(&mut self.0).map_err(|_| DataError::Malformed)?;
        let behind_key = self.0;
        skip_field(wire_type, tag, &mut self.0, DecodeContext::default()).map_err(|_| DataError::Malformed)?;
        let whole = &start[..start.len() - self.0.len()];
        let mut content = None;
        if wire_type == WireType::LengthDelimited {
            let mut field = &behind_key[..behind_key.len() - self.0.len()];
            decode_varint(&mut field).map_err(|_| DataError::Malformed)?;
            content = Some(field);
        }
        Ok(Field { tag, whole, content })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
// The deprecated fields are what a forger would use.
#[allow(deprecated)]
mod tests {
    use livekit_protocol::ActiveSpeakerUpdate;
    use livekit_protocol::ChatMessage;
    use livekit_protocol::EncryptedPacket;
    use livekit_protocol::MetricsBatch;
    use livekit_protocol::Transcription;

    use super::super::dice::Dice;
    use super::*;

    fn with_sender<T>(test: impl FnOnce(Option<Sender<'_>>) -> T) -> T {
        let (sid, identity) = (Sid::from_client("PA_real"), Identity::new("doctor").unwrap());
        test(Some(Sender { sid: &sid, identity: &identity }))
    }

    fn stamped(packet: &DataPacket) -> Result<Stamped, DataError> {
        with_sender(|sender| stamp(&packet.encode_to_vec(), sender, Delivery::Lossy))
    }

    fn forged() -> DataPacket {
        let user = UserPacket {
            participant_sid: "PA_forged".into(),
            participant_identity: "forged".into(),
            payload: vec![1, 2, 3],
            topic: Some("chat".into()),
            nonce: vec![9],
            ..UserPacket::default()
        };
        DataPacket {
            kind: 77,
            participant_identity: "forged".into(),
            participant_sid: "PA_forged".into(),
            sequence: 5,
            value: Some(Value::User(user)),
            ..DataPacket::default()
        }
    }

    #[test]
    fn the_sender_is_written_over_what_the_packet_claims() {
        let out = DataPacket::decode(&stamped(&forged()).unwrap().bytes[..]).unwrap();
        let mut expected = DataPacket { kind: 1, participant_identity: "doctor".into(), participant_sid: "PA_real".into(), ..forged() };
        if let Some(Value::User(user)) = &mut expected.value {
            user.participant_sid = "PA_real".into();
            user.participant_identity = "doctor".into();
        }
        assert_eq!(out, expected);
    }

    #[test]
    fn a_field_sent_twice_is_no_way_around() {
        let mut bytes = forged().encode_to_vec();
        bytes.extend(forged().encode_to_vec());
        let out = with_sender(|sender| stamp(&bytes, sender, Delivery::Reliable)).unwrap();
        assert!(!out.bytes.windows(6).any(|window| window == b"forged"));
        assert_eq!(DataPacket::decode(&out.bytes[..]).unwrap().kind, 0);
    }

    #[test]
    fn a_hidden_sender_is_not_named() {
        let out = stamp(&forged().encode_to_vec(), None, Delivery::Reliable).unwrap();
        let packet = DataPacket::decode(&out.bytes[..]).unwrap();
        assert_eq!((packet.participant_identity.as_str(), packet.participant_sid.as_str()), ("", ""));
        assert!(!out.bytes.windows(6).any(|window| window == b"forged"));
    }

    #[test]
    fn the_server_speaks_in_its_own_name() {
        let out = |delivery| DataPacket::decode(&packet(b"words", Some("chat"), Some(&[7; 16]), delivery)[..]).unwrap();
        let user = UserPacket { payload: b"words".to_vec(), topic: Some("chat".into()), nonce: vec![7; 16], ..UserPacket::default() };
        assert_eq!(out(Delivery::Reliable), DataPacket { value: Some(Value::User(user)), ..DataPacket::default() });
        assert_eq!(out(Delivery::Lossy).kind, 1);
    }

    #[test]
    fn unknown_fields_and_sealed_content_stay() {
        let sealed = EncryptedPacket { iv: vec![1; 12], encrypted_value: vec![7; 40], ..EncryptedPacket::default() };
        let mut bytes = DataPacket { value: Some(Value::EncryptedPacket(sealed)), ..DataPacket::default() }.encode_to_vec();
        write_bytes(900, b"from the future", &mut bytes);
        let out = with_sender(|sender| stamp(&bytes, sender, Delivery::Reliable)).unwrap();
        assert!(out.encrypted);
        assert!(out.bytes.starts_with(&bytes));
        assert!(!stamped(&forged()).unwrap().encrypted);
    }

    #[test]
    fn what_only_servers_may_say_is_refused() {
        for value in [
            Value::Speaker(ActiveSpeakerUpdate::default()),
            Value::Transcription(Transcription::default()),
            Value::Metrics(MetricsBatch::default()),
        ] {
            let packet = DataPacket { value: Some(value), ..DataPacket::default() };
            assert_eq!(stamped(&packet), Err(DataError::NotForwarded));
            let mut hidden = packet.encode_to_vec();
            hidden.extend(forged().encode_to_vec());
            let out = with_sender(|sender| stamp(&hidden, sender, Delivery::Reliable));
            assert_eq!(out, Err(DataError::NotForwarded), "behind it, another value");
        }
        let chat = DataPacket { value: Some(Value::ChatMessage(ChatMessage::default())), ..DataPacket::default() };
        assert!(stamped(&chat).is_ok());
    }

    #[test]
    fn receivers_of_old_and_new_clients_are_kept_apart_from_others() {
        let (sid, name) = (Sid::from_client("PA_b"), Identity::new("b").unwrap());
        let reaches = |packet: &DataPacket| stamped(packet).unwrap().is_for(&sid, &name);
        assert!(reaches(&forged()), "all");
        let to = |names: &[&str]| DataPacket { destination_identities: names.iter().map(|&n| n.into()).collect(), ..forged() };
        assert!(reaches(&to(&["a", "b"])));
        assert!(!reaches(&to(&["a"])));
        let old = |user: UserPacket| DataPacket { value: Some(Value::User(user)), ..forged() };
        assert!(!reaches(&old(UserPacket { destination_sids: vec!["PA_a".into()], ..UserPacket::default() })));
        assert!(reaches(&old(UserPacket { destination_sids: vec!["PA_b".into()], ..UserPacket::default() })));
        assert!(!reaches(&old(UserPacket { destination_identities: vec!["a".into()], ..UserPacket::default() })));
    }

    #[test]
    fn sizes_are_bounded() {
        let full = DataPacket { destination_identities: vec!["x".into(); DESTINATIONS_MAX], ..DataPacket::default() };
        assert_eq!(stamped(&full).unwrap().identities.len(), DESTINATIONS_MAX);
        let more = DataPacket { destination_identities: vec!["x".into(); DESTINATIONS_MAX + 1], ..DataPacket::default() };
        assert_eq!(stamped(&more), Err(DataError::TooManyDestinations));
        let user = UserPacket { payload: vec![0; PACKET_MAX], ..UserPacket::default() };
        let large = DataPacket { value: Some(Value::User(user)), ..DataPacket::default() };
        assert_eq!(stamped(&large), Err(DataError::TooLarge));
    }

    #[test]
    fn any_bytes_end_in_an_error_or_in_a_packet_of_the_sender() {
        let (mut dice, whole) = (Dice::new(4), forged().encode_to_vec());
        let mut taken = 0;
        for _ in 0..20_000 {
            let mut bytes = if dice.percent(50) { whole.clone() } else { dice.bytes(30) };
            for _ in 0..dice.below(4) {
                if let Some(byte) = bytes.get_mut(dice.index(64)) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            if let Ok(out) = with_sender(|sender| stamp(&bytes, sender, Delivery::Reliable)) {
                let packet = DataPacket::decode(&out.bytes[..]).unwrap();
                assert_eq!((packet.participant_identity.as_str(), packet.participant_sid.as_str()), ("doctor", "PA_real"));
                taken += 1;
            }
        }
        assert!(taken > 1_000);
    }
}
