//! LiveKit-compatible access tokens: JWTs (RFC 7519) signed with HS256.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

pub use super::key::{ApiKey, Keyring, Secret};
use super::role::{ATTRIBUTE, Role};
use crate::model::grants::Grants;
use crate::model::ids::{Identity, NAME_MAX, RoomName, TenantId};
use crate::model::media::TrackSource;

/// Longest token in bytes; it also bounds metadata and attributes.
pub const TOKEN_MAX: usize = 8 * 1024;
/// Most attributes in a token.
pub const ATTRIBUTES_MAX: usize = 64;
/// Clocks of issuer and server may differ by this many seconds.
pub const LEEWAY_S: u64 = 30;

/// Why a token is refused. No message repeats anything of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More than [`TOKEN_MAX`] bytes.
    #[error("the token must have at most {TOKEN_MAX} bytes")]
    TooLong,
    /// Not three base64url parts of JSON (RFC 7515 §7.1), or a header that asks for extensions.
    #[error("this is not a signed JWT")]
    Malformed,
    /// `alg` is not HS256.
    #[error("the token must be signed with HS256")]
    Algorithm,
    /// `iss` names no API key of this server.
    #[error("the token's issuer is not a known API key")]
    UnknownKey,
    /// The signature is not that of the issuer's secret.
    #[error("the token's signature is wrong")]
    Signature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come yet.
    #[error("the token is not valid yet")]
    NotYet,
    /// A claim breaks the rule named.
    #[error("the token's claims are wrong: {0}")]
    Claims(&'static str),
}

/// LiveKit's `video` claim as it stands in a token; unknown grants are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoGrant {
    /// The one room of the room grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// May join `room`; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_join: Option<bool>,
    /// May moderate; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_admin: Option<bool>,
    /// May create and delete rooms; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_create: Option<bool>,
    /// May list rooms; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_list: Option<bool>,
    /// May publish tracks; absent means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// May receive tracks; absent means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// May send data; absent means the same as `can_publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// The only sources that may be published; absent or empty means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_sources: Option<Vec<String>>,
    /// May change its own name, metadata and attributes; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// Not shown to the others; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
}

impl VideoGrant {
    /// Allows nothing, what is allowed unless said otherwise neither.
    #[must_use]
    pub fn nothing() -> Self {
        Self { can_publish: Some(false), can_subscribe: Some(false), can_publish_data: Some(false), ..Self::default() }
    }
}

/// What a token to be minted says.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The bearer; needed to join.
    pub identity: Option<Identity>,
    /// A display name, empty for none.
    pub name: String,
    /// The grants.
    pub video: VideoGrant,
    /// Opaque text for applications, empty for none.
    pub metadata: String,
    /// Opaque texts for applications, at most [`ATTRIBUTES_MAX`].
    pub attributes: BTreeMap<String, String>,
    /// Not valid before this second since 1970.
    pub not_before: Option<u64>,
    /// Not valid from this second since 1970 on.
    pub expires_at: u64,
}

impl Claims {
    /// A participant's token for one room.
    #[must_use]
    pub fn join(room: &RoomName, identity: Identity, name: String, role: Role, expires_at: u64) -> Self {
        Self {
            identity: Some(identity),
            name,
            video: role.grant(room),
            attributes: BTreeMap::from([(ATTRIBUTE.to_owned(), role.as_str().to_owned())]),
            expires_at,
            ..Self::default()
        }
    }

    /// A token for the room API: create, list and moderate every room of the tenant.
    #[must_use]
    pub fn admin(expires_at: u64) -> Self {
        let video = VideoGrant { room_admin: Some(true), room_create: Some(true), room_list: Some(true), ..VideoGrant::default() };
        Self { video, expires_at, ..Self::default() }
    }
}

/// The payload as it stands in the token.
#[derive(Default, Serialize, Deserialize)]
struct Payload {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<VideoGrant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<BTreeMap<String, String>>,
}

