//! Messages that are known by their place in the row of their source.

use std::collections::HashMap;

use super::core::{Core, InFlight, Waiting};
use super::types::{Answer, History};
use crate::ids::Slot;
use crate::process::{Entry, Mark, MarkPosition, MarkSource, RequestError};

/// The last position of each source that is on its way to the store, and the slot that it has. Its size is that of the
/// messages on their way.
#[derive(Debug, Default)]
pub(super) struct MarksInFlight(HashMap<MarkSource, (MarkPosition, Slot)>);

impl MarksInFlight {
    /// `entry` goes on its way.
    pub(super) fn add(&mut self, entry: &Entry) {
        if let Some(Mark { source, position }) = &entry.mark {
            self.0.insert(source.clone(), (*position, entry.slot));
        }
    }

    /// `entry` is in the store, or will not be.
    pub(super) fn remove(&mut self, entry: &Entry) {
        if let Some(mark) = &entry.mark
            && self.0.get(&mark.source).is_some_and(|(_, slot)| *slot == entry.slot)
        {
            self.0.remove(&mark.source);
        }
    }

    /// The slot whose way to the store decides on a message with `mark`.
    fn covering(&self, mark: &Mark) -> Option<Slot> {
        self.0.get(&mark.source).filter(|(position, _)| *position >= mark.position).map(|(_, slot)| *slot)
    }
}

/// What is known of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// No message of its source is at it or after it.
    No,
    /// One is, and it is on its way to this slot.
    InFlight(Slot),
    /// One is in the store.
    Stored,
}

impl<R: Waiting> Core<R> {
    /// Whether `mark`, or a later one of its source, was taken before.
    pub(super) fn known_mark(&self, history: &dyn History, mark: &Mark) -> Result<Known, RequestError> {
        if let Some(slot) = self.marks.covering(mark) {
            return Ok(Known::InFlight(slot));
        }
        let last = history.mark(&mark.source).map_err(RequestError::Store)?;
        Ok(if last.is_some_and(|last| last >= mark.position) { Known::Stored } else { Known::No })
    }

    /// The answer to a message whose mark was taken before, once that is sure.
    pub(super) fn answer_known(&mut self, known: Known, reply: R, outcome: Option<R>) {
        let flights = &mut self.in_flight;
        let on_its_way = flights.iter_mut().find_map(|flight| match flight {
            InFlight::Entry { entry, replies, .. } if known == Known::InFlight(entry.slot) => Some(replies),
            _ => None,
        });
        let askers = [Some(reply), outcome].into_iter().flatten();
        if let Some(replies) = on_its_way {
            return replies.extend(askers.map(|reply| (reply, Answer::Known)));
        }
        for reply in askers {
            self.answer(reply, Ok(Answer::Known));
        }
    }
}
