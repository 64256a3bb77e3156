//! Giving slots: definitions and messages on their way to the store and back.

use std::sync::Arc;

use super::core::{Core, InFlight, Waiting, queued};
use super::marks::Known;
use super::types::{Answer, Define, Effect, History, Note, Request, StopReason};
use crate::clock::Millis;
use crate::config::limits::Limits;
use crate::ids::{BlobHash, MessageId, Slot};
use crate::process::{
    Cause, Commit, CommitResult, CursorStep, Definition, Draft, Durability, Entry, EntryKind, Halt, LOCAL, Message,
    Origin, ProcessOrigin, ProcessRecord, Record, RequestError, Tag, Writer,
};

impl<R: Waiting> Core<R> {
    pub(super) fn define(&mut self, now: Millis, define: Define, reply: R) {
        let Define { origin, definition, source, from } = define;
        self.is_retired &= origin != ProcessOrigin::Config;
        if let Some(reason) = self.refused.clone() {
            return self.answer(reply, Err(RequestError::Store(reason)));
        }
        let Some((_, last)) = &self.definition else {
            let device = definition.specification.device;
            let record = ProcessRecord { id: self.process.clone(), origin, device, created: now };
            return self.define_anew(now, definition, Some((source, from)), Some((reply, Some(record))));
        };
        let held = self.record.as_ref().map_or(origin, |record| record.origin);
        let id = &self.process;
        let is_config = origin == ProcessOrigin::Config;
        let refusal = match () {
            _ if is_config != (held == ProcessOrigin::Config) => Some(match held {
                ProcessOrigin::Config => format!("process {id} is defined by the configuration"),
                ProcessOrigin::Api => {
                    format!("process {id} was created over HTTP; choose another id in the configuration")
                }
                ProcessOrigin::Spawned => {
                    format!("process {id} was spawned by another process; choose another id in the configuration")
                }
            }),
            _ if last.specification.device != definition.specification.device => Some(format!(
                "process {id} runs on device {}; its log cannot go on under device {}",
                last.specification.device, definition.specification.device
            )),
            _ if !is_config && last.specification != definition.specification => {
                Some(format!("process {id} exists with another definition"))
            }
            _ => None,
        };
        match refusal {
            Some(text) => self.answer(reply, Err(RequestError::Conflict(text))),
            None if *last == definition || !is_config => self.already_defined(reply),
            None => self.define_anew(now, definition, Some((source, from)), Some((reply, None))),
        }
    }

    /// The process is what is asked for, or will be once the definition that is on its way is on disk.
    fn already_defined(&mut self, reply: R) {
        let answer = Answer::Defined { created: false };
        for flight in self.in_flight.iter_mut().rev() {
            if let InFlight::Entry { entry, replies, .. } = flight
                && entry.kind == EntryKind::Definition
            {
                return replies.push((reply, answer));
            }
        }
        self.answer(reply, Ok(answer));
    }

    /// Gives the next slot to a definition, and with `record` creates the process.
    pub(super) fn define_anew(
        &mut self,
        now: Millis,
        definition: Definition,
        said: Option<(Arc<[u8]>, String)>,
        asked: Option<(R, Option<ProcessRecord>)>,
    ) {
        let slot = Slot::after(self.assigned);
        let (source, from) = said.map_or((None, None), |(source, from)| (Some(source), Some(from)));
        let from = from.unwrap_or_else(|| LOCAL.to_owned());
        let cursor = self.adopted_cursor(&definition.specification.cron, self.last_timestamp.max(now));
        let message = cursor.and_then(|cursor| Ok((cursor, self.definition_message(slot, &definition, from)?)));
        let (cursor, message) = match message {
            Ok(made) => made,
            Err(error) => {
                if let Some((reply, _)) = asked {
                    self.answer(reply, Err(error));
                }
                return;
            }
        };
        let (reply, record) = asked.map_or((None, None), |(reply, record)| (Some(reply), record));
        let is_new = record.is_some();
        let mut records: Vec<Record> = record.clone().map(Record::Process).into_iter().collect();
        if let Some(source) = source {
            records.push(Record::Blob(BlobHash::of(&source), source));
        }
        if cursor.is_some() || self.cursors.present().is_some() {
            records.push(Record::CronCursor(cursor.as_deref().map(str::to_owned)));
        }
        self.cursors.replace(cursor);
        if is_new {
            self.record = record;
        }
        self.definition = Some((slot, definition));
        let replies = reply.map(|reply| (reply, Answer::Defined { created: is_new })).into_iter().collect();
        let (origin, kind) = (Origin::Node, EntryKind::Definition);
        let entry = Entry { slot, origin, kind, message, mark: None, push: None };
        self.assign(now, entry, None, records, replies, Vec::new());
    }

