//! Processes whose code is a program of its own: what it is told, what becomes of what it says, and of what it does wrong.

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::harness::{COUNTER, Home, Settings, handled, has_python, runs, until, with_handler, write_handler};

/// Limits under which what is sick is soon found out.
const STRICT: &str =
    "limits = { compute_time = \"1s\", output_size = \"64KiB\", state_size = \"64KiB\" }\ngrace = \"100ms\"";

fn lines(names: &[&str]) -> Vec<(String, u64, u64)> {
    names.iter().zip(1..).map(|(name, slot)| ((*name).to_owned(), slot, 1)).collect()
}

#[tokio::test]
async fn a_program_keeps_its_state_over_rest_and_kill() {
    for arguments in [&["python3", "handler.py"][..], &["python3", "handler.py", "--state"]] {
        let Some(home) = with_handler(&Settings::default().program("p", arguments, "")) else { return };
        let program = home.start().await;
        let api = program.api().await;
        assert_eq!(api.outcome("p", "").await["Output"], 1);
        assert_eq!(api.outcome("p", "").await["Output"], 2);
        api.delete("/processes/p/worker").await.expect(204);
        assert_eq!(api.outcome("p", "").await["Output"], 3);
        program.kill().await;
        let program = home.start().await;
        let api = program.api().await;
        assert_eq!(api.state("p").await, 3);
        assert_eq!(api.outcome("p", "").await["Output"], 4);
        program.stop().await;
        let (handed, keys) = runs(&home);
        assert_eq!(handed, lines(&["compute"; 4]), "a stored slot is never handed out again");
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), 4, "each slot has a key of its own");
    }
}

#[tokio::test]
async fn a_program_sees_what_is_configured_and_nothing_else() {
    let Some(home) =
        with_handler(&handled("p", "directory = \"work\"\nenvironment = { LANG = \"C\" }").process("x", COUNTER, ""))
    else {
        return;
    };
    std::fs::create_dir(home.path("work")).unwrap();
    std::fs::rename(home.path("handler.py"), home.path("work/handler.py")).unwrap();
    let program = home.start().await;
    let api = program.api().await;
    let about = api.outcome("p", "about").await["Output"].clone();
    let environment = about["environment"].as_object().unwrap();
    let mut names: Vec<_> = environment.keys().map(String::as_str).collect();
    // Python itself may set this one.
    names.retain(|name| *name != "LC_CTYPE");
    assert_eq!(names, ["LANG", "MAINSTAY_NODE", "PATH"]);
    let folder = std::fs::canonicalize(home.path("work")).unwrap();
    assert_eq!(about["folder"], folder.to_str().unwrap());
    assert_eq!((&about["limits"], &about["leads"]), (&json!([0, 1024]), &json!(true)));
    let params = api.outcome("p", "params and data").await["Output"].clone();
    assert_eq!((&params["process"], &params["slot"], &params["attempt"]), (&json!("p"), &json!(2), &json!(1)));
    assert_eq!((&params["chain"], &params["message"]["Data"]), (&json!("p"), &json!("params and data")));
    assert_eq!((&params["message"]["From"], &params["message"]["Slot"]), (&json!("local"), &json!(2)));
    program.stop().await;
}

