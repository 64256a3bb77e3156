//! Receivers of alerts, well and sick.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Act, Server, client};
use crate::alert::{AlertState, Notice};
use crate::client::ClientError;
use crate::client::receiver::{Alertmanager, Webhook};

fn notice(state: AlertState) -> Notice {
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    Notice {
        name: "Busy".to_owned(),
        state,
        severity: "critical".to_owned(),
        message: "Alert Busy triggered".to_owned(),
        labels: texts(&[("process", "a \"b\"")]),
        annotations: texts(&[("summary", "ä\n")]),
        value: Some(0.5),
        metrics: BTreeMap::from([("load".to_owned(), Some(0.5))]),
        timestamp: 1_700_000_060_000,
        since: 1_700_000_000_000,
        valid_until: (state == AlertState::Firing).then_some(1_700_000_300_500),
        is_repeated: false,
        receivers: vec!["hook".to_owned()],
    }
}

fn body(seen: &str) -> Value {
    serde_json::from_str(seen).unwrap()
}

#[tokio::test]
async fn a_webhook_gets_the_alert_as_the_api_has_it() {
    let server = Server::answering(204, &[], "").await;
    let hook = Webhook::new(client(), &server.url("/hook?key=secret")).unwrap();
    hook.tell(&notice(AlertState::Firing)).await.unwrap();
    let [request] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
    assert_eq!(request.line(), "POST /hook?key=secret");
    assert_eq!(request.header("content-type"), Some("application/json"));
    let expected = json!({
        "name": "Busy", "state": "firing", "severity": "critical", "message": "Alert Busy triggered",
        "labels": { "process": "a \"b\"" }, "annotations": { "summary": "ä\n" }, "value": 0.5,
        "metrics": { "load": 0.5 }, "timestamp": 1_700_000_060_000u64,
    });
    assert_eq!(body(&request.body), expected);
}

#[tokio::test]
async fn an_alertmanager_gets_alerts_that_begin_and_end() {
    let server = Server::answering(200, &[], "").await;
    let manager = Alertmanager::new(client(), &server.url("/base/"), "http://node:8734").unwrap();
    manager.tell(&[notice(AlertState::Firing), notice(AlertState::Resolved)]).await.unwrap();
    let [request] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
    assert_eq!(request.line(), "POST /base/api/v2/alerts");
    let alert = |ends_at: &str| {
        json!({
            "labels": { "alertname": "Busy", "severity": "critical", "process": "a \"b\"" },
            "annotations": { "summary": "ä\n" }, "startsAt": "2023-11-14T22:13:20Z", "endsAt": ends_at,
            "generatorURL": "http://node:8734",
        })
    };
    assert_eq!(body(&request.body), json!([alert("2023-11-14T22:18:20.5Z"), alert("2023-11-14T22:14:20Z")]));
    let beyond = Notice { since: u64::MAX, ..notice(AlertState::Firing) };
    manager.tell(&[beyond]).await.unwrap();
    assert_eq!(body(&server.seen()[1].body)[0]["startsAt"], "9999-12-30T22:00:00.999999999Z");
}

#[tokio::test]
async fn a_receiver_that_refuses_is_an_error_that_names_it_without_its_secrets() {
    for (status, is_permanent) in [(400, true), (404, true), (429, false), (500, false), (503, false)] {
        let server = Server::answering(status, &[], "no").await;
        let hook = Webhook::new(client(), &server.url("/hook?key=secret")).unwrap();
        let error = hook.tell(&notice(AlertState::Firing)).await.unwrap_err();
        assert_eq!(error.is_permanent(), is_permanent, "{status}");
        let text = error.to_string();
        assert!(text.contains(&server.url("/hook?…")) && !text.contains("secret"), "{text}");
    }
    assert!(matches!(Webhook::new(client(), "ftp://x"), Err(ClientError::Url { .. })));
    assert!(matches!(Alertmanager::new(client(), "", "g"), Err(ClientError::Url { .. })));
}

#[tokio::test]
async fn a_receiver_that_hangs_is_given_up_and_one_that_talks_for_ever_is_not_heard_out() {
    let soon = Duration::from_millis(300);
    let head = b"HTTP/1.1 500 x\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
    for (part, is_late) in [
        (vec![Act::Hold], true),
        (vec![Act::Send(head.clone()), Act::Flood], false),
        (vec![Act::Send(head), Act::Drip], false),
    ] {
        let server = Server::play([part]).await;
        let hook = Webhook::new(client(), &server.url("/")).unwrap().within(soon);
        let error = hook.tell(&notice(AlertState::Firing)).await.unwrap_err();
        assert_eq!(matches!(error, ClientError::Timeout { .. }), is_late, "{error:?}");
        let manager = Alertmanager::new(client(), &server.url("/"), "g").unwrap().within(soon);
        assert!(manager.tell(&[notice(AlertState::Firing)]).await.is_err());
    }
    let head = b"HTTP/1.1 200 x\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
    let server = Server::play([vec![Act::Send(head), Act::Flood]]).await;
    Webhook::new(client(), &server.url("/")).unwrap().tell(&notice(AlertState::Firing)).await.unwrap();
}
