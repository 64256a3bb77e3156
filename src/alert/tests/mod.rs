//! Rules at work, in virtual time.

mod floods;
mod queues;
mod reloads;
mod restarts;
mod saving;
mod states;

use std::time::Duration;

use super::{Annotation, Condition, LOG, Notice, OnMissing, Rule, RuleWatch, Template};
use crate::clock::Millis;
use crate::stats::{Labels, Selector, Stat};

const INTERVAL: Duration = Duration::from_secs(5);

/// A rule `load > 1` that fires at once.
fn rule(name: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        metric: "load".to_owned(),
        labels: Selector::default(),
        stat: Stat::Last,
        range: Rule::DEFAULT_RANGE,
        condition: Condition::parse("> 1").unwrap(),
        hold: Duration::ZERO,
        keep_firing_for: Duration::ZERO,
        cooldown: Duration::from_secs(60),
        severity: "warning".to_owned(),
        own_labels: Labels::default(),
        annotations: vec![Annotation {
            name: "summary".to_owned(),
            text: Template::parse("load {{ $value }}").unwrap(),
        }],
        receivers: vec![LOG.to_owned()],
        on_missing: OnMissing::Resolve,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn labels(text: &str) -> Labels {
    Labels::parse(text).unwrap()
}

/// What one evaluation with the value of one series says: `.` nothing, `T` triggered, `A` again, `C` cleared.
fn evaluate(watch: &mut RuleWatch, now: Millis, value: Option<f64>) -> char {
    told(&watch.evaluate(now, &[(labels("a=\"x\""), value)]))
}

fn told(notices: &[Notice]) -> char {
    use super::AlertState::{Firing, Resolved};
    match notices {
        [] => '.',
        [Notice { state: Firing, is_repeated: false, message, .. }] if message.ends_with("triggered") => 'T',
        [Notice { state: Firing, is_repeated: true, message, .. }] if message.ends_with("triggered") => 'A',
        [Notice { state: Resolved, is_repeated: false, message, .. }] if message.ends_with("cleared") => 'C',
        notices => panic!("{notices:?}"),
    }
}
