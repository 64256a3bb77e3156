//! Sending the device to compute, telling what came of it, storing snapshots, resting.

use std::sync::Arc;

use super::core::{Core, InFlight, Phase, Recent, Waiting};
use super::types::{Answer, Base, Effect, Note, SnapshotTaken, StopReason, TurnDone, TurnPlan, inline_reference};
use crate::ids::Slot;
use crate::process::{Cause, Computed, Durability, Entry, Record, RequestError, SnapshotRef};

/// Entries that are kept at hand for the next turn; what is beyond is read from the store.
const TAIL_ENTRIES: usize = 1024;
/// Their weight, in bytes.
const TAIL_WEIGHT: u64 = 4 << 20;
/// No turn begins while so many outcomes are on their way to the store.
const UNAPPLIED: usize = 4096;
/// Nor while they have so many bytes.
const UNAPPLIED_WEIGHT: u64 = 64 << 20;

impl<R: Waiting> Core<R> {
    /// Answers with the outcome of `slot`, now or when it is there.
    pub(super) fn await_slot(&mut self, slot: Option<Slot>, reply: R) {
        let Some(latest) = self.scheduled else {
            let error = RequestError::no_process(&self.process);
            return self.answer(reply, Err(error));
        };
        let slot = slot.unwrap_or(latest);
        if slot > latest {
            let error = RequestError::SlotOutOfRange { process: self.process.clone(), slot, latest };
            return self.answer(reply, Err(error));
        }
        if Some(slot) <= self.visible {
            return match self.recent_outcome(slot) {
                Some(outcome) => self.answer(reply, Ok(Answer::Outcome(outcome))),
                None => self.effects.push(Effect::AnswerStored(reply, slot)),
            };
        }
        match self.halt_before(slot) {
            Some(halt) => {
                let error = self.halt_error(halt);
                self.answer(reply, Err(error));
            }
            None => self.waiters.push(slot, reply),
        }
    }

    pub(super) fn keep_recent(&mut self, one: &Computed, is_repeatable: bool) {
        self.recent_weight += one.outcome.weight();
        self.recent.push_back(Recent { outcome: Arc::new(one.clone()), is_repeatable });
    }

    fn recent_at(&self, slot: Slot) -> Option<&Recent> {
        let first = self.recent.front()?.outcome.slot;
        let index = usize::try_from(slot.0.checked_sub(first.0)?).ok()?;
        self.recent.get(index)
    }

    fn recent_outcome(&self, slot: Slot) -> Option<Arc<Computed>> {
        self.recent_at(slot).map(|recent| recent.outcome.clone())
    }

    /// Keeps an entry at hand if it is the next in the row.
    pub(super) fn keep_for_compute(&mut self, entry: Entry) {
        let expected = match self.tail.back() {
            Some(last) => last.slot.next(),
            None if self.is_away => Slot::after(self.planned.max(self.computed)),
            None => Slot::after(self.computed),
        };
        let weight = entry.weight();
        if entry.slot == expected && self.tail.len() < TAIL_ENTRIES && self.tail_weight + weight <= TAIL_WEIGHT {
            self.tail_weight += weight;
            self.tail.push_back(entry);
        }
    }

    /// Does whatever can be done next.
    pub(super) fn advance(&mut self) {
        match &self.phase {
            Phase::Claiming | Phase::Gone => {}
            Phase::Running => self.advance_running(),
            Phase::Stopping { .. } => self.advance_stopping(),
        }
    }

    fn advance_running(&mut self) {
        if self.record.is_none() || (self.scheduled.is_none() && self.in_flight.is_empty()) {
            return self.end(StopReason::Absent);
        }
        if self.is_away || self.is_retrying || self.scheduled.is_none() {
            return;
        }
        self.tell_of_pause();
        self.refuse_if_barred();
        let stands_still = self.is_halted() || self.is_paused();
        let goal = if stands_still { self.computed } else { self.scheduled };
        let is_behind = goal > self.computed;
        // A snapshot that is being stored already may serve those who ask for one.
        let wants_snapshot = !self.snapshot_askers.is_empty() && !self.is_storing;
        let is_asked = wants_snapshot || !self.states.is_empty() || !self.bases.is_empty();
        // A device that was lost is made from what is stored, so all that it computed must be there first.
        // A slot that is skipped must be there, too, or the device would compute it.
        let may_be_skipped = |last: &Recent| matches!(last.outcome.cause, Cause::Skipped | Cause::Load);
        let is_skipping = self.recent.back().is_some_and(may_be_skipped);
        let must_settle = (!self.has_device || is_skipping || self.is_careful) && self.computed > self.applied;
        let is_full = self.recent.len() >= UNAPPLIED || self.recent_weight >= UNAPPLIED_WEIGHT;
        // The snapshots that come with outcomes are stored in their order, and others with them.
        let awaits_storing = self.is_storing && (!self.options.async_cache || self.is_careful);
        let is_held = must_settle || is_full || awaits_storing;
        if (is_behind || is_asked) && !is_held {
            self.start_turn(goal);
        } else if !self.options.process_workers && self.is_idle() && !self.is_paused() {
            // Whoever waits for any slot would only be handed on to a worker that ends as soon.
            self.waiters.forget(R::is_gone);
            if self.waiters.is_empty() {
                self.stop(StopReason::Idle);
            }
        }
    }

