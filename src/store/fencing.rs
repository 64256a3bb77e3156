//! The decision on a commit: does it come from the process's newest epoch, and does it go on exactly where the log ends?
//! Pure: no engine, no time.

use std::collections::HashMap;

use super::contract::{Commit, Record, SnapshotRef, Writer};
use crate::ids::{Epoch, ProcessId, Slot};

/// Where a log stands: the last slot with a message and the last slot with an outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The last slot that has a message; `None`: there is no process.
    pub scheduled: Option<Slot>,
    /// The last slot that has an outcome. Never after `scheduled`.
    pub computed: Option<Slot>,
}

impl Position {
    /// Whether slots wait to be computed.
    pub(super) fn is_pending(self) -> bool {
        self.computed < self.scheduled
    }

    /// A log never computes what it did not schedule.
    pub(super) fn is_sound(self) -> bool {
        self.computed <= self.scheduled
    }
}

/// Why a commit is not taken. Nothing of it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fence {
    /// Nobody holds the process, or a newer epoch does.
    #[error("epoch {} does not hold the process", .0.0)]
    Epoch(Epoch),
    /// The log does not stand where the commit says.
    #[error("the log stands at {actual:?}, not at {expected:?}")]
    Position {
        /// Where it stands.
        actual: Position,
        /// Where the commit says it stands.
        expected: Position,
    },
    /// Its records cannot follow each other in a log.
    #[error("{0}")]
    Records(&'static str),
}

/// Where the log stands after `commit`, when it stands at `position` before; or why it cannot follow.
pub(super) fn judge(position: Position, commit: &Commit) -> Result<Position, Fence> {
    match commit.writer {
        Writer::Keeper => judge_keeper(commit).map(|()| position),
        Writer::Worker(_) => judge_worker(position, commit),
    }
}

/// Whether `commit` is one of a keeper, which leaves the log where it stands.
fn judge_keeper(commit: &Commit) -> Result<(), Fence> {
    let is_of = |owner: &ProcessId| check(*owner == commit.process, "a commit belongs to one process");
    for record in &commit.records {
        let verdict = match record {
            Record::DeadLetter(letter) => is_of(&letter.source),
            Record::Monitor(monitor) => is_of(&monitor.process),
            record => check(record.is_keepers(), "only the worker that holds the process writes its log"),
        };
        verdict.map_err(Fence::Records)?;
    }
    Ok(())
}

fn judge_worker(position: Position, commit: &Commit) -> Result<Position, Fence> {
    debug_assert!(position.is_sound(), "checked when it was read");
    let expected = Position { scheduled: commit.scheduled, computed: commit.computed };
    let adds_entries = commit.records.iter().any(|record| matches!(record, Record::Process(_) | Record::Entry(_)));
    let adds_outcomes = commit.records.iter().any(|record| matches!(record, Record::Computed(_)));
    // A refused message must not take the outcomes with it that were handed in behind it.
    let is_misplaced = (adds_entries && expected.scheduled != position.scheduled)
        || (adds_outcomes && expected.computed != position.computed);
    if is_misplaced {
        return Err(Fence::Position { actual: position, expected });
    }
    let mut after = position;
    let mut created = position.scheduled.is_some();
    for record in &commit.records {
        follow(&mut after, &mut created, &commit.process, record).map_err(Fence::Records)?;
    }
    if created != after.scheduled.is_some() {
        return Err(Fence::Records("a process comes with its slot 0"));
    }
    // What was checked record by record must hold for the whole too.
    debug_assert!(after.is_sound() && after.scheduled >= position.scheduled && after.computed >= position.computed);
    Ok(after)
}

