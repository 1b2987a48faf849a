//! Errors as RFC 9457 problem+json, none of which repeats what the caller sent.

use std::borrow::Cow;

use std::time::Duration;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::AuthError;
use crate::access::tan::TanFault;
use crate::node::fragment::FragmentFault;
use crate::node::invitation::InvitationRefusal;
use crate::node::request::Refusal;

/// Seconds after which a caller may try again where time can help.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("5");

/// The title of what is over a bound.
const TOO_LARGE: &str = "The body is too large";

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    /// Seconds after which to try again, where they are known.
    retry_after_s: Option<u64>,
    /// When an invitation becomes good, in seconds since 1970.
    not_before: Option<u64>,
}

/// A problem's JSON (RFC 9457 §3.1).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Which problem, as a relative URI such as `/problems/room-full`.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem of this type.
    title: &'static str,
    /// The HTTP status.
    #[schema(value_type = u16)]
    status: u16,
    /// What is wrong with this request.
    #[schema(value_type = String)]
    detail: Cow<'static, str>,
    /// When an invitation becomes good, in seconds since 1970; only with `/problems/tan-early`.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<u64>,
}

impl Problem {
    /// A problem of the type `/problems/{slug}`; `detail` must not repeat input.
    pub fn new(status: StatusCode, slug: &'static str, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, slug, title, detail: detail.into(), retry_after_s: None, not_before: None }
    }

    /// A value that breaks a rule.
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-value", "A value is invalid", detail)
    }

    /// A WebSocket's address that was called without a handshake (RFC 6455 §4.2.1).
    pub fn no_upgrade() -> Self {
        let detail = "this path speaks WebSocket, version 13";
        Self::new(StatusCode::UPGRADE_REQUIRED, "upgrade-required", "A WebSocket handshake is needed", detail)
    }

    /// A body of the wrong media type.
    pub fn media_type(wanted: &'static str) -> Self {
        let detail = format!("the body must have the content type {wanted}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The media type is not supported", detail)
    }

    /// A body that is too long.
    pub fn too_large(bytes: usize) -> Self {
        let detail = format!("the body must have at most {bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", TOO_LARGE, detail)
    }

    /// A body that is compressed.
    pub fn coded() -> Self {
        let detail = "the body must come without Content-Encoding";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", "The encoding is not supported", detail)
    }

    /// A body that broke off.
    pub fn broken_body() -> Self {
        let detail = "the body broke off, or its chunks are malformed";
        Self::new(StatusCode::BAD_REQUEST, "broken-body", "The body did not arrive whole", detail)
    }

    /// A body that does not come to its end.
    pub fn slow(limit: Duration) -> Self {
        let detail = format!("the body must be here within {} seconds", limit.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The body took too long", detail)
    }

    /// A path that leads nowhere.
    pub fn no_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here", "this path does not exist")
    }

    /// A method that the path does not have; `Allow` names those it has.
    pub fn method() -> Self {
        let detail = "this path does not have this method; Allow names those it has";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed", detail)
    }

    /// A change without its precondition (RFC 6585 §3).
    pub fn unconditional() -> Self {
        let detail = "If-Match must name the ETag of the ICE session that is meant, or be * to restart ICE";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "precondition-required", "If-Match is needed", detail)
    }

    /// Something that a later version will do.
    pub fn not_available(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "not-available", "This is not available in this version", detail)
    }

    /// A fault of this server.
    pub fn internal() -> Self {
        let detail = "the server made a mistake; the request may have taken effect";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server made a mistake", detail)
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        use Refusal as R;
        use StatusCode as S;
        let (status, slug, title) = match &refusal {
            R::NotAllowed(_) => (S::FORBIDDEN, "not-allowed", "The token does not allow this"),
            R::RoomNotFound => (S::NOT_FOUND, "room-not-found", "There is no such room"),
            R::ParticipantNotFound => (S::NOT_FOUND, "participant-not-found", "There is no such participant"),
            R::TrackNotFound => (S::NOT_FOUND, "track-not-found", "There is no such track"),
            R::ResourceNotFound => (S::NOT_FOUND, "resource-not-found", "There is no such resource"),
            R::NotCurrent => (S::PRECONDITION_FAILED, "precondition-failed", "The ICE session is another one"),
            R::TooManyCandidates => (S::PAYLOAD_TOO_LARGE, "too-large", TOO_LARGE),
            R::RoomFull => (S::CONFLICT, "room-full", "The room is full"),
            R::Waiting => (S::FORBIDDEN, "waiting", "A moderator must admit you first"),
            R::Locked => (S::LOCKED, "locked", "The room is locked"),
            R::TooEarly => (S::CONFLICT, "too-early", "The room is not open yet"),
            R::TurnedAway => (S::FORBIDDEN, "turned-away", "A moderator does not let you in"),
            R::RoomExists => (S::CONFLICT, "room-exists", "The room exists already"),
            // A limit of the server, not of the caller: 429 would blame the wrong side.
            R::LimitReached(_) => (S::SERVICE_UNAVAILABLE, "limit-reached", "A limit of the server is reached"),
            R::WrongMode(_) => (S::CONFLICT, "wrong-mode", "The room is of the other mode"),
            R::Invalid(_) => (S::UNPROCESSABLE_ENTITY, "invalid-value", "A value is invalid"),
            // The room's rule forbids it; no other body of the same client would be taken.
            R::EncryptionRequired => (S::FORBIDDEN, "encryption-required", "The room requires end-to-end encryption"),
            R::BadSdp(_) => (S::UNPROCESSABLE_ENTITY, "bad-sdp", "The SDP cannot be taken"),
            R::NoSession => (S::GONE, "no-session", "There is no session to resume"),
            R::Invitation(refusal) => return refusal.into(),
            R::NotStored => (S::SERVICE_UNAVAILABLE, "not-stored", "The server could not store this"),
            R::ShuttingDown => (S::SERVICE_UNAVAILABLE, "shutting-down", "The server is shutting down"),
            R::Busy => (S::SERVICE_UNAVAILABLE, "busy", "The server is too busy"),
        };
        Self::new(status, slug, title, refusal.to_string())
    }
}

