//! What lies behind the items of outboxes: read when one is delivered, and kept for those that come from the same slot.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::ids::{ProcessId, Slot};
use crate::process::{Computed, Entry, OutboxItem, OutboxKey};
use crate::store::{ReadError, Store};

/// So many bytes of slots are kept, roughly; one slot in any case.
const KEPT: u64 = 16 << 20;

/// The slot that items come from.
pub(super) struct Origin {
    pub(super) entry: Entry,
    pub(super) computed: Computed,
}

impl Origin {
    fn weight(&self) -> u64 {
        self.entry.weight().saturating_add(self.computed.outcome.weight())
    }
}

/// Where an item's content is.
pub(super) enum Content {
    /// In the slot's outcome.
    Outcome(Arc<Origin>),
    /// In the item itself, an outside process having sent it.
    Inline(OutboxItem),
    /// Nowhere.
    Missing,
}

/// The slots that were read last.
pub(super) struct Origins {
    store: Store,
    kept: HashMap<(ProcessId, Slot), Arc<Origin>>,
    /// The oldest first.
    order: VecDeque<(ProcessId, Slot)>,
    weight: u64,
}

impl Origins {
    pub(super) fn new(store: Store) -> Self {
        Self { store, kept: HashMap::new(), order: VecDeque::new(), weight: 0 }
    }

    /// The content of the item at `key` of the outbox of `source`. Reads a slot or an item where it is not at hand.
    pub(super) fn find(&mut self, source: &ProcessId, key: OutboxKey) -> Result<Content, ReadError> {
        let place = (source.clone(), key.slot);
        if let Some(origin) = self.kept.get(&place) {
            return Ok(Content::Outcome(origin.clone()));
        }
        if let Some(computed) = self.store.computed(source, key.slot)?
            && let Some(entry) = self.store.entry(source, key.slot)?
        {
            let origin = Arc::new(Origin { entry, computed });
            self.keep(place, origin.clone());
            return Ok(Content::Outcome(origin));
        }
        let next = self.store.outbox(source, before(key), 1)?;
        let inline = next.into_iter().find(|(found, item)| *found == key && matches!(item, OutboxItem::Inline { .. }));
        Ok(inline.map_or(Content::Missing, |(_, item)| Content::Inline(item)))
    }

    /// What was read of `source` is not needed any more.
    pub(super) fn forget(&mut self, source: &ProcessId) {
        if self.order.iter().any(|(process, _)| process == source) {
            self.order.retain(|(process, _)| process != source);
            self.kept.retain(|(process, _), _| process != source);
            self.weight = self.kept.values().map(|origin| origin.weight()).sum();
        }
    }

    fn keep(&mut self, place: (ProcessId, Slot), origin: Arc<Origin>) {
        self.weight = self.weight.saturating_add(origin.weight());
        self.order.push_back(place.clone());
        self.kept.insert(place, origin);
        while self.weight > KEPT
            && self.order.len() > 1
            && let Some(oldest) = self.order.pop_front()
        {
            let weight = self.kept.remove(&oldest).map_or(0, |origin| origin.weight());
            self.weight = self.weight.saturating_sub(weight);
        }
    }
}

/// The last place before `key`, if there is one.
fn before(OutboxKey { slot, index }: OutboxKey) -> Option<OutboxKey> {
    match index.checked_sub(1) {
        Some(index) => Some(OutboxKey { slot, index }),
        None => Some(OutboxKey { slot: Slot(slot.0.checked_sub(1)?), index: u32::MAX }),
    }
}
