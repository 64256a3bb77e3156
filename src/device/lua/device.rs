//! One call of a script from start to end.

use std::sync::Arc;

use mlua::{Table, Value};

use super::codec;
use super::json::{self, JsonError, Strictness};
use super::message::{definition_table, message_table};
use super::native::{self, EncodeError, Purpose, encode};
use super::vm::{Ran, Vm, VmError};
use crate::config::limits::{LimitKey, Limits};
use crate::device::budget::{End, limit_text};
use crate::device::{Call, Device, DeviceError, DeviceInfo, Interrupt, Mode, StateView};
use crate::group::Grouper;
use crate::ids::ProcessId;
use crate::process::{Cause, Entry, Json, Outcome, Tag};

/// How much bigger than its bytes, or than the limit, a snapshot's tables may unfold.
const UNFOLDED_MOST: u64 = 16;

/// What a device is made from.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) process: ProcessId,
    pub(super) source: Arc<[u8]>,
    pub(super) limits: Limits,
    /// The tags of the process, for `init`.
    pub(super) tags: Vec<Tag>,
    pub(super) interrupt: Interrupt,
}

/// A script over the state of one process.
///
/// The state is kept twice: as a table, which calls change, and as the bytes of it after the last success, from which the
/// table is built again after a failure.
pub(super) struct LuaDevice {
    script: Script,
    /// The script in its sandbox. Nothing after a call that a limit ended: what that left behind is not worth looking for.
    vm: Option<Vm>,
    state: Arc<[u8]>,
}

/// A call that has run, before its outcome is made.
enum Judged {
    Success { state: Vec<u8>, output: Json },
    Error(String),
    Limit(LimitKey),
}

#[derive(Clone, Copy)]
enum Handler {
    Init,
    Compute,
}

impl LuaDevice {
    /// Loads the script under its limits.
    pub(super) fn new(script: Script, mode: Mode) -> Result<Self, DeviceError> {
        let vm = load(&script, mode).map_err(load_error)?;
        Ok(Self { script, vm: Some(vm), state: codec::EMPTY.into() })
    }

    fn call(&mut self, handler: Handler, entry: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        let mut vm = match self.vm.take() {
            Some(vm) => vm,
            // It has loaded before, so the machine's limits have nothing more to say.
            None => match load(&self.script, Mode::Replay) {
                Err(VmError::Interrupted) => return Ok(Call::Interrupted),
                loaded => loaded.map_err(load_error)?,
            },
        };
        let limits = &self.script.limits;
        let table = vm.state(&self.state, limits).map_err(restore_error)?;
        vm.begin(Some(entry.slot), limits, mode).map_err(fault)?;
        let ran = match (handler, self.argument(handler, &vm, entry)) {
            (Handler::Init, Ok(argument)) => vm.init(entry.slot, &table, argument).map_err(fault)?,
            (Handler::Compute, Ok(argument)) => vm.compute(entry.slot, &table, argument).map_err(fault)?,
            (_, Err(mlua::Error::MemoryError(_))) => Ran::Ended(End::Limit(LimitKey::Memory)),
            (_, Err(error)) => return Err(fault(error.into())),
        };
        let gas = vm.gas_used();
        let judged = match ran {
            Ran::Ended(End::Interrupted) => return Ok(Call::Interrupted),
            Ran::Ended(End::Limit(key)) => return Ok(failed(Judged::Limit(key), limits, gas)),
            Ran::Failed(text) => {
                vm.settle().map_err(fault)?;
                Judged::Error(text)
            }
            Ran::Returned(output) => match vm.settle().map_err(fault)? {
                Some(changed) => Judged::Error(changed),
                None => judge(&vm, table, &output, limits)?,
            },
        };
        let call = match judged {
            Judged::Success { state, output } => {
                self.state = state.into();
                let outbox = vm.take_outbox();
                let (messages, spawns, assignments) = (outbox.messages, outbox.spawns, outbox.assignments);
                let outcome = Outcome { output, messages, spawns, assignments, error: None, gas_used: gas };
                Call::Done(Cause::Success, outcome)
            }
            judged => {
                vm.forget_state();
                failed(judged, limits, gas)
            }
        };
        self.vm = Some(vm);
        Ok(call)
    }

    fn argument(&self, handler: Handler, vm: &Vm, entry: &Entry) -> mlua::Result<Table> {
        match handler {
            Handler::Init => definition_table(vm.lua(), &self.script.process, &self.script.tags),
            Handler::Compute => message_table(vm.lua(), entry),
        }
    }
}

fn load(script: &Script, mode: Mode) -> Result<Vm, VmError> {
    Vm::load(&script.process, &script.source, &script.limits, script.interrupt.clone(), mode)
}