    fn start_turn(&mut self, goal: Option<Slot>) {
        let next = Slot::after(self.computed);
        if self.tail.front().is_some_and(|entry| entry.slot != next) {
            self.tail.clear();
        }
        let entries: Vec<Entry> = if goal > self.computed { self.tail.drain(..).collect() } else { Vec::new() };
        if self.tail.is_empty() {
            self.tail_weight = 0;
        }
        // With entries at hand the turn goes as far as they do; without, it reads the log.
        let goal = entries.last().map_or(goal, |entry| Some(entry.slot));
        self.planned = goal;
        self.is_away = true;
        // On a long way back only a turn that ends where one is due is worth the time that it takes.
        let is_far_back = self.has_device && self.position < self.applied;
        let is_due = self.snapshot_due(if is_far_back { self.position } else { goal }) && !self.is_storing;
        // On the way to the slot that somebody asks for, nothing is worth bringing along.
        let is_last = self.is_halted() || self.is_paused();
        let is_wanted = |askers: &[(Option<Slot>, R)]| askers.iter().any(|(slot, _)| is_last || *slot <= goal);
        let plan = TurnPlan {
            goal,
            recorded: self.applied,
            retried: self.claimed,
            entries,
            resumed: self.resumed(),
            wants_state: is_wanted(&self.states),
            wants_snapshot: is_due || is_wanted(&self.bases) || (is_wanted(&self.snapshot_askers) && !self.is_storing),
            is_slow: self.is_slow,
            room: self.outbox_room(),
        };
        self.effects.push(Effect::Turn(plan));
    }

    fn snapshot_due(&self, goal: Option<Slot>) -> bool {
        let since = self.snapshots.front().map(|snapshot| snapshot.slot).max(self.snapshot_missed);
        super::core::queued(goal, since) >= self.options.cache_frequency
    }

    /// Takes the device back with what it brings.
    pub fn turn_done(&mut self, mut done: TurnDone) {
        if self.phase == Phase::Gone || !self.is_away {
            return;
        }
        self.is_away = false;
        self.is_slow = done.is_slow;
        // A turn that was over before the slot that failed has shown nothing about it.
        let is_past_fault = !done.computed.is_empty() || done.position >= self.planned;
        self.has_device = !done.is_lost;
        self.position = done.position;
        if !done.computed.is_empty() {
            self.backoff.reset();
        }
        self.take_back(done.unused, &done.computed);
        self.forget_snapshots(&done.unfit);
        self.is_careful = !done.is_deterministic;
        let state = done.snapshot.as_ref().and_then(|snapshot| snapshot.as_ref().ok());
        self.take_outcomes(done.computed, done.is_deterministic, state);
        if let Some(halt) = done.halt.take_if(|halt| Some(halt.slot) <= self.computed) {
            self.bar(halt);
        }
        if let Some(halt) = done.halt {
            self.forget_fault();
            self.halted = Some(halt.clone());
            self.in_flight.push_back(InFlight::Halt(halt.clone()));
            self.commit(self.assigned, self.computed, vec![Record::Halted(Some(halt))], Durability::Sync);
        }
        match done.fault {
            Some(fault) => self.take_fault(fault),
            None if is_past_fault => {
                self.forget_fault();
                self.backoff.reset();
            }
            None => {}
        }
        if let Some(state) = done.state {
            let answer = state.map(Answer::State);
            let is_final = self.is_final(done.position);
            let ready = take_ready(&mut self.states, done.position, is_final);
            self.answer_all(ready, &answer);
        }
        if let Some(snapshot) = done.snapshot {
            self.take_snapshot(snapshot);
        }
        self.fulfil_wish();
        self.advance();
    }

    /// Entries that the turn did not come to go back to where they were taken from.
    fn take_back(&mut self, unused: Vec<Entry>, computed: &[Computed]) {
        let reached = computed.last().map_or(self.computed, |last| Some(last.slot));
        let Some((first, last)) = unused.first().zip(unused.last()) else { return };
        if first.slot == Slot::after(reached) && self.tail.front().is_none_or(|entry| entry.slot == last.slot.next()) {
            self.tail_weight += unused.iter().map(Entry::weight).sum::<u64>();
            for entry in unused.into_iter().rev() {
                self.tail.push_front(entry);
            }
        }
    }

