//! Every limit, and scripts that try to get around it.

use std::time::Duration;

use super::*;

fn small() -> Limits {
    Limits {
        compute_time: Duration::from_secs(10),
        gas: 2_000_000,
        memory: 4 << 20,
        state_size: 10_000,
        output_size: 1_000,
        messages_per_outcome: 5,
        message_size: 100,
        queue: 10,
        outbox: 10,
    }
}

/// Hostile code, and the limits that may end it. What follows shows that the process goes on.
const HOSTILE: &[(&str, &[LimitKey])] = &[
    ("while true do end", &[LimitKey::Gas]),
    ("repeat until false", &[LimitKey::Gas]),
    ("::again:: goto again", &[LimitKey::Gas]),
    ("while true do pcall(function() while true do end end) end", &[LimitKey::Gas]),
    ("while true do pcall(error) end", &[LimitKey::Gas]),
    ("while true do xpcall(function() while true do end end, function() while true do end end) end", &[LimitKey::Gas]),
    ("pcall(pcall, pcall, function() while true do end end) return 'free'", &[LimitKey::Gas]),
    ("xpcall(function() while true do end end, function() while true do end end) return 'free'", &[LimitKey::Gas]),
    ("coroutine.wrap(function() while true do end end)() return 'free'", &[LimitKey::Gas]),
    ("coroutine.resume(coroutine.create(function() while true do end end)) return 'free'", &[LimitKey::Gas]),
    ("while true do coroutine.wrap(function() end)() end", &[LimitKey::Gas, LimitKey::Memory]),
    ("while true do coroutine.wrap(function() for i = 1, 10 do end end)() end", &[LimitKey::Gas, LimitKey::Memory]),
    (
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
        &[LimitKey::Gas],
    ),
    (
        "local function nest() return coroutine.wrap(nest)() end while true do pcall(nest) end",
        &[LimitKey::Gas, LimitKey::Memory],
    ),
    (
        "do local c <close> = setmetatable({}, {__close = function() while true do end end}) error('x') end",
        &[LimitKey::Gas],
    ),
    (
        "do local c <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end",
        &[LimitKey::Gas],
    ),
    (
        "local co = coroutine.create(function() local c <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end) coroutine.resume(co) coroutine.close(co) return 'free'",
        &[LimitKey::Gas],
    ),
    (
        "local co = coroutine.create(function() local c <close> = setmetatable({}, {__close = function() while true do end end}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co) return 'free'",
        &[LimitKey::Gas],
    ),
    (
        "local function f() local c <close> = setmetatable({}, {__close = f}) while true do end end pcall(f) return 'free'",
        &[LimitKey::Gas],
    ),
    ("table.sort({1, 2, 3}, function() while true do end end)", &[LimitKey::Gas]),
    ("for w in ('x'):rep(100):gmatch('.') do while true do end end", &[LimitKey::Gas]),
    ("('x'):rep(100):gsub('.', function() while true do end end)", &[LimitKey::Gas]),
    ("return tostring(setmetatable({}, {__tostring = function() while true do end end}))", &[LimitKey::Gas]),
    ("error(setmetatable({}, {__tostring = function() while true do end end}))", &[LimitKey::Gas]),
    ("return load(function() while true do end end)", &[LimitKey::Gas]),
    ("return load(function() return ' ' end)", &[LimitKey::Gas, LimitKey::Memory]),
    ("while true do load('return 1') end", &[LimitKey::Gas]),
    ("return ('a?'):rep(30, ''):len(), (('a'):rep(30)):find(('a?'):rep(30) .. ('a'):rep(30) .. 'b')", &[LimitKey::Gas]),
    ("return (('a'):rep(200)):match('(.-)(.-)(.-)(.-)(.-)(.-)b')", &[LimitKey::Gas]),
    ("return (('a'):rep(100000)):find(('a'):rep(50000) .. 'b', 1, true)", &[LimitKey::Gas]),
    ("pcall(string.find, ('a'):rep(200), '(.-)(.-)(.-)(.-)(.-)(.-)b') return 'free'", &[LimitKey::Gas]),
    ("return ('x'):rep(1e10)", &[LimitKey::Gas]),
    ("return ('x'):rep(1e10, 'y')", &[LimitKey::Gas]),
    ("pcall(string.rep, 'x', 1 << 62) return 'free'", &[LimitKey::Gas]),
    ("local s = 'x' while true do s = s .. s end", &[LimitKey::Memory]),
    ("local s = 'x' while true do pcall(function() s = s .. s end) end", &[LimitKey::Memory]),
    ("pcall(function() local s = 'x' while true do s = s .. s end end) return 'free'", &[LimitKey::Memory]),
    ("xpcall(function() local s = 'x' while true do s = s .. s end end, print) return 'free'", &[LimitKey::Memory]),
    (
        "coroutine.resume(coroutine.create(function() local s = 'x' while true do s = s .. s end end)) return 'free'",
        &[LimitKey::Memory],
    ),
    ("local t = {} for i = 1, 1e9 do t[i] = i end", &[LimitKey::Memory]),
    ("local t = {} for i = 1, 1e9 do t[i] = {} end", &[LimitKey::Memory]),
    ("local t = {} for i = 1, 1e9 do t['k' .. i] = i end", &[LimitKey::Memory]),
    ("local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end", &[LimitKey::Memory]),
    ("local t = {} for i = 1, 1e9 do t[i] = function() return i end end", &[LimitKey::Memory]),
    ("local s = ('x'):rep(1000) return s:gsub('x', s):gsub('x', s)", &[LimitKey::Gas, LimitKey::Memory]),
    (
        "return ('x'):rep(1000):gsub('x', function() return ('y'):rep(1000) end):gsub('y', {y = ('z'):rep(1000)})",
        &[LimitKey::Gas, LimitKey::Memory],
    ),
    ("local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000) end while true do table.concat(t) end", &[LimitKey::Gas]),
    ("while true do string.format('%s', ('x'):rep(1000)) end", &[LimitKey::Gas]),
    ("local s = ('x'):rep(1000) while true do s:upper() end", &[LimitKey::Gas]),
    ("return table.concat(setmetatable({}, {__index = type}), '', 1, 1 << 60)", &[LimitKey::Gas, LimitKey::Memory]),
    (
        "return table.concat(setmetatable({}, {__index = type, __len = function() return 1 << 60 end}))",
        &[LimitKey::Gas, LimitKey::Memory],
    ),
    (
        "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 1)",
        &[LimitKey::Gas, LimitKey::Memory],
    ),
    ("table.move({}, 1, 1 << 60, 2)", &[LimitKey::Gas, LimitKey::Memory]),
    (
        "table.sort(setmetatable({}, {__len = function() return 1 << 60 end, __index = function() return 1 end}))",
        &[LimitKey::Gas, LimitKey::Memory],
    ),
    ("while true do table.unpack({}, 1, 100000) end", &[LimitKey::Gas]),
    ("while true do select('#', table.unpack({}, 1, 1000)) end", &[LimitKey::Gas]),
    ("local t = {} for i = 1, 2000 do t[i] = i end while true do next(t) end", &[LimitKey::Gas]),
    (
        "local t = {} for i = 1, 2000 do t['k' .. i] = i end while true do for k in pairs(t) do break end end",
        &[LimitKey::Gas],
    ),
    ("while true do math.random() end", &[LimitKey::Gas]),
    ("string.pack('c1000000000', '')", &[LimitKey::Gas, LimitKey::Memory]),
    (
        "local t = {} t.__index = function(_, k) return t.__index(_, k) end return setmetatable({}, t).x",
        &[LimitKey::Gas],
    ),
    ("for i = 1, 1e9 do print(i) end", &[LimitKey::Gas]),
    ("for i = 1, 10 do send{Target = 'x'} end", &[LimitKey::MessagesPerOutcome]),
    ("for i = 1, 10 do pcall(send, {Target = 'x'}) end return 'free'", &[LimitKey::MessagesPerOutcome]),
    (
        "send{Target = 'x'} spawn{Source = ''} assign{Processes = {'a'}, Message = 'b'} send{Target = 'x'} spawn{Source = ''} assign{Processes = {}, Message = 'b'}",
        &[LimitKey::MessagesPerOutcome],
    ),
    ("send{Target = 'x', Data = ('x'):rep(101)}", &[LimitKey::MessageSize]),
    ("send{Target = 'x', Key = ('x'):rep(98)}", &[LimitKey::MessageSize]),
    ("pcall(send, {Target = 'x', Anchor = ('x'):rep(101)}) return 'free'", &[LimitKey::MessageSize]),
    ("spawn{Source = '', Data = ('x'):rep(101)}", &[LimitKey::MessageSize]),
    ("local s = ('x'):rep(1000000) for i = 1, 5 do spawn{Source = s} end", &[LimitKey::Memory]),
    ("state.x = ('x'):rep(10000)", &[LimitKey::StateSize]),
    ("for i = 1, 4000 do state[i] = {} end", &[LimitKey::StateSize]),
    ("local t = {} for i = 1, 100 do t = {t, t} end state.t = t", &[LimitKey::StateSize]),
    ("return ('x'):rep(1000)", &[LimitKey::OutputSize]),
    ("return ('\\n'):rep(600)", &[LimitKey::OutputSize]),
    ("return ('x'):rep(1000000)", &[LimitKey::OutputSize]),
    ("local t = {} for i = 1, 600 do t[i] = i end return t", &[LimitKey::OutputSize]),
    ("local t = {} for i = 1, 100 do t = {t, t} end return t", &[LimitKey::OutputSize]),
];

