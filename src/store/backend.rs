//! The engine as the writer has it: batches with numbers, the mark, and opening again after a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::cell::EngineCell;
use super::engine::{EngineError, Occasion, Op, OpenEngine};
use super::error::OpenError;
use super::folder::DataFolder;
use super::health::Health;
use super::keys;
use super::mark::{Found, Mark};
use super::reader::Reader;
use super::records::counter_op;
use super::snapshots::SnapshotFiles;
use crate::metrics::{COUNTERS, HISTOGRAMS};

/// The first pause before the engine is opened again; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What the writer and everyone who reads share.
pub(super) struct Shared {
    pub(super) cell: EngineCell,
    pub(super) snapshots: SnapshotFiles,
    pub(super) health: Health,
    pub(super) processes: AtomicU64,
    /// Background work ends soon after this is set.
    pub(super) is_closing: AtomicBool,
    /// Its lock is given back with the last of those who share this.
    pub(super) folder: DataFolder,
}

impl Shared {
    /// `reason`, with the folder it is about.
    pub(super) fn text(&self, reason: &str) -> String {
        format!("store {}: {reason}", self.folder.path().display())
    }
}

/// The store takes no writes until the engine was opened again.
struct Down {
    reason: String,
    next: Instant,
    pause: Duration,
}

/// The writer's side of the engine.
pub(super) struct Backend {
    shared: Arc<Shared>,
    opener: Arc<dyn OpenEngine>,
    mark: Mark,
    /// The last batch that is known to be on disk.
    synced: u64,
    /// The last batch.
    sequence: u64,
    down: Option<Down>,
}

impl Backend {
    /// Opens the engine of `folder`.
    pub(super) fn open(folder: DataFolder, opener: Arc<dyn OpenEngine>) -> Result<Self, OpenError> {
        let path = folder.path().to_owned();
        let failed = |doing| {
            let folder = path.clone();
            move |source| OpenError::Folder { folder, doing, source }
        };
        let (mut mark, found) = Mark::open(&folder.mark()).map_err(failed("open the file \"mark\""))?;
        let synced = match found {
            Found::New => {
                if folder.engine().exists() {
                    tracing::warn!(target: "store", event = "store_without_mark", folder = %path.display());
                }
                0
            }
            Found::Batch(batch) => batch,
            Found::Damaged => {
                let (what, reason) = ("the file \"mark\"".to_owned(), "it holds no batch number".to_owned());
                return Err(OpenError::Damaged { folder: path, what, reason });
            }
        };
        let opened = opener
            .open(&folder.engine(), synced, Occasion::Start)
            .map_err(|error| OpenError::of_engine(path.clone(), error))?;
        note_torn(&folder, opened.torn_bytes);
        let cell = EngineCell::new(&path, opened.engine);
        let counter = |key| Reader(&cell).counter(key).map_err(|error| OpenError::of_read(path.clone(), error));
        let (sequence, processes) = (counter(keys::SEQUENCE)?, counter(keys::PROCESSES)?);
        if sequence < synced {
            return Err(OpenError::Behind { folder: path, found: sequence, mark: synced });
        }
        let snapshots =
            SnapshotFiles::open(&path, folder.snapshots()).map_err(failed("make the folder \"snapshots\""))?;
        mark.set(sequence).map_err(failed("write the file \"mark\""))?;
        let (processes, health, is_closing) = (AtomicU64::new(processes), Health::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { cell, snapshots, health, processes, is_closing, folder });
        Ok(Self { shared, opener, mark, synced: sequence, sequence, down: None })
    }

    /// What is shared with those who read.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The first record of the next batch.
    pub(super) fn next_number(&self) -> Op {
        counter_op(keys::SEQUENCE, self.sequence + 1)
    }

