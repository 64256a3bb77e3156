//! Equal requests: which of them share one execution, counted in calls of the device.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;

use super::rig::{Answer, Node, fake};
use mainstay::device::fake::{Asked, Manner};
use mainstay::group::{Asked as AskedOf, BaseName, Group, Grouper};
use mainstay::ids::{GroupName, ProcessId};

/// So many equal requests come at once.
const REQUESTS: usize = 6;

/// Names everything that is asked of a process by one hash of the message's data: the order of what is asked decides.
#[derive(Debug)]
struct ByData;

impl Group for ByData {
    fn group(&self, base: &BaseName, asked: Option<&AskedOf<'_>>) -> GroupName {
        match asked {
            Some(AskedOf::DryRun(draft)) => GroupName::hashed(&base.process, &[draft.data.len().to_le_bytes()[0]; 32]),
            asked => Grouper::Default.group(base, asked, true),
        }
    }
}

/// Starts dry-runs while the first is held, and lets them go once all are under way. Returns the answers and the calls.
async fn dry_runs(
    node: &Rc<Node>,
    process: &ProcessId,
    bodies: &[String],
    is_under_way: impl Fn(u64) -> bool,
) -> (Vec<Answer>, usize) {
    let before = node.fakes.slots(process, Asked::DryRun).len();
    node.fakes.hold(process, Manner::Obeying);
    let path = format!("/processes/{process}/dry-run");
    let asked: Vec<_> = bodies.iter().map(|body| node.start_post(&path, body)).collect();
    node.held(1).await;
    let waits = |status: &serde_json::Value| status["waiters"].as_u64().is_some_and(&is_under_way);
    node.group_where("all are under way", |status| status["group"] != *process.as_str() && waits(status)).await;
    node.fakes.let_go();
    let mut answers = Vec::new();
    for one in asked {
        answers.push(one.await.unwrap());
    }
    (answers, node.fakes.slots(process, Asked::DryRun).len() - before)
}

fn equal() -> Vec<String> {
    vec![r#"{"Data":"x","Tags":{"A":"1","B":"2"}}"#.to_owned(); REQUESTS]
}

/// All of them are answered alike.
#[track_caller]
fn alike(answers: &[Answer]) {
    for answer in answers {
        assert_eq!(
            answer.json(200),
            json!({
                "process": "p", "slot": 0,
                "outcome": { "Output": 1, "Messages": [], "Spawns": [], "Assignments": [], "Error": null, "GasUsed": 1 },
            })
        );
    }
}

#[test]
fn equal_dry_runs_are_executed_once_where_all_are_awaited() {
    for config in ["", "await_inprogress = \"all\"", "spawn_worker = false"] {
        fake(&format!("[workers]\n{config}"), async |node| {
            let process = node.create("p", "fake").await;
            for _ in 0..2 {
                let joined = |waiters: u64| waiters == REQUESTS as u64 - 1;
                let (answers, calls) = dry_runs(&node, &process, &equal(), joined).await;
                alike(&answers);
                assert_eq!(calls, 1, "{config}");
            }
        });
    }
}

#[test]
fn each_dry_run_is_executed_where_none_is_awaited() {
    for which in ["\"named\"", "false"] {
        fake(&format!("[workers]\nawait_inprogress = {which}"), async |node| {
            let process = node.create("p", "fake").await;
            node.hold_base("p", r#"{"static":true}"#).await;
            let queued = |waiters: u64| waiters == REQUESTS as u64;
            let (answers, calls) = dry_runs(&node, &process, &equal(), queued).await;
            alike(&answers);
            assert_eq!(calls, REQUESTS, "{which}");
        });
    }
}

#[test]
fn without_workers_for_bases_each_dry_run_runs_beside_the_others() {
    fake("[workers]\nawait_inprogress = false\nspawn_worker = false", async |node| {
        let process = node.create("p", "fake").await;
        for _ in 0..REQUESTS {
            node.fakes.hold(&process, Manner::Obeying);
        }
        let asked: Vec<_> = equal().iter().map(|body| node.start_post("/processes/p/dry-run", body)).collect();
        node.held(REQUESTS).await;
        node.fakes.let_go();
        for one in asked {
            alike(&[one.await.unwrap()]);
        }
        assert_eq!(node.fakes.slots(&process, Asked::DryRun).len(), REQUESTS);
    });
}

#[test]
fn a_device_with_a_grouper_of_its_own_decides_who_meets() {
    for (which, joins) in [("\"all\"", true), ("\"named\"", true), ("false", false)] {
        fake(&format!("[workers]\nawait_inprogress = {which}"), async |node| {
            node.fakes.set_grouper(Grouper::Own(Arc::new(ByData)));
            let process = node.create("p", "fake").await;
            node.hold_base("p", r#"{"static":true}"#).await;
            let (waiters, expected) = if joins { (REQUESTS - 1, 1) } else { (REQUESTS, REQUESTS) };
            let (answers, calls) = dry_runs(&node, &process, &equal(), |found: u64| found == waiters as u64).await;
            alike(&answers);
            assert_eq!(calls, expected, "{which}");
        });
    }
}

#[test]
fn those_who_meet_under_one_name_but_want_something_else_have_an_execution_of_their_own() {
    fake("[workers]\nawait_inprogress = \"named\"", async |node| {
        node.fakes.set_grouper(Grouper::Own(Arc::new(ByData)));
        let process = node.create("p", "fake").await;
        let bodies: Vec<String> =
            ["a", "b", "a", "b", "b"].iter().map(|data| json!({ "Data": data }).to_string()).collect();
        let (answers, calls) = dry_runs(&node, &process, &bodies, |waiters| waiters == 4).await;
        alike(&answers);
        assert_eq!(calls, 2, "one for each wish");
    });
}

#[test]
fn requests_that_differ_do_not_meet() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        node.hold_base("p", r#"{"static":true}"#).await;
        let bodies: Vec<String> = [
            json!({}),
            json!({ "Data": "x" }),
            json!({ "Anchor": "x" }),
            json!({ "Tags": { "A": "1" } }),
            json!({ "Tags": [{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }] }),
            json!({ "Tags": [{ "name": "A", "value": "2" }, { "name": "A", "value": "1" }] }),
            json!({ "Id": "i".repeat(43) }),
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        let (answers, calls) = dry_runs(&node, &process, &bodies, |waiters| waiters == 7).await;
        alike(&answers);
        assert_eq!(calls, bodies.len());
    });
}

#[test]
fn what_says_the_same_in_other_words_meets() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        let bodies: Vec<String> = [
            r#"{"Data":"x","Tags":{"A":"1","B":"2"}}"#,
            r#"{ "Tags": {"B":"2","A":"1"}, "Data": "x" }"#,
            r#"{"Tags":[{"name":"B","value":"2"},{"name":"A","value":"1"}],"Data":"\u0078","Target":"p"}"#,
            r#"{"Tags":{"A":"1","B":"2"},"Data":"x","Id":null,"Anchor":""}"#,
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        let (answers, calls) = dry_runs(&node, &process, &bodies, |waiters| waiters == 3).await;
        alike(&answers);
        assert_eq!(calls, 1);
    });
}

