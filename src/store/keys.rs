//! Where records lie. A key of a process begins `shard ‖ id ‖ 0x00`: no id holds a zero byte, so no prefix of one process
//! is a prefix of another's, and everything of a shard lies together.

use std::ops::Range;

use crate::ids::{BlobHash, MessageId, ProcessId, Slot};
use crate::process::Origin;

/// In [`Space::Meta`](super::engine::Space::Meta): the number of the last batch, as 8 bytes big-endian. It is the first
/// record of every batch, so that it can be found in a torn one too.
pub const SEQUENCE: &[u8] = b"sequence";

/// In [`Space::Meta`](super::engine::Space::Meta): how many processes there are, as 8 bytes big-endian.
pub const PROCESSES: &[u8] = b"processes";

/// Just above every key of ASCII text.
const ABOVE_TEXT: u8 = 0x80;

/// The beginning of every key of `process`.
fn prefix(process: &ProcessId) -> Vec<u8> {
    let id = process.as_str().as_bytes();
    // Room for the longest that follows: an origin and a message id.
    let mut key = Vec::with_capacity(id.len() + 2 + 1 + MessageId::LEN);
    key.push(process.shard().0);
    key.extend_from_slice(id);
    key.push(0);
    key
}

/// The key of a process's record, and of what there is once for each process.
pub fn process(process: &ProcessId) -> Vec<u8> {
    process.as_str().as_bytes().to_vec()
}

/// The keys of processes in order of id: those after `after`, or all.
pub fn processes_after(after: Option<&ProcessId>) -> Range<Vec<u8>> {
    let start = after.map_or_else(Vec::new, |id| [id.as_str().as_bytes(), &[0]].concat());
    start..vec![ABOVE_TEXT]
}

/// The key of `slot`.
pub fn slot(process: &ProcessId, slot: Slot) -> Vec<u8> {
    let mut key = prefix(process);
    key.extend_from_slice(&slot.0.to_be_bytes());
    key
}

/// The keys of the slots `first..=last`.
pub fn slots(process: &ProcessId, first: Slot, last: Slot) -> Range<Vec<u8>> {
    let mut end = slot(process, last);
    end.push(0);
    slot(process, first)..end
}

/// The slot of a key that ends with one.
pub fn slot_of(key: &[u8]) -> Option<Slot> {
    key.last_chunk().map(|bytes| Slot(u64::from_be_bytes(*bytes)))
}

/// The key of a message id.
pub fn message_id(process: &ProcessId, origin: Origin, id: &MessageId) -> Vec<u8> {
    let mut key = prefix(process);
    key.push(match origin {
        Origin::Client => 1,
        Origin::Node => 2,
    });
    key.extend_from_slice(id.as_str().as_bytes());
    key
}

/// The key of a blob: processes of one shard share equal ones.
pub fn blob(process: &ProcessId, hash: &BlobHash) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + hash.0.len());
    key.push(process.shard().0);
    key.extend_from_slice(&hash.0);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_id() -> impl Strategy<Value = ProcessId> {
        // Few letters, so that ids are often prefixes of each other.
        "[ab-]{1,4}".prop_map(|text| ProcessId::parse(&text).unwrap())
    }

    proptest! {
        #[test]
        fn a_range_of_slots_holds_exactly_these_slots_of_this_process(
            (a, b) in (any_id(), any_id()),
            (first, last, at) in (0..5u64, 0..5u64, 0..5u64),
            far in any::<bool>(),
        ) {
            let at = if far { u64::MAX - at } else { at };
            let last = if far { u64::MAX - last } else { last };
            let range = slots(&a, Slot(first), Slot(last));
            let inside = a == b && (first..=last).contains(&at);
            prop_assert_eq!(range.contains(&slot(&b, Slot(at))), inside);
        }

        #[test]
        fn keys_of_slots_sort_as_slots_do(id in any_id(), a in any::<u64>(), b in any::<u64>()) {
            prop_assert_eq!(slot(&id, Slot(a)).cmp(&slot(&id, Slot(b))), a.cmp(&b));
            prop_assert_eq!(slot_of(&slot(&id, Slot(a))), Some(Slot(a)));
        }

        #[test]
        fn the_processes_after_one_are_those_with_greater_ids(a in any_id(), b in any_id()) {
            prop_assert_eq!(processes_after(Some(&a)).contains(&process(&b)), b > a);
            prop_assert!(processes_after(None).contains(&process(&b)));
        }

        #[test]
        fn ids_of_two_processes_or_roads_never_meet(a in any_id(), b in any_id(), text in "[a-z]{43}") {
            let id = MessageId::parse(&text).unwrap();
            prop_assert_ne!(message_id(&a, Origin::Client, &id), message_id(&b, Origin::Node, &id));
            let same = message_id(&a, Origin::Client, &id) == message_id(&b, Origin::Client, &id);
            prop_assert_eq!(same, a == b);
        }
    }
}
