//! What outlives the node of its alerts, as bytes: how each alert stands, and what receivers have yet to be told.
//!
//! The bytes are one line, with what this is, the version of the format and a checksum of the rest, and JSON. Whatever has a
//! text in the configuration has the same one here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use super::condition::Condition;
use super::exact;
use super::notice::{self, AlertState, Notice};
use super::rule::{OnMissing, Rule};
use super::stages::Alert;
use super::template::{Annotation, Template};
use crate::clock::Millis;
use crate::stats::{Labels, Selector, Stat};

const TITLE: &str = "mainstay alerts ";
const VERSION: u32 = 1;

/// What outlives the node of its alerts.
#[derive(Clone, Debug, Default)]
pub struct SavedAlerts {
    /// The rules that have alerts.
    pub rules: Arc<[SavedRule]>,
    /// By the name of a receiver what it has yet to be told, oldest first.
    pub owed: BTreeMap<String, Vec<Arc<Notice>>>,
}

/// What outlives the node of one rule: itself, so that it can be known again and ended in its own words, and its alerts.
#[derive(Clone, Debug)]
pub struct SavedRule {
    pub(super) rule: Rule,
    pub(super) alerts: Vec<(Labels, Alert)>,
}

/// Why bytes are no saved alerts. Whoever gets one begins without any.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// They begin with something else.
    #[error("the bytes are not saved alerts")]
    Foreign,
    /// Another version of the program wrote them.
    #[error("the alerts are saved in version {found} of the format, not {VERSION}")]
    Version {
        /// The version that was found.
        found: u32,
    },
    /// They are not as they were written.
    #[error("the saved alerts are damaged (their checksum is wrong)")]
    Damaged,
    /// They are as they were written, but say nothing that can be.
    #[error("the saved alerts make no sense: {0}")]
    Malformed(String),
}

impl SavedAlerts {
    /// Whether there is nothing worth saving.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.owed.is_empty()
    }

    /// All of it as bytes.
    ///
    /// # Errors
    /// JSON can't say it, which is a fault of this program.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let owed = |(name, notices): (&String, &Vec<Arc<Notice>>)| {
            (name.clone(), notices.iter().map(|notice| NoticeText::of(notice)).collect())
        };
        let rules = self.rules.iter().map(RuleText::of).collect();
        let body = serde_json::to_vec(&Texts { rules, owed: self.owed.iter().map(owed).collect() })?;
        let title = format!("{TITLE}{VERSION} {}\n", checksum_of(&body));
        Ok([title.into_bytes(), body].concat())
    }

    /// What [`SavedAlerts::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes are foreign, of another version, damaged or malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RestoreError> {
        let after = bytes.strip_prefix(TITLE.as_bytes()).ok_or(RestoreError::Foreign)?;
        let end = after.iter().position(|byte| *byte == b'\n').ok_or(RestoreError::Damaged)?;
        let (title, body) = (after.get(..end).unwrap_or_default(), after.get(end + 1..).unwrap_or_default());
        let title = std::str::from_utf8(title).map_err(|_| RestoreError::Damaged)?;
        let (version, checksum) = title.split_once(' ').ok_or(RestoreError::Damaged)?;
        match version.parse() {
            Ok(VERSION) => {}
            Ok(found) => return Err(RestoreError::Version { found }),
            Err(_) => return Err(RestoreError::Damaged),
        }
        if checksum != checksum_of(body) {
            return Err(RestoreError::Damaged);
        }
        let texts: Texts = serde_json::from_slice(body).map_err(malformed)?;
        let rules = texts.rules.into_iter().map(RuleText::rule).collect::<Result<_, _>>()?;
        let owed = texts.owed.into_iter().map(|(receiver, notices)| {
            let notices = notices.into_iter().map(|notice| Arc::new(notice.notice(&receiver))).collect();
            (receiver, notices)
        });
        Ok(Self { rules, owed: owed.collect() })
    }
}

fn checksum_of(body: &[u8]) -> String {
    format!("{:016x}", xxh3_64(body))
}

fn malformed(error: impl ToString) -> RestoreError {
    RestoreError::Malformed(error.to_string())
}

#[derive(Serialize, Deserialize)]
struct Texts {
    rules: Vec<RuleText>,
    owed: BTreeMap<String, Vec<NoticeText>>,
}

