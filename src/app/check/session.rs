//! A place in a room, as a client of the server takes it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{SinkExt as _, StreamExt as _};
use livekit_protocol as lk;
use prost::Message as _;
use serde_json::json;
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
use super::web::Answer;
use crate::http::livekit::decode::MESSAGE_MAX;
use crate::http::p2p;
use crate::http::wire::{Admission, Mode};

/// How often the server wants to hear something of a session.
const PING: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Where the way into a room is asked for.
pub const JOIN: &str = "/v1/join";

/// What to ask for it with: a token of one's own, or an invitation's.
#[must_use]
pub fn wants(token: &str) -> [serde_json::Value; 2] {
    [json!({ "token": token }), json!({ "invitation": token })]
}

/// Reads the way into a room; `None` for a refusal.
#[must_use]
pub fn admitted(answer: &Answer) -> Option<Admission> {
    serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200)
}

/// The protocols of signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Of rooms through the SFU.
    LiveKit,
    /// Of rooms of two.
    P2p,
}

impl Talk {
    /// The signalling of a room of this mode.
    #[must_use]
    pub fn of(mode: Mode) -> Self {
        match mode {
            Mode::Sfu => Self::LiveKit,
            Mode::P2p => Self::P2p,
        }
    }

    fn url(self, authority: &str) -> String {
        match self {
            Self::LiveKit => format!("wss://{authority}/rtc/v1?join_request={}", join_request()),
            Self::P2p => format!("wss://{authority}{}", p2p::PATH),
        }
    }

    /// Whether a message lets us in.
    fn lets_in(self, message: &Message) -> Result<bool, NoSession> {
        match (self, message) {
            (Self::LiveKit, Message::Binary(bytes)) => {
                let response = lk::SignalResponse::decode(bytes.clone()).map_err(|_| Fault::Nonsense)?;
                match response.message {
                    Some(lk::signal_response::Message::Join(_)) => Ok(true),
                    Some(lk::signal_response::Message::Leave(_)) => Err(NoSession::Dismissed),
                    _ => Ok(false),
                }
            }
            (Self::P2p, Message::Text(text)) => {
                let said: serde_json::Value = serde_json::from_str(text).map_err(|_| Fault::Nonsense)?;
                match said["type"].as_str() {
                    Some("peer") => Ok(true),
                    Some("bye") => Err(NoSession::Dismissed),
                    _ => Ok(false),
                }
            }
            _ => Ok(false),
        }
    }

    fn ping(self) -> Message {
        match self {
            Self::LiveKit => request(lk::signal_request::Message::PingReq(lk::Ping::default())),
            Self::P2p => Message::Ping(bytes::Bytes::new()),
        }
    }

    fn goodbye(self) -> Message {
        match self {
            Self::LiveKit => request(lk::signal_request::Message::Leave(lk::LeaveRequest::default())),
            Self::P2p => Message::Text(r#"{"type":"bye"}"#.into()),
        }
    }
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
    stop: oneshot::Sender<()>,
    held: JoinHandle<()>,
}

impl Session {
    /// Opens the signalling as a client does, without media.
    pub async fn open(stream: TlsStream<TcpStream>, authority: &str, token: Option<&str>, talk: Talk) -> Result<Self, NoSession> {
        let system = |fault: &dyn std::fmt::Display| Fault::System(printable(&fault.to_string()));
        let mut request = talk.url(authority).into_client_request().map_err(|fault| system(&fault))?;
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
        timeout(ANSWER, joined(&mut socket, talk)).await.map_err(|_| Fault::Silence)??;
        let (stop, stopped) = oneshot::channel();
        Ok(Self { stop, held: tokio::spawn(hold(socket, stopped, talk)) })
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

fn request(message: lk::signal_request::Message) -> Message {
    Message::Binary(lk::SignalRequest { message: Some(message) }.encode_to_vec().into())
}

/// Waits for the answer that lets us in.
async fn joined(socket: &mut Socket, talk: Talk) -> Result<(), NoSession> {
    while let Some(message) = socket.next().await {
        if talk.lets_in(&message.map_err(|_| Fault::Cut)?)? {
            return Ok(());
        }
    }
    Err(Fault::Cut.into())
}

/// Keeps the place, because the relay's credentials end with it.
async fn hold(mut socket: Socket, mut stopped: oneshot::Receiver<()>, talk: Talk) {
    let mut ping = interval(PING);
    loop {
        let message = tokio::select! {
            _ = &mut stopped => break,
            _ = ping.tick() => talk.ping(),
            heard = socket.next() => match heard {
                Some(Ok(_)) => continue,
                _ => return,
            },
        };
        if !say(&mut socket, message).await {
            return;
        }
    }
    say(&mut socket, talk.goodbye()).await;
    let _ = timeout(ANSWER, socket.close(None)).await;
}

async fn say(socket: &mut Socket, message: Message) -> bool {
    matches!(timeout(ANSWER, socket.send(message)).await, Ok(Ok(())))
}
