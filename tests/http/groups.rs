//! What is said of groups while they are led: the list, the monitor.

use serde_json::{Value, json};

use super::rig::{COUNTER, Node, fake, lua};
use mainstay::device::fake::Manner;

const STATIC: &str = r#"{"static":true}"#;

fn status(group: &str, leader: &str, queue: u64, waiters: u64) -> Value {
    json!({ "group": group, "leader": leader, "queue": queue, "waiters": waiters })
}

#[test]
fn a_node_at_rest_leads_nothing() {
    lua("", async |node| {
        assert_eq!(node.get("/groups").await.json(200), json!({ "groups": [] }));
        node.create("counter", COUNTER).await;
        assert_eq!(node.groups().await, [status("counter", "process_worker", 0, 0)]);
        node.delete("/processes/counter/worker").await;
        assert_eq!(node.get("/groups").await.json(200), json!({ "groups": [] }));
    });
}

#[test]
fn groups_come_in_order_of_their_names_and_by_kind() {
    lua("", async |node| {
        for id in ["c", "a", "b"] {
            node.create(id, COUNTER).await;
        }
        let base = node.hold_base("b", STATIC).await;
        let worker = |id: &str| status(id, "process_worker", 0, 0);
        let expected = [worker("a"), worker("b"), status(&base, "base_worker", 0, 0), worker("c")];
        assert_eq!(node.groups().await, expected);
    });
}

#[test]
fn who_waits_is_counted_while_something_runs() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        node.fakes.hold(&process, Manner::Obeying);
        for _ in 0..3 {
            node.post("/processes/p/schedule", "{}").await.json(202);
        }
        node.held(1).await;
        let asked: Vec<_> = (0..4).map(|_| node.start_get("/processes/p/compute?slot=1")).collect();
        node.group_where("four wait for the slot", |group| *group == status("p", "process_worker", 3, 4)).await;
        node.fakes.let_go();
        for one in asked {
            one.await.unwrap().json(200);
        }
        node.group_where("nothing is left", |group| *group == status("p", "process_worker", 0, 0)).await;
    });
}

#[test]
fn a_base_that_works_says_who_has_his_turn_and_who_waits() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        let base = node.hold_base("p", STATIC).await;
        node.fakes.hold(&process, Manner::Obeying);
        let path = format!("/groups/{base}/resolve");
        let asked: Vec<_> = (0..3).map(|_| node.start_post(&path, "{}")).collect();
        node.group_where("one has its turn", |group| *group == status(&base, "base_worker", 2, 3)).await;
        node.fakes.let_go();
        for one in asked {
            one.await.unwrap().json(200);
        }
        node.group_where("all are served", |group| *group == status(&base, "base_worker", 0, 0)).await;
    });
}

#[test]
fn an_execution_is_led_as_long_as_it_runs() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        let before = node.groups().await;
        node.fakes.hold(&process, Manner::Obeying);
        let asked: Vec<_> = (0..3).map(|_| node.start_post("/processes/p/dry-run", "{}")).collect();
        let led = node
            .group_where("two await the third", |group| group["leader"] == "execution" && group["waiters"] == 2)
            .await;
        let name = led["group"].as_str().unwrap();
        assert_eq!(name.strip_prefix("p~").map(str::len), Some(43), "{name}");
        node.fakes.let_go();
        for one in asked {
            one.await.unwrap().json(200);
        }
        node.gone(name).await;
        // What stays is the base that it ran on.
        let after = node.group_where("a base stays", |group| group["leader"] == "base_worker").await;
        assert_eq!(node.groups().await, [before, vec![after]].concat());
    });
}

#[test]
fn without_a_worker_for_bases_a_dry_run_leaves_nothing_behind() {
    fake("[workers]\nspawn_worker = false", async |node| {
        let process = node.create("p", "fake").await;
        for _ in 0..2 {
            assert_eq!(node.post("/processes/p/dry-run", "{}").await.json(200)["outcome"]["Output"], 1);
        }
        node.group_where("only the process is led", |group| group["group"] == *process.as_str()).await;
        assert!(node.groups().await.iter().all(|status| status["leader"] != "base_worker"));
        // A base that is asked for is held all the same.
        let base = node.hold_base("p", STATIC).await;
        assert_eq!(node.resolve(&base, "{}").await.json(200)["group"], *base);
        assert!(node.groups().await.contains(&status(&base, "base_worker", 0, 0)));
    });
}

/// The groups that the monitor answers with when it is put on.
async fn put_on(node: &Node, body: &str) -> Vec<Value> {
    let body = node.post("/group-monitor", body.to_owned()).await.json(200);
    assert_eq!(body.as_object().unwrap().len(), 1);
    body["groups"].as_array().unwrap().clone()
}

