//! Rule files, good and bad.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::alert::{Condition, LOG, OnMissing, Rule};
use crate::stats::{Labels, Selector, Stat};

/// A file with one rule of this expression.
fn with(expression: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expression}\n")
}

/// The rule of a file with one.
fn only(text: &str) -> Rule {
    let rules = parse(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let [rule] = &rules[..] else { panic!("{rules:?}") };
    rule.clone()
}

fn lines(text: &str) -> Vec<String> {
    parse(text).err().into_iter().flatten().map(|problem| problem.to_string()).collect()
}

#[test]
fn everything_of_the_subset() {
    let text = r#"
# A comment.
groups:
  - name: first
    rules:
      - alert: Busy
        expr: |
          rate(cpu_seconds_total{job="a", host='b',}[1h30m])
            > 0.5  # of a core
        for: 10m
        keep_firing_for: 1h
        labels:
          severity: critical
          team: "42"
        annotations:
          summary: "{{ $labels.host }} uses {{ $value }}"
          text: >-
            folded
            text
      - { alert: Idle, expr: up == 0 }
  - name: empty
    rules: []
  - name: none
    rules:
"#;
    let rules = parse(text).unwrap();
    let [busy, idle] = &rules[..] else { panic!("{rules:?}") };
    assert_eq!(busy.annotations[1].text.to_string(), "folded text");
    let expected = Rule {
        name: "Busy".to_owned(),
        metric: "cpu_seconds_total".to_owned(),
        labels: Selector::parse(r#"job="a",host="b""#).unwrap(),
        stat: Stat::Rate,
        range: Duration::from_secs(5_400),
        condition: Condition::parse("> 0.5").unwrap(),
        hold: Duration::from_secs(600),
        keep_firing_for: Duration::from_secs(3_600),
        cooldown: Duration::from_secs(60),
        severity: "critical".to_owned(),
        own_labels: Labels::parse(r#"team="42""#).unwrap(),
        annotations: busy.annotations.clone(),
        receivers: vec![LOG.to_owned()],
        on_missing: OnMissing::Resolve,
    };
    assert_eq!(*busy, expected);
    assert_eq!((idle.name.as_str(), idle.stat, idle.range), ("Idle", Stat::Last, Rule::DEFAULT_RANGE));
    assert_eq!((idle.severity.as_str(), idle.hold), ("warning", Duration::ZERO));
}

#[test]
fn files_without_rules_are_fine() {
    for text in
        ["", "\u{feff}", "# nothing\n", "---\n", "~", "groups:\n", "groups: []", "groups: [{name: a}]", "---\n...\n"]
    {
        assert_eq!(lines(text), Vec::<String>::new(), "{text:?}");
    }
}

#[test]
fn expressions_of_the_subset() {
    for (expression, metric, labels, stat, range, when) in [
        ("m>1", "m", "", Stat::Last, 300, "> 1"),
        ("a:b_c:d >= -1.5e-3", "a:b_c:d", "", Stat::Last, 300, ">= -0.0015"),
        ("m{} != +2", "m", "", Stat::Last, 300, "!= 2"),
        ("'5 < m'", "m", "", Stat::Last, 300, "> 5"),
        ("'-5 >= (m)'", "m", "", Stat::Last, 300, "<= -5"),
        ("((m) == 1)", "m", "", Stat::Last, 300, "== 1"),
        ("(((rate(m[5m]))) <= 1)", "m", "", Stat::Rate, 300, "<= 1"),
        ("'m{a=\"}>\\\"\", b=`\\`} < 1'", "m", r#"a="}>\"",b="\\""#, Stat::Last, 300, "< 1"),
        ("increase(m[1m]) > 1", "m", "", Stat::Increase, 60, "> 1"),
        ("delta(m[1m]) > 1", "m", "", Stat::Delta, 60, "> 1"),
        ("deriv(m[1m]) > 1", "m", "", Stat::Slope, 60, "> 1"),
        ("avg_over_time(m[1m]) > 1", "m", "", Stat::Mean, 60, "> 1"),
        ("min_over_time(m[1m]) > 1", "m", "", Stat::Min, 60, "> 1"),
        ("max_over_time(m[1m]) > 1", "m", "", Stat::Max, 60, "> 1"),
        ("sum_over_time(m[1m]) > 1", "m", "", Stat::Sum, 60, "> 1"),
        ("count_over_time(m[1m]) > 1", "m", "", Stat::Count, 60, "> 1"),
        ("stddev_over_time(m[1m]) > 1", "m", "", Stat::StdDev, 60, "> 1"),
        ("last_over_time(m[1m]) > 1", "m", "", Stat::Last, 60, "> 1"),
        ("quantile_over_time(0.5, m[1m]) > 1", "m", "", Stat::P50, 60, "> 1"),
        ("quantile_over_time(.95, m[1m]) > 1", "m", "", Stat::P95, 60, "> 1"),
        ("quantile_over_time(0.99, m[1m]) > 1", "m", "", Stat::P99, 60, "> 1"),
        // Names of functions, aggregations and operators are names of metrics where they stand as such.
        ("rate > 1", "rate", "", Stat::Last, 300, "> 1"),
        ("sum{a=\"x\"} > 1", "sum", "a=\"x\"", Stat::Last, 300, "> 1"),
    ] {
        let rule = only(&with(expression));
        let expected = (
            metric,
            Selector::parse(labels).unwrap(),
            stat,
            Duration::from_secs(range),
            Condition::parse(when).unwrap(),
        );
        let found = (rule.metric.as_str(), rule.labels, rule.stat, rule.range, rule.condition);
        assert_eq!(found, expected, "{expression}");
    }
}

#[test]
fn expressions_outside_the_subset_are_refused_by_name_and_place() {
    for (expression, column, what) in [
        ("sum by (job) (m) > 1", 1, "the aggregation sum"),
        ("sum(m) > 1", 1, "the aggregation sum"),
        ("1 < topk(3, m)", 5, "the aggregation topk"),
        ("irate(m[5m]) > 1", 1, "the function irate"),
        ("absent(m) > 1", 1, "the function absent"),
        ("histogram_quantile(0.9, rate(m[5m])) > 1", 1, "the function histogram_quantile"),
        ("avg_over_time(rate(m[5m])[1h:]) > 1", 15, "rate(…) within avg_over_time(…)"),
        ("max_over_time(m[1h:5m]) > 1", 19, "a subquery ([…:…])"),
        ("rate(m) > 1", 7, "rate(…) without a range such as [5m]"),
        ("rate(m[5]) > 1", 8, "the range [5]"),
        ("rate(m[0s]) > 1", 8, "the range [0s]"),
        ("m[5m] > 1", 2, "a range without a function"),
        ("m", 2, "no comparison"),
        ("m >", 4, "a comparison with the end instead of a number"),
        ("m > n", 5, "a comparison with n instead of a number"),
        ("m > 1 and n > 1", 7, "the operator and"),
        ("(m > 1) unless n", 9, "the operator unless"),
        ("m > 1 > 2", 7, "a second comparison (>)"),
        ("m / n > 1", 3, "arithmetic (/)"),
        ("m > 1 * 60", 7, "arithmetic (*)"),
        ("m > bool 1", 5, "the modifier bool"),
        ("m offset 5m > 1", 3, "the modifier offset"),
        ("rate(m[5m] offset 1h) > 1", 12, "the modifier offset"),
        ("m @ 1 > 1", 3, "the modifier @"),
        ("'m{a!=\"x\"} > 1'", 4, "the matcher !=; labels are matched by = alone"),
        ("'m{a=~\"x\"} > 1'", 4, "the matcher =~; labels are matched by = alone"),
        ("'{__name__=\"m\"} > 1'", 1, "a selector without the name of a metric"),
        ("'m{__name__=\"m\"} > 1'", 1, "labels that can be none"),
        ("-m > 1", 1, "a sign in front of a value"),
        ("1 > 2", 5, "a comparison of two numbers"),
        ("m > 0x1F", 5, "the number 0x1F"),
        ("m > 5m", 5, "the number 5m"),
        ("m > Inf", 5, "a comparison with Inf instead of a number"),
        ("m > 1e999", 5, "the number 1e999"),
        ("quantile_over_time(0.9, m[5m]) > 1", 20, "the quantile 0.9; known are 0.5, 0.95 and 0.99"),
        ("m € 1", 3, "the character '€'"),
        ("m > 1 n", 7, "n behind the comparison"),
        ("'m{a=\"x} > 1'", 5, "a text without its closing quote"),
        ("'m{a=\"\\q\"} > 1'", 5, "the escape \\q in a text"),
        ("(m > 1", 7, "the end where ) belongs"),
    ] {
        let found = lines(&with(expression));
        let quote = usize::from(expression.starts_with('\''));
        let expected = format!("5:{}: groups[0].rules[0].expr: found {what}", 10 + column + quote);
        assert_eq!(found.len(), 1, "{expression}: {found:?}");
        assert!(found[0].starts_with(&expected), "{expression}: {} is not {expected}", found[0]);
        assert!(found[0].contains(", which is outside the subset, expected a metric"), "{}", found[0]);
    }
}

#[test]
fn places_within_texts_that_stand_otherwise() {
    for (expression, expected) in [
        ("|\n      m >\n        n\n", "7:9"),
        ("|\n\n      m > n\n", "7:7"),
        (">\n      m >\n      n\n", "6:7"),
        ("m >\n      n\n", "5:11"),
        ("\"m >\\x20n\"", "5:11"),
        ("\"ä > 1\"", "5:12"),
        ("ä > 1", "5:11"),
    ] {
        let found = lines(&with(expression));
        assert!(
            found[0].starts_with(&format!("{expected}: groups[0].rules[0].expr: found ")),
            "{expression:?}: {found:?}"
        );
    }
}

#[test]
fn what_is_wrong_around_an_expression() {
    let rule = |body: &str| format!("groups:\n- name: g\n  rules:\n  - {}\n", body.replace('\n', "\n    "));
    for (text, expected) in [
        (
            rule("record: a:b\nexpr: sum(m)"),
            vec![
                "4:5: groups[0].rules[0].record: found record, a recording rule, which is outside the subset, expected alert",
            ],
        ),
        (
            rule("alert: A"),
            vec![
                "4:5: groups[0].rules[0].expr: found nothing, expected a metric with labels, or a function of it over a range, compared with a number, such as rate(requests_total{job=\"a\"}[5m]) > 3",
            ],
        ),
        (rule("expr: m > 1"), vec!["4:5: groups[0].rules[0].alert: found nothing, expected the name of the alert"]),
        (
            rule("alert: A\nexpr: m > 1\nfor: 5\nfro: 5m"),
            vec![
                "6:10: groups[0].rules[0].for: found \"5\", expected a duration such as 5m or 1h30m, with the units y, w, d, h, m, s, ms in this order, of at most 100 years",
                "7:5: groups[0].rules[0].fro: found an unknown key, expected one of alert, expr, for, keep_firing_for, labels, annotations",
            ],
        ),
        (
            rule("alert: A\nexpr: m > 1\nlabels: { a: '{{ $value }}', severity: '', 'b c': x }"),
            vec![
                "6:18: groups[0].rules[0].labels.a: found a placeholder in a label, which is outside the subset, expected a text without {{",
                "6:44: groups[0].rules[0].labels.severity: found \"\", expected a severity such as warning",
                "6:13: groups[0].rules[0].labels: found labels that can be none (\"b c\" is no label name: write letters, digits and underscores, with no digit first), expected names and texts",
            ],
        ),
        (
            rule("alert: A\nexpr: m > 1\nannotations: { a: '{{ humanize $value }}' }"),
            vec![
                "6:23: groups[0].rules[0].annotations.a: found \"{{ humanize $value }}\" (the placeholder {{ humanize $value }} is outside the subset: known are {{ $value }} and {{ $labels.name }}), expected a text with known placeholders",
            ],
        ),
        ("groups: 1".to_owned(), vec!["1:9: groups: found a text, expected a list"]),
        ("rules: []".to_owned(), vec!["1:1: rules: found an unknown key, expected groups"]),
        ("- a".to_owned(), vec!["1:1: found a list, expected a table"]),
        (
            "groups: [{ rules: [] }]".to_owned(),
            vec!["1:10: groups[0].name: found nothing, expected the name of the group"],
        ),
        (
            "groups: [{ name: g, interval: 30s, x: 1 }]".to_owned(),
            vec![
                "1:21: groups[0].interval: found interval, which is outside the subset, expected name and rules; rules are looked at each metrics.interval",
                "1:36: groups[0].x: found an unknown key, expected one of name, rules",
            ],
        ),
        (
            "groups: [1, [], {name: [a]}]".to_owned(),
            vec![
                "1:10: groups[0]: found a text, expected a table",
                "1:13: groups[1]: found a list, expected a table",
                "1:24: groups[2].name: found a list, expected the name of the group",
            ],
        ),
    ] {
        assert_eq!(lines(&text), expected, "{text}");
    }
}

#[test]
fn yaml_that_is_refused() {
    let deep = format!("groups: {}{}", "[".repeat(40), "]".repeat(40));
    let long = "#".repeat((1 << 20) + 1);
    let many = format!("groups: [{}]", "a,".repeat(100_001));
    for (text, expected) in [
        ("groups: [", "1:10: found a syntax error ("),
        ("a: b: c", "1:5: found a syntax error ("),
        ("a: &x [1]\nb: *x", "1:4: found an anchor (&…), expected the value without it"),
        ("a: !!str x", "1:4: found a tag (!…), expected the value without it"),
        ("a: 1\n---\nb: 1", "2:1: found a second document, expected one document a file"),
        ("a: 1\na: 2", "2:1: found the key \"a\" again, expected each key once"),
        ("? [a]\n: b", "1:3: found a list or a table as key, expected a text"),
        (&deep, "1:25: found more than 16 levels of lists and tables, expected fewer"),
        (&long, "1:1: found a file longer than 1MiB, expected a shorter one"),
        (&many, "1:"),
    ] {
        let found = lines(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{} is not {expected}", found[0]);
    }
    assert!(lines(&many)[0].ends_with("found more than 100000 values, expected fewer"));
}

#[test]
fn problems_are_bounded() {
    let keys: String = (0..2_000).map(|number| format!("key{number}: 1\n")).collect();
    assert_eq!(lines(&keys).len(), 1_000);
}

#[test]
fn the_shipped_rules_load() {
    let rules = parse(include_str!("../../../config/alerts.yaml")).unwrap();
    assert!(!rules.is_empty() && rules.iter().all(|rule| !rule.annotations.is_empty()));
}

proptest! {
    #[test]
    fn no_expression_is_too_odd(text in "((sum|rate|quantile_over_time|m|and|by|bool|offset|0\\.5|5m|1|\"x\"|a=|[-+*/(){}\\[\\],:<>=!~@#'\"` ]){0,20})|\\PC{0,40}") {
        let _ = super::expression::parse(&text);
    }

    #[test]
    fn no_file_is_too_odd(text in "((groups:|rules:|- |name: |alert: |expr: |  |\n|labels:|for: 5m|[&*!|>?%@`'\"{}\\[\\],:#~-]|m > 1|\t|a){0,40})|\\PC{0,60}|[\\PC\n]{0,60}") {
        for problem in parse(&text).err().into_iter().flatten() {
            prop_assert!(problem.at.line >= 1 && problem.at.column >= 1);
            prop_assert_eq!(problem.to_string().lines().count(), 1, "{}", problem);
        }
    }

    #[test]
    fn the_shipped_rules_damaged(at in any::<prop::sample::Index>(), cut in 0..40usize, with in "\\PC{0,8}|[\n\t {}&*-]{0,8}") {
        let mut text: Vec<char> = include_str!("../../../config/alerts.yaml").chars().collect();
        let start = at.index(text.len());
        let end = (start + cut).min(text.len());
        text.splice(start..end, with.chars());
        let _ = parse(&text.into_iter().collect::<String>());
    }
}
