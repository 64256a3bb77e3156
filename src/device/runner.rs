//! A device on its way through a log: restored, replayed, and from there on computing.

mod crashed;
mod replay;
mod restore;
mod verify;

pub(super) use replay::Unreplayed;
pub(super) use verify::Unverified;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use super::at_work::WorkSign;
use super::crash::{Call as Noted, CrashBook, Noting};
use super::feed::Feed;
use super::guarded::{caught, discard, guarded};
use super::log_reader::LogReader;
use super::{Call, Device, DeviceError, DeviceFactory, Interrupt, Mode, StateView};
use crate::clock::thread_cpu_time;
use crate::ids::{ProcessId, Slot};
use crate::process::worker::{Base, Fault, TurnDone, TurnPlan};
use crate::process::{Cause, Computed, Definition, Entry, EntryKind, ErrorStrategy, Halt, Json, Outcome, RequestError};

/// A turn ends when its outcomes have so many bytes, so that one commit can hold them.
const TURN_WEIGHT: u64 = 8 << 20;

/// How a turn is told that it holds its thread for too long.
pub trait Seat {
    /// Whether a call ran for so long that another thread has taken this one's place.
    fn has_overrun(&self) -> bool;
}

/// One process's device and its place in the log. It moves from thread to thread; whoever holds it is alone with it.
pub struct Runner {
    process: ProcessId,
    factory: Arc<dyn DeviceFactory>,
    log: Arc<dyn LogReader>,
    interrupt: Interrupt,
    /// Whether snapshot and definition were looked for.
    is_restored: bool,
    device: Option<Box<dyn Device>>,
    /// The definition slot whose code the device runs.
    in_force: Option<Slot>,
    strategy: ErrorStrategy,
    /// Whether the device in force, or the last that was, yields the same bytes for the same log.
    is_deterministic: bool,
    /// Why there is no device although the log has begun.
    broken: Option<String>,
    position: Option<Slot>,
    /// The slot that it is about to go past, and what it holds.
    at: Option<(Slot, EntryKind)>,
    purpose: Purpose,
    /// The CPU time that a slot is allowed by the definition that a device was made of last.
    compute_time: Option<Duration>,
    sign: WorkSign,
    crashes: Arc<CrashBook>,
    /// Where it notes what it does, while it is at it.
    noting: Option<Noting>,
}

/// What a runner is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To be the process.
    Worker,
    /// To come to a state of its past.
    Base,
    /// To see whether its past comes to the same again.
    Verification {
        /// Whether calls are made again that may well come to something else.
        executes: bool,
    },
}

/// Why a turn ends before its goal.
enum End {
    Interrupted,
    Halt(Halt),
    /// A slot that had to be repeated for a base or a verification, and can't.
    NotRepeatable(Slot),
    /// A slot that was repeated to be compared came to something else, in words.
    Differs(String),
    Fault(String),
}

/// What one slot came to.
struct Step {
    computed: Computed,
    is_panic: bool,
    took: Duration,
}

impl Runner {
    /// A runner that has read nothing yet.
    pub fn new(
        process: ProcessId,
        factory: Arc<dyn DeviceFactory>,
        log: Arc<dyn LogReader>,
        interrupt: Interrupt,
    ) -> Self {
        Self::for_purpose(Purpose::Worker, process, factory, log, interrupt)
    }

    /// A runner that comes to states of the past by [`replay_to`](Self::replay_to), and never computes.
    pub(super) fn for_base(
        process: ProcessId,
        factory: Arc<dyn DeviceFactory>,
        log: Arc<dyn LogReader>,
        interrupt: Interrupt,
    ) -> Self {
        Self::for_purpose(Purpose::Base, process, factory, log, interrupt)
    }

    /// A runner that repeats slots of the past by [`verify`](Self::verify), and never computes. Where it `executes`, also
    /// those of a device that is not deterministic.
    pub(super) fn for_verification(
        executes: bool,
        process: ProcessId,
        factory: Arc<dyn DeviceFactory>,
        log: Arc<dyn LogReader>,
        interrupt: Interrupt,
    ) -> Self {
        Self::for_purpose(Purpose::Verification { executes }, process, factory, log, interrupt)
    }

    fn for_purpose(
        purpose: Purpose,
        process: ProcessId,
        factory: Arc<dyn DeviceFactory>,
        log: Arc<dyn LogReader>,
        interrupt: Interrupt,
    ) -> Self {
        Self {
            process,
            factory,
            log,
            interrupt,
            is_restored: false,
            device: None,
            in_force: None,
            strategy: ErrorStrategy::Ignore,
            is_deterministic: true,
            broken: None,
            position: None,
            at: None,
            purpose,
            compute_time: None,
            sign: WorkSign::default(),
            crashes: Arc::default(),
            noting: None,
        }
    }

