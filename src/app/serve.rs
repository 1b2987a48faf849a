//! `konsil serve`: starts every part, says where it is, waits for the end.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::access::jwt::{ApiKey, Claims, mint};
use crate::access::key::FIRST_TENANT;
use crate::access::role::Role;
use crate::access::tan::InvitationKey;
use crate::config::Config;
use crate::http::{self, AppState, Parts, operator};
use crate::io::clock;
use crate::io::control::ControlHandle;
use crate::io::dtls;
use crate::io::edge::{self, Cover, Edge, EdgeLimits, Surroundings};
use crate::io::media::{self, EVENTS_MAX, MediaHandle, MediaParts};
use crate::io::state::{Run, RunFile, State, read_certificate};
use crate::io::store;
use crate::io::task::{self, TaskParts};
use crate::io::tls::{Certificate, Pem, server_config};
use crate::io::udp::{UdpOptions, UdpPort};
use crate::model::chance::Chance;
use crate::model::ids::{Identity, RoomName, TenantId};
use crate::node::control::{Control, ControlConfig};

use super::configure::{Misconfigured, ServeOptions, configure, warn_of_strange_variables};
use super::{addresses, logging, relay};
use crate::http::ice::IceEndpoints;
use crate::turn::credentials::RelaySecrets;

/// How long connections may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(3);
/// How long the host link that is printed at the start is good.
const HOST_LINK_TTL: Duration = Duration::from_hours(12);

/// Connections that the metrics listener takes at a time.
const METRICS_CONNECTIONS: usize = 32;

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
/// [`Misconfigured`] before anything is bound, else what the machine refuses.
pub fn serve(options: &ServeOptions) -> anyhow::Result<()> {
    let config = configure(options)?;
    logging::start(&config.log);
    warn_of_strange_variables();
    dtls::provider(config.crypto).install_process_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the async runtime")?;
    runtime.block_on(run(&config, options))
}

/// What the listeners serve.
struct Doors {
    https: TcpListener,
    /// Further addresses that serve the same.
    tcp: Vec<TcpListener>,
    plain: Option<TcpListener>,
    metrics: TcpListener,
    certificate: Arc<Certificate>,
}

impl Doors {
    /// Where the TCP side is.
    fn tcp_addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        std::iter::once(&self.https).chain(&self.tcp).map(TcpListener::local_addr).collect()
    }
}

async fn run(config: &Config, options: &ServeOptions) -> anyhow::Result<()> {
    let state = State::open(&options.state)?;
    let key = state.api_key(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).as_deref())?;
    let interfaces = addresses::interfaces().context("cannot list the network interfaces")?;
    let advertised = if config.media.advertise.is_empty() { &interfaces } else { &config.media.advertise };
    let certificate = certificate(config, &state, advertised)?;
    let doors = Doors {
        https: listen(config.http.listen, "http.listen")?,
        tcp: config.media.tcp_listen.iter().map(|address| listen(*address, "media.tcp_listen")).collect::<anyhow::Result<_>>()?,
        plain: config.http.plain_listen.map(|address| listen(address, "http.plain_listen")).transpose()?,
        metrics: listen(config.metrics.listen, "metrics.listen")?,
        certificate,
    };
    let tcp = doors.tcp_addresses()?;
    let core = Core::start(config, &state, &interfaces, &tcp, &key)?;
    let page = page_url(config, doors.https.local_addr()?);
    let run = Run {
        pid: std::process::id(),
        https: doors.https.local_addr()?.to_string(),
        udp: core.udp.iter().map(ToString::to_string).collect(),
        metrics: doors.metrics.local_addr()?.to_string(),
        host_link: host_link(&page, &key)?,
        page,
    };
    let limits = EdgeLimits::new(config.limits.connections, config.limits.connections_per_source);
    let edge = Edge::new(limits, Surroundings { media: Some(core.media.clone()), trusted_proxies: config.http.trusted_proxies.clone() });
    let certificate = Arc::clone(&doors.certificate);
    open_doors(config, doors, &edge, &core, &run)?;
    let _socket = open_to_operator(&state, &core);
    let _run_file: RunFile = state.announce(&run)?;
    core.ready.store(true, Ordering::Relaxed);
    greet(&run);
    // Only systemd listens to this; elsewhere it does nothing.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    wait_for_the_end(|| certificate.replace(&pem(config, &state, advertised)?).map_err(Into::into)).await?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    core.stop(&edge).await
}

/// What the listener presents.
fn certificate(config: &Config, state: &State, advertised: &[IpAddr]) -> anyhow::Result<Arc<Certificate>> {
    let made = pem(config, state, advertised).and_then(|pem| Ok(Certificate::new(&pem)?));
    let Some(files) = &config.http.certificate else { return made };
    made.map_err(|fault| {
        let (cert, key) = (files.cert.display(), files.key.display());
        let remedy = "give a PEM chain, leaf first, and the PEM key that belongs to it";
        Misconfigured(format!("http.cert = {cert}, http.key = {key}: {fault:#}; {remedy}")).into()
    })
}

