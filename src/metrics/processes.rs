//! What is counted for each hosted process, within bounds.
//!
//! A worker holds a [`Meter`] of its process. As many processes as [`Processes`] was made for have numbers of their own; the
//! others share those of [`OTHER`], for as long as their worker lives. Nothing is ever moved from one to the other, so what
//! each shows only grows, and growth over all processes is the sum of what is shown. A process whose worker ended keeps its
//! numbers for a while, so that a scrape still sees the last of them; if it comes back later, it begins at zero.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::catalogue::{
    COMPUTE_TIME, MESSAGES_SCHEDULED, OUTCOME_TIME, QUEUE, SLOTS_COMPUTED, SLOTS_FAILED, SNAPSHOT_SIZE, STATE_SIZE,
    THROUGHPUT,
};
use super::{Metric, Snapshot};
use crate::ids::ProcessId;
use crate::stats::Labels;

#[cfg(test)]
mod tests;

/// The label `process` of those that share their numbers. No process can be called so.
pub const OTHER: &str = "~other";

/// How many series a process has.
pub const SERIES_PER_PROCESS: usize = 9;

#[derive(Debug, Default)]
struct Numbers {
    scheduled: AtomicU64,
    computed: AtomicU64,
    failed: AtomicU64,
    compute_nanos: AtomicU64,
    outcome_nanos: AtomicU64,
    queue: AtomicU64,
    state: AtomicU64,
    snapshot: AtomicU64,
}

/// Counts for one process as long as its worker lives. What it says about the present is taken back when it is dropped.
#[derive(Debug)]
pub struct Meter {
    numbers: Arc<Numbers>,
    queue: u64,
    state: u64,
    snapshot: u64,
}

impl Meter {
    /// A message was given a slot.
    pub fn scheduled(&self) {
        add(&self.numbers.scheduled, 1);
    }

    /// Slots were computed, some of which failed, in `time` altogether.
    pub fn computed(&self, slots: u64, failed: u64, time: Duration) {
        add(&self.numbers.computed, slots);
        add(&self.numbers.failed, failed);
        add(&self.numbers.compute_nanos, nanos(time));
    }

    /// The outcome of a slot came this long after the slot was scheduled.
    pub fn outcome_after(&self, time: Duration) {
        add(&self.numbers.outcome_nanos, nanos(time));
    }

    /// So many messages wait.
    pub fn set_queue(&mut self, messages: u64) {
        change(&self.numbers.queue, &mut self.queue, messages);
    }

    /// The state has so many bytes.
    pub fn set_state(&mut self, bytes: u64) {
        change(&self.numbers.state, &mut self.state, bytes);
    }

    /// The newest snapshot has so many bytes.
    pub fn set_snapshot(&mut self, bytes: u64) {
        change(&self.numbers.snapshot, &mut self.snapshot, bytes);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.set_queue(0);
        self.set_state(0);
        self.set_snapshot(0);
    }
}

/// The numbers of all processes.
#[derive(Debug)]
pub struct Processes {
    max: usize,
    own: Mutex<HashMap<ProcessId, Entry>>,
    /// Once a process had no room.
    other: Mutex<Option<Entry>>,
}

#[derive(Debug)]
struct Entry {
    labels: Labels,
    numbers: Arc<Numbers>,
    /// How many slots were computed up to the collection before.
    computed: u64,
    /// How many were computed per second between the last two collections.
    throughput: f64,
    /// Collections since a worker was last there.
    left: u64,
}

impl Entry {
    fn new(process: &str) -> Self {
        // A process id is no longer than a label's value may be, and of letters that need no escape.
        let labels = Labels::from_pairs([("process".to_owned(), process.to_owned())]).unwrap_or_default();
        Self { labels, numbers: Arc::default(), computed: 0, throughput: 0.0, left: 0 }
    }

    fn settle(&mut self, since: Duration) {
        let computed = self.numbers.computed.load(Ordering::Relaxed);
        let (grown, seconds) = ((computed - self.computed) as f64, since.as_secs_f64());
        self.throughput = if seconds > 0.0 { grown / seconds } else { 0.0 };
        self.computed = computed;
    }
}

impl Processes {
    /// Room for at most `max` processes with numbers of their own.
    pub fn new(max: usize) -> Self {
        Self { max, own: Mutex::default(), other: Mutex::default() }
    }

    /// A meter for a process: of its own numbers, or of the shared ones when there is no room.
    pub fn meter(&self, process: &ProcessId) -> Meter {
        let mut own = locked(&self.own);
        let has_room = own.len() < self.max || own.contains_key(process);
        let numbers = if has_room {
            Arc::clone(&own.entry(process.clone()).or_insert_with(|| Entry::new(process.as_str())).numbers)
        } else {
            Arc::clone(&locked(&self.other).get_or_insert_with(|| Entry::new(OTHER)).numbers)
        };
        Meter { numbers, queue: 0, state: 0, snapshot: 0 }
    }

    /// Ends a collection, `since` being the time since the one before: throughputs are reckoned, and the numbers of a process
    /// that has had no worker for more than `dead_after` collections are forgotten.
    pub fn settle(&self, since: Duration, dead_after: u64) {
        let mut own = locked(&self.own);
        own.retain(|_, entry| {
            // Meters are given out under the lock, so nobody else can get hold of the numbers now.
            let is_left = Arc::strong_count(&entry.numbers) == 1;
            entry.left = if is_left { entry.left + 1 } else { 0 };
            entry.left <= dead_after
        });
        own.values_mut().for_each(|entry| entry.settle(since));
        drop(own);
        if let Some(other) = &mut *locked(&self.other) {
            other.settle(since);
        }
    }

    /// Writes the numbers of every process into a snapshot, as they stand now.
    pub fn show(&self, snapshot: &mut Snapshot) {
        locked(&self.own).values().for_each(|entry| write(snapshot, entry));
        locked(&self.other).iter().for_each(|entry| write(snapshot, entry));
    }
}

impl Collector for Processes {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut snapshot = Snapshot::default();
        self.show(&mut snapshot);
        snapshot.encode(encoder)
    }
}

fn write(snapshot: &mut Snapshot, entry: &Entry) {
    let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let numbers = &entry.numbers;
    let values: [(&'static Metric, f64); SERIES_PER_PROCESS] = [
        (&MESSAGES_SCHEDULED, read(&numbers.scheduled) as f64),
        (&SLOTS_COMPUTED, read(&numbers.computed) as f64),
        (&SLOTS_FAILED, read(&numbers.failed) as f64),
        (&COMPUTE_TIME, read(&numbers.compute_nanos) as f64 / 1e9),
        (&OUTCOME_TIME, read(&numbers.outcome_nanos) as f64 / 1e9),
        (&QUEUE, read(&numbers.queue) as f64),
        (&STATE_SIZE, read(&numbers.state) as f64),
        (&SNAPSHOT_SIZE, read(&numbers.snapshot) as f64),
        (&THROUGHPUT, entry.throughput),
    ];
    for (metric, value) in values {
        snapshot.set(metric, &entry.labels, value);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Numbers are right after each step, whoever died between two.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(number: &AtomicU64, by: u64) {
    number.fetch_add(by, Ordering::Relaxed);
}

/// Puts the difference to what this meter said before into a number that others may share.
fn change(number: &AtomicU64, said: &mut u64, now: u64) {
    number.fetch_add(now.wrapping_sub(*said), Ordering::Relaxed);
    *said = now;
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
