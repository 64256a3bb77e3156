//! What stays, what doesn't, and that it comes back.

use proptest::prelude::*;

use super::super::state::{Body, Image, PAGE, Scratch, State};
use super::super::touched::{PageMap, Touched};
use super::*;

/// Counts its calls in memory, in a global that is not exported, in a table and in its length; the output is
/// four digits.
fn counter(width: Width) -> Vec<u8> {
    let fields = r#"
        (global $count (mut i32) (i32.const 0))
        (global $vector (mut v128) (v128.const i64x2 1 2))
        (type $digit (func (result i32)))
        (table $t 1 funcref)
        (elem declare func $zero $one $two $three)
        (func $zero (result i32) (i32.const 48))
        (func $one (result i32) (i32.const 49))
        (func $two (result i32) (i32.const 50))
        (func $three (result i32) (i32.const 51))"#;
    let body = r#"
        (i32.store (PTR.const 9000) (i32.add (i32.load (PTR.const 9000)) (i32.const 1)))
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (global.set $vector (i64x2.add (global.get $vector) (v128.const i64x2 3 4)))
        (drop (table.grow $t (ref.null func) (i32.const 1)))
        (table.set $t (i32.const 0) (ref.func $three))
        (if (i32.eq (global.get $count) (i32.const 1)) (then (table.set $t (i32.const 0) (ref.func $one))))
        (if (i32.eq (global.get $count) (i32.const 2)) (then (table.set $t (i32.const 0) (ref.func $two))))
        (i32.store8 (PTR.const 49) (i32.add (i32.const 48) (i32.load (PTR.const 9000))))
        (i32.store8 (PTR.const 50) (i32.add (i32.const 48) (global.get $count)))
        (i32.store8 (PTR.const 51) (call_indirect $t (type $digit) (i32.const 0)))
        (i32.store8 (PTR.const 52) (i32.add (i32.const 47) (table.size $t)))
        "#;
    // The digits stand at 49, within the output.
    let answer = r#"{"ok":true,"response":{"Output":"0000"}}"#;
    handler(width, fields, body, answer)
}

#[test]
fn calls_find_what_the_last_one_left() {
    for width in WIDTHS {
        let mut process = create(&counter(width), &Limits::default(), Interrupt::default()).unwrap();
        for expected in ["1111", "2222", "3333"] {
            assert_eq!(process.output(""), format!("\"{expected}\""), "{width:?}");
        }
    }
}

#[test]
fn a_snapshot_goes_on_in_another_device() {
    for width in WIDTHS {
        let source = counter(width);
        let mut process = create(&source, &Limits::default(), Interrupt::default()).unwrap();
        for number in 1..4 {
            let mut other = create(&source, &Limits::default(), Interrupt::default()).unwrap();
            other.device.restore(&process.snapshot()).unwrap();
            assert_eq!(other.snapshot(), process.snapshot());
            other.slot = process.slot;
            let expected = format!("\"{}\"", number.to_string().repeat(4));
            let (first, second) = (process.call(""), other.call(""));
            assert_eq!(first, second, "the same outcome with the same gas");
            assert_eq!(first.1.output.as_str(), expected);
            assert_eq!(other.snapshot(), process.snapshot());
        }
    }
}

