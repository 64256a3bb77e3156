//! All series, within bounds.

use std::collections::BTreeMap;
use std::ops::Bound;

use thiserror::Error;

use super::labels::is_metric_name;
use super::{Labels, Sample, Selector, Series};
use crate::clock::Millis;

#[cfg(test)]
mod tests;

/// Why a sample was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// There are as many series as may be.
    #[error("there are {max} series, which is the limit: raise metrics.max_series, or measure fewer things")]
    Full {
        /// The limit.
        max: usize,
    },
    /// The value is no number, or infinite.
    #[error("the value is not a finite number")]
    NotFinite,
    /// The metric cannot be called so.
    #[error("the metric's name is not made of letters, digits, underscores and colons, or is too long")]
    Name,
}

/// How many samples were lost, since the store was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Refused as [`Refused::Full`].
    pub full: u64,
    /// Refused as [`Refused::NotFinite`].
    pub not_finite: u64,
    /// Refused as [`Refused::Name`].
    pub name: u64,
    /// Dropped because the clock was set back behind them, see [`Series::push`].
    pub ahead: u64,
}

/// The newest samples of each series, a series being a metric with its labels.
///
/// It holds at most `max_series` series of at most `capacity` samples of 16 bytes: with 10,000 and 1,000 that is 160 MB at
/// the very most.
#[derive(Clone, Debug)]
pub struct SeriesStore {
    capacity: usize,
    max_series: usize,
    metrics: BTreeMap<Box<str>, BTreeMap<Labels, Entry>>,
    len: usize,
    sweeps: u64,
    losses: Losses,
}

#[derive(Clone, Debug)]
struct Entry {
    series: Series,
    /// The number of sweeps before its newest sample was recorded.
    recorded: u64,
}

impl SeriesStore {
    /// An empty store of at most `max_series` series, each with its newest `capacity` samples, at least one.
    pub fn new(capacity: usize, max_series: usize) -> Self {
        let (metrics, losses) = (BTreeMap::new(), Losses::default());
        Self { capacity, max_series, metrics, len: 0, sweeps: 0, losses }
    }

    /// Adds a sample that is measured now. A series that is not there yet is begun.
    ///
    /// # Errors
    /// The value is not finite, the name is none, or the series would be one too many. Each is counted in
    /// [`SeriesStore::losses`] too.
    pub fn record(&mut self, now: Millis, metric: &str, labels: &Labels, value: f64) -> Result<(), Refused> {
        if !value.is_finite() {
            self.losses.not_finite += 1;
            return Err(Refused::NotFinite);
        }
        let recorded = self.sweeps;
        if let Some(entry) = self.metrics.get_mut(metric).and_then(|all| all.get_mut(labels)) {
            self.losses.ahead += entry.series.push(now, value) as u64;
            entry.recorded = recorded;
            return Ok(());
        }
        let mut series = Series::new(self.capacity);
        series.push(now, value);
        self.insert(metric, labels, series)
    }

    /// Puts a series in the place of the one of the same name, or beside the others if there is room.
    pub(super) fn insert(&mut self, metric: &str, labels: &Labels, series: Series) -> Result<(), Refused> {
        if !is_metric_name(metric) {
            self.losses.name += 1;
            return Err(Refused::Name);
        }
        if self.len >= self.max_series {
            self.losses.full += 1;
            return Err(Refused::Full { max: self.max_series });
        }
        let entry = Entry { series, recorded: self.sweeps };
        // Looked up first, so that only a new metric costs a copy of its name.
        let replaced = match self.metrics.get_mut(metric) {
            Some(all) => all.insert(labels.clone(), entry),
            None => self.metrics.entry(metric.into()).or_default().insert(labels.clone(), entry),
        };
        self.len += usize::from(replaced.is_none());
        Ok(())
    }

    /// The series of a metric that a selector takes, in the order of their labels, each with its samples from `since` on.
    ///
    /// A series without such samples is left out. The samples are copied only as the iterator goes on.
    pub fn select<'a>(
        &'a self,
        metric: &str,
        selector: &'a Selector,
        since: Millis,
    ) -> impl Iterator<Item = (&'a Labels, Vec<Sample>)> + use<'a> {
        self.select_after(metric, selector, since, None)
    }

    /// The same, of the series that come after the one with these labels, for who looks at a few at a time.
    pub fn select_after<'a>(
        &'a self,
        metric: &str,
        selector: &'a Selector,
        since: Millis,
        after: Option<&Labels>,
    ) -> impl Iterator<Item = (&'a Labels, Vec<Sample>)> + use<'a> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let all = self.metrics.get(metric).map(|all| all.range::<Labels, _>((from, Bound::Unbounded)));
        let taken = all.into_iter().flatten().filter(|(labels, _)| selector.matches(labels));
        let stretches = taken.map(move |(labels, entry)| (labels, entry.series.since(since).collect::<Vec<_>>()));
        stretches.filter(|(_, samples)| !samples.is_empty())
    }

    /// One series.
    pub fn get(&self, metric: &str, labels: &Labels) -> Option<&Series> {
        self.metrics.get(metric)?.get(labels).map(|entry| &entry.series)
    }

    /// Ends a collection: series that were not recorded in it nor in the `dead_after` collections before it are removed.
    /// Returns how many those are.
    ///
    /// Collections are counted, not seconds, so that a clock that jumps ahead removes nothing.
    pub fn sweep(&mut self, dead_after: u64) -> usize {
        let before = self.len;
        let sweeps = self.sweeps;
        self.metrics.retain(|_, all| {
            all.retain(|_, entry| sweeps - entry.recorded <= dead_after);
            !all.is_empty()
        });
        self.len = self.metrics.values().map(BTreeMap::len).sum();
        self.sweeps += 1;
        before - self.len
    }

    /// The names of the metrics that have series, in order.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.metrics.keys().map(|name| &**name)
    }

    /// Every series with its metric and labels, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Labels, &Series)> {
        let of_metric = |(name, all)| {
            let name: &str = name;
            let all: &BTreeMap<Labels, Entry> = all;
            all.iter().map(move |(labels, entry)| (name, labels, &entry.series))
        };
        self.metrics.iter().map(|(name, all)| (&**name, all)).flat_map(of_metric)
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many samples the series keep each.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// What was lost.
    pub fn losses(&self) -> Losses {
        self.losses
    }
}
