//! Where a runner begins: at the newest snapshot that can be read.

use std::fmt::Display;

use tracing::{debug, info, warn};

use super::{Purpose, Runner};
use crate::device::crash::Call as Noted;
use crate::ids::Slot;
use crate::process::SnapshotRef;

impl Runner {
    /// Finds the newest snapshot that can be read. Without one the log is replayed from slot 0. Those that were tried in vain
    /// are added to `unfit`; one that is not tried, because that ended the node too often, may be good and is not.
    pub(super) fn restore(&mut self, recorded: Option<Slot>, unfit: &mut Vec<SnapshotRef>) -> Result<(), String> {
        if recorded.is_some() {
            for snapshot in self.log.snapshots(&self.process)? {
                if Some(snapshot.slot) > recorded || self.is_too_dangerous(&snapshot) {
                    continue;
                }
                // Reading it takes memory, too.
                self.note(Noted::Restore, snapshot.slot);
                let bytes = match self.log.read_snapshot(&self.process, &snapshot) {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        self.tell_unusable(&snapshot, &error);
                        unfit.push(snapshot);
                        continue;
                    }
                };
                let (definition, mut device) = self.create(snapshot.definition).map_err(|error| error.to_string())?;
                if let Err(error) = device.restore(&bytes) {
                    self.tell_unusable(&snapshot, &error);
                    unfit.push(snapshot);
                    continue;
                }
                self.survived(Noted::Restore, snapshot.slot);
                self.install(snapshot.definition, &definition, device);
                self.position = Some(snapshot.slot);
                self.tell_restored(&snapshot);
                break;
            }
        }
        self.is_restored = true;
        Ok(())
    }

    fn tell_unusable(&self, snapshot: &SnapshotRef, error: &dyn Display) {
        self.rest();
        warn!(target: "worker", event = "snapshot_unusable", process = %self.process, slot = snapshot.slot.0, %error,
            "taking the snapshot before it");
    }

    fn tell_restored(&self, snapshot: &SnapshotRef) {
        let (process, slot, size) = (&self.process, snapshot.slot.0, snapshot.size);
        match self.purpose {
            Purpose::Worker => info!(target: "worker", event = "restored", %process, group = %process, slot, size),
            Purpose::Base | Purpose::Verification { .. } => {
                debug!(target: "device", event = "base_restored", %process, slot, size);
            }
        }
    }
}