#[test]
fn hostile_code_is_ended_and_leaves_nothing() {
    let mut process = process_with(RUNS_DATA, &small());
    process.output("state.kept = {1, 2, 3} state.other = state.kept");
    for (code, allowed) in HOSTILE {
        let key = process.limit(&format!("state.kept[1] = 'spoilt' state.new = 1 {code}"));
        assert!(allowed.contains(&key), "{code}: {key}");
        assert_eq!(
            process.output("return {state.kept, state.other == state.kept, state.new}"),
            "[[1,2,3],true]",
            "{code}"
        );
    }
}

#[test]
fn time_is_a_limit_in_all_places() {
    let limits = Limits { compute_time: Duration::from_millis(20), gas: u64::MAX, ..small() };
    let mut process = process_with(RUNS_DATA, &limits);
    process.output("state.kept = 1");
    let endless = [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "coroutine.wrap(function() while true do end end)()",
        "return (('a'):rep(1000)):match('(.-)(.-)(.-)(.-)(.-)(.-)b')",
        "local s = ('x'):rep(100000) while true do local u = s .. s end",
        "do local c <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end",
    ];
    for code in endless {
        assert_eq!(process.limit(&format!("state.kept = 2 {code}")), LimitKey::ComputeTime, "{code}");
        assert_eq!(process.output("return state.kept"), "1");
    }
}

