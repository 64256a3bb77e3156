//! Messages that come in order from one source, and where they come from.
//!
//! Whoever schedules such a message says its place among those of the source, and the process keeps the last place that it
//! took from each. So a message is scheduled once however often it comes, and what is kept does not grow with the log.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{MessageId, ProcessId};

/// Not the name of a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source of a mark is named by 1 to 128 printable ASCII characters without spaces, not by these {0} bytes")]
pub struct MarkSourceError(usize);

/// Who marks messages: a process, or whatever else counts in one row. 1 to 128 printable ASCII characters without spaces.
/// The names of what is no process begin with `~`, which no process id holds.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MarkSource(Arc<str>);

impl MarkSource {
    /// The longest name, in bytes.
    pub const MAX: usize = 128;

    /// Takes `text` as the name of a source.
    pub fn parse(text: &str) -> Result<Self, MarkSourceError> {
        let fits = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(MarkSourceError(text.len())) }
    }

    /// The outcomes of `process`.
    pub fn of_process(process: &ProcessId) -> Self {
        Self(process.as_str().into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MarkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MarkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MarkSource {
    type Error = MarkSourceError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<MarkSource> for String {
    fn from(source: MarkSource) -> Self {
        source.0.as_ref().to_owned()
    }
}

/// A place in the row of one source. Later ones are greater; they need not be dense.
pub type MarkPosition = (u64, u64);

/// The place of a message in the row of its source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// The source.
    pub source: MarkSource,
    /// Where in its row.
    pub position: MarkPosition,
}

/// What a message inherits from the chain of pushes that it is part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushChain {
    /// How many pushes lie between it and the message that began the chain.
    pub depth: u32,
    /// How many further messages may follow from it.
    pub budget: u64,
    /// The message that began the chain.
    pub root: MessageId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_short_printable_names() {
        let long = "x".repeat(MarkSource::MAX);
        for good in ["p", "~cron:Ab-_", &long] {
            let source = MarkSource::parse(good).unwrap();
            let text = serde_json::to_string(&source).unwrap();
            assert_eq!(serde_json::from_str::<MarkSource>(&text).unwrap(), source);
            assert_eq!(source.as_str(), good);
        }
        for bad in ["", " ", "a b", "a\0", "ä", &format!("{long}x")] {
            assert_eq!(MarkSource::parse(bad), Err(MarkSourceError(bad.len())), "{bad:?}");
        }
    }
}
