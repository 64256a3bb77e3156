//! The statistics that can be asked for by name.

use std::fmt;

use super::Sample;
use super::moments::{Moments, Sum, slope};
use super::summary::{finite, percentiles};

#[cfg(test)]
mod tests;

/// One number that says something about the samples of a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stat {
    /// The newest value.
    Last,
    /// How many samples there are.
    Count,
    /// The sum of the values.
    Sum,
    /// The arithmetic mean.
    Mean,
    /// The value in the middle.
    Median,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The 50th percentile.
    P50,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// The deviation of the population.
    StdDev,
    /// The rise per second of the line that fits best.
    Slope,
    /// By how much a counter grew per second from the first sample to the last.
    Rate,
    /// The last value minus the first.
    Delta,
    /// By how much a counter grew from the first sample to the last.
    Increase,
}

use Stat::{Count, Delta, Increase, Last, Max, Mean, Median, Min, P50, P95, P99, Rate, Slope, StdDev};

const ALL: [Stat; 15] =
    [Last, Count, Stat::Sum, Mean, Median, Min, Max, P50, P95, P99, StdDev, Slope, Rate, Delta, Increase];

impl Stat {
    /// The names that [`Stat::parse`] knows.
    pub const NAMES: [&'static str; 15] = [
        "last", "count", "sum", "mean", "median", "min", "max", "p50", "p95", "p99", "stddev", "slope", "rate",
        "delta", "increase",
    ];

    /// The statistic of this name, `None` if it is none of [`Stat::NAMES`].
    pub fn parse(name: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        ALL.get(at).copied()
    }

    /// Its name, one of [`Stat::NAMES`].
    pub fn name(self) -> &'static str {
        ALL.iter().zip(Self::NAMES).find(|(stat, _)| **stat == self).map_or("", |(_, name)| name)
    }

    /// The number for these samples, which stand in the order of their times; what is not finite is left out.
    ///
    /// `None` without samples. `Slope` and `Rate` need two times, `Delta` and `Increase` two samples. A counter that
    /// falls has begun again at zero, so what it shows then is growth; nothing is added for the time before the first
    /// sample and after the last.
    pub fn of(self, samples: &[Sample]) -> Option<f64> {
        let samples = &*finite(samples);
        let (&(start, first), &(end, last)) = (samples.first()?, samples.last()?);
        let values = samples.iter().map(|&(_, value)| value);
        let moments = || Moments::of(values.clone());
        let percentile = |percent| {
            let [found] = percentiles(&mut values.clone().collect::<Vec<_>>(), [percent]);
            found
        };
        let is_pair = samples.len() > 1;
        match self {
            Last => Some(last),
            Count => Some(samples.len() as f64),
            Self::Sum => Some(Sum::of(values)),
            Mean => Some(moments()?.mean),
            Min => Some(moments()?.min),
            Max => Some(moments()?.max),
            StdDev => Some(moments()?.deviation),
            Median | P50 => Some(percentile(50)),
            P95 => Some(percentile(95)),
            P99 => Some(percentile(99)),
            Slope => slope(samples),
            Delta => is_pair.then_some(last - first),
            Increase => is_pair.then(|| increase(samples)),
            Rate => (end > start).then(|| increase(samples) / ((end - start) as f64 / 1_000.0)),
        }
    }
}

impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn increase(samples: &[Sample]) -> f64 {
    let steps = samples.windows(2).map(|pair| match pair {
        [(_, before), (_, now)] if now >= before => now - before,
        [_, (_, now)] => *now,
        _ => 0.0,
    });
    Sum::of(steps)
}
