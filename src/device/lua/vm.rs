//! A script in its sandbox.

use std::sync::{Arc, LazyLock};

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, LuaString, StdLib, Table, Value};

use super::codec::{self, Malformed, Reader};
use super::library::{self, SharedCall};
use super::native::{self, Charge};
use super::source;
use crate::config::limits::{LimitKey, Limits};
use crate::device::budget::{Budget, End, limit_text};
use crate::device::sending::Outbox;
use crate::device::{Interrupt, Mode};
use crate::ids::{ProcessId, Slot};

/// Library functions that pay for what they handle, by library. The prelude writes those that are missing, or leaves
/// them out.
const CHARGED: &[(&str, &str, Charge)] = &[
    ("base", "select", Charge::Count),
    ("base", "tonumber", Charge::Arguments),
    ("string", "byte", Charge::Results),
    ("string", "char", Charge::Count),
    ("string", "format", Charge::Format),
    ("string", "len", Charge::Count),
    ("string", "lower", Charge::Arguments),
    ("string", "pack", Charge::Results),
    ("string", "packsize", Charge::Arguments),
    ("string", "rep", Charge::Repeat),
    ("string", "reverse", Charge::Arguments),
    ("string", "sub", Charge::Results),
    ("string", "unpack", Charge::Results),
    ("string", "upper", Charge::Arguments),
    ("utf8", "char", Charge::Count),
    ("utf8", "codepoint", Charge::Results),
    ("utf8", "len", Charge::Range),
    ("utf8", "offset", Charge::Offset),
];

/// On replay memory is lifted so far: the collector's moods may not decide, but nothing is unbounded.
const REPLAY_MEMORY: u64 = 4;

/// The longest error text, in bytes.
const ERROR_MOST: usize = 4 << 10;

/// The sandbox in Lua. The parts are one program: each sees the locals of those before it.
const PARTS: [&str; 8] = [
    include_str!("prelude/ground.lua"),
    include_str!("prelude/catching.lua"),
    include_str!("prelude/access.lua"),
    include_str!("prelude/lists.lua"),
    include_str!("prelude/texts.lua"),
    include_str!("prelude/messages.lua"),
    include_str!("prelude/freezing.lua"),
    include_str!("prelude/running.lua"),
];

/// The prelude without line numbers, so that its errors show the script's.
static PRELUDE: LazyLock<Result<Vec<u8>, String>> = LazyLock::new(|| {
    let compiled = Lua::new_with(StdLib::NONE, LuaOptions::new()).and_then(|lua| {
        let function = lua.load(PARTS.concat()).set_name("=prelude").into_function()?;
        Ok(function.dump(true))
    });
    compiled.map_err(|error| error.to_string())
});

/// Why there is no VM, or a VM did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum VmError {
    /// The script does not load.
    #[error("{0}")]
    Script(String),
    /// It was interrupted.
    #[error("interrupted while the script loads")]
    Interrupted,
    /// The bytes are no state.
    #[error(transparent)]
    State(#[from] Malformed),
    /// The state is too big to be built.
    #[error("it does not fit into {0} bytes of memory")]
    Memory(u64),
    /// Lua failed in a way that no script can bring about.
    #[error("lua: {0}")]
    Fault(String),
}

impl From<mlua::Error> for VmError {
    fn from(error: mlua::Error) -> Self {
        Self::Fault(error.to_string())
    }
}

/// How a function of the script ended.
#[derive(Debug)]
pub(super) enum Ran {
    /// It returned this.
    Returned(Value),
    /// It raised an error.
    Failed(String),
    /// A limit or an interrupt ended it. The VM is not used again.
    Ended(End),
}

/// A script in its sandbox, with the state of the process as a table.
#[derive(Debug)]
pub(super) struct Vm {
    lua: Lua,
    run: Function,
    settle: Function,
    compute: Function,
    init: Option<Function>,
    /// The state, where it is known to be what the last bytes say.
    state: Option<Table>,
    budget: Arc<Budget>,
    call: SharedCall,
    process: ProcessId,
}

