//! A short wait of a thread that has nobody to be woken by.

use std::time::Duration;

use rustix::event::{Timespec, poll};

/// Returns after `time`, or sooner.
pub(super) fn pause(time: Duration) {
    let _ = poll(&mut [], Some(&timespec(time)));
}

/// `time` as the system takes it.
pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(time.subsec_nanos()) }
}
