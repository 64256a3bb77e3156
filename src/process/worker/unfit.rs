//! Stored snapshots that a device could not be made from. They count as if there were none, so that the next one is written,
//! be it at the same slot, and they leave the store with it.

use super::core::{Core, Waiting};
use crate::process::SnapshotRef;

impl<R: Waiting> Core<R> {
    /// Counts on these no longer. What it did not count on is left: another one may be on its way to the same slot.
    pub(super) fn forget_snapshots(&mut self, unfit: &[SnapshotRef]) {
        for one in unfit {
            let at = self.snapshots.iter().position(|kept| kept == one);
            self.unfit.extend(at.and_then(|at| self.snapshots.remove(at)));
        }
    }

    /// Whether a snapshot is made from the file of one that is of no use. Its own may have the same name as such a one.
    pub(super) fn stands_on_unfit(&self, snapshot: &SnapshotRef) -> bool {
        let bases = snapshot.files.split_last().map_or(&[] as &[_], |(_, bases)| bases);
        self.unfit.iter().filter_map(|one| one.files.last()).any(|file| bases.contains(file))
    }
}
