//! The calls about groups, bases among them.

use actix_web::web::{Data, Path, Payload, ServiceConfig, delete, get, post, resource, to};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::chain::Came;
use super::error::ApiError;
use super::face::Face;
use super::guard::Caller;
use super::processes::no_such_method;
use super::query::Query;
use super::wire::{BaseIn, GroupIn, MessageIn, ResolvedOut, read_json};
use crate::actors::{StartGroupMonitor, StopGroupMonitor};
use crate::ids::{GroupName, ProcessId};
use crate::process::RequestError;

type Answer = Result<HttpResponse, ApiError>;

/// The calls about groups.
pub fn routes(config: &mut ServiceConfig) {
    let at = |path: &str| resource(path.to_owned()).default_service(to(no_such_method));
    config
        .service(at("/processes/{id}/base").route(post().to(base)))
        .service(at("/groups").route(get().to(list)))
        .service(at("/groups/{group}").route(delete().to(drop_group)))
        .service(at("/groups/{group}/resolve").route(post().to(resolve)))
        .service(at("/group-monitor").route(post().to(start_monitor)).route(delete().to(stop_monitor)));
}

async fn base(face: Data<Face>, came: Came, id: Path<String>, body: Payload) -> Answer {
    let process = ProcessId::parse(&id)?;
    let body = face.body(body).await?;
    let wanted = if body.is_empty() { BaseIn::default() } else { read_json(&body, "a base")? };
    let timeout = wanted.timeout()?;
    let hub = face.hub.behind(came.0);
    let group = face.bounded(hub.hold_base(&process, wanted.slot, wanted.is_static, timeout)).await?;
    Ok(HttpResponse::Created().json(json!({ "group": group })))
}

async fn resolve(face: Data<Face>, caller: Caller, came: Came, group: Path<String>, body: Payload) -> Answer {
    let group = GroupName::parse(&group)?;
    let body = face.body(body).await?;
    let now = face.hub.environment().clock.now_ms();
    let draft = MessageIn::read(&body)?.into_draft(&group.process(), &caller.0, now)?;
    let hub = face.hub.behind(came.0);
    let (group, outcome) = face.bounded(hub.resolve_on(&group, draft)).await?;
    Ok(HttpResponse::Ok().json(ResolvedOut { group: &group, outcome: &outcome }))
}

async fn drop_group(face: Data<Face>, group: Path<String>) -> Answer {
    let group = GroupName::parse(&group)?;
    face.bounded(face.hub.drop_group(&group)).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn list(face: Data<Face>) -> Answer {
    let groups = face.bounded(async { Ok(face.hub.groups().await) }).await?;
    Ok(HttpResponse::Ok().json(json!({ "groups": groups })))
}

/// The group that the query or the body names; none where neither does.
async fn watched(face: &Face, request: &HttpRequest, body: Payload) -> Result<Option<GroupName>, ApiError> {
    // A body is not everywhere sent along with a DELETE.
    let asked = Query::read(request.query_string())?.group()?;
    let body = face.body(body).await?;
    let wanted = if body.is_empty() { GroupIn::default() } else { read_json(&body, "a group monitor")? };
    let wanted = wanted.group.as_deref().map(GroupName::parse).transpose()?;
    match (asked, wanted) {
        (Some(asked), Some(wanted)) if asked != wanted => {
            Err(ApiError::bad_request(format!("group: the query names {asked}, but the body {wanted}; name it once")))
        }
        (asked, wanted) => Ok(asked.or(wanted)),
    }
}

async fn start_monitor(face: Data<Face>, request: HttpRequest, body: Payload) -> Answer {
    let group = watched(&face, &request, body).await?;
    let started = async { face.group_monitor.send(StartGroupMonitor { group }).await.unwrap_or_else(|_| Err(gone())) };
    let groups = face.bounded(started).await?;
    Ok(HttpResponse::Ok().json(json!({ "groups": groups })))
}

async fn stop_monitor(face: Data<Face>, request: HttpRequest, body: Payload) -> Answer {
    let group = watched(&face, &request, body).await?;
    let shown = group.as_ref().map_or("all", GroupName::as_str).to_owned();
    let stopped = async { face.group_monitor.send(StopGroupMonitor { group }).await.map_err(|_| gone()) };
    if face.bounded(stopped).await? {
        return Ok(HttpResponse::NoContent().finish());
    }
    Err(RequestError::NotFound(format!("no group monitor is on for {shown}")).into())
}

fn gone() -> RequestError {
    RequestError::Internal("the group monitor is gone; the node is stopping".to_owned())
}
