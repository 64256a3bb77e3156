//! The bytes of a snapshot file.
//!
//! A *front* says whose state it is, what it stands on, and which pages it holds; the *payload* is those pages, compressed.
//! The front ends with its *seal*, a hash over all of it, which covers that of the payload and so the whole file. Numbers are
//! little-endian:
//!
//! ```text
//! magic 8 | version 4 | length of the front 4 | slot 8 | length of id 1 | id | has base 1 | seal of base 32
//! | length of state 8 | hash of state 32 | length of payload 8 | hash of payload 32 | runs 4 | hashes 4
//! | for each run: first page 4, pages 4, whether they are zeros 1 | for each page of the payload: its hash 16 | seal 32
//! ```

use super::pages::{PageHash, page_count};
use crate::ids::{BlobHash, ProcessId, Slot};

const MAGIC: [u8; 8] = *b"mstysnap";

/// The version that this program writes and reads.
const VERSION: u32 = 1;

/// What has to be read of a file to know how long its front is, in bytes.
pub(super) const BEGINNING: usize = MAGIC.len() + 8;

/// How far back a frame may refer, as a power of two: bounds what reading one takes besides the state itself.
pub(super) const WINDOW_LOG: u32 = 21;

const RUN_LEN: u64 = 9;
const SEAL_LEN: usize = 32;
/// More than a front has besides runs and hashes.
const FIXED_MAX: u64 = 512;

/// Why bytes are not a snapshot that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It begins with something else.
    #[error("it is not a snapshot file")]
    Foreign,
    /// Written by another version of the program.
    #[error("it has format version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// It is cut off.
    #[error("it ends early")]
    Short,
    /// The front is not the one that was sealed.
    #[error("its front does not have its checksum")]
    Front,
    /// The payload is not the one that was written.
    #[error("its pages do not have their checksum")]
    Payload,
    /// The front was sealed, but makes no sense.
    #[error("{0}")]
    Nonsense(&'static str),
    /// The state would be longer than it may be.
    #[error("it holds a state of {length} bytes, where at most {limit} are expected")]
    Long {
        /// What the file says.
        length: u64,
        /// What it may say.
        limit: u64,
    },
    /// There is no memory for the state.
    #[error("there is no memory for its {0} bytes")]
    Memory(u64),
    /// The payload does not unpack to its pages.
    #[error("its pages do not unpack: {0}")]
    Packing(String),
}

/// Pages in a row that are not as in the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The number of the first.
    pub(super) first: u32,
    /// How many, one at least.
    pub(super) pages: u32,
    /// Whether they hold zeros only. The payload has nothing of them then.
    pub(super) is_zeros: bool,
}

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Front {
    /// Whose state it is.
    pub(super) process: ProcessId,
    /// The slot after which it was.
    pub(super) slot: Slot,
    /// The seal of the file that it stands on; `None`: it is full, and pages in no run are zeros.
    pub(super) base: Option<BlobHash>,
    /// The length of the state in bytes.
    pub(super) length: u64,
    /// The hash of the state.
    pub(super) hash: BlobHash,
    /// The length of the payload in bytes.
    pub(super) payload: u64,
    /// The hash of the payload.
    pub(super) payload_hash: BlobHash,
    /// What changed, in order of page.
    pub(super) runs: Vec<Run>,
    /// The hashes of the pages that the payload holds, in the same order.
    pub(super) hashes: Vec<PageHash>,
}

