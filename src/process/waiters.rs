//! Who waits for a slot's outcome, in the order in which they came.

use std::collections::BTreeMap;

use crate::ids::Slot;

/// Waiters by the slot they wait for, and those who wait for whichever slot comes next.
#[derive(Debug)]
pub struct Waiters<R> {
    by_slot: BTreeMap<Slot, Vec<R>>,
    any: Vec<R>,
    /// How many are in `by_slot`, so that nobody has to count them for each request.
    of_slots: usize,
}

impl<R> Default for Waiters<R> {
    fn default() -> Self {
        Self { by_slot: BTreeMap::new(), any: Vec::new(), of_slots: 0 }
    }
}

impl<R> Waiters<R> {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.any.len() + self.of_slots
    }

    /// Adds one that waits for `slot`.
    pub fn push(&mut self, slot: Slot, waiter: R) {
        self.by_slot.entry(slot).or_default().push(waiter);
        self.of_slots += 1;
    }

    /// Adds one that waits for the next slot to be done, whichever it is.
    pub fn push_any(&mut self, waiter: R) {
        self.any.push(waiter);
    }

    /// Takes those who wait for `slot`, then those who wait for any, first come first.
    #[must_use]
    pub fn take(&mut self, slot: Slot) -> Vec<R> {
        let mut taken = self.by_slot.remove(&slot).unwrap_or_default();
        self.of_slots -= taken.len();
        taken.append(&mut self.any);
        taken
    }

    /// Takes everyone who waits for `slot` or a later one. Those who wait for any slot are taken with the slots they came after.
    #[must_use]
    pub fn take_from(&mut self, slot: Slot) -> Vec<R> {
        let mut taken: Vec<R> = self.by_slot.split_off(&slot).into_values().flatten().collect();
        self.of_slots -= taken.len();
        taken.append(&mut self.any);
        taken
    }

    /// Takes everyone, with the slot they wait for.
    #[must_use]
    pub fn take_all(&mut self) -> Vec<(Option<Slot>, R)> {
        let by_slot = std::mem::take(&mut self.by_slot);
        self.of_slots = 0;
        let mut all: Vec<_> =
            by_slot.into_iter().flat_map(|(slot, waiters)| waiters.into_iter().map(move |w| (Some(slot), w))).collect();
        all.extend(self.any.drain(..).map(|waiter| (None, waiter)));
        all
    }

    /// Forgets those of whom `gone` says that they no longer wait.
    pub fn forget(&mut self, mut gone: impl FnMut(&R) -> bool) {
        self.by_slot.retain(|_, waiters| {
            let before = waiters.len();
            waiters.retain(|waiter| !gone(waiter));
            self.of_slots -= before - waiters.len();
            !waiters.is_empty()
        });
        self.any.retain(|waiter| !gone(waiter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn three() -> Waiters<char> {
        let mut waiters = Waiters::default();
        for (slot, who) in [(2, 'a'), (1, 'b'), (2, 'c')] {
            waiters.push(Slot(slot), who);
        }
        waiters.push_any('d');
        waiters
    }

    #[test]
    fn a_slot_that_is_done_takes_its_own_in_order_and_then_those_for_any() {
        let mut waiters = three();
        assert_eq!(waiters.take(Slot(2)), ['a', 'c', 'd']);
        assert_eq!(waiters.take(Slot(2)), [] as [char; 0]);
        assert_eq!(waiters.len(), 1);
    }

    #[test]
    fn a_halt_takes_those_at_the_slot_and_later() {
        let mut waiters = three();
        assert_eq!(waiters.take_from(Slot(2)), ['a', 'c', 'd']);
        assert_eq!(waiters.take_all(), [(Some(Slot(1)), 'b')]);
        assert!(waiters.is_empty());
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_list(steps in prop::collection::vec((0u8..6, 0u64..5), 0..100)) {
            let mut waiters = Waiters::default();
            // Who waits for what, in the order in which they came.
            let mut plain: Vec<(Option<Slot>, usize)> = Vec::new();
            for (number, (step, slot)) in steps.into_iter().enumerate() {
                let slot = Slot(slot);
                let mut taken_of = |takes: &dyn Fn(Slot) -> bool| {
                    let mut taken: Vec<_> = plain.extract_if(.., |(of, _)| of.is_none_or(takes)).collect();
                    taken.sort_by_key(|(of, _)| (of.is_none(), *of));
                    taken.into_iter().map(|(_, who)| who).collect::<Vec<_>>()
                };
                match step {
                    0 | 1 => {
                        waiters.push(slot, number);
                        plain.push((Some(slot), number));
                    }
                    2 => {
                        waiters.push_any(number);
                        plain.push((None, number));
                    }
                    3 => prop_assert_eq!(waiters.take(slot), taken_of(&|of| of == slot)),
                    4 => prop_assert_eq!(waiters.take_from(slot), taken_of(&|of| of >= slot)),
                    _ => {
                        waiters.forget(|who| who % 5 == slot.0 as usize);
                        plain.retain(|(_, who)| who % 5 != slot.0 as usize);
                    }
                }
                prop_assert_eq!((waiters.len(), waiters.is_empty()), (plain.len(), plain.is_empty()));
            }
            plain.sort_by_key(|(of, _)| (of.is_none(), *of));
            prop_assert_eq!(waiters.take_all(), plain);
            prop_assert!(waiters.is_empty());
        }
    }

    #[test]
    fn those_who_left_are_forgotten() {
        let mut waiters = three();
        waiters.forget(|who| matches!(who, 'a' | 'd'));
        assert_eq!(waiters.take_all(), [(Some(Slot(1)), 'b'), (Some(Slot(2)), 'c')]);
    }
}
