//! `[metrics]`, `[[anomaly]]`, `[[health.check]]`, `[[receiver]]`, `[[alert]]` and `rule_files`.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::super::*;
use crate::alert::{Condition, LOG, OnMissing, Rule};
use crate::stats::{Selector, Stat};

const RULES: &str =
    "groups:\n- name: g\n  rules:\n  - alert: FromFile\n    expr: m > 1\n    labels: { severity: critical }\n";

fn file(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("/etc/good.yaml") => Ok(RULES.into()),
        Some("/etc/bad.yaml") => {
            Ok("groups:\n- name: g\n  rules:\n  - record: x\n  - alert: A\n    expr: sum(m) > 1\n".into())
        }
        Some("/etc/bytes.yaml") => Ok(vec![0xff]),
        Some("/etc/many.yaml") => {
            let rules: String = (0..6_000).map(|number| format!("  - {{ alert: A{number}, expr: m > 1 }}\n")).collect();
            Ok(format!("groups:\n- name: g\n  rules:\n{rules}").into())
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn read(text: &str) -> Result<Config, Vec<String>> {
    let config = parse(text, &Origin::File("/etc/n.toml".into()), &file);
    config.map_err(|error| error.to_string().lines().map(|line| line.replace("/etc/n.toml:", "")).collect())
}

fn assert_all(table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        assert_eq!(read(text).err().unwrap_or_default(), *expected, "\n{text}");
    }
}

#[test]
fn metrics_and_anomalies() {
    let text = r#"
        [metrics]
        interval = "1s"
        series_capacity = 10
        [[metrics.group]]
        name = "db"
        match_name = "^postgres$"
        match_cmdline = 'ä+ \d'
        [[anomaly]]
        name = "a"
        metric = "m"
        labels = 'b="y",a="x"'
        threshold = 2
        [[anomaly]]
        name = "b"
        metric = "m:n"
        labels = { a = "x", b = "y" }
        window = 5
    "#;
    let config = read(text).unwrap();
    let [group] = &config.metrics.groups[..] else { panic!() };
    let is_in = |pattern: &Option<Pattern>, text: &str| pattern.as_ref().unwrap().is_in(text);
    assert!(is_in(&group.match_name, "postgres") && !is_in(&group.match_name, "postgres2"));
    assert!(is_in(&group.match_cmdline, "x ää 7") && group.match_exe.is_none());
    let expected = MetricsConfig {
        interval: Duration::from_secs(1),
        series_capacity: 10,
        groups: vec![group.clone()],
        ..Default::default()
    };
    assert_eq!(config.metrics, expected);
    let labels = Selector::parse(r#"a="x",b="y""#).unwrap();
    let anomaly = |name: &str, metric: &str, window, threshold| AnomalyConfig {
        name: name.to_owned(),
        metric: metric.to_owned(),
        labels: labels.clone(),
        window,
        threshold,
    };
    assert_eq!(config.anomalies, [anomaly("a", "m", 20, 2.0), anomaly("b", "m:n", 5, 3.0)]);
}

#[test]
fn what_metrics_and_anomalies_cannot_be() {
    let huge = format!("[[metrics.group]]\nname = 'a'\nmatch_exe = '{}'", "a".repeat(5_000));
    let shown = "a".repeat(79);
    let huge_problem =
        format!("3:13: metrics.group[0].match_exe: found \"{shown}…, expected a regular expression of 1 to 4096 bytes");
    assert_all(&[
        (
            "[metrics]\ninterval = '1ms'\nseries_capacity = 1\nmax_series = 0\nlag_threshold = '0s'",
            &[
                "2:12: metrics.interval: found \"1ms\", expected a duration from 100ms up, such as \"30s\"",
                "3:19: metrics.series_capacity: found 1, expected a whole number from 2 to 1000000",
                "4:14: metrics.max_series: found 0, expected a whole number from 1 to 1000000",
                "5:17: metrics.lag_threshold: found \"0s\", expected a duration from 1ms up, such as \"30s\"",
            ],
        ),
        (
            "[[metrics.group]]\nname = 'a'\n[[metrics.group]]\nname = 'a'\nmatch_name = '(b'\nmatch_exe = ''\nmatch_cmdline = 'x{9999}{9999}'",
            &[
                "1:1: metrics.group[0].match_name: found nothing, expected at least one of match_name, match_exe and match_cmdline",
                "4:8: metrics.group[1].name: found the name of metrics.group[0], expected one of its own",
                "5:14: metrics.group[1].match_name: found \"(b\" (unclosed group), expected a regular expression of 1 to 4096 bytes",
                "6:13: metrics.group[1].match_exe: found \"\", expected a regular expression of 1 to 4096 bytes",
                "7:17: metrics.group[1].match_cmdline: found \"x{9999}{9999}\" (compiled it takes more than 1048576 bytes), expected a regular expression of 1 to 4096 bytes",
            ],
        ),
        (&huge, &[&huge_problem]),
        (
            "[[anomaly]]\nname = 'a'\nmetric = '9x'\nlabels = 'a=1'\nwindow = 1\nthreshold = 0\n[[anomaly]]\nname = 'a'\nlabels = { '9' = 'x' }\nthreshold = nan",
            &[
                "3:10: anomaly[0].metric: found \"9x\", expected the name of a metric, such as \"process_open_fds\"",
                "4:10: anomaly[0].labels: found \"a=1\" (a quote is missing at byte 2 of the labels: write name=\"value\",name=\"value\"), expected labels such as 'a=\"x\",b=\"y\"' or { a = \"x\", b = \"y\" }",
                "5:10: anomaly[0].window: found 1, expected a whole number from 2 to 100000",
                "6:13: anomaly[0].threshold: found 0, expected a number above 0",
                "7:1: anomaly[1].metric: found nothing, expected the name of a metric, such as \"process_open_fds\"",
                "8:8: anomaly[1].name: found the name of anomaly[0], expected one of its own",
                "9:10: anomaly[1].labels: found a table that can be no labels (\"9\" is no label name: write letters, digits and underscores, with no digit first), expected labels such as 'a=\"x\",b=\"y\"' or { a = \"x\", b = \"y\" }",
                "10:13: anomaly[1].threshold: found nan, expected a number above 0",
            ],
        ),
    ]);
}

#[test]
fn health_checks() {
    let text = r#"
        [[health.check]]
        name = "w"
        kind = "worker"
        target = "counter"
        on_failure = "restart"
        critical = true
        [[health.check]]
        name = "h"
        kind = "http"
        target = "http://a/x?y=1"
        initial_delay = "10s"
        [[health.check]]
        name = "t"
        kind = "tcp"
        target = "[::1]:80"
        [[health.check]]
        name = "p"
        kind = "host_process"
        target = "nginx*"
    "#;
    let checks = read(text).unwrap().health.checks;
    let targets: Vec<_> = checks.iter().map(|check| (check.name.as_str(), check.target.kind())).collect();
    assert_eq!(targets, [("w", "worker"), ("h", "http"), ("t", "tcp"), ("p", "host_process")]);
    let first = CheckConfig {
        name: "w".to_owned(),
        target: CheckTarget::Worker(crate::ids::ProcessId::parse("counter").unwrap()),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(3),
        failure_threshold: 3,
        success_threshold: 1,
        initial_delay: Duration::ZERO,
        critical: true,
        on_failure: OnFailure::Restart,
    };
    assert_eq!(checks[0], first);
    let second = CheckConfig {
        name: "h".to_owned(),
        target: CheckTarget::Http("http://a/x?y=1".to_owned()),
        initial_delay: Duration::from_secs(10),
        critical: false,
        on_failure: OnFailure::Log,
        ..first
    };
    assert_eq!(checks[1], second);
}

#[test]
fn what_health_checks_cannot_be() {
    assert_all(&[
        (
            "[[health.check]]\nname = 'a'\nkind = 'ping'\n[[health.check]]\nname = 'a'\nkind = 'wroker'\ntarget = 'x'\non_failure = 'reboot'",
            &[
                "1:1: health.check[0].target: found nothing, expected a text",
                "3:8: health.check[0].kind: found \"ping\", expected \"worker\", \"http\", \"tcp\" or \"host_process\"",
                "5:8: health.check[1].name: found the name of health.check[0], expected one of its own",
                "6:8: health.check[1].kind: found \"wroker\", expected \"worker\", \"http\", \"tcp\" or \"host_process\"; did you mean \"worker\"?",
                "8:14: health.check[1].on_failure: found \"reboot\", expected \"log\" or \"restart\"",
            ],
        ),
        (
            "[[health.check]]\nname = 'a'\nkind = 'tcp'\ntarget = 'host'\non_failure = 'restart'\n[[health.check]]\nname = 'b'\nkind = 'tcp'\ntarget = '::1:80'\n[[health.check]]\nname = 'c'\nkind = 'http'\ntarget = 'a.example'\n[[health.check]]\nname = 'd'\nkind = 'tcp'\ntarget = 'a:0'",
            &[
                "4:10: health.check[0].target: found \"host\", expected a host and a port, such as \"db.example:5432\" or \"[::1]:5432\"",
                "5:14: health.check[0].on_failure: found \"restart\" beside kind \"tcp\", expected \"log\", or kind \"worker\"",
                "9:10: health.check[1].target: found \"::1:80\", expected a host and a port, such as \"db.example:5432\" or \"[::1]:5432\"",
                "13:10: health.check[2].target: found \"a.example\", expected an address such as \"https://host.example/path\", of at most 2048 bytes",
                "17:10: health.check[3].target: found \"a:0\", expected a host and a port, such as \"db.example:5432\" or \"[::1]:5432\"",
            ],
        ),
    ]);
}

#[test]
fn alerts_and_receivers() {
    let text = r#"
        rule_files = ["good.yaml"]
        [[alert]]
        name = "A"
        metric = "m"
        when = ">= 0.9"
        [[alert]]
        name = "B"
        metric = "m"
        labels = 'process="p"'
        stat = "p95"
        range = "1m"
        when = "!= 1"
        for = "2m"
        keep_firing_for = "3m"
        cooldown = "4m"
        severity = "critical"
        annotations = { summary = "{{ $value }}", z = "2", a = "1" }
        receivers = ["hook", "log", "am"]
        on_missing = "keep"
        [[receiver]]
        name = "hook"
        kind = "webhook"
        url = "https://user:secret@host/x?key=secret"
        [[receiver]]
        name = "am"
        kind = "alertmanager"
        url = "http://127.0.0.1:9093"
        [[receiver]]
        name = "p"
        kind = "process"
        process = "counter"
        [[receiver]]
        name = "log"
        kind = "log"
    "#;
    let config = read(text).unwrap();
    assert!(!format!("{config:?}").contains("secret"));
    let kinds: Vec<_> = config.alerts.receivers.iter().map(|one| (one.name.as_str(), one.kind.as_str())).collect();
    assert_eq!(kinds, [("hook", "webhook"), ("am", "alertmanager"), ("p", "process"), ("log", "log")]);
    let [first, second, third] = &config.alerts.rules[..] else { panic!() };
    let expected = Rule {
        name: "A".to_owned(),
        metric: "m".to_owned(),
        labels: Selector::default(),
        stat: Stat::Last,
        range: Duration::from_secs(300),
        condition: Condition::parse(">= 0.9").unwrap(),
        hold: Duration::ZERO,
        keep_firing_for: Duration::ZERO,
        cooldown: Duration::from_secs(60),
        severity: "warning".to_owned(),
        own_labels: crate::stats::Labels::default(),
        annotations: Vec::new(),
        receivers: vec![LOG.to_owned()],
        on_missing: OnMissing::Resolve,
    };
    assert_eq!(*first, expected);
    let annotations: Vec<_> = second.annotations.iter().map(|one| (one.name.as_str(), one.text.to_string())).collect();
    assert_eq!(annotations, [("summary", "{{ $value }}".to_owned()), ("z", "2".to_owned()), ("a", "1".to_owned())]);
    let expected = Rule {
        name: "B".to_owned(),
        labels: Selector::parse("process=\"p\"").unwrap(),
        stat: Stat::P95,
        range: Duration::from_secs(60),
        condition: Condition::parse("!= 1").unwrap(),
        hold: Duration::from_secs(120),
        keep_firing_for: Duration::from_secs(180),
        cooldown: Duration::from_secs(240),
        severity: "critical".to_owned(),
        annotations: second.annotations.clone(),
        receivers: ["hook", "log", "am"].map(str::to_owned).to_vec(),
        on_missing: OnMissing::Keep,
        ..expected
    };
    assert_eq!(*second, expected);
    assert_eq!((third.name.as_str(), third.severity.as_str()), ("FromFile", "critical"));
    assert_eq!(third.receivers, ["log", "hook", "am", "p"]);
}

#[test]
fn what_alerts_cannot_be() {
    assert_all(&[
        (
            "[[alert]]\nname = 'a'\nmetric = 'm'\nwhen = '90%'\nstat = 'maen'\ncooldown = '0s'\nreceivers = ['hok', 'log', 'x']\non_missing = 'drop'\nannotations = { a = '{{ x }}' }\n[[receiver]]\nname = 'hook'\nkind = 'log'",
            &[
                "4:8: alert[0].when: found \"90%\" (it does not begin with >, >=, <, <=, == or !=), expected a comparison with a number, such as \"> 0.9\"",
                "5:8: alert[0].stat: found \"maen\", expected one of last, count, sum, mean, median, min, max, p50, p95, p99, stddev, slope, rate, delta, increase; did you mean \"mean\"?",
                "6:12: alert[0].cooldown: found \"0s\", expected a duration from 1ms up, such as \"30s\"",
                "7:14: alert[0].receivers[0]: found \"hok\", expected \"log\" or the name of a [[receiver]]; did you mean \"hook\"?",
                "7:28: alert[0].receivers[2]: found \"x\", expected \"log\" or the name of a [[receiver]]",
                "8:14: alert[0].on_missing: found \"drop\", expected \"resolve\" or \"keep\"",
                "9:21: alert[0].annotations.a: found \"{{ x }}\" (the placeholder {{ x }} is outside the subset: known are {{ $value }} and {{ $labels.name }}), expected a text with {{ $value }} and {{ $labels.name }} as its only placeholders",
            ],
        ),
        (
            "[[alert]]\nname = 'a'\n[[alert]]\nname = 'a'\nmetric = 'm'\nwhen = '> 1'",
            &[
                "1:1: alert[0].metric: found nothing, expected the name of a metric, such as \"process_open_fds\"",
                "1:1: alert[0].when: found nothing, expected a comparison with a number, such as \"> 0.9\"",
                "4:8: alert[1].name: found the name of alert[0], expected one of its own",
            ],
        ),
    ]);
    let many: String = (0..33).map(|number| format!("a{number} = 'x'\n")).collect();
    let text = format!("[[alert]]\nname = 'a'\nmetric = 'm'\nwhen = '> 1'\n[alert.annotations]\n{many}");
    assert_eq!(read(&text).unwrap_err(), ["5:1: alert[0].annotations: found 33 annotations, expected at most 32"]);
}

#[test]
fn what_receivers_cannot_be() {
    assert_all(&[
        (
            "[[receiver]]\nname = 'a'\nkind = 'webhok'\n[[receiver]]\nname = 'a'\nkind = 'webhook'\n[[receiver]]\nname = 'b'\nkind = 'process'\nurl = 'http://x'\n[[receiver]]\nname = 'c'\nkind = 'log'\nprocess = 'p'",
            &[
                "3:8: receiver[0].kind: found \"webhok\", expected \"log\", \"webhook\", \"alertmanager\" or \"process\"; did you mean \"webhook\"?",
                "4:1: receiver[1].url: found nothing, expected an address such as \"https://host.example/path\", of at most 2048 bytes",
                "5:8: receiver[1].name: found the name of receiver[0], expected one of its own",
                "7:1: receiver[2].process: found nothing, expected an id of 1 to 64 characters of A-Z, a-z, 0-9, _ and -",
                "10:7: receiver[2].url: found one beside kind \"process\", expected one beside kind \"webhook\" or \"alertmanager\" only",
                "14:11: receiver[3].process: found one beside kind \"log\", expected one beside kind \"process\" only",
            ],
        ),
        (
            "[[receiver]]\nname = 'log'\nkind = 'webhook'\nurl = 'ftp://secret'\n[[receiver]]\nname = 'am'\nkind = 'alertmanager'\nurl = 'http://x/?secret'",
            &[
                "2:8: receiver[0].name: found \"log\", which is always there and of kind \"log\", expected another name",
                "4:7: receiver[0].url: found a text (not shown), expected an address such as \"https://host.example/path\", of at most 2048 bytes",
                "8:7: receiver[1].url: found a text (not shown), expected an address without query, such as \"http://alertmanager.example:9093\", of at most 2048 bytes",
            ],
        ),
    ]);
}

#[test]
fn what_is_wrong_in_rule_files_has_its_place_there() {
    assert_all(&[
        (
            "rule_files = ['bad.yaml', 'absent.yaml', 'good.yaml', '', 'bytes.yaml', 7]\n[[alert]]\nname = ''",
            &[
                "1:27: rule_files[1]: found \"absent.yaml\" (/etc/absent.yaml: entity not found), expected the path of a rule file that can be read",
                "1:55: rule_files[3]: found \"\", expected the path of a rule file that can be read",
                "1:59: rule_files[4]: found \"bytes.yaml\" (/etc/bytes.yaml: it is no UTF-8), expected the path of a rule file that can be read",
                "1:73: rule_files[5]: found 7, expected the path of a rule file that can be read",
                "2:1: alert[0].metric: found nothing, expected the name of a metric, such as \"process_open_fds\"",
                "2:1: alert[0].when: found nothing, expected a comparison with a number, such as \"> 0.9\"",
                "3:8: alert[0].name: found \"\", expected a name of 1 to 255 bytes without control characters",
                "/etc/bad.yaml:4:5: groups[0].rules[0].record: found record, a recording rule, which is outside the subset, expected alert",
                "/etc/bad.yaml:6:11: groups[0].rules[1].expr: found the aggregation sum, which is outside the subset, expected a metric with labels, or a function of it over a range, compared with a number, such as rate(requests_total{job=\"a\"}[5m]) > 3",
            ],
        ),
        (
            "rule_files = ['many.yaml', 'many.yaml']",
            &["1:14: rule_files: found 12000 rules, expected at most 10000 in all"],
        ),
    ]);
    let files = format!("rule_files = [{}]", "'good.yaml',".repeat(101));
    assert_eq!(read(&files).unwrap_err(), ["1:14: rule_files: found 101 files, expected at most 100"]);
}
