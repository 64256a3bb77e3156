//! Who may ask, under which name, from where, and what nobody may say of himself.

use actix_web::test::TestRequest;
use serde_json::json;

use super::rig::{Node, fake};

const TOKENS: &str = r#"
    [http]
    tokens = [{ name = "alice", token = "sesame" }, { name = "bob", token = "sesame2" }]
    hosts = ["node.example"]
"#;

fn with_token(request: TestRequest, value: &str) -> TestRequest {
    request.insert_header(("Authorization", value))
}

#[test]
fn without_a_known_token_nobody_gets_in() {
    fake(TOKENS, async |node| {
        let body = r#"{"id":"p","device":"lua","source":"fake"}"#;
        let post = || TestRequest::post().uri("/processes").set_payload(body);
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Bearer sesam",
            "Bearer sesame22",
            "Basic sesame",
            "sesame",
            "Bearer  sesame x",
            "",
            "Bearer SESAME",
        ] {
            let answer = node.send(with_token(post(), value)).await;
            answer.refusal(401, "unauthorized");
            assert_eq!(answer.headers.get("www-authenticate").unwrap(), "Bearer", "{value:?}");
        }
        node.send(post()).await.refusal(401, "unauthorized");
        for path in ["/processes", "/processes/p", "/processes/p/schedule", "/nowhere", "/"] {
            node.get(path).await.refusal(401, "unauthorized");
        }
        node.send(with_token(post(), "Bearer sesame")).await.json(201);
        node.send(with_token(post(), "bearer sesame2")).await.json(200);
    });
}

#[test]
fn whether_it_lives_and_is_ready_the_node_tells_anyone() {
    fake(TOKENS, async |node| {
        node.get("/livez").await.json(200);
        node.get("/readyz").await.json(503);
        let stranger = TestRequest::get().uri("/livez").insert_header(("Host", "evil.example"));
        node.send(stranger).await.json(200);
    });
}

async fn sender(node: &Node, slot: u64) -> (String, String) {
    let path = format!("/processes/p/schedule?from={}&limit=1", slot - 1);
    let request = with_token(TestRequest::get().uri(&path), "Bearer sesame");
    let shown = node.send(request).await.json(200)["edges"][0]["node"].clone();
    (shown["From"].as_str().unwrap().to_owned(), shown["Owner"].as_str().unwrap().to_owned())
}

#[test]
fn a_message_is_from_whoever_holds_the_token() {
    fake(TOKENS, async |node| {
        let create = TestRequest::post().uri("/processes").set_payload(r#"{"id":"p","device":"lua","source":"fake"}"#);
        node.send(with_token(create, "Bearer sesame")).await.json(201);
        for (slot, (value, name)) in (1..).zip([("Bearer sesame", "alice"), ("Bearer sesame2", "bob")]) {
            let post = TestRequest::post().uri("/processes/p/schedule").set_payload("{}");
            node.send(with_token(post, value)).await.json(202);
            assert_eq!(sender(&node, slot).await, (name.to_owned(), name.to_owned()));
        }
    });
}

#[test]
fn nobody_says_himself_who_he_is() {
    fake("", async |node| {
        node.create("p", "fake").await;
        for key in ["From", "Owner", "Timestamp", "Slot", "Epoch", "from", "Origin"] {
            let body = json!({ key: "mallory", "Data": "d" }).to_string();
            for call in ["schedule", "dry-run"] {
                let said = node.post(&format!("/processes/p/{call}"), body.clone()).await.refusal(400, "bad_request");
                assert!(said.contains(key), "{said}");
            }
        }
        assert_eq!(node.get("/processes/p").await.json(200)["scheduled_slot"], 0);
        // As a tag it is a text like any other.
        let body = json!({ "Tags": { "From": "mallory" } }).to_string();
        node.post("/processes/p/schedule", body).await.json(202);
        assert_eq!(sender(&node, 1).await, ("local".to_owned(), "local".to_owned()));
    });
}

#[test]
fn a_node_answers_to_its_own_names_only() {
    fake("[http]\nhosts = [\"node.example\", \"10.0.0.7\"]", async |node| {
        for host in [
            "localhost",
            "LOCALHOST:8734",
            "127.0.0.1",
            "127.0.0.1:8734",
            "[::1]",
            "[::1]:8734",
            "192.168.3.4:80",
            "node.example",
            "Node.Example:8734",
        ] {
            node.send(TestRequest::get().uri("/processes").insert_header(("Host", host))).await.json(200);
        }
        for host in ["evil.example", "localhost.evil.example", "node.example.evil:80", "", "1.2.3", "a b", ":80"] {
            let answer = node.send(TestRequest::get().uri("/processes").insert_header(("Host", host))).await;
            answer.refusal(403, "unauthorized");
        }
    });
}

#[test]
fn pages_of_others_may_not_ask() {
    fake("[http]\nhosts = [\"node.example\"]", async |node| {
        let asked = |origin: &str| {
            let request = TestRequest::get().uri("/processes").insert_header(("Host", "localhost:8734"));
            request.insert_header(("Origin", origin))
        };
        for origin in ["http://localhost:8734", "https://node.example", "http://node.example:99"] {
            node.send(asked(origin)).await.json(200);
        }
        for origin in ["http://evil.example", "null", "http://localhost:9999", "http://127.0.0.1:8734", "", "file://"] {
            node.send(asked(origin)).await.refusal(403, "unauthorized");
        }
    });
}
