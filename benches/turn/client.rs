//! One client with an allocation, for which it binds a channel as browsers do.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use konsil::turn::credentials::{RelaySecrets, RelayUser};
use stun_types::attribute::{Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageWrite as _, MessageWriteExt as _, MessageWriteVec, Method,
};
use turn_types::attribute::{ChannelNumber, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND};

use crate::crowd::CHANNEL;

/// UDP among IP's protocols.
const UDP: u8 = 17;
/// The end of the credentials in seconds since 1970: far off.
const EXPIRES: u64 = 1 << 40;

/// A client with an allocation.
pub struct Client<'a> {
    socket: &'a UdpSocket,
    server: SocketAddr,
    name: String,
    nonce: String,
    key: IntegrityKey,
    pub relayed: SocketAddr,
}

impl<'a> Client<'a> {
    /// Allocates for the person `person` of the room `group`.
    pub fn allocate(socket: &'a UdpSocket, server: SocketAddr, secrets: &RelaySecrets, group: u64, person: u64) -> io::Result<Self> {
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let (name, password) = secrets.mint(RelayUser { worker: None, group, person }, EXPIRES);
        let key = LongTermKeyCredentials::new(name.clone(), password, "konsil".to_owned()).make_key(IntegrityAlgorithm::Sha1);
        let mut client = Self { socket, server, name, nonce: String::new(), key, relayed: server };
        let mut first = Message::builder_request(ALLOCATE, MessageWriteVec::new());
        first.add_attribute(&RequestedTransport::new(UDP)).map_err(io::Error::other)?;
        let challenge = client.exchange(&first.finish())?;
        let challenge = Message::from_bytes(&challenge).map_err(io::Error::other)?;
        challenge.attribute::<Nonce>().map_err(io::Error::other)?.nonce().clone_into(&mut client.nonce);
        let answer = client.ask(ALLOCATE, |request| request.add_attribute(&RequestedTransport::new(UDP)).map_err(io::Error::other))?;
        let answer = Message::from_bytes(&answer).map_err(io::Error::other)?;
        client.relayed = answer.attribute::<XorRelayedAddress>().map_err(io::Error::other)?.addr(answer.transaction_id());
        Ok(client)
    }

    /// Binds the channel to a partner's relayed address.
    pub fn bind(&self, partner: SocketAddr) -> io::Result<()> {
        let answer = self.ask(CHANNEL_BIND, |request| {
            let peer = XorPeerAddress::new(partner, request.transaction_id());
            request.add_attribute(&ChannelNumber::new(CHANNEL)).and_then(|()| request.add_attribute(&peer)).map_err(io::Error::other)
        })?;
        let answer = Message::from_bytes(&answer).map_err(io::Error::other)?;
        if answer.class() == stun_types::message::MessageClass::Success { Ok(()) } else { Err(io::Error::other("no channel")) }
    }

    fn ask(&self, method: Method, fill: impl FnOnce(&mut MessageWriteVec) -> io::Result<()>) -> io::Result<Vec<u8>> {
        let mut request = Message::builder_request(method, MessageWriteVec::new());
        fill(&mut request)?;
        let named = (Username::new(&self.name), Realm::new("konsil"), Nonce::new(&self.nonce));
        let (Ok(name), Ok(realm), Ok(nonce)) = named else { return Err(io::ErrorKind::InvalidInput.into()) };
        for attribute in [&name as &dyn stun_types::attribute::AttributeWrite, &realm, &nonce] {
            request.add_attribute(attribute).map_err(io::Error::other)?;
        }
        request.add_message_integrity_with_key(&self.key, IntegrityAlgorithm::Sha1).map_err(io::Error::other)?;
        self.exchange(&request.finish())
    }

    fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut answer = [0; 2048];
        self.socket.send_to(request, self.server)?;
        let len = self.socket.recv(&mut answer)?;
        Ok(answer[..len].to_vec())
    }
}
