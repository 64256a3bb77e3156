//! Messages that bring the chain of pushes along that led to them.

use std::rc::Rc;

use actix_web::http::header::HeaderValue;
use actix_web::test::TestRequest;
use mainstay::ids::MessageId;
use serde_json::{Value, json};

use super::rig::{Answer, Node, lua, rows, until};

const HEADER: &str = "Mainstay-Push";
const LIMITS: &str = "[push]\nmax_depth = 5\nmax_messages = 10";

fn root() -> MessageId {
    MessageId::derived(&[b"the beginning"])
}

fn chain(depth: u32, budget: u64) -> String {
    format!("depth={depth}; budget={budget}; root={}", root())
}

/// A process that sends itself a message for each that it gets.
async fn endless(node: &Node, id: &str) {
    node.create(id, &format!("function compute(state, msg) send{{ Target = '{id}' }} return 1 end")).await;
}

fn post(id: &str, message: &Value) -> TestRequest {
    TestRequest::post().uri(&format!("/processes/{id}/schedule")).set_payload(message.to_string())
}

async fn send(node: &Rc<Node>, id: &str, message: &Value, header: &str) -> Answer {
    node.send(post(id, message).insert_header((HEADER, header))).await
}

async fn scheduled(node: &Node, id: &str) -> u64 {
    node.get(&format!("/processes/{id}")).await.json(200)["scheduled_slot"].as_u64().unwrap()
}

/// Why the process could send itself no more.
async fn end(node: &Node, id: &str) -> String {
    let letter = until("the dead letter", async || {
        let (edges, _) = rows(&node.get("/dead-letters?limit=1000").await.json(200));
        edges.into_iter().map(|edge| edge["node"].clone()).find(|letter| letter["source"] == id)
    });
    letter.await["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_chain_goes_on_where_it_was_and_no_further_than_it_may_here() {
    lua(LIMITS, async |node| {
        for (number, (depth, budget, pushes, limit)) in [
            (0, 10, 5, "max_depth: 5 pushes"),
            (3, 10, 2, "max_depth: 5 pushes"),
            (3, u64::MAX, 2, "max_depth: 5 pushes"),
            (5, 10, 0, "max_depth: 5 pushes"),
            (0, 4, 4, "max_messages: the outcome sends 1 items and 0 were left of the 10"),
            (4, 0, 0, "max_messages: the outcome sends 1 items and 0 were left of the 10"),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("p{number}");
            endless(&node, &id).await;
            send(&node, &id, &json!({}), &chain(depth, budget)).await.json(202);
            let error = end(&node, &id).await;
            assert!(error.starts_with(&format!("limit push.{limit}")), "{depth} {budget}: {error}");
            assert!(error.contains(root().as_str()), "{error} names the message that began it");
            assert_eq!(scheduled(&node, &id).await, 1 + pushes, "{depth} {budget}");
        }
    });
}

#[test]
fn whoever_waits_for_the_outcome_may_bring_a_chain_too() {
    lua(LIMITS, async |node| {
        endless(&node, "p").await;
        let request = TestRequest::post().uri("/processes/p/schedule?wait=30s").set_payload("{}");
        let answer = node.send(request.insert_header((HEADER, chain(5, 1)))).await.json(200);
        assert_eq!((&answer["slot"], &answer["outcome"]["Output"]), (&json!(1), &json!(1)));
        assert!(end(&node, "p").await.starts_with("limit push.max_depth: 5 pushes"));
        assert_eq!(scheduled(&node, "p").await, 1);
    });
}

#[test]
fn a_chain_that_is_too_long_is_refused_for_good() {
    lua(LIMITS, async |node| {
        endless(&node, "p").await;
        for depth in [6, 7, u32::MAX] {
            let said = send(&node, "p", &json!({}), &chain(depth, 10)).await.refusal(508, "infinite_recursion");
            assert!(said.starts_with(&format!("limit push.max_depth: the message comes {depth} pushes")), "{said}");
        }
        assert_eq!(scheduled(&node, "p").await, 0);
    });
}

#[test]
fn what_is_no_chain_is_a_bad_request() {
    lua(LIMITS, async |node| {
        endless(&node, "p").await;
        let id = root();
        for bad in [
            "".to_owned(),
            "depth=1".to_owned(),
            "rubbish".to_owned(),
            format!("depth=-1; budget=1; root={id}"),
            format!("depth=1; budget=1.5; root={id}"),
            format!("depth=99999999999; budget=1; root={id}"),
            "depth=1; budget=1; root=short".to_owned(),
            format!("depth=1; budget=1; root={id}; root={id}"),
            format!("depth={}; budget=1; root={id}", "1".repeat(50_000)),
            format!("{0}, {0}", chain(1, 1)),
        ] {
            let said = send(&node, "p", &json!({}), &bad).await.refusal(400, "bad_request");
            assert!(said.starts_with("the header Mainstay-Push: "), "{bad:.60}: {said}");
            assert!(said.len() < 1000, "{said}");
        }
        let twice = post("p", &json!({})).append_header((HEADER, chain(1, 1))).append_header((HEADER, chain(1, 1)));
        assert!(node.send(twice).await.refusal(400, "bad_request").contains("more than once"));
        let bytes = HeaderValue::from_bytes(b"depth=1; budget=1; root=\xe4").unwrap();
        let odd = node.send(post("p", &json!({})).insert_header((HEADER, bytes))).await;
        assert!(odd.refusal(400, "bad_request").contains("not ASCII"));
        assert_eq!(scheduled(&node, "p").await, 0);
    });
}

#[test]
fn a_message_is_the_same_whatever_chain_it_comes_by() {
    lua(LIMITS, async |node| {
        node.create("p", "function compute(state, msg) end").await;
        let id = MessageId::derived(&[b"a message"]);
        let message = json!({ "Id": id, "Data": "x" });
        for header in [chain(3, 7), chain(0, 0), chain(5, 10)] {
            assert_eq!(send(&node, "p", &message, &header).await.json(202)["slot"], 1, "{header}");
        }
        assert_eq!(node.post("/processes/p/schedule", message.to_string()).await.json(202)["slot"], 1);
        let other = json!({ "Id": id, "Data": "y" });
        send(&node, "p", &other, &chain(3, 7)).await.refusal(409, "id_reused");
    });
}
