//! HTTPS requests with the signalling WebSocket, as a client of the server makes them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use livekit_protocol as lk;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Duration, interval, timeout};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HOST};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::dial::ANSWER;
use super::fault::Fault;
use super::report::printable;
use crate::http::livekit::decode::MESSAGE_MAX;

/// Largest answer that is read, in bytes.
const BODY_MAX: usize = 64 * 1024;
/// How often the server wants to hear something of a session.
const PING: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// An answer to a GET.
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// At most [`BODY_MAX`] bytes.
    pub body: Vec<u8>,
}

/// One request over a connection of its own.
pub async fn get(stream: TlsStream<TcpStream>, authority: &str, path: &str) -> Result<Answer, Fault> {
    let asked = async {
        let system = |fault: hyper::Error| Fault::System(fault.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(system)?;
        let driver = tokio::spawn(connection);
        let request = hyper::Request::get(path).header(HOST, authority).body(Empty::<Bytes>::new());
        let request = request.map_err(|fault| Fault::System(fault.to_string()))?;
        let answer = sender.send_request(request).await.map_err(system)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), BODY_MAX).collect().await.map_err(|fault| Fault::System(fault.to_string()))?;
        driver.abort();
        Ok(Answer { status, body: body.to_bytes().to_vec() })
    };
    timeout(ANSWER, asked).await.unwrap_or(Err(Fault::Silence))
}

/// Why there is no session.
pub enum NoSession {
    /// The server, or somebody before it, answered so, in its own words.
    Refused(u16, String),
    /// The server said goodbye at once.
    Dismissed,
    /// The network, or something that is no LiveKit server.
    Fault(Fault),
}

impl From<Fault> for NoSession {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A participant's place in a room, held until [`Session::leave`].
pub struct Session {
    /// What the server offers for media.
    pub ice_servers: Vec<lk::IceServer>,
    stop: oneshot::Sender<()>,
    held: JoinHandle<()>,
}

impl Session {
    /// Opens `/rtc/v1` as livekit-client does, without media.
    pub async fn open(stream: TlsStream<TcpStream>, authority: &str, token: Option<&str>) -> Result<Self, NoSession> {
        let system = |fault: &dyn std::fmt::Display| Fault::System(printable(&fault.to_string()));
        let url = format!("wss://{authority}/rtc/v1?join_request={}", join_request());
        let mut request = url.into_client_request().map_err(|fault| system(&fault))?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(authority).map_err(|fault| system(&fault))?);
        if let Some(token) = token {
            let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
            headers.insert(AUTHORIZATION, bearer.map_err(|_| NoSession::Refused(401, "this is no token".to_owned()))?);
        }
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_MAX)).max_frame_size(Some(MESSAGE_MAX));
        let opened = timeout(ANSWER, client_async_with_config(request, stream, Some(config))).await.map_err(|_| Fault::Silence)?;
        let mut socket = match opened {
            Ok((socket, _)) => socket,
            Err(Error::Http(answer)) => {
                let words = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                return Err(NoSession::Refused(answer.status().as_u16(), printable(&words)));
            }
            Err(Error::Io(fault)) => return Err(Fault::from(fault).into()),
            Err(other) => return Err(system(&other).into()),
        };
        let ice_servers = timeout(ANSWER, joined(&mut socket)).await.map_err(|_| Fault::Silence)??;
        let (stop, stopped) = oneshot::channel();
        Ok(Self { ice_servers, stop, held: tokio::spawn(hold(socket, stopped)) })
    }

    /// Says goodbye.
    pub async fn leave(self) {
        // Who cannot be told has gone already.
        let _ = self.stop.send(());
        let _ = timeout(ANSWER, self.held).await;
    }
}

fn join_request() -> String {
    let info = lk::ClientInfo { protocol: 16, ..lk::ClientInfo::default() };
    let request = lk::JoinRequest { client_info: Some(info), ..lk::JoinRequest::default() };
    let wrapped = lk::WrappedJoinRequest { join_request: request.encode_to_vec(), ..lk::WrappedJoinRequest::default() };
    URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec())
}

/// The ICE servers of the first answer.
async fn joined(socket: &mut Socket) -> Result<Vec<lk::IceServer>, NoSession> {
    while let Some(message) = socket.next().await {
        let message = message.map_err(|_| Fault::Cut)?;
        let Message::Binary(bytes) = message else { continue };
        let response = lk::SignalResponse::decode(bytes).map_err(|_| Fault::Nonsense)?;
        match response.message {
            Some(lk::signal_response::Message::Join(join)) => return Ok(join.ice_servers),
            Some(lk::signal_response::Message::Leave(_)) => return Err(NoSession::Dismissed),
            _ => {}
        }
    }
    Err(Fault::Cut.into())
}

/// Keeps the place, because the relay's credentials end with it.
async fn hold(mut socket: Socket, mut stopped: oneshot::Receiver<()>) {
    let mut ping = interval(PING);
    loop {
        let message = tokio::select! {
            _ = &mut stopped => break,
            _ = ping.tick() => lk::signal_request::Message::PingReq(lk::Ping::default()),
            heard = socket.next() => match heard {
                Some(Ok(_)) => continue,
                _ => return,
            },
        };
        if say(&mut socket, message).await.is_err() {
            return;
        }
    }
    let _ = say(&mut socket, lk::signal_request::Message::Leave(lk::LeaveRequest::default())).await;
    let _ = timeout(ANSWER, socket.close(None)).await;
}

async fn say(socket: &mut Socket, message: lk::signal_request::Message) -> Result<(), Fault> {
    let bytes = lk::SignalRequest { message: Some(message) }.encode_to_vec();
    match timeout(ANSWER, socket.send(Message::Binary(bytes.into()))).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Fault::Cut),
    }
}