    fn definition_message(&self, slot: Slot, definition: &Definition, from: String) -> Result<Message, RequestError> {
        let data = serde_json::to_string(definition)
            .map_err(|error| RequestError::Internal(format!("the definition has no JSON: {error}")))?;
        let hash = blake3::hash(data.as_bytes());
        let id = MessageId::derived(&[
            b"definition",
            self.process.as_str().as_bytes(),
            &slot.0.to_le_bytes(),
            hash.as_bytes().as_slice(),
        ]);
        let mut tags = vec![Tag::new("Type", "Process"), Tag::new("Device", definition.specification.device.as_str())];
        tags.extend(definition.specification.tags.iter().cloned());
        let (owner, target) = (from.clone(), self.process.to_string());
        Ok(Message { id, from, owner, target, anchor: String::new(), tags, data, timestamp: 0 })
    }

    pub(super) fn schedule(
        &mut self,
        now: Millis,
        history: &dyn History,
        mut draft: Draft,
        reply: R,
        outcome: Option<R>,
    ) {
        let limits = match &self.definition {
            Some((_, definition)) => definition.limits.clone(),
            None => return self.answer(reply, Err(RequestError::no_process(&self.process))),
        };
        if self.is_retired {
            let text = format!(
                "process {} is retired: it is no longer in the configuration; its log can be read, nothing is added",
                self.process
            );
            return self.answer(reply, Err(RequestError::Conflict(text)));
        }
        let (key, is_new) = ((draft.origin, draft.id.clone()), draft.is_new);
        let (mark, push, step) = (draft.mark.take(), draft.push.take(), draft.cursor.take());
        let (is_indexed, closes_circle) = (mark.is_none(), draft.closes_circle);
        let message = draft.at(&self.process, now);
        if let Some(mark) = &mark {
            match self.known_mark(history, mark) {
                Err(error) => return self.answer(reply, Err(error)),
                Ok(Known::No) => {}
                Ok(known) => return self.answer_known(known, reply, outcome),
            }
        } else if !is_new {
            match self.known(now, history, &key, &message) {
                Err(error) => return self.answer(reply, Err(error)),
                Ok(Some(slot)) => {
                    step.iter().for_each(|step| self.cursors.pass(step));
                    return self.answer_again(slot, reply, outcome);
                }
                Ok(None) => {}
            }
        }
        if step.as_ref().is_some_and(|step| !self.cursors.leads_on(step)) {
            return self.answer_known(Known::Stored, reply, outcome);
        }
        if let Some(error) = self.no_room_for(&message, &limits, closes_circle) {
            return self.answer(reply, Err(error));
        }
        let unsettled = &self.unsettled_ids;
        let is_moving = |origin, id: &MessageId| unsettled.contains_key(&(origin, id.clone()));
        let mut records = self.ids.forget(now, self.scheduled, history, is_moving).unwrap_or_else(|error| {
            self.note(Note::History { error });
            Vec::new()
        });
        if let Some(step) = &step {
            self.cursors.pass(step);
            records.push(Record::CronCursor(Some(step.to.as_ref().to_owned())));
        }
        let slot = Slot::after(self.assigned);
        if is_indexed && !is_new {
            self.unsettled_ids.insert(key.clone(), slot);
        }
        let replies = vec![(reply, Answer::Scheduled { slot })];
        self.note(Note::WorkReceived { slot });
        let entry = Entry { slot, origin: key.0, kind: EntryKind::Message, message, mark, push };
        self.assign(now, entry, step, records, replies, outcome.into_iter().collect());
    }

    /// Why the message can't have a slot at present.
    fn no_room_for(&self, message: &Message, limits: &Limits, closes_circle: bool) -> Option<RequestError> {
        if message.size() > limits.message_size {
            let (size, most) = (message.size(), limits.message_size);
            return Some(RequestError::TooLarge { key: "message_size", size, most });
        }
        let is_full = queued(self.assigned, self.visible) >= limits.queue;
        if is_full && !(closes_circle && self.is_paused()) {
            return Some(RequestError::queue_full(&self.process, limits.queue));
        }
        self.refused.clone().map(RequestError::Store)
    }

