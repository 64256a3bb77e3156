//! Every limit on every device: what exceeds it ends with an error that names it, leaves the state as it was, and the next
//! message goes on.
//!
//! Each process counts its messages, so the output of the next one tells whether the one that failed left anything.

use serde_json::{Value, json};

use super::harness::{Api, Home, Program, Settings, has_python, until, with_handler};

/// A limit, how low it is set, and the message by which each device exceeds it.
struct Limit {
    key: &'static str,
    set: &'static str,
    lua: &'static str,
    wasm: &'static str,
    exec: &'static str,
}

/// What loops has gas enough to be ended by its time.
const TIME: &str = "{ compute_time = \"1s\", gas = 1000000000000 }";

/// On `exec` gas is what the program says that it took: nobody counts its instructions.
const ENDING: [Limit; 7] = [
    Limit { key: "compute_time", set: TIME, lua: "while true do end", wasm: "loop", exec: "silent" },
    Limit { key: "gas", set: "{ gas = 3000000 }", lua: "while true do end", wasm: "loop", exec: "gas" },
    Limit {
        key: "memory",
        set: "{ memory = \"64MiB\" }",
        lua: "local text = 'x' while true do text = text .. text end",
        wasm: "memory",
        exec: "memory",
    },
    Limit {
        key: "state_size",
        set: "{ state_size = \"48KiB\" }",
        lua: "state.text = ('x'):rep(100000)",
        wasm: "state",
        exec: "big-state 100000",
    },
    Limit {
        key: "output_size",
        set: "{ output_size = \"64KiB\" }",
        lua: "return ('x'):rep(100000)",
        wasm: "output",
        exec: "big-output",
    },
    Limit {
        key: "messages_per_outcome",
        set: "{ messages_per_outcome = 2 }",
        lua: "for i = 1, 3 do send{ Target = 'far', Data = 'x' } end",
        wasm: "3",
        exec: "send 3 1",
    },
    Limit {
        key: "message_size",
        set: "{ message_size = 200 }",
        lua: "send{ Target = 'far', Data = ('x'):rep(300) }",
        wasm: "1",
        exec: "send 1 300",
    },
];

/// Counts, and does what the data says.
const SCRIPT: &str = "
function compute(state, msg)
  state.count = (state.count or 0) + 1
  local act = load(msg.Data, '=data', 't', setmetatable({ state = state }, { __index = _G }))
  return act() or state.count
end
";

