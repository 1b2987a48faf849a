//! The JSON of a room's desk: what people say there, what they are told.

use serde::{Deserialize, Serialize};

use crate::model::ids::{Identity, NAME_MAX};
use crate::model::record::RoomMode;
use crate::model::secret::Secret;
use crate::room::desk::{BODY_MAX, Body, Bye, DeskFault, DeskNotice, DeskSaid, PersonView};

/// Largest message in bytes: JSON may write a byte of a body as six.
pub const MESSAGE_MAX: usize = 6 * (BODY_MAX + NAME_MAX) + 1024;

/// Why a message cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaidError {
    /// It is none of this protocol's.
    #[error("messages are JSON texts of type message, admit, refuse, putback, remove, mute, mismatch, lock, end or leave")]
    Malformed,
    /// It is longer than it may be.
    #[error("body must have at most {BODY_MAX} bytes")]
    TooLong,
    /// A name is none.
    #[error("to, or identity, names nobody: 1 to {NAME_MAX} bytes without control characters")]
    Name,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Said {
    Message { to: String, body: String },
    Admit { identity: String },
    Refuse { identity: String },
    PutBack { identity: String },
    Remove { identity: String },
    Mute { identity: String },
    Mismatch { identity: String },
    Lock { locked: bool },
    End {},
    Leave {},
}

/// What somebody says.
///
/// # Errors
/// It is no message of this protocol, or too long, or for nobody.
pub fn hear(text: &str) -> Result<DeskSaid, SaidError> {
    let name = |text: String| Identity::new(&text).map_err(|_| SaidError::Name);
    // A JSON error's text may repeat what came.
    Ok(match serde_json::from_str(text).map_err(|_| SaidError::Malformed)? {
        Said::Message { body, .. } if body.len() > BODY_MAX => return Err(SaidError::TooLong),
        Said::Message { to, body } => DeskSaid::Message { to: name(to)?, body: Body(body.into()) },
        Said::Admit { identity } => DeskSaid::Admit(name(identity)?),
        Said::Refuse { identity } => DeskSaid::Refuse(name(identity)?),
        Said::PutBack { identity } => DeskSaid::PutBack(name(identity)?),
        Said::Remove { identity } => DeskSaid::Remove(name(identity)?),
        Said::Mute { identity } => DeskSaid::Mute(name(identity)?),
        Said::Mismatch { identity } => DeskSaid::Mismatch(name(identity)?),
        Said::Lock { locked } => DeskSaid::Lock(locked),
        Said::End {} => DeskSaid::End,
        Said::Leave {} => DeskSaid::Leave,
    })
}

/// What somebody is told.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Told<'a> {
    /// How the person stands.
    Standing {
        /// `waiting` or `admitted`.
        state: &'static str,
        /// The person.
        identity: &'a str,
        /// As what the person came.
        role: &'static str,
        /// How media travels.
        mode: &'static str,
        /// Whether nobody else can come.
        locked: bool,
    },
    /// Who is there.
    People {
        /// Everybody whom the person may see.
        people: Vec<Person<'a>>,
    },
    /// What somebody says to the person.
    Message {
        /// Who.
        from: &'a str,
        /// What.
        body: &'a str,
    },
    /// The person shall mute all.
    Mute,
    /// What the person said was not taken.
    Refused {
        /// For programs.
        reason: &'static str,
        /// For people.
        detail: String,
    },
    /// It is over.
    Bye {
        /// Why.
        reason: &'static str,
        /// Whether to come again.
        rejoin: bool,
    },
}

/// Somebody at the desk.
#[derive(Serialize)]
pub struct Person<'a> {
    identity: &'a str,
    role: &'static str,
    state: &'static str,
    since: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation: Option<Invitation<'a>>,
}

#[derive(Serialize)]
struct Invitation<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> From<&'a PersonView> for Person<'a> {
    fn from(view: &'a PersonView) -> Self {
        let invitation = view.invited.as_ref().map(|invited| Invitation {
            id: invited.id.as_str(),
            sealed: invited.sealed.as_ref().map(Secret::expose),
            secret: invited.secret.as_ref().map(Secret::expose),
        });
        let state = if view.waiting { "waiting" } else { "here" };
        Self { identity: view.identity.as_str(), role: view.role.as_str(), state, since: view.since, invitation }
    }
}

/// A notice on the wire.
pub fn told(notice: &DeskNotice) -> Told<'_> {
    match notice {
        DeskNotice::Standing(standing) => Told::Standing {
            state: if standing.waiting { "waiting" } else { "admitted" },
            identity: standing.identity.as_str(),
            role: standing.role.as_str(),
            mode: match standing.mode {
                RoomMode::Sfu => "sfu",
                RoomMode::P2p => "p2p",
            },
            locked: standing.locked,
        },
        DeskNotice::People(people) => Told::People { people: people.iter().map(Into::into).collect() },
        DeskNotice::Message { from, body } => Told::Message { from: from.as_str(), body: &body.0 },
        DeskNotice::Mute => Told::Mute,
        DeskNotice::Refused(fault) => fault_words(*fault),
        DeskNotice::Bye(bye) => bye_words(*bye),
    }
}

/// Why a message was not taken.
pub fn refused(error: SaidError) -> Told<'static> {
    let reason = match error {
        SaidError::Malformed => "malformed",
        SaidError::TooLong => "too-long",
        SaidError::Name => "no-such-person",
    };
    Told::Refused { reason, detail: error.to_string() }
}

fn fault_words(fault: DeskFault) -> Told<'static> {
    let (reason, detail) = match fault {
        DeskFault::NotModerator => ("not-allowed", "only hosts and reception may say this"),
        DeskFault::NoSuchPerson => ("no-such-person", "nobody of this name is there for you"),
        DeskFault::NotWaiting => ("not-waiting", "this person does not wait"),
        DeskFault::CannotWait => ("cannot-wait", "hosts and reception never wait, nor does anybody in a room without lobby"),
        DeskFault::Full => ("room-full", "the room is full"),
        DeskFault::TooMany => ("too-many", "too many messages in too short a time"),
        DeskFault::NotStored => ("not-stored", "the server could not store this; nothing was changed"),
    };
    Told::Refused { reason, detail: detail.to_owned() }
}

fn bye_words(bye: Bye) -> Told<'static> {
    let (reason, rejoin) = match bye {
        Bye::Refused => ("refused", false),
        Bye::Removed => ("removed", false),
        Bye::Ended => ("ended", false),
        Bye::Replaced => ("replaced", false),
        Bye::Revoked => ("revoked", false),
        Bye::Shutdown => ("shutdown", true),
        Bye::Expired => ("expired", false),
        Bye::Left => ("left", false),
    };
    Told::Bye { reason, rejoin }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
