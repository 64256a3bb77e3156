//! What is taken as a module, what isn't, and why; and how compiled modules are kept.

use std::fs;

use super::*;
use crate::device::wasm::MODULE_MOST;

fn text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_is_no_module_is_told_with_its_place() {
    let good = handler(Width::Narrow, "", "", "{}");
    let mut damaged = good.clone();
    damaged[9] ^= 0x40;
    for (source, part) in [
        (&b""[..], "unexpected end"),
        (b"function compute() end", "magic header not detected: bad magic number"),
        (&good[..good.len() - 5], "at byte"),
        (&damaged, "at byte"),
        (b"\0asm\x0d\0\x01\0", "unknown binary version"),
    ] {
        let said = refusal(source);
        assert!(said.contains(part) && said.starts_with("not a valid WebAssembly module"), "{said}");
    }
    let said = refusal(&vec![0; MODULE_MOST + 1]);
    assert!(said.contains(&format!("may have {MODULE_MOST}")), "{said}");
    let said = refusal(&text(r#"(module (memory 1) (func) (func (drop (i32.add (i32.const 1) (i32.const 2)))) )"#));
    assert!(said.contains("no export `handle`"), "{said}");
}

#[test]
fn an_error_names_its_function() {
    let mut source = text(r#"(module (memory 1) (func) (func (drop (i32.add (i32.const 1) (i32.const 2)))))"#);
    let at = source.iter().rposition(|byte| *byte == 0x6a).unwrap();
    source[at] = 0x7c;
    let said = refusal(&source);
    assert!(said.contains("type mismatch") && said.contains(&format!("at byte {at}, in function 1")), "{said}");
}

#[test]
fn what_is_not_served_is_told() {
    let with = |fields: &str| handler(Width::Narrow, fields, "", "{}");
    let within = |fields: &str, body: &str| handler(Width::Narrow, fields, body, "{}");
    for (source, part) in [
        (with(r#"(import "env" "launch" (func))"#), "import 0, env.launch: there is no such function here"),
        (with(r#"(import "other" "fd_write" (func))"#), "import 0, other.fd_write: there is no such function"),
        (
            with(r#"(import "env" "exit" (func)) (import "env" "g" (global i32))"#),
            "import 1, env.g: it is not a function",
        ),
        (text(r#"(module (import "env" "memory" (memory 1)))"#), "import 0, env.memory: it is not a function"),
        (with(r#"(func (export "mainstay:memory"))"#), "export mainstay:memory: names that begin like this"),
        (with("(global (mut funcref) (ref.null func))"), "global 0 is mutable and holds a reference"),
        (within(r#"(data $d "x")"#, "(data.drop $d)"), "a segment is dropped"),
        (
            within("(table $t 1 externref)", "(drop (table.grow $t (ref.null extern) (i32.const 1)))"),
            "a table of externref",
        ),
        (text("(module (memory 1 1 shared))"), "threads must be enabled"),
        (with("(memory 1)"), "multiple memories"),
        (text("(module)"), "the module has no memory"),
        (module_of(Width::Wide, ""), "the module has no export `handle`"),
        (
            text(r#"(module (memory i64 1) (func (export "handle") (param i32 i32) (result i32) (i32.const 1)))"#),
            "export handle: with this memory it must be a function (i64, i64) -> i64",
        ),
        (
            text(
                r#"(module (memory 1) (func (export "handle") (param i32 i32) (result i32) (i32.const 1)) (func (export "malloc")))"#,
            ),
            "export malloc: with this memory it must be a function (i32) -> i32",
        ),
        (
            within("", "(drop (i8x16.relaxed_swizzle (v128.const i64x2 1 1) (v128.const i64x2 1 1)))"),
            "relaxed SIMD support is not enabled",
        ),
    ] {
        let said = refusal(&source);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_a_rewrite_makes_too_much_of_is_told() {
    let locals = format!("(func (local {}) try nop catch_all end)", "i32 ".repeat(50_000));
    let params = format!("(tag $t (param {})) (func try nop catch $t unreachable end)", "i32 ".repeat(1000));
    for fields in [locals, params] {
        let said = refusal(&handler(Width::Narrow, &fields, "", "{}"));
        assert!(said.starts_with("the module cannot be rewritten: "), "{said}");
    }
}

#[test]
fn what_nests_too_deep_to_be_compiled_in_time_is_told() {
    for (begin, end, most, what) in [
        ("block ", "end ", 1000, "blocks nest more than 1000 deep"),
        ("i32.const 1 if ", "end ", 1000, "blocks nest more than 1000 deep"),
        ("try ", "catch_all end ", 1000, "blocks nest more than 1000 deep"),
        ("try ", "delegate 0 ", 1000, "blocks nest more than 1000 deep"),
        ("loop ", "end ", 100, "loops nest more than 100 deep"),
        ("loop block ", "end end ", 100, "loops nest more than 100 deep"),
    ] {
        // One after the other they may be as many as they are.
        let nested = |deep: usize| format!("{} {}", begin.repeat(deep), end.repeat(deep));
        let module = |deep| handler(Width::Narrow, &format!("(func {} {})", nested(most), nested(deep)), "", "{}");
        assert_eq!(FACTORY.check(&DeviceKind::Wasm, &module(most)).map_err(|error| error.to_string()), Ok(()));
        let said = refusal(&module(most + 1));
        assert!(said.contains(what) && said.ends_with(", in function 0"), "{said}");
    }
}

#[test]
fn a_module_whose_start_fails_is_an_outcome() {
    let source = handler(Width::Narrow, "(func $begin unreachable) (start $begin)", "", &answering("1"));
    assert!(process(&source).error().contains("unreachable"));
}

#[test]
fn constructors_run_once() {
    let fields = r#"
        (func (export "__wasm_call_ctors") (i32.store8 (PTR.const 48) (i32.add (i32.load8_u (PTR.const 48)) (i32.const 1))))"#;
    for width in WIDTHS {
        let fields = fields.replace("48", "49");
        let source = handler(width, &fields, "", r#"{"ok":true,"response":{"Output":"0"}}"#);
        let mut process = process(&source);
        assert_eq!((process.output(""), process.output("")), ("\"1\"".to_owned(), "\"1\"".to_owned()));
    }
}

#[test]
fn a_compiled_module_is_kept_and_a_damaged_one_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("compiled");
    let source = handler(Width::Narrow, "", "", &answering("7"));
    let limits = Limits::default();
    let output = || {
        let factory = WasmFactory::start(Some(kept.clone())).unwrap();
        let id = ProcessId::parse("tested").unwrap();
        let definition = definition(&source, &limits);
        let device = factory.create(&id, &definition, &source, Interrupt::default(), Mode::Live).unwrap();
        Process { device, slot: 1 }.output("")
    };
    let files = || fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(output(), "7");
    let [file] = &files()[..] else { panic!("{:?}", files()) };
    let whole = fs::read(file).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", &[&whole[..100], &[whole[100] ^ 1], &whole[101..]].concat()] {
        fs::write(file, damaged).unwrap();
        assert_eq!(output(), "7");
        assert!(fs::read(file).unwrap().len() == whole.len(), "it was written again");
    }
    // A file under the name of another module is not taken for it.
    let other = handler(Width::Narrow, "", "", &answering("8"));
    let name = file
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .replace(&BlobHash::of(&source).to_string(), &BlobHash::of(&other).to_string());
    fs::copy(file, kept.join(name)).unwrap();
    let factory = WasmFactory::start(Some(kept.clone())).unwrap();
    let device = factory.create(
        &ProcessId::parse("tested").unwrap(),
        &definition(&other, &limits),
        &other,
        Interrupt::default(),
        Mode::Live,
    );
    assert_eq!(Process { device: device.unwrap(), slot: 1 }.output(""), "8");
}
