//! What the clock sends: the shipped heartbeat, deaths under ticks, monitors that are stopped, entries that change.

use std::path::Path;

use mainstay::cron::{Entry, EntryForm, Missed, tick_id};
use mainstay::ids::ProcessId;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::harness::{Api, COUNTER, Home, Program, Random, Settings, seed, until};

/// So many processes tick under the deaths, each once a second.
const SOURCES: usize = 50;
/// So many processes are sent what they tick.
const SINKS: usize = 5;
const ROUNDS: usize = 20;
const SECOND: u64 = 1000;

/// The configuration that is shipped, on a free port.
fn write_shipped(folder: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    std::fs::create_dir_all(folder.join("config/processes")).unwrap();
    for script in std::fs::read_dir(shipped.join("processes")).unwrap() {
        let script = script.unwrap();
        std::fs::copy(script.path(), folder.join("config/processes").join(script.file_name())).unwrap();
    }
    let text = std::fs::read_to_string(shipped.join("mainstay.toml")).unwrap();
    let address = "listen = \"127.0.0.1:8734\"";
    assert!(text.contains(address));
    let text = text.replace(address, "listen = \"127.0.0.1:0\"");
    std::fs::write(folder.join("config/mainstay.toml"), text).unwrap();
}

#[tokio::test]
async fn the_shipped_configuration_shows_a_tick_within_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    write_shipped(folder.path());
    let program = Program::launch(folder.path(), &[], &[]);
    let api = program.api().await;
    let tick = program.events.wait("tick").await;
    let definition = api.log("heartbeat", None).await[0].clone();
    let due = tick["due"].as_u64().unwrap() - definition["Timestamp"].as_u64().unwrap();
    assert_eq!((&tick["process"], &tick["target"], &tick["slot"]), (&json!("heartbeat"), &json!("monitor"), &json!(1)));
    assert!(due <= 10 * SECOND, "the first tick was due after {due} ms");
    let started = program.events.wait_of("started_monitor", "heartbeat").await;
    assert_eq!((&started["rate"], &started["cursor"]), (&json!("5s"), &Value::Null));
    let beats = until("the beat is computed", async || {
        let page = api.get("/processes/heartbeat/cron").await.expect(200).json();
        page["edges"].as_array().unwrap().first().cloned()
    });
    assert_eq!(beats.await["node"]["Output"], 1);
    program.stop().await;
}

/// Sends its count to a sink of its own and to one that all share.
fn beating(number: usize) -> String {
    let sink = number % SINKS;
    format!(
        "
function compute(state, msg)
  if not msg.Beat then return end
  state.beats = (state.beats or 0) + 1
  send{{ Target = 'sink-{sink}', Data = tostring(state.beats) }}
  send{{ Target = 'all', Data = tostring(state.beats) }}
end
"
    )
}

fn under_ticks() -> Settings {
    let mut settings = Settings::default().filter("info").set("workers", "process_cache_frequency = 7");
    for number in 0..SOURCES {
        let more = "cron = [{ every = \"1s\", tags = { Beat = \"1\" }, missed = \"all\" }]";
        settings = settings.process(&format!("beat-{number}"), &beating(number), more);
    }
    for number in 0..SINKS {
        settings = settings.process(&format!("sink-{number}"), COUNTER, "");
    }
    settings.process("all", COUNTER, "").process("clock", COUNTER, "")
}

fn beating_entry() -> Entry {
    let tags = serde_json::from_value(json!([{ "name": "Beat", "value": "1" }])).unwrap();
    EntryForm { every: Some("1s".to_owned()), tags, missed: Missed::All, ..EntryForm::default() }.try_into().unwrap()
}

