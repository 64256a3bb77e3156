//! The states of one alert, as tables.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::alert::AlertState;

/// What is told, evaluation by evaluation, each five seconds: `-` is a good value, `+` a bad one, `?` none.
fn played(rule: Rule, values: &str) -> String {
    let mut watch = RuleWatch::new(rule, INTERVAL);
    let values = values.bytes().zip(0u64..);
    values.map(|(value, at)| evaluate(&mut watch, 1_000_000 + at * 5_000, value_of(value))).collect()
}

fn value_of(letter: u8) -> Option<f64> {
    match letter {
        b'+' => Some(2.0),
        b'-' => Some(1.0),
        _ => None,
    }
}

#[test]
fn what_is_told_when() {
    let base = || rule("Busy");
    let hold = |hold: u64| Rule { hold: seconds(hold), ..base() };
    let keep = |keep: u64| Rule { keep_firing_for: seconds(keep), ..base() };
    let cooldown = |cooldown: u64| Rule { cooldown: seconds(cooldown), ..base() };
    for (what, rule, values, expected) in [
        ("good values", base(), "------", "......"),
        ("at once", base(), "--+++--", "..T..C."),
        ("flapping", base(), "+-+-+-", "TCTCTC"),
        ("`for` is met", hold(10), "-++++-", "...T.C"),
        ("`for` is met by the last of the time only", hold(11), "-++++-", "....TC"),
        ("`for` is not met", hold(10), "-++-++-", "......."),
        ("`for` begins anew", hold(10), "++-+++-", ".....TC"),
        ("again each cooldown", cooldown(15), "++++++++-", "T..A..A.C"),
        ("a cooldown between two evaluations", cooldown(7), "++++++-", "T.A.A.C"),
        ("a cooldown that is shorter than the interval", cooldown(1), "++++-", "TAAAC"),
        ("the clear notice comes once", cooldown(5), "+-----", "TC...."),
        ("fires on", keep(10), "+----", "T..C."),
        ("fires on from the last bad value", keep(10), "+--+--+---", "T........C"),
        ("is told again while it fires on", Rule { cooldown: seconds(10), ..keep(30) }, "+-------", "T.A.A.AC"),
        ("missing is good", base(), "++??", "T.C."),
        ("missing ends what is pending", hold(10), "++?++", "....."),
        ("missing, but it fires on", keep(10), "+????", "T..C."),
        ("kept", Rule { on_missing: OnMissing::Keep, ..base() }, "+????-", "T....C"),
        ("kept, and told again", Rule { on_missing: OnMissing::Keep, ..cooldown(10) }, "+????-", "T.A.AC"),
        ("kept pending", Rule { on_missing: OnMissing::Keep, ..hold(10) }, "++????+-", "......TC"),
        ("kept, never there", Rule { on_missing: OnMissing::Keep, ..base() }, "????", "...."),
        (
            "kept does not end the time that it fires on",
            Rule { on_missing: OnMissing::Keep, ..keep(10) },
            "+-??--",
            "T....C",
        ),
        ("over and again", hold(5), "++-++-", ".TC.TC"),
    ] {
        assert_eq!(played(rule, values), expected, "{what}: {values}");
    }
}

#[test]
fn a_clock_that_jumps_neither_storms_nor_stalls() {
    const HOUR: Millis = 3_600_000;
    let mut watch = RuleWatch::new(Rule { hold: seconds(30), cooldown: seconds(30), ..rule("Busy") }, INTERVAL);
    let mut play =
        |times: &[Millis]| -> String { times.iter().map(|now| evaluate(&mut watch, *now, Some(2.0))).collect() };
    let from = |start: Millis| (0..8).map(|at| start + at * 5_000).collect::<Vec<_>>();
    // Ahead by an hour: no more than two intervals of it count for `for`.
    assert_eq!(play(&[10 * HOUR, 10 * HOUR + 5_000, 11 * HOUR]), "...");
    // 15 of the 30 seconds have counted.
    assert_eq!(play(&from(11 * HOUR + 5_000)), "..T.....");
    // Back by two: the notice comes again after the cooldown, without the time from one evaluation to the next.
    assert_eq!(play(&from(9 * HOUR)), ".A.....A");
    // Ahead by many: one notice, not many.
    assert_eq!(play(&from(500 * HOUR)), "....A...");
    let mut now = 1;
    let storm: String = (0..100)
        .map(|_| {
            now = (now * 48_271) % 1_000_000_007;
            evaluate(&mut watch, now, Some(2.0))
        })
        .collect();
    assert!(storm.matches('A').count() <= 34, "{storm}");
    assert_eq!(evaluate(&mut watch, 0, Some(0.0)), 'C');
    assert_eq!(evaluate(&mut watch, u64::MAX, Some(2.0)), '.');
}

