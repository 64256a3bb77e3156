//! `[metrics]`, `[[metrics.group]]` and `[[anomaly]]`.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use thiserror::Error;

use super::kind::{self, Kind, Mismatch};
use super::reader::Table;
use crate::alert::is_metric_name;
use crate::stats::Selector;

/// The longest regular expression, in bytes.
const LONGEST_PATTERN: usize = 4096;

/// The most memory that a compiled regular expression takes, in bytes.
const LARGEST_PATTERN: usize = 1 << 20;

/// `[metrics]`: what is measured, how often, and how much of it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsConfig {
    /// The time from one collection to the next.
    pub interval: Duration,
    /// Samples that are kept of each series.
    pub series_capacity: usize,
    /// Series that are kept at most; further ones are refused and counted, and further processes are summed.
    pub max_series: usize,
    /// The lag of an arbiter above which there is a warning.
    pub lag_threshold: Duration,
    /// Host processes that are measured together.
    pub groups: Vec<HostGroup>,
}

/// `[[metrics.group]]`: host processes that are measured together: those that every given pattern is found in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostGroup {
    /// Its name; no other group has the same.
    pub name: String,
    /// Looked for in the name.
    pub match_name: Option<Pattern>,
    /// Looked for in the path of the executable.
    pub match_exe: Option<Pattern>,
    /// Looked for in the command line, whose arguments are joined by blanks.
    pub match_cmdline: Option<Pattern>,
}

/// A regular expression. It is looked for anywhere in a text; `^` and `$` tie it to the ends.
#[derive(Clone)]
pub struct Pattern(Regex);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It is empty or too long.
    #[error("a pattern has 1 to {LONGEST_PATTERN} bytes, not {0}")]
    Length(usize),
    /// It is no regular expression, or one that takes too much memory.
    #[error("{0}")]
    Syntax(String),
}

impl Pattern {
    /// A pattern of this text.
    ///
    /// # Errors
    /// It is empty, longer than 4096 bytes, no regular expression, or takes more than 1 MiB when compiled.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if !(1..=LONGEST_PATTERN).contains(&text.len()) {
            return Err(PatternError::Length(text.len()));
        }
        let built = RegexBuilder::new(text).size_limit(LARGEST_PATTERN).dfa_size_limit(LARGEST_PATTERN).build();
        built.map(Self).map_err(|error| PatternError::Syntax(reason(&error)))
    }

    /// Whether it is found in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl MetricsConfig {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        let mut names = HashMap::new();
        Self {
            interval: table.or("interval", Duration::from_secs(5), kind::duration(Duration::from_millis(100))),
            series_capacity: table.or("series_capacity", 1000, kind::between(2..=1_000_000)),
            max_series: table.or("max_series", 10_000, kind::between(1..=1_000_000)),
            lag_threshold: table.or("lag_threshold", Duration::from_millis(50), kind::interval()),
            groups: table.tables("group", |table| group(table, &mut names)).into_iter().flatten().collect(),
        }
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        super::reader::defaults(Self::read)
    }
}

fn group(table: &mut Table<'_, '_>, names: &mut HashMap<String, String>) -> Option<HostGroup> {
    let name = table.required("name", kind::name());
    table.unique("name", name.as_ref(), names);
    let match_name = table.optional("match_name", pattern());
    let match_exe = table.optional("match_exe", pattern());
    let match_cmdline = table.optional("match_cmdline", pattern());
    if !["match_name", "match_exe", "match_cmdline"].into_iter().any(|key| table.has(key)) {
        table.problem("match_name", "nothing", "at least one of match_name, match_exe and match_cmdline");
    }
    Some(HostGroup { name: name?, match_name, match_exe, match_cmdline })
}

fn pattern() -> Kind<'static, Pattern> {
    kind::parsed("a regular expression of 1 to 4096 bytes", |text| {
        Pattern::new(text).map_err(|error| match error {
            PatternError::Length(_) => Mismatch::default(),
            PatternError::Syntax(why) => Mismatch::because(why),
        })
    })
}

/// What is wrong with an expression, in one line: the last of those that the library writes.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(most) => format!("compiled it takes more than {most} bytes"),
        error => {
            let text = error.to_string();
            let last = text.lines().next_back().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
    }
}

/// `[[anomaly]]`: a metric whose values are compared with those before them.
#[derive(Clone, Debug, PartialEq)]
pub struct AnomalyConfig {
    /// Its name; no other entry has the same.
    pub name: String,
    /// The metric whose series are looked at.
    pub metric: String,
    /// Which of them.
    pub labels: Selector,
    /// So many values before it are what a value is compared with.
    pub window: usize,
    /// So many deviations from their mean are an anomaly; above 0.
    pub threshold: f64,
}

impl AnomalyConfig {
    pub(super) fn read_all(root: &mut Table<'_, '_>) -> Vec<Self> {
        let mut names = HashMap::new();
        let read = |table: &mut Table<'_, '_>| {
            let name = table.required("name", kind::name());
            table.unique("name", name.as_ref(), &mut names);
            let metric = table.required("metric", metric());
            let labels = read_labels(table);
            let window = table.or("window", 20, kind::between(2..=100_000));
            let threshold = table.or("threshold", 3.0, kind::above_zero());
            Some(Self { name: name?, metric: metric?, labels, window, threshold })
        };
        root.tables("anomaly", read).into_iter().flatten().collect()
    }
}

/// The name of a metric.
pub(super) fn metric() -> Kind<'static, String> {
    kind::text_where("the name of a metric, such as \"process_open_fds\"", is_metric_name)
}

/// `labels`, which is a text such as `a="x",b="y"` or a table of texts: which series are looked at.
pub(super) fn read_labels(table: &mut Table<'_, '_>) -> Selector {
    let expected = "labels such as 'a=\"x\",b=\"y\"' or { a = \"x\", b = \"y\" }";
    if !table.is_table("labels") {
        let written = kind::parsed(expected, |text| Selector::parse(text).map_err(Mismatch::because));
        return table.or("labels", Selector::default(), written);
    }
    let pairs = table.map("labels", kind::text());
    Selector::from_pairs(pairs).unwrap_or_else(|error| {
        table.problem("labels", format!("a table that can be no labels ({error})"), expected);
        Selector::default()
    })
}
