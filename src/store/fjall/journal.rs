//! Reads the engine's journal files before the engine does.
//!
//! The engine cuts a journal off, without a word, where it first can't read it, and refuses one that holds a batch with a
//! wrong checksum. Both are right only for the unfinished tail of the newest journal. This reader tells tails from damage
//! before anything is changed, by the batch number that the store writes into every batch
//! ([`keys::SEQUENCE`](crate::store::keys::SEQUENCE)): numbers go up by one, and none up to the mark may be missing.
//!
//! The form: a batch is a start (tag 1, `u32` items, `u64`), items (tag 2, kind, compression, `u64` keyspace, `u16` key
//! length, `u32` value length, `u32` stored length, key, value) or clearings (tag 4, `u64`), and an end (tag 3, `u64` XXH3
//! of items and clearings, a magic word), all little-endian.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::store::engine::EngineOpenError;

/// The key of the batch number as the engine has it: [`Space::Meta`](crate::store::engine::Space::Meta), then [`SEQUENCE`](crate::store::keys::SEQUENCE).
pub(super) const NUMBER_KEY: [u8; 9] = *b"\x01sequence";

const BUFFER: usize = 256 << 10;
const END_WORD: [u8; 4] = *b"FJL\x03";

/// What one journal file holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Journal {
    /// Where its last whole batch ends.
    whole: u64,
    /// Where its last byte that isn't zero ends; not before `whole`. Files are made longer than what they hold.
    data: u64,
    /// The numbers of its first and last whole batch that has one.
    batches: Option<(u64, u64)>,
    /// The number of the batch that it breaks off in, if that much can be read.
    torn_batch: Option<u64>,
    /// Two numbers that follow each other and should not.
    gap: Option<(u64, u64)>,
}

impl Journal {
    fn torn_bytes(&self) -> u64 {
        self.data.saturating_sub(self.whole)
    }
}

/// The journal files of `folder`, oldest first.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut numbered = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jnl"));
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
            numbered.push((number, path));
        }
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

/// How many bytes of whole batches `path` begins with.
pub(super) fn whole_bytes(path: &Path) -> io::Result<u64> {
    File::open(path).and_then(read).map(|journal| journal.whole)
}

/// Checks the journals of `folder` against `mark`. Cuts the tail of an unfinished write off the last one and returns how
/// many bytes that were. Where what was on disk is missing, nothing is changed.
pub(super) fn check(folder: &Path, mark: u64) -> Result<u64, EngineOpenError> {
    let failed = |error: io::Error| EngineOpenError::Failed(format!("{}: {error}", folder.display()));
    let mut last: Option<u64> = None;
    let mut tail: Option<(PathBuf, Journal)> = None;
    for path in files(folder).map_err(failed)? {
        let journal = File::open(&path).and_then(read).map_err(failed)?;
        // An empty one after a torn one is the successor that a failing engine began.
        if journal.data == 0 {
            continue;
        }
        if let Some((path, torn)) = tail.filter(|(_, journal)| journal.torn_bytes() > 0) {
            return Err(damaged(&path, format!("it can be read up to byte {} of {} only", torn.whole, torn.data)));
        }
        let before = last.zip(journal.batches).map(|(last, (first, _))| (last, first));
        if let Some((before, after)) = before.filter(|(last, first)| !follows(*last, *first)).or(journal.gap) {
            return Err(damaged(&path, format!("batch {after} follows batch {before}")));
        }
        last = journal.batches.map(|(_, last)| last).or(last);
        tail = Some((path, journal));
    }
    let torn = tail.filter(|(_, journal)| journal.torn_bytes() > 0);
    // Journals that begin with a torn batch say nothing of the batches before; the store itself is asked later.
    let begun = torn.as_ref().and_then(|(_, journal)| journal.torn_batch).map(|torn| torn.saturating_sub(1));
    match (last.or(begun), torn) {
        (Some(found), _) if found < mark => Err(EngineOpenError::Behind { found, mark }),
        (_, Some((path, torn))) => cut(&path, torn.whole).map_err(failed).map(|()| torn.torn_bytes()),
        (_, None) => Ok(0),
    }
}

fn damaged(path: &Path, reason: String) -> EngineOpenError {
    EngineOpenError::Damaged { what: format!("journal {}", path.display()), reason }
}

fn follows(last: u64, next: u64) -> bool {
    last.checked_add(1) == Some(next)
}

fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

/// A batch as far as it can be read.
struct Batch {
    /// The engine's own number, which only rises.
    engine_number: u64,
    /// The store's number, if there is one.
    number: Option<u64>,
    is_whole: bool,
}

