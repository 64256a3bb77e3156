//! Snapshots as files: `snapshots/<shard>/<process>-<slot>-<hash>`.
//!
//! A file is whole once it has its name: it is written under a temporary one, synced and renamed, then the folder is synced.
//! Only after that its reference is committed, so a file without one is what a crash left behind.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::contract::{ReadError, SnapshotRef};
use super::files::{make_folder, sync_folder, write_durably};
use crate::ids::{BlobHash, ProcessId, Shard, Slot};
use crate::metrics::COUNTERS;

/// Snapshots of fewer bytes lie in the store itself.
pub(super) const INLINE_BELOW: usize = 64 << 10;

/// How much of a hash is part of a file's name, in characters.
const HASH_SHOWN: usize = 16;

/// The folder of snapshot files.
#[derive(Debug)]
pub(super) struct SnapshotFiles {
    data: PathBuf,
    root: PathBuf,
    /// While files of before the start are swept: those that were written since.
    fresh: Mutex<Option<HashSet<PathBuf>>>,
    writes: AtomicU64,
}

impl SnapshotFiles {
    /// The files in `root`, which belongs to the data folder `data`.
    pub(super) fn open(data: &Path, root: PathBuf) -> io::Result<Self> {
        make_folder(&root)?;
        Ok(Self { data: data.to_owned(), root, fresh: Mutex::new(Some(HashSet::new())), writes: AtomicU64::new(0) })
    }

    /// Writes the state of `process` after `slot` to a file and returns once it is on disk.
    pub(super) fn write(
        &self,
        process: &ProcessId,
        slot: Slot,
        definition: Slot,
        bytes: &[u8],
    ) -> io::Result<SnapshotRef> {
        let hash = BlobHash::of(bytes);
        let snapshot = SnapshotRef { slot, definition, hash, size: bytes.len() as u64, file: true };
        let path = self.path(process, &snapshot);
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
        write_durably(&path, &temporary, bytes)?;
        Ok(snapshot)
    }

    /// The bytes of a snapshot. A damaged file is set aside under another name and counted; the snapshot before it serves.
    pub(super) fn read(&self, process: &ProcessId, snapshot: &SnapshotRef) -> Result<Vec<u8>, ReadError> {
        let path = self.path(process, snapshot);
        let reason = match read_at_most(&path, snapshot.size) {
            Ok(bytes) if bytes.len() as u64 != snapshot.size => format!("it has not {} bytes", snapshot.size),
            Ok(bytes) if BlobHash::of(&bytes) != snapshot.hash => "its bytes do not have its hash".to_owned(),
            Ok(bytes) => return Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => "the file is gone".to_owned(),
            Err(error) => {
                let reason = format!("snapshot {}: {error}", path.display());
                return Err(ReadError::Engine { folder: self.data.display().to_string(), reason });
            }
        };
        COUNTERS.snapshots_damaged.inc();
        let aside = path.with_extension("damaged");
        let _ = fs::rename(&path, &aside);
        tracing::warn!(target: "store", event = "snapshot_damaged", process = %process, slot = snapshot.slot.0, file = %aside.display(), reason);
        let (folder, what) = (self.data.display().to_string(), format!("snapshot {}", path.display()));
        Err(ReadError::Damaged { folder, what, reason })
    }

    /// Removes the file of a snapshot that is no longer kept.
    pub(super) fn remove(&self, process: &ProcessId, snapshot: &SnapshotRef) {
        let path = self.path(process, snapshot);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(target: "store", event = "snapshot_not_removed", process = %process, file = %path.display(), reason = %error);
            }
            _ => {}
        }
    }

    /// Removes the files of before the start that `is_kept` does not know; damaged ones that were set aside stay. Returns how
    /// many were removed. Ends early once `stop` says so.
    pub(super) fn sweep(&self, is_kept: impl Fn(&ProcessId, Slot, &str) -> bool, stop: impl Fn() -> bool) -> usize {
        let mut removed = 0;
        let folders = fs::read_dir(&self.root).into_iter().flatten().flatten();
        for file in folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten()) {
            if stop() {
                break;
            }
            let path = file.path();
            let name = file.file_name();
            let doomed = match name.to_str().and_then(parse) {
                Some((process, slot, hash)) => !is_kept(&process, slot, hash),
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

    fn path(&self, process: &ProcessId, snapshot: &SnapshotRef) -> PathBuf {
        let hash = snapshot.hash.to_string();
        self.folder(process.shard()).join(format!("{process}-{}-{}", snapshot.slot, shown_hash(&hash)))
    }
}

/// The part of a hash that is in the name of its file.
pub(super) fn shown_hash(hash: &str) -> &str {
    hash.get(..HASH_SHOWN).unwrap_or(hash)
}

/// The parts of a file's name. Ids and hashes may hold `-` themselves; the hash's length is known, the slot has digits only.
/// No part holds a dot, so the name of a file that was set aside is none.
fn parse(name: &str) -> Option<(ProcessId, Slot, &str)> {
    if name.contains('.') {
        return None;
    }
    let (rest, hash) = name.split_at_checked(name.len().checked_sub(HASH_SHOWN)?)?;
    let (process, slot) = rest.strip_suffix('-')?.rsplit_once('-')?;
    Some((ProcessId::parse(process).ok()?, Slot(slot.parse().ok()?), hash))
}

/// The bytes of a file, or one more than `size` where it is longer.
fn read_at_most(path: &Path, size: u64) -> io::Result<Vec<u8>> {
    use io::Read;
    let file = fs::File::open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len().min(size)).unwrap_or(0));
    file.take(size.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "snapshots/tests.rs"]
mod tests;
