//! Walks a TOML document key by key and collects what is wrong with it, instead of stopping at the first problem.
//!
//! A [`Table`] knows which keys were asked for. Those that stand in the document and nobody asked for are unknown.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kind::{Kind, nearest};
use super::problem::{ConfigError, Place, Problem};

/// Reads the document `text` by `body`. `file` is how problems name it.
///
/// A document with syntax errors is not read any further: where one table ends there is anyone's guess.
pub(super) fn read<T>(file: &str, text: &str, body: impl FnOnce(&mut Table<'_, '_>) -> T) -> Result<T, ConfigError> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut report = Report::new(file, text);
    for error in &errors {
        let found = format!("a syntax error ({})", error.message().trim_end_matches(", expected nothing"));
        report.problem(error.span(), "", found, "TOML".to_owned(), None);
    }
    if !errors.is_empty() {
        return Err(report.into_error());
    }
    let result = Table::new(&mut report, String::new(), Some((document.get_ref(), document.span()))).read(body);
    if report.count() == 0 { Ok(result) } else { Err(report.into_error()) }
}

/// What `body` reads from an empty table: the defaults.
pub(super) fn defaults<T>(body: impl FnOnce(&mut Table<'_, '_>) -> T) -> T {
    body(&mut Table::new(&mut Report::new("", ""), String::new(), None))
}

/// Every key that `body` asks for in `text`, without indexes: `process.limits.gas`.
#[cfg(test)]
pub(super) fn known_keys<T>(text: &str, body: impl FnOnce(&mut Table<'_, '_>) -> T) -> BTreeSet<String> {
    let document = DeTable::parse(text).unwrap();
    let mut report = Report::new("", text);
    Table::new(&mut report, String::new(), Some((document.get_ref(), document.span()))).read(body);
    report.known
}

type Span = Range<usize>;

/// What was found out about a document so far.
struct Report<'d> {
    file: &'d str,
    text: &'d str,
    /// The offset at which each line begins.
    lines: Vec<usize>,
    problems: Vec<Problem>,
    omitted: usize,
    unknown: Vec<Unknown>,
    known: BTreeSet<String>,
}

/// A key that nobody asked for. What it may have meant is told when all known keys are.
struct Unknown {
    path: String,
    key: String,
    span: Span,
    siblings: Vec<&'static str>,
}

impl<'d> Report<'d> {
    fn new(file: &'d str, text: &'d str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, lines, problems: Vec::new(), omitted: 0, unknown: Vec::new(), known: BTreeSet::new() }
    }

    /// Whether there is room for one more problem; if not, it is counted.
    fn has_room(&mut self) -> bool {
        let has_room = self.problems.len() + self.unknown.len() < ConfigError::MOST;
        self.omitted += usize::from(!has_room);
        has_room
    }

    fn problem(&mut self, span: Option<Span>, key: &str, found: String, expected: String, nearest: Option<String>) {
        if !self.has_room() {
            return;
        }
        let place = span.map(|span| self.place(span.start));
        self.problems.push(Problem {
            file: self.file.to_owned(),
            place,
            key: key.to_owned(),
            found,
            expected,
            nearest,
        });
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let before = self.text.get(self.lines[line - 1]..offset).unwrap_or_default();
        Place { line, column: before.chars().count() + 1 }
    }

    fn count(&self) -> usize {
        self.problems.len() + self.unknown.len() + self.omitted
    }

    fn into_error(mut self) -> ConfigError {
        for Unknown { path, key, span, siblings } in std::mem::take(&mut self.unknown) {
            let near = nearest(&key, siblings.iter().copied()).map(str::to_owned).or_else(|| self.elsewhere(&key));
            let expected = match siblings.as_slice() {
                [only] => (*only).to_owned(),
                siblings => format!("one of {}", siblings.join(", ")),
            };
            self.problem(Some(span), &path, "an unknown key".to_owned(), expected, near);
        }
        // Those of other files come behind, in the order in which these were read.
        self.problems.sort_by_key(|problem| {
            let is_own = problem.file == self.file;
            (!is_own, is_own.then_some(problem.place))
        });
        ConfigError { problems: self.problems, omitted: self.omitted }
    }

    /// The path of a known key of this name in another table.
    fn elsewhere(&self, key: &str) -> Option<String> {
        self.known.iter().find(|path| path.rsplit('.').next() == Some(key)).cloned()
    }
}

