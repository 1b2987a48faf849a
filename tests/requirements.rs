//! Rows of the requirements against the real binary, each test named by its row.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test's own steps may fail loudly

#[path = "requirements/crypto.rs"]
mod crypto;
#[path = "requirements/operator.rs"]
mod operator;
#[path = "requirements/real.rs"]
mod real;

use std::fs;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use konsil::access::jwt::{ApiKey, Claims, mint};
use konsil::access::role::Role;
use konsil::model::ids::{Identity, RoomName};
use real::Server;
use rustls::crypto::aws_lc_rs::default_provider;
use serde_json::{Value, json};

/// Nobody's name, which must be found nowhere.
const CANARY: &str = "Canaria-Vogelfrei";

/// What the server answered.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

/// What a practice and its patients do with a server.
struct Site(Server);

impl Site {
    fn open(name: &str) -> Self {
        Self(Server::start(name, &[]))
    }

    fn run(&self, line: &str) -> Output {
        self.0.run(line)
    }

    /// The key of `default`.
    fn first_key(&self) -> ApiKey {
        api_key(&serde_json::from_slice(&fs::read(self.0.dir.join("state/api-key.json")).unwrap()).unwrap())
    }

    /// A new organisation with its key.
    fn tenant(&self, name: &str) -> ApiKey {
        assert!(self.run(&format!("tenant add {name}")).status.success());
        api_key(&serde_json::from_slice(&self.run(&format!("key add --tenant {name}")).stdout).unwrap())
    }

    fn ask(&self, line: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{bearer}content-length: {length}\r\n\
             content-type: application/json\r\n\r\n{body}"
        );
        let text = self.0.send(&request, default_provider()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: serde_json::from_str(body).unwrap_or_default() }
    }

    fn room(&self, admin: &str, body: &Value) {
        assert_eq!(self.ask("POST /v1/rooms", Some(admin), Some(body)).status, 201);
    }

    fn tan(&self, admin: &str, room: &str) -> String {
        let path = format!("POST /v1/rooms/{room}/invitations");
        let made = self.ask(&path, Some(admin), Some(&json!({"kind": "tan", "role": "guest"})));
        assert_eq!((made.status, &made.body["server_knew"]), (201, &json!(true)));
        made.body["tan"].as_str().unwrap().to_owned()
    }

    fn join(&self, body: &Value) -> Answer {
        self.ask("POST /v1/join", None, Some(body))
    }
}

fn api_key(json: &Value) -> ApiKey {
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    ApiKey::new(text("key"), text("secret")).unwrap()
}

fn in_an_hour() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 3600
}

fn admin(key: &ApiKey) -> String {
    mint(key, &Claims::admin(in_an_hour()))
}

fn member(key: &ApiKey, room: &str, role: Role, name: &str) -> String {
    let identity = Identity::new(&format!("{role}-1")).unwrap();
    mint(key, &Claims::join(&RoomName::new(room).unwrap(), identity, name.to_owned(), role, in_an_hour()))
}

/// All bytes under a folder.
fn bytes_under(dir: &Path) -> Vec<u8> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| if path.is_dir() { bytes_under(&path) } else { fs::read(path).unwrap_or_default() };
    entries.flat_map(read).collect()
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|part| part == word.as_bytes())
}

