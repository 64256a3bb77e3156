//! What a worker wants written and what it is told: the records, the commit, its answers.
//!
//! `commit(process, writer, expected, records)` is the whole of writing. A commit belongs to one process and so to one of
//! the 256 logical shards; none spans two. That, the epochs and the expected slots are what an engine on several machines
//! would need too.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::definition::{DeviceKind, ProcessOrigin};
use super::mark::{MarkPosition, MarkSource};
use super::message::{Entry, Origin};
use super::monitor::MonitorRecord;
use super::outbox::{DeadLetter, OutboxItem, OutboxKey};
use super::outcome::Computed;
use crate::clock::Millis;
use crate::ids::{BlobHash, Epoch, MessageId, ProcessId, Slot};

/// What is known of a process besides its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Its id.
    pub id: ProcessId,
    /// Where it comes from.
    pub origin: ProcessOrigin,
    /// The kind of its device, which never changes.
    pub device: DeviceKind,
    /// When it was created.
    pub created: Millis,
}

/// A process that stands still before a slot until an operator resumes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// The slot that failed.
    pub slot: Slot,
    /// What its handler said.
    pub error: String,
    /// The definition slot under which an operator wants it tried again; while this is there the process goes on.
    #[serde(default)]
    pub resumed: Option<Slot>,
}

/// Where a snapshot is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// The slot after which the state was this.
    pub slot: Slot,
    /// The definition slot in force.
    pub definition: Slot,
    /// BLAKE3 of the bytes.
    pub hash: BlobHash,
    /// Their number.
    pub size: u64,
    /// The files of the snapshot folder that they are made from: a full one, then each one on the base of the one before it,
    /// its own at the end. None: they lie in the store.
    pub files: Vec<SnapshotFile>,
}

impl SnapshotRef {
    /// Snapshots of fewer bytes lie in the store itself.
    pub const INLINE_BELOW: usize = 64 << 10;

    /// At most so many files stand on a full one, each on the one before it.
    pub const DELTAS_MAX: usize = 8;

    /// Whether the bytes are in files.
    pub fn is_filed(&self) -> bool {
        !self.files.is_empty()
    }
}

/// A file of the snapshot folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFile {
    /// The slot whose state it holds.
    pub slot: Slot,
    /// What it is known by: a hash that covers all of it.
    pub seal: BlobHash,
    /// Its length in bytes.
    pub length: u64,
    /// The length of the state in bytes.
    pub state: u64,
}

/// A file of the archive folder: a stretch of a log that need not lie in the store any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveRef {
    /// Its first slot.
    pub first: Slot,
    /// Its last slot. Every one in between is there, definitions too.
    pub last: Slot,
    /// What it is known by: a hash that covers all of it.
    pub seal: BlobHash,
    /// Its length in bytes.
    pub length: u64,
    /// The length of its index, which ends it, in bytes.
    pub index: u64,
}

/// Where a process's log stands, as far as it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The process.
    pub record: ProcessRecord,
    /// The last slot that has a message.
    pub scheduled: Slot,
    /// The last slot that has an outcome.
    pub computed: Option<Slot>,
    /// The last slot that holds a definition.
    pub definition: Slot,
    /// The newest snapshot.
    pub snapshot: Option<SnapshotRef>,
    /// Whether it stands still.
    pub halted: Option<Halt>,
    /// The time of the last message.
    pub last_timestamp: Millis,
    /// The first slot whose id may still be in the index; ids of earlier slots were forgotten.
    pub ids_from: Slot,
}

/// What a worker is given when it takes a process over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its epoch. Whoever held an earlier one is fenced from here on.
    pub epoch: Epoch,
    /// Where the log stands after every commit that was handed in before the claim; `None`: there is no such process.
    pub head: Option<Head>,
}

/// A known message id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownId {
    /// The slot it has.
    pub slot: Slot,
    /// [`Message::content_hash`](crate::process::Message::content_hash) of the message it was first used for.
    pub content: BlobHash,
    /// When that was.
    pub timestamp: Millis,
}

