//! Whether the store takes writes, for whoever asks or waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The store's state.
#[derive(Debug, Default)]
pub(super) struct Health {
    trouble: Mutex<Option<String>>,
    changed: Condvar,
    failures: AtomicU64,
}

impl Health {
    /// From now on writes are taken (`None`), or not for this reason.
    pub(super) fn set(&self, trouble: Option<String>) {
        let mut held = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() && trouble.is_some() {
            self.failures.fetch_add(1, Ordering::Release);
        }
        *held = trouble;
        drop(held);
        self.changed.notify_all();
    }

    /// How often writes were no longer taken.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    /// The reason why writes are not taken.
    pub(super) fn check(&self) -> Result<(), String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    /// Waits until writes are taken, `timeout` at most; whether they are.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(trouble, timeout, |trouble| trouble.is_some());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_none()
    }
}
