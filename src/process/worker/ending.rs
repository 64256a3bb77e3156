//! The end of a worker: what is stored, what is handed on, what is answered.

use super::core::{Core, InFlight, Phase, Waiting};
use super::types::{Answer, Effect, Note, Remains, Request, StopReason, TurnPlan};
use crate::process::{Draft, RequestError};

impl<R: Waiting> Core<R> {
    /// Begins to stop: what runs is interrupted (not for an idle one), what is worth it is stored.
    pub fn stop(&mut self, reason: StopReason) {
        if matches!(self.phase, Phase::Claiming | Phase::Running) && reason.is_mild() && !self.is_idle() {
            return;
        }
        match &mut self.phase {
            Phase::Claiming => return self.end(reason),
            Phase::Running => self.phase = Phase::Stopping { reason, wants_snapshot: true },
            // What a request calls off becomes what none does.
            Phase::Stopping { reason: milder, .. } if milder.is_mild() && !reason.is_mild() => *milder = reason,
            Phase::Stopping { .. } | Phase::Gone => return,
        }
        if self.is_away {
            self.effects.push(Effect::Interrupt);
        }
        self.advance();
    }

    /// The device does not come back in time: goes without it. Its epoch ends with this worker.
    pub fn give_up(&mut self) {
        if let Phase::Stopping { wants_snapshot, .. } = &mut self.phase {
            *wants_snapshot = false;
            self.is_away = false;
            self.is_storing = false;
            self.advance();
        }
    }

    /// The worker ends here: whatever is left is answered or handed on.
    pub(super) fn end(&mut self, reason: StopReason) {
        if self.phase == Phase::Gone {
            return;
        }
        self.phase = Phase::Gone;
        self.note(Note::Stopping { reason: reason.clone() });
        if self.is_away {
            self.effects.push(Effect::Interrupt);
        }
        // What the store may not have must be looked for, and perhaps computed again.
        let is_uncertain = !self.in_flight.is_empty();
        let is_behind = self.computed < self.scheduled && !self.is_halted();
        let pending = self.record.is_some() && (is_uncertain || is_behind);
        let mut requests = Vec::new();
        for flight in std::mem::take(&mut self.in_flight) {
            self.hand_on(flight, &reason, &mut requests);
        }
        self.refuse_wish();
        let again = |slot, reply| Request::Compute { slot, reply };
        let waiting = self.waiters.take_all();
        requests.extend(waiting.into_iter().map(|(slot, reply)| match slot {
            Some(_) => again(slot, reply),
            None => Request::AwaitAny { reply },
        }));
        requests.extend(self.states.drain(..).map(|(_, reply)| Request::State { reply }));
        requests.extend(self.bases.drain(..).map(|(_, reply)| Request::Base { reply }));
        requests.extend(self.snapshot_askers.drain(..).map(|(_, reply)| Request::Snapshot { reply }));
        requests.extend(self.settlers.drain(..).map(|(_, reply)| Request::Settle { reply }));
        requests.extend(self.deferred.drain(..));
        for reply in std::mem::take(&mut self.stop_askers) {
            self.answer(reply, Ok(Answer::Done));
        }
        self.effects.push(Effect::Gone(Remains { reason, requests, pending }));
    }

    /// What becomes of a commit whose answer this worker will not use.
    fn hand_on(&mut self, flight: InFlight<R>, reason: &StopReason, requests: &mut Vec<Request<R>>) {
        let error = match reason {
            StopReason::Store(text) => RequestError::Unknown(text.clone()),
            // Another worker owns the log. Definitions can't be told apart from others' then: the asker looks again.
            _ => RequestError::Unknown("the process has moved to another worker".to_owned()),
        };
        match flight {
            InFlight::Entry { entry, step, mut replies, mut outcomes, .. } => {
                let is_message = entry.kind == crate::process::EntryKind::Message;
                let can_move = *reason == StopReason::Fenced && is_message && replies.len() == 1;
                if can_move && let Some((reply, _)) = replies.pop() {
                    let draft = Box::new(Draft { cursor: step, ..entry.into_draft() });
                    return requests.push(Request::Schedule { draft, reply, outcome: outcomes.pop() });
                }
                for (reply, _) in replies {
                    self.answer(reply, Err(error.clone()));
                }
                for reply in outcomes {
                    self.answer(reply, Err(error.clone()));
                }
            }
            InFlight::Outcomes { replies, .. } | InFlight::Resume { replies, .. } => {
                replies.into_iter().for_each(|reply| self.answer(reply, Err(error.clone())));
            }
            InFlight::Halt(_) | InFlight::Snapshot { .. } => {}
        }
    }

    /// Does what is left to do before the end.
    pub(super) fn advance_stopping(&mut self) {
        if self.is_away {
            return;
        }
        let can_take = self.has_device && self.position > self.snapshots.front().map(|snapshot| snapshot.slot);
        let Phase::Stopping { reason, wants_snapshot } = &mut self.phase else { return };
        if *wants_snapshot && can_take && !self.is_storing {
            // Once, and of the state as it is: a worker that stops computes and replays no more.
            *wants_snapshot = false;
            self.planned = self.computed;
            self.is_away = true;
            let plan = TurnPlan {
                goal: self.position,
                recorded: self.applied,
                retried: self.claimed,
                entries: Vec::new(),
                resumed: None,
                wants_state: false,
                wants_snapshot: true,
                is_slow: self.is_slow,
                room: u64::MAX,
            };
            return self.effects.push(Effect::Turn(plan));
        }
        if self.is_storing || !self.in_flight.is_empty() {
            return;
        }
        let reason = reason.clone();
        self.end(reason);
    }
}
