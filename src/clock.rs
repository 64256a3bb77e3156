//! The one place that reads wall time, and the CPU time of threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since the Unix epoch.
pub type Millis = u64;

/// Where wall time comes from. Cheap to clone.
///
/// An anchored clock advances with tokio's monotonic clock and so follows a runtime whose time is paused.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Anchor>);

#[derive(Clone, Debug)]
struct Anchor {
    at: Instant,
    /// What the clock showed then; it wraps where the clock was set to before its first moment.
    wall: Arc<AtomicU64>,
}

impl Clock {
    /// The system's wall clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that shows `wall` now and from here on follows tokio's clock.
    pub fn anchored(wall: Millis) -> Self {
        Self(Some(Anchor { at: Instant::now(), wall: Arc::new(wall.into()) }))
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn now_ms(&self) -> Millis {
        match &self.0 {
            // A clock set before 1970 reads as 1970: timestamps within a log never run backwards anyway.
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, as_millis),
            Some(anchor) => anchor.wall.load(Ordering::Relaxed).wrapping_add(as_millis(anchor.at.elapsed())),
        }
    }

    /// An anchored clock and its clones show `wall` now, as if somebody had set them.
    #[cfg(test)]
    pub fn set(&self, wall: Millis) {
        let Self(Some(anchor)) = self else { panic!("the system's clock is not to be set") };
        anchor.wall.store(wall.wrapping_sub(as_millis(anchor.at.elapsed())), Ordering::Relaxed);
    }
}

/// CPU time that the calling thread has used. Unlike the clock on the wall it does not count others' turns on the core.
pub fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn as_millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_anchored_clock_follows_virtual_time() {
        let clock = Clock::anchored(1_000);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now_ms(), 3_601_000);
    }

    #[test]
    fn the_system_clock_is_past_2025() {
        assert!(Clock::system().now_ms() > 1_735_689_600_000);
    }
}
