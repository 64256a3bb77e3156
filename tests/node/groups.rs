//! Groups of the running program: what equal requests cost, what bases leave behind, who is told when it stops.

use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::harness::{Answer, Api, COUNTER, Home, Program, Settings, until};

/// Counts its messages; by its data a message takes for ever, or so many rounds.
const STRAINED: &str = "
function compute(state, msg)
  while msg.Data == 'forever' do end
  for i = 1, tonumber(string.match(msg.Data, '^%d+') or 0) do end
  state.count = (state.count or 0) + 1
  return state.count
end
";
/// A call may take as long as it wants.
const ENDLESS: &str = "limits = { gas = 1000000000000000, compute_time = \"1h\" }";

/// Rounds of a quarter of a second or so.
const LONG: &str = "40000000";
/// Rounds of some turns of a compute thread, so that the call is known as slow.
const SHORT: &str = "8000000";

/// So many equal dry-runs come at once.
const EQUAL: usize = 200;
/// So many different ones run beside a process that has its own work.
const BESIDE: usize = 100;
/// So many clients wait for one slot, each on a connection of its own.
const WAITERS: usize = 500;
/// So many messages are timed.
const TIMED: usize = 30;
/// What takes less is not told apart from what the machine does besides.
const NOISE: Duration = Duration::from_millis(20);

/// Holds a base and returns its name.
async fn hold(api: &Api, process: &str, wanted: Value) -> String {
    let held = api.post(&format!("/processes/{process}/base"), &wanted).await.expect(201).json();
    held["group"].as_str().expect("a base has a name").to_owned()
}

async fn resolve(api: &Api, group: &str, data: &str) -> Answer {
    api.post(&format!("/groups/{group}/resolve"), &json!({ "Data": data })).await
}

async fn dry_run(api: &Api, process: &str, data: &str) -> Answer {
    api.post(&format!("/processes/{process}/dry-run"), &json!({ "Data": data })).await
}

async fn groups(api: &Api) -> Vec<Value> {
    api.get("/groups").await.expect(200).json()["groups"].as_array().expect("a list").clone()
}

/// Waits until a group is led as it should.
async fn led(api: &Api, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    until(what, async || groups(api).await.into_iter().find(&fits)).await
}

#[tokio::test]
async fn a_base_line_does_not_outlive_the_program_and_leaves_no_trace_in_the_log() {
    let home = Home::new(&Settings::default().process("counter", COUNTER, ""));
    let program = home.start().await;
    let api = program.api().await;
    for count in 1..=3 {
        assert_eq!(api.outcome("counter", "").await["Output"], count);
    }
    let (log, results) = (api.log("counter", None).await, api.results("counter", None).await);
    let first = hold(&api, "counter", json!({ "timeout": "1h" })).await;
    let mut line = first.clone();
    for count in 4..=10 {
        let resolved = resolve(&api, &line, "").await.expect(200).json();
        assert_eq!(resolved["outcome"]["Output"], count);
        line = resolved["group"].as_str().expect("a name").to_owned();
    }
    assert!(groups(&api).await.iter().any(|status| status["group"] == *line), "the line is held when the end comes");
    program.kill().await;

    let program = home.start().await;
    let api = program.ready().await;
    assert_eq!(resolve(&api, &line, "").await.expect(404).code(), "not_found");
    assert_eq!(resolve(&api, &first, "").await.expect(404).code(), "not_found");
    assert_eq!(api.log("counter", None).await, log);
    assert_eq!(api.results("counter", None).await, results);
    assert_eq!(api.outcome("counter", "").await["Output"], 4);
    assert_eq!(hold(&api, "counter", json!({ "slot": 3 })).await, first, "the same state has the same name");
    assert_eq!(resolve(&api, &first, "").await.expect(200).json()["outcome"]["Output"], 4);
    program.stop().await;
}

/// How many were told what another's execution came to, as the log says.
fn told(program: &Program) -> u64 {
    let notified = program.events.named("finished_notifying");
    let shared = notified.iter().filter(|line| line["group"].as_str().is_some_and(|group| group.contains('~')));
    shared.filter_map(|line| line["listeners"].as_u64()).sum()
}

