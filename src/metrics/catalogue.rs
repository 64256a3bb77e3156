//! The table of every metric. Registration, the `HELP` of the export and the documentation's table all come from here.

use std::fmt::Write;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::{Kind, Metric, Unit};
use crate::stats::Labels;

/// Histograms of one metric by their labels.
pub type HistogramFamily = Family<Labels, Histogram, fn() -> Histogram>;

macro_rules! metric {
    ($kind:ident, $name:literal, [$($help:literal)+], [$($unit:ident)?], [$($label:literal)*]) => {
        Metric {
            name: $name,
            kind: Kind::$kind,
            unit: unit!($($unit)?),
            help: concat!($($help),+).trim_ascii(),
            labels: &[$($label),*],
        }
    };
}

macro_rules! unit {
    () => {
        None
    };
    ($unit:ident) => {
        Some(Unit::$unit)
    };
}

macro_rules! catalogue {
    (
        counters { $($(#[doc = $c_help:literal])+ $counter:ident: $c_name:literal $(in $c_unit:ident)?;)* }
        gauges { $($(#[doc = $g_help:literal])+ $gauge:ident: $g_name:literal;)* }
        histograms { $($(#[doc = $h_help:literal])+ $histogram:ident: $h_name:literal $(in $h_unit:ident)?, $buckets:expr;)* }
        families {
            $($(#[doc = $f_help:literal])+ $family:ident: $f_name:literal $(in $f_unit:ident)? by [$($f_label:literal),+],
                $f_new:expr;)*
        }
        collected {
            $($(#[doc = $m_help:literal])+ $metric:ident: $kind:ident $m_name:literal $(in $m_unit:ident)?
                $(by [$($label:literal),+])?;)*
        }
    ) => {
        /// Every counter that grows where something happens.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $c_help])+ pub $counter: Counter,)*
        }

        impl Counters {
            pub(super) fn register(&self, registry: &mut Registry) {
                $(metric!(Counter, $c_name, [$($c_help)+], [$($c_unit)?], [])
                    .register_in(registry, self.$counter.clone());)*
            }
        }

        /// Every gauge that moves where something happens.
        #[derive(Debug, Default)]
        pub struct Gauges {
            $($(#[doc = $g_help])+ pub $gauge: Gauge,)*
        }

        impl Gauges {
            pub(super) fn register(&self, registry: &mut Registry) {
                $(metric!(Gauge, $g_name, [$($g_help)+], [], [])
                    .register_in(registry, self.$gauge.clone());)*
            }
        }

        /// Every histogram that grows where something happens.
        #[derive(Debug)]
        pub struct Histograms {
            $($(#[doc = $h_help])+ pub $histogram: Histogram,)*
            $($(#[doc = $f_help])+ pub $family: HistogramFamily,)*
        }

        impl Default for Histograms {
            fn default() -> Self {
                Self {
                    $($histogram: Histogram::new($buckets),)*
                    $($family: Family::new_with_constructor($f_new),)*
                }
            }
        }

        impl Histograms {
            pub(super) fn register(&self, registry: &mut Registry) {
                $(metric!(Histogram, $h_name, [$($h_help)+], [$($h_unit)?], [])
                    .register_in(registry, self.$histogram.clone());)*
                $(metric!(Histogram, $f_name, [$($f_help)+], [$($f_unit)?], [$($f_label)+])
                    .register_in(registry, self.$family.clone());)*
            }
        }

        $($(#[doc = $m_help])+
        pub static $metric: Metric = metric!($kind, $m_name, [$($m_help)+], [$($m_unit)?], [$($($label)+)?]);)*

        static LIVE: &[Metric] = &[
            $(metric!(Counter, $c_name, [$($c_help)+], [$($c_unit)?], []),)*
            $(metric!(Gauge, $g_name, [$($g_help)+], [], []),)*
            $(metric!(Histogram, $h_name, [$($h_help)+], [$($h_unit)?], []),)*
            $(metric!(Histogram, $f_name, [$($f_help)+], [$($f_unit)?], [$($f_label)+]),)*
        ];
        static COLLECTED: &[&Metric] = &[$(&$metric,)*];
    };
}

catalogue! {
    counters {
        /// Messages that were given a slot, over all processes.
        messages_scheduled: "mainstay_node_messages_scheduled";
        /// Slots that were computed, over all processes.
        slots_computed: "mainstay_node_slots_computed";
        /// Slots whose outcome is an error, over all processes.
        slots_failed: "mainstay_node_slots_failed";
        /// Commits that were handed to the store.
        store_commits: "mainstay_store_commits";
        /// Batches that the store's writer made of them.
        store_batches: "mainstay_store_batches";
        /// Syncs of the store to disk.
        store_syncs: "mainstay_store_syncs";
        /// Commits that a newer epoch or another log head fenced off.
        store_fenced: "mainstay_store_fenced";
        /// Commits whose fate a failed write or sync left unknown.
        store_unknown: "mainstay_store_unknown";
        /// Commits that were refused because the store takes no writes.
        store_refused: "mainstay_store_refused";
        /// Times the store was opened again after a failure.
        store_reopened: "mainstay_store_reopened";
        /// Bytes of an unfinished write that were cut off when the store was opened.
        store_torn_bytes: "mainstay_store_torn_bytes" in Bytes;
        /// Snapshots that were set aside because they are damaged.
        snapshots_damaged: "mainstay_snapshots_damaged";
        /// Calls of a device that ran for so long that another thread took their thread's place.
        compute_overruns: "mainstay_compute_overruns";
        /// Faults of the machine that were met while computing.
        compute_faults: "mainstay_compute_faults";
        /// Times a process paused because its outbox was full.
        outbox_pauses: "mainstay_outbox_pauses";
        /// Workers that were started.
        workers_started: "mainstay_workers_started";
        /// Workers that died without a word.
        workers_died: "mainstay_workers_died";
        /// Leaders of groups that died without a word, workers of processes among them.
        leaders_died: "mainstay_leaders_died";
        /// Requests that shared the execution of an equal one.
        executions_shared: "mainstay_executions_shared";
        /// Things that outcomes sent and that were delivered.
        messages_pushed: "mainstay_messages_pushed";
        /// Attempts at a delivery that failed.
        pushes_failed: "mainstay_pushes_failed";
        /// Things that outcomes sent and that were given up.
        dead_letters: "mainstay_dead_letters";
        /// Cron ticks that were scheduled.
        ticks_scheduled: "mainstay_ticks_scheduled";
        /// Ticks of monitors that came while the last one was still at work.
        ticks_skipped: "mainstay_ticks_skipped";
        /// Missed cron ticks that were left out.
        ticks_left_out: "mainstay_ticks_left_out";
        /// Cursors that were far ahead of the clock and were reset.
        cursors_reset: "mainstay_cursors_reset";
        /// Pages that a monitor could not pull or push.
        monitor_errors: "mainstay_monitor_errors";
        /// Monitors that died without a word.
        monitors_died: "mainstay_monitors_died";
        /// Spawns and assignments of outside processes, which are not carried out here.
        outside_left_out: "mainstay_outside_left_out";
        /// Requests that were refused because a limit was reached.
        requests_refused: "mainstay_requests_refused";
        /// Collections of metrics that were skipped because the one before was still at work.
        collections_skipped: "mainstay_collections_skipped";
        /// Events of host processes that the kernel or /proc gave.
        watch_received: "mainstay_watch_received";
        /// Events of host processes that were lost before they were read.
        watch_lost: "mainstay_watch_lost";
        /// Records of ends that the kernel had to drop: no event is missing, but details of one are.
        watch_records_lost: "mainstay_watch_records_lost";
        /// Times that /proc was looked through to make the map of host processes right.
        watch_rescans: "mainstay_watch_rescans";
        /// Files below /proc that could not be read for want of a permission.
        watch_denied: "mainstay_watch_denied";
        /// Host processes whose creation was told without a name.
        watch_unresolved_names: "mainstay_watch_unresolved_names";
        /// Events of host processes that found the queue full.
        watch_dropped: "mainstay_watch_dropped";
        /// Creations of host processes that were told.
        watch_created: "mainstay_watch_created";
        /// Ends of host processes that were told.
        watch_destroyed: "mainstay_watch_destroyed";
        /// Events of host processes that became messages.
        watch_routed: "mainstay_watch_routed";
        /// Events of host processes that did not become messages of their own, but are counted in one.
        watch_coalesced: "mainstay_watch_coalesced";
        /// Events of host processes that could not become messages, those that they stood for among them.
        watch_unrouted: "mainstay_watch_unrouted";
        /// Events of host processes that listeners were too slow for.
        watch_listeners_missed: "mainstay_watch_listeners_missed";
        /// Times that the watch of host processes ended and was started again.
        watch_restarts: "mainstay_watch_restarts";
    }
    gauges {
        /// Workers that are in memory.
        workers: "mainstay_workers";
        /// Groups that have a leader.
        groups: "mainstay_groups";
        /// Requests that wait at leaders of groups.
        group_waiters: "mainstay_group_waiters";
        /// Monitors that run.
        monitors: "mainstay_monitors";
        /// Things that outcomes sent and that pushers hold in memory until they are delivered.
        outbox_items: "mainstay_outbox_items";
        /// Events of host processes that wait to be told.
        watch_queue_depth: "mainstay_watch_queue_depth";
    }
    histograms {
        /// How late the ticks of monitors come.
        tick_lateness_seconds: "mainstay_tick_lateness_seconds" in Seconds, exponential_buckets(0.001, 4.0, 9);
        /// From the kernel's time stamp of an event of a host process to its telling.
        watch_latency_seconds: "mainstay_watch_latency_seconds" in Seconds, exponential_buckets(0.000_01, 4.0, 10);
        /// How many commits the store's writer puts into a batch.
        store_batch_commits: "mainstay_store_batch_commits", exponential_buckets(1.0, 4.0, 7);
        /// How long a sync of the store to disk takes.
        store_sync_seconds: "mainstay_store_sync_seconds" in Seconds, exponential_buckets(0.000_1, 4.0, 9);
        /// How long a collection of metrics takes.
        collection_seconds: "mainstay_collection_seconds" in Seconds, exponential_buckets(0.000_1, 4.0, 9);
    }
    families {
        /// How long requests over HTTP take until their answer begins.
        http_request_duration_seconds: "mainstay_http_request_duration_seconds" in Seconds by ["route", "status"],
            || Histogram::new(exponential_buckets(0.000_5, 4.0, 9));
    }
    collected {
        /// CPU time that the node has used, in user and system mode.
        PROCESS_CPU: Counter "process_cpu_seconds" in Seconds;
        /// Memory of the node that is resident.
        PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" in Bytes;
        /// Address space of the node.
        PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes" in Bytes;
        /// File descriptors that the node has open.
        PROCESS_FDS: Gauge "process_open_fds";
        /// File descriptors that the node may have open.
        PROCESS_MAX_FDS: Gauge "process_max_fds";
        /// Threads of the node.
        PROCESS_THREADS: Gauge "process_threads";
        /// When the node was started, in seconds since 1970.
        PROCESS_START: Gauge "process_start_time_seconds" in Seconds;
        /// The node: its version and the pid that it runs under.
        NODE: Info "mainstay_node" by ["version", "pid"];
        /// CPU time that the node has used, by mode: user or system.
        CPU: Counter "mainstay_cpu_seconds" in Seconds by ["mode"];
        /// How long the node has been up.
        UPTIME: Gauge "mainstay_uptime_seconds" in Seconds;
        /// Memory that the allocator has mapped.
        HEAP_MAPPED: Gauge "mainstay_heap_mapped_bytes" in Bytes;
        /// Memory that is allocated.
        HEAP_USED: Gauge "mainstay_heap_used_bytes" in Bytes;
        /// Memory that devices hold.
        DEVICE_MEMORY: Gauge "mainstay_device_memory_bytes" in Bytes;
        /// How late an arbiter came to its last second's tick.
        LAG: Gauge "mainstay_arbiter_lag_seconds" in Seconds by ["arbiter"];
        /// The mean of an arbiter's latest lags.
        LAG_MEAN: Gauge "mainstay_arbiter_lag_mean_seconds" in Seconds by ["arbiter"];
        /// The greatest of an arbiter's latest lags.
        LAG_MAX: Gauge "mainstay_arbiter_lag_max_seconds" in Seconds by ["arbiter"];
        /// The least of an arbiter's latest lags.
        LAG_MIN: Gauge "mainstay_arbiter_lag_min_seconds" in Seconds by ["arbiter"];
        /// Messages of a process that were given a slot.
        MESSAGES_SCHEDULED: Counter "mainstay_messages_scheduled" by ["process"];
        /// Slots of a process that were computed.
        SLOTS_COMPUTED: Counter "mainstay_slots_computed" by ["process"];
        /// Slots of a process whose outcome is an error.
        SLOTS_FAILED: Counter "mainstay_slots_failed" by ["process"];
        /// Time that the slots of a process took to compute.
        COMPUTE_TIME: Counter "mainstay_compute_seconds" in Seconds by ["process"];
        /// Time from the scheduling of slots of a process to their outcomes.
        OUTCOME_TIME: Counter "mainstay_schedule_to_outcome_seconds" in Seconds by ["process"];
        /// Messages of a process that wait to be computed.
        QUEUE: Gauge "mainstay_queue_messages" by ["process"];
        /// Size of the state of a process that is in memory.
        STATE_SIZE: Gauge "mainstay_state_bytes" in Bytes by ["process"];
        /// Size of the newest snapshot of a process that is in memory.
        SNAPSHOT_SIZE: Gauge "mainstay_snapshot_bytes" in Bytes by ["process"];
        /// Slots that a process computed per second since the collection before.
        THROUGHPUT: Gauge "mainstay_slots_computed_rate" by ["process"];
        /// Jobs that wait for a compute thread.
        COMPUTE_WAITING: Gauge "mainstay_compute_waiting_jobs";
        /// Compute threads, by lane: regular or overflow.
        COMPUTE_THREADS: Gauge "mainstay_compute_threads" by ["lane"];
        /// Processes that the store knows.
        PROCESSES: Gauge "mainstay_processes";
        /// Disk space that the store uses.
        STORE_DISK: Gauge "mainstay_store_disk_bytes" in Bytes;
        /// Disk space that is left where the store lies.
        DISK_FREE: Gauge "mainstay_store_disk_free_bytes" in Bytes;
        /// Host processes of a group; 0 when none runs.
        HOST_PROCESSES: Gauge "mainstay_host_processes" by ["group"];
        /// CPU time of the host processes of a group, those that ended among them, by mode: user or system.
        HOST_CPU: Counter "mainstay_host_cpu_seconds" in Seconds by ["group", "mode"];
        /// Resident memory of the host processes of a group.
        HOST_RESIDENT: Gauge "mainstay_host_resident_memory_bytes" in Bytes by ["group"];
        /// File descriptors that the host processes of a group have open.
        HOST_FDS: Gauge "mainstay_host_open_fds" by ["group"];
        /// Threads of the host processes of a group.
        HOST_THREADS: Gauge "mainstay_host_threads" by ["group"];
        /// When the oldest host process of a group was started, in seconds since 1970; absent when none runs.
        HOST_START: Gauge "mainstay_host_oldest_start_time_seconds" in Seconds by ["group"];
        /// Host processes of a group by their state.
        HOST_STATES: Gauge "mainstay_host_states" by ["group", "state"];
        /// Host processes that a look could not read, by what: processes, texts (names of programs and arguments), descriptors, or
        /// beyond (more than are looked at).
        HOST_UNREAD: Gauge "mainstay_host_unread" by ["what"];
        /// CPU time that the looks at host processes took.
        HOST_LOOK_CPU: Counter "mainstay_host_look_cpu_seconds" in Seconds;
        /// Which backend the watch of host processes runs on: 1 for that, 0 for others.
        WATCH_BACKEND: Gauge "mainstay_watch_backend" by ["backend"];
        /// Series that are kept.
        SERIES: Gauge "mainstay_series";
        /// Samples that were not kept, by reason: full, not_finite, name or ahead.
        SAMPLES_DROPPED: Counter "mainstay_samples_dropped" by ["reason"];
        /// Anomalies that were found, by the rule that found them.
        ANOMALIES: Counter "mainstay_anomalies" by ["anomaly"];
        /// Series that a rule for anomalies would look at and that are too many for it.
        ANOMALY_UNSEEN: Gauge "mainstay_anomaly_unseen_series" by ["anomaly"];
        /// When the last collection began, in seconds since 1970.
        COLLECTED_AT: Gauge "mainstay_collection_time_seconds" in Seconds;
        /// Alerts by their state: pending or firing.
        ALERTS: Gauge "mainstay_alerts" by ["state"];
        /// Bad values that got no alert because their rule had 1000 others, counted at each evaluation.
        ALERTS_REFUSED: Counter "mainstay_alerts_refused";
        /// Evaluations of the rules for alerts that were left out because the one before was still at work.
        ALERT_EVALUATIONS_SKIPPED: Counter "mainstay_alert_evaluations_skipped";
        /// Notices that a receiver of alerts did not take.
        RECEIVER_FAILURES: Counter "mainstay_receiver_failures" by ["receiver"];
        /// Whether what a health check looks at is healthy: 1 or 0.
        HEALTHY: Gauge "mainstay_healthy" by ["check"];
    }
}

/// Every metric, in the order of the table.
pub fn catalogue() -> impl Iterator<Item = &'static Metric> {
    LIVE.iter().chain(collected())
}

/// The metrics that a [`Snapshot`](super::Snapshot) shows.
pub fn collected() -> impl Iterator<Item = &'static Metric> {
    COLLECTED.iter().copied()
}

/// The catalogue as a table in Markdown: name as shown, kind, labels, meaning.
pub fn markdown() -> String {
    let mut table = "| metric | kind | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for metric in catalogue() {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels, help) = (metric.shown(), metric.kind, labels.join(", "), metric.help);
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| `{name}` | {kind} | {labels} | {help} |");
    }
    table
}
