//! What a process keeps between calls, and its bytes.
//!
//! The bytes hold those regions of the memory that are not all zeros, so a memory that is mostly empty costs little. They are a
//! function of the state alone. The memory's pages lie at multiples of their size and stay where they are while no further
//! region comes into use, so that two states differ in the pages that were changed and in few others.

use std::sync::Arc;

use super::touched::Touched;
use crate::ids::BlobHash;

/// Bytes of a page of an image.
pub(super) const PAGE: usize = 4096;
/// The most pages of an image: 16 GiB.
const PAGES_MOST: u64 = 1 << 22;
/// Pages of a region: 1 MiB.
const REGION: usize = 256;
const ZEROS: [u8; PAGE] = [0; PAGE];
/// Begins every snapshot; the digit is the version of the form.
const MAGIC: &[u8; 8] = b"MSWASM\0\x01";

/// Why bytes are no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StateError {
    /// They are something else.
    #[error("it is not the state of a WebAssembly module")]
    Foreign,
    /// They end too early, or go on too long.
    #[error("it is cut off or damaged near byte {0}")]
    Damaged(usize),
}

/// The state of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The module that it is of: to another one its memory means nothing.
    pub(super) module: BlobHash,
    /// Who defined the process.
    pub(super) owner: String,
    /// What the module holds, once it has been set up.
    pub(super) body: Option<Body>,
}

/// What a module holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    /// The buffer that messages are written to.
    pub(super) scratch: Scratch,
    /// Mutable globals, in the order of their names: their bits.
    pub(super) globals: Vec<u128>,
    /// Tables that the code changes: the functions' indices and 1; 0 is none.
    pub(super) tables: Vec<Vec<u32>>,
    /// The memory.
    pub(super) image: Image,
}

/// A buffer that the module's `malloc` gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scratch {
    /// Where it is. There is none as long as `size` is 0.
    pub(super) at: u64,
    /// Its bytes.
    pub(super) size: u64,
}

/// A memory; pages of zeros take no room. Clones share pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pages: Vec<Option<Arc<[u8]>>>,
    present: usize,
}

/// How a memory differs from an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changes {
    pages: Vec<usize>,
    /// Pages that are not zeros afterwards.
    present: usize,
}

impl Changes {
    /// Bytes of the image with these changes.
    pub(super) fn size(&self) -> u64 {
        (self.present * PAGE) as u64
    }
}

impl Image {
    /// Bytes of the memory.
    pub(super) fn length(&self) -> usize {
        self.pages.len() * PAGE
    }

    /// Bytes of pages that are kept.
    pub(super) fn held(&self) -> u64 {
        (self.present * PAGE) as u64
    }

    /// What is different in `memory`, which consists of whole pages and never shrinks. What was not touched of it is zeros.
    pub(super) fn changes(&self, memory: &[u8], touched: &Touched) -> Changes {
        let mut changes = Changes { pages: Vec::new(), present: self.present };
        for (index, now) in memory.chunks_exact(PAGE).enumerate() {
            match self.pages.get(index).and_then(Option::as_deref) {
                None if !touched.contains(index) || *now == ZEROS => {}
                Some(before) if before == now => {}
                before => {
                    let (was, is) = (usize::from(before.is_some()), usize::from(*now != ZEROS));
                    changes.present = changes.present + is - was;
                    changes.pages.push(index);
                }
            }
        }
        changes
    }

    /// Takes over what is different in `memory`.
    pub(super) fn apply(&mut self, changes: &Changes, memory: &[u8]) {
        self.pages.resize(memory.len() / PAGE, None);
        for index in &changes.pages {
            let now = memory.get(index * PAGE..(index + 1) * PAGE).unwrap_or(&ZEROS);
            let Some(place) = self.pages.get_mut(*index) else { continue };
            match place.as_mut().and_then(Arc::get_mut) {
                _ if *now == ZEROS => *place = None,
                Some(page) => page.copy_from_slice(now),
                None => *place = Some(now.into()),
            }
        }
        self.present = changes.present;
    }

    /// Makes `memory`, which is as long, what the image is. What was not touched of it is zeros.
    pub(super) fn restore(&self, memory: &mut [u8], touched: &Touched) {
        for (index, (now, page)) in memory.chunks_exact_mut(PAGE).zip(&self.pages).enumerate() {
            match page {
                Some(page) => now.copy_from_slice(page),
                None if touched.contains(index) => now.fill(0),
                None => {}
            }
        }
    }

    /// The numbers of the regions that are not all zeros, in order.
    fn regions(&self) -> Vec<usize> {
        let is_used = |region: &[Option<Arc<[u8]>>]| region.iter().any(Option::is_some);
        self.pages.chunks(REGION).enumerate().filter(|(_, region)| is_used(region)).map(|(number, _)| number).collect()
    }

    /// The pages of a region; those of the `last` one end with one that is not zeros.
    fn region(&self, number: usize, last: usize) -> &[Option<Arc<[u8]>>] {
        let region = self.pages.chunks(REGION).nth(number).unwrap_or_default();
        let end = match number == last {
            true => region.iter().rposition(Option::is_some).map_or(0, |at| at + 1),
            false => region.len(),
        };
        region.get(..end).unwrap_or(region)
    }

    /// The whole memory.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length());
        for page in &self.pages {
            bytes.extend_from_slice(page.as_deref().unwrap_or(&ZEROS));
        }
        bytes
    }
}

