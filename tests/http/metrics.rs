//! `/metrics` and `/metrics.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix_web::test::TestRequest;
use mainstay::actors::Feeder;
use mainstay::ids::ProcessId;
use mainstay::metrics::catalogue;
use mainstay::metrics::catalogue::{
    ALERT_EVALUATIONS_SKIPPED, ALERTS, ALERTS_REFUSED, HEALTHY, RECEIVER_FAILURES, WATCH_BACKEND,
};
use mainstay::stats::Labels;
use serde_json::Value;

use super::rig::{Answer, COUNTER, Node, keys, lua};

/// What those show who are asked for their numbers.
fn feeder() -> Feeder {
    Arc::new(|snapshot| {
        let labelled =
            [(&ALERTS, "state"), (&RECEIVER_FAILURES, "receiver"), (&HEALTHY, "check"), (&WATCH_BACKEND, "backend")];
        for (metric, label) in labelled {
            let labels = Labels::from_pairs([(label.to_owned(), "x".to_owned())]).unwrap();
            snapshot.set(metric, &labels, 1.0);
        }
        snapshot.set(&ALERTS_REFUSED, &Labels::default(), 1.0);
        snapshot.set(&ALERT_EVALUATIONS_SKIPPED, &Labels::default(), 1.0);
    })
}

async fn accepting(node: &Node, accept: &str) -> Answer {
    node.send(TestRequest::get().uri("/metrics").insert_header(("accept", accept))).await
}

/// Every sample of the text format: name with labels, and value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    lines.map(|line| split(line).unwrap()).collect()
}

#[test]
fn a_client_gets_the_format_that_it_names() {
    lua("", async |node| {
        node.gatherer(Vec::new()).collect();
        for (accept, content_type, is_open) in [
            ("*/*", "text/plain; version=0.0.4; charset=utf-8", false),
            ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8", true),
            (
                "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                true,
            ),
        ] {
            let answer = accepting(&node, accept).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.headers.get("content-type").unwrap(), content_type, "{accept}");
            let text = answer.text();
            assert_eq!(text.ends_with("# EOF\n"), is_open, "{accept}");
            let head =
                if is_open { "# TYPE process_cpu_seconds counter" } else { "# TYPE process_cpu_seconds_total counter" };
            assert!(text.contains(head) && text.contains("\nprocess_cpu_seconds_total "), "{text}");
        }
    });
}

#[test]
fn what_a_process_did_is_shown_at_once_and_in_json_alike() {
    lua("", async |node| {
        node.create("counted", COUNTER).await;
        for body in [r#"{"Tags":{"Action":"Increment"}}"#, r#"{"Tags":{"Action":"Nonsense"}}"#] {
            node.post("/processes/counted/schedule?wait=5s", body).await.json(200);
        }
        // Whoever waits is told by the worker after it has counted.
        let text = samples(node.get("/metrics").await.text());
        let body = node.get("/metrics.json").await.json(200);
        assert_eq!(keys(&body), ["metrics", "timestamp"]);
        assert!(body["timestamp"].as_u64().unwrap() > 1_735_689_600_000);
        for (name, value) in [
            ("mainstay_messages_scheduled_total", 2.0),
            ("mainstay_slots_computed_total", 3.0),
            ("mainstay_slots_failed_total", 1.0),
            ("mainstay_queue_messages", 0.0),
        ] {
            assert_eq!(text[&format!("{name}{{process=\"counted\"}}")], value, "{name}");
            let metric = &body["metrics"][name];
            assert_eq!(keys(metric), ["help", "samples", "type", "unit"]);
            let sample = metric["samples"].as_array().unwrap().iter().find(|one| one["labels"]["process"] == "counted");
            assert_eq!(sample.unwrap()["value"].as_f64(), Some(value), "{name}");
        }
        assert!(text["mainstay_compute_seconds_total{process=\"counted\"}"] > 0.0);
        assert!(text["mainstay_state_bytes{process=\"counted\"}"] > 0.0);
        node.post("/processes/counted/snapshot", "").await.json(200);
        let text = samples(node.get("/metrics").await.text());
        assert!(text["mainstay_snapshot_bytes{process=\"counted\"}"] > 0.0);
        for gauge in
            ["mainstay_workers", "mainstay_groups", "mainstay_store_syncs_total", "mainstay_store_batch_commits_count"]
        {
            assert!(text[gauge] >= 1.0, "{gauge}");
        }
    });
}

