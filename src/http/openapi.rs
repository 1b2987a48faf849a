//! The description of our API, made from the handlers themselves.

use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{certificate, desk, invitations, join, p2p, rooms, whip};

#[derive(OpenApi)]
#[openapi(
    info(title = "Konsil", description = "Rooms, participants, invitations and media over HTTP. Errors are RFC 9457 problems."),
    modifiers(&Bearer)
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// `GET /openapi.json`.
pub async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(describe())
}

fn describe() -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    description.merge(rooms::Operations::openapi());
    description.merge(invitations::Operations::openapi());
    description.merge(join::Operations::openapi());
    description.merge(desk::Operations::openapi());
    description.merge(p2p::Operations::openapi());
    description.merge(certificate::Operations::openapi());
    description.merge(whip::Operations::openapi());
    description
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_needs_a_token_with_problems_for_errors() {
        let json = serde_json::to_value(describe()).unwrap();
        let paths = json["paths"].as_object().unwrap();
        let mut operations = 0;
        for (path, methods) in paths {
            assert!(["/v1/", "/whip/", "/whep/"].iter().any(|root| path.starts_with(root)), "{path}");
            for operation in methods.as_object().unwrap().values() {
                operations += 1;
                // A guest who joins has nothing but the invitation in the body; every TLS handshake shows the certificate.
                let open = path == "/v1/join" || path == "/v1/certificate";
                assert_eq!(operation["security"][0]["bearer"].is_array(), !open, "{path}");
                for class in ["4XX", "5XX"] {
                    assert!(operation["responses"][class]["content"]["application/problem+json"].is_object(), "{path}");
                }
            }
        }
        assert_eq!(operations, 25);
        assert_eq!(json["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    }
}
