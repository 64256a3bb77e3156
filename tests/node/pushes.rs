//! What outcomes lead to: messages, processes, assignments, and what becomes of those that cannot be delivered.

use serde_json::{Value, json};

use super::harness::{Api, COUNTER, Home, Program, Settings, until};

/// Answers each number with the next one, for ever.
fn answering(other: &str) -> String {
    format!(
        "
function compute(state, msg)
  send{{ Target = '{other}', Data = tostring(tonumber(msg.Data) + 1) }}
end
"
    )
}

/// Sends itself three messages for each.
const SPREADING: &str = "
function compute(state, msg)
  for i = 1, 3 do send{ Target = 'spreading' } end
end
";

/// Does what the message says, and keeps what it was told of its children.
const PARENT: &str = "
function compute(state, msg)
  if msg.Action == 'Spawned' then
    state.told = (state.told or 0) + 1
  elseif msg.Do == 'spawn' then
    spawn{ Device = msg.Kind, Source = msg.Code, Data = msg.Data, Anchor = 'reference', Role = 'child' }
  elseif msg.Do == 'assign' then
    assign{ Processes = { 'one', 'nobody', 'other' }, Message = msg.Of or msg.Id }
  elseif msg.Do == 'send' then
    send{ Target = msg.To, Data = msg.Data, Anchor = 'anchor', Action = 'Pass' }
  end
end
";

fn parent() -> Settings {
    Settings::default().process("parent", PARENT, "limits = { gas = 5000000, outbox = 7 }")
}

async fn tell(api: &Api, tags: Value, data: &str) -> u64 {
    let message = json!({ "Tags": tags, "Data": data });
    api.post("/processes/parent/schedule?wait=25s", &message).await.expect(200).slot()
}

/// Waits until there are so many dead letters.
async fn letters(api: &Api, count: usize) -> Vec<Value> {
    until("the dead letters", async || Some(api.dead_letters().await).filter(|all| all.len() == count)).await
}