#[test]
fn requests_are_counted_by_the_pattern_of_their_route() {
    lua("", async |node| {
        node.create("patterned", COUNTER).await;
        node.get("/processes/patterned").await.json(200);
        node.get("/processes/nobody-has-this-name").await.refusal(404, "not_found");
        for path in ["/made-up-1", "/made-up-2/deeper", "/processes/patterned/made-up-3"] {
            node.get(path).await.refusal(404, "not_found");
        }
        let text = node.get("/metrics").await.text().to_owned();
        let shown = samples(&text);
        let count = |route: &str, status: u16| {
            let name = format!("mainstay_http_request_duration_seconds_count{{route={route:?},status=\"{status}\"}}");
            shown.get(&name).copied().unwrap_or_default()
        };
        assert!(count("/processes/{id}", 200) >= 1.0 && count("/processes/{id}", 404) >= 1.0, "{text}");
        assert!(count("unknown", 404) >= 3.0, "{text}");
        for secret in ["made-up", "route=\"/processes/patterned", "nobody-has-this-name"] {
            assert!(!text.contains(secret), "{secret} is in\n{text}");
        }
    });
}

#[test]
fn what_is_exported_is_what_the_catalogue_says() {
    let config = r#"
        [[metrics.group]]
        name = "self"
        match_exe = "."
        [[anomaly]]
        name = "a"
        metric = "mainstay_workers"
    "#;
    lua(config, async |node| {
        node.create("exported", COUNTER).await;
        node.gatherer(vec![feeder()]).collect();
        node.get("/livez").await;
        let body = node.get("/metrics.json").await.json(200);
        let shown: BTreeSet<&str> = keys(&body["metrics"]).into_iter().collect();
        let names: Vec<_> = catalogue().map(|metric| metric.shown()).collect();
        let known: BTreeSet<&str> = names.iter().map(|name| &**name).collect();
        assert_eq!(shown, known);
        for metric in catalogue() {
            let said = &body["metrics"][&*metric.shown()];
            assert_eq!(said["type"], metric.kind.name(), "{}", metric.name);
            assert_eq!(said["help"], metric.help, "{}", metric.name);
            assert_eq!(said["unit"].as_str(), metric.unit.map(|unit| unit.name()), "{}", metric.name);
            let samples = said["samples"].as_array().unwrap();
            assert!(!samples.is_empty(), "{} has no sample", metric.name);
            for sample in samples {
                let mut expected = metric.labels.to_vec();
                expected.sort_unstable();
                assert_eq!(keys(&sample["labels"]), expected, "{}", metric.name);
            }
        }
    });
}

#[test]
fn an_explosion_of_labels_is_bounded_and_counted() {
    const SETS: usize = 100_000;
    let explosion: Feeder = Arc::new(|snapshot| {
        for number in 0..SETS {
            let labels = Labels::from_pairs([("check".to_owned(), format!("check-{number}"))]).unwrap();
            snapshot.set(&HEALTHY, &labels, 1.0);
        }
    });
    lua("[metrics]\nmax_series = 500\nseries_capacity = 5", async |node| {
        let mut gatherer = node.gatherer(vec![explosion]);
        for _ in 0..3 {
            gatherer.collect();
            assert!(node.exhibit.book.open().len() <= 500);
        }
        let body = node.get("/metrics.json").await.json(200);
        let dropped = body["metrics"]["mainstay_samples_dropped_total"]["samples"].as_array().unwrap().clone();
        let full: Vec<&Value> = dropped.iter().filter(|sample| sample["labels"]["reason"] == "full").collect();
        assert!(full[0]["value"].as_u64().unwrap() >= 2 * (SETS as u64 - 500), "{dropped:?}");
        assert_eq!(body["metrics"]["mainstay_series"]["samples"][0]["value"], 500);
        let meter = |number| node.exhibit.processes.meter(&ProcessId::parse(&format!("p{number}")).unwrap());
        let meters: Vec<_> = (0..1_000).map(meter).collect();
        let body = node.get("/metrics.json").await.json(200);
        let processes = body["metrics"]["mainstay_queue_messages"]["samples"].as_array().unwrap().len();
        assert_eq!(processes, 101, "a hundred of their own, and one for the rest");
        drop(meters);
    });
}

#[test]
fn what_is_measured_is_behind_the_token() {
    lua("[http]\ntokens = [{ name = \"t\", token = \"0123456789abcdef0123456789abcdef\" }]", async |node| {
        for path in ["/metrics", "/metrics.json", "/series?metric=x", "/stats?metric=x"] {
            node.get(path).await.refusal(401, "unauthorized");
            node.send(TestRequest::post().uri(path)).await.refusal(401, "unauthorized");
            let token = ("authorization", "Bearer 0123456789abcdef0123456789abcdef");
            assert_eq!(node.send(TestRequest::get().uri(path).insert_header(token)).await.status, 200, "{path}");
        }
    });
}
