//! A device on its way through a log: restored, replayed, and from there on computing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::feed::Feed;
use super::log_reader::LogReader;
use super::{Call, Device, DeviceError, DeviceFactory, Interrupt, Mode, StateView};
use crate::clock::thread_cpu_time;
use crate::ids::{ProcessId, Slot};
use crate::process::worker::{Base, TurnDone, TurnPlan};
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
}

/// Why a turn ends before its goal.
enum End {
    Interrupted,
    Halt(Halt),
    Fault(String),
}

/// What one slot came to.
struct Step {
    computed: Computed,
    is_panic: bool,
}

impl Runner {
    /// A runner that has read nothing yet.
    pub fn new(
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
        }
    }

    /// Memory that the device holds, in bytes.
    pub fn memory(&self) -> u64 {
        self.device.as_ref().map_or(0, |device| device.memory())
    }

    /// Goes towards the plan's goal for about `length`, at least one slot, and brings along what the plan wants.
    pub fn turn(&mut self, mut plan: TurnPlan, length: Duration, seat: &dyn Seat) -> TurnDone {
        let (deadline, began) = (Instant::now() + length, thread_cpu_time());
        let mut done = TurnDone::default();
        let entries = std::mem::take(&mut plan.entries);
        let mut feed = Feed::new(self.log.clone(), self.process.clone(), entries, plan.recorded, plan.goal);
        let end = self.go(&mut feed, &plan, deadline, &mut done.computed);
        done.unused = feed.into_unused();
        done.is_deterministic = self.is_deterministic;
        match end {
            Ok(()) | Err(End::Interrupted) => {}
            Err(End::Halt(halt)) => done.halt = Some(halt),
            Err(End::Fault(error)) => {
                done.fault = Some(error);
                self.lose();
            }
        }
        if done.fault.is_none() && self.is_restored {
            done.state = plan.wants_state.then(|| self.state());
            done.snapshot = plan.wants_snapshot.then(|| self.snapshot());
        }
        done.position = self.position;
        done.is_lost = !self.is_restored;
        // A thread that had to wait for its core, or that serves slow work anyway, says nothing against this process.
        done.is_slow = seat.has_overrun() && thread_cpu_time().saturating_sub(began) > length;
        done
    }

    fn go(
        &mut self,
        feed: &mut Feed,
        plan: &TurnPlan,
        deadline: Instant,
        computed: &mut Vec<Computed>,
    ) -> Result<(), End> {
        if !self.is_restored {
            self.restore(feed.recorded()).map_err(End::Fault)?;
        }
        let mut weight = 0;
        while self.position < plan.goal {
            let slot = Slot::after(self.position);
            let (entry, recorded) = feed.take(slot).map_err(End::Fault)?;
            match recorded {
                Some(recorded) => self.replay(&entry, &recorded)?,
                None => {
                    let under = plan.resumed.filter(|(halted, _)| *halted == slot).map(|(_, under)| under);
                    let mode = if Some(slot) <= plan.retried { Mode::Again } else { Mode::Live };
                    let step = match self.live(&entry, under, mode) {
                        Ok(step) => step,
                        Err(end) => {
                            feed.give_back(entry);
                            return Err(end);
                        }
                    };
                    weight += step.computed.outcome.weight();
                    computed.push(step.computed);
                    if step.is_panic {
                        // What the device holds after a panic is anybody's guess.
                        self.lose();
                        return Ok(());
                    }
                }
            }
            self.position = Some(slot);
            if Instant::now() >= deadline || weight >= TURN_WEIGHT {
                break;
            }
        }
        Ok(())
    }

    /// Finds the newest snapshot that can be read. Without one the log is replayed from slot 0.
    fn restore(&mut self, recorded: Option<Slot>) -> Result<(), String> {
        if recorded.is_some() {
            for snapshot in self.log.snapshots(&self.process)? {
                if Some(snapshot.slot) > recorded {
                    continue;
                }
                let bytes = match self.log.read_snapshot(&self.process, &snapshot) {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        warn!(target: "worker", event = "snapshot_unusable", process = %self.process,
                            slot = snapshot.slot.0, error, "taking the snapshot before it");
                        continue;
                    }
                };
                let (definition, mut device) = self.create(snapshot.definition).map_err(|error| error.to_string())?;
                match device.restore(&bytes) {
                    Ok(()) => {
                        self.install(snapshot.definition, &definition, device);
                        self.position = Some(snapshot.slot);
                        info!(target: "worker", event = "restored", process = %self.process, group = %self.process,
                            slot = snapshot.slot.0, size = snapshot.size);
                        break;
                    }
                    Err(error) => warn!(target: "worker", event = "snapshot_unusable", process = %self.process,
                        slot = snapshot.slot.0, %error, "taking the snapshot before it"),
                }
            }
        }
        self.is_restored = true;
        Ok(())
    }

    /// Reads the definition of a slot and makes its device, without state.
    fn create(&self, slot: Slot) -> Result<(Definition, Box<dyn Device>), DeviceError> {
        let fault = DeviceError::Fault;
        let entry = self.log.entry(&self.process, slot).map_err(fault)?;
        let entry = entry.ok_or_else(|| DeviceError::Fault(format!("slot {slot} is not in the log")))?;
        self.create_from(&entry)
    }

    fn create_from(&self, entry: &Entry) -> Result<(Definition, Box<dyn Device>), DeviceError> {
        let fault = DeviceError::Fault;
        let definition: Definition = serde_json::from_str(&entry.message.data)
            .map_err(|error| DeviceError::Fault(format!("slot {} holds no definition: {error}", entry.slot)))?;
        let hash = definition.specification.source;
        let source = self.log.blob(&self.process, hash).map_err(fault)?;
        let source = source.ok_or_else(|| DeviceError::Fault(format!("source {hash} is not in the store")))?;
        let device = self.factory.create(&self.process, &definition, &source, self.interrupt.clone())?;
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
        // A device that panicked may panic again when it is dropped.
        let device = self.device.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(device)));
        self.is_restored = false;
        self.in_force = None;
        self.broken = None;
        self.position = None;
    }

    fn replay(&mut self, entry: &Entry, recorded: &Computed) -> Result<(), End> {
        let slot = entry.slot;
        let fault = |error: DeviceError| End::Fault(format!("replay of slot {slot}: {error}"));
        if entry.kind == EntryKind::Definition {
            return self.replay_definition(entry, recorded).map_err(fault);
        }
        if recorded.cause != Cause::Success {
            return Ok(());
        }
        self.switch(recorded.definition).map_err(fault)?;
        let Some(device) = &mut self.device else {
            return Err(End::Fault(format!("replay of slot {slot}: there is no device")));
        };
        match device.compute(entry, Mode::Replay).map_err(fault)? {
            Call::Interrupted => Err(End::Interrupted),
            Call::Done(Cause::Success, outcome) if outcome == recorded.outcome => Ok(()),
            Call::Done(Cause::Success, _) => {
                warn!(target: "compute", event = "replay_differs", process = %self.process, slot = slot.0,
                    "the outcome computed again is not the one that is stored; the stored one stays");
                Ok(())
            }
            Call::Done(_, outcome) => Err(End::Fault(format!(
                "replay of slot {slot} fails where it succeeded before: {}",
                outcome.error.unwrap_or_default()
            ))),
        }
    }

    fn replay_definition(&mut self, entry: &Entry, recorded: &Computed) -> Result<(), DeviceError> {
        let is_first = self.device.is_none();
        if recorded.cause == Cause::Load {
            if is_first {
                self.broken = recorded.outcome.error.clone();
            }
            return Ok(());
        }
        match self.switch(if recorded.cause == Cause::Skipped { entry.slot } else { recorded.definition }) {
            // Passed over because it does not load.
            Err(DeviceError::Load(error)) if recorded.cause == Cause::Skipped => {
                if is_first {
                    self.broken = Some(error);
                }
                return Ok(());
            }
            switched => switched?,
        }
        if let Some(device) = &mut self.device
            && is_first
            && recorded.cause == Cause::Success
        {
            device.init(entry, Mode::Replay)?;
        }
        Ok(())
    }

    fn live(&mut self, entry: &Entry, under: Option<Slot>, mode: Mode) -> Result<Step, End> {
        let began = Instant::now();
        let called = match entry.kind {
            EntryKind::Message => self.live_message(entry, under, mode)?,
            EntryKind::Definition => self.live_definition(entry, under, mode)?,
        };
        let (cause, outcome) = called;
        let slot = entry.slot;
        info!(target: "compute", event = "work_done", process = %self.process, group = %self.process, slot = slot.0,
            error = outcome.error, gas = outcome.gas_used, took = ?began.elapsed());
        let is_kept = entry.kind == EntryKind::Definition && slot > Slot::ZERO && cause == Cause::Load;
        if let Some(error) = &outcome.error
            && self.strategy == ErrorStrategy::Throw
            && !is_kept
        {
            return Err(End::Halt(Halt { slot, error: error.clone(), resumed: None }));
        }
        let definition = self.in_force.unwrap_or(slot);
        let computed = Computed { slot, definition, cause, outcome };
        Ok(Step { is_panic: cause == Cause::Panic, computed })
    }

    fn live_message(&mut self, entry: &Entry, under: Option<Slot>, mode: Mode) -> Result<(Cause, Outcome), End> {
        if let Some(under) = under {
            self.switch(under).map_err(|error| End::Fault(error.to_string()))?;
        }
        let Some(device) = &mut self.device else {
            let why = self.broken.as_deref().unwrap_or("its code never loaded");
            let error = format!("the process has no working definition: {why}");
            return Ok((Cause::Error, Outcome::failed(error, 0)));
        };
        guarded(|| device.compute(entry, mode))
    }

    fn live_definition(&mut self, entry: &Entry, under: Option<Slot>, mode: Mode) -> Result<(Cause, Outcome), End> {
        let created = match under {
            Some(under) => self.create(under),
            None => self.create_from(entry),
        };
        let (definition, mut device) = match created {
            Ok(created) => created,
            Err(DeviceError::Load(error)) => {
                if self.device.is_none() {
                    self.broken = Some(error.clone());
                }
                return Ok((Cause::Load, Outcome::failed(format!("the definition does not load: {error}"), 0)));
            }
            Err(error) => return Err(End::Fault(error.to_string())),
        };
        let slot = under.unwrap_or(entry.slot);
        let called = match &self.device {
            None => {
                self.strategy = definition.error_strategy;
                guarded(|| device.init(entry, mode))?
            }
            Some(old) => {
                let moved = old.snapshot().and_then(|state| device.restore(&state));
                moved.map_err(|error| End::Fault(error.to_string()))?;
                (Cause::Success, Outcome::empty())
            }
        };
        let (cause, outcome) = called;
        let halts = outcome.error.is_some() && self.strategy == ErrorStrategy::Throw;
        if !halts {
            self.install(slot, &definition, device);
        }
        Ok((cause, Outcome { output: Json::null(), ..outcome }))
    }

    fn state(&self) -> Result<Arc<str>, RequestError> {
        let Some(device) = &self.device else { return Err(RequestError::Conflict(self.why_no_device())) };
        match device.state() {
            Ok(StateView::Json(text)) => Ok(text.into()),
            Err(error) => Err(RequestError::Internal(error.to_string())),
        }
    }

    fn snapshot(&self) -> Result<Base, String> {
        let (Some(device), Some(slot), Some(definition)) = (&self.device, self.position, self.in_force) else {
            return Err(self.why_no_device());
        };
        let snapshot = device.snapshot().map_err(|error| error.to_string())?;
        Ok(Base { slot, definition, snapshot })
    }

    fn why_no_device(&self) -> String {
        let why = self.broken.as_deref().unwrap_or("nothing of it is computed yet");
        format!("process {} has no state: {why}", self.process)
    }
}

