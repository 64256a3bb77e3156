//! The state: what it may hold, what a failed call leaves of it, and its bytes.

use proptest::prelude::*;

use super::super::codec;
use super::*;

#[test]
fn only_plain_data_is_kept_and_the_place_is_named() {
    let cases = [
        ("state.x = print", "state.x is a function"),
        ("state.users = {1, 2, {callback = function() end}}", "state.users[3].callback is a function"),
        ("state['two words'] = {[1.5] = print}", "state[\"two words\"][1.5] is a function"),
        ("state[true] = coroutine.create(print)", "state[true] is a coroutine"),
        ("state.me = state", "state.me holds itself"),
        ("local t = {} t.t = {t} state.t = t", "state.t.t[1] holds itself"),
        ("state.x = setmetatable({}, {})", "state.x has a metatable"),
        ("state.x = {[{}] = 1}", "state.x has a key that is a table"),
        ("state[print] = 1", "state has a key that is a function"),
        ("state.x = math", "state.x is a constant of the script or a library; store a copy of it"),
        ("state.x = _G", "state.x is a constant of the script or a library; store a copy of it"),
        (
            "local t = {} for i = 1, 200 do t = {t} end state.t = t",
            &format!("state.t{} lies deeper than 200 tables", "[1]".repeat(199)),
        ),
    ];
    for (code, expected) in cases {
        let mut process = process(RUNS_DATA);
        process.output("state.kept = 1");
        assert_eq!(process.error(code), format!("{expected}; state holds plain data only"), "{code}");
        assert_eq!(process.output("return state.kept"), "1");
    }
    process(RUNS_DATA).output("local t = {} for i = 1, 198 do t = {t} end state.t = t");
}

#[test]
fn depth_counts_along_shared_tables() {
    // Each table is met at a small depth first, but the last one leads down through all of them.
    let chain =
        |length: u32| format!("local t = {{}} for i = 1, {length} do t = {{t}} state[#state + 1] = t end state[1] = t");
    assert!(process(RUNS_DATA).error(&chain(250)).contains("lies deeper than 200 tables"));
    process(RUNS_DATA).output(&chain(150));
}

#[test]
fn tables_of_the_state_take_no_metatable() {
    let mut process = process(RUNS_DATA);
    process.output("state.t = {}");
    let text = "code:1: a table of the state takes no metatable; state holds plain data only";
    assert_eq!(process.error("setmetatable(state.t, {})"), text);
    assert_eq!(process.error("setmetatable(state, {})"), text);
    assert_eq!(process.output("return getmetatable(state.t) == nil"), "true");
}

