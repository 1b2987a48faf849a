//! What the HTTP floor asks of the control core about invitations.

use std::net::IpAddr;

use crate::access::role::Role;
use crate::access::tan::Admit;
use crate::model::grants::Grants;
use crate::model::ids::{Identity, InvitationId, RoomId, RoomName, SubjectRef, TenantId};
use crate::model::record::RoomMode;
use crate::model::secret::Secret;

/// Longest sealed secret half in bytes, as it is sent.
pub const SEALED_MAX: usize = 256;

/// A question or an order about invitations.
#[derive(Clone, Debug)]
pub enum InvitationRequest {
    /// Invite somebody. Answer: [`InvitationReply::Made`].
    Make {
        /// The caller.
        grants: Grants,
        /// Into which room.
        room: RoomName,
        /// How.
        spec: InvitationSpec,
    },
    /// Which invitations into a room are there? Answer: [`InvitationReply::List`].
    List {
        /// The caller.
        grants: Grants,
        /// Which room.
        room: RoomName,
    },
    /// What the invited person had begun is wanted. Answer: [`Done`](super::request::Reply::Done).
    Confirm {
        /// The caller.
        grants: Grants,
        /// Into which room.
        room: RoomName,
        /// Which.
        id: InvitationId,
    },
    /// Take an invitation back. Answer: [`Done`](super::request::Reply::Done).
    Revoke {
        /// The caller.
        grants: Grants,
        /// Into which room.
        room: RoomName,
        /// Which.
        id: InvitationId,
    },
    /// Somebody comes by an invitation. Answer: [`InvitationReply::Redeemed`].
    Redeem {
        /// With what.
        by: Redeem,
        /// From where, if that is known.
        address: Option<IpAddr>,
    },
}

/// An invitation to be made. Its times are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationSpec {
    /// What the invited person will be.
    pub role: Role,
    /// How it travels.
    pub by: InvitationBy,
    /// Good from, in seconds since 1970 UTC.
    pub not_before: u64,
    /// Good until, in seconds since 1970 UTC.
    pub not_after: u64,
    /// The person by the caller's opaque reference.
    pub subject: Option<SubjectRef>,
}

/// How an invitation travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvitationBy {
    /// As a link that one device may use.
    Link,
    /// As a TAN.
    Tan {
        /// The half that admits, if a browser made the TAN; else the server makes it.
        admit: Option<Admit>,
        /// The secret half, sealed by a practice's browser; at most [`SEALED_MAX`] bytes.
        sealed: Option<Secret>,
        /// Whether it dies in an hour unless it is confirmed.
        pending: bool,
    },
}

/// What somebody comes with.
#[derive(Clone, Debug)]
pub enum Redeem {
    /// A TAN of a tenant.
    Tan(TenantId, Admit),
    /// A link that one device may use, whose token was good.
    Link(RoomId, InvitationId),
    /// What the device got that used an invitation first.
    Resume(Secret),
}

/// The answer to an [`InvitationRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvitationReply {
    /// It is made.
    Made(InvitationMade),
    /// Those of the room.
    List(Vec<InvitationView>),
    /// Come in.
    Redeemed(Redeemed),
}

/// A new invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationMade {
    /// Its id.
    pub id: InvitationId,
    /// How media travel in its room.
    pub mode: RoomMode,
    /// The TAN, if the server made it.
    pub tan: Option<Secret>,
    /// When it ends, or must be confirmed, in seconds since 1970 UTC.
    pub expires_at: u64,
}

/// How far an invitation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitationState {
    /// It is not confirmed yet.
    Pending,
    /// Nobody has used it.
    Open,
    /// Somebody has used it.
    Used,
}

/// An invitation as moderators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationView {
    /// Its id.
    pub id: InvitationId,
    /// Whether it is a TAN.
    pub tan: bool,
    /// What the invited person will be.
    pub role: String,
    /// How far it has come.
    pub state: InvitationState,
    /// Good from, in seconds since 1970 UTC.
    pub not_before: u64,
    /// Good until, in seconds since 1970 UTC.
    pub not_after: u64,
    /// The secret half, sealed by a practice's browser.
    pub sealed: Option<Secret>,
}

/// Somebody whom an invitation brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// Where to.
    pub room: RoomId,
    /// As what.
    pub role: Role,
    /// As whom: a random one for each invitation.
    pub identity: Identity,
    /// How media travel there.
    pub mode: RoomMode,
    /// A moderator must admit it first.
    pub waiting: bool,
    /// What the device shows when it comes again; told once.
    pub resume: Option<Secret>,
    /// How long its token is good, in seconds since 1970 UTC.
    pub expires_at: u64,
}

/// Why an invitation is refused. The texts go to callers and name nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationRefusal {
    /// Another open TAN of the tenant begins so.
    #[error("another invitation has this TAN already: make another one")]
    Taken,
    /// There is no such invitation into the room.
    #[error("there is no such invitation")]
    NotFound,
    /// There are as many as there may be.
    #[error("there are as many {0} as there may be: take some back, or wait until some end")]
    TooMany(&'static str),
    /// No open TAN of the tenant begins so.
    #[error("this TAN is not known here: compare it with your letter, and the address with the one that is printed there")]
    Unknown,
    /// Another device has used it.
    #[error("this invitation was used on another device already: go on there, or ask for a new one")]
    Used,
    /// Its time is over, or it was taken back.
    #[error("this invitation is over: ask for a new one")]
    Over,
    /// Its time has not come; good from then, in seconds since 1970 UTC.
    #[error("this invitation is not good yet")]
    Early(u64),
    /// Too many wrong ones were tried; the seconds after which one may be tried again.
    #[error("too many wrong invitations were tried: try again later")]
    TooManyTries(u64),
}
