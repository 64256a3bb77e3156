//! `error_strategy = "throw"`: a process halts before the slot that failed, over restarts, until it is resumed.

use serde_json::{Value, json};

use super::harness::{Api, Home, Program, Settings};

/// Fails on what is bad, unless it was mended.
const STRICT: &str = "
function compute(state, msg)
  if msg.Data == 'bad' then error('no good') end
  state.count = (state.count or 0) + 1
  return state.count
end
";
const MENDED: &str = "
function compute(state, msg)
  state.count = (state.count or 0) + 1
  return state.count
end
";

fn settings(script: &str) -> Settings {
    Settings::default().process("strict", script, "error_strategy = \"throw\"")
}

/// A node whose process stands before slot 2, with slot 3 behind it.
async fn halted(home: &Home) -> (Program, Api) {
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("strict", "good").await["Output"], 1);
    let refused = api.send("strict", "bad").await.expect(409);
    assert_eq!(refused.code(), "halted");
    assert!(refused.text.contains("slot 2") && refused.text.contains("no good"), "{}", refused.text);
    assert_eq!(api.schedule("strict", "good").await, 3);
    assert_eq!(program.events.wait_of("halted", "strict").await["slot"], 2);
    check_halted(&api).await;
    (program, api)
}

async fn check_halted(api: &Api) {
    let status = api.status("strict").await;
    assert_eq!((&status["status"], &status["computed_slot"]), (&json!("halted"), &json!(1)), "{status}");
    assert!(status["error"].as_str().is_some_and(|error| error.contains("no good")), "{status}");
    for slot in [2, 3] {
        let refused = api.get(&format!("/processes/strict/compute?slot={slot}")).await.expect(409);
        assert_eq!(refused.code(), "halted");
    }
    api.get("/processes/strict/compute?slot=1").await.expect(200);
    assert_eq!(api.state("strict").await, json!({ "count": 1 }));
    assert_eq!(api.results("strict", None).await.len(), 2, "a slot that halts has no outcome");
}

fn error_of(outcome: &str) -> Value {
    serde_json::from_str::<Value>(outcome).unwrap()["Error"].clone()
}

#[tokio::test]
async fn a_halt_outlasts_restarts_and_a_skip_passes_over_the_slot() {
    let home = Home::new(&settings(STRICT));
    let (program, _) = halted(&home).await;
    program.kill().await;
    let program = home.start().await;
    check_halted(&program.api().await).await;
    program.stop().await;

    let program = home.start().await;
    let api = program.ready().await;
    check_halted(&api).await;
    assert_eq!(api.post("/processes/strict/resume?skip=true", &json!({})).await.expect(200).slot(), 2);
    assert_eq!(program.events.wait_of("resumed", "strict").await["skipped"], true);
    assert_eq!(api.get("/processes/strict/compute?slot=3").await.expect(200).json()["outcome"]["Output"], 2);
    let results = api.results("strict", None).await;
    assert!(error_of(&results[2].outcome).as_str().is_some_and(|error| error.starts_with("skipped")), "{results:?}");
    program.kill().await;

    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.results("strict", None).await, results, "replay passes over it, too");
    assert_eq!(api.state("strict").await, json!({ "count": 2 }));
    assert_eq!(api.outcome("strict", "good").await["Output"], 3);
    program.stop().await;
}

#[tokio::test]
async fn a_resume_under_the_same_code_halts_again() {
    let home = Home::new(&settings(STRICT));
    let (program, api) = halted(&home).await;
    assert_eq!(api.post("/processes/strict/resume", &json!({})).await.expect(200).slot(), 2);
    let mut halts = 0;
    let again = |_: &Value| {
        halts += 1;
        halts == 2
    };
    program.events.wait_for("halted", again).await;
    check_halted(&api).await;
    program.stop().await;
}

#[tokio::test]
async fn a_resume_after_an_edit_computes_the_slot_under_the_new_code() {
    let home = Home::new(&settings(STRICT));
    let (program, _) = halted(&home).await;
    program.stop().await;
    home.configure(&settings(MENDED));
    let program = home.start().await;
    let api = program.api().await;
    check_halted(&api).await;
    assert_eq!(api.post("/processes/strict/resume", &json!({})).await.expect(200).slot(), 2);
    assert_eq!(api.get("/processes/strict/now").await.expect(200).slot(), 4);
    assert_eq!(api.get("/processes/strict/compute?slot=2").await.expect(200).json()["outcome"]["Output"], 2);
    assert_eq!(api.state("strict").await, json!({ "count": 3 }));
    let results = api.results("strict", None).await;
    program.kill().await;

    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.results("strict", None).await, results);
    assert_eq!(api.state("strict").await, json!({ "count": 3 }));
    program.stop().await;
}

#[tokio::test]
async fn a_process_that_is_not_halted_is_not_resumed() {
    let home = Home::new(&settings(STRICT));
    let program = home.start().await;
    let refused = program.api().await.post("/processes/strict/resume", &json!({})).await.expect(409);
    assert_eq!(refused.code(), "conflict");
    program.stop().await;
}
