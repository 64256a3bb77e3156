//! Lines that are answers, and lines that are none.

use proptest::prelude::*;

use crate::device::exec::rpc::{Garbled, RpcError, answer, request};

/// A line as it is understood, in short.
fn read(line: &str) -> Result<(u64, Result<String, String>), String> {
    match answer(line.as_bytes()) {
        Ok(answer) => {
            let result = answer.result.map(|result| result.get().to_owned());
            Ok((answer.id, result.map_err(|RpcError { code, message }| format!("{code} {message}"))))
        }
        Err(Garbled::Line { why, .. }) => Err(why),
        Err(Garbled::Unread(why)) => Err(format!("unread: {why}")),
    }
}

#[test]
fn answers_are_read() {
    let table = [
        (r#"{"jsonrpc":"2.0","id":1,"result":{"a":[1,2]}}"#, (1, Ok(r#"{"a":[1,2]}"#))),
        (r#" {"result":null,"id":18446744073709551615,"jsonrpc":"2.0","more":[{}]} "#, (u64::MAX, Ok("null"))),
        (r#"{"jsonrpc":"2.\u0030","id":0,"result":"x"}"#, (0, Ok(r#""x""#))),
        (
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no \"x\"","data":1}}"#,
            (7, Err("-32601 no \"x\"")),
        ),
        (r#"{"jsonrpc":"2.0","id":7,"result":1,"error":null}"#, (7, Ok("1"))),
    ];
    for (line, (id, result)) in table {
        let expected = (id, result.map(str::to_owned).map_err(str::to_owned));
        assert_eq!(read(line), Ok(expected), "{line}");
    }
}

#[test]
fn what_is_no_answer_says_why() {
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}"#, "[".repeat(100_000));
    let table = [
        ("hello", "no object"),
        ("[]", "no object"),
        ("{hello", "key must be"),
        ("{}", "\"jsonrpc\" is not"),
        (r#"{"jsonrpc":"1.0","id":1,"result":1}"#, "\"jsonrpc\" is not"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "neither"),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}"#, "both"),
        (r#"{"jsonrpc":"2.0","id":"1","result":1}"#, "\"id\""),
        (r#"{"jsonrpc":"2.0","id":-1,"result":1}"#, "\"id\""),
        (r#"{"jsonrpc":"2.0","id":1.0,"result":1}"#, "\"id\""),
        (r#"{"jsonrpc":"2.0","result":1}"#, "\"id\""),
        (r#"{"jsonrpc":"2.0","id":null,"result":1}"#, "\"id\""),
        (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"bad"}}"#, "unread: bad"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#, "request"),
        (r#"{"jsonrpc":"2.0","id":1,"error":"x"}"#, "invalid type"),
        (r#"{"jsonrpc":"2.0","id":1,"result":1} {}"#, "trailing"),
        (r#"{"jsonrpc":"2.0","id":1,"result":1"#, "EOF"),
        (&deep, "EOF"),
    ];
    for (line, expected) in table {
        let why = read(line).unwrap_err();
        assert!(why.contains(expected), "{why:?} says nothing of {expected:?}");
    }
    let Err(error) = answer(&[b'x'; 100_000]) else { panic!("it is no answer") };
    assert!(error.to_string().len() < 500, "a person gets the beginning of it");
    assert!(answer(b"\xff\xfe").is_err());
}

#[test]
fn requests_are_one_line() {
    let line = request(3, "compute", &serde_json::json!({ "text": "a\nb\u{2028}" })).unwrap();
    let end = line.iter().position(|byte| *byte == b'\n');
    assert_eq!(end, Some(line.len() - 1));
    let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
    let expected =
        serde_json::json!({ "jsonrpc": "2.0", "id": 3, "method": "compute", "params": { "text": "a\nb\u{2028}" } });
    assert_eq!(read, expected);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_result_comes_back_as_it_was(id: u64, result in json()) {
        let line = serde_json::json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
        let read = answer(line.as_bytes()).unwrap();
        prop_assert_eq!(read.id, id);
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(read.result.unwrap().get()).unwrap(), result);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = answer(&bytes) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn an_answer_with_a_flaw_is_read_or_refused(at: usize, byte: u8, cut: usize) {
        let mut line = br#"{"jsonrpc":"2.0","id":12,"error":{"code":-1,"message":"m\u00e9"},"result":[{"a":null}]}"#.to_vec();
        let at = at % line.len();
        line[at] = byte;
        line.truncate(cut % (line.len() + 1));
        let _ = answer(&line);
    }
}