impl From<&InvitationRefusal> for Problem {
    fn from(refusal: &InvitationRefusal) -> Self {
        use InvitationRefusal as R;
        use StatusCode as S;
        let (status, slug, title) = match refusal {
            R::Taken => (S::CONFLICT, "tan-taken", "The TAN is taken"),
            R::NotFound => (S::NOT_FOUND, "invitation-not-found", "There is no such invitation"),
            R::TooMany(_) => (S::CONFLICT, "too-many-invitations", "There are too many invitations"),
            R::Unknown => (S::NOT_FOUND, "tan-unknown", "The TAN is not known"),
            R::Used => (S::GONE, "tan-used", "The invitation was used on another device"),
            R::Over => (S::GONE, "tan-expired", "The invitation is over"),
            R::Early(_) => (S::CONFLICT, "tan-early", "The invitation is not good yet"),
            R::TooManyTries(_) => (S::TOO_MANY_REQUESTS, "too-many-tries", "Too many wrong invitations were tried"),
        };
        let mut problem = Self::new(status, slug, title, refusal.to_string());
        match refusal {
            R::Early(not_before) => problem.not_before = Some(*not_before),
            R::TooManyTries(seconds) => problem.retry_after_s = Some(*seconds),
            _ => {}
        }
        problem
    }
}

impl From<TanFault> for Problem {
    fn from(fault: TanFault) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "tan-typo", "The TAN has a typing error", fault.to_string())
    }
}

impl From<FragmentFault> for Problem {
    fn from(fault: FragmentFault) -> Self {
        let (status, slug, title) = match fault {
            FragmentFault::Malformed(_) => (StatusCode::BAD_REQUEST, "bad-fragment", "The SDP fragment cannot be taken"),
            FragmentFault::TooMuch(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", TOO_LARGE),
        };
        Self::new(status, slug, title, fault.to_string())
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed", error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = format!("/problems/{}", self.slug);
        let Self { status, title, detail, not_before, .. } = self;
        let body = ProblemBody { kind, title, status: status.as_u16(), detail, not_before };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            // RFC 6750 §3: a refused token is answered with the scheme to use.
            StatusCode::UNAUTHORIZED => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            // RFC 9110 §15.5.22 wants to hear to what.
            StatusCode::UPGRADE_REQUIRED => headers.insert(UPGRADE, HeaderValue::from_static("websocket")),
            StatusCode::SERVICE_UNAVAILABLE => headers.insert(RETRY_AFTER, RETRY_AFTER_S),
            StatusCode::TOO_MANY_REQUESTS => self.retry_after_s.and_then(|seconds| headers.insert(RETRY_AFTER, seconds.into())),
            _ => None,
        };
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::jwt::TokenError;
    use crate::node::request::RoomMode;

    #[test]
    fn every_refusal_has_its_status() {
        let table = [
            (Refusal::NotAllowed("roomJoin"), 403, "not-allowed"),
            (Refusal::RoomNotFound, 404, "room-not-found"),
            (Refusal::ParticipantNotFound, 404, "participant-not-found"),
            (Refusal::TrackNotFound, 404, "track-not-found"),
            (Refusal::ResourceNotFound, 404, "resource-not-found"),
            (Refusal::NotCurrent, 412, "precondition-failed"),
            (Refusal::TooManyCandidates, 413, "too-large"),
            (Refusal::RoomFull, 409, "room-full"),
            (Refusal::Waiting, 403, "waiting"),
            (Refusal::Locked, 423, "locked"),
            (Refusal::TooEarly, 409, "too-early"),
            (Refusal::TurnedAway, 403, "turned-away"),
            (Refusal::RoomExists, 409, "room-exists"),
            (Refusal::LimitReached("rooms"), 503, "limit-reached"),
            (Refusal::WrongMode(RoomMode::P2p), 409, "wrong-mode"),
            (Refusal::Invalid("x"), 422, "invalid-value"),
            (Refusal::EncryptionRequired, 403, "encryption-required"),
            (Refusal::BadSdp("x"), 422, "bad-sdp"),
            (Refusal::NoSession, 410, "no-session"),
            (Refusal::NotStored, 503, "not-stored"),
            (Refusal::ShuttingDown, 503, "shutting-down"),
            (Refusal::Busy, 503, "busy"),
        ];
        for (refusal, status, slug) in table {
            let problem = Problem::from(refusal);
            assert_eq!((problem.status().as_u16(), problem.slug), (status, slug));
            assert!(!problem.detail().is_empty());
        }
    }

    #[test]
    fn every_token_error_is_unauthorized_with_a_challenge() {
        use TokenError as T;
        for error in [T::TooLong, T::Malformed, T::Algorithm, T::UnknownKey, T::Signature, T::Expired, T::NotYet, T::Claims("x")] {
            let problem = Problem::from(AuthError::from(error));
            assert_eq!(problem.detail(), error.to_string());
            let response = problem.into_response();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        }
    }

    #[test]
    fn callers_learn_when_to_try_again() {
        assert!(Problem::from(Refusal::Busy).into_response().headers().contains_key(RETRY_AFTER));
        assert!(!Problem::from(Refusal::RoomFull).into_response().headers().contains_key(RETRY_AFTER));
    }
}
