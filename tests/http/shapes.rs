//! What each call answers, word for word.

use serde_json::{Value, json};

use super::rig::{COUNTER, fake, lua};
use mainstay::device::fake::{Act, Manner};

const INCREMENT: &str = r#"{"Tags":{"Action":"Increment"}}"#;

/// The gas of an outcome, which is the one thing in it that is not said beforehand.
fn gas(answer: &Value) -> u64 {
    answer["outcome"]["GasUsed"].as_u64().unwrap()
}

#[test]
fn a_message_is_scheduled_and_waited_for() {
    lua("", async |node| {
        node.create("counter", COUNTER).await;
        let answer = node.post("/processes/counter/schedule?wait=30s", INCREMENT).await;
        let body = answer.json(200);
        let id = body["id"].as_str().unwrap();
        assert_eq!(id.len(), 43);
        let expected = format!(
            r#"{{"id":"{id}","process":"counter","slot":1,"outcome":{{"Output":1,"Messages":[],"Spawns":[],"Assignments":[],"Error":null,"GasUsed":{}}}}}"#,
            gas(&body)
        );
        assert_eq!(answer.text(), expected);
    });
}

#[test]
fn without_a_wait_the_slot_is_all_there_is_to_say() {
    lua("", async |node| {
        node.create("counter", COUNTER).await;
        let id = "a".repeat(43);
        let body = json!({ "Id": id, "Target": "counter", "Anchor": "x", "Tags": [], "Data": "d" });
        let answer = node.post("/processes/counter/schedule", body.to_string()).await;
        answer.json(202);
        assert_eq!(answer.text(), format!(r#"{{"id":"{id}","process":"counter","slot":1}}"#));
    });
}

#[test]
fn an_empty_body_is_an_empty_message() {
    lua("", async |node| {
        node.create("counter", COUNTER).await;
        for (slot, body) in (1..).zip(["", "{}", r#"{"Tags":null,"Data":null,"Id":null,"Anchor":null,"Target":null}"#])
        {
            assert_eq!(node.post("/processes/counter/schedule", body).await.json(202)["slot"], slot);
        }
        let log = node.get("/processes/counter/schedule?from=0&limit=1").await.json(200);
        let shown = &log["edges"][0]["node"];
        let id = shown["Id"].as_str().unwrap();
        let expected = json!({
            "Id": id, "From": "local", "Owner": "local", "Target": "counter", "Anchor": "", "Tags": [], "Data": "",
            "Timestamp": shown["Timestamp"], "Slot": 1,
        });
        assert_eq!(*shown, expected);
        assert!(shown["Timestamp"].as_u64().unwrap() > 1_700_000_000_000);
    });
}

#[test]
fn a_slot_is_computed_and_shown_with_its_process() {
    lua("", async |node| {
        node.create("counter", COUNTER).await;
        for _ in 0..2 {
            node.post("/processes/counter/schedule", INCREMENT).await.json(202);
        }
        for (path, slot, output) in
            [("compute?slot=1", 1, 1), ("compute?slot=2", 2, 2), ("compute", 2, 2), ("now", 2, 2)]
        {
            let answer = node.get(&format!("/processes/counter/{path}")).await;
            let body = answer.json(200);
            let expected = format!(
                r#"{{"process":"counter","slot":{slot},"outcome":{{"Output":{output},"Messages":[],"Spawns":[],"Assignments":[],"Error":null,"GasUsed":{}}}}}"#,
                gas(&body)
            );
            assert_eq!(answer.text(), expected, "{path}");
        }
        // Slot 0 is the definition; what its initialiser returns is not shown.
        let first = node.get("/processes/counter/compute?slot=0").await.json(200);
        assert_eq!(first["outcome"]["Output"], Value::Null);
        assert_eq!(first["outcome"]["Error"], Value::Null);
    });
}

#[test]
fn a_handlers_error_is_an_outcome_like_any() {
    lua("", async |node| {
        node.create("counter", COUNTER).await;
        let body =
            node.post("/processes/counter/schedule?wait=30s", r#"{"Tags":{"Action":"Explode"}}"#).await.json(200);
        let outcome = &body["outcome"];
        assert_eq!(outcome["Error"], "Action must be Increment or Get, not Explode");
        assert_eq!(outcome["Output"], Value::Null);
        let keys: Vec<&String> = outcome.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 6);
        assert_eq!(node.get("/processes/counter/compute?slot=1").await.json(200)["outcome"], *outcome);
    });
}

#[test]
fn everything_that_an_outcome_can_hold_is_shown() {
    let source = r#"
        function compute(state, msg)
            send{ Target = "other", Data = "d", Anchor = "a", Tags = { K = "v" } }
            spawn{ Device = "lua", Source = "function compute() end", Tags = { K = "v" }, Data = "d", Anchor = "a" }
            assign{ Processes = { "other" }, Message = msg.Id }
            return { list = { 1, 2 }, none = {} }
        end"#;
    lua("", async |node| {
        node.create("p", source).await;
        let body = node.post("/processes/p/schedule?wait=30s", "{}").await.json(200);
        let tags = json!([{ "name": "K", "value": "v" }]);
        let expected = json!({
            "Output": { "list": [1, 2], "none": {} },
            "Messages": [{ "Target": "other", "Tags": tags, "Data": "d", "Anchor": "a" }],
            "Spawns": [{ "Device": "lua", "Source": "function compute() end", "Tags": tags, "Data": "d", "Anchor": "a" }],
            "Assignments": [{ "Processes": ["other"], "Message": body["id"] }],
            "Error": null,
            "GasUsed": gas(&body),
        });
        assert_eq!(body["outcome"], expected);
    });
}

#[test]
fn the_state_is_shown_as_it_is() {
    let source = "function compute(state, msg) state.list = { 1, 2 } state.none = {} state.text = msg.Data end";
    lua("", async |node| {
        node.create("p", source).await;
        assert_eq!(node.get("/processes/p/state").await.json(200), json!({}));
        node.post("/processes/p/schedule", r#"{"Data":"é\"\u0000"}"#).await.json(202);
        let state = node.get("/processes/p/state").await.json(200);
        assert_eq!(state, json!({ "list": [1, 2], "none": {}, "text": "é\"\0" }));
    });
}

#[test]
fn a_dry_run_has_an_outcome_and_no_slot_of_its_own() {
    lua("", async |node| {
        node.create("counter", COUNTER).await;
        node.post("/processes/counter/schedule?wait=30s", INCREMENT).await.json(200);
        for _ in 0..2 {
            let body = node.post("/processes/counter/dry-run", INCREMENT).await.json(200);
            assert_eq!((&body["process"], &body["slot"]), (&json!("counter"), &json!(1)));
            assert_eq!((&body["outcome"]["Output"], &body["outcome"]["Error"]), (&json!(2), &Value::Null));
            assert_eq!(body["outcome"].as_object().unwrap().len(), 6);
        }
        assert_eq!(node.get("/processes/counter").await.json(200)["scheduled_slot"], 1);
        assert_eq!(node.get("/processes/counter/state").await.json(200), json!({ "count": 1 }));
    });
}

#[test]
fn a_process_shows_where_it_stands() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        let shown = |computed: u64, scheduled: u64, snapshot: Value, status: &str| {
            json!({
                "id": "p", "device": "lua", "origin": "api", "definition_slot": 0, "scheduled_slot": scheduled,
                "computed_slot": computed, "snapshot_slot": snapshot, "status": status, "queue": scheduled - computed,
                "error": null,
            })
        };
        node.post("/processes/p/schedule?wait=30s", "{}").await.json(200);
        assert_eq!(node.get("/processes/p").await.json(200)["computed_slot"], 1);
        assert_eq!(node.post("/processes/p/snapshot", "").await.json(200), json!({ "process": "p", "slot": 1 }));
        assert_eq!(node.get("/processes/p").await.json(200), shown(1, 1, json!(1), "active"));
        node.fakes.hold(&process, Manner::Obeying);
        node.post("/processes/p/schedule", "{}").await.json(202);
        node.held(1).await;
        assert_eq!(node.get("/processes/p").await.json(200), shown(1, 2, json!(1), "computing"));
        node.fakes.let_go();
        node.get("/processes/p/now").await.json(200);
        let stopped = node.delete("/processes/p/worker").await;
        assert_eq!((stopped.status, stopped.text()), (204, ""));
        assert_eq!(node.get("/processes/p").await.json(200), shown(2, 2, json!(2), "idle"));
        node.delete("/processes/p/worker").await.refusal(404, "not_found");
        let page = node.get("/processes").await.json(200);
        let edge = json!({ "cursor": "p", "node": shown(2, 2, json!(2), "idle") });
        assert_eq!(page, json!({ "pageInfo": { "hasNextPage": false }, "edges": [edge] }));
    });
}

#[test]
fn a_halted_process_says_so_until_it_is_resumed() {
    fake("[workers]\nerror_strategy = \"throw\"", async |node| {
        let process = node.create("p", "fake").await;
        node.fakes.plan(&process, 1, [Act::Fail("boom"), Act::Fail("again")]);
        let waiting = node.post("/processes/p/schedule?wait=30s", "{}").await;
        assert!(waiting.refusal(409, "halted").contains("slot 1: boom"));
        node.post("/processes/p/schedule", "{}").await.json(202);
        for path in ["compute?slot=1", "compute?slot=2", "now"] {
            let said = node.get(&format!("/processes/p/{path}")).await.refusal(409, "halted");
            assert_eq!(said, "process p halted at slot 1: boom; POST /processes/p/resume tries again", "{path}");
        }
        let shown = node.get("/processes/p").await.json(200);
        assert_eq!((&shown["status"], &shown["error"], &shown["queue"]), (&json!("halted"), &json!("boom"), &json!(2)));
        assert_eq!(node.post("/processes/p/resume", "").await.json(200), json!({ "process": "p", "slot": 1 }));
        let said = node.get("/processes/p/compute?slot=1").await.refusal(409, "halted");
        assert!(said.contains("again"), "{said}");
        let resumed = node.post("/processes/p/resume?skip=true", "").await.json(200);
        assert_eq!(resumed, json!({ "process": "p", "slot": 1 }));
        let skipped = node.get("/processes/p/compute?slot=1").await.json(200);
        assert_eq!(skipped["outcome"]["Error"], "skipped: again");
        assert_eq!(node.get("/processes/p/compute?slot=2").await.json(200)["outcome"]["Output"], 1);
        node.post("/processes/p/resume", "").await.refusal(409, "conflict");
    });
}

#[test]
fn a_node_lives_and_says_when_it_is_ready() {
    lua("", async |node| {
        assert_eq!(node.get("/livez").await.json(200), json!({ "status": "ok" }));
        let before = node.get("/readyz").await.json(503);
        assert_eq!(before["status"], "unavailable");
        let text = "work that waited at the start is being taken up";
        assert_eq!(before["checks"], json!({ "store": "ok", "pending": text, "node": "ok" }));
        node.readiness.taken_up();
        let checks = json!({ "store": "ok", "pending": "ok", "node": "ok" });
        assert_eq!(node.get("/readyz").await.json(200), json!({ "status": "ok", "checks": checks }));
        node.readiness.stopping();
        assert_eq!(node.get("/readyz").await.json(503)["checks"]["node"], "the node is stopping");
    });
}

#[test]
fn now_comes_from_the_cache_where_it_is_told_to() {
    fake("[workers]\nprocess_now_from_cache = true", async |node| {
        let process = node.create("p", "fake").await;
        node.post("/processes/p/schedule?wait=30s", "{}").await.json(200);
        node.fakes.hold(&process, Manner::Obeying);
        node.post("/processes/p/schedule", "{}").await.json(202);
        node.held(1).await;
        assert_eq!(node.get("/processes/p/now").await.json(200)["slot"], 1);
    });
}
