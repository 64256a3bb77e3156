//! Whether the node lives, whether it is ready, how its checks and its alerts stand.

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, get, resource, to};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::face::Face;
use super::processes::no_such_method;

/// What a critical check is called that has the name of something the node itself must have, with that name behind it.
const CONFIGURED: &str = "health.check ";

/// `/livez`, `/readyz`, `/health` and `/alerts`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/livez").route(get().to(livez)).default_service(to(no_such_method)))
        .service(resource("/readyz").route(get().to(readyz)).default_service(to(no_such_method)))
        .service(resource("/health").route(get().to(health)).default_service(to(no_such_method)))
        .service(resource("/alerts").route(get().to(alerts)).default_service(to(no_such_method)));
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

async fn readyz(face: Data<Face>) -> HttpResponse {
    let mut checks = face.readiness.checks(&face.hub.environment().store);
    checks.extend(face.watching.as_ref().map(|watching| watching.check()));
    let configured = face.health.critical().into_iter().map(|(name, error)| {
        // What the node itself must have keeps its name.
        let is_taken = checks.iter().any(|check| check.name == name);
        (if is_taken { format!("{CONFIGURED}{name}") } else { name }, error, None)
    });
    let mut all: Vec<_> = configured.collect();
    all.extend(checks.into_iter().map(|check| (check.name.to_owned(), check.error, check.detail)));
    let is_ready = all.iter().all(|(_, error, _)| error.is_none());
    let shown: Map<String, Value> = all
        .into_iter()
        .map(|(name, error, detail)| (name, json!(error.or(detail).as_deref().unwrap_or("ok"))))
        .collect();
    let status = if is_ready { "ok" } else { "unavailable" };
    let body = json!({ "status": status, "checks": shown });
    if is_ready { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

async fn health(face: Data<Face>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "checks": face.health.checks() }))
}

async fn alerts(face: Data<Face>) -> Result<HttpResponse, ApiError> {
    let alerts = face.bounded(face.alerts.alerts()).await?;
    Ok(HttpResponse::Ok().json(json!({ "alerts": alerts })))
}
