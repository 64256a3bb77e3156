//! Alerts over a restart of the node.

use proptest::prelude::*;

use super::*;
use crate::alert::{AlertState, Alerts, SavedAlerts};

/// The watch as the file gives it back to a node that starts at `now`.
fn restarted(watch: &RuleWatch, now: Millis) -> RuleWatch {
    let rules = watch.saved().into_iter().collect::<Vec<_>>().into();
    let bytes = SavedAlerts { rules, ..SavedAlerts::default() }.to_bytes().unwrap();
    let read = SavedAlerts::from_bytes(&bytes).unwrap();
    match read.rules.first() {
        Some(saved) => RuleWatch::restored(saved.clone(), INTERVAL, now),
        // Of a rule without alerts nothing is kept.
        None => RuleWatch::new(watch.rule().clone(), INTERVAL),
    }
}

/// What is told, evaluation by evaluation, each five seconds, `|` being a restart that takes an hour: `+` is a bad value, `-` a
/// good one, `?` none.
fn played(rule: Rule, values: &str) -> String {
    let (mut watch, mut now) = (RuleWatch::new(rule, INTERVAL), 1_000_000);
    let mut told = String::new();
    for value in values.chars() {
        if value == '|' {
            now += 3_600_000;
            watch = restarted(&watch, now);
            told.push('|');
            continue;
        }
        told.push(evaluate(&mut watch, now, value_of(value)));
        now += 5_000;
    }
    told
}

fn value_of(letter: char) -> Option<f64> {
    match letter {
        '+' => Some(2.0),
        '-' => Some(1.0),
        _ => None,
    }
}

#[test]
fn what_is_told_over_a_restart() {
    let base = || Rule { range: seconds(20), ..rule("Busy") };
    let hold = |hold: u64| Rule { hold: seconds(hold), ..base() };
    let keep = |keep: u64| Rule { keep_firing_for: seconds(keep), ..base() };
    let cooldown = |cooldown: u64| Rule { cooldown: seconds(cooldown), ..base() };
    let kept = |rule: Rule| Rule { on_missing: OnMissing::Keep, ..rule };
    for (what, rule, values, expected) in [
        ("it is known that it was told", base(), "++|++++-", "T.|....C"),
        ("over meanwhile", base(), "+|-", "T|C"),
        ("over before", base(), "+-|--++", "TC|..T."),
        ("the cooldown goes on", cooldown(15), "+++|+++", "T..|.A."),
        ("`for` goes on where it stood", hold(15), "+++|+++", "...|.T."),
        ("time that nobody watched is not held", hold(20), "+|+|+|+|+|+", ".|.|.|.|.|."),
        ("a good value ends what is pending", hold(10), "++|-++", "..|..."),
        ("`keep_firing_for` goes on", keep(15), "+--|---", "T..|..C"),
        ("nothing is measured yet", base(), "+|??++-", "T|....C"),
        ("nothing is measured ever again", base(), "+|?????", "T|....C"),
        ("a range that is shorter than a few intervals", Rule { range: seconds(1), ..base() }, "+|?????", "T|....C"),
        ("a longer one", Rule { range: seconds(30), ..base() }, "+|???????", "T|......C"),
        ("once it was measured it can be gone", base(), "+|?+?", "T|..C"),
        ("it is told again while nothing is measured", cooldown(10), "+|????", "T|..A."),
        ("pending while nothing is measured", hold(10), "++|??+++", "..|..T.."),
        ("kept for ever", kept(base()), "+|??????-", "T|......C"),
        ("again and again", base(), "+|?|?|?|+|?|-", "T|.|.|.|.|.|C"),
    ] {
        assert_eq!(played(rule, values), expected, "{what}: {values}");
    }
}

#[test]
fn what_is_shown_stays() {
    let mut watch = RuleWatch::new(Rule { hold: seconds(5), ..rule("Busy") }, INTERVAL);
    let show = |watch: &RuleWatch| watch.alerts().collect::<Vec<_>>();
    for (value, state) in [
        (2.0, AlertState::Pending),
        (2.5, AlertState::Firing),
        (f64::INFINITY, AlertState::Firing),
        (0.1, AlertState::Resolved),
    ] {
        evaluate(&mut watch, 5_000, Some(value));
        watch = RuleWatch::restored(watch.saved().unwrap(), INTERVAL, 0);
        let shown = show(&watch);
        assert_eq!((shown[0].state, shown[0].value), (state, Some(value)));
        assert_eq!(show(&restarted(&watch, 10_000)), shown);
        // What is not measured yet is shown as it was.
        let mut later = restarted(&watch, 0);
        evaluate(&mut later, 0, None);
        assert_eq!(show(&later)[0].value, Some(value));
    }
}

