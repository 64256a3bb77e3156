//! Host processes: their events as a stream, and those that live.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Data, ServiceConfig, get, resource, to};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

use super::error::ApiError;
use super::face::Face;
use super::processes::no_such_method;
use crate::actors::{Listening, ToldEvent, Watching};
use crate::glob::Glob;
use crate::host::HostProcess;
use crate::metrics::COUNTERS;
use crate::process::RequestError;

/// A stream without events shows so often that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// So many bytes are handed on in one piece, and one event more.
const PIECE: usize = 16 << 10;
/// The longest pattern, in bytes.
const PATTERN: usize = 255;
/// The number of the last event that a client has.
const LAST_EVENT_ID: &str = "Last-Event-ID";

type Answer = Result<HttpResponse, ApiError>;

/// `/events` and `/host/processes`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/events").route(get().to(events)).default_service(to(no_such_method)))
        .service(resource("/host/processes").route(get().to(processes)).default_service(to(no_such_method)));
}

async fn events(face: Data<Face>, request: HttpRequest) -> Answer {
    let watching = watching(&face)?.clone();
    let wanted = Wanted::read(request.query_string())?;
    let last = last_event(&request)?;
    let permit = face.stream_permit()?;
    let listening = watching.feed().listen(last).ok_or_else(RequestError::node_stops)?;
    let listener = Listener::new(watching, wanted, listening, permit);
    let pieces = stream::unfold(listener, |mut listener| async {
        let piece = listener.next().await?;
        Some((Ok::<_, Infallible>(piece), listener))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        // Some proxies keep back what they pass on, unless they are told not to.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(pieces))
}

async fn processes(face: Data<Face>) -> Answer {
    let watching = watching(&face)?.clone();
    let processes = face.bounded(async move { Ok(watching.processes().await) }).await?;
    let shown: Vec<_> = processes.iter().map(HostProcessOut::new).collect();
    Ok(HttpResponse::Ok().json(json!({ "processes": shown })))
}

fn watching(face: &Face) -> Result<&Arc<Watching>, RequestError> {
    face.watching.as_ref().ok_or_else(|| {
        RequestError::NotSupported("this node watches no host processes; set enabled = true under [watch]".to_owned())
    })
}

fn last_event(request: &HttpRequest) -> Result<Option<u64>, ApiError> {
    let Some(value) = request.headers().get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let number = text.parse().map(Some);
    number.map_err(|_| {
        ApiError::bad_request(format!("the header {LAST_EVENT_ID} is {text:?}, expected the id of an event"))
    })
}

/// Which events a client wants.
#[derive(Debug, Default)]
struct Wanted {
    event: Option<Glob>,
    name: Option<Glob>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedIn {
    event: Option<String>,
    name: Option<String>,
}

impl Wanted {
    fn read(query: &str) -> Result<Self, ApiError> {
        let read = actix_web::web::Query::<WantedIn>::from_query(query);
        let WantedIn { event, name } =
            read.map_err(|error| ApiError::bad_request(format!("query: {error}")))?.into_inner();
        let glob = |key: &str, pattern: Option<String>| match pattern {
            Some(pattern) if pattern.is_empty() || pattern.len() > PATTERN => Err(ApiError::bad_request(format!(
                "{key}: found {} bytes, expected a pattern of 1 to {PATTERN}",
                pattern.len()
            ))),
            pattern => Ok(pattern.map(|pattern| Glob::new(&pattern))),
        };
        Ok(Self { event: glob("event", event)?, name: glob("name", name)? })
    }

    fn fits(&self, told: &ToldEvent) -> bool {
        let fits = |glob: &Option<Glob>, text: &str| glob.as_ref().is_none_or(|glob| glob.matches(text));
        fits(&self.event, &told.event) && fits(&self.name, &told.name)
    }
}

/// A client that listens.
struct Listener {
    watching: Arc<Watching>,
    wanted: Wanted,
    before: VecDeque<Arc<ToldEvent>>,
    live: tokio::sync::broadcast::Receiver<Arc<ToldEvent>>,
    /// What goes out next.
    piece: String,
    silent_until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    fn new(watching: Arc<Watching>, wanted: Wanted, listening: Listening, permit: OwnedSemaphorePermit) -> Self {
        let Listening { before, gone, live } = listening;
        let silent_until = Instant::now() + KEEP_ALIVE;
        let (before, piece) = (before.into(), String::new());
        let mut listener = Self { watching, wanted, before, live, piece, silent_until, _permit: permit };
        // The client sees at once that it is heard.
        listener.piece.push_str(": listening\n\n");
        if gone > 0 {
            listener.missed(gone);
        }
        listener
    }

    /// What goes out next. `None`: it is over, because the node stops.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.watching.feed().is_closed() {
                return None;
            }
            self.gather();
            if self.piece.is_empty() && Instant::now() >= self.silent_until {
                self.piece.push_str(": still here\n\n");
            }
            if !self.piece.is_empty() {
                self.silent_until = Instant::now() + KEEP_ALIVE;
                return Some(std::mem::take(&mut self.piece).into());
            }
            match tokio::time::timeout_at(self.silent_until, self.live.recv()).await {
                Ok(Ok(told)) => self.add(&told),
                Ok(Err(RecvError::Lagged(events))) => self.missed(events),
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => {}
            }
        }
    }

    /// Adds what is there already.
    fn gather(&mut self) {
        while self.piece.len() < PIECE {
            if let Some(told) = self.before.pop_front() {
                self.add(&told);
                continue;
            }
            match self.live.try_recv() {
                Ok(told) => self.add(&told),
                Err(TryRecvError::Lagged(events)) => self.missed(events),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
    }

    fn add(&mut self, told: &ToldEvent) {
        if self.wanted.fits(told) {
            // Writing to a text does not fail.
            let _ = write!(self.piece, "id: {}\ndata: {}\n\n", told.id, told.json);
        }
    }

    /// The client was too slow for so many events, or away for too long. It goes on with those that follow.
    fn missed(&mut self, events: u64) {
        COUNTERS.watch_listeners_missed.inc_by(events);
        let _ = write!(self.piece, "event: missed\ndata: {{\"missed\":{events}}}\n\n");
    }
}

/// A living host process as the API shows it. `start_time` is in milliseconds since the Unix epoch; what is unknown is null.
#[derive(Debug, Serialize)]
struct HostProcessOut<'a> {
    pid: u32,
    ppid: Option<u32>,
    name: &'a str,
    name_source: &'static str,
    exe: Option<&'a str>,
    uid: Option<u32>,
    start_time: Option<u64>,
}

impl<'a> HostProcessOut<'a> {
    fn new(process: &'a HostProcess) -> Self {
        Self {
            pid: process.pid.0,
            ppid: process.ppid.map(|pid| pid.0),
            name: process.name.as_str(),
            name_source: process.name_source.as_str(),
            exe: process.exe.as_ref().map(|path| path.as_str()),
            uid: process.uid,
            start_time: process.start_time,
        }
    }
}
