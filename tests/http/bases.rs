//! Bases: states that are held in memory, and what is resolved on them.

use serde_json::{Value, json};

use super::rig::{Answer, COUNTER, Node, fake, lua};
use mainstay::device::fake::{Act, Asked, Manner};

const INCREMENT: &str = r#"{"Tags":{"Action":"Increment"}}"#;
const GET: &str = r#"{"Tags":{"Action":"Get"}}"#;
const STATIC: &str = r#"{"static":true}"#;
const LINE: &str = r#"{"static":false}"#;

/// The base's name and the output of an answer that is of the one shape that resolving has.
#[track_caller]
fn resolved(answer: &Answer) -> (String, Value) {
    let body = answer.json(200);
    let (group, outcome) = (body["group"].as_str().unwrap(), &body["outcome"]);
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    let keys: Vec<&str> = outcome.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["Assignments", "Error", "GasUsed", "Messages", "Output", "Spawns"], "{body}");
    (group.to_owned(), outcome["Output"].clone())
}

async fn counted_to(node: &Node, count: usize) {
    node.create("counter", COUNTER).await;
    for _ in 0..count {
        node.post("/processes/counter/schedule?wait=30s", INCREMENT).await.json(200);
    }
}

/// All that is known of a process, but for whether a worker is at hand.
async fn record(node: &Node, process: &str) -> Vec<Value> {
    let mut shown = Vec::new();
    for path in ["", "/schedule", "/results", "/state", "/now"] {
        let mut body = node.get(&format!("/processes/{process}{path}")).await.json(200);
        if path.is_empty() {
            body["status"] = Value::Null;
        }
        shown.push(body);
    }
    shown
}

#[test]
fn a_base_that_stays_answers_the_same_each_time() {
    lua("", async |node| {
        counted_to(&node, 2).await;
        let group = node.hold_base("counter", STATIC).await;
        assert_eq!(group.strip_prefix("counter~").map(str::len), Some(43), "{group}");
        for _ in 0..3 {
            assert_eq!(resolved(&node.resolve(&group, INCREMENT).await), (group.clone(), json!(3)));
        }
        assert_eq!(resolved(&node.resolve(&group.replace('~', "%7E"), GET).await), (group.clone(), json!(2)));
        assert_eq!(node.hold_base("counter", STATIC).await, group, "who holds an equal base is told the same name");
    });
}

#[test]
fn the_result_becomes_the_base_and_the_old_name_is_gone() {
    lua("", async |node| {
        counted_to(&node, 2).await;
        let first = node.hold_base("counter", LINE).await;
        let (second, output) = resolved(&node.resolve(&first, INCREMENT).await);
        assert_eq!(output, 3);
        assert_ne!(second, first);
        let said = node.resolve(&first, INCREMENT).await.refusal(404, "not_found");
        assert!(said.contains(&first) && said.contains("POST /processes/counter/base"), "{said}");
        node.delete(&format!("/groups/{first}")).await.refusal(404, "not_found");
        let (third, output) = resolved(&node.resolve(&second, INCREMENT).await);
        assert_eq!(output, 4);
        node.resolve(&second, INCREMENT).await.refusal(404, "not_found");
        // A message that changes nothing moves the base on all the same.
        let (fourth, output) = resolved(&node.resolve(&third, GET).await);
        assert_eq!(output, 4);
        node.resolve(&third, INCREMENT).await.refusal(404, "not_found");
        assert_eq!(resolved(&node.resolve(&fourth, GET).await).1, 4);
        assert_eq!(node.hold_base("counter", LINE).await, first, "the state after the slot is another base again");
    });
}

