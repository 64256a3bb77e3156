//! Reading pages and the outcomes in them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::CronPage;
use crate::process::Tag;

fn read(page: &Value) -> Result<CronPage, String> {
    CronPage::read(&page.to_string(), Some("c0"), 3).map_err(|fault| fault.to_string())
}

/// A page of one result with this node.
fn around(node: Value) -> Value {
    json!({ "pageInfo": { "hasNextPage": false }, "edges": [{ "cursor": "c1", "node": node }] })
}

/// A page of one result with one message.
fn around_message(message: Value) -> Value {
    around(json!({ "Messages": [message] }))
}

fn cursors(cursors: &[Value]) -> Value {
    let edges: Vec<_> = cursors.iter().map(|cursor| json!({ "cursor": cursor, "node": { "Messages": [] } })).collect();
    json!({ "pageInfo": { "hasNextPage": true }, "edges": edges })
}

#[test]
fn what_is_wrong_with_a_page_is_said_with_the_place() {
    let long = "x".repeat(2_049);
    for (page, said) in [
        (json!([]), "the answer: expected an object, found a list"),
        (json!(null), "the answer: expected an object, found null"),
        (json!({}), "the answer: edges is missing"),
        (json!({ "edges": [] }), "the answer: pageInfo is missing"),
        (json!({ "edges": [], "pageInfo": 5 }), "pageInfo: expected an object, found a number"),
        (json!({ "edges": [], "pageInfo": {} }), "pageInfo: hasNextPage is missing"),
        (
            json!({ "edges": [], "pageInfo": { "hasNextPage": "no" } }),
            "pageInfo.hasNextPage: expected true or false, found a text",
        ),
        (json!({ "edges": {}, "pageInfo": { "hasNextPage": true } }), "edges: expected a list, found an object"),
        (cursors(&[]), "edges: expected at least one item"),
        (cursors(&[json!("a"), json!("b"), json!("c"), json!("d")]), "edges: expected 3 items at most, found more"),
        (cursors(&[json!("a"), json!(5)]), "edges[1].cursor: expected a text, found a number"),
        (cursors(&[json!("")]), "edges[0].cursor: expected a cursor, found an empty text"),
        (cursors(&[json!(long)]), "edges[0].cursor: expected a cursor of 2048 bytes at most, found one of 2049"),
        (cursors(&[json!("a"), json!("a")]), "edges[1].cursor: \"a\" is the cursor of edges[0] as well"),
        (cursors(&[json!("c0")]), "edges[0].cursor: \"c0\" is the cursor that the page should begin after"),
        (json!({ "pageInfo": { "hasNextPage": true }, "edges": [5] }), "edges[0]: expected an object, found a number"),
        (json!({ "pageInfo": { "hasNextPage": true }, "edges": [{}] }), "edges[0]: cursor is missing"),
        (json!({ "pageInfo": { "hasNextPage": true }, "edges": [{ "cursor": "a" }] }), "edges[0]: node is missing"),
    ] {
        let found = read(&page).unwrap_err();
        assert!(found.starts_with(said), "{page}: {found}");
    }
}

#[test]
fn what_is_wrong_with_an_outcome_is_said_with_the_place() {
    for (page, said) in [
        (around(json!(null)), "edges[0].node: expected an object, found null"),
        (around(json!({})), "edges[0].node: Messages is missing, and no Error says why"),
        (around(json!({ "Messages": null, "Error": "" })), "edges[0].node: Messages is missing"),
        (around(json!({ "Messages": {} })), "edges[0].node.Messages: expected a list, found an object"),
        (around(json!({ "Messages": [], "Spawns": 5 })), "edges[0].node.Spawns: expected a list, found a number"),
        (
            around(json!({ "Messages": [], "Assignments": "" })),
            "edges[0].node.Assignments: expected a list, found a text",
        ),
        (around(json!({ "Messages": [], "GasUsed": -1 })), "edges[0].node.GasUsed: expected a natural number"),
        (around_message(json!(true)), "edges[0].node.Messages[0]: expected an object, found true or false"),
        (around_message(json!({})), "edges[0].node.Messages[0]: Target is missing"),
        (around_message(json!({ "Target": 5 })), "edges[0].node.Messages[0].Target: expected a text, found a number"),
        (
            around_message(json!({ "Target": "a", "Data": {} })),
            "edges[0].node.Messages[0].Data: expected a text or a number, found an object",
        ),
        (
            around_message(json!({ "Target": "a", "Tags": "x" })),
            "edges[0].node.Messages[0].Tags: expected a list or an object of tags, found a text",
        ),
        (
            around_message(json!({ "Target": "a", "Tags": [{ "name": "n", "value": "v" }, { "value": "v" }] })),
            "edges[0].node.Messages[0].Tags[1]: name is missing",
        ),
        (
            around_message(json!({ "Target": "a", "Tags": { "n": null } })),
            "edges[0].node.Messages[0].Tags[\"n\"]: expected a text or a number, found null",
        ),
        (
            around_message(json!({ "Target": "a", "Tags": { "": "v" } })),
            "edges[0].node.Messages[0].Tags: a tag has an empty",
        ),
    ] {
        let found = read(&page).unwrap_err();
        assert!(found.starts_with(said), "{page}: {found}");
    }
}

