//! P2p signalling over a real WebSocket, with a scripted core at the channel's other end.

use axum::Router;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::http::testing;
use crate::io::control::{ControlCall, Opened};
use crate::model::ids::{SessionId, Sid, WorkerIndex};
use crate::node::request::{ConnId, Connect, Connected, Refusal, RoomMode};
use crate::room::command::{DescriptionKind, Layout, PartnerMessage};
use crate::room::notice::{LeaveAction, Outcome, PartnerView};
use crate::turn::credentials::RelayUser;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Server {
    calls: mpsc::Receiver<ControlCall>,
    address: String,
}

impl Server {
    async fn start() -> Self {
        let (state, calls) = testing::state();
        Self::serving(crate::http::router(state), calls).await
    }

    async fn serving(router: Router, calls: mpsc::Receiver<ControlCall>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { calls, address }
    }

    /// Opens the socket while the core answers by `answer`.
    async fn open(&mut self, query: &str, answer: Result<Opened, Refusal>) -> (Result<Client, Error>, Connect) {
        let url = format!("{}/v1/p2p?token={}{query}", self.address, testing::guest());
        let client = tokio::spawn(async move { connect_async(url).await.map(|(client, _)| client) });
        let Some(ControlCall::Connect(connect, reply)) = self.calls.recv().await else { panic!("no connect") };
        reply.send(answer).unwrap();
        (client.await.unwrap(), *connect)
    }

    async fn joined(&mut self) -> (Client, mpsc::Sender<Notice>) {
        let (opened, notices) = opened();
        (self.open("", Ok(opened)).await.0.unwrap(), notices)
    }

    async fn signal(&mut self) -> Signal {
        let Some(ControlCall::Signal(ConnId(4), signal)) = self.calls.recv().await else { panic!("no signal") };
        signal
    }
}

fn opened() -> (Opened, mpsc::Sender<Notice>) {
    let (sender, notices) = mpsc::channel(8);
    let relay = RelayUser { worker: Some(WorkerIndex(0)), group: 1, person: 2 };
    (Opened { conn: ConnId(4), connected: Connected { session: SessionId(1), resumed: false, relay }, notices }, sender)
}

async fn say(client: &mut Client, message: Value) {
    client.send(Frame::text(message.to_string())).await.unwrap();
}

