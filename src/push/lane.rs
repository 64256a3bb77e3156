//! What one source has for one target, in order.

use std::collections::VecDeque;

use super::Destination;
use super::gates::Ticket;
use super::timers::TimerId;
use super::trouble::Trouble;
use crate::process::OutboxKey;

/// What a lane does about its first item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: there is none in memory, or it was just loaded.
    Resting,
    /// It waits for its turn at the destination.
    Waiting(Ticket),
    /// It is being delivered.
    UnderWay,
    /// It failed and is tried again later.
    Blocked(TimerId),
}

/// The first items of one source for one target. The others stay in the store.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) destination: Destination,
    pub(super) step: Step,
    pub(super) trouble: Trouble,
    /// How often the first item was tried.
    pub(super) tries: u32,
    /// How many of these count towards its burial.
    pub(super) counted: u32,
    items: VecDeque<OutboxKey>,
    /// Nothing of this lane that is still to be delivered lies at or before this key.
    done: Option<OutboxKey>,
    /// All of this lane up to this key is in memory or done.
    upto: OutboxKey,
    /// Whether there may be items in the store after `upto` that were passed over. If not, all of this lane is in memory or done
    /// up to wherever the source's outbox was scanned.
    has_more: bool,
}

impl Lane {
    /// A lane of one item, none of this target lying between `done` and it.
    pub(super) fn new(destination: Destination, key: OutboxKey, done: Option<OutboxKey>, trouble: Trouble) -> Self {
        Self {
            destination,
            step: Step::Resting,
            trouble,
            tries: 0,
            counted: 0,
            items: VecDeque::from([key]),
            done,
            upto: key,
            has_more: false,
        }
    }

    /// The item whose turn it is.
    pub(super) fn first(&self) -> Option<OutboxKey> {
        self.items.front().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The places that it takes in memory.
    pub(super) fn places(&self) -> usize {
        self.items.len().max(1)
    }

    pub(super) fn is_blocked(&self) -> bool {
        matches!(self.step, Step::Blocked(_))
    }

    /// Whether it can be forgotten and found again without harm: nothing is under way and no attempt would be forgotten that
    /// counts.
    pub(super) fn is_forgettable(&self) -> bool {
        matches!(self.step, Step::Blocked(_) | Step::Waiting(_)) && self.counted == 0
    }

    pub(super) fn done(&self) -> Option<OutboxKey> {
        self.done
    }

    pub(super) fn upto(&self) -> OutboxKey {
        self.upto
    }

    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Whether nothing is known of that is still to be delivered.
    pub(super) fn is_over(&self) -> bool {
        self.items.is_empty() && !self.has_more
    }

    pub(super) fn push(&mut self, key: OutboxKey) {
        self.items.push_back(key);
        self.upto = key;
    }

    /// Takes the first item out: it is done.
    pub(super) fn pop(&mut self) -> Option<OutboxKey> {
        let first = self.items.pop_front()?;
        self.done = Some(first);
        (self.tries, self.counted) = (0, 0);
        Some(first)
    }

    /// Leaves all but the first item to the store. Returns how many.
    pub(super) fn give_back(&mut self) -> usize {
        let given = self.items.len().saturating_sub(1);
        if given > 0 {
            self.items.truncate(1);
            self.upto = self.items.front().copied().unwrap_or(self.upto);
            self.has_more = true;
        }
        given
    }

    /// The next item was not taken in: up to `seen` all is known, from there on there is more.
    pub(super) fn pass_over_after(&mut self, seen: Option<OutboxKey>) {
        self.saw(seen);
        self.has_more = true;
    }

    /// All of this lane up to `seen` is known.
    pub(super) fn saw(&mut self, seen: Option<OutboxKey>) {
        self.upto = seen.map_or(self.upto, |seen| seen.max(self.upto));
    }

    /// Nothing of this lane was passed over.
    pub(super) fn has_no_more(&mut self) {
        self.has_more = false;
    }
}