    /// Where others see what it computes while it is away.
    pub fn sign(&self) -> &WorkSign {
        &self.sign
    }

    /// Memory that the device holds, in bytes.
    pub fn memory(&self) -> u64 {
        self.device.as_ref().map_or(0, |device| device.memory())
    }

    /// Goes towards the plan's goal for about `length`, at least one slot, and brings along what the plan wants.
    pub fn turn(&mut self, mut plan: TurnPlan, length: Duration, seat: &dyn Seat) -> TurnDone {
        let (deadline, began) = (Instant::now() + length, thread_cpu_time());
        let mut done = TurnDone::default();
        self.noting = Some(self.crashes.begin(&self.process));
        let entries = std::mem::take(&mut plan.entries);
        let mut feed = Feed::new(self.log.clone(), self.process.clone(), entries, plan.recorded, plan.goal);
        let end = self.go(&mut feed, &plan, deadline, &mut done);
        done.unused = feed.into_unused();
        done.is_deterministic = self.is_deterministic;
        match end {
            Ok(()) | Err(End::Interrupted) => {}
            Err(End::Halt(halt)) => done.halt = Some(halt),
            Err(End::NotRepeatable(slot)) => done.fault = Some(self.fault(format!("slot {slot} cannot be repeated"))),
            Err(End::Differs(error) | End::Fault(error)) => done.fault = Some(self.fault(error)),
        }
        if done.fault.is_some() {
            self.lose();
        }
        // Short of what is recorded there is nothing that anybody asked for.
        let is_barred = done.halt.as_ref().is_some_and(|halt| Some(halt.slot) <= plan.recorded);
        if done.fault.is_none() && self.is_restored && !is_barred {
            done.state = plan.wants_state.then(|| self.state());
            // The state that cannot be computed again belongs to the outcome.
            let is_precious = !self.is_deterministic && self.device.is_some();
            let has_success = done.computed.iter().any(|one| one.cause == Cause::Success);
            // That there is none yet on the way there says nothing about the goal.
            let is_wanted = plan.wants_snapshot && (self.device.is_some() || self.position >= plan.goal);
            done.snapshot = (is_wanted || (is_precious && has_success)).then(|| self.snapshot());
        }
        self.noting = None;
        done.position = self.position;
        done.state_bytes = self.device.as_ref().and_then(|device| device.state_bytes());
        done.is_lost = !self.is_restored;
        // A thread that had to wait for its core, or that serves slow work anyway, says nothing against this process.
        done.is_slow = seat.has_overrun() && thread_cpu_time().saturating_sub(began) > length;
        done
    }

    /// What the machine failed at.
    fn fault(&self, error: String) -> Fault {
        Fault { error, at: self.at }
    }

    fn go(&mut self, feed: &mut Feed, plan: &TurnPlan, deadline: Instant, done: &mut TurnDone) -> Result<(), End> {
        self.at = None;
        if !self.is_restored {
            self.restore(feed.recorded(), &mut done.unfit).map_err(End::Fault)?;
        }
        let (mut weight, mut sent) = (0, 0);
        while self.position < plan.goal {
            let slot = Slot::after(self.position);
            self.at = None;
            let (entry, recorded) = feed.take(slot).map_err(End::Fault)?;
            self.at = Some((slot, entry.kind));
            match recorded {
                Some(recorded) => self.replay(&entry, &recorded)?,
                None => {
                    let step = match self.step(&entry, plan) {
                        Ok(step) => step,
                        Err(end) => {
                            feed.give_back(entry);
                            return Err(end);
                        }
                    };
                    weight += step.computed.outcome.weight();
                    sent += step.computed.sends();
                    done.computed.push(step.computed);
                    done.scheduled.push(entry.message.timestamp);
                    done.took += step.took;
                    if step.is_panic {
                        // What the device holds after a panic is anybody's guess.
                        self.lose();
                        return Ok(());
                    }
                }
            }
            self.position = Some(slot);
            let is_outbox_full = sent > 0 && sent >= plan.room;
            // What cannot be repeated is on disk before anything else is begun.
            let is_single = !self.is_deterministic && !done.computed.is_empty();
            if Instant::now() >= deadline || weight >= TURN_WEIGHT || is_outbox_full || is_single {
                break;
            }
        }
        Ok(())
    }

