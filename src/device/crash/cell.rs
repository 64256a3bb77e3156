//! A cell: one call, in words of memory that outlive the program.
//!
//! Words: the seal, the slot, the call with the length of the id, the id. The seal is written last and taken away first, and
//! it is a function of the rest, so that a cell that was not written whole is no note.

use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::counts::{Call, Counted};
use crate::ids::{ProcessId, Slot};

/// The words of a cell: two lines of a processor's cache, so that threads don't disturb each other.
pub(super) const WORDS: usize = 16;

const SEAL: usize = 0;
const SLOT: usize = 1;
const CALL: usize = 2;
const ID: usize = 3;
const ID_WORDS: usize = ProcessId::MAX / 8;
const LENGTH_BITS: u32 = 8;

/// The process of a cell, as far as it can be worked out before the calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    id: [u64; ID_WORDS],
    length: u64,
    hash: u64,
}

impl Owner {
    pub(super) fn new(process: &ProcessId) -> Self {
        let bytes = process.as_str().as_bytes();
        let mut id = [0; ID_WORDS];
        for (word, part) in id.iter_mut().zip(bytes.chunks(8)) {
            let mut eight = [0; 8];
            eight[..part.len()].copy_from_slice(part);
            *word = u64::from_ne_bytes(eight);
        }
        Self { id, length: bytes.len() as u64, hash: xxh3_64(bytes) }
    }

    /// The process, where the words are those of one.
    fn process(id: [u64; ID_WORDS], length: u64) -> Option<ProcessId> {
        let bytes = id.map(u64::to_ne_bytes).concat();
        let bytes = bytes.get(..usize::try_from(length).ok()?)?;
        ProcessId::parse(std::str::from_utf8(bytes).ok()?).ok()
    }

    /// Never 0, which says that nothing is noted.
    fn seal(&self, slot: u64, call: u64) -> u64 {
        xxh3_64_with_seed(&slot.to_ne_bytes(), self.hash ^ call) | 1
    }
}

/// Says whose calls `cell` tells of from now on. Nothing is noted yet.
pub(super) fn own(cell: &[AtomicU64], owner: &Owner) {
    clear(cell);
    for (word, value) in cell.iter().skip(ID).zip(owner.id) {
        word.store(value, Ordering::Relaxed);
    }
}

/// Notes a call in a cell of `owner`.
pub(super) fn write(cell: &[AtomicU64], owner: &Owner, call: Call, slot: Slot) {
    let call = owner.length | u64::from(call.code()) << LENGTH_BITS;
    let [seal, slot_word, call_word, ..] = cell else { return };
    seal.store(0, Ordering::Relaxed);
    // Whoever reads it does so after the end of this program, when its stores are all done, in the order of its code.
    compiler_fence(Ordering::Release);
    slot_word.store(slot.0, Ordering::Relaxed);
    call_word.store(call, Ordering::Relaxed);
    compiler_fence(Ordering::Release);
    seal.store(owner.seal(slot.0, call), Ordering::Relaxed);
    // The call itself comes after its note.
    compiler_fence(Ordering::SeqCst);
}

/// Nothing is noted any more.
pub(super) fn clear(cell: &[AtomicU64]) {
    compiler_fence(Ordering::SeqCst);
    if let Some(seal) = cell.get(SEAL) {
        seal.store(0, Ordering::Relaxed);
    }
}

/// What a cell tells; `None`: nothing, or it is not whole.
pub(super) fn read(cell: &[u64]) -> Option<Counted> {
    let (seal, slot, call) = (*cell.get(SEAL)?, *cell.get(SLOT)?, *cell.get(CALL)?);
    let id: [u64; ID_WORDS] = cell.get(ID..ID + ID_WORDS)?.try_into().ok()?;
    let process = Owner::process(id, call & ((1 << LENGTH_BITS) - 1))?;
    let is_whole = Owner::new(&process).seal(slot, call) == seal;
    let call = Call::from_code(u8::try_from(call >> LENGTH_BITS).ok()?)?;
    is_whole.then_some(Counted { process, slot: Slot(slot), call, crashes: 1 })
}
