use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::CheckTarget;

fn check(failure_threshold: u32, success_threshold: u32, on_failure: OnFailure) -> CheckConfig {
    CheckConfig {
        name: "db".to_owned(),
        target: CheckTarget::Tcp("db:1".to_owned()),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(3),
        failure_threshold,
        success_threshold,
        initial_delay: Duration::from_secs(7),
        critical: false,
        on_failure,
    }
}

/// What looks come to, one a second: `-` fails, `+` succeeds. Each answers `.` for nothing, `U` and `H` for a change, `R` for a
/// restart without one, `X` for a change with one.
fn verdicts(check: CheckConfig, looks: &str) -> String {
    let mut health = Health::new(check, 0);
    let looks = looks.bytes().enumerate();
    let verdict = |(at, look): (usize, u8)| {
        let result = if look == b'+' { Ok(()) } else { Err("refused") };
        let verdict = health.record(at as Millis, result);
        match (verdict.change, verdict.restart) {
            (None, false) => '.',
            (None, true) => 'R',
            (Some(Change::Unhealthy { error }), restart) => {
                assert_eq!(error, "refused");
                if restart { 'X' } else { 'U' }
            }
            (Some(Change::Healthy), restart) => {
                assert!(!restart);
                'H'
            }
        }
    };
    looks.map(verdict).collect()
}

#[test]
fn how_it_stands_is_known_once_a_look_succeeded_or_enough_failed() {
    for (looks, expected) in [("+", "k"), ("-+", ".k"), ("---", "..k"), ("--+--", "..kkk"), ("---+", "..kk")] {
        let mut health = Health::new(check(3, 2, OnFailure::Log), 0);
        assert!(!health.is_known());
        let known = looks.bytes().map(|look| {
            let _ = health.record(1, if look == b'+' { Ok(()) } else { Err("refused") });
            if health.is_known() { 'k' } else { '.' }
        });
        assert_eq!(known.collect::<String>(), expected, "{looks}");
    }
}

#[test]
fn changes_are_told_once_and_only_after_enough_looks_in_a_row() {
    for (failures, successes, looks, expected) in [
        (3, 1, "++++", "...."),
        (3, 1, "------", "..U..."),
        (3, 1, "--+--+--+", "........."),
        (3, 1, "---+++---", "..UH....U"),
        (1, 1, "-+-+-+", "UHUHUH"),
        (2, 3, "--++-++-+++++", ".U........H.."),
        (1, 2, "-+-+-+-+", "U......."),
        (2, 2, "+-+-+-+--", "........U"),
    ] {
        let check = check(failures, successes, OnFailure::Log);
        assert_eq!(verdicts(check, looks), expected, "{failures} {successes} {looks}");
    }
}

#[test]
fn a_restart_is_asked_for_again_while_it_does_not_help() {
    for (failures, looks, expected) in [(3, "--+---------+---", ".....X..R..RH..X"), (1, "--+-", "XRHX")] {
        assert_eq!(verdicts(check(failures, 1, OnFailure::Restart), looks), expected, "{failures} {looks}");
    }
}

#[test]
fn a_check_starts_healthy_and_first_looks_after_its_delay() {
    let mut health = Health::new(check(2, 1, OnFailure::Log), 1_000);
    assert_eq!((health.is_healthy(), health.next_in()), (true, Duration::from_secs(7)));
    let _ = health.record(8_000, Err("no answer"));
    assert_eq!(health.next_in(), Duration::from_secs(5));
    let expected = HealthView {
        name: "db".to_owned(),
        kind: "tcp",
        status: HealthStatus::Healthy,
        since: 1_000,
        failures: 1,
        error: Some("no answer".to_owned()),
    };
    assert_eq!(health.view(), expected);
    let _ = health.record(13_000, Err(&"ä".repeat(600)));
    let view = health.view();
    assert_eq!((view.status, view.since, view.failures), (HealthStatus::Unhealthy, 13_000, 2));
    assert_eq!(view.error.unwrap().chars().count(), 501);
    let _ = health.record(18_000, Ok(()));
    assert_eq!(health.view(), HealthView { since: 18_000, failures: 0, error: None, ..expected });
    let json = serde_json::to_value(health.view()).unwrap();
    assert_eq!(json["status"], "healthy");
}

#[test]
fn a_reload_keeps_the_status() {
    let mut health = Health::new(check(2, 2, OnFailure::Log), 0);
    for at in 0..2 {
        let _ = health.record(at, Err("x"));
    }
    health.reload(check(1, 1, OnFailure::Log));
    assert!(!health.is_healthy());
    assert_eq!(health.record(2, Ok(())).change, Some(Change::Healthy));
}

proptest! {
    #[test]
    fn changes_take_turns_and_never_come_too_early(
        looks in "[+-]{0,60}", failures in 1..5u32, successes in 1..5u32,
    ) {
        let found = verdicts(check(failures, successes, OnFailure::Log), &looks);
        let changes: Vec<(usize, char)> = found.char_indices().filter(|(_, verdict)| *verdict != '.').collect();
        for (nth, (at, change)) in changes.into_iter().enumerate() {
            prop_assert_eq!(change, if nth % 2 == 0 { 'U' } else { 'H' });
            let (look, row) = if change == 'U' { ("-", failures) } else { ("+", successes) };
            prop_assert!(looks[..=at].ends_with(&look.repeat(row as usize)), "{} {}", looks, found);
        }
    }
}
