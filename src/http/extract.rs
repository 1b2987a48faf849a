//! What handlers take from a request: the caller first, then the path, then a bounded body.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::auth;
use super::error::Problem;
use super::state::AppState;
use crate::io::edge::PeerAddr;
use crate::model::grants::Grants;
use crate::model::ids::{Identity, InvitationId, RoomName, Sid};

/// Largest JSON body in bytes.
pub const JSON_MAX: usize = 64 * 1024;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Deepest resource id in an address, in bytes.
const RESOURCE_MAX: usize = 64;

/// The verified grants of the caller's bearer token.
#[derive(Debug)]
pub struct Caller(pub Grants);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Ok(Self(auth::grants(state, &parts.headers, None)?))
    }
}

/// The names in a path, each absent unless the route has it.
#[derive(Debug)]
pub struct At {
    room: Option<RoomName>,
    identity: Option<Identity>,
    resource: Option<Sid>,
    invitation: Option<InvitationId>,
}

impl At {
    /// The room.
    ///
    /// # Errors
    /// [`Problem::no_path`] where the route has none.
    pub fn room(&self) -> Result<RoomName, Problem> {
        self.room.clone().ok_or_else(Problem::no_path)
    }

    /// The participant.
    ///
    /// # Errors
    /// [`Problem::no_path`] where the route has none.
    pub fn identity(&self) -> Result<Identity, Problem> {
        self.identity.clone().ok_or_else(Problem::no_path)
    }

    /// The invitation.
    ///
    /// # Errors
    /// [`Problem::no_path`] where the route has none.
    pub fn invitation(&self) -> Result<InvitationId, Problem> {
        self.invitation.clone().ok_or_else(Problem::no_path)
    }

    /// The WHIP or WHEP resource.
    ///
    /// # Errors
    /// [`Problem::no_path`] where the route has none.
    pub fn resource(&self) -> Result<Sid, Problem> {
        self.resource.clone().ok_or_else(Problem::no_path)
    }
}

impl FromRequestParts<AppState> for At {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let names = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::invalid("the path must be percent-encoded UTF-8"))?;
        let mut at = Self { room: None, identity: None, resource: None, invitation: None };
        for (name, text) in &names {
            match name {
                "room" => at.room = Some(room_name(text)?),
                "identity" => at.identity = Some(identity(text)?),
                "invitation" => at.invitation = InvitationId::new(text).ok(),
                "resource" if text.len() <= RESOURCE_MAX => at.resource = Some(Sid::from_client(text)),
                _ => {}
            }
        }
        Ok(at)
    }
}

/// A room's name, or what is wrong with it.
///
/// # Errors
/// The rule that the text breaks.
pub fn room_name(text: &str) -> Result<RoomName, Problem> {
    RoomName::new(text).map_err(|error| Problem::invalid(format!("the room's id {error}")))
}

/// A participant's identity, or what is wrong with it.
///
/// # Errors
/// The rule that the text breaks.
pub fn identity(text: &str) -> Result<Identity, Problem> {
    Identity::new(text).map_err(|error| Problem::invalid(format!("the identity {error}")))
}

/// The host that the caller used, from the target (HTTP/2) or the `Host` header.
#[derive(Debug)]
pub struct Authority(pub Option<String>);

impl FromRequestParts<AppState> for Authority {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let header = || parts.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        Ok(Self(parts.uri.authority().map(|authority| authority.as_str().to_owned()).or_else(header)))
    }
}

/// From where a request came: the other end of its connection, or whom a listed load balancer named. Never log it.
#[derive(Debug)]
pub struct Address(pub Option<IpAddr>);

impl FromRequestParts<AppState> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<PeerAddr>().map(|peer| peer.0.ip())))
    }
}

/// A JSON body whose unknown fields are refused.
#[derive(Debug)]
pub struct Input<T>(pub T);

/// A shape that comes in as JSON.
pub trait Shape: DeserializeOwned {
    /// Its fields for a caller who got them wrong.
    const FIELDS: &'static str;
}

impl<T: Shape> FromRequest<AppState> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_media_type(&parts.headers, "application/json") {
            return Err(Problem::media_type("application/json"));
        }
        let bytes = read(&parts.headers, body, JSON_MAX).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| misread::<T>(&error))
    }
}

/// The error's place, not its text, which would repeat what the caller sent.
fn misread<T: Shape>(error: &serde_json::Error) -> Problem {
    let place = format!("line {} column {}", error.line(), error.column());
    if error.is_data() {
        let detail = format!("near {place} the body does not have this form: {}", T::FIELDS);
        return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", "The body has the wrong fields", detail);
    }
    Problem::new(StatusCode::BAD_REQUEST, "bad-json", "The body is not JSON", format!("it stops being JSON in UTF-8 at {place}"))
}

/// Whether the content type is `wanted`, parameters aside.
pub fn is_media_type(headers: &HeaderMap, wanted: &str) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|text| text.split(';').next());
    media_type.is_some_and(|text| text.trim().eq_ignore_ascii_case(wanted))
}

/// The whole body, if it is not too long.
///
/// # Errors
/// 413 above `max` bytes, before reading where the length is declared; 415 for a compressed body; 408 after
/// [`BODY_TIMEOUT`]; 400 for one that breaks off.
pub async fn read(headers: &HeaderMap, body: Body, max: usize) -> Result<Bytes, Problem> {
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Problem::coded());
    }
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()).and_then(|text| text.parse::<usize>().ok());
    if declared.is_some_and(|length| length > max) {
        return Err(Problem::too_large(max));
    }
    match timeout(BODY_TIMEOUT, to_bytes(body, max)).await {
        Err(_) => Err(Problem::slow(BODY_TIMEOUT)),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => Err(Problem::too_large(max)),
        Ok(Err(_)) => Err(Problem::broken_body()),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<LengthLimitError>)
}
