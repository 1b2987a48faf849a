//! A client of the relay, over datagrams or a stream: just enough of RFC 8656 to see that it works.

use std::io;
use std::net::{IpAddr, SocketAddr};

use stun_types::attribute::{ErrorCode, Nonce, Realm, Username};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWrite as _, MessageWriteExt as _, MessageWriteVec,
    Method, TransactionId,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::time::{Duration, timeout};
use turn_types::attribute::{ChannelNumber, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, REFRESH};

use super::dial::ANSWER;
use super::fault::Fault;
use crate::turn::framing::{FRAME_MAX, Frame, Framing};

/// First wait for an answer over UDP, doubled twice (RFC 8489 §6.2.1).
const RTO: Duration = Duration::from_millis(500);
/// How often a request is sent over UDP.
const TRIES: u32 = 3;
/// UDP among IP's protocols.
const UDP: u8 = 17;
/// Bytes of a ChannelData header.
const HEADER: usize = 4;

/// Any stream, covered or not.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A way to the relay that keeps messages apart.
pub enum Pipe {
    /// Each message a datagram.
    Datagrams(UdpSocket),
    /// Messages in a stream, with what has come in of the next ones.
    Stream(Box<dyn Duplex>, Vec<u8>),
}

impl Pipe {
    /// Datagrams to and from one address.
    pub async fn datagrams(to: SocketAddr) -> Result<Self, Fault> {
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(to).await?;
        Ok(Self::Datagrams(socket))
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => socket.send(message).await.map(drop),
            Self::Stream(stream, _) => {
                let mut framed = Vec::with_capacity(message.len() + HEADER);
                Framing::Turn.write(message, &mut framed);
                stream.write_all(&framed).await?;
                stream.flush().await
            }
        }
    }

    /// The next message. A call that is given up loses nothing.
    async fn receive(&mut self) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Datagrams(socket) => {
                let mut bytes = vec![0; FRAME_MAX];
                let len = socket.recv(&mut bytes).await?;
                bytes.truncate(len);
                Ok(bytes)
            }
            Self::Stream(stream, pending) => loop {
                match Framing::Turn.next(pending) {
                    Frame::Whole { start, end, next } => {
                        let message = pending[start..end].to_vec();
                        pending.drain(..next);
                        return Ok(message);
                    }
                    Frame::Broken => return Err(Fault::Nonsense),
                    Frame::Partial => {}
                }
                if stream.read_buf(pending).await? == 0 {
                    return Err(Fault::Cut);
                }
            },
        }
    }

    fn tries(&self) -> (u32, Duration) {
        match self {
            Self::Datagrams(_) => (TRIES, RTO),
            Self::Stream(..) => (1, ANSWER),
        }
    }
}

/// User name and password.
#[derive(Clone)]
pub struct Login {
    /// `expiry:opaque`.
    pub name: String,
    /// Secret.
    pub password: String,
}

/// Somebody at the relay.
pub struct Client {
    pipe: Pipe,
    login: Option<Login>,
    /// What the relay wants to see again.
    realm: String,
    nonce: String,
}

enum Want {
    Binding,
    Allocation,
    Channel(u16, SocketAddr),
    End,
}

impl Want {
    fn method(&self) -> Method {
        match self {
            Self::Binding => BINDING,
            Self::Allocation => ALLOCATE,
            Self::Channel(..) => CHANNEL_BIND,
            Self::End => REFRESH,
        }
    }
}

impl Client {
    /// A client that has said nothing yet.
    #[must_use]
    pub fn new(pipe: Pipe, login: Option<Login>) -> Self {
        Self { pipe, login, realm: String::new(), nonce: String::new() }
    }

    /// STUN's question.
    ///
    /// # Errors
    /// Why there is no answer to it.
    pub async fn bind(&mut self) -> Result<(), Fault> {
        self.exchange(&Want::Binding).await.map(drop)
    }

    /// Allocates; the relayed address. Without credentials the best that can come is [`Fault::Challenge`].
    ///
    /// # Errors
    /// Why there is no allocation.
    pub async fn allocate(&mut self) -> Result<SocketAddr, Fault> {
        let bytes = self.ask(&Want::Allocation).await?;
        let message = Message::from_bytes(&bytes).map_err(|_| Fault::Nonsense)?;
        let relayed = message.attribute::<XorRelayedAddress>().map_err(|_| Fault::Nonsense)?;
        Ok(relayed.addr(message.transaction_id()))
    }

    /// Binds a channel to a peer.
    ///
    /// # Errors
    /// Why it cannot be reached.
    pub async fn channel(&mut self, number: u16, peer: SocketAddr) -> Result<(), Fault> {
        self.ask(&Want::Channel(number, peer)).await.map(drop)
    }

    /// Gives the allocation back.
    pub async fn end(&mut self) {
        // It ends by itself soon.
        let _ = self.ask(&Want::End).await;
    }

    /// Sends through a channel.
    ///
    /// # Errors
    /// What the system answers.
    pub async fn send(&mut self, channel: u16, data: &[u8]) -> Result<(), Fault> {
        let len = u16::try_from(data.len()).map_err(|_| Fault::Nonsense)?;
        let message = [&channel.to_be_bytes(), &len.to_be_bytes(), data].concat();
        Ok(self.pipe.send(&message).await?)
    }

    /// The next payload from a channel. A call that is given up loses nothing.
    ///
    /// # Errors
    /// If the way is gone.
    pub async fn receive(&mut self, channel: u16) -> Result<Vec<u8>, Fault> {
        loop {
            let message = self.pipe.receive().await?;
            let Some((header, data)) = message.split_at_checked(HEADER) else { continue };
            if header[..2] == channel.to_be_bytes() {
                let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
                return Ok(data.get(..len).unwrap_or_default().to_vec());
            }
        }
    }

