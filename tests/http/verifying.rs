//! Verifications: the past computed again and compared.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use mainstay::device::fake::{Act, Asked, DICE, Manner};
use mainstay::ids::{ProcessId, Slot};
use mainstay::process::{Cause, Commit, CommitResult, Computed, Durability, Json, Outcome, Record, Writer};
use serde_json::{Value, json};

use super::rig::{Node, PATIENCE, fake, lua, until};
use super::sockets;

/// So many verifications are under way at a time.
const MOST: usize = 4;

const PICKY: &str = r#"
function init(state) state.list = {} end
function compute(state, msg)
  table.insert(state.list, msg.Data)
  if msg.Data == "fail" then error("failed", 0) end
  if msg.Data == "loop" then while true do end end
  if msg.Data == "send" then send{ Target = "nobody", Data = "x" } end
  return { count = #state.list, last = msg.Data }
end
"#;

/// What a verification says, and what it says that it compared.
async fn verify(node: &Node, query: &str) -> (Value, String) {
    let answer = node.get(&format!("/processes/p/verify{query}")).await;
    let body = answer.json(200);
    (body, answer.headers.get("mainstay-compared").unwrap().to_str().unwrap().to_owned())
}

#[track_caller]
fn equal(compared: &str) -> (Value, String) {
    (json!({ "equal": true }), compared.to_owned())
}

async fn send(node: &Node, data: &str) {
    node.post("/processes/p/schedule?wait=30s", json!({ "Data": data }).to_string()).await.json(200);
}

/// A process with `count` messages, on fake devices.
async fn sent(node: &Node, count: usize) -> ProcessId {
    let process = node.create("p", "fake").await;
    for _ in 0..count {
        send(node, "x").await;
    }
    process
}

/// Verifications that hang at the gate, at slot 1.
async fn held(
    node: &std::rc::Rc<Node>,
    process: &ProcessId,
    count: usize,
) -> Vec<actix_rt::task::JoinHandle<super::rig::Answer>> {
    node.fakes.plan_repeats(process, 1, Act::Take);
    for _ in 0..count {
        node.fakes.hold(process, Manner::Obeying);
    }
    let started = (0..count).map(|_| node.start_get("/processes/p/verify")).collect();
    node.held(count).await;
    started
}

#[test]
fn what_lua_computed_is_equal_with_a_worker_and_without() {
    lua("[limits]\ngas = 100000", async |node| {
        node.create("p", PICKY).await;
        for data in ["a", "fail", "b", "loop", "send", "c"] {
            send(&node, data).await;
        }
        assert_eq!(verify(&node, "").await, equal("outcomes=7; taken=0; slots=0-6; state=worker"));
        for slot in 0..6 {
            let compared = format!("outcomes={}; taken=0; slots=0-{slot}; state=none", slot + 1);
            assert_eq!(verify(&node, &format!("?slot={slot}")).await, equal(&compared));
        }
        let before = node.get("/processes/p/results").await.text().to_owned();
        node.post("/processes/p/snapshot", "").await.json(200);
        assert_eq!(verify(&node, "?slot=6").await, equal("outcomes=7; taken=0; slots=0-6; state=snapshot,worker"));
        assert_eq!(node.delete("/processes/p/worker").await.status, 204);
        assert_eq!(verify(&node, "").await, equal("outcomes=7; taken=0; slots=0-6; state=snapshot"));
        assert_eq!(node.get("/processes/p").await.json(200)["status"], "idle", "it starts no worker");
        send(&node, "d").await;
        assert_eq!(verify(&node, "").await, equal("outcomes=1; taken=0; slots=7-7; state=worker"));
        let after = node.get("/processes/p/results?to=6").await.text().to_owned();
        assert_eq!(after, before, "nothing is written");
    });
}

#[test]
fn a_device_that_does_it_otherwise_is_caught_at_its_slot() {
    fake("", async |node| {
        let process = sent(&node, 5).await;
        node.fakes.plan_repeats(&process, 3, Act::Fail("not again"));
        let difference = r#"Error: stored null, recomputed "not again""#;
        for slot in ["", "?slot=3", "?slot=5"] {
            let expected = json!({ "equal": false, "slot": 3, "difference": difference });
            assert_eq!(verify(&node, slot).await.0, expected);
        }
        assert_eq!(verify(&node, "?slot=2").await.0, json!({ "equal": true }));
        // One that leaves no trace but in the state.
        node.fakes.plan_repeats(&process, 3, Act::Take);
        node.fakes.plan_repeats(&process, 5, Act::Look);
        let (body, _) = verify(&node, "").await;
        assert_eq!((&body["equal"], &body["slot"]), (&json!(false), &json!(5)));
        let difference = body["difference"].as_str().unwrap();
        assert!(difference.starts_with("state, against what the worker holds: byte 1 of "), "{difference}");
        assert!(difference.ends_with(r#"; state[4]: stored "x", recomputed nothing"#), "{difference}");
    });
}

#[test]
fn an_outcome_that_is_stored_and_was_never_computed_is_caught() {
    fake("", async |node| {
        let process = sent(&node, 2).await;
        assert_eq!(node.delete("/processes/p/worker").await.status, 204);
        let store = &node.hub.environment().store;
        let (sender, receiver) = mpsc::channel();
        store.claim(&process, move |claim| sender.send(claim.unwrap()).unwrap());
        let claim = receiver.recv_timeout(PATIENCE).unwrap();
        let mut entry = store.entry(&process, Slot(2)).unwrap().unwrap();
        entry.slot = Slot(3);
        entry.message.id = mainstay::ids::MessageId::derived(&[b"another"]);
        let outcome = Outcome { output: Json::from(&json!(4)), gas_used: 1, ..Outcome::empty() };
        let lie = Computed { slot: Slot(3), definition: Slot(0), cause: Cause::Success, outcome };
        let commit = Commit {
            process: process.clone(),
            writer: Writer::Worker(claim.epoch),
            scheduled: Some(Slot(2)),
            computed: Some(Slot(2)),
            records: vec![Record::Entry(entry), Record::Computed(lie)],
            durability: Durability::Sync,
        };
        let (sender, receiver) = mpsc::channel();
        store.commit(commit, move |result| sender.send(result).unwrap());
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), CommitResult::Committed);
        store.release(&process, claim.epoch);

        let expected = json!({ "equal": false, "slot": 3, "difference": "Output: stored 4, recomputed 3" });
        assert_eq!(verify(&node, "").await.0, expected);
        assert_eq!(verify(&node, "?slot=2").await.0, json!({ "equal": true }));
    });
}

#[test]
fn what_cannot_be_verified_is_refused() {
    fake("", async |node| {
        node.get("/processes/nobody/verify").await.refusal(404, "not_found");
        let process = sent(&node, 1).await;
        let said = node.get("/processes/p/verify?slot=2").await.refusal(404, "slot_out_of_range");
        assert_eq!(said, "slot 2 of process p is not computed; the latest that is is 1");
        // A slot that is scheduled is none yet.
        node.fakes.hold(&process, Manner::Obeying);
        node.post("/processes/p/schedule", "{}").await.json(202);
        node.held(1).await;
        node.get("/processes/p/verify?slot=2").await.refusal(404, "slot_out_of_range");
        assert_eq!(verify(&node, "").await.0, json!({ "equal": true }), "the latest computed one is verified");
        node.fakes.let_go();
        for bad in ["?slot=x", "?slot=-1", "?execute=yes", "?execute", "?force=true"] {
            node.get(&format!("/processes/p/verify{bad}")).await.refusal(400, "bad_request");
        }
        assert_eq!(node.post("/processes/p/verify", "{}").await.status, 405);
    });
}

#[test]
fn a_device_that_is_not_deterministic_is_called_again_only_where_that_is_wanted() {
    fake("", async |node| {
        let process = node.create("p", DICE).await;
        send(&node, "x").await;
        let said = node.get("/processes/p/verify").await.refusal(409, "conflict");
        assert!(said.contains("not deterministic") && said.contains("execute=true"), "{said}");
        node.get("/processes/p/verify?execute=false").await.refusal(409, "conflict");
        assert_eq!(node.fakes.slots(&process, Asked::Compute), [1]);
        let (body, _) = verify(&node, "?execute=true").await;
        assert_eq!(body, json!({ "equal": false, "slot": 1, "difference": "Output: stored 1, recomputed 2" }));
        assert_eq!(node.fakes.slots(&process, Asked::Compute), [1, 1]);
        assert_eq!(verify(&node, "?slot=0&execute=true").await.0, json!({ "equal": true }));
    });
}

#[test]
fn only_so_many_are_under_way_and_they_keep_nobody_waiting() {
    fake("", async |node| {
        let process = sent(&node, 2).await;
        // More than there are regular compute threads.
        let started = held(&node, &process, MOST).await;
        let said = node.get("/processes/p/verify").await.refusal(503, "overloaded");
        assert_eq!(said, "limit verifications: 4 verifications are under way already");
        send(&node, "y").await;
        node.post("/processes/p/dry-run", "{}").await.json(200);
        node.fakes.let_go();
        for one in started {
            assert_eq!(one.await.unwrap().json(200), json!({ "equal": true }));
        }
        assert_eq!(verify(&node, "").await.0, json!({ "equal": true }));
    });
}

#[test]
fn one_that_takes_too_long_ends_and_says_how_far_it_came() {
    fake("[http]\nrequest_timeout = \"1s\"\n[workers]\ncompute_turn = \"1ms\"", async |node| {
        let process = sent(&node, 60).await;
        for slot in 1..=60 {
            node.fakes.plan_repeats(&process, slot, Act::TakeAfter(Duration::from_millis(50)));
        }
        let said = node.get("/processes/p/verify").await.refusal(504, "deadline");
        let rest = said.strip_prefix("no answer within 900ms; the verification ended before slot ");
        let slot: u64 = rest.and_then(|rest| rest.split(',').next()).and_then(|slot| slot.parse().ok()).unwrap_or(0);
        assert!((1..60).contains(&slot), "{said}");
        let repeated = until("the last turn is over", async || {
            let repeated = node.fakes.slots(&process, Asked::Replay);
            (verify_free(&node).await == MOST).then_some(repeated)
        });
        assert!(repeated.await.len() < 60, "it went on, and nobody waited for it");
    });
}

/// How many verifications could begin.
async fn verify_free(node: &Node) -> usize {
    node.hub.environment().trials.verifications.free()
}

#[test]
fn nobody_verifies_for_a_client_that_hung_up() {
    fake("[http]\nrequest_timeout = \"10m\"", async |node| {
        let process = sent(&node, 2).await;
        node.fakes.plan_repeats(&process, 1, Act::Take);
        let address = sockets::start(&node);
        let mut streams = Vec::new();
        for _ in 0..MOST {
            node.fakes.hold(&process, Manner::Obeying);
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /processes/p/verify HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            streams.push(stream);
        }
        node.held(MOST).await;
        assert_eq!(verify_free(&node).await, 0);
        drop(streams);
        until("there is room again", async || (verify_free(&node).await == MOST).then_some(())).await;
        assert_eq!(verify(&node, "").await.0, json!({ "equal": true }));
    });
}

#[test]
fn the_end_of_the_node_ends_them() {
    fake("[http]\nrequest_timeout = \"10m\"", async |node| {
        let process = sent(&node, 1).await;
        let started = held(&node, &process, 1).await;
        node.hub.shutdown().await;
        for one in started {
            let said = one.await.unwrap().refusal(503, "overloaded");
            assert!(said.contains("the node is stopping"), "{said}");
        }
    });
}
