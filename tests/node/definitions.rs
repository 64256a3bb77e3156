//! Processes of the configuration over restarts: edited, removed, in each other's way.

use serde_json::json;

use super::harness::{COUNTER, COUNTER_BY_TEN, Home, Settings};

#[tokio::test]
async fn an_edited_script_is_a_new_definition_over_the_same_state() {
    let settings = Settings::default().process("counter", COUNTER, "");
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.api().await;
    for count in 1..=3 {
        assert_eq!(api.outcome("counter", "").await["Output"], count);
    }
    program.stop().await;

    home.configure(&settings.process("counter", COUNTER_BY_TEN, ""));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.status("counter").await["definition_slot"], 4);
    assert_eq!(api.state("counter").await, json!({ "count": 3 }));
    assert_eq!(api.outcome("counter", "").await["Output"], 13);
    program.kill().await;

    // Nothing was edited since.
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.status("counter").await["definition_slot"], 4);
    assert_eq!(api.state("counter").await, json!({ "count": 13 }));
    let log = api.log("counter", None).await;
    let kinds: Vec<_> = log.iter().map(|message| message["Tags"][0]["value"].as_str().unwrap_or("")).collect();
    assert_eq!(kinds, ["Process", "", "", "", "Process", ""], "a definition has a slot like any message");
    program.stop().await;
}

#[tokio::test]
async fn other_limits_are_a_new_definition_too() {
    let settings = Settings::default().process("counter", COUNTER, "");
    let home = Home::new(&settings);
    home.start().await.stop().await;
    home.configure(&settings.clone().set("limits", "gas = 12345678"));
    let program = home.start().await;
    assert_eq!(program.api().await.status("counter").await["definition_slot"], 1);
    program.stop().await;
}

#[tokio::test]
async fn a_process_that_leaves_the_file_is_retired_and_comes_back() {
    let settings = Settings::default().process("stays", COUNTER, "");
    let both = settings.clone().process("leaves", COUNTER, "");
    let home = Home::new(&both);
    let program = home.start().await;
    let before = program.api().await;
    assert_eq!(before.outcome("leaves", "").await["Output"], 1);
    let log = before.log("leaves", None).await;
    program.stop().await;

    home.configure(&settings);
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.log("leaves", None).await, log);
    assert_eq!(api.results("leaves", None).await.len(), 2);
    let refused = api.send("leaves", "").await.expect(409);
    assert_eq!(refused.code(), "conflict");
    assert!(refused.text.contains("retired"), "{}", refused.text);
    assert_eq!(api.outcome("stays", "").await["Output"], 1);
    program.stop().await;

    home.configure(&both);
    let program = home.start().await;
    assert_eq!(program.api().await.outcome("leaves", "").await["Output"], 2);
    program.stop().await;
}

#[tokio::test]
async fn a_configured_process_does_not_take_the_place_of_a_created_one() {
    let settings = Settings::default();
    let home = Home::new(&settings);
    let program = home.start().await;
    program.api().await.create("mine", COUNTER, json!({})).await;
    program.stop().await;

    home.configure(&settings.clone().process("mine", COUNTER, ""));
    let ended = home.launch().ended().await;
    assert_eq!(ended.code(), Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("mine") && ended.stderr.contains("created over HTTP"), "{}", ended.stderr);

    home.configure(&settings);
    let program = home.start().await;
    assert_eq!(program.api().await.outcome("mine", "").await["Output"], 1);
    program.stop().await;
}

#[tokio::test]
async fn a_created_process_does_not_take_the_place_of_a_configured_one() {
    let home = Home::new(&Settings::default().process("counter", COUNTER, ""));
    let program = home.start().await;
    let api = program.api().await;
    let body = json!({ "id": "counter", "device": "lua", "source": COUNTER });
    assert_eq!(api.post("/processes", &body).await.expect(409).code(), "conflict");
    program.stop().await;
}