#[test]
fn a_message_that_fails_leaves_the_base_where_it_was() {
    lua("", async |node| {
        counted_to(&node, 2).await;
        for wanted in [STATIC, LINE] {
            let group = node.hold_base("counter", wanted).await;
            for _ in 0..2 {
                let answer = node.resolve(&group, r#"{"Tags":{"Action":"Explode"}}"#).await;
                assert_eq!(resolved(&answer), (group.clone(), Value::Null), "{wanted}");
                let error = answer.json(200)["outcome"]["Error"].clone();
                assert_eq!(error, "Action must be Increment or Get, not Explode");
            }
            assert_eq!(resolved(&node.resolve(&group, INCREMENT).await).1, 3);
        }
    });
}

#[test]
fn without_a_body_the_configuration_says_whether_a_base_stays() {
    for (config, stays) in [("", false), ("static_worker = false", false), ("static_worker = true", true)] {
        lua(&format!("[workers]\n{config}"), async |node| {
            counted_to(&node, 1).await;
            for wanted in ["", "{}", r#"{"static":null,"slot":null,"timeout":null}"#, r#"{"timeout":"1m"}"#] {
                let group = node.hold_base("counter", wanted).await;
                let (after, output) = resolved(&node.resolve(&group, INCREMENT).await);
                assert_eq!((after == group, output), (stays, json!(2)), "{config} {wanted}");
            }
            let (stays, moves) = (node.hold_base("counter", STATIC).await, node.hold_base("counter", LINE).await);
            assert_ne!(stays, moves);
            assert_eq!(resolved(&node.resolve(&stays, INCREMENT).await).0, stays, "{config}");
            assert_ne!(resolved(&node.resolve(&moves, INCREMENT).await).0, moves, "{config}");
        });
    }
}

#[test]
fn a_base_at_an_earlier_slot_is_the_state_as_it_was_then() {
    lua("", async |node| {
        counted_to(&node, 4).await;
        for worker in [true, false] {
            if !worker {
                node.delete("/processes/counter/worker").await;
            }
            for slot in [0, 3, 1, 4, 2] {
                let group = node.hold_base("counter", &json!({ "slot": slot, "static": true }).to_string()).await;
                assert_eq!(resolved(&node.resolve(&group, GET).await).1, slot, "with a worker: {worker}");
                let line = node.hold_base("counter", &json!({ "slot": slot, "static": false }).to_string()).await;
                assert_eq!(resolved(&node.resolve(&line, INCREMENT).await).1, slot + 1, "with a worker: {worker}");
                node.delete(&format!("/groups/{group}")).await;
            }
        }
        assert_eq!(node.hold_base("counter", r#"{"slot":4}"#).await, node.hold_base("counter", "").await);
    });
}

#[test]
fn a_base_waits_for_its_slot_to_be_computed() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        node.fakes.hold(&process, Manner::Obeying);
        for _ in 0..3 {
            node.post("/processes/p/schedule", "{}").await.json(202);
        }
        node.held(1).await;
        let asked = node.start_post("/processes/p/base", r#"{"slot":2}"#);
        node.group_where("somebody waits", |group| group["group"] == "p" && group["waiters"] == 1).await;
        assert!(!asked.is_finished());
        node.fakes.let_go();
        let group = asked.await.unwrap().json(201)["group"].as_str().unwrap().to_owned();
        assert_eq!(resolved(&node.resolve(&group, "{}").await).1, 3);
    });
}

#[test]
fn a_slot_beyond_the_schedule_is_named_with_the_latest() {
    lua("", async |node| {
        counted_to(&node, 2).await;
        for slot in [3, 1_000_000, u64::MAX - 1, u64::MAX] {
            let body = json!({ "slot": slot }).to_string();
            let said = node.post("/processes/counter/base", body).await.refusal(404, "slot_out_of_range");
            assert!(said.contains(&slot.to_string()) && said.contains("the latest is 2"), "{said}");
        }
    });
}

#[test]
fn bases_touch_neither_log_nor_results_nor_state() {
    lua("", async |node| {
        counted_to(&node, 3).await;
        let before = record(&node, "counter").await;
        let (stays, mut line) = (node.hold_base("counter", STATIC).await, node.hold_base("counter", LINE).await);
        let earlier = node.hold_base("counter", r#"{"slot":1,"static":true}"#).await;
        for round in 1..=5 {
            assert_eq!(resolved(&node.resolve(&stays, INCREMENT).await).1, 4);
            assert_eq!(resolved(&node.resolve(&earlier, INCREMENT).await).1, 2);
            let (next, output) = resolved(&node.resolve(&line, INCREMENT).await);
            assert_eq!(output, 3 + round);
            line = next;
            let tried = node.post("/processes/counter/dry-run", INCREMENT).await.json(200);
            assert_eq!(tried["outcome"]["Output"], 4);
        }
        assert_eq!(record(&node, "counter").await, before);
        // And the log goes on without the bases.
        let next = node.post("/processes/counter/schedule?wait=30s", INCREMENT).await.json(200);
        assert_eq!((&next["slot"], &next["outcome"]["Output"]), (&json!(4), &json!(4)));
        assert_eq!(resolved(&node.resolve(&line, GET).await).1, 8);
        assert_eq!(resolved(&node.resolve(&stays, GET).await).1, 3);
    });
}

#[test]
fn what_a_message_says_of_itself_reaches_the_script() {
    let source = "function compute(state, msg) return { msg.Id, msg.Data, msg.X, msg.From, msg.Target, msg.Slot } end";
    lua("", async |node| {
        node.create("p", source).await;
        let group = node.hold_base("p", STATIC).await;
        let id = "i".repeat(43);
        let message = json!({ "Id": id, "Target": "p", "Anchor": "a", "Tags": { "X": "x" }, "Data": "d" });
        let output = resolved(&node.resolve(&group, &message.to_string()).await).1;
        assert_eq!(output, json!([id, "d", "x", "local", "p", 1]));
        // The id is no promise: nothing of it is kept.
        let message = json!({ "Id": id, "Tags": { "X": "x" }, "Data": "other" });
        assert_eq!(resolved(&node.resolve(&group, &message.to_string()).await).1[1], "other");
    });
}

#[test]
fn a_line_that_halts_says_so_until_it_is_deleted() {
    fake("[workers]\nerror_strategy = \"throw\"", async |node| {
        let process = node.create("p", "fake").await;
        node.fakes.plan(&process, 1, [Act::Take, Act::Fail("boom")]);
        node.post("/processes/p/schedule?wait=30s", "{}").await.json(200);
        node.fakes.plan(&process, 2, [Act::Fail("bang")]);
        let line = node.hold_base("p", LINE).await;
        for _ in 0..2 {
            let said = node.resolve(&line, "{}").await.refusal(409, "halted");
            assert!(said.contains("bang") && said.contains(&format!("DELETE /groups/{line}")), "{said}");
        }
        // Neither the process nor a base that stays knows of it.
        assert_eq!(node.get("/processes/p").await.json(200)["error"], Value::Null);
        let stays = node.hold_base("p", STATIC).await;
        node.fakes.plan(&process, 2, [Act::Fail("bang")]);
        assert_eq!(node.resolve(&stays, "{}").await.json(200)["outcome"]["Error"], "bang");
        assert_eq!(resolved(&node.resolve(&stays, "{}").await).1, 2);
        assert_eq!(node.delete(&format!("/groups/{line}")).await.status, 204);
        assert_eq!(node.hold_base("p", LINE).await, line);
        assert_eq!(resolved(&node.resolve(&line, "{}").await).1, 2);
    });
}

#[test]
fn a_halted_process_has_bases_up_to_where_it_halted() {
    fake("[workers]\nerror_strategy = \"throw\"", async |node| {
        let process = node.create("p", "fake").await;
        node.post("/processes/p/schedule?wait=30s", "{}").await.json(200);
        node.fakes.plan(&process, 2, [Act::Fail("boom")]);
        node.post("/processes/p/schedule?wait=30s", "{}").await.refusal(409, "halted");
        node.post("/processes/p/base", r#"{"slot":2}"#).await.refusal(409, "halted");
        for wanted in ["", r#"{"slot":1}"#] {
            let group = node.hold_base("p", wanted).await;
            assert_eq!(resolved(&node.resolve(&group, "{}").await).1, 2);
        }
        assert_eq!(node.post("/processes/p/dry-run", "{}").await.json(200)["slot"], 1);
    });
}

#[test]
fn what_a_device_lacks_or_breaks_is_told_and_the_base_goes_on() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        let group = node.hold_base("p", STATIC).await;
        node.fakes.plan(&process, 1, [Act::Lack, Act::Fault("the disk is wet"), Act::Panic("ouch")]);
        node.resolve(&group, "{}").await.refusal(501, "not_supported");
        let said = node.resolve(&group, "{}").await.refusal(500, "internal");
        assert!(said.contains("the disk is wet"), "{said}");
        let panicked = node.resolve(&group, "{}").await.json(200);
        assert_eq!(panicked["outcome"]["Error"], "panic: ouch");
        assert_eq!(resolved(&node.resolve(&group, "{}").await), (group, json!(1)));
        node.fakes.plan(&process, 1, [Act::Lack]);
        node.post("/processes/p/dry-run", "{}").await.refusal(501, "not_supported");
    });
}