#[tokio::test]
async fn equal_dry_runs_at_once_cost_one_execution() {
    // Slow calls are of low priority, and a machine that does much else besides lets them wait.
    let settings = Settings::default().set("http", "request_timeout = \"55s\"");
    let home = Home::new(&settings.process("strained", STRAINED, ENDLESS));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("strained", "").await["Output"], 1);
    // The first makes the base ready.
    dry_run(&api, "strained", "").await.expect(200);
    let before = program.cpu_time();
    dry_run(&api, "strained", &format!("{LONG} alone")).await.expect(200);
    let alone = program.cpu_time() - before;
    assert!(alone > Duration::from_millis(100), "too little to be measured: {alone:?}");

    let (before, mut clients) = (program.cpu_time(), JoinSet::new());
    for _ in 0..EQUAL {
        let api = api.clone();
        clients.spawn(async move { dry_run(&api, "strained", LONG).await });
    }
    for answer in clients.join_all().await {
        let body = answer.expect(200).json();
        assert_eq!((&body["slot"], &body["outcome"]["Output"]), (&json!(1), &json!(2)));
    }
    let together = program.cpu_time() - before;
    program.stop().await;
    let executions = EQUAL as u64 - told(&program);
    eprintln!("{executions} executions for {EQUAL} dry-runs: {together:?}; one alone: {alone:?}");
    // Who comes after the first has ended leads another; a few may, on a machine that is slow to connect.
    assert!(executions <= EQUAL as u64 / 10, "{executions} executions");
    assert!(together < alone * (EQUAL as u32 / 10), "{together:?}, one alone takes {alone:?}");
}

#[tokio::test]
async fn a_dry_run_is_answered_while_its_process_computes() {
    let home = Home::new(&Settings::default().process("strained", STRAINED, ENDLESS));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("strained", "").await["Output"], 1);
    assert_eq!(api.schedule("strained", "forever").await, 2);
    api.status_where("strained", "it computes", |status| status["status"] == "computing").await;
    for data in ["", SHORT, "other"] {
        let body = dry_run(&api, "strained", data).await.expect(200).json();
        assert_eq!((&body["slot"], &body["outcome"]["Output"]), (&json!(1), &json!(2)));
        let group = hold(&api, "strained", json!({ "static": true })).await;
        assert_eq!(resolve(&api, &group, data).await.expect(200).json()["outcome"]["Output"], 2);
    }
    let status = api.status("strained").await;
    assert_eq!((&status["status"], &status["computed_slot"]), (&json!("computing"), &json!(1)));
    program.stop().await;
}

/// The median of the times that so many messages took, one after the other.
async fn median(api: &Api, mut is_wanted: impl FnMut() -> bool) -> (Duration, usize) {
    let mut times = Vec::new();
    while times.is_empty() || (times.len() < TIMED && is_wanted()) {
        let began = Instant::now();
        assert!(api.outcome("busy", "").await["Output"].is_number());
        times.push(began.elapsed());
    }
    times.sort_unstable();
    (times[times.len() / 2], times.len())
}

#[tokio::test]
async fn a_process_is_not_slowed_by_dry_runs_of_itself_and_of_others() {
    let mut settings = Settings::default().process("busy", STRAINED, "");
    for number in 0..10 {
        settings = settings.process(&format!("other{number}"), STRAINED, "");
    }
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.ready().await;
    let (alone, _) = median(&api, || true).await;
    let (began, mut clients) = (Instant::now(), JoinSet::new());
    for number in 0..BESIDE {
        let api = api.clone();
        let process = if number < BESIDE / 5 { "busy".to_owned() } else { format!("other{}", number % 10) };
        clients.spawn(async move { dry_run(&api, &process, &format!("{SHORT} {number}")).await });
    }
    led(&api, "the dry-runs run", |status| status["leader"] == "execution").await;
    let mut answered = Vec::new();
    let (beside, timed) = median(&api, || {
        while let Some(answer) = clients.try_join_next() {
            answered.push(answer);
        }
        answered.len() < BESIDE
    })
    .await;
    assert!(answered.len() < BESIDE, "the dry-runs were over before {timed} messages were timed");
    while let Some(answer) = clients.join_next().await {
        answered.push(answer);
    }
    eprintln!("{timed} messages: {beside:?} beside {BESIDE} dry-runs that took {:?}, {alone:?} alone", began.elapsed());
    for answer in answered {
        let answer = answer.expect("a client ends well");
        // Slow calls are of low priority: a machine that does much else besides may let one wait for too long.
        let is_good = answer.is(200) && answer.json()["outcome"]["Error"].is_null();
        assert!(is_good || answer.is(504), "{}", answer.text);
    }
    assert!(beside < alone.max(NOISE) * 10, "{beside:?} beside, {alone:?} alone");
    program.stop().await;
}

