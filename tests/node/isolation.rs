//! Sick processes: each ends at a limit that its outcome names, and a healthy one goes on beside them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::harness::{Api, COUNTER, Home, Settings, until};

/// A process that does something bad: its name, its script, its limits, and the limit that it must end at.
struct Offender {
    name: &'static str,
    compute: &'static str,
    limits: fn() -> Value,
    ends_at: &'static str,
}

/// So many messages are sent to each offender.
const ROUNDS: usize = 2;
/// So many requests to the healthy process are asked for at least.
const REQUESTS: usize = 50;
/// The median of these requests takes less. On a free machine it takes some 5 ms.
const MEDIAN: Duration = Duration::from_millis(500);

fn by_gas() -> Value {
    json!({ "gas": 20_000_000, "compute_time": "1h" })
}

fn by_time() -> Value {
    json!({ "gas": 1_000_000_000_000u64, "compute_time": "500ms" })
}

fn by_default() -> Value {
    json!({})
}

const OFFENDERS: [Offender; 12] = [
    Offender { name: "loop-gas", compute: "while true do end", limits: by_gas, ends_at: "gas" },
    Offender { name: "loop-time", compute: "while true do end", limits: by_time, ends_at: "compute_time" },
    Offender {
        name: "coroutine",
        compute: "coroutine.wrap(function() while true do end end)()",
        limits: by_time,
        ends_at: "compute_time",
    },
    Offender {
        name: "yielding",
        compute: "local turn = coroutine.wrap(function() while true do coroutine.yield() end end)
                  while true do turn() end",
        limits: by_time,
        ends_at: "compute_time",
    },
    Offender {
        name: "pcall",
        compute: "while true do pcall(function() while true do end end) end",
        limits: by_time,
        ends_at: "compute_time",
    },
    Offender {
        name: "pcall-gas",
        compute: "while true do pcall(function() while true do end end) end",
        limits: by_gas,
        ends_at: "gas",
    },
    Offender {
        name: "pattern",
        compute: "return string.find(string.rep('a', 40), string.rep('a?', 40) .. string.rep('a', 40) .. 'b')",
        limits: by_time,
        ends_at: "compute_time",
    },
    Offender {
        name: "pattern-gas",
        compute: "return string.find(string.rep('a', 5000), string.rep('.-', 30) .. 'b')",
        limits: || json!({ "gas": 2_000_000, "compute_time": "1h" }),
        ends_at: "gas",
    },
    Offender {
        name: "tables",
        compute: "local all = {} while true do all[#all + 1] = { 1, 2, 3, 4 } end",
        limits: by_default,
        ends_at: "memory",
    },
    Offender {
        name: "texts",
        compute: "local text = 'x' while true do text = text .. text end",
        limits: by_default,
        ends_at: "memory",
    },
    Offender {
        name: "caught-texts",
        compute: "local kept = {}
                  while true do pcall(function() kept[#kept + 1] = string.rep('x', 1000000 + #kept) end) end",
        limits: by_default,
        ends_at: "memory",
    },
    Offender {
        name: "output",
        compute: "return string.rep('x', 100 * 1024 * 1024)",
        limits: || json!({ "memory": "400MiB" }),
        ends_at: "output_size",
    },
];

impl Offender {
    async fn create(&self, api: &Api) {
        let script = format!("function compute(state, msg)\n  state.dirty = true\n  {}\nend\n", self.compute);
        api.create(self.name, &script, (self.limits)()).await;
    }

    /// Each message ended at the limit, and none left a trace in the state.
    async fn check(&self, api: &Api) {
        let results = api.results(self.name, Some(0)).await;
        assert_eq!(results.len(), ROUNDS, "{}", self.name);
        for row in results {
            let outcome: Value = serde_json::from_str(&row.outcome).unwrap();
            let start = format!("limit {}: ", self.ends_at);
            let is_named = outcome["Error"].as_str().is_some_and(|error| error.starts_with(&start));
            assert!(is_named, "{} ends at {start}: {outcome}", self.name);
            assert!(outcome["Output"].is_null(), "{}", self.name);
        }
        assert_eq!(api.state(self.name).await, json!({}), "{}", self.name);
    }
}

#[tokio::test]
async fn a_healthy_process_answers_while_sick_ones_run_into_their_limits() {
    let home = Home::new(&Settings::default().process("healthy", COUNTER, ""));
    let program = home.start().await;
    let api = program.ready().await;
    for offender in &OFFENDERS {
        offender.create(&api).await;
    }
    for _ in 0..ROUNDS {
        for offender in &OFFENDERS {
            api.schedule(offender.name, "").await;
        }
    }
    let cores = std::thread::available_parallelism().unwrap().get();
    let (mut times, mut asked) = (Vec::new(), 0);
    until("the offenders have ended", async || {
        let busy = running(&api).await;
        let began = Instant::now();
        let outcome = api.outcome("healthy", "").await;
        asked += 1;
        assert_eq!(outcome["Output"], asked);
        if busy > cores {
            times.push(began.elapsed());
        }
        (busy == 0).then_some(())
    })
    .await;
    times.sort_unstable();
    assert!(times.len() >= REQUESTS, "the offenders were gone after {} requests", times.len());
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!("{} requests beside more than {cores} offenders: median {median:?}, longest {longest:?}", times.len());
    assert!(median < MEDIAN, "the median is {median:?}");
    for offender in &OFFENDERS {
        offender.check(&api).await;
    }
    program.stop().await;
}

/// How many offenders have work left.
async fn running(api: &Api) -> usize {
    let all = api.processes().await;
    all.iter()
        .filter(|process| process["id"] != "healthy" && process["computed_slot"] != process["scheduled_slot"])
        .count()
}

#[tokio::test]
async fn a_script_that_never_finishes_loading_ends_at_a_limit() {
    let endless = "while true do end function compute() end";
    let limits = "limits = { gas = 1000000, compute_time = \"1h\" }";
    let home = Home::new(&Settings::default().process("healthy", COUNTER, "").process("endless", endless, limits));
    for round in 1..=2 {
        let program = home.start().await;
        let api = program.ready().await;
        assert_eq!(api.outcome("healthy", "").await["Output"], round);
        let loaded = api.get("/processes/endless/compute?slot=0").await.expect(200).json();
        assert!(loaded["outcome"]["Error"].as_str().is_some_and(|error| error.contains("limit gas")), "{loaded}");
        let outcome = api.outcome("endless", "").await;
        assert!(outcome["Error"].is_string(), "{outcome}");
        program.kill().await;
    }
    let program = home.start().await;
    let api = program.api().await;
    let body = json!({ "id": "another", "device": "lua", "source": endless, "limits": { "gas": 1_000_000 } });
    let created = api.post("/processes", &body).await;
    assert!(matches!(created.status, 201 | 400), "{}", created.text);
    assert_eq!(api.outcome("healthy", "").await["Output"], 3);
    program.stop().await;
}
