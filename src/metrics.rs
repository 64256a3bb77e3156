//! Counters of what happens and of what was lost, and how long some of it takes.
//!
//! They live in one registry of the process, so that a library function deep down can count without carrying a handle.

use std::sync::LazyLock;

use prometheus_client::metrics::counter::Counter;
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
}

/// Every histogram of the node.
#[derive(Debug)]
pub struct Histograms {
    /// How late the ticks of monitors come.
    pub tick_lateness_seconds: Histogram,
}

impl Default for Histograms {
    fn default() -> Self {
        Self { tick_lateness_seconds: Histogram::new(exponential_buckets(0.001, 4.0, 9)) }
    }
}

impl Histograms {
    fn register(&self, registry: &mut Registry) {
        let help = "How late the ticks of monitors come.";
        registry.register("tick_lateness_seconds", help, self.tick_lateness_seconds.clone());
    }
}

/// The node's histograms.
pub static HISTOGRAMS: LazyLock<Histograms> = LazyLock::new(Histograms::default);

/// The node's counters.
pub static COUNTERS: LazyLock<Counters> = LazyLock::new(Counters::default);

/// A registry that holds every counter under the prefix `mainstay`.
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("mainstay");
    COUNTERS.register(&mut registry);
    HISTOGRAMS.register(&mut registry);
    registry
}
