//! Host processes: every one of a generator is logged, streamed and becomes messages; what can't be watched stops the start.
//!
//! Each generator runs programs under a name of its own, and nobody else's are watched.

use std::os::unix::fs::symlink;
use std::process::{Child, Command};
use std::time::Duration;

use reqwest::Response;
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::timeout;

use super::harness::{DEADLINE, Home, Program, Settings, until};

/// Counts the events that it is told of, in messages and by their number.
const OPS: &str = "
function compute(state, msg)
  if msg.Action ~= 'HostEvent' then return end
  state.messages = (state.messages or 0) + 1
  state.events = (state.events or 0) + 1 + (tonumber(msg.Coalesced) or 0)
  state.last = msg.Event
  state.data = msg.Data
  return state.events
end
";

/// Runs a program under names that nobody else uses.
struct Generator {
    folder: tempfile::TempDir,
    mark: String,
}

impl Generator {
    fn new() -> Self {
        let mark = format!("w{:x}-", getrandom::u32().unwrap());
        Self { folder: tempfile::tempdir().unwrap(), mark }
    }

    /// What its programs are called, as a pattern.
    fn pattern(&self) -> String {
        format!("{}*", self.mark)
    }

    /// The name that a program goes by.
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.mark)
    }

    /// Starts a program under one of its names.
    fn start(&self, program: &str, name: &str, arguments: &[&str]) -> Child {
        let path = self.folder.path().join(self.name(name));
        if !path.exists() {
            symlink(std::fs::canonicalize(program).unwrap(), &path).unwrap();
        }
        Command::new(path).args(arguments).spawn().unwrap()
    }

    /// Starts one that lives until it is ended.
    fn patient(&self) -> Child {
        self.start("/bin/sleep", "s", &["1000"])
    }

    /// Runs so many short lives, some beside each other.
    fn burst(&self, count: usize) {
        let mut living = std::collections::VecDeque::new();
        for _ in 0..count {
            if living.len() == 4 {
                end(living.pop_front().unwrap());
            }
            living.push_back(self.start("/bin/true", "t", &[]));
        }
        living.into_iter().for_each(end);
    }
}

fn end(mut child: Child) {
    child.wait().unwrap();
}

fn stop(mut child: Child) {
    child.kill().unwrap();
    end(child);
}

/// A node that watches what `generator` starts.
fn watching(generator: &Generator) -> Settings {
    let include = format!("include = [{:?}]", generator.pattern());
    Settings::default().set("watch", "enabled = true").set("watch", &include)
}

/// Whether the kernel tells the node everything. What it tells this program is asserted elsewhere.
async fn is_whole(program: &Program) -> bool {
    let line = program.events.wait("watching").await;
    let is_whole = line["backend"] == "connector" && line["lacks"].is_null();
    if !is_whole {
        eprintln!("LEFT OUT: the watch is not whole: {line}");
    }
    is_whole
}

