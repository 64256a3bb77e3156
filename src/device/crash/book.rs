//! The book of crashes: what is noted while the node runs, and what is counted from its last runs.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

use super::cell::{self, Owner};
use super::counts::{Call, Counted, Counts};
use super::sheet::{self, Sheet};
use crate::ids::{ProcessId, Slot};

/// Where the counts are kept from one run to the next. Errors are texts that name the file.
pub trait CrashKeeper: Send + Sync {
    /// The text that was written last; `None`: there is none.
    fn read(&self) -> Result<Option<Vec<u8>>, String>;

    /// Puts `text` in the place of what was written before. It is on disk when this returns.
    fn write(&self, text: &[u8]) -> Result<(), String>;
}

/// How a book is opened.
pub struct Opening<'a> {
    /// The file of the notes.
    pub sheet: &'a Path,
    /// So many threads note at once.
    pub threads: usize,
    /// After so many crashes a call is not made again.
    pub max_crashes: u32,
    /// Where the counts are kept.
    pub keeper: Box<dyn CrashKeeper>,
    /// Whether a slot has an outcome, or will never have one.
    pub is_over: &'a dyn Fn(&ProcessId, Slot) -> bool,
}

/// What is noted while the node runs, and what is counted from its last runs.
pub struct CrashBook {
    sheet: Sheet,
    taken: Box<[AtomicBool]>,
    counts: Mutex<Counts>,
    is_blank: AtomicBool,
    keeper: Option<Box<dyn CrashKeeper>>,
    max_crashes: u32,
}

impl Default for CrashBook {
    /// A book that notes and counts nothing.
    fn default() -> Self {
        Self::with(Sheet::unmapped(0), 0, Counts::default(), None, u32::MAX)
    }
}

impl CrashBook {
    /// Counts what the last run left, on disk, and begins a new sheet. Whatever fails is a warning in the log: then the end of
    /// this run, or that of the last one, is not counted. Blocks.
    pub fn open(opening: Opening<'_>) -> Self {
        let Opening { sheet: path, threads, max_crashes, keeper, is_over } = opening;
        let mut counts = read_counts(keeper.as_ref());
        let left = sheet::left(path).unwrap_or_else(|error| {
            warn!(target: "node", event = "notes_unusable", path = %path.display(), %error,
                "what the last run was at is not known; nothing is counted");
            None
        });
        let run = counts.counted_run().max(left.as_ref().map_or(0, |left| left.run)).saturating_add(1);
        let ended = left.filter(|left| !left.was_stopped && left.run > counts.counted_run());
        let is_done = |one: &Counted| one.call == Call::Compute && is_over(&one.process, one.slot);
        if let Some(left) = &ended {
            counts.count(left.run, &left.calls);
        }
        let has_forgotten = counts.forget(is_done);
        if ended.is_some() || has_forgotten {
            keep(keeper.as_ref(), &counts);
        }
        if let Some(left) = ended {
            info!(target: "node", event = "unclean_end", calls = left.calls.len(), "the last run was not stopped");
            left.calls.iter().for_each(|one| tell(one, &counts));
        }
        let (sheet, cells) = match Sheet::create(path, run, threads) {
            Ok(sheet) => (sheet, threads),
            Err(error) => {
                warn!(target: "node", event = "notes_unusable", path = %path.display(), %error,
                    "what this run is at is not noted, so a slot that ends the node is not found out; make the file writable");
                (Sheet::unmapped(0), 0)
            }
        };
        Self::with(sheet, cells, counts, Some(keeper), max_crashes.max(1))
    }

    /// A book that notes nothing and keeps nothing of these counts.
    #[cfg(test)]
    pub(super) fn of_counts(counts: Counts, max_crashes: u32) -> Self {
        Self::with(Sheet::unmapped(0), 0, counts, None, max_crashes)
    }

    fn with(
        sheet: Sheet,
        cells: usize,
        counts: Counts,
        keeper: Option<Box<dyn CrashKeeper>>,
        max_crashes: u32,
    ) -> Self {
        let taken = (0..cells).map(|_| AtomicBool::new(false)).collect();
        let is_blank = AtomicBool::new(counts.is_empty());
        Self { sheet, taken, counts: Mutex::new(counts), is_blank, keeper, max_crashes }
    }

    /// The run ends in good order: whatever is noted doesn't count.
    pub fn close(&self) {
        self.sheet.stop();
    }

