//! The mark: a small file that tells a batch which was on disk once. A store that holds less has lost something.
//!
//! It is written after each synced batch and never synced itself, so after a power loss it may be older than the truth, but
//! never newer. Two places are written by turns, so that one is whole whatever happens.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: &[u8; 8] = b"mainmark";
/// Magic, number, checksum.
const PLACE: usize = 32;
/// Apart by a sector, so that no torn write harms both.
const STRIDE: u64 = 512;
const PLACES: u64 = 2;

/// What an existing mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There was no file, and now there is one.
    New,
    /// This batch was on disk.
    Batch(u64),
    /// The file makes no sense.
    Damaged,
}

/// The open mark file.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    turn: u64,
}

impl Mark {
    /// Opens the mark at `path`, and says what it holds.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Found)> {
        let new = !path.try_exists()?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut mark = Self { file, turn: 0 };
        if new {
            mark.set(0)?;
            mark.set(0)?;
            mark.sync()?;
            return Ok((mark, Found::New));
        }
        let mut best = None;
        for place in 0..PLACES {
            let batch = mark.read(place)?;
            if batch > best {
                (best, mark.turn) = (batch, place + 1);
            }
        }
        Ok((mark, best.map_or(Found::Damaged, Found::Batch)))
    }

    fn read(&self, place: u64) -> io::Result<Option<u64>> {
        let mut bytes = [0; PLACE];
        match self.file.read_exact_at(&mut bytes, place * STRIDE) {
            Ok(()) => Ok(parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// From now on the mark tells `batch`.
    pub(super) fn set(&mut self, batch: u64) -> io::Result<()> {
        self.file.write_all_at(&compose(batch), (self.turn % PLACES) * STRIDE)?;
        self.turn = (self.turn + 1) % PLACES;
        Ok(())
    }

    /// Brings the mark to disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn compose(batch: u64) -> [u8; PLACE] {
    let mut bytes = [0; PLACE];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&batch.to_be_bytes());
    let checksum = blake3::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&checksum.as_bytes()[..16]);
    bytes
}

fn parse(bytes: &[u8; PLACE]) -> Option<u64> {
    let batch = u64::from_be_bytes(bytes[8..16].try_into().ok()?);
    (compose(batch) == *bytes).then_some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_the_last_batch_also_when_a_write_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let (mut mark, found) = Mark::open(&path).unwrap();
        assert_eq!(found, Found::New);
        for batch in 1..=5 {
            mark.set(batch).unwrap();
            assert_eq!(Mark::open(&path).unwrap().1, Found::Batch(batch));
        }
        let (mut again, _) = Mark::open(&path).unwrap();
        let before = std::fs::read(&path).unwrap();
        again.set(6).unwrap();
        let after = std::fs::read(&path).unwrap();
        for torn in 0..PLACE {
            let mut bytes = before.clone();
            for place in [0, STRIDE as usize] {
                bytes[place..place + torn].copy_from_slice(&after[place..place + torn]);
            }
            std::fs::write(&path, &bytes).unwrap();
            let Found::Batch(batch) = Mark::open(&path).unwrap().1 else { panic!("torn at {torn}: no batch") };
            assert!((4..=6).contains(&batch), "torn at {torn}: {batch}");
        }
    }

    #[test]
    fn a_file_that_is_no_mark_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        for bytes in [&b""[..], b"mainmark", &[7; 2000]] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(Mark::open(&path).unwrap().1, Found::Damaged);
        }
    }
}
