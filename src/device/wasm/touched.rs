//! Which pages of a memory were ever touched.
//!
//! A module may have a hundred MiB of memory and use two. What it never touched is zeros, and the system knows that better than
//! a look at each byte would tell.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::state::PAGE;

/// Bytes that the system tells of each page.
const ENTRY: usize = 8;
/// Bits of these of which one is set where a page lies in memory or was moved out to disk.
const THERE: u64 = 0b11 << 62;

/// The system's view of this host process's memory, as far as it lets one see it.
#[derive(Clone, Debug)]
pub(super) struct PageMap(Option<Arc<File>>);

/// The touched pages of a memory.
#[derive(Debug)]
pub(super) struct Touched(Option<Vec<u8>>);

impl PageMap {
    /// Looks whether there is such a view, for pages of the size that images have.
    pub(super) fn open() -> Self {
        let is_usual = rustix::param::page_size() == PAGE;
        let file = if is_usual { File::open("/proc/self/pagemap").ok() } else { None };
        Self(file.map(Arc::new))
    }

    /// No view. Every page counts as touched.
    #[cfg(test)]
    pub(super) fn closed() -> Self {
        Self(None)
    }

    /// What was touched of `memory`, which has to be memory that the system gave out as zeros and gets back as a whole.
    pub(super) fn touched(&self, memory: &[u8]) -> Touched {
        let Some(file) = &self.0 else { return Touched(None) };
        let begin = memory.as_ptr().addr();
        if !begin.is_multiple_of(PAGE) {
            return Touched(None);
        }
        let mut entries = vec![0; memory.len().div_ceil(PAGE) * ENTRY];
        let read = file.read_exact_at(&mut entries, (begin / PAGE * ENTRY) as u64);
        Touched(read.is_ok().then_some(entries))
    }
}

impl Touched {
    /// Bytes of the touched pages of a memory of `length` bytes.
    pub(super) fn size(&self, length: usize) -> u64 {
        let pages = (0..length.div_ceil(PAGE)).filter(|index| self.contains(*index)).count();
        (pages * PAGE) as u64
    }

    /// Whether the page at `index` may hold something else than zeros.
    pub(super) fn contains(&self, index: usize) -> bool {
        let Some(entries) = &self.0 else { return true };
        let entry = entries.get(index * ENTRY..).and_then(<[u8]>::first_chunk);
        entry.is_none_or(|entry| u64::from_le_bytes(*entry) & THERE != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_known_to_be_touched() {
        let pages = 64;
        let mut memory = vec![0u8; (pages + 1) * PAGE];
        let skipped = memory.as_ptr().align_offset(PAGE);
        let memory = &mut memory[skipped..skipped + pages * PAGE];
        for index in [0, 7, 63] {
            memory[index * PAGE + 5] = 1;
        }
        for map in [PageMap::open(), PageMap::closed()] {
            let touched = map.touched(memory);
            assert!([0, 7, 63].iter().all(|index| touched.contains(*index)));
            assert!((3..=pages as u64).contains(&(touched.size(memory.len()) / PAGE as u64)));
            // A slice that begins within a page is none that the system could tell of.
            assert!((0..pages).all(|index| map.touched(&memory[1..]).contains(index)));
        }
        assert!((0..pages).all(|index| PageMap::closed().touched(memory).contains(index)));
    }
}