/// One thing to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A new process. Comes with its slot 0 in one commit.
    Process(ProcessRecord),
    /// The entry of the next slot. Its id goes into the index, or its mark is the last of its source; the process becomes
    /// pending.
    Entry(Entry),
    /// The outcome of the next slot to compute. What it sends goes into the outbox. The process is no longer pending once
    /// every slot has one.
    Computed(Computed),
    /// A value by its hash, in the process's shard. Writing a known one is harmless.
    Blob(BlobHash, Arc<[u8]>),
    /// The process halts, or goes on.
    Halted(Option<Halt>),
    /// A snapshot whose bytes are in a file that is on disk already (`file`), or else are these.
    Snapshot(SnapshotRef, Option<Arc<[u8]>>),
    /// A snapshot that is no longer kept; one of the same slot in the same commit takes its place. Its file is removed after
    /// the commit, unless another snapshot is made from it.
    DropSnapshot(SnapshotRef),
    /// The slots of this file, which is on disk and continues the archived part of the log, may leave the store.
    Archived(ArchiveRef),
    /// The message and the outcome of an archived slot, which is no definition, leave the store.
    DropArchived(Slot),
    /// The id of this message is no longer remembered, nor that of any slot before.
    ForgetId(Origin, MessageId, Slot),
    /// No id of this slot and of those before it is remembered; nothing is left to forget.
    IdsPassed(Slot),
    /// Marked messages of this source count from after this position on.
    Mark(MarkSource, MarkPosition),
    /// No position of this source is remembered any more.
    DropMark(MarkSource),
    /// How far the ticks of the process's cron entries were handled, as the text of a [`Cursor`](crate::cron::Cursor);
    /// `None`: its definition has no entries.
    CronCursor(Option<String>),
    /// This item of the outbox is delivered or given up. Harmless if it is not there.
    Sent(OutboxKey),
    /// An item of the outbox that no stored outcome stands for.
    Outbox(OutboxKey, OutboxItem),
    /// What could not be delivered.
    DeadLetter(Box<DeadLetter>),
    /// It is no longer kept.
    DropDeadLetter(MessageId),
    /// The process's monitor.
    Monitor(Box<MonitorRecord>),
    /// The process has no monitor any more.
    DropMonitor,
}

impl Record {
    /// Whether it is for [`Writer::Keeper`], and for that one alone.
    pub fn is_keepers(&self) -> bool {
        match self {
            Self::Sent(_)
            | Self::Outbox(..)
            | Self::DeadLetter(_)
            | Self::DropDeadLetter(_)
            | Self::Monitor(_)
            | Self::DropMonitor => true,
            Self::Process(_)
            | Self::Entry(_)
            | Self::Computed(_)
            | Self::Blob(..)
            | Self::Halted(_)
            | Self::Snapshot(..)
            | Self::DropSnapshot(_)
            | Self::Archived(_)
            | Self::DropArchived(_)
            | Self::ForgetId(..)
            | Self::IdsPassed(_)
            | Self::Mark(..)
            | Self::DropMark(_)
            | Self::CronCursor(_) => false,
        }
    }
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The worker that holds the process, by its epoch. Whatever makes the log is its own.
    Worker(Epoch),
    /// Whoever keeps what lies beside the log: outbox, dead letters, monitors. It holds nothing, and the process need not
    /// be one of this node's.
    Keeper,
}

/// How soon a commit must be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before it is answered.
    Sync,
    /// It is answered when a `kill -9` of the node no longer loses it, and is on disk with the next commit that must be.
    Lazy,
}

/// A set of records of one process that is written whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The process, and by it the shard.
    pub process: ProcessId,
    /// Who writes it.
    pub writer: Writer,
    /// The last slot with a message before this commit, as the writer knows it; `None`: there is no process yet.
    /// Looked at only where the commit holds entries.
    pub scheduled: Option<Slot>,
    /// The last slot with an outcome before this commit, as the writer knows it. Looked at only where it holds outcomes.
    pub computed: Option<Slot>,
    /// What to write, in order.
    pub records: Vec<Record>,
    /// When to answer.
    pub durability: Durability,
}

/// The answer to a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitResult {
    /// Written, as durably as was asked for.
    Committed,
    /// Nothing was written: another epoch holds the process, or the log does not stand where the writer thought.
    Fenced,
    /// The write or the sync failed. Whether the records are there is known only once the store was opened again. The
    /// writer must drop what it holds of the process and claim it anew.
    Unknown(String),
    /// Nothing was written: the store takes no writes at present, and the text says why and names the folder.
    Refused(String),
}
