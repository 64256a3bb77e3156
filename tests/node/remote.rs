//! Processes that another node computes, or a compute unit: what is computed there is stored here, once, whoever dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::harness::{Api, COUNTER, Home, Random, Relay, Settings, Stub, Tarpit, handled, seed, until, with_handler};

/// So many messages come by each road, in so many parts between deaths.
const PARTS: usize = 6;
const IN_A_PART: usize = 4;
/// Nothing is lost on the way, in practice.
const NEVER: u64 = u64::MAX;
/// Every answer is lost.
const ALWAYS: u64 = 1;

/// Counts, and tells its count to `sink`.
const TELLER: &str = "
function compute(state, msg)
  if msg.Data == 'fail' then error('I cannot') end
  if msg.Data == 'long' then return string.rep('x', 5000) end
  if msg.Data == 'many' then for i = 1, 20 do send{ Target = 'sink', Data = 'many' } end return 0 end
  state.count = (state.count or 0) + 1
  state.from = msg.From
  send{ Target = 'sink', Data = tostring(state.count) }
  return state.count
end
";

/// Sends on what it gets.
const SENDER: &str = "function compute(state, msg) send{ Target = 'p', Data = msg.Data } end";

fn teller() -> Home {
    Home::new(&Settings::default().process("p", TELLER, "").process("sink", COUNTER, ""))
}

fn random(name: &str) -> Random {
    Random::new(seed(name))
}

fn ids(log: &[Value]) -> Vec<&str> {
    log.iter().map(|message| message["Id"].as_str().unwrap()).collect()
}

fn datas(log: &[Value]) -> Vec<&str> {
    log.iter().map(|message| message["Data"].as_str().unwrap()).collect()
}

async fn all_computed(api: &Api, id: &str) {
    api.status_where(id, "everything is computed", |status| status["computed_slot"] == status["scheduled_slot"]).await;
}

