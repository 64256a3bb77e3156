//! Connections: more than the system has files for.

use std::net::TcpStream;

use serde_json::json;

use super::harness::{COUNTER, Home, Program, Settings};

#[tokio::test]
async fn idle_connections_do_not_take_the_files_of_the_store() {
    let home = Home::new(&Settings::default().process("counter", COUNTER, ""));
    let program = Program::launch_with_files(&home.path(""), &["--config", "mainstay.toml"], 200, 200);
    let api = program.ready().await;
    assert_eq!(program.events.wait("connections_limited").await["files"], 200);
    let listening = program.events.wait("listening").await;
    let connections: Vec<_> = (0..400).map_while(|_| TcpStream::connect(listening["addr"].as_str()?).ok()).collect();
    assert!(connections.len() > 200, "{} connections are tried", connections.len());
    // Enough for the store to begin further files.
    let data = "x".repeat(500_000);
    for count in 1..=200 {
        let body = json!({ "Data": data });
        let answer = api.post("/processes/counter/schedule?wait=25s", &body).await.expect(200);
        assert_eq!(answer.json()["outcome"]["Output"], count);
    }
    drop(connections);
    program.stop().await;
}

#[tokio::test]
async fn the_program_asks_for_as_many_files_as_it_may_open() {
    let home = Home::new(&Settings::default().process("counter", COUNTER, "").set("http", "max_connections = 100"));
    let program = Program::launch_with_files(&home.path(""), &["--config", "mainstay.toml"], 200, 1000);
    program.ready().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("1000"), "{files}");
    assert!(program.events.named("connections_limited").is_empty(), "there is room for all of them");
    program.stop().await;
}
