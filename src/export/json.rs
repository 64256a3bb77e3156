//! The metrics as JSON.

use serde::ser::{Serialize, Serializer};

use super::text::Number;
use super::{Family, Sample};
use crate::clock::Millis;
use crate::metrics::Kind;
use crate::stats::Labels;

/// The families as JSON: `{"timestamp": <ms>, "metrics": {<name>: {"type", "help", "unit", "samples"}}}`.
///
/// The names are those of the text format 0.0.4, so a counter's ends with `_total`; `unit` is null without one. A sample is
/// `{"labels": {…}, "value": <number>}`; that of a histogram is `{"labels": {…}, "count", "sum", "buckets": [{"le", "count"},
/// …]}`, the counts of the buckets including those below. A number that JSON lacks is one of the texts `"NaN"`, `"+Inf"` and
/// `"-Inf"`, as the bound of the last bucket always is.
///
/// # Errors
/// None that is known: all keys are texts.
pub fn json(families: &[Family], now: Millis) -> serde_json::Result<String> {
    serde_json::to_string(&Page { timestamp: now, metrics: Metrics(families) })
}

#[derive(serde::Serialize)]
struct Page<'a> {
    timestamp: Millis,
    metrics: Metrics<'a>,
}

struct Metrics<'a>(&'a [Family]);

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|family| (family.shown(), Metric::of(family))))
    }
}

#[derive(serde::Serialize)]
struct Metric<'a> {
    r#type: &'static str,
    help: &'a str,
    unit: Option<&'a str>,
    samples: Samples<'a>,
}

impl<'a> Metric<'a> {
    fn of(family: &'a Family) -> Self {
        let (r#type, help, unit) = (family.kind.name(), &*family.help, family.unit.as_deref());
        Self { r#type, help, unit, samples: Samples(family) }
    }
}

struct Samples<'a>(&'a Family);

impl<'a> Serialize for Samples<'a> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let samples: &'a [Sample] = &self.0.samples;
        if self.0.kind == Kind::Histogram {
            // What belongs to one histogram stands together.
            let together = |a: &Sample, b: &Sample| without_bound(&a.labels).eq(without_bound(&b.labels));
            serializer.collect_seq(samples.chunk_by(together).filter_map(Histogram::of))
        } else {
            let plain = |sample: &'a Sample| Plain { labels: Names(&sample.labels), value: Shown(sample.value) };
            serializer.collect_seq(samples.iter().map(plain))
        }
    }
}

#[derive(serde::Serialize)]
struct Plain<'a> {
    labels: Names<'a>,
    value: Shown,
}

#[derive(serde::Serialize)]
struct Histogram<'a> {
    labels: Names<'a>,
    count: Shown,
    sum: Shown,
    buckets: Vec<Bucket>,
}

#[derive(serde::Serialize)]
struct Bucket {
    le: Shown,
    count: Shown,
}

impl<'a> Histogram<'a> {
    /// The histogram of these samples; `None` without any.
    fn of(samples: &'a [Sample]) -> Option<Self> {
        let labels = Names(&samples.first()?.labels);
        let value = |suffix| samples.iter().find(|sample| sample.suffix == suffix).map_or(0.0, |sample| sample.value);
        let bucket = |sample: &Sample| {
            let le = sample.labels.get("le")?.parse().ok()?;
            Some(Bucket { le: Shown(le), count: Shown(sample.value) })
        };
        let buckets = samples.iter().filter_map(bucket).collect();
        Some(Self { labels, count: Shown(value("_count")), sum: Shown(value("_sum")), buckets })
    }
}

/// Labels without the bound of a bucket.
struct Names<'a>(&'a Labels);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(without_bound(self.0))
    }
}

fn without_bound(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().filter(|(name, _)| *name != "le")
}

/// A number: a whole one without a point, a text where JSON has none.
struct Shown(f64);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Number(self.0) {
            number if !self.0.is_finite() => serializer.collect_str(&number),
            number => match number.whole() {
                Some(whole) => serializer.serialize_i64(whole),
                None => serializer.serialize_f64(self.0),
            },
        }
    }
}
