//! The slot in work: noted on disk before a program is handed it, so that whoever comes after a crash knows that it was
//! tried.
//!
//! A file of two places, which are written by turns; one that is torn was not synced, and what it would have said had not
//! begun.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ids::Slot;

/// The bytes of a place: a checksum of the rest, a length of two bytes, JSON, zeros.
pub const PLACE: usize = 4096;
const HEAD: usize = 34;
/// So much of an error is kept.
const ERROR_MOST: usize = 512;

/// What is known of the slot in work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Notes are numbered; the last counts.
    pub number: u64,
    /// The slot.
    pub slot: Slot,
    /// The key of its message, which tells it from the same slot of another log.
    pub key: String,
    /// How often a program was handed it.
    pub attempt: u32,
    /// How often a program failed at it.
    pub failures: u32,
    /// How it failed last.
    pub error: String,
}

impl Work {
    /// A slot that was never tried.
    pub fn new(slot: Slot, key: &str) -> Self {
        Self { number: 0, slot, key: key.to_owned(), attempt: 0, failures: 0, error: String::new() }
    }
}

/// The note of one process.
#[derive(Debug)]
pub struct Note {
    file: File,
    work: Work,
}

impl Note {
    /// Opens the note at `path`; a new one says nothing.
    pub fn open(path: &Path) -> io::Result<Self> {
        let is_new = !path.try_exists()?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if is_new && let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        let mut work = Work::new(Slot::ZERO, "");
        for place in 0..2 {
            let mut bytes = [0; PLACE];
            match file.read_exact_at(&mut bytes, place * PLACE as u64) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(error),
            }
            if let Some(found) = parse(&bytes).filter(|found| found.number > work.number) {
                work = found;
            }
        }
        Ok(Self { file, work })
    }

    /// What is noted of `slot` with this key; where nothing is, that it was never tried.
    pub fn of(&self, slot: Slot, key: &str) -> Work {
        if self.work.slot == slot && self.work.key == key {
            return self.work.clone();
        }
        Work::new(slot, key)
    }

    /// Notes `work`. It is on disk afterwards.
    pub fn set(&mut self, work: Work) -> io::Result<()> {
        let number = self.work.number + 1;
        let mut work = Work { number, ..work };
        work.error.truncate(work.error.floor_char_boundary(ERROR_MOST));
        let bytes = compose(&work)?;
        self.file.write_all_at(&bytes, (number % 2) * PLACE as u64)?;
        self.file.sync_data()?;
        self.work = work;
        Ok(())
    }
}

fn compose(work: &Work) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(work)?;
    let length = u16::try_from(json.len()).ok().filter(|_| json.len() + HEAD <= PLACE);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a note is too long"))?;
    let mut bytes = vec![0; PLACE];
    bytes[32..HEAD].copy_from_slice(&length.to_be_bytes());
    bytes[HEAD..HEAD + json.len()].copy_from_slice(&json);
    let checksum = blake3::hash(&bytes[32..]);
    bytes[..32].copy_from_slice(checksum.as_bytes());
    Ok(bytes)
}

/// What a place says; nothing, if it is not as it was written.
pub fn parse(bytes: &[u8; PLACE]) -> Option<Work> {
    if blake3::hash(&bytes[32..]).as_bytes() != &bytes[..32] {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([bytes[32], bytes[33]]));
    serde_json::from_slice(bytes.get(HEAD..HEAD + length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(slot: u64, attempt: u32) -> Work {
        Work { attempt, ..Work::new(Slot(slot), "k") }
    }

    #[test]
    fn it_knows_the_slot_in_work_also_when_a_write_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note");
        let mut note = Note::open(&path).unwrap();
        assert_eq!(note.of(Slot(7), "k").attempt, 0);
        for attempt in 1..=4 {
            note.set(work(7, attempt)).unwrap();
            assert_eq!(Note::open(&path).unwrap().of(Slot(7), "k").attempt, attempt);
        }
        let note = Note::open(&path).unwrap();
        assert_eq!((note.of(Slot(8), "k").attempt, note.of(Slot(7), "other").attempt), (0, 0));
        let before = std::fs::read(&path).unwrap();
        Note::open(&path).unwrap().set(work(7, 5)).unwrap();
        let after = std::fs::read(&path).unwrap();
        for torn in (0..before.len()).step_by(61).chain([before.len()]) {
            let mut bytes = before.clone();
            bytes[..torn].copy_from_slice(&after[..torn]);
            std::fs::write(&path, &bytes).unwrap();
            let attempt = Note::open(&path).unwrap().of(Slot(7), "k").attempt;
            assert!(attempt == 4 || attempt == 5, "torn at {torn}: {attempt}");
        }
        assert_eq!(Note::open(&path).unwrap().of(Slot(7), "k").attempt, 5);
    }

    #[test]
    fn a_long_error_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note");
        let error = "\u{1}é".repeat(5000);
        let mut note = Note::open(&path).unwrap();
        note.set(Work { error, ..work(1, 1) }).unwrap();
        let kept = Note::open(&path).unwrap().of(Slot(1), "k").error;
        assert!(kept.len() <= ERROR_MOST && kept.len() > ERROR_MOST - 4, "{}", kept.len());
    }
}
