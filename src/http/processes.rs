//! The calls under `/processes`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path, Payload, ServiceConfig, delete, get, post, resource, to};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::json;

use super::chain::{Came, Pushed};
use super::error::ApiError;
use super::face::Face;
use super::guard::Caller;
use super::hang_up::hung_up;
use super::query::Query;
use super::wire::{ComputedOut, DeviceIn, MessageIn, Object, PageOut, ProcessIn, ProcessOut, ScheduledOut, read_json};
use crate::actors::code;
use crate::device::Difference;
use crate::ids::ProcessId;
use crate::process::worker::Define;
use crate::process::{Computed, DeviceKind, Draft, Page, ProcessOrigin, RequestError, Specification, StateView};

type Answer = Result<HttpResponse, ApiError>;

/// The calls under `/processes`.
pub fn routes(config: &mut ServiceConfig) {
    let at = |path: &str| resource(format!("/processes{path}")).default_service(to(no_such_method));
    config
        .service(at("").route(get().to(list)).route(post().to(create)))
        .service(at("/{id}").route(get().to(show)))
        .service(at("/{id}/schedule").route(get().to(log)).route(post().to(schedule)))
        .service(at("/{id}/compute").route(get().to(compute)))
        .service(at("/{id}/now").route(get().to(now)))
        .service(at("/{id}/results").route(get().to(results)))
        .service(at("/{id}/cron").route(get().to(cron)))
        .service(at("/{id}/state").route(get().to(state)))
        .service(at("/{id}/dry-run").route(post().to(dry_run)))
        .service(at("/{id}/snapshot").route(post().to(snapshot)))
        .service(at("/{id}/worker").route(delete().to(stop_worker)))
        .service(at("/{id}/resume").route(post().to(resume)))
        .service(at("/{id}/verify").route(get().to(verify)));
}

/// What a path says to a method that it does not know.
pub async fn no_such_method(request: HttpRequest) -> Answer {
    Err(ApiError::no_such_method(request.method().as_str(), request.path()))
}

fn query(request: &HttpRequest) -> Result<Query, ApiError> {
    Query::read(request.query_string())
}

fn process(id: &Path<String>) -> Result<ProcessId, ApiError> {
    Ok(ProcessId::parse(id)?)
}

async fn create(face: Data<Face>, caller: Caller, body: Payload) -> Answer {
    let wanted = wanted(&face.body(body).await?)?;
    let id = match &wanted.id {
        Some(id) => ProcessId::parse(id)?,
        None => ProcessId::random(face.hub.environment().clock.now_ms()),
    };
    let define = define(&face, wanted, &caller).await?;
    let created = face.bounded(face.hub.define(&id, define)).await?;
    let body = json!({ "id": id, "slot": 0 });
    Ok(if created { HttpResponse::Created().json(body) } else { HttpResponse::Ok().json(body) })
}

/// The process of a body. A device that only the configuration may name is refused as such, whatever else is asked of it.
fn wanted(body: &[u8]) -> Result<ProcessIn, ApiError> {
    let wanted = read_json::<ProcessIn>(body, "a process");
    let device = match &wanted {
        Ok(wanted) => Some(wanted.device.clone()),
        // It may have what only such a device has.
        Err(_) => serde_json::from_slice::<DeviceIn>(body).ok().map(|named| named.device),
    };
    match device.filter(|device| DeviceKind::OPERATOR_ONLY.contains(&device.as_str())) {
        Some(device) => Err(RequestError::DeviceNotAllowed(device).into()),
        None => wanted,
    }
}

/// What the client wants the process to be.
async fn define(face: &Face, mut wanted: ProcessIn, caller: &Caller) -> Result<Define, ApiError> {
    let Some(device) = DeviceKind::parse(&wanted.device) else {
        let known = DeviceKind::NAMES.join(", ");
        return Err(ApiError::bad_request(format!("device: found {:?}, expected one of {known}", wanted.device)));
    };
    let cron = wanted.cron_entries()?;
    let source = code(face.hub.environment(), device, wanted.source, wanted.module.as_deref()).await?;
    let specification = Specification {
        tags: wanted.tags.unwrap_or_default().0,
        limits: wanted.limits.map(|Object(limits)| limits).unwrap_or_default().read()?,
        cron,
        ..Specification::new(device, &source)
    };
    let definition = face.hub.environment().resolve(&specification);
    Ok(Define { origin: ProcessOrigin::Api, definition, source, from: caller.0.clone() })
}

