//! All rules at work.

use std::time::Duration;

use super::notice::{AlertView, Notice};
use super::rule::Rule;
use super::saved::SavedRule;
use super::watch::RuleWatch;
use crate::clock::Millis;

/// All rules and their alerts.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    watches: Vec<RuleWatch>,
    refused: u64,
    /// Whether alerts went with their rule, or have another one, since they were saved last.
    has_changed: bool,
}

impl Alerts {
    /// Watches `rules`, which are evaluated each `interval`.
    pub fn new(rules: Vec<Rule>, interval: Duration) -> Self {
        let watches = rules.into_iter().map(|rule| RuleWatch::new(rule, interval)).collect();
        Self { watches, refused: 0, has_changed: false }
    }

    /// Goes on from what was [saved](Self::save) before a restart, with the rules of then, watching from `now` on. The rules of
    /// now are to be [loaded](Self::reload) next.
    pub fn restore(&mut self, saved: &[SavedRule], interval: Duration, now: Millis) {
        let saved = saved.iter().cloned();
        self.watches = saved.map(|saved| RuleWatch::restored(saved, interval, now)).collect();
    }

    /// What is to outlive the node: the rules that have alerts.
    pub fn save(&self) -> Vec<SavedRule> {
        self.watches.iter().filter_map(RuleWatch::saved).collect()
    }

    /// Whether there is any alert.
    pub fn has_alerts(&self) -> bool {
        self.watches.iter().any(RuleWatch::has_alerts)
    }

    /// Whether an alert has come to another stage, was told, or has another rule since this was asked last.
    pub fn take_change(&mut self) -> bool {
        let of_watches = self.watches.iter_mut().fold(false, |any, watch| watch.take_change() | any);
        std::mem::take(&mut self.has_changed) | of_watches
    }

    /// The rules, each to be evaluated.
    pub fn watches(&mut self) -> impl Iterator<Item = &mut RuleWatch> {
        self.watches.iter_mut()
    }

    /// Takes other rules. A rule that [continues](Rule::continues) one so far takes its alerts over; what fires under a rule
    /// that nobody continues is told to be over.
    #[must_use]
    pub fn reload(&mut self, rules: Vec<Rule>, interval: Duration, now: Millis) -> Vec<Notice> {
        self.has_changed |= self.has_alerts();
        let mut before = std::mem::take(&mut self.watches);
        for rule in rules {
            let found = before.iter().position(|watch| rule.continues(watch.rule()));
            let watch = match found.map(|at| before.swap_remove(at)) {
                Some(mut watch) => {
                    watch.adopt(rule, interval);
                    watch
                }
                None => RuleWatch::new(rule, interval),
            };
            self.watches.push(watch);
        }
        self.refused = before.iter().fold(self.refused, |refused, watch| refused.saturating_add(watch.refused()));
        before.into_iter().flat_map(|watch| watch.end(now)).collect()
    }

    /// Every alert that is pending, fires, or was over lately, in the order of the rules.
    pub fn list(&self) -> Vec<AlertView> {
        self.watches.iter().flat_map(RuleWatch::alerts).collect()
    }

    /// How many alerts are pending, and how many fire.
    pub fn counts(&self) -> (usize, usize) {
        let counts = self.watches.iter().map(RuleWatch::counts);
        counts.fold((0, 0), |(pending, firing), (more, yet)| (pending + more, firing + yet))
    }

    /// How many bad values were left alone because their rule had too many alerts, all together.
    pub fn refused(&self) -> u64 {
        self.watches.iter().fold(self.refused, |refused, watch| refused.saturating_add(watch.refused()))
    }
}
