//! Ids of messages: repeated, reused, at the same moment.

use futures_util::future::join_all;
use serde_json::json;

use super::rig::fake;

fn id(letter: char) -> String {
    letter.to_string().repeat(43)
}

#[test]
fn the_same_message_has_the_same_slot() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let body = json!({ "Id": id('a'), "Tags": { "K": "v" }, "Data": "d" }).to_string();
        let first = node.post("/processes/p/schedule", body.clone()).await;
        assert_eq!(first.json(202)["slot"], 1);
        node.post("/processes/p/schedule", "{}").await.json(202);
        for _ in 0..3 {
            assert_eq!(node.post("/processes/p/schedule", body.clone()).await.text(), first.text());
        }
        let waited = node.post("/processes/p/schedule?wait=30s", body.clone()).await.json(200);
        assert_eq!((&waited["slot"], &waited["outcome"]["Output"]), (&json!(1), &json!(1)));
        // The other spelling of tags says the same, and so do the process as target and an empty anchor.
        let spelled = json!({
            "Id": id('a'), "Tags": [{ "name": "K", "value": "v" }], "Data": "d", "Anchor": "", "Target": "p"
        });
        assert_eq!(node.post("/processes/p/schedule", spelled.to_string()).await.text(), first.text());
        // It is known to the next worker, too.
        node.get("/processes/p/now").await.json(200);
        assert_eq!(node.delete("/processes/p/worker").await.status, 204);
        assert_eq!(node.post("/processes/p/schedule", body).await.text(), first.text());
        assert_eq!(node.get("/processes/p").await.json(200)["scheduled_slot"], 2);
    });
}

#[test]
fn an_id_that_was_used_for_another_message_is_refused() {
    fake("", async |node| {
        node.create("p", "fake").await;
        node.post("/processes/p/schedule", json!({ "Id": id('a'), "Data": "d" }).to_string()).await.json(202);
        for other in [
            json!({ "Id": id('a'), "Data": "e" }),
            json!({ "Id": id('a') }),
            json!({ "Id": id('a'), "Data": "d", "Anchor": "x" }),
            json!({ "Id": id('a'), "Data": "d", "Tags": { "K": "v" } }),
        ] {
            let said = node.post("/processes/p/schedule?wait=30s", other.to_string()).await.refusal(409, "id_reused");
            assert!(said.contains(&id('a')), "{said}");
        }
        assert_eq!(node.get("/processes/p").await.json(200)["scheduled_slot"], 1);
        // Another process knows nothing of it.
        node.create("q", "fake").await;
        let body = json!({ "Id": id('a'), "Data": "other" }).to_string();
        assert_eq!(node.post("/processes/q/schedule", body).await.json(202)["slot"], 1);
    });
}

#[test]
fn at_the_same_moment_one_of_two_wins() {
    fake("", async |node| {
        node.create("p", "fake").await;
        for round in 0..20u64 {
            let id = format!("{round:0>43}");
            let same = json!({ "Id": id, "Data": "same" }).to_string();
            let other = json!({ "Id": id, "Data": "other" }).to_string();
            let calls = (0..10).map(|number| {
                let body = if number % 2 == 0 { same.clone() } else { other.clone() };
                node.post("/processes/p/schedule?wait=30s", body)
            });
            let answers = join_all(calls).await;
            let (first, second): (Vec<_>, Vec<_>) = answers.iter().zip(0..).partition(|(_, number)| number % 2 == 0);
            let (won, lost) = if first[0].0.status == 200 { (first, second) } else { (second, first) };
            for (answer, _) in won {
                assert_eq!(answer.json(200)["slot"], round + 1);
                assert_eq!(answer.json(200)["outcome"]["Output"], round + 1);
            }
            for (answer, _) in lost {
                answer.refusal(409, "id_reused");
            }
        }
        assert_eq!(node.get("/processes/p").await.json(200)["scheduled_slot"], 20);
    });
}

#[test]
fn a_thousand_messages_at_the_same_moment_have_a_slot_each() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let calls = (0..1000).map(|_| node.post("/processes/p/schedule?wait=30s", "{}"));
        let mut slots = Vec::new();
        for answer in join_all(calls).await {
            let body = answer.json(200);
            assert_eq!(body["slot"], body["outcome"]["Output"]);
            slots.push(body["slot"].as_u64().unwrap());
        }
        slots.sort_unstable();
        assert_eq!(slots, (1..=1000).collect::<Vec<_>>());
    });
}