#[tokio::test]
async fn the_monitor_reports_what_changes_and_nothing_else() {
    let home = Home::new(&Settings::default().process("counter", COUNTER, ""));
    let program = home.start().await;
    let api = program.ready().await;
    let still = hold(&api, "counter", json!({ "slot": 0, "static": true, "timeout": "1h" })).await;
    api.post("/group-monitor", &json!({ "group": still })).await.expect(200);
    api.post("/group-monitor", &json!({})).await.expect(200);
    let about_still = |line: &Value| line["watched"] == *still;
    let first = program.events.wait_for("group_report", about_still).await;
    assert_eq!(
        (&first["groups"], &first["appeared"], &first["vanished"]),
        (&json!(1), &json!(1), &json!(0)),
        "{first}"
    );
    let held = program.events.wait_for("group_status", |line| line["group"] == *still).await;
    assert_eq!((&held["leader"], &held["queue"], &held["waiters"]), (&json!("base_worker"), &json!(0), &json!(0)));
    // Whoever watches all hears of others that come and go, round after round.
    for slot in 1..=3 {
        assert_eq!(api.outcome("counter", "").await["Output"], slot);
        let group = hold(&api, "counter", json!({ "slot": slot, "static": true, "timeout": "1h" })).await;
        let appeared = program.events.wait_for("group_status", |line| line["group"] == *group).await;
        assert_eq!((&appeared["target"], &appeared["leader"]), (&json!("group"), &json!("base_worker")));
        api.delete(&format!("/groups/{group}")).await.expect(204);
        program.events.wait_for("group_gone", |line| line["group"] == *group).await;
    }
    let reports = program.events.named("group_report");
    assert_eq!(reports.iter().filter(|line| about_still(line)).count(), 1, "nothing changed there: {reports:#?}");
    let of_all = reports.iter().filter(|line| line["watched"] == "all");
    assert!(of_all.clone().count() >= 6, "{reports:#?}");
    for report in of_all {
        let changes: u64 = ["appeared", "vanished", "changed"].iter().filter_map(|key| report[*key].as_u64()).sum();
        assert!(changes > 0, "a report of nothing: {report}");
    }

    api.delete("/group-monitor").await.expect(204);
    api.delete(&format!("/groups/{still}")).await.expect(204);
    let vanished = program.events.wait_for("group_report", |line| about_still(line) && line["vanished"] == 1).await;
    assert_eq!(vanished["groups"], 0);
    program.stop().await;
}

#[tokio::test]
async fn a_stop_with_dry_runs_and_bases_in_flight_ends_in_time_and_answers_all() {
    let settings = Settings::default().set("node", "shutdown_grace = \"1s\"").process("strained", STRAINED, ENDLESS);
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("strained", "").await["Output"], 1);
    let line = hold(&api, "strained", json!({ "static": false })).await;
    let mut clients = JoinSet::new();
    for number in 0..30 {
        let (api, line) = (api.clone(), line.clone());
        clients.spawn(async move {
            let body = json!({ "Data": "forever", "Anchor": (number / 6).to_string() });
            let path = if number % 3 == 0 {
                format!("/groups/{line}/resolve")
            } else {
                "/processes/strained/dry-run".to_owned()
            };
            api.ask(Method::POST, &path, Some(&body)).await
        });
    }
    led(&api, "ten are at the line", |status| status["group"] == *line && status["waiters"] == 10).await;
    // Five different dry-runs, four of each: one leads and three wait.
    until("the dry-runs are under way", async || {
        let found = groups(&api).await;
        let led = found.iter().filter(|status| status["leader"] == "execution" && status["waiters"] == 3);
        (led.count() == 5).then_some(())
    })
    .await;
    let began = Instant::now();
    program.signal(Signal::TERM);
    for answer in clients.join_all().await {
        let answer = answer.expect("each is answered").expect(503);
        assert_eq!(answer.code(), "overloaded", "{}", answer.text);
        assert!(answer.text.contains("the node is stopping"), "{}", answer.text);
    }
    assert_eq!(program.ended().await.code(), Some(0));
    let took = began.elapsed();
    eprintln!("the stop took {took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    program.events.wait("stopped").await;
    program.check_log();

    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("strained", "").await["Output"], 2);
    program.stop().await;
}

#[tokio::test]
async fn five_hundred_connections_that_wait_for_one_slot_are_all_told() {
    let settings = Settings::default().set("http", "request_timeout = \"55s\"");
    let limits = "limits = { gas = 1000000000000000, compute_time = \"1s\" }";
    let home = Home::new(&settings.process("strained", STRAINED, limits));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.schedule("strained", "forever").await, 1);
    let mut clients = JoinSet::new();
    for _ in 0..WAITERS {
        let api = api.clone();
        clients.spawn(async move { api.get("/processes/strained/compute?slot=1").await });
    }
    let mut told = Vec::new();
    for answer in clients.join_all().await {
        told.push(answer.expect(200).row().expect("an outcome"));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "all are told the same: {told:?}");
    assert!(told[0].outcome.contains("limit compute_time: "), "{}", told[0].outcome);
    let notified = |line: &Value| line["group"] == "strained" && line["slot"] == 1;
    let waited = program.events.wait_for("finished_notifying", notified).await["listeners"].as_u64();
    eprintln!("{waited:?} of {WAITERS} waited");
    // Who is slow to connect finds the outcome stored.
    assert!(waited >= Some(WAITERS as u64 / 10), "{waited:?} waited");
    program.stop().await;
}