    fn take_outcomes(&mut self, computed: Vec<Computed>, is_deterministic: bool, state: Option<&Base>) {
        let Some(last) = computed.last() else { return };
        // Where the same cannot be computed again, the state is stored with its outcome or not at all.
        let state = state.filter(|state| !is_deterministic && state.slot == last.slot);
        let (before, last, in_force) = (self.computed, last.slot, last.definition);
        let sends = self.outbox_grows(&computed) > 0;
        // Only what is on disk is delivered, so what is to be delivered goes there at once.
        // What came of a definition behind the slot does so again only once it is stored that it did.
        let can_repeat = |one: &Computed| is_deterministic && one.cause.is_repeatable() && one.definition <= one.slot;
        let is_lazy = !sends && computed.iter().all(can_repeat);
        let seen_before = self.visible;
        let mut is_open = self.visible == self.computed;
        let mut records = Vec::with_capacity(computed.len() + 1);
        for one in computed {
            debug_assert!(one.slot == Slot::after(self.computed), "outcomes are dense");
            let is_repeatable = can_repeat(&one);
            is_open &= is_repeatable;
            self.computed = Some(one.slot);
            if is_open {
                self.visible = self.computed;
            }
            if self.halted.as_ref().is_some_and(|halt| halt.slot == one.slot) {
                self.halted = None;
                records.push(Record::Halted(None));
            }
            self.keep_recent(&one, is_repeatable);
            records.push(Record::Computed(one));
        }
        self.in_force = in_force;
        let snapshot = state.map(inline_reference);
        if let Some((reference, state)) = snapshot.clone().zip(state) {
            records.extend(self.snapshot_records(reference, Some(state.snapshot.clone())));
            // Where the store does not take them, this worker ends.
            self.unfit.clear();
        }
        self.in_flight.push_back(InFlight::Outcomes { last, sends, snapshot, replies: Vec::new() });
        let durability = if is_lazy { Durability::Lazy } else { Durability::Sync };
        self.commit(self.assigned, before, records, durability);
        self.notify(seen_before);
    }

    pub(super) fn outcomes_settled(&mut self, last: Slot, sends: bool, snapshot: Option<SnapshotRef>, replies: Vec<R>) {
        self.applied = Some(last);
        if let Some(snapshot) = snapshot {
            self.keep_snapshot(snapshot);
        }
        if sends {
            self.effects.push(Effect::Push { through: last });
        }
        let seen_before = self.visible;
        self.visible = self.visible.max(Some(last));
        // What had to wait for it and can be computed again to the same bytes is open now, too.
        while let Some(next) = self.recent_at(Slot::after(self.visible)).filter(|next| next.is_repeatable) {
            self.visible = Some(next.outcome.slot);
        }
        self.notify(seen_before);
        while self.recent.front().is_some_and(|one| one.outcome.slot <= last)
            && let Some(one) = self.recent.pop_front()
        {
            self.recent_weight -= one.outcome.outcome.weight();
        }
        for reply in replies {
            self.answer(reply, Ok(Answer::At(last)));
        }
        let applied = self.applied;
        for (_, reply) in self.settlers.extract_if(.., |(until, _)| *until <= applied).collect::<Vec<_>>() {
            self.answer(reply, Ok(Answer::Done));
        }
    }

    /// Tells everyone who waits for a slot that can be seen since `before`.
    fn notify(&mut self, before: Option<Slot>) {
        let mut slot = Slot::after(before);
        while Some(slot) <= self.visible {
            let listeners = self.waiters.take(slot);
            if !listeners.is_empty() {
                self.note(Note::Notified { slot, listeners: listeners.len() });
            }
            let outcome = self.recent_outcome(slot);
            for reply in listeners {
                match &outcome {
                    Some(outcome) => self.answer(reply, Ok(Answer::Outcome(outcome.clone()))),
                    None => self.effects.push(Effect::AnswerStored(reply, slot)),
                }
            }
            slot = slot.next();
        }
    }

