//! `/dead-letters`: what could not be delivered, and the outbox that it comes from.

use std::rc::Rc;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use mainstay::ids::MessageId;
use serde_json::{Value, json};

use super::rig::{Node, lua, rows, until};

/// Sends its data to whom the message names.
const SENDER: &str = "
function compute(state, msg)
  for target in string.gmatch(msg.To or '', '%S+') do
    send{ Target = target, Data = msg.Data, Anchor = 'a', Action = 'Pass' }
  end
end
";

async fn letters(node: &Node) -> Vec<Value> {
    let (edges, more) = rows(&node.get("/dead-letters?limit=1000").await.json(200));
    assert!(!more);
    edges.into_iter().map(|edge| edge["node"].clone()).collect()
}

/// Has `sender` send its data to each of `targets`, which there are none of. Returns once so many letters are there.
async fn bury(node: &Rc<Node>, targets: &str, data: &str, letters_then: usize) -> Vec<Value> {
    let body = json!({ "Tags": { "To": targets }, "Data": data });
    node.post("/processes/sender/schedule?wait=30s", body.to_string()).await.json(200);
    until("the dead letters", async || Some(letters(node).await).filter(|all| all.len() == letters_then)).await
}

/// What the process was sent, without its definition.
async fn log(node: &Node, process: &str) -> Vec<Value> {
    let (edges, _) = rows(&node.get(&format!("/processes/{process}/schedule?from=0&limit=1000")).await.json(200));
    edges.into_iter().map(|edge| edge["node"].clone()).collect()
}

#[test]
fn a_letter_shows_what_the_contract_says() {
    lua("", async |node| {
        assert_eq!(node.get("/dead-letters").await.text(), r#"{"pageInfo":{"hasNextPage":false},"edges":[]}"#);
        node.create("sender", SENDER).await;
        let all = bury(&node, "nobody no-one", "d", 2).await;
        let letter = all.iter().find(|letter| letter["index"] == 1).unwrap();
        let message =
            json!({ "Target": "no-one", "Tags": [{ "name": "Action", "value": "Pass" }], "Data": "d", "Anchor": "a" });
        let (error, since) = (letter["error"].as_str().unwrap(), letter["since"].as_u64().unwrap());
        assert!(error.contains("there is no process no-one on this node"), "{error}");
        assert!(since > 1_700_000_000_000);
        let expected = json!({
            "id": letter["id"], "source": "sender", "slot": 1, "index": 1, "target": "no-one", "message": message,
            "error": error, "attempts": 1, "since": since,
        });
        assert_eq!(*letter, expected);
        assert!(MessageId::parse(letter["id"].as_str().unwrap()).is_ok());
    });
}

#[test]
fn letters_come_in_pages() {
    lua("", async |node| {
        node.create("sender", SENDER).await;
        let all = bury(&node, "a b c d e", "", 5).await;
        let ids: Vec<_> = all.iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect();
        assert!(ids.is_sorted());
        for limit in 1..=6 {
            let (mut found, mut path) = (Vec::new(), format!("/dead-letters?limit={limit}"));
            loop {
                let (edges, more) = rows(&node.get(&path).await.json(200));
                assert!(edges.iter().all(|edge| edge["cursor"] == edge["node"]["id"]));
                found.extend(edges.iter().map(|edge| edge["cursor"].as_str().unwrap().to_owned()));
                assert_eq!(more, found.len() < 5, "limit {limit}");
                if !more {
                    break;
                }
                assert_eq!(edges.len(), limit);
                path = format!("/dead-letters?limit={limit}&from={}", found.last().unwrap());
            }
            assert_eq!(found, ids, "limit {limit}");
        }
        for bad in ["limit=0", "limit=1001", "limit=x", "from=5", "from=", "since=5"] {
            node.get(&format!("/dead-letters?{bad}")).await.refusal(400, "bad_request");
        }
    });
}

#[test]
fn a_letter_is_delivered_once_when_its_target_is_there() {
    lua("", async |node| {
        node.create("sender", SENDER).await;
        let letter = bury(&node, "later", "d", 1).await.remove(0);
        let path = format!("/dead-letters/{}/retry", letter["id"].as_str().unwrap());
        let said = node.post(&path, "").await.refusal(409, "conflict");
        assert!(said.contains("there is no process later"), "{said}");
        let tried = letters(&node).await.remove(0);
        assert_eq!((&tried["attempts"], &tried["since"]), (&json!(2), &letter["since"]));

        node.create("later", SENDER).await;
        // Whoever is slower finds the letter tried or finds it gone; the message is there once.
        let retries: Vec<_> = (0..4).map(|_| node.start_post(&path, "")).collect();
        let mut retried = 0;
        for retry in retries {
            let answer = retry.await.unwrap();
            if answer.status == 200 {
                assert_eq!(answer.json(200), json!({ "id": letter["id"] }));
                retried += 1;
            } else if answer.status == 409 {
                assert!(answer.refusal(409, "conflict").contains("is being tried already"));
            } else {
                answer.refusal(404, "not_found");
            }
        }
        assert!(retried > 0);
        assert!(letters(&node).await.is_empty());
        node.post(&path, "").await.refusal(404, "not_found");
        let log = log(&node, "later").await;
        assert_eq!(log.len(), 1, "{log:?}");
        let message = &log[0];
        assert_eq!([&message["From"], &message["Target"], &message["Data"]], ["sender", "later", "d"]);
        assert_eq!(message["Id"], letter["id"]);
    });
}

#[test]
fn a_letter_that_is_deleted_is_gone() {
    lua("", async |node| {
        node.create("sender", SENDER).await;
        let all = bury(&node, "a b", "", 2).await;
        let path = format!("/dead-letters/{}", all[0]["id"].as_str().unwrap());
        assert_eq!(node.delete(&path).await.status, 204);
        assert_eq!(letters(&node).await, all[1..]);
        node.delete(&path).await.refusal(404, "not_found");
        node.post(&format!("{path}/retry"), "").await.refusal(404, "not_found");
        for (method, path) in [
            (Method::GET, path.as_str()),
            (Method::GET, "/dead-letters/x/retry"),
            (Method::POST, "/dead-letters"),
            (Method::DELETE, "/dead-letters"),
        ] {
            node.send(TestRequest::with_uri(path).method(method)).await.refusal(405, "bad_request");
        }
        for bad in ["x", "%20", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%2F"] {
            node.delete(&format!("/dead-letters/{bad}")).await.refusal(400, "bad_request");
            node.post(&format!("/dead-letters/{bad}/retry"), "").await.refusal(400, "bad_request");
        }
    });
}

#[test]
fn a_letter_that_is_deleted_while_it_is_tried_again_stays_gone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    lua(&format!("push = {{ attempts = 1 }}\n[[route]]\ntarget = \"far\"\nurl = \"{url}\""), async |node| {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        node.create("sender", SENDER).await;
        // Who comes first is sent away without an answer.
        let (letter, ()) = tokio::join!(bury(&node, "far", "", 1), async { drop(listener.accept().await) });
        let path = format!("/dead-letters/{}", letter[0]["id"].as_str().unwrap());
        let retry = node.start_post(&format!("{path}/retry"), "");
        let held = listener.accept().await.unwrap();
        assert_eq!(node.delete(&path).await.status, 204);
        drop(held);
        retry.await.unwrap().refusal(404, "not_found");
        assert!(letters(&node).await.is_empty(), "a letter that was deleted is back");
    });
}

