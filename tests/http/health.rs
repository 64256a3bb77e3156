//! `/health`, `/alerts`, and what `/readyz` makes of critical checks.

use std::rc::Rc;

use mainstay::actors::Collection;
use mainstay::stats::Labels;
use serde_json::{Value, json};

use super::rig::{Node, keys, lua, until};

const CHECKS: &str = r#"
    [[health.check]]
    name = "nobody"
    kind = "worker"
    target = "nobody"
    interval = "10ms"
    failure_threshold = 2
    critical = true
    [[health.check]]
    name = "store"
    kind = "worker"
    target = "nobody"
    initial_delay = "1h"
    critical = true
    [[health.check]]
    name = "somebody"
    kind = "worker"
    target = "nobody"
    interval = "10ms"
    failure_threshold = 2
"#;

const ALERTS: &str = r#"
    [[alert]]
    name = "Busy"
    metric = "load"
    when = "> 1"
    severity = "critical"
    annotations = { summary = "load {{ $value }} of {{ $labels.host }}" }
"#;

async fn checks(node: &Rc<Node>) -> Vec<Value> {
    let body = node.get("/health").await.json(200);
    assert_eq!(keys(&body), ["checks"]);
    body["checks"].as_array().unwrap().clone()
}

#[test]
fn checks_are_listed_in_their_order_and_critical_ones_make_the_node_unready() {
    lua(CHECKS, async |node| {
        node.readiness.taken_up();
        let first = checks(&node).await;
        assert!(first.iter().all(|check| keys(check) == ["error", "failures", "kind", "name", "since", "status"]));
        let names: Vec<_> = first.iter().map(|check| check["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["nobody", "store", "somebody"]);
        let sick = until("the check fails", async || {
            let checks = checks(&node).await;
            let both = checks[0]["status"] == "unhealthy" && checks[2]["status"] == "unhealthy";
            both.then(|| checks[0].clone())
        })
        .await;
        assert_eq!((&sick["kind"], &sick["error"]), (&json!("worker"), &json!("there is no process nobody")));
        assert!(sick["failures"].as_u64() >= Some(2) && sick["since"].as_u64() > Some(1_700_000_000_000));
        let body = node.get("/readyz").await.json(503);
        let expected = json!({
            "nobody": "there is no process nobody", "health.check store": "ok", "store": "ok", "pending": "ok", "node": "ok",
        });
        assert_eq!(body, json!({ "status": "unavailable", "checks": expected }));
        node.create("nobody", "function compute() end").await;
        until("all is well", async || (node.get("/readyz").await.status == 200).then_some(())).await;
        let well = until("the check is well", async || {
            let check = checks(&node).await.swap_remove(0);
            (check["status"] == "healthy").then_some(check)
        })
        .await;
        assert_eq!((&well["failures"], &well["error"]), (&json!(0), &Value::Null));
    });
}

#[test]
fn without_checks_and_rules_there_are_none() {
    lua("", async |node| {
        assert_eq!(node.get("/health").await.json(200), json!({ "checks": [] }));
        assert_eq!(node.get("/alerts").await.json(200), json!({ "alerts": [] }));
        for path in ["/health", "/alerts"] {
            node.post(path, "").await.refusal(405, "bad_request");
        }
    });
}

#[test]
fn alerts_are_listed_with_all_that_there_is_to_know() {
    lua(ALERTS, async |node| {
        let at = node.hub.environment().clock.now_ms();
        for (host, load) in [("a", 2.5), ("b", 0.5)] {
            let labels = Labels::parse(&format!("host={host:?}")).unwrap();
            node.book.open().record(at, "load", &labels, load).unwrap();
        }
        let alerts = until("it fires", async || {
            node.observers.listener().send(Collection { at }).await.unwrap();
            let body = node.get("/alerts").await.json(200);
            assert_eq!(keys(&body), ["alerts"]);
            let alerts = body["alerts"].as_array().unwrap().clone();
            (!alerts.is_empty()).then_some(alerts)
        })
        .await;
        let expected = json!([{
            "name": "Busy", "state": "firing", "severity": "critical", "message": "Alert Busy triggered",
            "labels": { "host": "a" }, "annotations": { "summary": "load 2.5 of a" }, "value": 2.5, "since": at,
        }]);
        assert_eq!(Value::from(alerts), expected);
    });
}
