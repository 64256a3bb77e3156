//! A page of a log while it is gathered, and where its slots come from.

use serde::de::DeserializeOwned;

use super::codec::decode;
use super::contract::{Order, Page, PageQuery};
use crate::ids::Slot;

/// Slots in a row that lie in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// In the store.
    Stored(Slot, Slot),
    /// In archives.
    Archived(Slot, Slot),
}

/// The slots of `query` by where they lie, in its order, of a log whose slots `archived` are in archives.
pub(super) fn sections(query: &PageQuery, archived: Option<(Slot, Slot)>) -> Vec<Section> {
    let PageQuery { first, last, .. } = *query;
    let Some((from, through)) = archived else { return vec![Section::Stored(first, last)] };
    let within = |from: Slot, through: Slot| {
        let (from, through) = (first.max(from), last.min(through));
        (from <= through).then_some((from, through))
    };
    let before = from.before().and_then(|before| within(Slot::ZERO, before));
    let after = through.0.checked_add(1).and_then(|next| within(Slot(next), Slot(u64::MAX)));
    let parts = [
        before.map(|(first, last)| Section::Stored(first, last)),
        within(from, through).map(|(first, last)| Section::Archived(first, last)),
        after.map(|(first, last)| Section::Stored(first, last)),
    ];
    let mut sections: Vec<_> = parts.into_iter().flatten().collect();
    if query.order == Order::Descending {
        sections.reverse();
    }
    sections
}

/// A page that takes one slot after the other.
pub(super) struct Paging<'a, T> {
    query: &'a PageQuery,
    page: Page<T>,
    bytes: u64,
    expected: Option<Slot>,
}

impl<'a, T: DeserializeOwned> Paging<'a, T> {
    /// An empty page for `query`.
    pub(super) fn new(query: &'a PageQuery) -> Self {
        let expected = (query.order == Order::Ascending).then_some(query.first);
        Self { query, page: Page { items: Vec::new(), more: false }, bytes: 0, expected }
    }

    /// Takes the value of the next slot, unless the page is full. Whether it goes on; an error says what is wrong with the
    /// log.
    pub(super) fn take(&mut self, slot: Slot, value: &[u8]) -> Result<bool, String> {
        if self.expected.is_some_and(|expected| expected != slot) {
            return Err(format!("slot {slot} comes where another should"));
        }
        let items = &mut self.page.items;
        if items.len() >= self.query.limit || (self.bytes >= self.query.bytes && !items.is_empty()) {
            self.page.more = true;
            return Ok(false);
        }
        items.push(decode(value).map_err(|error| format!("slot {slot}: {error}"))?);
        self.bytes = self.bytes.saturating_add(value.len() as u64);
        self.expected = self.query.order.after(slot);
        Ok(true)
    }

    /// Whether there is more than it can take.
    pub(super) fn is_over(&self) -> bool {
        self.page.more
    }

    /// The page.
    pub(super) fn end(self) -> Page<T> {
        self.page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sections_hold_each_slot_once_and_in_order(
            (first, last) in (0..12u64, 0..12u64),
            archived in proptest::option::of((1..12u64, 0..6u64)),
            is_descending in any::<bool>(),
        ) {
            let archived = archived.map(|(first, more)| (Slot(first), Slot(first + more)));
            let order = if is_descending { Order::Descending } else { Order::Ascending };
            let query = PageQuery { first: Slot(first), last: Slot(last.max(first)), limit: 9, bytes: 9, order };
            let mut slots = Vec::new();
            for section in sections(&query, archived) {
                let (Section::Stored(first, last) | Section::Archived(first, last)) = section;
                let mut part: Vec<_> = (first.0..=last.0).collect();
                let is_archived = matches!(section, Section::Archived(..));
                for slot in &part {
                    let lies = archived.is_some_and(|(first, last)| (first.0..=last.0).contains(slot));
                    prop_assert_eq!(is_archived, lies, "slot {}", slot);
                }
                if is_descending {
                    part.reverse();
                }
                slots.append(&mut part);
            }
            let mut expected: Vec<_> = (first..=last.max(first)).collect();
            if is_descending {
                expected.reverse();
            }
            prop_assert_eq!(slots, expected);
        }
    }
}
