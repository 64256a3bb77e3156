//! Results of a process elsewhere, pulled from its compute unit.

use serde_json::{Value, json};

use super::harness::{Api, COUNTER, Home, Mood, Random, Relay, Settings, Unit, seed, until};

const ROUNDS: usize = 8;

fn home() -> Home {
    Home::new(&Settings::default().process("sink", COUNTER, ""))
}

fn wanted(unit: &Unit) -> Value {
    json!({ "process": "outside", "source": unit.url(), "rate": "50ms" })
}

/// What the sink was sent.
async fn received(api: &Api) -> Vec<u64> {
    let log = api.log("sink", Some(0)).await;
    assert!(log.iter().all(|message| message["From"] == "outside" && message["Target"] == "sink"));
    log.iter().map(|message| message["Data"].as_str().unwrap().parse().unwrap()).collect()
}

/// Waits until the monitor is as it should be.
async fn monitor_where(api: &Api, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    until(what, async || api.monitors().await.into_iter().find(|one| one["process"] == "outside" && fits(one))).await
}

/// Waits until the sink was sent so much.
async fn arrived(api: &Api, count: u64) {
    api.status_where("sink", "every result", |status| status["scheduled_slot"].as_u64() >= Some(count)).await;
}

#[tokio::test]
async fn results_arrive_once_and_in_order_whenever_the_node_dies() {
    let mut random = Random::new(seed("outside"));
    let unit = Unit::start("sink").await;
    let home = home();
    let mut program = home.start().await;
    program.api().await.post("/monitors", &wanted(&unit)).await.expect(201);
    let mut all = 0;
    for _ in 0..ROUNDS {
        all = unit.add(random.below(20) + 1);
        tokio::time::sleep(random.millis(0, 300)).await;
        program.kill().await;
        program = home.start().await;
    }
    let api = program.api().await;
    arrived(&api, all).await;
    assert_eq!(received(&api).await, (1..=all).collect::<Vec<_>>());
    let last = all.to_string();
    monitor_where(&api, "the cursor stands behind the last result", |one| one["cursor"] == last.as_str()).await;

    // The cursor outlives the node: what is asked for next is what comes after it.
    program.kill().await;
    unit.take_asked();
    let program = home.start().await;
    let api = program.api().await;
    let asked = until("it asks again", async || unit.take_asked().into_iter().next()).await;
    assert_eq!(asked, ("/cron/outside".to_owned(), Some(last)));
    let all = unit.add(3);
    arrived(&api, all).await;
    assert_eq!(received(&api).await, (1..=all).collect::<Vec<_>>());

    api.delete("/monitors/outside").await.expect(204);
    program.kill().await;
    let program = home.start().await;
    assert!(program.ready().await.monitors().await.is_empty());
    // Wanted again, it begins where it is told.
    let mut again = wanted(&unit);
    again["cursor"] = json!((all - 1).to_string());
    let api = program.api().await;
    api.post("/monitors", &again).await.expect(201);
    let last = all.to_string();
    monitor_where(&api, "it has caught up", |one| one["cursor"] == last.as_str()).await;
    api.post("/monitors", &again).await.expect(200);
    let all = unit.add(1);
    until("the new one", async || (received(&api).await.last() == Some(&all)).then_some(())).await;
    assert_eq!(received(&api).await, (1..=all).collect::<Vec<_>>(), "what was taken before is not taken again");
    program.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_is_told_and_passes() {
    let unit = Unit::start("sink").await;
    let home = home();
    let program = home.start().await;
    let api = program.api().await;
    api.post("/monitors", &wanted(&unit)).await.expect(201);
    let mut all = 0;
    for (mood, part) in [(Mood::Failing, "500"), (Mood::Confused, "pageInfo is missing")] {
        all = unit.add(10);
        arrived(&api, all).await;
        unit.be(mood);
        let shown = monitor_where(&api, "the error", |one| one["last_error"].is_string()).await;
        let error = shown["last_error"].as_str().unwrap();
        assert!(error.contains(part) && error.contains(&unit.url()), "{error}");
        unit.add(5);
        unit.be(Mood::Good);
        all += 5;
        arrived(&api, all).await;
        let shown = monitor_where(&api, "no error", |one| one["last_error"].is_null()).await;
        assert_eq!(shown["source"], unit.url());
    }
    let line = program.events.wait_of("monitor_error", "outside").await;
    assert_eq!((&line["target"], &line["level"]), (&json!("monitor"), &json!("WARN")));
    assert_eq!(received(&api).await, (1..=all).collect::<Vec<_>>());
    let shown = monitor_where(&api, "all is counted", |one| one["pushed"] == all).await;
    assert!(shown["ticks"].as_u64() >= Some(4), "{shown}");
    program.stop().await;
}

#[tokio::test]
async fn a_monitor_that_is_started_again_keeps_what_still_waits_to_be_delivered() {
    let (unit, relay) = (Unit::start("far").await, Relay::start(Random::new(seed("again")), u64::MAX).await);
    let home = Home::new(&Settings::default().route("far", &relay.url()));
    let program = home.start().await;
    let api = program.api().await;
    let mut from = Value::Null;
    for _ in 0..2 {
        let last = json!(unit.add(5).to_string());
        let mut wanted = wanted(&unit);
        wanted["cursor"] = from;
        api.post("/monitors", &wanted).await.expect(201);
        monitor_where(&api, "all is taken over", |one| one["cursor"] == last).await;
        api.delete("/monitors/outside").await.expect(204);
        from = last;
    }
    let far = Home::new(&Settings::default().process("far", COUNTER, ""));
    let receiver = far.start().await;
    relay.lead_to(receiver.address().await);
    let far = receiver.api().await;
    until("the last message", async || {
        far.log("far", Some(0)).await.iter().any(|one| one["Data"] == "10").then_some(())
    })
    .await;
    let log = far.log("far", Some(0)).await;
    let numbers: Vec<u64> = log.iter().map(|message| message["Data"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    program.stop().await;
    receiver.stop().await;
}

#[tokio::test]
async fn a_monitor_that_is_stopped_in_the_midst_of_its_work_stays_so() {
    let mut random = Random::new(seed("stopped"));
    let unit = Unit::start("sink").await;
    unit.add(100_000);
    let home = home();
    let program = home.start().await;
    let api = program.api().await;
    for number in 0..30 {
        let id = format!("outside-{number}");
        let wanted = json!({ "process": id, "source": unit.url(), "rate": "10ms" });
        api.post("/monitors", &wanted).await.expect(201);
        tokio::time::sleep(random.millis(0, 40)).await;
        api.delete(&format!("/monitors/{id}")).await.expect(204);
    }
    assert!(api.monitors().await.is_empty());
    program.stop().await;
    let program = home.start().await;
    let monitors = program.ready().await.monitors().await;
    assert!(monitors.is_empty(), "{} of 30 came back: {monitors:#?}", monitors.len());
    program.stop().await;
}

#[tokio::test]
async fn a_letter_that_had_arrived_in_truth_is_not_delivered_again() {
    let (unit, relay) = (Unit::start("far").await, Relay::start(Random::new(seed("arrived")), 1).await);
    let home = Home::new(&Settings::default().set("push", "attempts = 2").route("far", &relay.url()));
    let far = Home::new(&Settings::default().process("far", COUNTER, ""));
    let (program, receiver) = (home.start().await, far.start().await);
    relay.lead_to(receiver.address().await);
    let (api, far) = (program.api().await, receiver.api().await);
    unit.add(1);
    api.post("/monitors", &wanted(&unit)).await.expect(201);
    let letter = until("the letter", async || api.dead_letters().await.into_iter().next()).await;
    assert_eq!(far.log("far", Some(0)).await.len(), 1, "only the answers were lost");
    relay.lose(u64::MAX);
    api.post(&format!("/dead-letters/{}/retry", letter["id"].as_str().unwrap()), &json!({})).await.expect(200);
    let log = far.log("far", Some(0)).await;
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(log[0]["Id"], letter["id"]);
    program.stop().await;
    receiver.stop().await;
}
