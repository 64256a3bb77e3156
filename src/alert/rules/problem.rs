//! What is wrong with a rule file.

/// A place in a rule file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl At {
    /// Where a file begins.
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong with a rule file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {}found {found}, expected {expected}", at.line, at.column, prefix(key))]
pub struct RuleProblem {
    /// Where.
    pub at: At,
    /// The path of the key, such as `groups[0].rules[1].expr`; empty where the syntax is at fault.
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What should stand there.
    pub expected: String,
}

impl RuleProblem {
    pub(super) fn new(at: At, key: &str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { at, key: key.to_owned(), found: found.into(), expected: expected.into() }
    }
}

fn prefix(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}
