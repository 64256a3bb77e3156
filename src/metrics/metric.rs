//! What a metric is called and what it means.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::metrics::MetricType;
use prometheus_client::registry;

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and begins anew with the node.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often values came, by size.
    Histogram,
    /// A one; the labels are what matters.
    Info,
    /// Not said.
    Unknown,
}

impl Kind {
    /// The kind of this OpenMetrics name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Counter, Self::Gauge, Self::Histogram, Self::Info, Self::Unknown].into_iter().find(|k| k.name() == name)
    }

    /// Its name in OpenMetrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
            Self::Unknown => "unknown",
        }
    }

    /// What the name of a metric of this kind ends with wherever its one number is shown.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram | Self::Unknown => "",
        }
    }

    pub(super) fn encoded(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
            Self::Info => MetricType::Info,
            Self::Unknown => MetricType::Unknown,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a metric is measured in. Its name ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }

    pub(super) fn encoded(self) -> registry::Unit {
        match self {
            Self::Seconds => registry::Unit::Seconds,
            Self::Bytes => registry::Unit::Bytes,
        }
    }
}

/// A metric of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in OpenMetrics, which lacks the `_total` of counters.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What it is measured in; `None` is a plain number.
    pub unit: Option<Unit>,
    /// What it means: a sentence of one line, with its full stop.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

impl Metric {
    /// The name under which `/metrics` shows it to Prometheus, `/metrics.json` to everybody and `/series` finds it. For a
    /// histogram that is the name without `_bucket`, `_count` and `_sum`.
    pub fn shown(&self) -> Cow<'static, str> {
        match self.kind.suffix() {
            "" => self.name.into(),
            suffix => format!("{}{suffix}", self.name).into(),
        }
    }

    /// The name without its unit, which the encoder adds.
    pub(super) fn stem(&self) -> &'static str {
        let stem = self.unit.and_then(|unit| self.name.strip_suffix(unit.name())?.strip_suffix('_'));
        stem.unwrap_or(self.name)
    }

    pub(super) fn register_in(&self, registry: &mut registry::Registry, metric: impl registry::Metric) {
        // The registry adds a full stop.
        let help = self.help.trim_end_matches('.');
        match self.unit {
            Some(unit) => registry.register_with_unit(self.stem(), help, unit.encoded(), metric),
            None => registry.register(self.stem(), help, metric),
        }
    }
}
