//! The folder of snapshots: `snapshots/<shard>/<process>-<slot>-<seal>`.
//!
//! A file is whole once it has its name: it is written under a temporary one, synced and renamed, then the folder is synced.
//! Only after that its reference is committed, so a file without one is what a crash left behind.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::chain::{Chain, expect};
use super::decode::unpack;
use super::encode::{Encoded, State, changed, encode};
use super::format::{BEGINNING, FormatError, front_length};
use super::pages::{PageHash, Pages};
use crate::ids::{BlobHash, ProcessId, Shard, Slot};
use crate::metrics::COUNTERS;
use crate::process::{SnapshotFile, SnapshotRef};
use crate::store::contract::ReadError;
use crate::store::files::{make_folder, sync_folder, write_durably};

/// How much of a seal is part of a file's name, in characters.
const SEAL_SHOWN: usize = 16;

/// The folder of snapshot files.
#[derive(Debug)]
pub(in crate::store) struct SnapshotFiles {
    data: PathBuf,
    root: PathBuf,
    /// While files of before the start are swept: those that were written since.
    fresh: Mutex<Option<HashSet<PathBuf>>>,
    writes: AtomicU64,
}

impl SnapshotFiles {
    /// The files in `root`, which belongs to the data folder `data`.
    pub(in crate::store) fn open(data: &Path, root: PathBuf) -> io::Result<Self> {
        make_folder(&root)?;
        Ok(Self { data: data.to_owned(), root, fresh: Mutex::new(Some(HashSet::new())), writes: AtomicU64::new(0) })
    }

    /// Writes the state of `process` after a slot, under a definition, to a file and returns once it is on disk. The file holds
    /// what changed since `base`, or all where that is not worth while or `base` is of no use. `has_room` is asked whether a
    /// file of so many bytes may be written.
    pub(in crate::store) fn write(
        &self,
        process: &ProcessId,
        (slot, definition): (Slot, Slot),
        base: Option<&SnapshotRef>,
        bytes: &[u8],
        has_room: impl FnOnce(u64) -> io::Result<()>,
    ) -> io::Result<SnapshotRef> {
        let pages = Pages::of(bytes);
        let chain = base.and_then(|base| self.chain(process, base));
        let (encoded, bases) = encode_best(State { process, slot, bytes, pages: &pages }, chain.as_ref())?;
        let (length, size) = (encoded.bytes.len() as u64, bytes.len() as u64);
        has_room(length)?;
        let file = SnapshotFile { slot, seal: encoded.seal, length, state: size };
        self.store(process, &file, &encoded.bytes)?;
        let files = bases.iter().cloned().chain([file]).collect();
        Ok(SnapshotRef { slot, definition, hash: pages.whole, size, files })
    }