#[tokio::test]
async fn deaths_at_random_moments_neither_lose_nor_repeat_a_tick_or_a_message() {
    let mut random = Random::new(seed("cron"));
    let home = Home::new(&under_ticks());
    for round in 0..ROUNDS {
        // Some die while they start, some are stopped in the middle, most are killed.
        if random.below(4) == 0 {
            let young = home.launch();
            tokio::time::sleep(random.millis(0, 200)).await;
            young.kill().await;
        }
        let program = home.start().await;
        await_moment(&program, &mut random).await;
        if random.below(4) == 0 {
            drop(program.stop().await)
        } else {
            program.kill().await
        }
        eprintln!("round {round}: {} ticks and {} messages in it", count(&program, "tick"), count(&program, "pushed"));
    }
    let program = home.start().await;
    let api = program.api().await;
    catch_up(&api).await;
    for number in 0..SOURCES {
        api.delete(&format!("/monitors/beat-{number}")).await.expect(204);
    }
    check(&api).await;
    program.stop().await;
    let program = home.start().await;
    assert!(program.ready().await.monitors().await.is_empty(), "what was stopped stays so");
    check(&program.api().await).await;
    program.stop().await;
}

/// Returns at any moment, most often in the midst of the ticks or the deliveries of a second.
async fn await_moment(program: &Program, random: &mut Random) {
    let mut left = random.below(80) + 1;
    let name = match random.below(3) {
        0 => return tokio::time::sleep(random.millis(0, 2000)).await,
        1 => "tick",
        _ => "pushed",
    };
    let is_last = |_: &Value| {
        left -= 1;
        left == 0
    };
    program.events.wait_for(name, is_last).await;
}

fn count(program: &Program, event: &str) -> usize {
    program.events.named(event).len()
}

/// Returns once every process has the ticks that were due when this was called.
async fn catch_up(api: &Api) {
    api.schedule("clock", "").await;
    let now = api.log("clock", Some(0)).await.last().unwrap()["Timestamp"].as_u64().unwrap();
    for number in 0..SOURCES {
        let id = format!("beat-{number}");
        let origin = api.log_head(&id).await["Timestamp"].as_u64().unwrap();
        api.status_where(&id, "every tick that was due", |status| {
            status["scheduled_slot"].as_u64() >= Some((now - origin) / SECOND)
        })
        .await;
    }
}

/// Each log holds each due time once, in order; each message of each outcome is where it should be once, in order.
async fn check(api: &Api) {
    let hash = beating_entry().content_hash();
    api.all_computed().await;
    let mut sent = Vec::new();
    for number in 0..SOURCES {
        let id = format!("beat-{number}");
        let process = ProcessId::parse(&id).unwrap();
        let log = api.log(&id, None).await;
        let origin = log[0]["Timestamp"].as_u64().unwrap();
        for (tick, message) in (0..).zip(&log).skip(1) {
            assert_eq!(message["Slot"], tick, "the slots of {id} are dense");
            let expected = tick_id(&process, hash, origin + tick * SECOND);
            assert_eq!(message["Id"], expected.as_str(), "slot {tick} of {id} is the tick of its second");
        }
        for row in api.results(&id, Some(0)).await {
            let outcome: Value = serde_json::from_str(&row.outcome).unwrap();
            for message in outcome["Messages"].as_array().unwrap() {
                sent.push((message["Target"].to_string(), id.clone(), number_in(message)));
            }
        }
    }
    let sinks: Vec<_> = (0..SINKS).map(|number| format!("sink-{number}")).chain(["all".to_owned()]).collect();
    until("every message is delivered", async || {
        let mut delivered = 0;
        for sink in &sinks {
            delivered += api.status(sink).await["scheduled_slot"].as_u64()?;
        }
        (delivered >= sent.len() as u64).then_some(())
    })
    .await;
    let mut received = Vec::new();
    for sink in &sinks {
        for message in api.log(sink, Some(0)).await {
            let target = message["Target"].to_string();
            received.push((target, message["From"].as_str().unwrap().to_owned(), number_in(&message)));
        }
    }
    // The sort is stable and leaves the messages of a source to a target in their order.
    let by_row =
        |one: &(String, String, u64), other: &(String, String, u64)| (&one.0, &one.1).cmp(&(&other.0, &other.1));
    sent.sort_by(by_row);
    received.sort_by(by_row);
    assert_eq!(sent.len(), received.len());
    assert_eq!(sent.iter().zip(&received).find(|(sent, received)| sent != received), None);
    assert!(api.dead_letters().await.is_empty());
    eprintln!("{} messages, each once and in order", sent.len());
}

