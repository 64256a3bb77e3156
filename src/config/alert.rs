//! `[[alert]]` and `rule_files`, and with them who is told.

use std::collections::HashMap;
use std::time::Duration;

use super::kind::{self, Kind, Mismatch};
use super::metrics::{metric, read_labels};
use super::origin::Origin;
use super::problem::{Place, Problem};
use super::process::ReadSource;
use super::reader::Table;
use super::receiver::ReceiverConfig;
use crate::alert::rules::{self, RuleProblem};
use crate::alert::{Annotation, Condition, LOG, OnMissing, Rule, Template};
use crate::stats::{Labels, Stat};

/// The most rule files.
const MOST_FILES: usize = 100;

/// `[[receiver]]`, `[[alert]]` and `rule_files`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertsConfig {
    /// Who is told of alerts, besides the log.
    pub receivers: Vec<ReceiverConfig>,
    /// When somebody is told what: the rules of the configuration, and then those of the rule files, which go to the log and
    /// to every receiver.
    pub rules: Vec<Rule>,
}

impl AlertsConfig {
    pub(super) fn read(root: &mut Table<'_, '_>, origin: &Origin, sources: &ReadSource<'_>) -> Self {
        let (receivers, callable) = ReceiverConfig::read_all(root);
        let mut names = HashMap::new();
        let rules = root.tables("alert", |table| read(table, &callable, &mut names));
        let mut rules: Vec<Rule> = rules.into_iter().flatten().collect();
        for rule in read_files(root, origin, sources) {
            rules.push(Rule { receivers: callable.clone(), ..rule });
        }
        Self { receivers, rules }
    }
}

fn read(table: &mut Table<'_, '_>, receivers: &[String], names: &mut HashMap<String, String>) -> Option<Rule> {
    let name = table.required("name", kind::name());
    table.unique("name", name.as_ref(), names);
    let metric = table.required("metric", metric());
    let labels = read_labels(table);
    let stat = table.or("stat", Stat::Last, stat());
    let range = table.or("range", Rule::DEFAULT_RANGE, kind::interval());
    let condition = table.required("when", condition());
    let hold = table.or("for", Duration::ZERO, kind::duration(Duration::ZERO));
    let keep_firing_for = table.or("keep_firing_for", Duration::ZERO, kind::duration(Duration::ZERO));
    let cooldown = table.or("cooldown", Rule::DEFAULT_COOLDOWN, kind::interval());
    let severity = table.or("severity", Rule::DEFAULT_SEVERITY.to_owned(), kind::name());
    let annotations = annotations(table);
    let called = match table.has("receivers") {
        true => table.list("receivers", receiver(receivers)),
        false => vec![LOG.to_owned()],
    };
    let on_missing = table.or("on_missing", OnMissing::default(), kind::one_of(OnMissing::ALL, OnMissing::as_str));
    Some(Rule {
        name: name?,
        metric: metric?,
        labels,
        stat,
        range,
        condition: condition?,
        hold,
        keep_firing_for,
        cooldown,
        severity,
        own_labels: Labels::default(),
        annotations,
        receivers: called,
        on_missing,
    })
}

fn condition() -> Kind<'static, Condition> {
    kind::parsed("a comparison with a number, such as \"> 0.9\"", |text| {
        Condition::parse(text).map_err(Mismatch::because)
    })
}

fn stat() -> Kind<'static, Stat> {
    kind::parsed(format!("one of {}", Stat::NAMES.join(", ")), |text| {
        let nearest = || kind::nearest(text, Stat::NAMES.into_iter()).map(|name| format!("{name:?}"));
        Stat::parse(text).ok_or_else(|| Mismatch { why: None, nearest: nearest() })
    })
}

fn receiver<'k>(known: &'k [String]) -> Kind<'k, String> {
    kind::parsed("\"log\" or the name of a [[receiver]]", move |text| {
        if known.iter().any(|name| name == text) {
            return Ok(text.to_owned());
        }
        let nearest = kind::nearest(text, known.iter().map(String::as_str)).map(|name| format!("{name:?}"));
        Err(Mismatch { why: None, nearest })
    })
}

fn annotations(table: &mut Table<'_, '_>) -> Vec<Annotation> {
    let template = kind::parsed("a text with {{ $value }} and {{ $labels.name }} as its only placeholders", |text| {
        Template::parse(text).map_err(Mismatch::because)
    });
    let annotations = table.map("annotations", template);
    if annotations.len() > Rule::MOST_ANNOTATIONS {
        let most = format!("at most {}", Rule::MOST_ANNOTATIONS);
        table.problem("annotations", format!("{} annotations", annotations.len()), most);
    }
    annotations.into_iter().map(|(name, text)| Annotation { name, text }).collect()
}

/// The rules of all `rule_files`.
fn read_files(root: &mut Table<'_, '_>, origin: &Origin, sources: &ReadSource<'_>) -> Vec<Rule> {
    let files = root.list("rule_files", rule_file(origin, sources));
    if files.len() > MOST_FILES {
        root.problem("rule_files", format!("{} files", files.len()), format!("at most {MOST_FILES}"));
        return Vec::new();
    }
    let mut all = Vec::new();
    for (path, text) in files {
        match rules::parse(&text) {
            Ok(rules) => all.extend(rules),
            Err(problems) => problems.into_iter().for_each(|problem| root.foreign(of_file(&path, problem))),
        }
    }
    if all.len() > rules::MOST_RULES {
        root.problem("rule_files", format!("{} rules", all.len()), format!("at most {} in all", rules::MOST_RULES));
        return Vec::new();
    }
    all
}

fn rule_file<'k>(origin: &'k Origin, sources: &'k ReadSource<'k>) -> Kind<'k, (String, String)> {
    kind::parsed("the path of a rule file that can be read", |text| {
        if text.is_empty() {
            return Err(Mismatch::default());
        }
        let path = origin.resolve(text).display().to_string();
        let bytes = sources(&origin.resolve(text)).map_err(|error| Mismatch::because(format!("{path}: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| Mismatch::because(format!("{path}: it is no UTF-8")))?;
        Ok((path, text))
    })
}

fn of_file(path: &str, problem: RuleProblem) -> Problem {
    let RuleProblem { at, key, found, expected } = problem;
    let place = Some(Place { line: at.line, column: at.column });
    Problem { file: path.to_owned(), place, key, found, expected, nearest: None }
}
