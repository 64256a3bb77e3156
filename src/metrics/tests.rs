use std::collections::BTreeSet;

use prometheus_client::encoding::text::encode;

use super::*;
use crate::stats::Labels;

fn labels(text: &str) -> Labels {
    Labels::parse(text).unwrap()
}

#[test]
fn the_catalogue_is_well_formed() {
    let mut names = BTreeSet::new();
    for metric in catalogue() {
        let Metric { name, kind, unit, help, labels } = *metric;
        assert!(names.insert(name), "{name} stands there twice");
        let fits = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        assert!(fits(name) && labels.iter().copied().all(fits), "{name}");
        let prefix = if name.starts_with("process_") { labels.is_empty() } else { name.starts_with("mainstay_") };
        assert!(prefix, "{name}");
        let ending = [Unit::Seconds, Unit::Bytes].into_iter().find(|unit| name.ends_with(&format!("_{}", unit.name())));
        assert_eq!(unit, ending, "{name}");
        for suffix in ["_total", "_info", "_count", "_sum", "_bucket"] {
            assert!(!name.ends_with(suffix), "{name}");
        }
        assert!(kind != Kind::Info || !labels.is_empty(), "{name}");
        assert!(help.ends_with('.') && !help.contains(['\n', '\\', '"', '|']) && help.trim() == help, "{name}: {help}");
    }
    assert!(names.len() > 50, "{}", names.len());
}

#[test]
fn what_grows_is_registered_as_the_catalogue_says() {
    let mut text = String::new();
    HISTOGRAMS.http_request_duration_seconds.get_or_create(&labels(r#"route="/x",status="200""#)).observe(1.0);
    encode(&mut text, &registry(&Arc::default(), &Arc::new(Processes::new(1)))).unwrap();
    let collected: BTreeSet<&str> = catalogue::collected().map(|metric| metric.name).collect();
    let mut growing = 0;
    for metric in catalogue().filter(|metric| !collected.contains(metric.name)) {
        let Metric { name, kind, help, .. } = metric;
        let unit = metric.unit.map(|unit| format!("# UNIT {name} {}\n", unit.name())).unwrap_or_default();
        let head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{unit}{name}");
        assert!(text.contains(&head), "{head} is missing in\n{text}");
        growing += 1;
    }
    assert_eq!(text.matches("# TYPE ").count(), growing, "{text}");
}

#[test]
fn a_snapshot_is_shown_until_the_next_one() {
    let collected = Arc::new(Collected::default());
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Arc::clone(&collected)));
    let shown = || {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    };
    assert_eq!(shown(), "# EOF\n");

    let mut snapshot = Snapshot::default();
    let a = labels(r#"process="a""#);
    for (metric, labels, value) in [
        (&catalogue::SLOTS_COMPUTED, labels(r#"process="b""#), 2.0),
        (&catalogue::SLOTS_COMPUTED, a.clone(), 3.0),
        (&catalogue::SLOTS_COMPUTED, a.clone(), 1.5),
        (&catalogue::QUEUE, a, f64::NAN),
        (&catalogue::PROCESS_CPU, Labels::default(), 0.25),
        (&catalogue::UPTIME, Labels::default(), 7.0),
        (&catalogue::NODE, labels("version=\"1\\\"2\",pid=\"3\""), 1.0),
    ] {
        snapshot.set(metric, &labels, value);
    }
    assert_eq!(snapshot.iter().count(), 5);
    collected.publish(snapshot);
    let expected = r##"# HELP mainstay_node The node: its version and the pid that it runs under.
# TYPE mainstay_node info
mainstay_node_info{pid="3",version="1\"2"} 1
# HELP mainstay_slots_computed Slots of a process that were computed.
# TYPE mainstay_slots_computed counter
mainstay_slots_computed_total{process="a"} 1.5
mainstay_slots_computed_total{process="b"} 2.0
# HELP mainstay_uptime_seconds How long the node has been up.
# TYPE mainstay_uptime_seconds gauge
# UNIT mainstay_uptime_seconds seconds
mainstay_uptime_seconds 7.0
# HELP process_cpu_seconds CPU time that the node has used, in user and system mode.
# TYPE process_cpu_seconds counter
# UNIT process_cpu_seconds seconds
process_cpu_seconds_total 0.25
# EOF
"##;
    assert_eq!(shown(), expected);
    collected.publish(Snapshot::default());
    assert_eq!(shown(), "# EOF\n");
}

#[test]
fn the_table_for_people_has_a_line_for_each_metric() {
    let table = markdown();
    assert_eq!(table.lines().count(), 2 + catalogue().count());
    for line in [
        "| `mainstay_slots_failed_total` | counter | `process` | Slots of a process whose outcome is an error. |",
        "| `process_open_fds` | gauge |  | File descriptors that the node has open. |",
    ] {
        assert!(table.lines().any(|own| own == line), "{table}");
    }
}

/// Names of metrics in a text, each as the catalogue knows it.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("mainstay_") || word.starts_with("process_"));
    let histogram = |name: &str| {
        let stems = ["_bucket", "_count", "_sum"].into_iter().filter_map(|suffix| name.strip_suffix(suffix));
        let is_one = |stem: &&str| catalogue().any(|metric| metric.kind == Kind::Histogram && metric.name == *stem);
        stems.into_iter().find(is_one).unwrap_or(name).to_owned()
    };
    names.map(histogram).collect()
}

fn known_names() -> BTreeSet<String> {
    catalogue().map(|metric| metric.shown().into_owned()).collect()
}

#[test]
fn the_documented_table_is_the_catalogue() {
    let page = include_str!("../../config/metrics.md");
    let table = markdown();
    assert!(page.ends_with(&format!("\n\n{table}")), "config/metrics.md should end with\n{table}");
    let unknown: Vec<_> = names_in(page.trim_end_matches(&table)).difference(&known_names()).cloned().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn dashboard_and_alert_rules_use_only_what_there_is() {
    let dashboard = include_str!("../../config/grafana-dashboard.json");
    let parsed: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let panels = parsed["panels"].as_array().unwrap();
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let queries: Vec<String> = queries.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    assert!(queries.len() > 20, "{}", queries.len());
    for text in queries.iter().map(String::as_str).chain([include_str!("../../config/alerts.yaml")]) {
        let names = names_in(text);
        assert!(!names.is_empty(), "{text} asks for nothing");
        let unknown: Vec<_> = names.difference(&known_names()).cloned().collect();
        assert!(unknown.is_empty(), "{unknown:?} in {text}");
    }
    for (panel, key) in panels.iter().flat_map(|panel| ["id", "title", "type", "gridPos"].map(|key| (panel, key))) {
        assert!(!panel[key].is_null(), "{key} is missing in {panel}");
    }
}
