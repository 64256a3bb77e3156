//! What is due when.

use std::collections::BTreeMap;

use crate::clock::Millis;

/// The place of something that is due: when, and a number that tells apart what is due at the same time.
pub(super) type TimerId = (Millis, u64);

/// What is due later. Whoever owns it says the time and is told when to come again.
#[derive(Debug)]
pub(super) struct Timers<T> {
    due: BTreeMap<TimerId, T>,
    set: u64,
    announced: Option<Millis>,
}

impl<T> Timers<T> {
    pub(super) fn new() -> Self {
        Self { due: BTreeMap::new(), set: 0, announced: None }
    }

    pub(super) fn set(&mut self, at: Millis, what: T) -> TimerId {
        self.set = self.set.wrapping_add(1);
        self.due.insert((at, self.set), what);
        (at, self.set)
    }

    pub(super) fn cancel(&mut self, id: TimerId) {
        self.due.remove(&id);
    }

    /// Takes one thing that is due at `now`, the longest overdue first.
    pub(super) fn take(&mut self, now: Millis) -> Option<(TimerId, T)> {
        if self.announced.is_some_and(|at| at <= now) {
            self.announced = None;
        }
        let first = self.due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove_entry())
    }

    /// When to come, where that is sooner than whatever was said before.
    pub(super) fn announce(&mut self) -> Option<Millis> {
        let (first, _) = *self.due.first_key_value()?.0;
        if self.announced.is_some_and(|at| at <= first) {
            return None;
        }
        self.announced = Some(first);
        self.announced
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sooner_times_are_announced_and_each_thing_is_taken_once() {
        let mut timers = Timers::new();
        assert_eq!(timers.announce(), None);
        let slow = timers.set(50, "slow");
        assert_eq!((timers.announce(), timers.announce()), (Some(50), None));
        timers.set(70, "slower");
        assert_eq!(timers.announce(), None);
        timers.set(20, "soon");
        assert_eq!(timers.announce(), Some(20));
        let mut take = |now| timers.take(now).map(|(_, what)| what);
        assert_eq!((take(19), take(20), take(20)), (None, Some("soon"), None));
        assert_eq!(timers.announce(), Some(50));
        timers.cancel(slow);
        assert_eq!((timers.take(60), timers.announce()), (None, Some(70)));
        assert_eq!((timers.take(100), timers.announce(), timers.len()), (Some(((70, 2), "slower")), None, 0));
    }
}
