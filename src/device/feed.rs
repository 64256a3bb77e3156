//! The entries that a runner comes to, with their outcomes where these are known already.

use std::collections::VecDeque;
use std::sync::Arc;

use super::log_reader::LogReader;
use crate::ids::{ProcessId, Slot};
use crate::process::{Computed, Entry};

/// First the past, with outcomes, a chunk at a time; then the entries that were handed in, or chunks of the log.
pub(super) struct Feed {
    log: Arc<dyn LogReader>,
    process: ProcessId,
    /// Entries up to `recorded`, and their outcomes.
    past: VecDeque<Entry>,
    outcomes: VecDeque<Computed>,
    /// Entries after `recorded`.
    entries: VecDeque<Entry>,
    recorded: Option<Slot>,
    goal: Option<Slot>,
    was_handed_in: bool,
}

impl Feed {
    pub(super) fn new(
        log: Arc<dyn LogReader>,
        process: ProcessId,
        entries: Vec<Entry>,
        recorded: Option<Slot>,
        goal: Option<Slot>,
    ) -> Self {
        let was_handed_in = !entries.is_empty();
        let (past, outcomes) = (VecDeque::new(), VecDeque::new());
        Self { log, process, past, outcomes, entries: entries.into(), recorded, goal, was_handed_in }
    }

    /// Slots up to here have an outcome in the store.
    pub(super) fn recorded(&self) -> Option<Slot> {
        self.recorded
    }

    /// The entry of `slot`, and its outcome if it was computed before.
    pub(super) fn take(&mut self, slot: Slot) -> Result<(Entry, Option<Computed>), String> {
        let is_past = Some(slot) <= self.recorded;
        let (entries, last) = match is_past {
            true => (&mut self.past, self.recorded),
            false => (&mut self.entries, self.goal),
        };
        let last = last.unwrap_or(slot);
        if entries.front().is_none_or(|entry| entry.slot != slot) {
            *entries = self.log.entries(&self.process, slot, last)?.into();
        }
        let entry = entries.pop_front().filter(|entry| entry.slot == slot);
        let entry = entry.ok_or_else(|| format!("the message of slot {slot} is missing in the store"))?;
        if !is_past {
            return Ok((entry, None));
        }
        if self.outcomes.front().is_none_or(|outcome| outcome.slot != slot) {
            self.outcomes = self.log.outcomes(&self.process, slot, last)?.into();
        }
        let outcome = self.outcomes.pop_front().filter(|outcome| outcome.slot == slot);
        let outcome = outcome.ok_or_else(|| format!("the outcome of slot {slot} is missing in the store"))?;
        Ok((entry, Some(outcome)))
    }

    /// Puts back the entry that was taken last.
    pub(super) fn give_back(&mut self, entry: Entry) {
        self.entries.push_front(entry);
    }

    /// What was handed in and not taken. What was read from the log can be read again.
    pub(super) fn into_unused(self) -> Vec<Entry> {
        if self.was_handed_in { self.entries.into() } else { Vec::new() }
    }
}