#[test]
fn on_replay_time_and_memory_are_lifted() {
    let limits = Limits { compute_time: Duration::ZERO, memory: 1 << 20, gas: 3_000_000, ..small() };
    let mut process = process_with(
        "function compute(state, msg) if msg.Data == 'memory' then return #('x'):rep(1000000) end for i = 1, 2000000 do end return 'done' end",
        &Limits { compute_time: Duration::from_secs(10), ..limits.clone() },
    );
    assert_eq!(process.limit("memory"), LimitKey::Memory);
    let Call::Done(Cause::Success, outcome) = process.try_call("memory", &[], Mode::Replay) else {
        panic!("not replayed")
    };
    assert_eq!(outcome.output.as_str(), "1000000");
    // A script whose calls have no time at all still loads, as loading takes none.
    let mut process = process_with(RUNS_DATA, &Limits { compute_time: Duration::from_secs(10), ..limits.clone() });
    process.limit("while true do end");
    let Call::Done(cause, _) = process.try_call("while true do end", &[], Mode::Replay) else { panic!("interrupted") };
    assert_eq!(cause, Cause::Limit(LimitKey::Gas), "gas holds on replay, too");
}

#[test]
fn an_interrupt_ends_a_call_without_a_trace() {
    let interrupt = Interrupt::default();
    let mut process = create(RUNS_DATA, &Limits { gas: u64::MAX, ..limits() }, interrupt.clone()).unwrap();
    process.output("state.kept = 1");
    let before = process.snapshot();
    let raiser = std::thread::spawn({
        let interrupt = interrupt.clone();
        move || interrupt.raise()
    });
    let call =
        process.try_call("state.kept = 2 while true do pcall(function() while true do end end) end", &[], Mode::Live);
    raiser.join().unwrap();
    assert_eq!(call, Call::Interrupted);
    assert_eq!(process.snapshot(), before);
    assert_eq!(process.try_call("return 1", &[], Mode::Live), Call::Interrupted, "each call to come ends, too");
}

#[test]
fn the_top_level_runs_under_limits() {
    let cases: &[(&str, LimitKey)] = &[
        ("while true do end", LimitKey::Gas),
        ("pcall(function() while true do end end) function compute() end", LimitKey::Gas),
        ("local s = 'x' while true do s = s .. s end", LimitKey::Memory),
        ("local t = {} for i = 1, 1e9 do t[i] = {} end", LimitKey::Memory),
        ("('x'):rep(1e12)", LimitKey::Gas),
    ];
    for (source, key) in cases {
        let Err(DeviceError::Load(text)) = create(source, &small(), Interrupt::default()) else {
            panic!("{source} loaded")
        };
        assert!(text.starts_with(&format!("limit {key}: ")), "{source}: {text}");
    }
    let limits = Limits { compute_time: Duration::from_millis(5), gas: u64::MAX, ..small() };
    let Err(DeviceError::Load(text)) = create("while true do end", &limits, Interrupt::default()) else {
        panic!("it loaded")
    };
    assert!(text.starts_with("limit compute_time: "), "{text}");
}

#[test]
fn limits_are_reached_exactly() {
    let mut process = process_with(RUNS_DATA, &small());
    process.output("for i = 1, 5 do send{Target = 'x', Data = ('x'):rep(100)} end");
    process.output("send{Target = 'x', Data = ('x'):rep(90), Anchor = 'aa', Tags = {four = 'four'}}");
    assert_eq!(process.output("return ('x'):rep(998)").len(), 1000);
    assert_eq!(process.limit("return ('x'):rep(999)"), LimitKey::OutputSize);
    // Version, table, ends; a key and its text; what remains.
    let room = 10_000 - 4 - 3 - 3;
    process.output(&format!("state.x = ('x'):rep({room})"));
    assert_eq!(process.snapshot().len(), 10_000);
    assert_eq!(process.limit("state.x = state.x .. 'x'"), LimitKey::StateSize);
}
