//! Alerts over restarts and crashes: who was told what is not forgotten.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::alerts::{is, receiver, settings, watching};
use super::harness::{Home, Hook, Settings, until};

/// With a webhook, and an alert for when `target` is not well.
fn hooked(target: &Hook, hook: &Hook) -> Settings {
    settings(&(receiver("hook", "webhook", "url", &hook.url("/")) + &watching(target, "[\"hook\"]", "")))
}

/// What the file of the alerts says; nothing where there is none.
fn saved(home: &Home) -> Option<Value> {
    let text = std::fs::read_to_string(home.data().join("alerts")).ok()?;
    serde_json::from_str(text.split_once('\n')?.1).ok()
}

/// Returns once the file says that `count` rules have alerts, and that everybody knows of them.
async fn is_settled(home: &Home, count: usize) {
    until("everything is told and written", async || {
        let saved = saved(home)?;
        (saved["owed"] == json!({}) && saved["rules"].as_array()?.len() == count).then_some(())
    })
    .await;
}

/// What the hook heard, in order: `firing` and `resolved`.
fn states(hook: &Hook) -> Vec<String> {
    hook.heard().iter().map(|notice| notice["state"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_alert_that_was_told_before_a_crash_is_not_told_again_and_its_end_is() {
    let (target, hook) = (Hook::start().await, Hook::start().await);
    let home = Home::new(&hooked(&target, &hook));
    let program = home.start().await;
    target.answer(503);
    hook.hears("it fires", is("firing")).await;
    let since = program.api().await.get("/alerts").await.json()["alerts"][0]["since"].clone();
    is_settled(&home, 1).await;
    program.kill().await;
    let program = home.start().await;
    program.events.wait("alerts_restored").await;
    let api = program.api().await;
    // Until it is looked at again nobody knows that the check is still ill.
    program.events.wait("unhealthy").await;
    until("it is measured", async || {
        let alert = api.get("/alerts").await.json()["alerts"].get(0)?.clone();
        let measured = api.get("/series?metric=mainstay_healthy&range=1m").await;
        let is_measured = measured.is(200) && measured.json()["samples"].as_array().is_some_and(|all| all.len() > 2);
        assert_eq!((&alert["state"], &alert["since"]), (&json!("firing"), &since));
        is_measured.then_some(())
    })
    .await;
    assert_eq!(states(&hook), ["firing"]);
    target.answer(200);
    hook.hears("it is over", is("resolved")).await;
    program.stop().await;
    assert_eq!(states(&hook), ["firing", "resolved"]);
}

#[tokio::test]
async fn an_alert_whose_rule_went_while_the_node_was_down_is_over() {
    let (target, hook) = (Hook::start().await, Hook::start().await);
    let home = Home::new(&hooked(&target, &hook));
    let program = home.start().await;
    target.answer(503);
    hook.hears("it fires", is("firing")).await;
    program.kill().await;
    home.configure(&settings(&receiver("hook", "webhook", "url", &hook.url("/"))));
    let program = home.start().await;
    hook.hears("it is over", is("resolved")).await;
    is_settled(&home, 0).await;
    program.stop().await;
}

#[tokio::test]
async fn an_end_that_nobody_took_is_told_after_the_crash() {
    let (target, hook) = (Hook::start().await, Hook::start().await);
    let home = Home::new(&hooked(&target, &hook));
    let program = home.start().await;
    target.answer(503);
    hook.hears("it fires", is("firing")).await;
    is_settled(&home, 1).await;
    hook.answer(503);
    target.answer(200);
    hook.hears("it hears of the end and refuses", is("resolved")).await;
    program.kill().await;
    let refused = hook.heard().len();
    hook.answer(200);
    let program = home.start().await;
    until("it is told once more", async || (hook.heard().len() > refused).then_some(())).await;
    is_settled(&home, 1).await;
    assert_eq!(hook.heard()[refused]["state"], "resolved");
    program.stop().await;
    let program = home.start().await;
    program.events.wait("alerts_restored").await;
    program.stop().await;
    assert_eq!(hook.heard().len(), refused + 1, "{:?}", hook.heard());
}

#[tokio::test]
async fn a_file_of_alerts_that_is_damaged_is_set_aside() {
    let (target, hook) = (Hook::start().await, Hook::start().await);
    let home = Home::new(&hooked(&target, &hook));
    let program = home.start().await;
    program.stop().await;
    assert!(!home.data().join("alerts").exists(), "there is nothing to keep");
    home.write("data/alerts", "mainstay alerts 1 0000000000000000\n{}");
    let program = home.start().await;
    let line = program.events.wait("alerts_not_restored").await;
    assert!(line["error"].as_str().unwrap().contains("alerts.damaged"), "{line}");
    target.answer(503);
    hook.hears("it fires", is("firing")).await;
    is_settled(&home, 1).await;
    assert!(home.data().join("alerts.damaged").exists());
    // A file that can't be written: the node says so once, and tells what there is to tell.
    std::fs::remove_file(home.data().join("alerts")).unwrap();
    std::fs::create_dir(home.data().join("alerts")).unwrap();
    target.answer(200);
    hook.hears("it is over", is("resolved")).await;
    program.events.wait("alerts_not_saved").await;
    program.signal(Signal::TERM);
    assert_eq!(program.ended().await.code(), Some(0));
    assert_eq!(program.events.named("alerts_not_saved").len(), 1);
}