#[derive(Serialize, Deserialize)]
struct RuleText {
    name: String,
    metric: String,
    labels: String,
    stat: String,
    range: Duration,
    when: String,
    hold: Duration,
    keep_firing_for: Duration,
    cooldown: Duration,
    severity: String,
    own_labels: String,
    annotations: Vec<(String, String)>,
    receivers: Vec<String>,
    on_missing: String,
    /// By their labels.
    alerts: BTreeMap<String, Alert>,
}

impl RuleText {
    fn of(SavedRule { rule, alerts }: &SavedRule) -> Self {
        let annotations = rule.annotations.iter().map(|one| (one.name.clone(), one.text.to_string()));
        Self {
            name: rule.name.clone(),
            metric: rule.metric.clone(),
            labels: rule.labels.to_string(),
            stat: rule.stat.to_string(),
            range: rule.range,
            when: rule.condition.to_string(),
            hold: rule.hold,
            keep_firing_for: rule.keep_firing_for,
            cooldown: rule.cooldown,
            severity: rule.severity.clone(),
            own_labels: rule.own_labels.to_string(),
            annotations: annotations.collect(),
            receivers: rule.receivers.clone(),
            on_missing: rule.on_missing.as_str().to_owned(),
            alerts: alerts.iter().map(|(labels, alert)| (labels.to_string(), alert.clone())).collect(),
        }
    }

    fn rule(self) -> Result<SavedRule, RestoreError> {
        let annotation =
            |(name, text): (String, String)| Ok(Annotation { name, text: Template::parse(&text).map_err(malformed)? });
        let alert = |(labels, alert): (String, Alert)| Ok((Labels::parse(&labels).map_err(malformed)?, alert));
        let unknown = |what: &str, text: &str| malformed(format!("no {what} is called {text:?}"));
        let on_missing = OnMissing::ALL.iter().copied().find(|one| one.as_str() == self.on_missing);
        let rule = Rule {
            name: self.name,
            metric: self.metric,
            labels: Selector::parse(&self.labels).map_err(malformed)?,
            stat: Stat::parse(&self.stat).ok_or_else(|| unknown("statistic", &self.stat))?,
            range: self.range,
            condition: Condition::parse(&self.when).map_err(malformed)?,
            hold: self.hold,
            keep_firing_for: self.keep_firing_for,
            cooldown: self.cooldown,
            severity: self.severity,
            own_labels: Labels::parse(&self.own_labels).map_err(malformed)?,
            annotations: self.annotations.into_iter().map(annotation).collect::<Result<_, _>>()?,
            receivers: self.receivers,
            on_missing: on_missing.ok_or_else(|| unknown("way with what is missing", &self.on_missing))?,
        };
        Ok(SavedRule { rule, alerts: self.alerts.into_iter().map(alert).collect::<Result<_, _>>()? })
    }
}

#[derive(Serialize, Deserialize)]
struct NoticeText {
    name: String,
    state: AlertState,
    severity: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[serde(with = "exact")]
    value: Option<f64>,
    /// Those that were looked at, all with that value.
    metrics: Vec<String>,
    timestamp: Millis,
    since: Millis,
    valid_until: Option<Millis>,
    is_repeated: bool,
}

impl NoticeText {
    fn of(notice: &Notice) -> Self {
        Self {
            name: notice.name.clone(),
            state: notice.state,
            severity: notice.severity.clone(),
            labels: notice.labels.clone(),
            annotations: notice.annotations.clone(),
            value: notice.value,
            metrics: notice.metrics.keys().cloned().collect(),
            timestamp: notice.timestamp,
            since: notice.since,
            valid_until: notice.valid_until,
            is_repeated: notice.is_repeated,
        }
    }

    fn notice(self, receiver: &str) -> Notice {
        Notice {
            message: notice::message(&self.name, self.state),
            name: self.name,
            state: self.state,
            severity: self.severity,
            labels: self.labels,
            annotations: self.annotations,
            value: self.value,
            metrics: self.metrics.into_iter().map(|metric| (metric, self.value)).collect(),
            timestamp: self.timestamp,
            since: self.since,
            valid_until: self.valid_until,
            is_repeated: self.is_repeated,
            receivers: vec![receiver.to_owned()],
        }
    }
}
