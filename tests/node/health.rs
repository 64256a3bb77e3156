//! Health checks: one that fails and recovers, one that starts a worker again that hangs.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::harness::{COUNTER, Frozen, Home, Hook, Settings, handled, leave_out, until, with_handler};

fn check(name: &str, kind: &str, target: &str, more: &str) -> String {
    format!("[[health.check]]\nname = {name:?}\nkind = {kind:?}\ntarget = {target:?}\ninterval = \"50ms\"\n{more}\n")
}

fn named<'a>(health: &'a Value, name: &str) -> &'a Value {
    let checks = health["checks"].as_array().expect("a list");
    checks.iter().find(|check| check["name"] == name).expect("the check")
}

#[tokio::test]
async fn a_check_that_fails_and_recovers_says_so_and_a_reload_changes_it() {
    let hook = Hook::start().await;
    let web = check("web", "http", &hook.url("/health"), "critical = true");
    let counter = check("counter", "worker", "counter", "");
    let settings = Settings::default().process("counter", COUNTER, "").more(&(web.clone() + &counter));
    let home = Home::new(&settings);
    let program = home.start().await;
    let api = program.ready().await;
    hook.answer(500);
    let line = program.events.wait("unhealthy").await;
    assert_eq!((&line["target"], &line["check"], &line["kind"]), (&json!("health"), &json!("web"), &json!("http")));
    assert_eq!(line["failures"], 3);
    assert!(line["error"].as_str().unwrap().contains("answered 500"), "{line}");
    let health = api.get("/health").await.expect(200).json();
    assert_eq!(named(&health, "web")["status"], "unhealthy");
    assert_eq!(named(&health, "counter")["status"], "healthy");
    let ready = api.get("/readyz").await.expect(503).json();
    assert!(ready["checks"]["web"].as_str().unwrap().contains("answered 500"), "{ready}");
    // It stays what it is while the file changes, and no longer counts once it is not critical.
    let since = named(&health, "web")["since"].clone();
    home.configure(&settings.clone().more(&(web.replace("true", "false") + &counter)));
    program.signal(Signal::HUP);
    program.events.wait("reloaded").await;
    api.get("/readyz").await.expect(200);
    assert_eq!(named(&api.get("/health").await.json(), "web")["since"], since);
    hook.answer(200);
    let line = program.events.wait("healthy").await;
    assert_eq!((&line["target"], &line["check"]), (&json!("health"), &json!("web")));
    home.configure(&settings.more("[[health.check]]\nname = \"x\"\nkind = \"http\"\ntarget = \"http://a:99999\"\n"));
    program.signal(Signal::HUP);
    let refused = program.events.wait("reload_refused").await;
    assert!(refused["error"].as_str().unwrap().contains("health.check[0].target"), "{refused}");
    assert_eq!(api.get("/health").await.json()["checks"].as_array().unwrap().len(), 2);
    program.stop().await;
    assert_eq!((program.events.named("unhealthy").len(), program.events.named("healthy").len()), (1, 1));
}

const LOOPER: &str = "
function compute(state, msg)
  state.count = (state.count or 0) + 1
  while msg.Data == 'loop' do end
  return state.count
end
";

#[tokio::test]
async fn a_worker_that_hangs_is_started_again() {
    let more = "failure_threshold = 2\non_failure = \"restart\"";
    let limits = "limits = { compute_time = \"150ms\", gas = 1_000_000_000_000 }";
    let settings = Settings::default().process("looper", LOOPER, limits).process("counter", COUNTER, "");
    let home = Home::new(&settings.more(&check("looper answers", "worker", "looper", more)));
    let program = home.start().await;
    let api = program.ready().await;
    let pid = program.pid();
    let catching = tokio::task::spawn_blocking(move || Frozen::catch(pid));
    for _ in 0..2 {
        api.schedule("looper", "loop").await;
    }
    let frozen = match catching.await.unwrap() {
        Ok(frozen) => frozen,
        Err(why) => return leave_out(&why),
    };
    let line = program.events.wait("unhealthy").await;
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("slot ") && error.contains("limit compute_time"), "{line}");
    assert_eq!(api.outcome("counter", "").await["Output"], 1, "others are as they were");
    assert_eq!(program.events.wait("restarting_worker").await["process"], "looper");
    program.events.wait("healthy").await;
    // Each loop ends at its limit, now that somebody computes; a failed slot leaves the state as it was.
    let last = api.schedule("looper", "").await;
    api.status_where("looper", "all is computed", |status| status["computed_slot"] == last).await;
    drop(frozen);
    assert_eq!(api.outcome("looper", "").await["Output"], 2, "what the one that hung brings is too late");
    program.stop().await;
}

#[tokio::test]
async fn a_program_that_is_ill_is_found_out_while_its_worker_is_well() {
    let more = "failure_threshold = 1\ntimeout = \"5s\"\non_failure = \"restart\"";
    let Some(home) = with_handler(&handled("p", "").more(&check("p is well", "worker", "p", more))) else { return };
    let program = home.start().await;
    let api = program.ready().await;
    assert_eq!(api.outcome("p", "").await["Output"], 1);
    home.write("sick", "");
    let line = program.events.wait("unhealthy").await;
    assert_eq!(line["error"], "the program says: I am sick", "{line}");
    std::fs::remove_file(home.path("sick")).unwrap();
    program.events.wait("healthy").await;
    // The worker was started again; without a program there is nothing that could be ill.
    assert_eq!(api.outcome("p", "").await["Output"], 2);
    home.write("ill", "");
    let is_silent = |line: &Value| line["error"].as_str().is_some_and(|error| error.contains("no answer to ping"));
    program.events.wait_for("unhealthy", is_silent).await;
    until("it is well again", async || (program.events.named("healthy").len() > 1).then_some(())).await;
    std::fs::remove_file(home.path("ill")).unwrap();
    assert_eq!(api.outcome("p", "").await["Output"], 3, "a program that hears nothing goes with its worker");
    program.stop().await;
}
