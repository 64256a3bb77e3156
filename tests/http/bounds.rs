//! Limits, deadlines and a failing store, as they are told over HTTP.

use serde_json::json;

use super::rig::fake;
use mainstay::device::fake::{Act, Manner};
use mainstay::ids::Slot;
use mainstay::store::faulty::Fault;

#[test]
fn a_full_queue_refuses_and_says_when_to_come_again() {
    fake("[limits]\nqueue = 3", async |node| {
        let process = node.create("p", "fake").await;
        node.fakes.hold(&process, Manner::Obeying);
        for _ in 0..3 {
            node.post("/processes/p/schedule", "{}").await.json(202);
        }
        for call in ["schedule", "schedule?wait=30s"] {
            let answer = node.post(&format!("/processes/p/{call}"), "{}").await;
            assert!(answer.refusal(503, "overloaded").contains("limit queue"));
            assert_eq!(answer.headers.get("retry-after").unwrap(), "1");
        }
        node.fakes.let_go();
        node.get("/processes/p/now").await.json(200);
        assert_eq!(node.post("/processes/p/schedule?wait=30s", "{}").await.json(200)["slot"], 4);
    });
}

#[test]
fn only_so_many_requests_wait() {
    fake("[http]\nmax_waiting = 2", async |node| {
        let process = node.create("p", "fake").await;
        node.fakes.hold(&process, Manner::Obeying);
        node.post("/processes/p/schedule", "{}").await.json(202);
        node.held(1).await;
        let waiting = [node.start_get("/processes/p/now"), node.start_get("/processes/p/compute?slot=1")];
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let refused = node.post("/processes/p/schedule", "{}").await;
        let said = refused.refusal(503, "overloaded");
        assert_eq!(said, "limit max_waiting: 2 requests wait already");
        assert_eq!(refused.headers.get("retry-after").unwrap(), "1");
        node.get("/livez").await.json(200);
        node.fakes.let_go();
        for one in waiting {
            one.await.unwrap().json(200);
        }
        node.get("/processes/p/now").await.json(200);
    });
}

#[test]
fn a_request_ends_at_its_deadline_and_the_work_goes_on() {
    fake("[http]\nrequest_timeout = \"200ms\"", async |node| {
        let process = node.create("p", "fake").await;
        node.fakes.hold(&process, Manner::Obeying);
        node.post("/processes/p/schedule", "{}").await.json(202);
        for path in ["now", "compute?slot=1", "compute", "state"] {
            let said = node.get(&format!("/processes/p/{path}")).await.refusal(504, "deadline");
            assert!(said.contains("200ms"), "{said}");
        }
        node.post("/processes/p/dry-run", "{}").await.refusal(504, "deadline");
        node.post("/processes/p/snapshot", "").await.refusal(504, "deadline");
        node.fakes.let_go();
        while node.get("/processes/p").await.json(200)["computed_slot"] != 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(node.get("/processes/p/now").await.json(200)["outcome"]["Output"], 1);
    });
}

#[test]
fn when_the_wait_is_over_the_slot_is_told_without_an_outcome() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        node.fakes.hold(&process, Manner::Obeying);
        let answer = node.post("/processes/p/schedule?wait=20ms", "{}").await;
        let body = answer.json(202);
        assert_eq!(body, json!({ "id": body["id"], "process": "p", "slot": 1 }));
        node.fakes.let_go();
        let again = json!({ "Id": body["id"] }).to_string();
        let waited = node.post("/processes/p/schedule?wait=30s", again).await.json(200);
        assert_eq!((&waited["slot"], &waited["outcome"]["Output"]), (&json!(1), &json!(1)));
    });
}

#[test]
fn a_wait_is_no_longer_than_a_request_may_take() {
    fake("[http]\nrequest_timeout = \"200ms\"", async |node| {
        let process = node.create("p", "fake").await;
        node.fakes.hold(&process, Manner::Obeying);
        assert_eq!(node.post("/processes/p/schedule?wait=1h", "{}").await.json(202)["slot"], 1);
    });
}

#[test]
fn a_slot_beyond_the_log_is_refused_and_the_latest_is_named() {
    fake("", async |node| {
        node.create("p", "fake").await;
        node.post("/processes/p/schedule", "{}").await.json(202);
        for slot in ["2", "3", "18446744073709551615"] {
            let said = node.get(&format!("/processes/p/compute?slot={slot}")).await.refusal(404, "slot_out_of_range");
            assert_eq!(said, format!("slot {slot} of process p is not scheduled; the latest is 1"));
        }
        for slot in ["-1", "18446744073709551616", "x", "1.0", "", "1%00"] {
            node.get(&format!("/processes/p/compute?slot={slot}")).await.refusal(400, "bad_request");
        }
    });
}

