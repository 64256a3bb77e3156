//! What observes the node and its host: the watcher, and on an arbiter of their own the collector, health checks and alerts;
//! a probe on every arbiter.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor as _, Addr, Arbiter};
use tracing::{info, warn};

use super::NodeError;
use crate::actors::{
    AlertMemory, Book, Collector, Exhibit, Feeder, Gatherer, Hub, LagWatch, Machine, Measure, Measured, Observers,
    Reconfigure, Shutdown, Watcher, Watching,
};
use crate::alert::SavedAlerts;
use crate::client::Client;
use crate::config::{Config, MetricsConfig};
use crate::http::Observed;
use crate::metrics::{Lags, Processes, SERIES_PER_PROCESS};
use crate::stats::SeriesStore;
use crate::store::{KeptFile, Store};

/// Series and alerts may take so long to be saved.
const SAVE_TIME: Duration = Duration::from_secs(5);
/// So many series are kept for what is not a process.
const OTHER_SERIES: usize = 500;

/// What observes the node.
pub(super) struct Observing {
    arbiter: Arbiter,
    collector: Addr<Collector>,
    observers: Observers,
    watcher: Option<Addr<Watcher>>,
    watching: Option<Arc<Watching>>,
    exhibit: Arc<Exhibit>,
    /// For arbiters that are to be measured.
    pub(super) lag_watch: LagWatch,
}

/// The numbers of as many processes as `metrics.max_series` has room for; the others share theirs.
pub(super) fn meters(config: &MetricsConfig) -> Arc<Processes> {
    let room = config.max_series - OTHER_SERIES.min(config.max_series / 2);
    Arc::new(Processes::new(room / SERIES_PER_PROCESS))
}

/// The series of before the last clean stop.
pub(super) async fn book(store: &Store, config: &MetricsConfig) -> Book {
    let (file, capacity, max) = (KeptFile::series(store.folder()), config.series_capacity, config.max_series);
    let read =
        tokio::task::spawn_blocking(move || file.read(|bytes| SeriesStore::from_bytes(bytes, capacity, max))).await;
    let series = match read {
        Ok(Ok(Some(series))) => {
            info!(target: "node", event = "series_restored", series = series.len());
            series
        }
        Ok(Ok(None)) => SeriesStore::new(capacity, max),
        Ok(Err(error)) => {
            warn!(target: "node", event = "series_not_restored", %error);
            SeriesStore::new(capacity, max)
        }
        Err(error) => {
            warn!(target: "node", event = "series_not_restored", %error);
            SeriesStore::new(capacity, max)
        }
    };
    Book::new(series)
}

/// How the alerts stood when the last run ended, however it did, and where that is written.
async fn alert_memory(store: &Store) -> AlertMemory {
    let file = KeptFile::alerts(store.folder());
    let reader = file.clone();
    let read = tokio::task::spawn_blocking(move || reader.read(SavedAlerts::from_bytes)).await;
    let read = read.map_err(|error| error.to_string()).and_then(|read| read.map_err(|error| error.to_string()));
    let saved = read.unwrap_or_else(|error| {
        warn!(target: "alert", event = "alerts_not_restored", error);
        None
    });
    AlertMemory::new(saved, move |bytes| file.write(bytes))
}

impl Observing {
    /// Starts to observe.
    ///
    /// # Errors
    /// The backend that `[watch]` names does not start, or the system gives no thread.
    pub(super) async fn start(
        hub: &Hub,
        config: &Config,
        client: &Client,
        workers: &[Arbiter],
    ) -> Result<Self, NodeError> {
        let (watcher, watching) = watch(hub, config).await?.unzip();
        let (environment, metrics, arbiter) = (hub.environment(), &config.metrics, Arbiter::new());
        let lags = Arc::new(Lags::new(metrics.series_capacity));
        let lag_watch = LagWatch { lags: lags.clone(), threshold: metrics.lag_threshold };
        lag_watch.here("main");
        lag_watch.on(&arbiter.handle(), "observer");
        for (number, worker) in workers.iter().enumerate() {
            lag_watch.on(&worker.handle(), &format!("worker-{number}"));
        }
        let book = book(&environment.store, metrics).await;
        let memory = alert_memory(&environment.store).await;
        let observers = Observers::start(hub, config, client, &book, Some(memory), Some(&arbiter.handle()));
        let fed = observers.clone();
        let mut feeders: Vec<Feeder> = vec![Arc::new(move |shown| fed.feed(shown))];
        feeders.extend(watching.clone().map(|watching| -> Feeder { Arc::new(move |shown| watching.show(shown)) }));
        let exhibit = Arc::new(Exhibit::new(environment.meters.clone(), book, environment.clock.clone()));
        let measured = Measured { exhibit: exhibit.clone(), environment: environment.clone(), lags, feeders };
        let mut gatherer = Gatherer::new(measured);
        gatherer.measure(metrics.groups.clone(), config.anomalies.clone());
        let file = KeptFile::series(environment.store.folder());
        let collector = Collector::new(gatherer, metrics.interval, vec![observers.listener()], Some(file));
        let collector = collector.map_err(|error| NodeError::Internal(format!("the collector's thread: {error}")))?;
        let collector = Collector::start_in_arbiter(&arbiter.handle(), |_| collector);
        Ok(Self { arbiter, collector, observers, watcher, watching, exhibit, lag_watch })
    }

    /// What is seen of it over HTTP.
    pub(super) fn observed(&self) -> Observed {
        Observed {
            watching: self.watching.clone(),
            exhibit: self.exhibit.clone(),
            health: self.observers.health.clone(),
            alerts: self.observers.alerts.clone(),
        }
    }

    /// Goes by this configuration from now on, as far as that can be.
    pub(super) async fn reload(&self, config: &Config) {
        if let Some(watcher) = &self.watcher {
            let _ = watcher.send(Reconfigure(config.watch.clone())).await;
        }
        self.collector.do_send(Measure { groups: config.metrics.groups.clone(), anomalies: config.anomalies.clone() });
        self.observers.reload(config).await;
    }

    /// Tells nobody anything any more: who listens to events would hold up the stop, and a node that stops is not unhealthy.
    pub(super) async fn quiet(&self) {
        self.observers.stop();
        if let Some(watcher) = &self.watcher {
            let _ = watcher.send(Shutdown).await;
        }
    }

    /// Saves series and alerts and hands the arbiter back, to be stopped.
    pub(super) async fn stop(self) -> Arbiter {
        let series = tokio::time::timeout(SAVE_TIME, self.collector.send(Shutdown));
        let alerts = tokio::time::timeout(SAVE_TIME, self.observers.stopped());
        let (series, alerts) = futures_util::future::join(series, alerts).await;
        if series.is_err() {
            warn!(target: "node", event = "series_not_saved", "saving them takes too long");
        }
        if alerts.is_err() {
            warn!(target: "alert", event = "alerts_not_saved", "saving them takes too long");
        }
        self.arbiter
    }
}

/// Starts to watch host processes, where that is wanted.
async fn watch(hub: &Hub, config: &Config) -> Result<Option<(Addr<Watcher>, Arc<Watching>)>, NodeError> {
    if !config.watch.enabled {
        return Ok(None);
    }
    let begun = Watcher::begin(hub.clone(), config.watch.clone(), Arc::new(Machine::default())).await;
    let refused = |error| NodeError::Setup(format!("{}: watch.backend: {error}", config.origin));
    begun.map(Some).map_err(refused)
}
