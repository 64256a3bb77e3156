//! The log: what a person or a program reads of what the node does.

use std::net::TcpListener;
use std::process::Stdio;

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::harness::{Api, COUNTER, COUNTER_BY_TEN, Home, Program, Settings, until};

/// Fails on what is bad and says so.
const TALKING: &str = "
function compute(state, msg)
  print('heard', msg.Data)
  if msg.Data == 'bad' then error('no good') end
  state.count = (state.count or 0) + 1
  return state.count
end
";

/// The events of a life, with the fields that each has.
const EVENTS: [(&str, &str, &[&str]); 17] = [
    ("listening", "http", &["addr"]),
    ("starting_worker", "group", &["process", "group"]),
    ("register_resolver", "group", &["process", "group"]),
    ("found_leader", "group", &["process", "group"]),
    ("work_received", "worker", &["process", "group", "slot"]),
    ("work_done", "compute", &["process", "group", "slot", "gas", "took"]),
    ("awaiting_compute", "group", &["process", "group", "worker"]),
    ("finished_notifying", "group", &["process", "group", "slot", "listeners"]),
    ("waiting_for_req", "worker", &["process", "group"]),
    ("snapshotting", "worker", &["process", "group", "slot", "size"]),
    ("restored", "worker", &["process", "group", "slot"]),
    ("definition_changed", "worker", &["process", "group", "slot"]),
    ("halted", "worker", &["process", "group", "slot", "error"]),
    ("resumed", "worker", &["process", "group", "slot", "skipped"]),
    ("stopping", "worker", &["process", "group", "reason"]),
    ("unregister_resolver", "group", &["group", "reason"]),
    ("stopped", "node", &[]),
];

#[tokio::test]
async fn a_life_is_told_in_events_with_their_fields() {
    let throws = "error_strategy = \"throw\"";
    let settings = Settings::default().process("talker", TALKING, throws).process("counter", COUNTER, "");
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("talker", "good").await["Output"], 1);
    assert_eq!(api.outcome("counter", "").await["Output"], 1);
    api.send("talker", "bad").await.expect(409);
    program.stop().await;
    let mut lines = program.events.all();

    home.configure(&settings.process("counter", COUNTER_BY_TEN, ""));
    let program = home.start().await;
    let api = program.api().await;
    api.post("/processes/talker/resume?skip=true", &Value::Null).await.expect(200);
    assert_eq!(api.outcome("counter", "").await["Output"], 11);
    api.get("/processes/counter/now").await.expect(200);
    program.stop().await;
    lines.extend(program.events.all());

    for (name, target, fields) in EVENTS {
        let found: Vec<_> = lines.iter().filter(|line| line["event"] == name && line["target"] == target).collect();
        assert!(!found.is_empty(), "the event {name} of {target} is missing");
        for line in found {
            for field in fields {
                assert!(!line[field].is_null(), "{name} has no {field}: {line}");
            }
        }
    }
    let failed = lines.iter().find(|line| line["event"] == "work_done" && line["error"].is_string());
    assert!(failed.is_some_and(|line| line["error"].as_str().is_some_and(|error| error.contains("no good"))));
    let slots = lines.iter().filter(|line| line["event"] == "work_done" && line["process"] == "counter");
    let slots: Vec<_> = slots.filter_map(|line| line["slot"].as_u64()).collect();
    assert_eq!(slots, [0, 1, 2, 3], "each slot is computed once");
}

#[tokio::test]
async fn what_a_script_prints_is_one_line_with_its_process_and_slot() {
    let home = Home::new(&Settings::default().process("talker", TALKING, ""));
    let program = home.start().await;
    let api = program.api().await;
    let nasty = "a\n{\"event\":\"listening\",\"addr\":\"forged\"}\n\u{1b}[31m\u{0}";
    assert_eq!(api.outcome("talker", nasty).await["Output"], 1);
    program.stop().await;
    let lines = program.events.all();
    let printed: Vec<_> = lines.iter().filter(|line| line["event"] == "print").collect();
    assert_eq!(printed.len(), 1, "{printed:?}");
    assert_eq!((&printed[0]["process"], &printed[0]["slot"]), (&Value::from("talker"), &Value::from(1)));
    assert_eq!(program.events.named("listening").len(), 1, "a script forges no line");
}

#[tokio::test]
async fn a_script_that_floods_the_log_is_cut_short() {
    let flood = "
function compute(state, msg)
  for i = 1, 100000 do print('line ' .. i .. string.rep('x', 100)) end
  return 'done'
end
";
    let home = Home::new(&Settings::default().process("flood", flood, ""));
    let program = home.start().await;
    let outcome = program.api().await.outcome("flood", "").await;
    assert_eq!(outcome["Output"], "done", "{outcome}");
    program.stop().await;
    let printed = program.events.named("print").len() as u64;
    let dropped = program.events.wait_of("print_dropped", "flood").await["dropped"].as_u64();
    assert!((1..=10_000).contains(&printed), "{printed} lines were printed");
    assert_eq!(dropped.map(|dropped| dropped + printed), Some(100_000), "what was dropped is counted");
}

#[tokio::test]
async fn formats_for_a_person_go_to_standard_output_too() {
    for format in ["pretty", "compact"] {
        let home = Home::new(&Settings::default().process("counter", COUNTER, ""));
        let path = home.path("mainstay.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("format = \"json\""));
        home.write("mainstay.toml", &text.replace("format = \"json\"", &format!("format = \"{format}\"")));
        let program = home.launch();
        until("a line is written", async || (!program.events.faults().is_empty()).then_some(())).await;
        let first = program.events.faults().remove(0);
        assert!(first.contains("INFO") && !first.contains('\u{1b}'), "{format}: {first}");
        program.signal(Signal::TERM);
        assert_eq!(program.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_hold_up_the_node() {
    for is_open in [true, false] {
        // Nobody reads which port it got, so it is told one.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("listen = \"127.0.0.1:{port}\"");
        let home = Home::new(&Settings::default().filter("trace").set("http", &listen).process("talker", TALKING, ""));
        let mut command = Program::command(&home.path(""), &["--config", "mainstay.toml"], &[]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let unread = child.stdout.take().filter(|_| is_open);
        let api = Api::new(&format!("127.0.0.1:{port}"));
        until("the node listens", async || api.ask(Method::GET, "/livez", None).await.ok()).await;
        // A pipe holds 64 KiB.
        for count in 1..=300 {
            assert_eq!(api.outcome("talker", &"x".repeat(500)).await["Output"], count);
        }
        drop(unread);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
        assert_eq!(status.code(), Some(0), "open: {is_open}");
    }
}
