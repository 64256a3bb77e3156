//! The clocks of the kernel that events and `/proc` are stamped with.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::clock::{Clock, Millis};

/// Nanoseconds since the machine began, sleep counted (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinceBoot(pub u64);

impl SinceBoot {
    /// The time now.
    pub fn now() -> Self {
        Self(read(BOOT))
    }

    /// `ticks` of the kernel's user-space clock, as `/proc/PID/stat` counts.
    pub fn from_ticks(ticks: u64) -> Self {
        Self(ticks.saturating_mul(tick()))
    }

    /// The time `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// How long it is from `earlier` to this; zero where it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

/// What must be added to a time of `CLOCK_MONOTONIC`, which stands still while the machine sleeps.
///
/// The two clocks are read one after the other; the least difference of a few tries is the one nobody was interrupted in.
#[cfg(target_os = "linux")]
pub(super) fn sleep_so_far() -> u64 {
    (0..3)
        .map(|_| {
            let monotonic = read(ClockId::Monotonic);
            read(BOOT).saturating_sub(monotonic)
        })
        .min()
        .unwrap_or(0)
}

/// Unix time of the machine's beginning, by the clock on the wall as it stands now.
pub(super) fn wall_at_boot() -> Millis {
    Clock::system().now_ms().saturating_sub(SinceBoot::now().0 / 1_000_000)
}

/// What tells this run of the machine from all others; `None` where the kernel doesn't say.
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Nanoseconds in one tick.
pub(super) fn tick() -> u64 {
    1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
