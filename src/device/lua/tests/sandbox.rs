//! What the sandbox offers, and what it does not.

use super::*;

/// Code, and the JSON of what it returns. Where nothing else is said, Lua 5.4 gives the same.
const LIBRARY: &[(&str, &str)] = &[
    ("return 1 + 2.5", "3.5"),
    ("return _VERSION", r#""Lua 5.4""#),
    ("return type(_G), _G == _ENV", r#""table""#),
    ("return select('#', nil, nil)", "2"),
    ("return {select(-2, 1, 2, 3)}", "[2,3]"),
    ("return {tonumber('0x10'), tonumber('z', 36), tonumber('1e1'), tonumber(' 7 ')}", "[16,35,10.0,7]"),
    ("return {pcall(error, 'x')}", r#"[false,"x"]"#),
    ("return {pcall(error, {code = 7})}", r#"[false,{"code":7}]"#),
    ("return {pcall(function(...) return select('#', ...), ... end, 1, nil, 3)}", r#"{"1":true,"2":3,"3":1,"5":3}"#),
    ("return {xpcall(function() error('x', 0) end, function(e) return e .. '!' end)}", r#"[false,"x!"]"#),
    ("return {xpcall(function(a) return a end, print, 5)}", "[true,5]"),
    ("local t = {} for i, v in ipairs({1, 2, nil, 4}) do t[i] = v end return t", "[1,2]"),
    ("local t = setmetatable({}, {__index = function(_, k) return k * 2 end}) return t[21]", "42"),
    (
        "local t = setmetatable({}, {__pairs = function(t) return function(_, k) if not k then return 1, 2 end end, t end}) for k, v in pairs(t) do return {k, v} end",
        "[1,2]",
    ),
    ("local t = setmetatable({}, {__len = function() return 9 end}) return {#t, rawlen(t)}", "[9,0]"),
    ("return getmetatable(setmetatable({}, {__metatable = 'mine'}))", r#""mine""#),
    ("local m = {} return getmetatable(setmetatable({}, m)) == m", "true"),
    ("return rawequal({}, {}), 1", "false"),
    ("local t = {} rawset(t, 'a', 1) return {rawget(t, 'a'), rawlen('abc')}", "[1,3]"),
    (
        "local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end) local t = {} t[1] = {coroutine.resume(co, 1)} t[2] = {coroutine.resume(co, 5)} t[3] = coroutine.status(co) t[4] = {coroutine.resume(co)} return t",
        r#"[[true,2],[true,10],"dead",[false,"cannot resume dead coroutine"]]"#,
    ),
    (
        "local next = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) return {next(), next(), next()}",
        "[1,2,3]",
    ),
    ("return {pcall(coroutine.wrap(function() error('x', 0) end))}", r#"[false,"x"]"#),
    (
        "local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) return {coroutine.close(co), coroutine.status(co)}",
        r#"[true,"dead"]"#,
    ),
    ("return {coroutine.isyieldable(), select(2, coroutine.running())}", "[false,true]"),
    (
        "local out = {} do local c <close> = setmetatable({}, {__close = function() out[1] = 'closed' end}) end return out",
        r#"["closed"]"#,
    ),
    ("local t = {3, 1, 2} table.sort(t) return t", "[1,2,3]"),
    ("local t = {'b', 'a', 'c'} table.sort(t, function(a, b) return a > b end) return t", r#"["c","b","a"]"#),
    (
        "local t = {} for i = 1, 50 do t[i] = {k = i % 3, i = i} end table.sort(t, function(a, b) return a.k < b.k end) local s = {} for i = 1, 50 do s[i] = t[i].i end return table.concat(s, ' ', 1, 18)",
        r#""3 6 9 12 15 18 21 24 27 30 33 36 39 42 45 48 1 4""#,
    ),
    ("local t = {3, 1, 2} table.sort(t, function() return true end) return #t", "3"),
    (
        "local V = {__lt = function(a, b) return a.n < b.n end} local t = {} for i = 1, 3 do t[i] = setmetatable({n = -i}, V) end table.sort(t) return t[1].n",
        "-3",
    ),
    ("local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) return t", "[0,1,2,3,4]"),
    (
        "local t = {1, 2, 3} return {table.remove(t), table.remove(t, 1), #t, table.remove({}), 9}",
        r#"{"1":3,"2":1,"3":1,"5":9}"#,
    ),
    ("return table.move({1, 2, 3}, 1, 3, 2)", "[1,1,2,3]"),
    ("return table.move({1, 2, 3}, 2, 3, 1)", "[2,3,3]"),
    ("return table.move({1, 2, 3}, 1, 3, 1, {})", "[1,2,3]"),
    ("return {table.unpack({1, 2, 3}, 2)}", "[2,3]"),
    ("return table.pack(1, nil, 3)", r#"{"1":1,"3":3,"n":3}"#),
    ("return table.concat({1, 'a', 2.5}, '-')", r#""1-a-2.5""#),
    ("return ('abc'):upper() .. ('ABC'):lower() .. ('abc'):reverse() .. ('ab'):rep(2, '.')", r#""ABCabccbaab.ab""#),
    ("return {('abc'):byte(1, -1)}", "[97,98,99]"),
    ("return string.char(104, 105) .. ('hello'):sub(-3, -2) .. #'four'", r#""hill4""#),
    (
        "return string.format('%5.1f|%d|%s|%q|%x|%%|%-4s|', 3.14159, 42, 'x', 'y', 255, 'z')",
        r#""  3.1|42|x|\"y\"|ff|%|z   |""#,
    ),
    ("return {string.unpack('<i4', string.pack('<i4', -7))}", "[-7,5]"),
    ("return {utf8.char(228, 8364), utf8.len('äö'), utf8.codepoint('ä'), utf8.offset('äö', 2)}", r#"["ä€",2,228,3]"#),
    ("local t = {} for p, c in utf8.codes('aä') do t[#t + 1] = {p, c} end return t", "[[1,97],[2,228]]"),
    (
        "return {math.floor(2.7), math.max(1, 3, 2), math.type(1.0), math.maxinteger, 7 // 2, 7 % -3, 2 ^ 10}",
        r#"[2,3,"float",9223372036854775807,3,-2,1024.0]"#,
    ),
    ("return load('return 1 + 1')()", "2"),
    ("return load('x = 1; return x', 'c', 't', {})()", "1"),
    ("local parts, i = {'return ', '3'}, 0 return load(function() i = i + 1 return parts[i] end)()", "3"),
    ("local f, e = load('return +') return e", r#""[string \"return +\"]:1: unexpected symbol near '+'""#),
    ("return {load('\\27Lua')}", r#"{"2":"attempt to load a binary chunk (mode is 't')"}"#),
    ("return select(2, load('return 1', 'c', 'b'))", r#""attempt to load a chunk in mode 'b'; only text is loaded""#),
    ("goto over ::over:: return 'gone'", r#""gone""#),
];

#[test]
fn the_library_is_that_of_lua() {
    let mut process = process(RUNS_DATA);
    let wrong: Vec<_> = LIBRARY.iter().map(|(code, expected)| (code, process.output(code), *expected)).collect();
    let wrong: Vec<_> = wrong.into_iter().filter(|(_, found, expected)| found != expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_reaches_outside() {
    let mut process = process(RUNS_DATA);
    let absent =
        ["io", "os", "package", "require", "debug", "dofile", "loadfile", "collectgarbage", "warn", "string.dump"];
    for name in absent {
        assert_eq!(process.output(&format!("return {name} == nil")), "true", "{name} is there");
    }
}

/// Code, and the error that it raises, with the line of the script.
const ERRORS: &[(&str, &str)] = &[
    ("error('plain')", "code:1: plain"),
    ("error('bare', 0)", "bare"),
    ("\n\nlocal x = nil + 1", "code:3: attempt to perform arithmetic on a nil value"),
    ("local t = nil; t.x = 1", "code:1: attempt to index a nil value (local 't')"),
    ("undefined()", "code:1: attempt to call a nil value (global 'undefined')"),
    ("error({})", "(error object is a table)"),
    ("error({message = 'told'})", "told"),
    ("error(setmetatable({}, {__tostring = function() return 'shown' end}))", "shown"),
    ("error(setmetatable({}, {__tostring = function() error('worse') end}))", "(the error cannot be shown)"),
    ("error(nil)", "(error object is a nil)"),
    ("error(12)", "12"),
    ("error(print)", "(error object is a function)"),
    ("assert(false)", "code:1: assertion failed!"),
    ("assert(nil, 'said')", "code:1: said"),
    ("coroutine.yield(1)", "attempt to yield from outside a coroutine"),
    ("pairs(nil)", "code:1: bad argument #1 to 'pairs' (table expected, got nil)"),
    ("next(1)", "code:1: bad argument #1 to 'next' (table expected, got number)"),
    ("pairs({[{}] = 1})", "code:1: a key that is a table has no order, so the table cannot be traversed"),
    ("next({[print] = 1})", "code:1: a key that is a function has no order, so the table cannot be traversed"),
    ("('x'):rep(1, {})", "code:1: bad argument #2 to 'rep' (string expected, got table)"),
    ("string.upper()", "code:1: bad argument #1 to 'upper' (string expected, got no value)"),
    ("string.format('%d', 'x')", "code:1: bad argument #2 to 'format' (number expected, got string)"),
    ("('x'):find('(')", "code:1: unfinished capture"),
    ("('x'):gsub('x', '%2')", "code:1: invalid capture index %2"),
    ("table.concat({{}})", "code:1: invalid value (at index 1) in table for 'concat'"),
    ("table.insert({}, 5, 1)", "code:1: bad argument #2 to 'insert' (position out of bounds)"),
    ("table.insert({}, 1, 2, 3)", "code:1: wrong number of arguments to 'insert'"),
    ("table.remove({}, 5)", "code:1: bad argument #2 to 'remove' (position out of bounds)"),
    ("table.unpack({}, 1, 1e8)", "code:1: too many results to unpack"),
    ("table.sort({1, 'a'})", "code:1: attempt to compare string with number"),
    ("table.sort({{}, {}})", "code:1: attempt to compare two table values"),
    ("setmetatable(1, {})", "code:1: bad argument #1 to 'setmetatable' (table expected, got number)"),
    ("setmetatable({}, {__gc = print})", "code:1: __gc is not available: when it runs is chance"),
    ("setmetatable({}, {__mode = 'k'})", "code:1: __mode is not available: what it keeps is chance"),
    ("math.randomseed()", "code:1: math.randomseed needs a number, so that chance can be repeated"),
    ("tostring()", "code:1: bad argument #1 to 'tostring' (value expected)"),
    ("local a <close> = setmetatable({}, {__close = function() error('closing', 0) end}) error('first', 0)", "closing"),
];

#[test]
fn errors_say_where() {
    let mut process = process(RUNS_DATA);
    let all: Vec<_> = ERRORS.iter().map(|(code, expected)| (code, process.error(code), *expected)).collect();
    let wrong: Vec<_> = all.into_iter().filter(|(_, found, expected)| found != expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(super::process("\n\nfunction compute()\n  error('here')\nend").error(""), "tested:4: here");
}

#[test]
fn an_error_text_is_bounded() {
    let text = process(RUNS_DATA).error("error(('ä'):rep(100000), 0)");
    assert!(text.starts_with("ää") && text.len() < 5_000, "{} bytes", text.len());
}

#[test]
fn stack_overflows_are_errors() {
    let mut process = process(RUNS_DATA);
    let deep = "local function down(n) return 1 + down(n + 1) end return down(1)";
    assert!(process.error(deep).contains("stack overflow"));
    let in_c = "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1]";
    assert!(process.error(in_c).contains("C stack overflow"));
    let handlers = "local function worse() error(worse) end return xpcall(error, worse)";
    assert_eq!(process.output(&format!("return (function() {handlers} end)()")), "false");
}
