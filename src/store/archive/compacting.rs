//! Moving the old end of a log from the store to archives.
//!
//! Step by step, and after each one either the log or the archive is whole: a file is written, synced, named, and read back
//! (without a record it is of no use, and swept); its record is committed (from here on it is read); its slots leave the store, some
//! hundred a commit (what is left for a crash goes the next time).

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use super::draft::Draft;
use super::files::{OpenFile, path_of, sweep};
use super::format::Kind;
use crate::ids::{Epoch, ProcessId, Slot};
use crate::process::{ArchiveRef, Order, SnapshotRef};
use crate::store::Store;
use crate::store::admission::free_bytes;
use crate::store::contract::{Claim, Commit, CommitResult, Durability, ReadError, Record, Writer};
use crate::store::engine::Space;
use crate::store::keys;
use crate::store::reader::Reader;

/// So many slots are read, or leave the store, at once.
const STEP: usize = 256;
/// And about so many bytes.
const STEP_BYTES: usize = 8 << 20;

/// The message and the outcome of a slot, as the store has them.
type Values = (Vec<u8>, Vec<u8>);

/// Why a log was not archived, or not all of it. What was done stays done.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file cannot be written.
    #[error("archive {}: {reason}; check that the disk is writable and has room", path.display())]
    #[expect(missing_docs, reason = "the text says it")]
    File { path: PathBuf, reason: String },
    /// The snapshot cannot be written whole.
    #[error("{0}")]
    Snapshot(String),
    /// The store takes no writes, and says why.
    #[error("{0}")]
    Store(String),
}

/// What was archived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// The files that were written.
    pub files: u64,
    /// The slots that they hold.
    pub slots: u64,
    /// The bytes of the files.
    pub bytes: u64,
    /// What left the store.
    pub dropped: LogSize,
}

/// A part of a log in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSize {
    /// Its slots, definitions left out.
    pub slots: u64,
    /// The bytes of their messages and outcomes.
    pub bytes: u64,
}

/// Compacting. Meant for a store that nobody else writes to.
impl Store {
    /// The files of the archive of `process`, in order of slots.
    pub fn archives(&self, process: &ProcessId) -> Result<Vec<ArchiveRef>, ReadError> {
        self.reader().archives(process)
    }

    /// What would leave the store if the log of `process` were archived up to `through`.
    pub fn archivable(&self, process: &ProcessId, through: Slot) -> Result<LogSize, ReadError> {
        let (reader, mut size) = (self.reader(), LogSize::default());
        let through = through.max(reader.archived(process)?.map_or(Slot::ZERO, |(_, last)| last));
        let mut next = Slot::ZERO.next();
        while let Some((slots, bytes, last)) = reader.droppable(process, next, through)? {
            size = LogSize { slots: size.slots + slots.len() as u64, bytes: size.bytes + bytes };
            next = last.next();
        }
        Ok(size)
    }

