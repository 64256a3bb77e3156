//! A metric with all its numbers, as it was written.

use std::borrow::Cow;

use crate::metrics::Kind;
use crate::stats::Labels;

/// A metric with all its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name in OpenMetrics, which lacks the `_total` of counters.
    pub name: String,
    /// What kind of number it is.
    pub kind: Kind,
    /// What it means.
    pub help: String,
    /// What it is measured in.
    pub unit: Option<String>,
    /// Its samples as they stand there.
    pub samples: Vec<Sample>,
}

/// One number of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What its name has behind the metric's: nothing, or `_total`, `_info`, `_bucket`, `_count` or `_sum`.
    pub suffix: String,
    /// Its labels, `le` among them for a bucket.
    pub labels: Labels,
    /// The number.
    pub value: f64,
}

impl Family {
    /// The name under which others than OpenMetrics know the metric: that of its one number, or that of a histogram.
    pub fn shown(&self) -> Cow<'_, str> {
        match self.kind.suffix() {
            "" => self.name.as_str().into(),
            suffix => format!("{}{suffix}", self.name).into(),
        }
    }
}

/// Each number with the name and the labels of its series. A histogram has two, `_count` and `_sum`; its buckets are left
/// out.
pub fn samples(families: &[Family]) -> impl Iterator<Item = (String, &Labels, f64)> {
    families.iter().flat_map(|family| {
        let kept = family.samples.iter().filter(|sample| sample.suffix != "_bucket");
        kept.map(|sample| (format!("{}{}", family.name, sample.suffix), &sample.labels, sample.value))
    })
}
