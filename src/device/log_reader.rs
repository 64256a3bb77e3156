//! What a device's runner reads of the log that it computes.

use std::sync::Arc;

use crate::ids::{BlobHash, ProcessId, Slot};
use crate::process::{Computed, Entry, SnapshotRef};

/// Reads one process's log. Errors are texts that name what could not be read and where.
pub trait LogReader: Send + Sync {
    /// The entries of `first..=last`, from the first on without a gap, as many as are handy to read at once.
    fn entries(&self, process: &ProcessId, first: Slot, last: Slot) -> Result<Vec<Entry>, String>;

    /// The outcomes of `first..=last`, in the same way.
    fn outcomes(&self, process: &ProcessId, first: Slot, last: Slot) -> Result<Vec<Computed>, String>;

    /// One entry.
    fn entry(&self, process: &ProcessId, slot: Slot) -> Result<Option<Entry>, String>;

    /// A blob of the process's shard.
    fn blob(&self, process: &ProcessId, hash: BlobHash) -> Result<Option<Arc<[u8]>>, String>;

    /// References to the stored snapshots, newest first.
    fn snapshots(&self, process: &ProcessId) -> Result<Vec<SnapshotRef>, String>;

    /// A snapshot's bytes, verified. A damaged one is an error; the caller takes the one before.
    fn read_snapshot(&self, process: &ProcessId, snapshot: &SnapshotRef) -> Result<Arc<[u8]>, String>;
}