    /// Writes a batch that begins with [`Backend::next_number`], or syncs where it is empty. A failure closes the store for
    /// writes.
    pub(super) fn write(&mut self, ops: &[Op], sync: bool) -> Result<(), EngineError> {
        let began = Instant::now();
        let written = self.shared.cell.with(|engine| engine.write(ops, sync));
        if let Err(error) = &written {
            self.fail(error);
            return written;
        }
        if !ops.is_empty() {
            self.sequence += 1;
            COUNTERS.store_batches.inc();
        }
        if sync {
            COUNTERS.store_syncs.inc();
            HISTOGRAMS.store_sync_seconds.observe(began.elapsed().as_secs_f64());
            self.synced = self.sequence;
            // The mark may always be older than the truth, so a failure here harms nothing that is acknowledged.
            let _ = self.mark.set(self.synced);
        }
        Ok(())
    }

    /// Why no writes are taken.
    pub(super) fn trouble(&self) -> Option<String> {
        self.down.as_ref().map(|down| self.shared.text(&down.reason))
    }

    /// How long until [`Backend::retry`] does something; `None`: all is well.
    pub(super) fn retry_in(&self) -> Option<Duration> {
        self.down.as_ref().map(|down| down.next.saturating_duration_since(Instant::now()))
    }

    /// Opens the engine again, if it is time to.
    pub(super) fn retry(&mut self) {
        let Some(down) = self.down.take_if(|down| down.next <= Instant::now()) else { return };
        match self.reopen() {
            Ok(()) => {
                COUNTERS.store_reopened.inc();
                self.shared.health.set(None);
                tracing::info!(target: "store", event = "store_reopened", folder = %self.shared.folder.path().display(), batch = self.sequence);
            }
            Err(reason) => {
                let pause = (down.pause * 2).min(PAUSE_MAX);
                self.shared.health.set(Some(self.shared.text(&reason)));
                self.down = Some(Down { reason, next: Instant::now() + pause, pause });
            }
        }
    }

    /// Ends writing: brings everything to disk and closes the engine.
    pub(super) fn close(mut self) -> Result<(), String> {
        let synced = match self.trouble() {
            Some(trouble) => Err(trouble),
            None => self.write(&[], true).map_err(|error| self.shared.text(&error.to_string())),
        };
        let _ = self.mark.sync();
        self.shared.cell.close();
        self.shared.health.set(Some(self.shared.text("it is shut down")));
        synced
    }

    fn fail(&mut self, error: &EngineError) {
        let reason = error.to_string();
        let folder = self.shared.folder.path();
        tracing::error!(target: "store", event = "store_failed", folder = %folder.display(), batch = self.sequence + 1, reason);
        self.shared.health.set(Some(self.shared.text(&reason)));
        self.down = Some(Down { reason, next: Instant::now() + PAUSE_MIN, pause: PAUSE_MIN });
    }

    /// The old engine still serves reads, so it is dropped only when the disk takes bytes again.
    fn reopen(&mut self) -> Result<(), String> {
        let Shared { cell, folder, processes, .. } = &*self.shared;
        self.opener.probe(folder.path())?;
        let mut torn_bytes = 0;
        cell.exchange(|| {
            let opened = self.opener.open(&folder.engine(), self.synced, Occasion::Failure);
            opened.map(|opened| {
                torn_bytes = opened.torn_bytes;
                opened.engine
            })
        })
        .map_err(|error| error.to_string())?;
        note_torn(folder, torn_bytes);
        let counter = |key| Reader(cell).counter(key).map_err(|error| error.to_string());
        let (sequence, count) = (counter(keys::SEQUENCE)?, counter(keys::PROCESSES)?);
        if sequence < self.synced {
            return Err(format!("its last batch is {sequence}, but batch {} was on disk", self.synced));
        }
        self.sequence = sequence;
        self.synced = sequence;
        let _ = self.mark.set(sequence);
        processes.store(count, Ordering::Release);
        Ok(())
    }
}

fn note_torn(folder: &DataFolder, bytes: u64) {
    if bytes > 0 {
        COUNTERS.store_torn_bytes.inc_by(bytes);
        tracing::warn!(target: "store", event = "store_torn_tail", folder = %folder.path().display(), bytes);
    }
}
