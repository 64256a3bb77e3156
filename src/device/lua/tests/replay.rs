//! The same log gives the same bytes and the same outcomes: in one process, in fresh ones, and from a snapshot in the middle.

use proptest::prelude::*;

use super::*;

/// A script that applies edits to places of the state and tells what it sees, in ways that depend on order and layout.
const EDITS: &str = r##"
local function walk(t, depth, out)
  out[#out + 1] = "#" .. #t .. "/" .. rawlen(t) .. "{"
  for k, v in pairs(t) do
    out[#out + 1] = tostring(k)
    if type(v) == "table" and depth < 4 then walk(v, depth + 1, out) else out[#out + 1] = tostring(v) end
  end
  out[#out + 1] = "}"
end

local function place(state, path)
  local t = state
  for step in path:gmatch("[^.]+") do
    local key = tonumber(step) or step
    if type(t[key]) ~= "table" then t[key] = {} end
    t = t[key]
  end
  return t
end

local edits = {}
function edits.set(t, a, b) t[tonumber(a) or a] = b end
function edits.clear(t, a) t[tonumber(a) or a] = nil end
function edits.append(t, a) t[#t + 1] = a end
function edits.insert(t, a, b) table.insert(t, math.min(tonumber(a) or 1, #t + 1), b) end
function edits.remove(t, a) if #t > 0 then table.remove(t, math.min(tonumber(a) or 1, #t)) end end
function edits.fill(t, a) for i = 1, tonumber(a) or 3 do t[i] = i * 2 t["k" .. i] = i end end
function edits.holes(t, a) for i = tonumber(a) or 2, 40, 3 do t[i] = nil t["k" .. i] = nil end end
function edits.sort(t) local s = {} for i = 1, #t do s[i] = tostring(t[i]) end table.sort(s) for i = 1, #s do t[i] = s[i] end end
function edits.share(t, a, b, state) local other = place(state, "shared") other[#other + 1] = a t[b] = other end
function edits.random(t, a) t[a] = math.random(1000) end
function edits.message(t, a, b, state, msg) t[a] = { msg.Slot, msg.Timestamp, msg.Tags } end
function edits.empty(t) for k in next, t do t[k] = nil end end
function edits.pop(t) local k = next(t) if k ~= nil then t[k] = nil end end
function edits.fail(t, a) t.spoilt = true error("failed " .. a, 0) end
function edits.raise(t, a) t.spoilt = true error({ message = tostring(t) .. #t }) end
function edits.spoil(t) t.spoilt = print end
function edits.loop(t) t.spoilt = true while true do end end

function compute(state, msg)
  for line in msg.Data:gmatch("[^\n]+") do
    local edit, path, a, b = line:match("^(%a+) (%S+) (%S+) (%S+)$")
    edits[edit](place(state, path:gsub("^root%.?", "")), a, b, state, msg)
  end
  local out = {}
  walk(state, 0, out)
  send { Target = "seen", Data = table.concat(out, " "):sub(1, 5000), Length = #out }
  return { out = out, state = state }
end
"##;

fn edit() -> impl Strategy<Value = String> {
    let verbs = vec![
        "set", "set", "set", "clear", "clear", "append", "append", "insert", "remove", "fill", "holes", "sort",
        "share", "random", "message", "empty", "pop", "fail", "raise", "spoil", "loop",
    ];
    let paths =
        prop::sample::select(vec!["root", "root.a", "root.a.b", "root.list", "root.list.2", "root.1", "root.x.y.z"]);
    let arguments = prop::sample::select(vec!["1", "2", "3", "5", "17", "-4", "2.5", "a", "b", "list", "word", "0"]);
    (prop::sample::select(verbs), paths, arguments.clone(), arguments)
        .prop_map(|(verb, path, a, b)| format!("{verb} {path} {a} {b}"))
}

fn log() -> impl Strategy<Value = Vec<String>> {
    let message = prop::collection::vec(edit(), 1..5).prop_map(|edits| edits.join("\n"));
    prop::collection::vec(message, 2..14)
}

fn tight() -> Limits {
    Limits { gas: 300_000, ..limits() }
}

fn run(process: &mut Process, log: &[String], mode: Mode) -> Vec<(Call, Arc<[u8]>)> {
    log.iter().map(|data| (process.try_call(data, &[("Action", "Edit")], mode), process.snapshot())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_computed_alike_from_everywhere(log in log(), middle in any::<prop::sample::Index>()) {
        let mut live = process_with(EDITS, &tight());
        let first = run(&mut live, &log, Mode::Live);

        let mut fresh = process_with(EDITS, &tight());
        prop_assert_eq!(&run(&mut fresh, &log, Mode::Replay), &first, "a fresh process");

        // At every slot from the snapshot of the one before: nothing is live that the bytes don't hold.
        let at = middle.index(log.len());
        let mut restored = process_with(EDITS, &tight());
        restored.slot = at as u64 + 1;
        if let Some(before) = at.checked_sub(1) {
            restored.device.restore(&first[before].1).unwrap();
        }
        prop_assert_eq!(&run(&mut restored, &log[at..], Mode::Live)[..], &first[at..], "restored before {}", at);
        prop_assert_eq!(restored.state(), live.state());
    }
}

#[test]
fn the_script_of_the_property_does_what_it_should() {
    // Else the property would hold for a script that only fails.
    let mut process = process_with(EDITS, &tight());
    let (cause, outcome) =
        process.call("fill root.a 5 a\nholes root.a 2 a\nshare root x s\nset root.shared 3 late", &[]);
    assert_eq!((cause, &outcome.error), (Cause::Success, &None));
    assert_eq!(
        process.state(),
        r#"{"a":{"1":2,"3":6,"4":8,"k1":1,"k3":3,"k4":4},"s":{"1":"x","3":"late"},"shared":{"1":"x","3":"late"}}"#
    );
    let causes =
        ["fail root a b", "raise root a b", "spoil root a b", "loop root a b"].map(|data| process.call(data, &[]).0);
    assert_eq!(causes, [Cause::Error, Cause::Error, Cause::Error, Cause::Limit(LimitKey::Gas)]);
}