    /// Comes to the outcome of a slot that has none.
    fn step(&mut self, entry: &Entry, plan: &TurnPlan) -> Result<Step, End> {
        let slot = entry.slot;
        if let Some(step) = self.given_up_on(entry) {
            return Ok(step);
        }
        let under = plan.resumed.filter(|(halted, _)| *halted == slot).map(|(_, under)| under);
        let mode = if Some(slot) <= plan.retried { Mode::Again } else { Mode::Live };
        self.sign.begin(slot, self.compute_time);
        self.note(Noted::Compute, slot);
        // One that panics while it is made is none that came to an outcome.
        let step = caught(|| self.live(entry, under, mode)).unwrap_or_else(|panic| Err(End::Fault(panic)));
        self.rest();
        self.sign.end();
        step
    }

    /// Reads the definition of a slot and makes its device, without state.
    fn create(&mut self, slot: Slot) -> Result<(Definition, Box<dyn Device>), DeviceError> {
        let fault = DeviceError::Fault;
        let entry = self.log.entry(&self.process, slot).map_err(fault)?;
        let entry = entry.ok_or_else(|| DeviceError::Fault(format!("slot {slot} is not in the log")))?;
        self.create_from(&entry)
    }

    fn create_from(&mut self, entry: &Entry) -> Result<(Definition, Box<dyn Device>), DeviceError> {
        let fault = DeviceError::Fault;
        let definition: Definition = serde_json::from_str(&entry.message.data)
            .map_err(|error| DeviceError::Fault(format!("slot {} holds no definition: {error}", entry.slot)))?;
        self.sign.allow(definition.limits.compute_time);
        self.compute_time = Some(definition.limits.compute_time);
        let hash = definition.specification.source;
        let source = self.log.blob(&self.process, hash).map_err(fault)?;
        let source = source.ok_or_else(|| DeviceError::Fault(format!("source {hash} is not in the store")))?;
        let mode = match self.purpose {
            Purpose::Worker => Mode::Live,
            Purpose::Base | Purpose::Verification { .. } => Mode::Trial,
        };
        let device = self.factory.create(&self.process, &definition, &source, self.interrupt.clone(), mode)?;
        Ok((definition, device))
    }

    fn install(&mut self, slot: Slot, definition: &Definition, device: Box<dyn Device>) {
        self.is_deterministic = device.info().deterministic;
        self.device = Some(device);
        self.in_force = Some(slot);
        self.strategy = definition.error_strategy;
        self.broken = None;
    }

    /// Puts the code of definition `slot` over the present state.
    fn switch(&mut self, slot: Slot) -> Result<(), DeviceError> {
        if self.in_force == Some(slot) {
            return Ok(());
        }
        let (definition, mut device) = self.create(slot)?;
        if let Some(old) = &self.device {
            device.restore(&old.snapshot()?)?;
        }
        self.install(slot, &definition, device);
        Ok(())
    }

    fn lose(&mut self) {
        discard(self.device.take());
        self.is_restored = false;
        self.in_force = None;
        // What stood in a definition that came to nothing is for nobody.
        self.strategy = ErrorStrategy::Ignore;
        self.broken = None;
        self.position = None;
    }

    fn live(&mut self, entry: &Entry, under: Option<Slot>, mode: Mode) -> Result<Step, End> {
        let (began, before) = (Instant::now(), self.in_force);
        let called = match entry.kind {
            EntryKind::Message => self.live_message(entry, under, mode)?,
            EntryKind::Definition => self.live_definition(entry, under, mode)?,
        };
        let (cause, outcome) = called;
        let (slot, took) = (entry.slot, began.elapsed());
        info!(target: "compute", event = "work_done", process = %self.process, group = %self.process, slot = slot.0,
            error = outcome.error, gas = outcome.gas_used, took = ?took);
        // A halted slot is left halted by code that does not load, whatever is known of a strategy.
        let is_in_vain = under.is_some() && cause == Cause::Load;
        let is_kept = entry.kind == EntryKind::Definition && slot > Slot::ZERO && cause == Cause::Load;
        if let Some(error) = &outcome.error
            && (is_in_vain || (self.strategy == ErrorStrategy::Throw && !is_kept))
        {
            if under.is_some() && entry.kind == EntryKind::Message {
                self.go_back(before)?;
            }
            return Err(End::Halt(Halt { slot, error: error.clone(), resumed: None }));
        }
        let definition = self.in_force.unwrap_or(slot);
        let computed = Computed { slot, definition, cause, outcome };
        Ok(Step { is_panic: cause == Cause::Panic, computed, took })
    }

