//! Messages that come in order from one source, and where they come from.
//!
//! Whoever schedules such a message says its place among those of the source, and the process keeps the last place that it
//! took from each. So a message is scheduled once however often it comes, and what is kept does not grow with the log.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{IdError, MessageId, ProcessId};

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

/// What a message inherits from the chain of pushes that it is part of. As text, which is what the header `Mainstay-Push`
/// carries, it is `depth=3; budget=120; root=<the id>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushChain {
    /// How many pushes lie between it and the message that began the chain.
    pub depth: u32,
    /// How many further messages may follow from it.
    pub budget: u64,
    /// The message that began the chain.
    pub root: MessageId,
}

/// Why a text is no [`PushChain`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushChainError {
    /// It does not have its parts.
    #[error("a chain of pushes is \"depth=3; budget=120; root=…\", these three in this order and nothing else")]
    Form,
    /// A number is none, or greater than any that there is.
    #[error("the {0} of a chain of pushes is a whole number of at most {1}, in digits")]
    Number(&'static str, u64),
    /// The message that began it has no id.
    #[error("the root of a chain of pushes is the id of a message: {0}")]
    Root(#[from] IdError),
}

impl PushChain {
    /// The header by which a message says to another node which chain it is part of.
    pub const HEADER: &str = "Mainstay-Push";

    /// Takes `text` as a chain. Blanks around its parts are allowed.
    pub fn parse(text: &str) -> Result<Self, PushChainError> {
        let mut parts = text.split(';');
        let mut part = |name: &str| parts.next()?.trim().strip_prefix(name)?.strip_prefix('=');
        let (Some(depth), Some(budget), Some(root)) = (part("depth"), part("budget"), part("root")) else {
            return Err(PushChainError::Form);
        };
        if parts.next().is_some() {
            return Err(PushChainError::Form);
        }
        let depth = number("depth", depth, u32::MAX.into())?;
        Ok(Self {
            depth: u32::try_from(depth).unwrap_or(u32::MAX),
            budget: number("budget", budget, u64::MAX)?,
            root: MessageId::parse(root)?,
        })
    }
}

fn number(name: &'static str, text: &str, most: u64) -> Result<u64, PushChainError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_plain { text.parse().ok() } else { None };
    number.filter(|number| *number <= most).ok_or(PushChainError::Number(name, most))
}

impl fmt::Display for PushChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { depth, budget, root } = self;
        write!(f, "depth={depth}; budget={budget}; root={root}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    fn root() -> MessageId {
        MessageId::derived(&[b"root"])
    }

    #[test]
    fn a_chain_has_its_three_parts_in_order_and_nothing_else() {
        let chain = |depth, budget| PushChain { depth, budget, root: root() };
        for (text, depth, budget) in [
            ("depth=3; budget=120; root=ID", 3, 120),
            ("depth=0;budget=0;root=ID", 0, 0),
            ("  depth=3\t;  budget=007 ;root=ID ", 3, 7),
            ("depth=4294967295; budget=18446744073709551615; root=ID", u32::MAX, u64::MAX),
        ] {
            assert_eq!(PushChain::parse(&text.replace("ID", root().as_str())), Ok(chain(depth, budget)), "{text}");
        }
        assert_eq!(chain(3, 120).to_string(), format!("depth=3; budget=120; root={}", root()));
    }

    #[test]
    fn what_is_no_chain_is_refused_for_what_is_wrong_with_it() {
        use PushChainError::{Form, Number, Root};
        let root_error = |text: &str| Root(MessageId::parse(text).unwrap_err());
        for (text, expected) in [
            ("", Form),
            ("3", Form),
            ("depth=3", Form),
            ("depth=3; budget=120", Form),
            ("budget=120; depth=3; root=ID", Form),
            ("depth=3; budget=120; root=ID;", Form),
            ("depth=3; budget=120; root=ID; more=1", Form),
            ("depth=3, budget=120, root=ID", Form),
            ("depth 3; budget=120; root=ID", Form),
            ("Depth=3; budget=120; root=ID", Form),
            ("depth=; budget=120; root=ID", Number("depth", u32::MAX.into())),
            ("depth= 3; budget=120; root=ID", Number("depth", u32::MAX.into())),
            ("depth=-1; budget=120; root=ID", Number("depth", u32::MAX.into())),
            ("depth=+1; budget=120; root=ID", Number("depth", u32::MAX.into())),
            ("depth=1e1; budget=120; root=ID", Number("depth", u32::MAX.into())),
            ("depth=4294967296; budget=120; root=ID", Number("depth", u32::MAX.into())),
            ("depth=3; budget=x; root=ID", Number("budget", u64::MAX)),
            ("depth=3; budget=18446744073709551616; root=ID", Number("budget", u64::MAX)),
            ("depth=3; budget=120; root=", root_error("")),
            ("depth=3; budget=120; root=IDx", root_error(&format!("{}x", root()))),
            ("depth=3; budget=120; root=ID,depth=3", root_error(&format!("{},depth=3", root()))),
        ] {
            assert_eq!(PushChain::parse(&text.replace("ID", root().as_str())), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_chain_survives_its_text(depth: u32, budget: u64, seed: [u8; 8]) {
            let chain = PushChain { depth, budget, root: MessageId::derived(&[&seed]) };
            prop_assert_eq!(PushChain::parse(&chain.to_string()), Ok(chain));
        }

        #[test]
        fn any_text_is_a_chain_or_a_short_error(text in "(depth|budget|root|[=; a0-9]){0,12}|.{0,2000}") {
            match PushChain::parse(&text) {
                Ok(chain) => prop_assert_eq!(PushChain::parse(&chain.to_string()), Ok(chain)),
                Err(error) => prop_assert!(error.to_string().chars().count() < 500, "{}", error),
            }
        }
    }
}
