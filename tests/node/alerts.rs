//! Alerts: who hears of them, over reloads, and with receivers that are sick.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::harness::{Alertmanager, COUNTER, Home, Hook, Settings, Tarpit, leave_out, until};

/// A check of `target`, and an alert for when it is not well, with these receivers.
pub fn watching(target: &Hook, receivers: &str, more: &str) -> String {
    let url = target.url("/");
    format!(
        "[[health.check]]\nname = \"web\"\nkind = \"http\"\ntarget = {url:?}\ninterval = \"50ms\"\nfailure_threshold = 1\n\
         [[alert]]\nname = \"WebDown\"\nmetric = \"mainstay_healthy\"\nlabels = {{ check = \"web\" }}\nwhen = \"< 1\"\n\
         receivers = {receivers}\n{more}\n"
    )
}

pub fn receiver(name: &str, kind: &str, key: &str, value: &str) -> String {
    format!("[[receiver]]\nname = {name:?}\nkind = {kind:?}\n{key} = {value:?}\n")
}

pub fn settings(more: &str) -> Settings {
    Settings::default().set("metrics", "interval = \"100ms\"").process("counter", COUNTER, "").more(more)
}

pub fn is(state: &'static str) -> impl Fn(&Value) -> bool {
    move |notice| notice["state"] == state
}

#[tokio::test]
async fn a_webhook_and_a_process_hear_that_an_alert_fires_and_that_it_is_over() {
    let (target, hook) = (Hook::start().await, Hook::start().await);
    let receivers =
        receiver("hook", "webhook", "url", &hook.url("/alerts")) + &receiver("them", "process", "process", "counter");
    let home = Home::new(&settings(&(receivers + &watching(&target, "[\"hook\", \"them\", \"log\"]", ""))));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.get("/alerts").await.expect(200).json(), json!({ "alerts": [] }));
    target.answer(503);
    let firing = hook.hears("it fires", is("firing")).await;
    assert_eq!((&firing["name"], &firing["message"]), (&json!("WebDown"), &json!("Alert WebDown triggered")));
    assert_eq!((&firing["labels"], &firing["value"]), (&json!({ "check": "web" }), &json!(0.0)));
    let alerts = api.get("/alerts").await.json();
    assert_eq!(alerts["alerts"][0]["state"], "firing", "{alerts}");
    target.answer(200);
    let resolved = hook.hears("it is over", is("resolved")).await;
    assert_eq!(resolved["message"], "Alert WebDown cleared");
    let messages = until("the process hears of both", async || {
        let log = api.log("counter", Some(0)).await;
        (log.len() == 2).then_some(log)
    })
    .await;
    for (message, notice) in messages.iter().zip([&firing, &resolved]) {
        assert_eq!(message["Tags"], json!([{ "name": "Action", "value": "Alert" }]));
        let data: Value = serde_json::from_str(message["Data"].as_str().unwrap()).unwrap();
        assert_eq!(data, *notice);
    }
    let line = program.events.wait_for("alert", is("resolved")).await;
    assert_eq!(
        (&line["target"], &line["name"], &line["receiver"]),
        (&json!("alert"), &json!("WebDown"), &json!("log"))
    );
    program.stop().await;
    assert_eq!((hook.heard().len(), program.events.named("alert").len()), (2, 2));
}

#[tokio::test]
async fn a_reload_keeps_what_fires_and_ends_what_nobody_asks_for_any_more() {
    let (target, hook) = (Hook::start().await, Hook::start().await);
    let receivers = receiver("hook", "webhook", "url", &hook.url("/"));
    let before = settings(&(receivers.clone() + &watching(&target, "[\"hook\"]", "")));
    let home = Home::new(&before);
    let program = home.start().await;
    let api = program.api().await;
    target.answer(503);
    hook.hears("it fires", is("firing")).await;
    let since = api.get("/alerts").await.json()["alerts"][0]["since"].clone();
    let more = "annotations = { summary = \"{{ $labels.check }} is down\" }";
    home.configure(&settings(&(receivers.clone() + &watching(&target, "[\"hook\"]", more))));
    program.signal(Signal::HUP);
    let alert = until("the rule has other words", async || {
        let alert = api.get("/alerts").await.json()["alerts"][0].clone();
        (alert["annotations"]["summary"] == "web is down").then_some(alert)
    })
    .await;
    assert_eq!((&alert["state"], &alert["since"]), (&json!("firing"), &since));
    home.configure(&settings("").top("rule_files = [\"nowhere.yml\"]"));
    program.signal(Signal::HUP);
    program.events.wait("reload_refused").await;
    assert_eq!(hook.heard().len(), 1, "{:?}", hook.heard());
    home.configure(&settings(&receivers));
    program.signal(Signal::HUP);
    hook.hears("it is over", is("resolved")).await;
    assert_eq!(api.get("/alerts").await.json(), json!({ "alerts": [] }));
    program.stop().await;
    assert_eq!(hook.heard().len(), 2, "{:?}", hook.heard());
}

