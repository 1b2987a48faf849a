//! Floor 4: wire formats in front of the control core.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{map_request, map_response};
use axum::response::Response;
use axum::routing::get;

pub mod auth;
pub mod certificate;
pub mod cors;
pub mod desk;
pub mod error;
pub mod extract;
pub mod ice;
pub mod invitations;
pub mod invite;
pub mod join;
mod linger;
pub mod livekit;
pub mod metrics;
mod openapi;
pub mod operator;
pub mod p2p;
pub mod paths;
pub mod rooms;
pub mod socket;
pub mod state;
pub mod tenant;
#[cfg(test)]
mod testing;
pub mod twirp;
pub mod web;
pub mod whip;
pub mod wire;

pub use metrics::metrics_router;
pub use state::{AppState, Parts, WallClock};

use error::Problem;

/// What every answer says to a browser.
const ALWAYS: [(HeaderName, HeaderValue); 2] =
    [(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")), (REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];

/// Every route of the HTTPS listener.
pub fn router(state: AppState) -> Router {
    let ours = Router::new()
        .merge(rooms::routes())
        .merge(invitations::routes())
        .merge(join::routes())
        .merge(tenant::routes())
        .merge(desk::routes())
        .merge(p2p::routes())
        .merge(certificate::routes())
        .merge(whip::routes())
        .merge(web::routes())
        .route("/openapi.json", get(openapi::serve))
        .method_not_allowed_fallback(async || Problem::method());
    Router::new()
        .merge(livekit::routes())
        .merge(twirp::routes())
        .merge(ours)
        .fallback(async || Problem::no_path())
        .layer(map_response(harden))
        .layer(map_request(async |request: Request| linger::linger(request)))
        .with_state(state)
}

async fn harden(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    headers.extend(ALWAYS);
    response
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "roles_tests.rs"]
mod roles_tests;

#[cfg(test)]
#[path = "body_tests.rs"]
mod body_tests;
