//! What modules may import: functions whose answers depend on the message alone.
//!
//! `wasi` is WASI preview 1 and `emscripten` what Emscripten's C library asks of its surroundings, with `time` for its calendar;
//! `invoke` is how such modules leave nested calls by a long jump. A function sees a [`Caller`] and its [`Args`], gives a [`Reply`], and
//! is the same for both widths of memory.

mod access;
mod emscripten;
mod invoke;
mod time;
mod wasi;

pub(super) use invoke::LongJump;

use blake3::OutputReader;
use wasmtime::{ExternType, Func, Linker, Module, Val, ValType};

use super::limiter::Limiter;
use crate::device::budget::Budget;
use crate::ids::{ProcessId, Slot};

/// What a call may print, in bytes; the rest is left out.
const PRINTS_MOST: usize = 64 << 10;

/// The running call, as imported functions see it.
pub(super) struct Host {
    /// Whose call it is.
    pub(super) process: ProcessId,
    /// The slot of its message.
    pub(super) slot: Slot,
    /// The time of its message, in milliseconds.
    pub(super) timestamp: u64,
    /// How far memory and tables may grow.
    pub(super) limiter: Limiter,
    /// Time and interruption of the call.
    pub(super) budget: Budget,
    /// Whether pointers have 64 bits.
    pub(super) is_wide: bool,
    /// What the module printed.
    pub(super) printed: Vec<u8>,
    /// Its random numbers, once it asked for any.
    pub(super) random: Option<OutputReader>,
}

/// A caller, with the running call.
type Caller<'a> = wasmtime::Caller<'a, Host>;

/// What an imported function answers. It is brought into the type that the import has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reply {
    Whole(i64),
    Real(f64),
}

/// The arguments of an imported function.
#[derive(Clone, Copy)]
struct Args<'a>(&'a [Val]);

type Serve = fn(&mut Caller<'_>, Args<'_>) -> wasmtime::Result<Reply>;

impl Host {
    /// Begins another call.
    pub(super) fn begin(&mut self, slot: Slot, timestamp: u64) {
        self.slot = slot;
        self.timestamp = timestamp;
        self.printed.clear();
        self.random = None;
    }

    fn print(&mut self, text: &[u8]) {
        let room = PRINTS_MOST.saturating_sub(self.printed.len());
        self.printed.extend_from_slice(text.get(..room).unwrap_or(text));
    }
}

impl Args<'_> {
    /// The argument at `index` as a number without sign: a pointer, a length, flags. One that is not there is 0.
    fn unsigned(self, index: usize) -> u64 {
        match self.0.get(index) {
            Some(Val::I32(number)) => u64::from(number.cast_unsigned()),
            Some(Val::I64(number)) => number.cast_unsigned(),
            _ => 0,
        }
    }

    /// The argument at `index` as a number with a sign.
    fn signed(self, index: usize) -> i64 {
        match self.0.get(index) {
            Some(Val::I32(number)) => i64::from(*number),
            Some(Val::I64(number)) => *number,
            Some(real @ Val::F64(_)) => real.f64().unwrap_or_default() as i64,
            _ => 0,
        }
    }
}

impl Reply {
    fn into_val(self, of_type: &ValType) -> Val {
        match (self, of_type) {
            (Self::Whole(number), ValType::I32) => Val::I32(number as i32),
            (Self::Whole(number), ValType::I64) => Val::I64(number),
            (Self::Whole(number), ValType::F64) => Val::from(number as f64),
            (Self::Real(number), ValType::F64) => Val::from(number),
            (Self::Real(number), ValType::I64) => Val::I64(number as i64),
            (Self::Real(number), ValType::I32) => Val::I32(number as i64 as i32),
            (Self::Whole(number), _) => Val::from(number as f32),
            (Self::Real(number), _) => Val::from(number as f32),
        }
    }
}

/// Whether a module may import this.
pub(super) fn is_provided(module: &str, name: &str) -> bool {
    served(module, name).is_some()
}

fn served(module: &str, name: &str) -> Option<Serve> {
    match module {
        "wasi_snapshot_preview1" => wasi::served(name),
        "env" => emscripten::served(name),
        _ => None,
    }
}

/// Provides everything that `module` imports.
pub(super) fn link(linker: &mut Linker<Host>, module: &Module) -> wasmtime::Result<()> {
    for import in module.imports() {
        let ExternType::Func(of_type) = import.ty() else { continue };
        let results: Vec<ValType> = of_type.results().collect();
        if import.module() == "env" && invoke::is_invoke(import.name()) {
            linker.func_new(import.module(), import.name(), of_type, move |caller, args, answers| {
                invoke::invoke(caller, args, answers, &results)
            })?;
            continue;
        }
        let Some(serve) = served(import.module(), import.name()) else { continue };
        linker.func_new(import.module(), import.name(), of_type, move |mut caller, args, answers| {
            let reply = serve(&mut caller, Args(args))?;
            for (answer, of_type) in answers.iter_mut().zip(&results) {
                *answer = reply.into_val(of_type);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Calls the first of these exports that is there, with whole numbers. None: there is none of them.
fn call_export(caller: &mut Caller<'_>, names: &[&str], args: &[i64]) -> wasmtime::Result<Option<i64>> {
    let Some(function) = names.iter().find_map(|name| caller.get_export(name).and_then(wasmtime::Extern::into_func))
    else {
        return Ok(None);
    };
    call_with_numbers(caller, &function, args).map(Some)
}

fn call_with_numbers(caller: &mut Caller<'_>, function: &Func, args: &[i64]) -> wasmtime::Result<i64> {
    let of_type = function.ty(&mut *caller);
    let params: Vec<Val> = of_type.params().zip(args).map(|(one, arg)| Reply::Whole(*arg).into_val(&one)).collect();
    let mut results = vec![Val::I32(0); of_type.results().len()];
    function.call(caller, &params, &mut results)?;
    Ok(Args(&results).signed(0))
}

/// Takes gas for what an imported function does on top of being called.
fn charge(caller: &mut Caller<'_>, gas: u64) -> wasmtime::Result<()> {
    let left = caller.get_fuel()?.checked_sub(gas);
    caller.set_fuel(left.unwrap_or(0))?;
    left.map(drop).ok_or_else(|| wasmtime::Error::new(wasmtime::Trap::OutOfFuel))
}