/// Counts at 64, up to 99, and does what the first letter of the data says. A digit: it sends so many messages of 300 bytes.
fn module() -> Vec<u8> {
    let answer = |response: &str| format!(r#"{{"ok":true,"response":{{{response}}}}}"#).replace('"', "\\\"") + "\\00";
    let sent = |count: usize| {
        let message = format!(r#"{{"Target":"far","Data":"{}"}}"#, "x".repeat(300));
        answer(&format!(r#""Messages":[{}]"#, vec![message; count].join(",")))
    };
    let mark = u64::from_le_bytes(*b"\"Data\":\"");
    let text = format!(
        r#"(module
          (memory (export "memory") 8)
          (data (i32.const 16) "{counted}")
          (data (i32.const 128) "{begin}")
          (data (i32.const 1024) "{one}")
          (data (i32.const 2048) "{three}")
          (func (export "malloc") (param i32) (result i32) (i32.const 8192))
          (func (export "handle") (param $at i32) (param i32) (result i32)
            (local $what i32)
            (i32.store8 (i32.const 64) (i32.add (i32.load8_u (i32.const 64)) (i32.const 1)))
            (i32.store8 (i32.const 49) (i32.add (i32.rem_u (i32.load8_u (i32.const 64)) (i32.const 10)) (i32.const 48)))
            (if (i32.ge_u (i32.load8_u (i32.const 64)) (i32.const 10))
              (then (i32.store8 (i32.const 48) (i32.add (i32.div_u (i32.load8_u (i32.const 64)) (i32.const 10)) (i32.const 48)))))
            (loop $look
              (if (i64.ne (i64.load (local.get $at)) (i64.const {mark}))
                (then (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $look))))
            (local.set $what (i32.load8_u offset=8 (local.get $at)))
            (if (i32.eq (local.get $what) (i32.const {l})) (then (loop $on (br $on))))
            (if (i32.eq (local.get $what) (i32.const {m}))
              (then (loop $on (drop (memory.grow (i32.const 16))) (br $on))))
            (if (i32.eq (local.get $what) (i32.const {s}))
              (then (memory.fill (i32.const 131072) (i32.const 1) (i32.const 100000))))
            (if (i32.eq (local.get $what) (i32.const {o}))
              (then
                (memory.copy (i32.const 131072) (i32.const 128) (i32.const {begun}))
                (memory.fill (i32.const {filled}) (i32.const 120) (i32.const 100000))
                (memory.copy (i32.const {ended}) (i32.const {end}) (i32.const 4))
                (return (i32.const 131072))))
            (if (i32.eq (local.get $what) (i32.const {d1})) (then (return (i32.const 1024))))
            (if (i32.eq (local.get $what) (i32.const {d3})) (then (return (i32.const 2048))))
            (i32.const 16)))"#,
        counted = answer("\"Output\": 0"),
        begin = answer("\"Output\":\"\""),
        one = sent(1),
        three = sent(3),
        begun = BEGIN.len(),
        filled = 131_072 + BEGIN.len(),
        ended = 131_072 + BEGIN.len() + 100_000,
        end = 128 + BEGIN.len(),
        l = b'l',
        m = b'm',
        s = b's',
        o = b'o',
        d1 = b'1',
        d3 = b'3',
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// How an answer begins whose output is a text.
const BEGIN: &str = r#"{"ok":true,"response":{"Output":""#;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Device {
    Lua,
    Wasm,
    Exec,
}

impl Device {
    /// How this device exceeds a limit.
    fn excess(self, limit: &Limit) -> &'static str {
        match self {
            Self::Lua => limit.lua,
            Self::Wasm => limit.wasm,
            Self::Exec => limit.exec,
        }
    }

    /// The count of the first message behind slot 0, which a module is handed as well.
    fn first(self) -> u64 {
        if self == Self::Wasm { 2 } else { 1 }
    }

    /// A folder with a process for each of these limits.
    fn home<'a>(self, settings: Settings, limits: impl Iterator<Item = (&'a str, &'a str)>) -> Home {
        let (mut settings, mut tables) = (settings, String::new());
        for (id, set) in limits {
            let more = format!("limits = {set}\ngrace = \"100ms\"");
            match self {
                Self::Lua => settings = settings.process(id, SCRIPT, &format!("limits = {set}")),
                Self::Exec => settings = settings.program(id, &["python3", "handler.py"], &more),
                Self::Wasm => {
                    tables += &format!(
                        "[[process]]\nid = \"{id}\"\ndevice = \"wasm\"\nsource = \"limits.wasm\"\nlimits = {set}\n"
                    );
                }
            }
        }
        let settings = settings.more(&tables);
        let home = match self {
            Self::Exec => with_handler(&settings).expect("a device of those that can be tested here"),
            Self::Lua | Self::Wasm => Home::new(&settings),
        };
        std::fs::write(home.path("limits.wasm"), module()).expect("a file in the temporary folder");
        home
    }

    /// The devices that can be tested here.
    fn here() -> impl Iterator<Item = Self> {
        [Self::Lua, Self::Wasm].into_iter().chain(has_python().then_some(Self::Exec))
    }
}

async fn raw_state(api: &Api, id: &str) -> String {
    api.get(&format!("/processes/{id}/state")).await.expect(200).text
}

#[tokio::test]
async fn a_call_that_exceeds_a_limit_names_it_and_leaves_nothing() {
    for device in Device::here() {
        let home = device.home(Settings::default(), ENDING.iter().map(|limit| (limit.key, limit.set)));
        let program = home.start().await;
        let api = program.api().await;
        for limit in &ENDING {
            let (key, excess) = (limit.key, device.excess(limit));
            assert_eq!(api.outcome(key, "").await["Output"], device.first(), "{key}");
            let before = raw_state(&api, key).await;
            let outcome = api.outcome(key, excess).await;
            let error = outcome["Error"].as_str().unwrap_or_else(|| panic!("{key}, {excess}: {outcome}"));
            assert!(error.starts_with(&format!("limit {key}: ")), "{key}, {excess}: {error}");
            let nothing = json!([null, [], [], []]);
            let rest = ["Output", "Messages", "Spawns", "Assignments"].map(|field| outcome[field].clone());
            assert_eq!(json!(rest), nothing, "{key}, {excess}");
            assert_eq!(raw_state(&api, key).await, before, "{key}, {excess}");
            assert_eq!(api.outcome(key, "").await["Output"], device.first() + 1, "{key}, {excess}");
        }
        program.stop().await;
    }
}

#[tokio::test]
async fn a_program_is_not_held_to_gas_that_it_does_not_tell_of() {
    if !has_python() {
        return;
    }
    let home = Device::Exec.home(Settings::default(), [("p", "{ gas = 1 }")].into_iter());
    let program = home.start().await;
    let outcome = program.api().await.outcome("p", "").await;
    assert_eq!((&outcome["Output"], &outcome["GasUsed"]), (&json!(1), &json!(0)));
    program.stop().await;
}

#[tokio::test]
async fn a_full_queue_takes_no_more_until_there_is_room() {
    let loops = &ENDING[0];
    for device in Device::here() {
        let set = "{ queue = 1, compute_time = \"1s\", gas = 1000000000000 }";
        let home = device.home(Settings::default(), [("p", set)].into_iter());
        let program = home.start().await;
        let api = program.api().await;
        // Slot 0 waits to be computed, too.
        assert_eq!(taken(&api).await["Output"], device.first());
        let message = json!({ "Data": device.excess(loops) });
        let refused = until("the queue is full", async || {
            Some(api.post("/processes/p/schedule", &message).await).filter(|answer| !answer.is(202))
        });
        let refused = refused.await.expect(503);
        assert_eq!(refused.code(), "overloaded");
        assert!(refused.text.contains("limit queue") && refused.retry_after.is_some(), "{}", refused.text);
        assert_eq!(taken(&api).await["Output"], device.first() + 1);
        program.stop().await;
    }
}

/// The outcome of a message, as soon as it is taken.
async fn taken(api: &Api) -> Value {
    let answer = until("there is room", async || Some(api.send("p", "").await).filter(|answer| !answer.is(503))).await;
    answer.expect(200).json()["outcome"].clone()
}

#[tokio::test]
async fn a_full_outbox_stops_a_process_until_there_is_room() {
    // Nobody listens there: what is sent is given up after some attempts, and leaves the outbox then.
    let settings = Settings::default().route("far", "http://127.0.0.1:1").set("push", "attempts = 3");
    let sends = Limit { key: "outbox", set: "", lua: "send{ Target = 'far' }", wasm: "1", exec: "send 1 1" };
    for device in Device::here() {
        let home = device.home(settings.clone(), [("p", "{ outbox = 1 }")].into_iter());
        let program = home.start().await;
        let api = program.api().await;
        until("it stops", async || {
            api.schedule("p", device.excess(&sends)).await;
            is_paused(&program).then_some(())
        })
        .await;
        let paused = program.events.wait_of("paused", "p").await;
        assert_eq!((&paused["undelivered"], &paused["limit"]), (&json!(1), &json!(1)));
        let all = api.all_computed().await;
        let (slots, error) = (all[0]["computed_slot"].as_u64(), &all[0]["error"]);
        assert_eq!(error, &Value::Null, "there is room again");
        let count = api.outcome("p", "").await["Output"].as_u64();
        assert_eq!(count, slots.map(|slots| slots + device.first()), "no message was lost, none counted twice");
        program.stop().await;
    }
}

fn is_paused(program: &Program) -> bool {
    program.events.named("paused").iter().any(|event| event["process"] == "p")
}