#[tokio::test]
async fn a_game_without_end_ends_at_the_depth() {
    let settings = Settings::default().set("push", "max_depth = 9");
    let home = Home::new(&settings.process("ping", &answering("pong"), "").process("pong", &answering("ping"), ""));
    let program = home.start().await;
    let api = program.api().await;
    api.schedule("ping", "0").await;
    let letter = letters(&api, 1).await.remove(0);
    let error = letter["error"].as_str().unwrap();
    assert!(error.starts_with("limit push.max_depth: 9 pushes one after the other"), "{error}");
    let root = api.log("ping", Some(0)).await[0]["Id"].as_str().unwrap().to_owned();
    assert!(error.contains(&root), "{error} names the message that began it");
    let place = [&letter["source"], &letter["target"], &letter["message"]["Data"]];
    assert_eq!(place, ["pong", "ping", "10"]);
    assert_eq!((letter["slot"].as_u64(), letter["index"].as_u64()), (Some(5), Some(0)));
    let numbers = async |id: &str| -> Vec<String> {
        let log = api.log(id, Some(0)).await;
        log.iter().map(|message| message["Data"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(numbers("ping").await, ["0", "2", "4", "6", "8"]);
    assert_eq!(numbers("pong").await, ["1", "3", "5", "7", "9"]);

    // Somebody wants it to go on: it may go as far again.
    api.post(&format!("/dead-letters/{}/retry", letter["id"].as_str().unwrap()), &json!({})).await.expect(200);
    let next =
        until("the next end", async || api.dead_letters().await.into_iter().find(|other| other["id"] != letter["id"]));
    assert_eq!(next.await["message"]["Data"], "19");
    assert_eq!(numbers("ping").await, ["0", "2", "4", "6", "8", "10", "12", "14", "16", "18"]);
    assert_eq!(api.dead_letters().await.len(), 1);
    program.stop().await;
}

#[tokio::test]
async fn a_message_that_multiplies_ends_at_the_number() {
    const MOST: u64 = 50;
    let settings = Settings::default().set("push", &format!("max_messages = {MOST}"));
    let home = Home::new(&settings.process("spreading", SPREADING, ""));
    let program = home.start().await;
    let api = program.api().await;
    api.schedule("spreading", "").await;
    // Each of the messages sends three, and each of those is delivered or is a dead letter.
    let total = usize::try_from(3 * (1 + MOST) - MOST).unwrap();
    let all = letters(&api, total).await;
    assert_eq!(api.status("spreading").await["scheduled_slot"], 1 + MOST);
    for letter in all {
        let error = letter["error"].as_str().unwrap();
        assert!(error.starts_with("limit push.max_messages: the outcome sends 3 items and"), "{error}");
        assert!(error.contains("of the 50 that may follow"), "{error}");
    }
    program.stop().await;
}

/// Kills the program as soon as something is on disk, and starts it again.
async fn die(program: Program, home: &Home) -> (Program, Api) {
    program.kill().await;
    let program = home.start().await;
    let api = program.ready().await;
    (program, api)
}

#[tokio::test]
async fn a_process_that_is_asked_for_exists_once_and_its_parent_is_told() {
    let home = Home::new(&parent());
    let program = home.start().await;
    tell(&program.api().await, json!({ "Do": "spawn", "Kind": "lua", "Code": COUNTER }), "first").await;
    let (program, api) = die(program, &home).await;
    api.status_where("parent", "the parent is told", |status| status["computed_slot"] == 2).await;
    let (program, api) = die(program, &home).await;
    api.all_computed().await;

    let log = api.log("parent", Some(1)).await;
    assert_eq!(log.len(), 1, "{log:?}");
    let told = &log[0];
    let child = told["From"].as_str().unwrap().to_owned();
    let tag = |name: &str, value: &str| json!({ "name": name, "value": value });
    let tags = json!([tag("Action", "Spawned"), tag("Process", &child), tag("Reference", "reference")]);
    assert_eq!((&told["Tags"], &told["Target"]), (&tags, &json!("parent")));
    assert_eq!(api.state("parent").await["told"], 1);
    let ids: Vec<_> = api.processes().await.iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");

    assert_eq!(api.status(&child).await["origin"], "spawned");
    let log = api.log(&child, None).await;
    assert_eq!(log.len(), 2, "{log:?}");
    assert_eq!([&log[0]["From"], &log[1]["From"], &log[1]["Data"]], ["parent", "parent", "first"]);
    assert_eq!(api.state(&child).await["count"], 1);
    let definition = |message: &Value| -> Value { serde_json::from_str(message["Data"].as_str().unwrap()).unwrap() };
    let (own, parents) =
        (definition(&log[0])["limits"].clone(), definition(&api.log_head("parent").await)["limits"].clone());
    assert_eq!((&own["gas"], &own["outbox"]), (&json!(5_000_000), &json!(7)));
    for (key, most) in parents.as_object().unwrap() {
        if let (Some(own), Some(most)) = (own[key].as_u64(), most.as_u64()) {
            assert!(own <= most, "{key}: {own} of {most}");
        }
    }
    assert_eq!(own["compute_time"], parents["compute_time"]);
    assert!(api.dead_letters().await.is_empty());
    program.stop().await;
}

#[tokio::test]
async fn what_may_not_be_spawned_becomes_a_dead_letter() {
    let home = Home::new(&parent());
    let program = home.start().await;
    let api = program.api().await;
    let refused = [
        ("exec", "/bin/true", "exec"),
        ("remote", "http://127.0.0.1:1", "remote"),
        ("abacus", "x", "\"abacus\" is not known"),
        ("lua", "function compute(", "source: "),
    ];
    for (count, (kind, code, part)) in (1..).zip(refused) {
        let slot = tell(&api, json!({ "Do": "spawn", "Kind": kind, "Code": code }), "").await;
        let all = letters(&api, count).await;
        let letter = all.iter().find(|letter| letter["slot"] == slot).unwrap();
        let error = letter["error"].as_str().unwrap();
        assert!(error.contains(part), "{kind}: {error}");
        assert_eq!((&letter["message"]["Device"], &letter["attempts"]), (&json!(kind), &json!(1)));
    }
    assert_eq!(api.processes().await.len(), 1);
    assert_eq!(api.outcome("parent", "").await["Error"], Value::Null, "the parent goes on");
    program.stop().await;
}

#[tokio::test]
async fn a_message_is_assigned_to_other_processes_as_it_is() {
    let home = Home::new(&parent().process("one", COUNTER, "").process("other", COUNTER, ""));
    let program = home.start().await;
    let api = program.api().await;
    tell(&api, json!({ "Do": "nothing", "Name": "earlier" }), "old").await;
    let earlier = api.log("parent", Some(0)).await.remove(0);
    tell(&api, json!({ "Do": "assign" }), "own").await;
    tell(&api, json!({ "Do": "assign", "Of": earlier["Id"] }), "").await;
    letters(&api, 2).await;
    let (program, api) = die(program, &home).await;
    let own = api.log("parent", Some(1)).await.remove(0);
    for target in ["one", "other"] {
        api.status_where(target, "both are assigned", |status| status["computed_slot"] == 2).await;
        for (assigned, message) in api.log(target, Some(0)).await.iter().zip([&own, &earlier]) {
            for key in ["Id", "From", "Owner", "Tags", "Data", "Anchor"] {
                assert_eq!(assigned[key], message[key], "{key} of what {target} was assigned");
            }
        }
        assert_eq!(api.log(target, Some(0)).await.len(), 2);
    }
    for letter in api.dead_letters().await {
        assert_eq!((&letter["target"], &letter["message"]["Processes"]), (&json!("nobody"), &json!(["nobody"])));
    }
    tell(&api, json!({ "Do": "assign", "Of": "A".repeat(43) }), "").await;
    let all = letters(&api, 5).await;
    assert_eq!(
        all.iter().filter(|letter| letter["error"].as_str().unwrap().contains("is not known in the log")).count(),
        3
    );
    program.stop().await;
}

#[tokio::test]
async fn a_dead_letter_outlives_a_death_and_is_delivered_once() {
    let home = Home::new(&parent());
    let program = home.start().await;
    let api = program.api().await;
    tell(&api, json!({ "Do": "send", "To": "later" }), "text").await;
    let letter = letters(&api, 1).await.remove(0);
    let (program, api) = die(program, &home).await;
    assert_eq!(api.dead_letters().await, std::slice::from_ref(&letter));
    let path = format!("/dead-letters/{}/retry", letter["id"].as_str().unwrap());
    api.post(&path, &json!({})).await.expect(409);
    api.create("later", COUNTER, json!({})).await;
    api.post(&path, &json!({})).await.expect(200);
    let (program, api) = die(program, &home).await;
    assert!(api.dead_letters().await.is_empty());
    api.post(&path, &json!({})).await.expect(404);
    let log = api.log("later", Some(0)).await;
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!([&log[0]["From"], &log[0]["Data"], &log[0]["Anchor"]], ["parent", "text", "anchor"]);
    program.stop().await;
}
