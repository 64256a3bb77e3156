//! The book of crashes of the node's data folder.

use std::sync::Arc;

use crate::config::Config;
use crate::device::crash::{CrashBook, Opening};
use crate::ids::{ProcessId, Slot};
use crate::store::{CrashFile, Store};

/// More threads than the pool's may note for a moment, while one ends as the next begins.
const SPARE: usize = 16;

/// Counts what the last run on the folder of `store` was at if it was not stopped, and opens the book for this one. To be
/// done before anything is computed. Blocks.
pub(super) fn open(config: &Config, store: &Store) -> Arc<CrashBook> {
    // What can't be read is not over, so that its count stays.
    let is_over = |process: &ProcessId, slot: Slot| match store.head(process) {
        Ok(Some(head)) => head.computed >= Some(slot),
        Ok(None) => true,
        Err(_) => false,
    };
    Arc::new(CrashBook::open(Opening {
        sheet: &CrashFile::notes(store.folder()),
        threads: config.workers.compute_threads_max + SPARE,
        max_crashes: config.limits.max_crashes,
        keeper: Box::new(CrashFile::of(store.folder())),
        is_over: &is_over,
    }))
}