    /// Takes a cell for a thread that works for `process`, until the value is dropped. Where all are taken nothing is noted.
    pub fn begin(self: &Arc<Self>, process: &ProcessId) -> Noting {
        let is_free = |taken: &AtomicBool| !taken.load(Ordering::Relaxed) && !taken.swap(true, Ordering::Acquire);
        let cell = self.taken.iter().position(is_free);
        let owner = Owner::new(process);
        if let Some(words) = cell.and_then(|at| self.sheet.cell(at)) {
            cell::own(words, &owner);
        }
        let suspects = if self.is_empty() { Vec::new() } else { self.counts().of(process) };
        Noting { book: self.clone(), cell, owner, suspects }
    }

    /// Notes a single call, until the value is dropped.
    pub fn note(self: &Arc<Self>, process: &ProcessId, call: Call, slot: Slot) -> Noting {
        let noting = self.begin(process);
        noting.note(call, slot);
        noting
    }

    /// Forgets what is counted against a call. Blocks if there is anything.
    pub fn forget(&self, process: &ProcessId, call: Call, slot: Slot) {
        if self.is_empty() {
            return;
        }
        let mut counts = self.counts();
        if counts.forget(|one| one.process == *process && one.is_of(call, slot)) {
            self.is_blank.store(counts.is_empty(), Ordering::Release);
            if let Some(keeper) = &self.keeper {
                keep(keeper.as_ref(), &counts);
            }
        }
    }

    /// Whether nothing is counted, which is the rule.
    pub fn is_empty(&self) -> bool {
        self.is_blank.load(Ordering::Acquire)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing is left half done under this lock.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cell of the sheet, held by one thread for one process.
pub struct Noting {
    book: Arc<CrashBook>,
    cell: Option<usize>,
    owner: Owner,
    /// What is counted against the process.
    suspects: Vec<Counted>,
}

impl Noting {
    /// Notes that this is done from now on.
    pub fn note(&self, call: Call, slot: Slot) {
        if let Some(words) = self.words() {
            cell::write(words, &self.owner, call, slot);
        }
    }

    /// Notes that nothing is done.
    pub fn rest(&self) {
        if let Some(words) = self.words() {
            cell::clear(words);
        }
    }

    /// How often the node ended under this call, if that was too often to make it again.
    pub fn given_up(&self, call: Call, slot: Slot) -> Option<u32> {
        let suspect = self.suspects.iter().find(|one| one.is_of(call, slot))?;
        (suspect.crashes >= self.book.max_crashes).then_some(suspect.crashes)
    }

    /// The call was made and the node lives: nothing is counted against it any more.
    pub fn survived(&mut self, call: Call, slot: Slot) {
        if let Some(at) = self.suspects.iter().position(|one| one.is_of(call, slot)) {
            let survivor = self.suspects.swap_remove(at);
            self.book.forget(&survivor.process, call, slot);
        }
    }

    fn words(&self) -> Option<&[std::sync::atomic::AtomicU64]> {
        self.book.sheet.cell(self.cell?)
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        self.rest();
        if let Some(taken) = self.cell.and_then(|at| self.book.taken.get(at)) {
            taken.store(false, Ordering::Release);
        }
    }
}

fn read_counts(keeper: &dyn CrashKeeper) -> Counts {
    let parsed = keeper.read().and_then(|text| match text {
        Some(text) => Counts::parse(&text).map_err(|error| error.to_string()),
        None => Ok(Counts::default()),
    });
    parsed.unwrap_or_else(|error| {
        warn!(target: "node", event = "crashes_unusable", error, "how often slots ended the node is not known; counting anew");
        Counts::default()
    })
}

fn keep(keeper: &dyn CrashKeeper, counts: &Counts) {
    let kept = counts.to_text().map_err(|error| error.to_string()).and_then(|text| keeper.write(&text));
    if let Err(error) = kept {
        warn!(target: "node", event = "crashes_unkept", error, "how often slots ended the node is only known until it ends");
    }
}

/// Tells what the last run was at when it ended.
fn tell(one: &Counted, counts: &Counts) {
    let Counted { process, slot, call, .. } = one;
    if !call.is_repeated() {
        warn!(target: "node", event = "trial_crashed", %process, slot = slot.0, call = call.as_str(),
            "the node ended while this was done for somebody who asked; it is not repeated and not counted");
        return;
    }
    let crashes = counts.crashes(process, *call, *slot);
    if crashes > 0 {
        warn!(target: "node", event = "slot_crashed", %process, slot = slot.0, call = call.as_str(), crashes,
            "the node ended while it did this");
    }
}
