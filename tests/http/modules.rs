//! Modules: put in, made processes of, read.

use serde_json::json;

use crate::rig::devices;

/// Answers the number of its calls, which it keeps at 64.
fn counter() -> Vec<u8> {
    let text = r#"(module
      (memory (export "memory") 1)
      (data (i32.const 16) "{\"ok\":true,\"response\":{\"Output\":0}}\00")
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func (export "handle") (param i32 i32) (result i32)
        (i32.store8 (i32.const 64) (i32.add (i32.load8_u (i32.const 64)) (i32.const 1)))
        (i32.store8 (i32.const 48) (i32.add (i32.load8_u (i32.const 64)) (i32.const 47)))
        (i32.const 16)))"#;
    wat::parse_str(text).unwrap()
}

#[test]
fn a_module_is_put_in_and_computes() {
    devices("", async |node| {
        let id = node.post("/modules", counter()).await.json(201)["id"].as_str().unwrap().to_owned();
        assert_eq!(node.post("/modules", counter()).await.json(201)["id"], json!(id), "the same again");
        let body = json!({ "id": "p", "device": "wasm", "module": id });
        assert_eq!(node.post("/processes", body.to_string()).await.json(201), json!({ "id": "p", "slot": 0 }));
        node.post("/processes", body.to_string()).await.json(200);
        for expected in 1..4 {
            let answer = node.post("/processes/p/schedule?wait=20s", "{}").await.json(200);
            assert_eq!(answer["outcome"]["Output"], json!(expected), "{answer}");
        }
        let dry = node.post("/processes/p/dry-run", "{}").await.json(200);
        assert_eq!(dry["outcome"]["Output"], json!(4));
        let state = node.get("/processes/p/state").await;
        assert_eq!(
            (state.status, state.headers.get("content-type").unwrap().to_str().unwrap()),
            (200, "application/octet-stream")
        );
        assert_eq!((state.body.len(), state.body[64]), (65_536, 4), "slot 0 counts, a trial doesn't");
        assert_eq!(node.get("/processes/p").await.json(200)["device"], "wasm");
    });
}

#[test]
fn what_is_no_module_is_refused() {
    devices("[http]\nmax_body = \"64KiB\"\n", async |node| {
        let said = node.post("/modules", "function compute() end").await.refusal(400, "bad_request");
        assert!(said.contains("module: not a valid WebAssembly module") && said.contains("at byte 0"), "{said}");
        node.post("/modules", vec![0; 70_000]).await.refusal(413, "too_large");
        let unknown = "A".repeat(43);
        for (body, part) in [
            (json!({ "device": "wasm" }), "POST /modules"),
            (json!({ "device": "wasm", "source": "(module)" }), "takes `module`, not `source`"),
            (json!({ "device": "wasm", "module": "../etc/passwd" }), "expected the id of a module"),
            (json!({ "device": "wasm", "module": unknown }), "is not stored here"),
            (json!({ "device": "lua", "module": unknown }), "takes `source`, not `module`"),
        ] {
            let said = node.post("/processes", body.to_string()).await.refusal(400, "bad_request");
            assert!(said.contains(part), "{body}: {said}");
        }
        node.get("/modules").await.refusal(405, "bad_request");
    });
}
