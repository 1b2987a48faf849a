//! Why a way does not work, in words that a firewall administrator can act on.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// Why nothing useful came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No answer in time.
    Silence,
    /// Somebody said no.
    Refused,
    /// This machine does not let it out.
    Forbidden,
    /// There is no way there.
    Unreachable,
    /// The connection ended before the answer.
    Cut,
    /// STUN's error code.
    Code(u16),
    /// The relay wants credentials, which proves that it is reached.
    Challenge,
    /// What answers does not speak the protocol.
    Nonsense,
    /// Anything else, in the system's words.
    System(String),
}

impl From<io::Error> for Fault {
    fn from(fault: io::Error) -> Self {
        if fault.raw_os_error() == Some(Errno::EPERM as i32) {
            return Self::Forbidden;
        }
        match fault.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => Self::Unreachable,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Self::Cut,
            io::ErrorKind::TimedOut => Self::Silence,
            _ => Self::System(fault.to_string()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("no answer"),
            Self::Refused => f.write_str("refused: nothing listens there, or a firewall rejects it"),
            Self::Forbidden => f.write_str("a firewall on this machine forbids it"),
            Self::Unreachable => f.write_str("there is no route to it from here"),
            Self::Cut => f.write_str("the connection was cut before an answer came"),
            Self::Code(401) => f.write_str("the relay refuses its own credentials: do the clocks and turn.secrets agree?"),
            Self::Code(486) => f.write_str("the relay says that this user has too many allocations: try again in a minute"),
            Self::Code(code) => write!(f, "the relay refuses with error {code}"),
            Self::Challenge => f.write_str("the relay answers, but wants credentials"),
            Self::Nonsense => f.write_str("what answers there is no STUN server"),
            Self::System(words) => f.write_str(words),
        }
    }
}

/// What a firewall must let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `udp` or `tcp`.
    pub protocol: &'static str,
    /// Of the server.
    pub port: u16,
    /// The server's name, with its address where that is known.
    pub to: String,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "let {}/{} out from this network to {}, with its answers back in", self.port, self.protocol, self.to)
    }
}

/// What to ask the firewall people for, where that can help.
#[must_use]
pub fn advice(fault: &Fault, rule: &Rule) -> String {
    let at = format!("{}/{}", rule.port, rule.protocol);
    match fault {
        Fault::Silence | Fault::Refused | Fault::Forbidden | Fault::Cut | Fault::Unreachable => {
            format!("{at}: {fault}. If the server runs, ask for this firewall rule: {rule}")
        }
        other => format!("{at}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_rule_where_a_firewall_may_be_the_cause() {
        let rule = Rule { protocol: "udp", port: 3478, to: "a.example (192.0.2.1)".to_owned() };
        let told = advice(&Fault::Silence, &rule);
        assert!(told.contains("let 3478/udp out from this network to a.example (192.0.2.1)"), "{told}");
        assert!(!advice(&Fault::Code(508), &rule).contains("firewall"));
    }

    #[test]
    fn what_the_system_says_is_understood() {
        let of = |errno: Errno| Fault::from(io::Error::from_raw_os_error(errno as i32));
        assert_eq!(of(Errno::EPERM), Fault::Forbidden);
        assert_eq!(of(Errno::ECONNREFUSED), Fault::Refused);
        assert_eq!(of(Errno::ENETUNREACH), Fault::Unreachable);
        assert_eq!(of(Errno::ECONNRESET), Fault::Cut);
    }
}