    /// Archives the log of `process` up to `through`, which lies before its oldest snapshot, and finishes what an earlier time
    /// left. Slot 0 and definitions stay in the log, too. Blocks; not for use in an answer.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn archive_log(&self, process: &ProcessId, through: Slot) -> Result<Archived, ArchiveError> {
        self.holding(process, |epoch| self.archive_by(process, epoch, through))
    }

    /// Writes `snapshot` of `process`, whose bytes these are, so that it stands on no other file, and reads it back. The files
    /// that it stood on serve later snapshots, or are swept at the next start. Blocks; not for use in an answer.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn write_whole(
        &self,
        process: &ProcessId,
        snapshot: &SnapshotRef,
        bytes: Arc<[u8]>,
    ) -> Result<(), ArchiveError> {
        let (slot, definition) = (snapshot.slot, snapshot.definition);
        let placed = self.place_snapshot(process, slot, definition, None, bytes).map_err(ArchiveError::Snapshot)?;
        if let Record::Snapshot(whole, _) = &placed
            && whole.is_filed()
        {
            self.read_snapshot(process, whole)?;
        }
        self.holding(process, |epoch| self.commit_by(process, epoch, vec![placed]))
    }

    fn holding<T>(
        &self,
        process: &ProcessId,
        work: impl FnOnce(Epoch) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let (sender, receiver) = mpsc::channel();
        self.claim(process, move |answer| drop(sender.send(answer)));
        let Claim { epoch, .. } = receiver.recv().map_err(|_| gone())?.map_err(ArchiveError::Store)?;
        let worked = work(epoch);
        self.release(process, epoch);
        worked
    }

    /// Removes the files of the archive that no record names: they were written right before a crash. Returns how many.
    pub fn sweep_archives(&self) -> usize {
        let is_kept = |process: &ProcessId, first, last| match self.archives(process) {
            Ok(archives) => archives.iter().any(|archive| (archive.first, archive.last) == (first, last)),
            Err(_) => true,
        };
        sweep(&self.shared().folder.archive(), is_kept)
    }

    /// Gives the room of what left the logs back to the disk. Blocks, and takes as long as the logs are great. An error names
    /// the folder.
    pub fn reclaim(&self) -> Result<(), String> {
        let shared = self.shared();
        shared.cell.with(|engine| engine.reclaim()).map_err(|error| shared.text(&error.to_string()))
    }

    fn archive_by(&self, process: &ProcessId, epoch: Epoch, through: Slot) -> Result<Archived, ArchiveError> {
        let (reader, mut done) = (self.reader(), Archived::default());
        let mut next = Slot::ZERO.next();
        if let Some((first, last)) = reader.archived(process)? {
            self.drop_archived(process, epoch, (first, last), &mut done.dropped)?;
            next = last.next();
        }
        while next <= through {
            let archive = self.write_archive(process, next, through)?;
            self.commit_by(process, epoch, vec![Record::Archived(archive.clone())])?;
            self.drop_archived(process, epoch, (archive.first, archive.last), &mut done.dropped)?;
            done.files += 1;
            done.slots += archive.last.0 - archive.first.0 + 1;
            done.bytes += archive.length;
            next = archive.last.next();
        }
        Ok(done)
    }

    /// Writes a file of the slots from `first` on, as many as it should hold, and reads it back.
    fn write_archive(&self, process: &ProcessId, first: Slot, through: Slot) -> Result<ArchiveRef, ArchiveError> {
        let root = self.shared().folder.archive();
        let failed = |reason: String| ArchiveError::File { path: path_of(&root, process, first, through), reason };
        let mut draft = Draft::begin(&root, process, first).map_err(|error| failed(error.to_string()))?;
        let (mut next, mut hasher) = (first, blake3::Hasher::new());
        while next <= through && !draft.is_full() {
            if free_bytes(self.folder()).is_some_and(|free| free < self.disk_reserve()) {
                return Err(failed("too little space (limit disk_reserve)".to_owned()));
            }
            for (message, outcome) in self.reader().stretch(process, next, through)? {
                note(&mut hasher, &message, &outcome);
                draft.push(next, &message, &outcome).map_err(|error| failed(error.to_string()))?;
                next = next.next();
            }
        }
        let archive = draft.finish().map_err(|error| failed(error.to_string()))?;
        let path = path_of(&root, process, archive.first, archive.last);
        match digest(&path, process, &archive) {
            Ok(digest) if digest == hasher.finalize() => Ok(archive),
            Ok(_) => Err(ArchiveError::File { path, reason: "it does not hold what was written to it".to_owned() }),
            Err(reason) => Err(ArchiveError::File { path, reason }),
        }
    }

    /// Removes what is in archives from the log, definitions left out.
    fn drop_archived(
        &self,
        process: &ProcessId,
        epoch: Epoch,
        (first, last): (Slot, Slot),
        dropped: &mut LogSize,
    ) -> Result<(), ArchiveError> {
        let mut next = first;
        while let Some((slots, bytes, end)) = self.reader().droppable(process, next, last)? {
            dropped.slots += slots.len() as u64;
            dropped.bytes += bytes;
            if !slots.is_empty() {
                self.commit_by(process, epoch, slots.into_iter().map(Record::DropArchived).collect())?;
            }
            next = end.next();
        }
        Ok(())
    }

    fn commit_by(&self, process: &ProcessId, epoch: Epoch, records: Vec<Record>) -> Result<(), ArchiveError> {
        let (sender, receiver) = mpsc::channel();
        let (process, writer, durability) = (process.clone(), Writer::Worker(epoch), Durability::Sync);
        let commit = Commit { process, writer, scheduled: None, computed: None, records, durability };
        self.commit(commit, move |answer| drop(sender.send(answer)));
        match receiver.recv().map_err(|_| gone())? {
            CommitResult::Committed => Ok(()),
            CommitResult::Fenced => Err(ArchiveError::Store("another writer holds the process".to_owned())),
            CommitResult::Unknown(reason) | CommitResult::Refused(reason) => Err(ArchiveError::Store(reason)),
        }
    }
}

