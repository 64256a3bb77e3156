//! What a record is in the store: its keys and values, and what is derived from it.

use super::codec::{CodecError, encode, present};
use super::contract::{Commit, KnownId, Record, SnapshotFile};
use super::engine::{Op, Space};
use super::keys;
use crate::ids::{BlobHash, ProcessId};
use crate::process::{Computed, Entry, EntryKind, Mark, Origin, SnapshotRef};

/// Why a record can't be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// It has no bytes.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The bytes are not those that its hash names.
    #[error("{0} is not what its hash says")]
    Hash(&'static str),
}

/// The changes that the records of `commit` are, and those that follow from each record alone.
pub(super) fn ops_of(commit: &Commit) -> Result<Vec<Op>, RecordError> {
    let mut ops = Vec::with_capacity(commit.records.len() * 2 + 2);
    for record in &commit.records {
        push_record(&mut ops, commit, record)?;
    }
    Ok(ops)
}

/// Marks `process` as pending.
///
/// The mark stays while the process is held, and is removed with its release: marks tell, after a restart, where to look for
/// slots without outcomes, and a mark that came and went with every message would cost two writes more for each.
pub(super) fn mark_op(process: &ProcessId) -> Op {
    Op::Put { space: Space::Pending, key: keys::process(process), value: present() }
}

/// Removes the mark of `process`.
pub(super) fn unmark_op(process: &ProcessId) -> Op {
    Op::Delete { space: Space::Pending, key: keys::process(process) }
}

/// A counter of [`Space::Meta`].
pub(super) fn counter_op(key: &[u8], value: u64) -> Op {
    Op::Put { space: Space::Meta, key: key.to_vec(), value: value.to_be_bytes().to_vec() }
}

fn push_record(ops: &mut Vec<Op>, commit: &Commit, record: &Record) -> Result<(), RecordError> {
    let process = &commit.process;
    let mut put = |space, key, value| ops.push(Op::Put { space, key, value });
    match record {
        Record::Process(record) => put(Space::Processes, keys::process(process), encode(record)?),
        Record::Entry(entry) => push_entry(ops, process, entry)?,
        Record::Computed(computed) => push_computed(ops, process, computed)?,
        Record::Blob(hash, bytes) if BlobHash::of(bytes) != *hash => return Err(RecordError::Hash("a blob")),
        Record::Blob(hash, bytes) => put(Space::Blobs, keys::blob(process, hash), bytes.to_vec()),
        Record::Halted(Some(halt)) => put(Space::Halts, keys::process(process), encode(halt)?),
        Record::Halted(None) => ops.push(Op::Delete { space: Space::Halts, key: keys::process(process) }),
        Record::Snapshot(snapshot, bytes) => {
            let key = keys::slot(process, snapshot.slot);
            if let Some(bytes) = bytes {
                if bytes.len() as u64 != snapshot.size || BlobHash::of(bytes) != snapshot.hash {
                    return Err(RecordError::Hash("a snapshot"));
                }
                put(Space::SnapshotBytes, key.clone(), bytes.to_vec());
            }
            put(Space::Snapshots, key, encode(snapshot)?);
        }
        Record::DropSnapshot(snapshot) => drop_snapshot(ops, commit, snapshot),
        Record::Archived(archive) => put(Space::Archives, keys::slot(process, archive.last), encode(archive)?),
        Record::DropArchived(slot) => {
            let key = keys::slot(process, *slot);
            ops.push(Op::Delete { space: Space::Messages, key: key.clone() });
            ops.push(Op::Delete { space: Space::Outcomes, key });
        }
        Record::ForgetId(origin, id, slot) => {
            put(Space::IdsFrom, keys::process(process), encode(&slot.next())?);
            ops.push(Op::Delete { space: Space::Ids, key: keys::message_id(process, *origin, id) });
        }
        Record::IdsPassed(slot) => put(Space::IdsFrom, keys::process(process), encode(&slot.next())?),
        Record::Mark(source, position) => put(Space::Marks, keys::mark(process, source), encode(position)?),
        Record::DropMark(source) => {
            ops.push(Op::Delete { space: Space::Marks, key: keys::mark(process, source) });
        }
        Record::CronCursor(Some(cursor)) => put(Space::CronCursors, keys::process(process), encode(cursor)?),
        Record::CronCursor(None) => {
            ops.push(Op::Delete { space: Space::CronCursors, key: keys::process(process) });
        }
        Record::Sent(item) => {
            ops.push(Op::Delete { space: Space::Outbox, key: keys::outbox_item(process, *item) });
        }
        Record::Outbox(key, item) => put(Space::Outbox, keys::outbox_item(process, *key), encode(item)?),
        Record::DeadLetter(letter) => put(Space::DeadLetters, keys::dead_letter(&letter.id), encode(letter)?),
        Record::DropDeadLetter(id) => {
            ops.push(Op::Delete { space: Space::DeadLetters, key: keys::dead_letter(id) });
        }
        Record::Monitor(monitor) => put(Space::Monitors, keys::process(process), encode(monitor)?),
        Record::DropMonitor => ops.push(Op::Delete { space: Space::Monitors, key: keys::process(process) }),
    }
    Ok(())
}

