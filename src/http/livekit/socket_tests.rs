//! Signalling over a real WebSocket, with a scripted core at the channel's other end.

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{SinkExt as _, StreamExt as _};
use lk::signal_request::Message as Request;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::http::testing;
use crate::io::control::{ControlCall, Opened};
use crate::model::grants::Grants;
use crate::model::ids::{SessionId, Sid};
use crate::node::request::{ConnId, Connect, Connected, Refusal};
use crate::room::command::Layout;
use crate::turn::credentials::RelayUser;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Server {
    state: AppState,
    calls: mpsc::Receiver<ControlCall>,
    address: String,
}

async fn server(router: impl FnOnce(AppState) -> Router) -> Server {
    let (state, calls) = testing::state();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    let router = router(state.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Server { state, calls, address }
}

impl Server {
    /// Opens `path` while the core answers by `answer`.
    async fn open(&mut self, path: &str, answer: Result<Opened, Refusal>) -> (Result<Client, Error>, Connect) {
        let url = format!("{}{path}{}access_token={}", self.address, if path.contains('?') { '&' } else { '?' }, testing::guest());
        let client = tokio::spawn(async move { connect_async(url).await.map(|(client, _)| client) });
        let Some(ControlCall::Connect(connect, reply)) = self.calls.recv().await else { panic!("no connect") };
        reply.send(answer).unwrap();
        (client.await.unwrap(), *connect)
    }

    async fn joined(&mut self) -> (Client, mpsc::Sender<Notice>) {
        let (opened, notices) = opened();
        (self.open("/rtc", Ok(opened)).await.0.unwrap(), notices)
    }
}

fn opened() -> (Opened, mpsc::Sender<Notice>) {
    let (sender, notices) = mpsc::channel(8);
    let connected = Connected { session: SessionId(1), resumed: false, relay: RelayUser { worker: None, group: 1, person: 2 } };
    (Opened { conn: ConnId(4), connected, notices }, sender)
}

async fn say(client: &mut Client, message: Request) {
    let request = lk::SignalRequest { message: Some(message) };
    client.send(Frame::binary(request.encode_to_vec())).await.unwrap();
}

async fn hear_back(client: &mut Client) -> Response {
    match client.next().await.unwrap().unwrap() {
        Frame::Binary(bytes) => lk::SignalResponse::decode(bytes).unwrap().message.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The code of the close frame, after whatever else came.
async fn close_code(client: &mut Client) -> CloseCode {
    loop {
        if let Frame::Close(frame) = client.next().await.unwrap().unwrap() {
            return frame.unwrap().code;
        }
    }
}

#[tokio::test]
async fn notices_go_out_while_signals_come_in() {
    let mut server = server(crate::http::router).await;
    let (opened, notices) = opened();
    let (client, connect) = server.open("/rtc?auto_subscribe=0&protocol=16", Ok(opened)).await;
    let mut client = client.unwrap();
    assert_eq!((connect.layout, connect.auto_subscribe, connect.protocol, connect.resume), (Layout::Dual, false, 16, None));
    assert_eq!(connect.grants.identity.unwrap().as_str(), "guest");
    notices.send(Notice::TrackSubscribed { track: Sid::from_client("TR_1") }).await.unwrap();
    assert!(matches!(hear_back(&mut client).await, Response::TrackSubscribed(_)));
    assert_eq!(server.state.signal_connections().load(std::sync::atomic::Ordering::Relaxed), 1);

    say(&mut client, Request::Mute(lk::MuteTrackRequest { sid: "TR_1".into(), muted: true })).await;
    let Some(ControlCall::Signal(ConnId(4), Signal::Mute { muted: true, .. })) = server.calls.recv().await else { panic!() };
    drop(client);
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(ConnId(4)))));
}

#[tokio::test]
async fn fresh_tokens_are_signed_by_the_first_ones_key() {
    let mut server = server(crate::http::router).await;
    let (opened, notices) = opened();
    let (client, connect) = server.open("/rtc", Ok(opened)).await;
    let mut client = client.unwrap();
    let grants = Grants { name: "Erika".into(), expires_at: testing::NOW + 600, ..connect.grants };
    let revoked = Grants { issuer: "gone".into(), ..grants.clone() };
    notices.send(Notice::Token(Box::new(revoked))).await.unwrap();
    notices.send(Notice::Token(Box::new(grants.clone()))).await.unwrap();
    let Response::RefreshToken(token) = hear_back(&mut client).await else { panic!() };
    assert_eq!(server.state.keyring().verify(&token, testing::NOW + 599), Ok(grants), "nothing is said for a key that is gone");
}

#[tokio::test]
async fn wrapped_requests_carry_offers_to_the_core() {
    let offer = lk::SessionDescription { r#type: "offer".into(), sdp: "v=0".into(), id: 1, ..Default::default() };
    let request = lk::JoinRequest {
        publisher_offer: Some(offer),
        reconnect: true,
        participant_sid: "PA_1".into(),
        connection_settings: Some(lk::ConnectionSettings { auto_subscribe: true, ..Default::default() }),
        ..Default::default()
    };
    let wrapped = lk::WrappedJoinRequest { compression: 0, join_request: request.encode_to_vec() };
    let mut server = server(crate::http::router).await;
    let (opened, _notices) = opened();
    let path = format!("/rtc/v1?join_request={}", URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec()));
    let (client, connect) = server.open(&path, Ok(opened)).await;
    assert!(client.is_ok());
    assert_eq!((connect.layout, connect.auto_subscribe), (Layout::Single, true));
    assert_eq!((connect.offer, connect.resume), (Some(("v=0".into(), 1)), Some(Sid::from_client("PA_1"))));
}

