//! The names of what an outcome sends: functions of the sender and of the place in its outbox alone, so that whoever meets a
//! thing a second time knows it again.

use crate::ids::{MessageId, ProcessId};
use crate::process::OutboxKey;

/// The id that the item at `key` of `source`'s outbox is delivered under.
pub fn message_id(source: &ProcessId, key: OutboxKey) -> MessageId {
    let (slot, index) = (key.slot.0.to_le_bytes(), key.index.to_le_bytes());
    MessageId::derived(&[b"push", source.as_str().as_bytes(), &slot, &index])
}

/// The id of the process that the item at `key` of `source`'s outbox creates: 43 characters of base64url.
pub fn child_id(source: &ProcessId, key: OutboxKey) -> ProcessId {
    let (slot, index) = (key.slot.0.to_le_bytes(), key.index.to_le_bytes());
    ProcessId::derived(&[b"spawn", source.as_str().as_bytes(), &slot, &index])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ids::Slot;

    fn key(slot: u64, index: u32) -> OutboxKey {
        OutboxKey { slot: Slot(slot), index }
    }

    /// Stored logs hold these names: they must never change.
    #[test]
    fn names_are_the_same_for_ever() {
        let source = ProcessId::parse("counter").unwrap();
        for (slot, index, message, child) in [
            (0, 0, "dpVpS0OBQ9gM2ECkNxxaxi477VnZEE-dCbDJvgqV6_M", "Hvrsj0IF4o7wjUcWn6nampXxfSg8p3nFcunVWIpDGm0"),
            (7, 3, "metMYXHwi030C2JgsVehbpE5JDecrWdBh1zSeHgwvcM", "76Ay6NXtMpqDGoj-Aekcf_xDVrf19iRvncBDa4PRNts"),
            (
                u64::MAX,
                u32::MAX,
                "eeMbDTYt2xW1Q9UxHEX4x1OmK13Ws8FqAZUvs5sVKGo",
                "CYoyvhPoqsVgcIusnv71cNWMqrI9VG4zl62P5TEMyw8",
            ),
        ] {
            let key = key(slot, index);
            assert_eq!((message_id(&source, key).as_str(), child_id(&source, key).as_str()), (message, child));
        }
    }

    #[test]
    fn names_differ_wherever_something_differs() {
        let mut names = BTreeSet::new();
        for source in ["a", "b", "ab"] {
            let source = ProcessId::parse(source).unwrap();
            for key in [key(0, 1), key(1, 0), key(1, 1), key(256, 0)] {
                names.insert(message_id(&source, key).to_string());
                names.insert(child_id(&source, key).to_string());
            }
        }
        assert_eq!(names.len(), 24);
        for name in &names {
            assert!(MessageId::parse(name).is_ok() && ProcessId::parse(name).is_ok(), "{name}");
        }
    }
}
