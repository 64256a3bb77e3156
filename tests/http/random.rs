//! Whatever comes in, the node itself is never at fault.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use super::rig::{Node, fake};

const CALLS: [&str; 4] =
    ["/processes", "/processes/p/schedule", "/processes/p/schedule?wait=30s", "/processes/p/dry-run"];

/// JSON of any shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Keys that mean something, and others.
fn key() -> impl Strategy<Value = String> {
    let known = vec![
        "Id", "Target", "Anchor", "Tags", "Data", "From", "name", "value", "id", "device", "source", "module", "tags",
        "limits", "gas", "memory",
    ];
    prop_oneof![3 => prop::sample::select(known).prop_map(str::to_owned), 1 => ".{0,8}"]
}

/// JSON that is nearly what a call takes.
fn nearly() -> impl Strategy<Value = Value> {
    let with = |base: Value| {
        prop::collection::vec((key(), any_json()), 0..3).prop_map(move |pairs| {
            let mut object = base.as_object().cloned().unwrap_or_default();
            object.extend(pairs);
            Value::Object(object)
        })
    };
    prop_oneof![
        with(json!({ "Tags": { "Action": "Increment" }, "Data": "d" })),
        with(json!({ "id": "p", "device": "lua", "source": "fake" })),
    ]
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        ".{0,100}".prop_map(String::into_bytes),
        any_json().prop_map(|json| json.to_string().into_bytes()),
        nearly().prop_map(|json| json.to_string().into_bytes()),
        // Cut off somewhere.
        (nearly(), any::<prop::sample::Index>()).prop_map(|(json, at)| {
            let mut bytes = json.to_string().into_bytes();
            bytes.truncate(at.index(bytes.len() + 1));
            bytes
        }),
    ]
}

/// Some values of a strategy, from a fixed seed.
fn some<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

async fn is_answered_in_shape(node: &Node, path: &str, body: &[u8]) -> u16 {
    let answer = node.post(path, body.to_vec()).await;
    let shown = String::from_utf8_lossy(body);
    assert!(answer.status < 500, "{path} {shown:?}: {} {}", answer.status, answer.text());
    let said: Value =
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{path} {shown:?}: {}", answer.text()));
    assert_eq!(answer.status >= 400, said.get("error").is_some(), "{path} {shown:?}: {said}");
    answer.status
}

#[test]
fn random_bodies_are_taken_or_refused() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let mut statuses = [0usize; 600];
        for body in some(any_body(), 1_500) {
            for path in CALLS {
                statuses[usize::from(is_answered_in_shape(&node, path, &body).await)] += 1;
            }
        }
        // Both kinds were among them, so that the above says something.
        assert!(statuses[200] + statuses[201] + statuses[202] > 50 && statuses[400] > 500);
        let shown = node.get("/processes/p").await.json(200);
        let taken = shown["scheduled_slot"].as_u64().unwrap();
        let outcome = node.post("/processes/p/schedule?wait=30s", "{}").await.json(200);
        assert_eq!((&outcome["slot"], &outcome["outcome"]["Output"]), (&json!(taken + 1), &json!(taken + 1)));
    });
}

#[test]
fn random_queries_are_taken_or_refused() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let name = prop::sample::select(vec!["from", "to", "limit", "sort", "slot", "wait", "skip", "x", ""]);
        let value = prop_oneof![
            any::<i128>().prop_map(|number| number.to_string()),
            any::<u8>().prop_map(|number| number.to_string()),
            "[%a-zA-Z0-9+.;=-]{0,8}",
            prop::collection::vec(any::<u8>(), 0..6)
                .prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect()),
        ];
        let pairs = prop::collection::vec((name, value), 0..4);
        for pairs in some(pairs, 500) {
            let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            for call in ["", "/schedule", "/results", "/compute", "/now", "/state"] {
                let path = format!("/processes/p{call}?{}", query.join("&"));
                let answer = node.get(&path).await;
                assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text());
                assert!(serde_json::from_slice::<Value>(&answer.body).is_ok(), "{path}: {}", answer.text());
            }
        }
    });
}

#[test]
fn random_paths_lead_somewhere_or_nowhere() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let part = prop_oneof![
            Just("processes".to_owned()),
            Just("p".to_owned()),
            Just("schedule".to_owned()),
            "[a-zA-Z0-9._~!$&'()*+,;=:@-]{0,10}",
            prop::collection::vec(any::<u8>(), 0..6)
                .prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect()),
        ];
        for parts in some(prop::collection::vec(part, 0..5), 1_000) {
            let path = format!("/{}", parts.join("/"));
            let answer = node.get(&path).await;
            assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text());
            let said = serde_json::from_slice::<Value>(&answer.body);
            assert!(said.is_ok(), "{path}: {} {}", answer.status, answer.text());
        }
    });
}
