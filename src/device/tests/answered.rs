//! What is answered, and what becomes of it.

use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::config::limits::{LimitKey, Limits};
use crate::device::answered::{Computed, Failure, read};
use crate::process::{Assignment, Json, Outcome, SentMessage, Spawn, Tag};

fn limits() -> Limits {
    Limits { output_size: 20, message_size: 10, messages_per_outcome: 2, gas: 5, ..Limits::default() }
}

fn answered(text: &str) -> Result<Computed, Failure> {
    read(&RawValue::from_string(text.to_owned()).unwrap(), &limits())
}

#[test]
fn what_is_missing_is_empty() {
    for text in ["{}", "null", r#"{"Output":null,"Messages":null,"Error":null}"#] {
        let computed = answered(text).unwrap();
        assert_eq!(computed.outcome, Outcome::empty(), "{text}");
        assert!(computed.state.is_none(), "{text}");
    }
}

#[test]
fn everything_that_is_there_is_taken() {
    let text = r#"{"Output":{"b":1, "a":2},"GasUsed":5,"State":null,
        "Messages":[{"Target":"t","Tags":{"N":"1","A":"2"},"Data":"d","Anchor":"a"}],
        "Spawns":[{"Device":"lua","Source":"s","Tags":[{"name":"N","value":"1"},{"name":"N","value":"2"}]}]}"#;
    let Computed { outcome, state } = answered(text).unwrap();
    let sent = SentMessage {
        target: "t".to_owned(),
        tags: vec![Tag::new("N", "1"), Tag::new("A", "2")],
        data: "d".to_owned(),
        anchor: "a".to_owned(),
    };
    let spawn = Spawn {
        device: "lua".to_owned(),
        source: Some("s".to_owned()),
        module: None,
        tags: vec![Tag::new("N", "1"), Tag::new("N", "2")],
        data: String::new(),
        anchor: String::new(),
    };
    let output = Json::parse(r#"{"b":1, "a":2}"#.to_owned()).unwrap();
    let expected = Outcome { output, messages: vec![sent], spawns: vec![spawn], gas_used: 5, ..Outcome::empty() };
    assert_eq!(outcome, expected);
    assert_eq!(state.unwrap().get(), "null", "null is a state");
    let assigned = answered(r#"{"Assignments":[{"Processes":["a","b"],"Message":"m"}]}"#).unwrap().outcome.assignments;
    assert_eq!(assigned, [Assignment { processes: vec!["a".to_owned(), "b".to_owned()], message: "m".to_owned() }]);
}

#[test]
fn limits_are_named() {
    let message = r#"{"Target":"t"}"#;
    let table = [
        (r#"{"Output":"123456789012345678"}"#.to_owned(), None),
        (r#"{"Output":"1234567890123456789"}"#.to_owned(), Some(LimitKey::OutputSize)),
        (r#"{"GasUsed":6}"#.to_owned(), Some(LimitKey::Gas)),
        (format!(r#"{{"Messages":[{message},{message}]}}"#), None),
        (format!(r#"{{"Messages":[{message},{message}],"Spawns":[{{}}]}}"#), Some(LimitKey::MessagesPerOutcome)),
        (r#"{"Messages":[{"Target":"t","Data":"1234567890"}]}"#.to_owned(), None),
        (
            r#"{"Messages":[{"Target":"t","Data":"123456789","Tags":{"N":"1"}}]}"#.to_owned(),
            Some(LimitKey::MessageSize),
        ),
    ];
    for (text, limit) in table {
        assert_eq!(answered(&text).err(), limit.map(Failure::Limit), "{text}");
    }
}

#[test]
fn errors_are_in_the_programs_words_or_name_what_is_wrong() {
    let table = [
        (r#"{"Error":"no","Output":1,"GasUsed":3}"#, "no"),
        (r#"{"Error":{"code":1}}"#, r#"{"code":1}"#),
        (r#"{"Error":"a much longer text than an output"}"#, "a much longer text t"),
        (r#"{"Error":""}"#, "it failed and said no more than that"),
        ("[]", "the answer is no outcome: "),
        ("5", "the answer is no outcome: "),
        (r#"{"output":1}"#, "unknown field `output`"),
        (r#"{"Messages":[{"Data":"d"}]}"#, "Target is empty"),
        (r#"{"Messages":[{"Target":"t","Tags":{"":"1"}}]}"#, "a tag has an empty name"),
        (r#"{"Messages":[{"Target":"t","Tags":{"N":1}}]}"#, "invalid type"),
        (r#"{"Messages":{"Target":"t"}}"#, "invalid type"),
        (r#"{"GasUsed":-1}"#, "invalid value"),
    ];
    for (text, expected) in table {
        let Err(Failure::Error(error, _)) = answered(text) else { panic!("{text} is no error") };
        assert!(error.contains(expected), "{error:?} says nothing of {expected:?}");
    }
}

proptest! {
    #[test]
    fn any_json_is_an_outcome_or_a_failure(parts in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "null", "1", "\"Output\"", "\"Messages\"", "\"Tags\"", "\"State\"", "\"Target\"", "\"x\"",
    ]), 0..30)) {
        if let Ok(text) = RawValue::from_string(parts.concat()) {
            let _ = read(&text, &limits());
        }
    }
}
