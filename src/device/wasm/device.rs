//! One call of a module from start to end.

use std::sync::Arc;

use wasmtime::InstancePre;

use super::abi::{self, Failure};
use super::answer::{self, Answer};
use super::compiled::InUse;
use super::engine::{self, NodeEngine};
use super::host::Host;
use super::instance::Instance;
use super::limiter::Limiter;
use super::state::{PAGE, Scratch, State};
use super::text;
use crate::config::limits::{LimitKey, Limits};
use crate::device::budget::{Budget, limit_text};
use crate::device::sending::Outbox;
use crate::device::{Call, Device, DeviceError, DeviceInfo, Interrupt, Mode, StateView};
use crate::group::Grouper;
use crate::ids::{BlobHash, ProcessId};
use crate::process::{Cause, Entry, Outcome, Tag};

/// The most lines of a call that are logged.
const LINES_MOST: usize = 100;
/// The longest of them, in bytes.
const LINE_MOST: usize = 8 << 10;

/// What a device is made from.
pub(super) struct Program {
    pub(super) process: ProcessId,
    pub(super) engine: Arc<NodeEngine>,
    pub(super) hash: BlobHash,
    /// Keeps the compiled module known to other processes.
    pub(super) _module: InUse,
    pub(super) linked: InstancePre<Host>,
    pub(super) is_wide: bool,
    pub(super) limits: Limits,
    /// The tags of the process, as a module is told them.
    pub(super) tags: Vec<Tag>,
    pub(super) interrupt: Interrupt,
}

/// A module over the state of one process.
///
/// The state is kept twice: as the module's memory, which calls change, and as an image of it after the last success, from
/// which a new instance is filled after a failure.
pub(super) struct WasmDevice {
    program: Program,
    /// The module at work; it holds what the state says. Nothing before the first call, and after one that failed.
    instance: Option<Instance>,
    state: State,
}

impl WasmDevice {
    /// A device without state.
    pub(super) fn new(program: Program) -> Self {
        let state = State { module: program.hash, owner: String::new(), body: None };
        Self { program, instance: None, state }
    }

    /// Makes a call and what it leads to: a success changes the state, anything else leaves nothing behind.
    fn call(
        &mut self,
        entry: &Entry,
        mode: Mode,
        work: impl FnOnce(&Limits, &mut Instance, &mut Scratch) -> Result<Outcome, Failure>,
    ) -> Result<Call, DeviceError> {
        if self.program.interrupt.is_raised() {
            return Ok(Call::Interrupted);
        }
        let engine = self.program.engine.clone();
        let _at_work = engine.at_work();
        let mut instance = None;
        let done = self.work(entry, mode, work, &mut instance);
        let gas = instance.as_ref().map_or(0, Instance::gas_used);
        if matches!(mode, Mode::Live | Mode::Again)
            && let Some(instance) = &instance
        {
            log_prints(instance.host());
        }
        match done {
            Ok(outcome) => {
                self.instance = instance;
                Ok(Call::Done(Cause::Success, Outcome { gas_used: gas, ..outcome }))
            }
            Err(failure) => self.failed(failure, gas),
        }
    }

    /// The call itself. The instance that it used is put into `used`; it is worth nothing if the call fails.
    fn work(
        &mut self,
        entry: &Entry,
        mode: Mode,
        work: impl FnOnce(&Limits, &mut Instance, &mut Scratch) -> Result<Outcome, Failure>,
        used: &mut Option<Instance>,
    ) -> Result<Outcome, Failure> {
        let limits = &self.program.limits;
        let (slot, timestamp) = (entry.slot, entry.message.timestamp);
        let instance = match self.instance.take() {
            Some(mut instance) => {
                instance.begin(slot, timestamp, limits, mode)?;
                used.insert(instance)
            }
            None => {
                let instance = used.insert(self.program.instantiate(entry, mode)?);
                match &self.state.body {
                    Some(body) => {
                        let loaded = instance.load(body);
                        loaded.map_err(|error| Failure::Fault(format!("the state does not fit: {error:#}")))?;
                        instance.begin(slot, timestamp, limits, mode)?;
                    }
                    None => abi::set_up(instance)?,
                }
                instance
            }
        };
        let body = self.state.body.get_or_insert_default();
        let mut scratch = body.scratch;
        let outcome = work(limits, instance, &mut scratch);
        let saved = outcome.and_then(|outcome| {
            let changes = instance.changes(&body.image);
            if changes.size() > limits.state_size {
                return Err(Failure::Limit(LimitKey::StateSize, None));
            }
            instance.save(body, &changes, scratch).map_err(|error| Failure::Fault(format!("{error:#}")))?;
            Ok(outcome)
        });
        if saved.is_err() && body.image.length() == 0 {
            self.state.body = None;
        }
        saved
    }

