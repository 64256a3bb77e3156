//! `/monitors`: who is pulled from, since when, how far.

use std::rc::Rc;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::rig::{Answer, Node, fake, keys, lua, rows, until};

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

async fn start(node: &Node, monitor: Value) -> Answer {
    node.post("/monitors", monitor.to_string()).await
}

async fn monitors(node: &Node) -> Vec<Value> {
    let body = node.get("/monitors").await.json(200);
    assert_eq!(keys(&body), ["monitors"]);
    body["monitors"].as_array().unwrap().clone()
}

/// Creates a process with these cron entries.
async fn create(node: &Node, id: &str, cron: Value) {
    let body = json!({ "id": id, "device": "lua", "source": "fake", "cron": cron });
    node.post("/processes", body.to_string()).await.json(201);
}

/// Waits until the monitor of a process is as it should be.
async fn monitor_where(node: &Node, process: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    until(what, async || monitors(node).await.into_iter().find(|one| one["process"] == *process && fits(one))).await
}

#[test]
fn a_monitor_is_new_or_the_same_or_another() {
    fake("", async |node| {
        let wanted = json!({ "process": "p", "source": NOBODY, "rate": "1h" });
        let created = start(&node, wanted.clone()).await.json(201);
        assert_eq!(
            (&created["process"], &created["source"], &created["rate"]),
            (&json!("p"), &json!(NOBODY), &json!("1h"))
        );
        start(&node, wanted.clone()).await.json(200);
        start(&node, json!({ "process": "p", "source": format!("{NOBODY}/"), "rate": "60m" })).await.json(200);
        for (key, value) in [("rate", "2h"), ("source", "http://127.0.0.1:2"), ("cursor", "c")] {
            let mut other = wanted.clone();
            other[key] = json!(value);
            let said = start(&node, other).await.refusal(409, "conflict");
            assert!(said.contains("DELETE /monitors/p"), "{said}");
        }
        let secret = NOBODY.replace("//", "//user:secret@");
        let kept = start(&node, json!({ "process": "secret", "source": secret })).await.json(201);
        assert!(!kept["source"].as_str().unwrap().contains("secret"), "{kept}");
        assert_eq!(node.delete("/monitors/secret").await.status, 204);
        start(&node, json!({ "process": "q", "source": NOBODY, "cursor": "c" })).await.json(201);
        let listed = monitors(&node).await;
        let listed: Vec<_> = listed.iter().map(|one| [&one["process"], &one["rate"], &one["cursor"]]).collect();
        assert_eq!(listed, [[&json!("p"), &json!("1h"), &Value::Null], [&json!("q"), &json!("5s"), &json!("c")]]);
        for status in [204, 404] {
            assert_eq!(node.delete("/monitors/p").await.status, status);
        }
        assert_eq!(monitors(&node).await.len(), 1);
        start(&node, wanted).await.json(201);
    });
}

