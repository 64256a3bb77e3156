//! The store itself: a handle that is cheap to clone. Writes go through the queue to the writer, reads go to the engine.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::admission::free_bytes;
use super::answer::Answer;
use super::backend::{Backend, Shared};
use super::contract::{
    Claim, Commit, CommitResult, Head, KnownId, Page, PageQuery, ProcessRecord, ReadError, Record, SnapshotRef,
};
use super::engine::{Op, OpenEngine};
use super::error::OpenError;
use super::folder::DataFolder;
use super::queue::{Intake, Rejected, Request, queue};
use super::reader::Reader;
use super::records::ops_of;
use super::snapshots::shown_seal;
use super::space::used_bytes;
use super::writer::Writer;
use crate::ids::{BlobHash, Epoch, MessageId, ProcessId, Slot};
use crate::metrics::COUNTERS;
use crate::process::{
    Computed, DeadLetter, Entry, MarkPosition, MarkSource, MonitorRecord, Origin, OutboxItem, OutboxKey,
};

/// One commit has at most so many bytes.
const COMMIT_MAX: usize = 512 << 20;

/// So many pending marks are read at once.
const MARKS: usize = 1024;

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// The folder of everything that the node keeps. Made with mode 0700 if need be.
    pub data_dir: PathBuf,
    /// New messages are refused while fewer bytes are free on the folder's file system.
    pub disk_reserve: u64,
    /// How its engine is opened, now and after each failure.
    pub engine: Arc<dyn OpenEngine>,
}

/// A store. Clones are the same store; it ends with [`Store::shutdown`] or with the last of them.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    intake: Intake,
    shared: Arc<Shared>,
    disk_reserve: u64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Opening, writing, ending.
impl Store {
    /// Opens the store of a data folder, which is this store's alone until it ends.
    pub fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let folder = DataFolder::open(&options.data_dir)?;
        let backend = Backend::open(folder, options.engine)?;
        let shared = backend.shared().clone();
        let (intake, outlet) = queue();
        let writer = Writer::new(backend, outlet, options.disk_reserve);
        let sweeper = shared.clone();
        let threads = [
            thread::Builder::new().name("store".to_owned()).spawn(move || writer.run()),
            thread::Builder::new().name("store-sweep".to_owned()).spawn(move || sweep(&sweeper)),
        ];
        let mut running = Vec::with_capacity(threads.len());
        for thread in threads {
            running.push(thread.map_err(|source| {
                let (folder, doing) = (options.data_dir.clone(), "start a thread");
                OpenError::Folder { folder, doing, source }
            })?);
        }
        let threads = Mutex::new(running);
        Ok(Self { inner: Arc::new(Inner { intake, shared, disk_reserve: options.disk_reserve, threads }) })
    }

    /// Gives `process` to a new epoch; whoever held an earlier one is fenced from there on. The claim sees every commit that
    /// was handed in before. `answer` is called once, on the store's thread or, when refused at once, on this one; it must be
    /// quick and must not wait for the store. An error says why there is no claim, and names the folder.
    pub fn claim(&self, process: &ProcessId, answer: impl FnOnce(Result<Claim, String>) + Send + 'static) {
        self.hand_in(Request::Claim { process: process.clone(), answer: Answer::new(answer) });
    }

    /// Hands `commit` in. For `answer` see [`Store::claim`]. Commits are written in the order in which they are handed in.
    pub fn commit(&self, commit: Commit, answer: impl FnOnce(CommitResult) + Send + 'static) {
        COUNTERS.store_commits.inc();
        let answer = Answer::new(answer);
        // Here and not on the store's thread, so that commits are encoded on as many cores as hand them in.
        let reason = match ops_of(&commit) {
            Ok(ops) if ops.iter().map(Op::size).sum::<usize>() <= COMMIT_MAX => {
                return self.hand_in(Request::Commit { commit, ops, answer });
            }
            Ok(_) => format!("a commit has at most {COMMIT_MAX} bytes"),
            Err(error) => error.to_string(),
        };
        COUNTERS.store_refused.inc();
        answer.give(CommitResult::Refused(self.inner.shared.text(&reason)));
    }

    /// `epoch` no longer needs `process`.
    pub fn release(&self, process: &ProcessId, epoch: Epoch) {
        self.hand_in(Request::Release { process: process.clone(), epoch });
    }

    /// Calls `answer` once everything handed in before is on disk. For `answer` see [`Store::claim`].
    pub fn flush(&self, answer: impl FnOnce(Result<(), String>) + Send + 'static) {
        self.hand_in(Request::Flush { answer: Answer::new(answer) });
    }

    /// Ends the store: what was handed in before is on disk when this returns, unless an error says otherwise; everything
    /// after is refused. Blocks; not for use in an answer.
    pub fn shutdown(&self) -> Result<(), String> {
        let (sender, receiver) = mpsc::channel();
        self.inner.shared.is_closing.store(true, Ordering::Release);
        let answer = Answer::new(move |answer| drop(sender.send(answer)));
        if self.inner.intake.hand_in(Request::Shutdown { answer }).is_err() {
            return Ok(());
        }
        let ended = receiver.recv().unwrap_or_else(|_| Err("the store ended before it answered".to_owned()));
        self.inner.join();
        ended
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// So many bytes stay free on the disk.
    pub(super) fn disk_reserve(&self) -> u64 {
        self.inner.disk_reserve
    }

    /// Why the store takes no writes at present, if so.
    pub fn is_healthy(&self) -> Result<(), String> {
        self.inner.shared.health.check()
    }

    /// How often the store has ceased to take writes. Whoever looks now and then sees by it what was over in between.
    pub fn failures(&self) -> u64 {
        self.inner.shared.health.failures()
    }

    /// Waits until the store takes writes, `timeout` at most; whether it does. Blocks.
    pub fn wait_until_healthy(&self, timeout: Duration) -> bool {
        self.inner.shared.health.wait(timeout)
    }

    fn hand_in(&self, request: Request) {
        if let Err(rejected) = self.inner.intake.hand_in(request) {
            let Rejected { request, reason } = *rejected;
            if matches!(request, Request::Commit { .. }) {
                COUNTERS.store_refused.inc();
            }
            request.refuse(self.inner.shared.text(reason));
        }
    }
}

