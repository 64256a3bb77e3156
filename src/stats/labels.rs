//! The labels of a series, and how they are written.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use thiserror::Error;

#[cfg(test)]
mod tests;

/// How many labels a set has at most.
pub const MAX_LABELS: usize = 32;
/// How many bytes the name of a label or a metric has at most.
pub const MAX_NAME: usize = 128;
/// How many bytes the value of a label has at most.
pub const MAX_VALUE: usize = 1024;

/// Why a text or a list of pairs is no set of labels.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LabelError {
    /// The name cannot be one.
    #[error("{name:?} is no label name: write letters, digits and underscores, with no digit first")]
    Name {
        /// What was found, cut off where it is long.
        name: String,
    },
    /// The name is kept for Prometheus itself.
    #[error("the label name {name:?} is reserved: begin it with at most one underscore")]
    Reserved {
        /// The name.
        name: String,
    },
    /// The name stands there twice.
    #[error("the label {name:?} is given twice: leave one of them out")]
    Twice {
        /// The name.
        name: String,
    },
    /// The value is too long.
    #[error("the value of label {name:?} has {found} bytes: at most {MAX_VALUE} are allowed")]
    Value {
        /// The name of the label.
        name: String,
        /// The length in bytes.
        found: usize,
    },
    /// There are too many labels.
    #[error("more than {MAX_LABELS} labels are given: leave some out")]
    TooMany,
    /// The text is not written as `name="value",…`.
    #[error("{expected} is missing at byte {at} of the labels: write name=\"value\",name=\"value\"")]
    Syntax {
        /// Where, in bytes from the beginning.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// A value has a backslash that escapes nothing.
    #[error("the escape at byte {at} of the labels is unknown: a backslash stands before \\, \" or n only")]
    Escape {
        /// Where the backslash is, in bytes from the beginning.
        at: usize,
    },
}

/// A set of labels, in the order of their names. Cheap to clone.
///
/// A label with an empty value is the same as none, as in Prometheus, and is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Box<str>, Box<str>)]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl Labels {
    /// Reads `a="x",b="y"`, with the escapes `\\`, `\"` and `\n`, and blanks and one last comma where they do no harm.
    ///
    /// # Errors
    /// The text is not written so, or [`Labels::from_pairs`] refuses what it says.
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        Self::from_pairs(parse_pairs(text)?)
    }

    /// A set of these pairs of name and value, in any order.
    ///
    /// # Errors
    /// A name is none, is reserved or stands there twice; a value is too long; or there are too many.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, LabelError> {
        let checked = checked(pairs)?;
        let kept = checked.into_iter().filter(|(_, value)| !value.is_empty());
        Ok(Self(kept.map(|(name, value)| (name.into_boxed_str(), value.into_boxed_str())).collect()))
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of a label; `None` if the set lacks it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| **own == *name).map(|(_, value)| &**value)
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes `a="x",b="y"`, which [`Labels::parse`] reads.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_pairs(f, self.iter())
    }
}

/// Whether a metric can have this name: a label's name that may hold colons, of at most [`MAX_NAME`] bytes.
pub(super) fn is_metric_name(name: &str) -> bool {
    is_name(name, |c| c == ':')
}

pub(super) fn write_pairs<'a>(
    f: &mut fmt::Formatter<'_>,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> fmt::Result {
    for (at, (name, value)) in pairs.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(f, "{comma}{name}=\"")?;
        for c in value.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')?;
    }
    Ok(())
}

/// The pairs by name, empty values among them.
pub(super) fn checked(
    pairs: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, LabelError> {
    let mut checked = BTreeMap::new();
    for (name, value) in pairs {
        if !is_name(&name, |_| false) {
            return Err(LabelError::Name { name: name.chars().take(MAX_NAME).collect() });
        }
        if name.starts_with("__") {
            return Err(LabelError::Reserved { name });
        }
        if value.len() > MAX_VALUE {
            return Err(LabelError::Value { name, found: value.len() });
        }
        if checked.contains_key(&name) {
            return Err(LabelError::Twice { name });
        }
        if checked.len() == MAX_LABELS {
            return Err(LabelError::TooMany);
        }
        checked.insert(name, value);
    }
    Ok(checked)
}

fn is_name(name: &str, also: impl Fn(char) -> bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || also(c);
    (1..=MAX_NAME).contains(&name.len()) && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(fits)
}

/// The pairs of a text as they stand there.
pub(super) fn parse_pairs(text: &str) -> Result<Vec<(String, String)>, LabelError> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    let at = |rest: &str| text.len() - rest.len();
    while !rest.is_empty() {
        if pairs.len() > MAX_LABELS {
            return Err(LabelError::TooMany);
        }
        let Some((name, after)) = rest.split_once('=') else {
            return Err(LabelError::Syntax { at: text.len(), expected: "an equals sign" });
        };
        let after = after.trim_start();
        let Some(quoted) = after.strip_prefix('"') else {
            return Err(LabelError::Syntax { at: at(after), expected: "a quote" });
        };
        let (value, after) = value(quoted, at(quoted))?;
        pairs.push((name.trim().to_owned(), value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return Err(LabelError::Syntax { at: at(after), expected: "a comma" }),
        };
    }
    Ok(pairs)
}

/// The value in front of the next bare quote, and what follows the quote. `start` is where `quoted` begins.
fn value(quoted: &str, start: usize) -> Result<(String, &str), LabelError> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                _ => return Err(LabelError::Escape { at: start + at }),
            }),
            c => value.push(c),
        }
    }
    Err(LabelError::Syntax { at: start + quoted.len(), expected: "a quote" })
}
