//! The state of a worker and its life: claimed, running, stopping, gone.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::cron::Cursors;
use super::faults::Wish;
use super::ids::IdWindow;
use super::marks::MarksInFlight;
use super::outbox::Outbox;
use super::types::{Activity, Answer, Effect, Fault, History, Note, Request, Status, StopReason, WorkerOptions};
use crate::clock::Millis;
use crate::ids::{Epoch, MessageId, ProcessId, Slot};
use crate::process::waiters::Waiters;
use crate::process::{
    Claim, Computed, CursorStep, Definition, DeviceKind, Entry, Halt, Origin, ProcessRecord, RequestError, SnapshotRef,
};
use crate::supervise::Backoff;

/// Somebody who may have stopped waiting.
pub trait Waiting {
    /// Whether nobody hears an answer any more.
    fn is_gone(&self) -> bool;
}

/// What a worker finds when it takes a process over.
#[derive(Clone, Debug)]
pub struct Found {
    /// The store's answer.
    pub claim: Claim,
    /// The last definition, if there is a process.
    pub definition: Option<Definition>,
    /// What that definition would be on today's node.
    pub wanted: Option<Definition>,
    /// The definition slot of the last outcome.
    pub in_force: Slot,
    /// Every stored snapshot, newest first.
    pub snapshots: Vec<SnapshotRef>,
    /// Whether the process came from the configuration and is no longer in it.
    pub is_retired: bool,
    /// How many items its outbox has. Counted after the claim was answered, so that whatever was delivered before is out.
    pub outbox: u64,
    /// The stored cursor of its cron entries.
    pub cron_cursor: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Claiming,
    Running,
    Stopping { reason: StopReason, wants_snapshot: bool },
    Gone,
}

/// A commit that the store has not answered yet. Answers come in the order of the commits.
#[derive(Debug)]
pub(super) enum InFlight<R> {
    /// `forgets` is the first slot whose id is forgotten with it, `step` how it moves the cursor of cron entries, `cursor`
    /// what that is with it.
    Entry {
        entry: Box<Entry>,
        forgets: Option<Slot>,
        step: Option<CursorStep>,
        cursor: Option<Arc<str>>,
        replies: Vec<(R, Answer)>,
        outcomes: Vec<R>,
    },
    /// `sends` is whether the outbox has something to deliver with it.
    Outcomes {
        last: Slot,
        sends: bool,
        /// The state after `last`, where the outcomes are not to be had without it.
        snapshot: Option<SnapshotRef>,
        /// Who had the last one skipped.
        replies: Vec<R>,
    },
    Halt(Halt),
    Resume {
        slot: Slot,
        under: Slot,
        replies: Vec<R>,
    },
    Snapshot {
        reference: SnapshotRef,
        /// What leaves the store with it, because it is of no use.
        unfit: Vec<SnapshotRef>,
    },
}

/// An outcome that the store may not have yet.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) outcome: Arc<Computed>,
    /// Whether it may be told before it is on disk, because computing it again yields the same bytes.
    pub(super) is_repeatable: bool,
}

/// What decides for one process: which slot a message gets, what is computed next, who is told what, when to stop.
/// It knows no clock, no store and no thread: events come in by its methods, effects are taken out with
/// [`take_effects`](Self::take_effects) after each.
#[derive(Debug)]
pub struct Core<R> {
    pub(super) process: ProcessId,
    pub(super) options: WorkerOptions,
    pub(super) epoch: Epoch,
    pub(super) phase: Phase,
    pub(super) record: Option<ProcessRecord>,
    pub(super) is_retired: bool,
    /// The last definition that was given a slot.
    pub(super) definition: Option<(Slot, Definition)>,
    /// The last definition on disk.
    pub(super) settled_definition: Option<(Slot, Definition)>,
    /// The definition slot of the last outcome.
    pub(super) in_force: Slot,

    /// The last slot with a message on disk.
    pub(super) scheduled: Option<Slot>,
    /// The last slot that had a message when the process was claimed. Outcomes up to it may have been told before.
    pub(super) claimed: Option<Slot>,
    /// The last slot with a message that was handed to the store. Never before `scheduled`.
    pub(super) assigned: Option<Slot>,
    pub(super) last_timestamp: Millis,
    pub(super) ids: IdWindow,
    /// Ids of messages that are on their way to the store.
    pub(super) unsettled_ids: HashMap<(Origin, MessageId), Slot>,
    pub(super) marks: MarksInFlight,
    pub(super) cursors: Cursors,
    pub(super) in_flight: VecDeque<InFlight<R>>,
    /// Why the store refused a message, while others that were handed in behind it are on their way.
    pub(super) refused: Option<String>,

