//! Slots that take the node down: it comes back each time, and gives them up after so many ends.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Api, Home, Program, Settings, until};

/// Counts messages. `bomb` is computed for longer than anyone waits, `long` for a second or so.
const SCRIPT: &str = "
function compute(state, msg)
  state.count = (state.count or 0) + 1
  if msg.Data == 'bomb' or msg.Data == 'long' then
    print('ticking')
    local ticks = msg.Data == 'long' and 60000000 or math.huge
    while ticks > 0 do ticks = ticks - 1 end
  end
  return state.count
end
";
const LIMITS: &str = "limits = { compute_time = \"1h\", gas = 1_000_000_000_000_000 }";

fn settings(more: &str) -> Settings {
    Settings::default().process("bomber", SCRIPT, LIMITS).set("limits", more)
}

/// Kills the program as soon as the bomb ticks.
async fn kill_at_bomb(program: &Program) {
    program.events.wait_of("print", "bomber").await;
    program.kill().await;
}

async fn outcome_of(api: &Api, slot: u64) -> Value {
    api.get(&format!("/processes/bomber/compute?slot={slot}")).await.expect(200).json()["outcome"].clone()
}

/// What the start said about slots that ended the node.
fn counted(program: &Program) -> Vec<(u64, u64)> {
    let events = program.events.named("slot_crashed");
    events.iter().map(|event| (event["slot"].as_u64().unwrap(), event["crashes"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn a_slot_under_which_the_node_ends_three_times_is_given_up() {
    let home = Home::new(&settings(""));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("bomber", "a").await["Output"], 1);
    assert_eq!(api.schedule("bomber", "bomb").await, 2);
    assert_eq!(api.schedule("bomber", "b").await, 3);
    kill_at_bomb(&program).await;
    for ends in 1..=2 {
        let program = home.launch();
        program.events.wait_of("print", "bomber").await;
        assert_eq!(counted(&program), [(2, ends)]);
        program.kill().await;
    }

    let program = home.start().await;
    let api = program.api().await;
    let given_up = outcome_of(&api, 2).await;
    let error = given_up["Error"].as_str().unwrap();
    assert!(error.starts_with("crashed: the node ended 3 times while it computed this slot"), "{error}");
    assert_eq!(outcome_of(&api, 3).await["Output"], 2, "the state is that of before, and the next slot is computed");
    assert_eq!(counted(&program), [(2, 3)]);
    let crashed = program.events.wait_of("crashed", "bomber").await;
    assert_eq!((&crashed["slot"], &crashed["crashes"]), (&json!(2), &json!(3)));
    let results = api.results("bomber", None).await;
    program.kill().await;

    // What is on disk stays, and replay obeys it.
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("bomber", "c").await["Output"], 3);
    assert_eq!(api.results("bomber", None).await[..4], results[..]);
    assert_eq!(api.state("bomber").await, json!({ "count": 3 }));
    assert_eq!(counted(&program), [], "nothing was at work");
    program.stop().await;
}

#[tokio::test]
async fn a_stop_counts_nothing_however_often() {
    let home = Home::new(&settings("max_crashes = 1").set("node", "shutdown_grace = \"0s\""));
    let mut program = home.start().await;
    assert_eq!(program.api().await.schedule("bomber", "bomb").await, 1);
    for _ in 0..2 {
        program.events.wait_of("print", "bomber").await;
        program.stop().await;
        program = home.start().await;
        assert_eq!(counted(&program), [], "a stop is no crash");
    }
    kill_at_bomb(&program).await;
    let program = home.start().await;
    assert_eq!(counted(&program), [(1, 1)]);
    assert!(outcome_of(&program.api().await, 1).await["Error"].as_str().unwrap().starts_with("crashed: "));
    program.stop().await;
}

#[tokio::test]
async fn what_was_counted_against_a_slot_is_forgotten_once_it_has_an_outcome() {
    let home = Home::new(&settings("max_crashes = 2"));
    let program = home.start().await;
    assert_eq!(program.api().await.schedule("bomber", "long").await, 1);
    kill_at_bomb(&program).await;
    let program = home.start().await;
    assert_eq!(counted(&program), [(1, 1)]);
    let api = program.api().await;
    assert_eq!(outcome_of(&api, 1).await["Output"], 1);
    assert_eq!(api.schedule("bomber", "bomb").await, 2);
    let is_bomb = |event: &Value| event["slot"] == 2;
    program.events.wait_for("print", is_bomb).await;
    program.kill().await;
    let program = home.start().await;
    assert_eq!(counts(&home), [("bomber".to_owned(), 2, "compute".to_owned(), 1)]);
    program.kill().await;
}

/// What is stored of what was counted: process, slot, call, how often.
fn counts(home: &Home) -> Vec<(String, u64, String, u64)> {
    let text = std::fs::read(home.data().join("crashes")).unwrap();
    let text: Value = serde_json::from_slice(&text).unwrap();
    let calls = text["calls"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let number = |value: &Value| value.as_u64().unwrap();
    calls
        .map(|one| (word(&one["process"]), number(&one["slot"]), word(&one["call"]), number(&one["crashes"])))
        .collect()
}

/// Counts against one call as a node would that had ended under it.
fn count(home: &Home, call: &str, slot: u64, crashes: u64) {
    let calls = json!([{ "process": "bomber", "slot": slot, "call": call, "crashes": crashes }]);
    let text = json!({ "version": 1, "counted_run": 0, "calls": calls }).to_string();
    std::fs::write(home.data().join("crashes"), text).unwrap();
}

#[tokio::test]
async fn a_process_whose_replay_ends_the_node_stands_still_until_it_is_resumed() {
    let home = Home::new(&settings(""));
    let program = home.start().await;
    let api = program.api().await;
    for number in 1..=3 {
        assert_eq!(api.outcome("bomber", "a").await["Output"], number);
    }
    // An outcome may be told before it is written, but not after the message behind it.
    assert_eq!(api.schedule("bomber", "a").await, 4);
    program.kill().await;
    count(&home, "replay", 2, 3);

    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(outcome_of(&api, 3).await["Output"], 3, "what is stored is told");
    let refused = api.get("/processes/bomber/state").await.expect(409);
    assert_eq!(refused.code(), "halted");
    assert!(refused.text.contains("3 times") && refused.text.contains("slot 2"), "{}", refused.text);
    assert_eq!(api.status("bomber").await["status"], "halted");
    assert_eq!(api.schedule("bomber", "a").await, 5);
    assert_eq!(api.get("/processes/bomber/compute?slot=5").await.expect(409).code(), "halted");
    assert_eq!(api.post("/processes/bomber/resume?skip=true", &json!({})).await.expect(409).code(), "conflict");
    assert_eq!(api.post("/processes/bomber/resume", &json!({})).await.expect(200).slot(), 2);
    assert_eq!(outcome_of(&api, 5).await["Output"], 5);
    assert_eq!(api.state("bomber").await, json!({ "count": 5 }));
    assert_eq!(counts(&home), []);
    program.stop().await;
}

#[tokio::test]
async fn a_snapshot_whose_restoring_ends_the_node_is_left_out() {
    let home = Home::new(&settings(""));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("bomber", "a").await["Output"], 1);
    assert_eq!(api.post("/processes/bomber/snapshot", &json!({})).await.expect(200).slot(), 1);
    program.kill().await;
    count(&home, "restore", 1, 3);
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("bomber", "a").await["Output"], 2);
    assert_eq!(program.events.wait_of("snapshot_unusable", "bomber").await["crashes"], 3);
    program.stop().await;
}

#[tokio::test]
async fn files_of_notes_and_counts_that_make_no_sense_are_a_warning() {
    let home = Home::new(&settings(""));
    let program = home.start().await;
    assert_eq!(program.api().await.outcome("bomber", "a").await["Output"], 1);
    program.stop().await;
    let whole = std::fs::read(home.data().join("at-work")).unwrap();
    let mut newer = whole.clone();
    newer[8] = 9;
    let mut count = 1;
    for (name, bytes) in [
        ("at-work", &b""[..]),
        ("at-work", b"rubbish"),
        ("at-work", &[7; 5000]),
        ("at-work", &whole[..whole.len() - 5]),
        ("at-work", &newer),
        ("crashes", b""),
        ("crashes", b"rubbish"),
        ("crashes", br#"{"version":9,"counted_run":1,"calls":[]}"#),
    ] {
        std::fs::write(home.data().join(name), bytes).unwrap();
        let program = home.start().await;
        let event = if name == "crashes" { "crashes_unusable" } else { "notes_unusable" };
        program.events.wait(event).await;
        count += 1;
        assert_eq!(program.api().await.outcome("bomber", "a").await["Output"], count);
        program.stop().await;
        let _ = std::fs::remove_file(home.data().join("crashes"));
    }
    // No file can be put in the place of a folder.
    std::fs::remove_file(home.data().join("at-work")).unwrap();
    std::fs::create_dir_all(home.data().join("at-work/in-the-way")).unwrap();
    let program = home.start().await;
    until("both warnings", async || (program.events.named("notes_unusable").len() == 2).then_some(())).await;
    assert_eq!(program.api().await.outcome("bomber", "a").await["Output"], count + 1);
    program.stop().await;
}

/// Whether any thread is noted to work on a copy: of the 128 bytes of a cell, the first say whether it is in use, and the third
/// word says for what.
fn is_trying(home: &Home) -> bool {
    let notes = std::fs::read(home.data().join("at-work")).unwrap();
    let word = |cell: &[u8], at: usize| u64::from_ne_bytes(cell[at * 8..][..8].try_into().unwrap());
    notes.chunks(128).skip(1).any(|cell| word(cell, 0) != 0 && word(cell, 2) >> 8 == 5)
}

#[tokio::test]
async fn a_dry_run_under_which_the_node_ends_is_told_and_not_counted() {
    let home = Home::new(&settings("max_crashes = 1"));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("bomber", "a").await["Output"], 1);
    let (asking, bomb) = (api.clone(), json!({ "Data": "bomb" }));
    let asked = tokio::spawn(async move { asking.ask(Method::POST, "/processes/bomber/dry-run", Some(&bomb)).await });
    until("it is tried", async || is_trying(&home).then_some(())).await;
    program.kill().await;
    assert!(asked.await.unwrap().is_err(), "nobody answers");

    let program = home.start().await;
    let told = program.events.wait_of("trial_crashed", "bomber").await;
    assert_eq!((&told["slot"], &told["call"]), (&json!(1), &json!("trial")));
    assert_eq!((counted(&program), counts(&home)), (vec![], vec![]));
    assert_eq!(program.api().await.outcome("bomber", "a").await["Output"], 2);
    program.stop().await;
}

/// Returns far more than it holds: one text many times.
const GREEDY: &str = "
function compute(state, msg)
  state.count = (state.count or 0) + 1
  if msg.Data ~= 'big' then return state.count end
  local part, all = string.rep('x', 16 * 1024 * 1024), {}
  for n = 1, 128 do all[n] = part end
  return all
end
";

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_slot_that_takes_more_memory_than_the_machine_gives_is_given_up() {
    let limits = "limits = { compute_time = \"1h\", memory = \"1GiB\", output_size = \"8GiB\" }";
    let settings = Settings::default().process("bomber", GREEDY, limits).set("limits", "max_crashes = 2");
    let home = Home::new(&settings);
    let program = home.start().await;
    // What is mapped, in KiB, and room for what the usual takes.
    let most = program.mapped_memory() / 1024 + (512 << 10);
    program.stop().await;
    let limit = format!("ulimit -v {most} && exec \"$0\" \"$@\"");
    let start = || home.launch_by(&["sh", "-c", &limit]);

    let program = start();
    assert_eq!(program.api().await.schedule("bomber", "big").await, 1);
    assert_eq!(program.ended().await.code(), None, "a signal ends it");
    let program = start();
    assert_eq!(program.ended().await.code(), None);
    let program = start();
    let api = program.api().await;
    assert_eq!(api.outcome("bomber", "a").await["Output"], 1);
    assert!(outcome_of(&api, 1).await["Error"].as_str().unwrap().starts_with("crashed: the node ended 2 times"));
    program.stop().await;
}
