use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;
use proptest::prelude::*;
use serde_json::json as value;

use super::*;
use crate::metrics::catalogue::{HEALTHY, NODE, SLOTS_COMPUTED, UPTIME};
use crate::metrics::{Collected, Kind, Processes, Snapshot, registry};
use crate::stats::{Labels, SeriesStore};

/// One family of each kind.
fn example() -> Registry {
    let mut registry = Registry::default();
    let requests = family::Family::<Vec<(String, String)>, Counter>::default();
    requests.get_or_create(&vec![("path".into(), "a\"} b{\\ \n".into())]).inc_by(3);
    registry.register("requests", "Requests", requests);
    let heat = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
    heat.set(f64::NEG_INFINITY);
    registry.register("heat", "A \\ help", heat);
    let took = family::Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new([0.25, 1.0]));
    for (route, values) in [("/b", [0.5, 8.0]), ("/a", [0.125, 0.125])] {
        let labels = Labels::from_pairs([("route".to_owned(), route.to_owned())]).unwrap();
        values.into_iter().for_each(|value| took.get_or_create(&labels).observe(value));
    }
    registry.register_with_unit("took", "Time", Unit::Seconds, took);
    registry.register("build", "Build", Info::new(vec![("version", "1")]));
    registry
}

fn example_families() -> Vec<Family> {
    families(&openmetrics(&example()).unwrap()).unwrap()
}

#[test]
fn what_the_encoder_writes_is_read_back() {
    let families = example_families();
    let heads: Vec<_> =
        families.iter().map(|f| (f.name.as_str(), f.kind, f.help.as_str(), f.unit.as_deref())).collect();
    let expected = [
        ("requests", Kind::Counter, "Requests.", None),
        ("heat", Kind::Gauge, "A \\ help.", None),
        ("took_seconds", Kind::Histogram, "Time.", Some("seconds")),
        ("build", Kind::Info, "Build.", None),
    ];
    assert_eq!(heads, expected);
    let Sample { suffix, labels, value } = &families[0].samples[0];
    assert_eq!((suffix.as_str(), labels.get("path"), *value), ("_total", Some("a\"} b{\\ \n"), 3.0));
    assert_eq!(families[2].samples.len(), 2 * 5);
    assert_eq!(families[3].samples[0].suffix, "_info");
}

#[test]
fn the_older_text_has_its_own_names_and_types() {
    let mut families = example_families();
    // The encoder keeps families in a hash map.
    families[2].samples.sort_by_key(|sample| sample.labels.get("route").map(str::to_owned));
    families[2].samples.truncate(5);
    families.push(Family { kind: Kind::Unknown, name: "what".into(), ..families[1].clone() });
    let expected = r##"# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{path="a\"} b{\\ \n"} 3
# HELP heat A \\ help.
# TYPE heat gauge
heat -Inf
# HELP took_seconds Time.
# TYPE took_seconds histogram
took_seconds_sum{route="/a"} 0.25
took_seconds_count{route="/a"} 2
took_seconds_bucket{le="0.25",route="/a"} 2
took_seconds_bucket{le="1.0",route="/a"} 2
took_seconds_bucket{le="+Inf",route="/a"} 2
# HELP build_info Build.
# TYPE build_info gauge
build_info{version="1"} 1
# HELP what A \\ help.
# TYPE what untyped
what -Inf
"##;
    assert_eq!(text_0_0_4(&families), expected);
}

fn read_json(families: &[Family], now: u64) -> serde_json::Value {
    serde_json::from_str(&json(families, now).unwrap()).unwrap()
}

#[test]
fn json_has_the_same_numbers() {
    let expected = value!({
        "timestamp": 1_700_000_000_000_u64,
        "metrics": {
            "requests_total": { "type": "counter", "help": "Requests.", "unit": null, "samples": [
                { "labels": { "path": "a\"} b{\\ \n" }, "value": 3 },
            ]},
            "heat": { "type": "gauge", "help": "A \\ help.", "unit": null, "samples": [{ "labels": {}, "value": "-Inf" }]},
            "took_seconds": { "type": "histogram", "help": "Time.", "unit": "seconds", "samples": [
                { "labels": { "route": "/a" }, "count": 2, "sum": 0.25, "buckets": [
                    { "le": 0.25, "count": 2 }, { "le": 1, "count": 2 }, { "le": "+Inf", "count": 2 },
                ]},
                { "labels": { "route": "/b" }, "count": 2, "sum": 8.5, "buckets": [
                    { "le": 0.25, "count": 0 }, { "le": 1, "count": 1 }, { "le": "+Inf", "count": 2 },
                ]},
            ]},
            "build_info": { "type": "info", "help": "Build.", "unit": null, "samples": [
                { "labels": { "version": "1" }, "value": 1 },
            ]},
        },
    });
    let mut families = example_families();
    // The encoder keeps families in a hash map. Sorting is stable, so each histogram's samples keep their order.
    families[2].samples.sort_by_key(|sample| sample.labels.get("route").map(str::to_owned));
    assert_eq!(read_json(&families, 1_700_000_000_000), expected);
}

