//! What receivers are told, and what is answered to who asks for the alerts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use crate::clock::Millis;
use crate::stats::Labels;

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The value is bad, not yet for long enough.
    Pending,
    /// The value has been bad for long enough, and receivers are told.
    Firing,
    /// It fired, and is over.
    Resolved,
}

/// What receivers are told. Its JSON is the alert of the API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// The name of the rule.
    pub name: String,
    /// [`AlertState::Firing`] or [`AlertState::Resolved`].
    pub state: AlertState,
    /// How bad it is.
    pub severity: String,
    /// `Alert X triggered` or `Alert X cleared`.
    pub message: String,
    /// The labels of the series, and those of the rule.
    pub labels: BTreeMap<String, String>,
    /// Texts for a person.
    pub annotations: BTreeMap<String, String>,
    /// The newest value that was compared; `None` where the series is gone.
    pub value: Option<f64>,
    /// The metric that was looked at, with that value.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// When this was found.
    pub timestamp: Millis,
    /// When it began to fire.
    #[serde(skip)]
    pub since: Millis,
    /// While it fires: when it is over if nobody says anything more.
    #[serde(skip)]
    pub valid_until: Option<Millis>,
    /// Whether it is told again, because it still fires.
    #[serde(skip)]
    pub is_repeated: bool,
    /// Who is to be told, by name.
    #[serde(skip)]
    pub receivers: Vec<String>,
}

impl Notice {
    /// The same, told at `now` only: what fires is over as long after that as it would have been after its time.
    #[must_use]
    pub fn told_late(&self, now: Millis) -> Self {
        let valid_until =
            self.valid_until.map(|until| now.saturating_add(until.saturating_sub(self.timestamp)).max(until));
        Self { valid_until, ..self.clone() }
    }
}

/// An alert as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertView {
    /// The name of the rule.
    pub name: String,
    /// Where it stands.
    pub state: AlertState,
    /// How bad it is.
    pub severity: String,
    /// `Alert X pending`, `Alert X triggered` or `Alert X cleared`.
    pub message: String,
    /// The labels of the series, and those of the rule.
    pub labels: BTreeMap<String, String>,
    /// Texts for a person.
    pub annotations: BTreeMap<String, String>,
    /// The newest value that was compared; `None` where the series is gone.
    pub value: Option<f64>,
    /// Since when it stands there.
    pub since: Millis,
}

/// What the state of an alert is told as.
pub(super) fn message(name: &str, state: AlertState) -> String {
    let what = match state {
        AlertState::Pending => "pending",
        AlertState::Firing => "triggered",
        AlertState::Resolved => "cleared",
    };
    format!("Alert {name} {what}")
}

/// The labels of an alert.
pub(super) fn labels(rule: &Rule, series: &Labels) -> BTreeMap<String, String> {
    let pairs = series.iter().chain(rule.own_labels.iter());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The texts about an alert.
pub(super) fn annotations(rule: &Rule, series: &Labels, value: Option<f64>) -> BTreeMap<String, String> {
    let rendered = rule.annotations.iter().map(|one| (one.name.clone(), one.text.render(series, value)));
    rendered.collect()
}
