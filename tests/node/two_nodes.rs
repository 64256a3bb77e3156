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

/// Answers each number with the next one, for ever.
fn answering(other: &str) -> String {
    format!("function compute(state, msg) send{{ Target = '{other}', Data = tostring(tonumber(msg.Data) + 1) }} end")
}

/// Two nodes that send each other messages under these limits. Returns what each got, and the letters at each.
async fn game(near: &str, far: &str) -> ([Vec<usize>; 2], [Vec<Value>; 2]) {
    let relay = Relay::start(Random::new(seed("game")), u64::MAX).await;
    let far = Settings::default().set("push", far).route("ping", &relay.url());
    let far = Home::new(&far.process("pong", &answering("ping"), ""));
    let there = far.start().await;
    let near = Settings::default().set("push", near).route("pong", &format!("http://{}", there.address().await));
    let near = Home::new(&near.process("ping", &answering("pong"), ""));
    let here = near.start().await;
    relay.lead_to(here.address().await);
    let (api, far_api) = (here.api().await, there.api().await);
    api.schedule("ping", "0").await;
    let root = api.log("ping", Some(0)).await[0]["Id"].as_str().unwrap().to_owned();
    let letters = until("a dead letter", async || {
        let letters = [api.dead_letters().await, far_api.dead_letters().await];
        letters.iter().any(|letters| !letters.is_empty()).then_some(letters)
    })
    .await;
    let error = letters.concat()[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains(&root), "{error} names the message that began it");
    let got = [numbers(&api.log("ping", Some(0)).await), numbers(&far_api.log("pong", Some(0)).await)];
    here.stop().await;
    there.stop().await;
    (got, letters)
}

fn error(letters: &[Value]) -> &str {
    assert_eq!(letters.len(), 1, "{letters:?}");
    letters[0]["error"].as_str().unwrap()
}

#[tokio::test]
async fn two_nodes_that_answer_each_other_stop_at_the_depth() {
    let (got, [near, far]) = game("max_depth = 6", "max_depth = 6").await;
    assert_eq!(got, [vec![0, 2, 4, 6], vec![1, 3, 5]]);
    assert!(far.is_empty() && error(&near).starts_with("limit push.max_depth: 6 pushes one after the other"));
}

#[tokio::test]
async fn the_stricter_of_two_nodes_counts_and_the_sender_has_the_dead_letter() {
    let (got, [near, far]) = game("max_depth = 60", "max_depth = 4").await;
    assert_eq!(got, [vec![0, 2, 4], vec![1, 3]]);
    let error = error(&near);
    assert!(far.is_empty() && error.contains("508") && error.contains("limit push.max_depth"), "{error}");
}

#[tokio::test]
async fn two_nodes_that_answer_each_other_stop_at_the_number() {
    let (got, [near, far]) = game("max_messages = 5", "max_messages = 50").await;
    assert_eq!(got, [vec![0, 2, 4], vec![1, 3, 5]]);
    assert!(near.is_empty() && error(&far).starts_with("limit push.max_messages: "), "{far:?}");
}

#[tokio::test]
async fn a_chain_goes_on_at_the_node_that_computes() {
    let far = Settings::default().set("push", "max_depth = 1").process("p", &answering("sink"), "");
    let far = Home::new(&far.process("sink", COUNTER, ""));
    let there = far.start().await;
    let near = Settings::default().remote("p", &format!("http://{}", there.address().await), "");
    let near = Home::new(&near.process("ping", &answering("p"), ""));
    let here = near.start().await;
    let (api, far_api) = (here.api().await, there.api().await);
    // By itself it may send; as what a push led to it may not.
    api.schedule("p", "1").await;
    api.schedule("ping", "2").await;
    let root = api.log("ping", Some(0)).await[0]["Id"].as_str().unwrap().to_owned();
    let letters =
        until("a dead letter", async || Some(far_api.dead_letters().await).filter(|all| !all.is_empty())).await;
    let error = error(&letters);
    assert!(error.starts_with("limit push.max_depth: 1 pushes") && error.contains(&root), "{error}");
    let told =
        until("a message", async || Some(far_api.log("sink", Some(0)).await).filter(|log| !log.is_empty())).await;
    assert_eq!(numbers(&told), [2]);
    here.stop().await;
    there.stop().await;
}
