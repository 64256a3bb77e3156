//! Cron entries of processes, and the page of what they led to.

use std::rc::Rc;

use mainstay::ids::{MessageId, ProcessId};
use mainstay::process::{Draft, Origin};
use serde_json::{Value, json};

use super::rig::{Node, fake};

fn process(cron: Value, tags: Value) -> String {
    json!({ "id": "p", "device": "lua", "source": "fake", "cron": cron, "tags": tags }).to_string()
}

/// The cron entries of the definition in slot 0.
async fn entries(node: &Rc<Node>) -> Value {
    let page = node.get("/processes/p/schedule?limit=1").await.json(200);
    let definition = page["edges"][0]["node"]["Data"].as_str().unwrap().to_owned();
    serde_json::from_str::<Value>(&definition).unwrap()["specification"]["cron"].clone()
}

#[test]
fn entries_are_part_of_the_definition() {
    for (cron, tags, expected) in [
        (json!(null), json!({}), json!(null)),
        (json!([]), json!({}), json!(null)),
        (
            json!([{ "every": "60s", "tags": { "Action": "Tick" }, "data": "d", "missed": "all" }]),
            json!({}),
            json!([{ "every": "1m", "tags": [{ "name": "Action", "value": "Tick" }], "data": "d", "missed": "all" }]),
        ),
        (
            json!([{ "cron": "@daily", "timezone": "europe/berlin", "tags": [{ "name": "a", "value": "b" }] }]),
            json!([]),
            json!([{
                "cron": "@daily", "timezone": "Europe/Berlin", "tags": [{ "name": "a", "value": "b" }],
                "missed": "latest",
            }]),
        ),
        (
            json!([{ "at": "2030-01-01T00:00:00Z" }]),
            json!({}),
            json!([{ "at": 1_893_456_000_000_u64, "missed": "latest" }]),
        ),
        (
            json!(null),
            json!([{ "name": "Cron-Interval", "value": "10-minutes" }, { "name": "Cron-Tag-A", "value": "b" }]),
            json!([{ "every": "10m", "tags": [{ "name": "A", "value": "b" }], "missed": "latest" }]),
        ),
    ] {
        fake("", async |node| {
            node.post("/processes", process(cron, tags)).await.json(201);
            assert_eq!(entries(&node).await, expected);
            let has_cursor =
                node.hub.environment().store.cron_cursor(&ProcessId::parse("p").unwrap()).unwrap().is_some();
            assert_eq!(has_cursor, !expected.is_null());
        });
    }
}

#[test]
fn other_entries_are_another_definition_and_another_order_is_not() {
    fake("", async |node| {
        let (one, other) = (json!({ "every": "1h" }), json!({ "at": 5 }));
        node.post("/processes", process(json!([one, other]), json!({}))).await.json(201);
        node.post("/processes", process(json!([other, one]), json!({}))).await.json(200);
        for another in [json!([one]), json!([]), json!([one, other, { "every": "2h" }])] {
            node.post("/processes", process(another, json!({}))).await.refusal(409, "conflict");
        }
    });
}

