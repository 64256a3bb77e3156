//! Many series at a time.

use super::*;
use crate::alert::{Alerts, MOST_ALERTS};

fn series(numbers: std::ops::Range<usize>, value: f64) -> Vec<(Labels, Option<f64>)> {
    numbers.map(|number| (labels(&format!("n=\"{number:06}\"")), Some(value))).collect()
}

#[test]
fn each_series_has_an_alert_of_its_own() {
    let mut watch = RuleWatch::new(rule("Busy"), INTERVAL);
    let mut values = series(0..3, 2.0);
    values[1].1 = Some(0.0);
    let fired = watch.evaluate(0, &values);
    assert_eq!(fired.iter().map(|notice| notice.labels["n"].as_str()).collect::<Vec<_>>(), ["000000", "000002"]);
    let cleared = watch.evaluate(5_000, &values[2..]);
    assert_eq!(cleared.iter().map(|notice| notice.labels["n"].as_str()).collect::<Vec<_>>(), ["000000"]);
}

#[test]
fn alerts_are_bounded_and_what_is_refused_is_counted() {
    let mut watch = RuleWatch::new(rule("Busy"), INTERVAL);
    assert_eq!(watch.evaluate(0, &series(0..MOST_ALERTS + 100, 2.0)).len(), MOST_ALERTS);
    assert_eq!((watch.refused(), watch.alerts().count()), (100, MOST_ALERTS));
    // Good values need no room.
    assert_eq!(watch.evaluate(5_000, &series(0..MOST_ALERTS + 100, 0.0)).len(), MOST_ALERTS);
    assert_eq!((watch.refused(), watch.counts()), (100, (0, 0)));
    // Those that are over make room.
    assert_eq!(watch.evaluate(10_000, &series(MOST_ALERTS..MOST_ALERTS + 100, 2.0)).len(), 100);
    assert_eq!((watch.refused(), watch.counts()), (100, (0, 100)));
    assert_eq!(watch.alerts().count(), MOST_ALERTS);
}

#[test]
fn label_sets_that_come_and_go_leave_nothing_behind() {
    let mut watch = RuleWatch::new(Rule { hold: seconds(60), ..rule("Busy") }, INTERVAL);
    for round in 0..100 {
        assert_eq!(watch.evaluate(round as u64 * 5_000, &series(round * 1000..(round + 1) * 1000, 2.0)), []);
        assert!(watch.alerts().count() <= MOST_ALERTS);
    }
    let _ = watch.evaluate(1_000_000, &[]);
    assert_eq!(watch.alerts().count(), 0);
}

#[test]
fn what_waits_for_series_that_are_gone_makes_room() {
    let rule = Rule { hold: seconds(60), on_missing: OnMissing::Keep, ..rule("Busy") };
    let mut watch = RuleWatch::new(rule, INTERVAL);
    let _ = watch.evaluate(0, &series(0..MOST_ALERTS, 2.0));
    let _ = watch.evaluate(5_000, &[]);
    assert_eq!(watch.counts(), (MOST_ALERTS, 0));
    let _ = watch.evaluate(10_000, &series(MOST_ALERTS..MOST_ALERTS + 10, 2.0));
    assert_eq!((watch.refused(), watch.counts()), (0, (MOST_ALERTS, 0)));
}

#[test]
fn a_flood_of_label_sets_is_refused_at_little_cost() {
    let mut watch = RuleWatch::new(rule("Busy"), INTERVAL);
    let flood = series(0..100_000, 2.0);
    for round in 0..10 {
        let told = watch.evaluate(round * 5_000, &flood).len();
        assert_eq!(told, if round == 0 { MOST_ALERTS } else { 0 });
    }
    assert_eq!(watch.refused(), 10 * (100_000 - MOST_ALERTS as u64));
}

#[test]
fn what_was_refused_stays_counted_when_its_rule_goes() {
    let mut alerts = Alerts::new(vec![rule("Busy")], INTERVAL);
    for watch in alerts.watches() {
        let _ = watch.evaluate(0, &series(0..MOST_ALERTS + 7, 2.0));
    }
    assert_eq!(alerts.reload(vec![], INTERVAL, 1).len(), MOST_ALERTS);
    assert_eq!(alerts.refused(), 7);
}