    /// The last slot with an outcome, on its way to the store or in it.
    pub(super) computed: Option<Slot>,
    /// The last slot whose outcome the store has.
    pub(super) applied: Option<Slot>,
    /// The last slot whose outcome may be told. Never after `computed`.
    pub(super) visible: Option<Slot>,
    /// The outcomes after `applied`.
    pub(super) recent: VecDeque<Recent>,
    pub(super) recent_weight: u64,
    /// Entries to compute next, without a gap from `computed` on (from `planned` on while the device is away).
    pub(super) tail: VecDeque<Entry>,
    pub(super) tail_weight: u64,
    /// The goal of the turn that the device is away for.
    pub(super) planned: Option<Slot>,
    pub(super) is_away: bool,
    pub(super) has_device: bool,
    /// The slot up to which the device had gone when it was last here. Before `computed` while it replays.
    pub(super) position: Option<Slot>,
    pub(super) is_slow: bool,
    /// Whether what the device does cannot be repeated, so that each slot waits for the one before to be on disk.
    pub(super) is_careful: bool,
    pub(super) is_retrying: bool,
    pub(super) backoff: Backoff,
    /// What the machine failed at last, until it is past.
    pub(super) fault: Option<Fault>,
    /// The slot of the fault, where somebody wants it to be tried again under whatever definition comes behind it.
    pub(super) resumed_fault: Option<Slot>,
    /// What is to happen once the device is back.
    pub(super) wish: Option<Wish<R>>,
    pub(super) halted: Option<Halt>,
    /// The slot that can't be computed again.
    pub(super) barred: Option<Halt>,
    pub(super) outbox: Outbox,

    /// The stored snapshots that a device can be made from, as far as is known; the newest first.
    pub(super) snapshots: VecDeque<SnapshotRef>,
    /// The others, until they leave the store.
    pub(super) unfit: Vec<SnapshotRef>,
    pub(super) is_storing: bool,
    /// How far it was computed when a snapshot last came to nothing.
    pub(super) snapshot_missed: Option<Slot>,

    pub(super) waiters: Waiters<R>,
    pub(super) listeners_before_sweep: usize,
    pub(super) states: Vec<(Option<Slot>, R)>,
    pub(super) bases: Vec<(Option<Slot>, R)>,
    pub(super) snapshot_askers: Vec<(Option<Slot>, R)>,
    pub(super) settlers: Vec<(Option<Slot>, R)>,
    pub(super) stop_askers: Vec<R>,
    pub(super) deferred: VecDeque<Request<R>>,
    pub(super) effects: Vec<Effect<R>>,
}

/// Listeners are looked through for those who left when there are this many more than after the last look.
const SWEEP_STEP: usize = 1024;

impl<R: Waiting> Core<R> {
    /// A core that waits to be told what it holds.
    pub fn new(process: ProcessId, options: WorkerOptions) -> Self {
        Self {
            process,
            epoch: Epoch(0),
            phase: Phase::Claiming,
            record: None,
            is_retired: false,
            definition: None,
            settled_definition: None,
            in_force: Slot::ZERO,
            scheduled: None,
            claimed: None,
            assigned: None,
            last_timestamp: 0,
            ids: IdWindow::new(options.id_retention),
            unsettled_ids: HashMap::new(),
            marks: MarksInFlight::default(),
            cursors: Cursors::default(),
            in_flight: VecDeque::new(),
            refused: None,
            computed: None,
            applied: None,
            visible: None,
            recent: VecDeque::new(),
            recent_weight: 0,
            tail: VecDeque::new(),
            tail_weight: 0,
            planned: None,
            is_away: false,
            has_device: false,
            position: None,
            is_slow: false,
            is_careful: false,
            is_retrying: false,
            backoff: Backoff::for_faults(),
            fault: None,
            resumed_fault: None,
            wish: None,
            halted: None,
            barred: None,
            outbox: Outbox::default(),
            snapshots: VecDeque::new(),
            unfit: Vec::new(),
            is_storing: false,
            snapshot_missed: None,
            waiters: Waiters::default(),
            listeners_before_sweep: SWEEP_STEP,
            states: Vec::new(),
            bases: Vec::new(),
            snapshot_askers: Vec::new(),
            settlers: Vec::new(),
            stop_askers: Vec::new(),
            deferred: VecDeque::new(),
            effects: Vec::new(),
            options,
        }
    }

