//! What a message would do, tried on a copy.

use super::{Call, DeviceError, DeviceFactory, Interrupt, LogReader};
use crate::ids::ProcessId;
use crate::process::worker::Base;
use crate::process::{Definition, Entry, EntryKind, Message, Origin, Outcome};

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DryRunError {
    /// The device has no such thing.
    #[error("{0}")]
    NotSupported(String),
    /// The copy could not be made or used.
    #[error("{0}")]
    Failed(String),
}

impl From<DeviceError> for DryRunError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::NotSupported(_) => Self::NotSupported(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Applies `message` to a copy of the state `base`. Neither log nor state are touched.
pub fn dry_run(
    factory: &dyn DeviceFactory,
    log: &dyn LogReader,
    process: &ProcessId,
    base: &Base,
    message: Message,
) -> Result<Outcome, DryRunError> {
    let read = |what: Result<_, String>| what.map_err(DryRunError::Failed);
    let missing = |what: String| DryRunError::Failed(format!("{what} of process {process} is missing in the store"));
    let entry = read(log.entry(process, base.definition))?;
    let entry = entry.ok_or_else(|| missing(format!("definition slot {}", base.definition)))?;
    let definition: Definition = serde_json::from_str(&entry.message.data)
        .map_err(|error| DryRunError::Failed(format!("slot {} holds no definition: {error}", base.definition)))?;
    let hash = definition.specification.source;
    let source = log.blob(process, hash).map_err(DryRunError::Failed)?;
    let source = source.ok_or_else(|| missing(format!("source {hash}")))?;
    let mut copy = factory.create(process, &definition, &source, Interrupt::default())?;
    copy.restore(&base.snapshot)?;
    let entry = Entry { slot: base.slot.next(), origin: Origin::Client, kind: EntryKind::Message, message };
    match copy.dry_run(&entry)? {
        Call::Done(_, outcome) => Ok(outcome),
        Call::Interrupted => Err(DryRunError::Failed("the node is stopping".to_owned())),
    }
}
