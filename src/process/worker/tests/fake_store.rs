//! A store in memory that does with a commit what the real one does, or fails as it is told to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::ids::{BlobHash, Epoch, MessageId, Slot};
use crate::process::worker::{Found, History, OldId};
use crate::process::{
    Claim, Commit, CommitResult, Computed, Definition, Durability, Entry, EntryKind, Halt, Head, KnownId, Mark,
    MarkPosition, MarkSource, Origin, OutboxKey, ProcessRecord, Record, SnapshotRef, Writer,
};

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Taken,
    Refused,
    /// The answer is unknown; the records are there.
    UnknownKept,
    /// The answer is unknown; neither the records are there nor what followed the last sync.
    UnknownLost,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    pub(super) record: Option<ProcessRecord>,
    pub(super) entries: Vec<Entry>,
    pub(super) outcomes: Vec<Computed>,
    pub(super) halted: Option<Halt>,
    /// Newest first.
    pub(super) snapshots: Vec<SnapshotRef>,
    pub(super) blobs: HashMap<BlobHash, Arc<[u8]>>,
    pub(super) ids: BTreeMap<(Origin, MessageId), KnownId>,
    pub(super) ids_from: u64,
    pub(super) marks: HashMap<MarkSource, MarkPosition>,
    pub(super) outbox: BTreeSet<OutboxKey>,
    pub(super) cursor: Option<String>,
}

impl Data {
    pub(super) fn scheduled(&self) -> Option<Slot> {
        self.entries.last().map(|entry| entry.slot)
    }

    pub(super) fn computed(&self) -> Option<Slot> {
        self.outcomes.last().map(|outcome| outcome.slot)
    }

    pub(super) fn outcome(&self, slot: Slot) -> Option<&Computed> {
        self.outcomes.get(slot.0 as usize)
    }

    pub(super) fn definition(&self) -> Option<(Slot, Definition)> {
        let entry = self.entries.iter().rfind(|entry| entry.kind == EntryKind::Definition)?;
        Some((entry.slot, serde_json::from_str(&entry.message.data).unwrap()))
    }

    /// Whether the outcomes are there that a halt or a snapshot comes after.
    fn bears(&self, record: &Record) -> bool {
        match record {
            Record::Halted(Some(halt)) => halt.slot == Slot::after(self.computed()),
            Record::Snapshot(snapshot, _) => Some(snapshot.slot) <= self.computed(),
            _ => true,
        }
    }

    fn apply(&mut self, record: &Record) {
        match record {
            Record::Process(record) => {
                assert!(self.record.is_none(), "a process is created once");
                self.record = Some(record.clone());
            }
            Record::Entry(entry) => {
                assert!(self.record.is_some(), "an entry has a process");
                assert_eq!(entry.slot, Slot::after(self.scheduled()), "entries are dense");
                assert!(self.entries.last().is_none_or(|last| last.message.timestamp <= entry.message.timestamp));
                let known = KnownId {
                    slot: entry.slot,
                    content: BlobHash(entry.message.content_hash()),
                    timestamp: entry.message.timestamp,
                };
                if let Some(Mark { source, position }) = &entry.mark {
                    let before = self.marks.insert(source.clone(), *position);
                    assert!(before < Some(*position), "marks rise");
                } else {
                    self.ids.insert((entry.origin, entry.message.id.clone()), known);
                }
                self.entries.push(entry.clone());
            }
            Record::Computed(computed) => {
                assert_eq!(computed.slot, Slot::after(self.computed()), "outcomes are dense");
                assert!(Some(computed.slot) <= self.scheduled(), "an outcome has a message");
                assert!(Some(computed.definition) <= self.scheduled(), "an outcome has a definition");
                self.outbox.extend(computed.outbox().map(|(key, _)| key));
                self.outcomes.push(computed.clone());
            }
            Record::Blob(hash, bytes) => {
                self.blobs.insert(*hash, bytes.clone());
            }
            Record::Halted(Some(halt)) => {
                assert!(self.bears(record), "a process halts before the next slot to compute");
                assert!(Some(halt.slot) <= self.scheduled(), "a process halts before a message");
                let under = halt.resumed.map(|under| self.entries.get(under.0 as usize).map(|entry| entry.kind));
                assert!(matches!(under, None | Some(Some(EntryKind::Definition))), "it resumes under a definition");
                self.halted = Some(halt.clone());
            }
            Record::Halted(None) => self.halted = None,
            Record::Snapshot(snapshot, bytes) => {
                assert!(self.bears(record), "a snapshot comes after the outcomes up to it");
                assert_eq!(snapshot.is_filed(), bytes.is_none(), "a snapshot lies in one place");
                let bases = snapshot.files.split_last().map_or(&[] as &[_], |(_, bases)| bases);
                let is_kept = |file| self.snapshots.iter().any(|kept| kept.files.contains(file));
                assert!(bases.iter().all(is_kept), "a snapshot stands on what is kept");
                self.snapshots.insert(0, snapshot.clone());
                self.blobs.extend(bytes.iter().map(|bytes| (snapshot.hash, bytes.clone())));
            }
            Record::DropSnapshot(snapshot) => self.snapshots.retain(|kept| kept != snapshot),
            Record::ForgetId(origin, id, slot) => {
                self.ids.remove(&(*origin, id.clone()));
                self.ids_from = slot.0 + 1;
                assert!(self.ids.values().all(|known| known.slot > *slot), "no older id is left behind");
            }
            Record::IdsPassed(slot) => {
                self.ids_from = slot.0 + 1;
                assert!(self.ids.values().all(|known| known.slot > *slot), "no older id is left behind");
            }
            Record::Mark(source, position) => {
                self.marks.insert(source.clone(), *position);
            }
            Record::DropMark(source) => {
                self.marks.remove(source);
            }
            Record::CronCursor(cursor) => self.cursor = cursor.clone(),
            Record::Sent(key) => {
                self.outbox.remove(key);
            }
            other => panic!("no worker writes {other:?}"),
        }
    }
}

