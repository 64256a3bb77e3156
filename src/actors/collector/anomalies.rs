//! The rules for anomalies, and what they have seen.

use std::collections::HashMap;

use tracing::warn;

use crate::config::AnomalyConfig;
use crate::metrics::Snapshot;
use crate::metrics::catalogue::{ANOMALIES, ANOMALY_UNSEEN};
use crate::stats::{Anomaly, AnomalyDetector, Labels};

/// The values that one rule keeps at most, over all its series: 8 MB.
const VALUES_MAX: usize = 1_000_000;
/// Lines of the log that one rule writes at most of one collection.
const LINES_MAX: usize = 20;

/// All rules for anomalies.
#[derive(Debug, Default)]
pub(super) struct Anomalies {
    rules: Vec<Rule>,
    collections: u64,
}

#[derive(Debug)]
struct Rule {
    config: AnomalyConfig,
    series: HashMap<Labels, Watched>,
    /// How many anomalies it has found.
    found: u64,
    /// Those of this collection that are to be told.
    news: Vec<(Labels, Anomaly)>,
    /// Those of this collection that were too many to be told.
    untold: u64,
    /// Series of this collection for which there was no room.
    unseen: u64,
}

#[derive(Debug)]
struct Watched {
    detector: AnomalyDetector,
    /// The last collection that it was part of.
    seen: u64,
}

impl Rule {
    fn new(config: AnomalyConfig) -> Self {
        Self { config, series: HashMap::new(), found: 0, news: Vec::new(), untold: 0, unseen: 0 }
    }

    fn observe(&mut self, labels: &Labels, value: f64, earlier: &[f64], collection: u64) {
        let AnomalyConfig { window, threshold, .. } = self.config;
        if !self.series.contains_key(labels) {
            if self.series.len() >= (VALUES_MAX / window.max(1)).max(1) {
                self.unseen += 1;
                return;
            }
            let mut detector = AnomalyDetector::new(window, threshold);
            for value in &earlier[earlier.len().saturating_sub(window)..] {
                // They were judged, or not, when they were new.
                let _ = detector.observe(*value);
            }
            self.series.insert(labels.clone(), Watched { detector, seen: collection });
        }
        let Some(watched) = self.series.get_mut(labels) else { return };
        watched.seen = collection;
        let Some(anomaly) = watched.detector.observe(value) else { return };
        self.found += 1;
        if self.news.len() < LINES_MAX {
            self.news.push((labels.clone(), anomaly));
        } else {
            self.untold += 1;
        }
    }

    fn tell(&mut self) {
        let AnomalyConfig { name, metric, .. } = &self.config;
        for (labels, Anomaly { value, mean, deviation, z }) in self.news.drain(..) {
            warn!(target: "alert", event = "anomaly", name, metric, labels = %labels, value, mean, deviation, z,
                "the value is far from those before it");
        }
        let untold = std::mem::take(&mut self.untold);
        if untold > 0 {
            warn!(target: "alert", event = "anomalies_untold", name, metric, anomalies = untold,
                "the same collection has further anomalies");
        }
    }
}

impl Anomalies {
    /// Takes other rules. Those that stay the same keep what they have seen, and who keeps its name keeps its count.
    pub(super) fn replace(&mut self, configs: Vec<AnomalyConfig>) {
        let mut before = std::mem::take(&mut self.rules);
        let renewed = configs.into_iter().map(|config| {
            let known = before.iter().position(|rule| rule.config.name == config.name).map(|at| before.swap_remove(at));
            match known {
                Some(rule) if rule.config == config => rule,
                Some(rule) => Rule { found: rule.found, ..Rule::new(config) },
                None => Rule::new(config),
            }
        });
        self.rules = renewed.collect();
    }

    /// Looks at a new value of a series, before it is recorded. `earlier` are the values of this run that are recorded, oldest first; it is
    /// called when a rule meets the series for the first time.
    pub(super) fn observe(&mut self, metric: &str, labels: &Labels, value: f64, earlier: impl Fn() -> Vec<f64>) {
        for rule in &mut self.rules {
            if rule.config.metric == metric && rule.config.labels.matches(labels) {
                let earlier = if rule.series.contains_key(labels) { Vec::new() } else { earlier() };
                rule.observe(labels, value, &earlier, self.collections);
            }
        }
    }

    /// Ends a collection: tells the log what was found, and forgets series that were not part of it.
    pub(super) fn settle(&mut self) {
        for rule in &mut self.rules {
            rule.tell();
            rule.series.retain(|_, watched| watched.seen == self.collections);
        }
        self.collections += 1;
    }

    /// Writes what every rule found into a snapshot.
    pub(super) fn show(&mut self, snapshot: &mut Snapshot) {
        for rule in &mut self.rules {
            let Ok(labels) = Labels::from_pairs([("anomaly".to_owned(), rule.config.name.clone())]) else { continue };
            snapshot.set(&ANOMALIES, &labels, rule.found as f64);
            snapshot.set(&ANOMALY_UNSEEN, &labels, std::mem::take(&mut rule.unseen) as f64);
        }
    }
}
