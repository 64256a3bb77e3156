//! One module at work.

use std::collections::HashMap;

use wasmtime::{Error, Extern, Func, Global, InstancePre, Memory, Ref, Store, Table, UpdateDeadline, Val};

use super::engine::NodeEngine;
use super::host::Host;
use super::limiter::Stopped;
use super::load::{FUNCTIONS, GLOBALS, MEMORY, TABLES};
use super::state::{Body, Changes, Image, Scratch};
use super::touched::PageMap;
use crate::config::limits::Limits;
use crate::device::Mode;
use crate::device::budget::End;
use crate::ids::Slot;

/// A memory grows in steps of so many bytes.
const MEMORY_PAGE: u64 = 64 << 10;

/// A module's memory, globals and functions, and the account of its running call.
pub(super) struct Instance {
    store: Store<Host>,
    exports: HashMap<String, Func>,
    memory: Memory,
    globals: Vec<Global>,
    tables: Vec<Table>,
    /// What tables can hold: the index of each function, and the function by its index.
    indices: HashMap<usize, u32>,
    functions: HashMap<u32, Func>,
    gas: u64,
    pages: PageMap,
    /// Bytes of memory that were touched when that was last looked at.
    resident: u64,
}

/// The index that the loader put behind a name.
fn numbered(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix).and_then(|number| number.parse().ok())
}

impl Instance {
    /// An instance as the module describes it, none of whose code has run.
    pub(super) fn new(
        engine: &NodeEngine,
        module: &InstancePre<Host>,
        host: Host,
        limits: &Limits,
        mode: Mode,
    ) -> Result<Self, Error> {
        let mut store = Store::new(engine.engine(), host);
        store.limiter(|host| &mut host.limiter);
        store.epoch_deadline_callback(|context| {
            let budget = &context.data().budget;
            match budget.spend(0) {
                Ok(()) => Ok(UpdateDeadline::Continue(1)),
                Err(_) => Err(Error::new(Stopped(budget.ended().unwrap_or(End::Interrupted)))),
            }
        });
        begin(&mut store, limits, mode)?;
        let instance = module.instantiate(&mut store)?;
        let (mut exports, mut memory) = (HashMap::new(), None);
        let (mut globals, mut tables, mut functions) = (Vec::new(), Vec::new(), HashMap::new());
        let all: Vec<(String, Extern)> =
            instance.exports(&mut store).map(|export| (export.name().to_owned(), export.into_extern())).collect();
        for (name, item) in all {
            match item {
                Extern::Memory(one) if name == MEMORY => memory = Some(one),
                Extern::Global(one) => globals.extend(numbered(&name, GLOBALS).map(|number| (number, one))),
                Extern::Table(one) => tables.extend(numbered(&name, TABLES).map(|number| (number, one))),
                Extern::Func(one) => match numbered(&name, FUNCTIONS) {
                    Some(number) => {
                        functions.insert(number, one);
                    }
                    None => {
                        exports.insert(name, one);
                    }
                },
                _ => {}
            }
        }
        globals.sort_by_key(|(number, _)| *number);
        tables.sort_by_key(|(number, _)| *number);
        let indices = functions.iter().map(|(number, one)| (one.to_raw(&mut store).addr(), *number)).collect();
        Ok(Self {
            memory: memory.ok_or_else(|| Error::msg("the module has no memory"))?,
            globals: globals.into_iter().map(|(_, one)| one).collect(),
            tables: tables.into_iter().map(|(_, one)| one).collect(),
            store,
            exports,
            indices,
            functions,
            gas: limits.gas,
            pages: engine.pages().clone(),
            resident: 0,
        })
    }

    /// Begins a call under these limits.
    pub(super) fn begin(&mut self, slot: Slot, timestamp: u64, limits: &Limits, mode: Mode) -> Result<(), Error> {
        self.store.data_mut().begin(slot, timestamp);
        self.gas = limits.gas;
        begin(&mut self.store, limits, mode)
    }

    /// Gas that the call has taken so far.
    pub(super) fn gas_used(&self) -> u64 {
        self.gas.saturating_sub(self.store.get_fuel().unwrap_or(0))
    }

    /// The running call.
    pub(super) fn host(&self) -> &Host {
        self.store.data()
    }

    /// Bytes of its memory.
    pub(super) fn length(&self) -> u64 {
        self.memory.data_size(&self.store) as u64
    }

    /// Bytes of its memory that take room, as of the last look at its changes.
    pub(super) fn resident(&self) -> u64 {
        self.resident
    }

    /// Its memory.
    pub(super) fn data(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    /// Its memory, to be written.
    pub(super) fn data_mut(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.store)
    }

