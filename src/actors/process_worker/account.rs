//! What a worker gives account of: the lines of its log, and its numbers.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::ProcessWorker;
use crate::metrics::COUNTERS;
use crate::process::worker::{Note, StopReason, TurnDone};

impl ProcessWorker {
    pub(super) fn count(&mut self, done: &TurnDone) {
        let slots = done.computed.len() as u64;
        let failed = done.computed.iter().filter(|one| one.outcome.error.is_some()).count() as u64;
        COUNTERS.slots_computed.inc_by(slots);
        COUNTERS.slots_failed.inc_by(failed);
        self.meter.computed(slots, failed, done.took);
        let now = self.now();
        for scheduled in &done.scheduled {
            self.meter.outcome_after(Duration::from_millis(now.saturating_sub(*scheduled)));
        }
        if let Some(bytes) = done.state_bytes {
            self.meter.set_state(bytes);
        }
    }

    pub(super) fn log(&mut self, note: Note) {
        let (process, group) = (&self.process, self.registration.group());
        match note {
            Note::WorkReceived { slot } => {
                COUNTERS.messages_scheduled.inc();
                self.meter.scheduled();
                info!(target: "worker", event = "work_received", %process, %group, slot = slot.0);
            }
            Note::DefinitionChanged { slot } => {
                info!(target: "worker", event = "definition_changed", %process, %group, slot = slot.0);
            }
            Note::Halted { slot, error } => {
                warn!(target: "worker", event = "halted", %process, %group, slot = slot.0, error);
            }
            Note::Resumed { slot, skipped } => {
                info!(target: "worker", event = "resumed", %process, %group, slot = slot.0, skipped);
            }
            Note::Notified { slot, listeners } => {
                debug!(target: "group", event = "finished_notifying", %process, %group, slot = slot.0, listeners);
            }
            Note::Fault { slot, error } => {
                COUNTERS.compute_faults.inc();
                let slot = slot.map(|slot| slot.0);
                error!(target: "worker", event = "fault", %process, %group, slot, error, "trying again");
            }
            Note::SnapshotStored { slot, size } => {
                self.meter.set_snapshot(size);
                info!(target: "worker", event = "snapshotting", %process, %group, slot = slot.0, size);
            }
            Note::SnapshotFailed { error } => {
                warn!(target: "worker", event = "snapshot_failed", %process, %group, error, "the log is the truth; going on");
            }
            Note::Stopping { reason } => {
                let error = match &reason {
                    StopReason::Store(error) => Some(error.as_str()),
                    _ => None,
                };
                info!(target: "worker", event = "stopping", %process, %group, reason = reason.as_str(), error);
            }
            Note::Paused { undelivered, limit } => {
                COUNTERS.outbox_pauses.inc();
                warn!(target: "worker", event = "paused", %process, %group, undelivered, limit, "its outbox is full (limit outbox)");
            }
            Note::Unpaused { undelivered } => {
                info!(target: "worker", event = "unpaused", %process, %group, undelivered);
            }
            Note::History { error } => {
                warn!(target: "worker", event = "history_unread", %process, %group, error, "old ids are kept for now");
            }
        }
    }
}
