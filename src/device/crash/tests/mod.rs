//! Notes and counts, over ends of every kind.

mod notes;
mod runs;

use std::sync::{Arc, Mutex};

use super::{Call, Counted, Counts, CrashBook, CrashKeeper};
use crate::ids::{ProcessId, Slot};

pub(super) fn process(name: &str) -> ProcessId {
    ProcessId::parse(name).unwrap()
}

pub(super) fn counted(name: &str, call: Call, slot: u64, crashes: u32) -> Counted {
    Counted { process: process(name), slot: Slot(slot), call, crashes }
}

/// A keeper in memory. Clones share what is kept.
#[derive(Clone, Default)]
pub(super) struct Shelf(pub(super) Arc<Mutex<Option<Vec<u8>>>>);

impl CrashKeeper for Shelf {
    fn read(&self) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn write(&self, text: &[u8]) -> Result<(), String> {
        *self.0.lock().unwrap() = Some(text.to_owned());
        Ok(())
    }
}

impl CrashBook {
    /// A book in which these calls are counted, of which nothing is kept.
    pub(in crate::device) fn of_suspects(suspects: &[Counted], max_crashes: u32) -> Arc<Self> {
        let mut counts = Counts::default();
        for run in 1..=u64::from(suspects.iter().map(|one| one.crashes).max().unwrap_or(0)) {
            let still: Vec<_> = suspects.iter().filter(|one| u64::from(one.crashes) >= run).cloned().collect();
            counts.count(run, &still);
        }
        Arc::new(Self::of_counts(counts, max_crashes))
    }
}