#[tokio::test]
async fn what_is_computed_there_is_stored_here() {
    let far = teller();
    let there = far.start().await;
    let url = format!("http://{}", there.address().await);
    let near = Home::new(&Settings::default().remote("p", &url, "kind = \"mainstay\""));
    let here = near.start().await;
    let (api, far_api) = (here.api().await, there.api().await);
    let first = api.post("/processes/p/schedule?wait=25s", &json!({ "Data": "1", "Tags": { "A": "ä" } })).await;
    let first = first.expect(200).json();
    assert_eq!((&first["slot"], &first["outcome"]["Output"]), (&json!(1), &json!(1)));
    // What it sends is delivered by the node that computes it, and by that one alone.
    assert_eq!(first["outcome"]["Messages"], json!([]));
    assert_eq!(api.outcome("p", "fail").await["Error"].as_str().map(|error| error.contains("I cannot")), Some(true));
    assert_eq!(api.outcome("p", "").await["Output"], 2);
    let (log, far_log) = (api.log("p", Some(0)).await, far_api.log("p", Some(0)).await);
    assert_eq!(ids(&log), ids(&far_log), "the ids are the same");
    assert_eq!((&far_log[0]["Tags"], &far_log[0]["From"]), (&log[0]["Tags"], &json!("local")));
    until("both counts are told", async || {
        let told = far_api.log("sink", Some(0)).await;
        (datas(&told) == ["1", "2"]).then_some(())
    })
    .await;
    assert_eq!(api.dead_letters().await, Vec::<Value>::new());
    assert_eq!(api.state("p").await, json!({ "count": 2, "from": "local" }));
    let tried = api.post("/processes/p/dry-run", &json!({ "Data": "" })).await.expect(200).json();
    assert_eq!((&tried["outcome"]["Output"], &tried["slot"]), (&json!(3), &json!(3)));
    assert_eq!(tried["outcome"]["Messages"][0]["Data"], "3", "what would be sent is shown");
    api.delete("/processes/p/worker").await.expect(204);
    let before = api.results("p", None).await;
    here.kill().await;
    let here = near.start().await;
    let api = here.api().await;
    assert_eq!(api.outcome("p", "").await["Output"], 3);
    assert_eq!(api.results("p", None).await[..before.len()], before[..]);
    assert_eq!(far_api.status("p").await["scheduled_slot"], 4, "nobody is asked again for what is stored");
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn a_node_that_is_away_is_waited_for() {
    let relay = Relay::start(random("away"), NEVER).await;
    let near = Home::new(&Settings::default().remote("p", &relay.url(), ""));
    let here = near.start().await;
    let api = here.api().await;
    assert_eq!(api.schedule("p", "1").await, 1);
    let fault = |status: &Value| status["error"].as_str().is_some_and(|error| error.contains(&relay.url()));
    api.status_where("p", "a fault that says who is away", fault).await;
    // The process is not there at first.
    let without = Home::new(&Settings::default());
    let there = without.start().await;
    relay.lead_to(there.address().await);
    let missing = |status: &Value| status["error"].as_str().is_some_and(|error| error.contains("create it there"));
    api.status_where("p", "a fault that says what is missing", missing).await;
    there.stop().await;
    let far = teller();
    let there = far.start().await;
    relay.lead_to(there.address().await);
    let computed = api.get("/processes/p/compute?slot=1").await.expect(200).json();
    assert_eq!(computed["outcome"]["Output"], 1);
    assert_eq!(api.status("p").await["error"], Value::Null);
    there.kill().await;
    assert_eq!(api.schedule("p", "2").await, 2);
    api.status_where("p", "a fault that says who is away", fault).await;
    let there = far.start().await;
    relay.lead_to(there.address().await);
    assert_eq!(api.get("/processes/p/compute?slot=2").await.expect(200).json()["outcome"]["Output"], 2);
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn a_message_has_one_slot_there_whoever_dies_in_between() {
    let mut random = random("remote");
    let relay = Relay::start(random.branch(), NEVER).await;
    let far = teller();
    let settings = Settings::default().remote("p", &relay.url(), "limits = { compute_time = \"60s\" }");
    let near = Home::new(&settings.process("sender", SENDER, ""));
    let (mut there, mut here) = (far.start().await, near.start().await);
    relay.lead_to(there.address().await);
    all_computed(&here.api().await, "p").await;
    for part in 0..PARTS {
        let before = there.api().await.status("p").await["scheduled_slot"].as_u64().unwrap();
        // It is scheduled there, and here nobody hears of it.
        relay.lose(ALWAYS);
        let api = here.api().await;
        for number in 0..IN_A_PART {
            api.schedule("p", &format!("{part}.{number}")).await;
            api.schedule("sender", &format!("{part}.{number} by push")).await;
        }
        let far_api = there.api().await;
        far_api.status_where("p", "a message", |status| status["scheduled_slot"].as_u64() > Some(before)).await;
        here.kill().await;
        if part % 2 == 1 {
            there.kill().await;
            there = far.start().await;
            relay.lead_to(there.address().await);
        }
        relay.lose(4);
        here = near.start().await;
        tokio::time::sleep(random.millis(0, 300)).await;
        here.kill().await;
        here = near.start().await;
        relay.lose(NEVER);
        until("all of the part", async || {
            let scheduled = here.api().await.status("p").await["scheduled_slot"].as_u64();
            (scheduled == Some(((part + 1) * IN_A_PART * 2) as u64)).then_some(())
        })
        .await;
        all_computed(&here.api().await, "p").await;
    }
    let (api, far_api) = (here.api().await, there.api().await);
    let (log, far_log) = (api.log("p", Some(0)).await, far_api.log("p", Some(0)).await);
    assert_eq!(log.len(), PARTS * IN_A_PART * 2);
    assert_eq!(datas(&log), datas(&far_log), "each is there once, in the order of this node");
    let (rows, far_rows) = (api.results("p", Some(0)).await, far_api.results("p", Some(0)).await);
    for (row, far_row) in rows.iter().zip(&far_rows) {
        let output = |text: &str| serde_json::from_str::<Value>(text).unwrap()["Output"].clone();
        assert_eq!((row.slot, output(&row.outcome)), (far_row.slot, output(&far_row.outcome)));
    }
    assert!(relay.lost() >= PARTS, "{} answers were lost", relay.lost());
    here.stop().await;
    there.stop().await;
}

/// Nodes in a circle: each computes `p` by the next.
async fn circle(count: usize) {
    let mut random = random("circle");
    let mut relays = Vec::new();
    for _ in 0..count {
        relays.push(Relay::start(random.branch(), NEVER).await);
    }
    let homes: Vec<_> = (0..count)
        .map(|at| {
            let next = relays[(at + 1) % count].url();
            Home::new(&Settings::default().remote("p", &next, "limits = { compute_time = \"60s\" }"))
        })
        .collect();
    let mut nodes = Vec::new();
    for (home, relay) in homes.iter().zip(&relays) {
        let node = home.start().await;
        relay.lead_to(node.address().await);
        nodes.push(node);
    }
    let mut apis = Vec::new();
    for node in &nodes {
        apis.push(node.api().await);
    }
    for api in &apis {
        all_computed(api, "p").await;
    }
    for (round, api) in [&apis[0], &apis[count - 1], &apis[0]].into_iter().enumerate() {
        let error = api.outcome("p", &round.to_string()).await["Error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains("infinite_recursion"), "{count} nodes: {error}");
    }
    let error = apis[0].post("/processes/p/dry-run", &json!({ "Data": "" })).await.expect(200).json();
    let error = error["outcome"]["Error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("infinite_recursion"), "{count} nodes, dry-run: {error}");
    let state = apis[0].get("/processes/p/state").await;
    assert!(state.text.contains("508"), "{}", state.text);
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_process_that_computes_by_itself_ends_in_infinite_recursion() {
    circle(1).await;
}

#[tokio::test]
async fn two_nodes_that_compute_by_each_other_end_in_infinite_recursion() {
    circle(2).await;
}

#[tokio::test]
async fn three_nodes_that_compute_by_each_other_end_in_infinite_recursion() {
    circle(3).await;
}

#[tokio::test]
async fn a_program_there_is_told_who_waits_for_it() {
    let Some(far) = with_handler(&handled("p", "")) else { return };
    let there = far.start().await;
    let near = Home::new(&Settings::default().remote("p", &format!("http://{}", there.address().await), ""));
    let here = near.start().await;
    let params = here.api().await.outcome("p", "params").await["Output"].clone();
    let chain: Vec<_> = params["chain"].as_str().unwrap().split(',').collect();
    assert!(chain.len() == 2 && chain[0].starts_with("p~") && chain[1] == "p", "{params}");
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn limits_are_looked_at_here_too() {
    let far = Home::new(&Settings::default().process("p", TELLER, "").process("sink", COUNTER, "").remote(
        "slow",
        "http://127.0.0.1:1",
        "",
    ));
    let there = far.start().await;
    let url = format!("http://{}", there.address().await);
    let limits = "limits = { output_size = \"4KiB\", messages_per_outcome = 10, compute_time = \"300ms\" }";
    let near = Home::new(&Settings::default().remote("p", &url, limits).remote("slow", &url, limits));
    let here = near.start().await;
    let api = here.api().await;
    for (data, limit) in [("long", "limit output_size: "), ("many", "limit messages_per_outcome: ")] {
        let outcome = api.outcome("p", data).await;
        assert!(outcome["Error"].as_str().is_some_and(|error| error.starts_with(limit)), "{outcome}");
        assert_eq!(outcome["Messages"], json!([]));
    }
    assert_eq!(api.outcome("p", "").await["Output"], 1);
    // The node there only says that it is not done.
    let outcome = api.outcome("slow", "").await;
    assert!(outcome["Error"].as_str().is_some_and(|error| error.starts_with("limit compute_time: ")), "{outcome}");
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn a_wait_for_nobody_ends_with_the_node() {
    let tarpit = Tarpit::start().await;
    let settings = Settings::default().remote("node", &tarpit.url(), "");
    let near = Home::new(&settings.remote("unit", &tarpit.url(), "kind = \"ao\"").process("well", COUNTER, ""));
    let here = near.start().await;
    let api = here.api().await;
    api.schedule("node", "").await;
    api.schedule("unit", "").await;
    tarpit.has_caught().await;
    assert_eq!(api.outcome("well", "").await["Error"], Value::Null);
    api.delete("/processes/unit/worker").await.expect(204);
    here.stop().await;
}

#[tokio::test]
async fn a_compute_unit_is_asked_for_what_its_scheduler_knows() {
    let known = "K".repeat(43);
    let broken = "B".repeat(43);
    let tries = Arc::new(AtomicUsize::new(0));
    let (known_there, broken_there, tried) = (known.clone(), broken.clone(), tries.clone());
    let unit = Stub::start(move |path| {
        let message = json!({ "Target": "sink", "Data": "hello", "Anchor": "", "Tags": [] });
        let good = json!({ "Output": { "data": "2" }, "Messages": [message], "Spawns": [], "Assignments": [] });
        if path == format!("/cu/result/{known_there}?process-id=p") {
            return (200, good);
        }
        if path == format!("/cu/result/{broken_there}?process-id=p") {
            return match tried.fetch_add(1, Ordering::Relaxed) {
                0..3 => (503, json!({ "error": "busy" })),
                _ => (200, good),
            };
        }
        (404, json!({ "error": "never heard of it" }))
    })
    .await;
    let settings = Settings::default().remote("p", &format!("{}/cu", unit.url()), "kind = \"ao\"");
    let near = Home::new(&settings.process("sink", COUNTER, ""));
    let here = near.start().await;
    let api = here.api().await;
    let sent = async |id: &str| {
        let answer = api.post("/processes/p/schedule?wait=25s", &json!({ "Id": id })).await;
        answer.expect(200).json()["outcome"].clone()
    };
    let unknown = sent(&"U".repeat(43)).await;
    assert!(unknown["Error"].as_str().is_some_and(|error| error.starts_with("unknown_message")), "{unknown}");
    assert_eq!(sent(&known).await["Output"], json!({ "data": "2" }));
    // A machine that fails is asked again; no outcome says that it has.
    assert_eq!(sent(&broken).await["Output"], json!({ "data": "2" }));
    assert_eq!(tries.load(Ordering::Relaxed), 4);
    let told = api.status_where("sink", "both messages", |status| status["scheduled_slot"] == 2).await;
    assert_eq!(told["id"], "sink");
    assert_eq!(api.post("/processes/p/dry-run", &json!({})).await.expect(501).code(), "not_supported");
    assert_eq!(api.get("/processes/p/state").await.expect(501).code(), "not_supported");
    let asked = unit.asked().len();
    here.kill().await;
    let here = near.start().await;
    let api = here.api().await;
    assert_eq!(api.get("/processes/p/compute?slot=2").await.expect(200).json()["outcome"]["Output"]["data"], "2");
    all_computed(&api, "p").await;
    assert_eq!(unit.asked().len(), asked, "nobody is asked again for what is stored");
    here.stop().await;
}

#[tokio::test]
async fn a_message_that_is_answered_by_rubbish_for_ever_can_be_skipped() {
    let unit = Stub::start(|path| match path.contains("BBBB") {
        true => (200, json!(["rubbish"])),
        false => (200, json!({ "Output": "fine", "Messages": [], "Spawns": [], "Assignments": [] })),
    })
    .await;
    let near = Home::new(&Settings::default().remote("p", &unit.url(), "kind = \"ao\""));
    let here = near.start().await;
    let api = here.api().await;
    all_computed(&api, "p").await;
    assert_eq!(api.post("/processes/p/resume?skip=true", &json!({})).await.expect(409).code(), "conflict");
    for (slot, id) in (1..).zip(["B", "G", "B", "G"]) {
        let sent = api.post("/processes/p/schedule", &json!({ "Id": id.repeat(42) + &slot.to_string() })).await;
        assert_eq!(sent.expect(202).slot(), slot);
    }
    let rubbish = |status: &Value| status["error"].as_str().is_some_and(|error| error.contains("cannot be used"));
    let status = api.status_where("p", "a fault that says what is wrong", rubbish).await;
    assert_eq!((&status["computed_slot"], &status["status"]), (&json!(0), &json!("computing")));
    let asked = unit.asked().len();
    assert_eq!(api.post("/processes/p/resume", &json!({})).await.expect(200).slot(), 1);
    assert_eq!(here.events.wait_of("resumed", "p").await["skipped"], false);
    until("it is asked again", async || (unit.asked().len() > asked).then_some(())).await;
    api.status_where("p", "the same fault", rubbish).await;
    let waiting = tokio::spawn({
        let api = api.clone();
        async move { api.get("/processes/p/compute?slot=1").await }
    });
    assert_eq!(api.post("/processes/p/resume?skip=true", &json!({})).await.expect(200).slot(), 1);
    let skipped = waiting.await.unwrap().expect(200).json()["outcome"]["Error"].clone();
    assert!(skipped.as_str().is_some_and(|error| error.starts_with("skipped: slot 1 of process p: ")), "{skipped}");
    assert_eq!(api.get("/processes/p/compute?slot=2").await.expect(200).json()["outcome"]["Output"], "fine");
    here.events.wait_for("fault", |event| event["slot"] == 3).await;
    api.status_where("p", "a fault again", rubbish).await;
    assert_eq!(api.post("/processes/p/resume?skip=true", &json!({})).await.expect(200).slot(), 3);
    here.kill().await;

    let asked = unit.asked().len();
    let here = near.start().await;
    let api = here.api().await;
    assert_eq!(api.get("/processes/p/compute?slot=4").await.expect(200).json()["outcome"]["Output"], "fine");
    for slot in [1, 3] {
        let outcome = api.get(&format!("/processes/p/compute?slot={slot}")).await.expect(200).json();
        let error = outcome["outcome"]["Error"].as_str().unwrap_or_default().to_owned();
        assert!(error.starts_with(&format!("skipped: slot {slot} of process p: ")), "{error}");
    }
    assert_eq!(api.status("p").await["error"], Value::Null);
    let again = unit.asked()[asked..].iter().any(|path| path.contains("BBBB"));
    assert!(!again, "nobody is asked for what was skipped");
    assert_eq!(api.get("/processes/p/verify").await.expect(409).code(), "conflict");
    here.stop().await;
}

#[tokio::test]
async fn a_process_that_is_missing_there_can_be_given_up_and_defined_anew() {
    let without = Home::new(&Settings::default());
    let there = without.start().await;
    let near = Home::new(&Settings::default().remote("p", &format!("http://{}", there.address().await), ""));
    let here = near.start().await;
    let api = here.api().await;
    assert_eq!(api.schedule("p", "1").await, 1);
    let missing = |status: &Value| status["error"].as_str().is_some_and(|error| error.contains("create it there"));
    api.status_where("p", "a fault that says what is missing", missing).await;
    assert_eq!(api.post("/processes/p/resume?skip=true", &json!({})).await.expect(200).slot(), 0);
    let none = "the process has no working definition: skipped: slot 0 of process p: ";
    let said = api.get("/processes/p/compute?slot=1").await.expect(200).json()["outcome"]["Error"].clone();
    assert!(said.as_str().is_some_and(|error| error.starts_with(none)), "{said}");
    here.kill().await;
    there.stop().await;

    let here = near.start().await;
    let api = here.api().await;
    assert_eq!(api.outcome("p", "2").await["Error"], said, "and after a restart in the same words");
    here.stop().await;
    let far = teller();
    let there = far.start().await;
    near.configure(&Settings::default().remote("p", &format!("http://{}", there.address().await), ""));
    let here = near.start().await;
    let api = here.api().await;
    assert_eq!(api.outcome("p", "3").await["Output"], 1);
    assert_eq!(api.get("/processes/p/compute?slot=1").await.expect(200).json()["outcome"]["Error"], said);
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn only_the_configuration_says_where_else_something_is_computed() {
    let home = Home::new(&Settings::default().process("x", COUNTER, ""));
    let program = home.start().await;
    let api = program.api().await;
    let body = json!({ "device": "remote", "source": "{\"url\":\"http://127.0.0.1:1\",\"kind\":\"mainstay\"}" });
    assert_eq!(api.post("/processes", &body).await.expect(403).code(), "device_not_allowed");
    api.create("parent", "function compute(state, msg) spawn{ Device = 'remote', Source = 'x' } end", json!({})).await;
    api.outcome("parent", "").await;
    let letters =
        until("the spawn is refused", async || Some(api.dead_letters().await).filter(|letters| !letters.is_empty()));
    assert!(letters.await[0]["error"].as_str().unwrap().contains("remote"));
    program.stop().await;
}
