//! The rungs in their order: each is tried once, or skipped where an earlier one makes it pointless.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::certificate::{self, Evidence, Fingerprint, Ours, Shown, Trust};
use super::dial;
use super::fault::{Fault, Rule, advice};
use super::media::{Kind, Known, Offer};
use super::packets;
use super::plan::Task;
use super::report::{Outcome, Report, Step};
use super::session::{self, NoSession, Session, Talk};
use super::web;
use crate::http::certificate::Presented;
use crate::http::ice::IceServer;
use crate::http::wire::Admission;
use crate::io::clock;
use crate::io::tls::fingerprint;

/// What a rung has to say.
type Said = (Outcome, String);

const PROXY: &str = "HTTPS_PROXY is set here: browsers may go through that proxy, this check does not.";

/// A check under way.
struct Ladder<'a> {
    task: Task,
    begin: &'a mut dyn FnMut(&'static str),
    began: Instant,
    report: Report,
    known: Known,
    /// Where HTTPS answered.
    address: Option<SocketAddr>,
    /// Whether the token may be shown to whoever presented the certificate.
    trusted: bool,
    /// That certificate: every later connection must present it too.
    seen: Option<Fingerprint>,
}

/// Walks the whole ladder.
pub async fn climb(task: Task, begin: &mut dyn FnMut(&'static str)) -> Report {
    let known = Known { host: task.target.host.clone(), ips: Vec::new() };
    let mut ladder =
        Ladder { task, begin, began: Instant::now(), report: Report::default(), known, address: None, trusted: false, seen: None };
    let addresses = ladder.resolve().await;
    ladder.secure(&addresses).await;
    let (session, servers) = ladder.join().await;
    let task = &ladder.task;
    let offer = if servers.is_empty() { Offer::usual(&task.target.host, task.target.port, &task.udp) } else { Offer::of(&servers) };
    ladder.stun(&offer).await;
    let mut working = Vec::new();
    for kind in [Kind::Udp, Kind::Tcp, Kind::Tls] {
        if ladder.turn(&offer, kind).await {
            working.push(kind);
        }
    }
    ladder.relay(&offer, &working).await;
    if let Some(session) = session {
        session.leave().await;
    }
    ladder.report
}

impl Ladder<'_> {
    fn start(&mut self, name: &'static str) {
        (self.begin)(name);
        self.began = Instant::now();
    }

    fn end(&mut self, name: &'static str, (outcome, advice): Said) {
        self.report.steps.push(Step { name, outcome, took: self.began.elapsed(), advice });
        self.began = Instant::now();
    }

    fn skip(&mut self, name: &'static str, why: &str) {
        self.start(name);
        self.end(name, (Outcome::Skipped, format!("Skipped: {why}.")));
    }

    async fn resolve(&mut self) -> Vec<SocketAddr> {
        self.start("dns");
        let host = self.task.target.host.clone();
        let address = host.parse::<IpAddr>().is_ok();
        match dial::resolve(&host, self.task.target.port).await {
            Ok(addresses) => {
                self.known.ips = addresses.iter().map(SocketAddr::ip).collect();
                let remark = if address && !self.task.local {
                    "This is an address, not a name: Firefox ignores TURN over TLS to it, so give guests links with a name."
                } else {
                    ""
                };
                let remark = remark.to_owned();
                self.end("dns", (Outcome::Fine, remark));
                addresses
            }
            Err(fault) => {
                let told = format!("The name {host} cannot be resolved here ({fault}): is it right, and does this network's DNS know it?");
                self.end("dns", (Outcome::Failed, told));
                Vec::new()
            }
        }
    }

    /// A connection with its certificate, and one request through it.
    async fn secure(&mut self, addresses: &[SocketAddr]) {
        if addresses.is_empty() {
            self.skip("certificate", "the name leads nowhere");
            return self.skip("https", "the name leads nowhere");
        }
        self.start("certificate");
        let (shown, stream) = match self.handshake(addresses).await {
            Ok(done) => done,
            Err(fault) => {
                let told = self.noted(self.unreached(&fault));
                self.end("certificate", (Outcome::Failed, told));
                return self.skip("https", "there is no TLS connection");
            }
        };
        let shaken = self.began.elapsed();
        self.start("https");
        let answer = web::get(stream, &self.task.target.authority(), "/v1/certificate").await;
        let asked = self.began.elapsed();
        let presented = answer.as_ref().ok().and_then(|answer| presented(&answer.body));
        let ours = self.ours(&shown, presented);
        self.seen = Some(shown.fingerprint);
        self.trusted = shown.trust == Trust::Vouched || matches!(ours, Ours::Proven | Ours::Said);
        let authority = self.task.target.authority();
        let (outcome, told) = certificate::judge(&Evidence { shown: &shown, ours, local: self.task.local, authority: &authority });
        let advice = self.noted(told);
        self.report.steps.push(Step { name: "certificate", outcome, took: shaken, advice });
        let (outcome, advice) = match (answer, presented) {
            (Ok(_), Some(_)) => (Outcome::Fine, String::new()),
            (Ok(answer), None) => {
                let told = format!(
                    "What answers at {authority} is not Konsil (HTTP {}): a portal of this network, or the wrong port?",
                    answer.status
                );
                (Outcome::Failed, told)
            }
            (Err(fault), _) => {
                (Outcome::Failed, format!("TLS works, but HTTP does not: {fault}. Does a proxy or inspection stand in between?"))
            }
        };
        self.report.steps.push(Step { name: "https", outcome, took: asked, advice });
    }

    async fn handshake(&mut self, addresses: &[SocketAddr]) -> Result<(Shown, TlsStream<TcpStream>), Fault> {
        let (address, stream) = dial::connect(addresses).await?;
        // Everything else is tried where this worked.
        self.known.ips = vec![address.ip()];
        let host = &self.task.target.host;
        let stream = dial::cover(stream, host, &[b"http/1.1"]).await?;
        let chain: &[CertificateDer<'_>] = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let shown = Shown::of(chain, host, certificate::system_roots(), clock::wall());
        let shown = shown.ok_or_else(|| Fault::System("the certificate cannot be read".to_owned()))?;
        self.address = Some(address);
        Ok((shown, stream))
    }

    /// Whether a certificate is the server's, by the best witness.
    fn ours(&self, shown: &Shown, presented: Option<Fingerprint>) -> Ours {
        let seen = shown.fingerprint;
        match (self.task.fingerprint, presented) {
            (Some(given), _) => {
                if given == seen {
                    Ours::Proven
                } else {
                    Ours::Foreign
                }
            }
            _ if self.task.own_certificate == Some(seen) => Ours::Proven,
            (None, Some(said)) => {
                if said == seen {
                    Ours::Said
                } else {
                    Ours::Foreign
                }
            }
            (None, None) => Ours::Untold,
        }
    }

    fn https_rule(&self) -> Rule {
        let target = &self.task.target;
        let ip = self.known.ips.first().map(ToString::to_string).filter(|ip| *ip != target.host);
        let to = ip.map_or(target.host.clone(), |ip| format!("{} ({ip})", target.host));
        Rule { protocol: "tcp", port: target.port, to }
    }

    fn unreached(&self, fault: &Fault) -> String {
        if self.task.local {
            let authority = self.task.target.authority();
            return format!("The state folder says that a server runs at {authority}, but it does not answer ({fault}): start it again.");
        }
        format!("{}.", advice(fault, &self.https_rule()))
    }

    fn noted(&self, told: String) -> String {
        if self.task.proxy { format!("{told} {PROXY}") } else { told }
    }

    /// A place in the room, and what the server offers for media.
    async fn join(&mut self) -> (Option<Session>, Vec<IceServer>) {
        let https = self.report.steps.iter().any(|step| step.name == "https" && step.ok());
        let Some(address) = self.address.filter(|_| https) else {
            self.skip("websocket", "HTTPS does not work");
            return (None, Vec::new());
        };
        if self.task.token.is_some() && !self.trusted && !self.task.own_token {
            self.skip("websocket", "whoever opens TLS here would get the token; if the certificate is right, give it as --fingerprint");
            return (None, Vec::new());
        }
        self.start("websocket");
        let admission = match self.admission(address).await {
            Ok(admission) => admission,
            Err(fault) => {
                let told = format!(
                    "HTTPS works, but the server does not answer who may join ({fault}): does something in between hold POST requests back?"
                );
                self.end("websocket", (Outcome::Failed, told));
                return (None, Vec::new());
            }
        };
        let (said, session) = match self.open(address, admission.as_ref()).await {
            Ok(session) => ((Outcome::Fine, String::new()), Some(session)),
            Err(refused) => (self.refusal(refused), None),
        };
        self.end("websocket", said);
        (session, admission.map_or_else(Vec::new, |admission| admission.ice_servers))
    }

    /// How the token's owner comes in. Who is refused here is refused in the same words when the session begins.
    async fn admission(&self, address: SocketAddr) -> Result<Option<Admission>, Fault> {
        for wanted in self.task.token.as_deref().map(session::wants).into_iter().flatten() {
            let stream = self.cover(address).await?;
            let answer = web::post(stream, &self.task.target.authority(), session::JOIN, &wanted).await?;
            if let Some(admission) = session::admitted(&answer) {
                return Ok(Some(admission));
            }
        }
        Ok(None)
    }

    async fn open(&self, address: SocketAddr, admission: Option<&Admission>) -> Result<Session, NoSession> {
        let talk = admission.map_or(Talk::LiveKit, |admission| Talk::of(admission.mode));
        let token = admission.map(|admission| admission.token.as_str()).or(self.task.token.as_deref());
        Session::open(self.cover(address).await?, &self.task.target.authority(), token, talk).await
    }

    async fn cover(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, Fault> {
        let (_, stream) = dial::connect(&[address]).await?;
        let stream = dial::cover(stream, &self.task.target.host, &[b"http/1.1"]).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|leaf| fingerprint(leaf));
        // Whoever opens only some connections must not get the token by them.
        if leaf != self.seen {
            return Err(Fault::System("another certificate than before: something opens TLS now and then".to_owned()));
        }
        Ok(stream)
    }

    fn refusal(&self, refused: NoSession) -> Said {
        match refused {
            NoSession::Refused(401, _) if self.task.token.is_none() => {
                let told = "The server answers, but without a token it lets nobody in: give --token or a whole link to check the rest.";
                (Outcome::Impaired, told.to_owned())
            }
            NoSession::Refused(status @ (401 | 403), words) if self.task.own_token => {
                let told = format!(
                    "The server refuses a token made with the key of the state folder here ({status}): {words}. If the server is another one, give --token."
                );
                (Outcome::Failed, told)
            }
            NoSession::Refused(404, words) if self.task.own_token => {
                let told = format!("The server refuses: {words}. If rooms.auto_create is off, give --token for a room that exists.");
                (Outcome::Failed, told)
            }
            NoSession::Refused(status @ (401 | 403 | 404), words) => {
                let told = format!(
                    "The server refuses the token ({status}): {words}. Take a fresh link or a fresh token; this is no fault of the network."
                );
                (Outcome::Failed, told)
            }
            NoSession::Refused(status, words) => {
                let told = format!("HTTP {status} in place of a WebSocket ({words}): a proxy in between may not pass WebSockets on.");
                (Outcome::Failed, told)
            }
            NoSession::Dismissed => (Outcome::Failed, "The server ended the session at once: try again, or look at its log.".to_owned()),
            NoSession::Fault(fault) => {
                let told = format!(
                    "HTTPS works, but the WebSocket does not ({fault}): ask that {} be let through without inspection.",
                    self.task.target.authority()
                );
                (Outcome::Failed, told)
            }
        }
    }

    async fn stun(&mut self, offer: &Offer) {
        let name = "stun-udp";
        if self.known.ips.is_empty() {
            return self.skip(name, "the name leads nowhere");
        }
        self.start(name);
        let mut faults = Vec::new();
        let mut said = None;
        for way in offer.of_kind(Kind::Udp) {
            let asked = async { self.known.client(way, None).await?.bind().await };
            match asked.await {
                Ok(()) => {
                    said = Some((Outcome::Fine, faults.join(" ")));
                    break;
                }
                Err(fault) => faults.push(advice(&fault, &way.rule(self.known.ip(way))) + "."),
            }
        }
        if offer.guessed && !self.task.local && said.is_none() {
            faults.push("This is the usual port; with a token the server tells which one it uses.".to_owned());
        }
        let said =
            said.unwrap_or_else(|| (Outcome::Failed, format!("{} Without UDP, calls go over TCP, with more delay.", faults.join(" "))));
        self.end(name, said);
    }

    /// Whether an allocation can be had so.
    async fn turn(&mut self, offer: &Offer, kind: Kind) -> bool {
        let name = kind.step();
        if self.known.ips.is_empty() || (kind != Kind::Udp && self.address.is_none()) {
            self.skip(name, "the server is not reached");
            return false;
        }
        self.start(name);
        let mut told = Vec::new();
        let mut works = false;
        for way in offer.of_kind(kind) {
            let tried = async {
                let mut client = self.known.client(way, offer.login.as_ref()).await?;
                client.allocate().await?;
                client.end().await;
                Ok(())
            };
            match tried.await {
                Ok(()) => works = true,
                Err(Fault::Challenge) => {
                    works = true;
                    told.push("The relay answers; without a token no more was tried.".to_owned());
                }
                Err(fault) => told.push(advice(&fault, &way.rule(self.known.ip(way))) + "."),
            }
            if works {
                break;
            }
        }
        if kind == Kind::Tcp && !works {
            told.push("Calls do without it where TURN over TLS works.".to_owned());
        }
        self.end(name, (if works { Outcome::Fine } else { Outcome::Failed }, told.join(" ")));
        works
    }

    /// Real packets through the relay, by the best way that works.
    async fn relay(&mut self, offer: &Offer, working: &[Kind]) {
        let name = "relay-loop";
        if working.is_empty() {
            return self.skip(name, "no way to the relay works");
        }
        if offer.login.is_none() {
            return self.skip(name, "without a token that is let in there are no credentials for it");
        }
        self.start(name);
        let mut said = (Outcome::Failed, String::new());
        for way in working.iter().filter_map(|kind| offer.of_kind(*kind).next()) {
            let cover = if way.kind == Kind::Tls { " (TLS)" } else { "" };
            let label = format!("{}/{}{cover}", way.port, way.kind.protocol());
            let tried = async {
                let mut one = self.known.client(way, offer.login.as_ref()).await?;
                let mut other = self.known.client(way, offer.login.as_ref()).await?;
                packets::measure(&mut one, &mut other).await
            };
            let (outcome, told) = match tried.await {
                Ok(measured) => measured.judge(&label),
                Err(fault) => (Outcome::Failed, format!("{label}: {fault}.")),
            };
            said = (outcome, if said.1.is_empty() { told } else { format!("{} {told}", said.1) });
            if outcome != Outcome::Failed {
                break;
            }
        }
        self.end(name, said);
    }
}

/// What the server says of its certificate.
fn presented(body: &[u8]) -> Option<Fingerprint> {
    let said: Presented = serde_json::from_slice(body).ok()?;
    certificate::parse_fingerprint(&said.sha256).ok()
}
