//! A desk over a real WebSocket, with a scripted core at the channel's other end.

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
use crate::io::control::{ControlCall, OpenedDesk};
use crate::model::grants::Grants;
use crate::model::ids::Identity;
use crate::model::record::RoomMode;
use crate::model::role::Role;
use crate::node::request::{ConnId, Refusal};
use crate::room::desk::{BODY_MAX, Body, Bye, DeskFault, DeskSaid, Standing};
use crate::room::notice::Notice;

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

    /// Opens a desk while the core answers by `answer`.
    async fn open(&mut self, answer: Result<OpenedDesk, Refusal>) -> (Result<Client, Error>, Grants) {
        let url = format!("{}/v1/desk?token={}", self.address, testing::guest());
        let client = tokio::spawn(async move { connect_async(url).await.map(|(client, _)| client) });
        let Some(ControlCall::OpenDesk(grants, reply)) = self.calls.recv().await else { panic!("no desk") };
        reply.send(answer).unwrap();
        (client.await.unwrap(), *grants)
    }

    async fn opened(&mut self) -> (Client, mpsc::Sender<Notice>) {
        let (opened, notices) = opened();
        (self.open(Ok(opened)).await.0.unwrap(), notices)
    }

    async fn said(&mut self) -> DeskSaid {
        let Some(ControlCall::Desk(ConnId(4), said)) = self.calls.recv().await else { panic!("nothing said") };
        said
    }
}

fn opened() -> (OpenedDesk, mpsc::Sender<Notice>) {
    let (sender, notices) = mpsc::channel(8);
    (OpenedDesk { conn: ConnId(4), notices }, sender)
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

fn person(identity: &str) -> Identity {
    Identity::new(identity).unwrap()
}

#[tokio::test]
async fn words_go_both_ways() {
    let mut server = Server::start().await;
    let (opened, notices) = opened();
    let (client, grants) = server.open(Ok(opened)).await;
    assert_eq!(grants.identity.unwrap().as_str(), "guest");
    let mut client = client.unwrap();
    let standing = Standing { waiting: true, identity: person("guest"), role: Role::Guest, mode: RoomMode::P2p, locked: false };
    notices.send(Notice::Desk(DeskNotice::Standing(standing))).await.unwrap();
    assert_eq!(hear_back(&mut client).await["state"], "waiting");
    say(&mut client, json!({"type": "message", "to": "host", "body": "AQID"})).await;
    assert_eq!(server.said().await, DeskSaid::Message { to: person("host"), body: Body("AQID".into()) });
    notices.send(Notice::Desk(DeskNotice::Message { from: person("host"), body: Body("BAU".into()) })).await.unwrap();
    assert_eq!(hear_back(&mut client).await, json!({"type": "message", "from": "host", "body": "BAU"}));
    notices.send(Notice::Desk(DeskNotice::Refused(DeskFault::NotModerator))).await.unwrap();
    assert_eq!(hear_back(&mut client).await["reason"], "not-allowed");
}

#[tokio::test]
async fn nonsense_is_refused_without_an_end() {
    let mut server = Server::start().await;
    let (mut client, _notices) = server.opened().await;
    let long = json!({"type": "message", "to": "host", "body": "x".repeat(BODY_MAX + 1)}).to_string();
    let frames = [Frame::text("{"), Frame::binary(vec![0xff; 32]), Frame::text(r#"{"type":"Erika"}"#), Frame::text(long)];
    for (frame, reason) in frames.into_iter().zip(["malformed", "malformed", "malformed", "too-long"]) {
        client.send(frame).await.unwrap();
        let told = hear_back(&mut client).await;
        assert_eq!((told["type"].as_str(), told["reason"].as_str()), (Some("refused"), Some(reason)));
        assert!(!told.to_string().contains("Erika"));
    }
    say(&mut client, json!({"type": "leave"})).await;
    assert_eq!(server.said().await, DeskSaid::Leave);
}

#[tokio::test]
async fn floods_and_giants_end_it() {
    let mut server = Server::start().await;
    let (mut client, _notices) = server.opened().await;
    for _ in 0..=FRAMES_MAX {
        let _ = client.feed(Frame::Pong(Bytes::new())).await;
    }
    let _ = client.flush().await;
    assert_eq!(close_code(&mut client).await, CloseCode::Policy);
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(ConnId(4)))));
    let (mut client, _notices) = server.opened().await;
    let _ = client.send(Frame::text("x".repeat(messages::MESSAGE_MAX + 1))).await;
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(ConnId(4)))));
}

#[tokio::test]
async fn farewells_close_the_socket() {
    let mut server = Server::start().await;
    let (mut client, notices) = server.opened().await;
    notices.send(Notice::Desk(DeskNotice::Bye(Bye::Ended))).await.unwrap();
    assert_eq!(hear_back(&mut client).await, json!({"type": "bye", "reason": "ended", "rejoin": false}));
    assert_eq!(close_code(&mut client).await, CloseCode::Normal);
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(_))));
    let (mut client, notices) = server.opened().await;
    drop(notices);
    assert_eq!(close_code(&mut client).await, CloseCode::Away);
}

#[tokio::test]
async fn refusals_have_a_status() {
    let mut server = Server::start().await;
    for (refusal, status) in [(Refusal::Locked, 423), (Refusal::TooEarly, 409), (Refusal::TurnedAway, 403), (Refusal::RoomNotFound, 404)] {
        let Err(Error::Http(response)) = server.open(Err(refusal)).await.0 else { panic!("not refused") };
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn tokens_come_before_handshakes() {
    let (state, mut calls) = testing::state();
    let router = crate::http::router(state);
    let answer = testing::send(&router, "GET /v1/desk", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthorized"));
    let answer = testing::send(&router, &format!("GET /v1/desk?token={}", testing::guest()), &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (426, "upgrade-required"));
    let answer = testing::send(&router, "GET /v1/desk?token=Erika&token=Erika", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "bad-query"));
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn clients_that_answer_no_ping_are_given_up() {
    let (state, calls) = testing::state();
    let (opened, notices) = opened();
    let kept = std::sync::Arc::new(std::sync::Mutex::new(Some((opened, notices))));
    let pace = Pace { ping: Duration::from_millis(5), silence: Duration::from_millis(20) };
    let handler = move |upgrade: axum::extract::ws::WebSocketUpgrade| async move {
        let (opened, notices) = kept.lock().unwrap().take().unwrap();
        let connection = state.control().desk_of(opened);
        upgrade.on_upgrade(move |socket: WebSocket| async move {
            serve(socket, connection, state, pace).await;
            drop(notices);
        })
    };
    let mut server = Server::serving(Router::new().route("/", axum::routing::get(handler)), calls).await;
    // Nobody reads, so nobody answers.
    let (_client, _) = connect_async(&server.address).await.unwrap();
    assert!(matches!(server.calls.recv().await, Some(ControlCall::Closed(_))));
}