async fn list(face: Data<Face>, request: HttpRequest) -> Answer {
    let query = query(&request)?;
    let (after, limit) = (query.after_process()?, query.limit()?);
    let page = face.bounded(face.hub.processes_page(after, limit)).await?;
    let rows = page.items.into_iter().map(|(id, status)| (id.to_string(), ProcessOut::new(id, status)));
    Ok(HttpResponse::Ok().json(PageOut::new(rows, page.more)))
}

async fn show(face: Data<Face>, id: Path<String>) -> Answer {
    let process = process(&id)?;
    let status = face.bounded(face.hub.status(&process)).await?;
    Ok(HttpResponse::Ok().json(ProcessOut::new(process, status)))
}

async fn schedule(
    face: Data<Face>,
    caller: Caller,
    came: Came,
    pushed: Pushed,
    id: Path<String>,
    request: HttpRequest,
    body: Payload,
) -> Answer {
    let process = process(&id)?;
    let wait = query(&request)?.wait()?.unwrap_or(Duration::ZERO);
    let body = face.body(body).await?;
    let now = face.hub.environment().clock.now_ms();
    let push = pushed.0.map(|chain| face.delivery.taken_over(chain)).transpose()?;
    let draft = Draft { push, ..MessageIn::read(&body)?.into_draft(&process, &caller.0, now)? };
    let message = draft.id.clone();
    if wait.is_zero() {
        let slot = face.bounded(face.hub.schedule(&process, draft)).await?;
        let body = ScheduledOut { id: &message, process: &process, slot, outcome: None };
        return Ok(HttpResponse::Accepted().json(body));
    }
    // A wait is no longer than a request may take.
    let wait = wait.min(face.request_timeout.mul_f32(0.9));
    let awaiting = face.bounded(face.hub.behind(came.0).schedule_and_wait(&process, draft, wait)).await?;
    let outcome = awaiting.outcome.as_ref().map(|computed| &computed.outcome);
    let body = ScheduledOut { id: &message, process: &process, slot: awaiting.slot, outcome };
    Ok(match outcome {
        Some(_) => HttpResponse::Ok().json(body),
        None => HttpResponse::Accepted().json(body),
    })
}

async fn log(face: Data<Face>, id: Path<String>, request: HttpRequest) -> Answer {
    let process = process(&id)?;
    let Some(query) = query(&request)?.page()? else { return empty_page(&face, &process).await };
    let page = face.bounded(face.hub.schedule_page(&process, query)).await?;
    let rows = page.items.iter().map(|entry| (entry.slot.to_string(), entry.shown()));
    Ok(HttpResponse::Ok().json(PageOut::new(rows, page.more)))
}

async fn results(face: Data<Face>, id: Path<String>, request: HttpRequest) -> Answer {
    let process = process(&id)?;
    let Some(query) = query(&request)?.page()? else { return empty_page(&face, &process).await };
    let page = face.bounded(face.hub.results_page(&process, query)).await?;
    Ok(outcomes(&page))
}

async fn cron(face: Data<Face>, id: Path<String>, request: HttpRequest) -> Answer {
    let process = process(&id)?;
    let Some(query) = query(&request)?.page()? else { return empty_page(&face, &process).await };
    let page = face.bounded(face.hub.cron_page(&process, query)).await?;
    Ok(outcomes(&page))
}

fn outcomes(page: &Page<Computed>) -> HttpResponse {
    let rows = page.items.iter().map(|computed| (computed.slot.to_string(), computed.shown()));
    HttpResponse::Ok().json(PageOut::new(rows, page.more))
}

async fn empty_page(face: &Face, process: &ProcessId) -> Answer {
    face.bounded(face.hub.must_exist(process)).await?;
    Ok(HttpResponse::Ok().json(PageOut::<()>::new([], false)))
}

