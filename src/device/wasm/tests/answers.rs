//! How messages come in and answers out.

use super::*;

#[test]
fn a_module_answers() {
    for width in WIDTHS {
        let mut process = process(&handler(width, "", "", &answering("{\"data\":\"2\"}")));
        assert_eq!(process.output(""), r#"{"data":"2"}"#, "{width:?}");
        let (_, outcome) = process.call("");
        assert!(outcome.gas_used > 0, "{width:?}: {outcome:?}");
    }
}

#[test]
fn a_module_is_told_message_and_environment() {
    for width in WIDTHS {
        for (pointer, parts) in [
            (
                "$message",
                &[
                    r#""Id":""#,
                    r#""Owner":"owner""#,
                    r#""From":"local""#,
                    r#""Target":"tested""#,
                    r#""Tags":[{"name":"Action","value":"Eval"}]"#,
                    r#""Data":"say \"hi\"\u0000""#,
                    r#""Block-Height":0"#,
                    r#""Timestamp":1700000000007"#,
                    r#""Nonce":7"#,
                    r#""Cron":false"#,
                    r#""Module":""#,
                ][..],
            ),
            (
                "$environment",
                &[
                    r#"{"Process":{"Id":"tested","Owner":"owner","Tags":[{"name":"Colour","value":"green"},{"name":"Type","value":"Process"},{"name":"Module","value":""#,
                ][..],
            ),
        ] {
            // The answer's error is whatever the pointer leads to.
            let source = module_of(
                width,
                &format!(
                    r#"(func (export "handle") (param $message PTR) (param $environment PTR) (result PTR) (local.get {pointer}))"#
                ),
            );
            let mut process = process(&source);
            let entry = entry(7, "say \"hi\"\0", &[("Action", "Eval")]);
            let Ok(Call::Done(Cause::Error, _)) = process.device.compute(&entry, Mode::Live) else {
                panic!("the text of {pointer} is no answer, and was taken for one");
            };
            let told = told(width, pointer, &entry);
            for part in parts {
                assert!(told.contains(part), "{width:?}: {told} lacks {part}");
            }
        }
    }
}

/// What a module is told, put into its memory for good.
fn told(width: Width, pointer: &str, entry: &Entry) -> String {
    let body = format!("(memory.copy (PTR.const 4096) (local.get {pointer}) (PTR.const 2048))");
    let mut process = process(&handler(width, "", &body, &answering("null")));
    process.device.compute(entry, Mode::Live).unwrap();
    let StateView::Bytes(memory) = process.device.state().unwrap() else { panic!("a memory is bytes") };
    let text = memory[4096..].split(|byte| *byte == 0).next().unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

#[test]
fn what_is_no_answer_is_told() {
    for width in WIDTHS {
        for (answer, part) in [
            ("", "EOF"),
            ("nonsense", "the answer is not what AO modules answer"),
            ("[]", "the answer"),
            ("{}", "the answer has no response"),
            (r#"{"ok":true}"#, "the answer has no response"),
            (r#"{"ok":true,"response":7}"#, "the response"),
            (r#"{"ok":false,"response":"it broke"}"#, "it broke"),
            (r#"{"ok":true,"response":{"Error":"handler said no"}}"#, "handler said no"),
            (r#"{"ok":true,"response":{"Error":{"code":7}}}"#, r#"{"code":7}"#),
            (r#"{"ok":true,"response":{"Messages":7}}"#, "a message"),
            (r#"{"ok":true,"response":{"Messages":{"a":1}}}"#, "expected a list"),
            (r#"{"ok":true,"response":{"Messages":[{"Data":"x"}]}}"#, "a message: Target is empty"),
            (r#"{"ok":true,"response":{"Messages":[{"Target":[]}]}}"#, "expected a text"),
            (r#"{"ok":true,"response":{"Assignments":[{"Processes":"x"}]}}"#, "an assignment"),
        ] {
            let mut process = process(&handler(width, "", "", answer));
            let said = process.error();
            assert!(said.contains(part), "{width:?}, {answer}: {said}");
        }
        let mut process = process(&handler(width, "", "(i32.store8 (PTR.const 20) (i32.const 255))", "{\"a\":1}"));
        assert!(process.error().contains("not UTF-8 from its byte 4"), "{width:?}");
    }
}

#[test]
fn what_an_answer_sends_leaves_with_the_outcome() {
    let answer = r#"{"ok":true,"response":{"Output":null,
        "Messages":[{"Target":"b","Data":"hello","Anchor":"1","Tags":[{"name":"Action","value":"Hi"},{"name":"N","value":7}]},
                    {"Target":"c","Tags":{"A":"x"},"Extra":[1,2]}],
        "Spawns":[{"Data":"code","Anchor":"2","Tags":[{"name":"Module","value":"mod"}]},
                  {"Device":"lua","Source":"function compute() end","Tags":[]}],
        "Assignments":[{"Processes":["d","e"],"Message":"m"}]}}"#;
    let answer = answer.replace('\n', " ");
    for width in WIDTHS {
        let (cause, outcome) = process(&handler(width, "", "", &answer)).call("");
        assert_eq!((cause, outcome.error), (Cause::Success, None));
        let [first, second] = &outcome.messages[..] else { panic!("{:?}", outcome.messages) };
        assert_eq!((first.target.as_str(), first.data.as_str(), first.anchor.as_str()), ("b", "hello", "1"));
        assert_eq!(first.tags, [Tag::new("Action", "Hi"), Tag::new("N", "7")]);
        assert_eq!((second.target.as_str(), second.data.as_str()), ("c", ""));
        assert_eq!(second.tags, [Tag::new("A", "x")]);
        let [of_module, of_source] = &outcome.spawns[..] else { panic!("{:?}", outcome.spawns) };
        assert_eq!((of_module.device.as_str(), of_module.module.as_deref()), ("wasm", Some("mod")));
        assert_eq!((of_source.device.as_str(), of_source.module.as_deref()), ("lua", None));
        assert_eq!(outcome.assignments[0].processes, ["d", "e"]);
    }
}

#[test]
fn an_empty_object_is_an_empty_list() {
    let answer = r#"{"ok":true,"response":{"Output":"x","Messages":{},"Spawns":[],"Error":""}}"#;
    for width in WIDTHS {
        assert_eq!(process(&handler(width, "", "", answer)).output(""), r#""x""#);
    }
}

#[test]
fn pointers_that_lead_nowhere_are_told() {
    for width in WIDTHS {
        for at in ["0", "131072", "-1", "2000000000"] {
            let source =
                module_of(width, &format!(r#"(func (export "handle") (param PTR PTR) (result PTR) (PTR.const {at}))"#));
            let said = process(&source).error();
            assert!(said.contains("handle returned pointer") && said.contains("131072"), "{width:?}, {at}: {said}");
        }
        let source = module_of(
            width,
            r#"(func (export "handle") (param PTR PTR) (result PTR)
                 (memory.fill (PTR.const 131000) (i32.const 97) (PTR.const 72))
                 (PTR.const 131000))"#,
        );
        assert!(process(&source).error().contains("no zero byte"), "{width:?}");
    }
}

#[test]
fn a_malloc_that_gives_nothing_is_told() {
    for width in WIDTHS {
        for (at, part) in
            [("0", "malloc gives no 4096 bytes"), ("131071", "the memory ends at 131072"), ("-8", "the memory ends")]
        {
            let pointer = if width == Width::Wide { "i64" } else { "i32" };
            let text = format!(
                r#"(module (memory {} 2)
                  (func (export "malloc") (param PTR) (result PTR) (PTR.const {at}))
                  (func (export "handle") (param PTR PTR) (result PTR) (PTR.const 16)))"#,
                if width == Width::Wide { "i64" } else { "" }
            );
            let said = process(&wat::parse_str(text.replace("PTR", pointer)).unwrap()).error();
            assert!(said.contains(part), "{width:?}, {at}: {said}");
        }
    }
}
