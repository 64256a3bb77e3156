//! `groups`, `rules`, and what a rule holds.

use std::time::Duration;

use super::duration;
use super::expression::{self, Expression};
use super::problem::{At, RuleProblem};
use super::yaml::{self, Entry, Node, Value, brief};
use crate::alert::rule::{LOG, OnMissing, Rule, is_name};
use crate::alert::template::{Annotation, Template};
use crate::stats::Labels;

/// The most rules of one file.
pub const MOST_RULES: usize = 10_000;

/// The most problems that are listed of one file.
const MOST_PROBLEMS: usize = 1000;

/// The label that becomes the severity.
const SEVERITY: &str = "severity";

/// The rules in `text`, in the order of the file. They go to the receiver [`LOG`].
///
/// Of a file: `groups` with `name` and `rules`. Of a rule: `alert`, `expr`, `for`, `keep_firing_for`, `labels` (of which
/// `severity` becomes the rule's) and `annotations`. The expression is a metric with labels that are matched by `=`, or
/// `rate`, `increase`, `delta`, `deriv`, one of `avg`, `min`, `max`, `sum`, `count`, `stddev`, `last` with `_over_time`, or
/// `quantile_over_time` with 0.5, 0.95 or 0.99 of it, compared with a number.
///
/// # Errors
/// Everything that is wrong, at least one problem and a thousand at most.
pub fn parse(text: &str) -> Result<Vec<Rule>, Vec<RuleProblem>> {
    let document = yaml::parse(text).map_err(|problem| vec![problem])?;
    let mut reader = Reader { rules: Vec::new(), problems: Vec::new() };
    match document {
        // A file without content has no rules.
        None => {}
        Some(Node { value: Value::Scalar(scalar), .. }) if scalar.is_none() => {}
        Some(node) => reader.file(&node),
    }
    if reader.problems.is_empty() { Ok(reader.rules) } else { Err(reader.problems) }
}

struct Reader {
    rules: Vec<Rule>,
    problems: Vec<RuleProblem>,
}

