//! Deliveries to other nodes.

use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Act, Server, client, hasty_client};
use crate::client::node::{Node, Undelivered};
use crate::group::Chain;
use crate::ids::MessageId;
use crate::process::{PushChain, SentMessage, Tag};

const TAKEN: &str = r#"{"id":"x","process":"counter","slot":7}"#;

fn message() -> SentMessage {
    let tags = vec![Tag::new("Action", "Add"), Tag::new("Action", "ä\n")];
    SentMessage { target: "elsewhere".into(), tags, data: "5".into(), anchor: "mine".into() }
}

async fn deliver(url: &str, target: &str, chain: &str) -> Result<(), Undelivered> {
    let node = Node::new(client(), url).unwrap();
    let push = PushChain { depth: 3, budget: 120, root: MessageId::derived(&[b"root"]) };
    let push = (!chain.is_empty()).then_some(&push);
    node.schedule(target, &MessageId::derived(&[b"1"]), &message(), &Chain::parse(chain).unwrap(), push).await
}

#[tokio::test]
async fn a_message_arrives_as_the_api_has_it() {
    let server = Server::answering(202, &[], TAKEN).await;
    deliver(&server.url(""), "counter", "").await.unwrap();
    deliver(&server.url("/base/?k=1"), "counter", "a,b").await.unwrap();
    let [plain, full] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
    assert_eq!((plain.line(), plain.header("mainstay-chain")), ("POST /processes/counter/schedule", None));
    assert_eq!(plain.header("mainstay-push"), None);
    assert_eq!(full.line(), "POST /base/processes/counter/schedule?k=1");
    assert_eq!(full.header("mainstay-chain"), Some("a,b"));
    let push = format!("depth=3; budget=120; root={}", MessageId::derived(&[b"root"]));
    assert_eq!(full.header("mainstay-push"), Some(push.as_str()));
    for request in [plain, full] {
        let expected = json!({
            "Id": MessageId::derived(&[b"1"]).as_str(), "Target": "counter", "Anchor": "mine", "Data": "5",
            "Tags": [{ "name": "Action", "value": "Add" }, { "name": "Action", "value": "ä\n" }],
        });
        assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), expected);
    }
}

#[tokio::test]
async fn taken_is_taken_whatever_the_body_does() {
    let head = b"HTTP/1.1 202 x\r\nContent-Length: 9\r\n\r\n".to_vec();
    for rest in [vec![], vec![Act::Send(b"x".to_vec())], vec![Act::Hold], vec![Act::Drip], vec![Act::Flood]] {
        let server = Server::play([[vec![Act::Send(head.clone())], rest].concat()]).await;
        let node = Node::new(hasty_client(), &server.url("/")).unwrap();
        node.schedule("a", &MessageId::derived(&[]), &message(), &Chain::default(), None).await.unwrap();
    }
}

#[tokio::test]
async fn refusals_are_for_good_or_for_now() {
    let named = |name: &str| json!({ "error": { "code": name, "message": "no" } }).to_string();
    let later = |wait: Option<u64>| Some(wait.map(Duration::from_secs));
    for (status, headers, body, expected) in [
        (409, vec![], named("id_reused"), None),
        (409, vec![], String::new(), None),
        (409, vec![], named("halted"), later(None)),
        (400, vec![], named("bad_request"), None),
        (404, vec![], named("not_found"), None),
        (413, vec![], named("too_large"), None),
        (501, vec![], named("not_supported"), None),
        (508, vec![], named("infinite_recursion"), None),
        (308, vec!["Location: /x"], String::new(), None),
        (401, vec![], named("unauthorized"), later(None)),
        (403, vec![], named("unauthorized"), later(None)),
        (408, vec![], String::new(), later(None)),
        (429, vec!["Retry-After: 5"], String::new(), later(Some(5))),
        (429, vec!["Retry-After: 99999"], String::new(), later(Some(60))),
        (503, vec!["Retry-After: 1"], named("overloaded"), later(Some(1))),
        (503, vec!["Retry-After: soon"], named("unknown"), later(None)),
        (500, vec!["Retry-After: 5"], String::new(), later(None)),
        (504, vec![], String::new(), later(None)),
    ] {
        let server = Server::answering(status, &headers, &body).await;
        let error = deliver(&server.url("/"), "counter", "").await.unwrap_err();
        assert_eq!(error.is_permanent(), expected.is_none(), "{status} {body}");
        assert!(error.to_string().contains(&server.url("/processes/counter/schedule")), "{error}");
        let found = if let Undelivered::Later { wait, .. } = error { Some(wait) } else { None };
        assert_eq!(found, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn a_node_that_is_away_or_silent_may_take_it_later() {
    for part in [vec![], vec![Act::Hold], vec![Act::Send(b"garbage\r\n\r\n".to_vec())]] {
        let server = Server::play([part]).await;
        let node = Node::new(hasty_client(), &server.url("/")).unwrap();
        let sent = node.schedule("a", &MessageId::derived(&[]), &message(), &Chain::default(), None).await;
        assert!(matches!(sent, Err(Undelivered::Later { wait: None, .. })), "{sent:?}");
    }
    assert!(matches!(deliver("http://127.0.0.1:1", "a", "").await, Err(Undelivered::Later { .. })));
}

#[tokio::test]
async fn nothing_is_sent_to_what_can_be_no_process() {
    let server = Server::answering(202, &[], TAKEN).await;
    for target in ["", "..", "a/b", "a b", "ä"] {
        let error = deliver(&server.url("/"), target, "").await.unwrap_err();
        assert!(matches!(error, Undelivered::Target(_)) && error.is_permanent(), "{target:?}: {error:?}");
    }
    assert!(server.seen().is_empty());
}
