//! `POST /processes`.

use serde_json::{Value, json};

use super::rig::{COUNTER, fake, lua};
use mainstay::device::fake::BROKEN;

fn counter(more: Value) -> String {
    let mut body = json!({ "id": "counter", "device": "lua", "source": COUNTER });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

#[test]
fn a_process_is_new_or_the_same_or_another() {
    lua("", async |node| {
        let created = node.post("/processes", counter(json!({}))).await;
        created.json(201);
        assert_eq!(created.text(), r#"{"id":"counter","slot":0}"#);
        let same = node.post("/processes", counter(json!({ "tags": [], "limits": {} }))).await;
        same.json(200);
        assert_eq!(same.text(), created.text());
        for other in [
            json!({ "source": "function compute() return 1 end" }),
            json!({ "tags": { "K": "v" } }),
            json!({ "limits": { "gas": 5 } }),
        ] {
            let said = node.post("/processes", counter(other)).await.refusal(409, "conflict");
            assert!(said.contains("counter"), "{said}");
        }
        assert_eq!(node.get("/processes/counter").await.json(200)["scheduled_slot"], 0);
        // The same again once messages came and no worker runs.
        node.post("/processes/counter/schedule?wait=30s", "{}").await.json(200);
        assert_eq!(node.delete("/processes/counter/worker").await.status, 204);
        node.post("/processes", counter(json!({}))).await.json(200);
    });
}

#[test]
fn a_process_without_an_id_is_given_one() {
    lua("", async |node| {
        let body = json!({ "device": "lua", "source": COUNTER }).to_string();
        let (one, other) = (node.post("/processes", body.clone()).await, node.post("/processes", body).await);
        let (one, other) = (one.json(201)["id"].clone(), other.json(201)["id"].clone());
        assert_ne!(one, other);
        assert_eq!(one.as_str().unwrap().len(), 43);
        node.get(&format!("/processes/{}", one.as_str().unwrap())).await.json(200);
    });
}

#[test]
fn slot_0_holds_the_definition() {
    lua("", async |node| {
        node.post("/processes", counter(json!({ "tags": { "Name": "x" }, "limits": { "gas": 5000 } }))).await.json(201);
        let page = node.get("/processes/counter/schedule").await.json(200);
        let shown = &page["edges"][0]["node"];
        let tags = json!([
            { "name": "Type", "value": "Process" }, { "name": "Device", "value": "lua" }, { "name": "Name", "value": "x" }
        ]);
        assert_eq!((&shown["Slot"], &shown["From"], &shown["Tags"]), (&json!(0), &json!("local"), &tags));
        let definition: Value = serde_json::from_str(shown["Data"].as_str().unwrap()).unwrap();
        assert_eq!(definition["limits"]["gas"], 5000);
        assert!(!shown.to_string().contains("function compute"), "the source is kept apart, by its hash");
    });
}

#[test]
fn a_process_of_its_own_limits_ends_at_them() {
    lua("", async |node| {
        let source = "function compute() while true do end end";
        let body = json!({ "id": "p", "device": "lua", "source": source, "limits": { "gas": 10_000 } });
        node.post("/processes", body.to_string()).await.json(201);
        let outcome = node.post("/processes/p/schedule?wait=30s", "{}").await.json(200)["outcome"].clone();
        assert!(outcome["Error"].as_str().unwrap().starts_with("limit gas: "), "{outcome}");
    });
}

#[test]
fn devices_of_the_operator_are_not_for_requests() {
    lua("", async |node| {
        for device in ["exec", "remote"] {
            for more in [json!({ "source": "x" }), json!({ "command": ["sh"] }), json!({ "url": "http://x" })] {
                let mut body = json!({ "id": "p", "device": device });
                body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                node.post("/processes", body.to_string()).await.refusal(403, "device_not_allowed");
            }
            let body = json!({ "id": "p", "device": device }).to_string();
            let said = node.post("/processes", body).await.refusal(403, "device_not_allowed");
            assert!(said.contains(device), "{said}");
            for text in [r#"{"device":"DEVICE","limits":5}"#, r#"{"id":7,"device":"DEVICE"}"#] {
                node.post("/processes", text.replace("DEVICE", device)).await.refusal(403, "device_not_allowed");
            }
            let cut = format!(r#"{{"device":"{device}","command":["sh""#);
            node.post("/processes", cut).await.refusal(400, "bad_request");
        }
        node.get("/processes/p").await.refusal(404, "not_found");
    });
}

#[test]
fn what_makes_no_process_is_refused() {
    lua("", async |node| {
        for (body, part) in [
            (json!({}), "device"),
            (json!({ "device": "lua" }), "source"),
            (json!({ "device": "cobol", "source": "x" }), "cobol"),
            (json!({ "device": "lua", "module": "x" }), "module"),
            (json!({ "device": "lua", "source": 5 }), "string"),
            (json!({ "device": "lua", "source": "this is no Lua" }), "source: "),
            (json!({ "device": "lua", "source": COUNTER, "id": "" }), "process id"),
            (json!({ "device": "lua", "source": COUNTER, "id": "../etc" }), "process id"),
            (json!({ "device": "lua", "source": COUNTER, "id": "x".repeat(65) }), "process id"),
            (json!({ "device": "lua", "source": COUNTER, "id": "ä" }), "process id"),
            (json!({ "device": "lua", "source": COUNTER, "id": 7 }), "string"),
            (json!({ "device": "lua", "source": COUNTER, "path": "/etc/passwd" }), "path"),
            (json!({ "device": "lua", "source": COUNTER, "origin": "config" }), "origin"),
            (json!({ "device": "lua", "source": COUNTER, "tags": { "a": 1 } }), "tag"),
            (json!({ "device": "lua", "source": COUNTER, "tags": [{ "name": "", "value": "x" }] }), "empty name"),
            (json!({ "device": "lua", "source": COUNTER, "limits": { "gas": -1 } }), "integer"),
            (json!({ "device": "lua", "source": COUNTER, "limits": { "gas": 0 } }), "limits.gas"),
            (json!({ "device": "lua", "source": COUNTER, "limits": { "memory": "1 potato" } }), "limits.memory"),
            (json!({ "device": "lua", "source": COUNTER, "limits": { "compute_time": "5" } }), "limits.compute_time"),
            (json!({ "device": "lua", "source": COUNTER, "limits": { "speed": 5 } }), "speed"),
            (json!([]), "process"),
            (json!(["p", "lua", COUNTER]), "process"),
            (json!({ "device": "lua", "source": COUNTER, "limits": ["1s", 5] }), "expected an object"),
            (json!("lua"), "process"),
        ] {
            let said = node.post("/processes", body.to_string()).await.refusal(400, "bad_request");
            assert!(said.contains(part), "{body} is refused with {said:?}");
        }
        let page = node.get("/processes").await.json(200);
        assert_eq!(page["edges"], json!([]), "nothing was created");
    });
}

#[test]
fn code_that_does_not_load_is_refused_before_anything_is_written() {
    fake("", async |node| {
        let body = json!({ "id": "p", "device": "lua", "source": BROKEN }).to_string();
        let said = node.post("/processes", body).await.refusal(400, "bad_request");
        assert_eq!(said, "source: line 1: it is broken");
        node.get("/processes/p").await.refusal(404, "not_found");
    });
}

#[test]
fn there_are_at_most_so_many_processes() {
    fake("[limits]\nmax_processes = 2", async |node| {
        for id in ["a", "b"] {
            node.create(id, "fake").await;
        }
        let body = |id: &str| json!({ "id": id, "device": "lua", "source": "fake" }).to_string();
        let answer = node.post("/processes", body("c")).await;
        assert!(answer.refusal(503, "overloaded").contains("max_processes"));
        node.post("/processes", body("a")).await.json(200);
    });
}