async fn hear_back(client: &mut Client) -> Value {
    match client.next().await.unwrap().unwrap() {
        Frame::Text(text) => serde_json::from_str(&text).unwrap(),
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
async fn the_partner_is_told_of_with_ice_servers() {
    let mut server = Server::start().await;
    let (opened, notices) = opened();
    let (client, connect) = server.open("&resume=PA_old", Ok(opened)).await;
    assert_eq!((connect.layout, connect.resume), (Layout::P2p, Some(Sid::from_client("PA_old"))));
    assert_eq!(connect.grants.identity.unwrap().as_str(), "guest");
    let mut client = client.unwrap();
    let own = Sid::from_client("PA_own");
    let view = PartnerView { own, partner: Some(Sid::from_client("PA_x")), polite: true, hide_addresses: true };
    notices.send(Notice::Partner(view.clone())).await.unwrap();
    let told = hear_back(&mut client).await;
    let ice = &told["ice_servers"][0];
    assert!(ice["urls"][0].as_str().unwrap().starts_with("turn:127.0.0.1:3478"));
    assert!(ice["username"].as_str().unwrap().starts_with(&format!("{}:A", testing::NOW + 3600)));
    let expected = json!({
        "type": "peer", "session": "PA_own", "present": true, "peer": "PA_x", "polite": true, "hide_addresses": true,
        "crypto": "bsi", "ice_servers": told["ice_servers"],
    });
    assert_eq!(told, expected);
    notices.send(Notice::Partner(PartnerView { partner: None, ..view })).await.unwrap();
    let told = hear_back(&mut client).await;
    assert_eq!((told["present"].as_bool(), told.get("peer")), (Some(false), None));
}

#[tokio::test]
async fn words_go_both_ways() {
    let mut server = Server::start().await;
    let (mut client, notices) = server.joined().await;
    let description = json!({"type": "description", "description": {"type": "offer", "sdp": "v=0\r\n"}});
    say(&mut client, description.clone()).await;
    let Signal::ToPartner { to: None, message } = server.signal().await else { panic!() };
    assert_eq!(message, PartnerMessage::Description { kind: DescriptionKind::Offer, sdp: "v=0\r\n".into() });
    notices.send(Notice::FromPartner(message)).await.unwrap();
    assert_eq!(hear_back(&mut client).await, description);
    say(&mut client, json!({"type": "peer"})).await;
    assert_eq!(server.signal().await, Signal::AskPartner);
    notices.send(Notice::Response { request_id: 0, outcome: Outcome::NotFound }).await.unwrap();
    assert_eq!(hear_back(&mut client).await["reason"], "no-peer");
}

#[tokio::test]
async fn nonsense_is_refused_without_an_end_to_the_call() {
    let mut server = Server::start().await;
    let (mut client, _notices) = server.joined().await;
    let long = json!({"type": "description", "description": {"type": "offer", "sdp": "v".repeat(messages::SDP_MAX + 1)}});
    let frames = [Frame::text("{"), Frame::binary(vec![0xff; 32]), Frame::text(r#"{"type":"Erika"}"#)];
    for frame in frames {
        client.send(frame).await.unwrap();
        let told = hear_back(&mut client).await;
        assert_eq!((told["type"].as_str(), told["reason"].as_str()), (Some("refused"), Some("malformed")));
        assert!(!told.to_string().contains("Erika"));
    }
    say(&mut client, long).await;
    assert_eq!(hear_back(&mut client).await["reason"], "too-long");
    say(&mut client, json!({"type": "peer"})).await;
    assert_eq!(server.signal().await, Signal::AskPartner);
}

#[tokio::test]
async fn floods_of_messages_and_of_bytes_close_with_a_policy_code() {
    let big = json!({"type": "description", "description": {"type": "offer", "sdp": "v".repeat(messages::SDP_MAX)}}).to_string();
    for (text, times) in [("{}", MESSAGES_MAX + 1), (big.as_str(), 5)] {
        let mut server = Server::start().await;
        let (mut client, _notices) = server.joined().await;
        for _ in 0..times {
            // The server may hang up before everything is sent.
            let _ = client.feed(Frame::text(text)).await;
        }
        let _ = client.flush().await;
        assert_eq!(close_code(&mut client).await, CloseCode::Policy);
    }
}

#[tokio::test]
async fn oversized_messages_end_the_connection() {
    let mut server = Server::start().await;
    let (mut client, _notices) = server.joined().await;
    let _ = client.send(Frame::text("x".repeat(messages::MESSAGE_MAX + 1))).await;
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(_))));
}

#[tokio::test]
async fn sessions_end_from_either_side() {
    let mut server = Server::start().await;
    let (mut client, _notices) = server.joined().await;
    say(&mut client, json!({"type": "bye"})).await;
    assert_eq!(server.signal().await, Signal::Leave);
    assert_eq!(close_code(&mut client).await, CloseCode::Normal);
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(_))));

    let (mut client, notices) = server.joined().await;
    notices.send(Notice::Leave { reason: LeaveReason::Removed, action: LeaveAction::Disconnect }).await.unwrap();
    assert_eq!(hear_back(&mut client).await, json!({"type": "bye", "reason": "removed", "rejoin": false}));
    assert_eq!(close_code(&mut client).await, CloseCode::Normal);

    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(_))));
    let (mut client, notices) = server.joined().await;
    drop(notices);
    assert_eq!(close_code(&mut client).await, CloseCode::Away);
}

#[tokio::test]
async fn refusals_have_a_status_but_for_lost_sessions() {
    let mut server = Server::start().await;
    for (refusal, status) in [(Refusal::RoomFull, 409), (Refusal::WrongMode(RoomMode::Sfu), 409), (Refusal::RoomNotFound, 404)] {
        let Err(Error::Http(response)) = server.open("", Err(refusal)).await.0 else { panic!("not refused") };
        assert_eq!(response.status(), status);
    }
    let mut client = server.open("&resume=PA_old", Err(Refusal::NoSession)).await.0.unwrap();
    assert_eq!(hear_back(&mut client).await, json!({"type": "bye", "reason": "no-session", "rejoin": true}));
    assert_eq!(close_code(&mut client).await, CloseCode::Normal);
}

#[tokio::test]
async fn tokens_come_before_handshakes() {
    let (state, mut calls) = testing::state();
    let router = crate::http::router(state);
    let answer = testing::send(&router, "GET /v1/p2p", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthorized"));
    let answer = testing::send(&router, &format!("GET /v1/p2p?token={}", testing::guest()), &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (426, "upgrade-required"));
    assert_eq!(answer.header("upgrade"), "websocket");
    let answer = testing::send(&router, "GET /v1/p2p?token=Erika&token=Erika", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "bad-query"));
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn clients_that_answer_no_ping_are_given_up() {
    let (state, calls) = testing::state();
    let (opened, notices) = opened();
    let connection = std::sync::Arc::new(std::sync::Mutex::new(Some((opened, notices))));
    let pace = Pace { ping: Duration::from_millis(5), silence: Duration::from_millis(20) };
    let handler = move |upgrade: axum::extract::ws::WebSocketUpgrade| async move {
        let (opened, notices) = connection.lock().unwrap().take().unwrap();
        let connection = state.control().accepted(opened);
        upgrade.on_upgrade(move |socket: WebSocket| async move {
            serve(socket, connection, state, None, pace).await;
            drop(notices);
        })
    };
    let mut server = Server::serving(Router::new().route("/", axum::routing::get(handler)), calls).await;
    // Nobody reads, so nobody answers.
    let (_client, _) = connect_async(&server.address).await.unwrap();
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(_))));
}
