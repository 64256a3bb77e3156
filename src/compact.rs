//! `mainstay compact`: the old ends of the logs go to archives, with the node stopped.
//!
//! What lies before the oldest snapshot that a process keeps is needed only to look back, or if all its snapshots are lost. It
//! is archived once that snapshot is known to be good: read, restored, and written whole.

use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use crate::cli::CompactArgs;
use crate::config::Config;
use crate::device::{DeviceFactory, check_snapshot, recompute_snapshot};
use crate::ids::{ProcessId, Slot};
use crate::node::{NodeError, devices};
use crate::process::{ProcessRecord, SnapshotRef};
use crate::store::{ArchiveError, Archived, Fjall, LogSize, ReadError, Store, StoreOptions};

/// So many processes are looked up at once.
const PAGE: usize = 1024;

/// What came of it, over all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The processes that were compacted, or would be.
    pub compacted: u64,
    /// Those that were left alone although there was something to archive.
    pub left_alone: u64,
    /// Slots that left the log, or would.
    pub slots: u64,
    /// The bytes that they took in the log.
    pub log_bytes: u64,
    /// The bytes that they take in archives. A dry run does not know them.
    pub archive_bytes: u64,
    /// Whether nothing was changed.
    pub is_dry: bool,
}

/// Why a process was not compacted.
enum Failure {
    /// It is left alone, for this reason; others are gone on with.
    Process(String),
    /// The store fails.
    Store(String),
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(reason) => Self::Store(reason),
            error => Self::Process(error.to_string()),
        }
    }
}

struct Compactor<'a> {
    store: &'a Store,
    factory: Arc<dyn DeviceFactory>,
    args: &'a CompactArgs,
    summary: Summary,
}

/// Compacts the logs of a data folder that no node uses. Each process is told of in the log. Blocks.
///
/// # Errors
/// The data folder is in use or fails, or the process that was asked for does not exist. What was done until then stays done.
pub fn compact(config: &Config, args: &CompactArgs) -> Result<Summary, NodeError> {
    let folder = &config.node.data_dir;
    if !folder.is_dir() {
        return Err(NodeError::Store(format!("there is no data folder {}; set node.data_dir", folder.display())));
    }
    let factory = Arc::new(devices(config)?);
    let store = Store::open(StoreOptions {
        data_dir: folder.clone(),
        disk_reserve: config.store.disk_reserve,
        engine: Arc::new(Fjall),
    })?;
    let is_dry = args.dry_run;
    let summary = Summary { is_dry, ..Summary::default() };
    let mut compactor = Compactor { store: &store, factory, args, summary };
    let compacted = compactor.run();
    let summary = compactor.summary;
    let closed = store.shutdown().map_err(NodeError::Store);
    compacted.and(closed).map(|()| summary)
}

impl Compactor<'_> {
    fn run(&mut self) -> Result<(), NodeError> {
        if !self.args.dry_run {
            let swept = self.store.sweep_archives();
            if swept > 0 {
                info!(target: "store", event = "archives_swept", files = swept);
            }
        }
        match &self.args.process {
            Some(id) => {
                let record = self.store.process(id).map_err(|error| NodeError::Store(error.to_string()))?;
                let known = record.ok_or_else(|| {
                    let folder = self.store.folder().display();
                    NodeError::Setup(format!("--process {id}: there is no such process in the data folder {folder}"))
                })?;
                self.process(&known)?;
            }
            None => self.all()?,
        }
        if self.summary.slots > 0
            && !self.args.dry_run
            && let Err(error) = self.store.reclaim()
        {
            warn!(target: "store", event = "space_not_reclaimed", error, "the disk gets it back later, bit by bit");
        }
        Ok(())
    }

    fn all(&mut self) -> Result<(), NodeError> {
        let mut after: Option<ProcessId> = None;
        loop {
            let page = self.store.processes(after.as_ref(), PAGE);
            let page = page.map_err(|error| NodeError::Store(error.to_string()))?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            for record in &page {
                self.process(record)?;
            }
        }
    }

    fn process(&mut self, record: &ProcessRecord) -> Result<(), NodeError> {
        match self.compact(record) {
            Ok(()) => Ok(()),
            Err(Failure::Process(reason)) => {
                self.summary.left_alone += 1;
                warn!(target: "store", event = "not_compacted", process = %record.id, reason, "its log stays as it is");
                Ok(())
            }
            Err(Failure::Store(reason)) => Err(NodeError::Store(reason)),
        }
    }

    fn compact(&mut self, record: &ProcessRecord) -> Result<(), Failure> {
        let process = &record.id;
        let unread = |error: ReadError| Failure::Process(error.to_string());
        let Some(oldest) = self.store.snapshots(process).map_err(unread)?.pop() else {
            info!(target: "store", event = "nothing_to_compact", process = %process, "it keeps no snapshot");
            return Ok(());
        };
        let head = self.store.head(process).map_err(unread)?;
        let scheduled = head.map_or(Slot::ZERO, |head| head.scheduled);
        let through = last_to_archive(&oldest, scheduled, self.args.keep_slots);
        let size = self.store.archivable(process, through).map_err(unread)?;
        if size.slots == 0 {
            info!(target: "store", event = "nothing_to_compact", process = %process, snapshot = oldest.slot.0);
            return Ok(());
        }
        let bytes = self.verify(process, &oldest)?;
        if self.args.dry_run {
            self.count(size, Archived::default());
            info!(target: "store", event = "would_compact", process = %process, slots = size.slots, bytes = size.bytes,
                through = through.0, snapshot = oldest.slot.0);
            return Ok(());
        }
        if oldest.files.len() > 1 {
            self.store.write_whole(process, &oldest, bytes)?;
            info!(target: "store", event = "snapshot_written_whole", process = %process, slot = oldest.slot.0,
                size = oldest.size);
        }
        let done = self.store.archive_log(process, through)?;
        self.count(done.dropped, done);
        info!(target: "store", event = "compacted", process = %process, slots = done.dropped.slots,
            bytes_before = done.dropped.bytes, bytes_after = done.bytes, files = done.files, through = through.0,
            snapshot = oldest.slot.0);
        Ok(())
    }

    fn count(&mut self, dropped: LogSize, done: Archived) {
        self.summary.compacted += 1;
        self.summary.slots += dropped.slots;
        self.summary.log_bytes += dropped.bytes;
        self.summary.archive_bytes += done.bytes;
    }

    /// Makes sure that `snapshot` can stand in for the log before it. Its bytes.
    fn verify(&self, process: &ProcessId, snapshot: &SnapshotRef) -> Result<Arc<[u8]>, Failure> {
        let unfit = |reason: String| {
            let slot = snapshot.slot;
            Failure::Process(format!("its oldest snapshot, of slot {slot}, cannot be relied upon: {reason}"))
        };
        let bytes = check_snapshot(process, snapshot, self.factory.as_ref(), self.store)
            .map_err(|error| unfit(error.to_string()))?;
        if self.args.verify {
            let log = Arc::new(self.store.clone());
            let compared = recompute_snapshot(process, snapshot, self.factory.clone(), log);
            if !compared.map_err(|error| unfit(error.to_string()))? {
                info!(target: "store", event = "not_recomputed", process = %process, slot = snapshot.slot.0,
                    "its device is not deterministic");
            }
        }
        Ok(bytes)
    }
}

