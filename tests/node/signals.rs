//! Signals: a stop that drains, a reload that takes over what is good.

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::harness::{Answer, Api, COUNTER, COUNTER_BY_TEN, Home, Settings, until};

/// Takes some milliseconds of work.
const BUSY: &str = "
function compute(state, msg)
  for i = 1, 20000 do end
  state.count = (state.count or 0) + 1
  return state.count
end
";

/// So many messages wait to be computed when the stop comes.
const WAITING: usize = 30;

#[tokio::test]
async fn a_stop_lets_requests_in_flight_end() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let home = Home::new(&Settings::default().process("busy", BUSY, ""));
        let program = home.start().await;
        let api = program.api().await;
        let mut clients = JoinSet::new();
        for _ in 0..WAITING {
            let api = api.clone();
            clients.spawn(async move { api.send("busy", "").await });
        }
        let mut received = 0;
        let all_received = |_: &Value| {
            received += 1;
            received == WAITING
        };
        program.events.wait_for("work_received", all_received).await;
        program.signal(signal);
        let mut outputs: Vec<_> = Vec::new();
        for answer in clients.join_all().await {
            outputs.push(answer.expect(200).json()["outcome"]["Output"].as_u64().unwrap());
        }
        outputs.sort_unstable();
        assert!(outputs.into_iter().eq(1..=WAITING as u64), "each is answered with its own outcome");
        assert_eq!(program.ended().await.code(), Some(0));
        assert_eq!(program.events.wait("stopping").await["reason"], name);
        program.events.wait("stopped").await;
        program.check_log();
    }
}

#[tokio::test]
async fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    let home = Home::new(&Settings::default().process("busy", BUSY, ""));
    let program = home.start().await;
    let api = program.api().await;
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        clients.spawn(ask_until_refused(api.clone()));
    }
    program.events.wait_for("work_done", |line| line["process"] == "busy" && line["slot"] == 50).await;
    program.stop().await;
    let answers = clients.join_all().await;
    let acknowledged: Vec<u64> = answers.iter().flatten().map(Answer::slot).collect();
    assert!(acknowledged.len() >= 50, "the test has met no load");

    let program = home.start().await;
    let api = program.api().await;
    api.all_computed().await;
    let log = api.log("busy", None).await;
    for slot in &acknowledged {
        assert!(*slot < log.len() as u64, "slot {slot} was acknowledged and is lost");
    }
    assert_eq!(api.state("busy").await["count"], log.len() - 1);
    program.stop().await;
}

/// Asks on and on. An answer is a slot, a clear refusal, or, once the node takes nothing more, none.
async fn ask_until_refused(api: Api) -> Vec<Answer> {
    let mut good = Vec::new();
    loop {
        let path = "/processes/busy/schedule?wait=20s";
        match api.ask(Method::POST, path, Some(&json!({}))).await {
            Ok(answer) if answer.is(200) || answer.is(202) => good.push(answer),
            Ok(answer) => {
                assert!(answer.is(503), "a node that stops says so: {}", answer.text);
                assert!(answer.text.contains("the node is stopping"), "{}", answer.text);
                return good;
            }
            Err(error) => {
                assert!(is_refused(&error), "a request that was taken was left without an answer: {error:?}");
                return good;
            }
        }
    }
}

/// Whether the node took no connection any more, or closed one before it read a request from it.
fn is_refused(error: &reqwest::Error) -> bool {
    !error.is_timeout() && !error.is_body() && !error.is_decode()
}

