//! Only the state lasts: globals, file-level locals and constants are frozen after load.

use super::*;

/// The error of the first call, which must be that of the second, too: nothing of a failed call is left.
fn refused(source: &str) -> String {
    let mut process = process(source);
    let first = process.error("");
    assert_eq!(process.error(""), first, "the second call differs: {source}");
    let mut fresh = super::process(source);
    assert_eq!(fresh.error(""), first, "a fresh process differs: {source}");
    first
}

const LASTS: &str = "; keep what should last in state";

#[test]
fn writes_to_what_is_frozen_fail_at_their_line() {
    let constant = |field: &str| format!("field '{field}' of a constant of the script or a library is assigned{LASTS}");
    let global = |name: &str| format!("global '{name}' is assigned in a call{LASTS}");
    let cases = [
        ("function compute()\n  count = 1\nend", format!("tested:2: {}", global("count"))),
        ("count = 1 function compute()\n  count = count + 1\nend", format!("tested:2: {}", global("count"))),
        ("function compute()\n  function helper() end\nend", format!("tested:2: {}", global("helper"))),
        ("function compute()\n  _G.x = 1\nend", format!("tested:2: {}", global("x"))),
        ("function compute()\n  _ENV.x = 1\nend", format!("tested:2: {}", global("x"))),
        ("function compute()\n  rawset(_G, 'x', 1)\nend", format!("tested:2: {}", global("x"))),
        ("function compute()\n  load('x = 1')()\nend", format!("[string \"x = 1\"]:1: {}", global("x"))),
        ("function compute()\n  string.x = 1\nend", format!("tested:2: {}", constant("x"))),
        ("function compute()\n  string.upper = 1\nend", format!("tested:2: {}", constant("upper"))),
        ("function compute()\n  rawset(math, 'pi', 3)\nend", format!("tested:2: {}", constant("pi"))),
        ("function compute()\n  print = nil\nend", format!("tested:2: {}", global("print"))),
        ("local T = {a = 1} function compute()\n  T.a = 2\nend", format!("tested:2: {}", constant("a"))),
        ("local T = {a = {}} function compute()\n  T.a.b = 2\nend", format!("tested:2: {}", constant("b"))),
        ("T = {1, 2} function compute()\n  T[1] = 2\nend", format!("tested:2: {}", constant("1"))),
        ("T = {1, 2} function compute()\n  table.insert(T, 2)\nend", format!("tested:2: {}", constant("3"))),
        ("T = {1, 2} function compute()\n  table.remove(T)\nend", format!("tested:2: {}", constant("2"))),
        ("T = {1, 2} function compute()\n  table.move({5}, 1, 1, 1, T)\nend", format!("tested:2: {}", constant("1"))),
        ("T = {1, 2} function compute()\n  rawset(T, 9, 9)\nend", format!("tested:2: {}", constant("9"))),
        (
            "T = {2, 1} function compute()\n  table.sort(T)\nend",
            format!("tested:2: a constant of the script or a library is sorted{LASTS}"),
        ),
        (
            "T = {} function compute()\n  setmetatable(T, {})\nend",
            "tested:2: a constant of the script or a library takes no other metatable".to_owned(),
        ),
        ("local K = {} local T = {[K] = 1} function compute()\n  K.x = 1\nend", format!("tested:2: {}", constant("x"))),
        (
            "local get do local hidden = {} get = function() return hidden end end function compute()\n  get().x = 1\nend",
            format!("tested:2: {}", constant("x")),
        ),
        (
            "local M = {__index = {a = 1}} T = setmetatable({}, M) function compute()\n  getmetatable(T).__index.a = 2\nend",
            format!("tested:2: {}", constant("a")),
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(refused(source), expected, "{source}");
    }
}

#[test]
fn changed_locals_are_named_and_restored() {
    let changed = |name: &str| format!("local '{name}' of the script was changed by a call{LASTS}");
    let cases = [
        ("local count = 0 function compute() count = count + 1 return count end", changed("count")),
        ("local a, b = 1, 1 function compute() b = 2 a = 2 end", changed("a")),
        ("local x = 1 function compute() x = 1.0 end", changed("x")),
        ("local x = 0.0 function compute() x = -x end", changed("x")),
        ("local f do local n = 0 f = function() n = n + 1 return n end end function compute() f() end", changed("n")),
        ("local t = {} function compute() t = {} end", changed("t")),
        (
            "local t = {f = nil} do local n = 1 t.f = {function() n = 2 end} end function compute() t.f[1]() end",
            changed("n"),
        ),
        (
            "local m = {} do local n = 1 m.__index = function() n = n + 1 end end T = setmetatable({}, m) function compute() return T.x end",
            changed("n"),
        ),
        ("function compute() _ENV = {} end", changed("_ENV")),
        ("local cache function compute() cache = cache or 1 end", changed("cache")),
        ("local x = 1 function compute() coroutine.wrap(function() x = 2 end)() end", changed("x")),
        ("local x = 1 function compute() local f = function() x = 2 end f() end", changed("x")),
        (
            "C = {} C.__index = C function compute() C.__index = {} end",
            format!("field '__index' of a constant of the script was changed by a call{LASTS}"),
        ),
        (
            "C = {} C.__index = C C.__len = 1 function compute() C.__len, C.__index = nil, nil end",
            format!("field '__index' of a constant of the script was changed by a call{LASTS}"),
        ),
        (
            "function compute() local m = {} setmetatable({}, m) m.__mode = 'k' end",
            "__mode is not available: what it keeps is chance".to_owned(),
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(refused(source), expected, "{source}");
    }
}

#[test]
fn a_call_that_fails_leaves_no_local_changed() {
    let source = |ending: &str| {
        format!(
            "local n = 0 local C = {{__len = 1}} function compute(state, msg) \
             if msg.Data == 'look' then return {{n, C.__len}} end n = n + 1 C.__len = 2 state.x = 1 {ending} end"
        )
    };
    for ending in ["error('x')", "while true do end", "return print", "state.f = print"] {
        let mut process = process(&source(ending));
        let (cause, _) = process.call("", &[]);
        assert_ne!(cause, Cause::Success);
        assert_eq!(process.output("look"), "[0,1]", "{ending}");
        assert_eq!(process.state(), "{}");
    }
}

#[test]
fn an_unchanged_local_is_no_change() {
    let source = "local nan, one, text = 0/0, 1, 'a' local t = {nan} function compute() \
        nan = nan one = 3 - 2 text = 'a' .. '' t = t return t end";
    let mut process = process(source.replace("return t", "return #t").as_str());
    assert_eq!(process.output(""), "1");
}

#[test]
fn frozen_tables_read_like_any_other() {
    let mut process = process(
        r#"
        local LIST = {10, 20, 30}
        MAP = {b = 2, a = 1, nested = {deep = {1, 2}}}
        local Animal = {} Animal.__index = Animal
        Animal.__tostring = function(self) return "animal " .. self.name end
        Animal.__eq = function(a, b) return a.name == b.name end
        Animal.__call = function(self, x) return self.name .. x end
        Animal.__len = function() return 7 end
        function Animal.new(name) return setmetatable({name = name}, Animal) end
        function Animal:hello() return "I am " .. self.name end
        local Dog = setmetatable({}, {__index = Animal}) Dog.__index = Dog
        function Dog:bark() return self.name .. "!" end
        local REX = Animal.new("Rex")
        local COUNTED = setmetatable({}, {__index = function(t, k) return k .. "?" end})
        function compute(state, msg)
          local seen = {}
          for i, v in ipairs(LIST) do seen[#seen + 1] = v end
          for k, v in pairs(MAP) do seen[#seen + 1] = k end
          for k in next, LIST do seen[#seen + 1] = k end
          return {seen, #LIST, rawlen(LIST), table.concat(LIST, ","), {table.unpack(LIST)}, rawget(MAP, "a"), next(MAP),
            MAP.nested.deep, MAP, REX:hello(), tostring(REX), REX == Animal.new("Rex"), REX("x"), #REX,
            setmetatable({name = "Bo"}, Dog):bark(), setmetatable({name = "Bo"}, Dog):hello(), COUNTED.what,
            getmetatable(REX) == Animal, getmetatable(LIST) == nil, getmetatable("") == false, LIST, select('#', pairs(_G)) }
        end
        local n = 0
        "#,
    );
    let expected = concat!(
        r#"[[10,20,30,"a","b","nested",1,2,3],3,3,"10,20,30",[10,20,30],1,"a",[1,2],{"a":1,"b":2,"nested":{"deep":[1,2]}},"#,
        r#""I am Rex","animal Rex",true,"Rexx",7,"Bo!","I am Bo","what?",true,true,true,[10,20,30],3]"#
    );
    assert_eq!(process.output(""), expected);
    assert_eq!(process.output(""), expected);
}

#[test]
fn the_contents_of_a_frozen_table_stay_behind_it() {
    // Whatever is handed to the script, it is never the table with the contents.
    let mut process = process(
        r#"
        local kept
        T = setmetatable({a = 1}, {__index = function(self, k) return self end, __newindex = function(self) return rawset(self, "x", 1) end})
        function compute(state, msg)
          local self = T.missing
          return {self == T, pcall(function() self.a = 2 end), T.a}
        end"#,
    );
    let (_, outcome) = process.call("", &[]);
    assert_eq!(outcome.output.as_str(), "[true,false,1]");
}

#[test]
fn globals_are_listed_in_order() {
    let mut process =
        process("mine = 1 function compute() local s = '' for k in pairs(_G) do s = s .. k .. ' ' end return s end");
    let all = "_G _VERSION assert assign compute coroutine error getmetatable ipairs load math mine next pairs pcall print \
        rawequal rawget rawlen rawset select send setmetatable spawn string table tonumber tostring type utf8 xpcall ";
    assert_eq!(process.output(""), format!("\"{all}\""));
}

#[test]
fn load_errors_say_why() {
    let cases = [
        ("", "the script defines no function compute(state, msg)"),
        ("compute = 1", "the script defines no function compute(state, msg)"),
        ("local function compute() end", "the script defines no function compute(state, msg)"),
        ("\nx = = 1", "tested:2: unexpected symbol near '='"),
        ("\n\nerror('no')", "tested:3: no"),
        ("\nlocal x = nil .. 'a'", "tested:2: attempt to concatenate a nil value"),
        ("error({message = 'said'})", "said"),
        ("send{Target = 'x'}", "tested:1: send: there is no call while the script loads"),
        ("coroutine.yield()", "attempt to yield from outside a coroutine"),
        (
            "local m = {} setmetatable({}, m) m.__mode = 'v' function compute() end",
            "__mode is not available: what it keeps is chance",
        ),
        ("\x1bLua", "attempt to load a binary chunk (mode is 't')"),
    ];
    for (source, expected) in cases {
        assert_eq!(load_error(source), expected, "{source:?}");
    }
    let checked = LuaFactory.check(&DeviceKind::Lua, b"error('not run')");
    assert!(checked.is_ok(), "a check does not run the script");
    let Err(DeviceError::Load(text)) = LuaFactory.check(&DeviceKind::Lua, b"\n\nx y") else { panic!("it passed") };
    assert_eq!(text, "script:3: syntax error near 'y'");
}