impl Vm {
    /// Loads a script: its top level runs under `limits`, and what it leaves is frozen.
    pub(super) fn load(
        process: &ProcessId,
        source: &[u8],
        limits: &Limits,
        interrupt: Interrupt,
        mode: Mode,
    ) -> Result<Self, VmError> {
        let libraries = StdLib::COROUTINE | StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let budget = Arc::new(Budget::new(interrupt));
        let call = SharedCall::new(process.clone());
        native::register_budget(&lua, &budget)?;
        let sandbox = sandbox(&lua, &budget, &call)?;
        let environment: Table = sandbox.raw_get("environment")?;
        let (run, settle): (Function, Function) = (sandbox.raw_get("run")?, sandbox.raw_get("settle")?);

        lua.set_memory_limit(memory(limits, mode))?;
        let prepared = source::prepared(source);
        let chunk = lua.load(prepared.as_ref()).set_name(format!("={process}")).set_mode(ChunkMode::Text);
        let script = chunk.set_environment(environment).into_function().map_err(|error| match error {
            mlua::Error::SyntaxError { message, .. } => VmError::Script(message),
            error if is_memory(&error) => VmError::Script(limit_text(LimitKey::Memory, limits)),
            error => VmError::Fault(error.to_string()),
        })?;
        let nothing = lua.create_function(|_, ()| Ok(()))?;
        let mut vm = Self {
            lua,
            run,
            settle,
            compute: nothing,
            init: None,
            state: None,
            budget,
            call,
            process: process.clone(),
        };
        let freeze: Function = sandbox.raw_get("freeze")?;
        for top in [script, freeze] {
            vm.begin(None, limits, mode)?;
            match vm.run(&top, None, Value::Nil, Value::Nil)? {
                Ran::Returned(_) => {}
                Ran::Failed(text) => return Err(VmError::Script(text)),
                Ran::Ended(End::Limit(key)) => return Err(VmError::Script(limit_text(key, limits))),
                Ran::Ended(End::Interrupted) => return Err(VmError::Interrupted),
            }
            if let Some(changed) = vm.settle()? {
                return Err(VmError::Script(changed));
            }
        }
        let global: Function = sandbox.raw_get("global")?;
        let Value::Function(compute) = global.call("compute")? else {
            return Err(VmError::Script("the script defines no function compute(state, msg)".to_owned()));
        };
        vm.compute = compute;
        vm.init = match global.call("init")? {
            Value::Function(init) => Some(init),
            _ => None,
        };
        // What served to load only is not kept.
        drop((sandbox, global));
        vm.lua.gc_collect()?;
        Ok(vm)
    }

    /// Lua itself, to make values in.
    pub(super) fn lua(&self) -> &Lua {
        &self.lua
    }

    /// Whether the script defines `init`.
    pub(super) fn has_init(&self) -> bool {
        self.init.is_some()
    }

    /// Opens the account of a call at `slot`; without a slot nothing can be sent.
    pub(super) fn begin(&self, slot: Option<Slot>, limits: &Limits, mode: Mode) -> Result<(), VmError> {
        self.lua.set_memory_limit(memory(limits, mode))?;
        let mut call = self.call.get();
        call.slot = slot;
        call.outbox = Outbox::new(limits);
        call.prints = matches!(mode, Mode::Live | Mode::Again);
        call.room = memory(limits, mode);
        drop(call);
        self.budget.start(limits, mode);
        Ok(())
    }

    /// Runs the script's `compute`.
    pub(super) fn compute(&self, slot: Slot, state: &Table, message: Table) -> Result<Ran, VmError> {
        self.run(&self.compute, Some(slot), Value::Table(state.clone()), Value::Table(message))
    }

    /// Runs the script's `init`, if it has one.
    pub(super) fn init(&self, slot: Slot, state: &Table, definition: Table) -> Result<Ran, VmError> {
        match &self.init {
            Some(init) => self.run(init, Some(slot), Value::Table(state.clone()), Value::Table(definition)),
            None => Ok(Ran::Returned(Value::Nil)),
        }
    }

    fn run(&self, body: &Function, slot: Option<Slot>, state: Value, message: Value) -> Result<Ran, VmError> {
        let [seed, more] = seeds(&self.process, slot);
        let ran = self.run.call::<(bool, Value)>((body, seed, more, state, message));
        self.call.get().end_of_prints();
        if let Some(end) = self.budget.ended() {
            return Ok(Ran::Ended(end));
        }
        match ran {
            Ok((true, result)) => Ok(Ran::Returned(result)),
            Ok((false, Value::String(text))) => Ok(Ran::Failed(shortened(text.to_string_lossy()))),
            Ok((false, _)) => Ok(Ran::Failed("the error cannot be shown".to_owned())),
            Err(error) if is_memory(&error) => Ok(Ran::Ended(End::Limit(LimitKey::Memory))),
            Err(error) => Err(error.into()),
        }
    }

    /// Gas that the call took.
    pub(super) fn gas_used(&self) -> u64 {
        self.budget.used()
    }