fn computed(process: &ProcessId, computed: &Computed) -> HttpResponse {
    HttpResponse::Ok().json(ComputedOut { process, slot: computed.slot, outcome: &computed.outcome })
}

async fn compute(face: Data<Face>, came: Came, id: Path<String>, request: HttpRequest) -> Answer {
    let process = process(&id)?;
    let slot = query(&request)?.slot()?;
    let outcome = async {
        if let Some(slot) = slot
            && let Some(stored) = face.hub.stored_outcome(&process, slot).await?
        {
            return Ok(Arc::new(stored));
        }
        face.hub.behind(came.0).compute(&process, slot).await
    };
    Ok(computed(&process, &*face.bounded(outcome).await?))
}

async fn now(face: Data<Face>, came: Came, id: Path<String>) -> Answer {
    let process = process(&id)?;
    let outcome = async {
        if face.now_from_cache
            && let Some(stored) = face.hub.newest_outcome(&process).await?
        {
            return Ok(Arc::new(stored));
        }
        face.hub.behind(came.0).compute(&process, None).await
    };
    Ok(computed(&process, &*face.bounded(outcome).await?))
}

async fn state(face: Data<Face>, came: Came, id: Path<String>) -> Answer {
    let process = process(&id)?;
    Ok(match face.bounded(face.hub.behind(came.0).state(&process)).await? {
        StateView::Json(text) => HttpResponse::Ok().insert_header(ContentType::json()).body(text.as_bytes().to_vec()),
        StateView::Bytes(bytes) => {
            HttpResponse::Ok().insert_header(ContentType::octet_stream()).body(Bytes::from_owner(bytes))
        }
    })
}

async fn dry_run(face: Data<Face>, caller: Caller, came: Came, id: Path<String>, body: Payload) -> Answer {
    let process = process(&id)?;
    let body = face.body(body).await?;
    let now = face.hub.environment().clock.now_ms();
    let draft = MessageIn::read(&body)?.into_draft(&process, &caller.0, now)?;
    let (slot, outcome) = face.bounded(face.hub.behind(came.0).dry_run(&process, draft)).await?;
    Ok(HttpResponse::Ok().json(ComputedOut { process: &process, slot, outcome: &outcome }))
}

async fn snapshot(face: Data<Face>, id: Path<String>) -> Answer {
    let process = process(&id)?;
    let slot = face.bounded(face.hub.snapshot(&process)).await?;
    Ok(HttpResponse::Ok().json(json!({ "process": process, "slot": slot })))
}

async fn stop_worker(face: Data<Face>, id: Path<String>) -> Answer {
    let process = process(&id)?;
    face.bounded(face.hub.stop_worker(&process)).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn resume(face: Data<Face>, id: Path<String>, request: HttpRequest) -> Answer {
    let process = process(&id)?;
    let skip = query(&request)?.skip()?;
    let slot = face.bounded(face.hub.resume(&process, skip)).await?;
    Ok(HttpResponse::Ok().json(json!({ "process": process, "slot": slot })))
}

/// The header that says what a verification compared.
const COMPARED: &str = "Mainstay-Compared";

async fn verify(face: Data<Face>, id: Path<String>, request: HttpRequest) -> Answer {
    let process = process(&id)?;
    let query = query(&request)?;
    let (slot, executes) = (query.slot()?, query.execute()?);
    // It says itself how far it came, so it ends before the request does.
    let patience = face.request_timeout * 9 / 10;
    let verifying = face.bounded(face.hub.verify(&process, slot, executes, patience));
    let verified = tokio::select! {
        biased;
        verified = verifying => verified?,
        () = hung_up(&request) => {
            return Err(ApiError::bad_request("the connection was closed on the client's side, so the verification ended"));
        }
    };
    let body = match &verified.verdict.difference {
        None => json!({ "equal": true }),
        Some(Difference { slot, text }) => json!({ "equal": false, "slot": slot, "difference": text }),
    };
    Ok(HttpResponse::Ok().insert_header((COMPARED, verified.to_string())).json(body))
}
