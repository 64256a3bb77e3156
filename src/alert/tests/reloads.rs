//! Other rules while alerts are pending and firing.

use super::*;
use crate::alert::Alerts;

/// What all rules tell of one value.
fn all(alerts: &mut Alerts, now: Millis, value: f64) -> String {
    let series = [(labels("a=\"x\""), Some(value))];
    alerts.watches().map(|watch| told(&watch.evaluate(now, &series))).collect()
}

#[test]
fn what_a_change_does_to_an_alert_that_fires() {
    let annotated = vec![Annotation { name: "other".to_owned(), text: Template::parse("text").unwrap() }];
    for (what, changed, continues) in [
        ("nothing", rule("A"), true),
        ("annotations", Rule { annotations: annotated, ..rule("A") }, true),
        ("cooldown", Rule { cooldown: seconds(5), ..rule("A") }, true),
        ("for", Rule { hold: seconds(500), ..rule("A") }, true),
        ("keep_firing_for", Rule { keep_firing_for: seconds(5), ..rule("A") }, true),
        ("receivers", Rule { receivers: vec!["hook".to_owned()], ..rule("A") }, true),
        ("on_missing", Rule { on_missing: OnMissing::Keep, ..rule("A") }, true),
        ("the condition", Rule { condition: Condition::parse("> 1.5").unwrap(), ..rule("A") }, false),
        ("the metric", Rule { metric: "other".to_owned(), ..rule("A") }, false),
        ("the labels", Rule { labels: Selector::parse("a=\"x\"").unwrap(), ..rule("A") }, false),
        ("the statistic", Rule { stat: Stat::Max, ..rule("A") }, false),
        ("the range", Rule { range: seconds(1), ..rule("A") }, false),
        ("the severity", Rule { severity: "critical".to_owned(), ..rule("A") }, false),
        ("its own labels", Rule { own_labels: labels("b=\"y\""), ..rule("A") }, false),
        ("the name", rule("B"), false),
    ] {
        let mut alerts = Alerts::new(vec![rule("A")], INTERVAL);
        assert_eq!(all(&mut alerts, 0, 2.0), "T");
        let cooldown = changed.cooldown;
        let notices = alerts.reload(vec![changed.clone()], INTERVAL, 1_000);
        assert_eq!(told(&notices), if continues { '.' } else { 'C' }, "{what}");
        assert!(notices.iter().all(|notice| notice.name == "A"));
        assert_eq!(alerts.counts(), (0, usize::from(continues)), "{what}");
        let next = all(&mut alerts, 5_000, 2.0);
        let expected = match (continues, cooldown == seconds(5)) {
            (true, false) => ".",
            (true, true) => "A",
            (false, _) => "T",
        };
        assert_eq!(next, expected, "{what}");
        assert_eq!(alerts.watches().next().unwrap().rule(), &changed);
    }
}

#[test]
fn a_reload_in_the_middle_of_for_goes_on_counting() {
    let slow = || Rule { hold: seconds(15), ..rule("A") };
    let mut alerts = Alerts::new(vec![slow()], INTERVAL);
    for now in [0, 5_000, 10_000] {
        assert_eq!(all(&mut alerts, now, 2.0), ".");
        assert_eq!(alerts.reload(vec![slow()], INTERVAL, now), []);
    }
    assert_eq!(all(&mut alerts, 15_000, 2.0), "T");
}

#[test]
fn a_rule_that_goes_ends_what_fires_and_nothing_else() {
    let pending = Rule { hold: seconds(60), ..rule("Pending") };
    let mut alerts = Alerts::new(vec![rule("Firing"), pending, rule("Kept")], INTERVAL);
    assert_eq!(all(&mut alerts, 0, 2.0), "T.T");
    let notices = alerts.reload(vec![rule("Kept"), rule("New")], INTERVAL, 5_000);
    assert_eq!(notices.iter().map(|notice| notice.message.as_str()).collect::<Vec<_>>(), ["Alert Firing cleared"]);
    assert_eq!(all(&mut alerts, 10_000, 2.0), ".T");
    assert_eq!(alerts.list().len(), 2);
    assert_eq!(alerts.reload(vec![], INTERVAL, 15_000).len(), 2);
    assert_eq!(alerts.list(), []);
}

#[test]
fn rules_that_share_a_name_are_told_apart_by_what_they_look_at() {
    let critical =
        || Rule { condition: Condition::parse("> 5").unwrap(), severity: "critical".to_owned(), ..rule("Load") };
    let mut alerts = Alerts::new(vec![rule("Load"), critical()], INTERVAL);
    assert_eq!(all(&mut alerts, 0, 2.0), "T.");
    // They change places.
    assert_eq!(alerts.reload(vec![critical(), rule("Load")], INTERVAL, 1_000), []);
    assert_eq!(all(&mut alerts, 5_000, 6.0), "T.");
    assert_eq!(all(&mut alerts, 10_000, 2.0), "C.");
    assert_eq!(all(&mut alerts, 15_000, 1.0), ".C");
}
