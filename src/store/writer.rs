//! The one thread that writes: it takes what waits, makes one batch of it, syncs once, and answers everyone in order.
//!
//! There is no timer: while a batch is on its way to the disk the next one gathers in the queue, so batches grow with load
//! and a lone commit waits for nobody.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::admission::Admission;
use super::answer::Answer;
use super::archive::{is_of_archives, misfit};
use super::backend::{Backend, Shared};
use super::contract::{Claim, Commit, CommitResult, Durability, Head, ReadError, Record, SnapshotFile};
use super::engine::{EngineError, Op};
use super::fencing::{Admitted, Heads, Position};
use super::keys;
use super::queue::{Outlet, Request};
use super::reader::Reader;
use super::records::{counter_op, dropped_files, footing_files, mark_op, unmark_op};
use crate::ids::ProcessId;
use crate::metrics::{COUNTERS, HISTOGRAMS};

/// A batch ends with so many requests or so many bytes.
const BATCH_REQUESTS: usize = 1024;
const BATCH_BYTES: u64 = 8 << 20;
/// How often a log line tells of refused commits.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Who waits for a batch, and for what.
enum Waiting {
    /// A commit that is in the batch, and the snapshot files of what it no longer keeps.
    Commit(Answer<CommitResult>, ProcessId, Vec<SnapshotFile>),
    /// A commit whose answer does not depend on the batch.
    Decided(Answer<CommitResult>, CommitResult),
    Claim(Answer<Result<Claim, String>>, Claim),
    Flush(Answer<Result<(), String>>),
}

/// What is written at once.
#[derive(Default)]
struct Batch {
    ops: Vec<Op>,
    bytes: u64,
    sync: bool,
    created: u64,
    touched: HashSet<ProcessId>,
    waiting: Vec<Waiting>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.waiting.len() >= BATCH_REQUESTS || self.bytes >= BATCH_BYTES
    }
}

/// The store's thread.
pub(super) struct Writer {
    backend: Backend,
    shared: Arc<Shared>,
    outlet: Outlet,
    heads: Heads,
    admission: Admission,
    stopping: Option<Answer<Result<(), String>>>,
    refused: u64,
    told: Option<Instant>,
}

impl Writer {
    /// A writer of what comes out of `outlet`.
    pub(super) fn new(backend: Backend, outlet: Outlet, disk_reserve: u64) -> Self {
        let shared = backend.shared().clone();
        let admission = Admission::new(shared.folder.path(), disk_reserve);
        let heads = Heads::default();
        Self { backend, shared, outlet, heads, admission, stopping: None, refused: 0, told: None }
    }

    /// Writes until it is told to stop or nobody is left who could hand anything in.
    pub(super) fn run(mut self) {
        while self.stopping.is_none() {
            let first = match self.outlet.next(self.backend.retry_in()) {
                Ok(request) => Some(request),
                Err(is_over) if is_over => break,
                Err(_) => None,
            };
            self.backend.retry();
            let mut batch = Batch::default();
            let mut next = first;
            while let Some(request) = next {
                self.take(request, &mut batch);
                let goes_on = !batch.is_full() && self.stopping.is_none();
                next = if goes_on { self.outlet.next_waiting() } else { None };
            }
            self.write(batch);
        }
        self.end();
    }

    fn end(self) {
        self.outlet.close();
        let closed = self.backend.close();
        let reason = self.shared.text("it is shut down");
        while let Some(request) = self.outlet.next_waiting() {
            request.refuse(reason.clone());
        }
        if let Some(answer) = self.stopping {
            answer.give(closed);
        }
    }

    /// Adds `request` to `batch`, or answers it if nothing is to be written.
    fn take(&mut self, request: Request, batch: &mut Batch) {
        match request {
            Request::Release { process, epoch } => {
                if self.heads.release(&process, epoch) && self.backend.trouble().is_none() {
                    self.add(&process, [unmark_op(&process)], batch);
                }
            }
            Request::Shutdown { answer } => self.stopping = Some(answer),
            request => match self.backend.trouble() {
                Some(trouble) => self.refuse(request, trouble),
                None => self.take_healthy(request, batch),
            },
        }
    }