#[test]
fn a2_nothing_is_told_without_tls() {
    let server = Site::open("row-a2");
    let mut socket = TcpStream::connect(server.0.address("https")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\nThis port speaks HTTPS.\r\n"), "{answer}");
}

#[test]
fn a3_a_foreign_room_does_not_exist_and_a_revoked_key_opens_nothing() {
    let server = Site::open("row-a3");
    let (north, south) = (server.tenant("north"), server.tenant("south"));
    server.room(&admin(&north), &json!({"id": "ward", "mode": "sfu"}));
    let foreign = admin(&south);
    for (line, body) in [
        ("GET /v1/rooms/ward", None),
        ("DELETE /v1/rooms/ward", None),
        ("GET /v1/rooms/ward/participants", None),
        ("DELETE /v1/rooms/ward/participants/anna", None),
        ("POST /v1/rooms/ward/participants/anna/mute", Some(json!({"muted": true}))),
        ("POST /v1/rooms/ward/invitations", Some(json!({"kind": "link", "role": "guest"}))),
        ("GET /v1/rooms/ward/invitations", None),
        ("POST /v1/rooms/ward/lock", Some(json!({"locked": true}))),
        ("GET /v1/rooms/ward/lobby", None),
        ("POST /v1/rooms/ward/lobby/anna", Some(json!({"action": "admit"}))),
    ] {
        assert_eq!(server.ask(line, Some(&foreign), body.as_ref()).status, 404, "{line}");
    }
    assert_eq!(server.ask("GET /v1/rooms", Some(&foreign), None).body["rooms"], json!([]));
    let own = admin(&north);
    assert_eq!(server.ask("GET /v1/rooms/ward", Some(&own), None).status, 200);
    assert!(server.run(&format!("key revoke {}", north.key)).status.success());
    assert_eq!(server.ask("GET /v1/rooms/ward", Some(&own), None).status, 401);
}

#[test]
fn a4_no_page_may_load_from_elsewhere_or_sets_a_cookie() {
    let server = Site::open("row-a4");
    for page in ["GET /", "GET /r/ward", "GET /t/default"] {
        let answer = server.ask(page, None, None);
        assert_eq!(answer.status, 200, "{page}");
        assert!(answer.head.contains("content-security-policy: ") && answer.head.contains("default-src 'self'"), "{page}");
        assert!(!answer.head.contains("set-cookie"), "{page}");
    }
}

#[test]
fn v2_a_tan_belongs_to_one_device_until_the_room_ends() {
    let server = Site::open("row-v2");
    let key = server.first_key();
    server.room(&admin(&key), &json!({"id": "ward", "mode": "sfu", "lobby": true}));
    let tan = server.tan(&admin(&key), "ward");
    let first = server.join(&json!({"tenant": "default", "tan": tan}));
    assert_eq!((first.status, first.body["state"].as_str(), first.body["room"].as_str()), (200, Some("waiting"), Some("ward")));
    let again = server.join(&json!({"tenant": "default", "tan": tan}));
    assert_eq!((again.status, again.body["type"].as_str()), (410, Some("/problems/tan-used")));
    assert_eq!(server.join(&json!({"resume": first.body["resume"]})).status, 200);
    let unknown = server.join(&json!({"tenant": "default", "tan": "000000"}));
    assert_eq!((unknown.status, unknown.body["type"].as_str()), (404, Some("/problems/tan-unknown")));
    assert_eq!(server.ask("DELETE /v1/rooms/ward", Some(&admin(&key)), None).status, 204);
    assert_eq!(server.join(&json!({"resume": first.body["resume"]})).status, 410);
}

#[test]
fn v3_m3_no_name_tan_or_room_is_on_disk_or_in_the_log() {
    let mut server = Site::open("row-v3");
    let key = server.first_key();
    let room = format!("room-{CANARY}");
    server.room(&admin(&key), &json!({"id": room, "mode": "sfu"}));
    let tan = server.tan(&admin(&key), &room);
    let half: String = tan.replace('-', "").chars().take(6).collect();
    assert_eq!(server.join(&json!({"tenant": "default", "tan": tan})).status, 200);
    let token = member(&key, &room, Role::Host, CANARY);
    assert_eq!(server.ask("GET /rtc/validate", Some(&token), None).status, 200);
    assert_eq!(server.join(&json!({"tenant": "default", "tan": CANARY})).status, 422);
    assert_eq!(server.join(&json!({ CANARY: CANARY })).status, 422);
    let log = fs::read(server.0.dir.join("log")).unwrap();
    // The link of this start is there by design, for whoever owns the folder.
    let state = bytes_under(&server.0.dir.join("state"));
    for word in [CANARY, tan.as_str(), half.as_str(), token.as_str()] {
        assert!(!holds(&log, word) && !holds(&state, word), "a secret or a name was written");
    }
    server.0.stop();
    assert!(!holds(&bytes_under(&server.0.dir.join("state")), CANARY), "it is on disk after the end");
}

#[test]
fn m4_what_no_field_is_for_is_refused() {
    let server = Site::open("row-m4");
    let admin = admin(&server.first_key());
    for (line, body) in [
        ("POST /v1/rooms", json!({"id": "r", "diagnosis": "x"})),
        ("POST /v1/join", json!({"tenant": "default", "tan": "000000", "diagnosis": "x"})),
        ("POST /v1/revocations", json!({"room": "r", "identity": "i", "diagnosis": "x"})),
        ("PATCH /v1/tenant", json!({"retention_days": 7, "diagnosis": "x"})),
    ] {
        assert_eq!(server.ask(line, Some(&admin), Some(&body)).status, 422, "{line}");
    }
}

#[test]
fn c2_retention_is_a_day_to_three_months() {
    let server = Site::open("row-c2");
    let admin = admin(&server.first_key());
    let status = |days: u32| server.ask("PATCH /v1/tenant", Some(&admin), Some(&json!({"retention_days": days}))).status;
    assert_eq!([1, 90, 0, 91, 300].map(status), [200, 200, 422, 422, 422]);
}

#[test]
fn c3_the_same_guest_twice_has_nothing_in_common() {
    let server = Site::open("row-c3");
    let admin = admin(&server.first_key());
    server.room(&admin, &json!({"id": "ward", "mode": "sfu"}));
    let made = server.ask("POST /v1/rooms/ward/invitations", Some(&admin), Some(&json!({"kind": "link", "role": "guest"})));
    let link = made.body["link"].as_str().unwrap().to_owned();
    let invitation = link.split_once("#t=").unwrap().1;
    let visit = || server.join(&json!({ "invitation": invitation })).body["token"].as_str().unwrap().to_owned();
    let identity = |token: &str| {
        use base64::Engine as _;
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&payload).unwrap()["sub"].as_str().unwrap().to_owned()
    };
    let (one, other) = (identity(&visit()), identity(&visit()));
    assert_ne!(one, other);
    let common = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    assert!(common <= "guest-".len() + 3, "they begin alike");
}

#[test]
fn c4_what_happened_is_on_record_and_a_changed_byte_is_found() {
    let mut server = Site::open("row-c4");
    let admin = admin(&server.first_key());
    server.room(&admin, &json!({"id": "ward", "mode": "sfu"}));
    assert_eq!(server.ask("DELETE /v1/rooms/ward", Some(&admin), None).status, 204);
    let export = server.run("audit export");
    let events: Vec<Value> = export.stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let names: Vec<&str> = events.iter().filter_map(|entry| entry["event"].as_str()).collect();
    for event in ["started", "tenant-added", "room-made", "room-ended", "audit-read"] {
        assert!(names.contains(&event), "{event} is not among {names:?}");
    }
    assert_eq!(server.run("audit verify").status.code(), Some(0));
    server.0.stop();
    assert_eq!(server.run("audit verify").status.code(), Some(0), "also after a crash");
}
