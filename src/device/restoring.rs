//! Whether a snapshot is as good as the log before it.

use std::sync::Arc;
use std::time::Duration;

use super::guarded::{caught, discard};
use super::verifier::{Claimed, Verifier, VerifyError, Verifying};
use super::{DeviceError, DeviceFactory, Interrupt, LogReader, Mode};
use crate::ids::ProcessId;
use crate::process::{Definition, SnapshotRef, bytes_difference};

/// How long a turn of a recomputation lasts. Nobody waits for the thread in between.
const TURN: Duration = Duration::from_secs(60);

/// Why a snapshot is not to be relied upon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitSnapshot {
    /// It, or what it takes to use it, cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// No device takes it.
    #[error("no device can be made from it: {0}")]
    Restore(String),
    /// The device that took it has another state than it says.
    #[error("the device that is restored from it is in another state: {0}")]
    Differs(String),
    /// The log does not lead to it.
    #[error("the log, computed again, does not come to it: {0}")]
    Recomputed(String),
}

/// Restores a snapshot into a device of its own, and compares that device's snapshot with it where the device is
/// deterministic. The bytes, if all is well. Blocks.
pub fn check_snapshot(
    process: &ProcessId,
    snapshot: &SnapshotRef,
    factory: &dyn DeviceFactory,
    log: &dyn LogReader,
) -> Result<Arc<[u8]>, UnfitSnapshot> {
    let unreadable = UnfitSnapshot::Unreadable;
    let bytes = log.read_snapshot(process, snapshot).map_err(unreadable)?;
    let slot = snapshot.definition;
    let entry = log.entry(process, slot).map_err(unreadable)?;
    let entry = entry.ok_or_else(|| unreadable(format!("its definition, slot {slot}, is gone")))?;
    let definition: Definition = serde_json::from_str(&entry.message.data)
        .map_err(|error| unreadable(format!("slot {slot} holds no definition: {error}")))?;
    let hash = definition.specification.source;
    let source = log.blob(process, hash).map_err(unreadable)?;
    let source = source.ok_or_else(|| unreadable(format!("its source {hash} is gone")))?;
    let restored = caught(|| {
        let interrupt = Interrupt::default();
        let mut device = factory.create(process, &definition, &source, interrupt, Mode::Trial)?;
        let again = device.restore(&bytes).and_then(|()| device.snapshot());
        let is_deterministic = device.info().deterministic;
        discard(Some(device));
        again.map(|again| is_deterministic.then_some(again))
    });
    let restored = restored.unwrap_or_else(|panic| Err(DeviceError::Fault(panic)));
    let again = restored.map_err(|error| UnfitSnapshot::Restore(error.to_string()))?;
    match again.and_then(|again| bytes_difference(&bytes, &again)) {
        Some(difference) => Err(UnfitSnapshot::Differs(difference)),
        None => Ok(bytes),
    }
}

/// Computes the log again up to a snapshot, from the one before it or from slot 0, and compares what it comes to with what is
/// stored. Whether there was anything to compare: not where the device is not deterministic. Blocks, for as long as the log
/// takes.
pub fn recompute_snapshot(
    process: &ProcessId,
    snapshot: &SnapshotRef,
    factory: Arc<dyn DeviceFactory>,
    log: Arc<dyn LogReader>,
) -> Result<bool, UnfitSnapshot> {
    let claimed = Claimed { process: process.clone(), slot: snapshot.slot, executes: false, held: None };
    let mut verifier = Verifier::new(claimed, factory, log, Interrupt::default());
    loop {
        match verifier.turn(TURN) {
            Ok(Verifying::More(_)) => {}
            Ok(Verifying::Done(verdict)) => {
                return match (verdict.difference, verdict.with_snapshot) {
                    (Some(difference), _) => {
                        Err(UnfitSnapshot::Recomputed(format!("slot {}: {}", difference.slot, difference.text)))
                    }
                    (None, true) => Ok(true),
                    (None, false) => Err(UnfitSnapshot::Recomputed("it leads to no state".to_owned())),
                };
            }
            Err(VerifyError::NotRepeatable { .. }) => return Ok(false),
            Err(error) => return Err(UnfitSnapshot::Recomputed(error.to_string())),
        }
    }
}
