//! What differences are called.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::process::{Assignment, Json, SentMessage, Spawn, Tag};

fn message(data: &str) -> SentMessage {
    let tags = vec![Tag { name: "A".to_owned(), value: "b".to_owned() }];
    SentMessage { target: "t".to_owned(), tags, data: data.to_owned(), anchor: String::new() }
}

fn spawn(source: Option<&str>) -> Spawn {
    Spawn {
        device: "lua".to_owned(),
        source: source.map(str::to_owned),
        module: None,
        tags: Vec::new(),
        data: String::new(),
        anchor: String::new(),
    }
}

fn outcome() -> Outcome {
    Outcome {
        output: Json::from(&json!({ "count": 3, "list": [1, { "a": "b" }] })),
        messages: vec![message("one"), message("two"), message("three")],
        spawns: vec![spawn(Some("code"))],
        assignments: vec![Assignment { processes: vec!["p".to_owned()], message: "m".to_owned() }],
        error: None,
        gas_used: 7,
    }
}

type Change = fn(&mut Outcome);

/// What becomes of an outcome, and what the difference is called.
const CHANGES: [(Change, &str); 18] = [
    (
        |it| it.output = Json::from(&json!({ "count": 4, "list": [1, { "a": "b" }] })),
        "Output.count: stored 3, recomputed 4",
    ),
    (
        |it| it.output = Json::from(&json!({ "count": 3, "list": [1, { "a": "c" }] })),
        r#"Output.list[1].a: stored "b", recomputed "c""#,
    ),
    (
        |it| it.output = Json::from(&json!({ "count": 3, "list": [1] })),
        "Output.list[1]: stored an object of 1, recomputed nothing",
    ),
    (|it| it.output = Json::from(&json!({ "count": 3 })), "Output.list: stored a list of 2, recomputed nothing"),
    (
        |it| it.output = Json::from(&json!({ "count": 3, "list": [1, { "a": "b" }], "z": null })),
        "Output.z: stored nothing, recomputed null",
    ),
    (|it| it.output = Json::null(), "Output: stored an object of 2, recomputed null"),
    (|it| it.messages[2].data = "four".to_owned(), r#"Messages[2].Data: stored "three", recomputed "four""#),
    (|it| it.messages[1].tags[0].value = "c".to_owned(), r#"Messages[1].Tags[0].value: stored "b", recomputed "c""#),
    (|it| it.messages[0].target.clear(), r#"Messages[0].Target: stored "t", recomputed """#),
    (|it| it.messages.truncate(1), "Messages: 3 of them stored, 1 recomputed"),
    (|it| it.spawns[0].source = None, r#"Spawns[0].Source: stored "code", recomputed nothing"#),
    (|it| it.spawns.push(spawn(None)), "Spawns: 1 of them stored, 2 recomputed"),
    (
        |it| it.assignments[0].processes[0] = "q".to_owned(),
        r#"Assignments[0].Processes[0]: stored "p", recomputed "q""#,
    ),
    (|it| it.assignments.clear(), "Assignments: 1 of them stored, 0 recomputed"),
    (|it| it.error = Some("boom".to_owned()), r#"Error: stored null, recomputed "boom""#),
    (|it| it.gas_used = 8, "GasUsed: stored 7, recomputed 8"),
    // Where several fields differ, the error comes first: it explains the others.
    (|it| *it = Outcome::failed("boom", 8), r#"Error: stored null, recomputed "boom""#),
    (
        |it| {
            it.gas_used = 8;
            it.messages.clear();
        },
        "Messages: 3 of them stored, 0 recomputed",
    ),
];

#[test]
fn the_first_field_that_differs_is_named() {
    assert_eq!(outcome_difference(&outcome(), &outcome()), None);
    for (change, expected) in CHANGES {
        let mut changed = outcome();
        change(&mut changed);
        assert_eq!(outcome_difference(&outcome(), &changed).as_deref(), Some(expected));
    }
}

#[test]
fn two_errors_are_both_shown() {
    let difference = outcome_difference(&Outcome::failed("one", 1), &Outcome::failed("other", 1));
    assert_eq!(difference.as_deref(), Some(r#"Error: stored "one", recomputed "other""#));
}

#[test]
fn numbers_that_are_written_differently_are_shown_as_they_are_written() {
    for (one, other) in [("1.0", "1.00"), (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#), ("[1]", "[1 ]")] {
        let expected = format!("Output: stored {one:?}, recomputed {other:?}");
        assert_eq!(json_difference("Output", one, other), expected);
    }
}

#[test]
fn long_texts_are_shown_around_their_difference() {
    let (one, other) = (format!("{}a{}", "x".repeat(500), "y".repeat(500)), format!("{}b", "x".repeat(500)));
    let x = "x".repeat(20);
    let expected = format!("Error: stored \"…{x}a{}…\", recomputed \"…{x}b\"", "y".repeat(39));
    assert_eq!(error_difference(Some(&one), Some(&other)), expected);
}

#[test]
fn bytes_are_counted_from_zero() {
    for (stored, recomputed, expected) in [
        ("abc", "abc", None),
        ("abc", "abd", Some("byte 2 of 3 bytes")),
        ("abc", "xbcd", Some("byte 0 of 3 bytes stored, 4 recomputed")),
        ("abc", "ab", Some("3 bytes stored, 2 recomputed, the same as far as both go")),
        ("", "ab", Some("0 bytes stored, 2 recomputed, the same as far as both go")),
    ] {
        assert_eq!(bytes_difference(stored.as_bytes(), recomputed.as_bytes()).as_deref(), expected);
    }
}

#[test]
fn json_too_big_to_be_looked_into_is_compared_as_text() {
    let big = |last: &str| json!({ "a": "x".repeat(LOOKED_INTO), "b": last }).to_string();
    let difference = json_difference("Output", &big("1"), &big("2"));
    assert!(difference.starts_with("Output: stored \"…xxx"), "{difference}");
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop::collection::vec(any::<char>(), 0..200).prop_map(|text| text.into_iter().collect::<String>());
    let plain = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), text.prop_map(Value::from)];
    plain.prop_recursive(6, 40, 5, |inner| {
        let keys = prop::collection::vec(any::<char>(), 0..100).prop_map(|key| key.into_iter().collect::<String>());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((keys, inner), 0..5).prop_map(|items| Value::Object(items.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Escapes make a character six times as long at most.
    #[test]
    fn whatever_differs_the_text_is_short_and_there(one in value(), other in value()) {
        let outcome = |value: &Value| Outcome { output: Json::from(value), ..Outcome::empty() };
        match outcome_difference(&outcome(&one), &outcome(&other)) {
            None => prop_assert_eq!(one, other),
            Some(text) => {
                prop_assert_ne!(one, other);
                prop_assert!(text.starts_with("Output"));
                prop_assert!(text.chars().count() <= PATH + 10 * 2 * (SHOWN + 2) + 40, "{}", text);
            }
        }
    }
}