/// The last slot that may be archived: before the oldest snapshot, and before the last `kept` slots.
fn last_to_archive(oldest: &SnapshotRef, scheduled: Slot, kept: u64) -> Slot {
    let before = oldest.slot.0.saturating_sub(1);
    Slot(before.min(scheduled.0.saturating_sub(kept)))
}

impl Summary {
    /// What is said to the person at the terminal.
    pub fn text(&self, folder: &Path) -> String {
        let Self { compacted, left_alone, slots, log_bytes, archive_bytes, is_dry } = *self;
        let folder = folder.display();
        let left = match (left_alone, is_dry) {
            (0, _) => String::new(),
            (_, true) => format!("; {left_alone} would be left alone, see the log"),
            (_, false) => format!("; {left_alone} left alone, see the log"),
        };
        let what = format!("{} of {}", counted(slots, "slot", "slots"), counted(compacted, "process", "processes"));
        let before = counted(log_bytes, "byte", "bytes");
        if is_dry {
            return format!("{folder}: {what} ({before}) would be archived{left}");
        }
        format!("{folder}: archived {what}: {before} before, {archive_bytes} after{left}")
    }
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BlobHash;

    #[test]
    fn the_summary_counts_in_words() {
        let one = Summary { compacted: 1, slots: 1, log_bytes: 1, archive_bytes: 1, ..Summary::default() };
        let many = Summary { compacted: 2, left_alone: 3, slots: 40, log_bytes: 500, archive_bytes: 60, is_dry: false };
        for (summary, text) in [
            (one, "d: archived 1 slot of 1 process: 1 byte before, 1 after"),
            (Summary { is_dry: true, ..one }, "d: 1 slot of 1 process (1 byte) would be archived"),
            (many, "d: archived 40 slots of 2 processes: 500 bytes before, 60 after; 3 left alone, see the log"),
            (
                Summary { is_dry: true, ..many },
                "d: 40 slots of 2 processes (500 bytes) would be archived; 3 would be left alone, see the log",
            ),
        ] {
            assert_eq!(summary.text(Path::new("d")), text);
        }
    }

    #[test]
    fn neither_the_oldest_snapshot_nor_what_is_kept_is_archived() {
        let cases = [
            ((0, 0, 0), 0),
            ((1, 9, 0), 0),
            ((5, 9, 0), 4),
            ((5, 9, 4), 4),
            ((5, 9, 7), 2),
            ((5, 9, 9), 0),
            ((5, 9, u64::MAX), 0),
        ];
        for ((snapshot, scheduled, kept), last) in cases {
            let hash = BlobHash([0; 32]);
            let oldest = SnapshotRef { slot: Slot(snapshot), definition: Slot(0), hash, size: 0, files: Vec::new() };
            assert_eq!(last_to_archive(&oldest, Slot(scheduled), kept), Slot(last), "{snapshot} {scheduled} {kept}");
        }
    }
}