/// The next events of a stream, until `is_last`; `None` where the stream ends before.
async fn events_until(stream: &mut Response, mut is_last: impl FnMut(&Value) -> bool) -> Option<Vec<Value>> {
    let (mut text, mut events) = (String::new(), Vec::new());
    loop {
        while let Some((line, rest)) = text.split_once('\n') {
            if let Some(data) = line.strip_prefix("data: ") {
                let event = serde_json::from_str(data).unwrap();
                let is_over = is_last(&event);
                events.push(event);
                if is_over {
                    return Some(events);
                }
            }
            text = rest.to_owned();
        }
        let piece = timeout(DEADLINE, stream.chunk()).await.expect("something comes").unwrap()?;
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
}

#[tokio::test]
async fn every_short_life_is_logged_streamed_and_told_to_processes() {
    const LIVES: usize = 300;
    let generator = Generator::new();
    let name = generator.name("t");
    let route = format!("route = [{{ event = \"Process.Destroyed.{name}\", process = \"ops\" }}]");
    let home = Home::new(&watching(&generator).set("watch", &route).process("ops", OPS, ""));
    let program = home.start().await;
    if !is_whole(&program).await {
        return;
    }
    let api = program.ready().await;
    let mut stream = api.open("/events?event=Process.*").await;
    generator.burst(LIVES);
    let (created, destroyed) = (format!("Process.Created.{name}"), format!("Process.Destroyed.{name}"));
    let mut ends = 0;
    let events = events_until(&mut stream, |event| {
        ends += usize::from(event["event"] == *destroyed);
        ends == LIVES
    });
    let events = events.await.unwrap();
    let begun: Vec<_> = events.iter().filter(|event| event["event"] == *created).collect();
    assert_eq!((begun.len(), events.len()), (LIVES, 2 * LIVES));
    for event in &events {
        assert_eq!((&event["name"], &event["ppid"]), (&Value::from(&*name), &Value::from(std::process::id())));
        assert!(event["start_time"].as_u64() > Some(1_700_000_000_000), "{event}");
    }
    let last = events.last().unwrap();
    assert_eq!((&last["exit_code"], &last["signal"]), (&Value::from(0), &Value::Null));
    assert!(last["run_time"].as_f64() > Some(0.0) && last["peak_rss"].as_u64() > Some(0), "{last}");

    let logged =
        |event: &str, name: &str| program.events.named(event).iter().filter(|line| line["name"] == *name).count();
    until("all are logged", async || (logged("process_destroyed", &destroyed) == LIVES).then_some(())).await;
    assert_eq!(logged("process_created", &created), LIVES);

    let state = until("the process knows of all", async || {
        Some(api.state("ops").await).filter(|state| state["events"] == LIVES)
    });
    let state = state.await;
    assert!(state["messages"].as_u64() < Some(LIVES as u64), "a storm is told in fewer messages: {state}");
    assert_eq!(state["last"], *destroyed);
    let data: Value = serde_json::from_str(state["data"].as_str().unwrap()).unwrap();
    assert_eq!(&data, last);
    let message = api.log("ops", Some(0)).await.remove(0);
    assert_eq!((&message["From"], &message["Owner"]), (&Value::from("watch"), &Value::from("watch")));
    program.stop().await;
}

#[tokio::test]
async fn the_living_are_listed_and_those_of_before_are_not_told() {
    let generator = Generator::new();
    let before = generator.patient();
    let home = Home::new(&watching(&generator).set("watch", "poll_interval = \"20ms\""));
    let program = home.start().await;
    let line = program.events.wait("watching").await;
    assert!(line["backend"].is_string() && line["reason"].is_string(), "{line}");
    let api = program.ready().await;
    let after = generator.patient();
    let mut pids = [before.id(), after.id()].map(u64::from);
    pids.sort_unstable();
    let listed = until("both are listed", async || {
        let body = api.get("/host/processes").await.expect(200).json();
        let listed = body["processes"].as_array().unwrap().clone();
        (listed.len() == 2).then_some(listed)
    });
    for (process, pid) in listed.await.iter().zip(pids) {
        assert_eq!((process["pid"].as_u64(), process["name"].as_str()), (Some(pid), Some(&*generator.name("s"))));
        assert_eq!(process["uid"], rustix::process::getuid().as_raw());
    }
    let (old, new) = (before.id(), after.id());
    stop(before);
    stop(after);
    for pid in [old, new] {
        program.events.wait_for("process_destroyed", |line| line["pid"] == pid).await;
    }
    let created: Vec<_> = program.events.named("process_created").iter().map(|line| line["pid"].clone()).collect();
    assert_eq!(created, [new]);
    let checks = api.get("/readyz").await.expect(200).json()["checks"].clone();
    assert!(checks["watch"].as_str().unwrap().starts_with("ok, by "), "{checks}");
    program.stop().await;
}

#[tokio::test]
async fn who_listens_does_not_hold_up_a_stop() {
    let generator = Generator::new();
    let home = Home::new(&watching(&generator).set("node", "shutdown_grace = \"50s\""));
    let program = home.start().await;
    let mut stream = program.ready().await.open("/events").await;
    let began = tokio::time::Instant::now();
    program.stop().await;
    assert!(began.elapsed() < Duration::from_secs(30), "it took {:?}", began.elapsed());
    assert_eq!(events_until(&mut stream, |_| false).await, None);
}

#[tokio::test]
async fn a_reload_changes_whom_is_told_of_and_how() {
    let (first, second) = (Generator::new(), Generator::new());
    let settings = |generator: &Generator, prefix: &str, backend: &str, route: &str| {
        let route = format!("route = [{{ event = \"{route}\", process = \"ops\" }}]");
        let prefix = format!("prefix = {prefix:?}\nbackend = {backend:?}\npoll_interval = \"20ms\"");
        watching(generator).set("watch", &prefix).set("watch", &route).process("ops", OPS, "")
    };
    let home = Home::new(&settings(&first, "Process", "auto", "none"));
    let program = home.start().await;
    let api = program.ready().await;
    home.configure(&settings(&second, "Host", "poll", "Host.Destroyed.*"));
    program.signal(Signal::HUP);
    let waits = program.events.wait("reload_waits").await;
    assert_eq!(waits["sections"], "watch.backend");
    program.events.wait("reloaded").await;
    let (old, new) = (first.patient(), second.patient());
    let (hidden, pid) = (old.id(), new.id());
    let name = format!("Host.Created.{}", second.name("s"));
    program.events.wait_for("process_created", |line| line["pid"] == pid && line["name"] == *name).await;
    stop(old);
    stop(new);
    until("the new route is used", async || (api.state("ops").await["events"] == 1).then_some(())).await;
    assert_eq!(program.events.named("watching").len(), 1, "the watch itself goes on");
    program.stop().await;
    let told = program.events.all();
    assert!(told.iter().all(|line| line["target"] != "watch" || line["pid"] != hidden));
}

#[tokio::test]
async fn a_route_to_nobody_is_said_at_the_start() {
    let generator = Generator::new();
    let route = "route = [{ event = \"*\", process = \"nobody\" }]";
    let home = Home::new(&watching(&generator).set("watch", route));
    let program = home.start().await;
    let line = program.events.wait_of("route_unknown", "nobody").await;
    assert_eq!((&line["level"], &line["target"]), (&Value::from("WARN"), &Value::from("watch")));
    program.stop().await;
}

/// A network namespace of its own, from which the kernel's connector can't be reached.
const ELSEWHERE: [&str; 2] = ["unshare", "--net"];

/// Whether this machine gives programs such a namespace.
fn can_go_elsewhere() -> bool {
    let tried = Command::new(ELSEWHERE[0]).args(&ELSEWHERE[1..]).arg("true").status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        eprintln!("LEFT OUT: no network namespace can be made here");
    }
    can
}