#[tokio::test]
async fn whatever_a_program_does_wrong_is_an_error_that_names_it() {
    let table = [
        ("error I can't", "I can't", 1),
        ("kill", "the program failed 3 times at this slot (max_attempts), the last time so: the program ended", 3),
        ("crash 9", "the program ended", 3),
        ("half", "the program ended in the middle of a line", 3),
        ("half-silent", "limit compute_time: ", 1),
        ("close", "the program ended or closed its standard output", 3),
        ("garbage", "\"hello, is anybody there?\"", 3),
        ("wrong-id", "nothing of this \"id\" was asked yet", 3),
        ("lines", "answered more than 16 requests that were answered before", 3),
        ("stop", "limit compute_time: ", 1),
        ("silent", "limit compute_time: ", 1),
        ("flood", "limit output_size: ", 1),
        ("big-output", "limit output_size: ", 1),
        ("memory", "limit memory: ", 1),
        ("big-state 100000", "limit state_size: ", 1),
        ("big-state 1000000", "limit state_size: ", 1),
        ("gas", "limit gas: ", 1),
    ];
    let Some(home) = with_handler(&handled("p", STRICT).process("well", COUNTER, "")) else { return };
    let program = home.start().await;
    let api = program.api().await;
    let mut count = 0;
    for (slot, (data, expected, attempts)) in (1..).step_by(2).zip(table) {
        let before = runs(&home).0.len();
        let waiting = tokio::spawn({
            let api = api.clone();
            async move { api.outcome("p", data).await }
        });
        api.outcome("well", "").await;
        let outcome = waiting.await.unwrap();
        let error = outcome["Error"].as_str().unwrap_or_else(|| panic!("{data}: {outcome}"));
        assert!(error.contains(expected), "{data}: {error:?} says nothing of {expected:?}");
        let handed: Vec<_> = runs(&home).0[before..].to_vec();
        let expected: Vec<_> = (1..=attempts).map(|attempt| ("compute".to_owned(), slot, attempt)).collect();
        assert_eq!(handed, expected, "{data}");
        count += 1;
        assert_eq!(api.outcome("p", "").await["Output"], count, "after {data} it goes on from the state before");
    }
    assert_eq!(api.state("p").await, count);
    program.stop().await;
}

#[tokio::test]
async fn a_program_that_answers_twice_is_heard_once() {
    let Some(home) = with_handler(&handled("p", "")) else { return };
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("p", "twice").await["Output"], "first");
    assert_eq!(api.outcome("p", "").await["Output"], 2);
    program.events.wait_of("answer_passed_over", "p").await;
    program.stop().await;
}

#[tokio::test]
async fn a_crash_is_tried_again_from_the_state_before() {
    let Some(home) = with_handler(&handled("p", "max_attempts = 4")) else { return };
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("p", "").await["Output"], 1);
    assert_eq!(api.outcome("p", "crash 2").await["Output"], 2);
    let (handed, keys) = runs(&home);
    let attempts: Vec<_> = handed.iter().map(|(_, slot, attempt)| (*slot, *attempt)).collect();
    assert_eq!(attempts, [(1, 1), (2, 1), (2, 2), (2, 3)]);
    assert!(keys[1] == keys[2] && keys[2] == keys[3] && keys[0] != keys[1], "{keys:?}");
    let failed = program.events.wait_of("program_failed", "p").await;
    assert_eq!((&failed["slot"], &failed["attempt"]), (&json!(2), &json!(1)));
    let said = program.events.wait_of("stderr", "p").await;
    assert_eq!((&said["slot"], &said["text"]), (&json!(2), &json!("I end here")));
    program.stop().await;
}

#[tokio::test]
async fn a_slot_that_fails_for_good_halts_a_process_that_throws() {
    let Some(home) = with_handler(&handled("p", "max_attempts = 2\nerror_strategy = \"throw\"")) else { return };
    let program = home.start().await;
    let api = program.api().await;
    api.schedule("p", "crash 2").await;
    api.status_where("p", "it halts", |status| status["status"] == "halted").await;
    api.post("/processes/p/resume", &json!({})).await.expect(200);
    let answer = api.get("/processes/p/compute?slot=1").await.expect(200).json();
    assert_eq!(answer["outcome"]["Output"], 1, "the third attempt goes well");
    program.stop().await;
}

#[tokio::test]
async fn what_is_said_to_a_person_is_bounded() {
    let Some(home) = with_handler(&handled("p", "")) else { return };
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("p", "stderr 20000").await["Output"], 1);
    program.stop().await;
    let said = program.events.named("stderr").len();
    assert!((200..2000).contains(&said), "{said} lines");
    let dropped = program.events.named("stderr_dropped");
    let dropped: u64 = dropped.iter().map(|event| event["lines"].as_u64().unwrap()).sum();
    assert_eq!(dropped, 20_000 - said as u64, "what was left out is counted");
}

