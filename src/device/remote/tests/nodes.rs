//! Other nodes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Came, Expected, calling, check, computing, entry, made, snapshot};
use crate::client::tests::server::{Act, Server, answer};
use crate::config::RemoteKind;
use crate::config::limits::Limits;
use crate::device::{Call, DeviceError, Interrupt, Mode, StateView};
use crate::ids::MessageId;
use crate::process::{Entry, Origin, PushChain};

fn taken(slot: u64, outcome: &Value) -> String {
    json!({ "id": "x", "process": "counter", "slot": slot, "outcome": outcome }).to_string()
}

fn named(name: &str) -> String {
    json!({ "error": { "code": name, "message": "no" } }).to_string()
}

fn limits() -> Limits {
    Limits { output_size: 100, messages_per_outcome: 2, memory: 4096, gas: 1000, ..Limits::default() }
}

async fn computed(server: &Server) -> Came {
    computing(made(server, RemoteKind::Mainstay, limits(), &Interrupt::default()), 1).await
}

#[tokio::test]
async fn a_message_goes_over_as_the_api_has_it_and_its_slot_there_is_kept() {
    let outcome = json!({
        "Output": { "n": 5 }, "Messages": [{ "Target": "a", "Data": "x" }], "Spawns": [], "Assignments": [],
        "Error": null, "GasUsed": 7,
    });
    let server = Server::answering(200, &[], &taken(41, &outcome)).await;
    let limits = Limits { compute_time: Duration::from_secs(60), ..limits() };
    let (device, came) = computing(made(&server, RemoteKind::Mainstay, limits, &Interrupt::default()), 1).await;
    check(&came, Expected::Output(r#"{"n":5}"#), "a good one");
    let Ok(Call::Done(_, outcome)) = came else { panic!("{came:?}") };
    assert_eq!((outcome.gas_used, outcome.messages.len()), (7, 0), "the other node delivers");
    assert_eq!(*snapshot(device.as_ref()), *br#"{"slot":41}"#);
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), "POST /base/processes/counter/schedule?wait=5000ms");
    let chain = seen.header("mainstay-chain").unwrap();
    assert!(chain.starts_with("counter~") && !chain.contains(','), "{chain}");
    let message = entry(1, Origin::Client).message;
    let expected = json!({
        "Id": message.id.as_str(), "Target": "counter", "Anchor": "mine", "Data": "5",
        "Tags": [{ "name": "Action", "value": "Add" }],
    });
    assert_eq!(serde_json::from_str::<Value>(&seen.body).unwrap(), expected);
}

#[tokio::test]
async fn the_chain_of_pushes_goes_on_there() {
    let server = Server::answering(200, &[], &taken(1, &json!({}))).await;
    let push = PushChain { depth: 3, budget: 120, root: MessageId::derived(&[b"root"]) };
    let expected = push.to_string();
    for (push, expected) in [(None, None), (Some(push), Some(expected.as_str()))] {
        let entry = Entry { push, ..entry(1, Origin::Push) };
        let tried = entry.clone();
        let device = made(&server, RemoteKind::Mainstay, limits(), &Interrupt::default());
        let (device, came) = calling(device, move |device| device.compute(&entry, Mode::Live)).await;
        check(&came, Expected::Output("null"), "an empty one");
        assert_eq!(server.seen().last().unwrap().header("mainstay-push"), expected);
        let (_, came) = calling(device, move |device| device.dry_run(&tried)).await;
        check(&came, Expected::Output("null"), "an empty one");
        assert_eq!(server.seen().last().unwrap().header("mainstay-push"), None, "what is tried is not delivered");
    }
}

#[tokio::test]
async fn ids_are_the_same_at_every_try_and_those_of_other_roads_are_made_of_their_slot() {
    let server = Server::answering(200, &[], &taken(1, &json!({}))).await;
    let mut ids = Vec::new();
    for (slot, origin) in [
        (1, Origin::Client),
        (2, Origin::Client),
        (1, Origin::Push),
        (1, Origin::Push),
        (1, Origin::Cron),
        (2, Origin::Push),
    ] {
        let device = made(&server, RemoteKind::Mainstay, limits(), &Interrupt::default());
        let (_, came) = calling(device, move |device| device.compute(&entry(slot, origin), Mode::Live)).await;
        check(&came, Expected::Output("null"), "an empty one");
        let body: Value = serde_json::from_str(&server.seen().last().unwrap().body).unwrap();
        ids.push(body["Id"].as_str().unwrap().to_owned());
    }
    let own = entry(1, Origin::Client).message.id.to_string();
    assert_eq!(ids[..2], [own.clone(), own.clone()]);
    assert!(ids[2] == ids[3] && ids[2] != own && ids[2] != ids[5], "{ids:?}");
}

#[tokio::test]
async fn every_bad_answer_is_told_for_what_it_is() {
    use Expected::{Error, Fault, Limit};
    let outcome = |outcome: Value| (200, taken(1, &outcome));
    let message = json!({ "Target": "a", "Data": "" });
    let table = [
        (outcome(json!({ "Error": "I cannot" })), Error("I cannot")),
        (outcome(json!({ "Error": "infinite_recursion: there" })), Error("infinite_recursion: there")),
        (outcome(json!({ "Output": "x".repeat(99) })), Limit("output_size")),
        (outcome(json!({ "Output": "x".repeat(80_000) })), Limit("output_size")),
        (outcome(json!({ "Messages": vec![&message; 3] })), Limit("messages_per_outcome")),
        (outcome(json!({ "GasUsed": 1001 })), Limit("gas")),
        (outcome(json!({ "Messages": [{ "Target": "" }] })), Error("Target is empty")),
        (outcome(json!({ "Output": 1, "Outpt": 1 })), Error("the answer is no outcome")),
        (outcome(json!([])), Error("the answer is no outcome")),
        ((200, "<html>".to_owned()), Fault("not the JSON that was expected")),
        ((200, "{}".to_owned()), Fault("missing field `slot`")),
        ((200, taken(1, &json!({}))[..30].to_owned()), Fault("not the JSON that was expected")),
        ((400, named("bad_request")), Error("answered 400")),
        ((413, named("too_large")), Error("answered 413")),
        ((409, named("id_reused")), Error("id_reused")),
        ((409, named("halted")), Fault("halted")),
        ((508, named("infinite_recursion")), Error("infinite_recursion")),
        ((404, named("not_found")), Fault("create it there")),
        ((401, named("unauthorized")), Fault("answered 401")),
        ((403, named("unauthorized")), Fault("answered 403")),
        ((429, String::new()), Fault("answered 429")),
        ((500, named("internal")), Fault("answered 500")),
        ((503, named("overloaded")), Fault("answered 503")),
        ((504, named("deadline")), Fault("answered 504")),
    ];
    for ((status, body), expected) in table {
        let server = Server::answering(status, &[], &body).await;
        let (device, came) = computed(&server).await;
        check(&came, expected, &format!("{status} {body:.60}"));
        assert_eq!(*snapshot(device.as_ref()), *br#"{"slot":null}"#, "only a success changes the state");
    }
    let server = Server::answering(308, &["Location: /elsewhere"], "").await;
    check(&computed(&server).await.1, Fault("redirects"), "a redirect");
    for part in
        [vec![], vec![Act::Send(b"garbage\r\n\r\n".to_vec())], vec![Act::Send(answer(200, &[], "{}")[..38].to_vec())]]
    {
        let server = Server::play([part]).await;
        check(&computed(&server).await.1, Fault("http://"), "a broken answer");
    }
    let flood = b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n".to_vec();
    let server = Server::play([vec![Act::Send(flood), Act::Flood]]).await;
    check(&computed(&server).await.1, Limit("output_size"), "a flood");
}

#[tokio::test]
async fn what_is_not_done_is_asked_for_until_the_time_is_over() {
    let (not_yet, done) = (json!({ "slot": 3 }).to_string(), taken(3, &json!({ "Output": 1 })));
    let parts = [&not_yet, &not_yet, &done].map(|body| vec![Act::Send(answer(202, &[], body))]);
    let server = Server::play(parts).await;
    let (device, came) = computed(&server).await;
    check(&came, Expected::Output("1"), "the third answer");
    assert_eq!((&*snapshot(device.as_ref()), server.seen().len()), (br#"{"slot":3}"#.as_slice(), 3));
    let elsewhere = taken(4, &json!({ "Output": 1 }));
    let parts = [&not_yet, &elsewhere].map(|body| vec![Act::Send(answer(202, &[], body))]);
    check(&computed(&Server::play(parts).await).await.1, Expected::Fault("in slot 4 now"), "another slot");

    let server = Server::answering(202, &[], &not_yet).await;
    let limits = Limits { compute_time: Duration::from_millis(200), ..limits() };
    let device = made(&server, RemoteKind::Mainstay, limits, &Interrupt::default());
    check(&computing(device, 1).await.1, Expected::Limit("compute_time"), "never");
    assert!(server.seen().len() > 1);
}

#[tokio::test]
async fn an_interrupt_ends_a_wait() {
    let server = Server::play([vec![Act::Hold]]).await;
    for kind in [RemoteKind::Mainstay, RemoteKind::Ao] {
        let interrupt = Interrupt::default();
        let device = made(&server, kind, Limits { compute_time: Duration::from_secs(600), ..limits() }, &interrupt);
        let before = server.seen().len();
        let waiting = tokio::spawn(computing(device, 1));
        while server.seen().len() == before {
            tokio::task::yield_now().await;
        }
        interrupt.raise();
        let (_, came) = tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap();
        assert!(matches!(came, Ok(Call::Interrupted)), "{came:?}");
    }
}

#[tokio::test]
async fn a_process_must_be_there_and_a_stored_slot_is_never_asked_for() {
    for (status, body, expected) in [
        (200, "{}".to_owned(), Expected::Output("null")),
        (404, named("not_found"), Expected::Fault("create it there")),
        (400, named("bad_request"), Expected::Fault("answered 400")),
        (503, named("store"), Expected::Fault("answered 503")),
    ] {
        let server = Server::answering(status, &[], &body).await;
        let device = made(&server, RemoteKind::Mainstay, limits(), &Interrupt::default());
        let (device, came) = calling(device, |device| device.init(&entry(0, Origin::Node), Mode::Live)).await;
        check(&came, expected, &format!("init: {status}"));
        assert_eq!(server.seen()[0].line(), "GET /base/processes/counter");
        let again = |device: &mut dyn crate::device::Device| device.compute(&entry(1, Origin::Client), Mode::Replay);
        check(&calling(device, again).await.1, Expected::Fault("nobody is asked for it again"), "replay");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_dry_run_and_the_state_are_the_other_nodes() {
    let tried = taken(6, &json!({ "Output": 2, "Messages": [{ "Target": "a", "Data": "x" }] }));
    for (status, body, expected) in [
        (200, tried, Expected::Output("2")),
        (501, named("not_supported"), Expected::NotSupported),
        (508, named("infinite_recursion"), Expected::Error("infinite_recursion")),
        (503, named("store"), Expected::Fault("answered 503")),
        (200, json!({ "slot": 6 }).to_string(), Expected::Fault("has no outcome")),
    ] {
        let server = Server::answering(status, &[], &body).await;
        let device = made(&server, RemoteKind::Mainstay, limits(), &Interrupt::default());
        let (device, came) = calling(device, |device| device.dry_run(&entry(7, Origin::Client))).await;
        check(&came, expected, &format!("dry-run: {status}"));
        if let Ok(Call::Done(_, outcome)) = &came {
            assert_eq!(outcome.messages.len(), usize::from(status == 200), "what would be sent is shown");
        }
        assert_eq!(server.seen()[0].line(), "POST /base/processes/counter/dry-run");
        assert_eq!(*snapshot(device.as_ref()), *br#"{"slot":null}"#);
    }
    let json = answer(200, &["Content-Type: application/json"], r#"{"a":1}"#);
    let bytes = answer(200, &["Content-Type: application/octet-stream"], "12");
    for (bytes, expected) in [
        (json, Ok(StateView::Json(r#"{"a":1}"#.into()))),
        (bytes, Ok(StateView::Bytes(b"12".as_slice().into()))),
        (answer(501, &[], &named("not_supported")), Err("does not support")),
        (answer(508, &[], &named("infinite_recursion")), Err("infinite_recursion")),
        (answer(200, &[], "no json"), Err("not the JSON")),
    ] {
        let server = Server::play([vec![Act::Send(bytes)]]).await;
        let device = made(&server, RemoteKind::Mainstay, limits(), &Interrupt::default());
        let state = tokio::task::spawn_blocking(move || device.state()).await.unwrap();
        match (state, expected) {
            (Ok(state), Ok(expected)) => assert_eq!(state, expected),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (state, expected) => panic!("{state:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn its_state_survives_and_what_is_none_is_refused() {
    let server = Server::answering(500, &[], "").await;
    let mut device = made(&server, RemoteKind::Mainstay, limits(), &Interrupt::default());
    device.restore(br#"{"slot":7}"#).unwrap();
    assert_eq!(*snapshot(device.as_ref()), *br#"{"slot":7}"#);
    for bytes in ["", "7", "[]x", r#"{"slot":-1}"#] {
        let error = device.restore(bytes.as_bytes()).unwrap_err();
        assert!(matches!(error, DeviceError::Restore(_)), "{bytes}: {error}");
        assert_eq!(*snapshot(device.as_ref()), *br#"{"slot":7}"#, "{bytes}");
    }
    assert!(!device.info().deterministic);
}