#[tokio::test]
async fn pings_are_answered_in_the_language_they_came_in() {
    let mut server = server(crate::http::router).await;
    let (mut client, _notices) = server.joined().await;
    say(&mut client, Request::Ping(1)).await;
    assert_eq!(hear_back(&mut client).await, Response::Pong(1_700_000_000_000));
    say(&mut client, Request::PingReq(lk::Ping { timestamp: 42, rtt: 0 })).await;
    let pong = lk::Pong { last_ping_timestamp: 42, timestamp: 1_700_000_000_000 };
    assert_eq!(hear_back(&mut client).await, Response::PongResp(pong));
    client.send(Frame::text(r#"{"pingReq":{"timestamp":"42"}}"#)).await.unwrap();
    let Some(Ok(Frame::Text(text))) = client.next().await else { panic!() };
    assert_eq!(serde_json::from_str::<lk::SignalResponse>(&text).unwrap().message, Some(Response::PongResp(pong)));
}

#[tokio::test]
async fn unknown_sessions_are_sent_back_to_join() {
    let mut server = server(crate::http::router).await;
    let (client, connect) = server.open("/rtc?reconnect=1&sid=PA_old", Err(Refusal::NoSession)).await;
    assert_eq!(connect.resume, Some(Sid::from_client("PA_old")));
    let mut client = client.unwrap();
    let Response::Leave(leave) = hear_back(&mut client).await else { panic!() };
    assert_eq!((leave.action(), leave.reason()), (lk::leave_request::Action::Reconnect, lk::DisconnectReason::StateMismatch));
    assert_eq!(close_code(&mut client).await, CloseCode::Normal);
}

#[tokio::test]
async fn refusals_have_a_status_before_the_upgrade() {
    let mut server = server(crate::http::router).await;
    for (refusal, status) in [(Refusal::RoomFull, 403), (Refusal::NotAllowed("roomJoin"), 403), (Refusal::Busy, 503)] {
        let Err(Error::Http(response)) = server.open("/rtc", Err(refusal)).await.0 else { panic!("not refused") };
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn long_sdp_is_refused_without_an_end_to_the_call() {
    let mut server = server(crate::http::router).await;
    let (mut client, _notices) = server.joined().await;
    let sdp = "v".repeat(super::super::decode::SDP_MAX + 1);
    say(&mut client, Request::Offer(lk::SessionDescription { sdp, ..Default::default() })).await;
    let Response::RequestResponse(response) = hear_back(&mut client).await else { panic!() };
    assert_eq!(response.reason(), lk::request_response::Reason::LimitExceeded);
    say(&mut client, Request::Ping(1)).await;
    assert!(matches!(hear_back(&mut client).await, Response::Pong(_)));
}

#[tokio::test]
async fn garbage_closes_with_its_own_code() {
    let mut server = server(crate::http::router).await;
    let (mut client, _notices) = server.joined().await;
    client.send(Frame::binary(vec![0xff; 32])).await.unwrap();
    assert_eq!(close_code(&mut client).await, CloseCode::Invalid);
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(_))));
}

#[tokio::test]
async fn floods_close_with_a_policy_code() {
    let mut server = server(crate::http::router).await;
    let (mut client, _notices) = server.joined().await;
    let ping = lk::SignalRequest { message: Some(Request::Ping(1)) }.encode_to_vec();
    for _ in 0..=MESSAGES_MAX {
        client.feed(Frame::binary(ping.clone())).await.unwrap();
    }
    client.flush().await.unwrap();
    assert_eq!(close_code(&mut client).await, CloseCode::Policy);
}

#[tokio::test]
async fn oversized_messages_end_the_connection() {
    let mut server = server(crate::http::router).await;
    let (mut client, _notices) = server.joined().await;
    // The server may hang up before everything is sent.
    let _ = client.send(Frame::binary(vec![0; crate::http::livekit::decode::MESSAGE_MAX + 1])).await;
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(_))));
}

#[tokio::test]
async fn leaving_ends_the_connection_from_either_side() {
    let mut server = server(crate::http::router).await;
    let (mut client, _notices) = server.joined().await;
    say(&mut client, Request::Leave(lk::LeaveRequest::default())).await;
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Signal(_, Signal::Leave))));
    assert_eq!(close_code(&mut client).await, CloseCode::Normal);

    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(_))));
    let (mut client, notices) = server.joined().await;
    notices.send(Notice::Leave { reason: LeaveReason::Removed, action: LeaveAction::Disconnect }).await.unwrap();
    assert!(matches!(hear_back(&mut client).await, Response::Leave(_)));
    assert_eq!(close_code(&mut client).await, CloseCode::Normal);
}

#[tokio::test]
async fn hanging_up_of_the_core_closes_the_socket() {
    let mut server = server(crate::http::router).await;
    let (mut client, notices) = server.joined().await;
    drop(notices);
    assert_eq!(close_code(&mut client).await, CloseCode::Away);
}

#[tokio::test]
async fn silent_clients_are_given_up() {
    let impatient = |state: AppState| {
        let (opened, notices) = opened();
        let connection = std::sync::Arc::new(std::sync::Mutex::new(Some((opened, notices))));
        Router::new().route(
            "/",
            get(move |upgrade: WebSocketUpgrade| async move {
                let (opened, notices) = connection.lock().unwrap().take().unwrap();
                let connection = state.control().accepted(opened);
                upgrade.on_upgrade(move |socket: WebSocket| async move {
                    serve(socket, connection, state, None, Duration::from_millis(20)).await;
                    drop(notices);
                })
            }),
        )
    };
    let mut server = server(impatient).await;
    let (mut client, _) = connect_async(&server.address).await.unwrap();
    assert_eq!(close_code(&mut client).await, CloseCode::Policy);
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(_))));
}
