//! Counters of what happens and of what was lost, how long some of it takes, and how some of it stands.
//!
//! They live in one registry of the process, so that a library function deep down can count without carrying a handle.

use std::sync::LazyLock;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident,)*) => {
        /// Every counter of the node.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $help])+ pub $name: Counter,)*
        }

        impl Counters {
            fn register(&self, registry: &mut Registry) {
                $(registry.register(stringify!($name), concat!($($help),+).trim(), self.$name.clone());)*
            }
        }
    };
}

counters! {
    /// Commits that were handed to the store.
    store_commits,
    /// Batches that the store's writer made of them.
    store_batches,
    /// Syncs of the store to disk.
    store_syncs,
    /// Commits that a newer epoch or another log head fenced off.
    store_fenced,
    /// Commits whose fate a failed write or sync left unknown.
    store_unknown,
    /// Commits that were refused because the store takes no writes.
    store_refused,
    /// Times the store was opened again after a failure.
    store_reopened,
    /// Bytes of an unfinished write that were cut off when the store was opened.
    store_torn_bytes,
    /// Snapshots that were set aside because they are damaged.
    snapshots_damaged,
    /// Calls of a device that ran for so long that another thread took their thread's place.
    compute_overruns,
    /// Messages that were given a slot.
    messages_scheduled,
    /// Slots that were computed.
    slots_computed,
    /// Slots whose outcome is an error.
    slots_failed,
    /// Times a process paused because its outbox was full.
    outbox_pauses,
    /// Workers that were started.
    workers_started,
    /// Workers that died without a word.
    workers_died,
    /// Leaders of groups that died without a word, workers of processes among them.
    leaders_died,
    /// Requests that shared the execution of an equal one.
    executions_shared,
    /// Faults of the machine that were met while computing.
    compute_faults,
    /// Things that outcomes sent and that were delivered.
    messages_pushed,
    /// Attempts at a delivery that failed.
    pushes_failed,
    /// Things that outcomes sent and that were given up.
    dead_letters,
    /// Cron ticks that were scheduled.
    ticks_scheduled,
    /// Ticks of monitors that came while the last one was still at work.
    ticks_skipped,
    /// Missed cron ticks that were left out.
    ticks_left_out,
    /// Cursors that were far ahead of the clock and were reset.
    cursors_reset,
    /// Pages that a monitor could not pull or push.
    monitor_errors,
    /// Monitors that died without a word.
    monitors_died,
    /// Spawns and assignments of outside processes, which are not carried out here.
    outside_left_out,
    /// Requests that were refused because a limit was reached.
    requests_refused,
    /// Events of host processes that the kernel or /proc gave.
    watch_received,
    /// Events of host processes that were lost before they were read.
    watch_lost,
    /// Records of ends that the kernel had to drop: no event is missing, but details of one are.
    watch_records_lost,
    /// Times that /proc was looked through to make the map of host processes right.
    watch_rescans,
    /// Files below /proc that could not be read for want of a permission.
    watch_denied,
    /// Host processes whose creation was told without a name.
    watch_unresolved_names,
    /// Events of host processes that found the queue full.
    watch_dropped,
    /// Creations of host processes that were told.
    watch_created,
    /// Ends of host processes that were told.
    watch_destroyed,
    /// Events of host processes that became messages.
    watch_routed,
    /// Events of host processes that did not become messages of their own, but are counted in one.
    watch_coalesced,
    /// Events of host processes that could not become messages, those that they stood for among them.
    watch_unrouted,
    /// Events that listeners were too slow for.
    watch_listeners_missed,
    /// Times that the watch of host processes ended and was started again.
    watch_restarts,
}

/// Every histogram of the node.
#[derive(Debug)]
pub struct Histograms {
    /// How late the ticks of monitors come.
    pub tick_lateness_seconds: Histogram,
    /// From the kernel's time stamp of an event of a host process to its telling.
    pub watch_latency_seconds: Histogram,
}

impl Default for Histograms {
    fn default() -> Self {
        Self {
            tick_lateness_seconds: Histogram::new(exponential_buckets(0.001, 4.0, 9)),
            watch_latency_seconds: Histogram::new(exponential_buckets(0.000_01, 4.0, 10)),
        }
    }
}

impl Histograms {
    fn register(&self, registry: &mut Registry) {
        let help = "How late the ticks of monitors come.";
        registry.register("tick_lateness_seconds", help, self.tick_lateness_seconds.clone());
        let help = "From the kernel's time stamp of an event of a host process to its telling.";
        registry.register("watch_latency_seconds", help, self.watch_latency_seconds.clone());
    }
}

/// Every gauge of the node.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Events of host processes that wait to be told.
    pub watch_queue_depth: Gauge,
    watch_backend: Family<Vec<(String, String)>, Gauge>,
}

impl Gauges {
    /// Shows whether the watch of host processes runs on `backend`.
    pub fn watch_backend(&self, backend: &str, runs: bool) {
        let label = vec![("backend".to_owned(), backend.to_owned())];
        self.watch_backend.get_or_create(&label).set(i64::from(runs));
    }

    fn register(&self, registry: &mut Registry) {
        let help = "Events of host processes that wait to be told.";
        registry.register("watch_queue_depth", help, self.watch_queue_depth.clone());
        let help = "Which backend the watch of host processes runs on: 1 for that, 0 for others.";
        registry.register("watch_backend", help, self.watch_backend.clone());
    }
}

/// The node's gauges.
pub static GAUGES: LazyLock<Gauges> = LazyLock::new(Gauges::default);

/// The node's histograms.
pub static HISTOGRAMS: LazyLock<Histograms> = LazyLock::new(Histograms::default);

/// The node's counters.
pub static COUNTERS: LazyLock<Counters> = LazyLock::new(Counters::default);

/// A registry that holds every metric under the prefix `mainstay`.
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("mainstay");
    COUNTERS.register(&mut registry);
    HISTOGRAMS.register(&mut registry);
    GAUGES.register(&mut registry);
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_under_their_names() {
        GAUGES.watch_backend("poll", true);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry()).unwrap();
        for line in [
            "# TYPE mainstay_watch_denied counter",
            "mainstay_watch_denied_total ",
            "mainstay_watch_backend{backend=\"poll\"} 1",
            "# TYPE mainstay_watch_latency_seconds histogram",
            "mainstay_watch_queue_depth ",
        ] {
            assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
        }
    }
}