/// Looks at what a call left: the state and the output must be plain data and within their limits.
fn judge(vm: &Vm, state: Table, output: &Value, limits: &Limits) -> Result<Judged, DeviceError> {
    let state = match encode(vm.lua(), &Value::Table(state), Purpose::State, limits.state_size) {
        Ok(state) => state,
        Err(EncodeError::TooLarge) => return Ok(Judged::Limit(LimitKey::StateSize)),
        Err(EncodeError::NotPlain(what)) => {
            return Ok(Judged::Error(format!("state{what}; state holds plain data only")));
        }
        Err(EncodeError::Fault(error)) => return Err(DeviceError::Fault(error)),
    };
    // An encoded value takes at most a few times the bytes of its JSON.
    let most = limits.output_size.saturating_mul(4).saturating_add(64);
    let output = match encode(vm.lua(), output, Purpose::Output, most) {
        Ok(output) => output,
        Err(EncodeError::TooLarge) => return Ok(Judged::Limit(LimitKey::OutputSize)),
        Err(EncodeError::NotPlain(what)) => {
            return Ok(Judged::Error(format!("output{what}; an output holds plain data only")));
        }
        Err(EncodeError::Fault(error)) => return Err(DeviceError::Fault(error)),
    };
    let text = match json::write(&output, Strictness::Strict, limits.output_size) {
        Ok(text) => text,
        Err(JsonError::TooLarge) => return Ok(Judged::Limit(LimitKey::OutputSize)),
        Err(JsonError::NoJson(what)) => return Ok(Judged::Error(format!("output{what}, so it has no JSON"))),
        Err(JsonError::Malformed(error)) => return Err(DeviceError::Fault(error.to_string())),
    };
    let output = Json::parse(text).map_err(|error| DeviceError::Fault(format!("the output is no JSON: {error}")))?;
    Ok(Judged::Success { state, output })
}

fn failed(judged: Judged, limits: &Limits, gas: u64) -> Call {
    match judged {
        Judged::Limit(key) => Call::Done(Cause::Limit(key), Outcome::failed(limit_text(key, limits), gas)),
        Judged::Error(text) => Call::Done(Cause::Error, Outcome::failed(text, gas)),
        Judged::Success { .. } => Call::Done(Cause::Success, Outcome::empty()),
    }
}

fn load_error(error: VmError) -> DeviceError {
    match error {
        VmError::Script(text) => DeviceError::Load(text),
        other => fault(other),
    }
}

fn restore_error(error: VmError) -> DeviceError {
    match error {
        VmError::State(_) | VmError::Memory(_) => DeviceError::Restore(error.to_string()),
        other => fault(other),
    }
}

fn fault(error: VmError) -> DeviceError {
    DeviceError::Fault(error.to_string())
}

/// What every Lua device is.
pub(super) fn info() -> DeviceInfo {
    DeviceInfo {
        deterministic: true,
        engine: native::engine().to_owned(),
        grouper: Grouper::Process,
        needs_worker: true,
    }
}

impl Device for LuaDevice {
    fn init(&mut self, definition: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        if self.vm.as_ref().is_some_and(|vm| !vm.has_init()) {
            return Ok(Call::Done(Cause::Success, Outcome::empty()));
        }
        self.call(Handler::Init, definition, mode)
    }

    fn compute(&mut self, entry: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        self.call(Handler::Compute, entry, mode)
    }

    fn dry_run(&mut self, entry: &Entry) -> Result<Call, DeviceError> {
        self.call(Handler::Compute, entry, Mode::Trial)
    }

    fn snapshot(&self) -> Result<Arc<[u8]>, DeviceError> {
        Ok(self.state.clone())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DeviceError> {
        let shape = codec::check(snapshot).map_err(|error| DeviceError::Restore(error.to_string()))?;
        if !shape.table {
            return Err(DeviceError::Restore("it holds no table".to_owned()));
        }
        let most = (snapshot.len() as u64).max(self.script.limits.state_size).saturating_mul(UNFOLDED_MOST);
        if shape.size > most {
            return Err(DeviceError::Restore(format!("its shared tables unfold to {} bytes", shape.size)));
        }
        if let Some(vm) = &mut self.vm {
            vm.forget_state();
            if let Err(error) = vm.state(snapshot, &self.script.limits) {
                vm.forget_state();
                return Err(restore_error(error));
            }
        }
        self.state = snapshot.into();
        Ok(())
    }

    fn state(&self) -> Result<StateView, DeviceError> {
        let text = json::write(&self.state, Strictness::Lossy, u64::MAX);
        text.map(|text| StateView::Json(text.into())).map_err(|error| DeviceError::Fault(error.to_string()))
    }

    fn info(&self) -> DeviceInfo {
        info()
    }

    fn state_bytes(&self) -> Option<u64> {
        Some(self.state.len() as u64)
    }

    fn memory(&self) -> u64 {
        self.vm.as_ref().map_or(0, Vm::memory) + self.state.len() as u64 + self.script.source.len() as u64
    }
}
