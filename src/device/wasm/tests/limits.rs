//! Each limit ends the call that exceeds it, names itself, and leaves nothing behind.

use std::time::Duration;

use super::*;

const LOOP: &str = "(loop $again (br $again))";

#[test]
fn gas() {
    for width in WIDTHS {
        let limits = Limits { gas: 100_000, ..Limits::default() };
        let mut process = process_with(&handler(width, "", LOOP, &answering("1")), &limits);
        assert!(process.limit(LimitKey::Gas).contains("more than 100000 gas"));
        let (_, outcome) = process.call("");
        assert_eq!(outcome.gas_used, 100_000);
    }
}

#[test]
fn compute_time() {
    let limits = Limits { gas: u64::MAX, compute_time: Duration::from_millis(20), ..Limits::default() };
    for width in WIDTHS {
        process_with(&handler(width, "", LOOP, &answering("1")), &limits).limit(LimitKey::ComputeTime);
    }
}

#[test]
fn a_replay_has_all_the_time_it_needs() {
    // The least time there is: a live call loses it before it has done anything that takes time.
    let limits = Limits { gas: 100_000_000, compute_time: Duration::ZERO, ..Limits::default() };
    let mut process = process_with(&handler(Width::Narrow, "", LOOP, &answering("1")), &limits);
    assert_eq!(process.call_as("", Mode::Replay).0, Cause::Limit(LimitKey::Gas));
}

#[test]
fn memory() {
    for width in WIDTHS {
        let grow = "(loop $again (drop (memory.grow (PTR.const 16))) (br $again))";
        let limits = Limits { memory: 3 << 20, ..Limits::default() };
        for mode in [Mode::Live, Mode::Replay] {
            let mut process = process_with(&handler(width, "", grow, &answering("1")), &limits);
            assert_eq!(process.call_as("", mode).0, Cause::Limit(LimitKey::Memory), "{mode:?}");
        }
        process_with(&handler(width, "", grow, &answering("1")), &limits).limit(LimitKey::Memory);
    }
}

#[test]
fn a_module_that_goes_beyond_what_it_allows_itself_is_told_so() {
    let text = r#"(module (memory 1 2)
      (data (i32.const 16) "{\"ok\":true,\"response\":{\"Output\":0}}\00")
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func (export "handle") (param i32 i32) (result i32)
        (i32.store8 (i32.const 48) (i32.sub (i32.const 48) (memory.grow (i32.const 2))))
        (i32.const 16)))"#;
    let limits = Limits { memory: 65_536, ..Limits::default() };
    assert_eq!(process_with(&wat::parse_str(text).unwrap(), &limits).output(""), "1", "memory.grow gave -1");
}

#[test]
fn a_message_of_any_length_is_refused_before_it_is_read() {
    let limits = Limits { message_size: 10, ..Limits::default() };
    let long =
        format!(r#"{{"ok":true,"response":{{"Messages":[{{"Target":"b","Data":"{}"}}]}}}}"#, "\\u0001".repeat(20_000));
    let refused = crate::device::wasm::answer::read(&long, &limits);
    assert!(
        matches!(refused, Err(crate::device::wasm::abi::Failure::Limit(LimitKey::MessageSize, None))),
        "{refused:?}"
    );
}

#[test]
fn tables() {
    let grow = "(loop $again (drop (table.grow $t (ref.null func) (i32.const 65536))) (br $again))";
    let source = handler(Width::Narrow, "(table $t 1 funcref)", grow, &answering("1"));
    process(&source).limit(LimitKey::Memory);
}

#[test]
fn a_module_that_begins_with_too_much_memory_does_not_load() {
    let source = handler(Width::Narrow, "", "", &answering("1"));
    match create(&source, &Limits { memory: 100_000, ..Limits::default() }, Interrupt::default()) {
        Err(DeviceError::Load(text)) => {
            assert!(text.starts_with("limit memory: the module begins with 131072"), "{text}")
        }
        _ => panic!("it loads"),
    }
}

#[test]
fn stack() {
    for width in WIDTHS {
        let fields = "(func $deeper (param i64) (result i64) (i64.add (call $deeper (local.get 0)) (i64.const 1)))";
        let mut process = process(&handler(width, fields, "(drop (call $deeper (i64.const 1)))", &answering("1")));
        assert!(process.limit(LimitKey::Memory).contains("calls nest too deeply"));
        assert_eq!(process.slot, 2, "the thread goes on");
    }
}

#[test]
fn output_size() {
    let limits = Limits { memory: 256 << 20, output_size: 1000, ..Limits::default() };
    for width in WIDTHS {
        let long = answering(&format!("\"{}\"", "x".repeat(1000)));
        process_with(&handler(width, "", "", &long), &limits).limit(LimitKey::OutputSize);
        let fits = format!("\"{}\"", "x".repeat(998));
        assert_eq!(process_with(&handler(width, "", "", &answering(&fits)), &limits).output(""), fits);
        // 100 MiB of text.
        let endless = r#"
            (drop (memory.grow (PTR.const 1700)))
            (memory.fill (PTR.const 131072) (i32.const 32) (PTR.const 104857600))
            (return (PTR.const 131072))"#;
        process_with(&handler(width, "", endless, ""), &limits).limit(LimitKey::OutputSize);
    }
}

#[test]
fn messages_and_their_size() {
    let message = |data: &str| format!(r#"{{"Target":"b","Data":"{data}"}}"#);
    let sending = |messages: &[String]| format!(r#"{{"ok":true,"response":{{"Messages":[{}]}}}}"#, messages.join(","));
    let limits = Limits { messages_per_outcome: 2, message_size: 10, ..Limits::default() };
    for width in WIDTHS {
        let send = |messages: &[String]| process_with(&handler(width, "", "", &sending(messages)), &limits);
        assert_eq!(send(&[message("a"), message("b")]).call("").0, Cause::Success);
        send(&[message("a"), message("b"), message("c")]).limit(LimitKey::MessagesPerOutcome);
        send(&[message("0123456789a")]).limit(LimitKey::MessageSize);
    }
}

#[test]
fn state_size() {
    for width in WIDTHS {
        let body = "(memory.fill (PTR.const 8192) (i32.const 1) (PTR.const 40960))";
        let source = handler(width, "", body, &answering("1"));
        // One page of data, one with the messages, ten that are filled.
        for (size, is_enough) in [(12 * 4096, true), (12 * 4096 - 1, false)] {
            let limits = Limits { state_size: size, ..Limits::default() };
            let mut process = process_with(&source, &limits);
            match is_enough {
                true => assert_eq!(process.output(""), "1"),
                false => drop(process.limit(LimitKey::StateSize)),
            }
        }
    }
}

#[test]
fn an_interrupt_ends_a_call_without_a_trace() {
    let interrupt = Interrupt::default();
    let source = handler(Width::Narrow, "", LOOP, &answering("1"));
    let limits = Limits { gas: u64::MAX, compute_time: Duration::from_secs(600), ..Limits::default() };
    let mut process = create(&source, &limits, interrupt.clone()).unwrap();
    let before = process.snapshot();
    let call = std::thread::scope(|scope| {
        let called = scope.spawn(|| process.device.compute(&entry(1, "", &[]), Mode::Live));
        interrupt.raise();
        called.join().unwrap()
    });
    assert_eq!(call.unwrap(), Call::Interrupted);
    assert_eq!(process.snapshot(), before);
}