/// Moves `at` past `record`. `created`: whether there is a process.
fn follow(at: &mut Position, created: &mut bool, process: &ProcessId, record: &Record) -> Result<(), &'static str> {
    let scheduled = |slot: Slot| at.scheduled.is_some_and(|last| slot <= last);
    match record {
        Record::Process(new) => {
            check(!*created, "the process exists already")?;
            check(new.id == *process, "a commit belongs to one process")?;
            *created = true;
        }
        Record::Entry(entry) => {
            check(*created, "there is no such process")?;
            check(entry.slot == Slot::after(at.scheduled), "a message is not for the next slot")?;
            at.scheduled = Some(entry.slot);
        }
        Record::Computed(computed) => {
            check(computed.slot == Slot::after(at.computed), "an outcome is not that of the next slot")?;
            check(scheduled(computed.slot), "an outcome has no message")?;
            check(scheduled(computed.definition), "an outcome's definition has no slot")?;
            at.computed = Some(computed.slot);
        }
        Record::Snapshot(snapshot, bytes) => {
            check(at.computed.is_some_and(|last| snapshot.slot <= last), "a snapshot is of a slot not yet computed")?;
            check(scheduled(snapshot.definition), "a snapshot's definition has no slot")?;
            check(snapshot.is_filed() == bytes.is_none(), "a snapshot lies either in files or in the store")?;
            check(is_chain(snapshot), "a snapshot's files do not lead up to it")?;
        }
        Record::Halted(Some(halt)) => {
            check(halt.slot == Slot::after(at.computed), "a process halts before its next slot")?;
            check(scheduled(halt.slot), "a process halts before a slot with a message")?;
        }
        Record::Halted(None)
        | Record::DropSnapshot(_)
        | Record::Mark(..)
        | Record::DropMark(_)
        | Record::CronCursor(_) => {
            check(*created, "there is no such process")?;
        }
        Record::Archived(archive) => {
            let (first, last) = (archive.first, archive.last);
            check(Slot::ZERO < first && first <= last, "an archive holds slots, but not slot 0")?;
            check(at.computed > Some(last), "the last slot that is computed stays in the log")?;
        }
        Record::DropArchived(slot) => {
            check(*slot > Slot::ZERO && at.computed > Some(*slot), "the first slot of a log and the last stay")?;
        }
        Record::ForgetId(_, _, slot) | Record::IdsPassed(slot) => {
            check(scheduled(*slot), "an id's slot has no message")?
        }
        Record::Blob(..) => {}
        Record::Sent(_)
        | Record::Outbox(..)
        | Record::DeadLetter(_)
        | Record::DropDeadLetter(_)
        | Record::Monitor(_)
        | Record::DropMonitor => return Err("a worker leaves the outbox and monitors to their keeper"),
    }
    Ok(())
}

/// Whether the files of `snapshot` are of rising slots, the last one its own, and not too many.
fn is_chain(snapshot: &SnapshotRef) -> bool {
    let files = &snapshot.files;
    let ends = files.last().is_none_or(|last| last.slot == snapshot.slot && last.state == snapshot.size);
    ends && files.is_sorted_by(|a, b| a.slot < b.slot) && files.len() <= 1 + SnapshotRef::DELTAS_MAX
}

fn check(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

#[derive(Clone, Copy, Debug)]
struct Holder {
    epoch: Epoch,
    position: Position,
    is_marked: bool,
}

/// A commit that was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    /// Where the log stood.
    pub(super) before: Position,
    /// Where it stands with the commit.
    pub(super) after: Position,
    /// The process is to be marked as pending with the commit.
    pub(super) marks: bool,
}

/// Who holds which process, and where the logs of the held ones stand. Its size is that of the processes held.
#[derive(Debug, Default)]
pub(super) struct Heads {
    held: HashMap<ProcessId, Holder>,
    /// The last epoch that was given out. Never goes back, so that whoever was forgotten stays fenced.
    epochs: u64,
}

impl Heads {
    /// Gives `process`, whose log stands at `position`, to a new epoch. `is_marked`: it is marked as pending.
    pub(super) fn claim(&mut self, process: &ProcessId, position: Position, is_marked: bool) -> Epoch {
        self.epochs += 1;
        let epoch = Epoch(self.epochs);
        let before = self.held.insert(process.clone(), Holder { epoch, position, is_marked });
        debug_assert!(before.is_none_or(|before| before.epoch < epoch), "epochs only rise");
        debug_assert!(before.is_none_or(|before| before.position == position), "commits left the log where it is");
        epoch
    }

    /// Decides on `commit` and, where it can follow, counts it as done.
    pub(super) fn admit(&mut self, commit: &Commit) -> Result<Admitted, Fence> {
        let Writer::Worker(epoch) = commit.writer else {
            let untouched = judge(Position::default(), commit)?;
            return Ok(Admitted { before: untouched, after: untouched, marks: false });
        };
        let holder = self.held.get_mut(&commit.process).filter(|holder| holder.epoch == epoch);
        let holder = holder.ok_or(Fence::Epoch(epoch))?;
        let (before, after) = (holder.position, judge(holder.position, commit)?);
        let marks = after.is_pending() && !holder.is_marked;
        (holder.position, holder.is_marked) = (after, holder.is_marked || marks);
        Ok(Admitted { before, after, marks })
    }

    /// Takes the process from `epoch`, unless a newer one holds it. Returns whether its pending mark is to be removed.
    pub(super) fn release(&mut self, process: &ProcessId, epoch: Epoch) -> bool {
        if self.held.get(process).is_none_or(|holder| holder.epoch != epoch) {
            return false;
        }
        self.held.remove(process).is_some_and(|holder| holder.is_marked && !holder.position.is_pending())
    }

    /// Whether anyone holds `process`.
    pub(super) fn is_held(&self, process: &ProcessId) -> bool {
        self.held.contains_key(process)
    }

    /// Fences everyone: what was counted as done may not be.
    pub(super) fn forget_all(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
#[path = "fencing/tests.rs"]
mod tests;
