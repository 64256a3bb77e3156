//! Everything that is said about a stretch of a series.

use serde::Serialize;

use super::Sample;
use super::moments::{Moments, Sum, slope};

#[cfg(test)]
mod tests;

/// What a set of samples is like. Serializes with the keys of `/stats`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many samples there are, at least one.
    pub count: usize,
    /// Their sum; infinite where it is past the largest number.
    pub sum: f64,
    /// Their arithmetic mean.
    pub mean: f64,
    /// The value in the middle, the same as `p50`.
    pub median: f64,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// The 50th percentile: linear between the two ranks around `(count − 1) × 0.50`, counted from 0.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The deviation of the population: the root of the mean square of what separates the values from their mean.
    pub std_dev: f64,
    /// The rise per second of the line that fits best; `None` unless there are samples of two times.
    pub slope: Option<f64>,
}

impl Summary {
    /// The summary of these samples; `None` without any. What is not finite is left out.
    pub fn of(samples: &[Sample]) -> Option<Self> {
        let samples = &*finite(samples);
        let values = samples.iter().map(|&(_, value)| value);
        let Moments { min, max, mean, deviation } = Moments::of(values.clone())?;
        let [p50, p95, p99] = percentiles(&mut values.clone().collect::<Vec<_>>(), [50, 95, 99]);
        Some(Self {
            count: samples.len(),
            sum: Sum::of(values),
            mean,
            median: p50,
            min,
            max,
            p50,
            p95,
            p99,
            std_dev: deviation,
            slope: slope(samples),
        })
    }
}

/// The samples whose value is a finite number.
pub(super) fn finite(samples: &[Sample]) -> std::borrow::Cow<'_, [Sample]> {
    let is_finite = |sample: &&Sample| sample.1.is_finite();
    if samples.iter().all(|sample| is_finite(&sample)) {
        samples.into()
    } else {
        samples.iter().filter(is_finite).copied().collect::<Vec<_>>().into()
    }
}

/// The percentiles at `percents`, which ascend, of values in any order; zeros without values.
///
/// Each is found by selection in what lies above the one before, so nothing is sorted.
pub(super) fn percentiles<const N: usize>(values: &mut [f64], percents: [usize; N]) -> [f64; N] {
    let mut found = [0.0; N];
    let Some(last) = values.len().checked_sub(1) else { return found };
    let mut done = 0;
    for (percent, found) in percents.into_iter().zip(&mut found) {
        let hundredths = percent.min(100) * last;
        let below = (hundredths / 100).max(done);
        let (_, &mut low, above) = values[done..].select_nth_unstable_by(below - done, f64::total_cmp);
        let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
        *found = between(low, high, (hundredths % 100) as f64 / 100.0);
        done = below;
    }
    found
}

/// The value a part of the way from `low` to `high`.
fn between(low: f64, high: f64, part: f64) -> f64 {
    let step = high - low;
    if step.is_finite() { low + step * part } else { low * (1.0 - part) + high * part }
}
