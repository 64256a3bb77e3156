//! Much that is stored: the start stays fast, and idle processes cost no memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::harness::{Api, COUNTER, Home, Settings, until};

/// So many processes idle.
const PROCESSES: u64 = 10_000;
/// So many messages are in the log of each, with its definition.
const MESSAGES: u64 = 10;
/// So many clients fill the store.
const CLIENTS: usize = 64;
/// From the start of the program to its first answer it takes less. On a free machine it takes some 200 ms.
const START: Duration = Duration::from_secs(5);
/// All these processes at rest take less memory than this after a start; there it is some 20 MiB.
const MEMORY: u64 = 100 << 20;
/// After all of them have run, what the allocator and the store keep is less than this; there it is some 180 MiB.
const MEMORY_AFTERWARDS: u64 = 1000 << 20;

/// Creates processes and sends messages to each.
async fn fill(api: Api, next: Arc<AtomicU64>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= PROCESSES {
            return;
        }
        let id = format!("p{number}");
        api.create(&id, COUNTER, json!({})).await;
        for _ in 1..MESSAGES {
            api.schedule(&id, "").await;
        }
    }
}

#[tokio::test]
async fn a_hundred_thousand_messages_and_ten_thousand_processes_start_fast_and_take_little_memory() {
    let settings = Settings::default().filter("warn,http=info").set("workers", "process_worker_max_idle = \"200ms\"");
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.api().await;
    let (next, mut clients, began) = (Arc::default(), JoinSet::new(), Instant::now());
    for _ in 0..CLIENTS {
        clients.spawn(fill(api.clone(), Arc::clone(&next)));
    }
    clients.join_all().await;
    let filled = began.elapsed();
    let all = api.all_computed().await;
    assert_eq!(all.len() as u64, PROCESSES);
    assert!(all.iter().all(|process| process["computed_slot"] == MESSAGES - 1));
    until("all workers are gone", async || {
        let all = api.processes().await;
        all.iter().all(|process| process["status"] == "idle").then_some(())
    })
    .await;
    let memory = program.resident_memory();
    eprintln!("{} messages in {filled:?}; then {} MiB resident", PROCESSES * MESSAGES, memory >> 20);
    assert!(memory < MEMORY_AFTERWARDS, "{memory} bytes are resident");
    program.kill().await;

    let began = Instant::now();
    let program = home.start().await;
    let api = program.api().await;
    api.get("/livez").await.expect(200);
    api.get("/processes/p77").await.expect(200);
    let took = began.elapsed();
    program.ready().await;
    let ready = began.elapsed();
    let memory = program.resident_memory();
    eprintln!("first answer after {took:?}, ready after {ready:?}, {} MiB resident", memory >> 20);
    assert!(took < START, "the first answer came after {took:?}");
    assert!(memory < MEMORY, "{memory} bytes are resident");
    let outcome = api.outcome("p4711", "").await;
    assert_eq!(outcome["Output"], MESSAGES);
    program.stop().await;
}
