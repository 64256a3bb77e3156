//! One process's log in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::made;
use crate::config::limits::Limits;
use crate::device::{LogReader, Seat};
use crate::ids::{BlobHash, MessageId, ProcessId, Slot};
use crate::process::worker::Base;
use crate::process::{
    Cause, Computed, Definition, DeviceKind, Entry, EntryKind, ErrorStrategy, Message, Origin, Outcome, SnapshotRef,
};

/// So many records are read at once.
const CHUNK: usize = 3;

/// A seat that nobody else wants.
pub(super) struct Regular;

impl Seat for Regular {
    fn has_overrun(&self) -> bool {
        false
    }
}

#[derive(Default)]
pub(super) struct Records {
    pub(super) entries: Vec<Entry>,
    pub(super) outcomes: Vec<Computed>,
    pub(super) blobs: HashMap<BlobHash, Arc<[u8]>>,
    /// Newest first.
    pub(super) snapshots: Vec<(SnapshotRef, Arc<[u8]>)>,
    /// Those of them that can't be read.
    pub(super) unreadable: Vec<Slot>,
    /// How often anything was read.
    pub(super) reads: usize,
}

/// The log of one process, whichever is asked for.
#[derive(Default)]
pub(super) struct MemoryLog(Mutex<Records>);

pub(super) fn process() -> ProcessId {
    ProcessId::parse("tried").unwrap()
}

pub(super) fn message(number: u64, data: &str) -> Message {
    Message {
        id: MessageId::derived(&[&number.to_le_bytes()]),
        from: "local".to_owned(),
        owner: "local".to_owned(),
        target: process().to_string(),
        anchor: String::new(),
        tags: Vec::new(),
        data: data.to_owned(),
        timestamp: 1_700_000_000_000 + number,
    }
}

pub(super) fn definition(source: &str, error_strategy: ErrorStrategy) -> Definition {
    let limits = Limits { gas: 20_000, ..Limits::default() };
    Definition { error_strategy, ..made::definition(DeviceKind::Lua, "any", source.as_bytes(), &limits) }
}

impl MemoryLog {
    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap()
    }

    /// Puts a definition into the next slot.
    pub(super) fn define(&self, source: &str, error_strategy: ErrorStrategy) {
        let json = serde_json::to_string(&definition(source, error_strategy)).unwrap();
        self.push(EntryKind::Definition, &json);
        self.records().blobs.insert(BlobHash::of(source.as_bytes()), source.as_bytes().into());
    }

    /// Puts a message into the next slot.
    pub(super) fn send(&self, data: &str) {
        self.push(EntryKind::Message, data);
    }

    fn push(&self, kind: EntryKind, data: &str) {
        let mut records = self.records();
        let slot = records.entries.len() as u64;
        let origin = if kind == EntryKind::Message { Origin::Client } else { Origin::Node };
        records.entries.push(Entry { origin, kind, ..Entry::of_client(Slot(slot), message(slot, data)) });
    }

    /// Records a success without output for the next slot.
    pub(super) fn succeed(&self) {
        let mut records = self.records();
        let slot = Slot(records.outcomes.len() as u64);
        let outcome = Outcome::empty();
        records.outcomes.push(Computed { slot, definition: Slot::ZERO, cause: Cause::Success, outcome });
    }

    /// Keeps a snapshot.
    pub(super) fn keep(&self, base: &Base) {
        let (hash, size) = (BlobHash::of(&base.snapshot), base.snapshot.len() as u64);
        let reference = SnapshotRef { slot: base.slot, definition: base.definition, hash, size, files: Vec::new() };
        self.records().snapshots.insert(0, (reference, base.snapshot.clone()));
    }

    /// The last slot with an outcome.
    pub(super) fn computed(&self) -> Option<Slot> {
        self.records().outcomes.last().map(|last| last.slot)
    }
}

fn chunk<T: Clone>(all: &[T], first: Slot, last: Slot) -> Vec<T> {
    let from = all.iter().skip(first.0 as usize);
    from.take(last.0.saturating_add(1).saturating_sub(first.0) as usize).take(CHUNK).cloned().collect()
}

impl LogReader for MemoryLog {
    fn entries(&self, _: &ProcessId, first: Slot, last: Slot) -> Result<Vec<Entry>, String> {
        let mut records = self.records();
        records.reads += 1;
        Ok(chunk(&records.entries, first, last))
    }

    fn outcomes(&self, _: &ProcessId, first: Slot, last: Slot) -> Result<Vec<Computed>, String> {
        let mut records = self.records();
        records.reads += 1;
        Ok(chunk(&records.outcomes, first, last))
    }

    fn entry(&self, _: &ProcessId, slot: Slot) -> Result<Option<Entry>, String> {
        let mut records = self.records();
        records.reads += 1;
        Ok(records.entries.get(slot.0 as usize).cloned())
    }

    fn blob(&self, _: &ProcessId, hash: BlobHash) -> Result<Option<Arc<[u8]>>, String> {
        let mut records = self.records();
        records.reads += 1;
        Ok(records.blobs.get(&hash).cloned())
    }

    fn snapshots(&self, _: &ProcessId) -> Result<Vec<SnapshotRef>, String> {
        let mut records = self.records();
        records.reads += 1;
        Ok(records.snapshots.iter().map(|(reference, _)| reference.clone()).collect())
    }

    fn read_snapshot(&self, _: &ProcessId, snapshot: &SnapshotRef) -> Result<Arc<[u8]>, String> {
        let mut records = self.records();
        records.reads += 1;
        let is_there = |reference: &SnapshotRef| reference == snapshot && !records.unreadable.contains(&snapshot.slot);
        let found = records.snapshots.iter().find(|(reference, _)| is_there(reference));
        found.map(|(_, bytes)| bytes.clone()).ok_or_else(|| "it is damaged".to_owned())
    }
}
