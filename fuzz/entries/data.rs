//! A data message on its way to the others: whatever it claims, it names its true sender.

use konsil::model::ids::{Identity, Sid};
use konsil::sfu::data::{DESTINATIONS_MAX, Delivery, PACKET_MAX, Sender, stamp};
use livekit_protocol::DataPacket;
use livekit_protocol::data_packet::Value;
use prost::Message as _;

pub fn run(input: &[u8]) {
    let (sid, identity) = (Sid::from_client("PA_true"), Identity::new("true").expect("a name"));
    for sender in [Some(Sender { sid: &sid, identity: &identity }), None] {
        for delivery in [Delivery::Reliable, Delivery::Lossy] {
            let Ok(stamped) = stamp(input, sender, delivery) else { continue };
            assert!(input.len() <= PACKET_MAX && stamped.identities.len() + stamped.sids.len() <= DESTINATIONS_MAX);
            let packet = DataPacket::decode(stamped.bytes.as_slice()).expect("a data packet");
            let named = sender.map_or(("", ""), |_| ("PA_true", "true"));
            assert_eq!((packet.participant_sid.as_str(), packet.participant_identity.as_str()), named);
            if let Some(Value::User(user)) = packet.value {
                #[expect(deprecated)] // where old clients look
                let claimed = (user.participant_sid, user.participant_identity);
                assert_eq!((claimed.0.as_str(), claimed.1.as_str()), named);
            }
        }
    }
}