#[tokio::test]
async fn rules_of_a_rule_file_go_to_every_receiver() {
    let (target, hook) = (Hook::start().await, Hook::start().await);
    let check = watching(&target, "[]", "").split("[[alert]]").next().unwrap().to_owned();
    let receivers = receiver("hook", "webhook", "url", &hook.url("/"));
    let home = Home::new(&settings(&(receivers + &check)).top("rule_files = [\"rules.yml\"]"));
    let rule = "groups:\n- name: web\n  rules:\n  - alert: Down\n    expr: mainstay_healthy{check=\"web\"} == 0\n\
                \x20   labels: { severity: critical }\n";
    home.write("rules.yml", rule);
    let program = home.start().await;
    target.answer(503);
    let firing = hook.hears("it fires", is("firing")).await;
    assert_eq!((&firing["name"], &firing["severity"]), (&json!("Down"), &json!("critical")));
    program.events.wait("alert").await;
    program.stop().await;
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_nobody() {
    let (target, hook, tarpit) = (Hook::start().await, Hook::start().await, Tarpit::start().await);
    let receivers =
        receiver("sick", "webhook", "url", &tarpit.url()) + &receiver("hook", "webhook", "url", &hook.url("/"));
    let watching = watching(&target, "[\"sick\", \"hook\"]", "cooldown = \"1ms\"");
    let home = Home::new(&settings(&(receivers + &watching)));
    let program = home.start().await;
    let api = program.api().await;
    target.answer(503);
    tarpit.has_caught().await;
    for count in 1..=20 {
        assert_eq!(api.outcome("counter", "").await["Output"], count);
    }
    until("it is told again and again", async || (hook.heard().len() >= 10).then_some(())).await;
    target.answer(200);
    hook.hears("it is over", is("resolved")).await;
    program.stop().await;
}

#[tokio::test]
async fn a_real_alertmanager_hears_that_an_alert_fires_and_that_it_is_over() {
    let (target, hook) = (Hook::start().await, Hook::start().await);
    let manager = match Alertmanager::start(&hook.url("/")).await {
        Ok(manager) => manager,
        Err(why) => return leave_out(&why),
    };
    let receivers = receiver("manager", "alertmanager", "url", &manager.url());
    let more = "annotations = { summary = \"the web is down\" }\nseverity = \"critical\"";
    let home = Home::new(&settings(&(receivers + &watching(&target, "[\"manager\"]", more))));
    let program = home.start().await;
    target.answer(503);
    let alert = until("the Alertmanager knows it", async || manager.alerts().await.into_iter().next()).await;
    let labels = json!({ "alertname": "WebDown", "severity": "critical", "check": "web" });
    assert_eq!((&alert["labels"], &alert["status"]["state"]), (&labels, &json!("active")));
    assert_eq!(alert["annotations"]["summary"], "the web is down");
    let passed = |status: &'static str| move |told: &Value| told["status"] == status;
    hook.hears("it is passed on", passed("firing")).await;
    target.answer(200);
    until("the Alertmanager knows that it is over", async || manager.alerts().await.is_empty().then_some(())).await;
    let over = hook.hears("the end is passed on", passed("resolved")).await;
    assert_eq!((&over["alerts"][0]["labels"], &over["alerts"][0]["status"]), (&labels, &json!("resolved")));
    program.stop().await;
    assert!(program.events.named("receiver_failing").is_empty());
}
