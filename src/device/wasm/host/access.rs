//! A module's memory, as imported functions read and write it.

use wasmtime::{Extern, Memory};

use super::Caller;
use crate::device::wasm::load::MEMORY;

/// A pointer that a module gave leads out of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an imported function was given {length} bytes at {at}, and the memory ends at {end}")]
pub(super) struct OutOfBounds {
    at: u64,
    length: u64,
    end: usize,
}

/// The longest text that is read up to its zero byte.
const TEXT_MOST: u64 = 4096;

pub(super) fn memory(caller: &mut Caller<'_>) -> wasmtime::Result<Memory> {
    let memory = caller.get_export(MEMORY).and_then(Extern::into_memory);
    memory.ok_or_else(|| wasmtime::Error::msg("the module has no memory"))
}

fn range(at: u64, length: u64, end: usize) -> Result<std::ops::Range<usize>, OutOfBounds> {
    let last = at.checked_add(length).filter(|last| *last <= end as u64);
    match last {
        Some(last) => Ok(at as usize..last as usize),
        None => Err(OutOfBounds { at, length, end }),
    }
}

/// The `length` bytes at `at`.
pub(super) fn read<'a>(caller: &'a mut Caller<'_>, at: u64, length: u64) -> wasmtime::Result<&'a [u8]> {
    let memory = memory(caller)?;
    let data = memory.data(&*caller);
    let range = range(at, length, data.len())?;
    Ok(data.get(range).unwrap_or_default())
}

/// Writes `bytes` at `at`.
pub(super) fn write(caller: &mut Caller<'_>, at: u64, bytes: &[u8]) -> wasmtime::Result<()> {
    let memory = memory(caller)?;
    let data = memory.data_mut(&mut *caller);
    let range = range(at, bytes.len() as u64, data.len())?;
    if let Some(place) = data.get_mut(range) {
        place.copy_from_slice(bytes);
    }
    Ok(())
}

/// Copies within the memory; the places may overlap.
pub(super) fn copy(caller: &mut Caller<'_>, to: u64, from: u64, length: u64) -> wasmtime::Result<()> {
    let memory = memory(caller)?;
    let data = memory.data_mut(&mut *caller);
    let (to, from) = (range(to, length, data.len())?, range(from, length, data.len())?);
    data.copy_within(from, to.start);
    Ok(())
}

/// Reads a whole number as wide as a pointer.
pub(super) fn read_word(caller: &mut Caller<'_>, at: u64) -> wasmtime::Result<u64> {
    let mut bytes = [0; 8];
    let width = width(caller);
    let read = read(caller, at, width)?;
    for (byte, from) in bytes.iter_mut().zip(read) {
        *byte = *from;
    }
    Ok(u64::from_le_bytes(bytes))
}

/// Writes a whole number as wide as a pointer.
pub(super) fn write_word(caller: &mut Caller<'_>, at: u64, number: u64) -> wasmtime::Result<()> {
    match caller.data().is_wide {
        true => write(caller, at, &number.to_le_bytes()),
        false => write(caller, at, &(number as u32).to_le_bytes()),
    }
}

/// The bytes of a pointer.
pub(super) fn width(caller: &Caller<'_>) -> u64 {
    if caller.data().is_wide { 8 } else { 4 }
}

/// The text at `at` up to its zero byte, as far as it is not too long.
pub(super) fn read_text(caller: &mut Caller<'_>, at: u64) -> wasmtime::Result<Vec<u8>> {
    let memory = memory(caller)?;
    let data = memory.data(&*caller);
    let length = TEXT_MOST.min((data.len() as u64).saturating_sub(at));
    let range = range(at, length, data.len())?;
    let text = data.get(range).unwrap_or_default();
    Ok(text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
}