impl State {
    /// The bytes of the state.
    pub(super) fn encode(&self) -> Vec<u8> {
        let pages = self.body.as_ref().map_or(0, |body| body.image.present);
        let mut out = Vec::with_capacity((pages + 2) * PAGE);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.module.0);
        put(&mut out, self.owner.len());
        out.extend_from_slice(self.owner.as_bytes());
        let Some(body) = &self.body else {
            out.push(0);
            return out;
        };
        out.push(1);
        out.extend_from_slice(&body.scratch.at.to_le_bytes());
        out.extend_from_slice(&body.scratch.size.to_le_bytes());
        put(&mut out, body.globals.len());
        for global in &body.globals {
            out.extend_from_slice(&global.to_le_bytes());
        }
        put(&mut out, body.tables.len());
        for table in &body.tables {
            put(&mut out, table.len());
            for element in table {
                out.extend_from_slice(&element.to_le_bytes());
            }
        }
        put(&mut out, body.image.pages.len());
        let regions = body.image.regions();
        put(&mut out, regions.len());
        for region in &regions {
            put(&mut out, *region);
        }
        out.resize(out.len().next_multiple_of(PAGE), 0);
        let last = regions.last().copied().unwrap_or_default();
        for page in regions.iter().flat_map(|region| body.image.region(*region, last)) {
            out.extend_from_slice(page.as_deref().unwrap_or(&ZEROS));
        }
        out
    }

    /// The state whose bytes these are.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(StateError::Foreign)?;
        let mut reader = Reader { whole: bytes.len(), rest };
        let module = BlobHash(reader.array()?);
        let length = reader.number()?;
        let owner = String::from_utf8(reader.take(length)?.to_vec()).map_err(|_| reader.damaged())?;
        let [has_body] = reader.array()?;
        let body = match has_body {
            0 => None,
            1 => Some(Body::read(&mut reader)?),
            _ => return Err(reader.damaged()),
        };
        if !reader.rest.is_empty() {
            return Err(reader.damaged());
        }
        Ok(Self { module, owner, body })
    }
}

impl Body {
    fn read(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let scratch = Scratch { at: u64::from_le_bytes(reader.array()?), size: u64::from_le_bytes(reader.array()?) };
        if scratch.at.checked_add(scratch.size).is_none() {
            return Err(reader.damaged());
        }
        // Each number says how many things follow that take bytes of their own, so none makes room for more than there is.
        let count = reader.count(16)?;
        let mut globals = Vec::with_capacity(count);
        for _ in 0..count {
            globals.push(u128::from_le_bytes(reader.array()?));
        }
        let count = reader.count(4)?;
        let mut tables = Vec::with_capacity(count);
        for _ in 0..count {
            let length = reader.count(4)?;
            let mut table = Vec::with_capacity(length);
            for _ in 0..length {
                table.push(u32::from_le_bytes(reader.array()?));
            }
            tables.push(table);
        }
        let length = reader.number()?;
        if length as u64 > PAGES_MOST {
            return Err(reader.damaged());
        }
        let count = reader.count(4)?;
        let mut regions = Vec::with_capacity(count);
        for _ in 0..count {
            regions.push(reader.number()?);
        }
        let image = Image::read(reader, length, &regions)?;
        Ok(Self { scratch, globals, tables, image })
    }
}

impl Image {
    /// An image of `length` pages, of which these regions are not all zeros. One image has one form only.
    fn read(reader: &mut Reader<'_>, length: usize, regions: &[usize]) -> Result<Self, StateError> {
        if !regions.is_sorted_by(|one, next| one < next) {
            return Err(reader.damaged());
        }
        let padding = reader.at().next_multiple_of(PAGE) - reader.at();
        if reader.take(padding)?.iter().any(|byte| *byte != 0) {
            return Err(reader.damaged());
        }
        let mut image = Self { pages: vec![None; length], present: 0 };
        for number in regions {
            let first = number * REGION;
            let most = length.min(first + REGION).checked_sub(first).ok_or_else(|| reader.damaged())?;
            let (before, is_last) = (image.present, regions.last() == Some(number));
            let count = if is_last { most.min(reader.rest.len() / PAGE) } else { most };
            let mut is_held = false;
            for index in first..first + count {
                let bytes = reader.take(PAGE)?;
                is_held = *bytes != ZEROS;
                if is_held && let Some(place) = image.pages.get_mut(index) {
                    *place = Some(Arc::from(bytes));
                    image.present += 1;
                }
            }
            if image.present == before || (is_last && !is_held) {
                return Err(reader.damaged());
            }
        }
        Ok(image)
    }
}

/// Writes a count or an index. None of them comes near 32 bits.
fn put(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

struct Reader<'a> {
    whole: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn damaged(&self) -> StateError {
        StateError::Damaged(self.at())
    }

    /// How many bytes were read.
    fn at(&self) -> usize {
        self.whole - self.rest.len()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], StateError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<usize, StateError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    /// How many things follow that take at least `size` bytes each.
    fn count(&mut self, size: usize) -> Result<usize, StateError> {
        let count = self.number()?;
        match count.checked_mul(size) {
            Some(bytes) if bytes <= self.rest.len() => Ok(count),
            _ => Err(self.damaged()),
        }
    }
}
