//! The call `/modules`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Payload, ServiceConfig, post, resource, to};
use serde_json::json;

use super::error::ApiError;
use super::face::Face;
use super::processes::no_such_method;
use crate::actors::store_module;

/// The call `/modules`.
pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/modules").default_service(to(no_such_method)).route(post().to(put)));
}

/// Keeps the module that is the body. The same module again has the same id.
async fn put(face: Data<Face>, body: Payload) -> Result<HttpResponse, ApiError> {
    let body = face.body(body).await?;
    let id = face.bounded(store_module(face.hub.environment(), body.as_ref().into())).await?;
    Ok(HttpResponse::Created().json(json!({ "id": id })))
}
