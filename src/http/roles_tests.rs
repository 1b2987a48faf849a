//! Each role by each route of our API, by each method of `RoomService`: who is refused for what the token allows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use axum::Router;
use tokio::sync::oneshot;

use super::testing;
use crate::access::role::Role;
use crate::access::tan::InvitationKey;
use crate::io::control::ControlCall;
use crate::model::chance::Chance;
use crate::model::record::Written;
use crate::model::time::Moment;
use crate::node::control::{Caller, Control, ControlConfig, ControlInput, ControlOutput};
use crate::node::request::{ConnId, Connect, Refusal, Reply};
use crate::room::command::Layout;
use crate::room::media::{MediaCommand, MediaEvent};
use crate::turn::credentials::RelaySecrets;

/// Whether host, guest, reception, observer may.
type May = [bool; 4];

const ALL: May = [true; 4];
const NONE: May = [false; 4];
const MODERATORS: May = [true, false, true, false];
const SPEAKERS: May = [true, true, false, false];
const LISTENERS: May = [true, true, false, true];

const SDP: &str = "v=0\r\nm=audio 9 X 0\r\na=mid:0\r\n";

/// Routes as the description has them, with a body, and who may.
const ROUTES: [(&str, &str, May); 31] = [
    ("POST /v1/rooms", "{}", NONE),
    ("GET /v1/rooms", "", NONE),
    ("GET /v1/rooms/{room}", "", MODERATORS),
    ("DELETE /v1/rooms/{room}", "", NONE),
    ("GET /v1/rooms/{room}/participants", "", MODERATORS),
    ("DELETE /v1/rooms/{room}/participants/{identity}", "", MODERATORS),
    ("POST /v1/rooms/{room}/participants/{identity}/mute", r#"{"muted":true}"#, MODERATORS),
    ("POST /v1/rooms/{room}/invitations", r#"{"kind":"link","role":"guest"}"#, MODERATORS),
    ("POST /v1/rooms/{room}/invitations", r#"{"kind":"link","role":"host"}"#, [true, false, false, false]),
    ("POST /v1/rooms/{room}/invitations", r#"{"kind":"link","role":"observer"}"#, [true, false, false, false]),
    ("POST /v1/rooms/{room}/invitations", r#"{"kind":"tan","role":"guest"}"#, MODERATORS),
    ("GET /v1/rooms/{room}/invitations", "", MODERATORS),
    ("POST /v1/rooms/{room}/invitations/{invitation}/confirm", "", MODERATORS),
    ("DELETE /v1/rooms/{room}/invitations/{invitation}", "", MODERATORS),
    ("GET /v1/tenant", "", NONE),
    ("PATCH /v1/tenant", r#"{"retention_days":7}"#, NONE),
    ("POST /v1/revocations", r#"{"room":"r","identity":"nobody"}"#, MODERATORS),
    ("POST /v1/rooms/{room}/lock", r#"{"locked":true}"#, MODERATORS),
    ("GET /v1/rooms/{room}/lobby", "", MODERATORS),
    ("POST /v1/rooms/{room}/lobby/{identity}", r#"{"action":"refuse"}"#, MODERATORS),
    ("POST /v1/join", "", ALL),
    ("GET /v1/desk", "", ALL),
    ("GET /v1/p2p", "", ALL),
    ("GET /v1/certificate", "", ALL),
    ("POST /whip/{room}", SDP, SPEAKERS),
    ("POST /whep/{room}/{identity}", SDP, LISTENERS),
    ("POST /whep/{room}/{identity}/{resource}", SDP, LISTENERS),
    // What somebody else began does not exist for others.
    ("PATCH /whip/{room}/{resource}", "", ALL),
    ("DELETE /whip/{room}/{resource}", "", ALL),
    ("PATCH /whep/{room}/{identity}/{resource}", "", ALL),
    ("DELETE /whep/{room}/{identity}/{resource}", "", ALL),
];

const ANNA: &str = r#"{"room":"r","identity":"anna"}"#;

const METHODS: [(&str, &str, May); 11] = [
    ("CreateRoom", r#"{"name":"other"}"#, NONE),
    ("ListRooms", "{}", NONE),
    ("DeleteRoom", r#"{"room":"r"}"#, NONE),
    ("ListParticipants", r#"{"room":"r"}"#, MODERATORS),
    ("GetParticipant", ANNA, MODERATORS),
    ("RemoveParticipant", ANNA, MODERATORS),
    ("MutePublishedTrack", r#"{"room":"r","identity":"anna","trackSid":"TR_1","muted":true}"#, MODERATORS),
    ("UpdateParticipant", ANNA, MODERATORS),
    ("UpdateSubscriptions", ANNA, MODERATORS),
    ("SendData", r#"{"room":"r","data":"eA=="}"#, [true, false, false, false]),
    ("UpdateRoomMetadata", r#"{"room":"r","metadata":"m"}"#, MODERATORS),
];

/// A core of its own with somebody called `anna` in the room `r`.
struct Core {
    control: Control,
    now: Moment,
    asked: BTreeMap<Caller, oneshot::Sender<Result<Reply, Refusal>>>,
}

impl Core {
    fn new() -> Self {
        let config = ControlConfig {
            workers: 1,
            auto_create: true,
            auto_require_encryption: false,
            max_participants: 9,
            empty_timeout: Duration::from_mins(1),
            sessions_max: 9,
            rooms_max: 9,
            invitation_key: InvitationKey::new(b"secret"),
            relay: RelaySecrets::new(&[], "secret"),
            relay_addresses: Vec::new(),
        };
        let now = Moment { instant: Instant::now(), wall: Duration::from_secs(testing::NOW) };
        let mut core = Self { control: Control::new(config, Chance::new([7; 32])), now, asked: BTreeMap::new() };
        let anna = Connect {
            grants: testing::grants("anna", Role::Guest),
            layout: Layout::Single,
            auto_subscribe: true,
            protocol: 16,
            resume: None,
            sync: None,
            add_tracks: Vec::new(),
            offer: None,
        };
        core.feed(ControlInput::Connect(Caller(0), ConnId(0), Box::new(anna)));
        core
    }

    fn feed(&mut self, input: ControlInput) {
        self.control.handle(input, self.now);
        while let Some(output) = self.control.poll() {
            match output {
                ControlOutput::Reply(caller, reply) => {
                    if let Some(answer) = self.asked.remove(&caller) {
                        answer.send(reply).unwrap();
                    }
                }
                ControlOutput::Persist(ticket, _) => self.feed(ControlInput::Persisted(ticket, Written::Durably)),
                ControlOutput::Media(_, MediaCommand::Offer { session, id, .. }) => {
                    let answer = MediaEvent::Answer { session, sdp: "v=0\r\n".to_owned(), id, mids: Vec::new() };
                    self.feed(ControlInput::Media(answer));
                }
                _ => {}
            }
        }
    }
}

/// The whole API over a core of its own.
fn api() -> Router {
    let (state, mut calls) = testing::state();
    tokio::spawn(async move {
        let (mut core, mut last) = (Core::new(), 0);
        while let Some(call) = calls.recv().await {
            if let ControlCall::Request(request, answer) = call {
                last += 1;
                core.asked.insert(Caller(last), answer);
                core.feed(ControlInput::Request(Caller(last), Box::new(request)));
            }
        }
    });
    crate::http::router(state)
}

/// Whether the role's token allows a request.
async fn allows(role: Role, line: &str, media_type: &str, body: String) -> bool {
    let token = testing::token("actor", role);
    let bearer = format!("Bearer {token}");
    let body = if line == "POST /v1/join" { serde_json::json!({ "token": token }).to_string() } else { body };
    let answer = testing::send(&api(), line, &[("authorization", &bearer), ("content-type", media_type)], body).await;
    assert!(answer.status.as_u16() != 401 && answer.status.as_u16() < 500, "{line}: {}", answer.text());
    answer.status.as_u16() != 403
}

#[tokio::test]
async fn every_route_by_every_role() {
    for (line, body, may) in ROUTES {
        let place = line.replace("{room}", "r").replace("{identity}", "anna").replace("{resource}", "TR_1").replace("{invitation}", "none");
        let media_type = match (line.starts_with("PATCH /wh"), body) {
            (true, _) => "application/trickle-ice-sdpfrag",
            (false, SDP) => "application/sdp",
            (false, _) => "application/json",
        };
        for (role, may) in Role::ALL.into_iter().zip(may) {
            assert_eq!(allows(role, &place, media_type, body.to_owned()).await, may, "{role}: {line} {body}");
        }
    }
}

#[tokio::test]
async fn every_method_by_every_role() {
    for (method, body, may) in METHODS {
        for (role, may) in Role::ALL.into_iter().zip(may) {
            let line = format!("POST /twirp/livekit.RoomService/{method}");
            assert_eq!(allows(role, &line, "application/json", body.to_owned()).await, may, "{role}: {method}");
        }
    }
}

#[tokio::test]
async fn no_route_is_left_out() {
    let description = testing::send(&api(), "GET /openapi.json", &[], "").await.json();
    let mut described = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        described.extend(methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    assert_eq!(described, ROUTES.iter().map(|(line, ..)| (*line).to_owned()).collect());
}
