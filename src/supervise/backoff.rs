//! Waiting times between tries.

use std::time::Duration;

/// Waiting times that double from the first to the longest.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first`, doubles up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// For faults of the machine met while computing: 100 ms to 30 s.
    pub fn for_faults() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(30))
    }

    /// For actors that die: 100 ms to a minute.
    pub fn for_restarts() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(60))
    }

    /// How long to wait now.
    #[must_use]
    pub fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (self.next * 2).min(self.longest);
        wait
    }

    /// All is well again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let waits: Vec<u64> = (0..5).map(|_| backoff.wait().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.wait().as_secs(), 1);
    }
}
