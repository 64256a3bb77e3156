//! How much waits at a worker.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::{GAUGES, Level};

/// How much waits at a worker, as it says itself.
#[derive(Debug)]
pub(super) struct Depth {
    queue: AtomicU64,
    waiters: AtomicU64,
    shown: Level,
}

impl Default for Depth {
    fn default() -> Self {
        let shown = Level::new(&GAUGES.group_waiters, 0);
        Self { queue: AtomicU64::new(0), waiters: AtomicU64::new(0), shown }
    }
}

impl Depth {
    /// So many requests wait to be served and so many askers for an answer.
    pub(super) fn set(&self, queue: u64, waiters: u64) {
        self.queue.store(queue, Ordering::Relaxed);
        if self.waiters.swap(waiters, Ordering::Relaxed) != waiters {
            self.shown.set(waiters);
        }
    }

    /// So many requests wait to be served and so many askers for an answer, as was said last.
    pub(super) fn get(&self) -> (u64, u64) {
        (self.queue.load(Ordering::Relaxed), self.waiters.load(Ordering::Relaxed))
    }
}