    /// The slot that the same message has already.
    fn known(
        &self,
        now: Millis,
        history: &dyn History,
        key: &(Origin, MessageId),
        message: &Message,
    ) -> Result<Option<Slot>, RequestError> {
        let reused = || RequestError::IdReused(key.1.clone());
        if let Some(slot) = self.unsettled_ids.get(key) {
            let is_same = self.in_flight.iter().any(|flight| match flight {
                InFlight::Entry { entry, .. } => {
                    entry.slot == *slot && entry.message.content_hash() == message.content_hash()
                }
                _ => false,
            });
            return if is_same { Ok(Some(*slot)) } else { Err(reused()) };
        }
        match history.known_id(key.0, &key.1).map_err(RequestError::Store)? {
            Some(known) if self.ids.is_expired(now, known.timestamp) => Ok(None),
            Some(known) if known.content.0 == message.content_hash() => Ok(Some(known.slot)),
            Some(_) => Err(reused()),
            None => Ok(None),
        }
    }

    /// The answer to a message that has its slot already, or soon.
    fn answer_again(&mut self, slot: Slot, reply: R, outcome: Option<R>) {
        if Some(slot) <= self.scheduled {
            self.answer(reply, Ok(Answer::Scheduled { slot }));
            if let Some(outcome) = outcome {
                self.await_slot(Some(slot), outcome);
            }
            return;
        }
        for flight in &mut self.in_flight {
            if let InFlight::Entry { entry, replies, outcomes, .. } = flight
                && entry.slot == slot
            {
                replies.push((reply, Answer::Scheduled { slot }));
                outcomes.extend(outcome);
                return;
            }
        }
    }

    /// Sends the entry of the next slot on its way, at the time that is due to it.
    fn assign(
        &mut self,
        now: Millis,
        mut entry: Entry,
        step: Option<CursorStep>,
        mut records: Vec<Record>,
        replies: Vec<(R, Answer)>,
        outcomes: Vec<R>,
    ) {
        debug_assert!(entry.slot == Slot::after(self.assigned), "slots are dense");
        self.last_timestamp = self.last_timestamp.max(now);
        entry.message.timestamp = self.last_timestamp;
        self.marks.add(&entry);
        let forgets = records.iter().find_map(|record| match record {
            Record::ForgetId(_, _, slot) => Some(*slot),
            _ => None,
        });
        records.push(Record::Entry(entry.clone()));
        let scheduled = self.assigned;
        self.assigned = Some(entry.slot);
        let (entry, cursor) = (Box::new(entry), self.cursors.present().cloned());
        self.in_flight.push_back(InFlight::Entry { entry, forgets, step, cursor, replies, outcomes });
        self.commit(scheduled, self.computed, records, Durability::Sync);
    }

    pub(super) fn commit(
        &mut self,
        scheduled: Option<Slot>,
        computed: Option<Slot>,
        records: Vec<Record>,
        durability: Durability,
    ) {
        let process = self.process.clone();
        self.effects.push(Effect::Commit(Commit {
            process,
            writer: Writer::Worker(self.epoch),
            scheduled,
            computed,
            records,
            durability,
        }));
    }

    /// Takes the store's answer to the oldest commit that it has not answered.
    pub fn committed(&mut self, result: CommitResult) {
        let Some(flight) = self.in_flight.pop_front() else { return };
        match (result, flight) {
            (CommitResult::Committed, flight) => self.settle(flight),
            (CommitResult::Refused(reason), flight @ InFlight::Entry { .. }) => self.refuse(flight, reason),
            // Its predecessor was refused, so it did not follow the last slot.
            (CommitResult::Fenced, flight @ InFlight::Entry { .. }) if self.refused.is_some() => {
                self.refuse(flight, self.refused.clone().unwrap_or_default());
            }
            (CommitResult::Refused(error), InFlight::Snapshot { unfit, .. }) => {
                self.unfit.extend(unfit);
                self.snapshot_not_stored(error);
            }
            (CommitResult::Fenced, flight) => {
                self.in_flight.push_front(flight);
                self.end(StopReason::Fenced);
            }
            (CommitResult::Unknown(reason) | CommitResult::Refused(reason), flight) => {
                self.in_flight.push_front(flight);
                self.end(StopReason::Store(reason));
            }
        }
        if !self.in_flight.iter().any(|flight| matches!(flight, InFlight::Entry { .. })) {
            self.refused = None;
        }
        self.advance();
    }

