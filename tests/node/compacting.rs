//! `mainstay compact`: old ends of logs go to archives, and everything is as before.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::harness::{Api, COUNTER, Home, Program, Settings, handled, with_handler};

const SLOTS: u64 = 2000;

/// Counts, and keeps a state that is stored in files.
pub const GREAT_COUNTER: &str = r#"
function init(state)
  local seed, parts = 1, {}
  for number = 1, 12000 do
    seed = (seed * 1103515245 + 12345) % 2147483648
    parts[number] = string.format("%08x", seed)
  end
  state.count, state.pad = 0, table.concat(parts)
end
function compute(state, msg)
  state.count = state.count + 1
  return state.count
end
"#;

pub async fn compact(home: &Home, arguments: &[&str]) -> (Option<i32>, String, Program) {
    let config = home.path("mainstay.toml");
    let mut all = vec!["compact", "--config", config.to_str().unwrap()];
    all.extend(arguments);
    let program = Program::launch(config.parent().unwrap(), &all, &[]);
    let ended = program.ended().await;
    program.check_log();
    (ended.code(), ended.stderr, program)
}

/// The files two folders below `name` in the data folder.
fn files(home: &Home, name: &str) -> Vec<PathBuf> {
    let list = |path: &Path| std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    list(&home.data().join(name)).flat_map(|folder| list(&folder).collect::<Vec<_>>()).collect()
}

/// All that is shown of a log.
async fn seen(api: &Api, id: &str) -> (Vec<Value>, Vec<(u64, String)>, Vec<(u64, String)>) {
    let rows = |rows: Vec<super::harness::Row>| rows.into_iter().map(|row| (row.slot, row.outcome)).collect();
    let backwards = api.newest_results(id, 1000).await.unwrap();
    (api.log(id, None).await, rows(api.results(id, None).await), rows(backwards))
}

fn settings() -> Settings {
    let settings = Settings::default().set("workers", "process_cache_frequency = 300");
    settings.process("great", GREAT_COUNTER, "").process("small", COUNTER, "")
}

async fn fill(api: &Api) {
    for number in 1..SLOTS {
        let body = json!({ "Data": format!("message {number}"), "Id": format!("{number:043}") });
        api.post("/processes/great/schedule", &body).await.expect(202);
    }
    for _ in 0..20 {
        api.schedule("small", "").await;
    }
    api.all_computed().await;
}

