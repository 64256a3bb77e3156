//! What modules import: the same for the same message, and nothing of the machine.

use super::*;

/// The first `length` bytes of the memory at 8192 after one call of a module that imports `imports` and does `body`.
fn left(width: Width, imports: &str, body: &str, length: usize) -> Vec<u8> {
    let mut process = create(&handler(width, imports, body, &answering("1")), &Limits::default(), Interrupt::default())
        .unwrap_or_else(|error| panic!("{error}"));
    process.output("");
    let StateView::Bytes(memory) = process.device.state().unwrap() else { panic!("a memory is bytes") };
    memory[8192..8192 + length].to_vec()
}

/// A WASI import.
fn wasi(name: &str, params: &str) -> String {
    format!(r#"(import "wasi_snapshot_preview1" "{name}" (func $f (param {params}) (result i32)))"#)
}

/// An import of Emscripten's.
fn env(name: &str, types: &str) -> String {
    format!(r#"(import "env" "{name}" (func $f {types}))"#)
}

#[test]
fn clocks_stand_at_the_time_of_the_message() {
    for width in WIDTHS {
        let import = wasi("clock_time_get", "i32 i64 PTR");
        let time = left(width, &import, "(drop (call $f (i32.const 0) (i64.const 1) (PTR.const 8192)))", 8);
        assert_eq!(u64::from_le_bytes(time.try_into().unwrap()), 1_700_000_000_001_000_000);
        let now = left(width, &env("emscripten_date_now", "(result f64)"), "(f64.store (PTR.const 8192) (call $f))", 8);
        assert_eq!(f64::from_le_bytes(now.try_into().unwrap()), 1_700_000_000_001.0);
    }
}

#[test]
fn random_numbers_are_those_of_process_and_slot() {
    for width in WIDTHS {
        let import = wasi("random_get", "PTR PTR");
        let body = "(drop (call $f (PTR.const 8192) (PTR.const 16)))";
        let first = left(width, &import, body, 16);
        assert_eq!(left(width, &import, body, 16), first, "the same again");
        let twice = left(width, &import, &format!("{body} {body}"), 16);
        assert_ne!(twice, first, "and others later in the call");
        let source = handler(width, &import, body, &answering("1"));
        let mut process = create(&source, &Limits::default(), Interrupt::default()).unwrap();
        process.slot = 2;
        process.output("");
        let StateView::Bytes(memory) = process.device.state().unwrap() else { panic!("a memory is bytes") };
        assert_ne!(memory[8192..8208], first[..], "and others at another slot");
    }
}

#[test]
fn there_is_nothing_to_open_to_read_or_to_be_told() {
    for width in WIDTHS {
        let store = |call: &str| format!("(i32.store (PTR.const 8192) {call})");
        for (import, call, expected) in [
            (
                wasi("path_open", "i32 i32 PTR PTR i32 i64 i64 i32 PTR"),
                "(call $f (i32.const 3) (i32.const 0) (PTR.const 0) (PTR.const 0) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (PTR.const 0))",
                44,
            ),
            (wasi("fd_prestat_get", "i32 PTR"), "(call $f (i32.const 3) (PTR.const 0))", 8),
            (
                wasi("fd_read", "i32 PTR PTR PTR"),
                "(call $f (i32.const 0) (PTR.const 0) (PTR.const 0) (PTR.const 8200))",
                0,
            ),
            (
                wasi("fd_write", "i32 PTR PTR PTR"),
                "(call $f (i32.const 7) (PTR.const 0) (PTR.const 0) (PTR.const 0))",
                8,
            ),
            (wasi("environ_sizes_get", "PTR PTR"), "(call $f (PTR.const 8200) (PTR.const 8208))", 0),
            (
                wasi("sock_send", "i32 PTR PTR i32 PTR"),
                "(call $f (i32.const 3) (PTR.const 0) (PTR.const 0) (i32.const 0) (PTR.const 0))",
                52,
            ),
            (env("__syscall_openat", "(param i32 PTR) (result i32)"), "(call $f (i32.const 0) (PTR.const 0))", -44),
            (env("__syscall_ioctl", "(param i32 PTR) (result i32)"), "(call $f (i32.const 0) (PTR.const 0))", -52),
            (env("_emscripten_system", "(param PTR) (result i32)"), "(call $f (PTR.const 16))", -52),
            (env("_emscripten_system", "(param PTR) (result i32)"), "(call $f (PTR.const 0))", 0),
            (env("__asyncjs__weavedrive_open", "(param PTR) (result i32)"), "(call $f (PTR.const 16))", 0),
        ] {
            let found = left(width, &import, &store(call), 4);
            assert_eq!(i32::from_le_bytes(found.try_into().unwrap()), expected, "{width:?}: {import}");
        }
    }
}

#[test]
fn what_ends_a_call_is_told() {
    for width in WIDTHS {
        for (import, call, part) in [
            (
                r#"(import "wasi_snapshot_preview1" "proc_exit" (func $f (param i32)))"#.to_owned(),
                "(call $f (i32.const 7))",
                "exits with code 7",
            ),
            (env("exit", "(param i32)"), "(call $f (i32.const 3))", "exits with code 3"),
            (env("_abort_js", ""), "(call $f)", "the module aborts"),
            (env("_emscripten_throw_longjmp", ""), "(call $f)", "jumps out of a function"),
            (
                env("__assert_fail", "(param PTR PTR i32 PTR)"),
                "(call $f (PTR.const 16) (PTR.const 0) (i32.const 0) (PTR.const 0))",
                "assertion `{\"ok\":true",
            ),
            (
                env("_emscripten_memcpy_js", "(param PTR PTR PTR)"),
                "(call $f (PTR.const 131000) (PTR.const 0) (PTR.const 73))",
                "73 bytes at 131000, and the memory ends at 131072",
            ),
            (
                env("_emscripten_memcpy_js", "(param PTR PTR PTR)"),
                "(call $f (PTR.const 0) (PTR.const -1) (PTR.const 2))",
                "and the memory ends at 131072",
            ),
            (
                wasi("random_get", "PTR PTR"),
                "(drop (call $f (PTR.const 16) (PTR.const -1)))",
                "and the memory ends at 131072",
            ),
        ] {
            let said = process(&handler(width, &import, call, &answering("1"))).error();
            assert!(said.contains(part), "{width:?}, {call}: {said}");
        }
    }
}

#[test]
fn a_long_jump_ends_at_the_nearest_invoke() {
    for width in WIDTHS {
        let letter = if width == Width::Wide { "j" } else { "i" };
        let fields = format!(
            r#"
            (import "env" "invoke_{letter}{letter}" (func $invoke (param PTR PTR) (result PTR)))
            (import "env" "_emscripten_throw_longjmp" (func $throw))
            (table (export "__indirect_function_table") 4 funcref)
            (elem (i32.const 1) $jumping $nested $returning)
            (global $stack (mut PTR) (PTR.const 1000))
            (func (export "emscripten_stack_get_current") (result PTR) (global.get $stack))
            (func (export "_emscripten_stack_restore") (param PTR) (global.set $stack (local.get 0)))
            (func (export "setThrew") (param PTR i32)
              (i32.store (PTR.const 8192) (i32.add (i32.const 1) (i32.load (PTR.const 8192)))))
            (func $jumping (param PTR) (result PTR) (global.set $stack (PTR.const 7)) (call $throw) (PTR.const 1))
            (func $returning (param PTR) (result PTR) (PTR.add (local.get 0) (PTR.const 1)))
            (func $nested (param PTR) (result PTR)
              (global.set $stack (PTR.const 500))
              (drop (call $invoke (PTR.const 1) (PTR.const 0)))
              (PTR.store (PTR.const 8200) (global.get $stack))
              (call $throw)
              (PTR.const 1))"#
        );
        let body = "
            (PTR.store (PTR.const 8208) (call $invoke (PTR.const 2) (PTR.const 0)))
            (PTR.store (PTR.const 8216) (global.get $stack))
            (PTR.store (PTR.const 8224) (call $invoke (PTR.const 3) (PTR.const 41)))";
        let found = left(width, &fields, body, 40);
        let numbers: Vec<u8> = found.iter().step_by(8).copied().collect();
        // Two jumps were told; each restored the stack of its own invoke, and gave nothing back; no jump, its result.
        assert_eq!(numbers, [2, 500u16.to_le_bytes()[0], 0, 1000u16.to_le_bytes()[0], 42], "{width:?}");
        let none = "(drop (call $invoke (PTR.const 0) (PTR.const 0)))";
        let said = process(&handler(width, &fields, none, &answering("1"))).error();
        assert!(said.contains("invokes function 0 of its table, where there is none"), "{said}");
    }
}

#[test]
fn a_limit_is_no_long_jump() {
    let fields = r#"
        (import "env" "invoke_v" (func $invoke (param i32)))
        (table (export "__indirect_function_table") 2 funcref)
        (elem (i32.const 1) $looping)
        (func $looping (loop $again (br $again)))"#;
    let limits = Limits { gas: 10_000, ..Limits::default() };
    process_with(&handler(Width::Narrow, fields, "(call $invoke (i32.const 1))", &answering("1")), &limits)
        .limit(LimitKey::Gas);
}

#[test]
fn the_heap_grows_within_the_limit() {
    for width in WIDTHS {
        let import = env("emscripten_resize_heap", "(param PTR) (result i32)");
        let limits = Limits { memory: 1 << 20, ..Limits::default() };
        let resize = |size: &str| {
            let body = format!("(i32.store (PTR.const 8192) (call $f (PTR.const {size})))");
            process_with(&handler(width, &import, &body, &answering("1")), &limits)
        };
        assert_eq!(resize("200000").output(""), "1");
        assert_eq!(resize("1048576").output(""), "1", "exactly what there may be");
        resize("1048577").limit(LimitKey::Memory);
    }
}

#[test]
fn dates_come_and_go_in_the_layout_of_c() {
    for width in WIDTHS {
        let fields = r#"
            (import "env" "_gmtime_js" (func $split (param i64 PTR)))
            (import "env" "_mktime_js" (func $make (param PTR) (result i64)))
            (import "env" "strftime" (func $format (param PTR PTR PTR PTR) (result PTR)))
            (data (PTR.const 600) "%Y-%m-%dT%H:%M:%SZ\00")"#;
        let body = "
            (call $split (i64.const 951782399) (PTR.const 8192))
            (i64.store (PTR.const 8240) (call $make (PTR.const 8192)))
            (PTR.store (PTR.const 8248) (call $format (PTR.const 8256) (PTR.const 21) (PTR.const 600) (PTR.const 8192)))
            (PTR.store (PTR.const 8288) (call $format (PTR.const 8304) (PTR.const 20) (PTR.const 600) (PTR.const 8192)))";
        let found = left(width, fields, body, 104);
        let fields: Vec<i32> = found[..36].chunks(4).map(|part| i32::from_le_bytes(part.try_into().unwrap())).collect();
        assert_eq!(fields, [59, 59, 23, 28, 1, 100, 1, 58, 0]);
        assert_eq!(i64::from_le_bytes(found[48..56].try_into().unwrap()), 951_782_399);
        assert_eq!((found[56], &found[64..85]), (20, &b"2000-02-28T23:59:59Z\0"[..]));
        assert_eq!(found[96], 0, "a text that does not fit is none");
    }
}

#[test]
fn what_is_printed_is_taken() {
    for width in WIDTHS {
        let size = if width == Width::Wide { 8 } else { 4 };
        let import = wasi("fd_write", "i32 PTR PTR PTR");
        let body = format!(
            "(PTR.store (PTR.const 9000) (PTR.const 16)) (PTR.store (PTR.const {}) (PTR.const 5))
             (drop (call $f (i32.const 1) (PTR.const 9000) (PTR.const 1) (PTR.const 8192)))",
            9000 + size
        );
        assert_eq!(left(width, &import, &body, 1), [5]);
    }
}
