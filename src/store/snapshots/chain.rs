//! The files that a new one may stand on.

use super::encode::Footing;
use super::format::{FormatError, Front};
use super::pages::PageHash;
use crate::ids::ProcessId;
use crate::process::{SnapshotFile, SnapshotRef};

/// A chain's newest state, as far as it takes to tell what changed since.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    files: &'a [SnapshotFile],
    table: Vec<PageHash>,
}

impl<'a> Chain<'a> {
    /// The chain of `base`; `None`: none can stand on it, because it lies in the store or the chain is long enough. `front`
    /// reads the beginning of a file, its front at least. An error says which file cannot be used, and why.
    pub(super) fn of(
        process: &ProcessId,
        base: &'a SnapshotRef,
        mut front: impl FnMut(&SnapshotFile) -> Result<Vec<u8>, String>,
    ) -> Result<Option<Self>, String> {
        let files = base.files.as_slice();
        if files.is_empty() || files.len() > SnapshotRef::DELTAS_MAX {
            return Ok(None);
        }
        let mut table = Vec::new();
        let mut before = None;
        for file in files {
            let wrong = |error: String| format!("the file of slot {}: {error}", file.slot);
            let bytes = front(file).map_err(wrong)?;
            let text = |error: FormatError| wrong(error.to_string());
            let (front, ..) = expect(&bytes, process, file, before).map_err(text)?;
            front.apply_to(&mut table).map_err(text)?;
            before = Some(file);
        }
        Ok(Some(Self { files, table }))
    }

    /// Its files.
    pub(super) fn files(&self) -> &'a [SnapshotFile] {
        self.files
    }

    /// The hashes of the newest state's pages.
    pub(super) fn table(&self) -> &[PageHash] {
        &self.table
    }

    /// What a new file stands on.
    pub(super) fn footing(&self) -> Option<Footing<'_>> {
        self.files.last().map(|newest| Footing { seal: newest.seal, table: &self.table })
    }

    /// Whether a file of `length` bytes may stand on it: what stands on a full one takes at most half as much again.
    pub(super) fn has_room(&self, length: u64) -> bool {
        let Some((full, deltas)) = self.files.split_first() else { return false };
        let deltas: u64 = deltas.iter().map(|file| file.length).sum();
        deltas.saturating_add(length) <= full.length / 2
    }
}

/// The front and the payload of `bytes`, which are those of `file` of `process`, standing on `base`.
pub(super) fn expect<'a>(
    bytes: &'a [u8],
    process: &ProcessId,
    file: &SnapshotFile,
    base: Option<&SnapshotFile>,
) -> Result<(Front, &'a [u8]), FormatError> {
    let (front, seal, payload) = Front::parse(bytes)?;
    let is_it = seal == file.seal
        && front.process == *process
        && front.slot == file.slot
        && front.length == file.state
        && front.base == base.map(|base| base.seal);
    if is_it {
        Ok((front, payload))
    } else {
        Err(FormatError::Nonsense("it is another snapshot than its reference says"))
    }
}
