//! What a runner does about calls under which the node ended too often.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::{End, Purpose, Runner, Step};
use crate::device::crash::{Call, CrashBook};
use crate::ids::Slot;
use crate::process::{Cause, Computed, Entry, EntryKind, Halt, Outcome, SnapshotRef};

impl Runner {
    /// The same, with a book to note in what it does, and to look up what is not to be done again.
    #[must_use]
    pub fn with_crashes(mut self, crashes: Arc<CrashBook>) -> Self {
        self.crashes = crashes;
        self
    }

    /// Notes that this is done from now on.
    pub(super) fn note(&self, call: Call, slot: Slot) {
        let Some(noting) = &self.noting else { return };
        match self.purpose {
            Purpose::Worker => noting.note(call, slot),
            // Whoever wanted it asks again, or doesn't.
            Purpose::Base | Purpose::Verification { .. } => noting.note(Call::Trial, slot),
        }
    }

    /// Notes that nothing is done.
    pub(super) fn rest(&self) {
        if let Some(noting) = &self.noting {
            noting.rest();
        }
    }

    /// The call was made, and the node lives.
    pub(super) fn survived(&mut self, call: Call, slot: Slot) {
        self.rest();
        if let Some(noting) = &mut self.noting {
            noting.survived(call, slot);
        }
    }

    fn given_up(&self, call: Call, slot: Slot) -> Option<u32> {
        self.noting.as_ref()?.given_up(call, slot)
    }

    /// The outcome of a slot that is not computed, because that ended the node too often. The state stays as it is.
    pub(super) fn given_up_on(&mut self, entry: &Entry) -> Option<Step> {
        let slot = entry.slot;
        let crashes = self.given_up(Call::Compute, slot)?;
        warn!(target: "compute", event = "crashed", process = %self.process, group = %self.process, slot = slot.0, crashes,
            "it is not computed again; its outcome is an error");
        let error = format!("crashed: the node ended {crashes} times while it computed this slot");
        if entry.kind == EntryKind::Definition && self.device.is_none() {
            // In the outcome's words, as a replay finds them.
            self.broken = Some(error.clone());
        }
        let definition = self.in_force.unwrap_or(slot);
        let computed = Computed { slot, definition, cause: Cause::Crashed, outcome: Outcome::failed(error, 0) };
        Some(Step { computed, is_panic: false, took: Duration::ZERO })
    }

    /// A slot whose outcome is stored can't be passed over: the state after it is needed. So its process stands still.
    pub(super) fn may_replay(&self, slot: Slot) -> Result<(), End> {
        let Some(crashes) = self.given_up(Call::Replay, slot) else { return Ok(()) };
        let error = format!(
            "the node ended {crashes} times while it computed slot {slot} again, whose outcome is stored, to come to the \
             state after it"
        );
        Err(End::Halt(Halt { slot, error, resumed: None }))
    }

    /// Whether restoring this snapshot ended the node too often. The one before it leads to the same state.
    pub(super) fn is_too_dangerous(&self, snapshot: &SnapshotRef) -> bool {
        let crashes = self.given_up(Call::Restore, snapshot.slot);
        if let Some(crashes) = crashes {
            warn!(target: "worker", event = "snapshot_unusable", process = %self.process, slot = snapshot.slot.0, crashes,
                "the node ended while it restored it; taking the snapshot before it");
        }
        crashes.is_some()
    }

    /// Whether snapshots have not ended the node too often. Without one the log is the truth as before.
    pub(super) fn may_take_snapshot(&self, slot: Slot) -> Result<(), String> {
        self.given_up(Call::Snapshot, slot).map_or(Ok(()), |crashes| {
            Err(format!("the node ended {crashes} times while it took a snapshot of process {}", self.process))
        })
    }
}
