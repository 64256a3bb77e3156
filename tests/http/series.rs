//! `/series` and `/stats`.

use std::time::Duration;

use mainstay::clock::Millis;
use mainstay::stats::Labels;
use serde_json::{Value, json};

use super::rig::{Node, keys, lua};

/// Writes samples into the series, so many seconds ago each.
fn record(node: &Node, metric: &str, labels: &str, samples: &[(u64, f64)]) -> Millis {
    let (now, labels) = (node.exhibit.clock.now_ms(), Labels::parse(labels).unwrap());
    for (ago, value) in samples {
        node.exhibit.book.open().record(now - ago * 1_000, metric, &labels, *value).unwrap();
    }
    now
}

async fn series(node: &Node, query: &str) -> Value {
    let body = node.get(&format!("/series?{query}")).await.json(200);
    assert_eq!(keys(&body), ["labels", "metric", "samples"]);
    body
}

fn values(body: &Value) -> Vec<f64> {
    body["samples"].as_array().unwrap().iter().map(|sample| sample[1].as_f64().unwrap()).collect()
}

#[test]
fn a_series_is_found_by_its_metric_and_its_labels() {
    lua("", async |node| {
        let now = record(&node, "m_total", r#"a="x",b="y z""#, &[(50, 1.0), (20, 2.5), (0, 4.0)]);
        record(&node, "m_total", r#"a="other",b="y z""#, &[(40, 7.0), (10, 8.0)]);
        record(&node, "plain", "", &[(5, 3.0)]);
        // a="x",b="y z"
        let body = series(&node, "metric=m_total&labels=a%3D%22x%22%2Cb%3D%22y%20z%22").await;
        let samples = json!([[now - 50_000, 1.0], [now - 20_000, 2.5], [now, 4.0]]);
        assert_eq!(body, json!({ "metric": "m_total", "labels": { "a": "x", "b": "y z" }, "samples": samples }));
        assert_eq!(series(&node, "metric=plain").await["labels"], json!({}));
        for (query, labels, expected) in [
            ("metric=m_total&labels=a=%22x%22", json!({ "a": "x", "b": "y z" }), vec![1.0, 2.5, 4.0]),
            ("metric=m_total", json!({ "b": "y z" }), vec![1.0, 7.0, 2.5, 8.0, 4.0]),
            ("metric=m_total&labels=", json!({ "b": "y z" }), vec![1.0, 7.0, 2.5, 8.0, 4.0]),
            ("metric=m_total&range=30s", json!({ "b": "y z" }), vec![2.5, 8.0, 4.0]),
            ("metric=m_total&labels=a=%22x%22&range=1h", json!({ "a": "x", "b": "y z" }), vec![1.0, 2.5, 4.0]),
            ("metric=m_total&labels=a=%22nobody%22", json!({ "a": "nobody" }), vec![]),
            ("metric=m", json!({}), vec![]),
            ("metric=no%20name", json!({}), vec![]),
        ] {
            let body = series(&node, query).await;
            assert_eq!((&body["labels"], values(&body)), (&labels, expected), "{query}");
        }
    });
}

#[test]
fn statistics_are_those_of_the_samples_that_are_shown() {
    lua("", async |node| {
        record(&node, "m", r#"a="x""#, &[(4, 1.0), (3, 2.0), (2, 3.0), (1, 4.0), (0, 5.0)]);
        record(&node, "m", r#"a="y""#, &[(100, 99.0)]);
        let body = node.get("/stats?metric=m&labels=a=%22x%22").await.json(200);
        let names = ["count", "max", "mean", "median", "min", "p50", "p95", "p99", "slope", "stdDev", "sum"];
        assert_eq!(keys(&body), names);
        for (name, expected) in [
            ("count", 5.0),
            ("sum", 15.0),
            ("mean", 3.0),
            ("median", 3.0),
            ("min", 1.0),
            ("max", 5.0),
            ("p50", 3.0),
            ("p95", 4.8),
            ("p99", 4.96),
            ("stdDev", 2_f64.sqrt()),
            ("slope", 1.0),
        ] {
            assert!((body[name].as_f64().unwrap() - expected).abs() < 1e-9, "{name}: {body}");
        }
        assert_eq!(body["count"], json!(5));
        assert_eq!(node.get("/stats?metric=m").await.json(200)["max"], json!(99.0));
        assert_eq!(node.get("/stats?metric=m&range=1m").await.json(200)["max"], json!(5.0));
        let one = node.get("/stats?metric=m&labels=a=%22y%22").await.json(200);
        assert_eq!((&one["slope"], &one["stdDev"]), (&Value::Null, &json!(0.0)));
        for query in ["metric=nothing", "metric=m&labels=a=%22z%22", "metric=m&labels=a=%22y%22&range=1s"] {
            assert_eq!(node.get(&format!("/stats?{query}")).await.json(200), Value::Null, "{query}");
        }
    });
}

#[test]
fn what_makes_no_sense_is_refused_with_its_name() {
    lua("", async |node| {
        for call in ["series", "stats"] {
            for (query, part) in [
                ("", "metric: found nothing"),
                ("metric=", "metric: found nothing"),
                ("metric=m&labels=a", "labels: "),
                ("metric=m&labels=a=%22x%22,a=%22y%22", "labels: "),
                ("metric=m&range=5", "range: "),
                ("metric=m&metrics=n", "metrics"),
            ] {
                let message = node.get(&format!("/{call}?{query}")).await.refusal(400, "bad_request");
                assert!(message.contains(part), "{query}: {message}");
            }
            node.post(&format!("/{call}?metric=m"), "").await.refusal(405, "bad_request");
        }
    });
}

#[test]
fn too_many_samples_for_one_answer_are_refused() {
    lua("[metrics]\nseries_capacity = 100000", async |node| {
        let now = node.exhibit.clock.now_ms();
        for name in ["a", "b", "c"] {
            let labels = Labels::from_pairs([("name".to_owned(), name.to_owned())]).unwrap();
            let mut book = node.exhibit.book.open();
            for ago in (0..80_000).rev() {
                book.record(now - ago, "m", &labels, 1.0).unwrap();
            }
        }
        for (query, status) in [("", 400), ("&range=60s", 200), ("&labels=name=%22a%22", 200)] {
            assert_eq!(node.get(&format!("/series?metric=m{query}")).await.status, status, "{query}");
        }
    });
}

#[test]
fn a_collection_writes_what_is_measured_into_the_series() {
    lua("", async |node| {
        let mut gatherer = node.gatherer(Vec::new());
        let (first, mut last) = (gatherer.collect(), 0);
        while last <= first {
            tokio::time::sleep(Duration::from_millis(1)).await;
            last = gatherer.collect();
        }
        for (metric, labels) in [
            ("process_cpu_seconds_total", ""),
            ("process_resident_memory_bytes", ""),
            ("mainstay_arbiter_lag_seconds", "arbiter=%22main%22"),
            ("mainstay_store_sync_seconds_count", ""),
            ("mainstay_store_commits_total", ""),
        ] {
            let body = series(&node, &format!("metric={metric}&labels={labels}")).await;
            let samples = body["samples"].as_array().unwrap();
            assert_eq!(samples.first().map(|sample| &sample[0]), Some(&json!(first)), "{metric}");
            assert_eq!(samples.last().map(|sample| &sample[0]), Some(&json!(last)), "{metric}");
        }
        assert!(
            series(&node, "metric=mainstay_store_sync_seconds_bucket").await["samples"].as_array().unwrap().is_empty()
        );
    });
}