    /// Calls an export with pointers or lengths. None: there is no such export.
    pub(super) fn call(&mut self, name: &str, args: &[u64]) -> Result<Option<u64>, Error> {
        let Some(function) = self.exports.get(name).copied() else { return Ok(None) };
        let is_wide = self.store.data().is_wide;
        let number = |arg: &u64| if is_wide { Val::I64(arg.cast_signed()) } else { Val::I32(*arg as i32) };
        let params: Vec<Val> = args.iter().map(number).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        function.call(&mut self.store, &params, &mut results)?;
        Ok(Some(match results.first() {
            Some(Val::I32(number)) => u64::from(number.cast_unsigned()),
            Some(Val::I64(number)) => number.cast_unsigned(),
            _ => 0,
        }))
    }

    /// How the memory differs from `image`.
    pub(super) fn changes(&mut self, image: &Image) -> Changes {
        let memory = self.memory.data(&self.store);
        let touched = self.pages.touched(memory);
        self.resident = touched.size(memory.len());
        image.changes(memory, &touched)
    }

    /// Takes what the module holds over into `body`, whose image differs as `changes` say.
    pub(super) fn save(&mut self, body: &mut Body, changes: &Changes, scratch: Scratch) -> Result<(), Error> {
        body.scratch = scratch;
        body.globals = self.globals.iter().map(|global| bits(&global.get(&mut self.store))).collect();
        let mut tables = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            let length = table.size(&self.store);
            let mut elements = Vec::new();
            for index in 0..length {
                elements.push(match table.get(&mut self.store, index) {
                    Some(Ref::Func(Some(function))) => {
                        let known = self.indices.get(&function.to_raw(&mut self.store).addr());
                        known.copied().ok_or_else(|| Error::msg("a table holds a function that the module has not"))?
                            + 1
                    }
                    _ => 0,
                });
            }
            tables.push(elements);
        }
        body.tables = tables;
        body.image.apply(changes, self.memory.data(&self.store));
        Ok(())
    }

    /// Makes the module hold what is in `body`. It may take memory for that which it could not take in a call.
    pub(super) fn load(&mut self, body: &Body) -> Result<(), Error> {
        let (held, wanted) = (self.length(), body.image.length() as u64);
        if wanted < held || !wanted.is_multiple_of(MEMORY_PAGE) {
            return Err(Error::msg(format!("its memory has {wanted} bytes, that of the module {held} or more")));
        }
        let limit = self.store.data().limiter.memory;
        self.store.data_mut().limiter.memory = limit.max(wanted);
        let grown = self.memory.grow(&mut self.store, (wanted - held) / MEMORY_PAGE);
        self.store.data_mut().limiter.memory = limit;
        grown?;
        let memory = self.memory.data_mut(&mut self.store);
        let touched = self.pages.touched(memory);
        body.image.restore(memory, &touched);
        if body.globals.len() != self.globals.len() || body.tables.len() != self.tables.len() {
            return Err(Error::msg("it has other globals or tables than the module"));
        }
        for (global, bits) in self.globals.iter().zip(&body.globals) {
            let value = value(&global.get(&mut self.store), *bits);
            global.set(&mut self.store, value)?;
        }
        for (table, elements) in self.tables.iter().zip(&body.tables) {
            let missing = (elements.len() as u64).checked_sub(table.size(&self.store));
            let missing = missing.ok_or_else(|| Error::msg("it has a shorter table than the module"))?;
            table.grow(&mut self.store, missing, Ref::Func(None))?;
            for (index, element) in (0u64..).zip(elements) {
                let function = match element.checked_sub(1) {
                    None => None,
                    Some(number) => {
                        let function = self.functions.get(&number).copied();
                        Some(function.ok_or_else(|| Error::msg("a table holds a function that the module has not"))?)
                    }
                };
                table.set(&mut self.store, index, Ref::Func(function))?;
            }
        }
        Ok(())
    }
}

/// Opens the account of a call.
fn begin(store: &mut Store<Host>, limits: &Limits, mode: Mode) -> Result<(), Error> {
    store.data().budget.start(limits, mode);
    store.set_fuel(limits.gas)?;
    store.set_epoch_deadline(1);
    Ok(())
}

fn bits(value: &Val) -> u128 {
    match value {
        Val::I32(number) => u128::from(number.cast_unsigned()),
        Val::I64(number) => u128::from(number.cast_unsigned()),
        Val::F32(bits) => u128::from(*bits),
        Val::F64(bits) => u128::from(*bits),
        Val::V128(number) => number.as_u128(),
        _ => 0,
    }
}

/// The value of the type of `like` with these bits.
fn value(like: &Val, bits: u128) -> Val {
    match like {
        Val::I64(_) => Val::I64(bits as i64),
        Val::F32(_) => Val::F32(bits as u32),
        Val::F64(_) => Val::F64(bits as u64),
        Val::V128(_) => Val::V128(bits.into()),
        _ => Val::I32(bits as i32),
    }
}
