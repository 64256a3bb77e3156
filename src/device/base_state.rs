//! A state of a process that is held in memory, for requests to be resolved on it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::LogReader;
use crate::ids::{ProcessId, Slot};
use crate::process::Definition;
use crate::process::worker::Base;

/// Why there is no base state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// The slot has no outcome yet, or there is no such slot.
    #[error(
        "slot {slot} of process {process} is not computed, so there is no state after it; ask for its outcome first"
    )]
    #[expect(missing_docs, reason = "the text says it")]
    NotComputed { process: ProcessId, slot: Slot },
    /// The slot is computed, but no definition up to there ever loaded.
    #[error("{0}")]
    NoState(String),
    /// The device cannot repeat what it did, and no snapshot says what it came to.
    #[error("{0}")]
    NotSupported(String),
    /// It was asked to end before it was done.
    #[error("the loading of a base of process {0} was interrupted; ask again")]
    Interrupted(ProcessId),
    /// The store or the machine failed. It may be tried again.
    #[error("{0}")]
    Failed(String),
}

/// The state of a process after one slot, with all that a device needs to stand there. It never changes.
pub struct BaseState {
    /// Whose state.
    pub process: ProcessId,
    /// The slot after which it is the state.
    pub slot: Slot,
    /// The definition in force.
    pub definition: Arc<Definition>,
    /// The BLAKE3 hash of the definition's JSON.
    pub definition_hash: [u8; 32],
    /// The code.
    pub source: Arc<[u8]>,
    /// What [`Device::restore`](super::Device::restore) takes.
    pub snapshot: Arc<[u8]>,
    /// Of the snapshot, once somebody asked.
    state_hash: OnceLock<[u8; 32]>,
}

impl BaseState {
    /// Completes `base` by its definition and source, which the log holds.
    pub fn read(log: &dyn LogReader, process: &ProcessId, base: &Base) -> Result<Self, BaseError> {
        let failed =
            |what: String| BaseError::Failed(format!("base of process {process} after slot {}: {what}", base.slot));
        let slot = base.definition;
        let entry = log.entry(process, slot).map_err(failed)?;
        let entry = entry.ok_or_else(|| failed(format!("definition slot {slot} is missing in the store")))?;
        let no_definition = |error: serde_json::Error| failed(format!("slot {slot} holds no definition: {error}"));
        let definition: Definition = serde_json::from_str(&entry.message.data).map_err(no_definition)?;
        // Written anew, so that it is the same for whatever text the log has.
        let json = serde_json::to_vec(&definition).map_err(no_definition)?;
        let hash = definition.specification.source;
        let source = log.blob(process, hash).map_err(failed)?;
        let source = source.ok_or_else(|| failed(format!("source {hash} is missing in the store")))?;
        Ok(Self {
            process: process.clone(),
            slot: base.slot,
            definition: Arc::new(definition),
            definition_hash: *blake3::hash(&json).as_bytes(),
            source,
            snapshot: base.snapshot.clone(),
            state_hash: OnceLock::new(),
        })
    }

    /// The base that a message at the next slot leaves, under the same definition.
    pub(super) fn followed_by(&self, snapshot: Arc<[u8]>) -> Self {
        Self {
            process: self.process.clone(),
            slot: self.slot.next(),
            definition: self.definition.clone(),
            definition_hash: self.definition_hash,
            source: self.source.clone(),
            snapshot,
            state_hash: OnceLock::new(),
        }
    }

    /// The BLAKE3 hash of the snapshot's bytes. Computed by whoever asks first.
    pub fn state_hash(&self) -> [u8; 32] {
        *self.state_hash.get_or_init(|| *blake3::hash(&self.snapshot).as_bytes())
    }

    /// Memory that it holds, in bytes. A source that several bases share is counted in each.
    pub fn memory(&self) -> u64 {
        (size_of::<Self>() + size_of::<Definition>() + self.source.len() + self.snapshot.len()) as u64
    }
}

impl fmt::Debug for BaseState {
    /// Names it. The bytes would fill pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BaseState");
        shown.field("process", &self.process).field("slot", &self.slot);
        shown.field("size", &self.snapshot.len()).finish_non_exhaustive()
    }
}