#[test]
fn what_is_no_entry_is_refused_with_its_place() {
    fake("", async |node| {
        let none = || json!({});
        for (cron, tags, part) in [
            (json!([{}]), none(), "cron[0]: an entry has exactly one of"),
            (json!([{ "every": "1h" }, { "every": "1ms" }]), none(), "cron[1]: `every`: \"1ms\""),
            (json!([{ "every": "1s", "at": 5 }]), none(), "cron[0]: an entry has exactly one of"),
            (json!([{ "every": "1s", "timezone": "UTC" }]), none(), "cron[0]: `timezone` goes with"),
            (json!([{ "cron": "* * *" }]), none(), "cron[0]: `cron`: \"* * *\" has 3 fields"),
            (json!([{ "cron": "* * * * *", "timezone": "Mars/Base" }]), none(), "cron[0]: `timezone`: \"Mars/Base\""),
            (json!([{ "at": "tomorrow" }]), none(), "cron[0]: `at`: \"tomorrow\""),
            (json!([{ "at": true }]), none(), "`at` is Unix milliseconds as a number, or a text"),
            (json!([{ "every": "1s", "missed": "some" }]), none(), "unknown variant `some`"),
            (json!([{ "every": "1s", "tags": { "a": 1 } }]), none(), "tag \"a\""),
            (json!([{ "every": "1s", "tags": [{ "name": "", "value": "x" }] }]), none(), "empty name"),
            (json!([{ "every": "1s", "rate": 5 }]), none(), "unknown field `rate`"),
            (json!([["1s"]]), none(), "expected an object"),
            (json!({ "every": "1s" }), none(), "expected a sequence"),
            (json!([{ "every": "60s" }, { "every": "1m" }]), none(), "cron: two cron entries are the same"),
            (
                json!([{ "every": "60s" }]),
                json!({ "Cron-Interval": "1-minute" }),
                "cron: two cron entries are the same",
            ),
            (json!([]), json!({ "Cron-Interval": "5-blocks" }), "cron: tag Cron-Interval: \"5-blocks\""),
            (json!([]), json!({ "Cron-Tag-Action": "x" }), "cron: tag \"Cron-Tag-Action\" comes before"),
        ] {
            let shown = format!("{cron} {tags}");
            let said = node.post("/processes", process(cron, tags)).await.refusal(400, "bad_request");
            assert!(said.contains(part), "{shown} is refused with {said:?}");
        }
        let many: Vec<_> = (1..=101).map(|second| json!({ "every": format!("{second}s") })).collect();
        let said = node.post("/processes", process(json!(many), none())).await.refusal(400, "bad_request");
        assert_eq!(said, "cron: a process has at most 100 cron entries, not 101");
        assert_eq!(node.get("/processes").await.json(200)["edges"], json!([]), "nothing was created");
    });
}

/// A message that came by cron where `number` is even, and by a client where it is odd.
fn message(number: u64) -> Draft {
    Draft {
        id: MessageId::derived(&[&number.to_le_bytes()]),
        is_new: false,
        origin: if number.is_multiple_of(2) { Origin::Cron } else { Origin::Client },
        from: "p".to_owned(),
        owner: "p".to_owned(),
        anchor: String::new(),
        tags: Vec::new(),
        data: number.to_string(),
        mark: None,
        push: None,
        cursor: None,
        closes_circle: false,
    }
}

#[test]
fn the_page_holds_the_outcomes_of_cron_slots_alone() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        for number in 1..=9 {
            node.hub.schedule(&process, message(number)).await.unwrap();
        }
        node.get("/processes/p/now").await.json(200);
        let table: [(&str, &[u64], bool); 8] = [
            ("", &[2, 4, 6, 8], false),
            ("?limit=4", &[2, 4, 6, 8], false),
            ("?limit=2", &[2, 4], true),
            ("?from=2", &[4, 6, 8], false),
            ("?from=4&limit=1", &[6], true),
            ("?from=8", &[], false),
            ("?sort=DESC&limit=1", &[8], true),
            ("?from=18446744073709551615", &[], false),
        ];
        for (query, expected, more) in table {
            let page = node.get(&format!("/processes/p/cron{query}")).await.json(200);
            let edges = page["edges"].as_array().unwrap();
            let slots: Vec<_> = edges.iter().map(|edge| edge["node"]["Slot"].as_u64().unwrap()).collect();
            assert_eq!((&slots[..], &page["pageInfo"]["hasNextPage"]), (expected, &json!(more)), "{query}");
            for edge in edges {
                let slot: u64 = edge["cursor"].as_str().unwrap().parse().unwrap();
                let results = node.get(&format!("/processes/p/results?from={}&limit=1", slot - 1)).await.json(200);
                assert_eq!(*edge, results["edges"][0], "a row is that of the results");
            }
        }
        node.get("/processes/nobody/cron").await.refusal(404, "not_found");
        node.get("/processes/p/cron?limit=0").await.refusal(400, "bad_request");
        node.post("/processes/p/cron", "{}").await.refusal(405, "bad_request");
    });
}
