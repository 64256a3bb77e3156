//! Servers that want a token: nothing that this node asks of them works without, everything does with it.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::harness::{Api, COUNTER, Home, Program, Settings, Unit, until};

/// The token by which the other node knows this one, and one by which it knows the test.
const OURS: &str = "sesame-0123456789";
const TESTS: &str = "tahini-0123456789";

/// Sends its data to `far`.
const SENDER: &str = "function compute(state, msg) send{ Target = 'far', Data = msg.Data } end";

async fn far() -> (Home, Program, Api) {
    let tokens =
        format!("tokens = [{{ name = \"near\", token = {OURS:?} }}, {{ name = \"test\", token = {TESTS:?} }}]");
    let settings = Settings::default().set("http", "listen = \"127.0.0.1:0\"").set("http", &tokens);
    let home = Home::new(&settings.process("far", COUNTER, "").process("p", COUNTER, ""));
    let program = home.start().await;
    let api = program.api().await.with_token(TESTS);
    (home, program, api)
}

fn peer(url: &str, token: &str) -> String {
    format!("[[peer]]\nurl = {url:?}\ntoken = {token:?}\n")
}

fn check(url: &str) -> String {
    format!(
        "[[health.check]]\nname = \"far\"\nkind = \"http\"\ntarget = \"{url}/processes\"\ninterval = \"50ms\"\nfailure_threshold = 1\n"
    )
}

/// Has the program load its configuration again, for the `times`th time.
async fn reload(program: &Program, times: usize) {
    program.signal(Signal::HUP);
    until("it is loaded again", async || (program.events.named("reloaded").len() == times).then_some(())).await;
}

async fn monitor_where(api: &Api, what: &str, fits: impl Fn(&Value) -> bool) {
    until(what, async || api.monitors().await.into_iter().find(|one| one["process"] == "outside" && fits(one))).await;
}

async fn healthy(api: &Api, status: &str) {
    until("the check", async || {
        let body = api.get("/health").await.expect(200).json();
        (body["checks"][0]["status"] == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_route_a_source_a_check_and_a_remote_process_need_the_token_and_get_it() {
    let (_far, there, far_api) = far().await;
    let unit = Unit::start("sink").await;
    unit.want(OURS);
    unit.add(3);
    let url = format!("http://{}", there.address().await);
    let settings = Settings::default().route("far", &url).remote("p", &url, "").process("sender", SENDER, "");
    let settings = settings.process("sink", COUNTER, "");
    let near = Home::new(&settings.clone().more(&check(&url)));
    let here = near.start().await;
    let api = here.api().await;
    api.post("/monitors", &json!({ "process": "outside", "source": unit.url(), "rate": "50ms" })).await.expect(201);
    api.schedule("p", "").await;
    api.schedule("sender", "hello").await;
    let is_401 = |text: &Value| text.as_str().is_some_and(|text| text.contains("answered 401"));
    api.status_where("p", "it is refused", |status| is_401(&status["error"])).await;
    monitor_where(&api, "it is refused", |one| is_401(&one["last_error"])).await;
    here.events.wait_for("push_failing", |line| is_401(&line["reason"])).await;
    healthy(&api, "unhealthy").await;

    // Another token is no better; the right one is, from the next request on.
    let peers = |token: &str| peer(&format!("{url}/"), token) + &peer(&unit.url(), token) + &check(&url);
    near.configure(&settings.clone().more(&peers("another-0123456789")));
    reload(&here, 1).await;
    near.configure(&settings.more(&peers(OURS)));
    reload(&here, 2).await;
    assert!(here.events.named("reload_waits").is_empty());
    api.status_where("p", "it is computed", |status| status["computed_slot"] == 1).await;
    api.status_where("sink", "every result", |status| status["scheduled_slot"] == 3).await;
    healthy(&api, "healthy").await;
    let message = |id: &'static str| {
        let api = far_api.clone();
        async move { until("the message", async || api.log(id, Some(0)).await.into_iter().next()).await }
    };
    let told = message("far").await;
    assert_eq!((&told["From"], &told["Owner"], &told["Data"]), (&json!("near"), &json!("near"), &json!("hello")));
    assert_eq!(message("p").await["From"], "near");
    assert!(api.dead_letters().await.is_empty());

    let secret = |program: &Program| program.events.all().iter().any(|line| line.to_string().contains("0123456789"));
    assert!(!secret(&here) && !secret(&there), "a token is in a log");
    here.stop().await;
    there.stop().await;
}
