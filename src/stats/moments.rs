//! Sums, means and deviations that stay exact where values are large and close together.

use super::Sample;

/// Values above this are scaled down, so that their squares stay finite.
const HUGE: f64 = 1e100;

/// A sum that carries along what each addition lost (Neumaier).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> f64 {
        let mut sum = Self::default();
        for value in values {
            sum.add(value);
        }
        sum.total()
    }

    fn add(&mut self, value: f64) {
        let next = self.sum + value;
        let (larger, smaller) = if self.sum.abs() >= value.abs() { (self.sum, value) } else { (value, self.sum) };
        self.lost += (larger - next) + smaller;
        self.sum = next;
    }

    fn total(self) -> f64 {
        // Past the largest number the correction is no number.
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }
}

/// What a set of values is like on the whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) mean: f64,
    /// The population's: divided by the number of values.
    pub(super) deviation: f64,
}

impl Moments {
    /// The moments of finite values; `None` without any. Two passes, the second around the mean of the first.
    pub(super) fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let count = values.clone().count();
        if count == 0 {
            return None;
        }
        let min = values.clone().fold(f64::INFINITY, f64::min);
        let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
        // Equal values have exactly their mean and no deviation, whatever rounding does to their sum.
        if min == max {
            return Some(Self { min, max, mean: min, deviation: 0.0 });
        }
        let scale = scale(min, max);
        let values = values.map(|value| value / scale);
        let n = count as f64;
        let first = Sum::of(values.clone()) / n;
        let rest = Sum::of(values.clone().map(|value| value - first)) / n;
        let squares = Sum::of(values.map(|value| (value - first).powi(2))) / n;
        let deviation = (squares - rest * rest).max(0.0).sqrt() * scale;
        Some(Self { min, max, mean: (first * scale).clamp(min, max), deviation })
    }
}

/// The rise per second of the line that fits finite samples best (least squares); `None` unless they have two times.
pub(super) fn slope(samples: &[Sample]) -> Option<f64> {
    let &(start, _) = samples.first()?;
    // Differences of milliseconds are exact as floating point numbers for 285,000 years.
    let seconds = |time: u64| if time >= start { (time - start) as f64 } else { -((start - time) as f64) } / 1_000.0;
    let times = Moments::of(samples.iter().map(|&(time, _)| seconds(time)))?;
    let values = Moments::of(samples.iter().map(|&(_, value)| value))?;
    if times.min == times.max {
        return None;
    }
    let scale = scale(values.min, values.max);
    let around = |&(time, value): &Sample| (seconds(time) - times.mean, value / scale - values.mean / scale);
    let together = Sum::of(samples.iter().map(around).map(|(t, v)| t * v));
    let squares = Sum::of(samples.iter().map(around).map(|(t, _)| t * t));
    Some(together / squares * scale)
}

fn scale(min: f64, max: f64) -> f64 {
    let largest = min.abs().max(max.abs());
    if largest > HUGE { largest } else { 1.0 }
}