#[test]
fn a_failed_call_leaves_nothing_behind() {
    let trapping = |width| {
        let fields = "(global $calls (mut i32) (i32.const 0)) (table $t 1 funcref) (elem declare func $f) (func $f)";
        // Traps whenever the message's data, which is long then, made the buffer grow.
        let body = r#"
            (i32.store (PTR.const 9000) (i32.add (i32.load (PTR.const 9000)) (i32.const 1)))
            (i32.store8 (PTR.const 49) (i32.add (i32.const 48) (i32.load (PTR.const 9000))))
            (i32.store8 (PTR.const 50) (i32.add (i32.const 48) (global.get $calls)))
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (table.set $t (i32.const 0) (ref.func $f))
            (drop (memory.grow (PTR.const 1)))
            (if (PTR.gt_u (PTR.sub (local.get $environment) (local.get $message)) (PTR.const 5000)) (then unreachable))"#;
        handler(width, fields, body, r#"{"ok":true,"response":{"Output":"0000"}}"#)
    };
    for width in WIDTHS {
        let source = trapping(width);
        let mut process = create(&source, &Limits::default(), Interrupt::default()).unwrap();
        assert_eq!(process.output(""), r#""1000""#);
        for expected in [r#""2100""#, r#""3200""#] {
            let before = process.snapshot();
            let (cause, outcome) = process.call(&"x".repeat(6000));
            assert_eq!(cause, Cause::Error);
            assert_eq!(outcome.error.as_deref(), Some("the module trapped: wasm `unreachable` instruction executed"));
            assert_eq!(process.snapshot(), before);
            assert_eq!(process.output(""), expected, "{width:?}");
        }
    }
}

#[test]
fn traps_say_their_names() {
    for (body, name) in [
        ("(drop (i32.load (PTR.const -8)))", "out of bounds memory access"),
        ("(i32.store (PTR.const 131070) (i32.const 1))", "out of bounds memory access"),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "integer divide by zero"),
        ("unreachable", "wasm `unreachable` instruction executed"),
        ("(call_indirect (type $f) (i32.const 0))", "uninitialized element"),
        ("(call_indirect (type $f) (i32.const 9))", "undefined element: out of bounds table access"),
    ] {
        for width in WIDTHS {
            let source = handler(width, "(type $f (func)) (table 1 funcref)", body, &answering("1"));
            assert_eq!(process(&source).error(), format!("the module trapped: {name}"), "{width:?}");
        }
    }
}

#[test]
fn tables_hold_imported_functions_too() {
    for width in WIDTHS {
        let fields = r#"
            (import "env" "emscripten_get_now" (func $now (result f64)))
            (type $f (func (result f64)))
            (table $t 1 funcref)
            (elem declare func $now)"#;
        let body = r#"
            (table.set $t (i32.const 0) (ref.func $now))
            (f64.store (PTR.const 9000) (call_indirect $t (type $f) (i32.const 0)))"#;
        let source = handler(width, fields, body, &answering("1"));
        let mut process = process(&source);
        process.output("");
        let mut other = create(&source, &Limits::default(), Interrupt::default()).unwrap();
        other.device.restore(&process.snapshot()).unwrap();
        other.slot = process.slot;
        assert_eq!((process.output(""), other.output("")), ("1".to_owned(), "1".to_owned()));
        assert_eq!(process.snapshot(), other.snapshot());
    }
}

#[test]
fn a_start_function_runs_once_for_a_process() {
    for width in WIDTHS {
        // It would trap if it met what it left, and counts where the output is.
        let fields = r#"
            (global $begun (mut i32) (i32.const 0))
            (func $begin
              (if (global.get $begun) (then unreachable))
              (global.set $begun (i32.const 1))
              (i32.store8 (PTR.const 48) (i32.add (i32.load8_u (PTR.const 48)) (i32.const 1))))
            (start $begin)"#;
        let source = handler(width, fields, "", r#"{"ok":true,"response":{"Output":0}}"#);
        let mut process = process(&source);
        assert_eq!(process.output(""), "1");
        let mut other = create(&source, &Limits::default(), Interrupt::default()).unwrap();
        other.device.restore(&process.snapshot()).unwrap();
        assert_eq!(other.output(""), "1");
        assert_eq!(process.snapshot(), other.snapshot());
    }
}

#[test]
fn a_snapshot_of_another_module_is_refused() {
    let mut process = process(&counter(Width::Narrow));
    process.output("");
    let mut other = create(&counter(Width::Wide), &Limits::default(), Interrupt::default()).unwrap();
    let Err(DeviceError::Restore(why)) = other.device.restore(&process.snapshot()) else { panic!("it is taken") };
    assert!(why.contains("a process keeps its module"), "{why}");
}

#[test]
fn a_lower_memory_limit_holds_only_for_what_is_to_come() {
    let source = handler(Width::Narrow, "", "(drop (memory.grow (i32.const 1)))", &answering("1"));
    let mut process = process(&source);
    process.output("");
    let least = 131_072;
    let mut limited = create(&source, &Limits { memory: least, ..Limits::default() }, Interrupt::default()).unwrap();
    limited.device.restore(&process.snapshot()).unwrap();
    limited.limit(LimitKey::Memory);
}

#[test]
fn a_message_finds_room_without_taking_memory_each_time() {
    for width in WIDTHS {
        let mut process = process(&handler(width, "", "", &answering("1")));
        let heap = |process: &Process| State::decode(&process.snapshot()).unwrap().body.unwrap().scratch;
        process.output("");
        let first = heap(&process);
        assert_eq!(first.size, 4096);
        for _ in 0..20 {
            process.output(&"x".repeat(2000));
        }
        assert_eq!(heap(&process), first);
        process.output(&"x".repeat(5000));
        let second = heap(&process);
        assert_eq!((second.at, second.size), (first.at + 4096, 8192));
        process.output("");
        assert_eq!(heap(&process), second);
    }
}

#[test]
fn a_buffer_that_lies_nowhere_is_refused() {
    let source = handler(Width::Narrow, "", "", &answering("1"));
    let mut process = process(&source);
    process.output("");
    let mut state = State::decode(&process.snapshot()).unwrap();
    state.body.as_mut().unwrap().scratch = Scratch { at: u64::MAX - 8, size: 4096 };
    assert!(matches!(process.device.restore(&state.encode()), Err(DeviceError::Restore(_))));
    state.body.as_mut().unwrap().scratch = Scratch { at: 1 << 40, size: 4096 };
    process.device.restore(&state.encode()).unwrap();
    assert!(process.error().contains("lies outside of the memory"));
}

/// As if every page were touched.
fn all() -> Touched {
    PageMap::closed().touched(&[])
}

fn states() -> impl Strategy<Value = State> {
    // Some 2 MiB with few pages that are not zeros, so that regions begin, end and are left out anywhere.
    let pages = (0usize..600).prop_flat_map(|length| {
        prop::collection::btree_map(0..length.max(1), any::<u8>(), 0..6).prop_map(move |pages| (length, pages))
    });
    let tables = prop::collection::vec(prop::collection::vec(any::<u32>(), 0..4), 0..3);
    let body = (any::<(u64, u64)>(), prop::collection::vec(any::<u128>(), 0..4), tables, pages);
    let body = body.prop_map(|((at, size), globals, tables, (length, pages))| {
        let mut memory = vec![0; length * PAGE];
        for (page, byte) in pages.into_iter().filter(|(page, _)| *page < length) {
            memory[page * PAGE..(page + 1) * PAGE].fill(byte);
        }
        let mut image = Image::default();
        image.apply(&image.changes(&memory, &all()), &memory);
        assert_eq!(image.bytes(), memory);
        Body { scratch: Scratch { at, size: size.min(u64::MAX - at) }, globals, tables, image }
    });
    (any::<[u8; 32]>(), ".{0,9}", prop::option::of(body)).prop_map(|(module, owner, body)| State {
        module: BlobHash(module),
        owner,
        body,
    })
}

proptest! {
    #[test]
    fn a_state_is_its_bytes_and_back(state in states()) {
        let bytes = state.encode();
        prop_assert_eq!(State::decode(&bytes).unwrap(), state);
    }

    #[test]
    fn a_page_of_memory_is_a_page_of_the_bytes(mut state in states(), page in any::<prop::sample::Index>(), at in 0..PAGE) {
        let Some(body) = &mut state.body else { return Ok(()) };
        let mut memory = body.image.bytes();
        let is_used = |page: &[u8]| page.iter().any(|byte| *byte != 0);
        let used: Vec<usize> = (0..memory.len() / PAGE).filter(|at| is_used(&memory[at * PAGE..(at + 1) * PAGE])).collect();
        if used.is_empty() {
            return Ok(());
        }
        let place = page.get(&used) * PAGE + at;
        let before = state.encode();
        memory[place] = memory[place].wrapping_add(1).max(1);
        let body = state.body.as_mut().unwrap();
        body.image.apply(&body.image.changes(&memory, &all()), &memory);
        let after = state.encode();
        prop_assert_eq!(before.len(), after.len());
        let changed = before.chunks(PAGE).zip(after.chunks(PAGE)).filter(|(before, after)| before != after).count();
        prop_assert_eq!(changed, 1);
    }

    #[test]
    fn damaged_bytes_are_refused_or_are_another_state(state in states(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = state.encode();
        let end = bytes.len();
        prop_assert!(State::decode(&bytes[..at.index(end)]).is_err(), "cut off at {}", at.index(end));
        bytes[at.index(end)] ^= 1 << bit;
        if let Ok(other) = State::decode(&bytes) {
            prop_assert_ne!(&other, &state);
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn an_image_follows_its_memory(writes in prop::collection::vec((0usize..5 * PAGE, 0u8..3), 0..40)) {
        let (mut memory, mut image) = (vec![0; 5 * PAGE], Image::default());
        image.apply(&image.changes(&memory, &all()), &memory);
        for (at, value) in writes {
            memory[at] = value;
            let before = image.clone();
            let changes = image.changes(&memory, &all());
            image.apply(&changes, &memory);
            prop_assert_eq!(image.bytes(), memory.clone());
            prop_assert_eq!(changes.size(), image.held());
            let held = memory.chunks(PAGE).filter(|page| page.iter().any(|byte| *byte != 0)).count();
            prop_assert_eq!(image.held(), (held * PAGE) as u64);
            let mut old = memory.clone();
            before.restore(&mut old, &all());
            prop_assert_eq!(old, before.bytes());
        }
    }
}
