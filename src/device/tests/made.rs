//! What a device under test is given.

use crate::config::limits::Limits;
use crate::ids::{MessageId, Slot};
use crate::process::{Defaults, Definition, DeviceKind, Entry, ErrorStrategy, Message, Specification, Tag};

/// The definition of a process that says no more than this.
pub(in crate::device) fn definition(device: DeviceKind, engine: &str, source: &[u8], limits: &Limits) -> Definition {
    let defaults = Defaults { limits: limits.clone(), error_strategy: ErrorStrategy::Ignore };
    Specification::new(device, source).resolve(&defaults, engine)
}

/// A message at its slot, for the process `tested`.
pub(in crate::device) fn entry(slot: u64, data: &str, tags: &[(&str, &str)]) -> Entry {
    let message = Message {
        id: MessageId::derived(&[&slot.to_le_bytes()]),
        from: "local".to_owned(),
        owner: "owner".to_owned(),
        target: "tested".to_owned(),
        anchor: String::new(),
        tags: tags.iter().map(|(name, value)| Tag::new(*name, *value)).collect(),
        data: data.to_owned(),
        timestamp: 1_700_000_000_000 + slot,
    };
    Entry::of_client(Slot(slot), message)
}