/// Snapshots.
impl Store {
    /// Makes the record of a snapshot of `process` after `slot`, to be committed once every outcome up to `slot` is. A great
    /// one is written to a file first, which is on disk when this returns: what changed since `base`, a snapshot that is
    /// committed, or all of it where that is not worth while or `base` cannot be used. Blocks, and takes the time to hash and
    /// compress the state. An error names the folder.
    pub fn place_snapshot(
        &self,
        process: &ProcessId,
        slot: Slot,
        definition: Slot,
        base: Option<&SnapshotRef>,
        bytes: Arc<[u8]>,
    ) -> Result<Record, String> {
        if bytes.len() < SnapshotRef::INLINE_BELOW {
            let (hash, size) = (BlobHash::of(&bytes), bytes.len() as u64);
            return Ok(Record::Snapshot(SnapshotRef { slot, definition, hash, size, files: Vec::new() }, Some(bytes)));
        }
        let shared = &self.inner.shared;
        let reserve = self.inner.disk_reserve;
        let written = shared.snapshots.write(process, (slot, definition), base, &bytes, |length| {
            let needed = reserve.saturating_add(length);
            if free_bytes(shared.folder.path()).is_some_and(|free| free < needed) {
                return Err(io::Error::other("too little space for a snapshot (limit disk_reserve)"));
            }
            Ok(())
        });
        written.map(|snapshot| Record::Snapshot(snapshot, None)).map_err(|error| shared.text(&error.to_string()))
    }

    /// The bytes of a snapshot. A damaged file is set aside and counted, and with it whatever stands on it is of no use; the
    /// caller takes the snapshot before it, and drops this one.
    pub fn read_snapshot(&self, process: &ProcessId, snapshot: &SnapshotRef) -> Result<Vec<u8>, ReadError> {
        if snapshot.is_filed() {
            self.inner.shared.snapshots.read(process, snapshot)
        } else {
            self.reader().snapshot_bytes(process, snapshot)
        }
    }

