//! The newest samples of one series.

use std::collections::VecDeque;

use crate::clock::Millis;

/// When a value was measured, and the value.
pub type Sample = (Millis, f64);

/// A ring of samples in the order of their times, no two at the same one. 16 bytes a sample, allocated as it fills.
#[derive(Clone, Debug)]
pub struct Series {
    samples: VecDeque<Sample>,
    capacity: usize,
}

impl Series {
    /// An empty series that keeps the newest `capacity` samples, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { samples: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// Adds what is measured now, and says how many samples lay ahead of that time and were dropped.
    ///
    /// Those were taken before somebody set the clock back, so nobody can say when they were. A sample of the very same
    /// time is replaced. A clock that is set ahead leaves a gap.
    pub fn push(&mut self, now: Millis, value: f64) -> usize {
        let before = self.samples.len();
        while self.samples.back().is_some_and(|&(time, _)| time > now) {
            self.samples.pop_back();
        }
        let ahead = before - self.samples.len();
        match self.samples.back_mut() {
            Some(last) if last.0 == now => last.1 = value,
            _ => self.append((now, value)),
        }
        ahead
    }

    fn append(&mut self, sample: Sample) {
        let held = self.samples.len();
        if held >= self.capacity {
            self.samples.pop_front();
        } else if held == self.samples.capacity() {
            self.samples.reserve_exact(held.max(8).min(self.capacity - held));
        }
        self.samples.push_back(sample);
    }

    /// The samples from `since` on, in the order of their times.
    pub fn since(&self, since: Millis) -> impl ExactSizeIterator<Item = Sample> {
        let first = self.samples.partition_point(|&(time, _)| time < since);
        self.samples.range(first..).copied()
    }

    /// The newest sample.
    pub fn last(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(series: &Series) -> Vec<Sample> {
        series.since(0).collect()
    }

    #[test]
    fn the_newest_samples_are_kept() {
        let mut series = Series::new(3);
        for now in 1..=5 {
            assert_eq!(series.push(now, now as f64), 0);
        }
        assert_eq!(of(&series), [(3, 3.0), (4, 4.0), (5, 5.0)]);
        for (since, expected) in [(0, 3), (3, 3), (4, 2), (5, 1), (6, 0), (Millis::MAX, 0)] {
            assert_eq!(series.since(since).len(), expected, "since {since}");
        }
    }

    #[test]
    fn a_clock_that_jumps_leaves_the_samples_in_order() {
        let mut series = Series::new(10);
        for (now, value, ahead, expected) in [
            (10, 1.0, 0, vec![(10, 1.0)]),
            (20, 2.0, 0, vec![(10, 1.0), (20, 2.0)]),
            (9_000, 3.0, 0, vec![(10, 1.0), (20, 2.0), (9_000, 3.0)]),
            (9_010, 4.0, 0, vec![(10, 1.0), (20, 2.0), (9_000, 3.0), (9_010, 4.0)]),
            (30, 5.0, 2, vec![(10, 1.0), (20, 2.0), (30, 5.0)]),
            (30, 6.0, 0, vec![(10, 1.0), (20, 2.0), (30, 6.0)]),
            (20, 7.0, 1, vec![(10, 1.0), (20, 7.0)]),
            (0, 8.0, 2, vec![(0, 8.0)]),
            (Millis::MAX, 9.0, 0, vec![(0, 8.0), (Millis::MAX, 9.0)]),
        ] {
            assert_eq!(series.push(now, value), ahead, "at {now}");
            assert_eq!(of(&series), expected, "at {now}");
        }
    }

    proptest! {
        #[test]
        fn times_ascend_and_memory_is_bounded_whatever_the_clock_does(
            capacity in 0_usize..20,
            times in proptest::collection::vec(0_u64..50, 0..100),
        ) {
            let mut series = Series::new(capacity);
            for (at, now) in times.into_iter().enumerate() {
                series.push(now, at as f64);
                prop_assert_eq!(series.last(), Some((now, at as f64)));
                prop_assert!(series.len() <= capacity.max(1));
                prop_assert!(series.samples.capacity() <= capacity.max(1));
                prop_assert!(of(&series).is_sorted_by(|a, b| a.0 < b.0));
            }
        }
    }
}
