//! Who waits for whom: a request that came through a group is not let wait for it.

use std::rc::Rc;

use actix_rt::task::JoinHandle;
use actix_web::http::header::HeaderValue;
use actix_web::test::TestRequest;
use serde_json::json;

use super::rig::{Answer, Node, fake};
use mainstay::device::fake::Manner;
use mainstay::ids::ProcessId;

const HEADER: &str = "Mainstay-Chain";

fn through(request: TestRequest, chain: &str) -> TestRequest {
    request.append_header((HEADER, chain))
}

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

fn post(path: &str) -> TestRequest {
    TestRequest::post().uri(path)
}

fn start(node: &Rc<Node>, request: TestRequest) -> JoinHandle<Answer> {
    let node = node.clone();
    actix_rt::spawn(async move { node.send(request).await })
}

/// A process whose slot 1 is being computed.
async fn computing(node: &Rc<Node>, id: &str, calls: usize) -> ProcessId {
    let process = node.create(id, "fake").await;
    node.fakes.hold(&process, Manner::Obeying);
    node.post(&format!("/processes/{id}/schedule"), "{}").await.json(202);
    node.held(calls).await;
    process
}

#[test]
fn a_process_does_not_wait_for_its_own_slot() {
    fake("", async |node| {
        computing(&node, "p", 1).await;
        for chain in ["p", "a,p", "p,a", "a , p,b", "a,p,p"] {
            for path in ["compute?slot=1", "compute", "now", "state"] {
                let answer = node.send(through(get(&format!("/processes/p/{path}")), chain)).await;
                let said = answer.refusal(508, "infinite_recursion");
                assert!(said.contains("group p"), "{path} {chain}: {said}");
            }
            let held = through(post("/processes/p/base"), chain).set_payload(r#"{"slot":1}"#);
            node.send(held).await.refusal(508, "infinite_recursion");
            let answer = node.send(through(get("/processes/p/compute?slot=0"), chain)).await;
            assert_eq!(answer.json(200)["slot"], 0, "{chain}");
        }
        node.fakes.let_go();
        node.get("/processes/p/now").await.json(200);
        for path in ["compute?slot=1", "compute", "now", "state"] {
            node.send(through(get(&format!("/processes/p/{path}")), "p")).await.json(200);
        }
    });
}

#[test]
fn a_message_that_would_wait_for_itself_is_not_scheduled() {
    fake("", async |node| {
        computing(&node, "p", 1).await;
        let request = through(post("/processes/p/schedule?wait=30s"), "p").set_payload("{}");
        node.send(request).await.refusal(508, "infinite_recursion");
        assert_eq!(node.get("/processes/p").await.json(200)["scheduled_slot"], 1);
        // Without a wait nobody waits for himself.
        let request = through(post("/processes/p/schedule"), "p").set_payload("{}");
        assert_eq!(node.send(request).await.json(202)["slot"], 2);
        node.fakes.let_go();
        // The message has no slot yet, so that whoever waits for it waits for the process, however idle it is.
        node.get("/processes/p/now").await.json(200);
        let request = through(post("/processes/p/schedule?wait=30s"), "p").set_payload("{}");
        node.send(request).await.refusal(508, "infinite_recursion");
        assert_eq!(node.get("/processes/p").await.json(200)["scheduled_slot"], 2);
    });
}

#[test]
fn a_process_may_try_a_message_on_its_latest_state_and_have_it_as_a_base() {
    fake("", async |node| {
        computing(&node, "p", 1).await;
        let tried = node.send(through(post("/processes/p/dry-run"), "p")).await.json(200);
        assert_eq!((&tried["slot"], &tried["outcome"]["Output"]), (&json!(0), &json!(1)));
        let held = node.send(through(post("/processes/p/base"), "p")).await.json(201);
        let path = format!("/groups/{}/resolve", held["group"].as_str().unwrap());
        assert_eq!(node.send(through(post(&path), "p")).await.json(200)["outcome"]["Output"], 1);
        node.fakes.let_go();
    });
}

#[test]
fn a_base_does_not_wait_for_itself() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let group = node.hold_base("p", r#"{"static":true}"#).await;
        let path = format!("/groups/{group}/resolve");
        let said = node.send(through(post(&path), &group)).await.refusal(508, "infinite_recursion");
        assert!(said.contains(&group), "{said}");
        // It leads the dry-runs on the same state.
        node.send(through(post("/processes/p/dry-run"), &group)).await.refusal(508, "infinite_recursion");
        node.send(through(post(&path), "p")).await.json(200);
    });
}