#[tokio::test]
async fn a_second_signal_changes_nothing() {
    let home = Home::new(&Settings::default().process("busy", BUSY, ""));
    let program = home.start().await;
    program.signal(Signal::TERM);
    program.signal(Signal::TERM);
    program.signal(Signal::HUP);
    assert_eq!(program.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_call_that_does_not_end_does_not_hold_up_a_stop_and_is_tried_again() {
    let endless = "
function compute(state, msg)
  while msg.Data == 'forever' do end
  state.count = (state.count or 0) + 1
  return state.count
end
";
    let limits = "limits = { gas = 1000000000000, compute_time = \"1h\" }";
    let settings = Settings::default().set("node", "shutdown_grace = \"1s\"").process("endless", endless, limits);
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.api().await;
    let waiting = tokio::spawn({
        let api = api.clone();
        async move { api.send("endless", "forever").await }
    });
    api.status_where("endless", "the call runs", |status| status["status"] == "computing").await;
    program.stop().await;
    let answer = waiting.await.unwrap();
    let is_clear = answer.is(202) || answer.is(503) && answer.text.contains("the node is stopping");
    assert!(is_clear, "who waits is told: {} {}", answer.status, answer.text);

    let stricter = "limits = { gas = 1000000, compute_time = \"1h\" }";
    home.configure(&settings.process("endless", endless, stricter));
    let program = home.start().await;
    let api = program.api().await;
    // The slot was there before the stricter limits were, so it is still under those of old.
    api.status_where("endless", "the call runs again", |status| status["status"] == "computing").await;
    assert_eq!(api.status("endless").await["computed_slot"], 0);
    program.stop().await;
}

#[tokio::test]
async fn a_reload_puts_changed_code_over_the_state() {
    let settings = Settings::default().process("counter", COUNTER, "").process("other", COUNTER, "");
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("counter", "").await["Output"], 1);

    home.configure(&settings.clone().process("counter", COUNTER_BY_TEN, ""));
    program.signal(Signal::HUP);
    let changed = program.events.wait_of("definition_changed", "counter").await;
    assert_eq!(changed["slot"], 2);
    program.events.wait("reloaded").await;
    assert_eq!(api.outcome("counter", "").await["Output"], 11);
    assert_eq!(api.status("counter").await["definition_slot"], 2);
    assert_eq!(api.status("other").await["definition_slot"], 0, "what is as it was stays as it was");
    program.stop().await;
}

#[tokio::test]
async fn a_reload_adds_and_retires_processes() {
    let settings = Settings::default().process("old", COUNTER, "");
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("old", "").await["Output"], 1);

    home.configure(&Settings::default().process("new", COUNTER, ""));
    program.signal(Signal::HUP);
    program.events.wait("reloaded").await;
    assert_eq!(api.outcome("new", "").await["Output"], 1);
    let refused = api.send("old", "").await.expect(409);
    assert_eq!(refused.code(), "conflict");
    assert_eq!(api.log("old", None).await.len(), 2);

    home.configure(&settings);
    program.signal(Signal::HUP);
    let back = until("the process is back", async || Some(api.send("old", "").await).filter(|answer| answer.is(200)));
    assert_eq!(back.await.json()["outcome"]["Output"], 2);
    program.stop().await;
}

#[tokio::test]
async fn a_reload_of_a_bad_file_changes_nothing() {
    let settings = Settings::default().process("counter", COUNTER, "");
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("counter", "").await["Output"], 1);
    let bad = [
        settings.clone().process("counter", COUNTER_BY_TEN, "limits = { gas = 0 }"),
        settings.clone().process("counter", "function compute(", ""),
        settings.clone().process("counter", COUNTER_BY_TEN, "").set("log", "colour = \"red\""),
    ];
    for (round, settings) in bad.iter().enumerate() {
        home.configure(settings);
        program.signal(Signal::HUP);
        let mut left = round + 1;
        let refused = program.events.wait_for("reload_refused", |_| {
            left -= 1;
            left == 0
        });
        assert!(!refused.await["error"].as_str().unwrap_or_default().is_empty());
        assert_eq!(api.outcome("counter", "").await["Output"], 2 + round as u64);
        assert_eq!(api.status("counter").await["definition_slot"], 0);
    }
    program.stop().await;
}

#[tokio::test]
async fn a_reload_whose_processes_cannot_be_defined_changes_nothing() {
    let settings = Settings::default().filter("info").process("a", COUNTER, "");
    let home = Home::new(&settings.clone().process("b", COUNTER, ""));
    let program = home.start().await;
    let api = program.api().await;
    for id in ["h1", "h2"] {
        api.create(id, COUNTER, json!({})).await;
    }
    let bad = Settings::default().filter("info,group=debug").process("new", COUNTER, "").process("h1", COUNTER, "");
    home.configure(&bad.process("h2", COUNTER, "").program("a", &["/bin/cat"], ""));
    program.signal(Signal::HUP);
    let refused = program.events.wait("reload_refused").await;
    let error = refused["error"].as_str().unwrap();
    let problems: Vec<_> = error.lines().map(|line| line.split(": ").nth(1).unwrap_or(line)).collect();
    assert_eq!(problems, ["process[1].id", "process[2].id", "process[3].device"], "{error}");

    api.get("/processes/new").await.expect(404);
    assert_eq!(api.outcome("b", "").await["Output"], 1, "it is not retired");
    api.get("/processes/b/compute").await.expect(200);
    api.get("/processes/b/now").await.expect(200);
    assert_eq!(api.outcome("a", "").await["Output"], 1);
    program.events.wait_for("work_done", |line| line["process"] == "a" && line["slot"] == 1).await;
    for event in ["awaiting_compute", "reload_failed", "reloaded"] {
        assert!(program.events.named(event).is_empty(), "{event}");
    }

    home.configure(&settings);
    program.signal(Signal::HUP);
    program.events.wait("reloaded").await;
    api.send("b", "").await.expect(409);
    program.stop().await;
}

#[tokio::test]
async fn a_reload_changes_the_log_filter() {
    let settings = Settings::default().process("counter", COUNTER, "");
    let home = Home::new(&settings.clone().filter("info"));
    let program = home.start().await;
    let api = program.api().await;
    api.outcome("counter", "").await;
    assert!(program.events.named("awaiting_compute").is_empty());
    home.configure(&settings.filter("info,group=debug"));
    program.signal(Signal::HUP);
    program.events.wait("reloaded").await;
    api.get("/processes/counter/compute").await.expect(200);
    api.get("/processes/counter/now").await.expect(200);
    program.events.wait_of("awaiting_compute", "counter").await;
    program.stop().await;
}
