//! Every read of the store. The log is the truth: where a log stands is found from its last keys, not from a counter.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::archive::{Kind, Shelf};
use super::cell::EngineCell;
use super::codec::decode;
use super::contract::{
    Halt, Head, KnownId, Order, Page, PageQuery, ProcessRecord, ReadError, SnapshotFile, SnapshotRef,
};
use super::engine::{EngineError, Space};
use super::fencing::Position;
use super::keys;
use super::paging::{Paging, Section, sections};
use crate::ids::{BlobHash, MessageId, ProcessId, Slot};
use crate::process::{Computed, Entry, Origin};

/// Reads what lies in an engine.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub &'a EngineCell);

impl<'a> Reader<'a> {
    /// What is known of a process besides its log.
    pub(super) fn process(self, id: &ProcessId) -> Result<Option<ProcessRecord>, ReadError> {
        self.record(Space::Processes, &keys::process(id), || format!("the record of process {id}"))
    }

    /// At most `limit` processes in order of id, from just after `after`.
    pub(super) fn processes(self, after: Option<&ProcessId>, limit: usize) -> Result<Vec<ProcessRecord>, ReadError> {
        let mut found = Vec::new();
        self.scan(Space::Processes, keys::processes_after(after), Order::Ascending, "a process record", |_, value| {
            found.push(decode(value).map_err(|error| error.to_string())?);
            Ok(found.len() < limit)
        })?;
        found.truncate(limit);
        Ok(found)
    }

    /// Whether `id` is marked as pending.
    pub(super) fn is_marked(self, id: &ProcessId) -> Result<bool, ReadError> {
        let mark = self.get(Space::Pending, &keys::process(id), || format!("the pending mark of process {id}"))?;
        Ok(mark.is_some())
    }

    /// At most `limit` processes that are marked as pending, in order of id, from just after `after`.
    pub(super) fn marked(self, after: Option<&ProcessId>, limit: usize) -> Result<Vec<ProcessId>, ReadError> {
        let mut found = Vec::new();
        self.scan(Space::Pending, keys::processes_after(after), Order::Ascending, "a pending mark", |key, _| {
            let text = std::str::from_utf8(key).map_err(|error| error.to_string())?;
            found.push(ProcessId::parse(text).map_err(|error| error.to_string())?);
            Ok(found.len() < limit)
        })?;
        found.truncate(limit);
        Ok(found)
    }