#[test]
fn a_message_that_is_too_large_is_refused_by_the_name_of_its_limit() {
    fake("[limits]\nmessage_size = \"1KiB\"", async |node| {
        node.create("p", "fake").await;
        let fits = json!({ "Data": "x".repeat(1024) }).to_string();
        let does_not = json!({ "Data": "x".repeat(1025) }).to_string();
        node.post("/processes/p/schedule", fits).await.json(202);
        let said = node.post("/processes/p/schedule", does_not).await.refusal(413, "too_large");
        assert_eq!(said, "limit message_size: 1025 bytes, at most 1024 are allowed");
        let tags = json!({ "Tags": { "K": "x".repeat(1024) } }).to_string();
        node.post("/processes/p/schedule", tags).await.refusal(413, "too_large");
        let anchor = json!({ "Anchor": "x".repeat(1025) }).to_string();
        node.post("/processes/p/schedule", anchor).await.refusal(413, "too_large");
    });
}

#[test]
fn a_body_that_is_too_large_is_refused_by_the_name_of_its_limit() {
    fake("[http]\nmax_body = \"1KiB\"", async |node| {
        node.create("p", "fake").await;
        for path in ["/processes", "/processes/p/schedule", "/processes/p/dry-run"] {
            let said = node.post(path, vec![b' '; 1025]).await.refusal(413, "too_large");
            assert_eq!(said, "limit max_body: 1025 bytes, at most 1024 are allowed");
        }
        let mut fits = b"{}".to_vec();
        fits.resize(1024, b' ');
        node.post("/processes/p/schedule", fits).await.json(202);
    });
}

#[test]
fn a_write_that_failed_is_unknown_and_what_follows_is_refused_by_the_store() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let body = json!({ "Id": "a".repeat(43) }).to_string();
        node.faults.break_disk("no space");
        let answer = node.post("/processes/p/schedule", body.clone()).await;
        assert!(answer.refusal(503, "unknown").contains("ask again with the same Id"));
        let answer = node.post("/processes/p/schedule?wait=30s", body.clone()).await;
        assert!(answer.refusal(503, "store").contains("no space"));
        assert_eq!(answer.headers.get("retry-after").unwrap(), "1");
        let checks = node.get("/readyz").await.json(503)["checks"]["store"].as_str().unwrap().to_owned();
        assert!(checks.contains("no space"), "{checks}");
        // Reads go on.
        assert_eq!(node.get("/processes/p/schedule").await.json(200)["edges"].as_array().unwrap().len(), 1);
        assert_eq!(node.get("/processes/p/compute?slot=0").await.json(200)["slot"], 0);
        node.faults.heal();
        let store = node.hub.environment().store.clone();
        let wait = move || store.wait_until_healthy(super::rig::PATIENCE);
        assert!(tokio::task::spawn_blocking(wait).await.unwrap());
        assert_eq!(node.post("/processes/p/schedule?wait=30s", body).await.json(200)["slot"], 1);
    });
}

#[test]
fn a_message_that_reached_the_disk_before_the_failure_keeps_its_slot() {
    fake("", async |node| {
        node.create("p", "fake").await;
        let body = json!({ "Id": "a".repeat(43) }).to_string();
        node.faults.next([Fault::After]);
        node.post("/processes/p/schedule", body.clone()).await.refusal(503, "unknown");
        let store = node.hub.environment().store.clone();
        let wait = move || store.wait_until_healthy(super::rig::PATIENCE);
        assert!(tokio::task::spawn_blocking(wait).await.unwrap());
        assert_eq!(node.post("/processes/p/schedule", body).await.json(202)["slot"], 1);
        assert_eq!(node.get("/processes/p").await.json(200)["scheduled_slot"], 1);
    });
}

#[test]
fn a_read_that_fails_is_told_and_is_over_with_the_failure() {
    fake("", async |node| {
        node.create("p", "fake").await;
        node.faults.fail_reads(true);
        for path in ["/processes", "/processes/p/schedule", "/processes/p/results", "/processes/p/compute?slot=0"] {
            node.get(path).await.refusal(503, "store");
        }
        node.faults.fail_reads(false);
        node.get("/processes/p/schedule").await.json(200);
    });
}

#[test]
fn a_device_that_panics_or_ends_at_a_limit_yields_an_outcome() {
    fake("", async |node| {
        let process = node.create("p", "fake").await;
        node.fakes.plan(&process, 1, [Act::Panic("boom")]);
        node.fakes.plan(&process, 2, [Act::Exceed(mainstay::config::limits::LimitKey::ComputeTime)]);
        let outcome = node.post("/processes/p/schedule?wait=30s", "{}").await.json(200)["outcome"].clone();
        assert_eq!(outcome["Error"], "panic: boom");
        let outcome = node.post("/processes/p/schedule?wait=30s", "{}").await.json(200)["outcome"].clone();
        assert_eq!(outcome["Error"], "limit compute_time: it is told to exceed it");
        let stored = node.hub.environment().store.computed(&process, Slot(2)).unwrap().unwrap();
        assert_eq!(stored.slot, Slot(2), "what cannot be repeated is on disk before it is told");
    });
}

#[test]
fn a_stopping_node_refuses() {
    fake("", async |node| {
        node.create("p", "fake").await;
        node.hub.shutdown().await;
        let answer = node.post("/processes/p/schedule", "{}").await;
        assert!(answer.refusal(503, "overloaded").contains("stopping"));
    });
}