#[test]
fn a_failed_call_changes_nothing() {
    let mut process = process(RUNS_DATA);
    process.output("state.list = {1, {2}, 3} state.map = {a = {b = 'c'}} state.same = state.list[2]");
    let before = process.snapshot();
    let spoil = "state.list[2][1] = 9 state.map.a.b = nil state.new = {} table.remove(state.list) state.same = nil ";
    let failures = [
        "error('own')",
        "error({})",
        "local x = nil + 1",
        "while true do end",
        "return ('x'):rep(3000000)",
        "return print",
        "state.f = print",
        "send{}",
        "_G.count = 1",
        "local s = 'x' while true do s = s .. s end",
        "return 0/0",
        "for i = 1, 2000 do send{Target = 'x'} end",
        "state.big = ('x'):rep(17000000)",
        "coroutine.yield()",
    ];
    for failure in failures {
        let (cause, outcome) = process.call(&format!("{spoil} {failure}"), &[]);
        assert_ne!(cause, Cause::Success, "{failure}");
        assert_bare(&outcome);
        assert_eq!(process.snapshot(), before, "{failure}");
        let whole = process.output("return {state.list, state.map, state.same == state.list[2], state.new}");
        assert_eq!(whole, r#"[[1,[2],3],{"a":{"b":"c"}},true]"#, "{failure}");
        assert_eq!(process.snapshot(), before, "reading after {failure} changes nothing");
    }
}

#[test]
fn equal_states_have_equal_bytes() {
    let ways = [
        "state.a = 1 state.b = {x = 1, y = 2} state[1] = 'l' state[2] = 'm'",
        "state[2] = 'm' state.b = {y = 2, x = 1} state.a = 1 state[1] = 'l'",
        "for i = 1, 99 do state[i] = i state['k' .. i] = i end for i = 1, 99 do state[i] = nil state['k' .. i] = nil end state[1] = 'l' state.b = {} state.b.y = 2 state.b.x = 1 state[2] = 'm' state.a = 1.0 // 1 | 0",
    ];
    let bytes = ways.map(|way| {
        let mut process = process(RUNS_DATA);
        process.output(way);
        process.snapshot()
    });
    assert_eq!(bytes[0], bytes[1]);
    assert_eq!(bytes[0], bytes[2]);
}

#[test]
fn the_state_is_shown_as_json() {
    let mut process = process(RUNS_DATA);
    assert_eq!(process.state(), "{}");
    process.output(
        r#"state.list = {1, 2.5, true, "t"} state.empty = {} state.map = {b = 1, a = {}} state.holes = {1, nil, 3}
        state.bad = "\xff\xfe" state.nan = 0/0 state.big = 1/0 state.text = "ä\n\"" state[false] = 1 state[-1] = 2 state[2.5] = 3
        state.twice = state.list state.max = math.maxinteger state.nested = {{}, {{}}, {k = {}}}"#,
    );
    let expected = concat!(
        r#"{"-1":2,"2.5":3,"bad":"��","big":null,"empty":{},"holes":{"1":1,"3":3},"list":[1,2.5,true,"t"],"#,
        r#""map":{"a":{},"b":1},"max":9223372036854775807,"nan":null,"nested":[{},[{}],{"k":{}}],"text":"ä\n\"","twice":[1,2.5,true,"t"],"false":1}"#
    );
    assert_eq!(process.state(), expected);
    assert!(serde_json::from_str::<serde_json::Value>(&process.state()).is_ok());
}

#[test]
fn sharing_survives_a_restore() {
    let mut live = process(RUNS_DATA);
    live.output("local t = {n = 1} state.a = t state.b = {t, t} state.c = {inner = t}");
    let mut restored = process(RUNS_DATA);
    restored.device.restore(&live.snapshot()).unwrap();
    for process in [&mut live, &mut restored] {
        process.output("state.a.n = 2 state.b[3] = {} state.d = state.b[3]");
        assert_eq!(process.output("return {state.b[1].n, state.b[2] == state.a, state.c.inner.n}"), "[2,true,2]");
    }
    assert_eq!(live.snapshot(), restored.snapshot());
}

#[test]
fn a_message_can_be_kept() {
    let mut process = process("function compute(state, msg) state.last = msg state.tags = msg.Tags return msg end");
    let (cause, outcome) = process.call("d", &[("Action", "Go")]);
    assert_eq!(cause, Cause::Success);
    let id = MessageId::derived(&[&1u64.to_le_bytes()]);
    let expected = format!(
        r#"{{"Action":"Go","Data":"d","From":"local","Id":"{id}","Owner":"owner","Slot":1,"Tags":{{"Action":"Go"}},"Target":"tested","Timestamp":1700000000001}}"#
    );
    assert_eq!(outcome.output.as_str(), expected);
    assert!(process.state().contains(&expected));
}

#[test]
fn bytes_that_are_no_state_are_refused() {
    let mut process = process(RUNS_DATA);
    process.output("state.a = {1, 2} state.b = state.a");
    let good = process.snapshot();
    for length in 0..good.len() {
        let refused = process.device.restore(&good[..length]);
        assert!(matches!(refused, Err(DeviceError::Restore(_))), "{length} bytes were taken");
    }
    let scalar = [codec::VERSION, codec::tag::TRUE];
    for bad in [&scalar[..], b"", b"garbage", &[codec::VERSION; 100]] {
        assert!(matches!(process.device.restore(bad), Err(DeviceError::Restore(_))));
    }
    // What was refused changed nothing.
    assert_eq!(process.snapshot(), good);
    assert_eq!(process.output("return state.a == state.b"), "true");
}

#[test]
fn a_snapshot_that_unfolds_without_bound_is_refused() {
    use codec::tag::{END, REFERENCE, TABLE};
    let mut bytes = vec![codec::VERSION, TABLE, TABLE, END, END];
    for index in 1..100u8 {
        bytes.extend([TABLE, REFERENCE, index, REFERENCE, index, END, END]);
    }
    bytes.extend([END, END]);
    let refused = process(RUNS_DATA).device.restore(&bytes);
    assert!(matches!(refused, Err(DeviceError::Restore(_))), "{refused:?}");
}

#[test]
fn a_snapshot_that_needs_too_much_memory_is_refused() {
    // Three bytes each, but much more as tables.
    let mut bytes = vec![codec::VERSION, codec::tag::TABLE];
    bytes.extend([codec::tag::TABLE, codec::tag::END, codec::tag::END].repeat(200_000));
    bytes.extend([codec::tag::END, codec::tag::END]);
    let limits = Limits { memory: 1 << 20, ..limits() };
    let mut process = process_with(RUNS_DATA, &limits);
    let refused = process.device.restore(&bytes);
    assert!(matches!(refused, Err(DeviceError::Restore(_))), "{refused:?}");
    assert_eq!(process.output("return next(state) == nil"), "true");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn mutated_snapshots_are_refused_or_are_states(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut process = process(RUNS_DATA);
        process.output("state.a = {1, -2, 'x', 0.5} state.b = state.a state.c = {k = {true, false}, [-3] = {}, [2.5] = 'y', [true] = 1}");
        let mut bytes = process.snapshot().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if byte % 4 == 0 {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        match process.device.restore(&bytes) {
            Err(DeviceError::Restore(_)) => {}
            Err(other) => panic!("{other}"),
            Ok(()) => {
                // What is taken is a state like any other: computed on, it has the bytes that it was read from.
                process.output("return 1");
                prop_assert_eq!(&process.snapshot()[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn random_bytes_are_refused_or_are_states(mut bytes in prop::collection::vec(0u8..12, 0..50)) {
        bytes.splice(0..0, [codec::VERSION, codec::tag::TABLE]);
        let mut process = process(RUNS_DATA);
        if process.device.restore(&bytes).is_ok() {
            process.output("return 1");
            prop_assert_eq!(&process.snapshot()[..], &bytes[..]);
        }
    }
}