#[test]
fn a_notice_says_what_the_api_says() {
    let rule = Rule { own_labels: labels("team=\"t\",a=\"own\""), ..rule("Busy") };
    let mut watch = RuleWatch::new(rule, INTERVAL);
    let [fired] = &watch.evaluate(1_000, &[(labels("a=\"x\",b=\"y\""), Some(2.5))])[..] else { panic!() };
    let expected = json!({
        "name": "Busy", "state": "firing", "severity": "warning", "message": "Alert Busy triggered",
        "labels": { "a": "own", "b": "y", "team": "t" }, "annotations": { "summary": "load 2.5" }, "value": 2.5,
        "metrics": { "load": 2.5 }, "timestamp": 1_000,
    });
    assert_eq!(serde_json::to_value(fired).unwrap(), expected);
    assert_eq!((fired.since, fired.valid_until, &fired.receivers[..]), (1_000, Some(241_000), &["log".to_owned()][..]));
    let [cleared] = &watch.evaluate(6_000, &[])[..] else { panic!() };
    let expected = json!({
        "name": "Busy", "state": "resolved", "severity": "warning", "message": "Alert Busy cleared",
        "labels": { "a": "own", "b": "y", "team": "t" }, "annotations": { "summary": "load " }, "value": null,
        "metrics": { "load": null }, "timestamp": 6_000,
    });
    assert_eq!(serde_json::to_value(cleared).unwrap(), expected);
    assert_eq!((cleared.since, cleared.valid_until), (1_000, None));
}

#[test]
fn an_alert_that_ends_after_the_clock_was_set_back_does_not_end_before_it_began() {
    let mut watch = RuleWatch::new(rule("Busy"), INTERVAL);
    assert_eq!(evaluate(&mut watch, 9_000, Some(2.0)), 'T');
    let [cleared] = &watch.evaluate(4_000, &[])[..] else { panic!() };
    assert_eq!((cleared.since, cleared.timestamp), (4_000, 4_000));
}

#[test]
fn what_is_shown_of_an_alert() {
    let mut watch = RuleWatch::new(Rule { hold: seconds(5), ..rule("Busy") }, INTERVAL);
    let show = |watch: &RuleWatch| -> Vec<_> {
        watch.alerts().map(|alert| (alert.state, alert.message, alert.since, alert.value)).collect()
    };
    let shown = |state, what: &str, since, value| vec![(state, format!("Alert Busy {what}"), since, value)];
    evaluate(&mut watch, 0, Some(1.0));
    assert_eq!((show(&watch), watch.counts()), (vec![], (0, 0)));
    evaluate(&mut watch, 5_000, Some(2.0));
    assert_eq!((show(&watch), watch.counts()), (shown(AlertState::Pending, "pending", 5_000, Some(2.0)), (1, 0)));
    evaluate(&mut watch, 10_000, Some(3.0));
    evaluate(&mut watch, 15_000, Some(4.0));
    assert_eq!((show(&watch), watch.counts()), (shown(AlertState::Firing, "triggered", 10_000, Some(4.0)), (0, 1)));
    evaluate(&mut watch, 20_000, Some(1.0));
    assert_eq!((show(&watch), watch.counts()), (shown(AlertState::Resolved, "cleared", 20_000, Some(1.0)), (0, 0)));
    let last = 20_000 + 15 * 60_000;
    let mut now = 20_000;
    while now < last {
        assert_eq!(show(&watch).len(), 1, "{now}");
        now += 5_000;
        evaluate(&mut watch, now, Some(1.0));
    }
    assert_eq!(show(&watch), []);
}

#[test]
fn what_is_no_number_is_missing() {
    let mut watch = RuleWatch::new(Rule { condition: Condition::parse("!= 1").unwrap(), ..rule("Odd") }, INTERVAL);
    assert_eq!(evaluate(&mut watch, 0, Some(f64::NAN)), '.');
    assert_eq!(evaluate(&mut watch, 5_000, Some(f64::INFINITY)), 'T');
    assert_eq!(evaluate(&mut watch, 10_000, Some(f64::NAN)), 'C');
}

proptest! {
    #[test]
    fn whatever_happens_notices_take_turns(
        values in "[+?-]{0,80}", hold in 0..30u64, keep in 0..30u64, cooldown in 1..30u64, is_kept in any::<bool>(),
    ) {
        let on_missing = if is_kept { OnMissing::Keep } else { OnMissing::Resolve };
        let (hold, keep_firing_for, cooldown) = (seconds(hold), seconds(keep), seconds(cooldown));
        let told = played(Rule { hold, keep_firing_for, cooldown, on_missing, ..rule("Busy") }, &values);
        let mut is_firing = false;
        for (at, letter) in told.char_indices() {
            let expected = match letter {
                'T' => !is_firing && values.as_bytes()[at] == b'+',
                'A' => is_firing,
                'C' => is_firing && values.as_bytes()[at] != b'+',
                _ => true,
            };
            prop_assert!(expected, "{} {}", values, told);
            is_firing = letter == 'T' || (is_firing && letter != 'C');
        }
        // A value is bad for as long as `for` says before it fires.
        for (at, _) in told.match_indices('T') {
            let bad = values[..=at].bytes().rev().take_while(|value| *value == b'+' || (is_kept && *value == b'?'));
            let steps = bad.filter(|value| *value == b'+').count() as u64 - 1;
            prop_assert!(steps * 5 >= hold.as_secs(), "{} {}", values, told);
        }
    }
}