    /// The snapshots of `process`, newest first.
    pub fn snapshots(&self, process: &ProcessId) -> Result<Vec<SnapshotRef>, ReadError> {
        self.reader().snapshots(process)
    }
}

/// Reads. They go on while writes fail, and see what is written, if not yet what is handed in.
impl Store {
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader(&self.inner.shared.cell)
    }

    /// The folder of everything that the node keeps.
    pub fn folder(&self) -> &Path {
        self.inner.shared.folder.path()
    }

    /// The bytes that the folder takes on the disk. Blocks, and takes as long as there are many snapshots.
    pub fn used_bytes(&self) -> u64 {
        used_bytes(self.folder())
    }

    /// The bytes that are free where the folder lies, if the file system tells. Blocks.
    pub fn free_bytes(&self) -> Option<u64> {
        free_bytes(self.folder())
    }

    /// How many processes there are.
    pub fn process_count(&self) -> u64 {
        self.inner.shared.processes.load(Ordering::Acquire)
    }

    /// What is known of a process besides its log.
    pub fn process(&self, id: &ProcessId) -> Result<Option<ProcessRecord>, ReadError> {
        self.reader().process(id)
    }

    /// At most `limit` processes in order of id, from just after `after`.
    pub fn processes(&self, after: Option<&ProcessId>, limit: usize) -> Result<Vec<ProcessRecord>, ReadError> {
        self.reader().processes(after, limit)
    }

    /// At most `limit` processes that have slots without outcomes, in order of id, from just after `after`.
    pub fn pending(&self, after: Option<&ProcessId>, limit: usize) -> Result<Vec<ProcessId>, ReadError> {
        let reader = self.reader();
        let (mut found, mut after) = (Vec::new(), after.cloned());
        while found.len() < limit {
            let marked = reader.marked(after.as_ref(), MARKS)?;
            let Some(last) = marked.last() else { break };
            after = Some(last.clone());
            for process in marked {
                if found.len() >= limit {
                    break;
                }
                if reader.position(&process)?.is_pending() {
                    found.push(process);
                } else {
                    // It was held when the node was killed, or still is.
                    self.hand_in(Request::Tidy { process });
                }
            }
        }
        Ok(found)
    }

    /// Where the log of `id` stands; `None`: there is no such process.
    pub fn head(&self, id: &ProcessId) -> Result<Option<Head>, ReadError> {
        self.reader().head(id)
    }

    /// The entry of `slot`.
    pub fn entry(&self, id: &ProcessId, slot: Slot) -> Result<Option<Entry>, ReadError> {
        self.reader().entry(id, slot)
    }

    /// A part of the log.
    pub fn entries(&self, id: &ProcessId, query: &PageQuery) -> Result<Page<Entry>, ReadError> {
        self.reader().entries(id, query)
    }

    /// The outcome of `slot`.
    pub fn computed(&self, id: &ProcessId, slot: Slot) -> Result<Option<Computed>, ReadError> {
        self.reader().computed(id, slot)
    }

    /// A part of the outcomes.
    pub fn outcomes(&self, id: &ProcessId, query: &PageQuery) -> Result<Page<Computed>, ReadError> {
        self.reader().outcomes(id, query)
    }

    /// What is remembered of a message id.
    pub fn known_id(&self, id: &ProcessId, origin: Origin, message: &MessageId) -> Result<Option<KnownId>, ReadError> {
        self.reader().known_id(id, origin, message)
    }

    /// The blob `hash` of the shard of `id`.
    pub fn blob(&self, id: &ProcessId, hash: &BlobHash) -> Result<Option<Vec<u8>>, ReadError> {
        self.reader().blob(id, hash)
    }
}

/// Reads of what lies beside the logs.
impl Store {
    /// The last position that `process` took from `source`.
    pub fn mark(&self, process: &ProcessId, source: &MarkSource) -> Result<Option<MarkPosition>, ReadError> {
        self.reader().mark(process, source)
    }