    fn take_healthy(&mut self, request: Request, batch: &mut Batch) {
        match request {
            Request::Commit { commit, ops, answer } => self.take_commit(&commit, ops, answer, batch),
            Request::Claim { process, answer } => self.take_claim(&process, answer, batch),
            Request::Flush { answer } => {
                batch.sync = true;
                batch.waiting.push(Waiting::Flush(answer));
            }
            Request::Tidy { process } => {
                let is_free = !self.heads.is_held(&process) && !batch.touched.contains(&process);
                let position = is_free.then(|| Reader(&self.shared.cell).position(&process));
                if position.is_some_and(|position| position.is_ok_and(|position| !position.is_pending())) {
                    self.add(&process, [unmark_op(&process)], batch);
                }
            }
            Request::Release { .. } | Request::Shutdown { .. } => {}
        }
    }

    fn take_commit(&mut self, commit: &Commit, ops: Vec<Op>, answer: Answer<CommitResult>, batch: &mut Batch) {
        let adds = commit.records.iter().any(|record| matches!(record, Record::Entry(_) | Record::Outbox(..)));
        // Outcomes go on when space is short: they finish what was acknowledged.
        if let Err(reason) = if adds { self.admission.check() } else { Ok(()) } {
            let reason = self.shared.text(&reason);
            self.note_refused(&reason);
            return batch.waiting.push(Waiting::Decided(answer, CommitResult::Refused(reason)));
        }
        let admitted = match self.lacks(commit, batch) {
            Ok(None) => self.heads.admit(commit).map_err(|fence| fence.to_string()),
            Ok(Some(lack)) => Err(lack.to_owned()),
            Err(error) => {
                return batch.waiting.push(Waiting::Decided(answer, CommitResult::Refused(error.to_string())));
            }
        };
        let Admitted { before, after, marks } = match admitted {
            Ok(admitted) => admitted,
            Err(reason) => {
                COUNTERS.store_fenced.inc();
                tracing::debug!(target: "store", event = "store_fenced", process = %commit.process, writer = ?commit.writer, reason);
                return batch.waiting.push(Waiting::Decided(answer, CommitResult::Fenced));
            }
        };
        self.add(&commit.process, ops.into_iter().chain(marks.then(|| mark_op(&commit.process))), batch);
        let dropped: Vec<_> = dropped_files(commit).cloned().collect();
        // A file goes only once no crash can bring back the reference that names it.
        batch.sync |= commit.durability == Durability::Sync || !dropped.is_empty();
        batch.created += u64::from(before.scheduled.is_none() && after.scheduled.is_some());
        batch.waiting.push(Waiting::Commit(answer, commit.process.clone(), dropped));
    }

