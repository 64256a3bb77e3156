//! What the tests of the store share.

use std::path::Path;
use std::sync::{Arc, mpsc};

use crate::ids::{BlobHash, Epoch, MessageId, ProcessId, Slot};
use crate::process::{Cause, Computed, DeviceKind, Entry, EntryKind, Message, Origin, Outcome, ProcessOrigin};
use crate::store::contract::{
    Claim, Commit, CommitResult, Durability, Order, PageQuery, ProcessRecord, Record, SnapshotRef, Writer,
};
use crate::store::engine::OpenEngine;
use crate::store::{Fjall, Memory, OpenError, Store, StoreOptions};

/// Both engines, each by its name.
pub(super) fn engines() -> [(&'static str, Arc<dyn OpenEngine>); 2] {
    [("memory", Arc::new(Memory::default())), ("fjall", Arc::new(Fjall))]
}

pub(super) fn try_open(folder: &Path, engine: Arc<dyn OpenEngine>) -> Result<Store, OpenError> {
    Store::open(StoreOptions { data_dir: folder.to_owned(), disk_reserve: 0, engine })
}

pub(super) fn open(folder: &Path, engine: Arc<dyn OpenEngine>) -> Store {
    try_open(folder, engine).unwrap()
}

pub(super) fn id(text: &str) -> ProcessId {
    ProcessId::parse(text).unwrap()
}

pub(super) fn message_id(process: &ProcessId, slot: u64) -> MessageId {
    MessageId::derived(&[process.as_str().as_bytes(), &slot.to_be_bytes()])
}

/// The entry of `slot`; slot 0 is a definition.
pub(super) fn entry(process: &ProcessId, slot: u64) -> Entry {
    let text = |text: &str| text.to_owned();
    Entry {
        slot: Slot(slot),
        origin: if slot == 0 { Origin::Node } else { Origin::Client },
        kind: if slot == 0 { EntryKind::Definition } else { EntryKind::Message },
        message: Message {
            id: message_id(process, slot),
            from: text("local"),
            owner: text("local"),
            target: process.to_string(),
            anchor: String::new(),
            tags: Vec::new(),
            data: format!("{process} {slot}"),
            timestamp: 1000 + slot,
        },
        mark: None,
        push: None,
    }
}

pub(super) fn computed(slot: u64) -> Computed {
    let outcome = Outcome { gas_used: slot, ..Outcome::empty() };
    Computed { slot: Slot(slot), definition: Slot(0), cause: Cause::Success, outcome }
}

pub(super) fn record(process: &ProcessId) -> ProcessRecord {
    ProcessRecord { id: process.clone(), origin: ProcessOrigin::Api, device: DeviceKind::Lua, created: 1000 }
}

/// A commit of `records` onto a log that stands at these slots.
pub(super) fn commit_of(
    process: &ProcessId,
    epoch: Epoch,
    (scheduled, computed): (Option<u64>, Option<u64>),
    records: Vec<Record>,
) -> Commit {
    let (scheduled, computed) = (scheduled.map(Slot), computed.map(Slot));
    let (process, writer) = (process.clone(), Writer::Worker(epoch));
    Commit { process, writer, scheduled, computed, records, durability: Durability::Sync }
}

/// A commit of what lies beside the log of `process`, by whoever keeps it.
pub(super) fn keeping(process: &ProcessId, records: Vec<Record>) -> Commit {
    let (process, writer) = (process.clone(), Writer::Keeper);
    Commit { process, writer, scheduled: None, computed: None, records, durability: Durability::Sync }
}

/// The commit that creates `process`.
pub(super) fn creation(process: &ProcessId, epoch: Epoch) -> Commit {
    commit_of(process, epoch, (None, None), vec![Record::Process(record(process)), Record::Entry(entry(process, 0))])
}

pub(super) fn try_claim(store: &Store, process: &ProcessId) -> Result<Claim, String> {
    let (sender, receiver) = mpsc::channel();
    store.claim(process, move |answer| sender.send(answer).unwrap());
    receiver.recv().unwrap()
}

pub(super) fn claim(store: &Store, process: &ProcessId) -> Claim {
    try_claim(store, process).unwrap()
}

pub(super) fn commit(store: &Store, commit: Commit) -> CommitResult {
    let (sender, receiver) = mpsc::channel();
    store.commit(commit, move |answer| sender.send(answer).unwrap());
    receiver.recv().unwrap()
}

pub(super) fn flush(store: &Store) -> Result<(), String> {
    let (sender, receiver) = mpsc::channel();
    store.flush(move |answer| sender.send(answer).unwrap());
    receiver.recv().unwrap()
}

/// Creates `process` with messages in the slots up to `last`, none computed, and returns the epoch that holds it.
pub(super) fn create(store: &Store, process: &ProcessId, last: u64) -> Epoch {
    let epoch = claim(store, process).epoch;
    assert_eq!(commit(store, creation(process, epoch)), CommitResult::Committed);
    for slot in 1..=last {
        let one = commit_of(process, epoch, (Some(slot - 1), None), vec![Record::Entry(entry(process, slot))]);
        assert_eq!(commit(store, one), CommitResult::Committed);
    }
    epoch
}

/// The reference to a snapshot that lies in the store.
pub(super) fn snapshot_ref(slot: u64, bytes: &[u8]) -> SnapshotRef {
    let (hash, size) = (BlobHash::of(bytes), bytes.len() as u64);
    SnapshotRef { slot: Slot(slot), definition: Slot(0), hash, size, files: Vec::new() }
}

pub(super) fn page(first: u64, last: u64, limit: usize, order: Order) -> PageQuery {
    PageQuery { first: Slot(first), last: Slot(last), limit, bytes: u64::MAX, order }
}

/// The slots of the whole log that `store` holds of `process`.
pub(super) fn slots(store: &Store, process: &ProcessId) -> Vec<u64> {
    let page = store.entries(process, &page(0, u64::MAX, usize::MAX, Order::Ascending)).unwrap();
    page.items.iter().map(|entry| entry.slot.0).collect()
}
