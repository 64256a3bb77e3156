//! Pages: `from` is left out, `to` is kept, in either direction.

use std::rc::Rc;

use serde_json::Value;

use super::rig::{Node, fake};

/// A process with slots 0 to 9, all computed.
async fn ten(node: &Rc<Node>) {
    node.create("p", "fake").await;
    for slot in 1..=9 {
        node.post("/processes/p/schedule?wait=30s", format!(r#"{{"Data":"{slot}"}}"#)).await.json(200);
    }
}

/// The cursors of a page, the slots of its nodes being the same, and whether there is more.
fn read(page: &Value) -> (Vec<u64>, bool) {
    let edges = page["edges"].as_array().unwrap();
    let cursors = edges.iter().map(|edge| {
        assert_eq!(edge.as_object().unwrap().len(), 2);
        let cursor = edge["cursor"].as_str().unwrap();
        assert_eq!(edge["node"]["Slot"].to_string(), cursor, "the cursor is the slot as text");
        cursor.parse().unwrap()
    });
    (cursors.collect(), page["pageInfo"]["hasNextPage"].as_bool().unwrap())
}

#[test]
fn every_range_in_either_direction() {
    const MAX: &str = "18446744073709551615";
    let from_max = format!("from={MAX}");
    let to_max = format!("from=7&to={MAX}");
    let down_from_max = format!("from={MAX}&sort=DESC&limit=1");
    let table: &[(&str, &[u64], bool)] = &[
        ("", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], false),
        ("sort=ASC", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], false),
        ("sort=DESC", &[9, 8, 7, 6, 5, 4, 3, 2, 1, 0], false),
        ("sort=desc&limit=3", &[9, 8, 7], true),
        ("limit=3", &[0, 1, 2], true),
        ("limit=10", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], false),
        ("limit=9", &[0, 1, 2, 3, 4, 5, 6, 7, 8], true),
        ("limit=1000", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], false),
        ("from=0", &[1, 2, 3, 4, 5, 6, 7, 8, 9], false),
        ("from=8", &[9], false),
        ("from=9", &[], false),
        ("from=100", &[], false),
        (&from_max, &[], false),
        ("to=0", &[0], false),
        ("to=2", &[0, 1, 2], false),
        ("from=3&to=5", &[4, 5], false),
        ("from=3&to=5&limit=1", &[4], true),
        ("from=3&to=4&limit=1", &[4], false),
        ("from=3&to=3", &[], false),
        ("from=5&to=3", &[], false),
        (&to_max, &[8, 9], false),
        ("from=5&sort=DESC", &[4, 3, 2, 1, 0], false),
        ("from=5&to=3&sort=DESC", &[4, 3], false),
        ("from=5&to=3&sort=DESC&limit=1", &[4], true),
        ("from=4&to=3&sort=DESC&limit=1", &[3], false),
        ("from=0&sort=DESC", &[], false),
        ("from=1&sort=DESC", &[0], false),
        ("from=3&to=3&sort=DESC", &[], false),
        ("from=100&sort=DESC&limit=2", &[9, 8], true),
        ("to=8&sort=DESC", &[9, 8], false),
        ("to=100&sort=DESC", &[], false),
        (&down_from_max, &[9], true),
    ];
    fake("", async |node| {
        ten(&node).await;
        for list in ["schedule", "results"] {
            for (query, slots, more) in table {
                let page = node.get(&format!("/processes/p/{list}?{query}")).await.json(200);
                assert_eq!(read(&page), (slots.to_vec(), *more), "{list}?{query}");
            }
        }
    });
}

#[test]
fn cursors_lead_through_a_whole_list() {
    fake("", async |node| {
        ten(&node).await;
        for list in ["schedule", "results"] {
            for (sort, expected) in [("ASC", (0..=9).collect::<Vec<u64>>()), ("DESC", (0..=9).rev().collect())] {
                let (mut seen, mut from) = (Vec::<u64>::new(), String::new());
                loop {
                    let page = node.get(&format!("/processes/p/{list}?limit=3&sort={sort}{from}")).await.json(200);
                    let (slots, more) = read(&page);
                    seen.extend(&slots);
                    if !more {
                        break;
                    }
                    from = format!("&from={}", slots.last().unwrap());
                }
                assert_eq!(seen, expected, "{list} {sort}");
            }
        }
    });
}