    /// What the call sent.
    pub(super) fn take_outbox(&self) -> Outbox {
        std::mem::take(&mut self.call.get().outbox)
    }

    /// Undoes what a call changed beside the state, and says what that was.
    pub(super) fn settle(&self) -> Result<Option<String>, VmError> {
        self.lua.set_memory_limit(0)?;
        Ok(self.settle.call(())?)
    }

    /// The state as a table: the live one, or one built from `bytes`.
    pub(super) fn state(&mut self, bytes: &[u8], limits: &Limits) -> Result<Table, VmError> {
        if let Some(state) = &self.state {
            return Ok(state.clone());
        }
        let shape = codec::check(bytes)?;
        let most = memory(limits, Mode::Replay);
        self.lua.set_memory_limit(most)?;
        let state = native::decode(&self.lua, Reader::new(bytes)?, shape)
            .map_err(|error| if is_memory(&error) { VmError::Memory(most as u64) } else { error.into() })?;
        Ok(self.state.insert(state).clone())
    }

    /// Forgets the live state: it is not what the last bytes say.
    pub(super) fn forget_state(&mut self) {
        self.state = None;
    }

    /// Memory of Lua, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.lua.used_memory() as u64
    }
}

/// Builds the sandbox, for the script to run in.
fn sandbox(lua: &Lua, budget: &Arc<Budget>, call: &SharedCall) -> Result<Table, VmError> {
    let globals = lua.globals();
    let natives = native::functions(lua)?;
    for library in ["base", "string", "utf8"] {
        natives.raw_set(library, lua.create_table()?)?;
    }
    for (library, name, charge) in CHARGED {
        let from = if *library == "base" { globals.clone() } else { globals.raw_get(*library)? };
        let charged = native::charged(lua, &from.raw_get(*name)?, *charge)?;
        natives.raw_get::<Table>(*library)?.raw_set(*name, charged)?;
    }
    let strings = lua.type_metatable::<LuaString>().ok_or(VmError::Fault("strings have no metatable".to_owned()))?;
    strings.raw_set("__pow", native::length_operator(lua, &strings.raw_get("__pow")?)?)?;
    let prelude = PRELUDE.as_ref().map_err(|error| VmError::Fault(error.clone()))?;
    let prelude = lua.load(prelude).set_mode(ChunkMode::Binary).into_function()?;
    let sandbox: Table = prelude.call((natives, library::functions(lua, budget, call)?))?;
    let (metatable, shadows) = (sandbox.raw_get("state_metatable")?, sandbox.raw_get("shadow")?);
    native::register_tables(lua, &metatable, &shadows)?;
    Ok(sandbox)
}

/// Looks whether `source` compiles.
pub(super) fn compile(source: &[u8]) -> Result<(), VmError> {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::new())?;
    lua.set_memory_limit(memory(&Limits::default(), Mode::Live))?;
    match lua.load(source::prepared(source).as_ref()).set_name("=script").set_mode(ChunkMode::Text).into_function() {
        Ok(_) => Ok(()),
        Err(mlua::Error::SyntaxError { message, .. }) => Err(VmError::Script(message)),
        Err(error) if is_memory(&error) => Err(VmError::Script(limit_text(LimitKey::Memory, &Limits::default()))),
        Err(error) => Err(error.into()),
    }
}

fn memory(limits: &Limits, mode: Mode) -> usize {
    let most = match mode {
        Mode::Live | Mode::Trial => limits.memory,
        Mode::Again | Mode::Replay => limits.memory.saturating_mul(REPLAY_MEMORY),
    };
    // Zero would be no limit.
    usize::try_from(most).unwrap_or(usize::MAX).max(1)
}

fn is_memory(error: &mlua::Error) -> bool {
    match error {
        mlua::Error::MemoryError(_) => true,
        mlua::Error::CallbackError { cause, .. } => is_memory(cause),
        _ => false,
    }
}

/// The seeds of `math.random`: a function of the process and the slot.
fn seeds(process: &ProcessId, slot: Option<Slot>) -> [i64; 2] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(process.as_str().as_bytes());
    hasher.update(&[u8::from(slot.is_some())]);
    hasher.update(&slot.map_or(0, |slot| slot.0).to_le_bytes());
    let mut seeds = [[0; 8]; 2];
    hasher.finalize_xof().fill(seeds.as_flattened_mut());
    seeds.map(i64::from_le_bytes)
}

fn shortened(mut text: String) -> String {
    if text.len() > ERROR_MOST {
        let mut end = ERROR_MOST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
