//! How late arbiters are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Snapshot;
use super::catalogue::{LAG, LAG_MAX, LAG_MEAN, LAG_MIN};
use crate::stats::Labels;

/// The latest lags of every arbiter.
#[derive(Debug)]
pub struct Lags {
    capacity: usize,
    rings: Mutex<BTreeMap<String, Arc<Ring>>>,
}

/// The latest lags of one arbiter. Each is one number; a thousand take 8 KB.
#[derive(Debug)]
pub struct Ring {
    capacity: usize,
    latest: Mutex<VecDeque<f64>>,
}

impl Lags {
    /// Keeps the newest `capacity` lags of each arbiter, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), rings: Mutex::default() }
    }

    /// The ring of an arbiter, the same one for the same name.
    pub fn ring(&self, arbiter: &str) -> Arc<Ring> {
        let mut rings = locked(&self.rings);
        let new = || Arc::new(Ring { capacity: self.capacity, latest: Mutex::default() });
        Arc::clone(rings.entry(arbiter.to_owned()).or_insert_with(new))
    }

    /// Writes the current, mean, greatest and least lag of each arbiter into a snapshot.
    pub fn show(&self, snapshot: &mut Snapshot) {
        for (arbiter, ring) in &*locked(&self.rings) {
            let Ok(labels) = Labels::from_pairs([("arbiter".to_owned(), arbiter.clone())]) else { continue };
            let latest = locked(&ring.latest);
            let Some(&current) = latest.back() else { continue };
            let mean = latest.iter().sum::<f64>() / latest.len() as f64;
            let (least, greatest) =
                (latest.iter().copied().fold(current, f64::min), latest.iter().copied().fold(current, f64::max));
            for (metric, value) in [(&LAG, current), (&LAG_MEAN, mean), (&LAG_MAX, greatest), (&LAG_MIN, least)] {
                snapshot.set(metric, &labels, value);
            }
        }
    }
}

impl Ring {
    /// Adds a lag, in the place of the oldest one where there are as many as may be.
    pub fn push(&self, lag: Duration) {
        let mut latest = locked(&self.latest);
        if latest.len() >= self.capacity {
            latest.pop_front();
        }
        latest.push_back(lag.as_secs_f64());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A ring is whole after each step, whoever died between two.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_lags_of_each_arbiter_are_summed_up() {
        let lags = Lags::new(3);
        lags.ring("idle");
        for millis in [900, 8, 2, 5] {
            lags.ring("b").push(Duration::from_millis(millis));
        }
        lags.ring("a").push(Duration::from_millis(7));
        let mut snapshot = Snapshot::default();
        lags.show(&mut snapshot);
        let shown: Vec<_> = snapshot
            .iter()
            .map(|(metric, labels, value)| (metric.name, labels.get("arbiter").unwrap(), (value * 1e6).round()))
            .collect();
        let names = [
            "mainstay_arbiter_lag_max_seconds",
            "mainstay_arbiter_lag_mean_seconds",
            "mainstay_arbiter_lag_min_seconds",
            "mainstay_arbiter_lag_seconds",
        ];
        let expected: Vec<_> = names
            .into_iter()
            .zip([[7e3, 8e3], [7e3, 5e3], [7e3, 2e3], [7e3, 5e3]])
            .flat_map(|(name, [a, b])| [(name, "a", a), (name, "b", b)])
            .collect();
        assert_eq!(shown, expected);
    }
}
