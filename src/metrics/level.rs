//! A part of a gauge that belongs to somebody.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::metrics::gauge::Gauge;

/// What somebody adds to a gauge that many share. It is taken back when this is dropped, however its owner ends.
#[derive(Debug)]
pub struct Level {
    gauge: Gauge,
    part: AtomicI64,
}

impl Level {
    /// A part of `gauge` of this size.
    pub fn new(gauge: &Gauge, part: u64) -> Self {
        let level = Self { gauge: gauge.clone(), part: AtomicI64::new(0) };
        level.set(part);
        level
    }

    /// Makes the part this large.
    pub fn set(&self, part: u64) {
        let part = i64::try_from(part).unwrap_or(i64::MAX);
        let before = self.part.swap(part, Ordering::Relaxed);
        self.gauge.inc_by(part.wrapping_sub(before));
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_the_sum_of_the_parts_that_are_held() {
        let gauge = Gauge::default();
        let (one, two) = (Level::new(&gauge, 1), Level::new(&gauge, 4));
        assert_eq!(gauge.get(), 5);
        one.set(10);
        two.set(2);
        assert_eq!(gauge.get(), 12);
        drop(one);
        assert_eq!(gauge.get(), 2);
        assert!(std::thread::spawn(move || two.set(u64::MAX)).join().is_ok());
        assert_eq!(gauge.get(), 0);
    }
}
