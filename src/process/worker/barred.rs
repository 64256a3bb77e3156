//! A process that can't come to its last state: computing one of its slots again, whose outcome is stored, ended the node too
//! often.
//!
//! It stands still like one that is halted, but nothing of it is stored: whoever takes it over next finds it out again.
//! Resuming it forgets what was counted.

use super::core::{Core, Waiting};
use super::types::{Answer, Effect, Note};
use crate::ids::Slot;
use crate::process::{Halt, RequestError};

impl<R: Waiting> Core<R> {
    /// Stands still from now on, and tells everyone who waits for what is to be computed.
    pub(super) fn bar(&mut self, halt: Halt) {
        self.note(Note::Halted { slot: halt.slot, error: halt.error.clone() });
        let error = self.halt_error(&halt);
        self.barred = Some(halt);
        for reply in self.waiters.take_from(Slot::after(self.computed)) {
            self.answer(reply, Err(error.clone()));
        }
    }

    /// Refuses those who want the last state.
    pub(super) fn refuse_if_barred(&mut self) {
        let Some(halt) = &self.barred else { return };
        let error = self.halt_error(halt);
        let askers = [&mut self.states, &mut self.bases, &mut self.snapshot_askers].map(std::mem::take);
        for (_, reply) in askers.into_iter().flatten() {
            self.answer(reply, Err(error.clone()));
        }
    }

    /// Goes on after [`Core::bar`].
    pub(super) fn resume_barred(&mut self, slot: Slot, skip: bool, reply: R) {
        if skip {
            let error = RequestError::Conflict(self.needed_text(slot));
            return self.answer(reply, Err(error));
        }
        self.barred = None;
        self.effects.push(Effect::Forgive { slot });
        self.note(Note::Resumed { slot, skipped: false });
        self.answer(reply, Ok(Answer::At(slot)));
    }

    /// Why `slot` will not be computed as things are.
    pub(super) fn halt_before(&self, slot: Slot) -> Option<&Halt> {
        let halted = self.halted.as_ref().filter(|halt| halt.resumed.is_none() && slot >= halt.slot);
        self.barred.as_ref().filter(|_| Some(slot) > self.computed).or(halted)
    }

    /// Whether it stands still until somebody resumes it.
    pub(super) fn is_halted(&self) -> bool {
        self.barred.is_some() || self.halted.as_ref().is_some_and(|halt| halt.resumed.is_none())
    }

    /// Why it stands still.
    pub(super) fn halt_text(&self) -> Option<String> {
        let halted = self.halted.as_ref().filter(|halt| halt.resumed.is_none());
        self.barred.as_ref().or(halted).map(|halt| halt.error.clone())
    }
}