#[test]
fn a_process_whose_outbox_is_full_computes_no_further() {
    // Nobody listens there, so that nothing is ever delivered.
    lua("[[route]]\ntarget = \"far\"\nurl = \"http://127.0.0.1:1\"", async |node| {
        let definition =
            |limit: Value| json!({ "id": "sender", "device": "lua", "source": SENDER, "limits": { "outbox": limit } });
        for bad in [json!(0), json!(-1), json!("2"), json!(1.5)] {
            node.post("/processes", definition(bad).to_string()).await.refusal(400, "bad_request");
        }
        node.post("/processes", definition(json!(2)).to_string()).await.json(201);
        node.create("free", SENDER).await;
        let message = json!({ "Tags": { "To": "far" } }).to_string();
        for process in ["sender", "free"] {
            for _ in 0..5 {
                node.post(&format!("/processes/{process}/schedule"), message.clone()).await.json(202);
            }
        }
        let status = |process: &'static str| {
            let node = node.clone();
            async move { node.get(&format!("/processes/{process}")).await.json(200) }
        };
        until("the other goes on", async || (status("free").await["computed_slot"] == 5).then_some(())).await;
        let full =
            until("the outbox is full", async || Some(status("sender").await).filter(|seen| seen["error"].is_string()));
        let full = full.await;
        assert_eq!(
            (&full["computed_slot"], &full["scheduled_slot"], &full["queue"]),
            (&json!(2), &json!(5), &json!(3))
        );
        let error = full["error"].as_str().unwrap();
        assert!(error.starts_with("limit outbox: 2 messages wait to be delivered, 2 may"), "{error}");
        assert!(letters(&node).await.is_empty());
    });
}