#[test]
fn a_page_has_25_rows_unless_it_is_told_otherwise() {
    fake("", async |node| {
        node.create("p", "fake").await;
        for _ in 0..30 {
            node.post("/processes/p/schedule", "{}").await.json(202);
        }
        node.get("/processes/p/now").await.json(200);
        for list in ["schedule", "results"] {
            let (slots, more) = read(&node.get(&format!("/processes/p/{list}")).await.json(200));
            assert_eq!((slots.len(), more), (25, true), "{list}");
        }
    });
}

#[test]
fn rows_of_a_log_are_messages_and_rows_of_results_are_outcomes() {
    fake("", async |node| {
        ten(&node).await;
        let log = node.get("/processes/p/schedule?from=8").await.json(200);
        let message = log["edges"][0]["node"].as_object().unwrap();
        let keys = ["Id", "From", "Owner", "Target", "Anchor", "Tags", "Data", "Timestamp", "Slot"];
        assert!(message.len() == keys.len() && keys.iter().all(|key| message.contains_key(*key)), "{message:?}");
        assert_eq!(message["Data"], "9");
        let results = node.get("/processes/p/results?from=8").await.json(200);
        let outcome = results["edges"][0]["node"].as_object().unwrap();
        let keys = ["Output", "Messages", "Spawns", "Assignments", "Error", "GasUsed", "Slot"];
        assert!(outcome.len() == keys.len() && keys.iter().all(|key| outcome.contains_key(*key)), "{outcome:?}");
        assert_eq!(outcome["Output"], 9);
    });
}

#[test]
fn what_is_no_page_is_refused() {
    fake("", async |node| {
        node.create("p", "fake").await;
        for query in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=x",
            "limit=",
            "from=-1",
            "from=x",
            "from=1.5",
            "from=",
            "from=18446744073709551616",
            "to=-1",
            "to=p",
            "sort=up",
            "sort=",
            "unknown=1",
            "limit=1&limit=2",
        ] {
            for list in ["schedule", "results"] {
                node.get(&format!("/processes/p/{list}?{query}")).await.refusal(400, "bad_request");
            }
        }
        for list in ["schedule", "results"] {
            node.get(&format!("/processes/nobody/{list}")).await.refusal(404, "not_found");
            node.get(&format!("/processes/nobody/{list}?from=5&to=1")).await.refusal(404, "not_found");
        }
    });
}

#[test]
fn processes_are_listed_by_id() {
    fake("", async |node| {
        let ids = ["A", "B", "a", "b", "c-1", "c_2"];
        for id in ["b", "c_2", "A", "a", "B", "c-1"] {
            node.create(id, "fake").await;
        }
        let cursors = |page: &Value| -> Vec<String> {
            let edges = page["edges"].as_array().unwrap().iter();
            edges.map(|edge| edge["cursor"].as_str().unwrap().to_owned()).collect()
        };
        let all = node.get("/processes").await.json(200);
        assert_eq!(cursors(&all), ids);
        assert_eq!(all["pageInfo"]["hasNextPage"], false);
        let (mut seen, mut from) = (Vec::new(), String::new());
        loop {
            let page = node.get(&format!("/processes?limit=4{from}")).await.json(200);
            seen.extend(cursors(&page));
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            from = format!("&from={}", seen.last().unwrap());
        }
        assert_eq!(seen, ids);
        // A cursor need not be there any more.
        assert_eq!(cursors(&node.get("/processes?from=bb").await.json(200)), ["c-1", "c_2"]);
        node.get("/processes?from=a%2Fb").await.refusal(400, "bad_request");
        node.get("/processes?limit=0").await.refusal(400, "bad_request");
    });
}