    /// What `commit` stands on and is not there: files of its snapshots that belong to no snapshot that is kept (any other
    /// may be gone, or on its way out), or archives. Looks at what is written, so a batch that touches the process is written
    /// first.
    fn lacks(&mut self, commit: &Commit, batch: &mut Batch) -> Result<Option<&'static str>, ReadError> {
        let has_footing = footing_files(commit).next().is_some();
        if !has_footing && !is_of_archives(commit) {
            return Ok(None);
        }
        if batch.touched.contains(&commit.process) {
            self.write(std::mem::take(batch));
        }
        let reader = Reader(&self.shared.cell);
        if has_footing {
            let kept = reader.snapshot_files(&commit.process)?;
            if !footing_files(commit).all(|file| kept.contains(file)) {
                return Ok(Some("a snapshot stands on a file that is no longer kept"));
            }
        }
        misfit(reader, commit)
    }

    /// Removes those of the files `dropped` of `process` that no kept snapshot is made from. What is left here for an error is
    /// swept at the next start.
    fn remove(&self, process: &ProcessId, dropped: &[SnapshotFile]) {
        if dropped.is_empty() {
            return;
        }
        let Ok(kept) = Reader(&self.shared.cell).snapshot_files(process) else { return };
        for file in dropped.iter().filter(|file| !kept.contains(file)) {
            self.shared.snapshots.remove(process, file);
        }
    }

    /// Adds changes of `process` to `batch`.
    fn add(&self, process: &ProcessId, ops: impl IntoIterator<Item = Op>, batch: &mut Batch) {
        if batch.ops.is_empty() {
            batch.ops.push(self.backend.next_number());
        }
        let first = batch.ops.len();
        batch.ops.extend(ops);
        batch.bytes += batch.ops.iter().skip(first).map(|op| op.size() as u64).sum::<u64>();
        batch.touched.insert(process.clone());
    }

    /// A claim sees what is written, so a batch that touches its process is written first.
    fn take_claim(&mut self, process: &ProcessId, answer: Answer<Result<Claim, String>>, batch: &mut Batch) {
        if batch.touched.contains(process) {
            self.write(std::mem::take(batch));
        }
        let trouble = self.backend.trouble();
        let head = trouble.map_or_else(|| self.read_head(process).map_err(|error| error.to_string()), Err);
        match head {
            Ok((head, is_marked)) => {
                let at = |head: &Head| Position { scheduled: Some(head.scheduled), computed: head.computed };
                let epoch = self.heads.claim(process, head.as_ref().map(at).unwrap_or_default(), is_marked);
                batch.waiting.push(Waiting::Claim(answer, Claim { epoch, head }));
            }
            Err(reason) => answer.give(Err(reason)),
        }
    }

    /// The head of `process`, and whether it is marked as pending.
    fn read_head(&self, process: &ProcessId) -> Result<(Option<Head>, bool), ReadError> {
        let reader = Reader(&self.shared.cell);
        Ok((reader.head(process)?, reader.is_marked(process)?))
    }

    /// Writes `batch` and answers everyone who waits for it.
    fn write(&mut self, mut batch: Batch) {
        let created = batch.created;
        let count = self.shared.processes.load(Ordering::Acquire) + created;
        if created > 0 {
            batch.ops.push(counter_op(keys::PROCESSES, count));
        }
        let is_empty = batch.ops.is_empty() && !batch.sync;
        let written = if is_empty { Ok(()) } else { self.backend.write(&batch.ops, batch.sync) };
        match &written {
            Ok(()) => {
                self.admission.written(batch.bytes);
                self.shared.processes.store(count, Ordering::Release);
            }
            // Positions were moved on in good faith; from here on everyone must claim anew.
            Err(_) => self.heads.forget_all(),
        }
        let commits = batch.waiting.iter().filter(|waiting| matches!(waiting, Waiting::Commit(..))).count();
        if commits > 0 {
            HISTOGRAMS.store_batch_commits.observe(commits as f64);
        }
        for waiting in batch.waiting {
            self.answer(waiting, &written);
        }
    }

    fn answer(&mut self, waiting: Waiting, written: &Result<(), EngineError>) {
        let text = || written.as_ref().copied().map_err(|error| self.shared.text(&error.to_string()));
        match (waiting, written) {
            (Waiting::Decided(answer, result), _) => answer.give(result),
            (Waiting::Claim(answer, claim), _) => answer.give(text().map(|()| claim)),
            (Waiting::Flush(answer), _) => answer.give(text()),
            (Waiting::Commit(answer, process, dropped), Ok(())) => {
                answer.give(CommitResult::Committed);
                self.remove(&process, &dropped);
            }
            (Waiting::Commit(answer, ..), Err(EngineError::NotWritten(reason))) => {
                let reason = self.shared.text(reason);
                self.note_refused(&reason);
                answer.give(CommitResult::Refused(reason));
            }
            (Waiting::Commit(answer, ..), Err(error)) => {
                COUNTERS.store_unknown.inc();
                answer.give(CommitResult::Unknown(self.shared.text(&error.to_string())));
            }
        }
    }

    fn refuse(&mut self, request: Request, reason: String) {
        if matches!(request, Request::Commit { .. }) {
            self.note_refused(&reason);
        }
        request.refuse(reason);
    }

    fn note_refused(&mut self, reason: &str) {
        COUNTERS.store_refused.inc();
        self.refused += 1;
        if self.told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            tracing::warn!(target: "store", event = "store_refused", commits = self.refused, reason);
            (self.told, self.refused) = (Some(Instant::now()), 0);
        }
    }
}