/// Where the commit brings another one for the same slot, that takes its place.
fn drop_snapshot(ops: &mut Vec<Op>, commit: &Commit, dropped: &SnapshotRef) {
    let key = keys::slot(&commit.process, dropped.slot);
    let successor = commit.records.iter().find_map(|record| match record {
        Record::Snapshot(snapshot, _) if snapshot.slot == dropped.slot => Some(snapshot),
        _ => None,
    });
    if !dropped.is_filed() && successor.is_none_or(SnapshotRef::is_filed) {
        ops.push(Op::Delete { space: Space::SnapshotBytes, key: key.clone() });
    }
    if successor.is_none() {
        ops.push(Op::Delete { space: Space::Snapshots, key });
    }
}

fn push_entry(ops: &mut Vec<Op>, process: &ProcessId, entry: &Entry) -> Result<(), RecordError> {
    let mut put = |space, key, value| ops.push(Op::Put { space, key, value });
    put(Space::Messages, keys::slot(process, entry.slot), encode(entry)?);
    if let Some(Mark { source, position }) = &entry.mark {
        put(Space::Marks, keys::mark(process, source), encode(position)?);
    } else {
        let known = KnownId {
            slot: entry.slot,
            content: BlobHash(entry.message.content_hash()),
            timestamp: entry.message.timestamp,
        };
        put(Space::Ids, keys::message_id(process, entry.origin, &entry.message.id), encode(&known)?);
    }
    if entry.kind == EntryKind::Definition {
        put(Space::Definitions, keys::slot(process, entry.slot), present());
    }
    if entry.origin == Origin::Cron {
        put(Space::CronSlots, keys::slot(process, entry.slot), present());
    }
    Ok(())
}

fn push_computed(ops: &mut Vec<Op>, process: &ProcessId, computed: &Computed) -> Result<(), RecordError> {
    let mut put = |space, key, value| ops.push(Op::Put { space, key, value });
    put(Space::Outcomes, keys::slot(process, computed.slot), encode(computed)?);
    for (key, item) in computed.outbox() {
        put(Space::Outbox, keys::outbox_item(process, key), encode(&item)?);
    }
    Ok(())
}

/// The files of the snapshots that `commit` no longer keeps. Others may need them still.
pub(super) fn dropped_files(commit: &Commit) -> impl Iterator<Item = &SnapshotFile> {
    commit.records.iter().flat_map(|record| match record {
        Record::DropSnapshot(snapshot) => snapshot.files.as_slice(),
        _ => &[],
    })
}

/// The files that a snapshot of `commit` stands on, besides its own.
pub(super) fn footing_files(commit: &Commit) -> impl Iterator<Item = &SnapshotFile> {
    commit.records.iter().flat_map(|record| match record {
        Record::Snapshot(snapshot, _) => snapshot.files.split_last().map_or(&[] as &[_], |(_, bases)| bases),
        _ => &[],
    })
}
