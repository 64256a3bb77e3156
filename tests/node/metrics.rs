//! What the running program measures: of itself, of host processes, and from one run to the next.

use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use super::harness::{Api, COUNTER, Home, Program, Settings, until};

/// A host process that does nothing. It is killed when this is dropped.
struct Sleeper(Child);

impl Sleeper {
    /// `seconds` is what tells it from others.
    fn new(seconds: &str) -> Self {
        Self(Command::new("sleep").arg(seconds).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A time that no other test sleeps.
fn seconds(number: u32) -> String {
    format!("{}.{number}", 100_000 + std::process::id() % 100_000)
}

fn settings() -> Settings {
    Settings::default().process("counter", COUNTER, "").set("metrics", "interval = \"100ms\"")
}

/// A group of the sleepers with this time.
fn group(name: &str, seconds: &str) -> String {
    let pattern = seconds.replace('.', "[.]");
    format!("{{ name = \"{name}\", match_name = \"^sleep$\", match_cmdline = \"^sleep {pattern}$\" }}")
}

/// The newest value of a series.
async fn last(api: &Api, metric: &str, labels: &str) -> Option<f64> {
    let body = api.get(&format!("/series?metric={metric}&labels={labels}")).await.expect(200).json();
    body["samples"].as_array().unwrap().last()?[1].as_f64()
}

async fn samples(api: &Api, metric: &str) -> Vec<Value> {
    api.get(&format!("/series?metric={metric}")).await.expect(200).json()["samples"].as_array().unwrap().clone()
}

/// Waits until a series has a value that fits.
async fn until_last(api: &Api, metric: &str, labels: &str, what: &str, fits: impl Fn(f64) -> bool) -> f64 {
    until(&format!("{metric}{{{labels}}}: {what}"), async || {
        last(api, metric, labels).await.filter(|value| fits(*value))
    })
    .await
}

#[tokio::test]
async fn the_node_and_groups_of_host_processes_are_measured() {
    let (ours, nobodys) = (seconds(1), seconds(2));
    let groups = format!("group = [{}, {}]", group("ours", &ours), group("nobody", &nobodys));
    let home = Home::new(&settings().set("metrics", &groups));
    let program = home.start().await;
    let api = program.api().await;
    let is_zero = |value: f64| value == 0.0;
    for name in ["ours", "nobody"] {
        until_last(&api, "mainstay_host_processes", &format!("group=\"{name}\""), "0 when none runs", is_zero).await;
    }
    let sleepers = [Sleeper::new(&ours), Sleeper::new(&ours)];
    until_last(&api, "mainstay_host_processes", "group=\"ours\"", "two", |value| value == 2.0).await;
    let sleeping = "group=\"ours\",state=\"S\"";
    until_last(&api, "mainstay_host_states", sleeping, "two sleep", |value| value == 2.0).await;
    for (metric, least) in [
        ("mainstay_host_resident_memory_bytes", 1e5),
        ("mainstay_host_open_fds", 6.0),
        ("mainstay_host_threads", 2.0),
        ("mainstay_host_oldest_start_time_seconds", 1.7e9),
    ] {
        until_last(&api, metric, "group=\"ours\"", "as of two", |value| value >= least).await;
    }
    drop(sleepers);
    until_last(&api, "mainstay_host_processes", "group=\"ours\"", "gone", is_zero).await;
    assert_eq!(last(&api, "mainstay_host_processes", "group=\"nobody\"").await, Some(0.0));

    let pid = f64::from(program.pid());
    let shown = api.get("/metrics.json").await.expect(200).json();
    let number = |name: &str| shown["metrics"][name]["samples"][0]["value"].as_f64().unwrap();
    assert_eq!(shown["metrics"]["mainstay_node_info"]["samples"][0]["labels"]["pid"], pid.to_string());
    let resident = number("process_resident_memory_bytes");
    assert!((5e6..4e9).contains(&resident), "{resident}");
    assert!(
        number("process_open_fds") > 10.0
            && number("process_threads") > 5.0
            && number("mainstay_store_disk_bytes") > 0.0
    );
    assert!(number("mainstay_heap_used_bytes") > 0.0 && number("mainstay_uptime_seconds") > 0.0);
    for name in ["main", "observer", "worker-0", "http-0"] {
        until_last(&api, "mainstay_arbiter_lag_seconds", &format!("arbiter=\"{name}\""), "measured", |lag| lag < 60.0)
            .await;
    }
    let shown = api.get("/metrics.json").await.expect(200).json();
    let arbiters = shown["metrics"]["mainstay_arbiter_lag_seconds"]["samples"].as_array().unwrap().len();
    assert!(arbiters <= 2 + 2 * std::thread::available_parallelism().unwrap().get(), "{arbiters}");
    program.stop().await;
}

#[tokio::test]
async fn series_are_there_again_after_a_clean_stop() {
    let home = Home::new(&settings());
    let program = home.start().await;
    let api = program.api().await;
    api.outcome("counter", "").await;
    until("some samples", async || (samples(&api, "process_cpu_seconds_total").await.len() >= 5).then_some(())).await;
    let before = samples(&api, "process_cpu_seconds_total").await;
    program.stop().await;
    let program = home.start().await;
    program.events.wait("series_restored").await;
    let api = program.api().await;
    let after = until("new samples", async || {
        let after = samples(&api, "process_cpu_seconds_total").await;
        (after.len() > before.len() + 2).then_some(after)
    })
    .await;
    assert_eq!(after[..before.len()], before);
    program.kill().await;

    std::fs::write(home.path("data/series"), b"not series at all").unwrap();
    let program = home.start().await;
    let warning = program.events.wait("series_not_restored").await;
    assert_eq!((&warning["level"], &warning["target"]), (&"WARN".into(), &"node".into()));
    assert_eq!(std::fs::read(home.path("data/series.damaged")).unwrap(), b"not series at all");
    let api = program.api().await;
    until("series begin anew", async || (samples(&api, "process_cpu_seconds_total").await.len() >= 2).then_some(()))
        .await;
    program.stop().await;
}

async fn reload(program: &Program) {
    let before = program.events.named("reloaded").len();
    program.signal(Signal::HUP);
    until("it is reloaded", async || (program.events.named("reloaded").len() > before).then_some(())).await;
}

#[tokio::test]
async fn groups_and_anomalies_follow_a_reload_and_keep_what_they_know() {
    let sleeper = Sleeper::new(&seconds(3));
    let anomaly =
        |name: &str, metric: &str| format!("[[anomaly]]\nname = \"{name}\"\nmetric = \"{metric}\"\nwindow = 3\n");
    let jump = anomaly("jump", "mainstay_slots_computed_total");
    let one = settings().set("metrics", &format!("group = [{}]", group("first", &seconds(3))));
    let home = Home::new(&one.clone().more(&jump));
    let program = home.start().await;
    let api = program.api().await;
    until_last(&api, "mainstay_host_processes", "group=\"first\"", "one", |value| value == 1.0).await;
    let lengths = async |least: usize| {
        let query = "mainstay_slots_computed_total";
        until("enough samples", async || (samples(&api, query).await.len() >= least).then_some(())).await;
    };
    lengths(5).await;
    api.outcome("counter", "").await;
    let event = program.events.wait_for("anomaly", |line| line["name"] == "jump").await;
    assert_eq!((&event["target"], &event["metric"]), (&"alert".into(), &"mainstay_slots_computed_total".into()));
    assert_eq!(event["labels"], "process=\"counter\"");
    assert_eq!((&event["value"], &event["mean"], &event["deviation"]), (&2.0.into(), &1.0.into(), &0.0.into()));
    assert!(event["z"].is_null());
    until_last(&api, "mainstay_anomalies_total", "anomaly=\"jump\"", "counted", |value| value >= 1.0).await;

    let both = format!("group = [{}, {}]", group("second", &seconds(4)), group("first", &seconds(3)));
    home.configure(&settings().set("metrics", &both).more(&(jump + &anomaly("other", "mainstay_workers"))));
    reload(&program).await;
    until_last(&api, "mainstay_host_processes", "group=\"second\"", "0", |value| value == 0.0).await;
    until_last(&api, "mainstay_anomalies_total", "anomaly=\"other\"", "0", |value| value == 0.0).await;
    assert!(last(&api, "mainstay_anomalies_total", "anomaly=\"jump\"").await >= Some(1.0));
    home.configure(&settings());
    reload(&program).await;
    until("the group is shown no more", async || {
        (!api.get("/metrics").await.expect(200).text.contains("group=\"first\"")).then_some(())
    })
    .await;
    drop(sleeper);
    program.stop().await;
}