#[test]
fn tags_are_a_list_or_an_object() {
    for tags in [json!([{ "name": "b", "value": "1" }, { "name": "a", "value": 2 }]), json!({ "b": "1", "a": 2 })] {
        let page = read(&around_message(json!({ "Target": "t", "Tags": tags }))).unwrap();
        let mut found = page.results[0].outcome.messages[0].tags.clone();
        found.sort_by(|a, b| b.name.cmp(&a.name));
        assert_eq!(found, [Tag::new("b", "1"), Tag::new("a", "2")]);
    }
}

#[test]
fn what_stands_for_a_text_becomes_the_text_that_is_written() {
    for (written, text) in [
        ("\"x\\u00e4\"", "xä"),
        ("\"\"", ""),
        ("5", "5"),
        ("1.50", "1.50"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("-1e3", "-1e3"),
        ("true", "true"),
        ("null", ""),
    ] {
        let page = around_message(json!({ "Target": "t", "Data": "HERE", "Anchor": "HERE" }));
        let page = page.to_string().replace("\"HERE\"", written);
        let page = CronPage::read(&page, None, 1).unwrap();
        let message = &page.results[0].outcome.messages[0];
        assert_eq!((message.data.as_str(), message.anchor.as_str()), (text, text), "{written}");
    }
    let bare = read(&around_message(json!({ "Target": "t" }))).unwrap();
    let message = &bare.results[0].outcome.messages[0];
    assert_eq!((message.data.as_str(), message.anchor.as_str(), message.tags.len()), ("", "", 0));
}

#[test]
fn errors_are_texts_or_shown_as_json() {
    for (error, expected) in [
        (json!("boom"), Some("boom")),
        (json!({ "code": 1 }), Some(r#"{"code":1}"#)),
        (json!(""), None),
        (json!(null), None),
    ] {
        let page = read(&around(json!({ "Messages": [], "Error": error }))).unwrap();
        assert_eq!(page.results[0].outcome.error.as_deref(), expected);
    }
    let page = read(&around(json!({ "Error": "boom" }))).unwrap();
    assert_eq!(page.results[0].outcome.messages, []);
}

#[test]
fn nesting_without_end_is_no_trouble() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let page = around(json!({ "Messages": [], "Output": "HERE" })).to_string().replace("\"HERE\"", &deep);
    assert_eq!(CronPage::read(&page, None, 1).unwrap().results[0].outcome.output.as_str(), deep);
    assert!(CronPage::read(&"[".repeat(1_000_000), None, 1).is_err());
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    let found = CronPage::read(r#"{"edges":[],"edges":[],"pageInfo":{"hasNextPage":false}}"#, None, 1).unwrap_err();
    assert!(found.to_string().starts_with("the answer: edges is there twice"), "{found}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = "edges|pageInfo|hasNextPage|cursor|node|Messages|Target|Tags|Data|Anchor|Error|name|value|.{0,3}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((names, inner), 0..6).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// A page that is as it should be, but for one piece in it that may be anything.
fn nearly_a_page() -> impl Strategy<Value = (bool, Value)> {
    let places = [
        "/edges",
        "/pageInfo",
        "/pageInfo/hasNextPage",
        "/edges/0",
        "/edges/0/cursor",
        "/edges/0/node",
        "/edges/0/node/Messages",
        "/edges/0/node/Messages/0",
        "/edges/0/node/Messages/0/Target",
        "/edges/0/node/Messages/0/Tags",
        "/edges/0/node/Messages/0/Tags/0",
        "/edges/0/node/Messages/0/Tags/0/value",
        "/edges/0/node/Messages/0/Data",
        "/edges/0/node/Error",
        "/edges/0/node/Output",
    ];
    (prop::option::of(prop::sample::select(places.to_vec())), any_json()).prop_map(|(place, value)| {
        let message = json!({ "Target": "t", "Tags": [{ "name": "n", "value": "v" }], "Data": "d", "Anchor": "" });
        let mut page = around(json!({ "Messages": [message], "Error": null, "Output": 1 }));
        if let Some(place) = place {
            *page.pointer_mut(place).unwrap() = value;
        }
        (place.is_none(), page)
    })
}

proptest! {
    #[test]
    fn no_json_makes_the_reader_panic(page in any_json()) {
        let _ = read(&page);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]{}\",:a-z0-9\\\\ ]{0,60}|.{0,60}") {
        let _ = CronPage::read(&text, None, 3);
    }

    #[test]
    fn a_page_is_taken_whole_or_refused((is_whole, page) in nearly_a_page()) {
        match read(&page) {
            Ok(found) => {
                let edges = page["edges"].as_array().map_or(0, Vec::len);
                prop_assert_eq!(found.results.len(), edges);
                prop_assert_eq!(Value::from(found.has_more), page["pageInfo"]["hasNextPage"].clone());
            }
            Err(fault) => {
                prop_assert!(!is_whole, "{}", fault);
                prop_assert!(fault.contains(": "), "{}", fault);
            }
        }
    }
}
