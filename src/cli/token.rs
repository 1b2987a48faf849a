//! `konsil token`: prints one JWT.

use std::env;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Args};

use super::{StateFolder, span};
use crate::access::jwt::{ApiKey, Claims, mint};
use crate::access::key::FIRST_TENANT;
use crate::access::role::Role;
use crate::app::configure::{Misconfigured, ServeOptions, configure};
use crate::app::relay_secrets;
use crate::http::ice::{IceEndpoints, Reached};
use crate::io::state::{read_api_key, read_run};
use crate::model::ids::{Identity, NAME_MAX, RoomId, RoomName, TenantId};
use crate::turn::credentials::{LIFETIME_S, RelayUser};

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("kind").required(true).args(["room", "admin"]))]
pub(super) struct TokenArgs {
    /// The room to join
    #[arg(long, value_name = "R", requires = "identity")]
    room: Option<String>,
    /// The participant, unique in the room
    #[arg(long, value_name = "I", requires = "room")]
    identity: Option<String>,
    /// A display name, which the server and everyone in the room sees
    #[arg(long, value_name = "N", conflicts_with = "admin", default_value = "", hide_default_value = true)]
    name: String,
    /// host, guest, reception or observer
    #[arg(long, conflicts_with = "admin", default_value = "guest")]
    role: Role,
    /// A token for the room API: it creates, lists and moderates rooms
    #[arg(long)]
    admin: bool,
    /// TURN credentials of a running server in place of a token, good for an hour at most
    #[arg(long, conflicts_with = "admin")]
    ice: bool,
    /// The server's configuration file, if it sets turn.secrets
    #[arg(long, value_name = "FILE", requires = "ice")]
    config: Option<PathBuf>,
    /// How long the token is good: 90s, 15m, 1h, 7d. With --ice leave it at 1h for somebody who was in the room within the hour:
    /// shorter ones count as made before
    #[arg(long, value_parser = span::parse, default_value = "1h")]
    ttl: Duration,
    #[command(flatten)]
    state: StateFolder,
}

/// Prints what the arguments ask for.
pub(super) fn print(arguments: TokenArgs) -> anyhow::Result<()> {
    if arguments.ice {
        return print_ice(arguments);
    }
    let expires_at = (SystemTime::now().duration_since(UNIX_EPOCH)? + arguments.ttl).as_secs();
    let claims = match (&arguments.room, &arguments.identity) {
        (Some(room), Some(identity)) => {
            let (room, identity) = (room_name(room)?, self::identity(identity)?);
            if arguments.name.len() > NAME_MAX {
                return Err(Misconfigured(format!("--name must have at most {NAME_MAX} bytes")).into());
            }
            Claims::join(&room, identity, arguments.name, arguments.role, expires_at)
        }
        _ => Claims::admin(expires_at),
    };
    writeln!(io::stdout(), "{}", mint(&api_key(&arguments.state.first())?, &claims))?;
    Ok(())
}

fn api_key(dir: &Path) -> anyhow::Result<ApiKey> {
    let credentials = env::var_os("CREDENTIALS_DIRECTORY");
    read_api_key(dir, credentials.as_deref().map(Path::new)).map_err(|fault| Misconfigured(fault.to_string()).into())
}

fn room_name(text: &str) -> anyhow::Result<RoomName> {
    RoomName::new(text).map_err(|rule| Misconfigured(format!("--room {rule}")).into())
}

fn identity(text: &str) -> anyhow::Result<Identity> {
    Identity::new(text).map_err(|rule| Misconfigured(format!("--identity {rule}")).into())
}

/// `{"iceServers":[…]}` as `RTCPeerConnection` takes it.
fn print_ice(arguments: TokenArgs) -> anyhow::Result<()> {
    let (room, identity) = (room_name(&arguments.room.unwrap_or_default())?, identity(&arguments.identity.unwrap_or_default())?);
    let dir = arguments.state.first();
    let Some(run) = read_run(&dir)? else {
        return Err(Misconfigured(format!("--ice needs a running server: start one with konsil serve --state {}", dir.display())).into());
    };
    let config = configure(&ServeOptions { config: arguments.config, state: dir.clone(), log_json: false })?;
    let port = |address: &String| address.parse().map(|address: SocketAddr| address.port());
    let endpoints = IceEndpoints {
        secrets: relay_secrets(&config, &api_key(&dir)?),
        udp: run.udp.iter().map(port).collect::<Result<_, _>>()?,
        tcp: port(&run.https)?,
    };
    let room = RoomId { tenant: TenantId::new(FIRST_TENANT)?, name: room };
    let user =
        RelayUser { worker: None, group: endpoints.secrets.group(&room), person: endpoints.secrets.person(&room, identity.as_str()) };
    let authority = run.page.split("//").nth(1).and_then(|rest| rest.split('/').next()).and_then(Reached::parse);
    let life = arguments.ttl.min(Duration::from_secs(LIFETIME_S));
    let begin = SystemTime::now().duration_since(UNIX_EPOCH)? + life;
    let servers = endpoints.servers(user, authority.as_ref(), begin.as_secs().saturating_sub(LIFETIME_S));
    writeln!(io::stdout(), "{}", serde_json::json!({ "iceServers": servers }))?;
    Ok(())
}
