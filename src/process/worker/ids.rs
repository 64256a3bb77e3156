//! Which old ids are still remembered.

use std::collections::VecDeque;
use std::time::Duration;

use super::types::{History, OldId};
use crate::clock::Millis;
use crate::ids::{MessageId, Slot};
use crate::process::{Origin, Record};

/// The oldest end of a log's ids. Each new message pushes out at most [`PER_MESSAGE`](Self::PER_MESSAGE) that are too old,
/// so that the index shrinks as the log grows and nothing has to walk over it.
#[derive(Debug)]
pub(super) struct IdWindow {
    retention: Millis,
    next: Slot,
    /// Before this time nothing can be too old.
    quiet_until: Millis,
    oldest: VecDeque<OldId>,
}

impl IdWindow {
    const PER_MESSAGE: usize = 2;
    const LOOK_AHEAD: usize = 64;
    /// An hour.
    const PAUSE: Millis = 3_600_000;

    pub(super) fn new(retention: Duration) -> Self {
        Self {
            retention: Millis::try_from(retention.as_millis()).unwrap_or(Millis::MAX),
            next: Slot::ZERO,
            quiet_until: 0,
            oldest: VecDeque::new(),
        }
    }

    /// Ids of slots before this one were forgotten earlier.
    pub(super) fn start_at(&mut self, first: Slot) {
        self.next = first;
    }

    /// The id of `slot` and those after it are in the index still: the commit that was to forget them was refused.
    pub(super) fn go_back_to(&mut self, slot: Slot) {
        self.next = self.next.min(slot);
        self.oldest.clear();
        self.quiet_until = 0;
    }

    /// Whether an id from `then` no longer counts.
    pub(super) fn is_expired(&self, now: Millis, then: Millis) -> bool {
        now.saturating_sub(then) > self.retention
    }

    /// The records by which ids that are too old leave the index, few at a time. `last` is the last slot on disk.
    /// An id that was used again meanwhile stays: the index has its new slot, or will (`is_moving`).
    pub(super) fn forget(
        &mut self,
        now: Millis,
        last: Option<Slot>,
        history: &dyn History,
        is_moving: impl Fn(Origin, &MessageId) -> bool,
    ) -> Result<Vec<Record>, String> {
        let (mut records, mut passed, mut reads) = (Vec::new(), None, 0);
        while records.len() < Self::PER_MESSAGE && now >= self.quiet_until {
            if self.oldest.is_empty() {
                if Some(self.next) > last || reads == 1 {
                    break;
                }
                let read = history.ids_from(self.next, Self::LOOK_AHEAD);
                if read.is_err() {
                    // What can't be read now is not asked for by each message.
                    self.quiet_until = now.saturating_add(Self::PAUSE);
                }
                self.oldest = read?.into();
                reads += 1;
            }
            let Some(OldId { slot, origin, id, timestamp, is_marked }) = self.oldest.front() else { break };
            if !self.is_expired(now, *timestamp) {
                self.quiet_until = timestamp.saturating_add(self.retention);
                break;
            }
            let is_held = !is_marked && history.known_id(*origin, id)?.is_some_and(|known| known.slot == *slot);
            let is_moving = is_moving(*origin, id);
            passed = is_marked.then_some(*slot);
            self.next = slot.next();
            if let Some(OldId { slot, origin, id, .. }) = self.oldest.pop_front()
                && is_held
                && !is_moving
            {
                records.push(Record::ForgetId(origin, id, slot));
            }
        }
        // A long row of messages that have no ids in the index is passed once, not again by every worker.
        if records.is_empty() && self.oldest.is_empty() {
            records.extend(passed.map(Record::IdsPassed));
        }
        Ok(records)
    }
}
