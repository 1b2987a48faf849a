//! A scripted core behind the channel, with requests as a caller sends them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tower_service::Service as _;

use super::ice::IceEndpoints;
use super::state::{AppState, Parts};
use crate::access::jwt::{ApiKey, Claims, Keyring, mint};
use crate::access::role::Role;
use crate::io::control::{ControlCall, ControlHandle};
use crate::io::tls::{Certificate, Pem};
use crate::model::ids::{Identity, RoomName, Sid, TenantId};
use crate::node::request::{Refusal, Reply, Request, RoomMode};
use crate::room::notice::{ParticipantState, ParticipantView, Permission, RoomView};
use crate::turn::credentials::RelaySecrets;

/// The tests' time in seconds since 1970.
pub const NOW: u64 = 1_700_000_000;

fn key() -> ApiKey {
    ApiKey::new("key".to_owned(), "s".repeat(32)).unwrap()
}

/// State with one key of the tenant `clinic`, and the core's end of the channel.
pub fn state() -> (AppState, mpsc::Receiver<ControlCall>) {
    let (control, calls, _) = ControlHandle::channel();
    let clinic = TenantId::new("clinic").unwrap();
    let mut keyring = Keyring::new();
    keyring.insert(clinic.clone(), key()).unwrap();
    let parts = Parts {
        control,
        keyring,
        signers: BTreeMap::from([(clinic, key())]),
        origins: vec!["https://konsil.example".to_owned(), "https://localhost:8443".to_owned()],
        clock: || Duration::from_secs(NOW),
        seed: [7; 32],
        ice: IceEndpoints { secrets: RelaySecrets::new(&[], "test"), udp: vec![3478], tcp: 8443 },
        certificate: Certificate::new(&Pem::self_signed(&[], Duration::from_secs(NOW)).unwrap()).unwrap(),
    };
    (AppState::new(parts), calls)
}

/// What the core was asked.
pub type Asked = Arc<Mutex<Vec<Request>>>;

/// State whose core answers every request by `answer` and keeps what it was asked.
pub fn scripted(mut answer: impl FnMut(&Request) -> Result<Reply, Refusal> + Send + 'static) -> (AppState, Asked) {
    let (state, mut calls) = state();
    let asked = Asked::default();
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Some(call) = calls.recv().await {
            if let ControlCall::Request(request, reply) = call {
                let _ = reply.send(answer(&request));
                kept.lock().unwrap().push(request);
            }
        }
    });
    (state, asked)
}

/// A token that may create, list and moderate.
pub fn admin() -> String {
    mint(&key(), &Claims::admin(NOW + 60))
}

/// A guest's token for room `r`.
pub fn guest() -> String {
    let identity = Identity::new("guest").unwrap();
    mint(&key(), &Claims::join(&RoomName::new("r").unwrap(), identity, String::new(), Role::Guest, NOW + 60))
}

/// A room as the core describes it.
pub fn room(name: &str) -> RoomView {
    RoomView {
        sid: Sid::from_client("RM_1"),
        name: RoomName::new(name).unwrap(),
        mode: RoomMode::Sfu,
        hide_addresses: false,
        require_encryption: true,
        max_participants: 9,
        empty_timeout_s: 300,
        created_at_ms: NOW * 1000,
        door: crate::room::DoorRules::default(),
        locked: false,
        metadata: String::new(),
        participants: 0,
        publishers: 0,
    }
}

/// A participant as the core describes it.
pub fn participant(identity: &str) -> ParticipantView {
    let permission =
        Permission { subscribe: true, publish: true, publish_data: true, sources: Vec::new(), hidden: false, update_metadata: false };
    ParticipantView {
        sid: Sid::from_client("PA_1"),
        identity: Identity::new(identity).unwrap(),
        name: String::new(),
        state: ParticipantState::Active,
        left: None,
        tracks: Vec::new(),
        data_tracks: Vec::new(),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        joined_at_ms: NOW * 1000,
        version: 1,
        permission,
        is_publisher: false,
    }
}

/// An answer as the caller sees it.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The problem's slug, after checking that this is one.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16());
        json["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned()
    }
}

/// Sends `method path` with headers (`name: value` lines) and a body.
pub async fn send(router: &Router, line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = HttpRequest::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().call(request.body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes().to_vec() }
}