    /// Asks with credentials, with a fresh nonce where one is wanted.
    async fn ask(&mut self, want: &Want) -> Result<Vec<u8>, Fault> {
        for _ in 0..3 {
            let sealed = !self.nonce.is_empty();
            match self.exchange(want).await {
                Err(Fault::Code(401)) if self.login.is_none() => return Err(Fault::Challenge),
                Err(Fault::Code(401)) if sealed => return Err(Fault::Code(401)),
                Err(Fault::Code(401 | 438)) if !self.nonce.is_empty() => {}
                other => return other,
            }
        }
        Err(Fault::Code(438))
    }

    async fn exchange(&mut self, want: &Want) -> Result<Vec<u8>, Fault> {
        let (request, transaction) = self.request(want)?;
        let (tries, mut wait) = self.pipe.tries();
        for _ in 0..tries {
            self.pipe.send(&request).await?;
            match timeout(wait, self.answer(transaction)).await {
                Ok(answer) => return answer,
                Err(_) => wait *= 2,
            }
        }
        Err(Fault::Silence)
    }

    async fn answer(&mut self, transaction: TransactionId) -> Result<Vec<u8>, Fault> {
        loop {
            let bytes = self.pipe.receive().await?;
            let Ok(message) = Message::from_bytes(&bytes) else { continue };
            if message.transaction_id() != transaction {
                continue;
            }
            if message.has_class(MessageClass::Success) {
                return Ok(bytes);
            }
            if let (Ok(nonce), Ok(realm)) = (message.attribute::<Nonce>(), message.attribute::<Realm>()) {
                (self.nonce, self.realm) = (nonce.nonce().to_owned(), realm.realm().to_owned());
            }
            return Err(message.attribute::<ErrorCode>().map_or(Fault::Nonsense, |error| Fault::Code(error.code())));
        }
    }

    fn request(&self, want: &Want) -> Result<(Vec<u8>, TransactionId), Fault> {
        let mut message = Message::builder_request(want.method(), MessageWriteVec::new());
        let transaction = message.transaction_id();
        let mut written = Vec::new();
        match want {
            Want::Binding => {}
            Want::Allocation => written.push(message.add_attribute(&RequestedTransport::new(UDP))),
            Want::Channel(number, peer) => {
                written.push(message.add_attribute(&ChannelNumber::new(*number)));
                written.push(message.add_attribute(&XorPeerAddress::new(*peer, transaction)));
            }
            Want::End => written.push(message.add_attribute(&Lifetime::new(0))),
        }
        if let Some(Login { name, password }) = self.login.as_ref().filter(|_| !self.nonce.is_empty() && want.method() != BINDING) {
            let bad = |_| Fault::Nonsense;
            written.push(message.add_attribute(&Username::new(name).map_err(bad)?));
            written.push(message.add_attribute(&Realm::new(&self.realm).map_err(bad)?));
            written.push(message.add_attribute(&Nonce::new(&self.nonce).map_err(bad)?));
            let key = LongTermKeyCredentials::new(name.clone(), password.clone(), self.realm.clone()).make_key(IntegrityAlgorithm::Sha1);
            written.push(message.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1));
        }
        if written.iter().any(Result::is_err) { Err(Fault::Nonsense) } else { Ok((message.finish(), transaction)) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio::time::Instant;

    use super::*;

    const MAPPED: [u8; 12] = [0, 0x20, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0];

    /// Success for a request, with whatever address.
    fn success(request: &[u8]) -> Vec<u8> {
        [&[request[0] | 1, request[1]], &[0, 12][..], &request[4..20], &MAPPED].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_told_in_time() {
        let deaf = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut client = Client::new(Pipe::datagrams(deaf.local_addr().unwrap()).await.unwrap(), None);
        let began = Instant::now();
        assert_eq!(client.bind().await, Err(Fault::Silence));
        assert!((RTO * 7..RTO * 8).contains(&began.elapsed()), "{:?}", began.elapsed());
        let (near, _far) = duplex(FRAME_MAX);
        let began = Instant::now();
        assert_eq!(Client::new(Pipe::Stream(Box::new(near), Vec::new()), None).bind().await, Err(Fault::Silence));
        assert!(began.elapsed() < ANSWER * 2);
    }

    #[tokio::test]
    async fn only_the_answer_to_the_question_counts() {
        let (near, mut far) = duplex(4 * FRAME_MAX);
        let mut client = Client::new(Pipe::Stream(Box::new(near), Vec::new()), None);
        let server = async {
            let mut request = [0; 20];
            far.read_exact(&mut request).await.unwrap();
            let mut other = request;
            other[19] ^= 1;
            far.write_all(&success(&other)).await.unwrap();
            // Padded data of a channel comes in between.
            far.write_all(&[0x40, 0, 0, 1, 7, 0, 0, 0]).await.unwrap();
            far.write_all(&success(&request)).await.unwrap();
        };
        let (answer, ()) = tokio::join!(client.bind(), server);
        assert_eq!(answer, Ok(()));
    }

    #[tokio::test]
    async fn a_stream_of_something_else_is_told() {
        let (near, mut far) = duplex(FRAME_MAX);
        far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        assert_eq!(Client::new(Pipe::Stream(Box::new(near), Vec::new()), None).bind().await, Err(Fault::Nonsense));
        let (near, far) = duplex(FRAME_MAX);
        drop(far);
        assert_eq!(Client::new(Pipe::Stream(Box::new(near), Vec::new()), None).bind().await, Err(Fault::Cut));
    }
}