    /// A counter of [`Space::Meta`]; 0 where it was never written.
    pub(super) fn counter(self, key: &[u8]) -> Result<u64, ReadError> {
        let what = || format!("the counter {:?}", String::from_utf8_lossy(key));
        let value = self.get(Space::Meta, key, what)?;
        let Some(value) = value else { return Ok(0) };
        let bytes = value.try_into().map_err(|_| self.damaged(what(), "it has not 8 bytes"))?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Where the log of `id` stands.
    pub(super) fn position(self, id: &ProcessId) -> Result<Position, ReadError> {
        // In this order, so that a commit in between can't make it seem that more was computed than scheduled.
        let computed = self.last_slot(Space::Outcomes, id)?;
        let scheduled = self.last_slot(Space::Messages, id)?;
        let position = Position { scheduled, computed };
        if position.is_sound() {
            return Ok(position);
        }
        Err(self.damaged(format!("the log of process {id}"), "it has outcomes of slots without messages"))
    }

    /// Where the log of `id` stands, and what belongs to it. Two commits apart at most, where commits go on meanwhile.
    pub(super) fn head(self, id: &ProcessId) -> Result<Option<Head>, ReadError> {
        let Some(record) = self.process(id)? else { return Ok(None) };
        let damaged = |reason| self.damaged(format!("the log of process {id}"), reason);
        let halted: Option<Halt> =
            self.record(Space::Halts, &keys::process(id), || format!("the halt of process {id}"))?;
        let ids_from = self.record(Space::IdsFrom, &keys::process(id), || format!("the ids of process {id}"))?;
        let snapshot = self.snapshots_up_to(id, 1)?.pop();
        let Position { scheduled, computed } = self.position(id)?;
        let scheduled = scheduled.ok_or_else(|| damaged("it has no slot 0"))?;
        let definition = self.last_slot(Space::Definitions, id)?.ok_or_else(|| damaged("it has no definition"))?;
        let last = self.entry(id, scheduled)?.ok_or_else(|| damaged("its last message is gone"))?;
        Ok(Some(Head {
            record,
            scheduled,
            computed,
            definition,
            snapshot,
            halted,
            last_timestamp: last.message.timestamp,
            ids_from: ids_from.unwrap_or(Slot::ZERO),
        }))
    }

    /// The entry of `slot`.
    pub(super) fn entry(self, id: &ProcessId, slot: Slot) -> Result<Option<Entry>, ReadError> {
        self.of_slot(Kind::Message, slot, &mut Shelf::new(self, id))
    }

    /// The outcome of `slot`.
    pub(super) fn computed(self, id: &ProcessId, slot: Slot) -> Result<Option<Computed>, ReadError> {
        self.of_slot(Kind::Outcome, slot, &mut Shelf::new(self, id))
    }

    /// What there is of `slot` in the log of the process of `shelf`, or else on `shelf`.
    pub(super) fn of_slot<T: DeserializeOwned>(
        self,
        kind: Kind,
        slot: Slot,
        shelf: &mut Shelf<'_>,
    ) -> Result<Option<T>, ReadError> {
        let id = shelf.process();
        let what = || match kind {
            Kind::Message => format!("slot {slot} of process {id}"),
            Kind::Outcome => format!("the outcome of slot {slot} of process {id}"),
        };
        if let Some(found) = self.record(space_of(kind), &keys::slot(id, slot), what)? {
            return Ok(Some(found));
        }
        let archived = shelf.value(kind, slot)?.map(decode).transpose();
        archived.map_err(|error| self.damaged(what(), error.to_string()))
    }

    /// A part of the log.
    pub(super) fn entries(self, id: &ProcessId, query: &PageQuery) -> Result<Page<Entry>, ReadError> {
        self.page(Kind::Message, id, query)
    }

    /// A part of the outcomes.
    pub(super) fn outcomes(self, id: &ProcessId, query: &PageQuery) -> Result<Page<Computed>, ReadError> {
        self.page(Kind::Outcome, id, query)
    }

    /// What is remembered of a message id.
    pub(super) fn known_id(
        self,
        id: &ProcessId,
        origin: Origin,
        message: &MessageId,
    ) -> Result<Option<KnownId>, ReadError> {
        let key = keys::message_id(id, origin, message);
        self.record(Space::Ids, &key, || format!("message id {message} of process {id}"))
    }

    /// The blob `hash` of the shard of `id`.
    pub(super) fn blob(self, id: &ProcessId, hash: &BlobHash) -> Result<Option<Vec<u8>>, ReadError> {
        let what = || format!("blob {hash}");
        let bytes = self.get(Space::Blobs, &keys::blob(id, hash), what)?;
        match bytes {
            Some(bytes) if BlobHash::of(&bytes) != *hash => Err(self.damaged(what(), "its bytes do not have its hash")),
            bytes => Ok(bytes),
        }
    }

    /// The snapshots of `id`, newest first.
    pub(super) fn snapshots(self, id: &ProcessId) -> Result<Vec<SnapshotRef>, ReadError> {
        self.snapshots_up_to(id, usize::MAX)
    }

    /// The files that the snapshots of `id` are made from, each once or more.
    pub(super) fn snapshot_files(self, id: &ProcessId) -> Result<Vec<SnapshotFile>, ReadError> {
        Ok(self.snapshots(id)?.into_iter().flat_map(|snapshot| snapshot.files).collect())
    }

    /// The bytes of a snapshot that lies in the store.
    pub(super) fn snapshot_bytes(self, id: &ProcessId, snapshot: &SnapshotRef) -> Result<Vec<u8>, ReadError> {
        let what = || format!("the snapshot of slot {} of process {id}", snapshot.slot);
        let bytes = self.get(Space::SnapshotBytes, &keys::slot(id, snapshot.slot), what)?;
        match bytes {
            Some(bytes) if BlobHash::of(&bytes) == snapshot.hash => Ok(bytes),
            Some(_) => Err(self.damaged(what(), "its bytes do not have its hash")),
            None => Err(self.damaged(what(), "it is gone")),
        }
    }

    fn snapshots_up_to(self, id: &ProcessId, limit: usize) -> Result<Vec<SnapshotRef>, ReadError> {
        let mut found = Vec::new();
        let keys = keys::slots(id, Slot::ZERO, Slot(u64::MAX));
        self.scan(Space::Snapshots, keys, Order::Descending, "a snapshot's reference", |_, value| {
            found.push(decode(value).map_err(|error| error.to_string())?);
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }

    fn last_slot(self, space: Space, id: &ProcessId) -> Result<Option<Slot>, ReadError> {
        let mut last = None;
        let keys = keys::slots(id, Slot::ZERO, Slot(u64::MAX));
        self.scan(space, keys, Order::Descending, "a log", |key, _| {
            last = keys::slot_of(key);
            Ok(false)
        })?;
        Ok(last)
    }

    /// A page of a log, of which an older part may be in archives. Logs have no holes, so a hole is damage, never skipped.
    fn page<T: DeserializeOwned>(self, kind: Kind, id: &ProcessId, query: &PageQuery) -> Result<Page<T>, ReadError> {
        let mut paging = Paging::new(query);
        let what = format!("the log of process {id}");
        if query.first > query.last || query.limit == 0 {
            return Ok(paging.end());
        }
        for section in sections(query, self.archived(id)?) {
            match section {
                Section::Stored(first, last) => {
                    self.scan(space_of(kind), keys::slots(id, first, last), query.order, &what, |key, value| {
                        paging.take(keys::slot_of(key).ok_or("a key has no slot")?, value)
                    })?;
                }
                Section::Archived(first, last) => {
                    let mut shelf = Shelf::new(self, id);
                    let mut next = Some(if query.order == Order::Ascending { first } else { last });
                    while let Some(slot) = next.filter(|slot| (first..=last).contains(slot)) {
                        let value = shelf.value(kind, slot)?;
                        let value = value.ok_or_else(|| self.damaged(what.clone(), format!("slot {slot} is gone")))?;
                        let goes_on = paging.take(slot, value).map_err(|reason| self.damaged(what.clone(), reason))?;
                        next = if goes_on { query.order.after(slot) } else { None };
                    }
                }
            }
            if paging.is_over() {
                break;
            }
        }
        Ok(paging.end())
    }

    /// Whether `key` has a value.
    pub(super) fn has(self, space: Space, key: &[u8]) -> Result<bool, ReadError> {
        Ok(self.get(space, key, || "a key".to_owned())?.is_some())
    }

    /// The data folder.
    pub(super) fn folder(self) -> &'a Path {
        self.0.folder()
    }

    fn get(self, space: Space, key: &[u8], what: impl Fn() -> String) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.with(|engine| engine.get(space, key)).map_err(|error| self.0.read_error(&what(), error))
    }

    pub(super) fn record<T: DeserializeOwned>(
        self,
        space: Space,
        key: &[u8],
        what: impl Fn() -> String,
    ) -> Result<Option<T>, ReadError> {
        let bytes = self.get(space, key, &what)?;
        bytes.map(|bytes| decode(&bytes)).transpose().map_err(|error| self.damaged(what(), error.to_string()))
    }

    /// Calls `visit` with each key and value of a range until it says `false`, or what is wrong.
    pub(super) fn scan(
        self,
        space: Space,
        keys: Range<Vec<u8>>,
        order: Order,
        what: &str,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, String>,
    ) -> Result<(), ReadError> {
        let mut wrong = None;
        let scanned = self.0.with(|engine| {
            engine.range(space, &keys.start..&keys.end, order, &mut |key, value| match visit(key, value) {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => ControlFlow::Break(()),
                Err(reason) => {
                    wrong = Some(reason);
                    ControlFlow::Break(())
                }
            })
        });
        let scanned = scanned.and_then(|()| wrong.map_or(Ok(()), |reason| Err(EngineError::Damaged(reason))));
        scanned.map_err(|error| self.0.read_error(what, error))
    }

    pub(super) fn damaged(self, what: String, reason: impl Into<String>) -> ReadError {
        ReadError::Damaged { folder: self.0.folder().display().to_string(), what, reason: reason.into() }
    }
}

fn space_of(kind: Kind) -> Space {
    match kind {
        Kind::Message => Space::Messages,
        Kind::Outcome => Space::Outcomes,
    }
}