#[test]
fn series_get_all_but_the_buckets() {
    let families = example_families();
    let mut found: Vec<_> = samples(&families).map(|(name, labels, value)| (name, labels.to_string(), value)).collect();
    found.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let expected = [
        ("build_info", r#"version="1""#, 1.0),
        ("heat", "", f64::NEG_INFINITY),
        ("requests_total", r#"path="a\"} b{\\ \n""#, 3.0),
        ("took_seconds_count", r#"route="/a""#, 2.0),
        ("took_seconds_count", r#"route="/b""#, 2.0),
        ("took_seconds_sum", r#"route="/a""#, 0.25),
        ("took_seconds_sum", r#"route="/b""#, 8.5),
    ];
    assert_eq!(found, expected.map(|(name, labels, value)| (name.to_owned(), labels.to_owned(), value)));
}

#[test]
fn what_the_encoder_never_writes_is_refused_with_its_line() {
    let head = "# HELP a Help.\n# TYPE a counter\n";
    for (text, line, expected) in [
        ("", 1, "# EOF"),
        ("# HELP a Help.\n", 2, "# EOF"),
        ("# EOF\nx", 2, "the end"),
        ("a 1\n# EOF\n", 1, "the HELP of a metric"),
        ("# HELP a\n", 1, "a text behind the metric's name"),
        ("# HELP\n", 1, "a HELP, TYPE or UNIT"),
        ("# HELP a b\n# TYPE b counter\n", 2, "the HELP of this metric"),
        ("# HELP a b\n# TYPE a summary\n", 2, "a known type"),
        ("# HELP a b\n# WHAT a b\n", 2, "a HELP, TYPE or UNIT"),
        (&format!("{head}b_total 1\n"), 3, "a sample of the metric above"),
        (&format!("{head}a 1\n"), 3, "a sample of the metric above"),
        (&format!("{head}a_total\n"), 3, "a value"),
        (&format!("{head}a_total x\n"), 3, "a number"),
        (&format!("{head}a_total{{b=\"}}\"\n"), 3, "a closing brace"),
        (&format!("{head}a_total{{b}} 1\n"), 3, "a right set of labels"),
        (&format!("{head}a_total{{}}1\n"), 3, "a blank before the value"),
    ] {
        assert_eq!(families(text), Err(ParseError { line, expected }), "{text}");
    }
    let exemplar = families(&format!("{head}a_total{{b=\"x\"}} 7 # {{id=\"1\"}} 0.5 12.3\n# EOF\n")).unwrap();
    assert_eq!(exemplar[0].samples[0].value, 7.0);
}

#[test]
fn the_whole_registry_of_the_node_goes_all_ways() {
    let collected = Arc::new(Collected::default());
    let mut snapshot = Snapshot::default();
    let labels = |text| Labels::parse(text).unwrap();
    snapshot.set(&SLOTS_COMPUTED, &labels(r#"process="a""#), 12.0);
    snapshot.set(&NODE, &labels(r#"version="1",pid="2""#), 1.0);
    snapshot.set(&UPTIME, &Labels::default(), 0.5);
    snapshot.set(&HEALTHY, &labels(r#"check="x""#), 0.0);
    collected.publish(snapshot);
    let families = families(&openmetrics(&registry(&collected, &Arc::new(Processes::new(1)))).unwrap()).unwrap();
    let text = text_0_0_4(&families);
    for line in [
        "mainstay_slots_computed_total{process=\"a\"} 12",
        "mainstay_node_info{pid=\"2\",version=\"1\"} 1",
        "mainstay_uptime_seconds 0.5",
        "# TYPE mainstay_node_info gauge",
        "# TYPE mainstay_store_torn_bytes_total counter",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is missing in\n{text}");
    }
    let mut store = SeriesStore::new(1, 1_000);
    for (metric, labels, value) in samples(&families) {
        store.record(1, &metric, labels, value).unwrap();
    }
    assert!(store.metrics().any(|metric| metric == "mainstay_tick_lateness_seconds_count"));
    let json = read_json(&families, 1);
    assert_eq!(json["metrics"]["mainstay_slots_computed_total"]["samples"][0]["value"], 12);
}

proptest! {
    #[test]
    fn any_labels_and_values_come_through(text in "\\PC{0,8}[\\\\\"\n{}, =#]{0,8}", number: f64) {
        let labels = Labels::from_pairs([("check".to_owned(), text)]).unwrap();
        let mut snapshot = Snapshot::default();
        snapshot.set(&HEALTHY, &labels, number);
        let collected = Arc::new(Collected::default());
        collected.publish(snapshot);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(collected));
        let families = families(&openmetrics(&registry).unwrap()).unwrap();
        let found: Vec<_> = samples(&families).map(|(_, labels, value)| (labels.clone(), value)).collect();
        let expected = if number.is_finite() { vec![(labels.clone(), number)] } else { vec![] };
        prop_assert_eq!(&found, &expected);
        let value = text_0_0_4(&families).lines().last().and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        prop_assert_eq!(value, expected.first().map(|(_, value)| *value));
    }
}
