//! Floor 6: the command line.

mod audit;
mod backup;
mod check;
mod span;
mod store;
mod tenant;
mod token;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app::configure::{Misconfigured, ServeOptions};

/// Exit code for wrong usage or configuration.
const MISUSED: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  konsil serve
      Runs without any configuration; prints the page's address with a ready host link.
  konsil serve --config /etc/konsil/konsil.toml --state /var/lib/konsil
  konsil token --room ward-3 --identity dr-a --role host
      Prints a token for one participant, signed with the key of the state folder.
  konsil token --admin --ttl 10m
      Prints a token for the room API.
  konsil check
      Says whether calls work, and which firewall rule is missing.
  konsil audit verify
      Says whether the audit log is as it was written: exit status 0 if it is, 1 if not, 2 for wrong usage.
  konsil backup /backup/konsil-2026-11-28
      Makes a sealed copy of the store.";

#[derive(Debug, Parser)]
#[command(name = "konsil", version, about = "A media server appliance for medical video consultations", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve {
        /// Configuration file (TOML); without it the defaults hold
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        state: StateFolder,
        /// Log one JSON object a line
        #[arg(long)]
        log_json: bool,
    },
    /// Print an access token
    Token(token::TokenArgs),
    /// Organisations that share this server
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// API keys of organisations
    #[command(subcommand)]
    Key(tenant::KeyCommand),
    /// Find out whether calls work from here, and what stands in their way
    Check(check::CheckArgs),
    /// Check or read the audit log, also while a server runs
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Make or rotate the key that seals what is stored
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Copy the store, also while a server runs
    Backup(backup::BackupArgs),
    /// Put a copy of the store back, while no server runs
    Restore(backup::RestoreArgs),
}

#[derive(Args, Clone, Debug)]
struct StateFolder {
    /// State folder, with the API key and the certificate
    #[arg(long = "state", value_name = "DIR", env = "STATE_DIRECTORY", default_value = "./konsil-state")]
    path: PathBuf,
}

impl StateFolder {
    /// The folder; systemd may name several, of which the first is ours.
    fn first(self) -> PathBuf {
        let text = self.path.to_str().unwrap_or_default();
        text.split_once(':').map(|(first, _)| PathBuf::from(first)).unwrap_or(self.path)
    }
}

/// Runs the command that `arguments` name and returns the process's exit code: 0, 1 for a failure, 2 for wrong usage;
/// of a check 1 and 2 say how bad it is, of `audit verify` 1 says that the log is broken.
///
/// `serve` runs the server until it was told to stop.
pub fn run(arguments: impl Iterator<Item = OsString>, serve: impl FnOnce(ServeOptions) -> anyhow::Result<()>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version come this way too; a closed terminal is nobody to tell.
            let _ = told.print();
            return if told.use_stderr() { ExitCode::from(MISUSED) } else { ExitCode::SUCCESS };
        }
    };
    let done = match cli.command {
        Command::Serve { config, state, log_json } => {
            serve(ServeOptions { config, state: state.first(), log_json }).map(|()| ExitCode::SUCCESS)
        }
        Command::Token(arguments) => token::print(arguments).map(|()| ExitCode::SUCCESS),
        Command::Tenant(command) => tenant::tenant(command).map(|()| ExitCode::SUCCESS),
        Command::Key(command) => tenant::key(command).map(|()| ExitCode::SUCCESS),
        Command::Check(arguments) => check::run(arguments),
        Command::Audit(command) => audit::run(command),
        Command::Store(command) => store::run(command),
        Command::Backup(arguments) => backup::backup(arguments),
        Command::Restore(arguments) => backup::restore(arguments),
    };
    match done {
        Ok(code) => code,
        Err(fault) => {
            let _ = writeln!(io::stderr(), "konsil: {fault:#}");
            if fault.is::<Misconfigured>() { ExitCode::from(MISUSED) } else { ExitCode::FAILURE }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("konsil").chain(line.split_whitespace()))
    }

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_needs_nothing() {
        let Command::Serve { config, state, log_json } = parsed("serve").unwrap().command else { panic!() };
        assert_eq!((config, state.first(), log_json), (None, PathBuf::from("./konsil-state"), false));
    }

    #[test]
    fn first_state_folder_counts() {
        let Command::Serve { state, .. } = parsed("serve --state /a:/b").unwrap().command else { panic!() };
        assert_eq!(state.first(), PathBuf::from("/a"));
    }

    #[test]
    fn tokens_are_for_a_participant_or_an_admin() {
        for line in [
            "token --room r --identity i",
            "token --room r --identity i --name N --role host --ttl 90m --state d",
            "token --admin",
            "token --admin --ttl 1d",
            "token --ice --room r --identity i",
        ] {
            assert!(parsed(line).is_ok(), "{line}");
        }
        for line in [
            "token",
            "token --room r",
            "token --identity i",
            "token --admin --room r",
            "token --admin --ice",
            "token --admin --role host",
            "token --room r --identity i --role chief",
            "token --room r --identity i --ttl soon",
            "",
            "dance",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
