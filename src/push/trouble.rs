//! Failures in a row: how long to wait, and which of them a person reads of.

use crate::clock::Millis;
use crate::supervise::Backoff;

/// So many failures in a row make one line in the log, after the first.
const NOTED: u32 = 10;

/// Failures in a row, since all was well last.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    failures: u32,
    backoff: Backoff,
}

impl Trouble {
    pub(super) fn none() -> Self {
        Self { failures: 0, backoff: Backoff::for_faults() }
    }

    /// No failures so far, but as long a wait after the first as after the next one here.
    pub(super) fn passed_on(&self) -> Self {
        Self { failures: 0, backoff: self.backoff.clone() }
    }

    /// One more. Returns how long to wait, in milliseconds: between half and all of a time that doubles, as `jitter` says.
    pub(super) fn grow(&mut self, jitter: u16) -> Millis {
        self.failures = self.failures.saturating_add(1);
        let whole = Millis::try_from(self.backoff.wait().as_millis()).unwrap_or(Millis::MAX);
        let half = whole / 2;
        (whole - half) + half * Millis::from(jitter) / Millis::from(u16::MAX)
    }

    /// How many failures in a row there were, where that is worth a line in the log: the first, and each tenth.
    pub(super) fn noted(&self) -> Option<u32> {
        Some(self.failures).filter(|&count| count == 1 || (count > 0 && count % NOTED == 0))
    }

    /// All is well. Returns how many failures there were.
    pub(super) fn end(&mut self) -> u32 {
        self.backoff.reset();
        std::mem::take(&mut self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_100_ms_to_30_s_and_jitter_takes_half_at_most() {
        let waits = |jitter| {
            let mut trouble = Trouble::none();
            (0..11).map(|_| trouble.grow(jitter)).collect::<Vec<_>>()
        };
        assert_eq!(waits(u16::MAX), [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(waits(0), [50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000]);
    }

    #[test]
    fn the_first_and_each_tenth_are_noted_and_it_starts_over_when_all_is_well() {
        let mut trouble = Trouble::none();
        assert_eq!(trouble.noted(), None);
        let mut noted = |count| {
            let mut grow = || {
                trouble.grow(0);
                trouble.noted()
            };
            (0..count).filter_map(|_| grow()).collect::<Vec<_>>()
        };
        assert_eq!(noted(25), [1, 10, 20]);
        assert_eq!(trouble.end(), 25);
        assert_eq!((trouble.grow(u16::MAX), trouble.noted()), (100, Some(1)));
        let mut other = trouble.passed_on();
        assert_eq!((other.noted(), other.grow(u16::MAX), other.noted()), (None, 200, Some(1)));
    }
}
