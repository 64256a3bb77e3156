//! One rule at work: a state for each label set that is looked at.
//!
//! Time counts as far as it was watched: from one evaluation to the next, and no more of it than two intervals. So a clock
//! that is set ahead lets nothing fire that was not seen to be bad, and one that is set back delays nothing. While the node
//! is down nothing is watched.

use std::collections::BTreeMap;
use std::time::Duration;

use super::notice::{self, AlertState, AlertView, Notice};
use super::rule::{OnMissing, Rule};
use super::saved::SavedRule;
use super::stages::{Alert, Finding, Stage, Telling};
use crate::clock::Millis;
use crate::stats::Labels;

/// The most alerts of one rule that are pending, firing or lately resolved.
pub const MOST_ALERTS: usize = 1000;

/// A firing alert is told again each cooldown, and is over for others when that fails to come so many times.
const MISSED_NOTICES: u32 = 4;

/// After a restart a series may come so many intervals late, however short the range of the rule.
const FEW_INTERVALS: u32 = 4;

/// A rule and its alerts.
#[derive(Clone, Debug)]
pub struct RuleWatch {
    rule: Rule,
    /// The longest time that one evaluation lets pass.
    longest_step: Duration,
    evaluated: Option<Millis>,
    alerts: BTreeMap<Labels, Alert>,
    /// For so long series may be missing because nobody has measured them since a restart.
    grace: Duration,
    /// Whether an alert has come to another stage or was told since it was saved last.
    has_changed: bool,
    /// Whether this evaluation found no room for another alert, so that none need be looked for again.
    is_full: bool,
    refused: u64,
}

impl RuleWatch {
    /// Watches `rule`, which is evaluated each `interval`.
    pub fn new(rule: Rule, interval: Duration) -> Self {
        Self {
            rule,
            longest_step: interval.saturating_mul(2),
            evaluated: None,
            alerts: BTreeMap::new(),
            grace: Duration::ZERO,
            has_changed: false,
            is_full: false,
            refused: 0,
        }
    }

    /// Goes on from what was [saved](Self::saved) before a restart, watching from `now` on, each `interval`. An alert whose
    /// series is not there yet stays as it is until the range of the rule has passed, or a few intervals where that is shorter.
    pub(super) fn restored(saved: SavedRule, interval: Duration, now: Millis) -> Self {
        let SavedRule { rule, alerts } = saved;
        let awaited = |(labels, alert)| (labels, Alert { is_awaited: true, ..alert });
        let alerts = alerts.into_iter().take(MOST_ALERTS).map(awaited).collect();
        let grace = rule.range.max(interval.saturating_mul(FEW_INTERVALS));
        Self { evaluated: Some(now), alerts, grace, ..Self::new(rule, interval) }
    }

    /// What is to outlive the node; `None`: there is no alert.
    pub(super) fn saved(&self) -> Option<SavedRule> {
        let alerts = || self.alerts.iter().map(|(labels, alert)| (labels.clone(), alert.clone())).collect();
        self.has_alerts().then(|| SavedRule { rule: self.rule.clone(), alerts: alerts() })
    }

    /// Whether there is any alert.
    pub(super) fn has_alerts(&self) -> bool {
        !self.alerts.is_empty()
    }

    /// Whether an alert has come to another stage or was told since this was asked last.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// How many bad values were left alone because [`MOST_ALERTS`] others were there.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How many of its alerts are pending, and how many fire.
    pub fn counts(&self) -> (usize, usize) {
        let of = |state| self.alerts.values().filter(|alert| alert.state() == state).count();
        (of(AlertState::Pending), of(AlertState::Firing))
    }

    /// Takes the values of all series that the rule looks at, `None` for one without samples, and says what is to be told
    /// of them. Each label set stands there once; one that does not, or whose value is not a number, is missing.
    #[must_use]
    pub fn evaluate(&mut self, now: Millis, series: &[(Labels, Option<f64>)]) -> Vec<Notice> {
        let step = self.step(now);
        self.is_full = false;
        let mut notices = Vec::new();
        for (labels, value) in series {
            let finding = match value {
                Some(value) if self.rule.condition.holds(*value) => Finding::Bad(*value),
                Some(value) if !value.is_nan() => Finding::Good(*value),
                _ => Finding::Missing,
            };
            notices.extend(self.take(labels, finding, now, step));
        }
        let missing: Vec<Labels> =
            self.alerts.iter().filter(|(_, alert)| !alert.is_seen).map(|(labels, _)| labels.clone()).collect();
        for labels in missing {
            notices.extend(self.take(&labels, Finding::Missing, now, step));
        }
        self.alerts.values_mut().for_each(|alert| alert.is_seen = false);
        notices
    }