#[test]
fn a_monitor_shows_what_the_contract_says() {
    fake("", async |node| {
        assert_eq!(node.get("/monitors").await.text(), r#"{"monitors":[]}"#);
        create(&node, "p", json!([{ "at": "2100-01-01T00:00:00Z" }])).await;
        // While a round goes on, it is due when it began.
        let is_over = |one: &Value| one["last_tick"].is_u64() && one["next_due"].as_u64() > one["last_tick"].as_u64();
        let shown = monitor_where(&node, "p", "a round is over", is_over).await;
        let (tick, next) = (shown["last_tick"].as_u64().unwrap(), shown["next_due"].as_u64().unwrap());
        assert!(tick > 1_700_000_000_000 && next >= tick + 5000, "Unix milliseconds, a rate apart: {shown}");
        let expected = json!({
            "process": "p", "rate": "5s", "cursor": null, "source": "local", "last_tick": tick, "last_error": null,
            "ticks": 1, "skipped": 0, "pushed": 0, "next_due": next,
        });
        assert_eq!(shown, expected);
    });
}

#[test]
fn what_is_no_monitor_is_refused() {
    fake("", async |node| {
        node.create("here", "fake").await;
        let long = "c".repeat(2049);
        for (body, status, code, part) in [
            (json!({}), 400, "bad_request", "missing field `process`"),
            (json!([{ "process": "here" }]), 400, "bad_request", "expected an object"),
            (json!({ "process": 5 }), 400, "bad_request", "expected a string"),
            (json!({ "process": "a b" }), 400, "bad_request", "a b"),
            (json!({ "process": "" }), 400, "bad_request", "process"),
            (json!({ "process": "here", "every": "1s" }), 400, "bad_request", "unknown field `every`"),
            (json!({ "process": "here", "rate": 5 }), 400, "bad_request", "expected a string"),
            (json!({ "process": "here", "rate": "soon" }), 400, "bad_request", "rate: "),
            (json!({ "process": "here", "rate": "0s" }), 400, "bad_request", "rate: "),
            (json!({ "process": "here", "rate": "-1s" }), 400, "bad_request", "rate: "),
            (json!({ "process": "here", "cursor": "c" }), 400, "bad_request", "cursor: "),
            (json!({ "process": "far", "source": NOBODY, "cursor": "" }), 400, "bad_request", "cursor: found 0 bytes"),
            (json!({ "process": "far", "source": NOBODY, "cursor": long }), 400, "bad_request", "cursor: found 2049"),
            (json!({ "process": "far", "source": NOBODY, "cursor": 7 }), 400, "bad_request", "expected a string"),
            (json!({ "process": "far", "source": "ftp://host" }), 400, "bad_request", "source: "),
            (json!({ "process": "far", "source": "elsewhere" }), 400, "bad_request", "source: "),
            (json!({ "process": "far", "source": "" }), 400, "bad_request", "source: "),
            (json!({ "process": "far", "source": "http://" }), 400, "bad_request", "source: "),
            (json!({ "process": "far" }), 404, "not_found", "far"),
            (json!({ "process": "far", "source": "local" }), 404, "not_found", "far"),
            (json!({ "process": "here", "source": NOBODY }), 409, "conflict", "here"),
        ] {
            let said = start(&node, body.clone()).await.refusal(status, code);
            assert!(said.contains(part), "{body} is refused with {said:?}");
        }
        for text in ["", "{", "null", "\"here\"", "\u{0}"] {
            node.post("/monitors", text.to_owned()).await.refusal(400, "bad_request");
        }
        node.delete("/monitors/a%20b").await.refusal(400, "bad_request");
        node.delete("/monitors/here").await.refusal(404, "not_found");
        for (method, path) in
            [(Method::PUT, "/monitors"), (Method::DELETE, "/monitors"), (Method::GET, "/monitors/here")]
        {
            node.send(TestRequest::with_uri(path).method(method)).await.refusal(405, "bad_request");
        }
        assert_eq!(monitors(&node).await, [] as [Value; 0], "nothing was started");
    });
}

#[test]
fn monitors_and_dead_letters_are_for_those_with_a_token() {
    fake("[http]\ntokens = [{ name = \"alice\", token = \"sesame\" }]", async |node| {
        let letter = "A".repeat(43);
        let calls = || {
            [
                TestRequest::get().uri("/monitors"),
                TestRequest::post()
                    .uri("/monitors")
                    .set_payload(json!({ "process": "p", "source": NOBODY }).to_string()),
                TestRequest::delete().uri("/monitors/p"),
                TestRequest::get().uri("/dead-letters"),
                TestRequest::post().uri(&format!("/dead-letters/{letter}/retry")),
                TestRequest::delete().uri(&format!("/dead-letters/{letter}")),
                TestRequest::get().uri("/processes/p/cron"),
            ]
        };
        for request in calls() {
            node.send(request).await.refusal(401, "unauthorized");
        }
        for (request, status) in calls().into_iter().zip([200, 201, 204, 200, 404, 404, 404]) {
            let answer = node.send(request.insert_header(("Authorization", "Bearer sesame"))).await;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
    });
}

#[test]
fn a_source_that_does_not_answer_is_told_of() {
    fake("", async |node| {
        start(&node, json!({ "process": "far", "source": NOBODY })).await.json(201);
        let shown = monitor_where(&node, "far", "an error", |one| one["last_error"].is_string()).await;
        let error = shown["last_error"].as_str().unwrap();
        assert!(error.contains(&format!("{NOBODY}/cron/far")), "{error}");
        assert!(shown["next_due"].as_u64() > shown["last_tick"].as_u64(), "{shown}");
        assert_eq!((&shown["pushed"], &shown["cursor"]), (&json!(0), &Value::Null));
    });
}

/// Waits for the first ticks of a process, which must be from the process to itself. Returns the rows.
async fn ticks(node: &Rc<Node>, process: &str, least: usize) -> Vec<Value> {
    let path = format!("/processes/{process}/cron?limit=1000");
    let edges = until("ticks", async || {
        let (edges, _) = rows(&node.get(&path).await.json(200));
        (edges.len() >= least).then_some(edges)
    });
    let edges = edges.await;
    for edge in &edges {
        let slot = edge["node"]["Slot"].as_u64().unwrap();
        let page = node.get(&format!("/processes/{process}/schedule?from={}&limit=1", slot - 1)).await.json(200);
        let message = &page["edges"][0]["node"];
        assert_eq!([&message["From"], &message["Owner"], &message["Target"]], [&json!(process); 3]);
        assert_eq!(message["Slot"], slot);
    }
    edges
}

#[test]
fn a_process_with_cron_entries_is_monitored_and_ticks() {
    lua("[monitor]\ndefault_cron_rate = \"1h\"", async |node| {
        let source = "function compute(state, msg) return { msg.Action or '', msg.Data } end";
        let definition = |id: &str, cron: Value, tags: Value| {
            json!({ "id": id, "device": "lua", "source": source, "cron": cron, "tags": tags }).to_string()
        };
        let cron = json!([{ "every": "20ms", "tags": { "Action": "Beat" }, "data": "d" }]);
        node.post("/processes", definition("listed", cron, json!({}))).await.json(201);
        let tags = json!([
            { "name": "Cron-Interval", "value": "20-milliseconds" }, { "name": "Cron-Tag-Action", "value": "Beat" }
        ]);
        node.post("/processes", definition("tagged", Value::Null, tags)).await.json(201);
        for (process, output) in [("listed", json!(["Beat", "d"])), ("tagged", json!(["Beat", ""]))] {
            for edge in ticks(&node, process, 3).await {
                assert_eq!((&edge["node"]["Output"], &edge["node"]["Error"]), (&output, &Value::Null));
            }
            let shown = monitor_where(&node, process, "three ticks", |one| one["pushed"].as_u64() >= Some(3)).await;
            assert_eq!(
                (&shown["source"], &shown["rate"], &shown["last_error"]),
                (&json!("local"), &json!("1h"), &Value::Null)
            );
        }
        let said =
            node.post("/processes", definition("blocks", Value::Null, json!({ "Cron-Interval": "5-blocks" }))).await;
        assert!(said.refusal(400, "bad_request").contains("5-blocks"));
    });
}

#[test]
fn a_monitor_that_was_stopped_is_not_started_by_its_definition() {
    lua("", async |node| {
        let body = json!({
            "id": "p", "device": "lua", "source": "function compute() end", "cron": [{ "every": "20ms" }],
        });
        let body = body.to_string();
        node.post("/processes", body.clone()).await.json(201);
        ticks(&node, "p", 1).await;
        assert_eq!(node.delete("/monitors/p").await.status, 204);
        node.post("/processes", body).await.json(200);
        assert_eq!(monitors(&node).await, [] as [Value; 0]);
        node.delete("/monitors/p").await.refusal(404, "not_found");
        let before = ticks(&node, "p", 1).await.len();
        start(&node, json!({ "process": "p" })).await.json(201);
        start(&node, json!({ "process": "p" })).await.json(200);
        ticks(&node, "p", before + 2).await;
    });
}