fn pem(config: &Config, state: &State, advertised: &[IpAddr]) -> anyhow::Result<Pem> {
    let pem = match &config.http.certificate {
        Some(files) => read_certificate(&files.cert, &files.key)?,
        None => state.certificate(advertised, clock::wall())?,
    };
    pem.fits(config.crypto)?;
    Ok(pem)
}

fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    edge::bind(address).with_context(|| format!("cannot listen on {address} (TCP); set {key} to a free address and port"))
}

/// The control task and the media threads.
struct Core {
    relay: RelaySecrets,
    control: ControlHandle,
    media: MediaHandle,
    udp: Vec<SocketAddr>,
    /// Whether new calls are taken, for `/readyz`.
    ready: Arc<AtomicBool>,
    shutdown: oneshot::Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Core {
    fn start(config: &Config, state: &State, interfaces: &[IpAddr], tcp: &[SocketAddr], key: &ApiKey) -> anyhow::Result<Self> {
        let (store, stored) = super::store::open(state, config)?;
        let options =
            UdpOptions { receive_buffer: config.media.receive_buffer, send_buffer: config.media.send_buffer, dscp: config.media.dscp };
        let mut ports = Vec::new();
        let mut udp = Vec::new();
        for address in &config.media.udp_listen {
            let port = UdpPort::bind(*address, usize::from(config.media.workers), &options)
                .with_context(|| format!("cannot listen on {address} (UDP); set media.udp_listen to a free address and port"))?;
            if port.receive_buffer < options.receive_buffer {
                let (wanted, got) = (options.receive_buffer, port.receive_buffer);
                tracing::warn!(wanted, got, "the kernel gives smaller UDP buffers; raise net.core.rmem_max and net.core.wmem_max");
            }
            udp.push(port.local);
            ports.push(port.sockets);
        }
        let candidates = addresses::candidates(&udp, &config.media.advertise, interfaces);
        if candidates.is_empty() {
            return Err(Misconfigured("no address that clients can reach: set media.advertise or media.udp_listen".into()).into());
        }
        let (events, from_workers) = mpsc::channel(EVENTS_MAX);
        let relay = relay::secrets(config, key);
        let listeners = tcp.iter().chain(&udp).chain([&config.metrics.listen]).chain(&config.http.plain_listen).copied().collect();
        let reach = relay::Reach { interfaces, listeners };
        let turn = relay::config(config, relay.clone(), &reach)?;
        let relay_addresses = turn.addresses();
        let parts = MediaParts {
            ports,
            workers: config.media.workers,
            candidates,
            tcp_candidates: addresses::candidates(tcp, &config.media.advertise, interfaces),
            relay: turn,
            events,
        };
        let (media, mut threads) = media::start(parts)?;
        let (control, calls, published) = ControlHandle::channel();
        let mut core = Control::new(control_config(config, key, relay.clone(), relay_addresses), Chance::new(clock::seed()?));
        core.restore(stored, &TenantId::new(FIRST_TENANT)?, key, clock::now());
        published.keys.send_replace(Arc::new(core.keyring()));
        let (store, writer) = store::thread::start(store, clock::wall)?;
        threads.push(writer);
        let (shutdown, told) = oneshot::channel();
        let parts = TaskParts { control: core, store, media: media.clone(), calls, events: from_workers, published, shutdown: told };
        threads.push(task::start(parts)?);
        Ok(Self { relay, control, media, udp, ready: Arc::default(), shutdown, threads })
    }

    /// Tells everybody, lets connections end, and ends the threads.
    async fn stop(self, edge: &Edge) -> anyhow::Result<()> {
        self.ready.store(false, Ordering::Relaxed);
        // It is gone already if the control task ended by a fault; the threads' results tell.
        let _ = self.shutdown.send(());
        let left = edge.drain(DRAIN).await;
        if left > 0 {
            tracing::warn!(left, "connections were cut at the end");
        }
        self.media.stop();
        let threads = self.threads;
        tokio::task::spawn_blocking(move || threads.into_iter().try_for_each(JoinHandle::join))
            .await?
            .map_err(|_| anyhow::anyhow!("a thread ended by a fault of ours"))
    }
}

fn control_config(config: &Config, key: &ApiKey, relay: RelaySecrets, relay_addresses: Vec<IpAddr>) -> ControlConfig {
    ControlConfig {
        workers: usize::from(config.media.workers),
        auto_create: config.rooms.auto_create,
        auto_require_encryption: config.rooms.auto_e2ee_required,
        max_participants: config.rooms.max_participants,
        empty_timeout: Duration::from_secs(u64::from(config.rooms.empty_timeout_s)),
        sessions_max: config.limits.sessions,
        rooms_max: config.limits.rooms,
        relay,
        relay_addresses,
        invitation_key: InvitationKey::new(key.secret.expose().as_bytes()),
    }
}

fn open_doors(config: &Config, doors: Doors, edge: &Arc<Edge>, core: &Core, run: &Run) -> anyhow::Result<()> {
    let origin = run.page.trim_end_matches('/').to_owned();
    let app = AppState::new(Parts {
        control: core.control.clone(),
        origins: vec![origin],
        clock: clock::wall,
        seed: clock::seed()?,
        ice: IceEndpoints {
            secrets: core.relay.clone(),
            udp: core.udp.iter().map(SocketAddr::port).collect(),
            tcp: doors.https.local_addr()?.port(),
        },
        certificate: Arc::clone(&doors.certificate),
        crypto: config.crypto,
    });
    let signal_connections = app.signal_connections();
    let router = http::router(app);
    let tls = Cover::Tls(server_config(doors.certificate, config.crypto)?);
    for listener in doors.tcp.into_iter().chain([doors.https]) {
        tokio::spawn(Arc::clone(edge).serve(listener, tls.clone(), router.clone()));
    }
    if let Some(plain) = doors.plain {
        tokio::spawn(Arc::clone(edge).serve(plain, Cover::Clear, router));
    }
    let media = core.media.clone();
    let numbers = http::metrics::Sources {
        control: core.control.clone(),
        workers: Arc::new(move || {
            let media = media.clone();
            Box::pin(async move { media.stats().await })
        }),
        signal_connections,
        edge: Arc::clone(edge),
        ready: Arc::clone(&core.ready),
    };
    // Scrapes have bounds of their own, so that a flood of calls cannot blind the operator.
    let watch = Edge::new(EdgeLimits::new(METRICS_CONNECTIONS, METRICS_CONNECTIONS), Surroundings::default());
    tokio::spawn(watch.serve(doors.metrics, Cover::Clear, http::metrics_router(numbers)));
    Ok(())
}

/// Orders of the operator come by a socket in the state folder. Calls do not need it.
fn open_to_operator(state: &State, core: &Core) -> Option<operator::Socket> {
    match operator::bind(state.dir()) {
        Ok((listener, socket)) => {
            let router = operator::router(core.control.clone());
            tokio::spawn(async move { axum::serve(listener, router).await });
            Some(socket)
        }
        Err(error) => {
            tracing::warn!(%error, "operator.sock cannot be opened in the state folder: konsil tenant and konsil key will not work");
            None
        }
    }
}

fn page_url(config: &Config, https: SocketAddr) -> String {
    let host = match config.media.advertise.first() {
        Some(IpAddr::V6(v6)) => format!("[{v6}]"),
        Some(IpAddr::V4(v4)) => v4.to_string(),
        None => "localhost".to_owned(),
    };
    format!("https://{host}:{}/", https.port())
}

/// A link into a fresh room as its host. The media key in it is made here and kept nowhere.
fn host_link(page: &str, key: &ApiKey) -> anyhow::Result<String> {
    let mut chance = Chance::new(clock::seed()?);
    let room = RoomName::new(&format!("room-{}", chance.text(8).to_lowercase()))?;
    let identity = Identity::new(&format!("host-{}", chance.text(8)))?;
    let expires_at = (clock::wall() + HOST_LINK_TTL).as_secs();
    let token = mint(key, &Claims::join(&room, identity, String::new(), Role::Host, expires_at));
    let secret = URL_SAFE_NO_PAD.encode(chance.bytes::<16>());
    Ok(format!("{page}r/{}#t={token}&k={secret}", room.as_str()))
}

/// Says to a person where to go. Standard output is for them; logs go to standard error.
fn greet(run: &Run) {
    // A service's output goes to a log, where a link that opens a room must not stand (design section 4).
    let private = std::env::var_os("STATE_DIRECTORY").is_none();
    let link = if private { run.host_link.as_str() } else { "in run.json of the state folder" };
    let Run { page, https, metrics, .. } = run;
    let udp = run.udp.join(" ");
    // Nobody reads where this cannot be written.
    let _ = writeln!(
        std::io::stdout(),
        "Konsil is ready.\n\n  Page       {page}\n  Host link  {link}\n\n  HTTPS {https}   UDP {udp}   metrics http://{metrics}/metrics\n\
         \x20 The certificate is self-signed unless http.cert is set: the browser asks once. Ctrl-C stops the server."
    );
}

/// Waits for SIGTERM or SIGINT; SIGHUP reads the certificate anew, as its renewal wants.
async fn wait_for_the_end(reload: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => match reload() {
                Ok(()) => tracing::info!("certificate read anew"),
                Err(error) => tracing::error!(%error, "the certificate could not be read anew; the old one stays"),
            },
        }
    }
}