/// What is there now, and what a crash leaves of it.
#[derive(Debug, Default)]
pub(super) struct FakeStore {
    pub(super) data: Data,
    pub(super) synced: Data,
    unsynced: Vec<Record>,
    epoch: u64,
    /// Whether something of this epoch was refused, so that what was built on it need not fit.
    has_gap: bool,
}

impl FakeStore {
    pub(super) fn claim(&mut self, wanted: Option<Definition>) -> Found {
        self.epoch += 1;
        self.has_gap = false;
        let data = &self.data;
        let definition = data.definition();
        let head = definition.as_ref().map(|(slot, _)| Head {
            record: data.record.clone().unwrap(),
            scheduled: data.scheduled().unwrap(),
            computed: data.computed(),
            definition: *slot,
            snapshot: data.snapshots.first().cloned(),
            halted: data.halted.clone(),
            last_timestamp: data.entries.last().unwrap().message.timestamp,
            ids_from: Slot(data.ids_from),
        });
        let definition = definition.map(|(_, definition)| definition);
        Found {
            claim: Claim { epoch: Epoch(self.epoch), head },
            wanted: definition.clone().map(|last| wanted.unwrap_or(last)),
            definition,
            in_force: data.outcomes.last().map_or(Slot::ZERO, |last| last.definition),
            snapshots: data.snapshots.clone(),
            is_retired: false,
            outbox: data.outbox.len() as u64,
            cron_cursor: data.cursor.clone(),
        }
    }

    /// Whoever holds the process holds it no longer.
    pub(super) fn fence(&mut self) {
        self.epoch += 1;
    }

    /// What was not synced is lost.
    pub(super) fn lose_power(&mut self) {
        self.data = self.synced.clone();
        self.unsynced.clear();
    }

    /// Somebody delivered the first `items` of the outbox and wrote it down. Says how many there were.
    pub(super) fn deliver(&mut self, items: usize) -> u64 {
        let keys: Vec<_> = self.data.outbox.iter().take(items).copied().collect();
        for key in &keys {
            self.data.apply(&Record::Sent(*key));
            self.unsynced.push(Record::Sent(*key));
        }
        // Its commit is synced, and by it everything before.
        self.unsynced.drain(..).for_each(|record| self.synced.apply(&record));
        keys.len() as u64
    }

    pub(super) fn commit(&mut self, commit: &Commit, fate: Fate) -> CommitResult {
        let has = |kind: fn(&Record) -> bool| commit.records.iter().any(kind);
        let is_displaced = (has(|record| matches!(record, Record::Entry(_)))
            && commit.scheduled != self.data.scheduled())
            || (has(|record| matches!(record, Record::Computed(_))) && commit.computed != self.data.computed());
        let is_without_base = self.has_gap && !commit.records.iter().all(|record| self.data.bears(record));
        let is_held = commit.writer == Writer::Worker(Epoch(self.epoch));
        if !is_held || is_displaced || is_without_base {
            return CommitResult::Fenced;
        }
        match fate {
            Fate::Refused => {
                self.has_gap = true;
                return CommitResult::Refused("the disk is full".to_owned());
            }
            Fate::UnknownLost => {
                self.lose_power();
                self.fence();
                return CommitResult::Unknown("the sync failed".to_owned());
            }
            Fate::Taken | Fate::UnknownKept => {}
        }
        commit.records.iter().for_each(|record| self.data.apply(record));
        self.unsynced.extend(commit.records.iter().cloned());
        if commit.durability == Durability::Sync || fate == Fate::UnknownKept {
            self.unsynced.drain(..).for_each(|record| self.synced.apply(&record));
        }
        if fate == Fate::Taken {
            return CommitResult::Committed;
        }
        self.fence();
        CommitResult::Unknown("the sync failed".to_owned())
    }
}

impl History for FakeStore {
    fn known_id(&self, origin: Origin, id: &MessageId) -> Result<Option<KnownId>, String> {
        Ok(self.data.ids.get(&(origin, id.clone())).cloned())
    }

    fn ids_from(&self, first: Slot, limit: usize) -> Result<Vec<OldId>, String> {
        Ok(self.data.entries.iter().skip(first.0 as usize).take(limit).map(OldId::of).collect())
    }

    fn mark(&self, source: &MarkSource) -> Result<Option<MarkPosition>, String> {
        Ok(self.data.marks.get(source).copied())
    }
}
