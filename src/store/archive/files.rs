//! The folder of archives: `archive/<shard>/<process>-<first>-<last>.log`.
//!
//! A file is whole once it has its name. Only then is it recorded in the store, and only after that do its slots leave the
//! log, so a file without a record is what a crash left behind, and of no use.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::format::{BEGINNING, FormatError, Index, Kind, Place, unpack};
use crate::ids::{ProcessId, Slot};
use crate::process::ArchiveRef;

/// How the name of a file ends.
const ENDING: &str = ".log";

/// The folder of the archives of the shard of `process`; `root` is that of all.
pub(super) fn folder_of(root: &Path, process: &ProcessId) -> PathBuf {
    root.join(format!("{:02x}", process.shard().0))
}

/// The file of these slots.
pub(super) fn path_of(root: &Path, process: &ProcessId, first: Slot, last: Slot) -> PathBuf {
    folder_of(root, process).join(format!("{process}-{first}-{last}{ENDING}"))
}

/// The parts of a file's name. An id may hold `-` itself; slots have digits only.
fn parse(name: &str) -> Option<(ProcessId, Slot, Slot)> {
    let (rest, last) = name.strip_suffix(ENDING)?.rsplit_once('-')?;
    let (process, first) = rest.rsplit_once('-')?;
    Some((ProcessId::parse(process).ok()?, Slot(first.parse().ok()?), Slot(last.parse().ok()?)))
}

/// Removes the files that `is_kept` does not know, and those that were never finished. Returns how many.
pub(super) fn sweep(root: &Path, is_kept: impl Fn(&ProcessId, Slot, Slot) -> bool) -> usize {
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let is_doomed = |name: &str| match parse(name) {
        Some((process, first, last)) => !is_kept(&process, first, last),
        None => name.ends_with(".tmp"),
    };
    let doomed = files.filter(|file| file.file_name().to_str().is_some_and(is_doomed));
    doomed.filter(|file| fs::remove_file(file.path()).is_ok()).count()
}

/// A file that is read.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    index: Index,
}

impl OpenFile {
    /// Opens the file at `path`, which is to be that of `archive`. Looks at its beginning and its index only.
    pub(super) fn open(path: &Path, process: &ProcessId, archive: &ArchiveRef) -> Result<Self, FormatError> {
        let file = File::open(path)?;
        if file.metadata()?.len() != archive.length {
            return Err(FormatError::Nonsense("it has another length than its record says"));
        }
        let mut beginning = [0; BEGINNING.len()];
        file.read_exact_at(&mut beginning, 0)?;
        if beginning != BEGINNING {
            return Err(FormatError::Foreign);
        }
        let at = archive.length.checked_sub(archive.index).ok_or(FormatError::Index)?;
        let (index, seal) = Index::parse(&read_at(&file, at, archive.index)?)?;
        let is_it = seal == archive.seal
            && index.process == *process
            && (index.first, index.last) == (archive.first, archive.last);
        if is_it {
            Ok(Self { file, index })
        } else {
            Err(FormatError::Nonsense("it is another archive than its record says"))
        }
    }

    /// The frame that holds what there is of `slot`.
    pub(super) fn place(&self, kind: Kind, slot: Slot) -> Option<Place> {
        self.index.place(kind, slot)
    }

    /// The values of a frame, one for each slot.
    pub(super) fn values(&self, place: &Place) -> Result<Vec<Vec<u8>>, FormatError> {
        unpack(&read_at(&self.file, place.offset, place.frame.length)?, place)
    }
}

fn read_at(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(io::Error::other)?;
    bytes.resize(length, 0);
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for id in ["p", "a-1-2", "7", "a_b-"] {
            let process = ProcessId::parse(id).unwrap();
            let path = path_of(Path::new("root"), &process, Slot(1), Slot(99));
            assert_eq!(parse(path.file_name().unwrap().to_str().unwrap()), Some((process, Slot(1), Slot(99))));
        }
        for name in ["", "p", "p-1", "p-1-2", "p-1-x.log", "-1-2.log", "p-1-2.tmp"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
