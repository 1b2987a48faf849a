//! What to check, with which credentials: from the command line, else from the state folder of a server here.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::certificate::Fingerprint;
use super::report::{Outcome, Report, Step};
use super::target::Target;
use crate::access::jwt::{ApiKey, Claims, mint};
use crate::access::role::Role;
use crate::app::configure::Misconfigured;
use crate::io::clock;
use crate::io::state::{Run, read_api_key, read_certificate, read_run};
use crate::io::tls::fingerprint;
use crate::model::chance::Chance;
use crate::model::ids::{Identity, RoomName};

/// Where media is unless somebody says otherwise.
const MEDIA_PORT: u16 = 3478;
/// How long the check's own token is good: it is used at once.
const TOKEN_TTL: Duration = Duration::from_mins(2);
/// Variables that send HTTP through a proxy.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// What the command line asked for. It has no `Debug`, for the token's sake.
pub struct Asked {
    /// The server; without it, the one of the state folder.
    pub url: Option<String>,
    /// A participant's token; it wins over the link's.
    pub token: Option<String>,
    /// What the server's certificate should be.
    pub fingerprint: Option<Fingerprint>,
    /// The state folder; on a client's machine there is none.
    pub state: PathBuf,
}

/// A check, ready to begin.
pub struct Task {
    /// The server.
    pub target: Target,
    /// Who the check is.
    pub token: Option<String>,
    /// Whether the token was made here for this check alone, so that nobody can do harm with it.
    pub own_token: bool,
    /// Whether the server is this machine's, reached by a local name.
    pub local: bool,
    /// What the server's certificate should be, if that was said.
    pub fingerprint: Option<Fingerprint>,
    /// The self-signed certificate of the state folder.
    pub own_certificate: Option<Fingerprint>,
    /// Where media is unless the server says otherwise.
    pub udp: Vec<u16>,
    /// Whether browsers on this machine may use a proxy, which the check does not.
    pub proxy: bool,
}

/// What to do, or why there is nothing to do.
pub enum Plan {
    /// Something to check.
    Check(Box<Task>),
    /// No server runs here.
    Over(Report),
}

/// Makes the plan.
///
/// # Errors
/// [`Misconfigured`] for a URL that is none; else if the state folder cannot be read.
pub fn plan(asked: Asked) -> anyhow::Result<Plan> {
    let Asked { url, token, fingerprint, state } = asked;
    let (mut target, udp, local) = match url {
        Some(url) => (Target::parse(&url).map_err(|fault| Misconfigured(fault.to_string()))?, vec![MEDIA_PORT], false),
        None => match read_run(&state)? {
            Some(run) => (here(&run)?, ports(&run), true),
            None => return Ok(Plan::Over(nobody(&state))),
        },
    };
    let mut token = token.or(target.token.take());
    let mut own_token = false;
    let credentials = env::var_os("CREDENTIALS_DIRECTORY");
    let key = read_api_key(&state, credentials.as_deref().map(Path::new)).ok();
    if let (None, Some(key)) = (&token, &key) {
        token = Some(own(key)?);
        own_token = true;
    }
    Ok(Plan::Check(Box::new(Task {
        target,
        token,
        own_token,
        local,
        fingerprint,
        own_certificate: key.and_then(|_| own_certificate(&state)),
        udp,
        proxy: PROXIES.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty())),
    })))
}

/// The server of this machine by a name of this machine: whether its public name leads here is another question.
fn here(run: &Run) -> anyhow::Result<Target> {
    let https: SocketAddr = run.https.parse()?;
    let host = if https.ip().is_unspecified() || https.ip().is_loopback() { "localhost".to_owned() } else { https.ip().to_string() };
    Ok(Target { host, port: https.port(), token: None })
}

fn ports(run: &Run) -> Vec<u16> {
    run.udp.iter().filter_map(|address| address.parse().ok()).map(|address: SocketAddr| address.port()).collect()
}

fn nobody(state: &Path) -> Report {
    let advice = format!(
        "No server runs on the state folder {}: start one with konsil serve, name its folder with --state, or give the URL of another.",
        state.display()
    );
    Report { steps: vec![Step { name: "server", outcome: Outcome::Failed, took: Duration::ZERO, advice }] }
}

/// A token for a room of the check's own.
fn own(key: &ApiKey) -> anyhow::Result<String> {
    let mut chance = Chance::new(clock::seed()?);
    let room = RoomName::new(&format!("konsil-check-{}", chance.text(12).to_lowercase()))?;
    let expires_at = (clock::wall() + TOKEN_TTL).as_secs();
    Ok(mint(key, &Claims::join(&room, Identity::new("konsil-check")?, String::new(), Role::Guest, expires_at)))
}

fn own_certificate(state: &Path) -> Option<Fingerprint> {
    let tls = state.join("tls");
    let pem = read_certificate(&tls.join("cert.pem"), &tls.join("key.pem")).ok()?;
    CertificateDer::from_pem_slice(&pem.cert).ok().map(|leaf| fingerprint(&leaf))
}