/// A table of the document, or one that is missing in it and hence empty.
pub(super) struct Table<'r, 'd> {
    report: &'r mut Report<'d>,
    path: String,
    entries: Option<&'r DeTable<'r>>,
    span: Option<Span>,
    asked: Vec<&'static str>,
    /// The problems before it.
    before: usize,
}

impl<'r, 'd> Table<'r, 'd> {
    fn new(report: &'r mut Report<'d>, path: String, table: Option<(&'r DeTable<'r>, Span)>) -> Self {
        let (entries, span) = table.unzip();
        let before = report.count();
        Self { report, path, entries, span, asked: Vec::new(), before }
    }

    /// Reads the whole table by `body`; the keys that it doesn't ask for are unknown.
    fn read<T>(mut self, body: impl FnOnce(&mut Table<'_, '_>) -> T) -> T {
        let result = body(&mut self);
        for (key, _) in self.entries.into_iter().flatten() {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) && self.report.has_room() {
                self.report.unknown.push(Unknown {
                    path: joined(&self.path, name),
                    key: name.to_owned(),
                    span: key.span(),
                    siblings: self.asked.clone(),
                });
            }
        }
        result
    }

    /// The value of `key`, which from now on is known.
    fn ask(&mut self, key: &'static str) -> Option<&'r Spanned<DeValue<'r>>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
            self.report.known.insert(without_indexes(&joined(&self.path, key)));
        }
        self.entries?.get(key)
    }

    /// The value of `key`, if it stands there.
    pub(super) fn optional<T>(&mut self, key: &'static str, kind: Kind<'_, T>) -> Option<T> {
        let value = self.ask(key)?;
        self.one(joined(&self.path, key), value, &kind)
    }

    /// The value of `key`, or `default`.
    pub(super) fn or<T>(&mut self, key: &'static str, default: T, kind: Kind<'_, T>) -> T {
        self.optional(key, kind).unwrap_or(default)
    }

    /// The value of `key`; that it is missing is a problem.
    pub(super) fn required<T>(&mut self, key: &'static str, kind: Kind<'_, T>) -> Option<T> {
        if self.ask(key).is_none() {
            self.problem(key, "nothing", &kind.expected);
        }
        self.optional(key, kind)
    }

    /// The values of the list `key`, in order; none where it is missing.
    pub(super) fn list<T>(&mut self, key: &'static str, kind: Kind<'_, T>) -> Vec<T> {
        let Some(value) = self.ask(key) else { return Vec::new() };
        let path = joined(&self.path, key);
        let Some(items) = value.get_ref().as_array() else {
            self.mismatch(path, value, "a list");
            return Vec::new();
        };
        let items = items.iter().enumerate();
        items.filter_map(|(index, item)| self.one(format!("{path}[{index}]"), item, &kind)).collect()
    }

    /// The names and values of the table `key`, which may have any names, in the order of the file.
    pub(super) fn map<T>(&mut self, key: &'static str, kind: Kind<'_, T>) -> Vec<(String, T)> {
        let Some(value) = self.ask(key) else { return Vec::new() };
        let path = joined(&self.path, key);
        let Some(table) = value.get_ref().as_table() else {
            self.mismatch(path, value, "a table");
            return Vec::new();
        };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let mut read = |name: &str, value| Some((name.to_owned(), self.one(joined(&path, name), value, &kind)?));
        entries.into_iter().filter_map(|(name, value)| read(name.get_ref(), value)).collect()
    }

    /// The table `key` by `body`, which reads an empty one where it is missing.
    pub(super) fn section<T>(&mut self, key: &'static str, body: impl FnOnce(&mut Table<'_, '_>) -> T) -> T {
        let path = joined(&self.path, key);
        let value = self.ask(key);
        let table = value.and_then(|value| Some((value.get_ref().as_table()?, value.span())));
        if let (Some(value), None) = (value, &table) {
            self.mismatch(path.clone(), value, "a table");
        }
        Table::new(self.report, path, table).read(body)
    }

    /// The tables of the list `key` by `body`, in order; none where it is missing.
    pub(super) fn tables<T>(&mut self, key: &'static str, mut body: impl FnMut(&mut Table<'_, '_>) -> T) -> Vec<T> {
        let Some(value) = self.ask(key) else { return Vec::new() };
        let path = joined(&self.path, key);
        let Some(items) = value.get_ref().as_array() else {
            self.mismatch(path, value, "a list of tables");
            return Vec::new();
        };
        let mut results = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item.get_ref().as_table() {
                Some(table) => results.push(Table::new(self.report, path, Some((table, item.span()))).read(&mut body)),
                None => self.mismatch(path, item, "a table"),
            }
        }
        results
    }

    /// Where the table stands, such as `process[1].limits`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether nothing is wrong with it and the tables in it, now that every key was asked for.
    pub(super) fn is_good(&self) -> bool {
        let mut keys = self.entries.into_iter().flatten().map(|(key, _)| -> &str { key.get_ref() });
        self.report.count() == self.before && keys.all(|key| self.asked.contains(&key))
    }

    /// Whether `key` stands there.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.ask(key).is_some()
    }

    /// Whether `key` is a list with something in it.
    pub(super) fn is_filled(&mut self, key: &'static str) -> bool {
        self.ask(key).and_then(|value| value.get_ref().as_array()).is_some_and(|items| !items.is_empty())
    }

    /// Whether `key` is a list.
    pub(super) fn is_list(&mut self, key: &'static str) -> bool {
        self.ask(key).is_some_and(|value| value.get_ref().is_array())
    }

    /// Whether `key` is a table.
    pub(super) fn is_table(&mut self, key: &'static str) -> bool {
        self.ask(key).is_some_and(|value| value.get_ref().is_table())
    }

    /// Reports what is wrong with another file that the document names.
    pub(super) fn foreign(&mut self, problem: Problem) {
        if self.report.has_room() {
            self.report.problems.push(problem);
        }
    }

    /// Reports that the value of `key` won't do, for a reason that lies outside of it.
    pub(super) fn problem(&mut self, key: &'static str, found: impl Into<String>, expected: impl Into<String>) {
        let span = self.ask(key).map(Spanned::span).or_else(|| self.span.clone());
        self.report.problem(span, &joined(&self.path, key), found.into(), expected.into(), None);
    }

    /// Reports that a table before this one has the same `value` of `key`. `seen` holds which table has which value.
    pub(super) fn unique<T: Clone + Eq + Hash>(
        &mut self,
        key: &'static str,
        value: Option<&T>,
        seen: &mut HashMap<T, String>,
    ) {
        if let Some(first) = value.and_then(|value| seen.insert(value.clone(), self.path.clone())) {
            self.problem(key, format!("the {key} of {first}"), "one of its own");
        }
    }

    fn one<T>(&mut self, path: String, value: &Spanned<DeValue<'_>>, kind: &Kind<'_, T>) -> Option<T> {
        match kind.read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(mismatch) => {
                let mut found = shown(value.get_ref());
                if kind.is_secret {
                    found = format!("{} (not shown)", shape(value.get_ref()));
                } else if let Some(why) = mismatch.why {
                    found.push_str(&format!(" ({})", in_one_line(&why)));
                }
                self.report.problem(Some(value.span()), &path, found, kind.expected.clone(), mismatch.nearest);
                None
            }
        }
    }

    /// Reports a value of the wrong shape. What it holds is not told: it may be a secret in the wrong place.
    fn mismatch(&mut self, path: String, value: &Spanned<DeValue<'_>>, expected: &str) {
        self.report.problem(Some(value.span()), &path, shape(value.get_ref()).to_owned(), expected.to_owned(), None);
    }
}

/// The path of `key` in the table at `path`. A key that isn't bare is quoted.
fn joined(path: &str, key: &str) -> String {
    let is_bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let key = if is_bare { cut(key.to_owned()) } else { cut(format!("{key:?}")) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

fn without_indexes(path: &str) -> String {
    let parts = path.split('.').map(|part| part.split('[').next().unwrap_or(part));
    parts.collect::<Vec<_>>().join(".")
}

/// The value as a person recognises it in the file.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => cut(format!("{text:?}")),
        DeValue::Integer(integer) => cut(integer.to_string()),
        DeValue::Float(float) => cut(float.to_string()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => shape(value).to_owned(),
    }
}

fn shape(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `text` with its control characters escaped.
pub(super) fn in_one_line(text: &str) -> String {
    let escaped = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// `text`, shortened to what fits a line.
fn cut(text: String) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}