#[tokio::test]
async fn slow_programs_take_no_compute_thread() {
    const SLOW: usize = 12;
    let mut settings = Settings::default().process("quick", COUNTER, "");
    settings = settings.set("workers", "compute_threads = 1").set("workers", "compute_threads_max = 1");
    for number in 0..SLOW {
        settings = settings.program(
            &format!("slow-{number}"),
            &["python3", "handler.py"],
            "limits = { compute_time = \"60s\" }",
        );
    }
    let Some(home) = with_handler(&settings) else { return };
    let program = home.start().await;
    let api = program.api().await;
    let mut holding = JoinSet::new();
    for number in 0..SLOW {
        let api = api.clone();
        holding.spawn(async move { api.outcome(&format!("slow-{number}"), "hold").await["Output"].clone() });
    }
    until("all of them hold", async || (runs(&home).0.len() == SLOW).then_some(())).await;
    assert_eq!(api.outcome("quick", "").await["Error"], Value::Null);
    home.write("open", "");
    assert_eq!(holding.join_all().await, vec![json!(1); SLOW]);
    program.stop().await;
}

#[tokio::test]
async fn a_message_is_tried_on_a_copy_only_by_who_can() {
    let Some(home) = with_handler(&handled("not", "").program("can", &["python3", "handler.py", "--dry-run"], ""))
    else {
        return;
    };
    let program = home.start().await;
    let api = program.api().await;
    let refused = api.post("/processes/not/dry-run", &json!({ "Data": "" })).await.expect(501);
    assert_eq!(refused.code(), "not_supported");
    assert_eq!(api.outcome("can", "").await["Output"], 1);
    for _ in 0..3 {
        let tried = api.post("/processes/can/dry-run", &json!({ "Data": "" })).await.expect(200).json();
        assert_eq!(tried["outcome"]["Output"], 2);
        let tried = api.post("/processes/can/dry-run", &json!({ "Data": "error no" })).await.expect(200).json();
        assert_eq!(tried["outcome"]["Error"], "no");
    }
    assert_eq!(api.outcome("can", "").await["Output"], 2);
    program.stop().await;
}

#[tokio::test]
async fn a_slot_that_a_program_fails_at_can_be_skipped_and_the_next_begins_to_count_anew() {
    let Some(home) = with_handler(&handled("p", "max_attempts = 50")) else { return };
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("p", "").await["Output"], 1);
    assert_eq!(api.schedule("p", "kill").await, 2);
    assert_eq!(api.schedule("p", "crash 1").await, 3);
    program.events.wait_for("fault", |event| event["slot"] == 2).await;
    api.status_where("p", "a fault", |status| status["error"].is_string()).await;
    assert_eq!(api.post("/processes/p/resume?skip=true", &json!({})).await.expect(200).slot(), 2);
    program.kill().await;
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.get("/processes/p/compute?slot=3").await.expect(200).json()["outcome"]["Output"], 2);
    let skipped = api.get("/processes/p/compute?slot=2").await.expect(200).json()["outcome"]["Error"].clone();
    assert!(skipped.as_str().is_some_and(|error| error.starts_with("skipped: slot 2")), "{skipped}");
    let third: Vec<_> = runs(&home).0.into_iter().filter(|(_, slot, _)| *slot == 3).map(|run| run.2).collect();
    assert_eq!(third, [1, 2], "attempts at the slot before count for that one");
    program.stop().await;
}