/// The header's fields that decide; `jsonwebtoken` would call `none` malformed instead of naming the fault.
#[derive(Deserialize)]
struct Alg {
    alg: String,
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Issuer {
    iss: Option<String>,
}

/// Signs a token.
#[must_use]
// Texts, numbers and maps with text keys always serialize, and HMAC takes keys of any length.
#[expect(clippy::expect_used, clippy::missing_panics_doc)]
pub fn mint(key: &ApiKey, claims: &Claims) -> String {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let payload = Payload {
        iss: Some(key.key.clone()),
        sub: claims.identity.as_ref().map(|identity| identity.as_str().to_owned()),
        exp: Some(claims.expires_at.into()),
        nbf: claims.not_before.map(Into::into),
        name: filled(&claims.name),
        video: Some(claims.video.clone()),
        metadata: filled(&claims.metadata),
        attributes: (!claims.attributes.is_empty()).then(|| claims.attributes.clone()),
    };
    let signing = EncodingKey::from_secret(key.secret.expose().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &payload, &signing).expect("HS256 signs any JSON")
}

impl Keyring {
    /// Checks a token's form, algorithm, issuer, signature, claims and times, in this order.
    ///
    /// `now_unix_seconds` is the wall clock in seconds since 1970. A token is good while
    /// `nbf - 30 <= now < exp + 30` (RFC 7519 §4.1.4, §4.1.5).
    ///
    /// # Errors
    /// The first rule that the token breaks.
    pub fn verify(&self, token: &str, now_unix_seconds: u64) -> Result<Grants, TokenError> {
        if token.len() > TOKEN_MAX {
            return Err(TokenError::TooLong);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(TokenError::Malformed);
        };
        let header: Alg = decoded(header)?;
        if header.alg != "HS256" {
            return Err(TokenError::Algorithm);
        }
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let issuer: Issuer = decoded(payload)?;
        let (tenant, secret) = issuer.iss.and_then(|iss| self.find(&iss)).ok_or(TokenError::UnknownKey)?;
        let payload = signed(token, secret)?;
        let expires_at = times(&payload, now_unix_seconds)?;
        grants(tenant.clone(), payload, expires_at)
    }
}

fn decoded<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

fn signed(token: &str, secret: &Secret) -> Result<Payload, TokenError> {
    let mut rules = Validation::new(Algorithm::HS256);
    // The library asks the system's clock; `times` asks the caller's.
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.validate_aud = false;
    rules.required_spec_claims.clear();
    let key = DecodingKey::from_secret(secret.expose().as_bytes());
    let data = jsonwebtoken::decode::<Payload>(token, &key, &rules).map_err(|fault| match fault.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
        jsonwebtoken::errors::ErrorKind::Json(_) => TokenError::Claims("a claim has the wrong type"),
        _ => TokenError::Malformed,
    })?;
    Ok(data.claims)
}

/// A `NumericDate` (RFC 7519 §2), which may have a fraction.
fn seconds(number: &serde_json::Number) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates, and negative ones are refused
    number.as_u64().or_else(|| number.as_f64().filter(|date| *date >= 0.0).map(|date| date as u64))
}

fn times(payload: &Payload, now: u64) -> Result<u64, TokenError> {
    let expires_at = payload.exp.as_ref().ok_or(TokenError::Claims("exp is missing"))?;
    let expires_at = seconds(expires_at).ok_or(TokenError::Claims("exp must be a number of seconds since 1970"))?;
    if now >= expires_at.saturating_add(LEEWAY_S) {
        return Err(TokenError::Expired);
    }
    if let Some(not_before) = &payload.nbf {
        let not_before = seconds(not_before).ok_or(TokenError::Claims("nbf must be a number of seconds since 1970"))?;
        if now.saturating_add(LEEWAY_S) < not_before {
            return Err(TokenError::NotYet);
        }
    }
    Ok(expires_at)
}

fn grants(tenant: TenantId, payload: Payload, expires_at: u64) -> Result<Grants, TokenError> {
    let video = payload.video.unwrap_or_default();
    let room = video.room.filter(|room| !room.is_empty()).map(|room| RoomName::new(&room)).transpose();
    let identity = payload.sub.filter(|sub| !sub.is_empty()).map(|sub| Identity::new(&sub)).transpose();
    let name = payload.name.unwrap_or_default();
    let attributes = payload.attributes.unwrap_or_default();
    if name.len() > NAME_MAX {
        return Err(TokenError::Claims("name must have at most 256 bytes"));
    }
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(TokenError::Claims("at most 64 attributes are possible"));
    }
    let can_publish = video.can_publish.unwrap_or(true);
    let grants = Grants {
        tenant,
        issuer: payload.iss.unwrap_or_default(),
        identity: identity.map_err(|_| TokenError::Claims("sub must have 1 to 256 bytes and no control characters"))?,
        name,
        room: room.map_err(|_| TokenError::Claims("video.room must have 1 to 256 bytes and no control characters"))?,
        room_join: video.room_join.unwrap_or(false),
        room_admin: video.room_admin.unwrap_or(false),
        room_create: video.room_create.unwrap_or(false),
        room_list: video.room_list.unwrap_or(false),
        can_publish,
        can_subscribe: video.can_subscribe.unwrap_or(true),
        can_publish_data: video.can_publish_data.unwrap_or(can_publish),
        can_publish_sources: sources(video.can_publish_sources.unwrap_or_default())?,
        can_update_own_metadata: video.can_update_own_metadata.unwrap_or(false),
        hidden: video.hidden.unwrap_or(false),
        metadata: payload.metadata.unwrap_or_default(),
        attributes,
        expires_at,
    };
    if grants.room_join && grants.identity.is_none() {
        return Err(TokenError::Claims("sub is needed to join a room"));
    }
    Ok(grants)
}

fn sources(names: Vec<String>) -> Result<Vec<TrackSource>, TokenError> {
    let mut sources = Vec::new();
    for name in names {
        let source = match name.as_str() {
            "camera" => TrackSource::Camera,
            "microphone" => TrackSource::Microphone,
            "screen_share" => TrackSource::ScreenShare,
            "screen_share_audio" => TrackSource::ScreenShareAudio,
            // Skipping it could leave an empty list, which would allow every source.
            _ => return Err(TokenError::Claims("video.canPublishSources has an unknown source")),
        };
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    Ok(sources)
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