#[test]
fn a_monitor_is_put_on_for_all_or_for_one() {
    lua("", async |node| {
        node.create("a", COUNTER).await;
        node.create("b", COUNTER).await;
        let base = node.hold_base("b", STATIC).await;
        for body in ["", "{}", r#"{"group":null}"#] {
            assert_eq!(put_on(&node, body).await, node.groups().await, "{body}");
        }
        for (group, leader) in [("a", "process_worker"), (base.as_str(), "base_worker")] {
            let body = json!({ "group": group }).to_string();
            assert_eq!(put_on(&node, &body).await, [status(group, leader, 0, 0)]);
        }
        // What nobody leads yet may be led later.
        assert_eq!(put_on(&node, r#"{"group":"later"}"#).await, [Value::Null; 0]);
    });
}

#[test]
fn a_monitor_is_named_behind_the_question_mark_as_well() {
    lua("", async |node| {
        node.create("a", COUNTER).await;
        node.create("b", COUNTER).await;
        let asked = node.post("/group-monitor?group=a", "").await.json(200);
        assert_eq!(asked, json!({ "groups": [status("a", "process_worker", 0, 0)] }));
        node.delete("/group-monitor").await.refusal(404, "not_found");
        assert_eq!(node.delete("/group-monitor?group=a").await.status, 204);
        for method in ["POST", "DELETE"] {
            let said = both(&node, method).await.refusal(400, "bad_request");
            assert!(said.contains("names a, but the body b"), "{said}");
        }
    });
}

async fn both(node: &Node, method: &str) -> super::rig::Answer {
    let verb = actix_web::http::Method::from_bytes(method.as_bytes()).unwrap();
    let request = actix_web::test::TestRequest::default().method(verb).uri("/group-monitor?group=a");
    node.send(request.set_payload(r#"{"group":"b"}"#)).await
}

#[test]
fn a_monitor_is_put_off_once() {
    lua("", async |node| {
        let delete = |body: &str| {
            let request = actix_web::test::TestRequest::delete().uri("/group-monitor");
            node.send(request.set_payload(body.to_owned()))
        };
        put_on(&node, "").await;
        put_on(&node, r#"{"group":"a"}"#).await;
        put_on(&node, r#"{"group":"b"}"#).await;
        assert_eq!(delete(r#"{"group":"a"}"#).await.status, 204);
        let said = delete(r#"{"group":"a"}"#).await.refusal(404, "not_found");
        assert!(said.contains("for a"), "{said}");
        let put_off = node.delete("/group-monitor?group=b").await;
        assert_eq!((put_off.status, put_off.text()), (204, ""));
        node.delete("/group-monitor?group=b").await.refusal(404, "not_found");
        assert_eq!(node.delete("/group-monitor").await.status, 204);
        for body in ["", "{}"] {
            let said = delete(body).await.refusal(404, "not_found");
            assert!(said.contains("for all"), "{said}");
        }
    });
}

#[test]
fn what_is_no_group_cannot_be_watched() {
    lua("[workers]\ngroup_monitor = true", async |node| {
        for body in [" ", "[]", r#"["a"]"#, "null", "{", r#"{"group":1}"#, r#"{"Group":"a"}"#, r#"{"group":"a b"}"#] {
            node.post("/group-monitor", body).await.refusal(400, "bad_request");
            let request = actix_web::test::TestRequest::delete().uri("/group-monitor");
            node.send(request.set_payload(body)).await.refusal(400, "bad_request");
        }
        for query in ["group=", "group=a%20b", "group=a~b", "grp=a", "group=a&group=b"] {
            node.post(&format!("/group-monitor?{query}"), "").await.refusal(400, "bad_request");
            node.delete(&format!("/group-monitor?{query}")).await.refusal(400, "bad_request");
        }
        // The configuration put it on, and none of these put it off.
        assert_eq!(node.delete("/group-monitor").await.status, 204);
    });
}

#[test]
fn only_so_many_groups_are_watched_by_name() {
    lua("", async |node| {
        for number in 0..100 {
            put_on(&node, &json!({ "group": format!("g{number}") }).to_string()).await;
        }
        let refused = node.post("/group-monitor", r#"{"group":"one-more"}"#).await;
        refused.refusal(503, "overloaded");
        put_on(&node, r#"{"group":"g7"}"#).await;
        put_on(&node, "").await;
        node.post("/group-monitor", r#"{"group":"one-more"}"#).await.refusal(503, "overloaded");
        assert_eq!(node.delete("/group-monitor?group=g7").await.status, 204);
        put_on(&node, r#"{"group":"one-more"}"#).await;
    });
}
