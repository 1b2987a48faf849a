//! Tokens of requests, checked before anything else is read.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::state::AppState;
use crate::access::jwt::TokenError;
use crate::model::grants::Grants;

/// Why a request has no grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Neither header nor query has a token.
    #[error("a token is needed: Authorization: Bearer <JWT>")]
    Missing,
    /// The header is not `Bearer <token>` (RFC 6750 §2.1).
    #[error("the Authorization header must be Bearer <JWT>")]
    Scheme,
    /// The token is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// The token of the `Authorization` header, which wins over the query's.
///
/// # Errors
/// If there is none, or it is of another scheme.
pub fn token<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Result<&'a str, AuthError> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return query.filter(|token| !token.is_empty()).ok_or(AuthError::Missing);
    };
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(AuthError::Scheme)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(AuthError::Scheme) }
}

/// The verified grants of a request.
///
/// # Errors
/// If the token is missing or refused.
pub fn grants(state: &AppState, headers: &HeaderMap, query: Option<&str>) -> Result<Grants, AuthError> {
    Ok(state.keyring().verify(token(headers, query)?, state.wall().as_secs())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        [(AUTHORIZATION, axum::http::HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn header_wins_over_query() {
        assert_eq!(token(&headers("Bearer a"), Some("b")), Ok("a"));
        assert_eq!(token(&headers("bearer a"), None), Ok("a"));
        assert_eq!(token(&HeaderMap::new(), Some("b")), Ok("b"));
    }

    #[test]
    fn absent_or_foreign_schemes_are_refused() {
        assert_eq!(token(&HeaderMap::new(), None), Err(AuthError::Missing));
        assert_eq!(token(&HeaderMap::new(), Some("")), Err(AuthError::Missing));
        assert_eq!(token(&headers("Basic abc"), Some("b")), Err(AuthError::Scheme));
        assert_eq!(token(&headers("Bearer"), Some("b")), Err(AuthError::Scheme));
    }
}