    fn take_snapshot(&mut self, snapshot: Result<Base, RequestError>) {
        let base = match snapshot {
            Ok(base) => base,
            Err(error) => {
                let bases = std::mem::take(&mut self.bases);
                self.answer_all(bases, &Err(error.clone()));
                return self.snapshot_failed(error);
            }
        };
        let is_final = self.is_final(Some(base.slot));
        let ready = take_ready(&mut self.bases, Some(base.slot), is_final);
        self.answer_all(ready, &Ok(Answer::Base(base.clone())));
        let is_known = self.snapshots.front().is_some_and(|newest| newest.slot >= base.slot);
        if is_known {
            return self.answer_snapshot_askers();
        }
        let is_on_its_way = |flight: &InFlight<R>| match flight {
            InFlight::Outcomes { snapshot: Some(snapshot), .. } => snapshot.slot >= base.slot,
            _ => false,
        };
        if self.in_flight.iter().any(is_on_its_way) {
            return;
        }
        let is_wanted = match self.phase {
            Phase::Stopping { .. } => true,
            _ => self.snapshot_due(Some(base.slot)) || self.is_asked_for(base.slot),
        };
        if self.is_storing || !is_wanted {
            return;
        }
        self.is_storing = true;
        if base.snapshot.len() < SnapshotRef::INLINE_BELOW {
            return self.commit_snapshot(inline_reference(&base), Some(base.snapshot));
        }
        let before = self.snapshots.front().cloned();
        self.effects.push(Effect::WriteSnapshot(SnapshotTaken { taken: base, before }));
    }

    /// Whether somebody asks for a snapshot, and one of the state after `slot` will do.
    fn is_asked_for(&self, slot: Slot) -> bool {
        let is_final = self.is_final(Some(slot));
        self.snapshot_askers.iter().any(|(asked, _)| is_final || *asked <= Some(slot))
    }

    /// The reference goes to the store behind all outcomes up to it; with it go the snapshots that are no longer kept.
    pub(super) fn commit_snapshot(&mut self, reference: SnapshotRef, bytes: Option<Arc<[u8]>>) {
        let records = self.snapshot_records(reference.clone(), bytes);
        let unfit = std::mem::take(&mut self.unfit);
        self.in_flight.push_back(InFlight::Snapshot { reference, unfit });
        self.commit(self.assigned, self.computed, records, Durability::Sync);
    }

    fn snapshot_records(&self, reference: SnapshotRef, bytes: Option<Arc<[u8]>>) -> Vec<Record> {
        let keep = self.options.snapshots_kept.max(1) - 1;
        let older = self.snapshots.iter().skip(keep);
        // Before it, for it may well be at the slot of one that is of no use.
        let unfit = self.unfit.iter().cloned().map(Record::DropSnapshot);
        let dropped = older.cloned().map(Record::DropSnapshot);
        unfit.chain([Record::Snapshot(reference, bytes)]).chain(dropped).collect()
    }

    pub(super) fn snapshot_settled(&mut self, reference: SnapshotRef) {
        self.is_storing = false;
        self.note(Note::SnapshotStored { slot: reference.slot, size: reference.size });
        self.keep_snapshot(reference);
        if let Phase::Stopping { wants_snapshot, .. } = &mut self.phase {
            *wants_snapshot = false;
        }
    }

    /// A snapshot is in the store.
    fn keep_snapshot(&mut self, reference: SnapshotRef) {
        self.snapshots.push_front(reference);
        self.snapshots.truncate(self.options.snapshots_kept.max(1));
        self.answer_snapshot_askers();
    }

    fn answer_snapshot_askers(&mut self) {
        let newest = self.snapshots.front().map(|snapshot| snapshot.slot);
        let is_final = self.is_final(newest);
        let ready = take_ready(&mut self.snapshot_askers, newest, is_final);
        if let Some(slot) = newest {
            self.answer_all(ready, &Ok(Answer::At(slot)));
        }
    }

    /// Whether nothing comes after the state at `position` for the time being: the process is halted and the state is that
    /// before the halt, or it is paused and the state is the last one.
    fn is_final(&self, position: Option<Slot>) -> bool {
        (self.is_halted() || self.is_paused()) && position >= self.computed
    }

    /// A snapshot was taken, but it isn't on disk.
    pub(super) fn snapshot_not_stored(&mut self, error: String) {
        self.is_storing = false;
        self.snapshot_failed(RequestError::Store(error));
    }

    /// There is no snapshot now. The next is taken when somebody asks, or as far from here as from one that came off.
    fn snapshot_failed(&mut self, error: RequestError) {
        self.snapshot_missed = self.computed;
        let askers = std::mem::take(&mut self.snapshot_askers);
        self.answer_all(askers, &Err(error.clone()));
        // Where there is no state, nothing is amiss.
        if !matches!(error, RequestError::Conflict(_)) {
            self.note(Note::SnapshotFailed { error: error.to_string() });
        }
        if let Phase::Stopping { wants_snapshot, .. } = &mut self.phase {
            *wants_snapshot = false;
        }
    }
}

/// Takes those whose slot is reached; where nothing more will come, everyone.
fn take_ready<R>(askers: &mut Vec<(Option<Slot>, R)>, reached: Option<Slot>, is_final: bool) -> Vec<(Option<Slot>, R)> {
    askers.extract_if(.., |(slot, _)| is_final || *slot <= reached).collect()
}
