//! How much waits to be delivered, and the pause that a process makes when it is too much.

use super::core::{Core, Phase, Waiting};
use super::types::Note;
use crate::process::Computed;

/// What the core knows of the outbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Items that were found or computed, and of which nobody said that they were delivered.
    undelivered: u64,
    /// Whether the log was told of a pause, and not yet of its end.
    is_told: bool,
}

impl<R: Waiting> Core<R> {
    /// So many items were there when the process was claimed.
    pub(super) fn outbox_found(&mut self, items: u64) {
        self.outbox.undelivered = items;
    }

    /// Counts what `computed` send. They count before they are on disk, so that no turn begins for which there is no room.
    pub(super) fn outbox_grows(&mut self, computed: &[Computed]) -> u64 {
        let items = computed.iter().map(Computed::sends).sum();
        self.outbox.undelivered = self.outbox.undelivered.saturating_add(items);
        items
    }

    /// So many items left the outbox. Told of each item once, after it is gone from the store; more than there are is
    /// none at all. What is told before the claim is answered does not count: the items that are found then are what is left.
    pub fn pushed(&mut self, items: u64) {
        if matches!(self.phase, Phase::Claiming | Phase::Gone) {
            return;
        }
        self.outbox.undelivered = self.outbox.undelivered.saturating_sub(items);
        self.advance();
    }

    fn outbox_limit(&self) -> u64 {
        self.definition.as_ref().map_or(u64::MAX, |(_, definition)| definition.limits.outbox)
    }

    /// So many more items may wait to be delivered.
    pub(super) fn outbox_room(&self) -> u64 {
        self.outbox_limit().saturating_sub(self.outbox.undelivered)
    }

    /// Whether slots wait to be computed and may not be, because too much waits to be delivered.
    pub(super) fn is_paused(&self) -> bool {
        self.computed < self.scheduled && !self.is_halted() && self.outbox.undelivered >= self.outbox_limit()
    }

    /// What keeps the process from going on, in the words of a limit.
    pub(super) fn pause_text(&self) -> Option<String> {
        self.is_paused().then(|| {
            let (undelivered, limit) = (self.outbox.undelivered, self.outbox_limit());
            format!("limit outbox: {undelivered} messages wait to be delivered, {limit} may; computing goes on when there is room")
        })
    }

    /// Tells the log of a pause once, and again only after half of the outbox was free.
    pub(super) fn tell_of_pause(&mut self) {
        let (undelivered, limit) = (self.outbox.undelivered, self.outbox_limit());
        if self.is_paused() && !self.outbox.is_told {
            self.outbox.is_told = true;
            self.note(Note::Paused { undelivered, limit });
        } else if self.outbox.is_told && undelivered <= limit / 2 {
            self.outbox.is_told = false;
            self.note(Note::Unpaused { undelivered });
        }
    }
}