#[test]
fn a_dry_run_after_another_is_executed_anew() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        for calls in 1..=3 {
            alike(&[node.post("/processes/p/dry-run", equal()[0].clone()).await]);
            assert_eq!(node.fakes.slots(&process, Asked::DryRun).len(), calls);
        }
        // The next state has other executions.
        node.post("/processes/p/schedule?wait=30s", "{}").await.json(200);
        let body = node.post("/processes/p/dry-run", equal()[0].clone()).await.json(200);
        assert_eq!((&body["slot"], &body["outcome"]["Output"]), (&json!(1), &json!(2)));
    });
}

#[test]
fn one_worker_advances_a_log_whatever_is_awaited() {
    for which in ["\"all\"", "\"named\"", "false"] {
        for keeps in [true, false] {
            let config = format!("[workers]\nawait_inprogress = {which}\nprocess_workers = {keeps}");
            fake(&config, async |node| {
                let process = node.create("p", "fake").await;
                node.fakes.hold(&process, Manner::Obeying);
                for _ in 0..3 {
                    node.post("/processes/p/schedule", "{}").await.json(202);
                }
                node.held(1).await;
                let asked: Vec<_> = (0..REQUESTS).map(|_| node.start_get("/processes/p/compute?slot=3")).collect();
                node.group_where("somebody waits", |status| status["waiters"].as_u64() > Some(0)).await;
                node.fakes.let_go();
                for one in asked {
                    assert_eq!(one.await.unwrap().json(200)["outcome"]["Output"], 3);
                }
                assert_eq!(node.fakes.slots(&process, Asked::Compute), [1, 2, 3], "{config}");
            });
        }
    }
}

#[test]
fn requests_on_a_base_are_resolved_one_by_one_even_if_they_are_equal() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        let group = node.hold_base("p", r#"{"static":true}"#).await;
        node.fakes.hold(&process, Manner::Obeying);
        let path = format!("/groups/{group}/resolve");
        let asked: Vec<_> = (0..REQUESTS).map(|_| node.start_post(&path, "{}")).collect();
        node.group_where("all are there", |status| status["waiters"] == REQUESTS).await;
        node.fakes.let_go();
        for one in asked {
            assert_eq!(one.await.unwrap().json(200)["outcome"]["Output"], 1);
        }
        assert_eq!(node.fakes.slots(&process, Asked::DryRun), [1; REQUESTS]);
    });
}
