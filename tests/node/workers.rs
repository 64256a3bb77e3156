//! Workers: when they leave memory, and what the next one starts from.

use serde_json::{Value, json};

use super::harness::{COUNTER, Home, Settings};

fn settings() -> Settings {
    Settings::default().process("counter", COUNTER, "")
}

#[tokio::test]
async fn an_idle_worker_stores_a_snapshot_and_stops_and_the_next_message_restores_it() {
    let home = Home::new(&settings().set("workers", "process_worker_max_idle = \"200ms\""));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("counter", "").await["Output"], 1);
    let stored =
        program.events.wait_for("snapshotting", |line| line["process"] == "counter" && line["slot"] == 1).await;
    assert!(stored["size"].as_u64().is_some_and(|size| size > 0), "{stored}");
    let stopped = program.events.wait_for("stopping", |line| line["process"] == "counter").await;
    assert_eq!(stopped["reason"], "idle");
    let idle = api.status_where("counter", "the worker is gone", |status| status["status"] == "idle").await;
    assert_eq!((&idle["computed_slot"], &idle["snapshot_slot"]), (&json!(1), &json!(1)));

    assert_eq!(api.outcome("counter", "").await["Output"], 2);
    assert_eq!(program.events.wait_of("restored", "counter").await["slot"], 1);
    program.stop().await;
}

#[tokio::test]
async fn a_clean_stop_stores_what_the_next_start_restores() {
    let home = Home::new(&settings());
    let program = home.start().await;
    let api = program.api().await;
    for count in 1..=5 {
        assert_eq!(api.outcome("counter", "").await["Output"], count);
    }
    program.stop().await;
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("counter", "").await["Output"], 6);
    assert_eq!(program.events.wait_of("restored", "counter").await["slot"], 5);
    program.stop().await;
    let computed = program.events.named("work_done");
    assert_eq!(computed.len(), 1, "nothing is computed again: {computed:?}");
}

#[tokio::test]
async fn snapshots_are_taken_as_often_as_is_said() {
    let home = Home::new(&settings().set("workers", "process_cache_frequency = 10"));
    let program = home.start().await;
    let api = program.api().await;
    for count in 1..=35 {
        assert_eq!(api.outcome("counter", "").await["Output"], count);
    }
    let stored = |status: &Value| status["snapshot_slot"].as_u64() >= Some(25);
    let newest = api.status_where("counter", "snapshots are stored", stored).await["snapshot_slot"].clone();
    program.events.wait_for("snapshotting", |line| line["slot"] == newest).await;
    let snapshots = program.events.named("snapshotting");
    let mut slots: Vec<_> = snapshots.iter().filter_map(|line| line["slot"].as_u64()).collect();
    slots.insert(0, 0);
    assert!(slots.windows(2).all(|pair| pair[1] - pair[0] <= 11), "{slots:?}");
    program.kill().await;

    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.state("counter").await, json!({ "count": 35 }));
    let restored = program.events.wait_of("restored", "counter").await;
    assert!(restored["slot"].as_u64() >= newest.as_u64(), "{restored}");
    program.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_not_kept_leaves_after_its_work() {
    let home = Home::new(&settings().set("workers", "process_workers = false"));
    let program = home.start().await;
    let api = program.api().await;
    for count in 1..=5 {
        assert_eq!(api.outcome("counter", "").await["Output"], count);
        api.status_where("counter", "no worker is kept", |status| status["status"] == "idle").await;
    }
    let mut stops = 0;
    let fifth = |stop: &Value| {
        stops += u32::from(stop["reason"] == "idle");
        stops == 5
    };
    program.events.wait_for("stopping", fifth).await;
    program.kill().await;
    let program = home.start().await;
    assert_eq!(program.api().await.outcome("counter", "").await["Output"], 6);
    program.stop().await;
}

#[tokio::test]
async fn a_worker_is_sent_away_on_request() {
    let home = Home::new(&settings());
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("counter", "").await["Output"], 1);
    assert_eq!(api.post("/processes/counter/snapshot", &json!({})).await.expect(200).slot(), 1);
    api.delete("/processes/counter/worker").await.expect(204);
    let stopped = program.events.wait_for("stopping", |line| line["process"] == "counter").await;
    assert_eq!(stopped["reason"], "asked");
    api.status_where("counter", "the worker is gone", |status| status["status"] == "idle").await;
    api.delete("/processes/counter/worker").await.expect(404);
    assert_eq!(api.outcome("counter", "").await["Output"], 2);
    program.stop().await;
}

#[tokio::test]
async fn a_dry_run_leaves_no_trace() {
    let home = Home::new(&settings());
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("counter", "").await["Output"], 1);
    for _ in 0..3 {
        let answer = api.post("/processes/counter/dry-run", &json!({ "Data": "x" })).await.expect(200).json();
        assert_eq!((&answer["slot"], &answer["outcome"]["Output"]), (&json!(1), &json!(2)), "{answer}");
    }
    assert_eq!(api.log("counter", None).await.len(), 2);
    assert_eq!(api.state("counter").await, json!({ "count": 1 }));
    program.stop().await;
}

/// Has 30 processes take turns, three times round.
async fn take_turns(settings: &Settings, check: impl Fn(&[Value])) {
    let home = Home::new(settings);
    let program = home.start().await;
    let api = program.api().await;
    for number in 0..30 {
        api.create(&format!("p{number}"), COUNTER, json!({})).await;
    }
    for round in 1..=3 {
        for number in 0..30 {
            assert_eq!(api.outcome(&format!("p{number}"), "").await["Output"], round);
        }
    }
    program.events.wait_for("stopping", |line| line["reason"] == "evicted").await;
    check(&api.processes().await);
    program.stop().await;
}

#[tokio::test]
async fn more_processes_than_places_take_turns() {
    take_turns(&Settings::default().set("workers", "workers_max = 4"), |processes| {
        let active = processes.iter().filter(|process| process["status"] != "idle").count();
        assert!(active <= 4, "{active} workers are in memory where 4 may be");
    })
    .await;
}

#[tokio::test]
async fn more_processes_than_memory_take_turns() {
    take_turns(&Settings::default().set("workers", "total_memory = \"2MiB\""), |_| ()).await;
}
