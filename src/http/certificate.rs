//! `GET /v1/certificate`: which certificate this server presents, so that a client can see whether it gets that one.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ProblemBody;
use super::state::AppState;
use crate::io::tls::hex;

/// The certificate that the server presents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Presented {
    /// SHA-256 over its DER form, in hexadecimal digits.
    pub sha256: String,
}

/// The route.
pub fn routes() -> Router<AppState> {
    Router::new().route("/v1/certificate", get(presented))
}

/// Tells the fingerprint of the server's certificate. One that differs from what the client sees means that somebody in
/// between opens TLS.
#[utoipa::path(
    get, path = "/v1/certificate", tag = "server",
    responses(
        (status = 200, description = "What the server presents", body = Presented),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn presented(State(state): State<AppState>) -> Json<Presented> {
    Json(Presented { sha256: hex(&state.certificate().fingerprint()) })
}

/// The described operations of this file.
#[derive(utoipa::OpenApi)]
#[openapi(paths(presented))]
pub struct Operations;

#[cfg(test)]
mod tests {
    use crate::http::testing::{send, state};

    #[tokio::test]
    async fn anybody_may_ask_which_certificate_is_ours() {
        let (state, _calls) = state();
        let expected = crate::io::tls::hex(&state.certificate().fingerprint());
        let answer = send(&crate::http::router(state), "GET /v1/certificate", &[], "").await;
        assert_eq!(answer.json(), serde_json::json!({ "sha256": expected }));
    }
}
