//! `kill -9` at random moments under load: what was said before holds afterwards.

use std::collections::HashMap;

use serde_json::Value;

use super::crash_load::{self, DEEDS, Load, PROCESSES, Witness, create_all, definition};
use super::harness::{Api, Home, Program, Random, Settings, seed};

const ROUNDS: usize = 20;
/// So many acknowledged messages of each round are sent again after it.
const SENT_AGAIN: usize = 20;

/// How far a process's log was looked through.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    /// The last slot.
    slot: Option<u64>,
    /// Outcomes without an error after slot 0.
    counted: u64,
}

#[tokio::test]
async fn kill_at_random_moments_loses_nothing_and_computes_nothing_twice() {
    let mut random = Random::new(seed("crash"));
    // Snapshots are frequent, so that kills meet them, too.
    let home = Home::new(&Settings::default().filter("info").set("workers", "process_cache_frequency = 5"));
    let mut witness = Witness::default();
    let mut reached = HashMap::new();
    let (mut created, mut taken_up) = (0, 0);

    let mut program = home.start().await;
    create_all(&program.api().await).await;
    for round in 0..ROUNDS {
        let api = program.api().await;
        let load = Load::start(&api, &mut random, witness);
        tokio::time::sleep(random.millis(20, 500)).await;
        program.kill().await;
        witness = load.over().await;

        if random.below(3) == 0 {
            // The next one dies young.
            let young = home.launch();
            tokio::time::sleep(random.millis(0, 150)).await;
            young.kill().await;
        }
        program = home.start().await;
        taken_up += taken_up_by(&program).await;
        let api = program.api().await;
        api.all_computed().await;
        let mut ids = HashMap::new();
        check_all(&api, &witness, &mut reached, &mut ids).await;
        check_created(&api, &witness.created[created..]).await;
        created = witness.created.len();
        send_again(&api, &mut witness, &ids).await;
        let (acknowledged, seen) = (witness.acknowledged.len(), witness.seen.len());
        eprintln!("round {round}: {acknowledged} messages acknowledged so far, {seen} outcomes seen");
    }
    assert!(taken_up > 0, "no kill met a message that was acknowledged and not yet computed");
    program.kill().await;
    let program = home.start().await;
    let api = program.api().await;
    api.all_computed().await;
    check_all(&api, &witness, &mut HashMap::new(), &mut HashMap::new()).await;
    check_created(&api, &witness.created).await;
    program.stop().await;
}

/// How many processes had slots to compute when the program started.
async fn taken_up_by(program: &Program) -> u64 {
    program.ready().await;
    let events = program.events.named("pending_taken_up");
    events.iter().filter_map(|event| event["processes"].as_u64()).sum()
}

/// Looks through every log from where it was looked through before.
async fn check_all(
    api: &Api,
    witness: &Witness,
    reached: &mut HashMap<String, Reached>,
    ids: &mut HashMap<String, (String, u64)>,
) {
    for number in 0..PROCESSES {
        let process = crash_load::process(number);
        let reached = reached.entry(process.clone()).or_default();
        check(api, witness, &process, reached, ids).await;
    }
}

/// Slots are dense, hold what was acknowledged, and their outcomes are what was seen, and what the messages lead to.
async fn check(
    api: &Api,
    witness: &Witness,
    process: &str,
    reached: &mut Reached,
    ids: &mut HashMap<String, (String, u64)>,
) {
    let log = api.log(process, reached.slot).await;
    let results = api.results(process, reached.slot).await;
    assert_eq!(log.len(), results.len(), "every message of {process} has an outcome");
    for (message, row) in log.iter().zip(&results) {
        let slot = reached.slot.map_or(0, |slot| slot + 1);
        let place = format!("slot {slot} of {process}");
        assert_eq!((message["Slot"].as_u64(), row.slot), (Some(slot), slot), "the slots of {process} are dense");
        reached.slot = Some(slot);
        let key = (process.to_owned(), slot);
        let id = message["Id"].as_str().expect("an id").to_owned();
        if let Some(acknowledged) = witness.acknowledged.get(&key) {
            let stored = (id.clone(), message["Data"].as_str().expect("data").to_owned());
            assert_eq!(*acknowledged, stored, "{place} holds what was acknowledged");
        }
        if let Some(seen) = witness.seen.get(&key) {
            assert_eq!(*seen, row.outcome, "the outcome of {place} is what was seen");
        }
        let before = ids.insert(id, key);
        assert_eq!(before, None, "one id has one slot");
        if slot > 0 {
            check_outcome(message, &row.outcome, &mut reached.counted, &place);
        }
    }
    for (_, slot) in
        witness.acknowledged.range((process.to_owned(), 0)..=(process.to_owned(), u64::MAX)).map(|(key, _)| key)
    {
        assert!(Some(*slot) <= reached.slot, "slot {slot} of {process} was acknowledged and is lost");
    }
    let state = api.state(process).await;
    assert_eq!(
        state["count"].as_u64().unwrap_or(0),
        reached.counted,
        "the state of {process} counts each message once"
    );
}

fn check_outcome(message: &Value, outcome: &str, counted: &mut u64, place: &str) {
    let outcome: Value = serde_json::from_str(outcome).expect("an outcome");
    let deed = &message["Tags"][0]["value"];
    let (_, error) = DEEDS.iter().find(|(name, _)| deed == name).expect("a known deed");
    let found = outcome["Error"].as_str();
    match (error, found) {
        (None, None) => {
            *counted += 1;
            assert_eq!(outcome["Output"], *counted, "{place} counts on from the slot before: {outcome}");
            let is_sent = outcome["Messages"][0]["Data"] == message["Data"];
            assert_eq!(is_sent, deed == "send", "{place} sends what it was told: {outcome}");
        }
        (Some(error), Some(found)) if found.contains(error) => assert!(outcome["Output"].is_null()),
        _ => panic!("{place} with {deed} came to {outcome}"),
    }
}

/// A process whose creation was acknowledged is there, with its slot 0 computed.
async fn check_created(api: &Api, created: &[String]) {
    for id in created {
        let answer = api.post("/processes", &definition(id)).await;
        assert_eq!(answer.status, 200, "process {id} was created and is lost: {}", answer.text);
        assert_eq!(api.status(id).await["computed_slot"], 0);
    }
}

/// A message that is sent again under its id gets the slot that it has; one that never arrived gets one now.
async fn send_again(api: &Api, witness: &mut Witness, ids: &HashMap<String, (String, u64)>) {
    let (unanswered, answered) = (std::mem::take(&mut witness.unanswered), std::mem::take(&mut witness.answered));
    for (sent, slot) in answered.iter().rev().take(SENT_AGAIN) {
        let (path, body) = sent.request("");
        assert_eq!(api.post(&path, &body).await.expect(202).slot(), *slot, "{sent:?} keeps its slot");
    }
    for sent in unanswered {
        let (path, body) = sent.request("");
        let answer = api.post(&path, &body).await.expect(202);
        if let Some((_, slot)) = sent.id.as_ref().and_then(|id| ids.get(id)) {
            assert_eq!(answer.slot(), *slot, "{sent:?} keeps the slot that it has");
        }
        witness.was_told(&sent, &answer);
    }
}
