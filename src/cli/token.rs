//! `konsil token`: prints one JWT.

use std::env;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Args};

use super::{StateFolder, span};
use crate::access::jwt::{Claims, mint};
use crate::access::role::Role;
use crate::app::configure::Misconfigured;
use crate::io::state::read_api_key;
use crate::model::ids::{Identity, NAME_MAX, RoomName};

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
    /// TURN credentials in place of a token
    #[arg(long, conflicts_with = "admin")]
    ice: bool,
    /// How long the token is good: 90s, 15m, 1h, 7d
    #[arg(long, value_parser = span::parse, default_value = "1h")]
    ttl: Duration,
    #[command(flatten)]
    state: StateFolder,
}

/// Prints what the arguments ask for.
pub(super) fn print(arguments: TokenArgs) -> anyhow::Result<()> {
    if arguments.ice {
        return Err(Misconfigured("--ice is not available in this version: it comes with the TURN server".to_owned()).into());
    }
    let expires_at = (SystemTime::now().duration_since(UNIX_EPOCH)? + arguments.ttl).as_secs();
    let claims = match (&arguments.room, &arguments.identity) {
        (Some(room), Some(identity)) => {
            let room = RoomName::new(room).map_err(|rule| Misconfigured(format!("--room {rule}")))?;
            let identity = Identity::new(identity).map_err(|rule| Misconfigured(format!("--identity {rule}")))?;
            if arguments.name.len() > NAME_MAX {
                return Err(Misconfigured(format!("--name must have at most {NAME_MAX} bytes")).into());
            }
            Claims::join(&room, identity, arguments.name, arguments.role, expires_at)
        }
        _ => Claims::admin(expires_at),
    };
    let credentials = env::var_os("CREDENTIALS_DIRECTORY");
    let key = read_api_key(&arguments.state.first(), credentials.as_deref().map(Path::new));
    let key = key.map_err(|fault| Misconfigured(fault.to_string()))?;
    writeln!(io::stdout(), "{}", mint(&key, &claims))?;
    Ok(())
}
