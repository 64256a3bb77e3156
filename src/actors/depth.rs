//! How much waits at a worker.

use std::sync::atomic::{AtomicU64, Ordering};

/// How much waits at a worker, as it says itself.
#[derive(Debug, Default)]
pub(super) struct Depth {
    queue: AtomicU64,
    waiters: AtomicU64,
}

impl Depth {
    /// So many requests wait to be served and so many askers for an answer.
    pub(super) fn set(&self, queue: u64, waiters: u64) {
        self.queue.store(queue, Ordering::Relaxed);
        self.waiters.store(waiters, Ordering::Relaxed);
    }

    /// So many requests wait to be served and so many askers for an answer, as was said last.
    pub(super) fn get(&self) -> (u64, u64) {
        (self.queue.load(Ordering::Relaxed), self.waiters.load(Ordering::Relaxed))
    }
}
