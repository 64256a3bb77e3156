//! Compute units of AO.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Expected, calling, check, computing, entry, made, snapshot};
use crate::client::tests::server::{Act, Server};
use crate::config::RemoteKind;
use crate::config::limits::Limits;
use crate::device::{Call, Interrupt, Mode};
use crate::process::Origin;

fn limits() -> Limits {
    Limits { output_size: 100, messages_per_outcome: 3, message_size: 50, memory: 4096, ..Limits::default() }
}

fn result(messages: &Value) -> Value {
    json!({ "Output": { "data": "2" }, "Messages": messages, "Spawns": [], "Assignments": [], "GasUsed": 9 })
}

#[tokio::test]
async fn a_result_is_asked_for_and_its_messages_leave_from_here() {
    let message = json!({ "Target": "a", "Data": "x", "Anchor": "", "Tags": [{ "name": "A", "value": 1 }] });
    let server = Server::answering(200, &[], &result(&json!([message])).to_string()).await;
    let device = made(&server, RemoteKind::Ao, limits(), &Interrupt::default());
    let (device, came) = calling(device, |device| device.init(&entry(0, Origin::Node), Mode::Live)).await;
    check(&came, Expected::Output("null"), "init");
    assert!(server.seen().is_empty(), "its first slot is nobody else's");
    let (device, came) = computing(device, 1).await;
    check(&came, Expected::Output(r#"{"data":"2"}"#), "a good one");
    let Ok(Call::Done(_, outcome)) = came else { panic!("{came:?}") };
    assert_eq!((outcome.messages[0].target.as_str(), outcome.gas_used), ("a", 9));
    let id = entry(1, Origin::Client).message.id;
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), format!("GET /base/result/{id}?process-id=counter"));
    assert!(seen.header("mainstay-chain").is_some_and(|chain| chain.starts_with("counter~")));
    assert_eq!(*snapshot(device.as_ref()), *br#"{"slot":null}"#);
    let (device, came) = calling(device, |device| device.dry_run(&entry(2, Origin::Client))).await;
    check(&came, Expected::NotSupported, "dry-run");
    assert!(device.state().unwrap_err().to_string().contains("does not support"));
}

#[tokio::test]
async fn every_bad_answer_is_told_for_what_it_is() {
    use Expected::{Error, Fault, Limit};
    let message = |data: &str| json!({ "Target": "a", "Data": data });
    let with = |key: &str, value: Value| {
        let mut outcome = result(&json!([message("")]));
        outcome[key] = value;
        (200, outcome.to_string())
    };
    let table = [
        ((404, "{}".to_owned()), Error("unknown_message: ")),
        ((410, String::new()), Error("unknown_message: ")),
        ((400, "{}".to_owned()), Error("answered 400")),
        ((401, String::new()), Fault("answered 401")),
        ((429, String::new()), Fault("answered 429")),
        ((500, "{\"error\":\"x\"}".to_owned()), Fault("answered 500")),
        ((502, String::new()), Fault("answered 502")),
        ((504, String::new()), Fault("answered 504")),
        ((508, String::new()), Error("infinite_recursion")),
        ((200, "<html>".to_owned()), Fault("cannot be used")),
        ((200, "{\"error\":\"x\"}".to_owned()), Fault("Messages is missing")),
        (with("Error", json!("no handler")), Error("no handler")),
        (with("Messages", json!([{ "Data": "x" }])), Error("Messages[0]: Target is missing")),
        (with("Messages", json!([message("x"), { "Target": "" }])), Error("Target is empty")),
        (with("Output", json!("x".repeat(99))), Limit("output_size")),
        (with("Output", json!("x".repeat(80_000))), Limit("output_size")),
        (with("Messages", json!(vec![message(""); 4])), Limit("messages_per_outcome")),
        (with("Spawns", json!([{}, {}, {}])), Limit("messages_per_outcome")),
        (with("Messages", json!([message(&"x".repeat(51))])), Limit("message_size")),
    ];
    for ((status, body), expected) in table {
        let server = Server::answering(status, &[], &body).await;
        let device = made(&server, RemoteKind::Ao, limits(), &Interrupt::default());
        check(&computing(device, 1).await.1, expected, &format!("{status} {body:.60}"));
    }
}

#[tokio::test]
async fn a_unit_that_is_silent_or_slow_is_no_outcome() {
    for part in [vec![Act::Hold], vec![Act::Drip], vec![]] {
        let server = Server::play([part]).await;
        let limits = Limits { compute_time: Duration::from_millis(200), ..limits() };
        let device = made(&server, RemoteKind::Ao, limits, &Interrupt::default());
        check(&computing(device, 1).await.1, Expected::Fault("http://"), "silence");
    }
}