#[test]
fn a_circle_over_two_processes_is_refused_where_it_closes() {
    fake("", async |node| {
        computing(&node, "p", 1).await;
        computing(&node, "q", 2).await;
        computing(&node, "r", 3).await;
        let first = start(&node, through(get("/processes/q/now"), "p"));
        node.group_where("p waits for q", |status| status["group"] == "q" && status["waiters"] == 1).await;
        let second = start(&node, through(get("/processes/r/now"), "q"));
        node.group_where("q waits for r", |status| status["group"] == "r" && status["waiters"] == 1).await;
        for (path, chain) in [("p", "r"), ("q", "r"), ("p", "q"), ("p", "a,r")] {
            let request = through(get(&format!("/processes/{path}/now")), chain);
            node.send(request).await.refusal(508, "infinite_recursion");
        }
        // A stranger and a second way to the same may wait.
        let others =
            [start(&node, through(get("/processes/p/now"), "x")), start(&node, through(get("/processes/r/now"), "p"))];
        node.group_where("both wait", |status| status["group"] == "r" && status["waiters"] == 2).await;
        node.group_where("both wait", |status| status["group"] == "p" && status["waiters"] == 1).await;
        node.fakes.let_go();
        for one in others.into_iter().chain([first, second]) {
            one.await.unwrap().json(200);
        }
        // Who waits no more is in nobody's way.
        let p = ProcessId::parse("p").unwrap();
        node.fakes.hold(&p, Manner::Obeying);
        node.post("/processes/p/schedule", "{}").await.json(202);
        node.held(1).await;
        let again = start(&node, through(get("/processes/p/now"), "r"));
        node.group_where("r waits for p", |status| status["group"] == "p" && status["waiters"] == 1).await;
        node.fakes.let_go();
        assert_eq!(again.await.unwrap().json(200)["slot"], 2);
    });
}

#[test]
fn who_gave_up_waiting_is_in_nobodys_way() {
    fake("[http]\nrequest_timeout = \"1s\"", async |node| {
        computing(&node, "p", 1).await;
        computing(&node, "q", 2).await;
        node.send(through(get("/processes/q/now"), "p")).await.refusal(504, "deadline");
        node.send(through(get("/processes/p/now"), "q")).await.refusal(504, "deadline");
        node.fakes.let_go();
    });
}

#[test]
fn the_header_may_come_several_times() {
    fake("", async |node| {
        computing(&node, "p", 1).await;
        for lines in [["a", "p"], ["p", "a"], ["a, b", "c,p"], ["", "p"], ["p", " "]] {
            let request = lines.iter().fold(get("/processes/p/now"), |request, line| through(request, line));
            node.send(request).await.refusal(508, "infinite_recursion");
        }
        node.fakes.let_go();
        for lines in [["a", "b"], ["", ""]] {
            let request = lines.iter().fold(get("/processes/p/now"), |request, line| through(request, line));
            node.send(request).await.json(200);
        }
    });
}

#[test]
fn what_is_no_chain_is_refused() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let group = node.hold_base("p", r#"{"static":true}"#).await;
        let resolve = format!("/groups/{group}/resolve");
        let (longest, too_long) = (vec!["a"; 64].join(","), vec!["a"; 65].join(","));
        let long_name = "x".repeat(65);
        for chain in ["a b", "a,,b", ",", "a,", "a;b", "p~x", "a/b", &long_name, &too_long] {
            for request in [
                get("/processes/p/compute?slot=0"),
                get("/processes/p/now"),
                get("/processes/p/state"),
                post("/processes/p/schedule"),
                post("/processes/p/schedule?wait=1s"),
                post("/processes/p/dry-run"),
                post("/processes/p/base"),
                post(&resolve),
            ] {
                let said = node.send(through(request, chain)).await.refusal(400, "bad_request");
                assert!(said.contains(HEADER), "{chain}: {said}");
            }
        }
        node.send(through(get("/processes/p/now"), &longest)).await.json(200);
        node.send(through(through(get("/processes/p/now"), &longest), "b")).await.refusal(400, "bad_request");
        let bytes = HeaderValue::from_bytes(b"\xc3\xa4").unwrap();
        node.send(get("/processes/p/now").insert_header((HEADER, bytes))).await.refusal(400, "bad_request");
        assert_eq!(node.get("/processes/p").await.json(200)["scheduled_slot"], 0);
    });
}

#[test]
fn with_allow_infinite_everybody_may_wait_for_everybody() {
    fake("[workers]\nallow_infinite = true", async |node| {
        computing(&node, "p", 1).await;
        let asked = [
            start(&node, through(get("/processes/p/now"), "p")),
            start(&node, through(get("/processes/p/compute?slot=1"), "a,p")),
        ];
        node.group_where("both wait", |status| status["group"] == "p" && status["waiters"] == 2).await;
        node.fakes.let_go();
        for one in asked {
            assert_eq!(one.await.unwrap().json(200)["slot"], 1);
        }
        let request = through(post("/processes/p/schedule?wait=30s"), "p").set_payload("{}");
        assert_eq!(node.send(request).await.json(200)["slot"], 2);
        let group = node.hold_base("p", r#"{"static":true}"#).await;
        node.send(through(post(&format!("/groups/{group}/resolve")), &group)).await.json(200);
        node.send(through(post("/processes/p/dry-run"), &group)).await.json(200);
        // What is no chain is refused all the same.
        node.send(through(get("/processes/p/now"), "a b")).await.refusal(400, "bad_request");
    });
}
