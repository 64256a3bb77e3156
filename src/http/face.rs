//! What every route shares.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::error::ApiError;
use crate::actors::{AlertBoard, Book, Delivery, Exhibit, GroupMonitor, HealthBoard, Hub, Readiness, Watching};
use crate::config::{HttpConfig, NamedToken};
use crate::process::RequestError;
use crate::stats::SeriesStore;
use crate::units::format_duration;

/// What every route shares.
pub struct Face {
    /// The way to the processes.
    pub hub: Hub,
    /// Who reports on groups.
    pub group_monitor: Addr<GroupMonitor>,
    /// Who delivers what outcomes send.
    pub delivery: Arc<Delivery>,
    /// Whether the node is ready.
    pub readiness: Arc<Readiness>,
    /// What is seen of host processes, if they are watched.
    pub watching: Option<Arc<Watching>>,
    /// What is measured.
    pub exhibit: Arc<Exhibit>,
    /// How the checks stand.
    pub health: HealthBoard,
    /// How the alerts stand.
    pub alerts: AlertBoard,
    /// Who may ask; empty: anyone.
    pub tokens: Vec<NamedToken>,
    /// Further names of the node.
    pub hosts: Vec<String>,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// The longest body, in bytes.
    pub max_body: usize,
    /// Whether `/now` is answered from the newest stored outcome.
    pub now_from_cache: bool,
    max_waiting: usize,
    waiting: Semaphore,
    streams: Arc<Semaphore>,
}

/// So many clients listen to events at a time.
const STREAMS: usize = 256;

/// A body that is too long is still read up to so many times its limit, so that the client comes to hear the answer.
const DRAIN_FACTOR: usize = 16;

/// What is seen of the node and its host.
#[derive(Clone)]
pub struct Observed {
    /// What is seen of host processes, if they are watched.
    pub watching: Option<Arc<Watching>>,
    /// What is measured.
    pub exhibit: Arc<Exhibit>,
    /// How the checks stand.
    pub health: HealthBoard,
    /// How the alerts stand.
    pub alerts: AlertBoard,
}

impl Face {
    /// The face of a node.
    pub fn new(
        hub: Hub,
        group_monitor: Addr<GroupMonitor>,
        delivery: Arc<Delivery>,
        readiness: Arc<Readiness>,
        config: &HttpConfig,
        now_from_cache: bool,
    ) -> Self {
        let environment = hub.environment();
        let book = Book::new(SeriesStore::new(1, 1));
        let exhibit = Arc::new(Exhibit::new(environment.meters.clone(), book, environment.clock.clone()));
        Self {
            hub,
            group_monitor,
            delivery,
            readiness,
            watching: None,
            exhibit,
            health: HealthBoard::default(),
            alerts: AlertBoard::default(),
            tokens: config.tokens.clone(),
            hosts: config.hosts.clone(),
            request_timeout: config.request_timeout,
            max_body: usize::try_from(config.max_body).unwrap_or(usize::MAX),
            now_from_cache,
            max_waiting: config.max_waiting,
            waiting: Semaphore::new(config.max_waiting.min(Semaphore::MAX_PERMITS)),
            streams: Arc::new(Semaphore::new(STREAMS)),
        }
    }

    /// The face of a node that is observed.
    #[must_use]
    pub fn showing(self, observed: Observed) -> Self {
        let Observed { watching, exhibit, health, alerts } = observed;
        Self { watching, exhibit, health, alerts, ..self }
    }

    /// The right to listen to events.
    pub fn stream_permit(&self) -> Result<OwnedSemaphorePermit, RequestError> {
        self.streams.clone().try_acquire_owned().map_err(|_| RequestError::Overloaded {
            key: "event_streams",
            what: format!("{STREAMS} clients listen to events already"),
        })
    }

    fn enter(&self) -> Result<SemaphorePermit<'_>, RequestError> {
        self.waiting.try_acquire().map_err(|_| RequestError::Overloaded {
            key: "max_waiting",
            what: format!("{} requests wait already", self.max_waiting),
        })
    }

    /// Awaits `work` as one of the requests that may wait, for as long as a request may take.
    pub async fn bounded<T>(&self, work: impl Future<Output = Result<T, RequestError>>) -> Result<T, ApiError> {
        let _place = self.enter()?;
        match tokio::time::timeout(self.request_timeout, work).await {
            Ok(result) => Ok(result?),
            Err(_) => {
                let waited = format_duration(self.request_timeout);
                Err(RequestError::Deadline(waited).into())
            }
        }
    }

    /// Reads a request's body, which must not be longer than `max_body`.
    pub async fn body(&self, mut payload: actix_web::web::Payload) -> Result<Bytes, ApiError> {
        let (mut body, mut size) = (BytesMut::new(), 0usize);
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| self.unread(&error))?;
            size = size.saturating_add(chunk.len());
            if size <= self.max_body {
                body.extend_from_slice(&chunk);
            } else if size > self.max_body.saturating_mul(DRAIN_FACTOR) {
                break;
            } else {
                body = BytesMut::new();
            }
        }
        if size > self.max_body {
            let (size, most) = (size as u64, self.max_body as u64);
            return Err(RequestError::TooLarge { key: "max_body", size, most }.into());
        }
        Ok(body.freeze())
    }

    fn unread(&self, error: &PayloadError) -> ApiError {
        match error {
            PayloadError::Io(error) if error.kind() == ErrorKind::TimedOut => ApiError::too_slow(self.request_timeout),
            _ => ApiError::bad_request(format!("the body cannot be read: {error}")),
        }
    }
}
