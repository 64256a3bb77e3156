//! One alert at work: the stages that it goes through.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::exact;
use super::notice::AlertState;
use super::rule::{OnMissing, Rule};
use crate::clock::Millis;

/// How long an alert that is over is still shown.
const SHOWN_FOR: Duration = Duration::from_secs(15 * 60);

/// The alert of one label set. One that is inactive is not kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Alert {
    pub(super) stage: Stage,
    pub(super) since: Millis,
    /// When it began to fire; without meaning before.
    pub(super) fired: Millis,
    #[serde(with = "exact")]
    pub(super) value: Option<f64>,
    /// Whether the evaluation at work has come to it.
    #[serde(skip)]
    pub(super) is_seen: bool,
    /// Whether it is from before a restart, and its series has not been there since.
    #[serde(skip)]
    pub(super) is_awaited: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    /// Bad for so long.
    Pending { held: Duration },
    /// Told so long ago, and good for so long, if it is.
    Firing { told: Duration, quiet: Option<Duration> },
    /// Over for so long.
    Resolved { past: Duration },
    /// No alert any more.
    #[serde(skip)]
    Inactive,
}

/// What an evaluation found of one label set.
#[derive(Clone, Copy)]
pub(super) enum Finding {
    Bad(f64),
    Good(f64),
    Missing,
    /// Missing, and may only not have been measured yet since a restart.
    Awaited,
}

/// What is told of an alert.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    Triggered,
    Again,
    Cleared,
}

impl Stage {
    /// Whether both are the same but for the time spent there.
    pub(super) fn is_same(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl Alert {
    /// One that has just been found.
    pub(super) fn begin(now: Millis) -> Self {
        let stage = Stage::Pending { held: Duration::ZERO };
        Self { stage, since: now, fired: now, value: None, is_seen: false, is_awaited: false }
    }

    pub(super) fn state(&self) -> AlertState {
        match self.stage {
            Stage::Pending { .. } => AlertState::Pending,
            Stage::Firing { .. } => AlertState::Firing,
            Stage::Resolved { .. } | Stage::Inactive => AlertState::Resolved,
        }
    }

    /// Takes what was found, `step` after the last time.
    pub(super) fn advance(&mut self, rule: &Rule, finding: Finding, now: Millis, step: Duration) -> Option<Telling> {
        self.value = match finding {
            Finding::Bad(value) | Finding::Good(value) => Some(value),
            Finding::Missing => None,
            Finding::Awaited => self.value,
        };
        let is_bad = match finding {
            Finding::Bad(_) => Some(true),
            Finding::Good(_) => Some(false),
            Finding::Missing if rule.on_missing == OnMissing::Keep => None,
            Finding::Missing => Some(false),
            Finding::Awaited => None,
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
