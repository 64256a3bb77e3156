//! What may be archived, and what may leave the log: the last look before it is written.

use crate::ids::Slot;
use crate::store::contract::{Commit, ReadError, Record};
use crate::store::engine::Space;
use crate::store::keys;
use crate::store::reader::Reader;

/// Whether `commit` says anything of archives.
pub(in crate::store) fn is_of_archives(commit: &Commit) -> bool {
    commit.records.iter().any(|record| matches!(record, Record::Archived(_) | Record::DropArchived(_)))
}

/// Why what `commit` says of archives does not fit what is written.
pub(in crate::store) fn misfit(reader: Reader<'_>, commit: &Commit) -> Result<Option<&'static str>, ReadError> {
    if !is_of_archives(commit) {
        return Ok(None);
    }
    let process = &commit.process;
    let archived = reader.archived(process)?;
    for record in &commit.records {
        match record {
            Record::Archived(archive) => {
                if archive.first != archived.map_or(Slot::ZERO, |(_, last)| last).next() {
                    return Ok(Some("an archive does not go on where the last one ends"));
                }
                let oldest = reader.snapshots(process)?.pop();
                if oldest.is_none_or(|oldest| oldest.slot <= archive.last) {
                    return Ok(Some("an archive goes beyond the oldest snapshot"));
                }
            }
            Record::DropArchived(slot) => {
                if !archived.is_some_and(|(first, last)| (first..=last).contains(slot)) {
                    return Ok(Some("a slot is in no archive"));
                }
                if reader.has(Space::Definitions, &keys::slot(process, *slot))? {
                    return Ok(Some("a definition stays in the log"));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}
