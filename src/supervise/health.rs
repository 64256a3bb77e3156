//! What a check makes of looks that succeed and fail.

use std::time::Duration;

use serde::Serialize;

use crate::clock::Millis;
use crate::config::{CheckConfig, OnFailure};

#[cfg(test)]
mod tests;

/// The longest error that is kept, in characters.
const SHOWN: usize = 500;

/// Whether what a check looks at is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It is, or it isn't known otherwise yet.
    Healthy,
    /// It failed too often in a row.
    Unhealthy,
}

/// One check: what its last looks came to.
#[derive(Clone, Debug)]
pub struct Health {
    check: CheckConfig,
    status: HealthStatus,
    since: Millis,
    /// In a row.
    failures: u32,
    /// In a row.
    successes: u32,
    error: Option<String>,
    has_looked: bool,
    is_known: bool,
}

/// A check as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Whether all is well.
    pub status: HealthStatus,
    /// Since when, in milliseconds since 1970.
    pub since: Millis,
    /// How many looks have failed in a row.
    pub failures: u32,
    /// Why the last one failed, if it did.
    pub error: Option<String>,
}

/// That the status has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is well again.
    Healthy,
    /// It isn't any more.
    Unhealthy {
        /// Why the last look failed.
        error: String,
    },
}

/// What is to be done after a look.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is to be told.
    pub change: Option<Change>,
    /// Whether the worker is to be started again: when it becomes unhealthy, and then each time as many further looks have
    /// failed as made it so.
    pub restart: bool,
}

impl Health {
    /// A check that begins now, healthy.
    pub fn new(check: CheckConfig, now: Millis) -> Self {
        let status = HealthStatus::Healthy;
        Self { check, status, since: now, failures: 0, successes: 0, error: None, has_looked: false, is_known: false }
    }

    /// What it checks.
    pub fn check(&self) -> &CheckConfig {
        &self.check
    }

    /// Whether all is well.
    pub fn is_healthy(&self) -> bool {
        self.status == HealthStatus::Healthy
    }

    /// Whether looks have shown yet that all is well, or that it isn't.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// The time from now, its beginning or the begin of its last look, to its next look.
    pub fn next_in(&self) -> Duration {
        if self.has_looked { self.check.interval } else { self.check.initial_delay }
    }

    /// Takes what a look came to.
    pub fn record(&mut self, now: Millis, result: Result<(), &str>) -> Verdict {
        self.has_looked = true;
        match result {
            Ok(()) => self.succeeded(now),
            Err(error) => self.failed(now, brief(error)),
        }
    }

    /// Goes on under another configuration of the same check: the status stays, and rows begin anew where that counts them
    /// otherwise.
    pub fn reload(&mut self, check: CheckConfig) {
        if check.failure_threshold != self.check.failure_threshold {
            self.failures = 0;
        }
        self.check = check;
    }

    /// The check as the API shows it.
    pub fn view(&self) -> HealthView {
        HealthView {
            name: self.check.name.clone(),
            kind: self.check.target.kind(),
            status: self.status,
            since: self.since,
            failures: self.failures,
            error: self.error.clone(),
        }
    }

    fn succeeded(&mut self, now: Millis) -> Verdict {
        self.is_known = true;
        self.failures = 0;
        self.error = None;
        self.successes = self.successes.saturating_add(1);
        if self.is_healthy() || self.successes < self.check.success_threshold {
            return Verdict::default();
        }
        (self.status, self.since) = (HealthStatus::Healthy, now);
        Verdict { change: Some(Change::Healthy), restart: false }
    }

    fn failed(&mut self, now: Millis, error: String) -> Verdict {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        self.error = Some(error.clone());
        let threshold = self.check.failure_threshold.max(1);
        let restart = self.check.on_failure == OnFailure::Restart && self.failures.is_multiple_of(threshold);
        if !self.is_healthy() || self.failures < threshold {
            return Verdict { change: None, restart };
        }
        (self.status, self.since, self.is_known) = (HealthStatus::Unhealthy, now, true);
        Verdict { change: Some(Change::Unhealthy { error }), restart }
    }
}

/// The beginning of an error that may be long.
fn brief(error: &str) -> String {
    if error.chars().count() <= SHOWN { error.to_owned() } else { error.chars().take(SHOWN).chain(['…']).collect() }
}