#[test]
fn rules_that_are_gone_or_changed_end_what_fired() {
    let saved = |rules: Vec<Rule>| {
        let mut alerts = Alerts::new(rules, INTERVAL);
        for watch in alerts.watches() {
            assert_eq!(evaluate(watch, 0, Some(2.0)), if watch.rule().hold.is_zero() { 'T' } else { '.' });
        }
        alerts.save()
    };
    let pending = || Rule { hold: seconds(60), ..rule("Pending") };
    let told_to = |name: &str| Rule { receivers: vec![name.to_owned()], ..rule(name) };
    let rules = saved(vec![told_to("Gone"), pending(), rule("Changed"), rule("Kept")]);
    let changed = Rule { condition: Condition::parse("> 1.5").unwrap(), ..rule("Changed") };
    let mut alerts = Alerts::default();
    alerts.restore(&rules, INTERVAL, 3_600_000);
    let ended = alerts.reload(vec![changed, Rule { cooldown: seconds(5), ..rule("Kept") }], INTERVAL, 3_600_000);
    let ended: Vec<_> = ended.iter().map(|notice| (&*notice.message, notice.since, &*notice.receivers[0])).collect();
    assert_eq!(ended, [("Alert Gone cleared", 0, "Gone"), ("Alert Changed cleared", 0, "log")]);
    assert_eq!((alerts.take_change(), alerts.take_change(), alerts.counts()), (true, false, (0, 1)));
    let told: String = alerts.watches().map(|watch| evaluate(watch, 3_605_000, Some(2.0))).collect();
    assert_eq!(told, "TA");
}

#[test]
fn what_is_worth_saving() {
    let mut alerts =
        Alerts::new(vec![Rule { hold: seconds(5), cooldown: seconds(10), ..rule("A") }, rule("B")], INTERVAL);
    let mut evaluate = |now: u64, value: f64| {
        let told: String = alerts.watches().take(1).map(|watch| evaluate(watch, now * 1_000, Some(value))).collect();
        (told.chars().next().unwrap(), alerts.take_change(), alerts.has_alerts(), alerts.save().len())
    };
    for (now, value, expected) in [
        (0, 0.0, ('.', false, false, 0)),
        (5, 2.0, ('.', true, true, 1)),
        (10, 0.0, ('.', true, false, 0)),
        (15, 2.0, ('.', true, true, 1)),
        (20, 2.0, ('T', true, true, 1)),
        (25, 2.0, ('.', false, true, 1)),
        (30, 3.0, ('A', true, true, 1)),
        (35, 0.0, ('C', true, true, 1)),
        (40, 0.0, ('.', false, true, 1)),
        (45, 2.0, ('.', true, true, 1)),
    ] {
        assert_eq!(evaluate(now, value), expected, "at {now}");
    }
    assert_eq!((alerts.reload(vec![rule("B")], INTERVAL, 0), alerts.take_change()), (vec![], true));
    assert_eq!((alerts.reload(vec![], INTERVAL, 0), alerts.take_change()), (vec![], false));
}

proptest! {
    #[test]
    fn a_restart_that_takes_no_time_changes_nothing(
        values in proptest::collection::vec("[+?-]{3}", 1..60),
        restarts in proptest::collection::vec(any::<bool>(), 60),
        hold in 0..30u64, keep in 0..30u64, cooldown in 1..30u64, is_kept in any::<bool>(),
    ) {
        let on_missing = if is_kept { OnMissing::Keep } else { OnMissing::Resolve };
        let (hold, keep_firing_for, cooldown) = (seconds(hold), seconds(keep), seconds(cooldown));
        let rule = Rule { hold, keep_firing_for, cooldown, on_missing, ..rule("Busy") };
        let mut steady = RuleWatch::new(rule, INTERVAL);
        let mut shaken = steady.clone();
        let mut now = 1_000_000;
        for (values, restarts) in values.iter().zip(restarts) {
            let names = ["s=\"a\"", "s=\"b\"", "s=\"c\\\"\""];
            let series: Vec<_> = names.into_iter().map(labels).zip(values.chars().map(value_of)).collect();
            // What is missing right after a restart may not have been measured yet, and has time.
            if restarts && (is_kept || !values.contains('?')) {
                shaken = restarted(&shaken, now);
            }
            now += 5_000;
            prop_assert_eq!(steady.evaluate(now, &series), shaken.evaluate(now, &series));
            prop_assert_eq!(steady.alerts().collect::<Vec<_>>(), shaken.alerts().collect::<Vec<_>>());
        }
    }
}
