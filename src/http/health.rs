//! Whether the node lives and whether it is ready.

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, get, resource, to};
use serde_json::{Map, Value, json};

use super::face::Face;
use super::processes::no_such_method;

/// `/livez` and `/readyz`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/livez").route(get().to(livez)).default_service(to(no_such_method)))
        .service(resource("/readyz").route(get().to(readyz)).default_service(to(no_such_method)));
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

async fn readyz(face: Data<Face>) -> HttpResponse {
    let mut checks = face.readiness.checks(&face.hub.environment().store);
    checks.extend(face.watching.as_ref().map(|watching| watching.check()));
    let is_ready = checks.iter().all(|check| check.error.is_none());
    let shown: Map<String, Value> = checks
        .into_iter()
        .map(|check| (check.name.to_owned(), json!(check.error.or(check.detail).as_deref().unwrap_or("ok"))))
        .collect();
    let status = if is_ready { "ok" } else { "unavailable" };
    let body = json!({ "status": status, "checks": shown });
    if is_ready { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}