impl Reader<'_> {
    /// The values of the slots from `first` on, one at least, as many as are handy at once.
    fn stretch(self, process: &ProcessId, first: Slot, last: Slot) -> Result<Vec<Values>, ReadError> {
        let last = last.min(Slot(first.0.saturating_add(STEP as u64 - 1)));
        let messages = self.values(Space::Messages, process, first, last)?;
        let outcomes = self.values(Space::Outcomes, process, first, last)?;
        let values: Vec<_> = messages.into_iter().zip(outcomes).collect();
        if values.is_empty() {
            return Err(self.damaged(format!("the log of process {process}"), format!("slot {first} is gone")));
        }
        Ok(values)
    }

    fn values(self, space: Space, process: &ProcessId, first: Slot, last: Slot) -> Result<Vec<Vec<u8>>, ReadError> {
        let (mut values, mut bytes, mut expected) = (Vec::new(), 0, first);
        let what = format!("the log of process {process}");
        self.scan(space, keys::slots(process, first, last), Order::Ascending, &what, |key, value| {
            if keys::slot_of(key) != Some(expected) {
                return Err(format!("slot {expected} is gone"));
            }
            bytes += value.len();
            values.push(value.to_vec());
            expected = expected.next();
            Ok(bytes < STEP_BYTES)
        })?;
        Ok(values)
    }

    /// Slots of `first..=last` that the store has and that are no definitions, as many as should leave it at once, the bytes that they
    /// take, and the slot up to which it was looked. `None`: there is nothing.
    fn droppable(
        self,
        process: &ProcessId,
        first: Slot,
        last: Slot,
    ) -> Result<Option<(Vec<Slot>, u64, Slot)>, ReadError> {
        let (mut slots, mut bytes, mut end) = (Vec::new(), 0, None);
        let what = format!("the log of process {process}");
        let slot_of = |key: &[u8]| keys::slot_of(key).ok_or_else(|| "a key has no slot".to_owned());
        self.scan(Space::Messages, keys::slots(process, first, last), Order::Ascending, &what, |key, value| {
            let slot = slot_of(key)?;
            slots.push((slot, (key.len() + value.len()) as u64));
            end = Some(slot);
            Ok(slots.len() < STEP)
        })?;
        let Some(end) = end else { return Ok(None) };
        let range = || keys::slots(process, first, end);
        let mut definitions = Vec::new();
        self.scan(Space::Definitions, range(), Order::Ascending, &what, |key, _| {
            definitions.push(slot_of(key)?);
            Ok(true)
        })?;
        self.scan(Space::Outcomes, range(), Order::Ascending, &what, |key, value| {
            let slot = slot_of(key)?;
            let is_definition = definitions.binary_search(&slot).is_ok();
            bytes += if is_definition { 0 } else { (key.len() + value.len()) as u64 };
            Ok(true)
        })?;
        slots.retain(|(slot, _)| definitions.binary_search(slot).is_err());
        bytes += slots.iter().map(|(_, bytes)| bytes).sum::<u64>();
        Ok(Some((slots.into_iter().map(|(slot, _)| slot).collect(), bytes, end)))
    }
}

/// What a file holds, as [`note`] notes it. Every part is read.
fn digest(path: &Path, process: &ProcessId, archive: &ArchiveRef) -> Result<blake3::Hash, String> {
    let file = OpenFile::open(path, process, archive).map_err(|error| error.to_string())?;
    let (mut next, mut hasher) = (archive.first, blake3::Hasher::new());
    while next <= archive.last {
        let values = |kind| {
            let place = file.place(kind, next).ok_or_else(|| format!("it lacks slot {next}"))?;
            file.values(&place).map_err(|error| error.to_string())
        };
        let (messages, outcomes) = (values(Kind::Message)?, values(Kind::Outcome)?);
        for (message, outcome) in messages.iter().zip(&outcomes) {
            note(&mut hasher, message, outcome);
            next = next.next();
        }
    }
    Ok(hasher.finalize())
}

fn note(hasher: &mut blake3::Hasher, message: &[u8], outcome: &[u8]) {
    for value in [message, outcome] {
        hasher.update(&(value.len() as u64).to_le_bytes());
        hasher.update(value);
    }
}

fn gone() -> ArchiveError {
    ArchiveError::Store("the store ended before it answered".to_owned())
}
