//! Wall times from times since the machine began.

use std::time::Duration;

use crate::clock::Millis;
use crate::host::clock::{SinceBoot, wall_at_boot};

/// The most that a reading of two clocks may differ from the one before without anybody having set the wall clock.
const JITTER: Millis = 1000;

/// When the machine began. Moves only when the wall clock is set, so that start times are the same at each look.
#[derive(Debug)]
pub(super) struct Boot(Millis);

impl Boot {
    pub(super) fn new() -> Self {
        Self(wall_at_boot())
    }

    /// Follows the wall clock if it was set since.
    pub(super) fn follow(&mut self) {
        self.follow_to(wall_at_boot());
    }

    fn follow_to(&mut self, now: Millis) {
        if now.abs_diff(self.0) > JITTER {
            self.0 = now;
        }
    }

    /// The wall time of a moment in ticks since the machine began.
    pub(super) fn wall(&self, ticks: u64) -> Millis {
        self.0.saturating_add(SinceBoot::from_ticks(ticks).0 / 1_000_000)
    }
}

/// A time counted in the kernel's ticks.
pub(super) fn ticks(ticks: u64) -> Duration {
    Duration::from_nanos(SinceBoot::from_ticks(ticks).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_stand_still_until_the_wall_clock_is_set() {
        let mut boot = Boot(1_000_000);
        for (now, expected) in
            [(1_000_400, 1_000_000), (999_000, 1_000_000), (1_001_001, 1_001_001), (5_000_000, 5_000_000), (0, 0)]
        {
            boot.follow_to(now);
            assert_eq!(boot.wall(0), expected);
        }
        let second = rustix::param::clock_ticks_per_second();
        assert_eq!((boot.wall(3 * second), ticks(3 * second)), (3000, Duration::from_secs(3)));
    }
}
