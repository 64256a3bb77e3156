//! An archive file that is being written.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::files::{folder_of, path_of};
use super::format::{BEGINNING, Index, Part, append, pack};
use crate::ids::{ProcessId, Slot};
use crate::process::ArchiveRef;
use crate::store::files::{make_folder, private, sync_folder};

/// A part ends with so many slots or so many bytes.
const PART_SLOTS: u32 = 256;
const PART_BYTES: usize = 1 << 20;
/// A file ends with so many parts, which bounds its index.
const PARTS: usize = 4096;

/// A file without a name yet. Dropped unfinished, it is removed.
#[derive(Debug)]
pub(super) struct Draft {
    root: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
    index: Index,
    written: u64,
    slots: u32,
    messages: Vec<u8>,
    outcomes: Vec<u8>,
    is_named: bool,
}

impl Draft {
    /// A file in the folder `root` for slots of `process` from `first` on.
    pub(super) fn begin(root: &Path, process: &ProcessId, first: Slot) -> io::Result<Self> {
        let folder = folder_of(root, process);
        make_folder(&folder)?;
        sync_folder(root)?;
        if let Some(data) = root.parent() {
            sync_folder(data)?;
        }
        let temporary = folder.join(format!("{process}-{first}.tmp"));
        let mut file = BufWriter::new(private().create(true).truncate(true).open(&temporary)?);
        file.write_all(&BEGINNING)?;
        Ok(Self {
            root: root.to_owned(),
            temporary,
            file,
            index: Index { process: process.clone(), first, last: first, parts: Vec::new() },
            written: BEGINNING.len() as u64,
            slots: 0,
            messages: Vec::new(),
            outcomes: Vec::new(),
            is_named: false,
        })
    }

    /// Adds the values of the next slot.
    pub(super) fn push(&mut self, slot: Slot, message: &[u8], outcome: &[u8]) -> io::Result<()> {
        let added = append(&mut self.messages, message).and_then(|()| append(&mut self.outcomes, outcome));
        added.ok_or_else(|| io::Error::other(format!("slot {slot} is too long for an archive")))?;
        self.index.last = slot;
        self.slots += 1;
        if self.slots >= PART_SLOTS || self.messages.len() + self.outcomes.len() >= PART_BYTES {
            self.end_part()?;
        }
        Ok(())
    }

    /// Whether it should have no more slots.
    pub(super) fn is_full(&self) -> bool {
        self.index.parts.len() >= PARTS
    }

    fn end_part(&mut self) -> io::Result<()> {
        if self.slots == 0 {
            return Ok(());
        }
        let mut frame = |unpacked: &mut Vec<u8>| {
            let (bytes, frame) = pack(unpacked)?;
            unpacked.clear();
            self.file.write_all(&bytes)?;
            self.written += frame.length;
            io::Result::Ok(frame)
        };
        let part =
            Part { slots: self.slots, messages: frame(&mut self.messages)?, outcomes: frame(&mut self.outcomes)? };
        self.index.parts.push(part);
        self.slots = 0;
        Ok(())
    }

    /// Gives the file its name and returns once it is on disk.
    pub(super) fn finish(mut self) -> io::Result<ArchiveRef> {
        self.end_part()?;
        let too_long = || io::Error::other("the archive has too many parts");
        let (index, seal) = self.index.sealed().ok_or_else(too_long)?;
        self.file.write_all(&index)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let Index { process, first, last, .. } = &self.index;
        let path = path_of(&self.root, process, *first, *last);
        std::fs::rename(&self.temporary, &path)?;
        self.is_named = true;
        sync_folder(&folder_of(&self.root, process))?;
        let (length, index) = (self.written + index.len() as u64, index.len() as u64);
        Ok(ArchiveRef { first: *first, last: *last, seal, length, index })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_named {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}
