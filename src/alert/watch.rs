//! One rule at work: a state for each label set that is looked at.
//!
//! Time counts as far as it was watched: from one evaluation to the next, and no more of it than two intervals. So a clock
//! that is set ahead lets nothing fire that was not seen to be bad, and one that is set back delays nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::notice::{self, AlertState, AlertView, Notice};
use super::rule::{OnMissing, Rule};
use crate::clock::Millis;
use crate::stats::Labels;

/// The most alerts of one rule that are pending, firing or lately resolved.
pub const MOST_ALERTS: usize = 1000;

/// How long an alert that is over is still shown.
const SHOWN_FOR: Duration = Duration::from_secs(15 * 60);

/// A firing alert is told again each cooldown, and is over for others when that fails to come so many times.
const MISSED_NOTICES: u32 = 4;

/// A rule and its alerts.
#[derive(Clone, Debug)]
pub struct RuleWatch {
    rule: Rule,
    /// The longest time that one evaluation lets pass.
    longest_step: Duration,
    evaluated: Option<Millis>,
    alerts: BTreeMap<Labels, Alert>,
    /// Whether this evaluation found no room for another alert, so that none need be looked for again.
    is_full: bool,
    refused: u64,
}

/// The alert of one label set. One that is inactive is not kept.
#[derive(Clone, Debug)]
struct Alert {
    stage: Stage,
    since: Millis,
    /// When it began to fire; without meaning before.
    fired: Millis,
    value: Option<f64>,
    is_seen: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Bad for so long.
    Pending { held: Duration },
    /// Told so long ago, and good for so long, if it is.
    Firing { told: Duration, quiet: Option<Duration> },
    /// Over for so long.
    Resolved { past: Duration },
    /// No alert any more.
    Inactive,
}

/// What an evaluation found of one label set.
#[derive(Clone, Copy)]
enum Finding {
    Bad(f64),
    Good(f64),
    Missing,
}

/// What is told of an alert.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    Triggered,
    Again,
    Cleared,
}

impl RuleWatch {
    /// Watches `rule`, which is evaluated each `interval`.
    pub fn new(rule: Rule, interval: Duration) -> Self {
        let longest_step = interval.saturating_mul(2);
        Self { rule, longest_step, evaluated: None, alerts: BTreeMap::new(), is_full: false, refused: 0 }
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
        Duration::from_millis(passed).min(self.longest_step)
    }

    fn take(&mut self, labels: &Labels, finding: Finding, now: Millis, step: Duration) -> Option<Notice> {
        let (mut alert, step) = match (self.alerts.remove(labels), finding) {
            (Some(alert), _) => (alert, step),
            (None, Finding::Bad(_)) if self.has_room() => (Alert::begin(now), Duration::ZERO),
            (None, Finding::Bad(_)) => {
                self.refused += 1;
                return None;
            }
            (None, _) => return None,
        };
        let telling = alert.advance(&self.rule, finding, now, step);
        if matches!(alert.stage, Stage::Inactive) {
            return None;
        }
        alert.is_seen = true;
        let notice = telling.map(|telling| self.notice(labels, &alert, telling, now));
        self.alerts.insert(labels.clone(), alert);
        notice
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

impl Alert {
    /// One that has just been found.
    fn begin(now: Millis) -> Self {
        Self { stage: Stage::Pending { held: Duration::ZERO }, since: now, fired: now, value: None, is_seen: false }
    }

    fn state(&self) -> AlertState {
        match self.stage {
            Stage::Pending { .. } => AlertState::Pending,
            Stage::Firing { .. } => AlertState::Firing,
            Stage::Resolved { .. } | Stage::Inactive => AlertState::Resolved,
        }
    }

    /// Takes what was found, `step` after the last time.
    fn advance(&mut self, rule: &Rule, finding: Finding, now: Millis, step: Duration) -> Option<Telling> {
        self.value = match finding {
            Finding::Bad(value) | Finding::Good(value) => Some(value),
            Finding::Missing => None,
        };
        let is_bad = match finding {
            Finding::Bad(_) => Some(true),
            Finding::Good(_) => Some(false),
            Finding::Missing if rule.on_missing == OnMissing::Keep => None,
            Finding::Missing => Some(false),
        };
        match (self.stage, is_bad) {
            (Stage::Pending { held }, Some(true)) => self.hold(rule, held.saturating_add(step), now),
            (Stage::Pending { .. }, None) => None,
            (Stage::Pending { .. } | Stage::Inactive, _) => {
                self.stage = Stage::Inactive;
                None
            }
            (Stage::Firing { told, quiet }, is_bad) => {
                self.burn(rule, told.saturating_add(step), quiet, is_bad, now, step)
            }
            (Stage::Resolved { .. }, Some(true)) => {
                self.since = now;
                self.hold(rule, Duration::ZERO, now)
            }
            (Stage::Resolved { past }, _) => {
                let past = past.saturating_add(step);
                self.stage = if past >= SHOWN_FOR { Stage::Inactive } else { Stage::Resolved { past } };
                None
            }
        }
    }

    /// It has been bad for `held`.
    fn hold(&mut self, rule: &Rule, held: Duration, now: Millis) -> Option<Telling> {
        if held < rule.hold {
            self.stage = Stage::Pending { held };
            return None;
        }
        self.stage = Stage::Firing { told: Duration::ZERO, quiet: None };
        (self.since, self.fired) = (now, now);
        Some(Telling::Triggered)
    }

    /// It fires, and was told so long ago. `is_bad` is `None` where that is not known and changes nothing.
    fn burn(
        &mut self,
        rule: &Rule,
        told: Duration,
        quiet: Option<Duration>,
        is_bad: Option<bool>,
        now: Millis,
        step: Duration,
    ) -> Option<Telling> {
        let quiet = match is_bad {
            Some(true) => None,
            Some(false) => Some(quiet.map_or(Duration::ZERO, |quiet| quiet.saturating_add(step))),
            None => quiet,
        };
        if is_bad == Some(false) && quiet >= Some(rule.keep_firing_for) {
            self.stage = Stage::Resolved { past: Duration::ZERO };
            self.since = now;
            return Some(Telling::Cleared);
        }
        let is_due = told >= rule.cooldown;
        self.stage = Stage::Firing { told: if is_due { Duration::ZERO } else { told }, quiet };
        is_due.then_some(Telling::Again)
    }
}