impl Reader {
    fn problem(&mut self, at: At, key: &str, found: impl Into<String>, expected: impl Into<String>) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(RuleProblem::new(at, key, found, expected));
        }
    }

    /// The entries of a table.
    fn table<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Entry] {
        match &node.value {
            Value::Table(entries) => entries,
            _ => {
                self.problem(node.at, key, node.shape(), "a table");
                &[]
            }
        }
    }

    /// The items of a list; none where there is nothing.
    fn list<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Scalar(scalar) if scalar.is_none() => &[],
            _ => {
                self.problem(node.at, key, node.shape(), "a list");
                &[]
            }
        }
    }

    /// The text of a value that is one.
    fn text<'n>(&mut self, node: &'n Node, key: &str, expected: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar(scalar) if !scalar.is_none() => Some(&scalar.text),
            _ => {
                self.problem(node.at, key, node.shape(), expected);
                None
            }
        }
    }

    fn file(&mut self, node: &Node) {
        for Entry { key, at, value } in self.table(node, "") {
            if key == "groups" {
                for (index, group) in self.list(value, "groups").iter().enumerate() {
                    self.group(group, &format!("groups[{index}]"));
                }
            } else {
                self.problem(*at, &brief(key), "an unknown key", "groups");
            }
        }
    }

    fn group(&mut self, node: &Node, path: &str) {
        let mut is_named = false;
        for Entry { key, at, value } in self.table(node, path) {
            let path = format!("{path}.{}", brief(key));
            match key.as_str() {
                "name" => {
                    is_named = true;
                    self.text(value, &path, "the name of the group");
                }
                "rules" => {
                    for (index, rule) in self.list(value, &path).iter().enumerate() {
                        self.rule(rule, &format!("{path}[{index}]"));
                    }
                }
                "interval" | "limit" | "query_offset" | "labels" | "partial_response_strategy" => {
                    let found = format!("{key}, which is outside the subset");
                    self.problem(*at, &path, found, "name and rules; rules are looked at each metrics.interval");
                }
                _ => self.problem(*at, &path, "an unknown key", "one of name, rules"),
            }
        }
        if !is_named && matches!(node.value, Value::Table(_)) {
            self.problem(node.at, &format!("{path}.name"), "nothing", "the name of the group");
        }
    }

    fn rule(&mut self, node: &Node, path: &str) {
        let problems = self.problems.len();
        let entries = self.table(node, path);
        if let Some(record) = entries.iter().find(|entry| entry.key == "record") {
            let found = "record, a recording rule, which is outside the subset";
            return self.problem(record.at, &format!("{path}.record"), found, "alert");
        }
        let mut draft = Draft::default();
        for entry in entries {
            self.key(entry, &format!("{path}.{}", brief(&entry.key)), &mut draft);
        }
        let has = |key: &str| entries.iter().any(|entry| entry.key == key);
        for (key, expected) in [("alert", "the name of the alert"), ("expr", expression::EXPECTED)] {
            if !has(key) && matches!(node.value, Value::Table(_)) {
                self.problem(node.at, &format!("{path}.{key}"), "nothing", expected);
            }
        }
        let Draft { name: Some(name), expression: Some(expression), .. } = draft else { return };
        if self.problems.len() > problems {
            return;
        }
        let Expression { metric, labels, stat, range, condition } = expression;
        let rule = Rule {
            name,
            metric,
            labels,
            stat,
            range,
            condition,
            hold: draft.hold,
            keep_firing_for: draft.keep_firing_for,
            cooldown: Rule::DEFAULT_COOLDOWN,
            severity: draft.severity.unwrap_or_else(|| Rule::DEFAULT_SEVERITY.to_owned()),
            own_labels: draft.labels,
            annotations: draft.annotations,
            receivers: vec![LOG.to_owned()],
            on_missing: OnMissing::Resolve,
        };
        if self.rules.len() == MOST_RULES {
            return self.problem(node.at, path, format!("more than {MOST_RULES} rules"), "fewer in one file");
        }
        self.rules.push(rule);
    }

    fn key(&mut self, Entry { key, at, value }: &Entry, path: &str, draft: &mut Draft) {
        match key.as_str() {
            "alert" => {
                let expected = "a name of 1 to 255 bytes without control characters";
                let name = self.text(value, path, expected);
                match name {
                    Some(name) if !is_name(name) => self.problem(value.at, path, brief(&format!("{name:?}")), expected),
                    name => draft.name = name.map(str::to_owned),
                }
            }
            "expr" => {
                let parsed = self.text(value, path, expression::EXPECTED).map(expression::parse);
                match parsed {
                    Some(Err(outside)) => {
                        let found = format!("{}, which is outside the subset", outside.what);
                        self.problem(value.within(outside.offset), path, found, expression::EXPECTED);
                    }
                    parsed => draft.expression = parsed.and_then(Result::ok),
                }
            }
            "for" => draft.hold = self.duration(value, path).unwrap_or_default(),
            "keep_firing_for" => draft.keep_firing_for = self.duration(value, path).unwrap_or_default(),
            "labels" => self.labels(value, path, draft),
            "annotations" => self.annotations(value, path, draft),
            _ => {
                let expected = "one of alert, expr, for, keep_firing_for, labels, annotations";
                self.problem(*at, path, "an unknown key", expected);
            }
        }
    }

    fn duration(&mut self, node: &Node, path: &str) -> Option<Duration> {
        let text = self.text(node, path, duration::EXPECTED)?;
        let duration = duration::parse(text);
        if duration.is_none() {
            self.problem(node.at, path, brief(&format!("{text:?}")), duration::EXPECTED);
        }
        duration
    }

    fn labels(&mut self, node: &Node, path: &str, draft: &mut Draft) {
        let mut labels = Vec::new();
        for Entry { key, value, .. } in self.table(node, path) {
            let path = format!("{path}.{}", brief(key));
            let Some(text) = self.text(value, &path, "a text") else { continue };
            if text.contains("{{") {
                self.problem(
                    value.at,
                    &path,
                    "a placeholder in a label, which is outside the subset",
                    "a text without {{",
                );
            } else if key != SEVERITY {
                labels.push((key.clone(), text.to_owned()));
            } else if is_name(text) {
                draft.severity = Some(text.to_owned());
            } else {
                self.problem(value.at, &path, brief(&format!("{text:?}")), "a severity such as warning");
            }
        }
        match Labels::from_pairs(labels) {
            Ok(labels) => draft.labels = labels,
            Err(error) => self.problem(node.at, path, format!("labels that can be none ({error})"), "names and texts"),
        }
    }

    fn annotations(&mut self, node: &Node, path: &str, draft: &mut Draft) {
        const MOST: usize = Rule::MOST_ANNOTATIONS;
        let entries = self.table(node, path);
        if entries.len() > MOST {
            self.problem(node.at, path, format!("{} annotations", entries.len()), format!("at most {MOST}"));
        }
        for Entry { key, at, value } in entries {
            let path = format!("{path}.{}", brief(key));
            if !is_name(key) {
                self.problem(
                    *at,
                    &path,
                    brief(&format!("{key:?}")),
                    "a name of 1 to 255 bytes without control characters",
                );
            }
            let Some(text) = self.text(value, &path, "a text") else { continue };
            match Template::parse(text) {
                Ok(text) => draft.annotations.push(Annotation { name: key.clone(), text }),
                Err(error) => {
                    let found = format!("{} ({error})", brief(&format!("{text:?}")));
                    self.problem(value.at, &path, found, "a text with known placeholders");
                }
            }
        }
    }
}

/// A rule as far as it was read.
#[derive(Default)]
struct Draft {
    name: Option<String>,
    expression: Option<Expression>,
    hold: Duration,
    keep_firing_for: Duration,
    severity: Option<String>,
    labels: Labels,
    annotations: Vec<Annotation>,
}