#[tokio::test]
async fn an_archived_log_is_read_computed_and_restored_as_before() {
    let home = Home::new(&settings());
    let program = home.start().await;
    let api = program.api().await;
    fill(&api).await;
    let (great, small) = (seen(&api, "great").await, seen(&api, "small").await);
    let state = api.state("great").await;
    let (code, stderr, _) = compact(&home, &[]).await;
    assert_eq!(code, Some(74), "{stderr}");
    assert!(stderr.contains("in use"), "{stderr}");
    program.stop().await;

    let (code, stderr, told) = compact(&home, &["--dry-run"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("would be archived"), "{stderr}");
    let would = told.events.wait_of("would_compact", "great").await;
    assert_eq!(files(&home, "archive").len(), 0, "a dry run writes nothing");

    let (code, stderr, told) = compact(&home, &["--process", "great", "--verify"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let done = told.events.wait_of("compacted", "great").await;
    let slots = done["slots"].as_u64().unwrap();
    assert!(slots > SLOTS / 2, "{done}");
    assert_eq!((&would["slots"], &would["bytes"]), (&done["slots"], &done["bytes_before"]));
    let (before, after) = (done["bytes_before"].as_u64().unwrap(), done["bytes_after"].as_u64().unwrap());
    assert!(after < before / 4, "{done}");
    told.events.wait_of("snapshot_written_whole", "great").await;
    assert_eq!(files(&home, "archive").len(), 1);

    let program = home.start().await;
    let api = program.api().await;
    assert!(seen(&api, "great").await == great && seen(&api, "small").await == small, "the logs are what they were");
    for slot in [1, 500, slots, slots + 1, SLOTS - 1] {
        let answer = api.get(&format!("/processes/great/verify?slot={slot}")).await.expect(200).json();
        assert_eq!(answer, json!({ "equal": true }), "slot {slot}");
    }
    let again = json!({ "Data": "message 7", "Id": format!("{:043}", 7) });
    assert_eq!(api.post("/processes/great/schedule", &again).await.slot(), 7, "its id is still known");
    let other = json!({ "Data": "another", "Id": format!("{:043}", 7) });
    assert_eq!(api.post("/processes/great/schedule", &other).await.expect(409).code(), "id_reused");
    assert_eq!(api.state("great").await, state);
    program.stop().await;

    let (code, stderr, told) = compact(&home, &["--process", "great"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    told.events.wait_of("nothing_to_compact", "great").await;

    for file in files(&home, "snapshots") {
        std::fs::write(file, "damaged").unwrap();
    }
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.state("great").await, state, "it is restored from the archive");
    program.events.wait_of("snapshot_unusable", "great").await;
    assert_eq!(api.outcome("great", "").await["Output"], SLOTS);
    let great = seen(&api, "great").await;
    program.stop().await;

    // What stopped wrote a new snapshot, with which the damaged ones went.
    let (code, stderr, _) = compact(&home, &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let begins = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("great-1-");
    let archive = files(&home, "archive").into_iter().find(begins).unwrap();
    let program = home.start().await;
    let api = program.api().await;
    assert!(seen(&api, "great").await == great);
    let good = std::fs::read(&archive).unwrap();
    std::fs::remove_file(&archive).unwrap();
    let refused = api.get("/processes/great/results?limit=5").await.expect(503).text;
    assert!(refused.contains("slot 1 of process great") && refused.contains(archive.to_str().unwrap()), "{refused}");
    let unverified = api.get("/processes/great/verify?slot=5").await.expect(503).json();
    assert_eq!(unverified["error"]["code"], "store", "{unverified}");
    assert_eq!(api.outcome("great", "").await["Output"], SLOTS + 1, "what is new does not need it");
    std::fs::write(&archive, good).unwrap();
    api.get("/processes/great/results?limit=5").await.expect(200);
    program.stop().await;
}

#[tokio::test]
async fn a_process_whose_oldest_snapshot_is_damaged_is_left_alone() {
    let home = Home::new(&settings());
    let program = home.start().await;
    let api = program.api().await;
    fill(&api).await;
    let great = seen(&api, "great").await;
    program.stop().await;
    for file in files(&home, "snapshots") {
        std::fs::write(file, "damaged").unwrap();
    }
    let (code, stderr, told) = compact(&home, &["--dry-run"]).await;
    assert_eq!(code, Some(65), "{stderr}");
    assert!(stderr.contains("1 would be left alone"), "{stderr}");
    let would = told.events.wait_of("not_compacted", "great").await;
    assert_eq!(files(&home, "archive").len(), 0, "a dry run writes nothing");
    let (code, stderr, told) = compact(&home, &[]).await;
    assert_eq!(code, Some(65), "{stderr}");
    assert!(stderr.contains("1 left alone"), "{stderr}");
    let line = told.events.wait_of("not_compacted", "great").await;
    assert!(line["reason"].as_str().unwrap().contains("cannot be relied upon"), "{line}");
    assert!(would["reason"].as_str().unwrap().contains("cannot be relied upon"), "{would}");
    assert_eq!(files(&home, "archive").len(), usize::from(!told.events.named("compacted").is_empty()));
    let program = home.start().await;
    let api = program.api().await;
    assert!(seen(&api, "great").await == great);
    assert_eq!(api.outcome("great", "").await["Output"], SLOTS);
    program.stop().await;
    let (code, stderr, _) = compact(&home, &["--process", "nobody"]).await;
    assert_eq!(code, Some(78), "{stderr}");
    assert!(stderr.contains("no such process"), "{stderr}");
}

#[tokio::test]
async fn what_a_killed_one_left_is_finished_the_next_time() {
    let home = Home::new(&settings());
    let program = home.start().await;
    let api = program.api().await;
    fill(&api).await;
    let great = seen(&api, "great").await;
    program.stop().await;
    let config = home.path("mainstay.toml");
    let arguments = ["compact", "--config", config.to_str().unwrap()];
    let killed = Program::launch(config.parent().unwrap(), &arguments, &[]);
    killed.events.wait_of("snapshot_written_whole", "great").await;
    killed.kill().await;

    let program = home.start().await;
    let api = program.api().await;
    assert!(seen(&api, "great").await == great);
    assert_eq!(api.outcome("great", "").await["Output"], SLOTS);
    let great = seen(&api, "great").await;
    program.stop().await;
    let (code, stderr, _) = compact(&home, &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(files(&home, "archive").iter().all(|file| file.extension().is_some_and(|ending| ending == "log")));
    let program = home.start().await;
    let api = program.api().await;
    assert!(seen(&api, "great").await == great);
    assert_eq!(api.get("/processes/great/verify?slot=1500").await.expect(200).json(), json!({ "equal": true }));
    program.stop().await;
}

#[tokio::test]
async fn what_a_program_computed_is_archived_and_never_run_again() {
    let Some(home) = with_handler(&handled("p", "")) else { return };
    let program = home.start().await;
    let api = program.api().await;
    for _ in 0..30 {
        api.outcome("p", "").await;
    }
    let before = seen(&api, "p").await;
    program.stop().await;
    let (code, stderr, told) = compact(&home, &["--verify"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(told.events.wait_of("compacted", "p").await["slots"].as_u64().unwrap() > 20);
    let program = home.start().await;
    let api = program.api().await;
    assert!(seen(&api, "p").await == before);
    assert_eq!(super::harness::runs(&home).0.len(), 30);
    assert_eq!(api.outcome("p", "").await["Output"], 31);
    program.stop().await;
}

#[tokio::test]
async fn modules_that_the_node_compiled_are_not_compiled_again() {
    let home = super::modules::home();
    let program = home.start().await;
    let api = program.api().await;
    for _ in 0..8 {
        api.outcome("counter", "").await;
    }
    api.post("/processes/counter/snapshot", &json!({})).await.expect(200);
    program.stop().await;
    let compiled = home.data().join("compiled");
    for is_there in [true, false] {
        if !is_there {
            std::fs::remove_dir_all(&compiled).unwrap();
        }
        let (code, stderr, told) = compact(&home, &["--dry-run"]).await;
        assert_eq!(code, Some(0), "{stderr}");
        told.events.wait_of("would_compact", "counter").await;
        assert_eq!(told.events.named("module_compiled").is_empty(), is_there);
        assert_eq!(compiled.exists(), is_there, "what is not there is not made");
    }
}
