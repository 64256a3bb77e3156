//! What a runner computes at present, for others to see.

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::thread::{Pid, gettid};
use tokio::time::Instant;

use crate::ids::Slot;
use crate::supervise::AtWork;

/// Says which slot a runner computes for the first time, and since when. Clones share it.
///
/// Slots that are replayed are left out: no limit on time holds for them.
#[derive(Clone, Debug, Default)]
pub struct WorkSign(Arc<Mutex<Option<Begun>>>);

#[derive(Clone, Copy, Debug)]
struct Begun {
    slot: Slot,
    at: Instant,
    compute_time: Option<Duration>,
    thread: Pid,
    /// How long the thread had waited for a core when somebody first looked.
    waited_before: Option<Duration>,
}

impl WorkSign {
    /// The slot that is being computed.
    pub fn read(&self) -> Option<AtWork> {
        let mut begun = self.lock();
        let begun = begun.as_mut()?;
        // On a busy machine a thread of low priority may wait for long, which is no fault of what it computes.
        let waited = waited(begun.thread);
        let before = *begun.waited_before.get_or_insert(waited);
        let time = begun.at.elapsed().saturating_sub(waited.saturating_sub(before));
        Some(AtWork { slot: begun.slot, time, compute_time: begun.compute_time })
    }

    pub(super) fn begin(&self, slot: Slot, compute_time: Option<Duration>) {
        let (at, thread) = (Instant::now(), gettid());
        *self.lock() = Some(Begun { slot, at, compute_time, thread, waited_before: None });
    }

    /// The definition that the slot is computed under turned out to allow so much.
    pub(super) fn allow(&self, compute_time: Duration) {
        if let Some(begun) = &mut *self.lock() {
            begun.compute_time = Some(compute_time);
        }
    }

    pub(super) fn end(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Begun>> {
        // One value, written in one go.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the thread has been ready to run and was not let, since it began; nothing where the system doesn't tell.
fn waited(thread: Pid) -> Duration {
    let text = fs::read_to_string(format!("/proc/self/task/{}/schedstat", thread.as_raw_nonzero()));
    let nanoseconds = text.ok().and_then(|text| text.split_ascii_whitespace().nth(1)?.parse().ok());
    nanoseconds.map_or(Duration::ZERO, Duration::from_nanos)
}