impl Front {
    /// Its bytes, with its seal at the end; the seal once more. `None`: the tables are too long for their lengths.
    pub(super) fn sealed(&self) -> Option<(Vec<u8>, BlobHash)> {
        let tables = self.runs.len() * RUN_LEN as usize + self.hashes.len() * PageHash::LEN;
        let mut bytes = Vec::with_capacity(FIXED_MAX as usize + tables);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let at = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.slot.0.to_le_bytes());
        bytes.push(u8::try_from(self.process.as_str().len()).ok()?);
        bytes.extend_from_slice(self.process.as_str().as_bytes());
        bytes.push(u8::from(self.base.is_some()));
        bytes.extend_from_slice(&self.base.unwrap_or(BlobHash([0; 32])).0);
        bytes.extend_from_slice(&self.length.to_le_bytes());
        bytes.extend_from_slice(&self.hash.0);
        bytes.extend_from_slice(&self.payload.to_le_bytes());
        bytes.extend_from_slice(&self.payload_hash.0);
        bytes.extend_from_slice(&u32::try_from(self.runs.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.hashes.len()).ok()?.to_le_bytes());
        for run in &self.runs {
            bytes.extend_from_slice(&run.first.to_le_bytes());
            bytes.extend_from_slice(&run.pages.to_le_bytes());
            bytes.push(u8::from(run.is_zeros));
        }
        for hash in &self.hashes {
            bytes.extend_from_slice(&hash.0);
        }
        let length = u32::try_from(bytes.len() + SEAL_LEN).ok()?;
        bytes.get_mut(at..at + 4)?.copy_from_slice(&length.to_le_bytes());
        let seal = BlobHash::of(&bytes);
        bytes.extend_from_slice(&seal.0);
        Some((bytes, seal))
    }

    /// The front of `file`, its seal, and what comes behind it. Allocates no more than `file` is long. Checked: the seal, and
    /// that the tables fit each other and the length of the state.
    pub(super) fn parse(file: &[u8]) -> Result<(Self, BlobHash, &[u8]), FormatError> {
        let length = front_length(file)?;
        let (front, rest) = file.split_at_checked(length).ok_or(FormatError::Short)?;
        let (sealed, seal) = front.split_last_chunk::<SEAL_LEN>().ok_or(FormatError::Short)?;
        let seal = BlobHash(*seal);
        if BlobHash::of(sealed) != seal {
            return Err(FormatError::Front);
        }
        let mut cursor = Cursor(sealed.get(BEGINNING..).ok_or(FormatError::Short)?);
        let front = Self::parse_sealed(&mut cursor)?;
        if !cursor.0.is_empty() {
            return Err(FormatError::Nonsense("its front is longer than its tables"));
        }
        front.check()?;
        Ok((front, seal, rest))
    }

    fn parse_sealed(cursor: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let slot = Slot(cursor.u64()?);
        let length = usize::from(cursor.u8()?);
        let process = std::str::from_utf8(cursor.slice(length)?).ok().and_then(|id| ProcessId::parse(id).ok());
        let process = process.ok_or(FormatError::Nonsense("it names no process"))?;
        let has_base = cursor.flag()?;
        let base = cursor.hash()?;
        let (length, hash) = (cursor.u64()?, cursor.hash()?);
        let (payload, payload_hash) = (cursor.u64()?, cursor.hash()?);
        let (runs, hashes) = (u64::from(cursor.u32()?), u64::from(cursor.u32()?));
        // Only then are the tables' lengths those of the file, and nothing is allocated on a mere promise.
        if runs * RUN_LEN + hashes * PageHash::LEN as u64 != cursor.0.len() as u64 {
            return Err(FormatError::Nonsense("its tables do not fill its front"));
        }
        let runs = (0..runs).map(|_| cursor.run()).collect::<Result<_, _>>()?;
        let hashes = (0..hashes).map(|_| cursor.take().map(PageHash)).collect::<Result<_, _>>()?;
        let base = has_base.then_some(base);
        Ok(Self { process, slot, base, length, hash, payload, payload_hash, runs, hashes })
    }

    fn check(&self) -> Result<(), FormatError> {
        let pages = page_count(self.length);
        let (mut next, mut held) = (0, 0);
        for run in &self.runs {
            let first = u64::from(run.first);
            if first < next || run.pages == 0 {
                return Err(FormatError::Nonsense("its runs of pages are out of order"));
            }
            next = first + u64::from(run.pages);
            held += if run.is_zeros { 0 } else { u64::from(run.pages) };
        }
        if next > pages {
            return Err(FormatError::Nonsense("it has pages beyond the end of its state"));
        }
        if held != self.hashes.len() as u64 {
            return Err(FormatError::Nonsense("its pages and their hashes differ in number"));
        }
        Ok(())
    }

    /// Makes the hashes of the base's pages those of this state.
    pub(super) fn apply_to(&self, table: &mut Vec<PageHash>) -> Result<(), FormatError> {
        let pages = usize::try_from(page_count(self.length)).map_err(|_| FormatError::Memory(self.length))?;
        let more = pages.saturating_sub(table.len());
        table.try_reserve_exact(more).map_err(|_| FormatError::Memory(self.length))?;
        table.resize(pages, PageHash::ZEROS);
        let mut hashes = self.hashes.iter();
        for run in &self.runs {
            let first = run.first as usize;
            for entry in table.iter_mut().skip(first).take(run.pages as usize) {
                let held = if run.is_zeros { None } else { hashes.next() };
                *entry = *held.unwrap_or(&PageHash::ZEROS);
            }
        }
        Ok(())
    }
}

/// How long the front of a file is that begins with `beginning`, of [`BEGINNING`] bytes or more.
pub(super) fn front_length(beginning: &[u8]) -> Result<usize, FormatError> {
    let mut cursor = Cursor(beginning);
    let magic = cursor.take::<8>().map_err(|_| FormatError::Foreign)?;
    if magic != MAGIC {
        return Err(FormatError::Foreign);
    }
    match cursor.u32()? {
        VERSION => usize::try_from(cursor.u32()?).map_err(|_| FormatError::Short),
        version => Err(FormatError::Version(version)),
    }
}

/// What is left to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], FormatError> {
        let (slice, rest) = self.0.split_at_checked(length).ok_or(FormatError::Short)?;
        self.0 = rest;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FormatError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, FormatError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FormatError> {
        self.take().map(u64::from_le_bytes)
    }

    fn hash(&mut self) -> Result<BlobHash, FormatError> {
        self.take().map(BlobHash)
    }

    fn flag(&mut self) -> Result<bool, FormatError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(FormatError::Nonsense("a flag is neither yes nor no")),
        }
    }

    fn run(&mut self) -> Result<Run, FormatError> {
        Ok(Run { first: self.u32()?, pages: self.u32()?, is_zeros: self.flag()? })
    }
}
