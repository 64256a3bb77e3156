//! What a watch counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::process::{EventKind, HostEvent, NameSource};

/// Bucket n holds latencies below 2ⁿ µs; the last holds the rest.
const BUCKETS: usize = 28;

/// The counters of a watch; they only grow.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) received: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) records_lost: AtomicU64,
    pub(super) rescans: AtomicU64,
    pub(super) denied: AtomicU64,
    unresolved: AtomicU64,
    created: AtomicU64,
    renamed: AtomicU64,
    destroyed: AtomicU64,
    latency: [AtomicU64; BUCKETS],
    latency_sum: AtomicU64,
}

impl Counters {
    /// Counts an event that is about to be told.
    pub(super) fn count(&self, event: &HostEvent) {
        let kind = match event.kind {
            EventKind::Created { .. } => &self.created,
            EventKind::Renamed { .. } => &self.renamed,
            EventKind::Destroyed(_) => &self.destroyed,
        };
        add(kind, 1);
        if matches!(event.kind, EventKind::Created { .. }) && event.process.name_source == NameSource::Unknown {
            add(&self.unresolved, 1);
        }
        if let Some(latency) = event.latency {
            let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            let bucket = usize::try_from(u64::BITS - micros.leading_zeros()).unwrap_or(BUCKETS);
            add(&self.latency[bucket.min(BUCKETS - 1)], 1);
            add(&self.latency_sum, micros);
        }
    }

    /// What stands in the counters now.
    pub fn numbers(&self) -> Numbers {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Numbers {
            received: read(&self.received),
            lost: read(&self.lost),
            records_lost: read(&self.records_lost),
            rescans: read(&self.rescans),
            denied: read(&self.denied),
            unresolved: read(&self.unresolved),
            created: read(&self.created),
            renamed: read(&self.renamed),
            destroyed: read(&self.destroyed),
            latency: Latency {
                counts: std::array::from_fn(|n| read(&self.latency[n])),
                sum_us: read(&self.latency_sum),
            },
        }
    }
}

pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// The counters of a watch at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Events that the kernel or `/proc` gave.
    pub received: u64,
    /// Events that the kernel had to drop, or that found the queue full.
    pub lost: u64,
    /// Records of ends that the kernel had to drop: no event is missing, but details of one are.
    pub records_lost: u64,
    /// Times that `/proc` was looked through to make the map right, without the first.
    pub rescans: u64,
    /// Files below `/proc` that could not be read for want of a permission.
    pub denied: u64,
    /// Processes whose creation was told without a name.
    pub unresolved: u64,
    /// Creations told, before the filter.
    pub created: u64,
    /// Changes of name told, before the filter.
    pub renamed: u64,
    /// Ends told, before the filter.
    pub destroyed: u64,
    /// From the kernel's time stamp to the telling.
    pub latency: Latency,
}

/// How latencies are spread, in buckets that double.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    counts: [u64; BUCKETS],
    sum_us: u64,
}

impl Latency {
    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them added.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// Upper bound of each bucket (the last has none), and how many lie in it.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        self.counts.iter().enumerate().map(|(n, count)| {
            let bound = (n + 1 < BUCKETS).then(|| Duration::from_micros(1 << n));
            (bound, *count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{HostPid, HostProcess};

    #[test]
    fn latencies_fall_below_the_bound_of_their_bucket() {
        let counters = Counters::default();
        let latencies = [0, 1, 2, 3, 1000, u64::MAX].map(Duration::from_micros);
        for latency in latencies {
            let process = HostProcess {
                pid: HostPid(1),
                ppid: None,
                name: "unknown".into(),
                name_source: NameSource::Unknown,
                exe: None,
                uid: None,
                start_time: None,
                kernel: false,
            };
            let kind = EventKind::Created { initial: false };
            counters.count(&HostEvent { kind, process, latency: Some(latency) });
        }
        let numbers = counters.numbers();
        assert_eq!((numbers.created, numbers.unresolved, numbers.latency.count()), (6, 6, 6));
        let filled: Vec<_> = numbers.latency.buckets().filter(|(_, count)| *count > 0).collect();
        let micros = |n| Some(Duration::from_micros(n));
        assert_eq!(filled, [(micros(1), 1), (micros(2), 1), (micros(4), 2), (micros(1024), 1), (None, 1)]);
    }
}
