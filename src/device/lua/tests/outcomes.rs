//! Outcomes: output, messages, spawns, assignments; messages and definitions as scripts see them.

use super::*;
use crate::group::Grouper;

#[test]
fn an_output_is_json() {
    let cases = [
        ("return nil", "null"),
        ("return", "null"),
        ("return 1, 2", "1"),
        ("return 'ä\"\\n'", r#""ä\"\n""#),
        ("return true", "true"),
        ("return 5", "5"),
        ("return 5.0", "5.0"),
        ("return -0.0", "-0.0"),
        ("return 1e300", "1e+300"),
        ("return math.mininteger", "-9223372036854775808"),
        ("return {}", "{}"),
        ("return {{}, {}}", "[{},{}]"),
        ("return {1, nil, 3}", r#"{"1":1,"3":3}"#),
        ("return {b = 1, a = 2, [true] = 3, [0.5] = 4}", r#"{"0.5":4,"a":2,"b":1,"true":3}"#),
        ("local t = {1} return {t, t, {t}}", "[[1],[1],[[1]]]"),
        ("local t = {{1}, {}} return {t, t[1], t, {t}}", "[[[1],{}],[1],[[1],{}],[[[1],{}]]]"),
        ("local a = {} local b = {a, {a}} return {b, a, b, {k = b}}", r#"[[{},[{}]],{},[{},[{}]],{"k":[{},[{}]]}]"#),
        ("return setmetatable({a = 1}, {__index = {b = 2}})", r#"{"a":1}"#),
        ("return state", "{}"),
    ];
    for (code, expected) in cases {
        let found = process(RUNS_DATA).output(code);
        assert_eq!(found, expected, "{code}");
        assert!(serde_json::from_str::<serde_json::Value>(&found).is_ok(), "{found}");
    }
}

#[test]
fn what_is_no_json_is_named() {
    let cases = [
        ("return print", "output is a function; an output holds plain data only"),
        ("return {a = {1, print}}", "output.a[2] is a function; an output holds plain data only"),
        ("local t = {} t.t = t return t", "output.t holds itself; an output holds plain data only"),
        ("return 0/0", "output is not a finite number, so it has no JSON"),
        ("return {rate = {1/0}}", "output.rate[1] is not a finite number, so it has no JSON"),
        ("return '\\xff'", "output is not UTF-8, so it has no JSON"),
        ("return {['\\xff'] = 1}", "output[\"\u{fffd}\"] is not UTF-8, so it has no JSON"),
        ("return {[{}] = 1}", "output has a key that is a table; an output holds plain data only"),
    ];
    for (code, expected) in cases {
        assert_eq!(process(RUNS_DATA).error(code), expected, "{code}");
    }
}

#[test]
fn messages_leave_with_the_outcome() {
    let mut process = process(RUNS_DATA);
    let code = r#"
        send{Target = "a", Data = "d", Anchor = "r", Tags = {Z = 1, B = true}, Action = "Go", Extra = 2.5}
        send{Target = "b", Tags = {{name = "Z", value = "1"}, {name = "A", value = 2}, {name = "Z", value = "3"}}}
        spawn{Source = "code", Tags = {Name = "child"}, Data = "first", Anchor = "ref", More = 1}
        spawn{Module = "id", Device = "lua"}
        assign{Processes = {"p", "q"}, Message = "m"}
        return "done", send{Target = "c"}"#;
    let (cause, outcome) = process.call(code, &[]);
    assert_eq!((cause, &outcome.error), (Cause::Success, &None));
    let found = serde_json::to_value(&outcome).unwrap();
    let tag = |name: &str, value: &str| serde_json::json!({"name": name, "value": value});
    assert_eq!(
        found["Messages"],
        serde_json::json!([
            {"Target": "a", "Data": "d", "Anchor": "r", "Tags": [tag("B", "true"), tag("Z", "1"), tag("Action", "Go"), tag("Extra", "2.5")]},
            {"Target": "b", "Data": "", "Anchor": "", "Tags": [tag("Z", "1"), tag("A", "2"), tag("Z", "3")]},
            {"Target": "c", "Data": "", "Anchor": "", "Tags": []},
        ])
    );
    assert_eq!(
        found["Spawns"],
        serde_json::json!([
            {"Device": "lua", "Source": "code", "Tags": [tag("Name", "child"), tag("More", "1")], "Data": "first", "Anchor": "ref"},
            {"Device": "lua", "Module": "id", "Tags": [], "Data": "", "Anchor": ""},
        ])
    );
    assert_eq!(found["Assignments"], serde_json::json!([{"Processes": ["p", "q"], "Message": "m"}]));
    // The next call starts with nothing.
    assert_eq!(process.call("return 1", &[]).1.messages, vec![]);
}

#[test]
fn bad_messages_are_errors_of_the_script() {
    let cases = [
        ("send{}", "code:1: send: Target is missing"),
        ("send('x')", "code:1: send takes a table of fields, as in send{...}, not a string"),
        ("send{Target = {}}", "code:1: send: Target is a table; it must be a text, a number or a boolean"),
        ("send{Target = ''}", "code:1: send: Target is empty"),
        ("send{Target = 'x', Data = {}}", "code:1: send: Data is a table; it must be a text, a number or a boolean"),
        ("send{Target = 'x', Data = '\\xff'}", "code:1: send: Data is not UTF-8"),
        ("send{Target = 'x', K = print}", "code:1: send.K is a function; it must be a text, a number or a boolean"),
        ("send{Target = 'x', K = '\\xff'}", "code:1: send: K is not UTF-8"),
        ("send{Target = 'x', 5}", "code:1: send[1]: a tag's name must be a text"),
        ("send{Target = 'x', Tags = 5}", "code:1: send: Tags is a number; it must be a table"),
        (
            "send{Target = 'x', Tags = {K = {}}}",
            "code:1: send: Tags.K is a table; it must be a text, a number or a boolean",
        ),
        (
            "send{Target = 'x', Tags = {{name = 'a'}}}",
            "code:1: send: Tags[1].value is a nil; it must be a text, a number or a boolean",
        ),
        (
            "send{Target = 'x', Tags = {{name = 'a', value = 1}, 2}}",
            "code:1: send: Tags[2] must be a table with name and value",
        ),
        ("send{Target = 'x', Tags = {[''] = 1}}", "code:1: send: a tag has an empty name"),
        ("spawn{}", "code:1: spawn: one of Source and Module is needed"),
        ("spawn{Source = 'a', Module = 'b'}", "code:1: spawn: one of Source and Module is needed"),
        ("assign{Processes = {'a'}}", "code:1: assign: Message is missing"),
        ("assign{Message = 'a'}", "code:1: assign: Processes must be a list of process ids"),
        (
            "assign{Message = 'a', Processes = {{}}}",
            "code:1: assign: Processes[1] is a table; it must be a text, a number or a boolean",
        ),
    ];
    let mut process = process(RUNS_DATA);
    for (code, expected) in cases {
        assert_eq!(process.error(code), expected, "{code}");
        assert_eq!(
            process.output(&format!("return select('#', pcall(function() {code} end))")),
            "2",
            "it can be caught: {code}"
        );
    }
}

#[test]
fn tags_are_fields_but_never_stand_in_for_others() {
    let mut process = process(
        "function compute(state, msg) return {msg.Action, msg.From, msg.Slot, msg.Anchor == nil, msg.Tags.From, msg.Tags.Twice, msg.Twice, msg.Tags.Anchor, msg.Tags.Slot} end",
    );
    let tags = [("Action", "Go"), ("From", "forged"), ("Slot", "9"), ("Anchor", "x"), ("Twice", "1"), ("Twice", "2")];
    let (_, outcome) = process.call("", &tags);
    assert_eq!(outcome.output.as_str(), r#"["Go","local",1,true,"forged","2","2","x","9"]"#);
}

#[test]
fn init_gets_the_definition() {
    let source =
        "function init(state, definition) state.definition = definition return 'ready' end function compute() end";
    let mut process = process(source);
    let call = process.device.init(&entry(0, "{}", &[]), Mode::Live).unwrap();
    let Call::Done(Cause::Success, outcome) = call else { panic!("{call:?}") };
    assert_eq!(outcome.output.as_str(), "\"ready\"");
    let expected =
        r#"{"definition":{"Colour":"green","Device":"lua","Id":"tested","Tags":{"Colour":"green","Id":"forged"}}}"#;
    assert_eq!(process.state(), expected);
    let without = super::process("function compute() end").device.init(&entry(0, "{}", &[]), Mode::Live).unwrap();
    assert_eq!(without, Call::Done(Cause::Success, Outcome::empty()));
    let failing = super::process("function init(state) state.x = 1 error('no', 0) end function compute() end")
        .device
        .init(&entry(0, "{}", &[]), Mode::Live)
        .unwrap();
    let Call::Done(Cause::Error, outcome) = failing else { panic!("{failing:?}") };
    assert_eq!(outcome.error.as_deref(), Some("no"));
}

#[test]
fn a_dry_run_is_a_call() {
    let mut process = process(RUNS_DATA);
    let call = process.device.dry_run(&entry(1, "state.x = 1 return 2", &[])).unwrap();
    assert!(matches!(call, Call::Done(Cause::Success, outcome) if outcome.output.as_str() == "2"));
}

#[test]
fn the_device_says_what_it_is() {
    let process = process(RUNS_DATA);
    let info = process.device.info();
    assert!(info.deterministic && info.needs_worker);
    assert_eq!(info.grouper, Grouper::Process);
    assert_eq!(info, LuaFactory.info(DeviceKind::Lua), "known without making one");
    assert!(info.engine.starts_with("lua 5.4.") && info.engine.ends_with("/1"), "{}", info.engine);
    assert!((20_000..200_000).contains(&process.device.memory()), "{}", process.device.memory());
}