    /// What is to be done since the last call, in order.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<Effect<R>> {
        std::mem::take(&mut self.effects)
    }

    /// What computes the process, once it is known.
    pub fn device(&self) -> Option<DeviceKind> {
        self.record.as_ref().map(|record| record.device)
    }

    /// The epoch of the claim.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether it ended and takes nothing more.
    pub fn is_gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// Whether it is about to end. A request may still keep it.
    pub fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. } | Phase::Gone)
    }

    /// Whether nothing is being done, and nothing will be but for what comes from outside: a request, or room in the outbox,
    /// for which whoever takes what waits there may need this worker's place.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Running
            && !self.is_away
            && !self.is_storing
            && !self.is_retrying
            && self.in_flight.is_empty()
            && (self.is_halted() || self.is_paused() || self.computed == self.scheduled)
    }

    /// How many messages wait to be computed, and how many askers for something.
    pub fn depth(&self) -> (u64, u64) {
        (queued(self.scheduled, self.visible), self.listeners() as u64)
    }

    /// Takes what the store said to the claim. An error means that the store takes no claims at present.
    pub fn claimed(&mut self, now: Millis, history: &dyn History, found: Result<Found, String>) {
        if self.phase != Phase::Claiming {
            return;
        }
        let found = match found {
            Ok(found) => found,
            Err(reason) => {
                for request in std::mem::take(&mut self.deferred) {
                    self.answer(request.into_reply(), Err(RequestError::Store(reason.clone())));
                }
                return self.end(StopReason::Store(reason));
            }
        };
        self.phase = Phase::Running;
        self.epoch = found.claim.epoch;
        self.is_retired = found.is_retired;
        self.in_force = found.in_force;
        if let Some(head) = found.claim.head {
            self.scheduled = Some(head.scheduled);
            self.claimed = self.scheduled;
            self.assigned = self.scheduled;
            self.computed = head.computed;
            self.applied = head.computed;
            self.visible = head.computed;
            self.last_timestamp = head.last_timestamp;
            self.halted = head.halted;
            self.ids.start_at(head.ids_from);
            self.definition = found.definition.map(|definition| (head.definition, definition));
            self.settled_definition = self.definition.clone();
            self.record = Some(head.record);
            self.snapshots = found.snapshots.into();
            self.outbox_found(found.outbox);
            self.cursors = Cursors::found(found.cron_cursor);
            if let Some(through) = self.applied.filter(|_| found.outbox > 0) {
                self.effects.push(Effect::Push { through });
            }
            if let (Some(wanted), Some((_, last))) = (found.wanted, &self.definition)
                && wanted != *last
                && !self.is_retired
            {
                self.define_anew(now, wanted, None, None);
            }
        }
        // What comes behind a request to stop is for the next worker.
        while self.phase == Phase::Running
            && let Some(request) = self.deferred.pop_front()
        {
            self.serve(now, history, request);
        }
        self.advance();
    }

    /// Takes a request. Each ends in exactly one answer, or is handed on when the worker goes.
    pub fn request(&mut self, now: Millis, history: &dyn History, request: Request<R>) {
        match (&self.phase, &request) {
            (Phase::Claiming, _) => self.deferred.push_back(request),
            (Phase::Stopping { .. }, Request::Status { .. }) => self.serve(now, history, request),
            (Phase::Stopping { reason, .. }, _) if reason.is_mild() => {
                self.phase = Phase::Running;
                self.serve(now, history, request);
            }
            (Phase::Stopping { .. } | Phase::Gone, _) => self.deferred.push_back(request),
            (Phase::Running, _) => self.serve(now, history, request),
        }
        self.advance();
        self.sweep();
    }

    fn serve(&mut self, now: Millis, history: &dyn History, request: Request<R>) {
        if self.assigned.is_none() && !matches!(request, Request::Define { .. }) {
            let error = RequestError::no_process(&self.process);
            return self.answer(request.into_reply(), Err(error));
        }
        match request {
            Request::Define { define, reply } => self.define(now, *define, reply),
            Request::Schedule { draft, reply, outcome } => self.schedule(now, history, *draft, reply, outcome),
            Request::Compute { slot, reply } => self.await_slot(slot, reply),
            Request::AwaitAny { reply } => self.waiters.push_any(reply),
            Request::State { reply } => self.states.push((self.scheduled, reply)),
            Request::Base { reply } => self.bases.push((self.scheduled, reply)),
            Request::Snapshot { reply } => self.snapshot_askers.push((self.scheduled, reply)),
            Request::Stop { reply } => {
                self.stop_askers.push(reply);
                self.stop(StopReason::Asked);
            }
            Request::Resume { skip, reply } => self.resume(skip, reply),
            // Whatever waits is taken up in any case.
            Request::Wake { reply } => self.answer(reply, Ok(Answer::Done)),
            Request::Status { reply } => match self.status() {
                Some(status) => self.answer(reply, Ok(Answer::Status(status))),
                None => self.answer(reply, Err(RequestError::no_process(&self.process))),
            },
            Request::Settle { reply } => {
                if self.visible <= self.applied {
                    self.answer(reply, Ok(Answer::Done));
                } else {
                    self.settlers.push((self.visible, reply));
                }
            }
        }
    }

    /// Where the process stands. `None` while it is not yet created.
    pub fn status(&self) -> Option<Status> {
        let record = self.record.as_ref()?;
        let scheduled = self.scheduled?;
        let is_behind = self.computed < self.scheduled;
        let activity = match () {
            () if self.is_halted() => Activity::Halted,
            () if is_behind || self.is_away => Activity::Computing,
            () => Activity::Active,
        };
        Some(Status {
            origin: record.origin,
            device: record.device,
            definition: self.definition.as_ref().map_or(Slot::ZERO, |(slot, _)| *slot),
            scheduled,
            computed: self.visible,
            snapshot: self.snapshots.front().map(|snapshot| snapshot.slot),
            activity,
            queue: queued(self.scheduled, self.visible),
            error: self.halt_text().or_else(|| self.pause_text()).or_else(|| self.fault_text()),
        })
    }

    pub(super) fn answer(&mut self, reply: R, answer: Result<Answer, RequestError>) {
        self.effects.push(Effect::Answer(reply, answer));
    }

    pub(super) fn note(&mut self, note: Note) {
        self.effects.push(Effect::Note(note));
    }

    pub(super) fn answer_all(&mut self, replies: Vec<(Option<Slot>, R)>, answer: &Result<Answer, RequestError>) {
        for (_, reply) in replies {
            self.answer(reply, answer.clone());
        }
    }

    /// Those who only listen.
    fn listeners(&self) -> usize {
        let asking = [&self.states, &self.bases, &self.snapshot_askers, &self.settlers];
        let wishing = self.wish.as_ref().map_or(0, |wish| wish.replies.len());
        self.waiters.len() + self.deferred.len() + wishing + asking.map(Vec::len).iter().sum::<usize>()
    }

    /// Listeners who left cost nothing for long.
    fn sweep(&mut self) {
        if self.listeners() <= self.listeners_before_sweep {
            return;
        }
        self.waiters.forget(R::is_gone);
        for asking in [&mut self.states, &mut self.bases, &mut self.snapshot_askers, &mut self.settlers] {
            asking.retain(|(_, reply)| !reply.is_gone());
        }
        self.deferred.retain(|request| !request.asker().is_some_and(R::is_gone));
        if let Some(wish) = &mut self.wish {
            wish.replies.retain(|reply| !reply.is_gone());
        }
        self.listeners_before_sweep = self.listeners() + SWEEP_STEP;
    }

    /// Takes note that a snapshot's file is written, and what refers to it, or that it could not be.
    pub fn snapshot_written(&mut self, result: Result<SnapshotRef, String>) {
        if self.phase == Phase::Gone {
            return;
        }
        match result {
            Ok(reference) if self.stands_on_unfit(&reference) => {
                self.snapshot_not_stored(
                    "the snapshot that it stands on turned out to be damaged; ask again".to_owned(),
                );
            }
            Ok(reference) => self.commit_snapshot(reference, None),
            Err(error) => self.snapshot_not_stored(error),
        }
        self.advance();
    }
}

/// How many slots lie after `done` and up to `last`.
pub fn queued(last: Option<Slot>, done: Option<Slot>) -> u64 {
    Slot::after(last).0.saturating_sub(Slot::after(done).0)
}
