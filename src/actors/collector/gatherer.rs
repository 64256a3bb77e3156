//! One collection after the other: from everywhere into one snapshot, and from there into the series.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::error;

use super::anomalies::Anomalies;
use super::host::Host;
use crate::actors::book::Book;
use crate::actors::environment::Environment;
use crate::actors::exhibit::Exhibit;
use crate::clock::Millis;
use crate::config::{AnomalyConfig, HostGroup};
use crate::export::{Family, samples};
use crate::metrics::catalogue::{
    COLLECTED_AT, COMPUTE_THREADS, COMPUTE_WAITING, DEVICE_MEMORY, DISK_FREE, PROCESSES, SAMPLES_DROPPED, SERIES,
    STORE_DISK,
};
use crate::metrics::{HISTOGRAMS, Lags, Snapshot};
use crate::stats::{Labels, Losses};

/// What has not been measured in so many collections is forgotten: series, and the numbers of processes without a worker.
const DEAD_AFTER: u64 = 60;
/// The data folder is looked through so seldom that it takes one part in so many of the time.
const DISK_SHARE: u32 = 100;

/// Puts numbers of its own into each collection's snapshot. It must be quick.
pub type Feeder = Arc<dyn Fn(&mut Snapshot) + Send + Sync>;

/// What there is to measure.
pub struct Measured {
    /// Where it is shown.
    pub exhibit: Arc<Exhibit>,
    /// Store, compute threads, memory.
    pub environment: Arc<Environment>,
    /// How late arbiters are.
    pub lags: Arc<Lags>,
    /// Whoever else has numbers.
    pub feeders: Vec<Feeder>,
}

/// Makes collections. Each blocks.
pub struct Gatherer {
    measured: Measured,
    host: Host,
    anomalies: Anomalies,
    last: Option<Instant>,
    /// The time of the first samples. What is older is of another run, in which counters stood elsewhere.
    first: Option<Millis>,
    disk: Disk,
}

/// The space that the store takes, as it was found last.
#[derive(Default)]
struct Disk {
    used: u64,
    again: Option<Instant>,
}

impl Gatherer {
    /// A gatherer that has not collected yet, and measures no groups and no anomalies.
    pub fn new(measured: Measured) -> Self {
        let (host, anomalies, disk) = (Host::default(), Anomalies::default(), Disk::default());
        Self { measured, host, anomalies, last: None, first: None, disk }
    }

    /// The series that it writes.
    pub fn book(&self) -> &Book {
        &self.measured.exhibit.book
    }

    /// From now on measures these groups and looks for these anomalies. What stays the same keeps what is known of it.
    pub fn measure(&mut self, groups: Vec<HostGroup>, anomalies: Vec<AnomalyConfig>) {
        self.host.measure(groups);
        self.anomalies.replace(anomalies);
    }

    /// Measures everything once, shows it, and writes it into the series. Returns the time of the samples.
    pub fn collect(&mut self) -> Millis {
        let began = Instant::now();
        let exhibit = Arc::clone(&self.measured.exhibit);
        let at = exhibit.clock.now_ms();
        let since = self.last.replace(began).map_or(Duration::ZERO, |last| began - last);
        let mut snapshot = Snapshot::default();
        snapshot.set(&COLLECTED_AT, &Labels::default(), at as f64 / 1_000.0);
        self.host.show(&mut snapshot);
        self.show_node(&mut snapshot);
        self.measured.lags.show(&mut snapshot);
        self.anomalies.show(&mut snapshot);
        for feeder in &self.measured.feeders {
            feeder(&mut snapshot);
        }
        exhibit.processes.settle(since, DEAD_AFTER);
        exhibit.publish(snapshot);
        match exhibit.families() {
            Ok(families) => self.record(at, &families),
            Err(error) => error!(target: "node", event = "collection_failed", %error, "the series miss these samples"),
        }
        HISTOGRAMS.collection_seconds.observe(began.elapsed().as_secs_f64());
        at
    }

    pub(super) fn show_node(&mut self, snapshot: &mut Snapshot) {
        let environment = &self.measured.environment;
        let used = self.disk.look(|| environment.store.used_bytes());
        let (regular, overflow) = environment.pool.threads();
        let Losses { full, not_finite, name, ahead } = self.measured.exhibit.book.open().losses();
        let series = self.measured.exhibit.book.open().len();
        let none = Labels::default();
        for (metric, value) in [
            (&DEVICE_MEMORY, environment.memory.held() as f64),
            (&COMPUTE_WAITING, environment.pool.waiting() as f64),
            (&PROCESSES, environment.store.process_count() as f64),
            (&STORE_DISK, used as f64),
            (&DISK_FREE, environment.store.free_bytes().map_or(f64::NAN, |free| free as f64)),
            (&SERIES, series as f64),
        ] {
            snapshot.set(metric, &none, value);
        }
        for (metric, label, value, number) in [
            (&COMPUTE_THREADS, "lane", "regular", regular as u64),
            (&COMPUTE_THREADS, "lane", "overflow", overflow as u64),
            (&SAMPLES_DROPPED, "reason", "full", full),
            (&SAMPLES_DROPPED, "reason", "not_finite", not_finite),
            (&SAMPLES_DROPPED, "reason", "name", name),
            (&SAMPLES_DROPPED, "reason", "ahead", ahead),
        ] {
            let labels = Labels::from_pairs([(label.to_owned(), value.to_owned())]).unwrap_or_default();
            snapshot.set(metric, &labels, number as f64);
        }
    }

    /// Writes every number into the series, each after a look whether it is out of the ordinary.
    fn record(&mut self, at: Millis, families: &[Family]) {
        let first = *self.first.get_or_insert(at);
        let mut series = self.measured.exhibit.book.open();
        for (metric, labels, value) in samples(families) {
            let earlier = || {
                let known = series.get(&metric, labels);
                known.map(|series| series.since(first).map(|(_, value)| value).collect()).unwrap_or_default()
            };
            self.anomalies.observe(&metric, labels, value, earlier);
            // What is refused is counted.
            let _ = series.record(at, &metric, labels, value);
        }
        series.sweep(DEAD_AFTER);
        drop(series);
        self.anomalies.settle();
    }
}

impl Disk {
    /// The space, looked for again if it is time to.
    fn look(&mut self, used: impl FnOnce() -> u64) -> u64 {
        let began = Instant::now();
        if self.again.is_none_or(|again| again <= began) {
            self.used = used();
            self.again = Some(Instant::now() + began.elapsed() * DISK_SHARE);
        }
        self.used
    }
}
