//! The file of the notes, mapped into memory: a header, and a cell for each thread.
//!
//! The header tells the number of the node's run, and whether it goes on. The file is written whole before it is mapped, so
//! that a disk that fills up later takes nothing from under the notes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cell::{self, WORDS};
use super::counts::Counted;

/// Reads as other text on a machine with another order of bytes.
const MAGIC: u64 = u64::from_le_bytes(*b"mainwork");
const VERSION: u64 = 1;

const MAGIC_WORD: usize = 0;
const VERSION_WORD: usize = 1;
const RUN_WORD: usize = 2;
const STATE_WORD: usize = 3;

const RUNS: u64 = 1;
const STOPPED: u64 = 2;

/// The longest file that is read, in bytes: far more cells than there are threads.
const LONGEST: u64 = 1 << 20;

/// Why a file holds no notes.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    /// It can't be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is shorter than its header, or ends within a cell.
    #[error("it is cut off after {0} bytes")]
    Truncated(usize),
    /// It begins otherwise.
    #[error("it is not a file of notes")]
    Foreign,
    /// Another program wrote it.
    #[error("it has version {0}, this program reads {VERSION}")]
    Version(u64),
}

/// What the last run left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// Its number.
    pub(super) run: u64,
    /// Whether it was stopped.
    pub(super) was_stopped: bool,
    /// What was being done when it ended.
    pub(super) calls: Vec<Counted>,
}

/// Where calls are noted.
pub struct Sheet {
    words: Words,
}

enum Words {
    Mapped(&'static [AtomicU64]),
    /// Nobody reads these after the end.
    Held(Box<[AtomicU64]>),
}

impl Sheet {
    /// A sheet whose notes end with the program.
    pub(super) fn unmapped(cells: usize) -> Self {
        Self { words: Words::Held((0..(cells + 1) * WORDS).map(|_| AtomicU64::new(0)).collect()) }
    }

    /// Puts an empty sheet of so many cells in the place of the file at `path`. It is on disk when this returns, and mapped for
    /// the rest of the program's life.
    pub(super) fn create(path: &Path, run: u64, cells: usize) -> io::Result<Self> {
        let mut words = vec![0u64; (cells + 1) * WORDS];
        words[MAGIC_WORD] = MAGIC;
        words[VERSION_WORD] = VERSION;
        words[RUN_WORD] = run;
        words[STATE_WORD] = RUNS;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let temporary = path.with_extension("tmp");
        let made = Self::fill(&temporary, &bytes).and_then(|file| {
            let mapped = map(&file, words.len())?;
            std::fs::rename(&temporary, path)?;
            path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
            Ok(Self { words: Words::Mapped(mapped) })
        });
        if made.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        made
    }

    fn fill(path: &Path, bytes: &[u8]) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(file)
    }

    /// The words of a cell; `None`: there are fewer.
    pub(super) fn cell(&self, at: usize) -> Option<&[AtomicU64]> {
        let from = at.checked_add(1)?.checked_mul(WORDS)?;
        self.words().get(from..from + WORDS)
    }

    /// The run ends in good order.
    pub(super) fn stop(&self) {
        if let Some(state) = self.words().get(STATE_WORD) {
            state.store(STOPPED, Ordering::Release);
        }
    }

    fn words(&self) -> &[AtomicU64] {
        match &self.words {
            Words::Mapped(words) => words,
            Words::Held(words) => words,
        }
    }
}

/// Maps the beginning of `file`, for as long as the program lives.
fn map(file: &File, words: usize) -> io::Result<&'static [AtomicU64]> {
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    let (access, length) = (ProtFlags::READ | ProtFlags::WRITE, words * size_of::<AtomicU64>());
    #[expect(unsafe_code, reason = "no library offers shared memory as atomic words")]
    // SAFETY: the kernel chooses a place that nothing else uses, on a page's border; it is never unmapped. Any bytes are
    // words, and whoever writes to the file meets atomic accesses only.
    unsafe {
        let place = mmap(std::ptr::null_mut(), length, access, MapFlags::SHARED, file, 0)?;
        Ok(std::slice::from_raw_parts(place.cast::<AtomicU64>(), words))
    }
}

/// What the last run left in the file at `path`; `None`: there is no file.
pub(super) fn left(path: &Path) -> Result<Option<Left>, SheetError> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(LONGEST).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    parse(&bytes).map(Some)
}

/// What a run left that left these bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Left, SheetError> {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    let (cells, ragged) = words.as_chunks::<WORDS>();
    let Some((header, cells)) = cells.split_first() else { return Err(SheetError::Truncated(bytes.len())) };
    if header[MAGIC_WORD] != MAGIC {
        return Err(SheetError::Foreign);
    }
    if header[VERSION_WORD] != VERSION {
        return Err(SheetError::Version(header[VERSION_WORD]));
    }
    if !rest.is_empty() || !ragged.is_empty() {
        return Err(SheetError::Truncated(bytes.len()));
    }
    let calls = cells.iter().filter_map(|cell| cell::read(cell)).collect();
    Ok(Left { run: header[RUN_WORD], was_stopped: header[STATE_WORD] == STOPPED, calls })
}
