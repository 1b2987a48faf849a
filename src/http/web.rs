//! The built-in page, embedded in the binary.

use std::borrow::Cow;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use super::error::Problem;
use super::state::AppState;

/// What `make` built from `web/`; `build.rs` sees to it that the folder is there.
#[derive(RustEmbed)]
#[folder = "web/dist"]
struct Dist;

/// The page loads nothing from elsewhere, runs no inline script and cannot be framed.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
);
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "camera=(self), microphone=(self), display-capture=(self), fullscreen=(self), screen-wake-lock=(self), geolocation=(), payment=(), usb=()",
);
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// Names under `assets/` carry a hash of their content.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NEVER: HeaderValue = HeaderValue::from_static("no-store");
const ROBOTS: &str = "User-agent: *\nDisallow: /\n";

/// The page's routes.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/", get(index))
        .route("/r/{room}", get(index))
        .route("/r/{room}/", get(index))
        .route("/t/{tenant}", get(index))
        .route("/t/{tenant}/", get(index))
        .route("/assets/{*path}", get(asset))
        .route("/robots.txt", get(|| async { ROBOTS }))
}

/// A file of the page.
struct File {
    content: Cow<'static, [u8]>,
    media_type: String,
    hash: [u8; 32],
}

fn find(path: &str) -> Option<File> {
    let file = Dist::get(path)?;
    Some(File { media_type: file.metadata.mimetype().to_owned(), hash: file.metadata.sha256_hash(), content: file.data })
}

async fn index() -> Response {
    page(find("index.html"))
}

fn page(file: Option<File>) -> Response {
    let Some(file) = file else {
        let text = "This build of Konsil has no page. Build it with `make`, which builds web/ first.\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, NEVER),
        (CONTENT_SECURITY_POLICY, POLICY),
        (PERMISSIONS_POLICY, PERMISSIONS),
        (OPENER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (headers, file.content).into_response()
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match find(&format!("assets/{path}")) {
        Some(file) => immutable(file, &headers),
        None => Problem::no_path().into_response(),
    }
}

fn immutable(file: File, headers: &HeaderMap) -> Response {
    let hash = u64::from_be_bytes(std::array::from_fn(|at| file.hash[at]));
    let etag = format!("\"{hash:016x}\"");
    let known = headers.get(IF_NONE_MATCH).is_some_and(|tags| tags == etag.as_str());
    // A worker script runs under the policy of its own response.
    let said = [(CACHE_CONTROL, FOR_EVER), (CONTENT_SECURITY_POLICY, POLICY)];
    if known {
        return (StatusCode::NOT_MODIFIED, said, [(ETAG, etag)]).into_response();
    }
    (said, [(ETAG, etag), (CONTENT_TYPE, file.media_type)], file.content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        File { content: Cow::Borrowed(b"x"), media_type: "text/javascript".to_owned(), hash: [0xab; 32] }
    }

    #[test]
    fn page_is_confined_never_stored() {
        let response = page(Some(file()));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"));
        assert!(response.headers()[PERMISSIONS_POLICY].to_str().unwrap().contains("camera=(self)"));
    }

    #[test]
    fn builds_without_page_say_so() {
        assert_eq!(page(None).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn assets_are_kept_for_ever_with_a_tag() {
        let response = immutable(file(), &HeaderMap::new());
        assert_eq!(response.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/javascript");
        let tag = response.headers()[ETAG].clone();
        let again = immutable(file(), &[(IF_NONE_MATCH, tag)].into_iter().collect());
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }
}
