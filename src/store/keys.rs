//! Where records lie. A key of a process begins `shard ‖ id ‖ 0x00`: no id holds a zero byte, so no prefix of one process
//! is a prefix of another's, and everything of a shard lies together.

use std::ops::Range;

use crate::ids::{BlobHash, MessageId, ProcessId, Slot};
use crate::process::{MarkSource, Origin, OutboxKey};

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
        Origin::Cron => 3,
        Origin::Push => 4,
        Origin::Watch => 5,
        Origin::Alert => 6,
    });
    key.extend_from_slice(id.as_str().as_bytes());
    key
}

/// The key of the last position of `source`.
pub fn mark(process: &ProcessId, source: &MarkSource) -> Vec<u8> {
    let mut key = prefix(process);
    key.extend_from_slice(source.as_str().as_bytes());
    key
}

/// The keys of the sources whose names begin with `beginning`.
pub fn marks(process: &ProcessId, beginning: &str) -> Range<Vec<u8>> {
    let mut start = prefix(process);
    start.extend_from_slice(beginning.as_bytes());
    let end = [start.as_slice(), &[ABOVE_TEXT]].concat();
    start..end
}

/// What follows the process in the key of one of its records.
pub fn rest<'a>(process: &ProcessId, key: &'a [u8]) -> Option<&'a [u8]> {
    key.strip_prefix(prefix(process).as_slice())
}

/// The key of an item of the outbox of `source`.
pub fn outbox_item(source: &ProcessId, item: OutboxKey) -> Vec<u8> {
    let mut key = slot(source, item.slot);
    key.extend_from_slice(&item.index.to_be_bytes());
    key
}

/// The keys of the items in the outbox of `source`: those after `after`, or all.
pub fn outbox_after(source: &ProcessId, after: Option<OutboxKey>) -> Range<Vec<u8>> {
    let start = after.map_or_else(|| prefix(source), |after| [outbox_item(source, after).as_slice(), &[0]].concat());
    start..past(source)
}

/// The item of a key of an outbox.
pub fn outbox_key_of(key: &[u8]) -> Option<OutboxKey> {
    let (rest, index) = key.split_last_chunk()?;
    Some(OutboxKey { slot: slot_of(rest)?, index: u32::from_be_bytes(*index) })
}

/// The keys of the records of all processes after `after` in order of shard and id, or of all.
pub fn shards_after(after: Option<&ProcessId>) -> Range<Vec<u8>> {
    after.map_or_else(Vec::new, past)..vec![u8::MAX, ABOVE_TEXT]
}

/// The process whose record a key is that begins with shard and id.
pub fn process_of(key: &[u8]) -> Option<ProcessId> {
    let id = key.get(1..)?.split(|byte| *byte == 0).next()?;
    ProcessId::parse(std::str::from_utf8(id).ok()?).ok()
}

/// Just above every key that begins with [`prefix`].
fn past(process: &ProcessId) -> Vec<u8> {
    let mut key = prefix(process);
    if let Some(separator) = key.last_mut() {
        *separator = 1;
    }
    key
}

/// The key of what could not be delivered.
pub fn dead_letter(id: &MessageId) -> Vec<u8> {
    id.as_str().as_bytes().to_vec()
}

/// The keys of what could not be delivered, in order of id: those after `after`, or all.
pub fn dead_letters_after(after: Option<&MessageId>) -> Range<Vec<u8>> {
    let start = after.map_or_else(Vec::new, |id| [id.as_str().as_bytes(), &[0]].concat());
    start..vec![ABOVE_TEXT]
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

        #[test]
        fn an_outbox_holds_its_own_items_in_order(
            (a, b) in (any_id(), any_id()),
            (x, y) in (any::<(u64, u32)>(), any::<(u64, u32)>()),
        ) {
            let [x, y] = [x, y].map(|(slot, index)| OutboxKey { slot: Slot(slot), index });
            let (in_a, in_b) = (outbox_item(&a, x), outbox_item(&b, y));
            prop_assert_eq!(outbox_key_of(&in_a), Some(x));
            prop_assert_eq!(process_of(&in_a), Some(a.clone()));
            prop_assert_eq!(outbox_after(&a, None).contains(&in_b), a == b);
            prop_assert_eq!(outbox_after(&a, Some(x)).contains(&in_b), a == b && y > x);
            let is_after = (b.shard(), &b) > (a.shard(), &a);
            prop_assert_eq!(shards_after(Some(&a)).contains(&in_b), is_after);
            prop_assert!(shards_after(None).contains(&in_b));
        }

        #[test]
        fn marks_are_found_by_the_beginning_of_their_source(
            (a, b) in (any_id(), any_id()),
            (name, beginning) in ("[!-~]{1,3}", "[!-~]{0,2}"),
        ) {
            let key = mark(&b, &MarkSource::parse(&name).unwrap());
            prop_assert_eq!(marks(&a, &beginning).contains(&key), a == b && name.starts_with(&beginning));
            prop_assert_eq!(rest(&a, &key), (a == b).then_some(name.as_bytes()));
        }
    }
}