/// What a node there listens on: its loopback device is off.
fn anywhere(settings: Settings) -> Settings {
    settings.set("http", "listen = \"0.0.0.0:0\"\ntokens = [{ name = \"a\", token = \"a\" }]")
}

#[tokio::test]
async fn a_named_backend_that_cannot_start_stops_the_start() {
    if !can_go_elsewhere() {
        return;
    }
    let home = Home::new(&anywhere(watching(&Generator::new())).set("watch", "backend = \"connector\""));
    let program = Program::launch_by(&home.path(""), &ELSEWHERE, &["--config", "mainstay.toml"]);
    let ended = program.ended().await;
    assert_eq!(ended.code(), Some(78), "{}", ended.stderr);
    for part in ["mainstay.toml", "watch.backend", "network namespace", "backend = \"poll\""] {
        assert!(ended.stderr.contains(part), "{part} is not in {}", ended.stderr);
    }
}

#[tokio::test]
async fn the_best_backend_that_works_is_taken_and_the_reason_told() {
    if !can_go_elsewhere() {
        return;
    }
    let generator = Generator::new();
    let home = Home::new(&anywhere(watching(&generator)));
    let program = Program::launch_by(&home.path(""), &ELSEWHERE, &["--config", "mainstay.toml"]);
    let line = program.events.wait("watching").await;
    assert_eq!(line["backend"], "poll");
    assert!(line["reason"].as_str().unwrap().contains("network namespace"), "{line}");
    assert!(line["lacks"].as_str().unwrap().contains("between two looks"), "{line}");
    program.events.wait("snapshot_taken").await;
    let child = generator.patient();
    let pid = child.id();
    program.events.wait_for("process_created", |line| line["pid"] == pid).await;
    stop(child);
    program.events.wait_for("process_destroyed", |line| line["pid"] == pid).await;
    program.stop().await;
}