/// Calls the device; a panic is an outcome, a fault of the machine isn't.
fn guarded(call: impl FnOnce() -> Result<Call, DeviceError>) -> Result<(Cause, Outcome), End> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(Call::Done(cause, outcome))) => Ok((cause, outcome)),
        Ok(Ok(Call::Interrupted)) => Err(End::Interrupted),
        Ok(Err(error)) => Err(End::Fault(error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let error = format!("panic: {}", text.as_deref().unwrap_or("the device gave no reason"));
            Ok((Cause::Panic, Outcome::failed(error, 0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::fake::Fakes;
    use crate::ids::BlobHash;
    use crate::process::SnapshotRef;

    /// A log with nothing in it, which takes its time to be read.
    struct Empty(Duration);

    impl LogReader for Empty {
        fn entries(&self, _: &ProcessId, _: Slot, _: Slot) -> Result<Vec<Entry>, String> {
            let began = thread_cpu_time();
            while thread_cpu_time() - began < self.0 {}
            Ok(Vec::new())
        }
        fn outcomes(&self, _: &ProcessId, _: Slot, _: Slot) -> Result<Vec<Computed>, String> {
            Ok(Vec::new())
        }
        fn entry(&self, _: &ProcessId, _: Slot) -> Result<Option<Entry>, String> {
            Ok(None)
        }
        fn blob(&self, _: &ProcessId, _: BlobHash) -> Result<Option<Arc<[u8]>>, String> {
            Ok(None)
        }
        fn snapshots(&self, _: &ProcessId) -> Result<Vec<SnapshotRef>, String> {
            Ok(Vec::new())
        }
        fn read_snapshot(&self, _: &ProcessId, _: &SnapshotRef) -> Result<Arc<[u8]>, String> {
            Err("there is none".to_owned())
        }
    }

    struct Overflow;

    impl Seat for Overflow {
        fn has_overrun(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_process_is_slow_by_the_time_that_it_takes_itself_not_by_the_thread_it_sits_on() {
        let length = Duration::from_millis(5);
        for (takes, is_slow) in [(Duration::ZERO, false), (length * 4, true)] {
            let process = ProcessId::parse("a").unwrap();
            let log = Arc::new(Empty(takes));
            let mut runner = Runner::new(process, Arc::new(Fakes::default()), log, Interrupt::default());
            let plan = TurnPlan {
                goal: Some(Slot::ZERO),
                recorded: None,
                retried: None,
                entries: Vec::new(),
                resumed: None,
                wants_state: false,
                wants_snapshot: false,
                is_slow: true,
            };
            let done = runner.turn(plan, length, &Overflow);
            assert!(done.fault.is_some(), "slot 0 is missing");
            assert_eq!(done.is_slow, is_slow, "after {takes:?}");
        }
    }
}