#[tokio::test]
async fn a_program_that_never_starts_is_mended_by_another_command_and_a_resume() {
    let Some(home) = with_handler(&Settings::default().program("p", &["python3", "missing.py"], "")) else { return };
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.schedule("p", "").await, 1);
    api.status_where("p", "a fault", |status| status["error"].is_string()).await;
    home.configure(&handled("p", ""));
    program.signal(Signal::HUP);
    api.status_where("p", "its new definition", |status| status["definition_slot"] == 2).await;
    assert_eq!(api.post("/processes/p/resume", &json!({})).await.expect(200).slot(), 0);
    assert_eq!(api.outcome("p", "").await["Output"], 2, "the message before the definition is not lost");
    program.kill().await;
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("p", "").await["Output"], 3);
    let verified = api.get("/processes/p/verify?slot=3&execute=true").await.expect(200).json();
    assert_eq!(verified["equal"], true, "{verified}");
    program.stop().await;
}

#[tokio::test]
async fn a_program_that_never_starts_can_be_given_up_and_defined_anew() {
    if !has_python() {
        return;
    }
    let home = Home::new(&handled("p", ""));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.schedule("p", "").await, 1);
    api.status_where("p", "a fault", |status| status["error"].is_string()).await;
    assert_eq!(api.post("/processes/p/resume?skip=true", &json!({})).await.expect(200).slot(), 0);
    let said = api.get("/processes/p/compute?slot=1").await.expect(200).json()["outcome"]["Error"].clone();
    let none = "the process has no working definition: skipped: slot 0 of process p: ";
    assert!(said.as_str().is_some_and(|error| error.starts_with(none)), "{said}");
    program.stop().await;
    write_handler(&home);
    home.configure(&handled("p", "max_attempts = 4"));
    let program = home.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("p", "").await["Output"], 1);
    let results = api.results("p", None).await;
    assert!(
        results[0].outcome.contains("skipped") && results[1].outcome.contains("no working definition"),
        "{results:?}"
    );
    program.stop().await;
}

#[tokio::test]
async fn only_the_configuration_names_programs() {
    let home = Home::new(&Settings::default().process("x", COUNTER, ""));
    let program = home.start().await;
    let api = program.api().await;
    let body = json!({ "device": "exec", "source": "{\"command\":[\"true\"]}" });
    assert_eq!(api.post("/processes", &body).await.expect(403).code(), "device_not_allowed");
    api.create("parent", "function compute(state, msg) spawn{ Device = 'exec', Source = 'x' } end", json!({})).await;
    api.outcome("parent", "").await;
    let letters =
        until("the spawn is refused", async || Some(api.dead_letters().await).filter(|letters| !letters.is_empty()));
    assert!(letters.await[0]["error"].as_str().unwrap().contains("exec"));
    program.stop().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_bad_configuration() {
    for command in ["no-such-program", "./no-such-program"] {
        let home = Home::new(&Settings::default().program("p", &[command], ""));
        let ended = home.launch().ended().await;
        assert_eq!(ended.code(), Some(78), "{}", ended.stderr);
        assert!(ended.stderr.contains("process[0]") && ended.stderr.contains(command), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn the_shipped_examples_run() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/processes");
    let shell = Home::new(&Settings::default().program("uptime", &["sh", &format!("{folder}/uptime.sh")], ""));
    let program = shell.start().await;
    let outcome = program.api().await.outcome("uptime", "").await;
    assert!(outcome["Output"].as_str().is_some_and(|up| up.contains("up")), "{outcome}");
    program.stop().await;
    if !has_python() {
        return;
    }
    let python = Home::new(&Settings::default().program("words", &["python3", &format!("{folder}/words.py")], ""));
    let program = python.start().await;
    let api = program.api().await;
    assert_eq!(api.outcome("words", "two words").await["Output"], 2);
    assert_eq!(api.outcome("words", "and three more").await["Output"], 5);
    let tried = api.post("/processes/words/dry-run", &json!({ "Data": "x" })).await.expect(200).json();
    assert_eq!((&tried["outcome"]["Output"], &api.state("words").await), (&json!(6), &json!({ "words": 5 })));
    program.stop().await;
}