    /// Puts back the code that was in force before a slot was tried again in vain, so that the slots after it meet what a
    /// replay of the log would bring them.
    fn go_back(&mut self, before: Option<Slot>) -> Result<(), End> {
        match before {
            Some(before) => self.switch(before).map_err(|error| End::Fault(error.to_string())),
            None => {
                discard(self.device.take());
                self.in_force = None;
                Ok(())
            }
        }
    }

    fn live_message(&mut self, entry: &Entry, under: Option<Slot>, mode: Mode) -> Result<(Cause, Outcome), End> {
        if let Some(under) = under {
            match self.switch(under) {
                Ok(()) => {}
                Err(DeviceError::Load(error) | DeviceError::Restore(error)) => {
                    let error = format!("the definition of slot {under} does not load: {error}");
                    return Ok((Cause::Load, Outcome::failed(error, 0)));
                }
                Err(error) => return Err(End::Fault(error.to_string())),
            }
        }
        let Some(device) = &mut self.device else { return Ok((Cause::Error, self.no_definition())) };
        ended(|| device.compute(entry, mode))
    }

    /// The outcome of a message to a process without a device.
    fn no_definition(&self) -> Outcome {
        let why = self.broken.as_deref().unwrap_or("its code never loaded");
        Outcome::failed(format!("the process has no working definition: {why}"), 0)
    }

    fn live_definition(&mut self, entry: &Entry, under: Option<Slot>, mode: Mode) -> Result<(Cause, Outcome), End> {
        let created = match under {
            Some(under) => self.create(under),
            None => self.create_from(entry),
        };
        let (definition, mut device) = match created {
            Ok(created) => created,
            Err(DeviceError::Load(error)) => {
                // In the outcome's words, as a replay finds them: what later slots say of it must not depend on restarts.
                let error = format!("the definition does not load: {error}");
                if self.device.is_none() {
                    self.broken = Some(error.clone());
                }
                return Ok((Cause::Load, Outcome::failed(error, 0)));
            }
            Err(error) => return Err(End::Fault(error.to_string())),
        };
        let slot = under.unwrap_or(entry.slot);
        let called = match &self.device {
            None => {
                self.strategy = definition.error_strategy;
                ended(|| device.init(entry, mode))?
            }
            Some(old) => {
                match old.snapshot().and_then(|state| device.restore(&state)) {
                    Ok(()) => (Cause::Success, Outcome::empty()),
                    // Code that cannot go on with the state is as good as none: what was in force stays.
                    Err(DeviceError::Restore(error)) => {
                        let error = format!("the definition does not load: {error}");
                        return Ok((Cause::Load, Outcome::failed(error, 0)));
                    }
                    Err(error) => return Err(End::Fault(error.to_string())),
                }
            }
        };
        let (cause, outcome) = called;
        let halts = outcome.error.is_some() && self.strategy == ErrorStrategy::Throw;
        if !halts {
            self.install(slot, &definition, device);
        }
        Ok((cause, Outcome { output: Json::null(), ..outcome }))
    }

    fn state(&self) -> Result<StateView, RequestError> {
        let Some(device) = &self.device else { return Err(RequestError::Conflict(self.why_no_device())) };
        self.note(Noted::Read, self.position.unwrap_or(Slot::ZERO));
        device.state().map_err(|error| match error {
            DeviceError::NotSupported(_) => RequestError::NotSupported(error.to_string()),
            error => RequestError::Internal(error.to_string()),
        })
    }

    fn snapshot(&mut self) -> Result<Base, RequestError> {
        let (Some(device), Some(slot), Some(definition)) = (&self.device, self.position, self.in_force) else {
            return Err(RequestError::Conflict(self.why_no_device()));
        };
        self.may_take_snapshot(slot).map_err(RequestError::Internal)?;
        self.note(Noted::Snapshot, slot);
        let snapshot = device.snapshot().map_err(|error| RequestError::Internal(error.to_string()));
        self.survived(Noted::Snapshot, slot);
        Ok(Base { slot, definition, snapshot: snapshot? })
    }

    fn why_no_device(&self) -> String {
        let why = self.broken.as_deref().unwrap_or("nothing of it is computed yet");
        format!("process {} has no state: {why}", self.process)
    }
}

/// Calls the device; a panic is an outcome, a fault of the machine isn't.
fn ended(call: impl FnOnce() -> Result<Call, DeviceError>) -> Result<(Cause, Outcome), End> {
    match guarded(call) {
        Ok(Call::Done(cause, outcome)) => Ok((cause, outcome)),
        Ok(Call::Interrupted) => Err(End::Interrupted),
        Err(error) => Err(End::Fault(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