/// Reads batches until the first place that is none.
fn read(file: File) -> io::Result<Journal> {
    let length = file.metadata()?.len();
    let mut input = Input { reader: BufReader::with_capacity(BUFFER, file), at: 0, length };
    let mut journal = Journal::default();
    let mut engine_number = None;
    while let Some(batch) = read_batch(&mut input)? {
        if !batch.is_whole || engine_number >= Some(batch.engine_number) {
            journal.torn_batch = batch.number;
            break;
        }
        engine_number = Some(batch.engine_number);
        journal.whole = input.at;
        let Some(number) = batch.number else { continue };
        let (first, last) = journal.batches.unwrap_or((number, number));
        if journal.batches.is_some() && !follows(last, number) {
            journal.gap = journal.gap.or(Some((last, number)));
        }
        journal.batches = Some((first, number));
    }
    journal.data = input.last_data(journal.whole)?;
    Ok(journal)
}

/// Reads one batch. `None`: not even its beginning is there.
fn read_batch(input: &mut Input) -> io::Result<Option<Batch>> {
    let Some([1, start @ ..]) = input.take::<13>()? else { return Ok(None) };
    let [a, b, c, d, engine_number @ ..] = start;
    let mut items = u32::from_le_bytes([a, b, c, d]);
    let mut batch = Batch { engine_number: u64::from_le_bytes(engine_number), number: None, is_whole: false };
    let mut hash = Xxh3::new();
    while let Some([tag]) = input.take::<1>()? {
        let goes_on = match tag {
            2 | 4 if items > 0 => {
                items -= 1;
                hash.update(&[tag]);
                if tag == 2 {
                    read_item(input, &mut hash, &mut batch.number)?
                } else {
                    read_clearing(input, &mut hash)?
                }
            }
            3 if items == 0 => {
                let end = input.take::<12>()?;
                batch.is_whole = end.is_some_and(|end| end[..8] == hash.digest().to_le_bytes() && end[8..] == END_WORD);
                false
            }
            _ => false,
        };
        if !goes_on {
            break;
        }
    }
    Ok(Some(batch))
}

/// Reads one clearing after its tag; whether it is whole.
fn read_clearing(input: &mut Input, hash: &mut Xxh3) -> io::Result<bool> {
    Ok(input.take::<8>()?.map(|keyspace| hash.update(&keyspace)).is_some())
}

/// Reads one item after its tag; whether it is whole.
fn read_item(input: &mut Input, hash: &mut Xxh3, number: &mut Option<u64>) -> io::Result<bool> {
    let Some(head) = input.take::<20>()? else { return Ok(false) };
    hash.update(&head);
    let key_length = u64::from(u16::from_le_bytes([head[10], head[11]]));
    let stored = u64::from(u32::from_le_bytes([head[16], head[17], head[18], head[19]]));
    if key_length + stored > input.length - input.at {
        return Ok(false);
    }
    let is_number = key_length == NUMBER_KEY.len() as u64 && stored == 8;
    if !is_number {
        return input.skip(key_length + stored, hash).map(|()| true);
    }
    let mut key = [0; NUMBER_KEY.len()];
    let mut value = [0; 8];
    input.fill(&mut key)?;
    input.fill(&mut value)?;
    hash.update(&key);
    hash.update(&value);
    if key == NUMBER_KEY {
        *number = Some(u64::from_be_bytes(value));
    }
    Ok(true)
}

/// A file that is read from its beginning.
struct Input {
    reader: BufReader<File>,
    at: u64,
    length: u64,
}

impl Input {
    /// The next `N` bytes, if there are so many.
    fn take<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.length - self.at < N as u64 {
            return Ok(None);
        }
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.reader.read_exact(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Passes over `count` bytes, hashing them.
    fn skip(&mut self, count: u64, hash: &mut Xxh3) -> io::Result<()> {
        let mut buffer = [0; 8 << 10];
        let mut left = count;
        while left > 0 {
            let step = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            self.fill(&mut buffer[..step])?;
            hash.update(&buffer[..step]);
            left -= step as u64;
        }
        Ok(())
    }

    /// Where the last byte at or after `from` that isn't zero ends; `from`, if there is none.
    fn last_data(&mut self, from: u64) -> io::Result<u64> {
        let mut buffer = vec![0; BUFFER];
        let (mut at, mut last) = (from, from);
        loop {
            // A file system that knows holes spares the reading of them.
            match rustix::fs::seek(self.reader.get_ref(), rustix::fs::SeekFrom::Data(at)) {
                Err(rustix::io::Errno::NXIO) => return Ok(last),
                Ok(data) => at = self.reader.seek(SeekFrom::Start(data))?,
                Err(_) => at = self.reader.seek(SeekFrom::Start(at))?,
            }
            let count = self.reader.read(&mut buffer)?;
            if count == 0 {
                return Ok(last);
            }
            if let Some(index) = buffer[..count].iter().rposition(|byte| *byte != 0) {
                last = at + index as u64 + 1;
            }
            at += count as u64;
        }
    }
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