    fn settle(&mut self, flight: InFlight<R>) {
        match flight {
            InFlight::Entry { entry, cursor, replies, outcomes, .. } => {
                self.cursors.settle(cursor);
                self.entry_settled(*entry, replies, outcomes);
            }
            InFlight::Outcomes { last, sends, snapshot, replies } => {
                self.outcomes_settled(last, sends, snapshot, replies);
            }
            InFlight::Halt(halt) => self.halt_settled(&halt),
            InFlight::Resume { slot, under, replies } => self.resume_settled(slot, under, replies),
            InFlight::Snapshot { reference, .. } => self.snapshot_settled(reference),
        }
    }

    fn entry_settled(&mut self, entry: Entry, replies: Vec<(R, Answer)>, outcomes: Vec<R>) {
        let slot = entry.slot;
        debug_assert!(slot == Slot::after(self.scheduled), "slots are dense");
        self.scheduled = Some(slot);
        self.forget_on_its_way(&entry);
        for (reply, answer) in replies {
            self.answer(reply, Ok(answer));
        }
        for outcome in outcomes {
            self.await_slot(Some(slot), outcome);
        }
        if entry.kind == EntryKind::Definition {
            self.settled_definition =
                serde_json::from_str(&entry.message.data).ok().map(|definition| (slot, definition));
            if slot > Slot::ZERO {
                self.note(Note::DefinitionChanged { slot });
            }
        }
        self.keep_for_compute(entry);
    }

    /// The entry is in the store or will not be, so what it is known by is no longer on its way.
    fn forget_on_its_way(&mut self, entry: &Entry) {
        if entry.mark.is_none() {
            self.unsettled_ids.remove(&(entry.origin, entry.message.id.clone()));
        }
        self.marks.remove(entry);
    }

    /// Nothing of the entry was written, and nothing of those behind it will be.
    fn refuse(&mut self, flight: InFlight<R>, reason: String) {
        let InFlight::Entry { entry, forgets, replies, outcomes, .. } = flight else { return };
        if let Some(slot) = forgets {
            self.ids.go_back_to(slot);
        }
        self.forget_on_its_way(&entry);
        let error = RequestError::Store(reason.clone());
        for reply in replies.into_iter().map(|(reply, _)| reply).chain(outcomes) {
            self.answer(reply, Err(error.clone()));
        }
        self.refused = Some(reason.clone());
        self.assigned = self.scheduled;
        self.cursors.go_back();
        if entry.kind == EntryKind::Definition {
            self.definition = self.settled_definition.clone();
            if self.definition.is_none() {
                // There is no process after all.
                self.end(StopReason::Store(reason));
            }
        }
    }

    pub(super) fn resume(&mut self, skip: bool, reply: R) {
        if let Some(slot) = self.barred.as_ref().map(|halt| halt.slot) {
            return self.resume_barred(slot, skip, reply);
        }
        let Some(halt) = self.halted.clone().filter(|_| self.is_halted()) else {
            return self.resume_after_fault(skip, reply);
        };
        if skip {
            return self.pass_over(halt.slot, Cause::Skipped, &halt.error, vec![reply]);
        }
        for flight in &mut self.in_flight {
            if let InFlight::Resume { replies, .. } = flight {
                return replies.push(reply);
            }
        }
        let under = self.newest_definition();
        let slot = halt.slot;
        let resumed = Halt { resumed: Some(under), ..halt };
        self.in_flight.push_back(InFlight::Resume { slot, under, replies: vec![reply] });
        self.commit(self.assigned, self.computed, vec![Record::Halted(Some(resumed))], Durability::Sync);
    }

    fn resume_settled(&mut self, slot: Slot, under: Slot, replies: Vec<R>) {
        // It may have been skipped meanwhile.
        if let Some(halt) = self.halted.as_mut().filter(|halt| halt.slot == slot) {
            halt.resumed = Some(under);
            self.note(Note::Resumed { slot, skipped: false });
        }
        for reply in replies {
            self.answer(reply, Ok(Answer::At(slot)));
        }
    }

    fn halt_settled(&mut self, halt: &Halt) {
        self.note(Note::Halted { slot: halt.slot, error: halt.error.clone() });
        if !self.is_halted() {
            // It was skipped meanwhile, and whoever waits will be told more.
            return;
        }
        for reply in self.waiters.take_from(halt.slot) {
            let error = self.halt_error(halt);
            self.answer(reply, Err(error));
        }
    }

    pub(super) fn halt_error(&self, halt: &Halt) -> RequestError {
        RequestError::Halted { process: self.process.clone(), slot: halt.slot, error: halt.error.clone() }
    }

    /// Requests that this worker can't serve any more, for whoever comes next.
    pub fn take_deferred(&mut self) -> Vec<Request<R>> {
        std::mem::take(&mut self.deferred).into()
    }
}
