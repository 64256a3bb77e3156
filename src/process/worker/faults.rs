//! The machine fails: pauses that grow, an end to a pause, and the way past a slot that it cannot compute.
//!
//! Only the next slot without an outcome can be skipped, and only once the machine failed at that slot itself: what it failed
//! at on the way there is needed for every slot to come. While a slot is tried again a skip waits for what comes of it.

use super::core::{Core, InFlight, Waiting};
use super::types::{Answer, Effect, Fault, Note};
use crate::ids::Slot;
use crate::process::{Cause, Computed, Durability, EntryKind, Outcome, Record, RequestError};

/// A slot that is to be skipped, unless it comes to an outcome while it is tried again.
#[derive(Debug)]
pub(super) struct Wish<R> {
    slot: Slot,
    kind: EntryKind,
    /// What the machine failed at before.
    error: String,
    pub(super) replies: Vec<R>,
}

impl<R: Waiting> Core<R> {
    /// Tries again after a pause.
    pub(super) fn take_fault(&mut self, fault: Fault) {
        let (slot, error) = (fault.at.map(|(slot, _)| slot), fault.error.clone());
        self.note(Note::Fault { slot, error });
        self.fault = Some(fault);
        self.is_retrying = true;
        let wait = self.backoff.wait();
        self.effects.push(Effect::RetryAfter(wait));
    }

    /// The time to wait after a fault is over.
    pub fn retry(&mut self) {
        self.is_retrying = false;
        self.advance();
    }

    /// Goes on after [`Core::take_fault`], if that is what stands in the way.
    pub(super) fn resume_after_fault(&mut self, skip: bool, reply: R) {
        let Some(fault) = self.fault.clone() else {
            let text = format!(
                "process {} is not halted, and the machine has not failed at its next slot: there is nothing to resume",
                self.process
            );
            return self.answer(reply, Err(RequestError::Conflict(text)));
        };
        if skip {
            return self.skip_after(fault, reply);
        }
        self.end_pause();
        let next = Slot::after(self.computed).min(self.scheduled.unwrap_or(Slot::ZERO));
        let slot = fault.at.map_or(next, |(slot, _)| slot);
        self.resumed_fault = (slot == Slot::after(self.computed)).then_some(slot);
        self.note(Note::Resumed { slot, skipped: false });
        self.answer(reply, Ok(Answer::At(slot)));
    }

    fn skip_after(&mut self, Fault { error, at }: Fault, reply: R) {
        let Some((slot, kind)) = at.filter(|(slot, _)| *slot == Slot::after(self.computed)) else {
            let text = match at {
                Some((slot, _)) => self.needed_text(slot),
                None => format!(
                    "process {} cannot be brought to where its next slot begins, so there is nothing to skip: {error}",
                    self.process
                ),
            };
            return self.answer(reply, Err(RequestError::Conflict(text)));
        };
        if self.is_away {
            // What is being tried may still succeed, and would be a second outcome.
            let wish = self.wish.get_or_insert_with(|| Wish { slot, kind, error, replies: Vec::new() });
            return wish.replies.push(reply);
        }
        self.pass_over(slot, cause_of(kind), &error, vec![reply]);
    }

    /// The device is back, so what was to be skipped has an outcome by now, or gets one.
    pub(super) fn fulfil_wish(&mut self) {
        let Some(Wish { slot, kind, error, replies }) = self.wish.take() else { return };
        if slot != Slot::after(self.computed) || self.barred.is_some() {
            let text = match &self.barred {
                Some(halt) => self.needed_text(halt.slot),
                None => {
                    format!("slot {slot} of process {} came to an outcome meanwhile; it is not skipped", self.process)
                }
            };
            return self.refuse_skips(replies, text);
        }
        if let Some(halt) = self.halted.as_ref().filter(|halt| halt.resumed.is_none()) {
            let error = halt.error.clone();
            return self.pass_over(slot, Cause::Skipped, &error, replies);
        }
        let newest = self.fault.take().filter(|fault| fault.at == Some((slot, kind)));
        let error = newest.map_or(error, |fault| fault.error);
        self.pass_over(slot, cause_of(kind), &error, replies);
    }

    /// The worker ends, and with it whatever it was to do.
    pub(super) fn refuse_wish(&mut self) {
        let Some(Wish { slot, replies, .. }) = self.wish.take() else { return };
        let text = format!("the worker of process {} ended before slot {slot} was skipped; ask again", self.process);
        self.refuse_skips(replies, text);
    }

    fn refuse_skips(&mut self, replies: Vec<R>, text: String) {
        let error = RequestError::Conflict(text);
        for reply in replies {
            self.answer(reply, Err(error.clone()));
        }
    }

    /// Why a slot with an outcome is never skipped.
    pub(super) fn needed_text(&self, slot: Slot) -> String {
        format!(
            "slot {slot} of process {} has an outcome, and the state after it is needed, so it cannot be skipped",
            self.process
        )
    }

    /// Gives the next slot an outcome that says why it was passed over. The device must not be at it.
    pub(super) fn pass_over(&mut self, slot: Slot, cause: Cause, why: &str, replies: Vec<R>) {
        debug_assert!(slot == Slot::after(self.computed), "outcomes are dense");
        let outcome = Outcome::failed(format!("skipped: {why}"), 0);
        let skipped = Computed { slot, definition: self.in_force, cause, outcome };
        let before = self.computed;
        self.computed = Some(slot);
        self.keep_recent(&skipped, false);
        self.in_flight.push_back(InFlight::Outcomes { last: slot, sends: false, snapshot: None, replies });
        let mut records = vec![Record::Computed(skipped)];
        if self.halted.take_if(|halt| halt.slot == slot).is_some() {
            records.push(Record::Halted(None));
        }
        self.commit(self.assigned, before, records, Durability::Sync);
        // The device must pass over the slot, which it does by reading it from the store.
        self.tail.clear();
        self.tail_weight = 0;
        self.forget_fault();
        self.end_pause();
        self.note(Note::Resumed { slot, skipped: true });
    }

    /// What the machine failed at is past.
    pub(super) fn forget_fault(&mut self) {
        self.fault = None;
        self.resumed_fault = None;
    }

    /// The slot that somebody wants to be tried again under a later definition, and which.
    pub(super) fn resumed(&self) -> Option<(Slot, Slot)> {
        let halted = self.halted.as_ref().and_then(|halt| halt.resumed.map(|under| (halt.slot, under)));
        // A definition that came behind the slot may be what mends it. Those before it had their turn.
        let faulty =
            || self.resumed_fault.map(|slot| (slot, self.newest_definition())).filter(|(slot, newest)| newest > slot);
        halted.or_else(faulty)
    }

    /// The newest definition on disk. One that is on its way may still be refused.
    pub(super) fn newest_definition(&self) -> Slot {
        self.settled_definition.as_ref().map_or(self.in_force, |(slot, _)| *slot)
    }

    fn end_pause(&mut self) {
        self.is_retrying = false;
        self.backoff.reset();
    }

    /// What the machine failed at.
    pub(super) fn fault_text(&self) -> Option<String> {
        self.fault.as_ref().map(|fault| fault.error.clone())
    }
}

/// As what a slot is passed over that the machine failed at. A definition that never began is as good as one that does not
/// load: what was in force before stays, and where there was nothing, there is nothing until the next definition.
fn cause_of(kind: EntryKind) -> Cause {
    match kind {
        EntryKind::Message => Cause::Skipped,
        EntryKind::Definition => Cause::Load,
    }
}
