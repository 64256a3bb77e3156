//! Messages from one node to another: over a bad line, to a node that dies, beside one that does not answer.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::harness::{Api, COUNTER, Home, Random, Relay, Settings, Tarpit, seed, until};

/// So many messages go to each target, in so many parts between deaths.
const PARTS: usize = 4;
const IN_A_PART: usize = 15;
/// One of so many answers is lost.
const LOST: u64 = 4;
/// `shutdown_grace` as the test of a stop sets it.
const GRACE: Duration = Duration::from_secs(1);

/// Sends its count to each target that is named.
const SENDER: &str = "
function compute(state, msg)
  state.count = (state.count or 0) + 1
  for target in string.gmatch(msg.To, '%S+') do send{ Target = target, Data = tostring(state.count) } end
end
";

async fn send(api: &Api, targets: &str) {
    let message = json!({ "Tags": { "To": targets } });
    api.post("/processes/sender/schedule", &message).await.expect(202);
}

fn numbers(log: &[Value]) -> Vec<usize> {
    log.iter().map(|message| message["Data"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn messages_arrive_once_and_in_order_though_answers_are_lost_and_nodes_die() {
    let mut random = Random::new(seed("two_nodes"));
    let relay = Relay::start(random.branch(), LOST).await;
    let far = Home::new(&Settings::default().process("far-1", COUNTER, "").process("far-2", COUNTER, ""));
    let near = Home::new(&Settings::default().route("far-*", &relay.url()).process("sender", SENDER, ""));
    let (mut receiver, mut sender) = (far.start().await, near.start().await);
    for part in 0..PARTS {
        relay.lead_to(receiver.address().await);
        let api = sender.api().await;
        for _ in 0..IN_A_PART {
            send(&api, "far-1 far-2").await;
        }
        tokio::time::sleep(random.millis(0, 400)).await;
        receiver.kill().await;
        if part % 2 == 1 {
            sender.kill().await;
            sender = near.start().await;
        }
        receiver = far.start().await;
    }
    relay.lead_to(receiver.address().await);
    let api = receiver.api().await;
    for target in ["far-1", "far-2"] {
        let all = PARTS * IN_A_PART;
        api.status_where(target, "every message", |status| status["scheduled_slot"].as_u64() >= Some(all as u64)).await;
        let log = api.log(target, Some(0)).await;
        assert_eq!(numbers(&log), (1..=all).collect::<Vec<_>>(), "{target}");
    }
    assert!(relay.lost() > 0, "no answer was lost");
    eprintln!("{} answers were lost", relay.lost());
    assert!(sender.api().await.dead_letters().await.is_empty());
    sender.stop().await;
    receiver.stop().await;
}

#[tokio::test]
async fn a_node_that_does_not_answer_delays_nobody_else() {
    let tarpit = Tarpit::start().await;
    let far = Home::new(&Settings::default().process("far", COUNTER, ""));
    let receiver = far.start().await;
    let settings = Settings::default().set("node", "shutdown_grace = \"1s\"").set("push", "in_flight = 2");
    let settings =
        settings.route("slow-*", &tarpit.url()).route("far", &format!("http://{}", receiver.address().await));
    let near = Home::new(&settings.process("sender", SENDER, "").process("local", COUNTER, ""));
    let sender = near.start().await;
    let api = sender.api().await;
    for _ in 0..10 {
        send(&api, "slow-1 slow-2 slow-3 local far").await;
    }
    tarpit.has_caught().await;
    for (api, target) in [(&api, "local"), (&receiver.api().await, "far")] {
        api.status_where(target, "all that it was sent", |status| status["computed_slot"] == 10).await;
        assert_eq!(numbers(&api.log(target, Some(0)).await), (1..=10).collect::<Vec<_>>());
    }
    assert!(api.dead_letters().await.is_empty());
    // With requests under way that nobody answers, it stops in good order all the same.
    let stopping = Instant::now();
    sender.stop().await;
    assert!(stopping.elapsed() < GRACE * 10, "the stop took {:?}", stopping.elapsed());
    receiver.stop().await;
}

#[tokio::test]
async fn a_process_whose_outbox_is_full_goes_on_when_there_is_room() {
    let relay = Relay::start(Random::new(seed("room")), u64::MAX).await;
    let far = Home::new(&Settings::default().process("far", COUNTER, ""));
    let sending = Settings::default().route("far", &relay.url());
    let near = Home::new(&sending.process("sender", SENDER, "limits = { outbox = 2 }"));
    let sender = near.start().await;
    let api = sender.api().await;
    for _ in 0..6 {
        send(&api, "far").await;
    }
    let full = api.status_where("sender", "the outbox is full", |status| status["error"].is_string()).await;
    assert_eq!((&full["computed_slot"], &full["queue"]), (&json!(2), &json!(4)));
    sender.kill().await;
    let sender = near.start().await;
    let api = sender.ready().await;
    let full = api.status_where("sender", "it is still full", |status| status["error"].is_string()).await;
    assert_eq!(full["computed_slot"], 2);
    let receiver = far.start().await;
    relay.lead_to(receiver.address().await);
    let done = api.status_where("sender", "there is room", |status| status["computed_slot"] == 6).await;
    assert_eq!(done["queue"], 0);
    let api = receiver.api().await;
    let log = until("every message", async || Some(api.log("far", Some(0)).await).filter(|log| log.len() == 6)).await;
    assert_eq!(numbers(&log), [1, 2, 3, 4, 5, 6]);
    sender.stop().await;
    receiver.stop().await;
}

#[tokio::test]
async fn what_another_node_does_not_take_becomes_a_dead_letter_and_can_be_sent_again() {
    let relay = Relay::start(Random::new(seed("letter")), u64::MAX).await;
    let settings = Settings::default().set("push", "attempts = 3").route("far*", &relay.url());
    let near = Home::new(&settings.process("sender", SENDER, ""));
    let far = Home::new(&Settings::default().process("far", COUNTER, ""));
    let sender = near.start().await;
    let api = sender.api().await;
    // Nobody is there; then somebody who does not know one of them.
    send(&api, "far").await;
    let letters = async |count: usize| -> Vec<Value> {
        until("the letters", async || Some(api.dead_letters().await).filter(|all| all.len() == count)).await
    };
    let letter = letters(1).await.remove(0);
    assert_eq!((&letter["attempts"], &letter["target"]), (&json!(3), &json!("far")));
    let retry = format!("/dead-letters/{}/retry", letter["id"].as_str().unwrap());
    api.post(&retry, &json!({})).await.expect(409);
    let receiver = far.start().await;
    relay.lead_to(receiver.address().await);
    send(&api, "far far-away").await;
    let unknown = letters(2).await.into_iter().find(|letter| letter["target"] == "far-away").unwrap();
    let error = unknown["error"].as_str().unwrap();
    assert!(error.contains("404") && error.contains("far-away"), "{error}");

    api.post(&retry, &json!({})).await.expect(200);
    let far = receiver.api().await;
    let log = until("both messages", async || Some(far.log("far", Some(0)).await).filter(|log| log.len() == 2)).await;
    assert_eq!(numbers(&log), [2, 1], "what was given up comes after what was sent meanwhile");
    assert_eq!(log[1]["Id"], letter["id"]);
    assert_eq!(letters(1).await[0]["id"], unknown["id"]);
    sender.stop().await;
    receiver.stop().await;
}
