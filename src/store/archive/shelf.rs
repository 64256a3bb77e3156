//! How values of archived slots are found.

use std::io;

use super::files::{OpenFile, path_of};
use super::format::{FormatError, Kind, Place};
use crate::ids::{ProcessId, Slot};
use crate::process::{ArchiveRef, Order};
use crate::store::codec::decode;
use crate::store::contract::ReadError;
use crate::store::engine::Space;
use crate::store::folder::archive_in;
use crate::store::keys;
use crate::store::reader::Reader;

impl Reader<'_> {
    /// The archives of `id`, in order of slots.
    pub(in crate::store) fn archives(self, id: &ProcessId) -> Result<Vec<ArchiveRef>, ReadError> {
        self.archives_from(id, Slot::ZERO, usize::MAX, Order::Ascending)
    }

    /// The first and the last slot that is in an archive of `id`.
    pub(in crate::store) fn archived(self, id: &ProcessId) -> Result<Option<(Slot, Slot)>, ReadError> {
        let Some(newest) = self.archives_from(id, Slot::ZERO, 1, Order::Descending)?.pop() else { return Ok(None) };
        let oldest = self.archives_from(id, Slot::ZERO, 1, Order::Ascending)?.pop();
        Ok(Some((oldest.map_or(newest.first, |oldest| oldest.first), newest.last)))
    }

    fn archives_from(
        self,
        id: &ProcessId,
        slot: Slot,
        limit: usize,
        order: Order,
    ) -> Result<Vec<ArchiveRef>, ReadError> {
        let mut found = Vec::new();
        let keys = keys::slots(id, slot, Slot(u64::MAX));
        self.scan(Space::Archives, keys, order, "the record of an archive", |_, value| {
            found.push(decode(value).map_err(|error| error.to_string())?);
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }
}

/// The archives of a process during one read: the open file and the part that was looked at last are kept at hand.
pub(in crate::store) struct Shelf<'a> {
    reader: Reader<'a>,
    process: &'a ProcessId,
    open: Option<(ArchiveRef, OpenFile)>,
    part: Option<(Kind, Place, Vec<Vec<u8>>)>,
}

impl<'a> Shelf<'a> {
    /// The archives of `process`.
    pub(in crate::store) fn new(reader: Reader<'a>, process: &'a ProcessId) -> Self {
        Self { reader, process, open: None, part: None }
    }

    /// Whose they are.
    pub(in crate::store) fn process(&self) -> &'a ProcessId {
        self.process
    }

    /// What there is of `slot`, as the store had it; `None`: the slot is in no archive. An error names file and slot.
    pub(in crate::store) fn value(&mut self, kind: Kind, slot: Slot) -> Result<Option<&[u8]>, ReadError> {
        let is_at_hand = self.part.as_ref().is_some_and(|(held, place, _)| *held == kind && is_in(place, slot));
        if !is_at_hand {
            let Some(archive) = self.archive_of(slot)? else { return Ok(None) };
            let read = self.read(&archive, kind, slot);
            self.part = Some(read.map_err(|error| self.error(&archive, slot, error))?);
        }
        let Some((_, place, values)) = &self.part else { return Ok(None) };
        let at = usize::try_from(slot.0 - place.first.0).unwrap_or(usize::MAX);
        Ok(values.get(at).map(Vec::as_slice))
    }

    /// The record of the archive that holds `slot`.
    fn archive_of(&self, slot: Slot) -> Result<Option<ArchiveRef>, ReadError> {
        if let Some((archive, _)) = &self.open
            && (archive.first..=archive.last).contains(&slot)
        {
            return Ok(Some(archive.clone()));
        }
        let next = self.reader.archives_from(self.process, slot, 1, Order::Ascending)?.pop();
        Ok(next.filter(|archive| archive.first <= slot))
    }

    fn read(
        &mut self,
        archive: &ArchiveRef,
        kind: Kind,
        slot: Slot,
    ) -> Result<(Kind, Place, Vec<Vec<u8>>), FormatError> {
        let root = archive_in(self.reader.folder());
        if self.open.as_ref().is_none_or(|(open, _)| open != archive) {
            let path = path_of(&root, self.process, archive.first, archive.last);
            self.open = Some((archive.clone(), OpenFile::open(&path, self.process, archive)?));
        }
        let missing = FormatError::Nonsense("it does not hold the slot");
        let Some((_, file)) = &self.open else { return Err(missing) };
        let place = file.place(kind, slot).ok_or(missing)?;
        Ok((kind, place, file.values(&place)?))
    }

    fn error(&self, archive: &ArchiveRef, slot: Slot, error: FormatError) -> ReadError {
        let folder = self.reader.folder().display().to_string();
        let path = path_of(&archive_in(self.reader.folder()), self.process, archive.first, archive.last);
        let what = format!("slot {slot} of process {}, archive {}", self.process, path.display());
        match error {
            FormatError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                ReadError::Damaged { folder, what, reason: "the file is gone; restore it from a backup".to_owned() }
            }
            FormatError::Io(error) if error.raw_os_error().is_some() => {
                ReadError::Engine { folder, reason: format!("{what}: {error}") }
            }
            error => ReadError::Damaged { folder, what, reason: format!("{error}; restore the file from a backup") },
        }
    }
}

fn is_in(place: &Place, slot: Slot) -> bool {
    slot.0.checked_sub(place.first.0).is_some_and(|at| at < u64::from(place.slots))
}
