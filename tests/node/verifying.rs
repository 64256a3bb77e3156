//! What was computed is computed again, and is the same: over idle times, restarts and `kill -9`.

use serde_json::{Value, json};

use super::harness::{Api, Home, Settings, handled, runs, with_handler};

/// Keeps a list, sends, fails, and runs out of gas.
const BUSY: &str = r#"
function init(state) state.list = {} state.sum = 0.1 end
function compute(state, msg)
  state.list[#state.list + 1] = msg.Data .. math.random(1000)
  state.sum = state.sum * 1.1 + #state.list
  if msg.Data == "fail" then error("failed", 0) end
  if msg.Data == "loop" then while true do end end
  if msg.Data == "send" then send{ Target = "other", Data = state.list[#state.list] } end
  local seen = {}
  for key, value in pairs(state) do seen[#seen + 1] = key .. type(value) end
  return { sum = state.sum, seen = seen, last = state.list[#state.list] }
end
"#;

async fn check(api: &Api, slot: u64) -> u64 {
    for slot in 0..=slot {
        let answer = api.get(&format!("/processes/busy/verify?slot={slot}")).await.expect(200);
        assert_eq!(answer.json(), json!({ "equal": true }), "slot {slot}");
    }
    assert_eq!(api.get("/processes/busy/verify").await.expect(200).json(), json!({ "equal": true }));
    slot
}

async fn send(api: &Api) -> u64 {
    let mut slot = 0;
    for data in ["a", "send", "fail", "b", "loop", "c"] {
        slot = api.send("busy", data).await.expect(200).slot();
    }
    slot
}

#[tokio::test]
async fn a_process_is_equal_after_idle_restart_and_kill() {
    let settings = Settings::default()
        .set("workers", "process_worker_max_idle = \"200ms\"")
        .set("limits", "gas = 100000")
        .process("busy", BUSY, "");
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.api().await;
    let slot = send(&api).await;
    check(&api, slot).await;
    let is_idle = |status: &Value| status["status"] == "idle";
    api.status_where("busy", "the worker is gone", is_idle).await;
    check(&api, slot).await;
    let told = program.events.wait_for("verified", |line| line["slot"] == slot).await;
    assert!(told["compared"].as_str().is_some_and(|compared| compared.starts_with("outcomes=")), "{told}");
    program.stop().await;

    let program = home.start().await;
    let api = program.api().await;
    check(&api, slot).await;
    let slot = send(&api).await;
    program.kill().await;

    let program = home.start().await;
    let api = program.api().await;
    api.all_computed().await;
    check(&api, slot).await;
    program.stop().await;

    // Other code from here on; what lies before is computed again by the old.
    home.configure(&settings.process("busy", &BUSY.replace("* 1.1", "* 1.2"), ""));
    let program = home.start().await;
    let api = program.api().await;
    let slot = send(&api).await;
    check(&api, slot).await;
    program.kill().await;
}

#[tokio::test]
async fn a_skipped_slot_and_a_halt_are_obeyed() {
    let home = Home::new(&Settings::default().process("busy", BUSY, "error_strategy = \"throw\""));
    let program = home.start().await;
    let api = program.api().await;
    api.send("busy", "a").await.expect(200);
    api.send("busy", "fail").await.expect(409);
    assert_eq!(check(&api, 1).await, 1, "a halted process can be verified up to where it stands");
    api.get("/processes/busy/verify?slot=2").await.expect(404);
    api.post("/processes/busy/resume?skip=true", &json!({})).await.expect(200);
    let slot = api.send("busy", "b").await.expect(200).slot();
    check(&api, slot).await;
    let told = program.events.wait_for("verified", |line| line["slot"] == slot).await;
    assert_eq!(told["compared"], "outcomes=3; taken=1; slots=0-3; state=worker");
    program.kill().await;
    let program = home.start().await;
    check(&program.api().await, slot).await;
    program.stop().await;
}

#[tokio::test]
async fn a_program_that_reads_the_clock_is_found_out() {
    let Some(home) = with_handler(&handled("p", "")) else { return };
    let program = home.start().await;
    let api = program.api().await;
    for data in ["", "error no", ""] {
        api.outcome("p", data).await;
    }
    let refusal = api.get("/processes/p/verify").await.expect(409).json()["error"]["message"].clone();
    assert!(refusal.as_str().is_some_and(|text| text.contains("execute=true")), "{refusal}");
    assert_eq!(runs(&home).0.len(), 3, "a program is not run for somebody who did not say so");
    let equal = json!({ "equal": true });
    assert_eq!(api.get("/processes/p/verify?execute=true").await.expect(200).json(), equal);
    let slot = api.send("p", "clock").await.expect(200).slot();
    assert_eq!(api.outcome("p", "").await["Output"], 4);
    let verified = api.get(&format!("/processes/p/verify?execute=true&slot={slot}")).await.expect(200).json();
    assert_eq!((&verified["equal"], &verified["slot"]), (&json!(false), &json!(slot)), "{verified}");
    assert!(verified["difference"].as_str().is_some_and(|text| text.starts_with("Output")), "{verified}");
    assert_eq!(api.get("/processes/p/verify?execute=true&slot=3").await.expect(200).json(), equal);
    assert_eq!(api.get("/processes/p/verify?execute=true").await.expect(200).json(), equal, "it begins at a snapshot");
    // The program itself has noticed nothing of it.
    assert_eq!(api.outcome("p", "").await["Output"], 5);
    program.kill().await;
    let program = home.start().await;
    assert_eq!(program.api().await.outcome("p", "").await["Output"], 6);
    program.stop().await;
}
