//! The calls about monitors and dead letters.

use actix_web::web::{Data, Path, Payload, ServiceConfig, delete, get, post, resource, to};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::error::ApiError;
use super::face::Face;
use super::monitor_wire::{DeadLetterOut, MonitorIn, MonitorOut};
use super::processes::no_such_method;
use super::query::Query;
use super::wire::{PageOut, read_json};
use crate::ids::{MessageId, ProcessId};
use crate::process::RequestError;

type Answer = Result<HttpResponse, ApiError>;

/// The calls about monitors and dead letters.
pub fn routes(config: &mut ServiceConfig) {
    let at = |path: &str| resource(path.to_owned()).default_service(to(no_such_method));
    config
        .service(at("/monitors").route(get().to(list)).route(post().to(start)))
        .service(at("/monitors/{process}").route(delete().to(stop)))
        .service(at("/dead-letters").route(get().to(letters)))
        .service(at("/dead-letters/{id}").route(delete().to(drop_letter)))
        .service(at("/dead-letters/{id}/retry").route(post().to(retry)));
}

async fn list(face: Data<Face>) -> Answer {
    let sights = face.bounded(async { Ok(face.hub.monitors().await) }).await?;
    let monitors: Vec<_> = sights.iter().map(|sight| MonitorOut::new(&sight.look())).collect();
    Ok(HttpResponse::Ok().json(json!({ "monitors": monitors })))
}

async fn start(face: Data<Face>, body: Payload) -> Answer {
    let body = face.body(body).await?;
    let wanted: MonitorIn = read_json(&body, "a monitor")?;
    let (process, wanted) = wanted.read()?;
    let created = face.bounded(face.hub.start_monitor(wanted)).await?;
    let sight = face.bounded(async { Ok(face.hub.monitor(&process).await) }).await?;
    let shown =
        sight.map(|sight| json!(MonitorOut::new(&sight.look()))).unwrap_or_else(|| json!({ "process": process }));
    Ok(if created { HttpResponse::Created().json(shown) } else { HttpResponse::Ok().json(shown) })
}

async fn stop(face: Data<Face>, process: Path<String>) -> Answer {
    let process = ProcessId::parse(&process)?;
    if face.bounded(face.hub.stop_monitor(&process)).await? {
        return Ok(HttpResponse::NoContent().finish());
    }
    Err(RequestError::NotFound(format!("process {process} has no monitor")).into())
}

async fn letters(face: Data<Face>, request: HttpRequest) -> Answer {
    let query = Query::read(request.query_string())?;
    let (after, limit) = (query.after_message()?, query.limit()?);
    let page = face.bounded(face.hub.dead_letters(after, limit)).await?;
    let rows = page.items.into_iter().map(|letter| (letter.id.to_string(), DeadLetterOut::from(letter)));
    Ok(HttpResponse::Ok().json(PageOut::new(rows, page.more)))
}

async fn retry(face: Data<Face>, id: Path<String>) -> Answer {
    let id = MessageId::parse(&id)?;
    face.bounded(face.delivery.retry(&id)).await?;
    Ok(HttpResponse::Ok().json(json!({ "id": id })))
}

async fn drop_letter(face: Data<Face>, id: Path<String>) -> Answer {
    let id = MessageId::parse(&id)?;
    face.bounded(face.delivery.drop_letter(&id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