    /// Goes on by `rule`, which must continue the one so far.
    pub(super) fn adopt(&mut self, rule: Rule, interval: Duration) {
        debug_assert!(rule.continues(&self.rule));
        self.rule = rule;
        self.longest_step = interval.saturating_mul(2);
    }

    /// Ends it: what fires is told to be over.
    #[must_use]
    pub(super) fn end(self, now: Millis) -> Vec<Notice> {
        let firing = self.alerts.iter().filter(|(_, alert)| alert.state() == AlertState::Firing);
        firing.map(|(labels, alert)| self.notice(labels, alert, Telling::Cleared, now)).collect()
    }

    /// Its alerts, in the order of their labels.
    pub fn alerts(&self) -> impl Iterator<Item = AlertView> {
        self.alerts.iter().map(|(labels, alert)| AlertView {
            name: self.rule.name.clone(),
            state: alert.state(),
            severity: self.rule.severity.clone(),
            message: notice::message(&self.rule.name, alert.state()),
            labels: notice::labels(&self.rule, labels),
            annotations: notice::annotations(&self.rule, labels, alert.value),
            value: alert.value,
            since: alert.since,
        })
    }

    /// The time since the last evaluation, as far as it counts.
    fn step(&mut self, now: Millis) -> Duration {
        let passed = self.evaluated.map_or(0, |before| now.saturating_sub(before));
        self.evaluated = Some(now);
        let step = Duration::from_millis(passed).min(self.longest_step);
        self.grace = self.grace.saturating_sub(step);
        step
    }

    fn take(&mut self, labels: &Labels, finding: Finding, now: Millis, step: Duration) -> Option<Notice> {
        let (mut alert, step) = match (self.alerts.remove(labels), finding) {
            (Some(alert), _) => (alert, step),
            (None, Finding::Bad(_)) if self.has_room() => {
                self.has_changed = true;
                (Alert::begin(now), Duration::ZERO)
            }
            (None, Finding::Bad(_)) => {
                self.refused += 1;
                return None;
            }
            (None, _) => return None,
        };
        let (before, finding) = (alert.stage, self.excused(&mut alert, finding));
        let telling = alert.advance(&self.rule, finding, now, step);
        self.has_changed |= telling.is_some() || !alert.stage.is_same(before);
        if matches!(alert.stage, Stage::Inactive) {
            return None;
        }
        alert.is_seen = true;
        let notice = telling.map(|telling| self.notice(labels, &alert, telling, now));
        self.alerts.insert(labels.clone(), alert);
        notice
    }

    /// What was found of an alert, in view of a restart: what was not measured yet says nothing.
    fn excused(&self, alert: &mut Alert, finding: Finding) -> Finding {
        let is_missing = matches!(finding, Finding::Missing);
        alert.is_awaited &= is_missing && !self.grace.is_zero();
        let is_excused = alert.is_awaited && self.rule.on_missing == OnMissing::Resolve;
        if is_excused { Finding::Awaited } else { finding }
    }

    /// Whether there is room for another alert, if need be that of one that is over, or that waits for a series that is gone.
    fn has_room(&mut self) -> bool {
        if self.alerts.len() < MOST_ALERTS {
            return true;
        }
        if self.is_full {
            return false;
        }
        let dispensable = |alert: &Alert| match alert.state() {
            AlertState::Resolved => true,
            AlertState::Pending => alert.value.is_none(),
            AlertState::Firing => false,
        };
        let found = self.alerts.iter().find(|(_, alert)| dispensable(alert)).map(|(labels, _)| labels.clone());
        self.is_full = found.is_none();
        found.is_some_and(|labels| self.alerts.remove(&labels).is_some())
    }

    fn notice(&self, labels: &Labels, alert: &Alert, telling: Telling, now: Millis) -> Notice {
        let state = if telling == Telling::Cleared { AlertState::Resolved } else { AlertState::Firing };
        let rule = &self.rule;
        let validity = rule.cooldown.max(self.longest_step).saturating_mul(MISSED_NOTICES);
        let valid_until = now.saturating_add(Millis::try_from(validity.as_millis()).unwrap_or(Millis::MAX));
        Notice {
            name: rule.name.clone(),
            state,
            severity: rule.severity.clone(),
            message: notice::message(&rule.name, state),
            labels: notice::labels(rule, labels),
            annotations: notice::annotations(rule, labels, alert.value),
            value: alert.value,
            metrics: BTreeMap::from([(rule.metric.clone(), alert.value)]),
            timestamp: now,
            // A clock that was set back must not make it end before it began.
            since: alert.fired.min(now),
            valid_until: (state == AlertState::Firing).then_some(valid_until),
            is_repeated: telling == Telling::Again,
            receivers: rule.receivers.clone(),
        }
    }
}