    fn store(&self, process: &ProcessId, file: &SnapshotFile, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(process, file);
        // Two incarnations of a worker may write the same snapshot at once.
        let temporary = path.with_extension(format!("{}.tmp", self.writes.fetch_add(1, Ordering::Relaxed)));
        if let Some(fresh) = &mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner) {
            fresh.extend([path.clone(), temporary.clone()]);
        }
        let folder = self.folder(process.shard());
        if !folder.is_dir() {
            make_folder(&folder)?;
            sync_folder(&self.root)?;
        }
        write_durably(&path, &temporary, bytes)
    }

    /// The chain of `base`, if a file can stand on it: every file is there, as long as it should be, and its front is sound.
    fn chain<'a>(&self, process: &ProcessId, base: &'a SnapshotRef) -> Option<Chain<'a>> {
        let front =
            |file: &SnapshotFile| read_front(&self.path(process, file), file).map_err(|error| error.to_string());
        Chain::of(process, base, front).unwrap_or_else(|reason| {
            tracing::warn!(target: "store", event = "snapshot_base_unusable", process = %process, slot = base.slot.0, reason,
                "the next snapshot is written whole");
            None
        })
    }

    /// The bytes of a snapshot. A damaged file is set aside under another name and counted; the snapshot before it serves.
    pub(in crate::store) fn read(&self, process: &ProcessId, snapshot: &SnapshotRef) -> Result<Vec<u8>, ReadError> {
        let (mut state, mut before) = (Vec::new(), None);
        for file in &snapshot.files {
            let damaged = |reason| self.damaged(process, snapshot, file, reason);
            let bytes = match read_whole(&self.path(process, file), file) {
                Ok(bytes) if bytes.len() as u64 != file.length => {
                    return Err(damaged(format!("it has not {} bytes", file.length)));
                }
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(damaged("the file is gone".to_owned()));
                }
                Err(error) => {
                    let reason = format!("snapshot {}: {error}", self.path(process, file).display());
                    return Err(ReadError::Engine { folder: self.data.display().to_string(), reason });
                }
            };
            let unpacked = expect(&bytes, process, file, before)
                .and_then(|(front, payload)| unpack(&front, payload, std::mem::take(&mut state), file.state));
            state = unpacked.map_err(|error| match error {
                // Not the file's fault: another program or another moment can read it.
                FormatError::Memory(_) | FormatError::Packing(_) | FormatError::Version(_) => {
                    let reason = format!("snapshot {}: {error}", self.path(process, file).display());
                    ReadError::Engine { folder: self.data.display().to_string(), reason }
                }
                error => damaged(error.to_string()),
            })?;
            before = Some(file);
        }
        match snapshot.files.last() {
            Some(last) if BlobHash::of(&state) != snapshot.hash => {
                Err(self.damaged(process, snapshot, last, "its state does not have its hash".to_owned()))
            }
            _ => Ok(state),
        }
    }

    /// Sets `file` aside, on which `snapshot` stands.
    fn damaged(&self, process: &ProcessId, snapshot: &SnapshotRef, file: &SnapshotFile, reason: String) -> ReadError {
        COUNTERS.snapshots_damaged.inc();
        let path = self.path(process, file);
        let aside = path.with_extension("damaged");
        let _ = fs::rename(&path, &aside);
        tracing::warn!(target: "store", event = "snapshot_damaged", process = %process, slot = snapshot.slot.0, file = %aside.display(), reason);
        let what = format!("the snapshot of slot {}, file {}", snapshot.slot, path.display());
        ReadError::Damaged { folder: self.data.display().to_string(), what, reason }
    }

    /// Removes a file that no snapshot stands on any more.
    pub(in crate::store) fn remove(&self, process: &ProcessId, file: &SnapshotFile) {
        let path = self.path(process, file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(target: "store", event = "snapshot_not_removed", process = %process, file = %path.display(), reason = %error);
            }
            _ => {}
        }
    }

    /// Removes the files of before the start that `is_kept` does not know; damaged ones that were set aside stay. Returns how
    /// many were removed. Ends early once `stop` says so.
    pub(in crate::store) fn sweep(
        &self,
        is_kept: impl Fn(&ProcessId, Slot, &str) -> bool,
        stop: impl Fn() -> bool,
    ) -> usize {
        let mut removed = 0;
        let folders = fs::read_dir(&self.root).into_iter().flatten().flatten();
        for file in folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten()) {
            if stop() {
                break;
            }
            let path = file.path();
            let name = file.file_name();
            let doomed = match name.to_str().and_then(parse) {
                Some((process, slot, seal)) => !is_kept(&process, slot, seal),
                None => path.extension().is_some_and(|extension| extension == "tmp"),
            };
            // Under the lock, so that no file of this name is being written.
            let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            if doomed && fresh.as_ref().is_some_and(|fresh| !fresh.contains(&path)) {
                removed += usize::from(fs::remove_file(&path).is_ok());
            }
        }
        *self.fresh.lock().unwrap_or_else(PoisonError::into_inner) = None;
        removed
    }

    fn folder(&self, shard: Shard) -> PathBuf {
        self.root.join(format!("{:02x}", shard.0))
    }

    fn path(&self, process: &ProcessId, file: &SnapshotFile) -> PathBuf {
        let seal = file.seal.to_string();
        self.folder(process.shard()).join(format!("{process}-{}-{}", file.slot, shown_seal(&seal)))
    }
}

/// The smaller file of `state` within the rules of a chain, and the files that it stands on.
fn encode_best<'a>(state: State<'_>, chain: Option<&Chain<'a>>) -> io::Result<(Encoded, &'a [SnapshotFile])> {
    if let Some(chain) = chain {
        let held = state.pages.hashes.iter().filter(|hash| **hash != PageHash::ZEROS).count();
        // Compressing what is not worth while would be for nothing.
        if changed(&state.pages.hashes, chain.table()) <= held / 2 {
            let delta = encode(state, chain.footing())?;
            if chain.has_room(delta.bytes.len() as u64) {
                return Ok((delta, chain.files()));
            }
        }
    }
    Ok((encode(state, None)?, &[]))
}

/// The part of a seal that is in the name of its file.
pub(in crate::store) fn shown_seal(seal: &str) -> &str {
    seal.get(..SEAL_SHOWN).unwrap_or(seal)
}

/// The parts of a file's name. Ids and seals may hold `-` themselves; the seal's length is known, the slot has digits only.
/// No part holds a dot, so the name of a file that was set aside is none.
fn parse(name: &str) -> Option<(ProcessId, Slot, &str)> {
    if name.contains('.') {
        return None;
    }
    let (rest, seal) = name.split_at_checked(name.len().checked_sub(SEAL_SHOWN)?)?;
    let (process, slot) = rest.strip_suffix('-')?.rsplit_once('-')?;
    Some((ProcessId::parse(process).ok()?, Slot(slot.parse().ok()?), seal))
}

/// The bytes of a file, or one more than `expected` says where it is longer.
fn read_whole(path: &Path, expected: &SnapshotFile) -> io::Result<Vec<u8>> {
    read_up_to(&fs::File::open(path)?, expected.length.saturating_add(1))
}

/// The front of a file that is as long as it should be.
fn read_front(path: &Path, expected: &SnapshotFile) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length != expected.length {
        return Err(io::Error::other(format!("it has {length} bytes and not {}", expected.length)));
    }
    let mut front = read_up_to(&file, BEGINNING as u64)?;
    let front_length = front_length(&front).map_err(io::Error::other)? as u64;
    let rest = front_length.min(length).saturating_sub(front.len() as u64);
    front.append(&mut read_up_to(&file, rest)?);
    Ok(front)
}

/// The next bytes of `file`, `length` at most.
fn read_up_to(file: &fs::File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // What a reference says is no reason to end for lack of memory.
    let there = file.metadata()?.len().min(length);
    bytes.try_reserve_exact(usize::try_from(there).unwrap_or(usize::MAX)).map_err(io::Error::other)?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "files/tests.rs"]
mod tests;