fn number_in(message: &Value) -> u64 {
    message["Data"].as_str().unwrap().parse().unwrap()
}

/// A process that the clock sends what its one entry says; its monitor looks often.
fn ticking(entry: &str) -> Settings {
    let settings = Settings::default().set("monitor", "default_cron_rate = \"100ms\"");
    settings.process("other", COUNTER, "cron = [{ every = \"50ms\" }]").process("beat", COUNTER, entry)
}

/// Waits until so many ticks of the process come.
async fn ticks(program: &Program, process: &str, count: usize) {
    let mut seen = 0;
    let from = program.events.named("tick").len();
    let mut passed = 0;
    let fits = |line: &Value| {
        passed += 1;
        seen += usize::from(passed > from && line["process"] == process);
        seen == count
    };
    program.events.wait_for("tick", fits).await;
}

#[tokio::test]
async fn a_monitor_that_was_stopped_stays_so_until_it_is_wanted() {
    let home = Home::new(&ticking("cron = [{ every = \"50ms\" }]"));
    let mut program = home.start().await;
    ticks(&program, "beat", 3).await;
    program.api().await.delete("/monitors/beat").await.expect(204);
    for _ in 0..2 {
        program.kill().await;
        program = home.start().await;
        let api = program.ready().await;
        program.events.wait_of("monitor_stopped", "beat").await;
        let before = api.status("beat").await["scheduled_slot"].clone();
        ticks(&program, "other", 10).await;
        assert_eq!(api.status("beat").await["scheduled_slot"], before);
        assert_eq!(api.monitors().await.len(), 1);
        api.delete("/monitors/beat").await.expect(404);
    }
    let wanted = json!({ "process": "beat" });
    program.api().await.post("/monitors", &wanted).await.expect(201);
    ticks(&program, "beat", 3).await;
    program.kill().await;
    let program = home.start().await;
    ticks(&program, "beat", 3).await;
    program.api().await.post("/monitors", &wanted).await.expect(200);
    program.stop().await;
}

#[tokio::test]
async fn a_reload_takes_over_other_entries() {
    let home = Home::new(&ticking("cron = [{ every = \"1h\", data = \"old\" }]"));
    let program = home.start().await;
    let api = program.ready().await;
    home.configure(&ticking("cron = [{ every = \"50ms\", data = \"new\" }]"));
    program.signal(Signal::HUP);
    ticks(&program, "beat", 3).await;
    let status = api.status("beat").await;
    assert_eq!(status["definition_slot"], 1);
    let log = api.log("beat", Some(1)).await;
    assert!(!log.is_empty() && log.iter().all(|message| message["Data"] == "new"), "{log:?}");

    // An entry that goes takes its monitor with it; one that comes back is looked at again.
    for entry in ["", "cron = [{ every = \"50ms\", data = \"back\" }]"] {
        home.configure(&ticking(entry));
        program.signal(Signal::HUP);
        let monitors = 1 + usize::from(!entry.is_empty());
        until("the monitors fit the entries", async || (api.monitors().await.len() == monitors).then_some(())).await;
    }
    ticks(&program, "beat", 3).await;
    assert_eq!(api.log("beat", None).await.last().unwrap()["Data"], "back");

    // A process that goes takes its monitor with it, too.
    let without = Settings::default().set("monitor", "default_cron_rate = \"100ms\"");
    home.configure(&without.process("other", COUNTER, "cron = [{ every = \"50ms\" }]"));
    program.signal(Signal::HUP);
    until("the monitor is gone", async || (api.monitors().await.len() == 1).then_some(())).await;
    home.configure(&ticking("cron = [{ every = \"50ms\", data = \"again\" }]"));
    program.signal(Signal::HUP);
    ticks(&program, "beat", 3).await;
    program.stop().await;
}