    /// At most `limit` marks of `process` whose sources begin with `beginning`, in order of source.
    pub fn marks(
        &self,
        process: &ProcessId,
        beginning: &str,
        limit: usize,
    ) -> Result<Vec<(MarkSource, MarkPosition)>, ReadError> {
        self.reader().marks(process, beginning, limit)
    }

    /// At most `limit` items of the outbox of `source`, in the order in which they are to be delivered, from just after
    /// `after`. Where many were delivered since, a known `after` spares the look at what is left of them.
    pub fn outbox(
        &self,
        source: &ProcessId,
        after: Option<OutboxKey>,
        limit: usize,
    ) -> Result<Vec<(OutboxKey, OutboxItem)>, ReadError> {
        self.reader().outbox(source, after, limit)
    }

    /// How many items the outbox of `source` has. Takes as long as there are many.
    pub fn outbox_len(&self, source: &ProcessId) -> Result<u64, ReadError> {
        self.reader().outbox_len(source)
    }

    /// At most `limit` processes that have something in their outboxes, in order of shard and id, from just after `after`.
    pub fn outbox_sources(&self, after: Option<&ProcessId>, limit: usize) -> Result<Vec<ProcessId>, ReadError> {
        self.reader().outbox_sources(after, limit)
    }

    /// What could not be delivered under `id`.
    pub fn dead_letter(&self, id: &MessageId) -> Result<Option<DeadLetter>, ReadError> {
        self.reader().dead_letter(id)
    }

    /// At most `limit` dead letters in order of id, from just after `after`.
    pub fn dead_letters(&self, after: Option<&MessageId>, limit: usize) -> Result<Vec<DeadLetter>, ReadError> {
        self.reader().dead_letters(after, limit)
    }

    /// The monitor of `process`.
    pub fn monitor(&self, process: &ProcessId) -> Result<Option<MonitorRecord>, ReadError> {
        self.reader().monitor(process)
    }

    /// At most `limit` monitors in order of process, from just after `after`.
    pub fn monitors(&self, after: Option<&ProcessId>, limit: usize) -> Result<Vec<MonitorRecord>, ReadError> {
        self.reader().monitors(after, limit)
    }

    /// How far the ticks of the cron entries of `process` were handled, as the text of a [`Cursor`](crate::cron::Cursor).
    pub fn cron_cursor(&self, process: &ProcessId) -> Result<Option<String>, ReadError> {
        self.reader().cron_cursor(process)
    }

    /// At most `limit` processes whose newest definition has cron entries, in order of id, from just after `after`.
    pub fn cron_processes(&self, after: Option<&ProcessId>, limit: usize) -> Result<Vec<ProcessId>, ReadError> {
        self.reader().cron_processes(after, limit)
    }

    /// A part of the outcomes of those slots whose messages came by cron.
    pub fn cron_outcomes(&self, process: &ProcessId, query: &PageQuery) -> Result<Page<Computed>, ReadError> {
        self.reader().cron_outcomes(process, query)
    }
}

impl Inner {
    /// Waits for the store's threads, unless this is one of them.
    fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.thread().id() != thread::current().id() {
                // A thread that panicked has ended all the same.
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::Release);
        let _ = self.intake.hand_in(Request::Shutdown { answer: Answer::new(drop) });
        self.join();
    }
}

/// Removes snapshot files of before the start that no reference names.
fn sweep(shared: &Shared) {
    let is_kept = |process: &ProcessId, slot, seal: &str| match Reader(&shared.cell).snapshot_files(process) {
        Ok(files) => files.iter().any(|file| file.slot == slot && shown_seal(&file.seal.to_string()) == seal),
        Err(_) => true,
    };
    let removed = shared.snapshots.sweep(is_kept, || shared.is_closing.load(Ordering::Acquire));
    if removed > 0 {
        tracing::info!(target: "store", event = "snapshots_swept", files = removed);
    }
}