#[test]
fn a_base_goes_when_nobody_wants_it_for_its_time() {
    lua("[workers]\nworker_timeout = \"20ms\"", async |node| {
        counted_to(&node, 2).await;
        let long = node.hold_base("counter", r#"{"slot":0,"timeout":"1h"}"#).await;
        let short = node.hold_base("counter", r#"{"slot":1,"static":true}"#).await;
        node.gone(&short).await;
        node.resolve(&short, GET).await.refusal(404, "not_found");
        assert_eq!(resolved(&node.resolve(&long, GET).await).1, 0);
        // A base that a dry-run leaves behind goes as well.
        node.post("/processes/counter/dry-run", GET).await.json(200);
        let left = node.hold_base("counter", r#"{"static":true,"timeout":"1h"}"#).await;
        node.post("/processes/counter/dry-run", GET).await.json(200);
        // The newest wish counts.
        assert_eq!(node.hold_base("counter", r#"{"static":true,"timeout":"20ms"}"#).await, left);
        node.gone(&left).await;
    });
}

#[test]
fn a_base_is_deleted_once() {
    lua("", async |node| {
        counted_to(&node, 1).await;
        for wanted in [STATIC, LINE] {
            let group = node.hold_base("counter", wanted).await;
            let deleted = node.delete(&format!("/groups/{group}")).await;
            assert_eq!((deleted.status, deleted.text()), (204, ""));
            node.gone(&group).await;
            node.delete(&format!("/groups/{group}")).await.refusal(404, "not_found");
            node.resolve(&group, GET).await.refusal(404, "not_found");
        }
    });
}

#[test]
fn who_waits_on_a_base_that_is_deleted_is_told_and_what_runs_is_answered() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        let group = node.hold_base("p", STATIC).await;
        node.fakes.hold(&process, Manner::Obeying);
        let path = format!("/groups/{group}/resolve");
        let runs = node.start_post(&path, "{}");
        node.held(1).await;
        let waits = node.start_post(&path, "{}");
        node.group_where("one waits", |status| status["group"] == *group && status["queue"] == 1).await;
        assert_eq!(node.delete(&format!("/groups/{group}")).await.status, 204);
        let said = waits.await.unwrap().refusal(404, "not_found");
        assert!(said.contains("deleted"), "{said}");
        node.fakes.let_go();
        assert_eq!(resolved(&runs.await.unwrap()), (group.clone(), json!(1)));
        node.gone(&group).await;
    });
}

#[test]
fn who_comes_after_another_on_a_line_is_told_that_nothing_was_computed() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        let group = node.hold_base("p", LINE).await;
        node.fakes.hold(&process, Manner::Obeying);
        let path = format!("/groups/{group}/resolve");
        let first = node.start_post(&path, "{}");
        node.held(1).await;
        let second = node.start_post(&path, "{}");
        node.group_where("one waits", |status| status["group"] == *group && status["queue"] == 1).await;
        node.fakes.let_go();
        let (moved, _) = resolved(&first.await.unwrap());
        let said = second.await.unwrap().refusal(404, "not_found");
        assert!(said.contains("nothing was computed") && said.contains(&moved), "{said}");
        assert_eq!(node.fakes.slots(&process, Asked::DryRun), [1]);
    });
}

#[test]
fn only_so_many_wait_on_a_base_and_each_for_so_long() {
    fake("[limits]\nqueue = 2\n[http]\nrequest_timeout = \"2s\"", async |node| {
        let process = node.create("p", "fake").await;
        let group = node.hold_base("p", STATIC).await;
        node.fakes.hold(&process, Manner::Obeying);
        let path = format!("/groups/{group}/resolve");
        let mut asked = vec![node.start_post(&path, "{}")];
        node.held(1).await;
        for waiting in 1..=2 {
            asked.push(node.start_post(&path, "{}"));
            node.group_where("it waits", |status| status["group"] == *group && status["queue"] == waiting).await;
        }
        let refused = node.resolve(&group, "{}").await;
        assert!(refused.refusal(503, "overloaded").contains("limit queue"));
        assert_eq!(refused.headers.get("retry-after").unwrap(), "1");
        for one in asked {
            one.await.unwrap().refusal(504, "deadline");
        }
        node.fakes.let_go();
        assert_eq!(resolved(&node.resolve(&group, "{}").await).1, 1);
        assert_eq!(node.fakes.slots(&process, Asked::DryRun), [1, 1], "nobody waited for the others any more");
    });
}
