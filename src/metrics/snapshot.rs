//! Numbers that are collected all at once and shown until the next collection.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder,
};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Kind, Metric};
use crate::stats::Labels;

/// The numbers of one collection: for each metric a value for each set of labels.
#[derive(Clone, Debug, Default)]
pub struct Snapshot(BTreeMap<&'static str, (&'static Metric, BTreeMap<Labels, f64>)>);

impl Snapshot {
    /// Sets a number, in the place of the one that was there. What is not finite is left out.
    ///
    /// A metric that is given no number is not shown at all, so a group of nothing sets 0.
    pub fn set(&mut self, metric: &'static Metric, labels: &Labels, value: f64) {
        debug_assert!(metric.kind != Kind::Histogram, "{} cannot be collected as one number", metric.name);
        if value.is_finite() {
            self.0.entry(metric.name).or_insert_with(|| (metric, BTreeMap::new())).1.insert(labels.clone(), value);
        }
    }

    /// Every number, by the name of its metric and its labels.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Metric, &Labels, f64)> {
        self.0.values().flat_map(|(metric, values)| values.iter().map(|(labels, value)| (*metric, labels, *value)))
    }

    /// Writes every number with its metric.
    pub(super) fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, values) in self.0.values() {
            let unit = metric.unit.map(super::Unit::encoded);
            let mut family =
                encoder.encode_descriptor(metric.stem(), metric.help, unit.as_ref(), metric.kind.encoded())?;
            for (labels, value) in values {
                encode_value(metric.kind, &mut family, labels, *value)?;
            }
        }
        Ok(())
    }
}

/// The newest snapshot. Whoever collects publishes it, a registry shows it.
#[derive(Default)]
pub struct Collected(ArcSwap<Snapshot>);

impl Collected {
    /// Puts a snapshot in the place of the one before.
    pub fn publish(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }

    /// The newest snapshot; an empty one before the first is published.
    pub fn newest(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected").field("metrics", &self.0.load().0.len()).finish()
    }
}

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.newest().encode(encoder)
    }
}

fn encode_value(kind: Kind, family: &mut MetricEncoder<'_>, labels: &Labels, value: f64) -> fmt::Result {
    match kind {
        Kind::Info => return family.encode_info(labels),
        // An empty set would be shown as empty braces.
        _ if labels.is_empty() => {
            return match kind {
                Kind::Counter => family.encode_counter::<Labels, _, f64>(&value, None),
                _ => family.encode_gauge(&value),
            };
        }
        _ => {}
    }
    let encoder = family.encode_family(labels)?;
    match kind {
        Kind::Counter => ConstCounter::new(value).encode(encoder),
        _ => ConstGauge::new(value).encode(encoder),
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.iter().try_for_each(|pair| pair.encode(encoder.encode_label()))
    }
}
