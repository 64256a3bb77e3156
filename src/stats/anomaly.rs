//! What is out of the ordinary, seen against what came just before.

use std::collections::VecDeque;

use serde::Serialize;

use super::moments::Moments;

/// Watches the values of one series for those that lie far from the mean of the ones before them.
///
/// A value is held against the `window` values before it, never against itself: in its own window of ten it could not be
/// more than three deviations away, however wild it is.
#[derive(Clone, Debug)]
pub struct AnomalyDetector {
    window: usize,
    threshold: f64,
    earlier: VecDeque<f64>,
}

/// A value that is out of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Anomaly {
    /// The value.
    pub value: f64,
    /// The mean of the values before it.
    pub mean: f64,
    /// Their deviation, that of the population.
    pub deviation: f64,
    /// How many deviations the value lies above the mean, or below it where negative; `None` where they do not deviate.
    pub z: Option<f64>,
}

impl AnomalyDetector {
    /// A detector that judges by the `window` values before, at least one. More than `threshold` deviations off is too far.
    pub fn new(window: usize, threshold: f64) -> Self {
        Self { window: window.max(1), threshold, earlier: VecDeque::new() }
    }

    /// Takes the next value and judges it; `None` is ordinary, or too early to tell.
    ///
    /// Whatever the verdict, the value belongs to the window of the next one. A value that is not finite is passed over.
    pub fn observe(&mut self, value: f64) -> Option<Anomaly> {
        if !value.is_finite() {
            return None;
        }
        let verdict = self.judge(value);
        if self.earlier.len() == self.window {
            self.earlier.pop_front();
        }
        self.earlier.push_back(value);
        verdict
    }

    fn judge(&self, value: f64) -> Option<Anomaly> {
        if self.earlier.len() < self.window {
            return None;
        }
        let Moments { mean, deviation, .. } = Moments::of(self.earlier.iter().copied())?;
        if deviation == 0.0 {
            return (value != mean).then_some(Anomaly { value, mean, deviation, z: None });
        }
        let z = (value - mean) / deviation;
        (z.abs() > self.threshold).then_some(Anomaly { value, mean, deviation, z: Some(z) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(window: usize, threshold: f64, values: &[f64]) -> Vec<Option<Anomaly>> {
        let mut detector = AnomalyDetector::new(window, threshold);
        values.iter().map(|&value| detector.observe(value)).collect()
    }

    #[test]
    fn a_value_far_from_those_before_it_is_an_anomaly() {
        // Mean 2 and deviation 1 before the fifth value.
        for (value, z) in [(5.0, None), (5.001, Some(3.001)), (-1.0, None), (-1.5, Some(-3.5)), (2.0, None)] {
            let found = verdicts(4, 3.0, &[1.0, 3.0, 1.0, 3.0, value])[4];
            let found = found.map(|anomaly| {
                assert_eq!((anomaly.value, anomaly.mean, anomaly.deviation), (value, 2.0, 1.0));
                anomaly.z.unwrap()
            });
            assert_eq!(found.is_some(), z.is_some(), "{value}");
            assert!((found.unwrap_or(0.0) - z.unwrap_or(0.0)).abs() < 1e-12, "{value}: {found:?}");
        }
    }

    #[test]
    fn there_is_no_verdict_before_the_window_is_full() {
        let found = verdicts(3, 1.0, &[1.0, 900.0, -900.0, 1e9]);
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, false, true]);
    }

    #[test]
    fn what_never_changed_and_changes_is_an_anomaly_without_z() {
        // Three tenths do not add up to what three times a tenth is.
        let found = verdicts(3, 3.0, &[0.1, 0.1, 0.1, 0.1, 0.2]);
        assert_eq!(found[3], None);
        assert_eq!(found[4], Some(Anomaly { value: 0.2, mean: 0.1, deviation: 0.0, z: None }));
        let empty = verdicts(0, 3.0, &[1.0, 1.0, 2.0]);
        assert_eq!(empty.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn an_anomaly_belongs_to_the_window_of_the_next_value_and_leaves_it_in_time() {
        let mut values = vec![1.0, 3.0, 1.0, 3.0, 1_000.0, 1_000.0];
        values.extend([1.0, 3.0, 1.0, 3.0, 1_000.0]);
        let found = verdicts(4, 3.0, &values);
        let at: Vec<usize> = (0..found.len()).filter(|&at| found[at].is_some()).collect();
        assert_eq!(at, [4, 10]);
    }

    #[test]
    fn values_that_are_not_finite_are_passed_over() {
        let found = verdicts(2, 3.0, &[1.0, f64::NAN, f64::INFINITY, 1.0, f64::NEG_INFINITY, 2.0]);
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, false, false, false, true]);
    }
}