    fn failed(&self, failure: Failure, gas: u64) -> Result<Call, DeviceError> {
        let limits = &self.program.limits;
        let (cause, text, gas) = match failure {
            Failure::Interrupted => return Ok(Call::Interrupted),
            Failure::Fault(error) => return Err(DeviceError::Fault(error)),
            Failure::Limit(LimitKey::Gas, _) => {
                (Cause::Limit(LimitKey::Gas), limit_text(LimitKey::Gas, limits), limits.gas)
            }
            Failure::Limit(key, None) => (Cause::Limit(key), limit_text(key, limits), gas),
            Failure::Limit(key, Some(why)) => (Cause::Limit(key), format!("limit {key}: {why}"), gas),
            Failure::Error(text) => (Cause::Error, text, gas),
        };
        Ok(Call::Done(cause, Outcome::failed(text, gas)))
    }

    /// Has the module handle a text that stands for the entry's message. `owner` is who defined the process.
    fn handle(
        &mut self,
        entry: &Entry,
        mode: Mode,
        owner: &str,
        message: Result<String, serde_json::Error>,
    ) -> Result<Call, DeviceError> {
        let program = &self.program;
        let environment = text::environment(&program.process, owner, &program.tags, &program.hash);
        let (message, environment) = match (message, environment) {
            (Ok(message), Ok(environment)) => (message, environment),
            (Err(error), _) | (_, Err(error)) => return Err(DeviceError::Fault(error.to_string())),
        };
        self.call(entry, mode, |limits, instance, scratch| {
            let at = abi::handle(instance, scratch, &message, &environment)?;
            let answer = abi::answer(instance, at, answer::longest(limits))?;
            let Answer { output, outbox } = answer::read(answer, limits)?;
            let Outbox { messages, spawns, assignments, .. } = outbox;
            Ok(Outcome { output, messages, spawns, assignments, ..Outcome::empty() })
        })
    }

    fn handle_message(&mut self, entry: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        let (owner, message) = (self.state.owner.clone(), text::message(entry, &self.program.hash));
        self.handle(entry, mode, &owner, message)
    }
}

impl Program {
    /// A new instance of the module, in a call that begins with it.
    fn instantiate(&self, entry: &Entry, mode: Mode) -> Result<Instance, Failure> {
        let host = Host {
            process: self.process.clone(),
            slot: entry.slot,
            timestamp: entry.message.timestamp,
            limiter: Limiter::new(self.limits.memory),
            budget: Budget::new(self.interrupt.clone()),
            is_wide: self.is_wide,
            printed: Vec::new(),
            random: None,
        };
        Ok(Instance::new(&self.engine, &self.linked, host, &self.limits, mode)?)
    }
}

/// Logs what a call printed.
fn log_prints(host: &Host) {
    let (process, slot) = (&host.process, host.slot.0);
    let mut lines = host.printed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines.by_ref().take(LINES_MOST) {
        let text = String::from_utf8_lossy(line.get(..LINE_MOST).unwrap_or(line));
        tracing::info!(target: "compute", event = "print", %process, slot, %text);
    }
    let dropped = lines.count();
    if dropped > 0 {
        tracing::warn!(target: "compute", event = "print_dropped", %process, slot, dropped);
    }
}

/// What every WebAssembly device is.
pub(super) fn info() -> DeviceInfo {
    DeviceInfo { deterministic: true, engine: engine::name(), grouper: Grouper::Process, needs_worker: true }
}

impl Device for WasmDevice {
    /// Sets the module up and has it handle the process itself as its first message, as AO does. Who defined the process is
    /// its owner from here on.
    fn init(&mut self, definition: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        let (program, owner) = (&self.program, &definition.message.owner);
        let message = text::process(definition, &program.process, &program.tags, &program.hash);
        let called = self.handle(definition, mode, owner, message);
        if let Ok(Call::Done(Cause::Success, _)) = called {
            self.state.owner = owner.clone();
        }
        called
    }

    fn compute(&mut self, entry: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        self.handle_message(entry, mode)
    }

    fn dry_run(&mut self, entry: &Entry) -> Result<Call, DeviceError> {
        self.handle_message(entry, Mode::Trial)
    }

    fn snapshot(&self) -> Result<Arc<[u8]>, DeviceError> {
        Ok(self.state.encode().into())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DeviceError> {
        let state = State::decode(snapshot).map_err(|error| DeviceError::Restore(error.to_string()))?;
        if state.module != self.program.hash {
            return Err(DeviceError::Restore(format!(
                "it is the memory of module {}, which means nothing to module {}; a process keeps its module",
                state.module, self.program.hash
            )));
        }
        self.instance = None;
        self.state = state;
        Ok(())
    }

    fn state(&self) -> Result<StateView, DeviceError> {
        let bytes = self.state.body.as_ref().map(|body| body.image.bytes()).unwrap_or_default();
        Ok(StateView::Bytes(bytes.into()))
    }

    fn info(&self) -> DeviceInfo {
        info()
    }

    fn memory(&self) -> u64 {
        let held = self.state.body.as_ref().map_or(0, |body| body.image.held());
        self.instance.as_ref().map_or(0, Instance::resident) + held + (size_of::<Self>() + PAGE) as u64
    }
}
