//! The store as devices' runners read it.

use std::sync::Arc;

use super::contract::{Order, PageQuery, SnapshotRef};
use super::store::Store;
use crate::device::LogReader;
use crate::ids::{BlobHash, ProcessId, Slot};
use crate::process::{Computed, Entry};

/// What is read at once, in records and bytes.
const CHUNK: (usize, u64) = (256, 1 << 20);

fn chunk(first: Slot, last: Slot) -> PageQuery {
    PageQuery { first, last, limit: CHUNK.0, bytes: CHUNK.1, order: Order::Ascending }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

impl LogReader for Store {
    fn entries(&self, process: &ProcessId, first: Slot, last: Slot) -> Result<Vec<Entry>, String> {
        Store::entries(self, process, &chunk(first, last)).map(|page| page.items).map_err(text)
    }

    fn outcomes(&self, process: &ProcessId, first: Slot, last: Slot) -> Result<Vec<Computed>, String> {
        Store::outcomes(self, process, &chunk(first, last)).map(|page| page.items).map_err(text)
    }

    fn entry(&self, process: &ProcessId, slot: Slot) -> Result<Option<Entry>, String> {
        Store::entry(self, process, slot).map_err(text)
    }

    fn blob(&self, process: &ProcessId, hash: BlobHash) -> Result<Option<Arc<[u8]>>, String> {
        Store::blob(self, process, &hash).map(|bytes| bytes.map(Arc::from)).map_err(text)
    }

    fn snapshots(&self, process: &ProcessId) -> Result<Vec<SnapshotRef>, String> {
        Store::snapshots(self, process).map_err(text)
    }

    fn read_snapshot(&self, process: &ProcessId, snapshot: &SnapshotRef) -> Result<Arc<[u8]>, String> {
        Store::read_snapshot(self, process, snapshot).map(Arc::from).map_err(text)
    }
}
