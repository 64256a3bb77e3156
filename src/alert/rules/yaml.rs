//! A YAML document as a small tree that knows where everything stands.
//!
//! Of YAML, what lets a short text stand for a long one or for something else is refused: anchors, aliases, tags, and
//! several documents in one file.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use super::problem::{At, RuleProblem};

/// The longest file, in bytes.
const LONGEST: usize = 1 << 20;
/// The most lists within lists.
const DEEPEST: usize = 16;
/// The most values in a file.
const MOST: usize = 100_000;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    /// Keys are unique, in the order of the file.
    Table(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Whether it stands without quotes, so that `~` and nothing at all mean none.
    is_bare: bool,
    layout: Layout,
}

/// How a text stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Character by character, so many characters behind the beginning of the value.
    Line { inset: usize },
    /// Line by line, each as far to the right as the first.
    Block,
    /// With escapes, or folded.
    Other,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: At,
    pub(super) value: Node,
}

impl Node {
    /// What it is, in words.
    pub(super) fn shape(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_none() => "nothing",
            Value::Scalar(_) => "a text",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// Where the character of its text that `offset` characters precede stands; where that is not known, where it begins.
    pub(super) fn within(&self, offset: usize) -> At {
        let Value::Scalar(Scalar { text, layout, .. }) = &self.value else { return self.at };
        match *layout {
            Layout::Line { inset } => At { column: self.at.column.saturating_add(inset + offset), ..self.at },
            Layout::Block => {
                let before = text.char_indices().nth(offset).map_or(text.as_str(), |(at, _)| &text[..at]);
                let last = before.rsplit('\n').next().unwrap_or_default();
                let line = self.at.line + before.matches('\n').count();
                At { line, column: self.at.column + last.chars().count() }
            }
            Layout::Other => self.at,
        }
    }
}

impl Scalar {
    /// Whether it says that there is no value.
    pub(super) fn is_none(&self) -> bool {
        self.is_bare && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// The value of the document in `text`; `None` where it is empty.
pub(super) fn parse(text: &str) -> Result<Option<Node>, RuleProblem> {
    if text.len() > LONGEST {
        return Err(RuleProblem::new(At::START, "", "a file longer than 1MiB", "a shorter one"));
    }
    // A mark of byte order is no content.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { parser: Parser::new_from_str(text), text, left: MOST };
    let mut document = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(document),
            Event::StreamStart | Event::Nothing | Event::DocumentEnd => {}
            Event::DocumentStart(_) if document.is_some() => {
                return Err(refused(at(span.start), "a second document", "one document a file"));
            }
            Event::DocumentStart(_) => {
                let (event, span) = reader.next()?;
                document = Some(reader.node(event, span, 0)?);
            }
            _ => return Err(refused(at(span.start), "a value outside of a document", "YAML")),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    text: &'t str,
    /// How many more values are taken.
    left: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), RuleProblem> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let place = at(*error.marker()).min(end(self.text));
                Err(refused(place, &format!("a syntax error ({})", error.info()), "YAML"))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, RuleProblem> {
        let place = at(span.start);
        self.left = self.left.checked_sub(1).ok_or_else(|| refused(place, "more than 100000 values", "fewer"))?;
        if depth > DEEPEST {
            return Err(refused(place, "more than 16 levels of lists and tables", "fewer"));
        }
        let (anchor, is_tagged) = match &event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            Event::Alias(_) => return Err(refused(place, "an alias (*…)", "the value itself")),
            _ => return Err(refused(place, "no value", "a text, a list or a table")),
        };
        if anchor != 0 {
            return Err(refused(place, "an anchor (&…)", "the value without it"));
        }
        if is_tagged {
            return Err(refused(place, "a tag (!…)", "the value without it"));
        }
        let value = match event {
            Event::Scalar(text, style, ..) => Value::Scalar(scalar(text.into_owned(), style, span)),
            Event::SequenceStart(..) => Value::List(self.list(depth)?),
            _ => Value::Table(self.table(depth)?),
        };
        Ok(Node { at: place, value })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, RuleProblem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::SequenceEnd => return Ok(items),
                event => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn table(&mut self, depth: usize) -> Result<Vec<Entry>, RuleProblem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = std::collections::HashSet::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(entries);
            }
            let key = self.node(event, span, depth + 1)?;
            let Value::Scalar(name) = key.value else {
                return Err(refused(key.at, "a list or a table as key", "a text"));
            };
            if !keys.insert(name.text.clone()) {
                return Err(refused(key.at, &format!("the key {:?} again", brief(&name.text)), "each key once"));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push(Entry { key: name.text, at: key.at, value });
        }
    }
}

fn scalar(text: String, style: ScalarStyle, span: Span) -> Scalar {
    let length = span.end.index().saturating_sub(span.start.index());
    let quotes = usize::from(style != ScalarStyle::Plain);
    let layout = match style {
        // What begins with an empty line has its place behind that.
        ScalarStyle::Literal if !text.starts_with('\n') => Layout::Block,
        ScalarStyle::Literal | ScalarStyle::Folded => Layout::Other,
        _ if span.start.line() == span.end.line() && length == text.chars().count() + 2 * quotes => {
            Layout::Line { inset: quotes }
        }
        _ => Layout::Other,
    };
    Scalar { text, is_bare: style == ScalarStyle::Plain, layout }
}

fn at(marker: Marker) -> At {
    At { line: marker.line().max(1), column: marker.col() + 1 }
}

/// Where the text of a file ends. What is missing there is missed in the line behind it.
fn end(text: &str) -> At {
    let text = text.trim_end_matches(['\n', '\r']);
    let last = text.rsplit('\n').next().unwrap_or_default();
    At { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 }
}

fn refused(at: At, found: &str, expected: &str) -> RuleProblem {
    RuleProblem::new(at, "", found, expected)
}

/// The beginning of a text that may be long.
pub(super) fn brief(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}
